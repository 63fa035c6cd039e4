"""Pairs of variables whose mutual information is known: what the bounds of `networks.mine` make of them."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from polysemanticity import information
from polysemanticity.base import streams
from polysemanticity.networks import mine

INPUTS, WIDTH = 3, 32  # as between input and layer of the very deep networks
LN2 = math.log(2)

FIGURES = {
    "figx_mine_bias": "Three bounds on mutual information less the truth, against the truth, for Gaussian variables: "
    "all fall short where it is large; and the same for the channels with which the authors check their estimator.",
}
CLAIMS: dict = {}


def planted_information(*, seed, device, nats, repeats, n_samples, epochs, batches, rates) -> dict:
    """Return bounds of pairs whose mutual information is known, [case, repeat], and that `truth`, [case], in nats.

    Gaussian: 3 correlated coordinates, turned among WIDTH units, one case for each of `nats`; then the CHANNELS.
    """
    generator = streams.generator(seed, "planted", device)
    cases = [(partial(_gaussian, value), value) for value in nats] + list(CHANNELS.values())
    drawn = [make(n_samples, generator) for make, _ in cases for _ in range(repeats)]
    x, y = (
        torch.stack([nn.functional.pad(pair[part], (0, width - pair[part].shape[1])) for pair in drawn])
        for part, width in ((0, INPUTS), (1, WIDTH))
    )
    phases = tuple(map(mine.Phase, epochs, batches, rates))
    options = {"seed": seed, "n_held": n_samples // 5}
    bounds = {
        "mine": mine.donsker_varadhan(x, y, phases=phases, **options),
        "nce": mine.info_nce(x, y, phases=phases[:1], **options),
    }
    gaussian = slice(0, len(nats) * repeats)
    entropy = INPUTS / 2 * math.log(2 * math.pi * math.e)
    linear = mine.linear_decoder_bound(x[gaussian], y[gaussian], entropy=entropy, n_held=n_samples // 5)
    result = {name: bound.nats.reshape(-1, repeats) for name, bound in bounds.items()}
    return result | {"linear": linear.nats.reshape(-1, repeats), "truth": np.array([truth for _, truth in cases])}


def _gaussian(nats: float, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    options = {"generator": generator, "device": generator.device}
    x, noise = (torch.randn(n, INPUTS, **options) for _ in range(2))
    rho = math.sqrt(1 - math.exp(-2 * nats / INPUTS))
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, **options)).Q[:INPUTS]
    return x, (rho * x + math.sqrt(1 - rho**2) * noise) @ turn * math.sqrt(WIDTH / INPUTS)


def _fair(n: int, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, 1, generator=generator, device=generator.device) < 0.5).float()


def _chance(p: float, x: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(x.shape, generator=generator, device=x.device) < p).float()


def _symmetric(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = _fair(n, generator)
    return x, (x - _chance(0.2, x, generator)).abs()


def _dropped(low: float, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = low + (1 - low) * _fair(n, generator)
    return x, x * _chance(0.5, x, generator)


def _quantised(bits: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, 1, generator=generator, device=generator.device)
    return 2 * x - 1, (x * 2**bits).floor() / 2 ** (bits - 1) - 1


# the authors' checks: samples and nats
CHANNELS = {
    "flip, p = .2": (_symmetric, LN2 * (1 - information.binary_entropy(0.2))),
    "dropout .5 of ±1": (partial(_dropped, -1.0), LN2 / 2),
    "dropout .5 of 0, 1": (partial(_dropped, 0.0), LN2 * (information.binary_entropy(0.25) - 0.5)),
    "quantiser, 2 bits": (partial(_quantised, 2), 2 * LN2),
    "quantiser, 5 bits": (partial(_quantised, 5), 5 * LN2),
}
