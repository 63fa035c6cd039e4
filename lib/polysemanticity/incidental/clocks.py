"""Two clocks of training: when interference has decayed, and when encodings have become sparse.

Interference is what collisions cost, I = Σ_{i≠j} ReLU(W_i·W_j)². The neurons in use of a feature are
(‖W_i‖₁ / ‖W_i‖₂)²: 2m/π for a Gaussian encoding, 1 for a one-hot one, and m' / (1 + RV) of m' live weights with
relative variance RV.

How fast the two clocks of the gradient flow run for m ≫ n² and l1 √m ≪ 1, with nothing fitted:

- S = WWᵀ follows dS/dt = −4 (ES + SE) with E = ReLU(S) − 1. A positive product decays as exp(−8 t), and I as
  exp(−16 t): to a share s of its start in the time −ln(s) / 16 (`decay_time`), whatever n, m and l1.
- 1/‖W_i‖₁ grows at the rate l1 · RV from √(π / 2m) on, so that half of the neurons in use are left after a time that
  goes as 1 / (l1 √m) (`halving_time`).
- The tax keeps making interference: it changes a product at the rate −l1 (sign W_i · W_j + W_i · sign W_j), whose part
  that does not go along with the product itself has the variance 2 l1² (1 − 2/π). Where that is balanced by the decay,
  a share (1 − 2/π) l1² m / 32 of I stays (`residual_share`), until encodings are sparse.

All of it depends on l1 √m alone.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from polysemanticity.base.checks import check
from polysemanticity.incidental import flow, toy_networks, winner

CHECK_EVERY = 10  # steps between two looks at the curvature
FIRST = 0.003  # longest first step of the flow


class Course(NamedTuple):
    """Interference and the mean number of neurons in use over time (of the flow, or in steps of an optimizer)."""

    time: Float[ndarray, "time"]
    interference: Float[ndarray, "time instance"]
    in_use: Float[ndarray, "time instance"]


def interference(weights: Float[Tensor, "*instance feature neuron"]) -> Float[Tensor, "*instance"]:
    """Return Σ_{i≠j} ReLU(W_i·W_j)²."""
    return _apart(weights @ weights.mT).square().sum((-2, -1))


def neurons_in_use(weights: Float[Tensor, "*instance feature neuron"]) -> Float[Tensor, "*instance"]:
    """Return (‖W_i‖₁ / ‖W_i‖₂)², averaged over the features that have weights; NaN where none has."""
    square = weights.square().sum(-1)
    return (weights.abs().sum(-1).square() / square).nanmean(-1)


def of_flow(
    start: Float[Tensor, "instance feature neuron"], l1: float, *, halved: float = 0.5, decayed: float = 0.01,
    max_time: float | None = None, step: float = 0.7,
) -> Course:  # fmt: skip
    """Return the course of the gradient flow until both clocks have struck for all instances, at most `max_time`.

    `halved` and `decayed` are the shares of their starts to which neurons in use and interference are to fall;
    `max_time` is 4 / l1 by default. Proximal steps, the same for all instances: `step` over the curvature's bound, but
    no longer than a tenth of the time so far, since interference decays at once. Costs 4 n² m flops per instance and
    step.
    """
    winner.check_l1(l1)
    check(0 < step <= 0.9, "step", step, "a number above 0 and up to 0.9, beyond which steps may be unstable")
    weights, max_time = start.clone(), 4 / l1 if max_time is None else max_time
    time, done, rows = 0.0, 0, []
    while True:
        overlap = weights @ weights.mT
        rows.append((time, _apart(overlap).square().sum((-2, -1)), neurons_in_use(weights)))
        shares = [float((now / first).max()) for now, first in zip(rows[-1][1:], rows[0][1:], strict=True)]
        if (shares[0] <= decayed and shares[1] <= halved) or time >= max_time:
            return _course(rows)
        if done % CHECK_EVERY == 0:
            longest = step / float(flow.curvature(weights).max())
        length, done = min(longest, FIRST + 0.1 * time), done + 1
        overlap = overlap.clamp_(min=0)
        overlap.diagonal(dim1=-2, dim2=-1).sub_(1)
        moved = weights - 4 * length * (overlap @ weights)
        weights = moved - moved.clamp(-length * l1, length * l1)
        time += length


def of_adamw(
    start: Float[Tensor, "instance feature neuron"], l1: float, *, halved: float = 0.5, decayed: float = 0.01,
    max_steps: int = 7500, learning_rate: float = 1e-3,
) -> Course:  # fmt: skip
    """Return the same for AdamW as the paper ran it, on the l1 subgradient; the time is the number of steps."""
    winner.check_l1(l1)
    weights, rows = start.clone(), []
    optimizer = toy_networks.AdamW([weights], lr=learning_rate)
    while True:
        overlap = weights @ weights.mT
        rows.append((float(len(rows)), _apart(overlap).square().sum((-2, -1)), neurons_in_use(weights)))
        shares = [float((now / first).max()) for now, first in zip(rows[-1][1:], rows[0][1:], strict=True)]
        if (shares[0] <= decayed and shares[1] <= halved) or len(rows) > max_steps:
            return _course(rows)
        overlap = overlap.clamp_(min=0)
        overlap.diagonal(dim1=-2, dim2=-1).sub_(1)
        weights.grad = 4 * (overlap @ weights) + l1 * weights.sign()
        optimizer.step()


def passage(
    time: Float[ndarray, "time"], values: Float[ndarray, "time instance"], share: float
) -> Float[ndarray, "instance"]:
    """Return when values first fall to a share of their start, interpolated in their logarithm; infinity if never."""
    check(0 < share < 1, "share", share, "a number between 0 and 1")
    low = values <= share * values[0]
    place = np.where(low.any(0), low.argmax(0), 1)
    each = np.arange(values.shape[1])
    with np.errstate(divide="ignore"):
        after, before = (np.log(values[k, each] / values[0]) for k in (place, place - 1))
    part = np.where(np.isfinite(after), (before - math.log(share)) / np.maximum(before - after, 1e-300), 1.0)
    return np.where(low.any(0), time[place - 1] + part * (time[place] - time[place - 1]), np.inf)


def decay_time(share: float) -> float:
    """Return the time in which interference falls to a share of its start: −ln(share) / 16."""
    check(0 < share < 1, "share", share, "a number between 0 and 1")
    return -math.log(share) / 16


def residual_share(n_neurons: int, l1: float) -> float:
    """Return the share of the interference at the start that the tax keeps up: (1 − 2/π) l1² m / 32."""
    winner.check_l1(l1)
    return (1 - 2 / math.pi) * l1**2 * n_neurons / 32


def halving_time(n_neurons: int, l1: float, share: float = 0.5) -> float:
    """Return the time in which a Gaussian encoding's neurons in use fall to a share of their start, without
    interference: the corrected law of `winner.sparsity_law`; about 0.83 / (l1 √m) for one half.

    Valid for l1 √m ≪ 1.
    """
    check(0 < share < 1, "share", share, "a number between 0 and 1")
    target = math.sqrt(share * 2 * n_neurons / math.pi)
    norm = lambda log_time: float(  # noqa: E731
        winner.sparsity_law(n_neurons, l1, [math.exp(log_time)], corrected=True).l1_norm[0]
    )
    scale = math.log(1 / (l1 * math.sqrt(n_neurons)))
    return math.exp(scipy.optimize.brentq(lambda log_time: norm(log_time) - target, scale - 5, scale + 2))


def _apart(overlap: Tensor) -> Tensor:
    """Return ReLU(S) off the diagonal."""
    positive = overlap.relu()
    positive.diagonal(dim1=-2, dim2=-1).zero_()
    return positive


def _course(rows: list) -> Course:
    time, parts, in_use = zip(*rows, strict=True)
    return Course(np.array(time), *(torch.stack(values).double().cpu().numpy() for values in (parts, in_use)))
