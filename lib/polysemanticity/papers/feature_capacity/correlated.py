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

CO_ACTIVITY = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)

CLAIMS = {
    "FC-11": Claim(
        id="FC-11",
        claim="Features that are active together become orthogonal, features that exclude each other parallel",
        source="ours: exact loss for correlated inputs; the paper assumes independence",
        paper="not in the paper",
        whose="ours",
        known="rule and result were in one commit",
        figure="figx_correlated",
        rule={
            "overlap² of exclusive partners": (0.95, 1.0),
            "overlap² of partners always active together": (-math.inf, 0.05),
            "largest rise of the overlap² with co-activity": (-math.inf, 0.01),
        },
        reason=(
            "The exact loss charges 2 q G² for an overlap: nothing at q = 0, five times the independent price at q = "
            "5. The margin of 0.05 is that of our phases; for monotony 0.01 allows for what random starts leave."
        ),
    ),
}


def pairs(settings: architectures.Settings) -> dict:
    """Return the configuration of `train_pairs`: twelve features in six dimensions, in pairs, density 0.2."""
    fixed = {"kurtosis": 9.0, "n_features": 12, "n_dims": 6, "n_seeds": settings.seeds, "n_steps": settings.n_steps}
    return {"co_activity": CO_ACTIVITY, **fixed}


def train_pairs(
    *, seed: int, device: str, co_activity, kurtosis: float, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Mean squared cosine between partners and between others [q, seed], for pairs with E x_i² x_j² = q."""
    moments = torch.stack([landscape.pair_moments(n_features, kurtosis, q) for q in co_activity])
    v = torch.tensor(0.95 ** (np.arange(n_features) // 2)).expand(len(co_activity), -1)
    w = landscape.train_correlated(v, moments, n_dims, n_seeds, streams.generator(seed, "weights pairs"), n_steps)
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
    """Return the mean squared cosine of partners and of all other pairs against their co-activity."""
    parts = []
    for key, what, name in (("partners", "measured", "partners"), ("others", "control", "all other pairs")):
        overlap = pairs[0][key]  # [q, start]
        mean, half = overlap.mean(1), 1.96 * overlap.std(1) / overlap.shape[1] ** 0.5
        rows = {"what": what, "series": name, "co-activity q": pairs.configs[0]["co_activity"]}
        ends = {"mean squared cosine": mean, "low": mean - half, "high": mean + half}
        parts.append(pd.DataFrame({**rows, **ends}))
    return pd.concat(parts)


def measured(pairs: Results) -> Measured:
    """Return what decides FC-11."""
    partners, config = pairs[0]["partners"], pairs.configs[0]
    rise = intervals.row_of_extreme_mean(np.diff(partners, axis=0), least=False)
    return Measured(
        {
            "overlap² of exclusive partners": intervals.mean(partners[0]),
            "overlap² of partners always active together": intervals.mean(partners[-1]),
            "largest rise of the overlap² with co-activity": rise,
        },
        f"95 % t intervals over {config['n_seeds']} starts; the worst of all steps",
        f"exact loss, N = {config['n_features']}, D = {config['n_dims']}, κ = {config['kurtosis']:g}, "
        f"{len(config['co_activity'])} co-activities, {config['n_seeds']} starts",
    )
