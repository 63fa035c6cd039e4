"""How the benchmarks measure: pairs of timings, peak memory, growth; and the stamp of the machine.

To add a subject, add a file `benchmarks/<subject>.py` with a tuple `CASES`; it is found by itself. A case is

    Case("name", work="what is computed", against="what a user would run instead", aim="≥ 10×", run=function)

where `function(quick: bool) -> Result` measures it (`quick`: a few seconds, to see that it works). Inside,

    timed = measure.pairs(ours, theirs, n_pairs=5)  # functions without arguments, called in turns after a warm-up
    ratio = measure.ratio(timed)                    # theirs ÷ ours of every pair: median and range
    peak = measure.peak_memory("benchmarks.subject:make", n=1000)  # in an own process; make(n=1000) returns the work
    slope = measure.growth("time", "n", sizes, seconds, expected=1.0)
    floor = measure.kernel("one step", seconds, operations=2 * n**3, n_bytes=24 * n**2, kind="float64")
    shares = measure.profile(ours)  # what the time goes to, for a row that misses its aim

and at the end `Result(met=ratio.median >= 10, ratio=ratio, ours=timed.ours, theirs=timed.theirs, …)`. What was
extrapolated and what binds a row that misses its aim go into `note`. Accuracy is against an exact reference, as text
per side. Threads are the same for both sides; `python -m benchmarks --threads N` sets them. A case that takes longer
than the whole command may is `named_only`: it runs when `--only` names it, and its last result stays in the table.
"""

import functools
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

from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check


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


class Kernel(NamedTuple):
    """The two floors under the time of a piece of work, and how far above the higher one it is."""

    name: str
    seconds: float
    operations: float
    n_bytes: float  # least traffic: what must be read and written once
    kind: str  # of numbers
    operations_floor: float  # seconds at the machine's rate in matrix products of that kind
    bytes_floor: float  # seconds at the machine's memory bandwidth
    gap: float  # seconds ÷ the higher floor


class Floor(NamedTuple):
    """A worker's longest result beside the least that its products and the starts of its operations take."""

    name: str
    share: float  # of the time of all workers of a run
    n_results: int  # of the worker in that run
    seconds: float  # of the longest result, alone in one thread
    operations: float  # in products and decompositions
    starts: int  # operations that torch is asked for
    products_floor: float  # seconds
    starts_floor: float  # seconds, to be added
    in_products: float  # share of the seconds
    in_others: float  # share of the seconds in the other operations of torch


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
    kernels: tuple[Kernel, ...] = ()
    floors: tuple[Floor, ...] = ()
    profile: tuple[tuple[str, float], ...] = ()  # of ours: what takes the time, as shares of it
    note: str = ""


class Case(NamedTuple):
    """A benchmark: what is done, what it is compared with, the aim, and the function that measures it."""

    name: str
    work: str
    against: str
    aim: str
    run: Callable[[bool], Result]
    named_only: bool = False  # left out unless --only names it


@dataclass
class _Clock:
    device: str = "cpu"
    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)

    def time(self, work: Callable[[], object]) -> None:
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self._wait()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)

    def _wait(self) -> None:
        """For what was started on the device; on a CPU everything has ended when it returns."""
        if self.device != "cpu":
            torch.cuda.synchronize()


def pairs(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    n_pairs: int = 5,
    warm_up: bool = True,
    scale: float = 1.0,
    device: str = "cpu",
) -> Pairs:
    """Time two functions in turns, each once before that to warm up (`warm_up=False` where the caller has done so).

    `scale`: by how much the work of `theirs` was cut down, so that its seconds are multiplied by it (say so in the
    note). `device`: what they run on; the clock waits for it. Taking turns makes both sides see the same load of the
    machine. Raises ValueError for n_pairs < 1.
    """
    check(n_pairs >= 1, "n_pairs", n_pairs, "at least 1")
    if warm_up:
        ours(), theirs()
    first, second = _Clock(device), _Clock(device)
    for _ in range(n_pairs):
        first.time(ours)
        second.time(theirs)
    other, other_cpu = (scale * np.array(seconds) for seconds in (second.wall, second.cpu))
    ratios = tuple(float(r) for r in other / np.array(first.wall))
    return Pairs(spread(first.wall), spread(other), spread(first.cpu), spread(other_cpu), ratios)


def timings(work: Callable[[], object], n: int = 5, device: str = "cpu") -> Spread:
    """Wall seconds of one function after a warm-up, where there is nothing to pair it with."""
    clock = _Clock(device)
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
    check(len(sizes) >= 3 and len(sizes) == len(values), "sizes", sizes, "at least three, a value for each")
    check(min(values) > 0, "values", values, "above 0")
    fit = stats.linregress(np.log(sizes), np.log(values))
    sizes, values = (tuple(map(float, column)) for column in (sizes, values))
    return Growth(what, size, sizes, values, float(fit.slope), float(fit.stderr), expected)


# ------------------------------------------------------------ floors and profiles


def kernel(name: str, seconds: float, operations: float, n_bytes: float, kind: str = "float32") -> Kernel:
    """The floors of a piece of work that took `seconds`: its operations and its bytes at what the machine reaches.

    kind: `float64`, `float32` or `bfloat16`, the numbers that are multiplied; or a torch device with a kind, as
    `cuda bfloat16`.
    """
    device, _, dtype = kind.rpartition(" ")
    floors = operations / matrix_rate(dtype, device or "cpu"), n_bytes / bandwidth(device or "cpu")
    return Kernel(name, seconds, operations, n_bytes, kind, *floors, seconds / max(floors))


@functools.cache
def matrix_rate(dtype: str, device: str = "cpu") -> float:
    """Operations per second of this machine in a product of two square matrices: the best of some."""
    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * size**3 / timings(lambda: a @ b, 5, device).low


@functools.cache
def bandwidth(device: str = "cpu") -> float:
    """Bytes per second between this machine's processor and its memory, read and written, in a copy: the best of some.

    The copied array is many times larger than the caches.
    """
    source = torch.ones(2**29 if device == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * source.numel() / timings(lambda: target.copy_(source), 5, device).low


def profile(
    work: Callable[[], object], device: str = "cpu", rest: str = "the rest", top: int = 6
) -> tuple[tuple[str, float], ...]:
    """The torch operations that take the largest shares of the time of `work`, after a warm-up; `rest` is all else."""
    clock, self_time = _Clock(device), "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
    activities = [torch.profiler.ProfilerActivity.CPU if device == "cpu" else torch.profiler.ProfilerActivity.CUDA]
    work()
    with torch.profiler.profile(activities=activities) as profiler:
        clock.time(work)
    seconds = clock.wall[0]
    times = {entry.key.removeprefix("aten::"): getattr(entry, self_time) / 1e6 for entry in profiler.key_averages()}
    largest = sorted(times.items(), key=lambda item: -item[1])[:top]
    left = max(seconds - sum(value for _, value in largest), 0.0)
    return tuple((name, float(value / seconds)) for name, value in [*largest, (rest, left)])


# ------------------------------------------------------------ memory


def peak_memory(make: str, **arguments) -> int:
    """Bytes that a piece of work needs beyond its inputs, measured in a process of its own.

    make: `module:function`; function(**arguments) prepares the inputs and returns the work, a function without
    arguments. The peak is that of the resident memory (VmHWM) during the work, less what was resident before it.
    Raises RuntimeError with the child's message if it fails.
    """
    return peak_memories(make, [arguments])[0]


def peak_of_full_size(quick: bool, make: str, **arguments) -> int | None:
    """`peak_memory`, or None in the quick setting, which only does the work: a process takes seconds to start."""
    if not quick:
        return peak_memory(make, **arguments)
    module, _, name = make.partition(":")
    getattr(importlib.import_module(module), name)(**arguments)()
    return None


def peak_memories(make: str, each: Sequence[dict]) -> list[int]:
    """`peak_memory` for several sets of arguments, every one in a process of its own forked from one that is ready."""
    call = [sys.executable, "-m", "benchmarks.measure", make, json.dumps(list(each))]
    found = subprocess.run(call, capture_output=True, text=True, check=False, cwd=paths.ROOT)
    peaks = found.stdout.split()[-len(each) :]
    if found.returncode or len(peaks) < len(each):
        raise RuntimeError(f"peak_memory({make!r}): {found.stderr.strip()[-2000:]}")
    return [int(peak) for peak in peaks]


def _print_peaks(make: str, each: str) -> int:
    """One line for each; the exit status of the first child that failed."""
    module, _, name = make.partition(":")
    function = getattr(importlib.import_module(module), name)
    for arguments in json.loads(each):
        child = os.fork() if hasattr(os, "fork") else 0
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status:
                return abs(status)
            continue
        print(_peak_of(function, arguments), flush=True)
        if hasattr(os, "fork"):
            os._exit(0)
    return 0


def _peak_of(function: Callable, arguments: dict) -> int:
    work = function(**arguments)
    status = Path("/proc/self/status")
    if not status.exists():  # not Linux: the largest size of the whole life, an upper bound
        before = psutil.Process().memory_info().rss
        work()
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) - before
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the peak so far
    before = _kibibytes(status, "VmRSS")
    work()
    return max(_kibibytes(status, "VmHWM") - before, 0) * 1024


def _kibibytes(status: Path, name: str) -> int:
    return next(
        int(line.split()[1]) for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(name)
    )


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
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(_print_peaks(*sys.argv[1:]))
