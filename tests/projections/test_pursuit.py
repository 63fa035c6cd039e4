"""Matching pursuit finds what was planted, in the pool that holds it, and nothing where there is nothing."""

import numpy as np
import pytest

from polysemanticity.projections import pursuit


def planted(n=3000, seed=0):
    """Traces of two pools, and targets: two of the first pool, one of either, noise."""
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, n, 40))
    targets = np.stack([2 * one[:, 3] - one[:, 7], one[:, 5] + other[:, 11], rng.standard_normal(n)], axis=1)
    return one - one.mean(0), other - other.mean(0), targets - targets.mean(0)


def test_planted_traces_are_found():
    one, _, targets = planted()
    found = pursuit.pursue(one, targets, 2)
    assert found.places[0] == (3, 7) and found.places[1][0] == 5
    np.testing.assert_allclose(found.r2, [1, 0.5, 0], atol=0.03)
    np.testing.assert_array_equal(found.taken[0], one[:, [3, 7]])


def test_the_other_pool_adds_what_the_first_does_not_hold():
    one, other, targets = planted()
    first = pursuit.pursue(one, targets, 1)
    more = pursuit.pursue(other, targets, 1, first.taken)
    assert more.places[1] == (11,)
    np.testing.assert_allclose(more.r2 - first.r2, [0, 0.5, 0], atol=0.03)
    further = pursuit.pursue(one, targets, 1, first.taken)
    np.testing.assert_allclose(further.r2 - first.r2, [0.2, 0, 0], atol=0.03)


def test_it_is_least_squares_on_what_was_taken():
    one, _, targets = planted(200)
    mixed = one @ np.random.default_rng(1).standard_normal((40, 40))  # no longer orthogonal
    found = pursuit.pursue(mixed, targets, 5)
    for taken, target, r2 in zip(found.taken, targets.T, found.r2, strict=True):
        missed = pursuit.held_out_errors(taken, target, taken, target)
        assert 1 - missed.sum() / (target**2).sum() == pytest.approx(r2)


def test_on_another_text_noise_tells_nothing():
    one, _, targets = planted(400)
    found = pursuit.pursue(one[:200], targets[:200], 8)
    assert found.r2[2] > 0.1  # chosen among 40
    missed = pursuit.held_out_errors(found.taken[2], targets[:200, 2], one[200:, found.places[2]], targets[200:, 2])
    assert missed.sum() / (targets[200:, 2] ** 2).sum() > 0.95


def test_repeated_and_dead_traces_are_taken_once_and_never():
    one, _, targets = planted()
    pool = np.concatenate([one, one, np.zeros((len(one), 3))], axis=1)
    for places in pursuit.pursue(pool, targets, 30).places:
        assert max(places) < 80 and len({place % 40 for place in places}) == 30
    with pytest.raises(ValueError, match="n_steps = 41: allowed is 1 to 40, the pool's candidates"):
        pursuit.pursue(np.concatenate([one, np.zeros((len(one), 3))], axis=1), targets, 41)
