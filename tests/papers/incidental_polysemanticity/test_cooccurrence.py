"""Features that are seen together: the workers at the smallest sizes, and planted verdicts."""

import dataclasses

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes, cooccurrence

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}
SETTINGS, TOYS = cooccurrence.Settings(), causes.Settings()
EXACT = incidental.expected_polysemantic(32, 64)


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_pairs_dissolve_collisions_and_nothing_is_lost():
    result = cooccurrence.pairs(**TOY, n_seeds=16, relative=[0.0, 1.0])
    assert result["count"].shape == (2, 16) and result["kept"].min() == 8
    assert result["count"][0].sum() > 2 * result["count"][1].sum()
    without = causes.costs(**TOY, n_seeds=16, same=[1.0], opposite=[0.0])
    np.testing.assert_array_equal(result["count"][0], without["count"][0])


def test_independent_features_leave_no_accident():
    result = cooccurrence.independent(**TOY, n_seeds=4)
    assert result["count"].shape == (1, 4) and result["count"].sum() <= 1 and result["kept"].min() >= 7


def spread(means, n_seeds):
    """Counts [place, network] with these means."""
    tenth = np.linspace(-0.1, 0.1, n_seeds)
    return np.array([mean * (1 + tenth) for mean in means])


def planted(half, left, settings=SETTINGS):
    """Results of `pairs` halved at `half` · λ, and of `independent` with a share `left` of the exact count."""
    configs, alone = cooccurrence.strengths(settings, TOYS), cooccurrence.alone(settings, TOYS)
    rows = [{"count": spread(4 / (1 + np.array(c["relative"]) / half), settings.n_seeds)} for c in configs]
    return Results(configs, rows), Results([alone], [{"count": spread([left * EXACT], settings.n_seeds)}])


def dosed():
    """Results of `causes.costs`, halved at a cost of 0.1 λ."""
    configs = causes.doses(TOYS)
    return Results(configs, [{"count": spread(4 / (1 + np.array([0, *TOYS.costs]) / 0.1), 64)} for _ in configs])


@pytest.mark.parametrize(
    ("half", "left", "verdict"), [(5.0, 0.9, claims.HOLDS), (0.1, 0.9, claims.FAILS), (5.0, 0.03, claims.FAILS)]
)
def test_planted_pairs_are_judged_rightly(half, left, verdict):
    measured = cooccurrence.measured(*planted(half, left), seed=0)
    assert claims.verdict_of(cooccurrence.CLAIMS["IP-12"], measured.quantities) == verdict
    assert measured.scale.endswith("judged at λ = 0.1")


def test_half_lives_are_judged_by_no_rule_and_shown_all_the_same(toy_run):
    run = dataclasses.replace(toy_run, claims=cooccurrence.CLAIMS, figures={"figx_cooccurrence": "alt"})
    row = claims.judge("IP-12", cooccurrence.measured(*planted(0.1, 0.03), seed=0), run)
    assert row["measured"]["half-life p*/λ at λ = 0.3"] == pytest.approx(0.1, rel=0.05)
    assert "| half-life p*/λ at λ = 0.3 | 0.1 " in claims.shown(row) and "| not judged |" in claims.shown(row)


def test_the_half_life_goes_as_l1():
    paired, free = planted(0.1, 0.03)
    numbers = cooccurrence.numbers(paired, free, seed=0)
    assert numbers["exponent of the half-life p* in λ"] == pytest.approx(1, abs=0.01)
    assert numbers["weight of a pair ÷ λ of independent features"] == pytest.approx(1 / 31 / 0.1)


def test_the_table_has_shares_and_half_lives():
    table = cooccurrence.table(*planted(0.1, 0.03), dosed(), seed=0)
    plots.check_tidy(table)
    halves = plots.part(table, quantity="half-life p*", what="measured")
    assert list(halves["value"]) == pytest.approx([0.003, 0.01, 0.03], rel=0.05)
    star = plots.part(table, series="independent features, λ = 0.1")
    assert list(star["value"]) == pytest.approx([0.03])
    shares = plots.part(table, series="pairs, λ = 0.1", quantity="polysemantic neurons ÷ without pairs")
    assert list(shares["weight of a pair or cost ÷ λ"]) == list(SETTINGS.weights)
    assert shares["value"].iloc[2] == pytest.approx(0.5)


def test_the_weight_that_is_judged_must_be_there():
    with pytest.raises(ValueError, match=r"cooccurrence.weights = \(0.1,\): allowed is a list with 1"):
        cooccurrence.Settings(weights=(0.1,))
