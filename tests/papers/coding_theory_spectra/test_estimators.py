"""The workers that put estimators side by side, and their tables: shapes, known directions, determinism."""

import numpy as np
import pytest

from polysemanticity import plots
from polysemanticity.base.results import Results
from polysemanticity.papers.coding_theory_spectra import estimators

PLACE = {"seed": 0, "device": "cpu"}


def test_estimates_are_those_of_the_estimators_and_the_last_two_are_unbiased():
    found = estimators.estimates(n_samples=128, n_units=256, exponents=(0.75, 1.0), repeats=3, simulations=40, **PLACE)
    assert found["estimate"].shape == (2, 3, len(estimators.ESTIMATORS)) and found["covered"].shape == (2, 3, 2)
    off = found["estimate"].mean(1) - np.array([[0.75], [1.0]])
    assert np.abs(off[:, 3:]).max() < 0.08
    assert off[:, :3].max() < -0.04
    again = estimators.estimates(n_samples=128, n_units=256, exponents=(0.75, 1.0), repeats=3, simulations=40, **PLACE)
    assert np.array_equal(found["estimate"], again["estimate"])


def test_what_spoils_the_law_shows_in_the_misfit():
    found = estimators.disturbed(n_samples=128, n_units=256, repeats=2, simulations=40, **PLACE)
    assert found["exponent"].shape == (len(estimators.DISTURBANCES), 2, 2)
    assert found["misfit"][0].max() < 12 < found["misfit"][1:].min()


def test_dropout_flattens_one_pass_and_not_two():
    found = estimators.under_dropout(n_samples=1200, n_units=120, exponent=1.5, rates=(0.0, 0.4), repeats=2, **PLACE)
    assert found["one"][0] == pytest.approx(found["two"][0], abs=1e-6)
    assert found["one"][1].max() < 1.1 < 1.3 < found["two"][1].min()


def test_a_clear_break_is_found():
    found = estimators.breaks(n_samples=512, n_units=300, steps=(1.0,), repeats=2, **PLACE)
    assert found["bent"].all() and found["gain"].max() < 0.5
    assert found["found"][0].mean(0)[:2] == pytest.approx([1, 2], abs=0.25)


def test_heavy_tails_show_in_the_halves_only():
    gaussian, heavy = (
        estimators.errors(n_samples=256, n_units=200, repeats=3, heavy=heavy, **PLACE) for heavy in (False, True)
    )
    assert heavy["halves"].mean() > 1.5 * gaussian["halves"].mean()
    assert heavy["theory"].mean() == pytest.approx(gaussian["theory"].mean(), rel=0.3)


SETTINGS = estimators.Settings(n_planted=4)


def test_the_table_of_planted_exponents_has_the_error_and_its_scatter():
    configs, rows = estimators.sizes(SETTINGS), []
    for config in configs:
        truth = np.array(config["exponents"])[:, None] + np.array([-0.1, -0.1, 0.1, 0.1])
        ends = truth[..., None] + np.array([-0.2, 0.2]) * np.array([1, 1, 1, 0])[:, None]
        rows.append({"fitted": truth - 0.3, "corrected": truth, "interval": ends})
    results = Results(configs, rows)
    table = estimators.planted_table(results)
    plots.check_tidy(table)
    one = plots.part(table, series="plain fit", **{"samples n": 256}).iloc[0]
    assert [one["estimate − planted"], one["low"], one["high"]] == pytest.approx([-0.3, -0.496, -0.104])
    (share,) = estimators.coverage(results).values()
    assert share.value == 0.75


def test_the_table_of_estimators_and_their_largest_errors():
    several, spoilt = estimators.several_laws(SETTINGS), estimators.few_samples(SETTINGS)
    off = np.array([-0.3, -0.2, -0.1, 0.01, 0.0])
    read = np.array(several["exponents"])[:, None, None] + np.zeros((5, 4, 1)) + off
    several = Results([several], [{"estimate": read, "covered": np.ones((5, 4, 2), dtype=bool)}])
    spoilt = Results([spoilt], [{"exponent": np.ones((3, 4, 2)) * [1.0, 2.0], "misfit": np.ones((3, 4)) * 7.0}])
    table = estimators.estimates_table(several, spoilt)
    plots.check_tidy(table)
    assert len(table) == 25 + 6
    assert plots.part(table, quantity="exponent read", series="unbiased moments")["value"].tolist() == [2, 2, 2]
    worst = estimators.largest_errors(several).set_index("estimator")
    assert worst["largest mean error"].tolist() == pytest.approx(np.abs(off))
    assert (
        np.isnan(worst.loc["Zipf", "95 % interval covers"]) and worst.loc["corrected fit", "95 % interval covers"] == 1
    )
    assert estimators.misfits(spoilt)["median χ² of the moments"].tolist() == [7, 7, 7]


def test_the_table_of_dropout_and_breaks():
    dropped, bent = estimators.masks(SETTINGS), estimators.bends(SETTINGS)
    one = np.array(dropped["rates"])[:, None] + np.array([-0.1, 0.1])
    called = np.arange(4) < np.array([0, 0, 1, 2, 3, 4, 4])[:, None]
    dropped = Results([dropped], [{"one": one, "two": one + 1}])
    bent = Results([bent], [{"bent": called, "found": np.tile([1.0, 2.0, 15.0], (7, 4, 1))}])
    table = estimators.dropout_and_breaks_table(dropped, bent)
    plots.check_tidy(table)
    shares = plots.part(table, quantity="share called broken")
    assert shares["value"].tolist() == [0, 0, 0.25, 0.5, 0.75, 1, 1] and (shares["low"] <= shares["value"]).all()
    found = estimators.masks_and_breaks(dropped, bent)
    assert found["exponent read, D = 0.4, two masks"].value == pytest.approx(1.4)
    assert found["rank of the break"].value == 15


def test_the_action_of_a_code_of_an_angle_follows_its_law():
    table = estimators.stringer_table(0)
    plots.check_tidy(table)
    value = "action ÷ action at T = 16"
    seen, law = (
        plots.part(table, series=name, **{"exponent a": 3.0})[value] for name in ("measured", "grows as log T")
    )
    assert law.to_numpy() == pytest.approx(1 + 0.2847 * np.arange(5), abs=1e-3)
    assert seen.to_numpy() == pytest.approx(law.to_numpy(), abs=5e-3)
    smooth, rough = (plots.part(table, series="measured", **{"exponent a": a})[value].iloc[-1] for a in (4.0, 2.0))
    assert smooth < 1.2 and rough == pytest.approx(16, rel=0.05)
