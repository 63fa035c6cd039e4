"""Costs of collisions, other starts and hidden layers: the workers at the smallest sizes, and planted verdicts."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, intervals, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}
SETTINGS = causes.Settings()
EXACT, FREE = (incidental.expected_polysemantic(32, 64, model) for model in ("exclusive", "free"))


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_costs_move_the_signs_of_what_survives():
    result = causes.costs(**TOY, n_seeds=24, same=[1.0, 1.0, 0.0], opposite=[0.0, 1.0, 1.0])
    assert result["count"].shape == (3, 24) and result["dead"].sum() == 0
    assert result["same"][0].sum() == 0 < result["opposite"][0].sum()
    assert result["count"][1].sum() == 0
    assert result["opposite"][2].sum() == 0 < result["same"][2].sum()
    again = causes.costs(**TOY, n_seeds=24, same=[1.0, 1.0, 0.0], opposite=[0.0, 1.0, 1.0])
    np.testing.assert_array_equal(result["count"], again["count"])


def test_starts_keep_signs_where_they_are_given():
    result = causes.starts(**TOY, n_seeds=12)
    assert result["count"].shape == (len(causes.STARTS), 12)
    assert result["count"][0].sum() < result["count"][1].sum()  # no opposite signs to start with


@pytest.mark.parametrize("kind", causes.HIDDEN)
def test_hidden_layers_keep_or_lose_features(kind):
    result = causes.hidden(**TOY, n_seeds=8, kind=kind)
    assert result["participation"].min() > 0.4 or "independent" in kind
    assert (result["kept"].mean() < 8) == ("independent" in kind)
    assert result["count"].sum() == 0 or "ReLU" not in kind


def test_untied_networks_from_equal_starts_are_the_tied_one():
    tied, untied = (causes.hidden(**TOY, n_seeds=6, kind=k) for k in ("linear, tied", "linear, untied, equal starts"))
    np.testing.assert_allclose(tied["count"], untied["count"], atol=1)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is one of linear, tied"):
        causes.hidden(**TOY, n_seeds=2, kind="cubic")


def test_half_point_finds_a_planted_one():
    costs = np.array([0.0, 0.01, 0.03, 0.1, 0.3])
    planted = 10 / (1 + costs / 0.05)
    assert causes.half_point(costs, np.tile(planted, (4, 1)).T) == pytest.approx(0.05, rel=0.05)
    assert causes.half_point([0.0, 0.2], [[10, 10], [0, 0]]) == pytest.approx(0.1)
    assert causes.half_point(costs, np.ones((5, 2))) == 0.3 == causes.half_point(costs, np.zeros((5, 2)))


def test_bootstrap_intervals_of_the_half_point_cover():
    rng, costs = np.random.default_rng(0), np.array([0.0, 0.03, 0.06, 0.1, 0.2, 0.4])
    covered, values = 0, []
    for _ in range(60):
        counts = rng.poisson(3.4 * 2.0 ** -(costs / 0.09), size=(16, 6))
        found = intervals.bootstrap(lambda c: causes.half_point(costs, c.T), counts, rng, n=100)
        covered, values = covered + (found.low <= 0.09 <= found.high), [*values, found.value]
    assert covered >= 52 and np.median(values) == pytest.approx(0.09, rel=0.15)


def counted(mean, n_seeds):
    """Whole counts with this mean."""
    return np.random.default_rng(0).permutation(np.floor(mean + (np.arange(n_seeds) + 0.5) / n_seeds).astype(int))


def of_costs(config, means, same=False):
    """A result of `causes.costs` with these mean counts of pairs, of the same sign or not."""
    count = np.array([counted(mean, config["n_seeds"]) for mean in means])
    none = np.zeros_like(count)
    return {"count": count, "opposite": none if same else count, "same": count if same else none, "unfinished": none}


def planted(settings, identity, exchanged_is_same=True):
    """Results of `causes.costs` for each of its arms."""
    means = [0.85 * EXACT, 0.2 * EXACT, identity, FREE, FREE]
    same = [False, False, False, False, exchanged_is_same]
    configs = causes.arms(settings)
    return Results(configs, [of_costs(c, [m], s) for c, m, s in zip(configs, means, same, strict=True)])


@pytest.mark.parametrize(
    ("identity", "same", "verdict"),
    [(0.0, True, claims.HOLDS), (0.5 * EXACT, True, claims.FAILS), (0.0, False, claims.FAILS)],
)
def test_planted_costs_are_judged_rightly(identity, same, verdict):
    measured = causes.measured(planted(SETTINGS, identity, same))
    assert claims.verdict_of(causes.CLAIMS["IP-09"], measured.quantities) == verdict
    assert "n = 32, m = 64, λ = 0.05" in measured.scale and "128 networks" in measured.scale


def dosed(settings, half):
    """Results of `causes.costs` whose count is halved at a cost of `half` · λ."""
    configs = causes.doses(settings)
    means = 4 / (1 + np.array([0.0, *settings.costs]) / half)
    return Results(configs, [of_costs(config, means) for config in configs])


def test_half_points_are_in_units_of_l1():
    found = causes.half_points(dosed(SETTINGS, 0.1))
    assert list(found) == [0.05, 0.1]
    assert list(found.values()) == pytest.approx([0.1, 0.1], rel=0.1)
    numbers = causes.numbers(planted(SETTINGS, 0.0), dosed(SETTINGS, 0.1))
    assert numbers["largest share of rows of an arm that are not one-hot at the end"] == 0


def test_the_table_of_costs_has_a_bar_for_every_arm_and_start():
    started = Results([causes.other_starts(SETTINGS)], [of_costs(causes.other_starts(SETTINGS), [0.5, 4, 3])])
    table = causes.costs_table(planted(SETTINGS, 0.0), dosed(SETTINGS, 0.1), started)
    plots.check_tidy(table)
    bars = plots.part(table, experiment="other costs, same start", series="pairs of the same sign")
    assert list(bars["network"])[-1] == "costs exchanged (0, 1)" and list(bars["value"])[:4] == [0, 0, 0, 0]
    levels = plots.part(table, what="corrected", experiment="other costs, same start")
    assert list(levels["value"]) == pytest.approx([EXACT, FREE])
    doses = plots.part(table, what="measured", experiment="a price for opposite signs", series="λ = 0.1")
    assert list(doses["cost of opposite signs ÷ λ"]) == pytest.approx(list(SETTINGS.costs))
    starts = plots.part(table, what="measured", experiment="other starts")
    assert list(starts["value"])[1:] == pytest.approx([0.5, 4, 3], abs=0.05)


def of_hidden(rectified, untied):
    """Results of `causes.hidden` with these mean counts under a ReLU, and for untied weights; else the exact count."""
    configs = causes.kinds(SETTINGS)
    means = [EXACT, rectified, rectified, EXACT, untied, EXACT]
    kept = np.full(SETTINGS.n_seeds // 4, 32)
    rows = [{"count": counted(mean, c["n_seeds"]), "kept": kept} for c, mean in zip(configs, means, strict=True)]
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("rectified", "untied", "verdict"),
    [(0.8 * EXACT, 0.8 * EXACT, claims.HOLDS), (0.0, 0.8 * EXACT, claims.FAILS), (0.8 * EXACT, 0.1, claims.FAILS)],
)
def test_planted_hidden_layers_are_judged_rightly(rectified, untied, verdict):
    measured = causes.measured_hidden(of_hidden(rectified, untied))
    assert claims.verdict_of(causes.CLAIMS["IP-10"], measured.quantities) == verdict


def test_the_table_of_hidden_layers_has_the_exact_count_beside_each():
    table = causes.hidden_table(of_hidden(0.0, EXACT))
    plots.check_tidy(table)
    column = "polysemantic neurons per network"
    assert list(plots.part(table, what="corrected")[column]) == pytest.approx([EXACT] * 6)
    assert list(plots.part(table, series="measured, ReLU hidden layer")[column]) == [0, 0]
