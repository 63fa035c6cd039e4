"""Polysemanticity and block geometry of different architectures (FC-05, FC-06, FC-12)."""

import math

import numpy as np
import torch

from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders, quadratic
from polysemanticity.claims import Claim

FIGURES = {
    "figx_blocks": (
        "Gram matrices sorted into blocks: the four archetypes of block-semi-orthogonal embeddings above, trained "
        "models below with one dense block of shared features and single monosemantic features."
    ),
    "figx_block_geometry": (
        "Sorted Gram matrices of a quadratic model, one dense block, and of ReLU autoencoders, digons at density 0.3 "
        "and one block when inputs are sparse; below, features per block and digon share against density."
    ),
    "figx_architectures": (
        "Share of polysemantic features against density for six architectures: rising to one as inputs get sparse for "
        "quadratic, ReLU, GELU and hidden ReLU, near zero for tanh and linear."
    ),
    "figx_crossover": (
        "Maps over features per dimension and density: share of dimensions in digons, one on the line N = 2D, and "
        "share of features in the largest block, near one for many features and sparse inputs."
    ),
}


CLAIMS = {
    "FC-05": Claim(
        id="FC-05",
        claim="Polysemanticity grows with sparsity in every architecture, and to a different level in each",
        source="abstract; polysemanticity against sparsity for several architectures",
        paper="rises in all models tried, levels differ",
        rule={
            "rise of the polysemantic share, quadratic": (0.1, math.inf),
            "rise of the polysemantic share, ReLU": (0.1, math.inf),
            "rise of the polysemantic share, GELU": (0.1, math.inf),
            "rise of the polysemantic share, ReLU hidden": (0.1, math.inf),
            "largest drop between neighbouring densities": (-math.inf, 0.1),
            "range of levels at density 0.2": (0.1, math.inf),
        },
        reason=(
            "Rise: from dense inputs to the sparsest, of the share of represented features with 0.05 < C < 0.95; 0.1 "
            "is one feature in ten. Monotone: no step towards sparser inputs may lose as much. Level: share of all "
            "features, most against least polysemantic of the four. The paper's variants are unknown to us; tanh and "
            "linear outputs are controls and not judged."
        ),
    ),
    "FC-06": Claim(
        id="FC-06",
        claim=(
            "Embeddings are block-semi-orthogonal and block sizes differ between models: one large block in the "
            "quadratic model, many small blocks in the ReLU autoencoder"
        ),
        source="abstract; geometry of trained embeddings",
        paper="one large block against many small ones",
        rule={
            "share of quadratic models with one polysemantic block": (0.9, 1.0),
            "share of dimensions in digons, ReLU, densest": (0.9, 1.0),
            "features per block, ReLU, sparsest": (-math.inf, 4.0),
        },
        reason=(
            "One model in ten may be odd. Small means up to 4 features per block, the size of a simplex in three "
            "dimensions; the paper names no density, so the sparsest of ours must show small blocks too."
        ),
        corrected={
            "share of quadratic models with one polysemantic block": (0.9, 1.0),
            "share of dimensions in digons, ReLU, densest": (0.9, 1.0),
            "share of features in the largest block, ReLU, sparsest": (0.9, 1.0),
        },
        correction="the ReLU autoencoder has small blocks at moderate sparsity and one large block for sparse inputs",
    ),
    "FC-12": Claim(
        id="FC-12",
        claim=(
            "In the ReLU autoencoder N = 2D features form D digons at every density; with fewer, sparse inputs give "
            "N − D simplices; with more, sparse inputs merge the blocks into one, while GELU stays with digons"
        ),
        source="ours: crossover map",
        paper="not in the paper",
        rule={
            "share of dimensions in digons, ReLU, N = 2D": (0.9, 1.0),
            "polysemantic blocks ÷ (N − D), ReLU, N < 2D, sparsest": (0.9, 1.1),
            "share of features in the largest block, ReLU, N = 4D, sparsest": (0.8, 1.0),
            "share of dimensions in digons, GELU, N = 4D, sparsest": (0.9, 1.0),
        },
        reason=(
            "At most 2D vectors have no positive overlap, and they fall into simplices. One dimension, block or "
            "feature in ten may be lost to training; merging may leave a few digons, so 20 % there."
        ),
    ),
}


def train_architecture(
    *, seed: int, device: str, model: str, densities, decay: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int, batch: int,
) -> dict:  # fmt: skip
    """Weights [density, seed, D, N] of one architecture; `quadratic` has importances √I and kurtosis 1.8/density."""
    importance = torch.tensor(decay ** np.arange(n_features)).expand(len(densities), -1)
    generator = streams.generator(seed, f"weights {model} {n_features}", device)
    p = torch.tensor(densities, dtype=torch.float64)
    if model == "quadratic":
        weights = quadratic.train_quadratic(importance.sqrt(), 1.8 / p, n_dims, n_seeds, generator).weights
    else:
        weights = autoencoders.train_autoencoders(
            model, p, importance, n_dims, n_seeds, generator, n_steps=n_steps, batch=batch, n_test=100
        ).weights
    return {"weights": weights.double().cpu().numpy()}
