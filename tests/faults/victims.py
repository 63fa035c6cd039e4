"""What is killed: a real sweep and a real run of a notebook, started by a fork server that has imported all they need."""

import importlib
import os
import resource
import signal
import sys
import warnings
from pathlib import Path

import joblib
from joblib.externals.loky.backend import context

from polysemanticity.base import checkpoints, config, runtime
from polysemanticity.engine import publish, run, sweep
from polysemanticity.incidental import flow, hidden_noise
from polysemanticity.networks import train
from polysemanticity.papers import feature_capacity as paper
from polysemanticity.papers.feature_capacity import bound

HOOK = Path(__file__).parent / "hook"
sys.path.insert(0, str(HOOK))
import killer  # noqa: E402

CONFIGS = [
    {"kind": kind, "n_features": n, "n_dims": d, "n_samples": 100}
    for kind in bound.KINDS
    for n, d in ((3, 2), (6, 2), (6, 4), (12, 4), (20, 5), (20, 10), (40, 8), (40, 20))
]


def the_sweep(n: int | None = None) -> list[list[dict]]:
    """Return the results of notebook 03's sweep over random embeddings."""
    cfg = config.resolve(paper.Config(), "smoke", {})
    run = runtime.Run(paper.SLUG, "smoke", cfg, 0, "cpu")
    return sweep.run(bound.random_embeddings, CONFIGS[:n], [0], run)


def sweeping(environment: dict, log: str, forked: bool, n: int | None = None) -> None:
    """Run the sweep; its workers are forked from this process, which is quick, or started as they are for users."""
    _begin(environment, log)
    if forked:
        warnings.filterwarnings("ignore", "`fork` start method")
        context.set_start_method("fork", force=True)
    try:
        the_sweep(n)
    finally:  # a child of a fork server does not run what a process runs at its end; a run kills its workers then: one
        # that is killed while it takes its leave keeps a lock of loky's, and who waits for the others waits for ever
        executor = joblib.externals.loky.get_reusable_executor(reuse=True, kill_workers=True)
        executor.shutdown(wait=True, kill_workers=True)


def running(environment: dict, log: str, arguments: list[str]) -> None:
    """Do what `./run_all.sh` does."""
    _begin(environment, log)
    sys.exit(run.main(arguments))


def _begin(environment: dict, log: str) -> None:
    os.setsid()  # a terminal sends Ctrl-C to a whole group of processes
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    if limit := int(os.environ.get("FAULT_FILE_SIZE", 0)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    killer.install()


def publishing(environment: dict, log: str, new: str, old: str) -> None:
    """Put one folder in another's place."""
    _begin(environment, log)
    publish.replace_folder(Path(new), Path(old))


def training(environment: dict, log: str, place: str, settings: dict) -> None:
    """Compute one result of the worker at `module:name` that stores its state after every step."""
    _begin(environment, log)
    checkpoints.EVERY = train.fit.__kwdefaults__["checkpoint_every"] = 0
    flow.BATCH, hidden_noise.CHUNK = 128, 1000  # small networks, several blocks
    module, _, name = place.partition(":")
    cfg = config.resolve(paper.Config(), "smoke", {})
    worker = getattr(importlib.import_module(f"polysemanticity.papers.{module}"), name)
    sweep.run(worker, [settings], [0], runtime.Run(paper.SLUG, "smoke", cfg, 0, "cpu"))
