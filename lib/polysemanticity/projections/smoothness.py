"""Codes of a stimulus with d dimensions whose spectrum falls as i^-a, and how rough their random projections are.

The stimulus is a point on the torus [0, 2 pi)^d. For every pair of whole-number wave vectors +-k the code has two
units, cos(k.x) and sin(k.x), times |k|^(-d a/2). About |k|^d wave vectors are shorter than k, so the eigenvalues, in
order, fall as i^-a. Two stimuli at distance h then differ by E|dz|^2 ~ h^min(2, d(a - 1)), for every a > 1: codes are
differentiable where a > 1 + 2/d. The coding-theory paper's threshold a = 1 is the limit of many dimensions.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gamma, zeta

from polysemanticity.base.checks import check

SUMMED = 24  # harmonics whose variance is summed over the lattice; above, the sum is its integral to within e^-150


def spectrum(exponent: float | int, dimension: int, radius: int) -> Float[np.ndarray, " units"]:
    """Return the eigenvalues of the code's units with 0 < |k| <= radius, descending: |k|^(-d a)/2, in pairs.

    All (2 radius + 1)^d wave vectors are gone through in memory.
    """
    a, d = _law(exponent, dimension)
    check(radius >= 1 and (2 * radius + 1) ** d <= 2**26, "radius", radius, f"at least 1, few enough in {d} dimensions")
    squares = np.arange(-radius, radius + 1) ** 2
    length = squares
    for _ in range(d - 1):
        length = np.add.outer(length, squares).ravel()
    length = np.sort(length[(length > 0) & (length <= radius**2)])
    return 0.5 * length.astype(float) ** (-d * a / 2)


def line_spectrum(exponent: float | int, dimension: int, n_harmonics: int) -> Float[np.ndarray, " harmonics"]:
    """Return the variance that harmonics 1, 2, ... of one coordinate carry while the others stay fixed (a > 1).

    Harmonic j sums |k|^(-d a) over all wave vectors with first component j, an infinite lattice sum (through its theta
    function; above 24 it equals its integral). It falls as j^-(1 + d(a - 1)), as if the stimulus had one dimension.
    """
    a, d = _law(exponent, dimension)
    check(n_harmonics >= 1, "n_harmonics", n_harmonics, "an integer of at least 1")
    j = np.arange(1, n_harmonics + 1)
    variance = _integral(j.astype(float), a, d)
    few = j[:SUMMED, None]
    u = np.linspace(-70, 8, 6241)
    t = np.exp(u)
    theta = 1 + 2 * np.exp(-np.minimum(np.arange(1, 60)[:, None] ** 2 * t, 700)).sum(0)
    theta = np.where(t < 0.1, np.sqrt(np.pi / t), theta)  # equal to within e^(-pi^2 / 0.1)
    s = d * a / 2
    integrand = np.exp(s * u - few**2 * t) * theta ** (d - 1)
    variance[:SUMMED] = integrand.sum(1) * (u[1] - u[0]) / gamma(s)
    return variance


def _integral(j, a, d):
    """The sum over the other components of the wave vector as an integral."""
    s, others = d * a / 2, (d - 1) / 2
    return np.pi**others * gamma(s - others) / gamma(s) * j ** -(2 * s - 2 * others)


def random_paths(
    exponent: float | int, dimension: int, n_points: int, n_dims: int, n_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draw point dim"]:
    """Return random projections of the code along a closed line, n_points equal steps once round one coordinate.

    Each of the n_dims coordinates is a Gaussian projection of all of the infinitely many units, hence a Gaussian
    process with `line_spectrum`; drawn exactly, with the harmonics above n_points / 2 folded back to where the points
    see them. The mean along the line is left out. Needs a > 1, or the variance is infinite.
    """
    a, d = _law(exponent, dimension)
    check(n_points >= 4 and n_points % 2 == 0, "n_points", n_points, "an even number of at least 4")
    check(n_dims >= 1, "n_dims", n_dims, "an integer of at least 1")
    check(n_draws >= 1, "n_draws", n_draws, "an integer of at least 1")
    check(n_points > 2 * SUMMED, "n_points", n_points, f"above {2 * SUMMED}")
    seen = _folded(a, d, n_points)
    shape = (n_draws, n_dims, len(seen))
    wave = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    wave[..., -1] = np.sqrt(2) * wave[..., -1].real  # at half the rate of the points only the cosine is seen
    amplitude = np.concatenate([[0.0], np.sqrt(seen)])
    full = np.concatenate([np.zeros((*shape[:2], 1)), wave], -1) * amplitude * n_points / 2
    full[..., -1] *= 2 / np.sqrt(2)
    return np.fft.irfft(full, n_points).swapaxes(1, 2)


def _folded(a, d, n_points):
    """The variance of harmonics 1..n/2 as seen at n points: j, n - j, n + j, 2n - j, ... together."""
    j = np.arange(1, n_points // 2 + 1)
    p = 1 + d * (a - 1)
    constant = _integral(1.0, a, d) * float(n_points) ** -p
    above = constant * (zeta(p, 1 + j / n_points) + zeta(p, 1 - j / n_points))
    above[-1] = constant * zeta(p, 1.5)  # n - j is j itself here
    return line_spectrum(a, d, n_points // 2) + above


def structure_exponent(exponent, dimension):
    """Return min(2, d(a - 1)), the power of the distance with which E|dz|^2 falls; elementwise. (Derived.)"""
    return np.minimum(2.0, np.asarray(dimension) * (np.asarray(exponent, dtype=float) - 1))


def differentiable_above(dimension):
    """Return 1 + 2/d, the exponent above which random projections are differentiable (Stringer et al. 2019)."""
    return 1 + 2 / np.asarray(dimension, dtype=float)


def _law(exponent, dimension):
    check(bool(1 < exponent < 20), "exponent", exponent, "above 1, so that the variance is finite, and below 20")
    check(isinstance(dimension, int | np.integer) and 1 <= dimension <= 8, "dimension", dimension, "1 to 8")
    return float(exponent), int(dimension)
