"""Why noise steepens spectra, where it can be proved: dropout in linear autoencoders, CT-21.

An autoencoder x -> W2 (z * W1 x) with dropout z at rate p on its m units minimises

    E |x - W2 W1 x|^2 + p/(1-p) sum_k |w2_k|^2 E h_k^2,

the squared error and a price for each unit. Of all units that make up one map A = W2 W1 those with equal prices cost
least, 1/m |A C^(1/2)|_*^2 (nuclear norm; Mianjy, Arora & Vidal 2018), and then the best map shrinks every singular
value of the inputs by the same amount: `codes.shrunk_by_dropout`.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
import torch

from polysemanticity import codes, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import perceptrons

DIMENSIONS, UNITS, EXPONENT = 32, 64, 1.0  # inputs with variances i^-EXPONENT
RATES = (0.0, 0.2, 0.4, 0.6)
JUDGED = 0.1  # components above this share of the largest that is predicted
WINDOW = (2, 8)  # ranks that the exponent of what is kept is fitted to
OFF, STEEPER = "kept ÷ predicted component, farthest from 1 (|ratio − 1|)", "exponent of what is kept, p = 0.4 less 0"

CLAIMS: dict[str, Claim] = {
    "CT-21": Claim(
        id="CT-21",
        claim="In a linear autoencoder dropout provably steepens the spectrum of what is kept: it shrinks all "
        "components by one amount",
        whose="ours",
        source="not in the paper: the penalty of Mianjy, Arora & Vidal (2018), solved for an autoencoder; asked for by "
        "the paper's question of why noise steepens spectra",
        paper="silent; it is said of networks in general",
        rule={OFF: (-inf, 0.1), STEEPER: (0.0, inf)},
        reason="Standard deviations of the reconstruction along the inputs' principal components, against s_i = "
        "max(σ_i − τ, 0) with nothing fitted, at dropout 0.2, 0.4 and 0.6; components above a tenth of the largest, as "
        "smaller ones have not come to rest. Simultaneous intervals. A tenth is what finite training leaves of noise.",
        figure="figx_linear_dropout",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Linear autoencoders with dropout."""

    n_nets: int = setting(6, "networks at each rate", low=2, smoke=2)
    n_steps: int = setting(4000, "training steps", low=2, smoke=20)


def rates(settings: Settings) -> list[dict]:
    """Return the configurations of `kept`, one for each of RATES."""
    fixed = {"n_nets": settings.n_nets, "n_steps": settings.n_steps, "batch_size": 256, "lr": 1e-2}
    return [{"rate": rate, **fixed} for rate in RATES]


def deviations() -> np.ndarray:
    """The inputs' standard deviations along their principal components."""
    return np.arange(1, DIMENSIONS + 1) ** (-EXPONENT / 2)


def kept(*, seed, device, rate, n_nets, n_steps, batch_size, lr) -> dict:
    """Train linear autoencoders with dropout on Gaussian inputs; return `kept` [net, component], without dropout.

    That is the square root of the covariance's diagonal that an input's component and its reconstruction have, divided
    by the input's standard deviation: for a map that shrinks components, the reconstruction's standard deviation.
    """
    nets = perceptrons.perceptrons(
        (DIMENSIONS, UNITS, DIMENSIONS), ("identity", "identity"), (True, False), n_nets,
        streams.generator(seed, "weights", device),
    )  # fmt: skip
    scale = torch.tensor(deviations(), dtype=torch.float32, device=device)
    drawn, masks = (streams.generator(seed, stream, device) for stream in ("data", "masks"))

    def draw(step):
        batch = scale * torch.randn(n_nets, batch_size, DIMENSIONS, generator=drawn, device=device)
        return batch, batch

    noise = perceptrons.multiplied("dropout", rate, masks)
    ((_, nets),) = perceptrons.trained(nets, draw, n_steps, lr, noise, also=(drawn, masks))
    map_ = (nets.weights[0] @ nets.weights[1]).double()
    return {"kept": (map_.diagonal(dim1=1, dim2=2) * scale).cpu().numpy()}


# ------------------------------------------------------------ what the figure shows and what decides the claim


def predicted(rate: float) -> np.ndarray:
    """The standard deviations that are kept at a dropout rate, by theory."""
    return codes.shrunk_by_dropout(deviations(), UNITS, rate)


def by_rate(results: Results) -> dict[float, np.ndarray]:
    """Return what is kept by the networks of all seeds, [net, component], for each rate."""
    return {config["rate"]: np.concatenate([one["kept"] for one in row]) for config, row in results.pairs()}


def table(results: Results) -> pd.DataFrame:
    """Return measured and predicted standard deviations of the reconstruction's components, at every rate."""
    frames, component = [], np.arange(1, DIMENSIONS + 1)
    for rate, values in by_rate(results).items():
        place = {"dropout rate p": rate, "component": component, "series": f"p = {rate:g}"}
        frames.append({"what": "measured", **place, **intervals.mean(values, axis=0).columns()})
        frames.append({"what": "corrected", **place, "value": predicted(rate)})
    return pd.concat(map(pd.DataFrame, frames)).rename(columns={"value": KEPT})


KEPT = "standard deviation of what is kept"


def exponents(values: np.ndarray) -> np.ndarray:
    """Return the exponent of the variances that are kept, by a line through the ranks of WINDOW, [net]."""
    first, last = WINDOW
    rank, variance = np.log(np.arange(first, last + 1)), 2 * np.log(np.maximum(values[:, first - 1 : last], 1e-12))
    return -np.polyfit(rank, variance.T, 1)[0]


def measured(results: Results) -> Measured:
    """Return what decides CT-21."""
    found, off, told = by_rate(results), [], []
    noisy = [rate for rate in found if rate > 0]
    judged = {rate: np.flatnonzero(predicted(rate) > JUDGED * predicted(rate)[0]) for rate in noisy}
    level = 1 - 0.05 / sum(map(len, judged.values()))
    for rate, places in judged.items():
        ratio = intervals.mean(found[rate][:, places] / predicted(rate)[places], axis=0, level=level)
        distance = [_distance(ratio.at(place)) for place in range(len(places))]
        off += distance
        told.append(f"p = {rate:g}: {len(places)} components, farthest {max(d.value for d in distance):.3f}")
    steeper = exponents(found[0.4]) - exponents(found[0.0])
    quantities = {OFF: intervals.extreme(off), STEEPER: intervals.mean(steeper)}
    config, n_nets = results.configs[0], len(steeper)
    scale = (
        f"linear autoencoders {DIMENSIONS}-{UNITS}-{DIMENSIONS}, Gaussian inputs with variances i^-{EXPONENT:g}, "
        f"{n_nets} networks at each rate, {config['n_steps']:,} steps of {config['batch_size']} samples"
    )
    return Measured(quantities, f"95 % t intervals over {n_nets} networks, simultaneous", scale, "; ".join(told))


def _distance(ratio: intervals.Estimate) -> intervals.Estimate:
    """|ratio − 1| with the ends of its interval."""
    low, high = ratio.low - 1, ratio.high - 1
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return intervals.Estimate(abs(ratio.value - 1), least, max(abs(low), abs(high)))
