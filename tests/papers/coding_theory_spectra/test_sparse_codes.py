"""Dimensions per feature: the curve's number is found again, the sheet's table, what a worker returns."""

import numpy as np
import pytest

from polysemanticity import information
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
