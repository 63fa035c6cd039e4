"""Many runs of one worker over settings and seeds: kept in a content-addressed store, computed in parallel processes.

A worker is an ordinary function `worker(*, seed, device, **config) -> dict` of arrays and plain values. Its result's
key is a
digest of the worker, its config, the seed, the kind of device, the threads, the library code that it reaches and the
versions of the packages below it.
A result is one file: a line with the checksum, then an npz without pickled objects. It is written beside its place,
synced and renamed
by the process that computed it, so nothing finished is lost when the run is killed, and nothing half-written is ever
read.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import joblib
import numpy as np

from lib import codedigest, paths, processes, runtime

MAGIC = b"polysemanticity-result-1 "


def run(worker: Callable, configs: Sequence[Mapping], seeds: Sequence[int], context: runtime.Run) -> list[list[dict]]:
    """Return the worker's results indexed [config][seed], from the store where it has them, else computed and stored.

    Missing results are computed in processes of `context.cfg.threads` threads each, as many as the cores allow (one at
    a time on
    CUDA). Raises what a worker raises; results that were finished by then stay in the store.
    """
    runtime.check(len(configs) > 0, "configs", configs, "at least one configuration")
    runtime.check(len(seeds) > 0, "seeds", seeds, "at least one seed")
    tasks = [_Task(worker, dict(config), int(seed), context) for config in configs for seed in seeds]
    results = {task.key: load(task.path) for task in tasks}
    missing = list({task.key: task for task in tasks if results[task.key] is None}.values())
    parallel = joblib.Parallel(
        n_jobs=_processes(context, len(missing)), return_as="generator_unordered", pre_dispatch="all"
    )
    finished = parallel(joblib.delayed(_compute)(task, os.getpid()) for task in missing)
    for key in runtime.progress(finished, worker.__name__, total=len(missing)):
        results[key] = load(next(task.path for task in missing if task.key == key))
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
        identity = {
            "worker": f"{worker.__module__}.{worker.__qualname__}",
            "config": _canonical(config),
            "seed": seed,
            "device": run.device.partition(":")[0],
            "threads": self.threads,
            "code": self.code,
            "versions": runtime.versions(),
        }
        self.identity = identity
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = paths.cache() / "results" / worker.__name__ / f"{self.key}.npz"


def _compute(task: _Task, parent: int) -> str:
    """Run one task in this process and store its result; returns its key."""
    if os.getpid() != parent:
        processes.end_with_parent()
        if codedigest.digest(task.worker) != task.code:
            raise RuntimeError(
                f"the code that {task.worker.__name__} reaches was edited during the run: start it again"
            )
    started = time.perf_counter()
    with runtime.threads(task.threads):
        values = task.worker(seed=task.seed, device=task.device, **task.config)
    store(task.path, values, {**task.identity, "seconds": time.perf_counter() - started, "token": task.token})
    return task.key


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


def store(path: Path, values: Mapping, identity: Mapping) -> None:
    """Write a result atomically; raises TypeError naming the entry that is neither an array of numbers or text nor
    plain."""
    arrays, plain = {}, {}
    for name, value in values.items():
        if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) > 0:
            if value.dtype.kind not in "biufcU":
                raise TypeError(f"result {name!r} has dtype {value.dtype}: allowed are numbers, booleans and text")
            arrays[name] = value
        elif isinstance(value, (np.ndarray, np.generic)):
            plain[name] = value.item()
        elif value is None or isinstance(value, (bool, int, float, str, list)):
            plain[name] = value
        else:
            raise TypeError(f"result {name!r} is a {type(value).__name__}: allowed are arrays, numbers, text and lists")
    header = json.dumps({"identity": identity, "plain": plain}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, __header__=np.frombuffer(header, dtype=np.uint8), **arrays)
    payload = buffer.getvalue()
    paths.write_atomically(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load(path: Path) -> dict | None:
    """Return a stored result, or None if there is none; a damaged one is reported, set aside and counts as none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head, _, payload = content.partition(b"\n")
    if head != MAGIC + hashlib.sha256(payload).hexdigest().encode():
        aside = path.with_suffix(f".damaged-{time.time_ns()}")
        path.replace(aside)
        runtime.report(f"stored result {path.name[:12]}… is damaged: set aside as {aside.name}, computed again")
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        header = json.loads(archive["__header__"].tobytes())
        arrays = {name: archive[name] for name in archive.files if name != "__header__"}
    forced = os.environ.get("POLYSEMANTICITY_FORCE", "")
    if forced and header["identity"].get("token") != forced:
        return None
    return {**header["plain"], **arrays}
