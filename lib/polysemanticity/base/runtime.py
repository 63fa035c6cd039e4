"""What a run is and what it runs on: its settings, device, threads and visible progress.

PyTorch is imported where it is asked: a run that has nothing to do does not wait for it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

from polysemanticity.base import config, paths
from polysemanticity.base.checks import check

if typing.TYPE_CHECKING:
    import torch

CLUSTER = "POLYSEMANTICITY_DASK"  # in the environment: the Dask scheduler whose workers compute, if there is one
PACKAGES = ("numpy", "scipy", "torch", "torchvision", "transformers", "scikit-learn", "scikit-image")


@dataclass(frozen=True)
class Run:
    """One execution of one notebook: what every result, figure and claim is stamped with."""

    slug: str
    profile: str
    cfg: object
    seed: int
    device: str
    overrides: Mapping = field(default_factory=dict)
    figures: Mapping = field(default_factory=dict)  # name -> alt text of every figure that the notebook writes
    claims: dict = field(default_factory=dict)  # id -> the claim, with its rule, of every row that the notebook judges
    rows: dict = field(default_factory=dict)  # id -> the row of every claim that was judged so far
    inputs: dict = field(default_factory=dict)  # (module, worker) -> the fingerprints of the data and weights it read
    auto: bool = False  # whether nobody asked for the device: then what gains nothing by it is computed on the CPU

    @property
    def label(self) -> str:
        """The profile and what differs from it, e.g. `default, n_seeds=2`."""
        return ", ".join([self.profile, *(f"{name}={value}" for name, value in self.overrides.items())])

    @property
    def judges(self) -> bool:
        """Whether claims are judged: a smoke run is too small to judge anything."""
        return self.profile != "smoke"


def start(paper: ModuleType, *, profile: str, seed: int, device: str, overrides: Mapping) -> Run:
    """Return the Run of the paper module `papers.<slug>` with its settings resolved and its device present.

    Raises ValueError for an unknown profile, field or device, a value that is not allowed, or CUDA asked for and
    absent; where a cluster computes, its workers need CUDA, not this process. Raises RuntimeError in a folder of
    another checkout than the one that this package was loaded from.
    """
    check(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0, "seed", seed, "an integer of at least 0")
    paths.check_checkout()
    cfg = config.resolve(paper.Config(), profile, overrides)
    elsewhere = device == "cuda" and os.environ.get(CLUSTER)
    chosen = device if elsewhere else _device(device)
    return Run(
        paper.SLUG, profile, cfg, seed, str(chosen), dict(overrides), dict(paper.FIGURES), dict(paper.CLAIMS),
        auto=device == "auto",
    )  # fmt: skip


def device(name: str = "auto") -> torch.device:
    """Return the device for `auto` (CUDA when it is there), `cpu`, `cuda` or `cuda:N`; ValueError if it is unknown or
    absent."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = str(name).partition(":")
    check(
        kind in ("cpu", "cuda") and (not index or (kind == "cuda" and index.isdigit())),
        "device",
        name,
        "auto, cpu, cuda or cuda:N",
    )
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        there = (
            f"cpu or auto here: {count} CUDA devices were found" if count == 0 else f"cuda:0 to cuda:{count - 1} here"
        )
        check(int(index or 0) < count, "device", name, there)
    return torch.device(name)


_device = device  # `start` has an argument of the same name


def cores() -> int:
    """The number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Run numpy and torch with `count` threads inside the block: results are bit-identical only at the same number."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextlib.contextmanager
def exact(device: str) -> Iterator[None]:
    """Let CUDA compute in float32 what is float32, by algorithms that give the same bits each time where it has them.

    TF32, by default on in convolutions, keeps 10 bits of a factor: a relative error of 5e-4 that a spectrum shows as a
    floor. What has no repeatable algorithm runs and warns. Nothing changes on a CPU.
    """
    import torch

    if torch.device(device).type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its sums only so
    switches = [
        (torch.backends.cudnn, "allow_tf32", False),
        (torch.backends.cuda.matmul, "allow_tf32", False),
        (torch.backends.cudnn, "benchmark", False),
        (torch.utils.deterministic, "fill_uninitialized_memory", False),
    ]
    before = [getattr(owner, name) for owner, name, _ in switches]
    asked, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=warns)
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


@cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """The versions of Python and of packages, where they are installed: by default those behind numbers."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def progress(items: Iterable, label: str, total: int | None = None) -> Iterator:
    """Yield the items and show how far it is: a bar in an interactive notebook, a line every few seconds otherwise.

    Under a run the lines go to the file named by `POLYSEMANTICITY_PROGRESS`, which the runner shows as they come; they
    never stand in an executed notebook, so that it is the same whenever it is made.
    """
    total = len(items) if total is None and hasattr(items, "__len__") else total
    sink = os.environ.get("POLYSEMANTICITY_PROGRESS")
    if sink is None and _interactive():
        from tqdm.auto import tqdm

        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    started, last = time.monotonic(), float("-inf")
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if sink is not None and (now - last > 2 or done == total):
            last = now
            report(f"{label} {done}/{total if total is not None else '?'} ({now - started:.0f} s)")


def report(line: str) -> None:
    """Append one line to the runner's progress file; nothing happens where no runner listens."""
    sink = os.environ.get("POLYSEMANTICITY_PROGRESS")
    if sink:
        with contextlib.suppress(OSError), Path(sink).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _interactive() -> bool:
    return "ipykernel" in sys.modules and os.environ.get("POLYSEMANTICITY_OUT") is None and "pytest" not in sys.modules
