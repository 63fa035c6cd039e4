"""What a unit of work costs, how each kind of experiment grows, and what larger ones would take.

`python -m benchmarks.scaling [--only KIND ...] [--quick] [--out FOLDER]` measures in one thread, saves each kind to
benchmarks/results/scaling/ and writes the tables of docs/scaling.md. A kind of experiment has a number of *units* for
each size, such as n² m for a step of descent: its cost is proportional to them if the fitted exponent is 1. Seconds are
CPU seconds, the least of a few repeats, so that other work on the machine counts little.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import measure
from polysemanticity import incidental
from polysemanticity.base import paths, runtime, streams
from polysemanticity.engine import store
from polysemanticity.networks import language_models, train
from polysemanticity.pages import readme
from polysemanticity.papers.coding_theory_spectra import shards
from polysemanticity.papers.feature_capacity import phase_diagram
from polysemanticity.spectra import covariance

CASES = ()  # nothing here is a comparison
L1 = 0.03
XL = {"n_layer": 48, "width": 1600, "vocabulary": 50257}  # GPT-2 XL
WORKERS = (1, 16, 256)
HOUR = 3600


class Kind(NamedTuple):
    """A kind of experiment: its unit of work, what makes a size ready to run, and the sizes measured."""

    what: str
    unit: str
    units: Callable[..., float]
    prepare: Callable[..., Callable[[], object]]
    sizes: Sequence[Mapping]
    quick: Sequence[Mapping]
    memory: str = ""  # of what the memory is a multiple
    memory_units: Callable[..., float] | None = None


# ------------------------------------------------------------ the kinds


def descent(n: int, m: int, steps: int = 4):
    return lambda: incidental.train(n, m, L1, [0], method="adamw", n_steps=steps)


def flow(n: int, m: int):
    return lambda: incidental.train(n, m, L1, [0])


def phase_cells(grid: int, n_seeds: int, steps: int = 200):
    ratios, kurtoses = phase_diagram.phase_grid(grid)
    fixed = {"n_features": 20, "n_dims": 5, "n_seeds": n_seeds, "n_steps": steps}
    return lambda: phase_diagram.train_special(seed=0, device="cpu", ratios=ratios, kurtoses=kurtoses, **fixed)


def covariances(tokens: int, width: int):
    samples = torch.randn(tokens, width)
    return lambda: covariance.CovarianceSums.of(samples)


def eigenvalues(width: int):
    samples = torch.randn(2 * width, width, dtype=torch.float64)
    matrix = samples.T @ samples / len(samples)
    return lambda: covariance.spectrum_of(matrix, len(samples), width)


def forward(n_layer: int, width: int, tokens: int, context: int = 64):
    shape = {"vocab_size": 300, "n_layer": n_layer, "n_embd": width, "n_head": width // 32, "n_positions": context}
    model = train.build(language_models.build, seed=0, device="cpu", **shape)
    folder = tempfile.TemporaryDirectory()
    checkpoint = language_models.open_checkpoint(
        language_models.save(model, language_models.train_tokenizer("a text", 256), folder.name)
    )
    contexts = torch.randint(256, (tokens // context, context), generator=streams.generator(0, "data"))

    def work(kept=folder):
        for _ in language_models.layers(checkpoint, contexts):
            pass

    return work


def shard(n_layer: int, width: int, tokens: int):
    """All that a task of `shards.sums_of_part` does to its tokens, and the file that it sends back."""
    shape = {"vocab_size": 300, "n_layer": n_layer, "n_embd": width, "n_head": width // 32, "n_positions": 64}
    model = train.build(language_models.build, seed=0, device="cpu", **shape)
    folder = tempfile.TemporaryDirectory()
    text = "words of a text\n\n" * (tokens // 8)
    (Path(folder.name) / "text.txt").write_text(text, encoding="utf-8")
    language_models.save(model, language_models.train_tokenizer(text, 256), folder.name)
    call = {"checkpoint": folder.name, "text": str(Path(folder.name) / "text.txt"), "place": [0, 1], "context": 64}
    call |= {"content": shards.data.fingerprint(text), "precision": "float32", "seed": 0, "device": "cpu"}
    return lambda kept=folder: store.pack(shards.sums_of_part(**call), {})


def block_parameters(n_layer: int, width: int, **_) -> float:
    """Weights of a GPT-2's blocks: 12 width² each."""
    return 12 * n_layer * width**2


def _sizes(**columns) -> tuple[dict, ...]:
    return tuple(dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


KINDS = {
    "descent": Kind(
        "a step of AdamW on the incidental loss", "n² m", lambda n, m, steps=4: n * n * m * steps, descent,
        _sizes(n=(128, 192, 256, 384, 768), m=(512, 768, 1024, 1536, 3072)), _sizes(n=(8, 16, 32), m=(16, 32, 64)),
        "weights n m", lambda n, m: n * m,
    ),
    "flow": Kind(
        "the incidental flow until nothing can change, m = 2n", "n² m", lambda n, m: n * n * m, flow,
        _sizes(n=(64, 96, 128, 192, 256), m=(128, 192, 256, 384, 512)), _sizes(n=(8, 12, 16), m=(16, 24, 32)),
        "weights n m", lambda n, m: n * m,
    ),
    "phase diagram": Kind(
        "training the cells of the phase diagram", "cells × seeds × steps",
        lambda grid, n_seeds, steps=200: grid * grid * n_seeds * steps, phase_cells,
        _sizes(grid=(6, 8, 12, 16, 24), n_seeds=(2, 4, 4, 8, 8)), _sizes(grid=(2, 3, 4), n_seeds=(1, 1, 2)),
        "cells × seeds", lambda grid, n_seeds: grid * grid * n_seeds,
    ),
    "covariance": Kind(
        "adding tokens to a covariance, float64", "tokens × d²", lambda tokens, width: tokens * width**2, covariances,
        _sizes(tokens=(4096, 8192, 8192, 8192, 8192), width=(256, 384, 512, 768, 1024)),
        _sizes(tokens=(64, 128, 128), width=(16, 24, 32)), "d²", lambda tokens, width: width**2,
    ),
    "eigenvalues": Kind(
        "eigenvalues of a covariance, float64", "d³", lambda width: width**3, eigenvalues,
        _sizes(width=(256, 384, 512, 768, 1024)), _sizes(width=(16, 24, 32)), "d²", lambda width: width**2,
    ),
    "forward": Kind(
        "GPT-2 forward, every depth read, float32", "tokens × parameters",
        lambda tokens, **shape: tokens * block_parameters(**shape), forward,
        _sizes(n_layer=(2, 2, 4, 4, 6), width=(128, 256, 256, 384, 512), tokens=(2048, 2048, 2048, 2048, 2048)),
        _sizes(n_layer=(1, 2, 2), width=(32, 32, 64), tokens=(128, 128, 128)),
    ),
    "shard": Kind(
        "a shard of the residual stream's covariance", "tokens × (parameters + depths × d²)",
        lambda tokens, n_layer, width: tokens * (block_parameters(n_layer, width) + (n_layer + 1) * width**2), shard,
        _sizes(n_layer=(2, 2, 4, 4), width=(128, 256, 384, 512), tokens=(4096, 4096, 4096, 4096)),
        _sizes(n_layer=(1, 2, 2), width=(32, 32, 64), tokens=(2048, 2048, 2048)),
        "depths × d²", lambda tokens, n_layer, width: (n_layer + 1) * width**2,
    ),
}  # fmt: skip


# ------------------------------------------------------------ measuring


def measured(name: str, quick: bool) -> dict:
    """Seconds of every size, the fitted exponent, the cost of a unit at the largest size, and memory there."""
    kind = KINDS[name]
    sizes = kind.quick if quick else kind.sizes
    units = [kind.units(**size) for size in sizes]
    seconds = [cpu_seconds(kind.prepare(**size), 1 if quick else 2) for size in sizes]
    grown = measure.growth("CPU time", kind.unit, units, seconds, 1.0)
    found = {"unit": kind.unit, "what": kind.what, "sizes": list(map(dict, sizes)), "growth": grown._asdict()}
    found["cost"] = seconds[-1] / units[-1]
    if kind.memory and not quick:
        peak = measure.peak_memory("benchmarks.scaling:memory_of", name=name)
        found |= {"memory": kind.memory, "bytes": peak / kind.memory_units(**sizes[-1])}
    return found


def memory_of(name: str) -> Callable[[], object]:
    """The work whose memory `measure.peak_memory` measures: a kind at its largest size, in one thread."""
    torch.set_num_threads(1)
    return KINDS[name].prepare(**KINDS[name].sizes[-1])


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """The least CPU time of some repeats after a warm-up."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return max(min(taken), 1e-6)


# ------------------------------------------------------------ planning


class Plan(NamedTuple):
    """A larger experiment: the units of each kind it needs, how many tasks share them, and memory of a worker."""

    what: str
    units: Mapping[str, float]
    tasks: float
    bytes: float
    note: str


def plans(found: Mapping[str, Mapping]) -> list[Plan]:
    """The larger experiments that the page is about."""
    d, depths, tokens = XL["width"], XL["n_layer"] + 1, 1e9
    parameters = block_parameters(XL["n_layer"], d)
    embeddings = (XL["vocabulary"] + 1024) * d
    n, m, steps, seeds = 1e4, 1e6, incidental_steps(), 16
    per = {name: kind.get("bytes", math.nan) for name, kind in found.items()}
    return [
        Plan(
            "residual spectra of GPT-2 XL on 10⁹ tokens",
            {"shard": tokens * (parameters + depths * d**2), "eigenvalues": depths * d**3},
            256,
            4 * embeddings + per["shard"] * depths * d**2,
            f"{parameters / 1e9:.2f} billion weights in blocks; 256 shards; a shard's file has "
            f"{8 * depths * d**2 / 1e9:.1f} GB, the store {256 * 8 * depths * d**2 / 1e9:.0f} GB",
        ),
        Plan(
            f"incidental flow, n = 10⁴, m = 10⁶, {seeds} networks",
            {"flow": seeds * n * n * m},
            seeds,
            per["flow"] * n * m,
            "one network is one task: more than that many workers do not help",
        ),
        Plan(
            f"the same by {steps:,} steps of AdamW",
            {"descent": seeds * n * n * m * steps},
            seeds,
            per["descent"] * n * m,
            "the published procedure",
        ),
        Plan(
            "phase diagram of 300 × 300 cells, 100 seeds, 3,000 steps",
            {"phase diagram": 300 * 300 * 100 * 3000},
            300,
            per["phase diagram"] * 300 * 100,
            "a row of the grid is a task",
        ),
    ]


def incidental_steps() -> int:
    """The steps that the paper takes, the default of `incidental.train`."""
    import inspect

    return inspect.signature(incidental.train).parameters["n_steps"].default


def seconds_of(plan: Plan, found: Mapping[str, Mapping]) -> tuple[float, float, float]:
    """CPU seconds on one thread: at the cost of a unit at the largest size measured; by the fitted exponent ± 2 SE.

    The fitted exponent is taken from the largest size on.
    """
    best, low, high = 0.0, 0.0, 0.0
    for name, units in plan.units.items():
        grown, cost = found[name]["growth"], found[name]["cost"]
        at, ratio = cost * grown["sizes"][-1], units / grown["sizes"][-1]
        ends = [at * ratio ** (grown["exponent"] + 2 * sign * grown["stderr"]) for sign in (-1, 1)]
        best, low, high = best + cost * units, low + min(*ends, cost * units), high + max(*ends, cost * units)
    return best, low, high


# ------------------------------------------------------------ the page


def tables(machines: Mapping[str, Mapping]) -> str:
    """The generated part of docs/scaling.md, from the contents of the results' files by machine."""
    return "\n\n".join(_section(result) for _, result in sorted(machines.items()))


def _section(result: Mapping) -> str:
    stamp, found = result["stamp"], result["kinds"]
    lines = [f"### Measured on {stamp['cpu']}, {stamp['memory_gib']} GiB, one thread", ""]
    if result["quick"]:
        lines += ["Quick run: sizes too small to extrapolate from.", ""]
    lines += ["| work | unit | sizes in units | exponent | CPU time per 10⁹ units | memory |", "|---" * 6 + "|"]
    lines += [_kind_row(found[name]) for name in KINDS]
    lines += ["", "| experiment | CPU time | " + " | ".join(f"{n} worker{'s' * (n > 1)}" for n in WORKERS)]
    lines[-1] += " | memory of a worker | |"
    lines += ["|---" * (len(WORKERS) + 4) + "|", *(_plan_row(plan, found) for plan in plans(found))]
    return "\n".join(lines)


def _kind_row(kind: Mapping) -> str:
    grown = kind["growth"]
    memory = f"{kind['bytes']:.0f} B × {kind['memory']}" if kind.get("memory") else ""
    cells = (
        kind["what"], kind["unit"], f"{grown['sizes'][0]:.1e} … {grown['sizes'][-1]:.1e}",
        f"{grown['exponent']:.2f} ± {grown['stderr']:.2f}", _time(1e9 * kind["cost"]), memory,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _plan_row(plan: Plan, found: Mapping[str, Mapping]) -> str:
    best, low, high = seconds_of(plan, found)
    rounds = [math.ceil(plan.tasks / n) for n in WORKERS]
    memory = "" if math.isnan(plan.bytes) else f"{plan.bytes / 1e9:.3g} GB"
    cells = [plan.what, f"{_time(best)} [{_time(low)}, {_time(high)}]"]
    cells += [_time(best / plan.tasks * n) for n in rounds]
    return "| " + " | ".join([*cells, memory, plan.note]) + " |"


def _time(seconds: float) -> str:
    for length, unit in ((365.25 * 24 * HOUR, "years"), (24 * HOUR, "days"), (HOUR, "h"), (60, "min"), (1, "s")):
        if seconds >= length * (2 if length > 1 else 1):
            return f"{rounded(seconds / length)} {unit}"
    return f"{rounded(1000 * seconds)} ms"


def rounded(value: float) -> str:
    """A number with two digits."""
    kept = float(f"{value:.2g}")
    return f"{kept:,.0f}" if kept >= 10 else f"{kept:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, save it under the machine's name and write the tables; 0 when done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, not what it costs")
    parser.add_argument("--out", type=Path, default=paths.ROOT, help="folder that holds benchmarks/results and docs")
    options = parser.parse_args(arguments)
    stamp = measure.stamp(1)
    with runtime.threads(1):
        for name in options.only:
            kind = measured(name, options.quick)
            save({name: kind}, stamp, options.quick, options.out)
            print(f"{name}: exponent {kind['growth']['exponent']:.2f}", flush=True)
    return 0


def save(kinds: Mapping, stamp: Mapping, quick: bool, out: Path) -> None:
    """Write the results among those of this machine, and the tables of all machines that are complete into the page."""
    folder, page = out / "benchmarks" / "results" / "scaling", out / "docs" / "scaling.md"
    file = folder / f"{measure.machine(stamp)}{'-quick' if quick else ''}.json"
    before = json.loads(file.read_text(encoding="utf-8"))["kinds"] if file.exists() else {}
    content = json.dumps({"stamp": stamp, "quick": quick, "kinds": before | kinds}, indent=1, ensure_ascii=False)
    paths.write_atomically(file, f"{content}\n".encode())
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    found = {name: each for name, each in found.items() if set(each["kinds"]) >= set(KINDS)}
    shown = {name: each for name, each in found.items() if not each["quick"]} or found
    text = (
        page.read_text(encoding="utf-8")
        if page.exists()
        else (paths.ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    )
    paths.write_atomically(page, readme.replaced(text, "scaling", tables(shown)).encode())


if __name__ == "__main__":
    sys.exit(main())
