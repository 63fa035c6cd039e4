"""Is it one power law, or two that meet at a rank? Judged on samples that were not fitted.

The broken law is lambda_i ~ i^-head up to the rank `at` and ~ i^-tail beyond it, continuous there. Any bend is fitted
better by two lines than by one, so the two compete on held-out samples. And a sample of a single law is bent itself,
its tail cut short: the bend that `spectra.wishart` expects of the single law at these n and m is taken out first.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num

from polysemanticity.spectra import wishart
from polysemanticity.spectra.covariance import Spectrum, covariance_spectrum
from polysemanticity.spectra.power_law import debias_power_law, fit_power_law

WORTH = 0.8  # a break must bring the held-out error below this share of the single law's
BREAKS = 30  # ranks tried for the break, equally spaced in log rank
MARGIN = 2.0  # a break lies at least this factor in rank inside the window's ends


class BrokenLaw(NamedTuple):
    """lambda_i ~ i^-head up to the rank `at`, i^-tail beyond; error: weighted mean square of the log residual."""

    head: float
    tail: float
    at: float
    error: float
    constant: float

    def log_eigenvalues(self, ranks: Num[np.ndarray, " ranks"]) -> Float[np.ndarray, " ranks"]:
        """The law itself, as natural logarithms."""
        x = np.log(np.asarray(ranks, dtype=float) / self.at)
        return self.constant - np.where(x < 0, self.head, self.tail) * x


class Comparison(NamedTuple):
    """Held-out errors (weighted mean squares of log eigenvalues) of one and of two laws, per direction of fit and test.

    law: the broken law, fitted to both halves; bent: whether it predicts held-out samples better by a fifth or more in
    both directions (WORTH).
    """

    single: Float[np.ndarray, "2"]
    broken: Float[np.ndarray, "2"]
    law: BrokenLaw

    @property
    def bent(self) -> bool:
        return bool(np.all(self.broken < WORTH * self.single))


def fit_broken_law(spectrum: Spectrum, first: int = 11, last: int | None = None) -> BrokenLaw:
    """Return the continuous broken power law that fits log eigenvalues best, with weights 1/rank, on first..last.

    The break is searched on 30 ranks at least a factor 2 inside the window, which must span a factor 8 or more. As
    `fit_power_law`, this is the shape of the sample. Raises what `fit_power_law` raises, and ValueError for a window
    too short.
    """
    single = fit_power_law(spectrum, first, last)
    ranks = np.arange(single.first, single.last + 1)
    return fit_broken(ranks, np.log(spectrum.eigenvalues[single.first - 1 : single.last]))


def fit_broken(ranks: Num[np.ndarray, " ranks"], values: Float[np.ndarray, " ranks"]) -> BrokenLaw:
    """Return the broken law that fits log eigenvalues at these ranks best; ValueError for a window too short."""
    low, high = ranks[0] * MARGIN, ranks[-1] / MARGIN
    if high < 2 * low:
        raise ValueError(f"last = {ranks[-1]} with first = {ranks[0]}: allowed is at least 8 times first")
    candidates = [_with_break(ranks, values, at) for at in np.geomspace(low, high, BREAKS)]
    return min(candidates, key=lambda law: law.error)


def _with_break(ranks, values, at: float) -> BrokenLaw:
    x, root = np.log(ranks / at), ranks**-0.5
    design = np.stack([np.ones_like(x), -np.minimum(x, 0), -np.maximum(x, 0)], axis=1)
    (constant, head, tail), *_ = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)
    law = BrokenLaw(float(head), float(tail), float(at), 0.0, float(constant))
    return law._replace(error=_error(ranks, values, law.log_eigenvalues(ranks)))


def bend(
    ranks: Num[np.ndarray, " ranks"], values: Float[np.ndarray, "*sets ranks"], at: float | int
) -> Float[np.ndarray, "*sets"] | float:
    """Return tail less head of the law broken at a rank that was found elsewhere, fitted to log eigenvalues.

    Linear in them, and 0 on average for a single law.
    """
    x, root = np.log(ranks / at), ranks**-0.5
    design = np.stack([np.ones_like(x), -np.minimum(x, 0), -np.maximum(x, 0)], axis=1)
    _, head, tail = np.linalg.pinv(design * root[:, None])
    return values * root @ (tail - head)


def _error(ranks, values, predicted) -> float:
    """Weighted mean square; the overall size, in which two halves of a sample may differ, is left out."""
    residual = values - predicted
    return float(np.average((residual - np.average(residual, weights=1 / ranks)) ** 2, weights=1 / ranks))


def compare_laws(
    samples: Num[np.ndarray | torch.Tensor, "samples units"], seed: int = 0, *, first: int = 11, last: int | None = None
) -> Comparison:
    """Return whether a broken law predicts held-out samples better than a single one.

    The samples are split at random (`seed`) into two halves. Each law is fitted to the spectrum of one half and
    predicts the logarithms of the other's, and the other way round. From both halves the bend is subtracted that
    Gaussian samples of a single law with the same (n/2, m) have on average, so that few samples alone do not look like
    a break. last: min(n/2, m)//10 unless given. How often a single law is called broken is measured in the tests.
    Raises what `debias_power_law` and `fit_broken_law` raise.
    """
    order = np.random.default_rng(seed).permutation(len(samples))
    half = len(samples) // 2
    one, other = (covariance_spectrum(samples[np.sort(part)]) for part in (order[:half], order[half : 2 * half]))
    return compare_spectra(one, other, first=first, last=last)


def compare_spectra(one: Spectrum, other: Spectrum, *, first: int = 11, last: int | None = None) -> Comparison:
    """Return what `compare_laws` does, of the spectra of two halves that are independent of each other.

    Where samples depend on each other, n_samples is to be the number of independent ones that they are worth.
    """
    spectra = (one, other)
    fit = fit_power_law(one, first, last)
    ranks = np.arange(fit.first, fit.last + 1)
    halves = [straightened(spectrum, ranks) for spectrum in spectra]
    single, broken = [], []
    for fitted, held in (halves, halves[::-1]):
        slope, constant = np.polyfit(np.log(ranks), fitted, 1, w=ranks**-0.5)
        single.append(_error(ranks, held, constant + slope * np.log(ranks)))
        broken.append(_error(ranks, held, fit_broken(ranks, fitted).log_eigenvalues(ranks)))
    return Comparison(np.array(single), np.array(broken), fit_broken(ranks, np.mean(halves, axis=0)))


def straightened(spectrum: Spectrum, ranks) -> Float[np.ndarray, " ranks"]:
    """Return log eigenvalues of the ranks, with what a finite sample does to a single law of this slope taken out."""
    first, last = int(ranks[0]), int(ranks[-1])
    exponent = debias_power_law(spectrum, first=first, last=last).exponent
    population = np.arange(1, spectrum.n_units + 1) ** -exponent
    expected = wishart.rank_theory(population, spectrum.n_samples, first, last).log_eigenvalues
    return np.log(spectrum.eigenvalues[first - 1 : last]) - expected - exponent * np.log(ranks)
