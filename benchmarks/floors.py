"""Every worker of a cold run beside its floor: what its products and the starts of its operations take at the least.

`python -m benchmarks --only floors` after `./run_all.sh`: the store says how long each worker took and which result
took longest. That one is computed again, alone and in one thread: once with its operations counted, once timed.
"""

import collections
import functools
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import measure, workers
from benchmarks.measure import Case, Floor, Result
from polysemanticity.base import checkpoints, codedigest, paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.engine import store

DECOMPOSED = {  # least operations of LAPACK's way to the eigenvalues, singular values, factors of an [m, n] matrix
    "eigh": lambda m, n: 4 / 3 * n**3,
    "svd": lambda m, n: 4 * max(m, n) * min(m, n) ** 2 - 4 / 3 * min(m, n) ** 3,
    "qr": lambda m, n: 2 * max(m, n) * min(m, n) ** 2 - 2 / 3 * min(m, n) ** 3,
}
IN_TORCH = {"_linalg_eigh": "eigh", "_linalg_svd": "svd", "linalg_qr": "qr"}
IN_NUMPY = {"eigh": "eigh", "eigvalsh": "eigh", "svd": "svd", "qr": "qr"}
WHOLE = 2.0  # the aim: seconds of the whole cold run ÷ the floors of its workers


class Counted(TorchDispatchMode):
    """Counts and times operations of torch, and the products and decompositions that numpy is asked for by name.

    Not counted are numpy's `@`, sparse products and other threads, and a product of a matrix with its own transpose
    counts half: what is counted is a lower bound.
    """

    def __init__(self):
        super().__init__()
        self.products: collections.Counter[str] = collections.Counter()  # operations by type of number
        self.starts, self.in_products, self.in_others = 0, 0.0, 0.0  # calls, and the seconds within them

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run one operation; one that torch makes of others is taken apart, so that its parts are counted."""
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        count = flop_registry.get(func.overloadpacket)
        if count is None and name not in IN_TORCH:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        began = time.perf_counter()
        out = func(*args, **kwargs)
        seconds = time.perf_counter() - began
        self.starts += 1
        if count is not None:
            operations = count(*args, **kwargs, out_val=out) * (0.5 if _with_itself(name, args) else 1)
            self._add(_kind(args[-2:]), operations, seconds)
        elif name in IN_TORCH:
            self._add(_kind(args), _decomposed(IN_TORCH[name], args[0].shape), seconds)
        else:
            self.in_others += seconds
        return out

    def _add(self, kind: str, operations: float, seconds: float) -> None:
        self.products[kind] += operations
        self.in_products += seconds

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is done inside."""
        with ExitStack() as stack:
            for name, what in IN_NUMPY.items():
                counted = self._numpys(getattr(np.linalg, name), functools.partial(_of_one, what))
                stack.enter_context(mock.patch.object(np.linalg, name, counted))
            stack.enter_context(mock.patch.object(np, "matmul", self._numpys(np.matmul, _of_two)))
            yield stack.enter_context(self)

    def _numpys(self, function: Callable, operations: Callable) -> Callable:
        def counted(*arrays, **options):
            began = time.perf_counter()
            out = function(*arrays, **options)
            self._add(str(np.asarray(arrays[0]).dtype), operations(*arrays), time.perf_counter() - began)
            return out

        return counted


def _with_itself(name: str, args: tuple) -> bool:
    """Whether a product is that of a matrix with its own transpose, of which one triangle is enough."""
    if name not in ("mm", "bmm"):
        return False
    a, b = args
    return a.data_ptr() == b.data_ptr() and a.shape == b.mT.shape and a.stride() == b.mT.stride()


def _kind(args: Sequence) -> str:
    tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
    return str(tensors[0].dtype).removeprefix("torch.") if tensors else "float32"


def _decomposed(what: str, shape: Sequence[int]) -> float:
    return float(np.prod(shape[:-2], initial=1) * DECOMPOSED[what](*shape[-2:]))


def _of_one(what: str, matrix: np.ndarray) -> float:
    return _decomposed(what, np.shape(matrix))


def _of_two(a: np.ndarray, b: np.ndarray) -> float:
    alone = a.__array_interface__["data"] == b.__array_interface__["data"] and a.shape == b.T.shape
    return (1 if alone else 2) * a.size * b.shape[-1]


# ------------------------------------------------------------ the workers


class Longest(NamedTuple):
    """What a worker took in a run: all its results together, and the call whose result took longest."""

    call: workers.Call
    n_results: int
    seconds: float  # of all results, as they were computed: side by side


def longest(results: Path) -> list[Longest]:
    """The workers of the results that the present code has stored in a folder, that of most seconds first."""
    found = collections.defaultdict(list)
    for path in results.glob("*/*.npz"):
        identity = store.identity(path)
        if identity and codedigest.digest(_worker(identity["worker"])) == identity["code"]:
            found[identity["worker"]].append(identity)
    taken = []
    for name, some in found.items():
        one = max(some, key=lambda identity: identity["seconds"])
        call = workers.Call(_worker(name), one["config"], one["seed"])
        taken.append(Longest(call, len(some), sum(identity["seconds"] for identity in some)))
    return sorted(taken, key=lambda worker: -worker.seconds)


@functools.cache
def _worker(name: str) -> Callable:
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


def floor(worker: Longest, whole: float) -> Floor:
    """Compute a worker's longest result twice, counted and timed; whole: the seconds of all workers' results."""
    counted = Counted()
    with counted.counting():
        _computed(worker)
    began = time.perf_counter()
    _computed(worker)
    seconds = time.perf_counter() - began
    return Floor(
        name=workers.name(worker.call.worker),
        share=worker.seconds / whole,
        n_results=worker.n_results,
        seconds=seconds,
        operations=float(sum(counted.products.values())),
        starts=counted.starts,
        products_floor=sum(operations / _rate(kind) for kind, operations in counted.products.items()),
        starts_floor=counted.starts * _start(),
        in_products=min(counted.in_products / seconds, 1.0),
        in_others=min(counted.in_others / seconds, 1.0),
    )


def _computed(worker: Longest) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        runtime.threads(1),
        runtime.exact("cpu"),
        checkpoints.kept(Path(folder)),
    ):
        worker.call("cpu")


@functools.cache
def _rate(kind: str) -> float:
    """Operations per second of one thread in products of these numbers."""
    with runtime.threads(1):
        return measure.matrix_rate.__wrapped__(kind if kind in ("float32", "bfloat16") else "float64")


@functools.cache
def _start() -> float:
    """Seconds that the smallest operation of torch takes."""
    one, n = torch.zeros(1), 10_000

    def many() -> None:
        for _ in range(n):
            one.add_(one)

    with runtime.threads(1):
        return measure.timings(many).low / n


def distances(quick: bool) -> Result:
    """Every worker of the last run beside its floor."""
    if quick:
        calls = workers.calls("feature_capacity")[:2]
        taken = [Longest(call, 1, 1.0) for call in calls]
    else:
        taken = longest(paths.cache() / "results")
    check(bool(taken), "results of the present code in the store", len(taken), "some: run ./run_all.sh before")
    whole = sum(worker.seconds for worker in taken)
    found = []
    for worker in taken:
        found.append(floor(worker, whole))
        print(found[-1].name, end=" ", flush=True)
    gap = 1 / sum(one.share * (one.products_floor + one.starts_floor) / one.seconds for one in found)
    return Result(
        met=quick or gap <= WHOLE,
        measured=f"{gap:.2g}× over {len(found)} workers, each weighted by its share of the time",
        floors=tuple(found),
        note="The shares are those of a run of everything, its results computed side by side; the rest is one result, "
        "the longest of each worker, alone and in one thread. The floor is what its products take at the rate of one "
        f"thread in large products, and {_start() * 1e6:.1f} µs for each operation that torch is asked for. Passes "
        "over memory, random numbers, the Python between and what numpy and scipy do are above it.",
    )


CASES = (
    Case(
        "floors",
        work="every worker of a cold run, one result of each",
        against="what its products and the starts of its operations take at the least",
        aim=f"≤ {WHOLE:g}× over the run",
        run=distances,
        named_only=True,
    ),
)
