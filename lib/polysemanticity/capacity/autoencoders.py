"""Autoencoders with one embedding W, trained on sampled sparse inputs: x̂ = out(Wᵀ hidden(W x) + b).

Source: Elhage et al. (2022) for the ReLU output with uniform inputs on [0, 1]; the other outputs stand in for the
paper's variants, whose exact form is not known to us. The loss is Σ I_i (x_i − x̂_i)² per sample and per density.
Weights are [grid, seeds, dims, features]: all densities and starts are trained in one batch, on the same samples.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity.base.checks import check
from polysemanticity.capacity import quadratic


class Model(NamedTuple):
    """An output nonlinearity and its slope, whether the hidden layer has a ReLU, whether inputs have both signs."""

    output: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    hidden_relu: bool = False
    signed: bool = False


def _gelu_slope(z):
    return torch.special.ndtr(z) + z * torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)


MODELS: dict[str, Model] = {
    "relu": Model(torch.relu, lambda z: (z > 0).to(z.dtype)),
    "gelu": Model(torch.nn.functional.gelu, _gelu_slope),
    "relu hidden": Model(torch.relu, lambda z: (z > 0).to(z.dtype), hidden_relu=True),
    "tanh": Model(torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, signed=True),
    "linear": Model(lambda z: z, torch.ones_like),
}


class Autoencoders(NamedTuple):
    """Trained autoencoders; `loss` is the mean over fresh samples divided by the density, the same for all of them."""

    weights: Float[Tensor, "grid seeds dims features"]
    bias: Float[Tensor, "grid seeds features"]
    loss: Float[Tensor, "grid seeds"]


def train_autoencoders(
    model: str,
    density: Float[Tensor, "grid #features"] | Float[Tensor, " grid"],
    importance: Float[Tensor, "grid features"],
    dims: int,
    n_seeds: int,
    generator: torch.Generator,
    n_steps: int = 2500,
    batch: int = 256,
    lr: float = 0.01,
    interference: float = 0.0,
    start: Float[Tensor, "grid seeds dims features"] | None = None,
    n_test: int = 20_000,
) -> Autoencoders:
    """Train `model` (a key of `MODELS`) at every density from `n_seeds` random starts, in float32 by Adam.

    Inputs are 0 with probability 1 − density, else uniform on [0, 1], or on [−1, 1] where the model is signed. The
    density is one number per model or one per feature; the importance is per unit of density, of each feature's own.
    `interference` adds that multiple of Σ_{i≠j} (W_i·W_j)² to the loss. `start` replaces the random weights; rows of
    zeros in it stay zero, so that one batch can hold several dims. Raises ValueError for an unknown model, a density
    outside (0, 1], n_seeds < 1 or interference < 0.
    """
    check(model in MODELS, "model", model, f"one of {', '.join(MODELS)}")
    check(bool(((density > 0) & (density <= 1)).all()), "density", density.tolist(), "in (0, 1]")
    check(n_seeds >= 1, "n_seeds", n_seeds, "at least 1")
    check(interference >= 0, "interference", interference, "at least 0")
    kind, n = MODELS[model], importance.shape[-1]
    options = {"generator": generator, "device": generator.device}
    p = density.float().to(generator.device).reshape(len(density), 1, -1)
    weight = (importance.float().to(generator.device)[:, None] / p)[:, None]  # of the squared errors
    if start is None:
        start = torch.randn(len(density), n_seeds, dims, n, **options) / math.sqrt(dims)
    bias = torch.zeros(*start.shape[:2], n, device=generator.device)
    # on a processor one density at a time: what it needs fits the cache
    parts = [slice(None)] if generator.device.type == "cuda" else [slice(k, k + 1) for k in range(len(p))]

    def drawn(size):
        value = torch.rand(size, n, **options)
        return 2 * value - 1 if kind.signed else value, torch.rand(size, n, **options)

    def inputs(size):
        value, gate = drawn(size)
        return (value * (gate < p))[:, None]

    def gradient(parameters, _):
        value, gate = drawn(batch)
        slopes = [torch.empty_like(one) for one in parameters]
        for part in parts:
            w, b = (one[part] for one in parameters)
            x = (value * (gate < p[part]))[:, None]
            h, z = _forward(kind, x, w, b)
            delta = kind.slope(z)
            delta *= kind.output(z).sub_(x)
            delta *= (2 / batch) * weight[part]
            back = delta @ w.mT
            back = back * (h > 0) if kind.hidden_relu else back
            torch.add(h.mT @ delta, back.mT @ x, out=slopes[0][part])
            slopes[1][part] = delta.sum(-2)
            if interference:
                slopes[0][part] += interference * _interference_gradient(w)
        return slopes

    w, b = quadratic.adam_descent(gradient, (start.float(), bias), n_steps, lr, drawn=generator)
    return Autoencoders(w, b, _test_loss(kind, w, b, weight, inputs, n_test))


def _forward(kind, x, w, b):
    h = x @ w.mT
    h = torch.relu(h) if kind.hidden_relu else h
    return h, h @ w + b[..., None, :]


def _interference_gradient(w):
    return 4 * (w @ (w.mT @ w) - w * (w * w).sum(-2, keepdim=True))


def _test_loss(kind, w, b, weight, inputs, n_test, chunk=2000):
    total = torch.zeros(w.shape[:2], device=w.device, dtype=torch.float64)
    for first in range(0, n_test, chunk):
        x = inputs(min(chunk, n_test - first))
        _, z = _forward(kind, x, w, b)
        total += (weight * (kind.output(z) - x) ** 2).sum((-2, -1))
    return total / n_test
