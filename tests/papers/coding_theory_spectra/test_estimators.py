"""The workers that put estimators side by side: shapes, known directions, determinism."""

import numpy as np
import pytest

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
