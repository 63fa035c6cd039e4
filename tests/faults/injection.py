"""Start a victim, kill something of it, wait for its end, and look for what is left."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
import uuid
from pathlib import Path

import psutil
import victims

from polysemanticity.base import paths
from polysemanticity.engine import store

HANGS = 300  # seconds after which a victim counts as one that will never end


def server():
    """The context of a fork server whose children begin with everything imported."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(paths.PACKAGE.parent), str(Path(__file__).parent)])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["victims"])
    return context


class Victim:
    """A process group under attack."""

    def __init__(self, context, target, folder: Path, *arguments, **environment: str):
        self.mark, self.log = uuid.uuid4().hex, folder / "log.txt"
        path = [str(victims.HOOK), str(paths.ROOT)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE"))}
        environment = inherited | environment | {"FAULT_RUN": self.mark, "PYTHONPATH": os.pathsep.join(path)}
        environment["OMP_NUM_THREADS"] = "1"
        self.process = context.Process(target=target, args=(environment, str(self.log), *arguments))
        self.started = time.monotonic()
        self.process.start()

    def alive(self) -> bool:
        return self.process.exitcode is None

    def sleep(self, seconds: float) -> bool:
        """Wait; False if the victim ended before."""
        self.process.join(seconds)
        return self.alive()

    def members(self) -> list[psutil.Process]:
        """Its processes that are alive, itself included: by session, by descent of the environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                mine = os.getsid(process.pid) == self.process.pid or process.environ().get("FAULT_RUN") == self.mark
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def named(self, *words: str) -> list[psutil.Process]:
        """Its processes, itself excluded, whose command line has one of the words."""
        found = []
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if process.pid != self.process.pid and "tracker" not in line and any(word in line for word in words):
                    found.append(process)
        return found

    def wait(self) -> int:
        """Return its status, after it has ended by itself; a victim that hangs is killed and is an AssertionError."""
        self.process.join(HANGS)
        if self.alive():
            for process in self.members():
                process.kill()
            raise AssertionError(f"it hangs; its log: {self.log.read_text()[-3000:]}")
        return self.process.exitcode

    def orphans(self) -> int:
        """How many of its processes are alive a minute after its end; they are killed then."""
        deadline = time.monotonic() + 60
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return len(left)


def trap(folder: Path, count: int, below: Path) -> dict[str, str]:
    """The environment in which the first process to change its `count`-th file dies before it does."""
    fired = folder / "fired"
    fired.unlink(missing_ok=True)
    return {"FAULT_AT": json.dumps({"count": count, "below": str(below), "fired": str(fired)})}


def strike(victim: Victim, how: str, rng: random.Random, *words: str) -> bool:
    """Send the signal; False where the victim had ended before. A member is chosen among those named by `words`."""
    if how == "member -9":
        while victim.alive():
            if found := victim.named(*words):
                with contextlib.suppress(psutil.Error):
                    rng.choice(found).kill()
                    return True
            time.sleep(0.02)
        return False
    while victim.alive():
        with contextlib.suppress(ProcessLookupError):  # it does not lead a group yet
            if how == "Ctrl-C":
                os.killpg(victim.process.pid, signal.SIGINT)
            else:
                os.kill(victim.process.pid, {"-9": signal.SIGKILL, "SIGTERM": signal.SIGTERM}[how])
            return True
        time.sleep(0.001)
    return False


class Watch:
    """Compares a store with an undisturbed one after each fault."""

    def __init__(self, reference: Path):
        self.reference = {path.stem: _content(path) for path in reference.glob("results/*/*.npz")}
        self.seen: dict[Path, bytes] = {}

    def forget(self) -> None:
        self.seen = {}

    def look(self, cache: Path) -> dict[str, int]:
        """Count results that were lost since the last look, that are wrong, or that are not whole."""
        now = {path: path.read_bytes() for path in cache.glob("results/*/*.npz")}
        lost = sum(now.get(path) != content for path, content in self.seen.items())
        fresh = [path for path in now if path not in self.seen]
        found = {path: _content(path) for path in fresh}
        torn = len(list(cache.glob("results/*/*.damaged-*")))  # by this process or another
        wrong = sum(content is not None and content != self.reference.get(path.stem) for path, content in found.items())
        self.seen = now
        return {"lost": lost, "wrong": wrong, "torn": torn}

    def missing(self, cache: Path) -> int:
        return len(self.reference) - len(list(cache.glob("results/*/*.npz")))


def _content(path: Path) -> dict | None:
    """The values of a stored result, arrays by their bytes; None if it is not whole."""
    found = store._unpack(path)
    if found is None:
        return None
    return {
        name: (value.dtype.str, value.shape, value.tobytes()) if hasattr(value, "tobytes") else value
        for name, value in found[1].items()
    }
