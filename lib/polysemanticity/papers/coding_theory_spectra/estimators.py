"""Exponents of planted spectra: is the estimator right?"""

import numpy as np

from polysemanticity import spectra
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.papers.coding_theory_spectra.vision import WINDOW
from polysemanticity.projections import stimuli
from polysemanticity.spectra import broken_law, cvpca, exponent_errors, moments

FIGURES = {
    "figx_planted_exponents": "Planted against fitted exponents of Gaussian data: the plain fit bends away from the "
    "diagonal where samples are few, the corrected one stays on it with its interval.",
    "figx_estimators": "Error of five estimators of a planted exponent with few samples: the Hill, Zipf and plain fits "
    "are off by tenths, the corrected fit and the unbiased moments are not; beside it what these two read when three "
    "components are huge or the law breaks.",
    "figx_dropout_and_breaks": "Exponent read with dropout on against the dropout rate: one pass reads ever flatter "
    "laws, two passes with independent masks stay near the truth to a rate of 0.4; beside it the share of data sets "
    "called broken against the difference of the two planted exponents.",
    "figx_stringer_curves": "Random three-dimensional projections of synthetic codes of an angle with exponents 2, 3 "
    "and 4: a jagged loop, a rough loop, a smooth loop; below, action against the number of steps.",
}

CLAIMS: dict[str, Claim] = {}

ESTIMATORS = ("Hill, 32 largest", "Zipf", "fit", "corrected fit", "unbiased moments")
DISTURBANCES = ("none", "3 components × 1000 in variance", "exponent 2 beyond rank 20")
BREAK = 15  # rank of the planted breaks
BREAK_WINDOW = (4, 60)


def planted(*, seed, device, n_samples, n_units, exponents, repeats) -> dict:
    """Return fitted and corrected exponents and intervals of planted Gaussian data, arrays [exponent, repeat, ...]."""
    rng = streams.rng(seed, "planted")
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


def estimates(*, seed, device, n_samples, n_units, exponents, repeats, simulations) -> dict:
    """Return what each of ESTIMATORS reads from planted Gaussian data, [exponent, repeat, estimator].

    And whether the 95 % intervals of the last two cover the planted exponent, [exponent, repeat, 2].
    """
    rng = streams.rng(seed, "estimates")
    read = [
        [_all_estimates(stimuli.power_law_data(n_samples, n_units, a, rng), simulations) for _ in range(repeats)]
        for a in exponents
    ]
    truth = np.array(exponents)[:, None, None]
    interval = np.array([[[one[1] for one in row] for row in rows] for rows in read])
    return {
        "estimate": np.array([[[one[0] for one in row] for row in rows] for rows in read]),
        "covered": (interval[:, :, 3:, 0] <= truth) & (truth <= interval[:, :, 3:, 1]),
    }


def _all_estimates(data: np.ndarray, simulations: int) -> list[tuple[float, tuple[float, float]]]:
    """The value and interval of each of ESTIMATORS; those without an interval have their value twice."""
    spectrum, (first, last) = spectra.covariance_spectrum(data), WINDOW
    plain = (
        spectra.hill_exponent(spectrum, last),
        spectra.zipf_exponent(spectrum, first, last),
        spectra.fit_power_law(spectrum, first, last).exponent,
    )
    laws = (
        spectra.debias_power_law(spectrum, first=first, last=last),
        moments.fit_moments(data, simulations=simulations),
    )
    return [(value, (value, value)) for value in plain] + [(law.exponent, law.interval) for law in laws]


def disturbed(*, seed, device, n_samples, n_units, repeats, simulations) -> dict:
    """Return the corrected fit and the moments' exponent of planted data with a = 1 and one of DISTURBANCES.

    Arrays [disturbance, repeat, 2]; `misfit` [disturbance, repeat]: the moments' chi-square, 2 degrees of freedom.
    """
    rng, ranks = streams.rng(seed, "disturbed"), np.arange(1, n_units + 1)
    scales = np.ones(n_units), np.where(ranks <= 3, 1000.0, 1.0), np.minimum(1.0, 20 / ranks)
    exponents, misfit = [], []
    for scale in scales:
        for _ in range(repeats):
            data = stimuli.power_law_data(n_samples, n_units, 1.0, rng) * np.sqrt(scale)
            fit = spectra.debias_power_law(spectra.covariance_spectrum(data), first=WINDOW[0], last=WINDOW[1])
            law = moments.fit_moments(data, simulations=simulations)
            exponents.append((fit.exponent, law.exponent))
            misfit.append(law.misfit)
    shape = (len(scales), repeats)
    return {"exponent": np.reshape(exponents, (*shape, 2)), "misfit": np.reshape(misfit, shape)}


def under_dropout(*, seed, device, n_samples, n_units, exponent, rates, repeats) -> dict:
    """Return the exponents that one pass with dropout and two with independent masks show, [rate, repeat] each.

    The planted code's components lie across the units, as a network's do, so that dropout adds a flat floor.
    """
    rng, window = streams.rng(seed, "dropout"), (5, n_units // 5)
    one, two = [], []
    for rate in rates:
        for _ in range(repeats):
            turned = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
            data = stimuli.power_law_data(n_samples, n_units, exponent, rng) @ turned
            first, second = (cvpca.dropped(data, rate, rng) for _ in range(2))
            one.append(spectra.fit_power_law(spectra.covariance_spectrum(first), *window).exponent)
            two.append(spectra.fit_variances(cvpca.cross_validated_variances(first, second), *window).exponent)
    return {"one": np.reshape(one, (len(rates), repeats)), "two": np.reshape(two, (len(rates), repeats))}


def breaks(*, seed, device, n_samples, n_units, steps, repeats) -> dict:
    """Return whether planted laws are called broken, whose exponent is 1 to rank BREAK and 1 + step beyond.

    Arrays [step, repeat]; `gain` is the broken law's held-out error over the single law's, the larger of both
    directions, and `found` [step, repeat, 3] the fitted head, tail and rank of the break.
    """
    rng, ranks = streams.rng(seed, "breaks"), np.arange(1, n_units + 1)
    bent, gain, found = [], [], []
    for step in np.repeat(steps, repeats):
        scale = np.maximum(1.0, ranks / BREAK) ** (-step / 2)
        data = stimuli.power_law_data(n_samples, n_units, 1.0, rng) * scale
        result = broken_law.compare_laws(data, int(rng.integers(2**31)), first=BREAK_WINDOW[0], last=BREAK_WINDOW[1])
        bent.append(result.bent)
        gain.append(np.max(result.broken / result.single))
        found.append(result.law[:3])
    shape = (len(steps), repeats)
    return {"bent": np.reshape(bent, shape), "gain": np.reshape(gain, shape), "found": np.reshape(found, (*shape, 3))}


def errors(*, seed, device, n_samples, n_units, repeats, heavy) -> dict:
    """Return the standard errors that each method states for planted data with a = 1, and their true scatter.

    heavy: every sample has a scale of its own (its square is 3/chi^2 with 3 degrees of freedom), so that the data are
    not Gaussian while their spectrum is the same but for its size. Arrays [repeat]; the scatter is that of `exponent`.
    """
    rng, rows = streams.rng(seed, f"errors {heavy}"), []
    for _ in range(repeats):
        data = stimuli.power_law_data(n_samples, n_units, 1.0, rng)
        if heavy:
            data = data * np.sqrt(3 / rng.chisquare(3, (n_samples, 1)))
        found = exponent_errors.exponent_errors(
            data, int(rng.integers(2**31)), first=WINDOW[0], last=WINDOW[1], simulations=20
        )
        rows.append((found.law.exponent, found.law.stderr, np.diff(found.bootstrap)[0] / 3.92, found.halves_stderr))
    return dict(zip(("exponent", "theory", "bootstrap", "halves"), np.array(rows).T, strict=True))
