"""The whole collection: from nothing, with nothing changed, with a drawing changed; against papermill with
joblib.Memory, and against the papers' own procedures."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from benchmarks import autoencoders, capacity, incidental, measure
from benchmarks.measure import Case, Result
from polysemanticity import plots
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


class Run(NamedTuple):
    """One call of a command."""

    seconds: float  # wall
    memory: int  # the most bytes that its processes held together, looked at twice a second


class Runs(NamedTuple):
    """All notebooks by this package's command, and one after the other by papermill with joblib.Memory."""

    look: Run  # a first look: one notebook in the profile smoke
    cold: Run
    unchanged: Run
    drawing: Run | None  # one notebook of which one figure's drawing has changed
    plain_cold: Run
    plain_again: Run  # papermill executes and draws what has not changed as well
    plain_drawing: Run | None
    work: list[tuple[float, float]]  # when each result of the cold run was being computed
    disk: int  # bytes of the environment and of what a run has stored

    @property
    def outside(self) -> float:
        """The share of the cold run in which no worker was running."""
        return 1 - covered(self.work) / self.cold.seconds


LOOKED_AT = "feature_capacity"  # the notebook of a first look, and whose drawing changes
SWEEP = "from polysemanticity.engine import sweep"
TINY = (  # what a quick measurement runs: a guide, which declares nothing
    SWEEP,
    "from polysemanticity import papers",
    "from polysemanticity.base import runtime",
    "from polysemanticity.papers import feature_capacity as paper",
    "from polysemanticity.papers.feature_capacity import bound",
    "run = runtime.start(paper, profile='smoke', seed=0, device='cpu', overrides={})",
    "sweep.over(bound.random_embeddings, bound.embeddings(run.cfg.bound)[:1], run)",
)


@functools.cache
def runs(quick: bool) -> Runs:
    """Every run, each once, the environment being there; quick: of a tiny notebook, and without a changed drawing."""
    with tempfile.TemporaryDirectory() as folder:
        home, plain = Path(folder) / "ours", Path(folder) / "plain"
        _fill(home, quick)
        _fill(plain, quick)
        look = None if quick else _run(home, ["--profile", "smoke", "--only", LOOKED_AT])
        shutil.rmtree(home / ".cache", ignore_errors=True)
        cold = _run(home, [])
        work, disk = worked(home / ".cache" / "results"), _size(home / ".cache")
        unchanged, drawing = _run(home, []), None
        if not quick:
            disk += _size(Path(sys.prefix))
            _forget_a_drawing(home)
            drawing = _run(home, ["--only", LOOKED_AT])
        notebooks = sorted((plain / "notebooks").glob("*.ipynb"))
        for file in notebooks:
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(SWEEP, "from benchmarks import plain_sweep as sweep"), encoding="utf-8")
        plain_cold, plain_again = (_by_papermill(plain, notebooks) for _ in range(2))
        mine = [file for file in notebooks if file.stem.endswith(LOOKED_AT)]
        plain_drawing = None if quick else _by_papermill(plain, mine)
        return Runs(look or cold, cold, unchanged, drawing, plain_cold, plain_again, plain_drawing, work, disk)


def _fill(home: Path, quick: bool) -> None:
    if not quick:
        for name in ("notebooks", "weights"):
            shutil.copytree(paths.ROOT / name, home / name)
        return
    import nbformat.v4 as v4

    cells = [v4.new_code_cell("\n".join(TINY), id="all")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (home / "notebooks").mkdir(parents=True)
    notebook = json.dumps(v4.new_notebook(cells=cells, metadata=metadata))
    (home / "notebooks" / "00_tiny.ipynb").write_text(notebook, encoding="utf-8")


def _forget_a_drawing(home: Path) -> None:
    """What a run finds after the code that draws one figure was edited: that figure's picture is not there."""
    folder = home / "figures" / LOOKED_AT
    drawings = {file: json.loads(file.read_text(encoding="utf-8"))["drawing"] for file in folder.glob("fig*.json")}
    about, drawing = min((file, drawing) for file, drawing in drawings.items() if drawing)
    kept = plots.kept_at(drawing, about.with_suffix(".csv").read_text(encoding="utf-8"), home / ".cache")
    for file in (kept.with_suffix(".png"), kept.with_suffix(".pdf"), *(home / ".cache" / "made").glob(f"{LOOKED_AT}*")):
        file.unlink()


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _run(home: Path, arguments: Sequence[str]) -> Run:
    """What run_all.sh starts."""
    return _timed(home, [sys.executable, "-m", "polysemanticity", *arguments])


def _by_papermill(home: Path, notebooks: Sequence[Path]) -> Run:
    """papermill over notebooks, each picture drawn as it comes."""
    (home / "executed").mkdir(exist_ok=True)
    text = (
        "import sys, papermill\nfor file in sys.argv[2:]:\n"
        "    papermill.execute_notebook(file, sys.argv[1] + '/' + file.split('/')[-1], progress_bar=False)"
    )
    command = [sys.executable, "-c", text, str(home / "executed"), *map(str, notebooks)]
    return _timed(home, command, POLYSEMANTICITY_FORCE="drawing")


def _timed(home: Path, command: Sequence[str], **more: str) -> Run:
    environment = os.environ | {
        "POLYSEMANTICITY_HOME": str(home),
        "POLYSEMANTICITY_CACHE": str(home / ".cache"),
        **more,
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    start, memory = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=paths.ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory = max(memory, _held(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        seconds = time.perf_counter() - start
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"the run failed: {said.read().decode(errors='replace')[-2000:]}")
    return Run(seconds, memory)


def _held(pid: int) -> int:
    """The bytes of memory of a process and of all that it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def whole_run(quick: bool) -> Result:
    """A cold run against the published procedures."""
    found, procedures = runs(quick), published(quick)
    cold, total = found.cold.seconds, sum(one.seconds for one in procedures)
    return Result(
        met=quick or found.outside < 0.05,
        measured=f"cold {cold / 60:.1f} min, {found.outside:.1%} of it outside the workers; the procedures "
        f"{total / 3600:.1f} h, {total / cold:.0f}× the cold run",
        ours=measure.spread([cold]),
        theirs=measure.spread([total]),
        note="One cold run, the environment being there. Outside the workers: the share of the wall time in which none "
        f"was running, from the times that the store keeps with every result. The {len(found.work)} results took "
        f"{sum(end - start for start, end in found.work) / 60:.0f} minutes in processes side by side. The procedures "
        "are extrapolated: "
        + "; ".join(f"{one.name} {one.seconds / 3600:.2g} h ({one.timed})" for one in procedures)
        + ". All other figures count nothing there, so the sum is a lower bound.",
    )


PLAIN = (
    "Theirs: the same notebooks one after the other by papermill, workers kept by joblib.Memory and called by "
    "joblib.Parallel on all cores; it sees no edit below a worker, and keeps no pictures."
)


def cold_run(quick: bool) -> Result:
    """Everything from nothing."""
    found = runs(quick)
    return Result(
        met=quick or found.cold.seconds <= 600,
        measured=f"{told(found.cold.seconds)}, {found.cold.memory / 1e9:.1f} GB of memory, {found.disk / 1e9:.1f} GB "
        f"of disk; a first look {told(found.look.seconds)}",
        ours=measure.spread([found.cold.seconds]),
        theirs=measure.spread([found.plain_cold.seconds]),
        ours_bytes=found.cold.memory,
        theirs_bytes=found.plain_cold.memory,
        note=f"Once each, the environment being there. {PLAIN} Disk: the environment and what was stored. A first "
        f"look: {LOOKED_AT} in the profile smoke.",
    )


def unchanged_run(quick: bool) -> Result:
    """The same call again."""
    found = runs(quick)
    return Result(
        met=quick or found.unchanged.seconds < 5,
        measured=told(found.unchanged.seconds),
        ours=measure.spread([found.unchanged.seconds]),
        theirs=measure.spread([found.plain_again.seconds]),
        note=f"Once each. {PLAIN}",
    )


def drawing_run(quick: bool) -> Result:
    """One notebook of which one figure's drawing has changed."""
    found = runs(quick)
    if found.drawing is None or found.plain_drawing is None:
        return Result(met=True, measured="not measured in the quick setting")
    return Result(
        met=found.drawing.seconds < 20,
        measured=told(found.drawing.seconds),
        ours=measure.spread([found.drawing.seconds]),
        theirs=measure.spread([found.plain_drawing.seconds]),
        note=f"Once each, {LOOKED_AT}: all else is in the store. {PLAIN}",
    )


def told(seconds: float) -> str:
    """A time as it is said: seconds up to two minutes, then minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


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


_PAPERMILL = "papermill over the notebooks, with joblib.Memory"
CASES = (
    Case(
        "run_all",
        work="every figure of the default profile (./run_all.sh)",
        against="the papers' own procedures for the same figures, extrapolated",
        aim="< 5 % of the time outside the workers",
        run=whole_run,
        named_only=True,
    ),
    Case(
        "run_all.cold",
        work="everything from nothing (./run_all.sh)",
        against=_PAPERMILL,
        aim="≤ 10 min",
        run=cold_run,
        named_only=True,
    ),
    Case(
        "run_all.unchanged",
        work="everything, nothing having changed",
        against=_PAPERMILL,
        aim="< 5 s",
        run=unchanged_run,
        named_only=True,
    ),
    Case(
        "run_all.drawing",
        work="one notebook, the drawing of one figure having changed",
        against=_PAPERMILL,
        aim="< 20 s",
        run=drawing_run,
        named_only=True,
    ),
)
