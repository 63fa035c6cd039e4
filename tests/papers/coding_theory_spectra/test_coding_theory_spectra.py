"""The paper's settings, in every profile; and the certified bound on the entropy of rounded units."""

import numpy as np
import pytest

from polysemanticity.base import config
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import entropy


@pytest.mark.parametrize("profile", config.PROFILES)
def test_profiles_resolve(profile):
    cfg = config.resolve(paper.Config(), profile, {})
    assert len(cfg.vision.sizes) == (3 if profile == "smoke" else 4) and (cfg.vision.source == "cifar10") == (
        profile == "paper"
    )
    assert (cfg.redundancy.n_codes, cfg.projected.n_paths) == ((2, 4) if profile == "smoke" else (10, 40))


@pytest.mark.parametrize("n_units", [3, 64])
def test_rounded_units_hold_no_more_than_the_certified_bound(n_units):
    found = entropy.rounded_units(
        seed=0, device="cpu", n_units=n_units, precision=2, exponents=(0.0, 1.0, 3.0), n_draws=20_000
    )
    assert (found["entropy"] + 2 * found["error"] < found["bound"]).all()
    assert (np.diff(found["entropy"]) < 0).all() and ((found["error"] == 0) == (n_units > 3)).all()
