"""What does it cost, or save, that two features share a neuron? Split it, let both networks settle, and compare.

The tied network of `incidental` on inputs that are sets of features, *events* x_e [event, feature] of 0 and 1, seen
with weights c_e:

    L = Σ_e c_e ‖ReLU(W Wᵀ x_e) − x_e‖² + l1 Σ_ik |W_ik|.

With the unit vectors as events and weights 1 it is the loss of `incidental`; a weight p on e_i + e_j is a pair that is
seen together p times as often as a feature alone.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

Weights = Float[Tensor, "*instance feature neuron"]
Events = Float[Tensor, "event feature"]
Seen = Float[Tensor, "*instance event"]


def loss(weights: Weights, events: Events, seen: Seen, l1: float) -> Float[Tensor, "*instance"]:
    """Return the loss L of the module docstring."""
    wrong = (events @ (weights @ weights.mT)).relu() - events
    return (seen * wrong.square().sum(-1)).sum(-1) + l1 * weights.abs().sum((-2, -1))


def error(overlap: Float[Tensor, "*instance feature feature"], events: Events, seen: Seen) -> Tensor:
    """Return the symmetric E with ∂L/∂W = 4 E W, without l1, as in `interference`."""
    output = (events @ overlap).relu()
    slope = events.mT @ (seen[..., None] * (output - events).where(output > 0, 0))
    return (slope + slope.mT) / 2


def settle(
    weights: Weights, events: Events, seen: Seen, l1: float, *, n_steps: int = 300, step: float = 0.03,
    draw: Callable[[], Seen] | None = None, also: Sequence = (),
) -> Weights:  # fmt: skip
    """Return the weights after proximal steps down the loss; dead weights are exactly zero, and stay so if nothing
    pulls on them.

    `draw()` gives the weights of the events anew for every step instead of `seen`: training on samples. `also` is what
    it changes (`base.checkpoints.steps`).
    """
    check(step > 0, "step", step, "a number above 0")
    weights = weights.clone()
    for _ in checkpoints.steps(n_steps, weights, *also):
        now = seen if draw is None else draw()
        moved = weights - 4 * step * (error(weights @ weights.mT, events, now) @ weights)
        weights.copy_(moved - moved.clamp(-step * l1, step * l1))
    if not bool(weights.isfinite().all()):
        raise RuntimeError(f"training diverged within {n_steps} steps: use a smaller step than {step}")
    return weights


def price(
    weights: Float[Tensor, "instance feature neuron"],
    pair: tuple[int, int],
    neuron: int,
    free: Int[Tensor, "instance"],
    events: Events,
    seen: Seen,
    l1: float,
) -> Float[Tensor, "instance"]:
    """Return what it costs that a pair of features shares a neuron: the loss as it is, less that with the pair split.

    Split: the first feature's weight is on a `free` neuron of each instance instead. Both networks settle from there,
    for equally long; in the split one the two weights start at ±1, the size of a feature alone. Positive: sharing
    costs, two neurons would be better. Negative: sharing saves. 0: it is free.
    """
    each, (one, other) = torch.arange(len(weights)), pair
    apart = weights.clone()
    apart[each, one, free], apart[:, one, neuron] = weights[:, one, neuron].sign(), 0
    apart[:, other, neuron] = weights[:, other, neuron].sign()
    losses = [loss(settle(start, events, seen, l1), events, seen, l1) for start in (weights, apart)]
    return losses[0] - losses[1]
