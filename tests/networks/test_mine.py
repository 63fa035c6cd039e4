"""Bounds on mutual information: planted truth, limits, independence of the pairs, determinism, error messages."""

import math

import numpy as np
import pytest
import torch

from polysemanticity.base import streams
from polysemanticity.networks import mine

SHORT = (mine.Phase(12, 256, 1e-3), mine.Phase(4, 256, 1e-4))
LN2 = math.log(2)


def gaussian(nats, n=4096, dims=2, seed=0):
    """Pairs of Gaussian vectors with the given mutual information, one pair per entry."""
    generator = streams.generator(seed, "test")
    rho = (1 - torch.exp(-2 * torch.tensor(nats) / dims)).sqrt()[:, None, None]
    x, noise = (torch.randn(len(nats), n, dims, generator=generator) for _ in range(2))
    return x, rho * x + (1 - rho**2).sqrt() * noise


def test_trained_bounds_of_gaussians_come_near_the_truth_from_below():
    nats = [0.0, 0.5, 1.5]
    x, y = gaussian(nats)
    for bound in (mine.donsker_varadhan, mine.info_nce):
        found = bound(x, y, seed=1, phases=SHORT, n_held=1024)
        assert found.history.shape == (16, 3) and np.isnan(found.stderr).all()
        assert (found.nats < np.array(nats) + 0.12).all() and (found.nats > np.array(nats) - 0.35).all()
        np.testing.assert_allclose(found.nats, found.history[-4:].mean(0))


def test_infonce_never_exceeds_the_logarithm_of_its_batch():
    x = gaussian([0.1], n=1024)[0]
    phases = (mine.Phase(30, 64, 3e-3),)
    assert mine.info_nce(x, x, seed=0, phases=phases, n_held=256).history.max() <= math.log(64)


def test_pairs_do_not_feel_each_other():
    x, y = gaussian([0.3, 1.0], n=1024)
    phases = (mine.Phase(2, 128, 1e-3),)
    both = mine.donsker_varadhan(x, y, seed=3, phases=phases, n_held=256)
    other = mine.donsker_varadhan(x, torch.stack([y[0], x[1]]), seed=3, phases=phases, n_held=256)
    again = mine.donsker_varadhan(x, y, seed=3, phases=phases, n_held=256)
    assert both.nats[0] == pytest.approx(other.nats[0], rel=1e-5) and both.nats[1] != pytest.approx(other.nats[1])
    np.testing.assert_array_equal(both.history, again.history)


def test_a_shared_input_is_the_same_as_a_repeated_one():
    x, y = gaussian([0.3, 1.0], n=1024)
    phases = (mine.Phase(2, 128, 1e-3),)
    shared = mine.donsker_varadhan(x[:1], y, seed=3, phases=phases, n_held=256)
    repeated = mine.donsker_varadhan(x[:1].repeat(2, 1, 1), y, seed=3, phases=phases, n_held=256)
    np.testing.assert_array_equal(shared.nats, repeated.nats)


def test_an_ensemble_is_its_networks_one_by_one():
    nets = mine.Ensemble(3, (2, 5, 4), streams.generator(0, "weights"))
    inputs = torch.randn(3, 7, 2, generator=streams.generator(1, "inputs"))
    for net in range(3):
        hidden = torch.relu(inputs[net] @ nets.weights[0][net] + nets.biases[0][net])
        torch.testing.assert_close(nets(inputs)[net], hidden @ nets.weights[1][net] + nets.biases[1][net])


def test_the_decoder_bound_brackets_erased_bits():
    generator = streams.generator(0, "bits")
    bits = torch.randint(2, (1, 6000, 3), generator=generator).float() * 2 - 1
    kept = torch.stack([bits[0] * (torch.rand(6000, 3, generator=generator) >= rate) for rate in (0.0, 0.3, 1.0)])
    found = mine.decoder_bound(bits, kept, seed=0, phases=(mine.Phase(20, 256, 3e-3),), n_held=2000)
    truth = 3 * LN2 * np.array([1, 0.7, 0])
    assert (found.nats <= truth + 4 * found.stderr).all()
    np.testing.assert_allclose(found.nats, truth, atol=0.06)


def test_the_linear_bound_is_exact_for_gaussians_and_its_error_is_that_of_repeats():
    entropy = math.log(2 * math.pi * math.e)
    found = [
        mine.linear_decoder_bound(*gaussian([0.5, 2.0], seed=seed), entropy=entropy, n_held=2048) for seed in range(40)
    ]
    nats = np.array([bound.nats for bound in found])
    np.testing.assert_allclose(nats.mean(0), [0.5, 2.0], atol=0.02)
    np.testing.assert_allclose(nats.std(0), np.mean([bound.stderr for bound in found], 0), rtol=0.4)


def test_the_linear_bound_does_not_see_the_scale_or_the_axes():
    x, y = gaussian([1.0])
    turn = torch.tensor([[3.0, -4.0], [40.0, 30.0]])
    first, second = (mine.linear_decoder_bound(x, part, entropy=0.0, n_held=1024) for part in (y, y @ turn))
    np.testing.assert_allclose(first.nats, second.nats, atol=1e-4)


def test_the_published_protocol_is_the_authors():
    assert mine.PUBLISHED == ((100, 1024, 1e-4), (50, 2048, 5e-6)) and mine.ROLLING == 10


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, y: mine.donsker_varadhan(x[0], y, seed=0), r"x = \(300, 2\): allowed is finite \[2 or 1 pairs"),
        (lambda x, y: mine.donsker_varadhan(x, y[:, :9], seed=0), r"x = \(2, 300, 2\): allowed is finite \[2 or 1"),
        (lambda x, y: mine.info_nce(x, y / 0, seed=0, phases=SHORT), r"y = \(2, 300, 2\): allowed is finite"),
        (lambda x, y: mine.donsker_varadhan(x, y, seed=0), "samples = 300: allowed is at least 6144"),
        (lambda x, y: mine.info_nce(x, y, seed=0, phases=(), n_held=9), r"phases = \(\): allowed is at least one"),
        (lambda x, y: mine.decoder_bound(x, y, seed=0, phases=SHORT), r"bits = .*: allowed is samples of -1 and 1"),
        (lambda x, y: mine.linear_decoder_bound(x, y, entropy=0.0, n_held=299), "samples = 300"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*gaussian([0.1, 0.2], n=300))
