"""Known embeddings have the blocks they were made of."""

import numpy as np
import pytest

from polysemanticity import capacity
from polysemanticity.capacity import geometry, phases


def test_archetypes_are_efficient_and_found_as_blocks():
    for name, w in geometry.archetypes(np.random.default_rng(0)).items():
        assert w.shape == (8, 16)
        assert capacity.feature_capacity(w).sum() == pytest.approx(8), name
    order, found = geometry.block_order(np.concatenate([w, np.zeros((8, 1))], 1))
    assert sorted(order) == list(range(17)) and order[-1] == 16
    assert sorted(len(block.features) for block in found) == [1, 1, 1, 2, 3, 8]


def test_shares_and_geometry_of_known_embeddings():
    kinds = geometry.archetypes(np.random.default_rng(0))
    w = np.stack([kinds["all monosemantic"], kinds["one block (16, 8)"], kinds["eight digons (2, 1)"]])
    shares, shape = phases.polysemantic_shares(w), geometry.block_geometry(w)
    np.testing.assert_allclose(shares.represented, [0, 1, 1])
    np.testing.assert_allclose(shares.all, [0, 1, 1])
    np.testing.assert_allclose(shares.capacity, [0, 1, 1], atol=1e-9)
    np.testing.assert_allclose(shape.blocks, [0, 1, 8])
    np.testing.assert_allclose(shape.size, [1, 16, 2])
    np.testing.assert_allclose(shape.largest, [1 / 8, 1, 1 / 8])
    np.testing.assert_allclose(shape.digons, [0, 0, 1])
