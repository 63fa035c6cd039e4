"""Sweeps as one would write them without this package: joblib.Memory around the worker, joblib.Parallel over calls.

`benchmarks.run_all` has notebooks import it in place of `polysemanticity.engine.sweep`. joblib.Memory looks at the
source of the worker alone: what is edited below it goes unnoticed.
"""

from collections.abc import Callable, Mapping, Sequence

import joblib

from polysemanticity.base import paths, runtime
from polysemanticity.base.results import Results
from polysemanticity.engine import placement


def over(
    worker: Callable,
    configs: Mapping | Sequence[Mapping],
    context: runtime.Run,
    seeds: Sequence[int] | int | None = None,
) -> Results:
    """Return what `polysemanticity.engine.sweep.over` does."""
    configs = [configs] if isinstance(configs, Mapping) else list(configs)
    chosen = range(context.seed, context.seed + seeds) if isinstance(seeds, int) else seeds or [context.seed]
    kept = joblib.Memory(paths.cache() / "joblib", verbose=0).cache(worker)
    calls = [
        joblib.delayed(_call)(kept, context.cfg.threads, {"seed": int(seed), "device": device, **config})
        for config, device in ((dict(config), placement.device(worker, config, context)) for config in configs)
        for seed in chosen
    ]
    values = joblib.Parallel(n_jobs=max(1, min(runtime.cores() // context.cfg.threads, len(calls))))(calls)
    if seeds is None:
        return Results(configs, values)
    rows = [values[start : start + len(chosen)] for start in range(0, len(values), len(chosen))]
    return Results(configs, rows)


def _call(kept: Callable, threads: int, call: dict) -> dict:
    with runtime.threads(threads):
        return kept(**call)
