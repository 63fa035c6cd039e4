"""The whole collection: cold and warm time of a default run, against the papers' own procedures."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import autoencoders, capacity, incidental, measure
from benchmarks.measure import Case, Result
from polysemanticity.base import paths
from polysemanticity.capacity import phases as phases_of
from polysemanticity.engine import store
from polysemanticity.papers import feature_capacity
from polysemanticity.papers.coding_theory_spectra import sparse_codes


class Procedure(NamedTuple):
    """A published procedure: seconds that this machine would take for all of it, from a part that was timed."""

    name: str
    seconds: float
    timed: str  # what was timed and multiplied by what


def whole_run(quick: bool) -> Result:
    """A cold and a warm run of every notebook in an empty home; quick: the runner only lists what there is."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(paths.ROOT / "notebooks", home / "notebooks")
        cold, work = _run(home, ["--list"] if quick else []), worked(home / ".cache" / "results")
        warm = cold if quick else _run(home, [])
    outside = 1 - covered(work) / cold
    procedures = published(quick)
    total = sum(one.seconds for one in procedures)
    return Result(
        met=quick or outside < 0.05,
        measured=f"cold {cold / 60:.1f} min, warm {warm:.0f} s, {outside:.1%} of the cold run outside the workers; the "
        f"procedures {total / 3600:.1f} h, {total / cold:.0f}× the cold run",
        ours=measure.spread([cold]),
        theirs=measure.spread([total]),
        note="One cold and one warm run, the environment being there. Outside the workers: the share of the wall time "
        "in which none was running, from the times that the store keeps with every result. "
        f"The {len(work)} results took {sum(end - start for start, end in work) / 60:.0f} minutes in processes side by "
        "side. The procedures are extrapolated: "
        + "; ".join(f"{one.name} {one.seconds / 3600:.2g} h ({one.timed})" for one in procedures)
        + ". All other figures count nothing there, so the sum is a lower bound.",
    )


def _run(home: Path, arguments: Sequence[str]) -> float:
    """Wall seconds of what run_all.sh starts."""
    environment = os.environ | {"POLYSEMANTICITY_HOME": str(home), "POLYSEMANTICITY_CACHE": str(home / ".cache")}
    start = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-m", "polysemanticity", *arguments],
        cwd=paths.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if found.returncode:
        raise RuntimeError(f"the run failed: {(found.stdout + found.stderr)[-2000:]}")
    return time.perf_counter() - start


def worked(results: Path) -> list[tuple[float, float]]:
    """When each stored result was being computed: it is written as soon as it is there."""
    ends = ((path.stat().st_mtime, store.identity(path)) for path in results.glob("*/*.npz"))
    return [(end - identity["seconds"], end) for end, identity in ends if identity]


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total


# ------------------------------------------------------------ the published procedures


def published(quick: bool) -> list[Procedure]:
    """The procedures for those figures of the default profile that have one, at its sizes."""
    return [count_law(quick), phases(quick), sparsity(quick)]


def count_law(quick: bool) -> Procedure:
    """The paper's AdamW for the count of polysemantic neurons at all sizes."""
    n, sizes, seeds = (16, (16, 32, 64), 2) if quick else (256, (256, 1024, 4096), 16)
    each = [incidental.PUBLISHED_STEPS * _seconds(incidental.published_step(n, m, seeds)) for m in sizes]
    total = incidental.over_the_sweep(sizes, each)
    return Procedure("count law", total, f"a step × {incidental.PUBLISHED_STEPS:,}, interpolated over 16 sizes")


def phases(quick: bool) -> Procedure:
    """The phase diagram point by point."""
    cfg, steps = feature_capacity.Config().phase_diagram, 5 if quick else 100
    v = phases_of.special_importance([1.0], 20)[0]
    one = _seconds(lambda: capacity.train_one(v, 10.0, 10, steps, 1024)) / steps
    count = cfg.n_grid**2 * cfg.n_seeds
    return Procedure("phase diagram", one * 8000 * count, f"{steps} steps of a model × 8,000 ÷ {steps} × {count:,}")


def sparsity(quick: bool) -> Procedure:
    """Toy models over sparsity, an ensemble for each seed."""
    cfg, steps = sparse_codes.Settings(), 2
    density = torch.tensor(sparse_codes.DENSITIES).float()
    start = torch.randn(len(density), cfg.n_features, cfg.n_units)
    one = _seconds(lambda: autoencoders.einsum_ensemble(density, start, steps, cfg.batch_size)) / steps
    total = one * cfg.n_steps * cfg.n_seeds
    return Procedure("toy models", total, f"a step × {cfg.n_steps:,} × {cfg.n_seeds} seeds")


def _seconds(work: Callable[[], object]) -> float:
    return measure.timings(work, 3).median


CASES = (
    Case(
        "run_all",
        work="every figure of the default profile (./run_all.sh)",
        against="the papers' own procedures for the same figures, extrapolated",
        aim="< 5 % of the time outside the workers",
        run=whole_run,
        named_only=True,
    ),
)
