"""Autoencoders of every architecture against autograd and what theory says."""

import pytest
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders

F64 = {"dtype": torch.float64}


def generator(name="weights"):
    return streams.generator(0, name)


@pytest.mark.parametrize("model", list(autoencoders.MODELS))
def test_the_gradient_is_that_of_autograd_on_the_loss_as_it_is_written(model, monkeypatch):
    kind, (grid, seeds, dims, n, batch) = autoencoders.MODELS[model], (3, 2, 4, 5, 7)
    monkeypatch.setattr(autoencoders, "PART", 2 * seeds * n * batch)  # two densities at once, and then the last
    one = generator()
    w = torch.randn(grid, seeds, dims, n, generator=one, **F64).requires_grad_()
    b = torch.randn(grid, seeds, n, generator=one, **F64).requires_grad_()
    value, gate = torch.rand(2, batch, n, generator=one, **F64)
    p, weight = torch.rand(2, grid, 1, n, generator=one, **F64)
    x = (value * (gate < p))[:, None]
    hidden = x @ w.mT
    out = kind.output((hidden.relu() if kind.hidden_relu else hidden) @ w + b[:, :, None])
    overlaps = (w.mT @ w).square()
    interference = overlaps.sum() - overlaps.diagonal(dim1=-2, dim2=-1).sum()
    loss = (weight[:, None] * (out - x) ** 2).sum(-1).mean(-1).sum() + 0.3 * interference
    expected = torch.autograd.grad(loss, (w, b))

    together = torch.cat([w, b[:, :, None]], -2).detach()
    each = 2 / batch * weight[:, None]
    gradient = autoencoders._gradient(kind, together, p, each, lambda: (value, gate), batch, 0.3)
    for _ in range(2):  # the memory is used again
        (found,) = gradient((together,), 0)
        torch.testing.assert_close(found, torch.cat([expected[0], expected[1][:, :, None]], -2))


@pytest.mark.parametrize("model", list(autoencoders.MODELS))
def test_training_lowers_the_loss_and_keeps_rows_of_zeros(model):
    density, importance = torch.tensor([0.5, 0.1]), torch.tensor([1.0, 0.8, 0.6, 0.4]).expand(2, -1)
    start = torch.randn(2, 3, 3, 4, generator=generator())
    start[1, :, 1:] = 0
    call = {"start": start, "batch": 64, "n_test": 2000}
    before = autoencoders.train_autoencoders(model, density, importance, 3, 3, generator("data"), n_steps=1, **call)
    after = autoencoders.train_autoencoders(model, density, importance, 3, 3, generator("data"), n_steps=400, **call)
    assert after.weights.shape == (2, 3, 3, 4) and after.bias.shape == (2, 3, 4)
    assert bool((after.loss < before.loss).all())
    assert bool((after.weights[1, :, 1:] == 0).all())


def test_a_relu_autoencoder_forms_digons_and_interference_can_be_forbidden():
    density, importance = torch.tensor([0.2]), torch.ones(1, 4)
    fixed = {"n_steps": 1500, "batch": 128}
    free = autoencoders.train_autoencoders("relu", density, importance, 2, 4, generator(), **fixed)
    assert capacity.feature_capacity(free.weights.double()).numpy() == pytest.approx(0.5, abs=0.02)
    alone = autoencoders.train_autoencoders(
        "relu", density, importance, 2, 4, generator(), interference=10.0, start=free.weights, **fixed
    )
    gram = alone.weights.mT @ alone.weights
    apart = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    assert float(apart.abs().max()) < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: autoencoders.train_autoencoders("cosine", torch.ones(1), torch.ones(1, 2), 1, 1, generator()),
            "model = 'cosine'",
        ),
        (
            lambda: autoencoders.train_autoencoders("relu", torch.zeros(1), torch.ones(1, 2), 1, 1, generator()),
            "density",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_density_per_model_is_that_density_for_every_feature():
    call = {"n_steps": 30, "batch": 16, "n_test": 100}
    importance, density = torch.ones(2, 3), torch.tensor([0.5, 0.2])
    one = autoencoders.train_autoencoders("relu", density, importance, 2, 2, generator(), **call)
    each = autoencoders.train_autoencoders("relu", density[:, None].expand(2, 3), importance, 2, 2, generator(), **call)
    torch.testing.assert_close(one.weights, each.weights, rtol=0, atol=0)
