r"""What random directions would show: the law of a feature's interference when nothing was learnt about directions.

Symbols: N features in D dimensions, unit directions u_i, squared lengths w_i, b_ij = (u_i . u_j)^2. A feature's
interference is

$$I_i=\sum_{j\ne i}w_jb_{ij}$$

and its capacity C_i = w_i/(w_i + I_i). Both nulls keep every length. In the first one directions are uniform on the
sphere: b_ij follows the law Beta(1/2, (D - 1)/2), and given u_i the terms of I_i are independent, so that all cumulants
of I_i are known and a saddlepoint gives its law out to far tails. In the second one directions follow an angular
central Gaussian law (u = S g/|S g| with g normal) whose second moment is M/tr M, M = W^T W: the features' spectrum
and nothing else of their geometry. All of this is ours.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from scipy import special

GROUPS = 64  # different squared lengths that are told apart; more are grouped in equal steps of their logarithm
NODES = 100  # of the quadrature over the law of one squared cosine
REACH = 12.0  # normal deviates to which the tails are followed
DRAWS = 4000  # directions that are drawn from the second null
HERMITE, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS /= WEIGHTS.sum()  # of a mean over a normal deviate
ROUNDING = 1e-6  # what single precision does to u . M u; no deviation is taken to be below it


class Efficiency(NamedTuple):
    """Mean and standard deviation of the efficiency under a null."""

    mean: float
    sd: float


class Interference(NamedTuple):
    """How every feature's interference compares with a null.

    z: the interference as a normal deviate of its null law (above 0: more crowded than by chance); low, high: the ends
    of the central 95 % of the null *capacity*.
    """

    z: Float[np.ndarray, " features"]
    low: Float[np.ndarray, " features"]
    high: Float[np.ndarray, " features"]
    efficiency: Efficiency


def cosine_moments(n_dims: int) -> tuple[float, float]:
    """Return mean and variance of the squared cosine of two random directions."""
    return 1 / n_dims, 2 * (n_dims - 1) / (n_dims**2 * (n_dims + 2))


def log_laplace(argument: Num[np.ndarray, "*shape"], n_dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ln E exp(s b) of the squared cosine b of two random directions, and its first two derivatives in s."""
    b, log_weights = _quadrature(n_dims)
    exponent = np.multiply.outer(np.asarray(argument, dtype=float), b) + log_weights
    top = exponent.max(-1, keepdims=True)
    share = np.exp(exponent - top)
    total = share.sum(-1)
    first = (share @ b) / total
    second = (share * (b - first[..., None]) ** 2).sum(-1) / total
    return np.log(total) + top[..., 0], first, second


@lru_cache(maxsize=64)
def _quadrature(n_dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and log weights for means over the squared cosine."""
    nodes, weights = special.roots_jacobi(NODES, (n_dims - 3) / 2, -0.5)
    kept = weights > 1e-300 * weights.max()
    return (1 + nodes[kept]) / 2, np.log(weights[kept] / weights.sum())


def random_directions(
    squared: Float[np.ndarray, " features"], interference: Float[np.ndarray, " features"], n_dims: int
) -> Interference:
    """Return how interferences compare with those of features of the same lengths in uniformly random directions.

    The normal deviate is Barndorff-Nielsen's r*, whose tails are right to relative order (checked for D of 3 or more).
    """
    mean, variance = cosine_moments(n_dims)
    expected = (squared.sum() - squared) * mean
    deviation = np.sqrt(np.maximum((squared**2).sum() - squared**2, 0) * variance)
    values, label, counts = _grouped(squared)
    z, low, high, average = (np.empty(len(squared)) for _ in range(4))
    for group, (places, deviates) in enumerate(_laws(values, counts, n_dims)):
        members = label == group
        w, m, s = squared[members], expected[members], deviation[members]
        z[members] = _extended((interference[members] - m) / s, places, deviates)
        high[members], low[members] = (w / (w + np.maximum(m + s * end, 0)) for end in _at(places, deviates))
        average[members] = _mean_capacity(w, m, s, places, deviates)
    spread = _spread(squared, expected, variance)
    return Interference(z, low, high, Efficiency(float(average.sum() / n_dims), spread / n_dims))


def same_spectrum(
    squared: Float[np.ndarray, " features"],
    interference: Float[np.ndarray, " features"],
    spectrum: Float[np.ndarray, " dims"],
    rng: np.random.Generator,
) -> tuple[Interference, Float[np.ndarray, "draws dims"]]:
    """Return how interferences compare with those of directions with the weights' spectrum, and such directions.

    spectrum: eigenvalues of M = W^T W, which this null keeps; the directions returned are in its eigenbasis. Lengths
    are taken to be independent of directions. u . M u is taken as log-normal, with the moments of DRAWS directions;
    the efficiency's deviation is linear, given that the sum of w_i u_i . M u_i is tr M^2.
    """
    share = spectrum / spectrum.sum()
    drawn = central_directions(share, DRAWS, rng)
    quotient = drawn**2 @ share  # of a direction u: u . M u / tr M, which for a feature is (w + I) / tr M
    size = squared / squared.sum()
    centre, width = np.log(quotient).mean(), max(np.log(quotient).std(), ROUNDING)
    low, high = (np.minimum(size / np.exp(centre + end * width), 1) for end in (1.96, -1.96))
    z = (np.log(size * (1 + interference / squared)) - centre) / width
    points = np.quantile(quotient, (np.arange(200) + 0.5) / 200)
    average = np.concatenate([np.minimum(part[:, None] / points, 1).mean(1) for part in np.array_split(size, 50)])
    both = np.cov(1 / quotient, quotient)
    left = both[0, 0] - (both[0, 1] ** 2 / both[1, 1] if both[1, 1] > ROUNDING**2 else 0.0)
    spread = max(np.sqrt(max(left, 0.0) * ((size**2).sum() + 1 / DRAWS)), ROUNDING)  # with the error of the draws
    return Interference(z, low, high, Efficiency(float(average.sum() / len(share)), float(spread / len(share)))), drawn


def central_directions(
    share: Float[np.ndarray, " dims"], n: int, rng: np.random.Generator
) -> Float[np.ndarray, "n dims"]:
    """Return unit vectors S g/|S g|, g normal, with E u_k^2 = share_k: the scales S are found by fixed-point steps."""
    kept = share > 1e-12 * share.max()
    scale = np.where(kept, share, 0.0)
    for _ in range(50):
        found = _second_moment(scale)
        step = np.where(kept, share / np.maximum(found, np.finfo(float).tiny), 0.0)
        scale = scale * step / (scale * step).sum()
        if np.abs(step[kept] - 1).max() < 1e-4:
            break
    drawn = rng.standard_normal((n, len(share))) * np.sqrt(scale)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _second_moment(scale):
    """E of scale_k g_k^2 / sum scale g^2, as an integral over the Laplace variable of the denominator."""
    s = np.geomspace(1e-6, 1e8, 400) / scale.sum()
    grown = 1 + 2 * np.multiply.outer(s, scale)
    value = np.exp(-0.5 * np.log(grown).sum(1))[:, None] * scale / grown
    found = ((value[1:] * s[1:, None] + value[:-1] * s[:-1, None]) / 2 * np.diff(np.log(s))[:, None]).sum(0)
    return found / found.sum()


def _grouped(squared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean squared length of each group, the group of each feature, the number in each group."""
    logs = np.round(np.log(squared), 9)  # lengths that are equal but for rounding are one
    _, label, counts = np.unique(logs, return_inverse=True, return_counts=True)
    if len(counts) > GROUPS:
        edges = np.linspace(logs.min(), logs.max(), GROUPS + 1)[1:-1]
        _, label, counts = np.unique(np.searchsorted(edges, logs), return_inverse=True, return_counts=True)
    return np.bincount(label, squared) / counts, label, counts


def _laws(values, counts, n_dims: int):
    """For each group (standardised interferences, their normal deviates) by the saddlepoint, the own term left out."""
    unit = 1 / np.sqrt(counts @ values**2 * cosine_moments(n_dims)[1])
    t = unit * np.concatenate([-np.geomspace(0.03, 3e3, 60)[::-1], np.geomspace(0.03, 300, 60)])
    zero, one, two = (np.array(part) for part in log_laplace(np.multiply.outer(values, t), n_dims))
    parts = zero, one * values[:, None], two * values[:, None] ** 2
    whole = [counts @ part for part in parts]
    mean, variance = cosine_moments(n_dims)
    for group, value in enumerate(values):
        k, x, curvature = (total - part[group] for total, part in zip(whole, parts, strict=True))
        m = (counts @ values - value) * mean
        s = np.sqrt((counts @ values**2 - value**2) * variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sign(t) * np.sqrt(np.maximum(2 * (t * x - k), 0))
            deviate = root + np.log(t * np.sqrt(curvature) / root) / root
        kept = np.isfinite(deviate) & (np.abs(root) < REACH)
        places, deviates = (x[kept] - m) / s, deviate[kept]
        rising = np.r_[True, (np.diff(np.maximum.accumulate(deviates)) > 0) & (np.diff(places) > 0)]
        yield places[rising], deviates[rising]


def _extended(value, places, deviates):
    """Linear interpolation, and beyond the ends linear with the slope there."""
    inside = np.interp(value, places, deviates)
    ends = [(deviates[i] - deviates[j]) / (places[i] - places[j]) for i, j in ((1, 0), (-1, -2))]
    below, above = np.minimum(value - places[0], 0), np.maximum(value - places[-1], 0)
    return inside + ends[0] * below + ends[1] * above


def _at(places, deviates):
    return np.interp([-1.96, 1.96], deviates, places)


def _mean_capacity(squared, expected, deviation, places, deviates):
    """The mean of w/(w + I) by quadrature over the normal deviate, with mean and variance of I made exact."""
    shape = np.interp(HERMITE, deviates, places)
    shape = shape - WEIGHTS @ shape
    shape = shape / np.sqrt(WEIGHTS @ shape**2)
    return WEIGHTS @ (squared / (squared + np.maximum(expected + np.multiply.outer(shape, deviation), 0)))


def _spread(squared, expected, variance: float) -> float:
    """The standard deviation of the sum of capacities, linear in the b_ij, which no two pairs share."""
    slope = squared / (squared + expected) ** 2
    pairs = (slope**2).sum() * (squared**2).sum() + (slope @ squared) ** 2 - 2 * (slope**2 @ squared**2)
    return float(np.sqrt(variance * max(pairs, 0.0)))
