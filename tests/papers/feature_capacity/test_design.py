"""Penalties end sharing where theory says."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import phases
from polysemanticity.papers.feature_capacity import design


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


@pytest.mark.parametrize(
    ("shared", "relu", "verdict"), [(0, False, claims.CORRECTED), (2, False, claims.FAILS), (0, True, claims.FAILS)]
)
def test_fc_13_is_judged_rightly(shared, relu, verdict):
    measured = design.measured(*planted(shared, relu))
    assert claims.verdict_of(design.CLAIMS["FC-13"], measured.quantities) == verdict


def test_the_table_has_counts_and_costs():
    table = design.table(*planted(0, False))
    plots.check_tidy(table)
    counts = plots.part(table, model="quadratic model, κ = 10", quantity="polysemantic features")
    assert list(counts["value"]) == [4 if multiple < 1 else 0 for multiple in design.MULTIPLES]
