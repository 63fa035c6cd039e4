"""Entropy of power-law codes: CT-09."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import information, intervals, spectra
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate

_SOURCE = "Marshall & Kirchner 2024"

CLAIMS: dict[str, Claim] = {
    "CT-09": Claim(
        id="CT-09",
        claim="A code with a power-law spectrum holds at most mn - alpha m log(m/e) bits",
        whose="printed",
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
        known="the slip of the sign and the missing factor of one half had been derived before the rule was set",
        figure="figx_entropy_bound",
    ),
}
SHOWN = ((256, 2), (256, 8), (3, 4))  # units and bits of a unit, of the cases that the figure shows


@dataclass(frozen=True)
class Settings:
    """Entropy of rounded units."""

    n_samples: int = setting(40_000, "samples of three rounded units, for their entropy", low=100, smoke=400)


def cases(settings: Settings) -> list[dict]:
    """Return the configurations of `rounded_units`: many units along the principal axes, three turned at random."""
    fixed = {"exponents": tuple(np.linspace(0, 4, 17).tolist()), "n_draws": settings.n_samples}
    sizes = ((256, 2), (256, 4), (256, 8), (3, 2), (3, 4))
    return [{"n_units": m, "precision": n, **fixed} for m, n in sizes]


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


def table(results: Results) -> pd.DataFrame:
    """Return the entropy of rounded units and every bound on it, in bits per unit, for the cases of SHOWN.

    The results are those of a single seed.
    """
    frames = []
    for config, (result,) in results.pairs():
        m, n, a = config["n_units"], config["precision"], np.array(config["exponents"])
        if (m, n) not in SHOWN:
            continue
        forms = {form: information.power_law_entropy_bound(m, n, a, form) / m for form in information.FORMS}
        half = 1.96 * result["error"]
        series = [
            ("paper", "printed bound", forms["printed"]),
            ("corrected", "certified bound", result["bound"]),
            ("control", "reverse water-filling", forms["water-filling"]),
            ("control", "sign and factor put right", forms["corrected"]),
            ("control", "n bits, of a uniform unit", np.full(len(a), float(n))),
            ("measured", "entropy of rounded units", result["entropy"]),
        ]
        for what, name, bits in series:
            place = {"what": what, "series": name, "units m": m, "bits n": n, "exponent a": a}
            ends = {"low": bits - half, "high": bits + half} if what == "measured" else {}
            frames.append(pd.DataFrame({**place, "entropy [bits per unit]": bits, **ends}))
    return pd.concat(frames)


def measured(results: Results) -> Measured:
    """Return what decides CT-09, of the results of a single seed."""
    printed, ratios, excesses = [], [], []
    for config, (result,) in results.pairs():
        m, n, a = config["n_units"], config["precision"], np.array(config["exponents"])
        forms = {form: information.power_law_entropy_bound(m, n, a, form) / m for form in ("printed", "water-filling")}
        if m > 3:
            printed.append((forms["printed"] / n).max())
        ratios += _each(result["entropy"] / result["bound"], result["error"] / result["bound"])
        excesses += _each(result["entropy"] - forms["water-filling"], result["error"])
    quantities = {
        "printed bound ÷ mn, most": intervals.exact(max(printed)),
        "entropy ÷ certified bound, most": max(ratios, key=lambda e: e.high),
        "entropy less water-filling, least (bits per unit)": min(excesses, key=lambda e: e.low),
        "entropy less water-filling, most (bits per unit)": max(excesses, key=lambda e: e.high),
    }
    many, n_samples = results.setting("n_units").max(), results.setting("n_draws")[0]
    error = (
        f"exact for {many} units; 95 % interval of the estimated entropy ({n_samples} samples) for 3; the extreme "
        f"of {len(excesses)} settings"
    )
    bits, a = results.setting("precision"), results.setting("exponents")
    scale = (
        f"Gaussian units rounded to whole steps, m = {many} along the principal axes and 3 turned at random, "
        f"n = {bits.min()} to {bits.max()} bits, a = {a.min():g} to {a.max():g}"
    )
    note = "the bound of a Gaussian is nearly reached where all directions are wide, hence the ratio of almost 1"
    return Measured(quantities, error, scale, note)


def _each(values: np.ndarray, error: np.ndarray) -> list[Estimate]:
    """One estimate for each value, with the 95 % interval of its standard error."""
    return [Estimate(float(v), float(v - 1.96 * e), float(v + 1.96 * e)) for v, e in zip(values, error, strict=True)]
