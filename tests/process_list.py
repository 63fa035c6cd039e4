"""Which processes of a run are alive."""

import contextlib

import psutil

from polysemanticity.engine import processes


def started_over(home) -> list[int]:
    """The process ids of all that a run over the collection in `home` started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = process.environ()
            if processes.TOKEN in environment and environment.get("POLYSEMANTICITY_HOME") == str(home):
                found.append(process.pid)
    return found
