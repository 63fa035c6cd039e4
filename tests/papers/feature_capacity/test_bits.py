"""Capacity as the share that a linear read-out explains, and in bits."""

import numpy as np
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import bits

TINY = {"n_samples": 4000, "n_draws": 2, "n_features": 5, "n_dims": 3}


def simulated(embedding, law):
    return bits.read_out(seed=0, device="cpu", embedding=embedding, law=law, **TINY)


@pytest.mark.parametrize("law", [bits.GAUSSIAN, bits.HEAVY])
def test_capacity_and_leverage_are_shares_of_variance_whatever_the_law(law):
    result = simulated("random", law)
    for own, best in zip(result["own"], result["best"], strict=True):
        np.testing.assert_allclose(own, result["capacity"], atol=0.1)
        np.testing.assert_allclose(best, result["leverage"], atol=0.1)
    assert (result["best"] >= result["own"] - 0.05).all()


def test_in_an_optimal_embedding_no_read_out_is_better_than_the_features_own():
    result = simulated("optimal", bits.GAUSSIAN)
    np.testing.assert_allclose(result["capacity"], result["leverage"], atol=1e-9)


def test_bits_are_the_information_of_two_normal_numbers():
    """Against the difference of entropies, log of determinants."""
    for c in (0.1, 0.5, 0.9):
        covariance = np.array([[1, c**0.5], [c**0.5, 1]])
        assert capacity.bits(c) == pytest.approx(-0.5 * np.log2(np.linalg.det(covariance)))
    assert capacity.bits(0.5) == 0.5 and capacity.bits(1.0) == np.inf
    with pytest.raises(ValueError, match="share"):
        capacity.bits(1.1)


def planted(own=0.0, best=0.0, information=0.0):
    c = np.array([0.2, 0.6, 1.0])
    configs = [{"embedding": "random", "law": law, **TINY} for law in (bits.GAUSSIAN, bits.HEAVY)]
    draws = 1e-3 * np.arange(4)[:, None]
    result = {"capacity": c, "leverage": c, "own": c - own + draws, "best": c - best + draws}
    worth = np.array([*capacity.bits(c[:2]) + information, 7.0]) + draws
    return Results(configs, [{**result, "information": worth}, {**result, "information": worth + 1}])


@pytest.mark.parametrize(
    ("off", "verdict"),
    [({}, claims.HOLDS), ({"information": 0.2}, claims.FAILS), ({"own": 0.3, "best": 0.3}, claims.HOLDS)],
)
def test_fc_16_is_judged_rightly(off, verdict):
    assert claims.verdict_of(bits.CLAIMS["FC-16"], bits.measured(planted(**off)).quantities) == verdict


def test_the_table_leaves_out_features_of_capacity_1():
    table = bits.table(planted())
    plots.check_tidy(table)
    assert len(plots.part(table, series="Gaussian features")) == 2
