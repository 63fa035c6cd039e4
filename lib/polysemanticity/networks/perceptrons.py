"""Ensembles of multilayer perceptrons that train at once: every network is one slice of a batched matrix product.

A network does not see its companions: the loss is a sum over networks and the optimiser treats each number by itself.
Noise is multiplied onto the activity of chosen layers and has mean 1, so nothing is rescaled where there is none.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
NOISES = ("none", "dropout", "gaussian")


class Perceptrons(NamedTuple):
    """An ensemble of networks with the same layers; `noisy` says which layers' activity noise acts on in training."""

    weights: tuple[Float[Tensor, "nets inputs outputs"], ...]
    biases: tuple[Float[Tensor, "nets outputs"], ...]
    activations: tuple[str, ...]
    noisy: tuple[bool, ...]


def perceptrons(
    sizes: Sequence[int],
    activations: Sequence[str],
    noisy: Sequence[bool],
    n_nets: int,
    generator: torch.Generator,
) -> Perceptrons:
    """Return untrained networks with layers of `sizes` (inputs first), float32, on the generator's device.

    Weights are normal of variance 2 / inputs (He et al. 2015), 1 / inputs before an identity; biases 0. Raises
    ValueError for an unknown activation, a size below 1 or lists of differing length.
    """
    check(
        len(sizes) == len(activations) + 1 == len(noisy) + 1, "sizes", tuple(sizes), "one more than activations, noisy"
    )
    check(min(sizes) >= 1 and n_nets >= 1, "sizes, n_nets", (tuple(sizes), n_nets), "at least 1")
    for name in activations:
        check(name in ACTIVATIONS, "activation", name, "one of " + ", ".join(ACTIVATIONS))
    weights = tuple(
        torch.randn(n_nets, n_in, n_out, generator=generator, device=generator.device)
        * math.sqrt((1 if name == "identity" else 2) / n_in)
        for n_in, n_out, name in zip(sizes[:-1], sizes[1:], activations, strict=True)
    )
    biases = tuple(torch.zeros(n_nets, n_out, device=generator.device) for n_out in sizes[1:])
    return Perceptrons(weights, biases, tuple(activations), tuple(noisy))


def activities(
    nets: Perceptrons,
    x: Float[Tensor, "nets n inputs"],
    noise: Callable[[Tensor], Tensor] | None = None,
) -> list[Float[Tensor, "nets n units"]]:
    """Return every layer's activity, the output last; `noise` replaces the activity of the noisy layers."""
    found = []
    for weight, bias, name, noisy in zip(*nets, strict=True):
        x = ACTIVATIONS[name](torch.baddbmm(bias[:, None], x, weight))
        x = noise(x) if noise is not None and noisy else x
        found.append(x)
    return found


def multiplied(kind: str, rate: float, generator: torch.Generator) -> Callable[[Tensor], Tensor] | None:
    """Return the noise that multiplies an activity, or None where it does nothing.

    dropout: 0 with probability `rate`, else 1 / (1 - rate); gaussian: normal of mean 1 and the same variance, rate /
    (1 - rate), which growing weights cannot outrun. Raises ValueError for another kind or a rate outside [0, 1).
    """
    check(kind in NOISES, "kind", kind, "one of " + ", ".join(NOISES))
    check(0 <= rate < 1, "rate", rate, "at least 0 and below 1")
    if kind == "none" or rate == 0:
        return None
    if kind == "dropout":
        return lambda x: x * (torch.rand(x.shape, generator=generator, device=x.device) >= rate) / (1 - rate)
    spread = math.sqrt(rate / (1 - rate))
    return lambda x: x * (1 + spread * torch.randn(x.shape, generator=generator, device=x.device))


def trained(
    nets: Perceptrons,
    draw: Callable[[int], tuple[Float[Tensor, "nets n inputs"], Float[Tensor, "nets n outputs"]]],
    n_steps: int,
    lr: float,
    noise: Callable[[Tensor], Tensor] | None = None,
    weight_decay: float = 0.0,
    stops: Sequence[int] = (),
    also: Sequence = (),
) -> Iterator[tuple[int, Perceptrons]]:
    """Train by AdamW on the squared error and yield (step, networks) at every step in `stops` and at the last one.

    draw(step) returns inputs and targets for every network. The rate falls as a half cosine to 0; weight decay is
    decoupled and acts on weights and biases. What is yielded shares memory with the training: use it before going on.
    `also` is what draw, noise and the caller change (`base.checkpoints.steps`), so that a training that was killed goes
    on from where it was: earlier stops are not yielded again.
    Raises ValueError for n_steps < 1, lr <= 0 or a negative weight decay.
    """
    check(n_steps >= 1, "n_steps", n_steps, "at least 1")
    check(lr > 0, "lr", lr, "above 0")
    check(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
    weights, biases = (tuple(p.clone().requires_grad_() for p in group) for group in nets[:2])
    learning = nets._replace(weights=weights, biases=biases)
    held = nets._replace(weights=tuple(p.detach() for p in weights), biases=tuple(p.detach() for p in biases))
    optimizer = torch.optim.AdamW([*weights, *biases], lr=lr, weight_decay=weight_decay, fused=True)
    for step in checkpoints.steps(n_steps, weights, biases, optimizer, *also):
        if step == 0 and 0 in stops:
            yield 0, held
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 + math.cos(math.pi * step / n_steps)) / 2
        inputs, targets = draw(step)
        loss = (activities(learning, inputs, noise)[-1] - targets).square().mean((1, 2)).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step + 1 in stops and step + 1 < n_steps:
            yield step + 1, held
    yield n_steps, held
