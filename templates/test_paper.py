"""The workers of the paper at the smallest sizes: known answers, limits, determinism; and its claims' rules."""

import numpy as np
import pytest

from polysemanticity.base import runtime
from polysemanticity.papers import my_paper as paper
from polysemanticity.papers.my_paper import overlaps

CALL = {"device": "cpu", "n_directions": 200}


@pytest.mark.parametrize("n_dims", [2, 10, 100])
def test_the_mean_square_is_one_over_the_dimensions(n_dims):
    result = overlaps.mean_square(seed=0, n_dims=n_dims, **CALL)
    assert result["mean_square"] == pytest.approx(1 / n_dims, rel=0.05)


def test_all_directions_of_a_line_overlap():
    cosines = overlaps.cosines(5, 1, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(cosines), np.ones(10))


def test_a_seed_is_a_set_of_directions():
    first, again, other = (overlaps.mean_square(seed=seed, n_dims=5, **CALL) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("profile", list(paper.PROFILES))
def test_profiles_resolve_and_claims_say_why(profile):
    run = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert len(run.cfg.dims) >= 2
    for name, claim in paper.CLAIMS.items():
        assert claim.id == name and claim.source and claim.paper and len(claim.reason) > 40
