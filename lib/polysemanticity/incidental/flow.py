"""The gradient flow of the sum loss with l1 (`incidental`) to its end, dense first, then live weights only.

l1 kills nearly all weights long before the rest has settled. While they live, a step is two products of full matrices
(`_Dense`). Later the live weights are a list, and all that interacts are pairs of them on one neuron (`_Sparse`): their
number falls as the fourth power of time.

A step is that of Adams and Bashforth, second order in its length h at one gradient: with F = −∂L/∂W but for l1,

    W ← soft(W + h_k (1 + r/2) F_k − h_k (r/2) F_{k−1},  h_k l1),      r = h_k / h_{k−1}.

The tax l1 is constant in time, hence exact; the local error is (5/12) h³ |d²F/dt²| per step between kinks (a death, a
product of rows that changes sign), and each kink is placed to within h.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array, csgraph, csr_array
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.incidental.winner import fixed_point

CHECK_EVERY = 20  # steps between two looks at the step's length and at which weights, pairs and rows are still in play
SPARSE = 8.0  # live weights per row below which rows and neurons begin to fall into groups
ARRIVED = 1e-3  # how close to its fixed point a row is followed with early=False
BATCH = 2**20  # weights that a processor works on at once: more do not fit its cache
LISTED = 1 / 200  # pairs of live weights per n² m below which a step on the list is faster than a dense one
ALONE = 2**14  # pairs of live weights above which a seed's list is followed alone: more do not fit the cache
MARGIN = 0.8  # share of l1 that the pull on a dead weight must reach for it to be listed


class End(NamedTuple):
    """Where the flow ended; `incidental.Result` says what the fields mean."""

    weights: Float[ndarray, "seed feature neuron"]
    converged: Bool[ndarray, "seed feature"]
    time: Float[ndarray, "seed"]
    n_steps: Int[ndarray, "seed"]


def to_the_end(
    start: Float[Tensor, "seed feature neuron"], l1: float, step: float, max_time: float, early: bool
) -> End:
    """Return the end of the flow from `start`, on the device and in the precision of `start` while it is dense.

    `incidental.train` documents the arguments. The list is in float64 on the CPU.
    """
    dtype = start[:0].cpu().numpy().dtype
    course = _Course(start.shape, dtype, l1, step, max_time, early)
    batch = max(1, BATCH // start[0].numel()) if start.device.type == "cpu" else len(start)
    batches = start.split(batch)
    parts: list = []  # of each seed: its number, its places, weights and last forces
    for number in checkpoints.steps(len(batches), *course.state(), parts):
        for seed, weights, force in _dense(batches[number], number * batch, course):
            sparse = _Sparse.of(seed, weights, force, course)
            sparse.run(ALONE)
            parts += [seed, sparse.place, sparse.weights, sparse.force]
    few = [_Sparse(*values, course, seed) for seed, *values in zip(*[iter(parts)] * 4, strict=True)]
    _Sparse.joined(sorted(few, key=lambda part: part.seed), course).run()
    return End(course.ends, course.converged, course.time, course.n_steps)


class _Course:
    """What holds for all seeds: the settings, each seed's clock, and the rows that have ended."""

    def __init__(self, shape: torch.Size, dtype: np.dtype, l1: float, step: float, max_time: float, early: bool):
        self.n_seeds, self.n_rows, self.n_columns = shape
        self.l1, self.step, self.max_time, self.early = l1, step, max_time, early
        self.ends = np.zeros(shape, dtype)
        self.converged = np.zeros(shape[:2], dtype=bool)
        self.time, self.n_steps = np.zeros(self.n_seeds), np.zeros(self.n_seeds, dtype=int)
        self.last_length = np.full(self.n_seeds, np.inf)  # of a seed's last step; infinite before the first

    def state(self) -> tuple[ndarray, ...]:
        """What changes, in place."""
        return self.ends, self.converged, self.time, self.n_steps, self.last_length

    def tick(self, seeds: ndarray, lengths: ndarray) -> None:
        self.time[seeds] += CHECK_EVERY * lengths
        self.n_steps[seeds] += CHECK_EVERY
        self.last_length[seeds] = lengths

    def check_finite(self, finite: bool, seeds: ndarray) -> None:
        if not finite:
            steps = self.n_steps[seeds].max()
            raise RuntimeError(f"training diverged after {steps} steps: use a smaller step than {self.step}")


def _dense(weights: Tensor, first: int, course: _Course) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Follow a batch of seeds, numbered from `first`; give each back, with its last force, once a list is faster."""
    seeds, force = np.arange(first, first + len(weights)), torch.zeros_like(weights)
    few = max(LISTED * weights[0, 0].numel() * weights.shape[1] ** 2, 4 * weights.shape[1])
    while len(seeds):
        listed = (_n_pairs(weights != 0) <= few).cpu().numpy() | (course.time[seeds] >= course.max_time)
        for place in np.flatnonzero(listed):
            yield int(seeds[place]), weights[place], force[place]
        if listed.any():
            kept = torch.from_numpy(~listed).to(weights.device)
            seeds, weights, force = seeds[~listed], weights[kept], force[kept]
        if len(seeds):
            length = course.step / curvature(weights)
            last = torch.from_numpy(course.last_length[seeds]).to(length)
            weights, force = _advance(weights, force, course.l1, length, last)
            course.tick(seeds, length.double().cpu().numpy())
            course.check_finite(bool(weights.isfinite().all()), seeds)


def _advance(weights: Tensor, force: Tensor, l1: float, length: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Take CHECK_EVERY steps of the given length per seed after one of length `last` with that force."""
    length, last = length[:, None, None], last[:, None, None]
    threshold = l1 * length
    for _ in range(CHECK_EVERY):
        before, force = force, torch.bmm(error(weights).mul_(-4), weights)
        ratio, last = length / last, length
        moved = torch.addcmul(weights, force, length * (1 + ratio / 2)).addcmul_(before, -length * ratio / 2)
        weights = moved.sub_(moved.clamp(-threshold, threshold))
    return weights, force


class _Sparse:
    """Weights in play as a list in order of their places (seed, row, column), and their pairs on one neuron.

    In play are the live weights, and dead ones that interference pulls on with at least MARGIN l1: it takes l1 to
    revive them. The pull on all others is looked at after every block of steps; a block in which it would have revived
    one is taken back and done again with that one in play.
    """

    def __init__(self, place: ndarray, weights: ndarray, force: ndarray, course: _Course, seed: int = 0):
        self.place, self.weights, self.force, self.course = place, weights, force, course
        self.seed = seed  # the first

    @classmethod
    def of(cls, seed: int, weights: Tensor, force: Tensor, course: _Course) -> "_Sparse":
        place = weights.flatten().nonzero()[:, 0]
        values = (tensor.flatten()[place].double().cpu().numpy() for tensor in (weights, force))
        return cls(place.cpu().numpy() + seed * weights.numel(), *values, course, seed)

    @classmethod
    def joined(cls, parts: list["_Sparse"], course: _Course) -> "_Sparse":
        fields = ([getattr(part, name) for part in parts] for name in ("place", "weights", "force"))
        return cls(*(np.concatenate(values) for values in fields), course)

    def run(self, n_pairs: int = -1) -> None:
        """Go on until all rows have ended, or until at most `n_pairs` pairs of weights are left."""
        self._retire()
        if len(self.place):
            self._index()
            self._extend(self._pulled()[0])
        while len(self.place) and len(self.first) > n_pairs:
            pulled = self._block()
            self._retire()
            self._index()
            self._extend(pulled[np.isin(pulled // self.course.n_columns, self.rows)])

    def _block(self) -> Int[ndarray, "place"]:
        """Take CHECK_EVERY steps, again if more weights should have been in play; return those to be in play next."""
        length = self.course.step / self._curvature()
        weights, force = self.weights, self.force
        while True:
            self._advance(length)
            self.course.check_finite(bool(np.isfinite(self.weights).all()), self.seeds)
            pulled, revived = self._pulled()
            missed = np.setdiff1d(pulled[revived], self.place, assume_unique=True)
            if not len(missed):
                self.course.tick(self.seeds, length)
                return pulled
            self.weights, self.force = weights, force
            self._extend(missed)
            weights, force = self.weights, self.force

    def _advance(self, length: ndarray) -> None:
        """Take CHECK_EVERY steps of the given length per seed."""
        seed, last = self.seed_of_row[self.row], self.course.last_length[self.seeds]
        length, last = length[seed], last[seed]
        first, second, key, row, n = self.first, self.second, self.key, self.row, len(self.weights)
        threshold, weights = self.course.l1 * length, self.weights
        for _ in range(CHECK_EVERY):
            benefit = 1 - np.bincount(row, weights * weights)
            one, other = weights.take(first), weights.take(second)
            overlap = np.maximum(np.bincount(key, one * other, 1), 0).take(key)
            pushed = np.bincount(first, overlap * other, n) + np.bincount(second, overlap * one, n)
            before, self.force = self.force, 4 * (benefit.take(row) * weights - pushed)
            ratio, last = length / last, length
            change = self.force + ratio / 2 * (self.force - np.where(np.isnan(before), self.force, before))
            moved = weights + length * change
            weights = moved - np.clip(moved, -threshold, threshold)
        self.weights = weights

    def _index(self) -> None:
        """Number the rows, neurons and seeds in play, and list the pairs of weights on one neuron."""
        course = self.course
        self.rows, self.row = np.unique(self.place // course.n_columns, return_inverse=True)
        self.seeds, self.seed_of_row = np.unique(self.rows // course.n_rows, return_inverse=True)
        column = self.place % course.n_columns + self.seed_of_row[self.row] * course.n_columns
        self.columns, self.column = np.unique(column, return_inverse=True)
        self.first, self.second = _pairs(self.column)
        self.key = self.row.take(self.first) * len(self.rows) + self.row.take(self.second)
        if len(self.rows) ** 2 > len(self.key):
            self.key = np.unique(self.key, return_inverse=True)[1]

    def _extend(self, places: Int[ndarray, "place"]) -> None:
        """Put weights in play that are not; their last force is not known."""
        dead = np.setdiff1d(places, self.place, assume_unique=True)
        if len(dead):
            place = np.concatenate([self.place, dead])
            order = np.argsort(place)
            self.place = place[order]
            self.weights = np.concatenate([self.weights, np.zeros(len(dead))])[order]
            self.force = np.concatenate([self.force, np.full(len(dead), np.nan)])[order]
            self._index()

    def _overlaps(self) -> tuple[csr_array, csr_array]:
        """Return the weights [row, column] and their overlaps S [row, row], of all seeds side by side."""
        shape = len(self.rows), len(self.columns)
        weights = csr_array((self.weights, (self.row, self.column)), shape=shape)
        return weights, weights @ weights.T

    def _pulled(self) -> tuple[Int[ndarray, "place"], Bool[ndarray, "place"]]:
        """Return the weights that interference pulls on with more than MARGIN l1, and for which it is more than l1."""
        weights, overlap = self._overlaps()
        pull = (4 * _positive(overlap) @ weights).tocoo()
        size = np.abs(pull.data)
        strong = size > MARGIN * self.course.l1
        row, column = pull.row[strong].astype(np.int64), self.columns[pull.col[strong]]
        place = self.rows[row] * self.course.n_columns + column % self.course.n_columns
        return place, size[strong] > self.course.l1

    def _curvature(self) -> Float[ndarray, "seed"]:
        """Return `curvature` of each seed."""
        overlap = self._overlaps()[1]
        own, seed = overlap.diagonal(), self.seed_of_row
        imbalance = np.zeros(len(self.seeds))
        np.maximum.at(imbalance, seed, np.where(own > 0, np.abs(1 - own), 0))
        mixed = np.cos(self.rows % self.course.n_rows)
        crossed = _radii(_positive(overlap), np.ones(len(own)), seed)
        return 4 * (crossed + imbalance + 2 * _radii(overlap, mixed, seed))

    def _retire(self) -> None:
        """Record the rows whose fate is sealed, and all rows of seeds out of time; drop them and what is dead."""
        self._keep(self.weights != 0)
        if not len(self.place):
            return
        course = self.course
        self._index()
        size = np.abs(self.weights)
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))  # the list is in order of rows
        largest, n_live = np.maximum.reduceat(size, starts), np.bincount(self.row)
        seed, rest = self.seed_of_row, fixed_point(course.l1)
        sealed = (np.bincount(seed, n_live) < SPARSE * np.bincount(seed))[seed]
        if sealed.any():
            sealed &= self._sealed(size, largest, n_live)
        if not course.early:
            sealed &= (n_live == 1) & (np.abs(largest - rest) < ARRIVED)
        timeless = ~sealed & (course.time[self.seeds] >= course.max_time)[seed]
        course.converged.reshape(-1)[self.rows[sealed]] = True
        ended, values = (sealed | timeless)[self.row], self.weights
        if course.early:
            chosen = np.flatnonzero(size == largest[self.row])
            winner = np.zeros(len(size), dtype=bool)
            winner[chosen[np.unique(self.row[chosen], return_index=True)[1]]] = True  # one, should two be equal
            values = np.where(sealed[self.row], rest * np.sign(values) * winner, values)
        course.ends.reshape(-1)[self.place[ended]] = values[ended]
        self._keep(~ended)

    def _keep(self, chosen: Bool[ndarray, "weight"]) -> None:
        self.place, self.weights, self.force = self.place[chosen], self.weights[chosen], self.force[chosen]

    def _sealed(self, size: ndarray, largest: ndarray, n_live: ndarray) -> Bool[ndarray, "row"]:
        """Return the rows that cannot die, in groups where no neuron has two weights of one sign."""
        n_rows, n_nodes = len(self.rows), len(self.rows) + len(self.columns)  # rows first, then columns
        edges = coo_array((np.ones(len(size)), (self.row, n_rows + self.column)), shape=(n_nodes, n_nodes))
        group = csgraph.connected_components(edges, directed=False)[1]
        n_plus, n_minus = (np.bincount(self.column, sign * self.weights > 0) for sign in (1, -1))
        troubled = np.zeros(n_nodes, dtype=bool)
        troubled[group[n_rows:][(n_plus > 1) | (n_minus > 1)]] = True
        loss = (1 - np.bincount(self.row, size**2)) ** 2 + self.course.l1 * np.bincount(self.row, size)
        resting = (n_live == 1) & (largest > 3**-0.5)  # drawn to the fixed point, which is above
        return ~troubled[group[:n_rows]] & ((loss < 1) | resting)  # 1 is a dead row's loss


def error(weights: Tensor) -> Tensor:
    """Return E = ReLU(W Wᵀ) − 1. A zero row's −1 is wrong, but meets only its zero weights wherever E is used."""
    overlap = (weights @ weights.mT).clamp_(min=0)
    overlap.diagonal(dim1=-2, dim2=-1).sub_(1)
    return overlap


def curvature(weights: Tensor, n_iterations: int = 8) -> Float[Tensor, "seed"]:
    """Return 4 (ρ(ReLU(S) off the diagonal) + max |1 − S_ii| + 2 ρ(S)) for S = W Wᵀ: a bound on the loss's curvature.

    The spectral radii ρ come from a few power iterations, some percent low, which the bound's slack covers (it is up to
    twofold, and none at one-hot rows, where the iterations are exact).
    """
    overlap = weights @ weights.mT
    own = overlap.diagonal(dim1=-2, dim2=-1)
    positive = overlap.relu() - torch.diag_embed(own)
    vector = torch.ones_like(own)
    mixed = torch.arange(own.shape[-1]).cos().to(own).expand_as(own)  # of both signs
    imbalance = ((1 - own).abs() * (own > 0)).amax(-1)
    return 4 * (_radius(positive, vector, n_iterations) + imbalance + 2 * _radius(overlap, mixed, n_iterations))


def _radius(matrix: Tensor, vector: Tensor, n_iterations: int) -> Tensor:
    norm = vector.norm(dim=-1)
    for _ in range(n_iterations):
        vector = vector / norm.clamp(min=torch.finfo(norm.dtype).tiny)[:, None]
        vector = (matrix @ vector[..., None])[..., 0]
        norm = vector.norm(dim=-1)
    return norm


def _radii(matrix: csr_array, vector: ndarray, seed: Int[ndarray, "row"], n_iterations: int = 8) -> ndarray:
    """Return the spectral radius of each seed's block of a matrix."""
    norm = np.sqrt(np.bincount(seed, vector**2))
    for _ in range(n_iterations):
        vector = matrix @ (vector / np.maximum(norm, np.finfo(float).tiny)[seed])
        norm = np.sqrt(np.bincount(seed, vector**2))
    return norm


def _positive(overlap: csr_array) -> csr_array:
    """Return ReLU(S) off the diagonal."""
    entries = overlap.tocoo()
    kept = (entries.data > 0) & (entries.row != entries.col)
    return csr_array((entries.data[kept], (entries.row[kept], entries.col[kept])), shape=overlap.shape)


def _n_pairs(live: Bool[Tensor, "seed row column"]) -> Int[Tensor, "seed"]:
    on_neuron = live.sum(-2)
    return (on_neuron * (on_neuron - 1) // 2).sum(-1)


def _pairs(column: Int[ndarray, "weight"]) -> tuple[ndarray, ndarray]:
    """Return all pairs of weights on one column."""
    order, counts = np.argsort(column, kind="stable"), np.bincount(column)
    ends = np.repeat(np.cumsum(counts), counts)  # of each weight's column, in that order
    n_later = ends - 1 - np.arange(len(order))
    first = np.repeat(np.arange(len(order)), n_later)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(n_later) - n_later, n_later)
    return order[first], order[second]
