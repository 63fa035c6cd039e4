"""Incidental polysemanticity: features that share a neuron by the accident of initialization.

`n_features` one-hot inputs are encoded by the rows of W [feature, neuron] and decoded by ReLU(W Wᵀ x). The loss is a
sum over features (Lecomte et al., arXiv 2312.03096, section 2),

    L = Σ_i (1 − ‖W_i‖²)² + Σ_{i≠j} ReLU(W_i·W_j)² + l1 Σ_ik |W_ik|,

    −∂L/∂W_i = 4 (1 − ‖W_i‖²) W_i  −  4 Σ_{j≠i} ReLU(W_i·W_j) W_j  −  l1 sign W_i,
                     benefit                interference           regularization

and weights start as N(0, 1/n_neurons). `l1` is the λ of this sum loss and time is that of its gradient flow dW/dt =
−∂L/∂W; the paper's simulations of one encoding have λ = l1 / 4 and t = 4 time. `winner_take_all`, the exact course of
one encoding without interference, is in `incidental.winner`.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from polysemanticity.base import arrays
from polysemanticity.base.checks import check
from polysemanticity.base.streams import generator
from polysemanticity.incidental import flow, optimizers
from polysemanticity.incidental.winner import critical_l1 as critical_l1
from polysemanticity.incidental.winner import fixed_point, survives
from polysemanticity.incidental.winner import winner_take_all as winner_take_all

JITTER, DEAD = 0.01, 0.1  # an optimizer's weights below the first are zero, rows below the second are dead
COUNT_MODELS = ("exclusive", "independent", "free")

Weights = Float[ndarray, "*seed feature neuron"]
Given = Any  # weights as numpy, torch on any device and of any type, or a data frame
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
    return 4 * (flow.error(weights) @ weights)


class DyingFeatures(Warning):
    """l1 is above the critical value of some features: they lose all their weights."""


def train(
    n_features: int,
    n_neurons: int,
    l1: float,
    seeds: Sequence[int],
    *,
    method: str = "flow",
    initial: Float[Tensor, "seed feature neuron"] | None = None,
    step: float = 0.7,
    max_time: float | None = None,
    early: bool = True,
    n_steps: int = 7500,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Result:
    """Return the end of training on the sum loss, for all seeds at once: of the gradient flow, or of an optimizer.

    *The flow* (`method="flow"`, `flow`). Each step extrapolates two closed-form gradients, then soft-thresholds by
    its length times l1: dead weights are exactly zero. The length is `step` over a bound on the curvature, found anew
    every few steps for each seed. The error at a given time is of second order in `step`; at the default about 3 rows
    in 1000 end on another neuron than in the limit of small steps, of 0.2 hardly any.

    *Convergence.* Live weights join features and neurons into groups that no force crosses, then or later. If no neuron
    of a group has two weights of one sign, nothing in it interferes: each row follows `winner_take_all` to its largest
    weight, and cannot die once its own loss is below 1, a dead row's. Such a row has *converged*: with `early` it is
    set to that end (one weight, at `fixed_point`), with early=False it is integrated until it is one-hot and within
    1e-3 of it. Training ends when all rows have converged, or at `max_time` (60 / l1 by default; all is decided after
    about 4 / l1) with the rest reported in `converged`.

    *Optimizers* ("adamw" with the paper's settings, "adam", "sign": `incidental.optimizers`) take `n_steps` steps at
    `learning_rate` on the l1 subgradient, whatever has become of the rows by then; with `early` they end once all rows
    have been one-hot for a while. Dead weights jitter around zero; a row has converged if one weight alone is above
    0.01, and is dead if none is above 0.1. `time` is the product of `n_steps` and `learning_rate`.

    `seeds` draw the weights by `initial_weights` unless `initial` gives them; a seed's result does not depend on the
    other seeds up to rounding. Results are on the CPU, in `dtype`. Costs 4 n² m flops per seed and step; in the flow
    only while most weights live (time < 0.2 / l1), far less later.

    ValueError for sizes below 1, no seeds, l1 ≤ 0 or beyond what any weight survives, weights that are not finite.
    Warns with `DyingFeatures` if l1 is above the `critical_l1` of features of the first seed, and says of how many.
    """
    fixed_point(l1)
    check(method in ("flow", *optimizers.METHODS), "method", method, f"one of flow, {', '.join(optimizers.METHODS)}")
    check(0 < step <= 0.9, "step", step, "a number above 0 and up to 0.9, beyond which the steps may be unstable")
    max_time = 60 / l1 if max_time is None else max_time
    check(max_time > 0, "max_time", max_time, "a number above 0")
    start = _start(n_features, n_neurons, seeds, initial)
    dying = _n_dying(start[0].numpy(force=True), l1)
    if dying:
        text = f"l1 = {l1:g} is too large for {dying} of {n_features} features of the first seed: they will die"
        warnings.warn(text, DyingFeatures, stacklevel=2)
    start = start.to(device=device, dtype=dtype)
    if method == "flow":
        return _flow_result(start.cpu().numpy(), flow.to_the_end(start, l1, step, max_time, early))
    weights = optimizers.published_descent(start, l1, method, n_steps, learning_rate, weight_decay, early)
    return _descent_result(start.cpu().numpy(), weights.cpu().numpy(), n_steps, learning_rate)


def _start(n_features: int, n_neurons: int, seeds: Sequence[int], initial: Tensor | None) -> Tensor:
    if initial is None:
        return initial_weights(n_features, n_neurons, seeds)
    _check_sizes(n_features, n_neurons)
    check(len(seeds) > 0, "seeds", seeds, "at least one seed")
    shape = (len(seeds), n_features, n_neurons)
    check(initial.shape == shape, "initial", tuple(initial.shape), f"weights of shape {shape}")
    check(bool(initial.isfinite().all()), "initial", initial, "finite weights")
    return initial


def _n_dying(weights: Float[ndarray, "feature neuron"], l1: float) -> int:
    """Return how many features would die without interference; rows that are zero already do not count."""
    largest = np.abs(weights).max(-1)
    doubtful = (largest > 0) & (l1 > 1.5 * largest)  # below, Gaussian encodings survive; above 4 times, none does
    rows = zip(weights[doubtful], largest[doubtful], strict=True)
    return sum(1 for row, size in rows if l1 > 4 * size or not survives(row, l1))


def _flow_result(initial: Float[ndarray, "seed feature neuron"], end: flow.End) -> Result:
    dead = ~end.weights.any(-1)
    return Result(end.weights, initial, _residual(end.weights), end.converged | dead, dead, end.time, end.n_steps)


def _descent_result(initial: ndarray, weights: ndarray, n_steps: int, learning_rate: float) -> Result:
    if not np.isfinite(weights).all():
        raise RuntimeError(f"training diverged: use a smaller learning_rate than {learning_rate}")
    size, each = np.abs(weights), np.ones(len(weights))
    dead, one_hot = size.max(-1) < DEAD, (size > JITTER).sum(-1) == 1
    steps = (n_steps * each).astype(int)
    return Result(weights, initial, _residual(weights), dead | one_hot, dead, n_steps * learning_rate * each, steps)


def _residual(weights: Float[ndarray, "seed feature neuron"]) -> Float[ndarray, "seed feature"]:
    size = np.abs(weights)
    total = size.sum(-1)
    return np.where(total > 0, 1 - size.max(-1) / np.where(total > 0, total, 1), 0)


def polysemantic_neurons(weights: Given, window: tuple[float, float] | None = None, features: str = "rows") -> Counts:
    """Return how many neurons two or more features use; a feature uses a neuron if |w| is at least half its row's norm.

    The paper asks for |w| in the `window` (0.8, 1.2) instead, which is the same for one-hot rows at small l1. Zero rows
    use nothing. features: "rows" or "columns", where they are. ValueError for weights that are no finite numbers.
    """
    weights = _given(weights, features)
    used = _used(weights)
    if window is not None:
        used = (np.abs(weights) >= window[0]) & (np.abs(weights) <= window[1])
    return (used.sum(-2) >= 2).sum(-1)


def slots(weights: Given, features: str = "rows") -> Int[ndarray, "*seed feature"]:
    """Return each feature's largest weight as neuron + 1, with the weight's sign; 0 for a feature without weights."""
    weights = _given(weights, features)
    neuron = np.abs(weights).argmax(-1)
    return np.sign(np.take_along_axis(weights, neuron[..., None], -1)[..., 0]).astype(int) * (neuron + 1)


class Signs(NamedTuple):
    """Pairs of features that use the same neuron, by the signs of their weights on it."""

    opposite: Counts
    same: Counts


def collision_signs(weights: Given, features: str = "rows") -> Signs:
    """Return how many pairs of features use one neuron (as in `polysemantic_neurons`), by their signs there."""
    weights = _given(weights, features)
    used = _used(weights)
    plus, minus = (used & (weights > 0)).sum(-2), (used & (weights < 0)).sum(-2)
    same = (plus * (plus - 1) + minus * (minus - 1)) // 2
    return Signs((plus * minus).sum(-1), same.sum(-1))


def expected_polysemantic(n_features: int, n_neurons: int, model: str = "exclusive") -> float:
    r"""Return the expected number of polysemantic neurons if winners are uniform over neurons and signs are fair coins.

    - "exclusive": each of the 2m slots (neuron, sign) holds one of the n features, the loser of a same-sign collision
      draws another free slot: $n(n-1)/(2(2m-1))$. The paper's $n^2/4m$ is its limit.
    - "independent": the losers go where nobody is: $m[1-2(1-1/2m)^n+(1-1/m)^n]$.
    - "free": no interference, any features and signs on a neuron: $m[1-(1-1/m)^n-(n/m)(1-1/m)^{n-1}]$.

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


def _given(weights: Given, features: str) -> Weights:
    """Weights as numpy, features as rows; ValueError for fewer than two axes or for no real numbers."""
    found = arrays.numpy(weights, "weights")
    check(found.ndim >= 2, "shape of weights", found.shape, "[..., feature, neuron]")
    return arrays.turned(found, features, "rows")


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
