"""The cores of this machine, shared by all runs with one store: no more tasks compute at once than there are cores.

Several notebooks at once, each with a process for every core, would else compute several times as many tasks, which
drive each other's numbers out of the caches; and one notebook alone leaves cores idle while it draws.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from polysemanticity.base import locks, paths, runtime

POLL = 0.05  # seconds between two looks for a free core


@contextlib.contextmanager
def held(threads: int) -> Iterator[None]:
    """Hold as many cores as a task has threads inside the block; wait for them in turn, with all who want some.

    A process that is killed holds them no longer.
    """
    folder = paths.cache() / "cores"
    with locks.acquire(folder / "turn.lock"):  # one looks, the others wait here in turn
        core = _free(folder, max(1, runtime.cores() // threads))
    with core:
        yield


def _free(folder: Path, count: int) -> filelock.AcquireReturnProxy:
    while True:
        for number in range(count):
            with contextlib.suppress(filelock.Timeout):
                return locks.acquire(folder / f"{number}.lock", timeout=0)
        time.sleep(POLL)
