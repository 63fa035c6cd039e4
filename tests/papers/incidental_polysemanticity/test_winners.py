"""What two ways to train from the same start have in common: planted answers."""

import numpy as np
import pytest

from polysemanticity.papers.incidental_polysemanticity import winners


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
