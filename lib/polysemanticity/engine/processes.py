"""Processes that a run starts: how they are found again, and how they end with it."""

import contextlib
import os
import threading
import time
from functools import cache

import psutil

TOKEN = "POLYSEMANTICITY_RUN"  # in the environment of every process that a run starts


@cache
def end_with_parent(parent: int | None = None) -> None:
    """End this process within a second of its parent's end, so that a killed run leaves no processes behind.

    `parent` is the parent's process id where the caller knows it: a parent that has ended already is noticed too.
    """
    parent = os.getppid() if parent is None else parent

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def end_all(token: str) -> None:
    """Kill every process whose token begins with `token`: a notebook's, its kernel's, the workers', orphans too.

    joblib's trackers get two seconds to remove the shared memory of their processes and to end by themselves.
    """
    for _ in range(3):  # a process may start another while the first pass looks
        found = [process for process in psutil.process_iter() if _token(process).startswith(token)]
        if not found:
            return
        trackers = [process for process in found if _is_tracker(process)]
        _kill([process for process in found if process not in trackers])
        _kill(psutil.wait_procs(trackers, timeout=2)[1])


def cpu_seconds(token: str) -> dict[int, float]:
    """Return the CPU time of each living process whose token begins with `token`, by its id, with that of its children
    that have ended."""
    used = {}
    for process in psutil.process_iter():
        if _token(process).startswith(token):
            with contextlib.suppress(psutil.Error):
                used[process.pid] = sum(process.cpu_times()[:4])
    return used


def _kill(found: list[psutil.Process]) -> None:
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=5)


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in argument for argument in process.cmdline())
    except (psutil.Error, OSError):
        return False


def _token(process: psutil.Process) -> str:
    try:
        return "" if process.pid == os.getpid() else process.environ().get(TOKEN, "")
    except (psutil.Error, OSError):
        return ""
