"""Dimensions per feature: the curve's number is found again, the sheet's table, what a worker returns."""

import numpy as np
import pytest

from polysemanticity import claims, information, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import sparse_codes as family

SHEET = np.array([1.007, 0.893, 0.558, 0.504, 0.450, 0.353, 0.278, 0.210, 0.170, 0.134, 0.102, 0.078, 0.066])


@pytest.mark.parametrize("bits", [2.0, 4.2, 24.0])
def test_a_planted_number_of_bits_is_found_again(bits):
    curve = information.dimensions_per_feature(1 - family.DENSITIES, bits)
    assert family.fit_element_bits(curve) == pytest.approx(bits, rel=4e-3)
    assert family.misfits(curve[None])[1] < 2e-3


def test_the_sheets_run_is_fitted_by_about_four_bits():
    found = family.misfits(SHEET[None])
    assert 3.8 < found[0] < 4.6 and found[1] < 0.15 and found[-1] < 0
    assert set(family.curves(SHEET)) == {"H fitted", "H = 24 bits", "constant ½", "c k log(n/k)"}


def test_intervals_cover_a_planted_number_as_often_as_they_say():
    rng, curve = np.random.default_rng(0), information.dimensions_per_feature(1 - family.DENSITIES, 5.0)
    covered = 0
    for _ in range(40):
        models = curve * np.exp(0.05 * rng.standard_normal((8, len(curve))))
        low, high = family.misfit_intervals(models, rng, 100)[0][1:]
        covered += low <= 5.0 <= high
    assert covered >= 30  # a percentile bootstrap over 8 models is a little short


def test_the_worker_counts_and_measures(monkeypatch):
    config = {"n_features": 12, "n_units": 3, "n_steps": 30, "batch_size": 16, "lr": 5e-3}
    first, again = (family.toy_models(seed=1, device="cpu", **config) for _ in range(2))
    assert all(first[key].shape == (13,) for key in ("dimensions", "stored", "error"))
    assert (first["dimensions"] > 0).all() and (first["error"] > 0).all() and (first["stored"] <= 12).all()
    np.testing.assert_array_equal(first["dimensions"], again["dimensions"])


def planted(dimensions, lost):
    """Results of five toy models with these dimensions per feature but for noise, that lose a share of their input."""
    rng = np.random.default_rng(0)
    noisy = dimensions * np.exp(0.005 * rng.standard_normal((5, len(dimensions))))
    errors = lost + 0.001 * rng.standard_normal(noisy.shape)
    row = [{"dimensions": one, "error": error} for one, error in zip(noisy, errors, strict=True)]
    return Results([family.models(family.Settings())], [row])


ON_THE_CURVE, HALVES = information.dimensions_per_feature(1 - family.DENSITIES, 4.0), np.full(13, 0.5)


@pytest.mark.parametrize(
    ("dimensions", "lost", "verdict"),
    [(ON_THE_CURVE, 0.02, claims.HOLDS), (ON_THE_CURVE, 0.5, claims.CORRECTED), (HALVES, 0.5, claims.FAILS)],
)
def test_planted_models_are_judged_rightly(dimensions, lost, verdict):
    measured = family.measured(planted(dimensions, lost), 0)
    assert claims.verdict_of(paper.CLAIMS["CT-01"], measured.quantities) == verdict
    assert "n = 200 features on m = 20 units" in measured.scale


def test_the_table_has_the_models_the_curves_and_what_is_lost():
    table = family.table(planted(ON_THE_CURVE, 0.5), 0)
    plots.check_tidy(table)
    assert "H fitted: 4.0 bits" in set(plots.part(table, what="corrected")["series"])
    assert (plots.part(table, series="m/n: all features stored")["value"] == 0.1).all()
    measured = plots.part(table, what="measured")
    lost = plots.part(measured, quantity="squared error ÷ variance of the input")
    assert lost["value"].to_numpy() == pytest.approx(np.full(13, 0.5), abs=0.01)
    assert plots.part(measured, curve="H fitted")["value"].item() < 0.02
    assert table[table["compared"]]["1/(1 − S)"].agg(["min", "max"]).tolist() == [1.5, 20]
