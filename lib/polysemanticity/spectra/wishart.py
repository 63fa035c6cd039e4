r"""What a finite sample does to a spectrum: the large-size theory of Gaussian sample covariances.

Symbols: population eigenvalues lambda_j, n samples, sample eigenvalues lambda^_i, and v(z), the Stieltjes transform
of the n x n Gram matrix, which solves Silverstein's equation

$$z=-\frac1v+\frac1n\sum_j\frac{\lambda_j}{1+\lambda_jv}$$

From v follow, in closed form, the number of sample eigenvalues above x and the covariance of two such counts (Bai and
Silverstein 2004). Both are needed a hair above the real axis only, at z = x exp(i smoothing), which replaces the
staircase of ranks by a smooth curve. Nothing here is random; the tests compare it with simulated data.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

GROUPS = 32  # the tail's population eigenvalues are grouped, this many groups to a factor e in rank


class Counts(NamedTuple):
    """The expected number of sample eigenvalues above each x, and the covariance of these numbers."""

    x: Float[np.ndarray, " grid"]
    above: Float[np.ndarray, " grid"]
    covariance: Float[np.ndarray, "grid grid"]


def grouped(eigenvalues: Float[np.ndarray, " m"], head: int) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Population eigenvalues with neighbours beyond `head` merged, as (mean eigenvalue, how many) of each group."""
    m = len(eigenvalues)
    n_edges = int(np.ceil(GROUPS * np.log(m / head))) + 1 if m > head else 1
    if m <= head + n_edges:
        return eigenvalues, np.ones(m)
    starts = np.unique(np.r_[np.arange(head), np.round(np.geomspace(head, m, n_edges))[:-1]]).astype(int)
    sizes = np.diff(np.r_[starts, m]).astype(float)
    return np.add.reduceat(eigenvalues, starts) / sizes, sizes


def stieltjes(
    z: Complex[np.ndarray, " grid"], values: Float[np.ndarray, " k"], sizes: Float[np.ndarray, " k"], n: int
) -> Complex[np.ndarray, " grid"]:
    """v(z) in the upper half-plane by Newton's method, followed down from far above, where the start -1/z is good.

    Raises ArithmeticError if the last Newton step is not small: the answer would not be one.
    """
    height = np.full(z.shape, 8 * (np.abs(z).max() + values @ sizes / n))
    v = -1 / (z.real + 1j * height)
    while np.any(height > z.imag):
        height = np.maximum(height / 4, z.imag)
        there = not np.any(height > z.imag)
        v = _newton(v, z.real + 1j * height, values, sizes, n, close=1e-7 if there else 0.1)  # a start is enough above
    return v


def _newton(v, z, values, sizes, n, close):
    for _ in range(30):
        ratio = values / (1 + np.multiply.outer(v, values))
        slope = v**-2 - (ratio**2 @ sizes) / n
        step = (z + 1 / v - (ratio @ sizes) / n) / slope
        size = np.abs(step)
        if np.all(size < close * np.abs(v)):
            return v + step
        longest = v.imag / 2  # stay in the upper half-plane
        v = v + step * longest / np.maximum(size, longest)
    raise ArithmeticError("Silverstein's equation: Newton's method did not settle")


def eigenvalue_counts(
    eigenvalues: Float[np.ndarray, " m"],
    n_samples: int,
    x: Float[np.ndarray, " grid"],
    smoothing: float,
    head: int = 256,
) -> Counts:
    """How many eigenvalues of a Gaussian sample covariance exceed each x, and how these numbers vary together.

    eigenvalues: of the population; n_samples: degrees of freedom (one less than the samples if the mean was
    subtracted); smoothing: width of the (Cauchy) window through which the staircase is seen, relative to x, and at
    least the relative spacing of x. The shift of the count that the tails of this window cause is removed to first
    order. Exact as n and m grow at a fixed ratio. Cost: O(len(x) * (head + 32 ln m)) for the counts, O(len(x)^2) for
    their covariance.
    """
    values, sizes = grouped(eigenvalues, head)
    z = x * np.exp(1j * smoothing)
    v = stieltjes(z, values, sizes, n_samples)
    inner = 1 + np.multiply.outer(v, values)
    potential = n_samples * np.log(v) - (np.log(inner) + 1 / inner) @ sizes
    smoothed = n_samples - potential.imag / np.pi
    above = smoothed + smoothing * n_samples * (v * z).real / np.pi
    return Counts(x, above, _count_covariance(z, v))


def _count_covariance(
    z: Complex[np.ndarray, " grid"], v: Complex[np.ndarray, " grid"]
) -> Float[np.ndarray, "grid grid"]:
    """Bai and Silverstein's covariance, integrated to counts: (1/pi^2) [log|(v-v'*)/(z-z'*)| - log|(v-v')/(z-z')|]."""

    def log_ratio(v2, z2, on_diagonal):
        dv, dz = np.subtract.outer(v, v2), np.subtract.outer(z, z2)
        if on_diagonal:
            np.fill_diagonal(dv, np.gradient(v, z))
            np.fill_diagonal(dz, 1)
        return np.log(np.abs(dv / dz))

    return (log_ratio(v.conj(), z.conj(), False) - log_ratio(v, z, True)) / np.pi**2


def slope_weights(x: Float[np.ndarray, " k"], weights: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Coefficients c with -c @ y the weighted least-squares slope of y on x."""
    centred = x - np.average(x, weights=weights)
    return weights * centred / (weights @ centred**2)


class RankTheory(NamedTuple):
    """Expected log eigenvalue of the ranks first..last, and how a linear functional of them varies."""

    log_eigenvalues: Float[np.ndarray, " ranks"]
    above: Float[np.ndarray, " grid"]
    step: float
    covariance: Float[np.ndarray, "grid grid"]


def rank_theory(population: Float[np.ndarray, " m"], n: int, first: int, last: int) -> RankTheory:
    """The expected logarithms of the sample's eigenvalues first..last (ranks from 1).

    One coarse pass finds where these eigenvalues lie, a fine one gives their expected logarithms and how they vary
    together.
    """
    span = population[min(len(population), 2 * last) - 1] / 4, 4 * (population[first // 2] + population.sum() / n)
    edges = np.interp([last + 1.5, max(first - 2.5, 0.3)], *_rank_curve(population, n, *np.log(span), 60, 2 * last)[:2])
    above, log_x, covariance = _rank_curve(population, n, *edges, 250, 2 * last)
    ranks = np.arange(first, last + 1)
    return RankTheory(np.interp(ranks - 0.5, above, log_x), above, float(log_x[0] - log_x[1]), covariance)


def fitted_slope(population: Float[np.ndarray, " m"], n: int, first: int, last: int) -> tuple[float, float]:
    """Mean and standard deviation of the weighted log-log slope of the sample's eigenvalues first..last."""
    theory = rank_theory(population, n, first, last)
    ranks = np.arange(first, last + 1)
    weights = slope_weights(np.log(ranks), 1 / ranks)
    if _separate(population, n, first, last):
        return float(-weights @ theory.log_eigenvalues), float(np.sqrt(2 / (n - 1) * (weights @ weights)))
    inside = (theory.above > first - 1) & (theory.above <= last)
    influence = np.interp(theory.above, ranks - 0.5, weights) * inside * theory.step
    return float(-weights @ theory.log_eigenvalues), float(np.sqrt(influence @ theory.covariance @ influence))


def _separate(population, n: int, first: int, last: int) -> bool:
    """Whether the sample's eigenvalues stand so far apart that each varies by itself, by 2/n of its square.

    (Anderson 1963.) There the number of eigenvalues above x is a staircase, and the theory for smooth counts loses its
    digits; where neighbours are eight deviations apart the two agree to 3 %.
    """
    gaps = -np.diff(np.log(population[first - 1 : min(last + 1, len(population))]))
    return bool(gaps.min() > 8 * np.sqrt(2 / n))


def _rank_curve(population, n: int, low: float, high: float, points: int, head: int):
    """Expected rank, ascending, against log x, descending, and the covariance of the ranks."""
    log_x, step = np.linspace(high, low, points, retstep=True)
    counts = eigenvalue_counts(population, n - 1, np.exp(log_x), -step, head)
    return np.maximum.accumulate(counts.above), log_x, counts.covariance
