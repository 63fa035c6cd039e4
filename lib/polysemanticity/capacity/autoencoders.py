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

_aten = torch.ops.aten  # the slopes that autograd uses: a pass each, where written out they take up to seven
PART = 2**18  # outputs that a processor works on at once: they and their errors fit its cache


def _relu_delta(z: Tensor, x: Tensor, out: Tensor) -> None:
    torch.sub(z, x, out=out)  # where z > 0; nothing else counts
    _aten.threshold_backward.grad_input(out, z, 0.0, grad_input=out)


def _gelu_delta(z: Tensor, x: Tensor, out: Tensor) -> None:
    _aten.gelu.out(z, out=out).sub_(x)
    _aten.gelu_backward.grad_input(out, z, grad_input=out)


def _tanh_delta(z: Tensor, x: Tensor, out: Tensor) -> None:
    torch.sub(z.tanh_(), x, out=out)
    _aten.tanh_backward.grad_input(out, z, grad_input=out)


def _linear_delta(z: Tensor, x: Tensor, out: Tensor) -> None:
    torch.sub(z, x, out=out)


class Model(NamedTuple):
    """An output nonlinearity f, what writes (f(z) − x) f′(z) to its last argument and may change z, whether the hidden
    layer has a ReLU, whether inputs have both signs."""

    output: Callable[[Tensor], Tensor]
    delta: Callable[[Tensor, Tensor, Tensor], None]
    hidden_relu: bool = False
    signed: bool = False


MODELS: dict[str, Model] = {
    "relu": Model(torch.relu, _relu_delta),
    "gelu": Model(torch.nn.functional.gelu, _gelu_delta),
    "relu hidden": Model(torch.relu, _relu_delta, hidden_relu=True),
    "tanh": Model(torch.tanh, _tanh_delta, signed=True),
    "linear": Model(lambda z: z, _linear_delta),
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
    bias = torch.zeros(*start.shape[:2], 1, n, device=generator.device)
    start = torch.cat([start.float(), bias], -2)  # the bias is the last row, against a hidden unit that is always 1

    def drawn(size):
        value = torch.rand(size, n, **options)
        return 2 * value - 1 if kind.signed else value, torch.rand(size, n, **options)

    def inputs(size):
        value, gate = drawn(size)
        return (value * (gate < p))[:, None]

    gradient = _gradient(kind, start, p, 2 / batch * weight, lambda: drawn(batch), batch, interference)
    (trained,) = quadratic.adam_descent(gradient, (start,), n_steps, lr, drawn=generator)
    w, b = trained[..., :-1, :], trained[..., -1, :]
    return Autoencoders(w, b, _test_loss(kind, w, b, weight, inputs, n_test))


def _gradient(kind, start, p, weight, drawn, batch, interference) -> Callable:
    """The gradient of weights with their bias [grid, seeds, dims + 1, features], in memory that is used at every step.

    Samples are the last axis, so that a density's embeddings of all seeds are one matrix. The squared errors' weights
    multiply the weights and what is summed over samples, never the errors themselves.
    """
    n_grid, n_seeds, rows, n = start.shape
    on_device = start.device.type != "cpu"
    size = n_grid if on_device else max(1, min(n_grid, PART // (n_seeds * n * batch)))
    parts = [slice(k, min(k + size, n_grid)) for k in range(0, n_grid, size)]
    x_of = start.new_empty(size, n, batch)
    z_of, delta_of = (start.new_empty(size, n_seeds, n, batch) for _ in range(2))
    h_of, back_of = (start.new_empty(size, n_seeds, rows, batch) for _ in range(2))
    slopes = torch.empty_like(start)

    def gradient(parameters, _):
        value, gate = (one.mT.contiguous() for one in drawn())
        weighted = parameters[0] * weight
        for part in parts:
            w, slope = parameters[0][part], slopes[part]
            x, z, delta, h, back = (one[: len(w)] for one in (x_of, z_of, delta_of, h_of, back_of))
            torch.mul(value, gate < p[part].mT, out=x)
            torch.bmm(w.flatten(1, 2), x, out=h.view(len(w), -1, batch))
            h[:, :, -1] = 1
            if kind.hidden_relu:
                h.relu_()
            torch.bmm(w.flatten(0, 1).mT, h.flatten(0, 1), out=z.flatten(0, 1))
            kind.delta(z, x[:, None], delta)
            torch.bmm(weighted[part].flatten(0, 1), delta.flatten(0, 1), out=back.flatten(0, 1))
            back[:, :, -1] = 0
            if kind.hidden_relu:
                back.mul_(h > 0)
            torch.bmm(h.flatten(0, 1), delta.flatten(0, 1).mT, out=slope.flatten(0, 1))
            slope *= weight[part]
            slope.view(len(w), -1, n).baddbmm_(back.view(len(w), -1, batch), x.mT)
            if interference:
                slope[..., :-1, :] += interference * _interference_gradient(w[..., :-1, :])
        return (slopes,)

    return gradient


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
