"""How far an exponent can be trusted: a parametric bootstrap and disjoint halves of the samples.

The usual bootstrap, which draws samples with replacement, is biased for spectra: repeated samples act as fewer ones and
steepen the tail. A parametric one draws new Gaussian data from the fitted law; it knows nothing of data that are not
Gaussian or follow no law. Disjoint halves know that, but only of the samples at hand. Neither knows how much another
training of the same network would differ, which is usually more than both.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num

from polysemanticity.spectra.covariance import Spectrum, covariance_spectrum
from polysemanticity.spectra.power_law import PowerLaw, debias_power_law, fit_window


class ExponentErrors(NamedTuple):
    """The corrected exponent with its errors.

    bootstrap: 95 % interval of the exponents of data simulated from the law; halves: the exponents of both halves of
    every random split; halves_stderr: the standard error of all samples that their differences imply.
    """

    law: PowerLaw
    bootstrap: tuple[float, float]
    halves: Float[np.ndarray, "splits 2"]
    halves_stderr: float


def exponent_errors(
    samples: Num[np.ndarray | torch.Tensor, "samples units"],
    seed: int = 0,
    *,
    first: int | None = None,
    last: int | None = None,
    simulations: int = 100,
    splits: int = 5,
) -> ExponentErrors:
    """Return the corrected exponent of the samples with a parametric bootstrap and the spread of disjoint halves.

    first, last: ranks, those that `fit_window` gives for half of the samples unless both are given, so that all
    exponents are of the same ranks. Where the halves' error is much the larger, the samples are not Gaussian and the
    bootstrap is too sure. Cost: simulations + 2 splits + 1 spectra of the samples' size. Raises ValueError for fewer
    than 10 simulations or no split, and what `debias_power_law` and `fit_window` raise.
    """
    if simulations < 10 or splits < 1:
        raise ValueError(f"simulations, splits = {simulations}, {splits}: allowed is at least 10 and 1")
    n, m = samples.shape
    window = fit_window(n // 2, m) if None in (first, last) else (first, last)

    def exponent(spectrum: Spectrum) -> PowerLaw:
        return debias_power_law(spectrum, first=window[0], last=window[1])

    law = exponent(covariance_spectrum(samples))
    rng = np.random.default_rng(seed)
    deviations = np.arange(1, m + 1) ** (-law.exponent / 2)
    drawn = [
        exponent(covariance_spectrum(rng.standard_normal((n, m)) * deviations)).exponent for _ in range(simulations)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    halves = np.array([_halves(samples, exponent, rng.permutation(n)) for _ in range(splits)])
    stderr = float(
        np.sqrt(np.mean(np.diff(halves, axis=1) ** 2)) / 2
    )  # half the samples: twice the variance, two of it
    return ExponentErrors(law, (float(low), float(high)), halves, stderr)


def _halves(samples, exponent, order: np.ndarray) -> list[float]:
    half = len(order) // 2
    parts = (np.sort(order[:half]), np.sort(order[half : 2 * half]))
    return [exponent(covariance_spectrum(samples[part])).exponent for part in parts]
