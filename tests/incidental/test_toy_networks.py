"""The batched trainer against the closed form, its penalties against brute force."""

import math

import pytest
import torch

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.incidental import toy_networks

F64 = {"dtype": torch.float64}


def task_loss(weights):
    return incidental.loss(weights, 0.0)


def start(n_seeds=3, n=6, m=10):
    return incidental.initial_weights(n, m, range(n_seeds))


def test_descend_is_plain_descent_along_the_closed_form_gradient():
    expected = start()
    for _ in range(50):
        moved = expected - 0.02 * incidental.gradient(expected)
        expected = moved - moved.clamp(-0.02 * 0.1, 0.02 * 0.1)
    (weights,) = toy_networks.proximal_descent(task_loss, (start(),), step=0.02, n_steps=50, l1=0.1)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-13)


def test_an_instance_does_not_depend_on_the_others_and_settings_are_batched():
    both = start(2)
    strength = torch.tensor([0.1, 0.3], **F64)[:, None, None]
    (together,) = toy_networks.proximal_descent(task_loss, (both,), step=0.03, n_steps=40, l1=strength)
    for seed, l1 in enumerate((0.1, 0.3)):
        (alone,) = toy_networks.proximal_descent(task_loss, (both[seed : seed + 1],), step=0.03, n_steps=40, l1=l1)
        torch.testing.assert_close(together[seed], alone[0], rtol=0, atol=1e-13)


def test_ends_where_incidental_train_ends():
    l1, n_seeds = 0.1, 8
    first = start(n_seeds, 8, 16)
    (weights,) = toy_networks.proximal_descent(task_loss, (first,), step=0.02, n_steps=6000, l1=l1)
    expected = incidental.train(8, 16, l1, range(n_seeds), step=0.1, dtype=torch.float64).weights
    agree = incidental.slots(weights.numpy()) == incidental.slots(expected)
    assert agree.mean() > 0.95
    assert ((weights != 0).sum(-1) == 1).all()


def test_a_strength_for_each_tensor_and_the_start_is_left_alone():
    pair = (torch.ones(2, 3, **F64), torch.ones(2, 3, **F64))
    flat = lambda a, b: (a * 0 + b * 0).sum(-1)  # noqa: E731
    free, taxed = toy_networks.proximal_descent(flat, pair, step=0.1, n_steps=3, l1=(0.0, 2.0))
    assert free.tolist() == pair[0].tolist() and taxed.numpy() == pytest.approx(0.4)
    assert bool((pair[1] == 1).all()) and not pair[1].requires_grad


def test_adamw_steps_as_torch_does():
    first = start(1)
    by_hand = first.clone().requires_grad_()
    adam = torch.optim.AdamW([by_hand], lr=1e-2)
    for _ in range(20):
        adam.zero_grad()
        (task_loss(by_hand).sum() + 0.05 * by_hand.abs().sum()).backward()
        adam.step()
    make = lambda weights: toy_networks.AdamW(weights, lr=1e-2)  # noqa: E731
    (weights,) = toy_networks.proximal_descent(task_loss, (first,), step=0, n_steps=20, l1=0.05, optimizer=make)
    torch.testing.assert_close(weights, by_hand.detach(), rtol=0, atol=1e-12)


def test_record_sees_the_start_and_the_end():
    seen = []
    keep = lambda step, weights: seen.append((step, weights[0].clone()))  # noqa: E731
    (weights,) = toy_networks.proximal_descent(task_loss, (start(),), step=0.01, n_steps=20, record=keep, every=10)
    assert [step for step, _ in seen] == [0, 10, 20]
    assert bool((seen[0][1] == start()).all()) and bool((seen[-1][1] == weights).all())


@pytest.mark.parametrize("penalty", toy_networks.PENALTIES)
@pytest.mark.parametrize("strength", [0.0, 0.05, 0.7])
def test_proximal_is_the_minimizer(penalty, strength):
    size = {"l1": torch.abs, "l2": torch.square, "root": lambda x: x.abs().sqrt()}[penalty]
    x = torch.linspace(-2, 2, 40001, **F64)
    y = torch.linspace(-1.9, 1.9, 78, **F64)  # no threshold among them
    value = (x - y[:, None]).square() / 2 + strength * size(x)
    found = toy_networks.proximal(y, strength, penalty)
    assert float((found - x[value.argmin(1)]).abs().max()) < 1e-4
    assert bool((found.sign() * y.sign() >= 0).all())


def test_half_threshold_jumps_where_it_should():
    threshold = 1.5 * 0.2 ** (2 / 3)
    below, above = toy_networks.proximal(torch.tensor([threshold - 1e-9, threshold + 1e-9], **F64), 0.2, "root")
    assert below == 0 and float(above) == pytest.approx(0.2 ** (2 / 3), rel=1e-6)


def test_participation_of_known_encodings():
    weights = torch.tensor([[0.0, -2.0, 0.0, 0.0], [1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], **F64)
    assert toy_networks.participation(weights).tolist() == [1.0, 0.25, 0.0]
    many = torch.randn(2000, 64, generator=streams.generator(0, "weights"), **F64)
    assert float(toy_networks.participation(many).mean()) == pytest.approx(3 / 66, rel=0.02)


def test_rotations_are_orthogonal_and_uniform():
    source = streams.generator(0, "rotation")
    many = torch.stack([toy_networks.rotation(3, source) for _ in range(3000)])
    torch.testing.assert_close(many @ many.mT, torch.eye(3, **F64).expand_as(many), rtol=0, atol=1e-13)
    assert float(many.mean(0).abs().max()) < 4 / math.sqrt(3 * 3000)  # mean 0, variance 1/3
    assert float((many.square().mean(0) - 1 / 3).abs().max()) < 0.03


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": -1}, "n_steps = -1"),
        ({"penalty": "l0"}, "penalty = 'l0'"),
        ({"penalty": "l2", "optimizer": toy_networks.AdamW}, "penalty = 'l2': allowed is l1 with an optimizer"),
        ({"every": 0}, "every = 0"),
        ({"l1": (0.1, 0.1)}, "l1 = .*: allowed is one strength, or 1"),
        ({"l1": -0.1}, "l1 = -0.1"),
        ({"step": math.nan}, "step = nan"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        toy_networks.proximal_descent(task_loss, (start(),), **{"step": 0.1, "n_steps": 1, **change})


def test_divergence_is_an_error():
    with pytest.raises(RuntimeError, match="diverged"):
        toy_networks.proximal_descent(task_loss, (start(),), step=10.0, n_steps=20)
