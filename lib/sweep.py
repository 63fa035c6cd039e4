"""Many runs of one worker over settings and seeds: kept in a content-addressed store, computed in parallel processes.

A worker is an ordinary function `worker(*, seed, device, **config) -> dict` of arrays and plain values. Its result's
key is a digest of the worker, its config, the seed, the kind of device, the threads, the library code that it reaches
and the versions of the packages below it. The process that computed a result stores it (`lib.store`), so nothing
finished is lost when the run is killed; two runs at once compute each result once.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

import filelock
import joblib
import numpy as np

from lib import checkpoints, codedigest, paths, processes, runtime, store


def run(worker: Callable, configs: Sequence[Mapping], seeds: Sequence[int], context: runtime.Run) -> list[list[dict]]:
    """Return the worker's results indexed [config][seed], from the store where it has them, else computed and stored.

    Missing results are computed in processes of `context.cfg.threads` threads each, as many as the cores allow (one at
    a time on
    CUDA). Raises what a worker raises; results that were finished by then stay in the store.
    """
    runtime.check(len(configs) > 0, "configs", configs, "at least one configuration")
    runtime.check(len(seeds) > 0, "seeds", seeds, "at least one seed")
    tasks = [_Task(worker, dict(config), int(seed), context) for config in configs for seed in seeds]
    results = {task.key: task.stored() for task in tasks}
    wait = False  # first what no other run is computing
    while missing := list({task.key: task for task in tasks if results[task.key] is None}.values()):
        try:
            _compute_all(missing, wait, results, context)
        except BrokenProcessPool:  # a process was killed: by hand, or for want of memory
            results |= {task.key: task.stored() for task in missing}
            if all(results[task.key] is None for task in missing):
                raise
            runtime.report(f"{worker.__name__}: a process was killed; what it was at is computed again")
        wait = True
    values = [results[task.key] for task in tasks]
    return [values[start : start + len(seeds)] for start in range(0, len(values), len(seeds))]


def one(worker: Callable, config: Mapping, context: runtime.Run, seed: int | None = None) -> dict:
    """Return the worker's result for one config and one seed (the run's, if none is given)."""
    return run(worker, [config], [context.seed if seed is None else seed], context)[0][0]


def stack(results: Sequence[Sequence[Mapping]], key: str) -> np.ndarray:
    """Return one value of every result as an array [config, seed, ...]."""
    return np.array([[result[key] for result in row] for row in results])


class _Task:
    """One call of a worker, with the place of its result."""

    def __init__(self, worker: Callable, config: dict, seed: int, run: runtime.Run):
        self.worker, self.config, self.seed, self.device = worker, config, seed, run.device
        self.threads = run.cfg.threads
        self.code = codedigest.digest(worker)
        self.token = os.environ.get("POLYSEMANTICITY_FORCE", "")
        self.identity = {
            "worker": f"{worker.__module__}.{worker.__qualname__}",
            "config": _canonical(config),
            "seed": seed,
            "device": run.device.partition(":")[0],
            "threads": self.threads,
            "code": self.code,
            "versions": runtime.versions(),
        }
        self.key = store.key(self.identity)
        self.path = store.place(worker.__name__, self.key)

    def stored(self) -> dict | None:
        return store.read(self.path, self.token)


def _compute_all(tasks: list[_Task], wait: bool, results: dict, run: runtime.Run) -> None:
    """Compute the tasks in processes and fill in their results, but for those that another run holds unless `wait`."""
    parallel = joblib.Parallel(
        n_jobs=_processes(run, len(tasks)), return_as="generator_unordered", pre_dispatch="all",
        initializer=processes.end_with_parent, initargs=(os.getpid(),),
    )  # fmt: skip
    by_key = {task.key: task for task in tasks}
    finished = parallel(joblib.delayed(_compute)(task, os.getpid(), wait) for task in tasks)
    for key in runtime.progress(finished, tasks[0].worker.__name__, total=len(tasks)):
        results[key] = by_key[key].stored()


def _compute(task: _Task, parent: int, wait: bool) -> str:
    """Compute and store one task in this process unless another has done it or, without `wait`, is at it: its key."""
    if os.getpid() != parent and codedigest.digest(task.worker) != task.code:
        raise RuntimeError(f"the code that {task.worker.__name__} reaches was edited during the run: start it again")
    try:
        with store.claim(task.path, wait):
            if task.stored() is None:
                _compute_and_store(task)
    except filelock.Timeout:
        pass
    return task.key


def _compute_and_store(task: _Task) -> None:
    started = time.perf_counter()
    unfinished = paths.cache() / "trainings" / task.key
    with runtime.threads(task.threads), checkpoints.kept(unfinished):
        values = task.worker(seed=task.seed, device=task.device, **task.config)
    identity = {**task.identity, "seconds": time.perf_counter() - started, "token": task.token}
    paths.write_atomically(task.path, store.pack(values, identity))
    shutil.rmtree(unfinished, ignore_errors=True)


def _processes(run: runtime.Run, n_tasks: int) -> int:
    if run.device.startswith("cuda"):
        return 1
    return max(1, min(runtime.cores() // run.cfg.threads, n_tasks))


def _canonical(config: Mapping) -> dict:
    """Return the config as plain JSON values; anything that has no such form is refused."""
    try:
        return json.loads(json.dumps(config, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"config = {config!r}: allowed are numbers, strings, booleans and lists of these ({error})"
        ) from None
