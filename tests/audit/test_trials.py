"""Trials of estimators on planted data: shapes, known directions, determinism, and what their tables say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from polysemanticity.audit import figures, trials


@pytest.fixture(scope="module")
def read():
    return trials.planted([(128, 256)], (0.75, 1.0), n_sets=3, estimators=trials.ESTIMATORS, simulations=40)


@pytest.fixture(scope="module")
def spoilt():
    return trials.spoilt(128, 512, n_sets=6, simulations=60)


@pytest.fixture(scope="module")
def dropped():
    return trials.dropout((0.0, 0.4), n_samples=1200, n_units=120, n_sets=2)


@pytest.fixture(scope="module")
def bent():
    return trials.breaks((1.0,), n_units=300, n_sets=2)


def test_only_those_with_an_interval_are_unbiased(read):
    assert len(read) == 2 * 3 * len(trials.ESTIMATORS)
    off = trials.errors(read).set_index("estimator")["value"]
    assert off[list(trials.WITH_INTERVAL)].abs().max() < 0.08
    assert off[list(trials.PLAIN)].max() < -0.04
    assert read.groupby("estimator")["low"].count().to_dict() == dict.fromkeys(trials.PLAIN, 0) | dict.fromkeys(
        trials.WITH_INTERVAL, 6
    )


def test_a_trial_depends_on_its_seed_and_on_nothing_else_that_is_tried(read):
    alone = trials.planted([(128, 256)], (1.0,), n_sets=3)
    same = read[(read["planted exponent a"] == 1.0) & read["estimator"].isin(["plain fit", "corrected fit"])]
    pd.testing.assert_frame_equal(alone, same.reset_index(drop=True))
    other = trials.planted([(128, 256)], (1.0,), n_sets=3, seed=1)
    assert not np.isclose(alone["estimate"], other["estimate"]).any()


def test_what_spoils_the_law_shows_in_the_misfit(spoilt):
    told = trials.misfits(spoilt)
    assert told["spoilt by"].tolist() == ["nothing", trials.HUGE, trials.BENT]
    by_moments = spoilt[spoilt["estimator"] == "unbiased moments"].groupby("spoilt by")["misfit"].median()
    assert by_moments["nothing"] < 4 < 12 < by_moments[trials.BENT] < by_moments[trials.HUGE]
    assert told["median χ² of the moments"].tolist() == by_moments[told["spoilt by"]].tolist()


def test_dropout_flattens_one_pass_and_not_two(dropped):
    one, two = (
        dropped[dropped["estimator"] == name].set_index("dropout rate D")["estimate"]
        for name in ("one pass", "two masks, cross-validated")
    )
    assert one[0.0].to_numpy() == pytest.approx(two[0.0].to_numpy(), abs=1e-6)
    assert one[0.4].max() < 1.1 < 1.3 < two[0.4].min()


def test_a_clear_break_is_found(dropped, bent):
    assert bent["called broken"].all()
    assert bent[["before", "beyond"]].mean().tolist() == pytest.approx([1, 2], abs=0.25)
    found = trials.masks_and_breaks(dropped, bent)
    assert found["exponent read, D = 0.4, one pass"].value < 1.1
    assert found["share called broken, exponents that differ by 1"].value == 1
    assert found["rank of the break"].value == bent["rank"].median()


def test_heavy_tails_show_in_the_halves_only():
    stated = trials.stated_errors(n_units=200, n_sets=3)
    gaussian, heavy = (own for _, own in stated.groupby("planted, a = 1", sort=False))
    assert heavy["halves"].mean() > 1.5 * gaussian["halves"].mean()
    assert heavy["theory"].mean() == pytest.approx(gaussian["theory"].mean(), rel=0.3)
    table = trials.true_and_stated(stated)
    assert table["mean"].tolist() == [gaussian["exponent"].mean(), heavy["exponent"].mean()]
    assert table["disjoint halves"][1] == pytest.approx((heavy["halves"] ** 2).mean() ** 0.5)


def test_the_tables_have_errors_their_scatter_and_coverage():
    """Off by -0.4 and -0.2 in turn, with intervals that hold the truth in three data sets of four."""
    truth = np.repeat([0.5, 1.0], 4)
    made = pd.DataFrame({"samples n": 50, "units m": 60, "planted exponent a": truth, "estimator": "corrected fit"})
    made = made.assign(estimate=truth - np.tile([0.4, 0.2], 4), low=truth - 1, high=truth + np.tile([0, 0, 0, -0.1], 2))
    rows = trials.errors(made)
    half = 1.96 * 0.1 * np.sqrt(4 / 3)
    assert rows[["value", "low", "high"]].to_numpy() == pytest.approx(np.tile([-0.3, -0.3 - half, -0.3 + half], (2, 1)))
    told = trials.reliability(made).iloc[0]
    assert told["largest mean error"] == pytest.approx(0.3) and told["95 % interval covers"] == 0.75
    assert told["at least"] < 0.75 < told["at most"]
    without = trials.reliability(made.assign(low=np.nan, high=np.nan))
    assert list(without) == ["estimator", "largest mean error"]


def test_shares_of_laws_that_are_called_broken():
    called = np.arange(4) < np.array([0, 1, 4])[:, None]
    made = pd.DataFrame(
        {"difference of the two exponents": np.repeat([0.0, 0.5, 1.0], 4), "called broken": called.ravel()}
    )
    shares = trials.shares_broken(made)
    assert shares["value"].tolist() == [0, 0.25, 1]
    assert (shares["low"] <= shares["value"]).all() and (shares["value"] <= shares["high"]).all()


def test_the_figures_show_what_the_tables_say(read, spoilt, dropped, bent):
    two = read[read["estimator"].isin(["plain fit", "corrected fit"])]
    (panel,) = figures.planted(two).axes
    shown = np.concatenate([container.lines[0].get_ydata() for container in panel.containers])
    assert sorted(shown) == pytest.approx(sorted(trials.errors(two)["value"]))
    left, right = figures.estimators(read, spoilt).axes
    assert len(left.containers) == len(trials.ESTIMATORS) and len(right.containers) == len(trials.WITH_INTERVAL)
    left, right = figures.dropout_and_breaks(dropped, bent).axes
    assert [line.get_label() for line in left.lines] == ["one pass", "two masks, cross-validated", "planted"]
    assert right.lines[0].get_ydata().tolist() == [1.0]
    plt.close("all")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trials.planted(estimators=("Hill", "guess")), "estimators = .*guess.*: allowed is some of Hill"),
        (lambda: trials.planted(estimators=()), "estimators"),
        (lambda: trials.planted(n_sets=1), "n_sets = 1: allowed is 2 data sets or more"),
        (lambda: trials.spoilt(n_sets=1), "n_sets"),
        (lambda: trials.dropout((1.0,), n_sets=2), "rate = 1.0"),
        (lambda: trials.breaks(n_sets=0), "n_sets"),
        (lambda: trials.stated_errors(n_sets=1.5), "n_sets"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
