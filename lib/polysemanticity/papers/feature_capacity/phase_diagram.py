"""The phase diagram: two features, one special feature among equal ones, trained on the loss and on samples (FC-04)."""

import math

import numpy as np
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import phases, quadratic
from polysemanticity.claims import Claim

FIGURES = {
    "figx_two_features": (
        "Capacity of the less important of two features in one dimension over importance ratio and kurtosis, from "
        "theory and from trained models: zero outside a wedge that opens at kurtosis 3."
    ),
    "figx_phase_diagram": (
        "Capacity of the special feature over its relative importance and 1/kurtosis: theory and trained models look "
        "alike. A close-up of kurtosis 1.2 to 4 shows the share of starts that end in a wrong minimum, all inside a "
        "predicted wedge below kurtosis 3."
    ),
}


CLAIMS = {
    "FC-04": Claim(
        id="FC-04",
        claim=(
            "Trained models show the phases that theory predicts: ignored, polysemantic, monosemantic by importance "
            "and kurtosis"
        ),
        source="theoretical and empirical phase diagram",
        paper="N = 20, D = 10, one special feature",
        rule={
            "share of models in the predicted phase, kurtosis > 3": (0.99, 1.0),
            "largest error of C, kurtosis > 3": (-math.inf, 1e-6),
            "share of models with kurtosis < 3 in no predicted minimum": (-math.inf, 0.02),
        },
        reason=(
            "For kurtosis > 3 every minimum is global, so training may not miss; 1 % allows for the resolution of an "
            "exact binomial interval. For kurtosis < 3 returns increase, the landscape has local minima (v of every "
            "chosen feature ≥ a/2 · v of every other), and a model may stop in any of them but nowhere else; how "
            "many stop in a wrong one is counted, not judged."
        ),
    ),
}


def train_special(
    *, seed: int, device: str, ratios, kurtoses, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Models of every kurtosis x ratio x seed with one special feature: trained and optimal capacities and losses."""
    v = np.broadcast_to(phases.special_importance(ratios, n_features), (len(kurtoses), len(ratios), n_features))
    kappa = np.broadcast_to(np.reshape(kurtoses, (-1, 1)), v.shape[:-1])
    return quadratic.train_beside_optimum(
        v, kappa, n_dims, n_seeds, n_steps, streams.generator(seed, f"weights {kurtoses[0]}", device)
    )


def train_on_samples(
    *,
    seed: int,
    device: str,
    ratio: float,
    kurtosis: float,
    n_features: int,
    n_dims: int,
    n_seeds: int,
    n_steps: int,
    batch: int,
) -> dict:
    """Models with one special feature, trained on the squared error of sampled inputs."""
    v = phases.special_importance([ratio], n_features)[0]
    generator = streams.generator(seed, f"data {ratio}", device)
    options = {"n_steps": n_steps, "batch": batch}
    weights = quadratic.train_quadratic_on_samples(torch.tensor(v), kurtosis, n_dims, n_seeds, generator, **options)
    best = capacity.optimal_allocation(v, kurtosis, n_dims)
    loss = capacity.quadratic_loss(weights, v, kurtosis).cpu().numpy()
    return {
        "capacity": capacity.feature_capacity(weights).cpu().numpy(),
        "optimum": best.capacity,
        "excess_loss": loss / best.loss - 1,
    }


def phase_grid(n_grid: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Importance ratios from 0.1 to 10 and kurtoses from 1/0.9 to 1/0.003, both evenly spaced on a logarithmic axis."""
    ratios, inverse = np.geomspace(0.1, 10, n_grid), np.geomspace(0.9, 0.003, n_grid)
    return tuple(ratios.tolist()), tuple((1 / inverse).tolist())


def pair_grid(n_grid: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Importance ratios below 1 (at 1 the features are tied) and kurtoses for two features in one dimension."""
    return tuple(np.linspace(0.05, 0.975, n_grid).tolist()), tuple(np.linspace(1.5, 20, n_grid).tolist())


def grid_configs(ratios, kurtoses, n_parts: int = 4, **fixed) -> list[dict]:
    """Configs of `train_special` that cover the grid in a few parts, so that several cores can work on it."""
    parts = np.array_split(np.asarray(kurtoses), n_parts)
    return [{"ratios": ratios, "kurtoses": tuple(part.tolist()), **fixed} for part in parts]


def joined(results, key: str) -> np.ndarray:
    """One value of the results of `grid_configs`, put together again along the kurtoses."""
    return np.concatenate([result[0][key] for result in results])
