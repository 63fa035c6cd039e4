"""How features share the dimensions of a linear embedding: capacity, its optimal allocation, weights that realise it.

Paper: Scherlis, Sachan, Jermyn, Benton, Shlegeris, "Polysemanticity and Capacity in Neural Networks" (arXiv
2210.01892). Symbols: weights W is [dims D, features N] with columns W_i, Gram matrix G = WᵀW, norm n_i = |W_i|² =
G_ii (a *squared* length), importance v_i > 0 (the regression target is Σ v_i x_i²), kurtosis kappa_i = E x_i⁴ > 1 of
unit-variance inputs, capacity C_i, price λ. Throughout, a = kappa − 1; kappa = 3 (a = 2) is where returns turn from
increasing to diminishing.

Features are the last axis and dims the one before, as in the paper; where given weights are measured, features="rows"
takes them as most code stores them, [..., features, dims]. Any leading axes are an ensemble (grids, seeds). `kurtosis`
is one number or an array that broadcasts against `importance` [..., N], so a grid of kurtoses is given as [..., 1].
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polysemanticity.base import arrays
from polysemanticity.base.checks import check

Array = np.ndarray | torch.Tensor
Weights = Num[Array, "*ensemble dims features"]
Given = Num[Array, "*ensemble _ _"]  # where a function asks whether features are columns or rows
PerFeature = Num[Array, "*#ensemble features"]
PerModel = Num[Array, "*ensemble"] | np.floating  # a numpy number where there is one model

PART = 2**22  # numbers of an embedding that are worked on at a time, where it has more


# ------------------------------------------------------------ what an embedding holds


def feature_capacity(weights: Given, features: str = "columns") -> Float[Array, "*ensemble features"]:
    r"""Capacity $C_i = (W_i\cdot W_i)^2/\sum_j (W_i\cdot W_j)^2$ of every feature, from 0 to 1; a zero column has 0.

    Source: the paper's definition of capacity, equal to the "feature dimensionality" of Elhage et al. (2022). Σ_i C_i
    ≤ rank W. Unchanged by rotating the embedding space and by one common scale. Same kind of array (numpy or torch)
    and device as `weights`. The N x N Gram matrix is only built when N ≤ D; many features are worked through in parts,
    so that the memory beyond `weights` does not grow with N·D. features: "columns" or "rows", where they are. Raises
    ValueError if `weights` is not at least 2-D, empty or not finite, and for another word.
    """
    w = _checked(weights, features)
    largest = _largest(w)
    if w.shape[-1] <= w.shape[-2]:
        w = w / largest
        norm, unit = _unit_columns(w)
        return norm / (((unit.swapaxes(-1, -2) @ w) ** 2).sum(-1) + (norm == 0))
    width = max(1, PART * w.shape[-1] // math.prod(w.shape))
    parts = [slice(first, first + width) for first in range(0, w.shape[-1], width)]
    outer = sum(part @ part.swapaxes(-1, -2) for part in (w[..., columns] / largest for columns in parts))
    found = []
    for columns in parts:
        norm, unit = _unit_columns(w[..., columns] / largest)
        found.append(norm / ((unit * (outer @ unit)).sum(-2) + (norm == 0)))
    return (torch if _is_torch(w) else np).concatenate(found, -1)


def leverage(weights: Given, features: str = "columns") -> Float[Array, "*ensemble features"]:
    """Leverage score of every feature, the diagonal of the projector on the row space of W; sums to rank W.

    C_i ≤ leverage_i by Cauchy–Schwarz, with equality exactly when W_i is zero or an eigenvector of W Wᵀ. Singular
    values below max(D, N)·eps·largest count as zero, as in `numpy.linalg.matrix_rank`. Raises as `feature_capacity`.
    """
    w = _scaled(weights, features)
    linalg, eps = (torch.linalg, torch.finfo(w.dtype).eps) if _is_torch(w) else (np.linalg, np.finfo(w.dtype).eps)
    _, s, vt = linalg.svd(w, full_matrices=False)
    kept = s > max(w.shape[-2:]) * eps * s[..., :1]
    return (vt * vt * kept[..., None]).sum(-2)


def efficiency(weights: Given, features: str = "columns") -> PerModel:
    r"""Share of the dimensions that are used, $\sum_i C_i/D$; 1 exactly for block-semi-orthogonal W of rank D.

    Compare with `random_efficiency`: with N >> D even random weights come close to 1. Raises as `feature_capacity`.
    """
    w = _checked(weights, features)
    return feature_capacity(w).sum(-1) / w.shape[-2]


def random_efficiency(n_features: int, n_dims: int) -> float:
    """Efficiency of Gaussian random weights to leading order, N/(N + D − 1); the baseline for `efficiency`. (Ours.)"""
    return n_features / (n_features + n_dims - 1)


def bits(share):
    r"""Information $-\tfrac12\log_2(1-r^2)$ [bit] of a read-out that explains the share r² of a Gaussian feature.

    With r² = C_i it is that of the feature's own direction, W_i·W x: for uncorrelated features of one variance C_i is
    *exactly* the r² of x_i and this read-out, whatever their law. With r² = leverage_i it is that of the best linear
    read-out of W x. Both agree for block-semi-orthogonal W. ∞ at 1; elementwise. (Ours.) Raises ValueError for a share
    outside [0, 1].
    """
    share = _numpy(share)
    _all((share >= 0) & (share <= 1), "share", share, "in [0, 1]")
    with np.errstate(divide="ignore"):
        return -np.log2(1 - share) / 2


def eigenvalues(weights: Weights) -> Float[Array, "*ensemble smaller"]:
    """Eigenvalues of W Wᵀ, descending: the min(D, N) that can differ from 0.

    At an optimum: v_i for every monosemantic feature, then the price λ once for every dimension that is shared (a
    flat tail). (Ours.)
    """
    w = _checked(weights)
    return (torch.linalg if _is_torch(w) else np.linalg).svdvals(w) ** 2


def price_from_spectrum(weights: Weights, rank: float = 1e-6) -> PerModel:
    """The price λ as a trained embedding shows it: the smallest eigenvalue of W Wᵀ above rank·largest.

    Right at an optimum of the quadratic model in which at least two features share; where none does it is the least
    importance of a monosemantic feature, an upper bound. (Ours.) Raises as `eigenvalues`.
    """
    check(0 < rank < 1, "rank", rank, "a threshold in (0, 1)")
    found = _numpy(eigenvalues(weights))
    return np.where(found > rank * found[..., :1], found, np.inf).min(-1)


class Block(NamedTuple):
    """One connected group of features; semi-orthogonal exactly when `spread` is 0, and then C_i = n_i / eigenvalue."""

    features: Num[np.ndarray, " members"]  # indices into the features, ascending
    dims: int  # dimensions the block spans
    eigenvalue: float  # mean of the block's non-zero eigenvalues of W_b W_bᵀ
    spread: float  # (largest − smallest) / mean of the same eigenvalues


def blocks(
    weights: Num[Array, "_ _"],
    cosine: float = 0.1,
    norm: float = 0.05,
    rank: float = 0.1,
    features: str = "columns",
) -> list[Block]:
    """The blocks of one embedding: connected components of the graph of features with |G_ij| > cosine·|W_i||W_j|.

    Features with n_i < norm·max n are ignored and in no block; a block spans as many dims as it has eigenvalues above
    rank·largest. Sorted by size of the block (largest first), then by its first feature. Source: the paper's
    block-semi-orthogonal matrices; the thresholds are ours (cosine 0.05 to 0.2 gives the same blocks in trained
    models). Raises as `feature_capacity`, and if a threshold is outside [0, 1). Cosines are worked through in parts, so
    that the memory beyond `weights` does not grow with N². For pairs beside what chance would show: `audit.weights`.
    """
    for name, value in {"cosine": cosine, "norm": norm, "rank": rank}.items():
        check(0 <= value < 1, name, value, "a threshold in [0, 1)")
    w = _checked(weights, features)
    check(w.ndim == 2, "weights.shape", tuple(w.shape), "one embedding, [dims, features]")
    n, unit = _unit_columns(_numpy(w / _largest(w)))
    kept = np.flatnonzero((n > 0) & (n >= norm * n.max()))
    label = _connected(unit[:, kept], cosine)
    members = np.split(kept[np.argsort(label, kind="stable")], np.cumsum(np.bincount(label))[:-1])
    found = [_block(w, part, rank) for part in members if len(part)]
    return sorted(found, key=lambda b: (-len(b.features), b.features[0]))


def _connected(unit, cosine):
    """The number of the component of each column in the graph of pairs with |cosine| > `cosine`."""
    label = np.arange(unit.shape[1])
    width = max(1, PART // max(len(label), 1))
    for first in range(0, len(label), width):
        i, j = np.nonzero(np.abs(unit[:, first : first + width].T @ unit) > cosine)
        edges = coo_array((np.ones(len(i), bool), (label[first + i], label[j])), shape=(len(label),) * 2)
        label = connected_components(edges, directed=False)[1][label]
    return label


def _block(weights, members, rank):
    spectrum = _numpy(eigenvalues(weights[:, members]))
    used = spectrum[spectrum > rank * spectrum[0]]
    return Block(members, len(used), float(used.mean()), float((used[0] - used[-1]) / used.mean()))


# ------------------------------------------------------------ the quadratic model


def quadratic_loss(weights: Weights, importance: PerFeature, kurtosis) -> PerModel:
    r"""Exact population loss of the quadratic model, $L=\sum_i a_i(v_i-n_i)^2+2\sum_{i\ne j}G_{ij}^2$.

    The model predicts Σ v_i x_i² by |W x|² + e with the best constant e, for independent inputs of mean 0, variance 1
    and the given kurtosis; no other moment matters. Source: paper, quadratic model. Raises ValueError for weights
    that are not finite, importance ≤ 0, kurtosis ≤ 1.
    """
    w, v, a = _model(weights, importance, kurtosis)
    norm = (w * w).sum(-2)
    inner = w @ w.swapaxes(-1, -2) if w.shape[-1] > w.shape[-2] else w.swapaxes(-1, -2) @ w
    return (a * (v - norm) ** 2 - 2 * norm**2).sum(-1) + 2 * (inner * inner).sum((-2, -1))


def quadratic_gradient(weights: Weights, importance: PerFeature, kurtosis) -> Num[Array, "*ensemble dims features"]:
    """Gradient of `quadratic_loss` with respect to the weights, 8 W Wᵀ W − 4 W diag(a v + (2 − a) n)."""
    w, v, a = _model(weights, importance, kurtosis)
    return gradient_unchecked(w, v, a)


def gradient_unchecked(w, v, a):
    """`quadratic_gradient` for training loops: arrays of one kind, a = kurtosis − 1, no checks."""
    pull = a * v + (2 - a) * (w * w).sum(-2)
    if w.shape[-1] > w.shape[-2]:
        return 8 * ((w @ w.swapaxes(-1, -2)) @ w) - 4 * w * pull[..., None, :]
    return 8 * (w @ (w.swapaxes(-1, -2) @ w)) - 4 * w * pull[..., None, :]


def feature_loss(capacity, importance, kurtosis):
    r"""Least loss that feature i contributes at capacity C, $L_i=2av^2(1-C)/(2+(a-2)C)$; elementwise."""
    c, v, a = _curve(capacity, importance, kurtosis)
    return 2 * a * v**2 * (1 - c) / (2 + (a - 2) * c)


def marginal_benefit(capacity, importance, kurtosis):
    r"""What feature i gains from more capacity, $-dL_i/dC_i=2a^2v^2/(2+(a-2)C)^2$; elementwise.

    From a²v²/2 at C = 0 to 2v² at C = 1: falling in C for kurtosis > 3, constant at 3, rising below 3. Source: paper,
    marginal benefit curves. Raises ValueError for a capacity outside [0, 1], importance ≤ 0, kurtosis ≤ 1.
    """
    c, v, a = _curve(capacity, importance, kurtosis)
    return 2 * a**2 * v**2 / (2 + (a - 2) * c) ** 2


# ------------------------------------------------------------ the optimal allocation


class Allocation(NamedTuple):
    """The optimum of the quadratic model. −dL/dD = 2 price² to the right of D, the worth of a little more dimension."""

    capacity: Float[np.ndarray, "*ensemble features"]
    norm: Float[np.ndarray, "*ensemble features"]  # n_i = |W_i|²
    price: PerModel  # λ; 0 when D ≥ N
    loss: PerModel


def optimal_allocation(importance, kurtosis, dims) -> Allocation:
    r"""Capacities, norms, price, loss of the best quadratic model with `dims` dimensions; exact, O(N log N), float64.

    Source: the paper's constrained optimum, min Σ L_i(C_i) with Σ C_i = D; `realise` shows that weights reach it for
    every integer D. kurtosis > 3: $C_i=\mathrm{clip}((a_iv_i/\lambda-2)/(a_i-2),0,1)$, unique; λ is found exactly, by
    bisection over the 2N places where a feature starts or saturates (features within N·1e-15 of such a place are put
    on it). kurtosis ≤ 3: the D features with the largest importance get capacity 1, the next one what is left of a
    fractional D. Ties are broken by the lower index; at kurtosis exactly 3 any sharing among tied features has the
    same loss. D ≥ N: every capacity is 1.

    importance: [..., N], > 0; kurtosis: > 1, one number or broadcasting against importance, all of one model's > 3 or
    all equal; dims: any real > 0, one number or [...]. Raises ValueError otherwise.
    """
    v, a = np.broadcast_arrays(*_parameters(importance, kurtosis))
    dims = np.broadcast_to(_numpy(dims), v.shape[:-1])
    _all(np.isfinite(dims) & (dims > 0), "dims", dims, "finite and above 0")
    diminishing = (2 / (a * v) < 1 / v).all(-1)  # a > 2, as far as float64 can tell
    alike = (a == a[..., :1]).all(-1)
    check(bool((diminishing | alike).all()), "kurtosis", "a mixture", "all features of a model above 3, or all equal")

    capacity = np.ones(v.shape)
    scarce = dims < v.shape[-1]
    shared, whole = scarce & diminishing, scarce & ~diminishing
    capacity[shared] = _water_fill(v[shared], a[shared], dims[shared, None])
    capacity[whole] = _largest_first(v[whole], dims[whole, None])
    root = a * v / (2 + (a - 2) * capacity)  # the square root of half the marginal benefit
    price = np.where(capacity < 1, root, 0.0).max(-1)
    loss = (2 * a * v**2 * (1 - capacity) / (2 + (a - 2) * capacity)).sum(-1)
    return Allocation(capacity, root * capacity, price, loss)


def _water_fill(v, a, dims):
    """Capacities [models, N] for kurtosis > 3: along u = 1/price each is a ramp from 0 at 2/(a v) to 1 at 1/v."""
    start, end = 2 / (a * v), 1 / v

    def capacity(u):
        return np.clip((u - start) / (end - start), 0, 1)

    corners = np.sort(np.concatenate([start, end], -1), -1)
    rounding = 1e-15 * v.shape[-1]
    low, high = np.zeros_like(dims, dtype=int), np.full_like(dims, corners.shape[-1] - 1, dtype=int)
    while np.any(high - low > 1):  # always: total(corner[low]) <= dims < total(corner[high])
        middle = (low + high) // 2
        above = capacity(np.take_along_axis(corners, middle, -1)).sum(-1, keepdims=True) > dims + rounding
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    u = np.take_along_axis(corners, low, -1)
    at_corner = capacity(u)
    rate = ((start <= u) & (u < end)) / (end - start)  # of the features that fill up between this corner and the next
    missing = np.maximum(dims - at_corner.sum(-1, keepdims=True), 0)
    return np.clip(at_corner + missing * rate / rate.sum(-1, keepdims=True), 0, 1)


def _largest_first(v, dims):
    rank = np.argsort(np.argsort(-v, -1, kind="stable"), -1)
    return np.clip(dims - rank, 0, 1)


def realise(allocation: Allocation) -> Float[np.ndarray, "dims features"]:
    """Weights with exactly the capacities and norms of an optimal allocation, and so its loss; D = Σ C_i is an integer.

    Monosemantic features get a dimension each; the others share one block W_b = √λ S, S Sᵀ = 1, whose diagonal is set
    to C by at most N − 1 plane rotations (Schur–Horn; Bendel & Mickey 1978). One of many optima: any projector with
    this diagonal does as well. Raises ValueError if the allocation is an ensemble or D is not an integer.
    """
    capacity, norm = np.asarray(allocation.capacity), np.asarray(allocation.norm)
    check(capacity.ndim == 1, "allocation.capacity.shape", capacity.shape, "one allocation, [features]")
    dims = round(capacity.sum())
    check(abs(capacity.sum() - dims) < 1e-9, "sum of allocation.capacity", float(capacity.sum()), "an integer")
    whole, shared = np.flatnonzero(capacity == 1), np.flatnonzero((capacity > 0) & (capacity < 1))
    weights = np.zeros((dims, len(capacity)))
    weights[np.arange(len(whole)), whole] = np.sqrt(norm[whole])
    if len(shared):
        scale = np.sqrt(norm[shared].sum() / capacity[shared].sum())
        weights[len(whole) :, shared] = scale * _semi_orthogonal(capacity[shared], dims - len(whole))
    return weights


def _semi_orthogonal(target, n_rows):
    """S [rows, n] with S Sᵀ = 1 and squared column lengths `target` (each in (0, 1), summing to n_rows)."""
    order = np.argsort(target)
    goal, n = target[order], len(target)
    s = np.eye(n_rows, n, k=n - n_rows)  # squared lengths: 0 … 0 1 … 1, ascending as the goal
    low, high = n - n_rows - 1, n - n_rows  # everything between them has reached its goal
    while low >= 0 and high < n:
        p, q, g = s[:, low] @ s[:, low], s[:, high] @ s[:, high], s[:, low] @ s[:, high]
        finish_low = goal[low] - p <= q - goal[high]
        wanted = (
            goal[low] if finish_low else p + q - goal[high]
        )  # the squared length of column `low` after the rotation
        t = _tangent(p - wanted, g, q - wanted)
        c = 1 / np.sqrt(1 + t * t)
        s[:, low], s[:, high] = c * (s[:, low] - t * s[:, high]), c * (t * s[:, low] + s[:, high])
        low, high = (low - 1, high) if finish_low else (low, high + 1)
    return s[:, np.argsort(order)]


def _tangent(below, overlap, above):
    """The smaller root of above t² − 2 overlap t + below = 0, with below ≤ 0 ≤ above, without cancellation."""
    root = overlap + np.copysign(np.sqrt(max(overlap**2 - below * above, 0.0)), overlap)
    return below / root if root else 0.0


def predicted_spectrum(
    importance: Float[np.ndarray, " features"], optimum: Float[np.ndarray, " features"], price: float, n_dims: int
) -> Float[np.ndarray, " dims"]:
    """Eigenvalues of W Wᵀ at the optimum: importances of monosemantic features, then the price, descending."""
    alone = importance[optimum == 1]
    return np.concatenate([np.sort(alone)[::-1], np.full(n_dims - len(alone), price)])


# ------------------------------------------------------------ checks


def _is_torch(array) -> bool:
    return isinstance(array, torch.Tensor)


def _numpy(array) -> np.ndarray:
    return np.asarray(array.detach().cpu().double() if _is_torch(array) else array, dtype=float)


def _all(ok, name, values, allowed) -> None:
    """`check` for arrays: the message shows the first value that is not allowed."""
    check(bool(ok.all()), name, None if ok.all() else float(values[~ok][0]), allowed)


def _checked(weights, features="columns"):
    weights = weights if _is_torch(weights) or isinstance(weights, np.ndarray) else arrays.numpy(weights, "weights")
    check(weights.ndim >= 2 and 0 not in weights.shape, "weights.shape", tuple(weights.shape), "[..., dims, features]")
    _all((torch if _is_torch(weights) else np).isfinite(weights), "weights", weights, "finite numbers")
    return arrays.turned(weights if "float" in str(weights.dtype) else weights * 1.0, features, "columns")


def _scaled(weights, features="columns"):
    """Weights with a largest entry of 1 (or all 0), so that squares neither overflow nor vanish."""
    w = _checked(weights, features)
    return w / _largest(w)


def _largest(w):
    """The largest size of an entry of each embedding, 1 where all are 0; without a copy of the weights."""
    if _is_torch(w):
        largest = torch.maximum(w.amax((-2, -1), keepdim=True), -w.amin((-2, -1), keepdim=True))
    else:
        largest = np.maximum(w.max((-2, -1), keepdims=True), -w.min((-2, -1), keepdims=True))
    return largest + (largest == 0)


def _unit_columns(w):
    """Squared lengths of the columns, and the columns with length 1 (or 0)."""
    norm = (w * w).sum(-2)
    return norm, w / (norm + (norm == 0))[..., None, :] ** 0.5


def _parameters(importance, kurtosis):
    v, kappa = _numpy(importance), _numpy(kurtosis)
    check(v.ndim >= 1 and v.size > 0, "importance.shape", v.shape, "[..., features], not empty")
    _all(np.isfinite(v) & (v > 0), "importance", v, "finite and above 0")
    _all(np.isfinite(kappa) & (kappa > 1), "kurtosis", kappa, "finite and above 1")
    return v, kappa - 1


def _model(weights, importance, kurtosis):
    w = _checked(weights)
    v, a = _parameters(importance, kurtosis)
    if _is_torch(w):
        v, a = (torch.as_tensor(x, dtype=w.dtype, device=w.device) for x in (v, a))
    return w, v, a


def _curve(capacity, importance, kurtosis):
    c = _numpy(capacity)
    _all((c >= 0) & (c <= 1), "capacity", c, "in [0, 1]")
    v, a = _parameters(np.atleast_1d(importance), kurtosis)
    return c, v, a
