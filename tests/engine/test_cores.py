"""Tasks of all runs with one store share the cores."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from polysemanticity.base import runtime
from polysemanticity.engine import cores

HOLD = "from polysemanticity.engine import cores; import time\nwith cores.held(1): print('held', flush=True); time.sleep(600)"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 2)


@pytest.mark.parametrize(("threads", "most"), [(1, 2), (2, 1), (5, 1)])
def test_no_more_tasks_compute_at_once_than_there_are_cores(threads, most):
    active, seen, own = [], [], threading.Lock()

    def task():
        for _ in range(2):
            with cores.held(threads):
                with own:
                    active.append(1)
                    seen.append(len(active))
                time.sleep(0.05)
                with own:
                    active.pop()

    several = [threading.Thread(target=task) for _ in range(5)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert len(seen) == 10 and max(seen) == most


def test_who_goes_on_at_once_does_not_pass_over_who_waits():
    order, begun = [], threading.Event()

    def tasks(name):
        for _ in range(4):
            with cores.held(2):
                order.append(name)
                begun.set()
                time.sleep(0.1)

    several = [threading.Thread(target=tasks, args=(name,)) for name in "ab"]
    several[0].start()
    begun.wait()
    several[1].start()
    for one in several:
        one.join()
    assert "b" in order[1:4]


def test_a_killed_process_holds_nothing():
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with cores.held(2):  # two threads need both
        pass
