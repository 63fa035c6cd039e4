"""What if interference were other than it is? The tied one-layer network under changed costs.

As in `incidental`, rows of W [feature, neuron] encode the features and S = W Wᵀ are their overlaps. Every loss here
depends on W through S only, so its gradient is 4 E W with a symmetric matrix E(S), its *error*; for the paper's loss E
= ReLU(S) − 1 (where S > 0). `flow_under` descends any of them, with the paper's l1, from the same start.

    signed:   Σ_i (1 − S_ii)² + Σ_{i≠j} (same · ReLU(S_ij)² + opposite · ReLU(−S_ij)²)
    paired:   the paper's loss + pair · Σ_{i<j} ‖ReLU(S (e_i + e_j)) − (e_i + e_j)‖²

`same` and `opposite` are what a collision of same and of opposite signs costs: (1, 0) for the paper's ReLU output, (1,
1) for an identity or absolute-value output, (1, a²) for a leaky ReLU of slope a, (0, 0) without interference. `pair`
is how often two features are seen together, relative to each alone.
"""

import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

CHECK_EVERY = 20  # steps between two looks at the curvature

Overlap = Float[Tensor, "*instance feature feature"]
Strength = float | int | Float[Tensor, "*instance"]


def signed_error(overlap: Overlap, same: Strength, opposite: Strength) -> Overlap:
    """Return E of the signed loss; `same` and `opposite` are numbers or one number per instance."""
    positive = overlap.clamp(min=0)
    error = _spread(same) * positive + _spread(opposite) * (overlap - positive)
    error.diagonal(dim1=-2, dim2=-1).copy_(overlap.diagonal(dim1=-2, dim2=-1) - 1)
    return error


def paired_error(overlap: Overlap, pair: Strength) -> Overlap:
    """Return E of the paired loss. Costs n³ per instance.

    Output k of the pair (i, j) is ReLU(S_ki + S_kj); its target is 1 where k is i or j.
    """
    both = (overlap[..., :, :, None] + overlap[..., :, None, :]).clamp_(min=0).sum(-1)
    own = overlap.diagonal(dim1=-2, dim2=-1)
    partner = ((own[..., :, None] + overlap) > 0).to(overlap)  # output k hears the pair (k, j)
    partner.diagonal(dim1=-2, dim2=-1).zero_()
    slope = both - (2 * overlap).clamp(min=0) - partner  # ½ ∂/∂S_ki, without the pair of a feature with itself
    slope.diagonal(dim1=-2, dim2=-1).sub_(partner.sum(-1))
    return signed_error(overlap, 1, 0) + _spread(pair) * (slope + slope.mT) / 2


def sampled_error(overlap: Overlap, active: Float[Tensor, "*instance sample feature"], rate: float) -> Overlap:
    """Return E of the mean over samples of ‖ReLU(S x) − x‖² / rate, for inputs x in `active`."""
    check(0 < rate <= 1, "rate", rate, "a probability above 0 and up to 1")
    output = (active @ overlap).clamp_(min=0)
    wrong = (output - active).where(output > 0, 0)
    slope = active.mT @ wrong / (rate * active.shape[-2])
    return (slope + slope.mT) / 2


def signed_loss(weights: Float[Tensor, "*instance feature neuron"], same: Strength, opposite: Strength) -> Tensor:
    """Return the signed loss, without l1."""
    overlap = weights @ weights.mT
    own = overlap.diagonal(dim1=-2, dim2=-1)
    cost = _spread(same) * overlap.relu().square() + _spread(opposite) * (-overlap).relu().square()
    return cost.sum((-2, -1)) - (_spread(same) * own[..., None].square()).sum((-2, -1)) + (1 - own).square().sum(-1)


def paired_loss(weights: Float[Tensor, "*instance feature neuron"], pair: Strength) -> Tensor:
    """Return the paired loss, without l1, by going through the pairs."""
    n_features = weights.shape[-2]
    overlap, target = weights @ weights.mT, torch.eye(n_features, dtype=weights.dtype, device=weights.device)
    total = (overlap.relu() - target).square().sum((-2, -1))
    first, second = torch.triu_indices(n_features, n_features, 1)
    together = (overlap[..., first, :] + overlap[..., second, :]).relu() - target[first] - target[second]
    return total + pair * together.square().sum((-2, -1))


def flow_under(
    error: Callable[[Overlap], Overlap],
    start: Float[Tensor, "instance feature neuron"],
    *,
    l1: float,
    time: float,
    step: float = 1.0,
    stiffness: Strength = 1.0,
) -> Float[Tensor, "instance feature neuron"]:
    """Return the weights after at least `time` of the gradient flow dW/dt = −4 E(S) W − l1 sign W.

    Proximal steps (dead weights are exactly zero) of the length `step` over 4 (‖E‖ + 2 stiffness ‖S‖), a bound on the
    curvature with the largest row sum as the norm, found anew every 20 steps for each instance. `stiffness` is the
    largest slope of E in S: 1 for costs up to 1, 1 + 2 n pair for pairs. No instance enters another's course.
    """
    check(l1 >= 0, "l1", l1, "a number of at least 0")
    check(time > 0, "time", time, "a number above 0")
    check(0 < step <= 1.5, "step", step, "a number above 0 and up to 1.5, beyond which descent may be unstable")
    weights, done = start.clone(), start.new_zeros(len(start))
    for block in checkpoints.steps(None, weights, done):
        if float(done.min()) >= time:
            break
        length = _length(error(weights @ weights.mT), weights, step, stiffness)
        for _ in range(CHECK_EVERY):
            weights.copy_(_moved(weights, error(weights @ weights.mT), length, l1))
        done += CHECK_EVERY * length
        _check_finite(weights, block, step)
    return weights


def flow_at_prices(
    start: Float[Tensor, "instance feature neuron"],
    price: Float[Tensor, "instance"],
    *,
    l1: float,
    time: float,
    step: float = 1.0,
) -> Float[Tensor, "instance feature neuron"]:
    """Return the weights of the flow under the signed loss with costs (1, price) once it is decided who shares.

    Decided is an instance whose rows have one weight each: a dead weight feels no force from a row that is one-hot
    elsewhere, and two features of opposite signs on one neuron stay at any price below 1. It is left there, sizes not
    yet at rest; what is undecided is left at `time`. Steps as in `flow_under`; decided instances, and neurons without
    any weight, are dropped on the way, which changes nothing but the cost. ValueError for prices outside 0 to 1,
    RuntimeError where the weights do not stay finite.
    """
    check(bool(((price >= 0) & (price < 1)).all()), "price", price, "from 0 to below 1")
    check(l1 > 0, "l1", l1, "a number above 0")
    end, open_ = start.clone(), torch.arange(len(start), device=start.device)
    weights, done = start.clone(), start.new_zeros(len(start))
    neuron = torch.arange(start.shape[-1], device=start.device).expand(len(start), -1)
    for block in itertools.count():
        if not len(open_):
            break
        length = _length(signed_error(weights @ weights.mT, 1, price), weights, step, 1.0)
        for _ in range(CHECK_EVERY):
            weights = _moved(weights, signed_error(weights @ weights.mT, 1, price), length, l1)
        _check_finite(weights, block, step)
        done = done + CHECK_EVERY * length
        decided = ((weights != 0).sum(-1) <= 1).all(-1) | (done >= time)
        if decided.any():
            place = neuron[decided][:, None].expand_as(weights[decided])
            end[open_[decided]] = torch.zeros_like(end[open_[decided]]).scatter_(-1, place, weights[decided])
            kept = ~decided
            open_, weights, price, done, neuron = (x[kept] for x in (open_, weights, price, done, neuron))
        if len(open_):
            alive = (weights != 0).any(-2)
            most = int(alive.sum(-1).max())
            if most < 0.8 * weights.shape[-1]:
                place = alive.byte().argsort(dim=-1, descending=True, stable=True)[:, :most]
                neuron, place = neuron.gather(-1, place), place[:, None].expand(-1, weights.shape[-2], -1)
                weights = weights.gather(-1, place)
    return end


def _check_finite(weights: Tensor, block: int, step: float) -> None:
    if not bool(weights.isfinite().all()):
        raise RuntimeError(f"training diverged after {(block + 1) * CHECK_EVERY} steps: use a smaller step than {step}")


def _length(error: Overlap, weights: Tensor, step: float, stiffness: Strength) -> Float[Tensor, "instance"]:
    """Return the length of the next steps: `step` over a bound on the curvature."""
    norms = [matrix.abs().sum(-1).amax(-1) for matrix in (error, weights @ weights.mT)]
    return step / (4 * (norms[0] + 2 * stiffness * norms[1])).clamp(min=8)


def _moved(weights: Tensor, error: Overlap, length: Float[Tensor, "instance"], l1: float) -> Tensor:
    """Return the weights after one proximal step; `error` is used up."""
    threshold = _spread(l1 * length)
    moved = torch.baddbmm(weights, error.mul_(_spread(-4 * length)), weights)
    return moved - moved.clamp(-threshold, threshold)


def _spread(value: Strength) -> float | int | Tensor:
    """Return a number as it is, one number per instance with two axes more."""
    return value[..., None, None] if isinstance(value, Tensor) else value
