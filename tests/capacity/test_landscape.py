"""Stationary points, gradient flow and correlated inputs against autograd, sampling and what theory says."""

import numpy as np
import pytest
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import landscape

F64 = {"dtype": torch.float64}


def generator(name="weights"):
    return streams.generator(0, name)


def test_the_hessian_is_the_derivative_of_the_gradient():
    w = torch.randn(2, 2, 3, generator=generator(), **F64)
    v, a = torch.tensor([1.0, 0.7, 0.3], **F64), torch.tensor([[1.5], [6.0]], **F64)
    bend = landscape.hessian_unchecked(w, v, a)
    for model in range(2):

        def slope(flat, model=model):
            return capacity.gradient_unchecked(flat.view(1, 2, 3), v, a[model : model + 1]).flatten()

        expected = torch.autograd.functional.jacobian(slope, w[model].flatten())
        torch.testing.assert_close(bend[model], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kurtosis", [2.0, 3.0, 10.0])
def test_stationary_points_are_block_semi_orthogonal(kurtosis):
    start = torch.randn(20, 2, 5, generator=generator(), **F64) * 0.7
    v = torch.tensor(0.8 ** np.arange(5))
    found = landscape.stationary_points(start, v, torch.full((20,), kurtosis, **F64))
    w = found.weights[found.residual < 1e-12]
    assert len(w) > 10
    total, rank = capacity.feature_capacity(w).sum(-1), (capacity.eigenvalues(w) > 1e-8).sum(-1)
    assert (total - rank).abs().max() < 1e-9
    assert landscape.eigenvector_error(w).max() < 1e-9
    if kurtosis > 3:
        minima = w[(found.curvature > -1e-8)[found.residual < 1e-12]]
        best = capacity.optimal_allocation(v, kurtosis, 2).loss
        assert len(minima) and (capacity.quadratic_loss(minima, v, kurtosis) / best - 1).abs().max() < 1e-9


def test_eigenvector_error_sees_what_is_not_semi_orthogonal():
    w = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]], **F64)
    error = landscape.eigenvector_error(w)
    assert error[0] > 0.1 and error[1] < 1e-15


def test_gradient_flow_grows_at_the_predicted_rate_and_ends_at_the_optimum():
    v = torch.tensor([1.0, 0.5, 0.2], **F64)
    start = torch.randn(3, 2, 3, generator=generator(), **F64) * 1e-4
    flow = landscape.gradient_flow(start, v, 5.0, 80.0, n_kept=100, n_between=20)
    assert flow.weights.shape == (101, 3, 2, 3)
    norm = (flow.weights**2).sum(-2)
    growth = (norm[5] / norm[0]).log() / 2 / flow.times[5]
    torch.testing.assert_close(growth, v.expand(3, 3), rtol=0.01, atol=0)
    np.testing.assert_allclose(norm[-1, 0].numpy(), capacity.optimal_allocation(v, 5.0, 2).norm, atol=1e-3)
    with pytest.raises(ValueError, match="n_kept"):
        landscape.gradient_flow(start, v, 5.0, 80.0, n_kept=10, n_between=1)


def test_correlated_loss_is_the_independent_one_and_its_gradient_is_autograd():
    w = torch.randn(2, 3, 4, generator=generator(), requires_grad=True, **F64)
    v = torch.tensor([1.0, 0.8, 0.5, 0.2], **F64)
    independent = landscape.pair_moments(4, 6.0, 1.0)
    torch.testing.assert_close(
        landscape.correlated_loss(w, v, independent), capacity.quadratic_loss(w, v, 6.0), rtol=1e-12, atol=0
    )
    moments = landscape.pair_moments(4, 6.0, 2.5)
    (expected,) = torch.autograd.grad(landscape.correlated_loss(w, v, moments).sum(), w)
    torch.testing.assert_close(landscape.correlated_gradient(w, v, moments).detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("exclusive", [True, False])
def test_correlated_loss_against_sampling(exclusive):
    source, p, n = generator("data"), 0.3, 2_000_000
    sign = 2 * torch.randint(0, 2, (n, 4), generator=source) - 1
    u = torch.rand(n, 2, generator=source)
    first, second = u < p, ((u >= p) & (u < 2 * p)) if exclusive else u < p
    x = torch.stack([first, second], -1).flatten(1).double() * sign / p**0.5
    moments = landscape.pair_moments(4, 1 / p, 0.0 if exclusive else 1 / p)
    w = torch.randn(2, 4, generator=source, **F64) * 0.6
    v = torch.tensor([1.0, 0.8, 0.5, 0.2], **F64)
    gap = (x * x) @ v - ((x @ w.mT) ** 2).sum(-1)
    assert float(gap.var() / landscape.correlated_loss(w, v, moments)) == pytest.approx(1, abs=0.01)


def test_unequal_kurtoses_are_allocated_as_theory_says():
    v, kappa = torch.tensor([[1.0, 0.7, 0.6, 0.3, 0.2]], **F64), torch.tensor([4.0, 20.0, 6.0, 50.0, 9.0], **F64)
    moments = torch.ones(1, 5, 5, **F64)
    moments[0].diagonal().copy_(kappa)
    w = landscape.train_correlated(v, moments, 2, 2, generator(), n_steps=3000)
    best = capacity.optimal_allocation(v[0], kappa, 2)
    np.testing.assert_allclose(capacity.feature_capacity(w)[0, 0], best.capacity, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: landscape.pair_moments(3, 5.0, 1.0), "n_features = 3"),
        (lambda: landscape.pair_moments(4, 5.0, 6.0), "within = 6.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
