"""Monosemanticity by design: penalties on interference and transforms of the inputs (FC-13)."""

import math

import numpy as np
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders, quadratic
from polysemanticity.claims import Claim

FIGURES = {
    "figx_by_design": (
        "Polysemantic features and loss against a penalty on interference for the quadratic model and the ReLU "
        "autoencoder, and kurtosis against a power transform of the inputs, which stays above one over density."
    ),
}


CLAIMS = {
    "FC-13": Claim(
        id="FC-13",
        claim=(
            "The loss can be changed so that every represented feature is monosemantic: by a penalty on interference, "
            "or by a transform that lowers the kurtosis of the inputs"
        ),
        source="question raised in the discussion of the paper",
        paper="open question; kurtosis below 3 removes polysemanticity",
        rule={
            "polysemantic features at 1.1 × the critical penalty, quadratic": (-math.inf, 0.05),
            "polysemantic features at 0.5 × the critical penalty, quadratic": (1.0, math.inf),
            "loss ÷ least monosemantic loss": (-math.inf, 1.05),
            "polysemantic features at the strongest penalty, ReLU": (-math.inf, 0.5),
            "polysemantic features under the strongest transform": (-math.inf, 0.05),
        },
        reason=(
            "Weighing interference by 1 + μ is a kurtosis of 1 + a/(1 + μ), so theory puts the end of polysemanticity "
            "at μ = (kurtosis − 3)/2; 10 % beyond none may be left, halfway at least one must be. The cost is within "
            "5 % of the best that monosemantic features can do. An autoencoder is allowed half a feature."
        ),
        corrected={
            "polysemantic features at 1.1 × the critical penalty, quadratic": (-math.inf, 0.05),
            "polysemantic features at 0.5 × the critical penalty, quadratic": (1.0, math.inf),
            "loss ÷ least monosemantic loss": (-math.inf, 1.05),
            "polysemantic features at the strongest penalty, ReLU": (-math.inf, 0.5),
        },
        correction=(
            "a penalty does it; no transform of single inputs that keeps 0 at 0 brings the kurtosis below 1/density"
        ),
    ),
}


def penalised(
    *, seed: int, device: str, penalties, decay: float, kurtosis: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int,
) -> dict:  # fmt: skip
    """Quadratic models fine-tuned with interference weighed by 1 + μ: capacities [μ, seed, N], loss without penalty."""
    v = torch.tensor(decay ** np.arange(n_features), device=device)
    generator = streams.generator(seed, "weights penalised", device)
    kappa = torch.tensor(kurtosis, dtype=torch.float64, device=device)
    start = quadratic.train_quadratic(v, kappa, n_dims, n_seeds, generator).weights
    start = start.expand(len(penalties), *start.shape)
    start = start + 1e-3 * torch.randn(start.shape, generator=generator, dtype=start.dtype, device=device)
    a = (kurtosis - 1) / (1 + torch.tensor(penalties, dtype=torch.float64, device=device)[:, None, None])
    (w,) = quadratic.descend(lambda p, _: (capacity.gradient_unchecked(p[0], v, a),), (start,), n_steps, 0.02)
    loss = capacity.quadratic_loss(w, v, kurtosis)
    return {"capacity": capacity.feature_capacity(w).cpu().numpy(), "loss": loss.cpu().numpy()}


def penalised_relu(
    *, seed: int, device: str, penalties, density: float, decay: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int, batch: int, n_test: int,
) -> dict:  # fmt: skip
    """ReLU autoencoders fine-tuned with a penalty μ Σ_{i≠j} G_ij²: weights [μ, seed, D, N] and loss without penalty."""
    importance = torch.tensor(decay ** np.arange(n_features))[None]
    generator = streams.generator(seed, "weights penalised relu", device)
    p, fixed = torch.tensor([density]), {"n_steps": n_steps, "batch": batch, "n_test": n_test}
    call = ("relu", p, importance, n_dims, n_seeds, generator)
    free = autoencoders.train_autoencoders(*call, **fixed)
    tuned = [autoencoders.train_autoencoders(*call, **fixed, interference=m, start=free.weights) for m in penalties]
    return {
        "weights": torch.cat([t.weights for t in tuned]).double().cpu().numpy(),
        "loss": torch.cat([t.loss for t in tuned]).cpu().numpy(),
    }
