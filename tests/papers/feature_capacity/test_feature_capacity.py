"""The settings, figures and claims of the third paper."""

import pytest

from polysemanticity.base import config, runtime
from polysemanticity.papers import feature_capacity as paper


@pytest.mark.parametrize("profile", config.PROFILES)
def test_profiles_resolve(profile):
    run = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert run.cfg.allocation.n_dims < run.cfg.phase_diagram.n_features
    assert set(run.figures) == set(paper.FIGURES)
    assert all(claim.id == name for name, claim in paper.CLAIMS.items())
