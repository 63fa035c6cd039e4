"""Descent as the paper ran it: AdamW on the l1 subgradient, by the closed-form gradient, and its relatives.

The gradient is g = 4 E W + l1 sign W (`incidental`), all updates are in place, and a step is two matrix products
and a few passes over the weights, where autograd builds a graph, keeps the outputs and makes about five products.

- "adamw": W ← (1 − η wd) W − η m̂ / (√v̂ + 1e-8), the published optimizer (Loshchilov & Hutter 2019); η = learning_rate
- "adam": the same without weight decay
- "sign": W ← W − η sign g, what both tend to while gradients keep their signs

None of them is the gradient flow: each weight moves at its own rate, and dead weights jitter by about η around zero.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check
from polysemanticity.incidental.flow import error

METHODS = ("adamw", "adam", "sign")
BATCH = 2**16  # weights that a processor works on at once: they and the two moments fit its cache
BETAS = 0.9, 0.999
EPSILON = 1e-8
LOOK, SMALL, LARGE = 250, 0.01, 0.8  # how often, and for what, `early` looks


def published_descent(
    start: Float[Tensor, "seed feature neuron"],
    l1: float,
    method: str,
    n_steps: int = 7500,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    early: bool = False,
) -> Float[Tensor, "seed feature neuron"]:
    """Return the weights after `n_steps` steps from `start` (kept as it is), all seeds at once; defaults: the paper's.

    Equal to torch.optim on autograd's gradient of `incidental.loss` up to rounding. `weight_decay` is AdamW's alone.
    With `early` a batch of seeds whose rows are all one-hot (one weight above 0.8, all others below 0.01) at two looks,
    250 steps apart, is left as it is: what would follow is jitter. Costs 4 n² m flops per seed and step.

    ValueError for an unknown method, n_steps < 1 or a rate that is not above 0.
    """
    check(method in METHODS, "method", method, f"one of {', '.join(METHODS)}")
    check(n_steps >= 1, "n_steps", n_steps, "an integer of at least 1")
    check(learning_rate > 0, "learning_rate", learning_rate, "a number above 0")
    check(weight_decay >= 0, "weight_decay", weight_decay, "a number of at least 0")
    batch = max(1, BATCH // start[0].numel()) if start.device.type == "cpu" else len(start)
    decay = weight_decay if method == "adamw" else 0.0
    update = _sign if method == "sign" else _adam
    return torch.cat([update(part.clone(), l1, n_steps, learning_rate, decay, early) for part in start.split(batch)])


def _adam(weights: Tensor, l1: float, n_steps: int, learning_rate: float, decay: float, early: bool) -> Tensor:
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    slope, scale = torch.empty_like(weights), torch.empty_like(weights)
    before = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    for done in checkpoints.steps(n_steps, weights, first, second, before):
        step = done + 1
        if early and done % LOOK == 0:
            ended = _one_hot(weights)
            if bool((ended & before).all()):
                break
            before.copy_(ended)
        _slope(weights, l1, slope, scale)
        first.lerp_(slope, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
        torch.sqrt(second, out=scale).div_(math.sqrt(1 - BETAS[1] ** step)).add_(EPSILON)
        if decay:
            weights.mul_(1 - learning_rate * decay)
        weights.addcdiv_(first, scale, value=-learning_rate / (1 - BETAS[0] ** step))
    return weights


def _sign(weights: Tensor, l1: float, n_steps: int, learning_rate: float, decay: float, early: bool) -> Tensor:
    slope, scratch = torch.empty_like(weights), torch.empty_like(weights)
    for done in checkpoints.steps(n_steps, weights):
        if early and done % LOOK == 0 and bool(_one_hot(weights).all()):
            break
        weights.sub_(_slope(weights, l1, slope, scratch).sign_(), alpha=learning_rate)
    return weights


def _one_hot(weights: Tensor) -> Bool[Tensor, "seed"]:
    size = weights.abs()
    return ((size > SMALL).sum(-1) == 1).all(-1) & (size.amax(-1) > LARGE).all(-1)


def _slope(weights: Tensor, l1: float, out: Tensor, scratch: Tensor) -> Tensor:
    """Write the loss's gradient with the l1 subgradient to `out`."""
    torch.sign(weights, out=scratch)
    return torch.baddbmm(scratch, error(weights), weights, beta=l1, alpha=4, out=out)
