"""Noise on the hidden neurons: gradients against autograd, expectations against sampling, the simplex against its definition."""

import math

import pytest
import torch

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.incidental import hidden_noise, toy_networks

F64 = {"dtype": torch.float64}


def source(name="noise"):
    return streams.generator(0, name)


@pytest.mark.parametrize("law", hidden_noise.EXCESS_KURTOSIS)
def test_laws_have_the_stated_moments(law):
    draws = hidden_noise.draw(law, (2_000_000,), source()).double()
    kurtosis = float((draws**4).mean() / (draws**2).mean() ** 2 - 3)
    assert float(draws.mean()) == pytest.approx(0, abs=0.003)
    assert float(draws.square().mean()) == pytest.approx(1, abs=0.005)
    assert kurtosis == pytest.approx(hidden_noise.EXCESS_KURTOSIS[law], abs=0.1)


@pytest.mark.parametrize("n_vectors", [1, 5])
def test_gradient_is_autograd(n_vectors):
    weights = incidental.initial_weights(5, 7, range(3)).requires_grad_()
    noise = 0.4 * torch.randn(3, n_vectors, 7, generator=source(), **F64)
    (slope,) = torch.autograd.grad(hidden_noise.loss(weights, noise).sum(), weights)
    torch.testing.assert_close(hidden_noise.gradient(weights.detach(), noise), slope, rtol=0, atol=1e-12)


def test_without_noise_it_is_the_paper_s_loss_and_plain_descent():
    weights = incidental.initial_weights(4, 6, range(2))
    silent = torch.zeros(2, 1, 6, **F64)
    torch.testing.assert_close(hidden_noise.loss(weights, silent), incidental.loss(weights, 0.0), rtol=0, atol=1e-13)
    call = {"step": 0.03, "n_steps": 40, "generator": source(), "record_at": [40], "l1": 0.1}
    end = hidden_noise.noisy_descent(weights, torch.zeros(2), ["bipolar"] * 2, **call)[0]
    loss = lambda w: incidental.loss(w, 0.0)  # noqa: E731
    (expected,) = toy_networks.proximal_descent(loss, (weights,), step=0.03, n_steps=40, l1=0.1)
    torch.testing.assert_close(end, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("law", ["bipolar", "gaussian"])
def test_expected_loss_is_the_mean_over_draws(law):
    weights = incidental.initial_weights(3, 4, [0]).expand(400_000, 3, 4)
    noise = 0.5 * hidden_noise.draw(law, (len(weights), 1, 4), source()).double()
    values = hidden_noise.loss(weights, noise)
    exact = float(hidden_noise.expected_loss(weights[:1], 0.5, law)[0])
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / math.sqrt(len(values)))


def test_gaussian_noise_has_no_preferred_axes_and_bipolar_noise_has():
    weights = incidental.initial_weights(4, 6, range(3))
    turned = weights @ toy_networks.rotation(6, source("rotation"))
    change = [
        float(
            (hidden_noise.expected_loss(turned, 0.3, law) - hidden_noise.expected_loss(weights, 0.3, law)).abs().max()
        )
        for law in ("gaussian", "bipolar")
    ]
    assert change[0] < 1e-12 and change[1] > 1e-4


def test_noise_of_any_law_pushes_products_down_and_its_cost_is_convex():
    product = torch.linspace(-1, 1, 201, **F64)
    cost = hidden_noise.rectified_square(product, 0.2)
    assert bool((cost.diff() > 0).all()) and bool((cost.diff().diff() > -1e-15).all())
    assert float(cost[100]) == pytest.approx(0.2**2 / 2)


def test_kurtosis_term_is_what_bipolar_noise_adds_to_dense_encodings():
    weights, sigma = incidental.initial_weights(6, 14, range(20)), 0.2
    exact = hidden_noise.expected_loss(weights, sigma, "bipolar") - hidden_noise.expected_loss(
        weights, sigma, "gaussian"
    )
    predicted = hidden_noise.kurtosis_term(weights, sigma, hidden_noise.EXCESS_KURTOSIS["bipolar"])
    assert torch.corrcoef(torch.stack([exact, predicted]))[0, 1] > 0.95
    assert float((exact * predicted).sum() / predicted.square().sum()) == pytest.approx(1, abs=0.2)
    assert bool((hidden_noise.kurtosis_term(weights, sigma, 0.0) == 0).all())


@pytest.mark.parametrize(("n", "ceiling"), [(2, 1.0), (3, 0.75), (8, 0.794), (14, 0.8626), (64, 0.969)])
def test_sparsest_simplex_is_a_simplex_of_known_fourth_norm(n, ceiling):
    rows = hidden_noise.sparsest_simplex(n, n + 3)
    expected = torch.full((n, n), -1 / (n - 1), **F64).fill_diagonal_(1.0)
    torch.testing.assert_close(rows @ rows.mT, expected, rtol=0, atol=1e-13)
    assert float(hidden_noise.fourth_norm(rows)) == pytest.approx(ceiling, abs=5e-4)
    narrow = hidden_noise.sparsest_simplex(n, n - 1)
    torch.testing.assert_close(narrow @ narrow.mT, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n", [4, 8, 14])
def test_no_ascent_finds_a_sparser_simplex(n):
    m = n + 2
    rows = hidden_noise.sparsest_simplex(n, m)
    best, start = (
        float(hidden_noise.fourth_norm(rows)),
        torch.stack([toy_networks.rotation(m, source()) for _ in range(40)]),
    )
    turn = start
    for _ in range(200):  # fourth norm is convex, so that the polar factor of its gradient ascends
        slope = rows.mT @ (rows @ turn) ** 3
        left, _, right = torch.linalg.svd(slope + 1e-3 * turn)
        turn = left @ right
    reached = hidden_noise.fourth_norm(rows @ turn)
    assert bool((reached > hidden_noise.fourth_norm(rows @ start)).all())
    assert float(reached.max()) == pytest.approx(best, abs=1e-9)


def test_bipolar_noise_sparsifies_and_gaussian_does_not():
    start = incidental.initial_weights(8, 12, range(6)).float()
    laws = ["bipolar"] * 6 + ["gaussian"] * 6
    call = {"step": 0.03, "n_steps": 6000, "generator": source(), "record_at": [0, 6000], "per_input": True}
    before, after = hidden_noise.noisy_descent(start.repeat(2, 1, 1), torch.full((12,), 0.2), laws, **call)
    growth = hidden_noise.fourth_norm(after) / hidden_noise.fourth_norm(before)
    assert float(growth[:6].min()) > 1.5 and float(growth[6:].max()) < 1.4
    assert float(growth[:6].mean()) > 2 * float(growth[6:].mean())


def test_descent_is_reproducible_and_shared_or_own_noise_have_the_same_mean_step():
    start = incidental.initial_weights(3, 4, [0]).repeat(40_000, 1, 1)
    sigma, laws = torch.full((40_000,), 0.3), ["uniform"] * 40_000
    call = {"step": 0.01, "n_steps": 1, "record_at": [1]}
    shared = hidden_noise.noisy_descent(start, sigma, laws, generator=source(), **call)[0]
    again = hidden_noise.noisy_descent(start, sigma, laws, generator=source(), **call)[0]
    own = hidden_noise.noisy_descent(start, sigma, laws, generator=source(), per_input=True, **call)[0]
    assert bool((shared == again).all())
    error = math.sqrt(2 / 40_000) * float(shared.std(0).max())
    assert float((shared.mean(0) - own.mean(0)).abs().max()) < 5 * error
    assert float(shared.std(0).mean()) > float(own.std(0).mean())


def test_users_counts_shared_neurons():
    weights = torch.tensor([[[1.0, 0.0, 0.4], [-0.9, 0.3, 0.0], [0.0, 0.0, -1.3]]], **F64)
    assert hidden_noise.users(weights, 0.8, 1.2).tolist() == [1] and hidden_noise.users(weights, 0.3).tolist() == [2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hidden_noise.draw("cauchy", (2,), source()), "law = 'cauchy'"),
        (lambda: hidden_noise.expected_loss(torch.ones(1, 2, 15, **F64), 0.1, "bipolar"), "n_neurons = 15"),
        (lambda: hidden_noise.expected_loss(torch.ones(1, 2, 3, **F64), 0.1, "uniform"), "law = 'uniform'"),
        (lambda: hidden_noise.expected_loss(torch.ones(1, 2, 3, **F64), 0.0, "gaussian"), "sigma = 0.0"),
        (lambda: hidden_noise.sparsest_simplex(1, 3), "n_features = 1"),
        (lambda: hidden_noise.sparsest_simplex(5, 3), "n_neurons = 3: allowed is at least 4"),
        (lambda: hidden_noise.users(torch.ones(1, 2, 3, **F64), 1.2, 0.8), "low, high"),
        (lambda: descend_one(laws=["bipolar"] * 2), "laws = .* each of the 1 instances"),
        (lambda: descend_one(sigma=-torch.ones(1)), "sigma"),
        (lambda: descend_one(step=0.0), "step = 0.0"),
        (lambda: descend_one(record_at=[6]), "record_at"),
        (lambda: descend_one(l1=-1.0), "l1 = -1.0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_divergence_is_an_error():
    with pytest.raises(RuntimeError, match="diverged"):
        descend_one(step=30.0, n_steps=60, record_at=[60])


def descend_one(**change):
    call = {"sigma": torch.ones(1), "laws": ["bipolar"], "step": 0.1, "n_steps": 5, "generator": source()}
    call |= {"record_at": [5], **change}
    return hidden_noise.noisy_descent(torch.ones(1, 2, 3), call.pop("sigma"), call.pop("laws"), **call)
