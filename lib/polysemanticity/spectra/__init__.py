"""Eigenspectra of activations: everything about them that notebooks and papers use, under one name.

`covariance` makes the spectrum, `power_law` fits and corrects its exponent; here are besides these the
two measures of dimension that need no fit window.
"""

import numpy as np

from polysemanticity.spectra.covariance import CovarianceSums, Spectrum, covariance_spectrum, views
from polysemanticity.spectra.power_law import (
    MAX_EXPONENT,
    PowerLaw,
    debias_power_law,
    fit_power_law,
    fit_variances,
    fit_window,
    hill_exponent,
    local_slope,
    zipf_exponent,
)

__all__ = [
    "MAX_EXPONENT",
    "CovarianceSums",
    "PowerLaw",
    "Spectrum",
    "covariance_spectrum",
    "debias_power_law",
    "effective_rank",
    "fit_power_law",
    "fit_variances",
    "fit_window",
    "hill_exponent",
    "local_slope",
    "participation_ratio",
    "views",
    "zipf_exponent",
]


def participation_ratio(spectrum: Spectrum) -> float:
    r"""Return $(\sum_i\lambda_i)^2/\sum_i\lambda_i^2$, between 1 and the number of eigenvalues; needs no fit window."""
    values = _positive_total(spectrum)
    return float(values.sum() ** 2 / (values**2).sum())


def effective_rank(spectrum: Spectrum) -> float:
    r"""Return $\exp(-\sum_i p_i\ln p_i)$ of the shares p of eigenvalues (RankMe: of singular values); no fit window."""
    values = _positive_total(spectrum)
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _positive_total(spectrum: Spectrum) -> np.ndarray:
    values = np.asarray(spectrum.eigenvalues, dtype=float)
    if not (values.size and np.all(np.isfinite(values)) and np.all(values >= 0) and values.sum() > 0):
        raise ValueError(f"spectrum: eigenvalues {values[:3]}...: allowed is finite, not negative, not all zero")
    return values / values.max()
