"""What two ways to train from the same start have in common: planted answers."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import collisions, winners

COUNTS = collisions.Settings(fan_features=20, fan_neurons=(40,), fan_seeds=16)


def test_collisions_are_the_pairs_on_one_neuron():
    found = winners.collisions([[1, -1, 2, 0, 0]])  # features without a slot share nothing
    assert found.shape == (1, 10) and np.flatnonzero(found).tolist() == [0]


def test_overlap_of_known_slots():
    both, chance = winners.overlap([[1, -1, 2, -2]], [[3, -3, 1, 2]])
    assert both.tolist() == [1] and chance.tolist() == [2 * 1 / 6]


def test_shared_is_one_with_itself_and_chance_with_independent_draws():
    rng = np.random.default_rng(0)
    draw = lambda: rng.integers(1, 31, size=(400, 40)) * rng.choice([-1, 1], size=(400, 40))  # noqa: E731
    sets = {"a": [draw(), draw()], "b": [draw(), draw()]}
    same = winners.shared(sets, "a", "a")["shared collisions"]
    assert same == pytest.approx((1, 1, 1))
    by_chance = winners.shared(sets, "a", "b")["shared collisions ÷ chance"]
    assert by_chance.low < 1 < by_chance.high and by_chance.high - by_chance.low < 0.2


def test_the_ratios_interval_covers_the_truth():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        below = rng.poisson(20, 16)
        low, high = winners._ratio(rng.binomial(below, 0.3), below)[1:]
        hits += low <= 0.3 <= high
    assert 0.9 < hits / 300 < 0.99


def test_hit_rate_pools_sizes_and_multiplies():
    results = [{"rank": np.array([[0, 1], [0, 0]])}, {"rank": np.array([[2, 3], [-1, 0]])}]
    assert winners.hit_rate(results).value == pytest.approx((0.5 + 1 + 0 + 0.5) / 4)
    assert winners.hit_rate(results, [2, 4]).value == pytest.approx((1 + 2 + 0 + 2) / 4)


def planted(configs, hits, same):
    """Networks in which a share of features ends on its largest neuron, and a share of the slots is the same for all.

    Two features in four share a neuron, with opposite signs.
    """
    results = []
    for config in configs:
        n, m, n_seeds = config["n_features"], config["n_neurons"], config["n_seeds"]
        rng, common = np.random.default_rng(len(results)), np.random.default_rng(99)
        slot = lambda draw, m=m, n=n: np.repeat(draw.permutation(m)[: n // 2] + 1, 2) * np.tile([1, -1], n // 2)  # noqa: E731
        shared, own = (np.array([slot(draw) for _ in range(n_seeds)]) for draw in (common, rng))
        slots = np.where(np.repeat(rng.random((n_seeds, n // 2)) < same, 2, axis=1), shared, own)
        rank = np.where(rng.random((n_seeds, n)) < hits, 0, rng.integers(1, m, (n_seeds, n)))
        overlap = np.eye(n) * 0.05
        results.append({"rank": rank, "slots": slots, "initial_size": np.full((n_seeds, n), 3.0), "start_end": overlap})
    return Results(configs, results)


SAME_START = winners.methods(winners.Settings(neurons=(40, 80)), COUNTS)


@pytest.mark.parametrize(
    ("hits", "same", "verdict"),
    [(0.97, 0.9, claims.HOLDS), (0.3, 0.5, claims.CORRECTED), (0.02, 0.0, claims.FAILS)],
)
def test_winners_are_judged_rightly(hits, same, verdict):
    measured = winners.measured(planted(SAME_START, hits, same))
    assert claims.verdict_of(winners.CLAIMS["IP-05"], measured.quantities) == verdict
    assert "m = 40 to 80" in measured.scale


def test_the_table_of_winners_has_every_series_and_chance():
    flows, fan = (planted(kind(COUNTS), 0.5, 0.5) for kind in (collisions.sizes, collisions.strengths))
    flows, descents = flows[:2], flows[:1]
    table = winners.winners_table(planted(SAME_START, 0.5, 0.5), flows, descents, fan)
    plots.check_tidy(table)
    hits = plots.part(table, quantity=winners.HITS)
    assert hits[hits["what"] == "measured"]["series"].nunique() == 5
    assert set(plots.part(hits, what="paper")["value"]) == {1}
    chance = plots.part(hits, what="control")
    np.testing.assert_allclose(chance["value"] * chance["neurons m"], 1)
    in_common = plots.part(table, quantity=winners.SHARED, what="measured")
    assert len(in_common) == 4 and in_common["value"].between(0.1, 0.9).all()


def test_the_table_of_start_and_end_is_small_and_keeps_the_diagonal():
    flows = planted([{"n_features": 100, "n_neurons": 200, "n_seeds": 3}], 0.5, 0.5)
    table = winners.start_end_table(flows)
    plots.check_tidy(table)
    overlaps = plots.part(table, quantity="overlap")
    assert len(overlaps) == 64**2 and overlaps["value"].sum() == pytest.approx(64 * 0.05)
    density = plots.part(table, quantity=winners.DENSITY, what="measured")
    assert (density["value"] * 0.1).sum() == pytest.approx(1)
