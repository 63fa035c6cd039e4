"""Headless Chromium, driven through its DevTools protocol: what a page logs, requests and shows.

Names are not resolved, so a page reaches nothing but the loopback interface. The protocol is JSON over a websocket, and
`websocket-client` comes with JupyterLab: a driver of a hundred lines, where the usual ones download a browser each.
Without a Chromium on the PATH, tests marked `needs_chromium` are skipped with that reason.

    with Browser(width=400, height=800) as b:
        page = b.open("http://127.0.0.1:8000/index.html")
        page.wait_for("document.title != ''")
        assert page.evaluate("document.images.length") and not page.console_errors
"""

import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--no-proxy-server", "--remote-debugging-port=0", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
VIRTUAL_KEYS = {
    "Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip


class Browser:
    """A Chromium of its own with an empty profile; every page is `width` by `height` CSS pixels."""

    def __init__(self, width: int = 1400, height: int = 900):
        self.width, self.height = width, height

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.pages = []
        try:
            self.address = f"127.0.0.1:{self._port()}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for page in self.pages:
            page.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _port(self, timeout: float = 60) -> int:
        file, deadline = Path(self.profile, "DevToolsActivePort"), time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            if file.exists() and (lines := file.read_text(encoding="utf-8").split()):
                return int(lines[0])
            time.sleep(0.05)
        raise TimeoutError(f"{CHROMIUM} did not start within {timeout} s, or ended with {self.process.poll()}")

    def open(self, url: str, timeout: float = 60) -> "Page":
        """A new tab that has loaded `url`, with its images and scripts."""
        request = urllib.request.Request(f"http://{self.address}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            target = json.load(answer)
        page = Page(target["webSocketDebuggerUrl"], timeout)
        self.pages.append(page)
        page.resize(self.width, self.height)
        page.goto(url, timeout)
        return page


class Page:
    """One tab. Where a condition is not met in time or JavaScript throws, the error says which."""

    def __init__(self, address: str, timeout: float = 60):
        self.socket = websocket.create_connection(address, timeout=timeout, suppress_origin=True)
        self._number, self._events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        """The answer to a command of the protocol; events that come before it are kept."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if "id" not in message:
                self._events.append(message)
            elif message["id"] == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def goto(self, url: str, timeout: float = 60) -> None:
        """Go to another address in this tab, up to its load event."""
        before = len(self._of("Page.loadEventFired"))
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        deadline = time.monotonic() + timeout
        while len(self._of("Page.loadEventFired")) == before:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} did not load within {timeout} s")
            time.sleep(0.02)

    def resize(self, width: int, height: int) -> None:
        """Give this tab another size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def close(self) -> None:
        """Close the tab."""
        self.call("Page.close")
        self.socket.close()

    def _of(self, *methods: str) -> list[dict]:
        """The parameters of all events so far of these kinds; a command first, which brings in those under way."""
        self.call("Runtime.evaluate", expression="0")
        return [event["params"] for event in self._events if event["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """Every address that this tab has asked for, `data:` and `blob:` among them."""
        return [event["request"]["url"] for event in self._of("Network.requestWillBeSent")]

    @property
    def console_errors(self) -> list[str]:
        """What has been logged as an error: by scripts, by exceptions that nobody caught, by loads that failed."""
        called = [event for event in self._of("Runtime.consoleAPICalled") if event["type"] in ("error", "assert")]
        texts = [" ".join(str(arg.get("value", arg.get("description"))) for arg in event["args"]) for event in called]
        for event in self._of("Runtime.exceptionThrown"):
            details = event["exceptionDetails"]
            texts.append(details.get("exception", {}).get("description") or details["text"])
        entries = [event["entry"] for event in self._of("Log.entryAdded")]
        return texts + [f"{e['text']} {e.get('url', '')}".strip() for e in entries if e["level"] == "error"]

    def evaluate(self, javascript: str):
        """The value of an expression, awaited if it is a promise; RuntimeError with its text if it throws."""
        answer = self.call("Runtime.evaluate", expression=javascript, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(f"{javascript}: {details.get('exception', {}).get('description') or details['text']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str, timeout: float = 30):
        """The value of a JavaScript expression as soon as it is truthy; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.evaluate(condition)
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s: {condition}")
            time.sleep(0.1)

    def screenshot(self, path, whole: bool = False) -> None:
        """Write a PNG of the window, or of the `whole` page."""
        picture = self.call(
            "Page.captureScreenshot", captureBeyondViewport=whole, **({"clip": self._page()} if whole else {})
        )
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def _page(self) -> dict:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of the first element that a CSS selector finds, scrolled into view; CSS pixels."""
        return tuple(
            self.evaluate(
                f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
                " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
            )
        )

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        self.drag(selector)

    def drag(self, selector: str, dx: float = 0, dy: float = 0, steps: int = 8) -> None:
        """Press the mouse on the middle of an element, move it by (dx, dy) CSS pixels and let go."""
        x, y = self.middle(selector)
        self._mouse("mouseMoved", x, y, "none")
        self._mouse("mousePressed", x, y)
        for step in range(1, steps + 1) if dx or dy else ():
            self._mouse("mouseMoved", x + dx * step / steps, y + dy * step / steps)
        self._mouse("mouseReleased", x + dx, y + dy)

    def _mouse(self, kind: str, x: float, y: float, button: str = "left") -> None:
        held = 1 if button == "left" and kind != "mouseReleased" else 0
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held, clickCount=1)

    def press(self, keys: str, times: int = 1) -> None:
        """Press a key, as `ArrowRight`, `a` or `Shift+Enter`, in the element that has the focus."""
        *held, key = keys.split("+")
        modifiers = sum(MODIFIERS[name] for name in held)
        plain = not set(held) - {"Shift"}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "") if plain else ""
        code = VIRTUAL_KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        name = f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else {" ": "Space"}.get(key, key)
        shared = {"key": key, "code": name, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **shared)
            self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def type(self, text: str) -> None:
        """Put text in at the cursor."""
        self.call("Input.insertText", text=text)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing per request."""


@contextlib.contextmanager
def served(folder):
    """The address on the loopback interface under which the files of a folder are served meanwhile."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
