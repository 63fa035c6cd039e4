"""Processes end with the run that started them."""

import subprocess
import sys
import time

import psutil

from polysemanticity.base import paths
from polysemanticity.engine import processes


def ended_within(pid, seconds):
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not psutil.pid_exists(pid)


def test_process_ends_with_its_parent():
    child = "from polysemanticity.engine import processes; import time; processes.end_with_parent(); print('up', flush=True); time.sleep(600)"
    parent = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE);"
        "p.stdout.readline(); print(p.pid, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent, child], cwd=paths.ROOT, capture_output=True, text=True)
    assert ended_within(int(done.stdout), 60)


def test_all_of_one_token_end_and_no_others(monkeypatch):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setenv(processes.TOKEN, "this-run/a")
    mine = [subprocess.Popen(sleeper, start_new_session=True) for _ in range(2)]
    monkeypatch.setenv(processes.TOKEN, "other-run/a")
    other = subprocess.Popen(sleeper)
    processes.end_all("this-run")
    assert all(ended_within(process.pid, 60) for process in mine)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_work_is_told_from_rest_and_children_that_ended_count(monkeypatch):
    monkeypatch.setenv(processes.TOKEN, "working/a")
    busy = "import time; end = time.process_time() + 2\nwhile time.process_time() < end: pass"
    rest = "\nprint('done', flush=True); time.sleep(600)"
    parent = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', sys.argv[1]])" + rest
    started = [
        subprocess.Popen([sys.executable, "-c", *code], stdout=subprocess.PIPE)
        for code in ([busy + rest], [parent, busy], ["import time" + rest])
    ]
    for process in started:
        process.stdout.readline()
    used = processes.cpu_seconds("working")
    busiest, parents, rests = (used[process.pid] for process in started)  # each has Python's start besides
    assert min(busiest, parents) > rests + 1
    processes.end_all("working")
    assert processes.cpu_seconds("working") == {}
