"""Pairs of variables whose mutual information is known: what MINE, InfoNCE and a linear decoder make of them."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from polysemanticity import information, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.networks import mine

INPUTS, WIDTH = 3, 32  # as between input and layer of the very deep networks
LN2 = math.log(2)
GAUSSIAN_NATS = (0.1, 0.3, 1.0, 2.0, 4.0)  # mutual information of the planted Gaussian pairs
ESTIMATORS = {"mine": "MINE", "nce": "InfoNCE", "linear": "linear decoder"}  # key of a result -> its name in figures

CLAIMS: dict = {}


@dataclass(frozen=True)
class Settings:
    """Bounds on mutual information by trained critics, wherever they are used."""

    n_samples: int = setting(
        10_240, "samples for each bound on information, a fifth of them held out", low=64, smoke=320, paper=45_056
    )
    epochs: tuple[int, ...] = setting(
        (10, 6), "passes over them in the phases of a critic's training", low=1, smoke=(1, 1), paper=(100, 50)
    )
    batches: tuple[int, ...] = setting(
        (256, 512), "samples per step in each phase", low=2, smoke=(64, 128), paper=(1024, 2048)
    )
    rates: tuple[float, ...] = setting((1e-3, 1e-4), "learning rate in each phase", low=0, paper=(1e-4, 5e-6))
    repeats: int = setting(3, "repeats of each pair whose mutual information is known", low=2, smoke=2)

    def __post_init__(self):
        phases = len(self.epochs), len(self.batches), len(self.rates)
        check(len(set(phases)) == 1, "phases in epochs, batches, rates", phases, "the same number in all three")


def critic(settings: Settings) -> dict:
    """Return how every bound is computed: the part of a configuration that all its workers share."""
    return {
        "n_samples": settings.n_samples,
        "epochs": settings.epochs,
        "batches": settings.batches,
        "rates": settings.rates,
    }


def pairs(settings: Settings) -> dict:
    """Return the one configuration of `planted_information`."""
    return {"nats": GAUSSIAN_NATS, "repeats": settings.repeats, **critic(settings)}


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


def table(known: Results) -> pd.DataFrame:
    """Return mean and standard deviation, over repeats, of every bound less the truth."""
    names = ["Gaussian"] * len(known.configs[0]["nats"]) + list(CHANNELS)
    rows = []
    for key, estimator in ESTIMATORS.items():
        errors = _errors(known, key)
        middle, spread = errors.mean(1), errors.std(1, ddof=1)
        for place in range(len(errors)):  # the linear decoder has the Gaussian pairs only
            rows.append(
                {
                    "what": "measured",
                    "estimator": estimator,
                    "pair": names[place],
                    "true mutual information [nats]": known[0][0]["truth"][place],
                    "estimate less truth [nats]": middle[place],
                    "low": middle[place] - spread[place],
                    "high": middle[place] + spread[place],
                }
            )
    return pd.DataFrame(rows)


def bias(known: Results) -> dict[str, intervals.Estimate]:
    """Return every bound less the truth for the most informative Gaussian pairs, by a name for a table."""
    nats = known.configs[0]["nats"]
    return {
        f"{name} less the truth at {nats[-1]:g} nats": intervals.mean(_errors(known, key)[len(nats) - 1])
        for key, name in ESTIMATORS.items()
    }


def _errors(known: Results, key: str) -> np.ndarray:
    """A bound less the truth, [case, repeat]."""
    found = known[0][0]
    return found[key] - found["truth"][: len(found[key]), None]
