"""Penalties end sharing where theory says."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import phases
from polysemanticity.papers.feature_capacity import design, figures, phase_diagram


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_penalties_end_sharing_where_theory_says():
    fixed = {"decay": 0.8, "kurtosis": 8.0, "n_features": 6, "n_dims": 3, "n_seeds": 2, "n_steps": 1500}
    c = work(design.penalised, penalties=(0.5, 3.0), **fixed)["capacity"]
    assert (phases.phase(c[0]) == phases.POLYSEMANTIC).any() and not (phases.phase(c[1]) == phases.POLYSEMANTIC).any()
    fixed = {"density": 0.2, "decay": 0.7, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 3000, "batch": 64}
    tuned = work(design.penalised_relu, penalties=(0.0, 10.0), n_test=1000, **fixed)
    shares = phases.polysemantic_shares(tuned["weights"])
    assert (shares.represented[0] == 1).all() and (shares.represented[1] == 0).all()
    assert (tuned["loss"][1] > tuned["loss"][0]).all()


def planted(shared_beyond, relu_shared):
    """Quadratic models with so many shared features beyond the critical penalty, ReLU ones at the strongest."""
    config = {"decay": design.DECAY, "kurtosis": design.KURTOSIS, "n_features": 20, "n_dims": 8, "n_seeds": 3}
    v = design.DECAY ** np.arange(20)
    c = np.zeros((len(design.MULTIPLES), 3, 20))
    c[..., :8] = 1
    for place, multiple in enumerate(design.MULTIPLES):
        c[place, :, : 4 if multiple < 1 else shared_beyond] = 0.5
    least = (design.KURTOSIS - 1) * (v[8:] ** 2).sum()
    tuned = Results([config], [{"capacity": c, "loss": np.full(c.shape[:2], least) * np.array([1.0, 1.001, 1.002])}])
    digon, alone = np.array([[1.0, -1.0, 0, 0], [0, 0, 1.0, -1.0]]), np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    weights = np.stack([np.stack([digon if relu_shared else alone] * 3)] * len(design.RELU_PENALTIES))
    relu = {"n_features": 4, "n_dims": 2, "density": 0.1, "n_seeds": 3}
    return tuned, Results([relu], [{"weights": weights, "loss": np.ones(weights.shape[:2])}])


def changed(until=1 / 3):
    """Models that share two features, under sign(x) at densities `until` a value, untransformed at all but the last."""
    density = np.array(design.SIGN_DENSITIES)
    shared = np.stack([density < until, density < 0.6])
    c = np.where(shared[..., None, None], [1, 0.5, 0.5, 0], [1, 1, 0, 0]) * np.ones((3, 1))
    config = {**design.transformed_arm(phase_diagram.Settings()), "n_seeds": 3}
    return Results([config], [{"capacity": c}])


@pytest.mark.parametrize(("shared", "verdict"), [(0, claims.HOLDS), (2, claims.FAILS)])
def test_fc_13_is_judged_rightly(shared, verdict):
    measured = design.measured(planted(shared, False)[0])
    assert claims.verdict_of(design.CLAIMS["FC-13"], measured.quantities) == verdict


@pytest.mark.parametrize(("relu", "verdict"), [(False, claims.UNCLEAR), (True, claims.FAILS)])
def test_fc_13b_is_judged_rightly(relu, verdict):
    measured = design.measured_relu(planted(0, relu)[1])  # none in three starts may still be one in one
    assert claims.verdict_of(design.CLAIMS["FC-13b"], measured.quantities) == verdict


@pytest.mark.parametrize(("until", "verdict"), [(1 / 3, claims.HOLDS), (0.45, claims.FAILS), (0.22, claims.FAILS)])
def test_fc_13c_is_judged_rightly(until, verdict):
    measured = design.measured_transforms(changed(until))
    assert claims.verdict_of(design.CLAIMS["FC-13c"], measured.quantities) == verdict


def test_transformed_inputs_are_shared_below_a_third():
    fixed = {"decay": 0.8, "n_features": 5, "n_dims": 2, "n_seeds": 2, "n_steps": 300}
    result = work(design.transformed, densities=(0.2, 0.4), **fixed)
    shared = (phases.phase(result["capacity"]) == phases.POLYSEMANTIC).any((-2, -1))
    np.testing.assert_array_equal(shared, [[True, False], [True, True]])


def test_sign_has_the_least_kurtosis_of_all_transforms_that_keep_zeros():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 200_000) * (rng.random(200_000) < 0.4)
    kurtosis = {f: (f(x) ** 4).mean() / (f(x) ** 2).mean() ** 2 for f in (np.sign, np.sin, np.cbrt, np.tanh)}
    assert kurtosis[np.sign] == min(kurtosis.values()) == pytest.approx(1 / 0.4, rel=0.01)


def test_the_table_has_counts_and_costs():
    table = design.table(*planted(0, False), changed())
    plots.check_tidy(table)
    counts = plots.part(table, model="quadratic model, κ = 10", quantity="polysemantic features")
    assert list(counts["value"]) == [4 if multiple < 1 else 0 for multiple in design.MULTIPLES]
    assert figures.figx_by_design(table).axes
