"""The bound on capacity: random, degenerate and block-semi-orthogonal embeddings (FC-01)."""

import math

import numpy as np

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.claims import Claim

FIGURES = {
    "figx_bound": (
        "Share of the dimensions in use against features per dimension: random embeddings of every kind stay below "
        "one, Gaussian ones follow N/(N+D−1), block-semi-orthogonal ones reach one."
    ),
}


CLAIMS = {
    "FC-01": Claim(
        id="FC-01",
        claim=(
            "Capacity is the fraction of a dimension that a feature consumes: capacities sum to at most the number "
            "of dimensions, and an embedding uses all of it exactly when it is block-semi-orthogonal"
        ),
        source="definition of capacity; geometry of efficient embeddings",
        paper="Σ C ≤ D",
        rule={
            "largest Σ C − rank": (-math.inf, 1e-9),
            "|Σ C − rank| of block-semi-orthogonal embeddings": (-math.inf, 1e-9),
            "smallest rank − Σ C after a perturbation of 1 %": (1e-6, math.inf),
            "Σ C/D of Gaussian embeddings ÷ N/(N+D−1)": (0.97, 1.03),
        },
        reason=(
            "Theorems, so only rounding is allowed (float64, up to 1,000 features); a perturbation ε costs order ε² "
            "= 1e-4 per dimension, and 1e-6 is far above rounding. The random baseline is ours and of leading order "
            "in 1/D: 3 % at D ≥ 8."
        ),
    ),
}


def random_embeddings(*, seed: int, device: str, kind: str, n_features: int, n_dims: int, n_samples: int) -> dict:
    """Σ C, rank and largest excess of a capacity over its leverage score, for random embeddings of one kind."""
    rng = streams.rng(seed, f"weights {kind} {n_features} {n_dims}")
    w = KINDS[kind](rng, n_samples, n_dims, n_features)
    c, bound = capacity.feature_capacity(w), capacity.leverage(w)
    return {"total": c.sum(-1), "rank": bound.sum(-1).round(), "excess": (c - bound).max(-1)}


def _gaussian(rng, *shape):
    return rng.standard_normal(shape)


def _heavy(rng, *shape):
    return rng.standard_t(1.5, size=shape)


def _low_rank(rng, n, dims, features):
    rank = max(1, dims // 2)
    return rng.standard_normal((n, dims, rank)) @ rng.standard_normal((n, rank, features))


def _degenerate(rng, n, dims, features):
    """Columns that are zero, tiny or copies of others."""
    w = rng.standard_normal((n, dims, features))
    w[..., ::4] = 0
    w[..., 1::4] *= 1e-6
    w[..., 2::4] = w[..., 2:3]
    return w


def _block_semi_orthogonal(rng, n, dims, features, noise=0.0):
    """Two blocks of random eigenvalues, rows orthonormal in each, features shuffled."""
    w = np.zeros((n, dims, features))
    half, split = dims // 2, features * (dims // 2) // dims
    for model in w:
        for rows, columns in ((slice(0, half), slice(0, split)), (slice(half, dims), slice(split, features))):
            block = rng.standard_normal(model[rows, columns].shape)
            model[rows, columns] = np.linalg.svd(block, full_matrices=False)[2] * rng.uniform(0.5, 2)
        model[:] = model[:, rng.permutation(features)]
    return w + noise * np.abs(w).mean() * rng.standard_normal(w.shape)


def _perturbed(rng, *shape):
    return _block_semi_orthogonal(rng, *shape, noise=0.01)


KINDS = {
    "gaussian": _gaussian,
    "heavy-tailed": _heavy,
    "low rank": _low_rank,
    "degenerate": _degenerate,
    "block-semi-orthogonal": _block_semi_orthogonal,
    "perturbed by 1 %": _perturbed,
}
