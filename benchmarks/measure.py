"""How the benchmarks measure: pairs of timings, peak memory, growth; and the stamp of the machine.

To add a subject, add a file `benchmarks/<subject>.py` with a tuple `CASES`; it is found by itself. A case is

    Case("name", work="what is computed", against="what a user would run instead", aim="≥ 10×", run=function)

where `function(quick: bool) -> Result` measures it (`quick`: a few seconds, to see that it works). Inside,

    timed = measure.pairs(ours, theirs, n_pairs=5)  # functions without arguments, called in turns after a warm-up
    ratio = measure.ratio(timed)                    # theirs ÷ ours of every pair: median and range
    peak = measure.peak_memory("benchmarks.subject:make", n=1000)  # in an own process; make(n=1000) returns the work
    slope = measure.growth("time", "n", sizes, seconds, expected=1.0)

and at the end `Result(met=ratio.median >= 10, ratio=ratio, ours=timed.ours, theirs=timed.theirs, …)`. What was
extrapolated, what binds a row that misses its aim, and the floors of a kernel go into `note`. Accuracy is against an
exact reference, as text per side. Threads are the same for both sides; `python -m benchmarks --threads N` sets them.
"""

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from scipy import stats

from lib import paths, runtime


class Spread(NamedTuple):
    """Median and range of repeated measurements."""

    median: float
    low: float
    high: float
    n: int


class Pairs(NamedTuple):
    """Wall and CPU seconds of two ways to do the same work, measured in turns."""

    ours: Spread
    theirs: Spread
    ours_cpu: Spread
    theirs_cpu: Spread
    ratios: tuple[float, ...]  # wall seconds of theirs ÷ ours, per pair


class Growth(NamedTuple):
    """A fitted power law: `what` against `size`, the exponent with its standard error, beside the expected one."""

    what: str
    size: str
    sizes: tuple[float, ...]
    values: tuple[float, ...]
    exponent: float
    stderr: float
    expected: float


@dataclass(frozen=True)
class Result:
    """What a case measured; None or an empty text is left out of the table. Seconds, bytes."""

    met: bool  # whether the aim is met
    measured: str = ""  # the number that the aim is about, where it is not the ratio
    ratio: Spread | None = None  # theirs ÷ ours in wall time
    ours: Spread | None = None
    theirs: Spread | None = None
    ours_bytes: int | None = None
    theirs_bytes: int | None = None
    accuracy: str = ""  # of which quantity against which reference
    ours_accuracy: str = ""
    theirs_accuracy: str = ""
    growth: tuple[Growth, ...] = ()
    note: str = ""


class Case(NamedTuple):
    """A benchmark: what is done, what it is compared with, the aim, and the function that measures it."""

    name: str
    work: str
    against: str
    aim: str
    run: Callable[[bool], Result]


@dataclass
class _Clock:
    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)

    def time(self, work: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def pairs(
    ours: Callable[[], object], theirs: Callable[[], object], n_pairs: int = 5, warm_up: bool = True, scale: float = 1.0
) -> Pairs:
    """Time two functions in turns, each once before that to warm up (`warm_up=False` where the caller has done so).

    `scale`: by how much the work of `theirs` was cut down, so that its seconds are multiplied by it (say so in the
    note). Taking turns makes both sides see the same load of the machine. Raises ValueError for n_pairs < 1.
    """
    runtime.check(n_pairs >= 1, "n_pairs", n_pairs, "at least 1")
    if warm_up:
        ours(), theirs()
    first, second = _Clock(), _Clock()
    for _ in range(n_pairs):
        first.time(ours)
        second.time(theirs)
    other, other_cpu = (scale * np.array(seconds) for seconds in (second.wall, second.cpu))
    ratios = tuple(float(r) for r in other / np.array(first.wall))
    return Pairs(spread(first.wall), spread(other), spread(first.cpu), spread(other_cpu), ratios)


def timings(work: Callable[[], object], n: int = 5) -> Spread:
    """Wall seconds of one function after a warm-up, where there is nothing to pair it with."""
    clock = _Clock()
    work()
    for _ in range(n):
        clock.time(work)
    return spread(clock.wall)


def spread(values: Sequence[float]) -> Spread:
    """Median, smallest and largest of the values."""
    return Spread(float(np.median(values)), float(np.min(values)), float(np.max(values)), len(values))


def ratio(timed: Pairs) -> Spread:
    """Theirs ÷ ours of every pair: median and range."""
    return spread(timed.ratios)


def growth(what: str, size: str, sizes: Sequence[float], values: Sequence[float], expected: float) -> Growth:
    """The exponent of a power law through (sizes, values), by least squares of the logarithms, with its standard error.

    Raises ValueError for fewer than three sizes or values that are not positive.
    """
    runtime.check(len(sizes) >= 3 and len(sizes) == len(values), "sizes", sizes, "at least three, a value for each")
    runtime.check(min(values) > 0, "values", values, "above 0")
    fit = stats.linregress(np.log(sizes), np.log(values))
    sizes, values = (tuple(map(float, column)) for column in (sizes, values))
    return Growth(what, size, sizes, values, float(fit.slope), float(fit.stderr), expected)


# ------------------------------------------------------------ memory


def peak_memory(make: str, **arguments) -> int:
    """Bytes that a piece of work needs beyond its inputs, measured in a process of its own.

    make: `module:function`; function(**arguments) prepares the inputs and returns the work, a function without
    arguments. The peak is that of the resident memory (VmHWM) during the work, less what was resident before it.
    Raises RuntimeError with the child's message if it fails.
    """
    call = [sys.executable, "-m", "benchmarks.measure", make, json.dumps(arguments)]
    found = subprocess.run(call, capture_output=True, text=True, check=False, cwd=paths.ROOT)
    if found.returncode:
        raise RuntimeError(f"peak_memory({make!r}): {found.stderr.strip()[-2000:]}")
    return int(found.stdout.split()[-1])


def _peak_of(make: str, arguments: str) -> int:
    module, _, name = make.partition(":")
    work = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    status = Path("/proc/self/status")
    if not status.exists():  # not Linux: the largest size of the whole life, an upper bound
        before = psutil.Process().memory_info().rss
        work()
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) - before
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _kibibytes(status, "VmRSS")
    work()
    return max(_kibibytes(status, "VmHWM") - before, 0) * 1024


def _kibibytes(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


# ------------------------------------------------------------ the machine


def stamp(threads: int) -> dict:
    """What the numbers were measured on: processor, cores, memory, accelerator, threads, versions; no host names."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": gpu,
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": runtime.versions(),
    }


def machine(stamp: dict) -> str:
    """The stamp's short name, for a file: processor, cores, memory, accelerator."""
    text = f"{stamp['cpu']} {stamp['cores']} cores {stamp['memory_gib']} GiB {stamp['gpu'] or ''}"
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    print(_peak_of(*sys.argv[1:]))
