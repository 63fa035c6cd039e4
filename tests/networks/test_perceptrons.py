"""Batched perceptrons: each network learns as it would alone, noise has mean 1, errors name what is allowed."""

import numpy as np
import pytest
import torch

from polysemanticity.networks import perceptrons


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(n_nets=2, activation="relu"):
    return perceptrons.perceptrons((3, 5, 3), (activation, "identity"), (True, False), n_nets, generator())


@pytest.mark.parametrize("activation", perceptrons.ACTIVATIONS)
def test_activities_are_those_of_each_network_alone(activation):
    nets, x = build(activation=activation), torch.randn(2, 7, 3, generator=generator(1))
    hidden, output = perceptrons.activities(nets, x)
    function = perceptrons.ACTIVATIONS[activation]
    for k in range(2):
        alone = function(x[k] @ nets.weights[0][k] + nets.biases[0][k])
        torch.testing.assert_close(hidden[k], alone)
        torch.testing.assert_close(output[k], alone @ nets.weights[1][k] + nets.biases[1][k])


def test_a_network_trains_as_it_would_without_the_others():
    x = torch.randn(2, 16, 3, generator=generator(1))
    nets = build()
    (*_, (step, both)) = perceptrons.trained(nets, lambda step: (x, x), 20, 0.01)
    second = nets._replace(weights=tuple(w[1:] for w in nets.weights), biases=tuple(b[1:] for b in nets.biases))
    ((_, alone),) = perceptrons.trained(second, lambda step: (x[1:], x[1:]), 20, 0.01)
    assert step == 20
    torch.testing.assert_close(both.weights[0][1:], alone.weights[0], rtol=1e-4, atol=1e-5)
    assert not torch.equal(both.weights[0], nets.weights[0])


def test_a_linear_autoencoder_learns_the_identity_and_stops_where_asked():
    x = torch.randn(1, 64, 3, generator=generator(2))
    nets = perceptrons.perceptrons((3, 8, 3), ("identity", "identity"), (False, False), 1, generator())
    losses = {
        step: float((perceptrons.activities(now, x)[-1] - x).square().mean())
        for step, now in perceptrons.trained(nets, lambda step: (x, x), 600, 0.02, stops=(0, 100))
    }
    assert list(losses) == [0, 100, 600] and losses[600] < 1e-4 < losses[0]


def test_weight_decay_shrinks_what_the_loss_does_not_hold():
    nets, zero = build(1), torch.zeros(1, 4, 3)
    ((_, now),) = perceptrons.trained(nets, lambda step: (zero, zero), 100, 0.01, weight_decay=1.0)
    factor = np.prod([1 - 0.01 * (1 + np.cos(np.pi * step / 100)) / 2 for step in range(100)])
    torch.testing.assert_close(now.weights[0], nets.weights[0] * float(factor), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["dropout", "gaussian"])
def test_noise_has_mean_one_and_the_same_variance(kind):
    found = perceptrons.multiplied(kind, 0.4, generator())(torch.ones(200_000))
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    assert float(found.var()) == pytest.approx(0.4 / 0.6, abs=0.02)


def test_no_noise_is_none_and_noise_acts_on_noisy_layers_only():
    assert perceptrons.multiplied("none", 0.4, generator()) is None
    assert perceptrons.multiplied("dropout", 0.0, generator()) is None
    nets, x = build(), torch.randn(2, 7, 3, generator=generator(1))
    hidden, output = perceptrons.activities(nets, x, lambda activity: activity * 0)
    assert not hidden.any() and torch.equal(output, nets.biases[1][:, None].expand_as(output))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: perceptrons.perceptrons((3, 5), ("tan",), (True,), 1, generator()),
            "activation = 'tan': allowed is one of",
        ),
        (lambda: perceptrons.perceptrons((3, 5), ("relu", "relu"), (True,), 1, generator()), "sizes = "),
        (lambda: perceptrons.perceptrons((3, 0), ("relu",), (True,), 1, generator()), "at least 1"),
        (lambda: perceptrons.multiplied("salt", 0.1, generator()), "kind = 'salt'"),
        (lambda: perceptrons.multiplied("dropout", 1.0, generator()), "rate = 1.0: allowed is at least 0 and below 1"),
        (lambda: next(perceptrons.trained(build(), lambda step: None, 0, 0.1)), "n_steps = 0"),
        (lambda: next(perceptrons.trained(build(), lambda step: None, 1, 0.0)), "lr = 0.0"),
        (
            lambda: next(perceptrons.trained(build(), lambda step: None, 1, 0.1, weight_decay=-1.0)),
            "weight_decay = -1.0",
        ),
    ],
)
def test_errors_say_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()
