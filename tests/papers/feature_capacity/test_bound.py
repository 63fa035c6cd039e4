"""Random embeddings keep to the bound on capacity."""

import numpy as np
import pytest

from polysemanticity.papers.feature_capacity import bound


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("kind", list(bound.KINDS))
def test_random_embeddings_keep_to_the_bound(kind):
    result = work(bound.random_embeddings, kind=kind, n_features=12, n_dims=5, n_samples=20)
    slack = result["rank"] - result["total"]
    assert slack.shape == (20,) and slack.min() > -1e-9 and result["excess"].max() < 1e-9
    expected_rank = {"low rank": 2}.get(kind, 5)
    np.testing.assert_array_equal(result["rank"], expected_rank)
    if kind == "block-semi-orthogonal":
        assert np.abs(slack).max() < 1e-9
    else:
        assert slack.min() > 1e-9
