"""Interference at other costs: gradients against autograd, exact ends, limits."""

import numpy as np
import pytest
import torch

from polysemanticity import incidental
from polysemanticity.incidental import interference


@pytest.fixture
def weights():
    return torch.randn(3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def slope(loss, weights):
    return torch.autograd.grad(loss(weights).sum(), weights)[0]


def closed_form(error, weights):
    weights = weights.detach()
    return 4 * error(weights @ weights.mT) @ weights


def start(n_features=6, n_neurons=12, n_seeds=8):
    return incidental.initial_weights(n_features, n_neurons, range(n_seeds))


@pytest.mark.parametrize(("same", "opposite"), [(1, 0), (1, 1), (0, 1), (0, 0), (1, 0.01), (0.7, 0.3)])
def test_signed_error_is_the_gradient(weights, same, opposite):
    by_autograd = slope(lambda w: interference.signed_loss(w, same, opposite), weights)
    by_formula = closed_form(lambda s: interference.signed_error(s, same, opposite), weights)
    torch.testing.assert_close(by_formula, by_autograd, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pair", [0.0, 0.2, 3.0])
def test_paired_error_is_the_gradient(weights, pair):
    by_autograd = slope(lambda w: interference.paired_loss(w, pair), weights)
    by_formula = closed_form(lambda s: interference.paired_error(s, pair), weights)
    torch.testing.assert_close(by_formula, by_autograd, rtol=1e-12, atol=1e-12)


def test_sampled_error_is_the_gradient(weights):
    active = (torch.rand(3, 20, 5, generator=torch.Generator().manual_seed(1)) < 0.4).double()

    def loss(w):
        return ((active @ w @ w.mT).relu() - active).square().sum(-1).mean(-1) / 0.4

    by_formula = closed_form(lambda s: interference.sampled_error(s, active, 0.4), weights)
    torch.testing.assert_close(by_formula, slope(loss, weights), rtol=1e-12, atol=1e-12)


def test_the_papers_costs_give_the_papers_loss_and_gradient(weights):
    w = weights.detach()
    torch.testing.assert_close(interference.signed_loss(w, 1, 0), incidental.loss(w, 0.0))
    torch.testing.assert_close(interference.paired_loss(w, 0), incidental.loss(w, 0.0))
    by_formula = closed_form(lambda s: interference.signed_error(s, 1, 0), w)
    torch.testing.assert_close(by_formula, incidental.gradient(w))


def test_single_features_as_samples_are_the_paired_loss_without_pairs(weights):
    w = weights.detach()
    overlap, alone = w @ w.mT, torch.eye(5, dtype=w.dtype).expand(3, 5, 5)
    expected = interference.paired_error(overlap, 0.0) * (overlap > 0)
    torch.testing.assert_close(interference.sampled_error(overlap, alone, 0.2), expected)


def test_costs_may_differ_between_instances(weights):
    overlap = (weights @ weights.mT).detach()
    mixed = interference.signed_error(overlap, torch.ones(3).double(), torch.tensor([0.0, 0.5, 1.0]).double())
    for k, cost in enumerate((0.0, 0.5, 1.0)):
        torch.testing.assert_close(mixed[k], interference.signed_error(overlap[k], 1, cost))


def test_a_pair_of_unit_encodings_costs_twice_the_square_of_a_negative_product():
    angles = torch.linspace(np.pi / 2, np.pi, 5, dtype=torch.float64)
    rows = torch.stack(
        [torch.tensor([1.0, 0.0]).double().expand(5, 2), torch.stack([angles.cos(), angles.sin()], -1)], 1
    )
    product = angles.cos()
    torch.testing.assert_close(interference.paired_loss(rows, 1.0), 2 * product.square(), atol=1e-12, rtol=0)
    torch.testing.assert_close(interference.signed_loss(rows, 1, 1), 2 * product.square(), atol=1e-12, rtol=0)


def test_without_costs_the_largest_initial_weight_wins():
    first = start()
    end = interference.flow_under(lambda s: interference.signed_error(s, 0, 0), first, l1=0.1, time=80.0)
    np.testing.assert_array_equal(incidental.slots(end.numpy()), incidental.slots(first.numpy()))
    assert ((end != 0).sum(-1) == 1).all()


def test_follow_agrees_with_plain_small_steps():
    first, l1, step = start(n_seeds=3), 0.2, 4e-3
    followed = interference.flow_under(
        lambda s: interference.signed_error(s, 1, 0.05), first, l1=l1, time=40.0, step=0.5
    )
    plain = first.clone()
    for _ in range(10_000):
        moved = plain - step * slope(lambda w: interference.signed_loss(w, 1, 0.05), plain.requires_grad_())
        plain = (moved - moved.clamp(-step * l1, step * l1)).detach()
    np.testing.assert_array_equal(incidental.slots(followed.numpy()), incidental.slots(plain.numpy()))
    torch.testing.assert_close(followed, plain, atol=0.01, rtol=0)


def test_instances_do_not_feel_each_other():
    first = start(n_seeds=4)
    options = {"l1": 0.2, "time": 10.0}
    together = interference.flow_under(lambda s: interference.signed_error(s, 1, 0), first, **options)
    alone = interference.flow_under(lambda s: interference.signed_error(s, 1, 0), first[2:3], **options)
    np.testing.assert_array_equal(incidental.slots(together[2:3].numpy()), incidental.slots(alone.numpy()))


def test_errors_name_the_argument():
    first = start(n_seeds=1)
    error = lambda s: interference.signed_error(s, 1, 0)  # noqa: E731
    with pytest.raises(ValueError, match=r"l1 = -1.0: allowed is a number of at least 0"):
        interference.flow_under(error, first, l1=-1.0, time=1.0)
    with pytest.raises(ValueError, match=r"time = 0.0: allowed is a number above 0"):
        interference.flow_under(error, first, l1=0.1, time=0.0)
    with pytest.raises(ValueError, match=r"step = 2.0: allowed is a number above 0 and up to 1.5"):
        interference.flow_under(error, first, l1=0.1, time=1.0, step=2.0)
    with pytest.raises(ValueError, match=r"rate = 0.0: allowed is a probability"):
        interference.sampled_error(first @ first.mT, torch.ones(1, 2, 6).double(), 0.0)
    with pytest.raises(RuntimeError, match="training diverged after"):
        interference.flow_under(lambda s: s * torch.nan, first, l1=0.1, time=1.0)


def test_dropping_what_is_decided_changes_nothing():
    first = incidental.initial_weights(8, 14, range(5)).float()
    prices = torch.tensor([0.0, 0.01, 0.02, 0.05, 0.3])
    short = interference.flow_at_prices(first, prices, l1=0.2, time=60.0)
    plain = interference.flow_under(lambda s: interference.signed_error(s, 1, prices), first, l1=0.2, time=60.0)
    np.testing.assert_array_equal(incidental.slots(short.numpy()), incidental.slots(plain.numpy()))
    assert ((short != 0).sum(-1) == 1).all()
    undecided = interference.flow_at_prices(first, prices, l1=0.2, time=0.5)
    assert ((undecided != 0).sum(-1) > 1).any()
    with pytest.raises(ValueError, match="from 0 to below 1"):
        interference.flow_at_prices(first, prices + 1, l1=0.2, time=1.0)


def test_weights_that_do_not_stay_finite_are_an_error_and_no_endless_loop():
    first = torch.full((1, 3, 4), float("nan"))
    with pytest.raises(RuntimeError, match="diverged after 20 steps"):
        interference.flow_at_prices(first, torch.zeros(1), l1=0.1, time=1.0)
