"""Estimates with their intervals: means, counts, shares, slopes and rank correlations, of one sample or of many.

An interval is at the level of 95 % unless another is asked for. Functions that take an `axis` return arrays, one
estimate for each of the other places; along a single axis they return plain numbers.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # which imports its parts when they are first used: statistics take a second

from polysemanticity.base.checks import check

PASSING = 0.75  # share of networks that must pass a gate


class Estimate(NamedTuple):
    """A measured value and the ends of its interval: three numbers, or three arrays of one shape."""

    value: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray

    def at(self, place) -> "Estimate":
        """Return the estimate at one place, or at some places, of an estimate of arrays."""
        return Estimate(*(_plain(np.asarray(part)[place]) for part in self))

    def over(self, unit) -> "Estimate":
        """Return the estimate divided by a positive unit, which is taken as exact."""
        check(bool(np.all(np.asarray(unit) > 0)), "unit", unit, "above 0")
        return Estimate(*(part / unit for part in self))

    def columns(self) -> dict[str, float | np.ndarray]:
        """Return the estimate as columns of a table: `value`, `low` and `high`."""
        return self._asdict()


def exact(value, error=0.0) -> Estimate:
    """Return the estimate of a calculation: the value with its numerical error on either side."""
    value, error = np.asarray(value, dtype=float), np.asarray(error, dtype=float)
    return Estimate(_plain(value), _plain(value - error), _plain(value + error))


def mean(samples, axis: int = -1, level: float = 0.95) -> Estimate:
    """Return mean and t interval over independent samples (seeds, images) along one axis.

    Raises ValueError for fewer than two samples, and for values that are not finite.
    """
    samples = _samples(samples, axis)
    n = samples.shape[axis]
    middle = samples.mean(axis)
    half = scipy.stats.t.ppf((1 + level) / 2, n - 1) * scipy.stats.sem(samples, axis)
    return Estimate(_plain(middle), _plain(middle - half), _plain(middle + half))


def ratio_of_means(above, below, level: float = 0.95) -> Estimate:
    """Return mean(above) / mean(below) of pairs of samples with a t interval by linearisation; NaN if below is 0."""
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    if below.mean() == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    value = above.mean() / below.mean()
    _, low, high = mean(above / below.mean() - value * (below / below.mean() - 1), level=level)
    return Estimate(float(value), low, high)


def difference(first, second, grain: float = 0.0, level: float = 0.95) -> Estimate:
    """Return mean(first) − mean(second) of independent samples with Welch's t interval.

    `grain` is the spacing of values that are counts; no variance is taken to be below that of rounding, grain²/12.
    Raises ValueError for fewer than two samples, and for values that are not finite.
    """
    both = [_samples(samples, -1) for samples in (first, second)]
    n = np.array([len(samples) for samples in both])
    parts = np.maximum([samples.var(ddof=1) for samples in both], grain**2 / 12) / n
    value, error = float(both[0].mean() - both[1].mean()), float(np.sqrt(parts.sum()))
    if error == 0:
        return exact(value)
    half = scipy.stats.t.ppf((1 + level) / 2, parts.sum() ** 2 / (parts**2 / (n - 1)).sum()) * error
    return Estimate(value, float(value - half), float(value + half))


def bootstrap(statistic: Callable, samples, rng, n: int = 2000, level: float = 0.95) -> Estimate:
    """Return statistic(samples) and its bootstrap percentile interval; samples are redrawn along the first axis."""
    samples = np.asarray(samples)
    check(len(samples) >= 2, "samples", samples, "at least two samples")
    draws = [statistic(samples[rng.integers(len(samples), size=len(samples))]) for _ in range(n)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(statistic(samples)), float(low), float(high))


def jackknife(statistic: Callable, parts, level: float = 0.95) -> Estimate:
    """Return statistic(sum of parts) and its t interval from leaving out one of the independent parts [part, …].

    For what is made of sums over groups of about equal size, such as texts, whose rows depend on each other; the
    statistic may return an array. Raises ValueError for fewer than two parts.
    """
    parts = np.asarray(parts, dtype=float)
    check(len(parts) >= 2, "parts", parts.shape, "at least two")
    total = parts.sum(0)
    value = np.asarray(statistic(total))
    left = np.array([statistic(total - part) for part in parts])
    n = len(parts)
    half = scipy.stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt((n - 1) / n * ((left - left.mean(0)) ** 2).sum(0))
    return Estimate(_plain(value), _plain(value - half), _plain(value + half))


def poisson(total: int, n_runs: int, level: float = 0.95) -> Estimate:
    """Return the mean count per run and its exact (Garwood) interval from the total count over `n_runs` runs."""
    check(total >= 0, "total", total, "a count of at least 0")
    check(n_runs >= 1, "n_runs", n_runs, "at least one run")
    low = scipy.stats.chi2.ppf((1 - level) / 2, 2 * total) / 2 if total > 0 else 0.0
    high = scipy.stats.chi2.ppf((1 + level) / 2, 2 * total + 2) / 2
    return Estimate(total / n_runs, float(low / n_runs), float(high / n_runs))


def counts(counted, unit: float = 1.0, level: float = 0.95) -> Estimate:
    """Return the mean of counts, in units of `unit`, and its t interval over the runs.

    Where nothing was counted the interval is the exact one of Poisson counts, as no spread is no certainty.
    """
    counted = np.asarray(counted)
    found = mean(counted, level=level) if counted.any() else poisson(0, counted.size, level)
    return found.over(unit)


def proportion(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Return the share of successes and its exact (Clopper–Pearson) interval."""
    allowed = "0 <= successes <= trials"
    check(trials >= 1 and 0 <= successes <= trials, "successes, trials", (successes, trials), allowed)
    interval = scipy.stats.binomtest(int(successes), int(trials)).proportion_ci(confidence_level=level, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def slope(x, y) -> Estimate:
    """Return the slope of the least-squares line with its 95 % t interval."""
    fit = scipy.stats.linregress(x, y)
    half = scipy.stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return Estimate(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def common_slope(values, x, held_equal=None, level: float = 0.95) -> Estimate:
    """Return the slope of values [x, sample] on x and its t interval, where every sample has its own constant.

    A sample is what was followed over all x, such as a training seed. held_equal [x, sample]: a second regressor, such
    as the loss, so that the slope is that at an equal value of it. Where x, or x at an equal second regressor, does not
    vary, the slope is NaN, and where nothing is left to tell its error the interval is the whole line.
    """
    values, x = np.asarray(values, dtype=float), np.asarray(x, dtype=float)
    check(values.ndim == 2 and len(values) == len(x), "values", values.shape, f"[x, sample] with {len(x)} x")
    regressors = [np.broadcast_to(x[:, None], values.shape), *([] if held_equal is None else [np.asarray(held_equal)])]
    design = np.stack([(column - column.mean(0)).ravel() for column in regressors], axis=1)
    target = (values - values.mean(0)).ravel()
    if np.linalg.matrix_rank(design, tol=1e-9 * np.abs(design).max()) < len(regressors):
        return Estimate(math.nan, -math.inf, math.inf)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ target
    residual = target - design @ coefficients
    dof = target.size - values.shape[1] - len(regressors)
    if dof < 1:
        return Estimate(float(coefficients[0]), -math.inf, math.inf)
    half = scipy.stats.t.ppf((1 + level) / 2, dof) * np.sqrt(residual @ residual / dof * inverse[0, 0])
    return Estimate(float(coefficients[0]), float(coefficients[0] - half), float(coefficients[0] + half))


def row_of_extreme_mean(samples, least: bool = True) -> Estimate:
    """Return the 95 % t interval [over the last axis] of the row with the smallest, or largest, mean.

    The row is chosen by its own data, so that the interval covers that row's mean less often than 95 %: for rules that
    every row has to meet, where this errs against the claim.
    """
    rows = np.asarray(samples, dtype=float)
    rows = rows.reshape(-1, rows.shape[-1])
    return mean(rows[rows.mean(-1).argmin() if least else rows.mean(-1).argmax()])


def extreme(estimates: Sequence[Estimate], largest: bool = True) -> Estimate:
    """Return the largest (or smallest) of several values, with the largest (or smallest) of their ends.

    These cover the largest of the true values if the intervals hold together: at a level of 1 − 0.05/k for k of them.
    Without ends where one of them has none: what it stands for was not measured.
    """
    value, low, high = ((max if largest else min)(float(e[end]) for e in estimates) for end in range(3))
    unknown = any(e.low == -np.inf and e.high == np.inf for e in estimates)
    return Estimate(value, -np.inf, np.inf) if unknown else Estimate(value, low, high)


def passes(good: np.ndarray) -> bool:
    """Return whether enough networks pass a gate to be judged: PASSING of them, and two at least."""
    return bool(good.mean() >= PASSING and good.sum() >= 2)


def gated(good: np.ndarray, estimate: Callable[[np.ndarray], Estimate]) -> Estimate:
    """Return the estimate of the networks that pass the gate, good [network]; one without ends where too few do.

    `estimate` gets the mask of the networks that it is to be made of.
    """
    if passes(good):
        return estimate(good)
    return Estimate(estimate(np.ones_like(good)).value, -np.inf, np.inf)


def join(estimates: Sequence[Estimate]) -> Estimate:
    """Return estimates of single numbers as one estimate of arrays, in their order."""
    return Estimate(*np.array(estimates, dtype=float).reshape(-1, 3).T)


def _plain(value):
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value


def _samples(samples, axis: int) -> np.ndarray:
    samples = np.asarray(samples, dtype=float)
    there = -samples.ndim <= axis < samples.ndim
    check(there and samples.shape[axis] >= 2, "samples", samples.shape, "at least two samples along the axis")
    check(bool(np.isfinite(samples).all()), "samples", samples, "finite numbers")
    return samples
