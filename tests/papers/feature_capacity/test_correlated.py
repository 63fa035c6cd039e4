"""Pairs of features, exclusive or always active together."""

import numpy as np

from polysemanticity.papers.feature_capacity import correlated


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_partners_are_parallel_if_exclusive_and_orthogonal_if_together():
    config = {"kurtosis": 9.0, "n_features": 8, "n_dims": 4, "n_seeds": 2, "n_steps": 1500}
    result = work(correlated.train_pairs, co_activity=(0.0, 5.0), **config)
    np.testing.assert_allclose(result["partners"], [[1, 1], [0, 0]], atol=1e-3)
    assert result["loss"][0].max() < 1e-6 and (result["others"][1] > 0.05).all()
