"""Pairs above a cosine: the calibrated threshold, and the search against the whole Gram matrix."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from polysemanticity.audit import pairs


def units(n, dims, seed=0, kind=torch.float32):
    drawn = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn / drawn.norm(dim=1, keepdim=True)).to(kind)


@pytest.mark.parametrize(("n", "dims"), [(10, 2), (60, 16)])
def test_random_directions_exceed_the_calibrated_cosine_as_often_as_stated(n, dims):
    limit, trials = pairs.calibrated_cosine(n, dims, 0.2), 200
    exceeded = sum(pairs.above(units(n, dims, seed, torch.float64), limit).number > 0 for seed in range(trials))
    assert 0.1 < exceeded / trials < 0.28


@pytest.mark.parametrize(("kind", "wide"), [(torch.float64, 10**9), (torch.float32, 10**9), (torch.float32, 0)])
def test_the_search_finds_what_the_gram_matrix_shows(kind, wide, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 64)
    monkeypatch.setattr(pairs, "EDGES", 300)  # so that forests are made on the way
    monkeypatch.setattr(pairs, "WIDE", wide)
    rows = units(500, 12, 1, kind)
    rows[77] = -rows[300]
    found = pairs.above(rows, 0.75)
    gram = (rows.double() @ rows.double().T).numpy()
    np.fill_diagonal(gram, 0)
    linked = np.abs(gram) > 0.75
    assert found.number == linked.sum() / 2 > 300
    np.testing.assert_array_equal(found.degree, linked.sum(1))
    has = linked.any(1)
    np.testing.assert_array_equal(found.partner[has], np.abs(gram).argmax(1)[has])
    np.testing.assert_allclose(found.cosine[has], gram[np.arange(500), found.partner][has], atol=1e-12)
    assert np.all(found.partner[~has] == -1) and np.isnan(found.cosine[~has]).all() and found.cosine[77] < -0.999
    label = connected_components(linked, directed=False)[1]
    for block in range(found.block.max() + 1):
        members = found.block == block
        assert members.sum() > 1 and len(set(label[members])) == 1
        assert members.sum() == (label == label[members][0]).sum()
    sizes = np.bincount(found.block[found.block >= 0])
    assert np.all(np.diff(sizes) <= 0) and np.all(found.block[~has] == -1)


def test_half_precision_screens_only(monkeypatch):
    """A pair that bfloat16 would put on the wrong side of the threshold is found all the same."""
    monkeypatch.setattr(pairs, "_screen", lambda rows: rows.bfloat16())
    rows = units(300, 30, 2)
    gram = (rows.double() @ rows.double().T).numpy()[np.triu_indices(300, 1)]
    for limit in np.sort(np.abs(gram))[-40::4] - 1e-9:
        assert pairs.above(rows, float(limit)).number == (np.abs(gram) > limit).sum()


@pytest.mark.parametrize(
    ("arguments", "named"), [((1, 5, 0.1), "n_features"), ((5, 1, 0.1), "n_dims"), ((5, 5, 0.0), "level")]
)
def test_thresholds_that_make_no_sense(arguments, named):
    with pytest.raises(ValueError, match=named):
        pairs.calibrated_cosine(*arguments)
    with pytest.raises(ValueError, match="cosine"):
        pairs.above(units(3, 3), 1.0)
