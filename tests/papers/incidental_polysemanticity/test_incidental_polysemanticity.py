"""The paper's claims and settings as a whole; its families have tests of their own."""

import pytest

from polysemanticity.base import config, runtime
from polysemanticity.papers import incidental_polysemanticity as paper


def test_claims_state_a_rule_a_reason_and_a_source():
    assert {name[:5] for name in paper.CLAIMS} >= {f"IP-{number:02}" for number in range(1, 18)}
    for name, claim in paper.CLAIMS.items():
        assert claim.id == name and claim.source and claim.paper and len(claim.reason) > 80
        assert (claim.corrected is None) == (claim.correction == "")
        assert claim.figure in paper.FIGURES and not claim.known.endswith(".")


@pytest.mark.parametrize("profile", config.PROFILES)
def test_profiles_resolve(profile):
    run = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert len(run.cfg.collisions.count_neurons) >= 3
