"""Small networks trained in one batch: every tensor has a leading axis of independent instances (seeds, settings).

A network is its loss, one number per instance; `proximal_descent` trains any of them, so that a weight that a penalty
has driven to zero is exactly zero. Because no instance enters another's loss, the gradient of the sum over instances
is every instance's own.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

PENALTIES = ("l1", "l2", "root")

Weights = tuple[Tensor, ...]
Strength = float | int | Tensor


def proximal_descent(
    loss: Callable[..., Float[Tensor, "instance"]],
    start: Weights,
    *,
    step: Strength,
    n_steps: int,
    l1: Strength | Sequence[Strength] = 0.0,
    penalty: str = "l1",
    optimizer: Callable | None = None,
    record: Callable[[int, Weights], None] | None = None,
    every: int = 100,
    also: Sequence = (),
) -> Weights:
    """Return the weights after `n_steps` of proximal gradient descent on loss(*weights) + l1 · penalty, by autograd.

    start: tensors with the instances' axis first; not changed. A step moves each by −step · ∂loss, then applies the
    exact proximal operator (`proximal`) of step · l1 times the penalty. `step` is a number, or a tensor that broadcasts
    against every one of the weights (one step length per instance); `l1` is the same for all tensors, or one per tensor
    (0 leaves it free), each a number or broadcasting against its tensor. A loss that draws noise does so from its own
    generator: it is called once a step.

    `optimizer` takes the place of the descent, e.g. `lambda weights: AdamW(weights, lr=1e-3)`: called with the list of
    weights, it returns what has a `step()` that moves them along their `grad`, as torch's optimizers do. The penalty,
    which must then be "l1", enters as a subgradient as in the usual code, and no weight becomes exactly zero. An
    optimizer that treats each number by itself keeps the instances apart.

    `record(step, weights)` is called at step 0 and after every `every` steps. `also` is what the loss and `record`
    change (`base.checkpoints.steps`), so that a training that was killed goes on from where it was. Raises ValueError
    for bad arguments, RuntimeError if an instance is not finite at the end.
    """
    check(n_steps >= 0, "n_steps", n_steps, "at least 0")
    check(penalty in PENALTIES, "penalty", penalty, f"one of {', '.join(PENALTIES)}")
    check(optimizer is None or penalty == "l1", "penalty", penalty, "l1 with an optimizer")
    check(every >= 1, "every", every, "at least 1")
    strengths = list(l1) if isinstance(l1, Sequence) else [l1] * len(start)
    check(len(strengths) == len(start), "l1", l1, f"one strength, or {len(start)}: one for each tensor of weights")
    for name, value in [("step", step), *(("l1", value) for value in strengths)]:
        check(_at_least_zero(value), name, value, "finite and at least 0")
    weights = tuple(w.detach().clone().requires_grad_() for w in start)
    stepper = None if optimizer is None else optimizer(list(weights))
    move = _descent(step, strengths, penalty) if stepper is None else _optimized(stepper, strengths)
    for done in checkpoints.steps(n_steps + 1, weights, *([] if stepper is None else [stepper]), *also):
        if record is not None and done % every == 0:
            record(done, tuple(w.detach() for w in weights))
        if done < n_steps:
            move(weights, torch.autograd.grad(loss(*weights).sum(), weights))
    if not all(bool(w.isfinite().all()) for w in weights):
        raise RuntimeError(f"training diverged within {n_steps} steps: use a smaller step than {step}")
    return tuple(w.detach() for w in weights)


class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW`, whose first use loads torch's compiler for seconds."""

    def __init__(self, weights, lr: float = 1e-3, betas=(0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.01):
        self.weights, self.lr, self.betas, self.eps, self.decay = weights, lr, betas, eps, weight_decay
        self.moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
        self.done = 0

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on."""
        return {"done": self.done, "moments": self.moments}

    def load_state_dict(self, state: dict) -> None:
        """Go on from the state of an optimizer of the same weights."""
        self.done = state["done"]
        for moments, stored in zip(self.moments, state["moments"], strict=True):
            for moment, value in zip(moments, stored, strict=True):
                moment.copy_(value)

    @torch.no_grad()
    def step(self) -> None:
        """Move every tensor of weights along its `grad`."""
        self.done += 1
        first, second = (1 - beta**self.done for beta in self.betas)
        for w, (mean, square) in zip(self.weights, self.moments, strict=True):
            mean.lerp_(w.grad, 1 - self.betas[0])
            square.lerp_(w.grad.square(), 1 - self.betas[1])
            w.mul_(1 - self.lr * self.decay)
            w.addcdiv_(mean, (square / second).sqrt_().add_(self.eps), value=-self.lr / first)


def proximal(weights: Tensor, strength: Strength, penalty: str = "l1") -> Tensor:
    """Return the minimizer over x of ½ (x − weights)² + strength · penalty(x), number by number.

    l1: |x|, the soft threshold. l2: x², a shrinkage by 1 + 2 strength. root: √|x|, the half threshold: zero below
    1.5 strength^(2/3), above it the largest root of a cubic (Xu et al., IEEE TNNLS 2012, in other units).
    """
    check(penalty in PENALTIES, "penalty", penalty, f"one of {', '.join(PENALTIES)}")
    if penalty == "l1":
        return torch.sign(weights) * (weights.abs() - strength).clamp(min=0)
    if penalty == "l2":
        return weights / (1 + 2 * strength)
    size = weights.abs()
    strength = torch.as_tensor(strength, dtype=size.dtype, device=size.device)
    kept = size > 1.5 * strength ** (2 / 3)
    third = torch.where(kept, size, 1.0) / 3
    cosine = torch.where(kept, -strength / 4 * third**-1.5, 0.0)
    root = 4 * third * torch.cos(torch.acos(cosine) / 3).square()
    return torch.where(kept, torch.sign(weights) * root, 0.0)


def participation(weights: Float[Tensor, "*batch neuron"]) -> Float[Tensor, "*batch"]:
    """Return ‖w‖₄⁴ / ‖w‖₂⁴ of each encoding: 1 for one-hot, about 3/m for m Gaussian weights, 0 for a zero encoding.

    The inverse participation ratio: its inverse is the number of weights that take part.
    """
    square = weights.square()
    total = square.sum(-1)
    return square.square().sum(-1) / total.square().clamp(min=torch.finfo(total.dtype).tiny)


def rotation(size: int, generator: torch.Generator) -> Float[Tensor, "{size} {size}"]:
    """Return an orthogonal matrix drawn uniformly (Haar measure), float64, on the generator's device."""
    check(size >= 1, "size", size, "at least 1")
    square = torch.randn(size, size, generator=generator, device=generator.device, dtype=torch.float64)
    orthogonal, triangle = torch.linalg.qr(square)
    return orthogonal * torch.sign(torch.diagonal(triangle))


def _descent(step, strengths, penalty):
    def move(weights, slopes):
        with torch.no_grad():
            for w, slope, strength in zip(weights, slopes, strengths, strict=True):
                w -= step * slope
                if not (isinstance(strength, float | int) and strength == 0):
                    w.copy_(proximal(w, step * strength, penalty))

    return move


def _optimized(optimizer, strengths):
    def move(weights, slopes):
        for w, slope, strength in zip(weights, slopes, strengths, strict=True):
            w.grad = slope + strength * torch.sign(w.detach())
        optimizer.step()

    return move


def _at_least_zero(value: Strength) -> bool:
    if isinstance(value, Tensor):
        return bool((value.isfinite() & (value >= 0)).all())
    return math.isfinite(value) and value >= 0
