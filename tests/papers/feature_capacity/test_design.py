"""Penalties end sharing where theory says."""

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
