"""Rank correlations of planted relations, and features out of order."""

import numpy as np
import pytest

from polysemanticity import ranks


def test_rank_correlations():
    rng = np.random.default_rng(0)
    z, noise = rng.standard_normal((2, 500))
    assert ranks.rank_correlation(z, np.exp(z)) == pytest.approx(1)
    x, y = z + noise, z + rng.standard_normal(500)
    assert ranks.rank_correlation(x, y) > 0.3 and abs(ranks.rank_correlation(x, y, z)) < 0.1
