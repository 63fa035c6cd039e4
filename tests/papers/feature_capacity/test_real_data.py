"""Quadratic models of real data: what they are trained on, what is predicted, and how the claims are judged."""

import numpy as np
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import real_data

TINY = {"n_samples": 400, "n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 300}


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("name", real_data.DATA)
def test_components_are_uncorrelated_and_of_unit_variance(name):
    found = real_data.samples(name, 400, np.random.default_rng(0))
    train, test, variance = real_data.components(found, 8)
    np.testing.assert_allclose(train.T @ train / len(train), np.eye(8), atol=1e-6)
    assert len(train) + len(test) == len(found) and (np.diff(variance) <= 0).all()
    np.testing.assert_allclose(
        variance[0], np.linalg.svd(found[: len(train)] - found[: len(train)].mean(0))[1][0] ** 2 / len(train)
    )


def test_predictions_are_those_of_the_closed_form_where_it_holds():
    rng = np.random.default_rng(0)
    x = rng.laplace(size=(4000, 6)) * (rng.random((4000, 6)) < 0.3)
    x = (x - x.mean(0)) / x.std(0)
    v, kurtosis = 0.8 ** np.arange(6), (x**4).mean(0)
    optimum, exact, _ = real_data._optima(v, x, 2, rng, streams.generator(0, "test"))
    np.testing.assert_allclose(optimum, capacity.optimal_allocation(v, kurtosis, 2).capacity, atol=1e-6)
    assert exact.shape == (12, 6) and np.abs(exact - optimum).max() < 0.1  # E x_i² x_j² are near 1


def test_the_worker_reports_trained_and_predicted_capacities():
    result = work(real_data.real_capacities, name="digits", **TINY)
    assert result["capacity"].shape == result["random"].shape == (3, 2, 6)
    assert result["capacity"].sum(-1).max() <= 2 + 1e-9 and result["predicted"].sum() == pytest.approx(2, abs=1e-6)
    assert result["r2"].shape == result["sign_cost"].shape == (2,) and 0 < result["r2_alone"] < 1


def test_the_loss_is_that_of_the_best_constant():
    rng = np.random.default_rng(0)
    w, v, x = rng.standard_normal((2, 4)), np.array([1.0, 0.5, 0.2, 0.1]), rng.standard_normal((50, 4))
    error = [sum(v * row**2) - np.linalg.norm(w @ row) ** 2 for row in x]
    assert real_data._loss(w, v, x) == pytest.approx(min(np.mean((np.array(error) - e) ** 2) for e in np.linspace(-20, 20, 40_001)), rel=1e-4)  # fmt: skip


N, D = 40, 10
ALONE = (np.arange(N) < D).astype(float)
SHARING = np.where(np.arange(N) < 20, 0.5, 0.0)


def planted(real, at_random, random=SHARING, r2=0.9):
    """Capacities of six models that are all alike but for a hair; the theory has every feature alone."""
    hair = 1e-4 * np.arange(6)[:, None]
    c = np.stack([np.clip(one - hair, 0, 1) for one in (ALONE, at_random, real)])
    result = {
        "capacity": c, "random": np.broadcast_to(random, c.shape), "range": np.stack([random, random]),
        "predicted": ALONE, "exact": np.stack([ALONE] * 12), "permuted": SHARING, "importance": np.ones(N) / N,
        "kurtosis": np.full(N, 5.0), "r2": np.full(6, r2), "r2_alone": 0.5, "sign_cost": np.full(6, 3.0),
    }  # fmt: skip
    fixed = {"n_samples": 9, "n_features": N, "n_dims": D, "n_seeds": 6, "n_steps": 5}
    return Results([{"name": name, **fixed} for name in real_data.DATA], [result] * 3)


def verdict(key, measured):
    return claims.verdict_of(real_data.CLAIMS[key], measured.quantities)


def test_claims_are_judged_rightly():
    as_predicted, dependent = planted(ALONE, ALONE), planted(SHARING, ALONE)
    assert verdict("FC-14a", real_data.measured_independent(dependent)) == claims.HOLDS
    assert verdict("FC-14b", real_data.measured_real(as_predicted)) == claims.HOLDS
    assert verdict("FC-14c", real_data.measured_signs(as_predicted)) == claims.FAILS
    assert verdict("FC-14c", real_data.measured_signs(dependent)) == claims.HOLDS
    by_size = planted(SHARING, np.roll(ALONE, 3))
    assert verdict("FC-14d", real_data.measured_squares(by_size)) == claims.HOLDS
    assert verdict("FC-14d", real_data.measured_squares(dependent)) == claims.FAILS  # as if independent
    assert verdict("FC-14d", real_data.measured_squares(planted(SHARING, SHARING))) == claims.FAILS
    other = planted(SHARING, ALONE, random=np.full(N, 0.25))
    assert verdict("FC-14b", real_data.measured_real(other)) == claims.FAILS
    moved = Results(other.configs, [{**r, "predicted": SHARING} for r in other])
    assert verdict("FC-14a", real_data.measured_independent(moved)) == claims.FAILS


def test_models_below_the_gate_are_not_judged():
    weak = planted(ALONE, ALONE, r2=0.4)
    assert verdict("FC-14b", real_data.measured_real(weak)) == claims.NOT_TESTED
    assert verdict("FC-14c", real_data.measured_signs(weak)) == claims.NOT_TESTED


def test_the_table_has_every_series_for_both_arrangements():
    table = real_data.table(planted(SHARING, ALONE))
    plots.check_tidy(table)
    assert len(table) == 3 * 2 * 3 * N and set(table["what"]) == {"measured", "paper", "control"}
