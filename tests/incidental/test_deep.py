"""Deep and activated networks against plain computations, and the chance counts against sampling."""

import numpy as np
import pytest
import torch

from polysemanticity import incidental
from polysemanticity.base import runtime, streams
from polysemanticity.incidental import activations, deep


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_untied_networks_are_those_of_a_plain_loop():
    parameters = deep.feedforward_start(4, 6, 3, 2, streams.generator(0, "test"))
    parameters = [p + 0.1 for p in parameters]  # biases too
    last = deep.feedforward_responses(parameters)[-1]
    for net in range(2):
        w1, w2, w3, out, b1, b2, b3, c = (p[net].numpy() for p in parameters)
        total = 0.0
        for i in range(4):
            h = np.eye(4)[i] @ w1
            for onward, bias in ((w2, b1), (w3, b2), (None, b3)):
                h = np.maximum(h + bias[0], 0)
                h = h if onward is None else h @ onward
            np.testing.assert_allclose(last[net, i], h, rtol=1e-4)
            total += np.square(out @ h + c[0] - np.eye(4)[i]).sum()
        assert float(deep.feedforward_error(parameters)[net]) == pytest.approx(total, rel=1e-4)


def test_a_tied_network_with_the_identity_is_the_papers():
    weights = incidental.initial_weights(5, 7, range(2))
    torch.testing.assert_close(
        deep.tied_error(weights, torch.eye(7).double().expand(2, 7, 7)), incidental.loss(weights, 0.0)
    )
    norms = deep.equal_gains(torch.randn(2, 7, 7)).norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(2, 7))


def test_shuffled_one_hot_codes_and_starting_winners_have_the_free_count():
    free, rng = incidental.expected_polysemantic(8, 12, "free"), np.random.default_rng(0)
    codes = np.zeros((400, 8, 12))
    codes[..., 0] = 1
    assert deep.count_of_shuffled(codes, rng).mean() == pytest.approx(free, rel=0.05)
    assert deep.collided_winners(rng.normal(size=(4000, 8, 12))).mean() == pytest.approx(free, rel=0.05)


def test_codes_of_known_weights():
    weights = torch.tensor([[[3.0, -4.0, 0.0, 1.0]]])
    assert activations.top(weights, 1).tolist() == [[[0.0, -4.0, 0.0, 0.0]]]
    assert activations.code(weights, "linear", False).tolist() == weights.tolist()
    assert float(activations.code(weights, "softmax", False).sum()) == pytest.approx(1)
    for name in activations.ACTIVATIONS:
        code = activations.code(weights, name, True)
        assert float(code.norm()) == pytest.approx(1, abs=1e-4) and float(code.sum()) == pytest.approx(0, abs=1e-5)
    moved = weights.clone().requires_grad_()
    activations.top(moved, 1).sum().backward()
    assert moved.grad.tolist() == [[[1.0] * 4]]


@pytest.mark.parametrize(("n", "m"), [(6, 6), (8, 24)])
def test_centred_pairs_against_sampling(n, m):
    rng, found = np.random.default_rng(0), []
    while len(found) < 3000:
        plus, minus = (rng.permutation(m)[:n] for _ in range(2))
        if (plus != minus).all():
            found.append(len(set(plus) & set(minus)))
    assert np.mean(found) == pytest.approx(activations.centred_pairs(n, m), rel=0.04)
