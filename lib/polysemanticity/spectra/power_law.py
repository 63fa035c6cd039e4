"""Power laws in eigenspectra: what a sample shows, and the population that would show it.

A power law is lambda_i ~ i^-exponent, so the exponent is positive (Stringer et al. 2019); the coding-theory paper's
alpha is its negative. Ranks count from 1. A sample spectrum is no power law even if the population's is: its head is
inflated, its tail cut short. `fit_power_law` measures the slope that is there, `debias_power_law` the population
exponent that would produce it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

from polysemanticity.spectra import wishart
from polysemanticity.spectra.covariance import Spectrum, covariance_spectrum

MAX_EXPONENT = 12.0  # steeper than anything an activation can show in float64
NODE = 0.25  # spacing of the exponents at which the calibration is computed


class PowerLaw(NamedTuple):
    """lambda_i ~ i^-exponent on the ranks first..last (inclusive, counted from 1).

    stderr: of the regression for `fit_power_law` (eigenvalues of one sample are not independent: it is no sampling
    error), of the sampling for `debias_power_law`; interval: 95 %, only from `debias_power_law`; r2: of the weighted
    regression.
    """

    exponent: float
    stderr: float
    r2: float
    first: int
    last: int
    interval: tuple[float, float] | None = None

    @property
    def decades(self) -> float:
        """Length of the fitted window in decades of rank; below 1 a slope says little about a power law."""
        return float(np.log10(self.last / self.first))


def fit_window(n_samples: int, n_units: int) -> tuple[int, int]:
    """Return the ranks (first, last) to fit: 11..min(n, m)/10, or 3..min(n, m)/4 where that is shorter than a decade.

    The head is left out because a few directions need not follow the law, the tail because a sample cuts it short.
    Raises ValueError if neither window spans a decade.
    """
    size = min(n_samples, n_units)
    for first, last in ((11, size // 10), (3, size // 4)):
        if last >= 10 * first:
            return first, last
    raise ValueError(
        f"n_samples, n_units = {n_samples}, {n_units}: allowed is at least 120 of both (a decade of ranks)"
    )


def fit_power_law(spectrum: Spectrum, first: int = 11, last: int | None = None) -> PowerLaw:
    """Return the slope of log eigenvalue on log rank by least squares with weights 1/rank on the ranks first..last.

    Stringer et al. 2019's estimator, with last = min(n, m)//10 unless given; their port's shift by one rank is not
    repeated. The slope is that of the sample: for the population's see `debias_power_law`. Look at `.decades` before
    calling it a law; for narrow layers see `fit_window`. Raises ValueError for fewer than 5 ranks, ranks that do not
    exist, eigenvalues that are zero (ranks beyond the data's) or not sorted.
    """
    first, last = _ranks(spectrum, first, last)
    values = spectrum.eigenvalues[first - 1 : last]
    if not (np.all(np.isfinite(values)) and values[-1] > 0 and np.all(np.diff(values) <= 0)):
        raise ValueError(
            f"spectrum: eigenvalues {first}..{last} run from {values[0]!r} to {values[-1]!r}: "
            "allowed is finite, positive and descending"
        )
    ranks = np.arange(first, last + 1)
    return PowerLaw(*_weighted_slope(np.log(ranks), np.log(values), 1 / ranks), first, last)


def fit_variances(variances: Float[np.ndarray, " ranks"], first: int = 11, last: int = 200) -> PowerLaw:
    """Return the slope as `fit_power_law` does, of variances in the order of their components, such as those of cvPCA.

    They need not descend; ranks whose variance is not positive are left out, and more than a tenth of these raises
    ValueError.
    """
    if not 1 <= first <= last - 4 <= len(variances) - 4:
        raise ValueError(f"first, last = {first}, {last}: allowed is 5 ranks or more within 1..{len(variances)}")
    values, ranks = variances[first - 1 : last], np.arange(first, last + 1)
    positive = values > 0
    if positive.mean() < 0.9:
        raise ValueError(f"variances: {np.sum(~positive)} of {len(values)} are not positive: allowed is a tenth")
    ranks = ranks[positive]
    return PowerLaw(*_weighted_slope(np.log(ranks), np.log(values[positive]), 1 / ranks), first, last)


def hill_exponent(spectrum: Spectrum, top: int) -> float:
    """Return Hill's estimate from the `top` largest eigenvalues, as if they were independent draws.

    The density's exponent is 1 + 1/a (Clauset et al. 2009); this is a. Eigenvalues repel each other and a sample's are
    too spread, so it is far too steep unless n is many times m; here for comparison only.
    """
    if not 2 <= top <= len(spectrum.eigenvalues) or not spectrum.eigenvalues[top - 1] > 0:
        raise ValueError(f"top = {top!r}: allowed is 2 to the number of positive eigenvalues")
    values = spectrum.eigenvalues[:top]
    return float(np.mean(np.log(values / values[-1])))


def zipf_exponent(spectrum: Spectrum, first: int = 11, last: int = 500) -> float:
    """Return the exponent that makes p_i ~ i^-a on first..last most likely for draws of ranks with weights lambda_i.

    Hanel et al. 2017, used on ranks; for comparison only: the largest eigenvalues decide it.
    """
    first, last = _ranks(spectrum, first, last)
    log_ranks = np.log(np.arange(first, last + 1))
    values = spectrum.eigenvalues[first - 1 : last]
    target = values @ log_ranks / values.sum()

    def excess(exponent: float) -> float:
        weights = np.exp(-exponent * (log_ranks - log_ranks[0]))
        return weights @ log_ranks / weights.sum() - target

    return float(scipy.optimize.brentq(excess, -MAX_EXPONENT, MAX_EXPONENT))


def _ranks(spectrum: Spectrum, first: int, last: int | None) -> tuple[int, int]:
    n, m, size = spectrum.n_samples, spectrum.n_units, len(spectrum.eigenvalues)
    if n < 2 or size == 0 or size > min(n, m):
        raise ValueError(f"spectrum: {size} eigenvalues of {n} samples and {m} units: allowed is 1 to min(n, m)")
    if first < 1:
        raise ValueError(f"first = {first!r}: allowed is at least 1")
    chosen = min(n, m) // 10 if last is None else last
    if chosen > size:
        raise ValueError(f"last = {chosen!r}: allowed is at most {size}, the number of eigenvalues")
    if chosen < first + 4:
        raise ValueError(
            f"last = {chosen!r} with first = {first}: allowed is at least {first + 4}, so that 5 ranks can be fitted; "
            f"here n = {n}, m = {m}, and the default last is min(n, m)//10 (see fit_window for narrow layers)"
        )
    return first, chosen


def _weighted_slope(x, y, weights) -> tuple[float, float, float]:
    """Minus the slope, its regression error and R^2."""
    slope = wishart.slope_weights(x, weights) @ y
    mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
    residual = y - mean_y - slope * (x - mean_x)
    noise, spread = weights @ residual**2, weights @ (y - mean_y) ** 2
    stderr = np.sqrt(noise / (len(x) - 2) / (weights @ (x - mean_x) ** 2))
    return float(-slope), float(stderr), float(1 - noise / spread) if spread > 0 else 1.0


def local_slope(
    spectrum: Spectrum, decades: float = 0.5, points: int = 40
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Return (ranks, exponents): `fit_power_law` in a window of `decades` sliding over the positive eigenvalues.

    A power law is a horizontal line here. Ranks are the windows' geometric centres; windows of fewer than 5 ranks are
    left out.
    """
    if not 0 < decades < 3:
        raise ValueError(f"decades = {decades!r}: allowed is above 0 and below 3")
    size, half = int(np.sum(spectrum.eigenvalues > 0)), 10 ** (decades / 2)
    centres, slopes = [], []
    for centre in np.geomspace(half, max(half, size / half), points):
        first, last = int(np.ceil(centre / half - 1e-9)), int(np.floor(centre * half + 1e-9))
        if last - first >= 4 and last <= size:
            centres.append(np.sqrt(first * last))
            slopes.append(fit_power_law(spectrum, first, last).exponent)
    return np.array(centres), np.array(slopes, dtype=float)


def debias_power_law(
    spectrum: Spectrum, seed: int = 0, *, first: int = 11, last: int | None = None, simulations: int = 0
) -> PowerLaw:
    """Return the population exponent whose Gaussian samples of the same (n, m) show, on average, the fitted slope.

    Indirect inference: exponent -> mean and spread of `fit_power_law`'s slope is calibrated and inverted. The
    calibration is the large-size theory of `spectra.wishart` (deterministic, tens of milliseconds per (n, m, window),
    kept for later calls; `seed` plays no part), or with simulations > 0 that many simulated data sets per calibration
    point (slow: an eigenvalue problem each; `seed` chooses them). stderr and the 95 % interval are the sampling error
    of Gaussian data with a power law over all ranks; they cover neither other distributions nor other shapes, nor the
    variation between trained networks. The exponent is 0 if the slope is no steeper than white noise shows. Raises
    what `fit_power_law` raises, and ValueError for a slope above 12.
    """
    fit = fit_power_law(spectrum, first, last)
    if simulations < 0 or simulations == 1:
        raise ValueError(f"simulations = {simulations!r}: allowed is 0 or at least 2")
    if fit.exponent > MAX_EXPONENT:
        raise ValueError(f"spectrum: fitted exponent {fit.exponent:.3g}: allowed is at most {MAX_EXPONENT:g}")
    setting = (spectrum.n_samples, spectrum.n_units, fit.first, fit.last, simulations, seed if simulations else 0)
    exponents, means, spreads = _calibration(fit.exponent, setting)
    invert = [
        np.interp(fit.exponent, np.maximum.accumulate(curve), exponents)
        for curve in (means, means + 1.96 * spreads, means - 1.96 * spreads)
    ]
    local = np.interp(invert[0], exponents, spreads / np.gradient(means, exponents))
    return PowerLaw(float(invert[0]), float(local), fit.r2, fit.first, fit.last, (float(invert[1]), float(invert[2])))


def _calibration(slope: float, setting: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponents around the one that shows `slope`, on a fine grid, with the mean and spread of the slope at each."""

    def quantile(node: int, deviations: int) -> float:
        mean, spread = _slope_distribution(node * NODE, *setting)
        return mean + deviations * spread

    low = high = max(0, round(slope / NODE))
    while low > 0 and quantile(low, 4) > slope:
        low -= 1
    while high - low < 3 or quantile(high, -4) < slope:
        high += 1
    nodes = np.arange(low, high + 1) * NODE
    table = np.array([_slope_distribution(node, *setting) for node in nodes])
    fine = np.linspace(nodes[0], nodes[-1], 50 * (len(nodes) - 1) + 1)
    means, spreads = scipy.interpolate.CubicSpline(nodes, table)(fine).T
    return fine, means, spreads


@lru_cache(maxsize=4096)
def _slope_distribution(exponent: float, n: int, m: int, first: int, last: int, simulations: int, seed: int):
    """Mean and standard deviation of the fitted slope of Gaussian data with lambda_i = i^-exponent."""
    population = np.arange(1, m + 1) ** -float(exponent)
    if not simulations:
        return wishart.fitted_slope(population, n, first, last)
    rng = np.random.default_rng(seed)
    scale = np.sqrt(population)
    slopes = [
        fit_power_law(covariance_spectrum(rng.standard_normal((n, m)) * scale), first, last).exponent
        for _ in range(simulations)
    ]
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1))
