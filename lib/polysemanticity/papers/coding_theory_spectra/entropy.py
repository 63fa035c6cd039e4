"""Entropy of power-law codes: CT-09."""

import numpy as np

from polysemanticity import information, spectra
from polysemanticity.base import streams
from polysemanticity.claims import Claim

_SOURCE = "Marshall & Kirchner 2024"

FIGURES = {
    "figx_entropy_bound": "Bits per unit against the spectral exponent: the printed bound rises above the bits that "
    "there are, the corrected one goes below zero, water-filling follows the entropy of rounded Gaussian units.",
}

CLAIMS: dict[str, Claim] = {
    "CT-09": Claim(
        id="CT-09",
        claim="A code with a power-law spectrum holds at most mn - alpha m log(m/e) bits",
        source=f"{_SOURCE}, supplement 2.4",
        paper="H <= mn - alpha m log(m/e), with alpha < 0 more than the mn bits that m units of n bits have",
        rule={"printed bound ÷ mn, most": (0.0, 1.0)},
        reason="A bound above mn says nothing; it should fall as the spectrum becomes steeper. Corrected: the entropy "
        "of rounded Gaussian units, along the principal axes (exact) and turned at random (sampled), is never above "
        "the certified bound, and within a bit per unit of water-filling: theory allows 0.755.",
        corrected={
            "entropy ÷ certified bound, most": (0.0, 1.0),
            "entropy less water-filling, least (bits per unit)": (-1.0, 1.0),
            "entropy less water-filling, most (bits per unit)": (-1.0, 1.0),
        },
        correction="H <= Σ ½ log2(2πe(λ_i/δ² + 1/12)) for units in steps of δ; to within a bit per unit "
        "Σ max(0, n - (a/2) log2 i), reverse water-filling",
    ),
}


def rounded_units(*, seed, device, n_units, precision, exponents, n_draws) -> dict:
    """Return the entropy of Gaussian units rounded to steps of 1, of the sizes that `power_law_entropy_bound` assumes.

    Units along the principal axes (any number, exact) or, where there are at most 3, turned at random (sampled). The
    certified bound is that of the rounded units' own covariance. Arrays [exponent], bits per unit.
    """
    rng = streams.rng(seed, f"rounding {precision}")
    rows = []
    for a in exponents:
        scale = 2.0**precision / np.sqrt(12) * np.arange(1, n_units + 1) ** (-a / 2)
        if n_units > 3:
            entropy, error = information.rounded_gaussian_entropy(scale).sum(), 0.0
            eigenvalues = information.rounded_gaussian_variance(scale)
        else:
            turned = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
            units = np.rint(rng.standard_normal((n_draws, n_units)) * scale @ turned)
            entropy, error = information.sample_entropy(units)
            eigenvalues = spectra.covariance_spectrum(units).eigenvalues
        rows.append((entropy, error, information.covariance_entropy_bound(eigenvalues)))
    entropy, error, bound = np.array(rows).T / n_units
    return {"entropy": entropy, "error": error, "bound": bound}
