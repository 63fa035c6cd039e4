"""The geometry of embeddings: their blocks put in order and counted, and the archetypes to compare them with.

Symbols as in `capacity`; a block is a group of connected features (`capacity.blocks`), (n, d) one of n features in
d dimensions, a digon (2, 1).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from scipy.linalg import block_diag

from polysemanticity import capacity


def block_order(
    weights: Float[np.ndarray, "dims features"], cosine: float = 0.05, norm: float = 1e-3
) -> tuple[Integer[np.ndarray, " features"], list[capacity.Block]]:
    """The features sorted by block (largest first), then those that are ignored; and the blocks."""
    found = capacity.blocks(weights, cosine=cosine, norm=norm)
    members = np.concatenate([block.features for block in found])
    return np.concatenate([members, np.setdiff1d(np.arange(weights.shape[-1]), members)]), found


class Geometry(NamedTuple):
    """Polysemantic blocks of one embedding or of an ensemble of them."""

    blocks: Integer[np.ndarray, "*ensemble"]  # number of blocks with more than one feature
    size: Float[np.ndarray, "*ensemble"]  # mean size of the block that a represented feature is in
    largest: Float[np.ndarray, "*ensemble"]  # share of the represented features in the largest block
    digons: Float[np.ndarray, "*ensemble"]  # share of the dimensions in blocks of two features in one dimension
    efficiency: Float[np.ndarray, "*ensemble"] | np.floating


def block_geometry(weights: Float[np.ndarray, "*ensemble dims features"]) -> Geometry:
    """The blocks of every embedding of an ensemble, at the usual thresholds of `capacity.blocks`."""
    flat = weights.reshape(-1, *weights.shape[-2:])
    rows = []
    for w in flat:
        found = capacity.blocks(w)
        sizes = np.array([len(block.features) for block in found])
        digons = sum(len(block.features) == 2 and block.dims == 1 for block in found)
        rows.append(((sizes > 1).sum(), (sizes**2).sum() / sizes.sum(), sizes.max() / sizes.sum(), digons / w.shape[0]))
    shape = weights.shape[:-2]
    return Geometry(*(np.reshape(column, shape) for column in zip(*rows, strict=True)), capacity.efficiency(weights))


def archetypes(rng: np.random.Generator) -> dict[str, Float[np.ndarray, "8 16"]]:
    """Four block-semi-orthogonal embeddings of 16 features in 8 dimensions, all with eigenvalue 1 and Σ C = 8."""
    digon = np.array([[1.0, -1.0]]) / math.sqrt(2)
    triangle = np.array([[np.cos(t), np.sin(t)] for t in 2 * np.pi * np.arange(3) / 3]).T * math.sqrt(2 / 3)

    def dense(n_features, n_dims):
        return np.linalg.qr(rng.standard_normal((n_features, n_dims)))[0].T

    return {
        "all monosemantic": np.eye(8, 16),
        "one block (16, 8)": dense(16, 8),
        "eight digons (2, 1)": block_diag(*[digon] * 8),
        "a mixture": block_diag(np.eye(3), digon, triangle, dense(8, 2)),
    }
