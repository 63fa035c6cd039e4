"""Exponents of planted spectra: is the estimator right?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import projections, spectra
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim
from polysemanticity.intervals import Estimate, exact, mean, proportion
from polysemanticity.papers.coding_theory_spectra.vision import FITTED_RANKS
from polysemanticity.projections import stimuli
from polysemanticity.spectra import broken_law, cvpca, exponent_errors, moments

CLAIMS: dict[str, Claim] = {}

ESTIMATORS = ("Hill, 32 largest", "Zipf", "fit", "corrected fit", "unbiased moments")
DISTURBANCES = ("none", "3 components × 1000 in variance", "exponent 2 beyond rank 20")
BREAK = 15  # rank of the planted breaks
BREAK_WINDOW = (4, 60)
CIRCLES = (2.0, 3.0, 4.0)  # exponents of the synthetic codes of an angle
N_ANGLES, N_CIRCLE_UNITS, N_DRAWN = 4096, 1000, 1024  # the last: how many of the angles a picture shows
AXES = ("axis 1", "axis 2", "axis 3")
STEPS = (16, 32, 64, 128, 256)  # per turn, when their action is measured


@dataclass(frozen=True)
class Settings:
    """Planted spectra."""

    n_planted: int = setting(20, "planted data sets for each exponent", low=2, smoke=2)


def sizes(settings: Settings) -> list[dict]:
    """Return the configurations of `planted`: fewer samples than units, as many, and more."""
    fixed = {"exponents": (0.5, 0.75, 1.0, 1.5, 2.0, 3.0), "repeats": settings.n_planted}
    return [{"n_samples": n, "n_units": m, **fixed} for n, m in ((128, 1024), (256, 256), (1024, 128))]


def few_samples(settings: Settings) -> dict:
    """Return the configuration of `disturbed`, and of `estimates` but for its exponents."""
    n = settings.n_planted
    return {"n_samples": 128, "n_units": 512, "repeats": n, "simulations": 5 * n}


def several_laws(settings: Settings) -> dict:
    """Return the configuration of `estimates`."""
    return {**few_samples(settings), "exponents": (0.5, 0.75, 1.0, 1.5, 2.0)}


def masks(settings: Settings) -> dict:
    """Return the configuration of `under_dropout`, which takes longest: a quarter of the data sets."""
    fixed = {"n_samples": 2560, "n_units": 256, "exponent": 1.5, "rates": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)}
    return {**fixed, "repeats": max(settings.n_planted // 4, 2)}


def bends(settings: Settings) -> dict:
    """Return the configuration of `breaks`."""
    jumps = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
    return {"n_samples": 512, "n_units": 512, "steps": jumps, "repeats": settings.n_planted}


def tails(settings: Settings) -> list[dict]:
    """Return the configurations of `errors`: Gaussian data, then samples that differ in size."""
    fixed = {"n_samples": 256, "n_units": 256, "repeats": settings.n_planted}
    return [{**fixed, "heavy": heavy} for heavy in (False, True)]


def planted(*, seed, device, n_samples, n_units, exponents, repeats) -> dict:
    """Return fitted and corrected exponents and intervals of planted Gaussian data, arrays [exponent, repeat, ...]."""
    rng = streams.rng(seed, "planted")
    fitted, corrected, intervals = [], [], []
    for exponent in np.repeat(exponents, repeats):
        spectrum = spectra.covariance_spectrum(stimuli.power_law_data(n_samples, n_units, float(exponent), rng))
        law = spectra.debias_power_law(spectrum, first=FITTED_RANKS[0], last=FITTED_RANKS[1])
        fitted.append(spectra.fit_power_law(spectrum, *FITTED_RANKS).exponent)
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
    spectrum, (first, last) = spectra.covariance_spectrum(data), FITTED_RANKS
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
            fit = spectra.debias_power_law(
                spectra.covariance_spectrum(data), first=FITTED_RANKS[0], last=FITTED_RANKS[1]
            )
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
            data, int(rng.integers(2**31)), first=FITTED_RANKS[0], last=FITTED_RANKS[1], simulations=20
        )
        rows.append((found.law.exponent, found.law.stderr, np.diff(found.bootstrap)[0] / 3.92, found.halves_stderr))
    return dict(zip(("exponent", "theory", "bootstrap", "halves"), np.array(rows).T, strict=True))


def planted_table(results: Results) -> pd.DataFrame:
    """Return the error of the plain and of the corrected fit with the scatter over data sets, at every size."""
    frames = []
    for config, result in results.pairs():
        truth = np.array(config["exponents"])
        for what, name in (("control", "plain fit"), ("measured", "corrected fit")):
            off = result["fitted" if what == "control" else "corrected"] - truth[:, None]
            place = {"samples n": config["n_samples"], "units m": config["n_units"], "planted exponent a": truth}
            frames.append({"what": what, "series": name, **place, **_scatter(off, "estimate − planted")})
    return pd.concat(map(pd.DataFrame, frames))


def _scatter(samples: np.ndarray, name: str) -> dict:
    """Mean over the last axis, and the range of 95 % of the samples if they are Gaussian."""
    middle, half = samples.mean(-1), 1.96 * samples.std(-1)
    return {name: middle, "low": middle - half, "high": middle + half}


def coverage(results: Results) -> dict[str, Estimate]:
    """Return how often the 95 % interval of the corrected exponent covers the planted one."""
    covered = []
    for config, result in results.pairs():
        truth = np.array(config["exponents"])[:, None]
        covered.append((result["interval"][..., 0] <= truth) & (truth <= result["interval"][..., 1]))
    share = proportion(int(np.sum(covered)), int(np.size(covered)))
    return {f"share of {np.size(covered)} 95 % intervals that cover the planted exponent": share}


def estimates_table(several: Results, spoilt: Results) -> pd.DataFrame:
    """Return the error of each estimator against the exponent, and what the last two read from a law that is spoilt."""
    truth = np.array(several.configs[0]["exponents"])
    off = several[0]["estimate"] - truth[:, None, None]  # [exponent, repeat, estimator]
    first = [
        {"quantity": "estimate − planted", "series": ESTIMATORS[k], "planted exponent a": truth, "spoilt by": "none"}
        | _scatter(off[..., k], "value")
        for k in (3, 4, 0, 1, 2)
    ]
    second = [
        {"quantity": "exponent read", "series": name, "planted exponent a": 1.0, "spoilt by": list(DISTURBANCES)}
        | _scatter(spoilt[0]["exponent"][..., k], "value")
        for k, name in enumerate(ESTIMATORS[3:])
    ]
    given = {key: several.configs[0][key] for key in ("n_samples", "n_units")}
    size = {"samples n": given["n_samples"], "units m": given["n_units"]}
    return pd.concat([pd.DataFrame({"what": "measured", **size, **rows}) for rows in (*first, *second)])


def largest_errors(several: Results) -> pd.DataFrame:
    """Return each estimator's largest mean error over the exponents, and how often its 95 % interval covers them."""
    result, truth = several[0], np.array(several.configs[0]["exponents"])
    worst = np.abs((result["estimate"] - truth[:, None, None]).mean(1)).max(0)
    rows = [{"estimator": name, "largest mean error": error} for name, error in zip(ESTIMATORS, worst, strict=True)]
    for row, covered in zip(rows[3:], np.moveaxis(result["covered"], -1, 0), strict=True):
        share = proportion(int(covered.sum()), covered.size)
        row |= {"95 % interval covers": share.value, "at least": share.low, "at most": share.high}
    return pd.DataFrame(rows)


def misfits(spoilt: Results) -> pd.DataFrame:
    """Return the median chi-square, of 2 degrees of freedom, by which the moments object to each disturbance."""
    middle = np.median(spoilt[0]["misfit"], axis=1)
    return pd.DataFrame({"spoilt by": DISTURBANCES, "median χ² of the moments": middle})


def dropout_and_breaks_table(dropped: Results, bent: Results) -> pd.DataFrame:
    """Return the exponent read under dropout in one pass and in two, and how often a law is called broken."""
    rates, jumps = (np.array(one.configs[0][key]) for one, key in ((dropped, "rates"), (bent, "steps")))
    x, exponent = {"dropout rate D": rates, "quantity": "exponent read"}, dropped.configs[0]["exponent"]
    share = np.array([proportion(int(one.sum()), one.size) for one in bent[0]["bent"]])
    rows = [
        {"what": "control", "series": "one pass", **x, **mean(dropped[0]["one"]).columns()},
        {"what": "measured", "series": "two masks, cross-validated", **x, **mean(dropped[0]["two"]).columns()},
        {"what": "control", "series": "planted", **x, "value": exponent},
        {"what": "measured", "series": f"called broken at rank {BREAK}", "quantity": "share called broken"}
        | {"difference of the two exponents": jumps, **dict(zip(("value", "low", "high"), share.T, strict=True))},
    ]
    return pd.concat(map(pd.DataFrame, rows))


def masks_and_breaks(dropped: Results, bent: Results) -> dict[str, Estimate]:
    """Return what one pass and two masks read at two rates, and how often laws are called broken, with the break found.

    The last three are medians over the data sets of the largest step.
    """
    rates, jumps = dropped.configs[0]["rates"], bent.configs[0]["steps"]
    found = {}
    for rate in (0.4, 0.8):
        for name, key in (("one pass", "one"), ("two masks", "two")):
            found[f"exponent read, D = {rate:g}, {name}"] = mean(dropped[0][key][rates.index(rate)])
    for place in (0, -1):
        called = bent[0]["bent"][place]
        name = f"share called broken, exponents that differ by {jumps[place]:g}"
        found[name] = proportion(int(called.sum()), called.size)
    medians = np.median(bent[0]["found"][-1], axis=0)
    names = ("exponent found before the break", "exponent found beyond it", "rank of the break")
    return {**found, **{name: exact(value) for name, value in zip(names, medians, strict=True)}}


def stated_errors(results: Results) -> pd.DataFrame:
    """Return mean and true scatter of the corrected exponent, and the standard errors that three methods state."""
    names = {"theory": "theory", "bootstrap": "parametric bootstrap", "halves": "disjoint halves"}
    rows = []
    for config, result in results.pairs():
        value = result["exponent"]
        stated = {name: np.sqrt(np.mean(result[key] ** 2)) for key, name in names.items()}
        kind = "heavy tails" if config["heavy"] else "Gaussian"
        rows.append({"planted, a = 1": kind, "mean": value.mean(), "true scatter": value.std(ddof=1), **stated})
    return pd.DataFrame(rows)


def stringer_table(seed: int) -> pd.DataFrame:
    """Return random projections of Stringer's codes of an angle, and the codes' action against the number of steps."""
    drawn = projections.random_projection(N_CIRCLE_UNITS, 3, streams.rng(seed, "stringer"))
    steps, frames = np.array(STEPS), []
    for a in CIRCLES:
        code = stimuli.circular_code(N_ANGLES, N_CIRCLE_UNITS, a)
        axes = dict(zip(AXES, (code[:: N_ANGLES // N_DRAWN] @ drawn).T, strict=True))
        path = np.array([projections.action(code[:: N_ANGLES // t], 2 * np.pi / t, closed=True) for t in STEPS])
        place = {"exponent a": a, "steps per turn T": steps}
        law, name = action_law(a, steps)
        frames += [
            {"what": "measured", "series": "projection", "exponent a": a, "turn": np.arange(N_DRAWN) / N_DRAWN, **axes},
            {"what": "measured", "series": "measured", **place, f"action ÷ action at T = {STEPS[0]}": path / path[0]},
            {"what": "corrected", "series": name, **place, f"action ÷ action at T = {STEPS[0]}": law / law[0]},
        ]
    return pd.concat(map(pd.DataFrame, frames))


def action_law(exponent: float, steps: np.ndarray) -> tuple[np.ndarray, str]:
    """Return how the action of a turn grows with many steps T, but for a factor, and its name.

    It is T² Σ k^-a (1 - cos(2πk/T)) but for a factor: T^(3-a) for a below 3, 3/2 - ln(2π/T) at 3, finite above.
    """
    if exponent == 3:
        return 1.5 - np.log(2 * np.pi / steps), "grows as log T"
    power = max(3 - exponent, 0)
    return steps**power, "stays finite" if power == 0 else "grows as T" if power == 1 else f"grows as T^{power:g}"
