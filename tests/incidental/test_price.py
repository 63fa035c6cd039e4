"""The law of the price of sharing: its parts against descent, counting and known limits."""

import math

import numpy as np
import pytest
import torch

from polysemanticity.incidental import interference, price

RATIOS = np.array([0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4])


@pytest.mark.parametrize(("ratio", "side", "leaves"), [(0.3, 1.2, True), (0.3, 0.8, False)])
def test_a_feature_leaves_above_the_escape_weight(ratio, side, leaves):
    l1 = 0.02
    weight = side * price.escape_weight(ratio)
    rows = torch.tensor([[[math.sqrt(1 - weight**2), weight], [-1.0, 0.0]]], dtype=torch.float64)
    end = interference.flow_under(lambda s: interference.signed_error(s, 1, ratio * l1), rows, l1=l1, time=4 / l1)
    assert (end[0, 0].abs().argmax().item() == 1) == leaves


def test_no_dead_weight_leaves_and_a_high_price_needs_little():
    assert price.escape_weight(0.001) == pytest.approx(math.sqrt(0.5), rel=0.01)
    assert price.escape_weight(100.0) == pytest.approx(1 / 400, rel=0.02)


def test_what_is_empty_agrees_with_drawn_slots():
    rng, n, m = np.random.default_rng(0), 60, 90
    slots = np.array([rng.permutation(2 * m)[:n] for _ in range(4000)])
    taken = np.zeros((4000, 2 * m), bool)
    np.put_along_axis(taken, slots, True, 1)
    plus, minus = taken[:, :m], taken[:, m:]
    assert price.empty_share(m / n, left=1.0) == pytest.approx((~plus & ~minus).sum() / (~plus).sum(), abs=0.01)
    both, neither = (plus & minus).sum(1), (~plus & ~minus).sum(1)
    half_gone = ((neither - both / 2) / (m - plus.sum(1))).mean()
    assert price.empty_share(m / n) == pytest.approx(half_gone, abs=0.01)


def test_half_of_the_pairs_have_nowhere_to_go_below_a_known_size():
    edge = (2 + math.sqrt(2)) / 4
    assert price.half_price(0.07, edge - 0.01) == math.inf > price.half_price(0.07, edge + 0.01) > 1
    assert price.half_price(0.07, 1000.0) == pytest.approx(0.07, rel=0.01)
    with pytest.raises(ValueError, match="at least half a neuron"):
        price.empty_share(0.4)


def test_the_curve_of_lone_pairs_does_not_depend_on_their_neurons():
    few, many = (price.lone_pairs(RATIOS, 300, m, 0.2, np.random.default_rng(0)) for m in (40, 160))
    assert few[0] == many[0] == 1 and np.abs(few - many).max() < 0.12
    assert price.half(RATIOS, few) == pytest.approx(price.half(RATIOS, many), rel=0.3)


def test_the_expected_share_is_half_at_the_half_price():
    left = 2.0 ** -(RATIOS / 0.07)
    for per_feature in (1.0, 1.5, 4.0):
        at = price.half_price(price.half(RATIOS, left), per_feature)
        assert price.expected_left(at, per_feature, RATIOS, left) == pytest.approx(0.5, abs=0.01)
    assert price.expected_left(0.0, 2.0, RATIOS, left) == 1.0
