"""The phases of features: ignored (C = 0), polysemantic (between), monosemantic (C = 1); where theory puts their edges.

Symbols as in `capacity`. Below, the laws of the optimum of the quadratic model; then how phases are read from
the capacities of a trained model.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer, Num

from polysemanticity import capacity
from polysemanticity.base.checks import check

IGNORED, POLYSEMANTIC, MONOSEMANTIC = 0, 1, 2
Edge = Float[np.ndarray, "*kurtosis"] | np.floating

# ------------------------------------------------------------ laws of the optimum


def special_importance(ratios, n_features: int) -> Float[np.ndarray, "ratios features"]:
    """Importances [ratio, N]: 1 for all features but the last, which has the ratio."""
    return np.concatenate([np.ones((len(ratios), n_features - 1)), np.reshape(ratios, (-1, 1))], -1)


class Boundaries(NamedTuple):
    """Relative importances r of a special group where a phase begins or ends; 0 or ∞ for a phase that never is."""

    ignored: Edge  # the special group is ignored up to here
    monosemantic: Edge  # and monosemantic from here
    others_monosemantic: Edge  # the others are monosemantic up to here
    others_ignored: Edge  # and ignored from here


def phase_boundaries(kurtosis, dims: int | float, n_others: int, n_special: int = 1) -> Boundaries:
    """Where `n_special` features of importance r beside `n_others` of importance 1 change phase, for any 0 < dims < N.

    A group of n features is ignored where the price that the m others pay for all of D, λ = a v m/(2m + (a − 2)D),
    has 2λ/a ≥ its importance (never for D > m: something is left over), and monosemantic where the price that the
    others pay for D − n is at most its importance (never for D < n). Two features in one dimension are (dims,
    n_others, n_special) = (1, 1, 1): polysemantic between 2/(kappa − 1) and (kappa − 1)/2. For kurtosis ≤ 3 every
    boundary that exists is 1. Source: paper, phase diagram; re-derived. Raises ValueError for groups without a
    feature, dims outside (0, N) or kurtosis ≤ 1.
    """
    check(n_others >= 1, "n_others", n_others, "at least 1")
    check(n_special >= 1, "n_special", n_special, "at least 1")
    check(0 < dims < n_others + n_special, "dims", dims, f"above 0 and below N = {n_others + n_special}")
    kappa = np.asarray(kurtosis, dtype=float)
    check(bool((np.isfinite(kappa) & (kappa > 1)).all()), "kurtosis", kurtosis, "finite and above 1")
    half = np.maximum(kappa - 1, 2.0) / 2
    ignored, monosemantic = _edges(half, dims, n_special, n_others)
    mirrored_ignored, mirrored_monosemantic = _edges(half, dims, n_others, n_special)
    with np.errstate(divide="ignore"):
        return Boundaries(ignored, monosemantic, 1 / mirrored_monosemantic, 1 / mirrored_ignored)


def _edges(half, dims, n, m):
    """Importance up to which n features are ignored and from which they are monosemantic, beside m of importance 1."""
    ignored = 1 / (1 + (half - 1) * dims / m) if dims <= m else 0 * half
    monosemantic = half / (1 + (half - 1) * (dims - n) / m) if dims >= n else np.inf * half
    return ignored, monosemantic


class CountLaw(NamedTuple):
    features: float  # expected number of polysemantic features
    dims: float  # dimensions they share


def count_law(kurtosis: int | float, ratio: float) -> CountLaw:
    r"""Polysemantic features for v_i = ratio^i: $\ln((\kappa-1)/2)/\ln(1/\varrho)$ of them, whatever D is. (Ours.)

    Smooth approximation, right to about one feature, for D and N − D both larger than the count. Raises ValueError
    for kurtosis ≤ 3 or a ratio outside (0, 1).
    """
    check(kurtosis > 3, "kurtosis", kurtosis, "above 3")
    check(0 < ratio < 1, "ratio", ratio, "in (0, 1)")
    half, step = (kurtosis - 1) / 2, -np.log(ratio)
    return CountLaw(float(np.log(half) / step), float((1 - np.log(half) / (half - 1)) / step))


def count_polysemantic(
    ratio: float, kurtosis: int | float, budgets, n_features: int
) -> Integer[np.ndarray, " budgets"]:
    """Number of features with 0 < C < 1 in the exact allocation of importances ratio^i, for every budget."""
    v = np.broadcast_to(ratio ** np.arange(n_features), (len(budgets), n_features))
    c = capacity.optimal_allocation(v, kurtosis, np.asarray(budgets, dtype=float)).capacity
    return ((c > 0) & (c < 1)).sum(-1)


class Sensitivity(NamedTuple):
    """Derivatives of the optimal capacities C_i; 0 for features that do not share."""

    importance: Float[np.ndarray, "features features"]  # dC_i / d ln v_j
    kurtosis: Float[np.ndarray, " features"]  # dC_i / dκ, of a kurtosis that all features have
    dims: Float[np.ndarray, " features"]  # dC_i / dD


def sensitivity(importance: Float[np.ndarray, " features"], kurtosis: int | float, dims: int | float) -> Sensitivity:
    r"""How the optimal allocation answers to a little more importance, kurtosis or dimension, for kurtosis > 3. (Ours.)

    A shared feature has $C_i=(a v_i/\lambda-2)/(a-2)$ and all of them $\sum_i C_i$ = D less the monosemantic ones. So
    with $b_i=a v_i/(\lambda(a-2))$ and $B=\sum_i b_i$ over shared features $dC_i/d\ln v_j=b_i(\delta_{ij}-b_j/B)$: what
    one gains the others lose. $dC_i/dD=b_i/B$, and $dC_i/d\kappa=c_i-\frac{b_i}{B}\sum_j c_j$ with
    $c_i=2(1-v_i/\lambda)/(a-2)^2$. Valid where no feature is at an edge of its phase, for 0 < D < N.
    """
    check(kurtosis > 3, "kurtosis", kurtosis, "above 3")
    best, a = capacity.optimal_allocation(importance, kurtosis, dims), kurtosis - 1
    shared = (best.capacity > 0) & (best.capacity < 1)
    b = np.where(shared, a * importance / (best.price * (a - 2)), 0)
    share = b / b.sum() if shared.any() else b
    c = np.where(shared, 2 * (1 - importance / best.price) / (a - 2) ** 2, 0)
    return Sensitivity(np.diag(b) - np.outer(b, share), c - share * c.sum(), share)


def at_a_predicted_minimum(
    c: Float[np.ndarray, "*ensemble features"],
    importance: Num[np.ndarray, "*#ensemble features"],
    kurtosis,
    margin: float = 1e-3,
) -> Bool[np.ndarray, "*ensemble"] | np.bool_:
    """For kurtosis < 3: whether D features are monosemantic, none is shared, and each chosen v ≥ a/2 · each other v."""
    chosen = c > 1 - margin
    whole = (chosen | (c < margin)).all(-1)
    least = np.where(chosen, importance, np.inf).min(-1)
    largest = np.where(chosen, 0, importance).max(-1)
    return whole & (least >= (np.asarray(kurtosis) - 1) / 2 * largest * (1 - 1e-9))


# ------------------------------------------------------------ reading capacities


def phase(c: Float[np.ndarray, "*ensemble"], margin: float = 1e-3) -> Integer[np.ndarray, "*ensemble"]:
    """0 where a feature is ignored, 1 where it is polysemantic, 2 where it is monosemantic."""
    return np.where(c < margin, IGNORED, np.where(c > 1 - margin, MONOSEMANTIC, POLYSEMANTIC))


class Shares(NamedTuple):
    """Polysemantic features as a share of the represented ones and of all, and of the capacity they have of D."""

    represented: Float[np.ndarray, "*ensemble"]
    all: Float[np.ndarray, "*ensemble"]
    capacity: Float[np.ndarray, "*ensemble"]


def polysemantic_shares(weights: Float[np.ndarray, "*ensemble dims features"]) -> Shares:
    """Represented: n at least 5 % of the largest, C at least 0.05; polysemantic among those: C at most 0.95."""
    c, norm = capacity.feature_capacity(weights), (weights**2).sum(-2)
    represented = (norm >= 0.05 * norm.max(-1, keepdims=True)) & (c >= 0.05)
    shared = represented & (c <= 0.95)
    return Shares(
        shared.sum(-1) / np.maximum(represented.sum(-1), 1), shared.mean(-1), (c * shared).sum(-1) / weights.shape[-2]
    )
