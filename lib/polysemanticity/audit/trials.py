"""How far can an exponent be trusted? Data sets in which the answer was planted, read by every estimator.

`planted`, `spoilt`, `dropout`, `breaks` and `stated_errors` draw Gaussian data sets and return a row for each of them
and each estimator; the other functions say in a few rows what these show. Symbols: n samples of m units, whose
variances fall as rank^-a. Ask `planted` at the n and m of your own data before you believe a number from them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from polysemanticity import spectra
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.intervals import Estimate, exact, mean, proportion
from polysemanticity.projections import stimuli
from polysemanticity.spectra import broken_law, cvpca, exponent_errors, moments

RANKS = (3, 32)  # fitted
SIZES = ((128, 1024), (256, 256), (1024, 128))  # fewer samples than units, as many, more
PLAIN = {
    "Hill": lambda spectrum, first, last: spectra.hill_exponent(spectrum, last),
    "Zipf": spectra.zipf_exponent,
    "plain fit": lambda spectrum, first, last: spectra.fit_power_law(spectrum, first, last).exponent,
}
WITH_INTERVAL = ("corrected fit", "unbiased moments")
ESTIMATORS = (*PLAIN, *WITH_INTERVAL)
HUGE, BENT = "3 components × 1000 in variance", "exponent 2 beyond rank 20"  # what spoils a law with a = 1
BREAK, BREAK_WINDOW = 15, (4, 60)  # rank of the planted breaks; the ranks in which they are sought
METHODS = {"theory": "theory", "bootstrap": "parametric bootstrap", "halves": "disjoint halves"}


def planted(
    sizes: Sequence[tuple[int, int]] = SIZES,
    exponents: Sequence[float] = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
    n_sets: int = 20,
    estimators: Sequence[str] = ("plain fit", "corrected fit"),
    ranks: tuple[int, int] = RANKS,
    simulations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what estimators read from planted data: a row for each size, exponent, data set and estimator.

    sizes: pairs of n and m; estimators: some of ESTIMATORS; ranks: first and last of those fitted (the moments take
    all). `low` and `high` are the 95 % interval where the estimator has one. simulations: of the moments' scatter.
    Raises ValueError for an unknown estimator, fewer than two data sets, and what the estimators raise.
    """
    _check_sets(n_sets)
    unknown = set(estimators) - set(ESTIMATORS)
    check(bool(estimators) and not unknown, "estimators", sorted(unknown), f"some of {', '.join(ESTIMATORS)}")
    rows = []
    for n, m in sizes:
        for a in exponents:
            rng = streams.rng(seed, f"planted {n} {m} {a}")
            place = {"samples n": n, "units m": m, "planted exponent a": a}
            for _ in range(n_sets):
                data = stimuli.power_law_data(n, m, a, rng)
                rows += [place | read for read in _readings(data, estimators, ranks, simulations)]
    return pd.DataFrame(rows)


def _readings(data: np.ndarray, estimators: Sequence[str], ranks: tuple[int, int], simulations: int) -> Iterator[dict]:
    spectrum, nothing = spectra.covariance_spectrum(data), {"low": np.nan, "high": np.nan, "misfit": np.nan}
    for name in estimators:
        if name in PLAIN:
            yield {"estimator": name, "estimate": PLAIN[name](spectrum, *ranks), **nothing}
            continue
        if name == "corrected fit":
            law = spectra.debias_power_law(spectrum, first=ranks[0], last=ranks[1])
        else:
            law = moments.fit_moments(data, simulations=simulations)
        found = {"low": law.interval[0], "high": law.interval[1], "misfit": getattr(law, "misfit", np.nan)}
        yield {"estimator": name, "estimate": law.exponent, **found}


def _check_sets(n_sets: int) -> None:
    check(isinstance(n_sets, int) and n_sets >= 2, "n_sets", n_sets, "2 data sets or more")


def spoilt(
    n_samples: int = 128, n_units: int = 512, n_sets: int = 20, simulations: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Return what the two estimators with an interval read from data with a = 1, and from two laws that are spoilt.

    Rows as those of `planted`, with `spoilt by`: nothing, three components a thousand times larger in variance (HUGE),
    or a law with the exponent 2 beyond rank 20 (BENT). misfit: chi-square of the moments, with 2 degrees of freedom.
    """
    _check_sets(n_sets)
    rng, places = streams.rng(seed, "spoilt"), np.arange(1, n_units + 1)
    scales = {"nothing": 1.0, HUGE: np.where(places <= 3, 1000.0, 1.0), BENT: np.minimum(1.0, 20 / places)}
    rows = []
    for kind, scale in scales.items():
        place = {"spoilt by": kind, "samples n": n_samples, "units m": n_units, "planted exponent a": 1.0}
        for _ in range(n_sets):
            data = stimuli.power_law_data(n_samples, n_units, 1.0, rng) * np.sqrt(scale)
            rows += [place | read for read in _readings(data, WITH_INTERVAL, RANKS, simulations)]
    return pd.DataFrame(rows)


def dropout(
    rates: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    n_samples: int = 2560,
    n_units: int = 256,
    exponent: float = 1.5,
    n_sets: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the exponent that one pass with dropout shows, and that two passes with independent masks show.

    The planted components lie across the units, as a network's do, so that dropout adds a flat floor. A row for each
    rate, data set and way to read.
    """
    _check_sets(n_sets)
    rng, window, rows = streams.rng(seed, "dropout"), (5, n_units // 5), []
    for rate in np.repeat(rates, n_sets):
        turned = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
        data = stimuli.power_law_data(n_samples, n_units, exponent, rng) @ turned
        first, second = (cvpca.dropped(data, float(rate), rng) for _ in range(2))
        one = spectra.fit_power_law(spectra.covariance_spectrum(first), *window)
        two = spectra.fit_variances(cvpca.cross_validated_variances(first, second), *window)
        place = {"dropout rate D": rate, "planted exponent a": exponent}
        rows += [place | {"estimator": "one pass", "estimate": one.exponent}]
        rows += [place | {"estimator": "two masks, cross-validated", "estimate": two.exponent}]
    return pd.DataFrame(rows)


def breaks(
    steps: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0),
    n_samples: int = 512,
    n_units: int = 512,
    n_sets: int = 15,
    seed: int = 0,
) -> pd.DataFrame:
    """Return whether laws are called broken whose exponent is 1 up to rank BREAK and 1 + step beyond it.

    A row for each step and data set, with the exponents before and beyond the break that was found, and its rank.
    """
    _check_sets(n_sets)
    rng, places, rows = streams.rng(seed, "breaks"), np.arange(1, n_units + 1), []
    for step in np.repeat(steps, n_sets):
        data = stimuli.power_law_data(n_samples, n_units, 1.0, rng) * np.maximum(1.0, places / BREAK) ** (-step / 2)
        result = broken_law.compare_laws(data, int(rng.integers(2**31)), first=BREAK_WINDOW[0], last=BREAK_WINDOW[1])
        law = {"before": result.law.head, "beyond": result.law.tail, "rank": result.law.at}
        rows.append({"difference of the two exponents": step, "called broken": result.bent, **law})
    return pd.DataFrame(rows)


def stated_errors(n_samples: int = 256, n_units: int = 256, n_sets: int = 20, seed: int = 0) -> pd.DataFrame:
    """Return the standard errors that three methods (METHODS) state for the corrected exponent of data with a = 1.

    A row for each data set, of Gaussian data and of data with heavy tails: there every sample has a scale of its own,
    the square of which is 3/chi^2 with 3 degrees of freedom, so that the spectrum differs in its size only.
    """
    _check_sets(n_sets)
    rows = []
    for kind in ("Gaussian", "heavy tails"):
        rng = streams.rng(seed, f"errors {kind}")
        for _ in range(n_sets):
            data = stimuli.power_law_data(n_samples, n_units, 1.0, rng)
            if kind == "heavy tails":
                data = data * np.sqrt(3 / rng.chisquare(3, (n_samples, 1)))
            found = exponent_errors.exponent_errors(
                data, int(rng.integers(2**31)), first=RANKS[0], last=RANKS[1], simulations=20
            )
            stated = (found.law.stderr, np.diff(found.bootstrap)[0] / 3.92, found.halves_stderr)
            row = {"planted, a = 1": kind, "exponent": found.law.exponent}
            rows.append(row | dict(zip(METHODS, stated, strict=True)))
    return pd.DataFrame(rows)


def scatter(trials: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Return the mean of a column in each group, and the range of 95 % of its values if they are Gaussian.

    Columns: those of `by`, then `value`, `low`, `high`; rows in the order in which groups first occur.
    """
    groups = trials.groupby(list(by), sort=False)[value]
    middle, half = groups.mean(), 1.96 * groups.std()
    return pd.DataFrame({"value": middle, "low": middle - half, "high": middle + half}).reset_index()


def errors(trials: pd.DataFrame) -> pd.DataFrame:
    """Return each estimator's mean error at every size and planted exponent, with its scatter over data sets."""
    off = trials.assign(error=trials["estimate"] - trials["planted exponent a"])
    return scatter(off, ("samples n", "units m", "planted exponent a", "estimator"), "error")


def reliability(trials: pd.DataFrame) -> pd.DataFrame:
    """Return each estimator's largest mean error over sizes and exponents, and how often its interval covers them."""
    off, rows = errors(trials), []
    largest = off["value"].abs().groupby(off["estimator"]).max()
    for name, own in trials.groupby("estimator", sort=False):
        row = {"estimator": name, "largest mean error": largest[name]}
        if own["low"].notna().all():
            covered = (own["low"] <= own["planted exponent a"]) & (own["planted exponent a"] <= own["high"])
            share = proportion(int(covered.sum()), len(covered))
            row |= {"95 % interval covers": share.value, "at least": share.low, "at most": share.high}
        rows.append(row)
    return pd.DataFrame(rows)


def misfits(trials: pd.DataFrame) -> pd.DataFrame:
    """Return by what spoils a law the median chi-square, of 2 degrees of freedom, by which the moments object."""
    middle = trials.groupby("spoilt by", sort=False)["misfit"].median()
    return middle.rename("median χ² of the moments").reset_index()


def shares_broken(trials: pd.DataFrame) -> pd.DataFrame:
    """Return how often a law is called broken at each difference of its exponents, with the 95 % interval."""
    called = trials.groupby("difference of the two exponents", sort=False)["called broken"]
    rows = [{"difference of the two exponents": step, **_share(own).columns()} for step, own in called]
    return pd.DataFrame(rows)


def _share(called: pd.Series) -> Estimate:
    return proportion(int(called.sum()), len(called))


def masks_and_breaks(dropped: pd.DataFrame, bent: pd.DataFrame) -> dict[str, Estimate]:
    """Return what is read under dropout at two rates, and how often laws are called broken, with the break found.

    dropped: of `dropout`; bent: of `breaks`. The last three are medians over the data sets of the largest step.
    """
    found = {}
    for (rate, name), own in dropped.groupby(["dropout rate D", "estimator"], sort=False)["estimate"]:
        if rate in (0.4, 0.8):
            found[f"exponent read, D = {rate:g}, {name}"] = mean(own.to_numpy())
    steps = bent.groupby("difference of the two exponents")
    for step in (min(steps.groups), max(steps.groups)):
        name = f"share called broken, exponents that differ by {step:g}"
        found[name] = _share(steps.get_group(step)["called broken"])
    middle = steps.get_group(max(steps.groups))[["before", "beyond", "rank"]].median()
    names = ("exponent found before the break", "exponent found beyond it", "rank of the break")
    return found | {name: exact(value) for name, value in zip(names, middle, strict=True)}


def true_and_stated(trials: pd.DataFrame) -> pd.DataFrame:
    """Return mean and true scatter of the corrected exponent, and the standard errors that three methods state."""
    rows = []
    for kind, own in trials.groupby("planted, a = 1", sort=False):
        stated = {name: np.sqrt(np.mean(own[key] ** 2)) for key, name in METHODS.items()}
        value = own["exponent"]
        rows.append({"planted, a = 1": kind, "mean": value.mean(), "true scatter": value.std(), **stated})
    return pd.DataFrame(rows)
