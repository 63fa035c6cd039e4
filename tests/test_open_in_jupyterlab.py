"""JupyterLab as a reader has it: opens each notebook, runs all its cells, and a picture follows its slider.

A server and a Chromium of their own, on the loopback interface only; the notebooks are copies whose profile is smoke.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from polysemanticity.base import paths
from tests.browser import Browser, needs_chromium

PLAIN = 'profile = "default"'
# on a busy machine a picture may come late, which is not what is tested here
SMOKE = 'profile = "smoke"\nfrom polysemanticity import notebook as shown\nshown.BUDGET = 600'
PANEL = "[...jupyterapp.shell.widgets('main')].find(widget => widget.content?.model?.cells)"
READY = f"window.jupyterapp && {PANEL}?.sessionContext?.session?.kernel?.status == 'idle'"
# the code cells without a count yet, and the errors among the outputs
CELLS = f"[...{PANEL}.content.model.cells].filter(cell => cell.type == 'code')"
ERRORS = f"{CELLS}.flatMap(cell => cell.outputs.toJSON()).filter(o => o.output_type == 'error').map(o => o.evalue)"
DONE = f"{CELLS}.every(cell => cell.executionCount) && {PANEL}.sessionContext.session.kernel.status == 'idle'"
# a slider's handle, or the first menu where a picture has no slider
HANDLE = "(document.querySelector('.jp-mod-active .noUi-handle') || document.querySelector('.jp-mod-active select'))"
AT_ITS_END = "(h => h.ariaValueNow == h.ariaValueMax)"
NEXT = "(h => { h.selectedIndex += 1; h.dispatchEvent(new Event('change', {bubbles: true})) })"  # of a menu
PICTURE = "[...document.querySelectorAll('.jp-mod-active .jp-OutputArea .jp-OutputArea img')].map(i => i.src).join()"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, smoke_folders):
    """The address of a JupyterLab over a folder like the repository, with one notebook by another in notebooks/."""
    root = tmp_path_factory.mktemp("collection")
    (root / "notebooks").mkdir()
    for path in paths.notebooks().values():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", []):
                assert PLAIN in cell.source
                cell.source = cell.source.replace(PLAIN, SMOKE)
        nbformat.write(notebook, root / "notebooks" / path.name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POLYSEMANTICITY_")}
    environment |= {
        "POLYSEMANTICITY_CACHE": str(smoke_folders / "cache"),  # what the smoke runs have computed is there
        "PYTHONPATH": str(paths.ROOT),
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "IPYTHONDIR": str(root / "ipython"),
    }
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (root / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
    try:
        yield f"{_address(root, server)}/lab/tree/notebooks/{{name}}?token={token}&reset"
    finally:
        server.terminate()  # it ends its kernels
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


def _address(root, server, timeout=180):
    """Where the server has come up; the port was free when it took it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and server.poll() is None:
        for file in (root / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError):
                address = json.loads(file.read_text())["url"].rstrip("/")
                address = address.replace("localhost", "127.0.0.1")
                with urllib.request.urlopen(f"{address}/api", timeout=5):
                    return address
        time.sleep(0.2)
    raise TimeoutError(f"no JupyterLab within {timeout} s: {(root / 'log.txt').read_text()[-2000:]}")


@pytest.fixture(scope="module")
def browser():
    with Browser(width=1400, height=1000) as opened:
        yield opened


@needs_chromium
@pytest.mark.parametrize("slug", paths.notebooks())
def test_all_cells_run_and_pictures_follow_their_sliders(lab, browser, slug, tmp_path):
    path = paths.notebooks()[slug]
    page = browser.open(lab.format(name=path.name), timeout=120)
    page.wait_for(READY, 120)
    page.evaluate(f"jupyterapp.shell.activateById({PANEL}.id)")
    # JupyterLab makes the last cell the active one, and gives it the focus, when it has seen the end of the run
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.seen = true })")
    page.wait_for(f"({DONE} && window.seen) || {ERRORS}.length", 600)
    assert page.evaluate(ERRORS) == []
    cells = nbformat.read(path, as_version=4).cells
    playing = [
        i for i, cell in enumerate(cells) if "notebook.sliders(" in cell.source or "notebook.choices(" in cell.source
    ]
    for index in playing:
        page.evaluate(f"{PANEL}.content.activeCellIndex = {index}")
        page.evaluate(f"{PANEL}.content.scrollToItem({index}, 'center')")
        before = page.wait_for(PICTURE, 30)
        page.wait_for(f"{HANDLE}.focus() || document.activeElement == {HANDLE}", 30)
        if page.evaluate(f"{HANDLE}.tagName == 'SELECT'"):
            page.evaluate(f"{NEXT}({HANDLE})")
        else:
            page.press("ArrowLeft" if page.evaluate(f"{AT_ITS_END}({HANDLE})") else "ArrowRight", times=4)
        page.wait_for(f"(picture => picture && picture != {json.dumps(before)})({PICTURE})", 120)
        page.screenshot(tmp_path / f"{index}.png")
    assert playing and not [text for text in page.console_errors if "widget" in text.lower()]
    page.evaluate(f"{PANEL}.sessionContext.shutdown()")
    page.close()
