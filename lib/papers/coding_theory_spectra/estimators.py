"""Exponents of planted spectra: is the estimator right?"""

import numpy as np

from lib import runtime, spectra, stimuli
from lib.claims import Claim
from lib.papers.coding_theory_spectra.vision import WINDOW

FIGURES = {
    "figx_planted_exponents": "Planted against fitted exponents of Gaussian data: the plain fit bends away from the "
    "diagonal where samples are few, the corrected one stays on it with its interval.",
    "figx_stringer_curves": "Random three-dimensional projections of synthetic codes of an angle with exponents 2, 3 "
    "and 4: a jagged loop, a rough loop, a smooth loop; below, action against the number of steps.",
}

CLAIMS: dict[str, Claim] = {}


def planted(*, seed, device, n_samples, n_units, exponents, repeats) -> dict:
    """Return fitted and corrected exponents and intervals of planted Gaussian data, arrays [exponent, repeat, ...]."""
    rng = runtime.rng(seed, "planted")
    fitted, corrected, intervals = [], [], []
    for exponent in np.repeat(exponents, repeats):
        spectrum = spectra.covariance_spectrum(stimuli.power_law_data(n_samples, n_units, float(exponent), rng))
        law = spectra.debias_power_law(spectrum, first=WINDOW[0], last=WINDOW[1])
        fitted.append(spectra.fit_power_law(spectrum, *WINDOW).exponent)
        corrected.append(law.exponent)
        intervals.append(law.interval)
    shape = (len(exponents), repeats)
    return {
        "fitted": np.reshape(fitted, shape),
        "corrected": np.reshape(corrected, shape),
        "interval": np.reshape(intervals, (*shape, 2)),
    }
