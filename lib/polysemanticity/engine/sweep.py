"""Many runs of one worker over settings and seeds: kept in a content-addressed store, computed in parallel processes.

A worker is an ordinary function `worker(*, seed, device, **config) -> dict` of arrays and plain values. Its result's
key is a digest of the worker, its config, the seed, the kind of device that it uses (`engine.placement`), the threads,
the library code that it reaches and the versions of the packages below it. The process that computed a result stores it
(`engine.store`), so nothing finished is lost when the run is killed; two runs at once compute each result once. Where
the run has a Dask cluster (`engine.cluster`), its workers compute and this process stores what they send.
"""

import contextlib
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import filelock
import joblib
import numpy as np

from polysemanticity.base import checkpoints, codedigest, paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.base.results import Results
from polysemanticity.engine import cluster, cores, placement, processes, store

# joblib ends a worker that idled or has grown, and starts another: nothing that a reader of a notebook should see
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)

MOST_LOCKS = 500  # that one process holds at once: each is an open file
FINGERPRINTS = {"content": "data", "stored": "weights"}  # settings of a worker that identify what it reads
POLL = 0.5  # seconds between two looks at what other runs are computing


def run(worker: Callable, configs: Sequence[Mapping], seeds: Sequence[int], context: runtime.Run) -> list[list[dict]]:
    """Return the worker's results indexed [config][seed], from the store where it has them, else computed and stored.

    Missing results are computed in processes of `context.cfg.threads` threads each, as many as the cores allow (a few
    on CUDA, and one where its memory does not suffice for them) together with those of other runs (`engine.cores`), or
    by the workers of the run's cluster. Raises what a worker raises; results that were finished by then stay in the
    store.
    """
    tasks = _tasks(worker, configs, seeds, context)
    results = _completed(tasks, context, _Task.stored)
    values = [results[task.key] for task in tasks]
    return [values[start : start + len(seeds)] for start in range(0, len(values), len(seeds))]


def over(
    worker: Callable,
    configs: Mapping | Sequence[Mapping],
    context: runtime.Run,
    seeds: Sequence[int] | int | None = None,
) -> Results:
    """Return the worker's results with their configurations, computed as by `run`.

    One result for each configuration, with the run's seed. With `seeds` (some, or how many from the run's on) a list of
    results for each configuration. `configs` may be a single configuration: one result with it.
    """
    configs = [configs] if isinstance(configs, Mapping) else list(configs)
    if seeds is None:
        return Results(configs, [row[0] for row in run(worker, configs, [context.seed], context)])
    chosen = range(context.seed, context.seed + seeds) if isinstance(seeds, int) else seeds
    return Results(configs, run(worker, configs, chosen, context))


def each(worker: Callable, configs: Sequence[Mapping], seeds: Sequence[int], context: runtime.Run) -> Iterator[dict]:
    """Yield what `run` returns, in that order and one at a time: for results that are too large to be held together."""
    tasks = _tasks(worker, configs, seeds, context)
    _completed(tasks, context, lambda task: True if task.stored() is not None else None)
    yield from (task.stored() for task in tasks)


def one(worker: Callable, config: Mapping, context: runtime.Run, seed: int | None = None) -> dict:
    """Return the worker's result for one config and one seed (the run's, if none is given)."""
    return run(worker, [config], [context.seed if seed is None else seed], context)[0][0]


def stack(results: Sequence[Sequence[Mapping]], key: str) -> np.ndarray:
    """Return one value of every result as an array [config, seed, ...]."""
    return np.array([[result[key] for result in row] for row in results])


class _Task:
    """One call of a worker, with the place of its result."""

    def __init__(self, worker: Callable, config: dict, seed: int, run: runtime.Run):
        self.worker, self.config, self.seed = worker, config, seed
        self.device = placement.device(worker, config, run)
        self.threads = run.cfg.threads
        self.code = codedigest.digest(worker)
        self.token = os.environ.get("POLYSEMANTICITY_FORCE", "")
        self.progress = os.environ.get("POLYSEMANTICITY_PROGRESS", "")
        self.identity = {
            "worker": f"{worker.__module__}.{worker.__qualname__}",
            "config": _canonical(config),
            "seed": seed,
            "device": self.device.partition(":")[0],
            "threads": self.threads,
            "code": self.code,
            "versions": runtime.versions(),
        }
        self.key = store.key(self.identity)
        self.path = store.place(worker.__name__, self.key)

    def stored(self) -> dict | None:
        return store.read(self.path, self.token)


def _tasks(worker: Callable, configs: Sequence[Mapping], seeds: Sequence[int], context: runtime.Run) -> list[_Task]:
    check(len(configs) > 0, "configs", configs, "at least one configuration")
    check(len(seeds) > 0, "seeds", seeds, "at least one seed")
    read = {(kind, config[key]) for key, kind in FINGERPRINTS.items() for config in configs if config.get(key)}
    if read:
        context.inputs.setdefault((worker.__module__, worker.__name__), set()).update(read)
    return [_Task(worker, dict(config), int(seed), context) for config in configs for seed in seeds]


def _completed(tasks: list[_Task], context: runtime.Run, read: Callable) -> dict:
    """See to it that every task has a stored result, computing what is missing: what `read` makes of it, by key.

    The last come first: sizes are listed in rising order, and a long task that starts last is waited for alone.
    """
    tasks = tasks[::-1]
    results = {task.key: read(task) for task in tasks}
    client = cluster.client() if None in results.values() else None
    if client is not None:
        _compute_on(client, tasks, results, read)
    wait, alone = False, False  # first what no other run is computing, with all processes
    while missing := list({task.key: task for task in tasks if results[task.key] is None}.values()):
        try:
            for device in dict.fromkeys(task.device for task in missing):
                here = [task for task in missing if task.device == device]
                n_jobs = 1 if alone else placement.processes(device, context, len(here))
                _compute_all(here, wait, results, n_jobs, read)
        except BrokenProcessPool:  # a process was killed: by hand, or for want of memory
            results |= {task.key: read(task) for task in missing}
            if all(results[task.key] is None for task in missing):
                raise
            runtime.report(f"{tasks[0].worker.__name__}: a process was killed; what it was at is computed again")
        except RuntimeError as error:
            if n_jobs == 1 or not _for_want_of_memory(error):
                raise
            results |= {task.key: read(task) for task in missing}
            alone = True
            runtime.report(f"{tasks[0].worker.__name__}: too little memory on {device} for {n_jobs} processes: now one")
        wait = True
    return results


def _compute_all(tasks: list[_Task], wait: bool, results: dict, n_jobs: int, read: Callable) -> None:
    """Compute the tasks in processes and fill in their results, but for those that another run holds unless `wait`."""
    parallel = joblib.Parallel(
        n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="all",
        initializer=processes.end_with_parent, initargs=(os.getpid(),),
    )  # fmt: skip
    by_key = {task.key: task for task in tasks}
    finished = parallel(joblib.delayed(_compute)(task, os.getpid(), wait) for task in tasks)
    for key in runtime.progress(finished, tasks[0].worker.__name__, total=len(tasks)):
        results[key] = read(by_key[key])


def _for_want_of_memory(error: RuntimeError) -> bool:
    import torch  # which the error came from, if it did

    return isinstance(error, torch.OutOfMemoryError)


def _compute(task: _Task, parent: int, wait: bool) -> str:
    """Compute and store one task in this process unless another has done it or, without `wait`, is at it: its key."""
    if os.getpid() != parent and codedigest.digest(task.worker) != task.code:
        raise RuntimeError(f"the code that {task.worker.__name__} reaches was edited during the run: start it again")
    try:
        with store.claim(task.path, wait):
            if task.stored() is None:
                with cores.held(task.threads):
                    _compute_and_store(task)
    except filelock.Timeout:
        pass
    return task.key


def _compute_and_store(task: _Task) -> None:
    store.write(task.path, _computed(task))
    shutil.rmtree(_trainings(task), ignore_errors=True)


def _trainings(task: _Task) -> Path:
    """Where the task's unfinished trainings are kept, on the machine that computes it."""
    return paths.cache() / "trainings" / task.key


def _computed(task: _Task) -> bytes:
    """Compute one task in this process: the content of its file."""
    started = time.perf_counter()
    with runtime.threads(task.threads), runtime.exact(task.device), checkpoints.kept(_trainings(task)):
        values = task.worker(seed=task.seed, device=task.device, **task.config)
    return store.pack(values, {**task.identity, "seconds": time.perf_counter() - started, "token": task.token})


def _compute_on(client, tasks: list[_Task], results: dict, read: Callable) -> None:
    """Compute the tasks that have no result on a cluster, and store and fill in what its workers send back.

    This process holds the lock of a result until it is stored; what other runs are computing is waited for.
    """
    missing = {task.key: task for task in tasks if results[task.key] is None}
    while missing:
        held = _claimed(missing)
        try:
            if held:
                _send(client, [missing[key] for key in held], held)
        finally:
            for lock in held.values():
                lock.close()
        for key in list(missing):
            results[key] = read(missing[key])
            if results[key] is not None:
                del missing[key]
        if missing and not held:
            time.sleep(POLL)


def _claimed(tasks: dict[str, _Task]) -> dict[str, contextlib.ExitStack]:
    """The locks of up to MOST_LOCKS tasks that nobody has computed and nobody else holds, by their keys."""
    held = {}
    for key, task in tasks.items():
        lock = contextlib.ExitStack()
        with contextlib.suppress(filelock.Timeout):
            lock.enter_context(store.claim(task.path, wait=False))
            if task.stored() is None:
                held[key] = lock
            else:
                lock.close()
        if len(held) == MOST_LOCKS:
            break
    return held


def _send(client, tasks: list[_Task], held: dict[str, contextlib.ExitStack]) -> None:
    paths_of, library = {task.key: task.path for task in tasks}, codedigest.library()
    with cluster.backend(client):
        parallel = joblib.Parallel(n_jobs=-1, return_as="generator_unordered", pre_dispatch="all", batch_size=1)
        finished = parallel(joblib.delayed(_compute_for_client)(task, library) for task in tasks)
        for key, content in runtime.progress(finished, tasks[0].worker.__name__, total=len(tasks)):
            store.write(paths_of[key], content)
            held[key].close()


def _compute_for_client(task: _Task, library: str) -> tuple[str, bytes]:
    """Compute one task in a worker of a cluster, if it would do so as the client would: the key and the file."""
    problem = cluster.worker_problem(library, task.identity["versions"], task.device)
    if problem is None and codedigest.digest(task.worker) != task.code:
        problem = f"a worker's code of {task.worker.__name__} is not the one here: bring it in line and start it again"
    if problem is None and task.config.get("content"):  # the fingerprint of files that the worker reads
        there = sys.modules[task.worker.__module__].fingerprint_here(task.config)
        if there != task.config["content"]:
            problem = f"the data of {task.worker.__name__} on a worker is not that here: copy it to the same path there"
    if problem is not None:
        raise RuntimeError(problem)
    os.environ["POLYSEMANTICITY_PROGRESS"] = task.progress if os.path.exists(task.progress) else ""  # of this machine
    with joblib.parallel_config(backend="sequential"):  # what a task starts itself stays in its worker
        content = _computed(task)
    shutil.rmtree(_trainings(task), ignore_errors=True)
    return task.key, content


def _canonical(config: Mapping) -> dict:
    """Return the config as plain JSON values; anything that has no such form is refused."""
    try:
        return json.loads(json.dumps(config, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"config = {config!r}: allowed are numbers, strings, booleans and lists of these ({error})"
        ) from None
