"""Correlated features: pairs from exclusive to always active together (FC-11)."""

import math

import numpy as np
import torch

from polysemanticity.base import streams
from polysemanticity.capacity import landscape
from polysemanticity.claims import Claim

FIGURES = {
    "figx_correlated": (
        "Squared cosine of partner features against how often they are active together: one for exclusive partners, "
        "falling to zero; other pairs stay between."
    ),
}


CLAIMS = {
    "FC-11": Claim(
        id="FC-11",
        claim="Features that are active together become orthogonal, features that exclude each other parallel",
        source="ours: exact loss for correlated inputs; the paper assumes independence",
        paper="not in the paper",
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
