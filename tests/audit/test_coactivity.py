"""Overlap against co-activity: its law in random directions, features that avoid or seek each other, refusals."""

import numpy as np
import pytest
import torch
from scipy import sparse

from polysemanticity import audit
from polysemanticity.audit import coactivity


def units(n, dims, rng):
    drawn = rng.standard_normal((n, dims))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def events(n, rate, rng):
    """How often each pair of n features is active together, of which a third are often so."""
    seen = np.triu(rng.random((n, n)) < rate, 1) * rng.exponential(size=(n, n))
    return seen + seen.T


@pytest.mark.parametrize(("n", "dims", "rate"), [(40, 6, 0.3), (12, 6, 0.03), (12, 64, 0.03)])
def test_random_directions_have_the_law_that_is_stated(n, dims, rate):
    """Many pairs, where it is nearly normal, and two of them, where it is far from it. 300 trials: 0.025 is 2 errors."""
    rng = np.random.default_rng(n + dims)
    together, used = events(n, rate, rng), np.ones(n, bool)
    z = np.array([coactivity.overlap(units(n, dims, rng), together, used).z for _ in range(300)])
    assert np.mean(z > 1.645) == pytest.approx(0.05, abs=0.03) and np.mean(z < -1.645) < 0.085
    if n == 40:
        assert np.mean(z < -1.645) > 0.015 and z.mean() == pytest.approx(0, abs=0.15)


def test_features_that_avoid_or_seek_each_other_are_found():
    """Antipodal pairs: those that are never, or always, seen together."""
    half = units(30, 12, np.random.default_rng(1)).numpy()
    weights, rng = np.concatenate([half, -half]), np.random.default_rng(2)
    partner = np.kron(np.array([[0, 1], [1, 0]]), np.eye(30))
    seek = audit.weights(weights, coactivity=partner)
    assert seek.coactive.z > 5 and seek.coactive.overlap == pytest.approx(12) and seek.shares == 4
    np.testing.assert_allclose(seek.table["coactive_overlap"], 12)
    assert "features that are active together overlap more than others" in seek.findings
    together = events(60, 0.5, rng) * (1 - partner)
    avoid = audit.weights(weights, coactivity=together)
    assert avoid.coactive.z < 0 and avoid.coactive.overlap < 1 and "overlap of features active together" in str(avoid)


def test_dense_and_sparse_say_the_same():
    rng = np.random.default_rng(3)
    directions, together = units(50, 8, rng), events(50, 0.1, rng)
    used = np.arange(50) > 2
    forms = [
        together,
        torch.from_numpy(together).float(),
        sparse.csr_array(together),
        torch.from_numpy(together).to_sparse(),
    ]
    found = [
        coactivity.overlap(directions, form, used) for form in [*forms, torch.from_numpy(together).to_sparse_csr()]
    ]
    b = (directions @ directions.T).square().numpy()
    i, j = np.triu_indices(50, 1)
    kept = used[i] & used[j]
    a, b = together[i, j][kept], b[i, j][kept]
    for each in found:
        assert each.overlap == pytest.approx(8 * (a * b).sum() / a.sum(), rel=1e-6) and each.n_pairs == (a > 0).sum()
        assert each.z == pytest.approx(found[0].z, abs=1e-5) and np.isnan(each.by_feature[0])
    assert np.sign(found[0].z) == np.sign(((a - a.mean()) * b).sum())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.ones((4, 4)), r"shape of coactivity = \(4, 4\): allowed is \(5, 5\)"),
        (-np.ones((5, 5)), "coactivity = 'negative"),
        (np.triu(np.ones((5, 5))), "asymmetric"),
        (np.ones((5, 5)), "the same for all pairs"),
        (np.zeros((5, 5)), "the same for all pairs"),
        ("often", "coactivity = 'str"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(value, named):
    with pytest.raises(ValueError, match=named):
        audit.weights(np.eye(5)[:, :3] + 0.1, coactivity=value)
