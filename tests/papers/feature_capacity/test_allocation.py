"""The formulas by brute force, and models trained on importance lists."""

import numpy as np
import pytest

from polysemanticity import capacity
from polysemanticity.papers.feature_capacity import allocation


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_the_loss_formula_agrees_with_sampling():
    result = work(allocation.loss_by_sampling, law="uniform", density=0.3, n_features=4, n_dims=2, n_samples=200_000)
    assert abs(result["sampled"] - result["formula"]) < 4.5 * result["stderr"]
    assert result["kurtosis"] == pytest.approx(6)


def test_a_solver_agrees_with_the_exact_allocation():
    result = work(allocation.allocations_by_solver, n_problems=5, n_features=6)
    assert result["difference"].max() < 1e-4 and result["gain"].max() < 1e-9


def test_numerical_benefit_and_the_kurtosis_of_constant_returns():
    for c, v, kappa in ((0.1, 1.0, 2.0), (0.5, 3.0, 50.0), (0.9, 0.2, 5.0)):
        assert allocation.numerical_benefit(c, v, kappa) == pytest.approx(
            capacity.marginal_benefit(c, v, kappa)[0], rel=1e-5
        )
    assert allocation.kurtosis_of_constant_returns() == pytest.approx(3, abs=1e-5)


def test_lists_return_weights_whose_spectrum_ends_at_the_price():
    result = work(
        allocation.train_lists, decay=0.8, kurtoses=(6.0, 20.0), n_features=6, n_dims=3, n_seeds=2, n_steps=300
    )
    assert result["weights"].shape == (2, 2, 3, 6)
    np.testing.assert_allclose(result["eigenvalues"][..., -1], result["price"][:, None] * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(result["excess_loss"], 0, atol=1e-9)
