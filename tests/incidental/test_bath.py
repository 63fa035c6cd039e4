"""A few features in a bath: against plain loops, the library's flow, and what the bound on overlaps allows."""

import numpy as np
import pytest
import torch

from polysemanticity import incidental
from polysemanticity.incidental import bath


def plain(start, l1, n_steps, step, n_features):
    """The same model by loops over features."""
    weights = start.numpy().copy()
    n_groups, size, _ = weights.shape
    for _ in range(n_steps):
        overlaps = weights @ weights.swapaxes(1, 2)
        pairs = [overlaps[g, i, j] for g in range(n_groups) for i in range(size) for j in range(size) if i != j]
        own = np.mean([overlaps[g, i, i] for g in range(n_groups) for i in range(size)])
        lift = max(0.0, -own / (n_features - 1) - np.mean(pairs)) if n_features > size else 0.0
        moved = weights.copy()
        for g in range(n_groups):
            for i in range(size):
                moved[g, i] += 4 * step * (1 - overlaps[g, i, i]) * weights[g, i]
                for j in range(size):
                    if j != i:
                        moved[g, i] += (lift / 2 - 4 * step * max(0.0, overlaps[g, i, j])) * weights[g, j]
        weights = np.sign(moved) * np.maximum(0, np.abs(moved) - step * l1)
    return weights


@pytest.mark.parametrize("n_features", [3, 5, 40])
def test_groups_follow_plain_loops(n_features, monkeypatch):
    monkeypatch.setattr(bath, "PART", 18)  # numbers of one group: each is worked on by itself
    start = incidental.initial_weights(3, 6, range(2))
    ours = bath.groups_in_a_bath(start, 0.1, 8 * 0.05, n_features, step=0.05)
    np.testing.assert_allclose(ours, plain(start, 0.1, 8, 0.05, n_features), atol=1e-12)
    torch.testing.assert_close(start, incidental.initial_weights(3, 6, range(2)), rtol=0, atol=0)


def test_without_a_bath_a_group_is_a_network():
    start = incidental.initial_weights(6, 12, range(40))
    ended = incidental.slots(incidental.train(6, 12, 0.2, range(40), initial=start, dtype=torch.float64).weights)
    ours = bath.groups_in_a_bath(start, 0.2, 3 / 0.2, 6, step=0.02).numpy()
    assert (incidental.slots(ours) == ended).mean() > 0.97


def test_the_bath_holds_the_mean_overlap_at_its_bound():
    start = incidental.initial_weights(4, 16, range(400))
    off = ~torch.eye(4, dtype=torch.bool)
    overlaps = {n: bath.groups_in_a_bath(start, 0.05, 4.0, n) for n in (4, 40)}
    mean = {n: float((w @ w.mT)[:, off].mean()) for n, w in overlaps.items()}
    assert mean[4] < -0.05  # what a few features can have
    assert mean[40] == pytest.approx(-1 / 39, abs=0.003)


def test_slots_are_filled_in_order_of_weights():
    weights = np.array([[[0.9, 0.1, 0.0], [0.8, -0.7, 0.0], [0.5, -0.6, 0.4], [-0.3, 0.0, 0.0]]])
    assert bath.filled_slots(weights).tolist() == [[1, -2, 3, -1]]
    assert bath.filled_slots(np.zeros((1, 2, 3))).tolist() == [[0, 0]]
    assert bath.filled_slots(np.array([[[1.0], [0.5]]])).tolist() == [[1, 0]]  # one feature finds no slot


def test_filled_slots_of_independent_weights_have_the_exact_count():
    weights = incidental.initial_weights(12, 40, range(1500)).numpy()
    slots = np.abs(bath.filled_slots(weights))
    counts = np.array([(np.bincount(row) > 1).sum() for row in slots])
    error = counts.std(ddof=1) / np.sqrt(len(counts))
    assert abs(counts.mean() - incidental.expected_polysemantic(12, 40)) < 4 * error


def test_a_bath_has_at_least_the_group():
    with pytest.raises(ValueError, match="n_features"):
        bath.groups_in_a_bath(incidental.initial_weights(4, 8, [0]), 0.1, 1.0, 3)
