"""Lower bounds on mutual information from samples, for many pairs of variables at once.

Symbols: I(X; Y) in nats. x [pairs, samples, dims of x] and y [pairs, samples, dims of y] are samples of as many joint
distributions as there are pairs; a leading axis of 1 in x is shared by all pairs. Critics and decoders of all pairs
are one ensemble: stacked weights, one tensor program, no pair sees another. Three bounds, from the least to the most
trustworthy:
- `donsker_varadhan`: E_xy T − ln E_x E_y e^T (MINE). On a finite sample the logarithm of a mean is too low on
  average, and far too low once I exceeds the logarithm of the number of samples: then it says too much;
- `info_nce`: with K samples never above ln K, and never too large on average;
- `decoder_bound` and `linear_decoder_bound`: H(X) less the surprise of a decoder q(x | y) on samples that it has not
  seen. A mean over samples, so that it has an ordinary standard error.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from polysemanticity.base import checkpoints, streams
from polysemanticity.base.checks import check

LN2 = math.log(2)


class Phase(NamedTuple):
    """A stretch of training: passes over the samples, pairs of samples per step, Adam's rate."""

    epochs: int
    batch_size: int
    lr: float


PUBLISHED = (Phase(100, 1024, 1e-4), Phase(50, 2048, 5e-6))  # the authors' code, with 40,960 samples
ROLLING = 10  # epochs of the rolling mean


class Bound(NamedTuple):
    """A bound in nats for every pair, its standard error over samples, and its value after each epoch if trained so.

    stderr is NaN for `donsker_varadhan` and `info_nce`, which are no means over samples; `history` is [epoch, pair].
    """

    nats: np.ndarray
    stderr: np.ndarray
    history: np.ndarray


class Ensemble(nn.Module):
    """As many fully connected networks as pairs: ReLU between layers, Glorot's uniform weights, biases 0 at first."""

    def __init__(self, n_pairs: int, sizes: Sequence[int], generator: torch.Generator):
        super().__init__()
        options = {"generator": generator, "device": generator.device}
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for n_in, n_out in pairwise(sizes):
            drawn = 2 * torch.rand(n_pairs, n_in, n_out, **options) - 1
            self.weights.append(drawn * math.sqrt(6 / (n_in + n_out)))
            self.biases.append(torch.zeros(n_pairs, 1, n_out, device=generator.device))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [pairs, samples, in] to [pairs, samples, out]."""
        hidden = torch.baddbmm(self.biases[0], inputs, self.weights[0])
        for weight, bias in list(zip(self.weights, self.biases, strict=True))[1:]:
            hidden = torch.baddbmm(bias, hidden.relu_(), weight)
        return hidden


class _Held(NamedTuple):
    """Samples to train on and, beside them, samples to judge with."""

    x: Tensor
    y: Tensor
    held_x: Tensor
    held_y: Tensor


def donsker_varadhan(
    x: Tensor, y: Tensor, *, seed: int, phases: Sequence[Phase] = PUBLISHED, n_held: int = 4096, width: int = 64
) -> Bound:
    """Return the Donsker–Varadhan bound of a trained critic on held-out samples: MINE as the paper's code has it.

    The critic sees (x, y) together, 3 hidden ReLU layers of `width`; marginal samples are y in a new order each epoch;
    Adam anew in each phase; the value is the mean over the last 10 epochs (or as many as the last phase has) of the
    value on the last `n_held` samples. The gradient is that of each batch's own bound, without Belghazi et al.'s moving
    average. Not a certain lower bound: see the module. Raises ValueError for samples that are no finite [pairs,
    samples, dims], and for fewer than n_held + one batch of them.
    """
    held = _split(x, y, n_held, phases)
    weights, orders = (streams.generator(seed, stream, y.device) for stream in ("critic", "order"))
    critic = Ensemble(len(y), (x.shape[-1] + y.shape[-1], width, width, width, 1), weights)
    check_order = torch.randperm(n_held, generator=orders, device=y.device)

    def bound(a, b, shuffled):
        joint, marginal = critic(torch.cat([torch.cat([a, b], -1), torch.cat([a, shuffled], -1)], 1)).chunk(2, 1)
        return joint.mean((1, 2)) - marginal.squeeze(-1).logsumexp(1) + math.log(a.shape[1])

    def value():
        return bound(held.held_x, held.held_y, held.held_y[:, check_order])

    history = _ascend(critic, held, phases, bound, value, orders)
    return Bound(_last(history, phases), np.full(len(y), np.nan), history)


def info_nce(
    x: Tensor, y: Tensor, *, seed: int, phases: Sequence[Phase] = PUBLISHED, n_held: int = 4096, width: int = 64
) -> Bound:
    """Return InfoNCE (van den Oord et al. 2018) of a trained critic on held-out samples: a lower bound on average.

    The critic is f(x)·g(y), each with 2 hidden ReLU layers of `width` and 32 outputs, so that the K² pairs of a batch
    cost K passes; its samples of the marginal are the batch's other x. At most ln K, where K is the first phase's
    batch (or n_held, if that is less). The value is a mean over epochs as in `donsker_varadhan`, which also says what
    is raised.
    """
    held = _split(x, y, n_held, phases)
    weights, orders = (streams.generator(seed, stream, y.device) for stream in ("critic", "order"))
    critic = nn.ModuleList(Ensemble(len(y), (part.shape[-1], width, width, 32), weights) for part in (x, y))
    size = min(phases[0].batch_size, n_held)

    def bound(a, b, _=None):
        f, g = critic[0](a), critic[1](b)
        return (f * g).sum(-1).mean(1) - (g @ f.mT).logsumexp(-1).mean(1) + math.log(a.shape[1])

    def value():
        blocks = zip(held.held_x.split(size, 1), held.held_y.split(size, 1), strict=True)
        return torch.stack([bound(a, b) for a, b in blocks if a.shape[1] == size]).mean(0)

    history = _ascend(critic, held, phases, bound, value, orders)
    return Bound(_last(history, phases), np.full(len(y), np.nan), history)


def decoder_bound(
    bits: Tensor, y: Tensor, *, seed: int, phases: Sequence[Phase], n_held: int = 4096, width: int = 64
) -> Bound:
    """Return k ln 2 less the cross-entropy of a trained decoder of k fair independent bits, on held-out samples.

    bits [pairs or 1, samples, k] of −1 and 1. The decoder gives each bit its own probability: one hidden ReLU layer of
    `width`. The bound holds for every decoder, and I(X; Y) ≤ k ln 2 closes the bracket. stderr: over the held-out
    samples. Raises as `donsker_varadhan`, and ValueError for bits that are not −1 or 1.
    """
    check(bool((bits.abs() == 1).all()), "bits", tuple(bits.shape), "samples of -1 and 1")
    held = _split(bits, y, n_held, phases)
    weights, orders = (streams.generator(seed, stream, y.device) for stream in ("critic", "order"))
    decoder = Ensemble(len(y), (y.shape[-1], width, bits.shape[-1]), weights)

    def gains(a, b):  # of each sample
        return (LN2 - softplus(-a * decoder(b))).sum(-1)

    def bound(a, b, _=None):
        return gains(a, b).mean(1)

    history = _ascend(decoder, held, phases, bound, lambda: bound(held.held_x, held.held_y), orders)
    with torch.no_grad():
        return Bound(*_mean(gains(held.held_x, held.held_y)), history)


def linear_decoder_bound(x: Tensor, y: Tensor, *, entropy: float, n_held: int = 4096) -> Bound:
    """Return h(X) less the surprise of x under a Gaussian around its linear regression on y, on held-out samples.

    entropy: the differential entropy of x in nats, which must be known; ln 8 for three coordinates uniform on [−1, 1].
    Regression and covariance of its errors come from the other samples, in float64, in closed form. stderr: over the
    held-out samples. On the CPU. Raises as `donsker_varadhan`. Cost O(samples · dims²) per pair.
    """
    held = _split(x.double().cpu(), y.double().cpu(), n_held, (Phase(1, 2 * y.shape[-1] + 2, 1.0),))
    ones = torch.ones_like(held.y[..., :1])
    solution = torch.linalg.lstsq(torch.cat([held.y, ones], -1), held.x, driver="gelsd").solution
    errors = held.x - torch.cat([held.y, ones], -1) @ solution
    factor = torch.linalg.cholesky(errors.mT @ errors / errors.shape[1])
    test = held.held_x - torch.cat([held.held_y, torch.ones_like(held.held_y[..., :1])], -1) @ solution
    white = torch.linalg.solve_triangular(factor, test.mT, upper=False)
    scale = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + x.shape[-1] / 2 * math.log(2 * math.pi)
    return Bound(*_mean(entropy - scale[:, None] - (white**2).sum(1) / 2), np.zeros((0, len(y))))


def _mean(gains: Tensor) -> tuple[np.ndarray, np.ndarray]:
    gains = gains.double().cpu().numpy()
    return gains.mean(1), gains.std(1, ddof=1) / math.sqrt(gains.shape[1])


def _last(history: np.ndarray, phases: Sequence[Phase]) -> np.ndarray:
    return history[-min(ROLLING, phases[-1].epochs) :].mean(0)


def _split(x: Tensor, y: Tensor, n_held: int, phases: Sequence[Phase]) -> _Held:
    shape = f"finite [{len(y)} or 1 pairs, {y.shape[1] if y.ndim == 3 else 'n'} samples, dims]"
    for name, part in (("x", x), ("y", y)):
        check(part.ndim == 3 and bool(torch.isfinite(part).all()), name, tuple(part.shape), shape)
    check(len(x) in (1, len(y)) and x.shape[1] == y.shape[1], "x", tuple(x.shape), shape)
    check(len(phases) > 0, "phases", phases, "at least one phase")
    least = n_held + max(phase.batch_size for phase in phases)
    check(n_held >= 2 and least <= y.shape[1], "samples", y.shape[1], f"at least {least}: n_held and one batch")
    x = x.expand(len(y), -1, -1)
    return _Held(x[:, :-n_held], y[:, :-n_held], x[:, -n_held:], y[:, -n_held:])


def _ascend(critic: nn.Module, held: _Held, phases, bound, value, orders: torch.Generator) -> np.ndarray:
    """Train by Adam on `bound(x, y, shuffled y)` of batches; returns `value()` after each epoch, [epoch, pair]."""
    history, n = [], held.y.shape[1]
    for epochs, batch_size, lr in phases:
        adam = torch.optim.Adam(critic.parameters(), lr=lr, fused=True)
        for _ in checkpoints.steps(epochs, critic, adam, orders, history):
            order, other = (torch.randperm(n, generator=orders, device=held.y.device) for _ in range(2))
            for start in range(0, n - batch_size + 1, batch_size):
                chosen, shuffled = (held_order[start : start + batch_size] for held_order in (order, other))
                adam.zero_grad(set_to_none=True)
                (-bound(held.x[:, chosen], held.y[:, chosen], held.y[:, shuffled]).sum()).backward()
                adam.step()
            with torch.no_grad():
                history.append(value().double().cpu().numpy())
    return np.array(history)
