"""A Dask cluster to compute on: its address, the connection to it, and one that lives as long as a run.

`./run_all.sh --dask ADDRESS` names a scheduler that is running, or `local:N` one with N worker processes on this
machine, which the run starts and ends. Notebooks are executed here, their sweeps go to the cluster (`sweep`), and
results come back as bytes to the process that asked, which alone writes the store: workers need no common folder.
Workers run the code that they are sent, so a cluster has to be as trusted as this process.
"""

import contextlib
import functools
import logging
import os
import queue
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping

import joblib

from polysemanticity.base import checks, codedigest, paths, runtime
from polysemanticity.engine import processes

ALLOWED = "tcp://HOST:PORT or tls://HOST:PORT of a running Dask scheduler, or local:N for N worker processes here"
PATIENCE = 5  # seconds that a scheduler may take to answer a run that begins, and a first worker to join it
BUSY = 60  # seconds that it may take later, when it is known to be there
STARTING = 300  # seconds that a cluster of this machine may take to start, however busy it is
CROWD = 4  # worker processes for each core, at most


class NotStarted(RuntimeError):
    """A cluster of this machine did not come up."""


def check(request: str, device: str = "cpu") -> None:
    """Raise ValueError unless `request` is well formed, Dask is installed and the scheduler has workers that fit."""
    n_workers = local_workers(request)
    _distributed()
    if n_workers is not None:
        runtime.device(device)
    else:
        with contextlib.closing(_connect(request, PATIENCE)) as client:
            _check_workers(client, request, device)


def local_workers(request: str) -> int | None:
    """Return the N of `local:N`, None for the address of a scheduler; ValueError for anything else."""
    kind, _, rest = request.partition(":")
    if kind == "local" and re.fullmatch("[1-9][0-9]{0,5}", rest):
        most = CROWD * runtime.cores()
        checks.check(int(rest) <= most, "dask", request, f"local:1 to local:{most} on this machine")
        return int(rest)
    address = re.fullmatch(r"(?:tcp|tls)://(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", request, re.ASCII)
    checks.check(address is not None and 1 <= int(address[1]) <= 65535, "dask", request, ALLOWED)
    return None


@functools.cache
def client():
    """Return the connection of this process to its run's cluster (a `distributed.Client`), None where it has none."""
    address = os.environ.get(runtime.CLUSTER)
    return _connect(address, BUSY) if address else None


@contextlib.contextmanager
def backend(client) -> Iterator[None]:
    """Send the joblib calls inside the block to the cluster; ConnectionError if its scheduler is lost meanwhile."""
    from distributed.client import FutureCancelledError

    try:
        with joblib.parallel_config(backend="dask", client=client, n_jobs=-1) as config:
            of_workers = config["backend"].effective_n_jobs
            # for one worker alone joblib would compute here, in the caller's process
            config["backend"].effective_n_jobs = lambda n_jobs: max(2, of_workers(n_jobs))
            yield
    except Exception as error:
        if client.status == "running" and not isinstance(error, FutureCancelledError):
            raise
        lost = f"the Dask scheduler {os.environ.get(runtime.CLUSTER)} was lost"
        raise ConnectionError(f"{lost}: finished results are kept, start the run again") from error


def worker_problem(library: str, versions: Mapping[str, str], device: str, dask_worker=None) -> str | None:
    """Return why a worker would not compute what the caller's own process would, or None.

    `dask_worker`: the `distributed.Worker` in this process, where `Client.run` passes it; else that of the task.
    """
    from distributed import get_worker

    worker, found = dask_worker or get_worker(), runtime.versions()
    refused = f"worker {worker.address}: "
    if worker.state.nthreads != 1:
        return refused + f"it runs {worker.state.nthreads} tasks at once: allowed is 1 (dask worker --nthreads 1)"
    if codedigest.library() != library:
        return refused + f"its package ({paths.PACKAGE}) is not the one here: bring it in line and start it again"
    for name in sorted({*versions, *found}):
        if found.get(name) != versions.get(name):
            return refused + f"it has {name} {found.get(name)}: allowed is {versions.get(name)}, as here"
    try:
        runtime.device(device)
    except ValueError as error:
        return refused + str(error)
    return None


def start(n_workers: int, environment: Mapping[str, str]) -> str:
    """Start a scheduler and its workers on this machine, in processes with this environment: the scheduler's address.

    They end with this process, and with `processes.end_all` of the token in the environment.
    Raises NotStarted, naming the log, if they do not come up.
    """
    log = paths.cache() / "dask" / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "polysemanticity.engine.cluster", str(n_workers)],
            cwd=paths.ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True, text=True,
        )  # fmt: skip
    timer = threading.Timer(STARTING, process.kill)
    timer.start()
    address = process.stdout.readline().strip()
    timer.cancel()
    if not address:
        raise NotStarted(f"dask = 'local:{n_workers}': it did not start within {STARTING} s (its log: {log})")
    return address


def _serve(n_workers: int) -> None:
    """Be the scheduler of a cluster on this machine until the parent ends; say its address on standard output."""
    from distributed import LocalCluster

    processes.end_with_parent()
    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, memory_limit=0, dashboard_address=None,
        local_directory=str(paths.cache() / "dask"),
    )  # fmt: skip
    sys.stdout.write(f"{cluster.scheduler_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


def _connect(address: str, patience: float):
    distributed = _distributed()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a notebook's output is not the place for its news
    outcome = queue.SimpleQueue()

    def connect():
        try:
            outcome.put(distributed.Client(address, timeout=patience, set_as_default=False))
        except (OSError, ValueError, RuntimeError) as error:
            outcome.put(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions: `worker_problem` compares those that matter
        # in a thread, since a client waits for ever for one that takes the connection and says nothing
        threading.Thread(target=connect, name="connect-to-dask", daemon=True).start()
        try:
            found = outcome.get(timeout=2 * patience)
        except queue.Empty:
            found = TimeoutError(f"silent for {2 * patience:g} s")
    if isinstance(found, Exception):
        reason = str(found).splitlines()[0] if str(found) else type(found).__name__
        raise ValueError(f"dask = {address!r}: no scheduler answers there ({reason}): allowed is {ALLOWED}")
    return found


def _check_workers(client, address: str, device: str) -> None:
    from distributed import TimeoutError

    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=PATIENCE)
    joined = len(client.scheduler_info(n_workers=-1)["workers"])
    checks.check(joined > 0, "dask", address, f"a scheduler with workers; none joined it within {PATIENCE} s")
    asked = (codedigest.library(), runtime.versions(), device)
    for worker, problem in client.run(worker_problem, *asked, on_error="return").items():
        if isinstance(problem, BaseException):
            problem = f"worker {worker}: {type(problem).__name__}: {problem}: it needs the packages and the lib of here"
        if problem is not None:
            raise ValueError(f"dask = {address!r}: {problem}")


def _distributed():
    try:
        import distributed
    except ImportError as error:
        command = f"{sys.executable} -m pip install --constraint constraints.txt '.[scale]'"
        raise ValueError(f"dask: {error}: it is in the extra `scale`; install it by {command}") from None
    return distributed


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
