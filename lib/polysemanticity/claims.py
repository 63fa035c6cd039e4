"""Claims of the papers, the rules that judge them, and the intervals that the rules are applied to.

A rule is fixed before the run: for each measured quantity a band (low, high). A claim *holds* if every quantity's
interval lies inside its
band, *fails* if one lies outside, and is *unclear* if one straddles an end. A claim that does not hold as printed,
while the bands of its
corrected statement hold, *holds with a correction*.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check

HOLDS, FAILS, UNCLEAR = "holds", "fails", "unclear"
CORRECTED, NOT_TESTED = "holds with a correction", "not tested"
VERDICTS = (HOLDS, FAILS, UNCLEAR, CORRECTED, NOT_TESTED)

Band = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """A statement of a paper and the rule that decides it, written down before the run."""

    id: str  # the row of the ledger, e.g. "IP-03"
    claim: str  # the paper's statement in our words
    source: str  # the paper, its section or figure
    paper: str  # the value the paper states or implies, in words
    rule: Mapping[str, Band]  # quantity -> the band its interval must lie in
    reason: str  # why these bands
    corrected: Mapping[str, Band] | None = None  # the rule of the corrected statement
    correction: str = ""  # the corrected statement

    def __post_init__(self):
        check(len(self.rule) > 0, f"{self.id}.rule", self.rule, "at least one quantity with its band")
        for quantity, (low, high) in {**self.rule, **(self.corrected or {})}.items():
            check(low < high, f"{self.id}.rule[{quantity!r}]", (low, high), "a band with low < high")


class Estimate(NamedTuple):
    """A measured value and the ends of its interval."""

    value: float
    low: float
    high: float


def exact(value: float, error: float = 0.0) -> Estimate:
    """Return the estimate of a calculation: the value with its numerical error on either side."""
    return Estimate(float(value), float(value - error), float(value + error))


def mean_interval(samples, level: float = 0.95) -> Estimate:
    """Return mean and t interval over independent samples (seeds, images); raises ValueError for fewer than two or
    NaN."""
    samples = _samples(samples)
    mean, half = samples.mean(), stats.t.ppf((1 + level) / 2, len(samples) - 1) * stats.sem(samples)
    return Estimate(float(mean), float(mean - half), float(mean + half))


def bootstrap_interval(statistic: Callable, samples, rng, n: int = 2000, level: float = 0.95) -> Estimate:
    """Return statistic(samples) and its bootstrap percentile interval; samples are redrawn along the first axis."""
    samples = np.asarray(samples)
    check(len(samples) >= 2, "samples", samples, "at least two samples")
    draws = [statistic(samples[rng.integers(len(samples), size=len(samples))]) for _ in range(n)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(statistic(samples)), float(low), float(high))


def poisson_interval(total: int, n_runs: int, level: float = 0.95) -> Estimate:
    """Return the mean count per run and its exact (Garwood) interval from the total count over `n_runs` runs."""
    check(total >= 0, "total", total, "a count of at least 0")
    check(n_runs >= 1, "n_runs", n_runs, "at least one run")
    low = stats.chi2.ppf((1 - level) / 2, 2 * total) / 2 if total > 0 else 0.0
    high = stats.chi2.ppf((1 + level) / 2, 2 * total + 2) / 2
    return Estimate(total / n_runs, float(low / n_runs), float(high / n_runs))


def count_interval(counts, unit: float = 1.0, level: float = 0.95) -> Estimate:
    """Return the mean of counts, in units of `unit`, and its t interval over the runs; where nothing was counted, the
    exact Poisson interval, as no spread is no certainty."""
    counts = np.asarray(counts)
    found = mean_interval(counts, level) if counts.any() else poisson_interval(0, counts.size, level)
    return Estimate(*(float(value) / unit for value in found))


def proportion_interval(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Return the share of successes and its exact (Clopper–Pearson) interval."""
    check(
        trials >= 1 and 0 <= successes <= trials, "successes, trials", (successes, trials), "0 <= successes <= trials"
    )
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(confidence_level=level, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def slope_interval(x, y) -> Estimate:
    """Slope of the least-squares line with its 95 % t interval."""
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return Estimate(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def worst(samples, least: bool = True) -> Estimate:
    """The 95 % t interval [over the last axis] of the row with the smallest, or largest, mean."""
    rows = np.asarray(samples, dtype=float)
    rows = rows.reshape(-1, rows.shape[-1])
    return mean_interval(rows[rows.mean(-1).argmin() if least else rows.mean(-1).argmax()])


def judge(rule: Mapping[str, Band], measured: Mapping[str, Estimate]) -> str:
    """Return *holds*, *fails* or *unclear* for the bands of a rule; raises ValueError if a quantity has no estimate."""
    verdicts = []
    for quantity, (low, high) in rule.items():
        check(quantity in measured, "measured", sorted(measured), f"a dictionary that has {quantity!r}")
        estimate = measured[quantity]
        ordered = estimate.low <= estimate.value <= estimate.high
        check(ordered, f"measured[{quantity!r}]", tuple(estimate), "low <= value <= high, without NaN")
        if low <= estimate.low and estimate.high <= high:
            verdicts.append(HOLDS)
        else:
            verdicts.append(FAILS if estimate.high < low or estimate.low > high else UNCLEAR)
    return FAILS if FAILS in verdicts else UNCLEAR if UNCLEAR in verdicts else HOLDS


def verdict(
    claim: Claim,
    measured: Mapping[str, Estimate],
    context: runtime.Run,
    *,
    error: str,
    note: str = "",
    figure: str = "",
) -> dict:
    """Return the claim's row: what was measured, its interval, the rule and the verdict.

    `measured` has an estimate for every quantity of the rule and of the corrected rule; `error` says which error the
    intervals
    state and over what. A smoke run judges nothing.
    """
    check(bool(error.strip()), "error", error, "a statement of which error the intervals give")
    check(figure == "" or figure in context.figures, "figure", figure, f"one of {', '.join(context.figures)}")
    outcome = judge(claim.rule, measured)
    if outcome != HOLDS and claim.corrected is not None and judge(claim.corrected, measured) == HOLDS:
        outcome = CORRECTED
    if not context.judges:
        outcome, note = NOT_TESTED, "a smoke run is too small to judge anything"
    return _row(claim, context, measured, error, outcome, note, figure)


def not_tested(claim: Claim, why: str, context: runtime.Run) -> dict:
    """Return the row of a claim that could not be tested, saying what is missing."""
    check(bool(why.strip()), "why", why, "a statement of what is missing")
    return _row(claim, context, {}, "", NOT_TESTED, why, "")


def save(rows: Sequence[Mapping], context: runtime.Run) -> None:
    """Write the rows, ordered by id, to `claims.json` among the paper's figures."""
    ids = [row["id"] for row in rows]
    check(len(ids) == len(set(ids)), "rows", ids, "each claim once")
    text = json.dumps(sorted(rows, key=lambda row: row["id"]), indent=1, ensure_ascii=False) + "\n"
    paths.write_atomically(paths.figures(context.slug) / "claims.json", text.encode())


def rule_text(rule: Mapping[str, Band]) -> str:
    """Return a rule in words, e.g. `slope in [-1.1, -0.9]; share of opposite signs >= 0.99`."""
    return "; ".join(f"{quantity} {_band_text(*band)}" for quantity, band in rule.items())


def _band_text(low: float, high: float) -> str:
    if math.isinf(low):
        return f"≤ {high:g}"
    return f"≥ {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g}]"


def _row(claim, context, measured, error, outcome, note, figure) -> dict:
    rule = f"{rule_text(claim.rule)}. {claim.reason}"
    if claim.corrected is not None:
        rule += f" Corrected: {claim.correction} ({rule_text(claim.corrected)})."
    return {
        "id": claim.id,
        "claim": claim.claim,
        "source": claim.source,
        "paper": claim.paper,
        "measured": {quantity: _rounded(estimate.value) for quantity, estimate in measured.items()},
        "interval": {
            quantity: [_rounded(estimate.low), _rounded(estimate.high)] for quantity, estimate in measured.items()
        },
        "error": error,
        "rule": rule,
        "correction": claim.correction,
        "verdict": outcome,
        "note": note,
        "profile": context.label,
        "figure": figure,
    }


def _rounded(value: float) -> float | None:
    """Six significant digits; None for an interval's infinite end, which JSON cannot hold."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _samples(samples) -> np.ndarray:
    samples = np.asarray(samples, dtype=float)
    check(samples.ndim == 1 and len(samples) >= 2, "samples", samples.shape, "one axis of at least two samples")
    check(bool(np.isfinite(samples).all()), "samples", samples, "finite numbers")
    return samples
