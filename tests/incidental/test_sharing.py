"""The price of sharing a neuron: the loss and its gradient against plain ones, and prices that are known."""

import pytest
import torch

from polysemanticity import incidental
from polysemanticity.base import runtime
from polysemanticity.incidental import interference, sharing


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def pairs(n):
    first, second = torch.triu_indices(n, n, 1)
    eye = torch.eye(n, dtype=torch.float64)
    return torch.cat([eye, eye[first] + eye[second]])


def test_the_loss_is_that_of_single_features_and_of_pairs():
    weights, events = incidental.initial_weights(4, 6, [0, 1]), pairs(4)
    seen = torch.cat([torch.ones(4), torch.full((6,), 0.3)]).double().expand(2, -1)
    expected = interference.paired_loss(weights, 0.3) + 0.1 * weights.abs().sum((-2, -1))
    torch.testing.assert_close(sharing.loss(weights, events, seen, 0.1), expected)
    alone = sharing.loss(weights, events[:4], torch.ones(2, 4).double(), 0.1)
    torch.testing.assert_close(alone, incidental.loss(weights, 0.1))


def test_the_error_is_half_of_autograds_slope():
    weights, events = incidental.initial_weights(4, 6, [0, 1]).requires_grad_(), pairs(4)
    seen = torch.rand(2, 10, generator=torch.Generator().manual_seed(0)).double()
    (slope,) = torch.autograd.grad(sharing.loss(weights, events, seen, 0.0).sum(), weights)
    error = sharing.error(weights @ weights.mT, events, seen)
    torch.testing.assert_close(slope, (4 * error @ weights).detach())


def planted(together, alone=1.0, size=1.0, sign=-1.0):
    """Two features on the first of three neurons, a third on the second."""
    weights = torch.zeros(1, 3, 3)
    weights[0, 0, 0], weights[0, 1, 0], weights[0, 2, 1] = size, sign * size, 1.0
    events = torch.cat([torch.eye(3), torch.tensor([[1.0, 1.0, 0.0]])])
    return weights, events, torch.tensor([[alone, alone, 1.0, together]])


@pytest.mark.parametrize("together", [0.0, 0.01, 0.1])
def test_a_pair_of_opposite_signs_costs_two_for_each_time_it_is_seen(together):
    weights, events, seen = planted(together)
    price = sharing.price(weights, (0, 1), 0, torch.tensor([2]), events, seen, 0.05)
    assert float(price) == pytest.approx(2 * together, abs=1e-4 + 0.02 * together)


def test_a_pair_that_only_comes_together_saves_tax():
    weights, events, seen = planted(1.0, alone=0.0, size=0.7, sign=1.0)
    price = float(sharing.price(weights, (0, 1), 0, torch.tensor([2]), events, seen, 0.05))
    assert price == pytest.approx(-0.05 * (2 - 2**0.5), rel=0.05)
    weights, events, seen = planted(1.0, alone=0.2, size=0.7, sign=1.0)
    assert float(sharing.price(weights, (0, 1), 0, torch.tensor([2]), events, seen, 0.05)) > 0


def test_settling_on_samples_calls_for_them():
    weights, events, seen = planted(0.0)
    calls = []
    sharing.settle(weights, events, seen, 0.05, n_steps=3, draw=lambda: calls.append(1) or seen)
    assert len(calls) == 3
    with pytest.raises(RuntimeError, match="training diverged"):
        sharing.settle(weights, events, 1e6 * seen, 0.05, n_steps=50)
