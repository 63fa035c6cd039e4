"""Incidental polysemanticity: features that share a neuron by the accident of initialization.

`n_features` one-hot inputs are encoded by the rows of W [feature, neuron] and decoded by ReLU(W Wᵀ x). The loss is a
sum over features (Lecomte et al., arXiv 2312.03096, section 2),

    L = Σ_i (1 − ‖W_i‖²)² + Σ_{i≠j} ReLU(W_i·W_j)² + l1 Σ_ik |W_ik|,

    −∂L/∂W_i = 4 (1 − ‖W_i‖²) W_i  −  4 Σ_{j≠i} ReLU(W_i·W_j) W_j  −  l1 sign W_i,
                     benefit                interference           regularization

and weights start as N(0, 1/n_neurons). `l1` is the λ of this sum loss and time is that of its gradient flow dW/dt =
−∂L/∂W; the paper's simulations of one encoding have λ = l1 / 4 and t = 4 time (`lib.winner`). `winner_take_all`, the
exact course of one encoding without interference, is in `lib.winner` too.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array, csgraph
from torch import Tensor

from lib.runtime import check, generator
from lib.winner import critical_l1 as critical_l1
from lib.winner import fixed_point
from lib.winner import winner_take_all as winner_take_all

CHECK_EVERY = 20  # steps between two looks at the step's length, the groups, the zero rows and neurons
SPARSE = 8.0  # live weights per row below which rows and neurons begin to fall into groups
ARRIVED = 1e-3  # how close to its fixed point a row is followed with early=False
BATCH = 2**20  # weights that a processor works on at once: more do not fit its cache
COUNT_MODELS = ("exclusive", "independent", "free")

Weights = Float[ndarray, "*seed feature neuron"]
Counts = Int[ndarray, "*seed"] | np.int64  # a number for the weights of one seed


class Result(NamedTuple):
    """Trained weights, and how far each feature got."""

    weights: Float[ndarray, "seed feature neuron"]
    initial: Float[ndarray, "seed feature neuron"]
    residual: Float[ndarray, "seed feature"]  # share of the row's l1 norm that is off its largest weight: 0 is one-hot
    converged: Bool[ndarray, "seed feature"]  # False: time ran out first, the weights are those at that time
    dead: Bool[ndarray, "seed feature"]  # all weights are zero: l1 was too large for this feature
    time: Float[ndarray, "seed"]  # of the gradient flow, when the seed's last feature converged or time ran out
    n_steps: Int[ndarray, "seed"]


def initial_weights(n_features: int, n_neurons: int, seeds: Sequence[int]) -> Float[Tensor, "seed feature neuron"]:
    """Return N(0, 1/n_neurons) weights in float64; a seed's draw does not depend on which others are asked for."""
    _check_sizes(n_features, n_neurons)
    check(len(seeds) > 0, "seeds", seeds, "at least one seed")
    shape = (n_features, n_neurons)
    draws = [torch.randn(shape, dtype=torch.float64, generator=generator(int(seed), "weights")) for seed in seeds]
    return torch.stack(draws) / math.sqrt(n_neurons)


def loss(weights: Float[Tensor, "*seed feature neuron"], l1: float) -> Float[Tensor, "*seed"]:
    """Return the sum loss L of the module docstring."""
    overlap = weights @ weights.mT
    target = torch.eye(overlap.shape[-1], dtype=overlap.dtype, device=overlap.device)
    return (overlap.relu() - target).square().sum((-2, -1)) + l1 * weights.abs().sum((-2, -1))


def gradient(weights: Float[Tensor, "*seed feature neuron"]) -> Float[Tensor, "*seed feature neuron"]:
    """Return ∂L/∂W without the l1 term: 4 E W with E = ReLU(W Wᵀ) − 1. Costs 4 n² m flops per seed."""
    return 4 * (_error(weights) @ weights)


def train(
    n_features: int,
    n_neurons: int,
    l1: float,
    seeds: Sequence[int],
    *,
    initial: Float[Tensor, "seed feature neuron"] | None = None,
    step: float = 0.5,
    max_time: float | None = None,
    early: bool = True,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Result:
    """Return the end of the gradient flow of the sum loss, for all seeds at once.

    A step goes down the closed-form gradient, then soft-thresholds by its length times l1 (proximal gradient: dead
    weights are exactly zero). The length is `step` over a bound on the curvature, found anew every few steps for each
    seed; up to step = 1 the loss does not rise. At the default 0 to 2 rows in 100 end on another neuron than in the
    limit of small steps.

    Convergence. Live weights join features and neurons into groups that no force crosses, then or later. If no neuron
    of a group has two weights of one sign, nothing in it interferes: each row follows `winner_take_all` to its largest
    weight, and cannot die once its own loss is below 1, a dead row's. Such a row has *converged*: with `early` it is
    set to that end (one weight, at `fixed_point`), with early=False it is integrated until it is one-hot and within
    1e-3 of it. Training ends when all rows have converged, or at `max_time` (60 / l1 by default; all is decided after
    about 4 / l1) with the rest reported in `converged`. Rows and neurons that are zero or have converged are dropped
    from the computation: they can never come back.

    `seeds` draw the weights by `initial_weights` unless `initial` gives them; a seed's result does not depend on the
    other seeds up to rounding. Results are on the CPU, in `dtype`. Costs 4 n² m flops per seed and step while most
    weights live (time < 1 / l1), far less later. Unlike the paper's code (AdamW on the l1 subgradient) this is the flow
    its theory is about.
    """
    fixed_point(l1)
    check(0 < step <= 1.5, "step", step, "a number above 0 and up to 1.5, beyond which descent may be unstable")
    max_time = 60 / l1 if max_time is None else max_time
    check(max_time > 0, "max_time", max_time, "a number above 0")
    drawn = initial_weights(n_features, n_neurons, seeds)
    start = drawn if initial is None else initial
    check(start.shape == drawn.shape, "initial", tuple(start.shape), f"weights of shape {tuple(drawn.shape)}")
    check(bool(start.isfinite().all()), "initial", start, "finite weights")
    batch = max(1, BATCH // (n_features * n_neurons)) if torch.device(device).type == "cpu" else len(seeds)
    ends = [_follow(part.to(device=device, dtype=dtype), l1, step, max_time, early) for part in start.split(batch)]
    return Result(*(np.concatenate(values) for values in zip(*ends, strict=True)))


def _follow(start: Tensor, l1: float, step: float, max_time: float, early: bool) -> Result:
    flow = _Flow(start, l1, step, max_time, early)
    while flow.weights.numel():
        flow.advance(CHECK_EVERY)
        flow.retire()
    return flow.result(start.cpu())


def polysemantic_neurons(weights: Weights) -> Counts:
    """Return how many neurons two or more features use; a feature uses a neuron if |w| is at least half its row's norm.

    The paper asks for |w| between 0.8 and 1.2, which is the same for one-hot rows at small l1. Zero rows use nothing.
    """
    return (_used(weights).sum(-2) >= 2).sum(-1)


def slots(weights: Weights) -> Int[ndarray, "*seed feature"]:
    """Return each feature's largest weight as neuron + 1, with the weight's sign; 0 for a feature without weights."""
    neuron = np.abs(weights).argmax(-1)
    return np.sign(np.take_along_axis(weights, neuron[..., None], -1)[..., 0]).astype(int) * (neuron + 1)


class Signs(NamedTuple):
    """Pairs of features that use the same neuron, by the signs of their weights on it."""

    opposite: Counts
    same: Counts


def collision_signs(weights: Weights) -> Signs:
    """Return how many pairs of features use one neuron (as in `polysemantic_neurons`), by their signs there."""
    used = _used(weights)
    plus, minus = (used & (weights > 0)).sum(-2), (used & (weights < 0)).sum(-2)
    same = (plus * (plus - 1) + minus * (minus - 1)) // 2
    return Signs((plus * minus).sum(-1), same.sum(-1))


def expected_polysemantic(n_features: int, n_neurons: int, model: str = "exclusive") -> float:
    """Return the expected number of polysemantic neurons if winners are uniform over neurons and signs are fair coins.

    - "exclusive": each of the 2m slots (neuron, sign) holds one of the n features, the loser of a same-sign collision
      draws another free slot: n (n − 1) / (2 (2m − 1)). The paper's n² / 4m is its limit.
    - "independent": the losers go where nobody is: m [1 − 2 (1 − 1/2m)^n + (1 − 1/m)^n].
    - "free": no interference, any features and signs on a neuron: m [1 − (1 − 1/m)^n − (n/m) (1 − 1/m)^(n−1)].

    Derived here; exact for its model. ValueError for another model, and for more features than slots under "exclusive".
    """
    _check_sizes(n_features, n_neurons)
    check(model in COUNT_MODELS, "model", model, f"one of {', '.join(COUNT_MODELS)}")
    n, m = n_features, n_neurons
    if model == "exclusive":
        _check_slots(n, m)
        return n * (n - 1) / (2 * (2 * m - 1))
    if model == "independent":
        return m * (1 - 2 * (1 - 1 / (2 * m)) ** n + (1 - 1 / m) ** n)
    return m * (1 - (1 - 1 / m) ** n - n / m * (1 - 1 / m) ** (n - 1))


def polysemantic_variance(n_features: int, n_neurons: int) -> float:
    """Return the exact variance of the count under "exclusive" of `expected_polysemantic`: its mean for m ≫ n."""
    mean = expected_polysemantic(n_features, n_neurons)
    n, m = n_features, n_neurons
    ordered_pairs = n * (n - 1) * (n - 2) * (n - 3) / (4 * (2 * m - 1) * (2 * m - 3))  # E count (count − 1)
    return ordered_pairs + mean - mean**2


class _Flow:
    """The rows and neurons still in motion [seed, row, column] with their places in the whole; `ends` has the ended."""

    def __init__(self, weights: Tensor, l1: float, step: float, max_time: float, early: bool):
        self.weights, self.l1, self.step, self.max_time, self.early = weights, l1, step, max_time, early
        n_seeds, n_rows, n_columns = weights.shape
        self.seeds = torch.arange(n_seeds, device=weights.device)
        self.rows = torch.arange(n_rows, device=weights.device).expand(n_seeds, n_rows)
        self.columns = torch.arange(n_columns, device=weights.device).expand(n_seeds, n_columns)
        self.time = torch.zeros(n_seeds, dtype=torch.float64, device=weights.device)
        self.ends = torch.zeros_like(weights)
        self.converged = torch.zeros((n_seeds, n_rows), dtype=torch.bool, device=weights.device)
        self.end_time = torch.zeros_like(self.time)
        self.end_steps = torch.zeros(n_seeds, dtype=torch.long, device=weights.device)
        self.n_steps = 0

    def advance(self, n_steps: int) -> None:
        """Take proximal steps of the length that the curvature allows."""
        length = self.step / _curvature(self.weights)
        threshold = (self.l1 * length)[:, None, None]
        for _ in range(n_steps):
            pull = _error(self.weights).mul_(-4 * length[:, None, None])
            moved = torch.baddbmm(self.weights, pull, self.weights)
            self.weights = moved.sub_(moved.clamp(-threshold, threshold))
        self.time += n_steps * length.double()
        self.n_steps += n_steps

    def retire(self) -> None:
        """Record the rows whose fate is sealed, and all rows of seeds out of time; drop what is zero."""
        if not bool(self.weights.isfinite().all()):
            raise RuntimeError(f"training diverged after {self.n_steps} steps: use a smaller step than {self.step}")
        live = self.weights != 0
        sparse = live.sum((1, 2)) < SPARSE * live.any(-1).sum(1)
        if sparse.any():
            self._settle(sparse)
        out_of_time = self.time >= self.max_time
        self._record(out_of_time[:, None] & self.weights.any(-1), self.weights, converged=False)
        self._compact()

    def _settle(self, sparse: Tensor) -> None:
        sealed = _sealed(self.weights.where(sparse[:, None, None], 0), self.l1)
        size, winner = self.weights.abs().max(-1)
        rest = fixed_point(self.l1)
        if not self.early:
            sealed &= ((self.weights != 0).sum(-1) == 1) & ((size - rest).abs() < ARRIVED)
        final = torch.zeros_like(self.weights)
        signs = self.weights.gather(-1, winner[..., None]).sign()
        final.scatter_(-1, winner[..., None], rest * signs)
        self._record(sealed, final if self.early else self.weights, converged=True)

    def _record(self, chosen: Tensor, values: Tensor, converged: bool) -> None:
        """Write the chosen rows [seed, row] to their places and take them out of the motion."""
        seed, row = chosen.nonzero(as_tuple=True)
        whole = torch.zeros((len(seed), self.ends.shape[-1]), dtype=values.dtype, device=values.device)
        # padding columns of a compacted seed are zero and repeat a place, hence a sum
        whole.scatter_add_(-1, self.columns[seed], values[seed, row])
        self.ends[self.seeds[seed], self.rows[seed, row]] = whole
        self.converged[self.seeds[seed], self.rows[seed, row]] = converged
        self.weights = self.weights.masked_fill(chosen[..., None], 0)

    def _compact(self) -> None:
        live = self.weights != 0
        moving = live.any(-1).any(-1)
        ended = self.seeds[~moving]
        self.end_time[ended], self.end_steps[ended] = self.time[~moving], self.n_steps
        self.seeds, self.time, self.weights = self.seeds[moving], self.time[moving], self.weights[moving]
        rows, columns = _live_first(live.any(-1)[moving]), _live_first(live.any(-2)[moving])
        batch = torch.arange(len(self.seeds), device=live.device)[:, None, None]
        self.weights = self.weights[batch, rows[:, :, None], columns[:, None, :]]
        self.rows, self.columns = self.rows[moving].gather(1, rows), self.columns[moving].gather(1, columns)

    def result(self, initial: Tensor) -> Result:
        ends = self.ends.cpu()
        dead = ~ends.any(-1)
        largest, total = ends.abs().amax(-1), ends.abs().sum(-1)
        residual = torch.where(dead, 0.0, 1 - largest / total)
        values = (ends, initial, residual, self.converged.cpu() | dead, dead, self.end_time.cpu(), self.end_steps.cpu())
        return Result(*(value.numpy() for value in values))


def _error(weights: Tensor) -> Tensor:
    """Return E = ReLU(W Wᵀ) − 1. A zero row's −1 is wrong, but meets only its zero weights wherever E is used."""
    overlap = (weights @ weights.mT).clamp_(min=0)
    overlap.diagonal(dim1=-2, dim2=-1).sub_(1)
    return overlap


def _curvature(weights: Tensor, n_iterations: int = 8) -> Float[Tensor, "seed"]:
    """Return 4 (ρ(ReLU(S) off the diagonal) + max |1 − S_ii| + 2 ρ(S)) for S = W Wᵀ: a bound on the loss's curvature.

    The spectral radii ρ come from a few power iterations, some percent low, which the bound's slack (about twofold)
    covers.
    """
    overlap = weights @ weights.mT
    own = overlap.diagonal(dim1=-2, dim2=-1)
    positive = overlap.relu() - torch.diag_embed(own)
    vector = torch.ones_like(own)
    mixed = torch.arange(own.shape[-1]).cos().to(own).expand_as(own)  # of both signs; padding does not change its start
    imbalance = ((1 - own).abs() * (own > 0)).amax(-1)
    return 4 * (_radius(positive, vector, n_iterations) + imbalance + 2 * _radius(overlap, mixed, n_iterations))


def _radius(matrix: Tensor, vector: Tensor, n_iterations: int) -> Tensor:
    norm = vector.norm(dim=-1)
    for _ in range(n_iterations):
        vector = vector / norm.clamp(min=torch.finfo(norm.dtype).tiny)[:, None]
        vector = (matrix @ vector[..., None])[..., 0]
        norm = vector.norm(dim=-1)
    return norm


def _sealed(weights: Tensor, l1: float) -> Bool[Tensor, "seed row"]:
    """Return the rows that cannot die, in groups where no neuron has two weights of one sign."""
    n_seeds, n_rows, n_columns = weights.shape
    crowded = (((weights > 0).sum(-2) > 1) | ((weights < 0).sum(-2) > 1)).flatten().cpu().numpy()
    seed, row, column = (index.cpu().numpy() for index in weights.nonzero(as_tuple=True))
    all_rows = n_seeds * n_rows
    n_nodes = all_rows + n_seeds * n_columns  # rows first, then columns
    ends = (seed * n_rows + row, all_rows + seed * n_columns + column)
    edges = coo_array((np.ones(len(row), dtype=np.int8), ends), shape=(n_nodes, n_nodes))
    _, group = csgraph.connected_components(edges, directed=False)
    troubled = np.zeros(n_nodes, dtype=bool)
    troubled[group[all_rows:][crowded]] = True
    calm = torch.from_numpy(~troubled[group[:all_rows]]).reshape(n_seeds, n_rows).to(weights.device)
    size, live = weights.abs(), (weights != 0).sum(-1)
    immortal = (1 - weights.square().sum(-1)).square() + l1 * size.sum(-1) < 1  # below the loss of a dead row
    resting = (live == 1) & (size.amax(-1) > 3**-0.5)  # drawn to the fixed point, which is above
    return calm & (live > 0) & (immortal | resting)


def _live_first(live: Bool[Tensor, "seed place"]) -> Int[Tensor, "seed kept"]:
    """Return each seed's live places, then dead ones up to the largest number of live places of any seed."""
    kept = int(live.sum(1).max()) if live.numel() else 0
    return live.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :kept]


def _used(weights: Weights) -> Bool[ndarray, "*seed feature neuron"]:
    check(weights.size > 0, "weights", weights.shape, "at least one feature and one neuron")
    check(bool(np.isfinite(weights).all()), "weights", weights, "finite numbers")
    norms = np.linalg.norm(weights, axis=-1, keepdims=True)
    return (np.abs(weights) >= norms / 2) & (norms > 0)


def _check_sizes(n_features: int, n_neurons: int) -> None:
    check(n_features >= 1, "n_features", n_features, "an integer of at least 1")
    check(n_neurons >= 1, "n_neurons", n_neurons, "an integer of at least 1")


def _check_slots(n_features: int, n_neurons: int) -> None:
    allowed = f"at most 2 n_neurons = {2 * n_neurons}, one feature per neuron and sign"
    check(n_features <= 2 * n_neurons, "n_features", n_features, allowed)
