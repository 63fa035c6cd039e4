"""The landscape of the quadratic model: its stationary points, gradient flow across it, and correlated inputs.

Symbols as in `capacity`: weights W is [..., dims, features], importance v, a = kurtosis − 1, G = WᵀW, n_i = G_ii.
Everything is float64 and batched: the leading axis is an ensemble.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polysemanticity import capacity
from polysemanticity.base.checks import check
from polysemanticity.capacity import quadratic

Times = Float[np.ndarray, " times"]
Entries = Float[np.ndarray, "models features"]  # a number for every feature of every model

# ------------------------------------------------------------ stationary points


class Stationary(NamedTuple):
    """Where Levenberg–Marquardt ended: stationary if `residual` is 0, a minimum if `curvature` is not below 0."""

    weights: Float[Tensor, "models dims features"]
    residual: Float[Tensor, " models"]  # |gradient| / (a v^1.5) for the largest v
    curvature: Float[Tensor, " models"]  # smallest eigenvalue of the Hessian / (a v) for the largest v


def stationary_points(
    start: Float[Tensor, "models dims features"],
    importance: Float[Tensor, " features"],
    kurtosis: Float[Tensor, " models"],
    n_steps: int = 300,
) -> Stationary:
    """Zeros of the gradient of the quadratic loss near each start, saddles as well as minima.

    Levenberg–Marquardt on |gradient|², so that descent does not prefer minima; it may also end where |gradient| has a
    minimum that is not 0, which `residual` shows. Columns with n < 1e-10·max v become exactly 0: the capacity of a
    column does not depend on its length, so rounding noise would count as a feature. Cost: (D·N)³ per model and step.
    """
    check(n_steps >= 1, "n_steps", n_steps, "at least 1")
    w, v, a = start.clone(), importance, kurtosis[:, None] - 1
    size = (a[:, 0] * v.max() ** 1.5)[:, None]
    damping = torch.full((len(w), 1, 1), 1e-2, dtype=w.dtype, device=w.device)
    identity = torch.eye(w[0].numel(), dtype=w.dtype, device=w.device)
    for _ in range(n_steps):
        slope, bend = capacity.gradient_unchecked(w, v, a).flatten(1), hessian_unchecked(w, v, a)
        scale = bend.square().sum((-2, -1), keepdim=True) / len(identity)
        step = torch.linalg.solve(bend @ bend + damping * scale * identity, bend @ slope[..., None])[..., 0]
        trial = w - step.view_as(w)
        better = capacity.gradient_unchecked(trial, v, a).flatten(1).norm(dim=1) < slope.norm(dim=1)
        w = torch.where(better[:, None, None], trial, w)
        damping = torch.where(better[:, None, None], damping / 5, damping * 4).clamp(1e-16, 1e6)
    w = w * ((w * w).sum(-2, keepdim=True) > 1e-10 * v.max())
    residual = (capacity.gradient_unchecked(w, v, a).flatten(1) / size).norm(dim=1)
    lowest = torch.linalg.eigvalsh(hessian_unchecked(w, v, a).cpu())[:, 0].to(w.device)
    return Stationary(w, residual, lowest / (a[:, 0] * v.max()))


def hessian_unchecked(w, v, a):
    """Second derivatives of the quadratic loss [models, D·N, D·N], by their action on every unit matrix."""
    unit = torch.eye(w[0].numel(), dtype=w.dtype, device=w.device).view(-1, *w.shape[1:])
    w, a = w[:, None], a[:, None]
    cross = unit @ w.mT
    pull = a * v + (2 - a) * (w * w).sum(-2)
    change = 8 * ((cross + cross.mT) @ w + (w @ w.mT) @ unit) - 4 * unit * pull[..., None, :]
    return (change - 8 * w * ((2 - a) * (w * unit).sum(-2))[..., None, :]).flatten(2)


def eigenvector_error(weights: Float[Tensor, "models dims features"]) -> Float[Tensor, " models"]:
    """How far W is from block-semi-orthogonal: the largest |W Wᵀ w − (wᵀ W Wᵀ w) w| of a unit column w, in units of
    the largest eigenvalue of W Wᵀ; 0 exactly when every column is an eigenvector."""
    outer = weights @ weights.mT
    norm = (weights * weights).sum(-2, keepdim=True)
    unit = weights / (norm + (norm == 0)).sqrt()
    image = outer @ unit
    off = image - (unit * image).sum(-2, keepdim=True) * unit
    largest = torch.linalg.eigvalsh(outer.cpu())[:, -1].to(outer.device)
    return off.norm(dim=-2).amax(-1) / (largest + (largest == 0))


# ------------------------------------------------------------ gradient flow


class Flow(NamedTuple):
    """Weights along gradient flow at equally spaced times, which are in units of 1/(4 a v) for the largest v."""

    times: Float[Tensor, " times"]
    weights: Float[Tensor, "times models dims features"]


def gradient_flow(
    start: Float[Tensor, "models dims features"],
    importance: Float[Tensor, " features"],
    kurtosis: int | float,
    duration: int | float,
    n_kept: int = 200,
    n_between: int = 20,
) -> Flow:
    """dW/dt = −gradient of the quadratic loss, by the classical Runge–Kutta method with n_kept · n_between steps.

    Near W = 0 column i grows as exp(4 a v_i t). Raises ValueError for a step longer than 0.1 in the unit of `Flow`.
    """
    step = duration / (n_kept * n_between)
    check(step <= 0.1, "n_kept, n_between", (n_kept, n_between), f"at least {10 * duration:.0f} steps in all")
    v = importance / importance.max()
    a = torch.tensor([[kurtosis - 1.0]], dtype=start.dtype)

    def velocity(w):
        return -capacity.gradient_unchecked(w, v, a) / (4 * a)

    w, kept = start / importance.max().sqrt(), [start]
    for _ in range(n_kept):
        for _ in range(n_between):
            k1 = velocity(w)
            k2 = velocity(w + step / 2 * k1)
            k3 = velocity(w + step / 2 * k2)
            w = w + step / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(w + step * k3))
        kept.append(w * importance.max().sqrt())
    return Flow(torch.linspace(0, duration, n_kept + 1, dtype=start.dtype), torch.stack(kept))


def entry_times(
    times: Times, norm: Float[np.ndarray, "times models features"], importance: Float[np.ndarray, " features"]
) -> Entries:
    """First time [seed, feature] when n_i exceeds half of where it ends; NaN for one that ends below 5 % of v_i."""
    first = (norm > norm[-1] / 2).argmax(0)
    return np.where(norm[-1] > 0.05 * importance, times[first], np.nan)


def in_order(entry: Entries) -> Bool[np.ndarray, " models"]:
    """Whether the features that entered did so in order of their index, per seed."""
    return np.array([bool((np.diff(row[~np.isnan(row)]) >= 0).all()) for row in entry])


def growth_rates(times: Times, norm: Float[np.ndarray, "times models features"], until: float = 6.0) -> Entries:
    """Growth rate of |W_i| [seed, feature] between the times 1 and `until`."""
    begin, end = np.searchsorted(times, [1.0, until])
    return np.log(norm[end] / norm[begin]) / 2 / (times[end] - times[begin])


def at_rest(
    times: Times, total: Float[np.ndarray, "times models"], entry: Entries, n_dims: int, slow: float = 0.05
) -> Bool[np.ndarray, "times models entries"]:
    """When Σ C rests between the entries k and k + 1, [time, seed, k], k = 1 … D − 1: there its speed |dΣC/dt| is below
    `slow` times its largest between these two entries."""
    speed = np.abs(np.gradient(total, times, axis=0))[..., None]
    between = (times[:, None, None] >= entry[:, : n_dims - 1]) & (times[:, None, None] <= entry[:, 1:n_dims])
    return between & (speed < slow * np.where(between, speed, 0).max(0))


def distance_from_integers(
    total: Float[np.ndarray, "times models"], when: Bool[np.ndarray, "times models entries"]
) -> Float[np.ndarray, " models"]:
    """Mean |Σ C − nearest integer| over the times in question, per seed; NaN where there are none."""
    off, often = np.abs(total - total.round())[..., None], when.sum((0, 2))
    return np.where(often > 0, (off * when).sum((0, 2)) / np.maximum(often, 1), np.nan)


# ------------------------------------------------------------ correlated inputs


def correlated_loss(
    weights: Float[Tensor, "*ensemble dims features"],
    importance: Float[Tensor, "*#ensemble features"],
    moments: Float[Tensor, "*#ensemble features features"],
) -> Float[Tensor, "*ensemble"]:
    """Exact loss of the quadratic model on correlated inputs, rᵀ(Q − 1)r + 2 Σ_{i≠j} Q_ij G_ij² with r = v − n.

    moments: Q_ij = E x_i² x_j² of unit-variance inputs whose signs are independent and symmetric, so that no other
    fourth moment is left; Q_ii is the kurtosis, 1 off the diagonal means independent, 0 exclusive. (Ours.)
    """
    gap = importance - (weights * weights).sum(-2)
    gram = weights.mT @ weights
    apart = _off_diagonal(moments) * gram * gram
    return (gap * ((moments - 1) @ gap[..., None])[..., 0]).sum(-1) + 2 * apart.sum((-2, -1))


def correlated_gradient(weights, importance, moments):
    """Gradient of `correlated_loss`, −4 W diag((Q − 1) r) + 8 W (Q∘G without its diagonal)."""
    gap = importance - (weights * weights).sum(-2)
    pull = ((moments - 1) @ gap[..., None])[..., 0]
    return 8 * weights @ (_off_diagonal(moments) * (weights.mT @ weights)) - 4 * weights * pull[..., None, :]


def train_correlated(
    importance: Float[Tensor, "grid features"],
    moments: Float[Tensor, "grid features features"],
    dims: int,
    n_seeds: int,
    generator: torch.Generator,
    n_steps: int = 2000,
    lr: float = 0.05,
) -> Float[Tensor, "grid seeds dims features"]:
    """Weights that minimise `correlated_loss` from `n_seeds` random starts per problem, by Adam on the exact loss.

    With 1 off the diagonal this is the quadratic model with a kurtosis for every feature.
    """
    check(dims >= 1, "dims", dims, "at least 1")
    v, q = importance[:, None], moments[:, None]
    shape = (len(importance), n_seeds, dims, importance.shape[-1])
    start = torch.randn(shape, generator=generator, dtype=v.dtype) * 0.3 * v.amax(-1, keepdim=True).sqrt()[..., None]
    return quadratic.adam_descent(lambda p, _: (correlated_gradient(p[0], v, q),), (start,), n_steps, lr)[0]


def pair_moments(n_features: int, kurtosis: int | float, within: int | float) -> Float[Tensor, "features features"]:
    """Q for features that come in pairs (0, 1), (2, 3), …: `within` in a pair, 1 between pairs, kurtosis on the
    diagonal. Gates of density p that open together give within = 1/p, exclusive ones 0."""
    check(n_features % 2 == 0, "n_features", n_features, "an even number")
    check(0 <= within <= kurtosis, "within", within, "from 0 (exclusive) to the kurtosis")
    q = torch.ones(n_features, n_features, dtype=torch.float64)
    first = torch.arange(0, n_features, 2)
    q[first, first + 1] = q[first + 1, first] = float(within)
    return q.fill_diagonal_(float(kurtosis))


def _off_diagonal(matrix):
    return matrix - torch.diag_embed(torch.diagonal(matrix, dim1=-2, dim2=-1))
