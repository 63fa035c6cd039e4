"""Stationary points, random problems, wrong minima and gradient flow, with tiny settings."""

import numpy as np

from polysemanticity.capacity import landscape
from polysemanticity.papers.feature_capacity import descent


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_stationary_points_random_problems_and_wrong_minima():
    found = work(descent.stationary, kurtosis=5.0, n_features=4, n_dims=2, n_starts=8)
    assert found["converged"].any() and np.abs(found["total"] - found["rank"])[found["converged"]].max() < 1e-9
    fixed = {"n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 300}
    problems = work(descent.random_problems, n_problems=3, **fixed)
    np.testing.assert_allclose(problems["eigenvalues"], np.repeat(problems["predicted"][:, None], 2, 1), rtol=1e-6)
    excess = work(descent.wrong_minima, kurtoses=(1.3, 8.0), n_problems=4, **fixed)["excess_loss"]
    assert excess.shape == (2, 4, 2) and excess[1].max() < 1e-6


def test_flow_and_how_it_is_read():
    config = {"decay": 0.5, "kurtosis": 5.0, "n_features": 3, "n_dims": 2, "n_seeds": 3, "duration": 40.0, "n_kept": 80}
    flow = work(descent.flow_from_small, **config)
    entry = landscape.entry_times(flow["times"], flow["norm"], 0.5 ** np.arange(3))
    assert landscape.in_order(entry).all() and (entry[:, 0] < entry[:, 1]).all()
    np.testing.assert_allclose(landscape.growth_rates(flow["times"], flow["norm"])[:, 0], 1, rtol=0.01)
    rests, nearest = landscape.distance_from_integers(flow["times"], flow["total"], entry, 2)
    assert rests.shape == nearest.shape == (3, 1) and (nearest <= rests + 1e-12).all()
    assert not landscape.in_order(np.array([[3.0, np.nan, 2.0]]))[0]
