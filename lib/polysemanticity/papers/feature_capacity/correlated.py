"""Correlated features: pairs from exclusive to always active together (FC-11)."""

import math

import numpy as np
import pandas as pd
import torch

from polysemanticity import intervals
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.capacity import landscape
from polysemanticity.claims import Claim, Measured
from polysemanticity.papers.feature_capacity import architectures

CO_ACTIVITY = (0.0, 0.25, 0.5, 0.75, 0.85, 0.9, 0.95, 1.0, 1.05, 1.25, 1.5, 2.0, 3.0, 5.0)
SIZES = ((14, 7), (16, 6))  # features N and dimensions D: one dimension for each pair, and fewer
KURTOSIS = 9.0


def _claim(key: str, size: tuple[int, int], room: str) -> Claim:
    return Claim(
        id=key,
        claim=(
            "Features that are active together become orthogonal, features that exclude each other parallel, "
            f"with {room} for each pair"
        ),
        source="ours: exact loss for correlated inputs. In ReLU autoencoders Elhage et al. (2022, correlated and "
        "anticorrelated features) saw the same tendency; the paper assumes independence",
        paper="not in the paper",
        whose="ours",
        known="holds with 12 features in 6 dimensions, from an earlier run, and with 12 and 10 features in 5; the size "
        "is a new one",
        figure="figx_correlated",
        rule={
            f"overlap² of exclusive partners, {_size(size)}": (0.95, math.inf),
            f"overlap² of partners always active together, {_size(size)}": (-math.inf, 0.05),
            f"largest rise of the overlap² with co-activity, {_size(size)}": (-math.inf, 0.01),
        },
        reason=(
            "The exact loss charges 2 q G² for an overlap: nothing at q = 0, five times the independent price at q = "
            "5. The margin of 0.05 is that of our phases; for monotony 0.01 allows for what random starts leave. "
            "Intervals of steps are widened for their number."
        ),
    )


def _size(size: tuple[int, int]) -> str:
    return f"N = {size[0]}, D = {size[1]}"


CLAIMS = {
    "FC-11a": _claim("FC-11a", SIZES[0], "one dimension"),
    "FC-11b": _claim("FC-11b", SIZES[1], "less than one dimension"),
}


def pairs(settings: architectures.Settings) -> list[dict]:
    """Return the configurations of `train_pairs`, one for each size: features in pairs, density 0.2."""
    fixed = {"co_activity": CO_ACTIVITY, "kurtosis": KURTOSIS, "n_seeds": settings.seeds, "n_steps": settings.n_steps}
    return [{**fixed, "n_features": n, "n_dims": d} for n, d in SIZES]


def train_pairs(
    *, seed: int, device: str, co_activity, kurtosis: float, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Mean squared cosine between partners and between others [q, seed], for pairs with E x_i² x_j² = q."""
    moments = torch.stack([landscape.pair_moments(n_features, kurtosis, q) for q in co_activity])
    v = torch.tensor(0.95 ** (np.arange(n_features) // 2)).expand(len(co_activity), -1)
    w = landscape.train_correlated(
        v, moments, n_dims, n_seeds, streams.generator(seed, f"weights pairs {n_features}"), n_steps
    )
    unit = w / w.norm(dim=-2, keepdim=True)
    overlap = ((unit.mT @ unit) ** 2).numpy()
    first = np.arange(0, n_features, 2)
    partners = overlap[..., first, first + 1]
    others = overlap.sum((-2, -1)) - n_features - 2 * partners.sum(-1)
    return {
        "partners": partners.mean(-1),
        "others": others / (n_features * (n_features - 2)),
        "loss": landscape.correlated_loss(w, v[:, None], moments[:, None]).numpy(),
    }


def table(pairs: Results) -> pd.DataFrame:
    """Return the mean squared cosine of partners and of all other pairs against their co-activity, for both sizes."""
    parts = []
    for config, result in pairs.pairs():
        for key, what, name in (("partners", "measured", "partners"), ("others", "control", "all other pairs")):
            found = intervals.mean(result[key], axis=1)  # [q, start]
            size = _size((config["n_features"], config["n_dims"]))
            rows = {"what": what, "series": f"{name}, {size}", "size": size, "co-activity q": config["co_activity"]}
            ends = {"mean squared cosine": found.value, "low": found.low, "high": found.high}
            parts.append(pd.DataFrame({**rows, **ends}))
    return pd.concat(parts)


def measured(pairs: Results, size: tuple[int, int]) -> Measured:
    """Return what decides FC-11a or FC-11b, for one of `SIZES`."""
    some = pairs.where(n_features=size[0], n_dims=size[1])
    partners, config, name = some[0]["partners"], some.configs[0], _size(size)
    n_steps = len(partners) - 1
    rises = intervals.mean(np.diff(partners, axis=0), axis=1, level=1 - 0.05 / n_steps)
    return Measured(
        {
            f"overlap² of exclusive partners, {name}": intervals.mean(partners[0]),
            f"overlap² of partners always active together, {name}": intervals.mean(partners[-1]),
            f"largest rise of the overlap² with co-activity, {name}": rises.at(int(np.argmax(rises.high))),
        },
        f"95 % t intervals over {config['n_seeds']} starts, of the {n_steps} steps together",
        f"exact loss, {name}, κ = {config['kurtosis']:g}, {len(config['co_activity'])} co-activities, "
        f"{config['n_seeds']} starts",
    )
