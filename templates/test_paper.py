"""The workers of the paper at the smallest sizes: known answers, limits, determinism; and its claims' rules."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base import config, runtime
from polysemanticity.base.results import Results
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


def planted(power):
    """Results whose mean squared overlap is D to a power, with little noise."""
    configs = [{"n_directions": 9, "n_dims": n_dims} for n_dims in (4, 8, 16)]
    noise = np.random.default_rng(0).normal(1, 1e-3, (3, 5))
    rows = [
        [{"mean_square": config["n_dims"] ** power * x} for x in row]
        for config, row in zip(configs, noise, strict=True)
    ]
    return Results(configs, rows)


@pytest.mark.parametrize(("power", "verdict"), [(-1.0, claims.HOLDS), (-0.5, claims.FAILS)])
def test_planted_results_are_judged_rightly(power, verdict):
    measured = overlaps.measured(planted(power))
    assert claims.verdict_of(paper.CLAIMS["XX-01"], measured.quantities) == verdict


def test_the_table_says_whose_numbers_they_are():
    table = overlaps.table(planted(-1.0))
    plots.check_tidy(table)
    assert list(plots.part(table, what="paper")["mean squared overlap"]) == [1 / 4, 1 / 8, 1 / 16]


@pytest.mark.parametrize("profile", config.PROFILES)
def test_profiles_resolve(profile):
    run = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert len(run.cfg.overlaps.dims) >= 2
