"""Capacity, blocks and loss of given weights against theorems, automatic gradients and sampling."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csgraph

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import blocks, feature_capacity, leverage, marginal_benefit, quadratic, quadratic_loss


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def dense_capacity(w):
    """The definition, written out with the N x N Gram matrix."""
    gram = w.swapaxes(-1, -2) @ w
    norm = np.diagonal(gram, axis1=-2, axis2=-1)
    total = (gram**2).sum(-1)
    return np.divide(norm**2, total, out=np.zeros_like(total), where=total > 0)


def test_known_capacities():
    orthogonal, digon = np.eye(3), np.array([[1.0, -1.0]])
    triangle = np.array([[np.cos(t), np.sin(t)] for t in 2 * np.pi * np.arange(3) / 3]).T
    np.testing.assert_allclose(feature_capacity(orthogonal), 1)
    np.testing.assert_allclose(feature_capacity(digon), 0.5)
    np.testing.assert_allclose(feature_capacity(triangle), 2 / 3)
    np.testing.assert_allclose(feature_capacity(np.array([[2.0, 1.0]])), [16 / 20, 1 / 5])


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (4, 4), (5, 2, 9), (2, 3, 6, 4)])
def test_capacity_is_its_definition(rng, shape):
    w = rng.standard_normal(shape)
    np.testing.assert_allclose(feature_capacity(w), dense_capacity(w), rtol=1e-12)
    torch.testing.assert_close(feature_capacity(torch.tensor(w)).numpy(), feature_capacity(w), rtol=1e-12, atol=0)


def test_zero_columns_have_no_capacity_and_tiny_ones_keep_theirs():
    w = np.array([[1.0, 0.0, 1e-160], [0.0, 0.0, 1e-160]])
    np.testing.assert_allclose(feature_capacity(w), [1, 0, 0], atol=1e-300)
    np.testing.assert_allclose(feature_capacity(1e-200 * np.eye(2)), 1)
    np.testing.assert_allclose(feature_capacity(np.zeros((2, 3))), 0)
    np.testing.assert_allclose(feature_capacity(np.array([[2, 0], [0, 3]])), 1)


def test_capacity_is_invariant_to_rotation_scale_and_order(rng):
    w = rng.standard_normal((4, 9))
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    order = rng.permutation(9)
    np.testing.assert_allclose(feature_capacity(-3e5 * rotation @ w), feature_capacity(w), rtol=1e-12)
    np.testing.assert_allclose(feature_capacity(w[:, order]), feature_capacity(w)[order], rtol=1e-12)


ENTRIES = st.one_of(st.just(0.0), st.floats(-1e3, 1e3), st.sampled_from([1.0, -1.0, 1e-9, 1e9]))


WEIGHTS = hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=ENTRIES)


@settings(max_examples=300, deadline=None)
@given(WEIGHTS)
def test_capacities_never_exceed_one_or_the_dimensions(w):
    c = feature_capacity(w)
    assert np.all((c >= 0) & (c <= 1 + 1e-12))
    assert c.sum() <= min(w.any(1).sum(), w.any(0).sum()) + 1e-9


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(-3, 3).map(float)))
def test_leverage_bounds_every_capacity_and_sums_to_the_rank(w):
    assert np.all(feature_capacity(w) <= leverage(w) + 1e-9)
    assert leverage(w).sum() == pytest.approx(np.linalg.matrix_rank(w), abs=1e-9)


def test_the_bound_is_met_exactly_by_eigenvectors(rng):
    rows = np.linalg.qr(rng.standard_normal((8, 3)))[0].T
    efficient = np.block([[2 * rows, np.zeros((3, 2))], [np.zeros((2, 8)), np.diag([1.0, 3.0])]])
    assert feature_capacity(efficient).sum() == pytest.approx(5, abs=1e-12)
    assert capacity.efficiency(efficient) == pytest.approx(1, abs=1e-12)
    mixed = efficient.copy()
    mixed[:, 9] += 0.1 * mixed[:, 8]  # no longer an eigenvector of W Wᵀ
    assert feature_capacity(mixed).sum() < 5 - 1e-4


@pytest.mark.parametrize(("features", "dims"), [(20, 10), (30, 8), (300, 20)])
def test_random_baseline(rng, features, dims):
    measured = capacity.efficiency(rng.standard_normal((200, dims, features))).mean()
    assert measured == pytest.approx(capacity.random_efficiency(features, dims), rel=0.02)


def test_capacity_is_the_share_of_a_readout_that_its_feature_explains(rng):
    w, x = rng.standard_normal((3, 6)), rng.standard_normal((200_000, 6))
    readout = x @ (w.T @ w)
    r2 = [np.corrcoef(x[:, i], readout[:, i])[0, 1] ** 2 for i in range(6)]
    np.testing.assert_allclose(r2, feature_capacity(w), atol=0.01)


def test_many_features_never_need_the_gram_matrix():
    assert feature_capacity(np.ones((2, 200_000), dtype=np.float32)).shape == (200_000,)


def planted(rng, sizes):
    """Semi-orthogonal blocks (features, dims) with eigenvalue 2, rotated and shuffled; and the shuffled members of each."""
    dims, features = sum(d for _, d in sizes), sum(n for n, _ in sizes)
    w, row, column = np.zeros((dims, features)), 0, 0
    for n, d in sizes:
        q = np.linalg.qr(rng.standard_normal((n, d)))[0].T
        w[row : row + d, column : column + n] = np.sqrt(2) * q
        row, column = row + d, column + n
    order = rng.permutation(features)
    return np.linalg.qr(rng.standard_normal((dims, dims)))[0] @ w[:, order]


def test_blocks_finds_planted_blocks(rng):
    sizes = [(6, 2), (3, 2), (2, 1), (1, 1)]
    found = blocks(planted(rng, sizes), cosine=1e-9, norm=1e-9)
    assert sorted(((len(b.features), b.dims) for b in found), reverse=True) == sizes
    assert sorted(np.concatenate([b.features for b in found])) == list(range(12))
    for block in found:
        assert block.eigenvalue == pytest.approx(2) and block.spread == pytest.approx(0, abs=1e-12)


def test_blocks_found_in_parts_are_those_of_the_whole_graph(rng, monkeypatch):
    w = rng.standard_normal((30, 90))
    unit = w / np.linalg.norm(w, axis=0)
    for cosine in (0.3, 0.4, 0.5, 0.9):
        count, label = csgraph.connected_components(np.abs(unit.T @ unit) > cosine, directed=False)
        expected = sorted(tuple(np.flatnonzero(label == k)) for k in range(count))
        for part in (90, 1000, 2**22):
            monkeypatch.setattr(capacity, "PART", part)
            assert sorted(tuple(b.features) for b in blocks(w, cosine)) == expected


def test_blocks_of_many_features_take_little_memory(rng):
    axis = rng.integers(64, size=12_000)
    w = (np.eye(64)[:, axis] + 0.02 * rng.standard_normal((64, 12_000))).astype(np.float32)
    tracemalloc.start()
    found = blocks(w, cosine=0.8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(tuple(b.features) for b in found) == sorted(tuple(np.flatnonzero(axis == k)) for k in range(64))
    assert peak < 4 * 12_000**2 / 3  # the Gram matrix alone has three times as much


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_features_may_be_rows(rng, kind):
    w = rng.standard_normal((4, 9))
    for measure in (feature_capacity, leverage, capacity.efficiency):
        np.testing.assert_allclose(measure(kind(w.T), features="rows"), measure(kind(w)))
    assert str(blocks(kind(w.T), features="rows")) == str(blocks(kind(w)))
    for measure in (feature_capacity, leverage, capacity.efficiency, blocks):
        with pytest.raises(ValueError, match="features = 'first': allowed is 'rows' or 'columns'"):
            measure(kind(w), features="first")


def test_blocks_leave_ignored_features_out_and_report_uneven_spectra():
    w = np.array([[1.0, 0.0, 0.01], [0.0, 2.0, 0.0]])
    assert [list(b.features) for b in blocks(w)] == [[0], [1]]
    (block,) = blocks(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
    assert block.spread > 1
    assert blocks(np.zeros((2, 3))) == []


@pytest.mark.parametrize(("dims", "features"), [(2, 5), (5, 2)])
def test_loss_is_its_definition_and_gradient_is_autograd(rng, dims, features):
    w = torch.tensor(rng.standard_normal((3, dims, features)), requires_grad=True)
    v, kappa = rng.uniform(0.5, 2, (3, features)), rng.uniform(1.2, 30, (3, features))
    gram = w.mT @ w
    norm = torch.diagonal(gram, dim1=-2, dim2=-1)
    off = gram - torch.diag_embed(norm)
    written_out = (torch.tensor(kappa - 1) * (torch.tensor(v) - norm) ** 2).sum(-1) + 2 * (off**2).sum((-2, -1))
    loss = quadratic_loss(w, v, kappa)
    torch.testing.assert_close(loss, written_out, rtol=1e-12, atol=0)
    (wanted,) = torch.autograd.grad(loss.sum(), w)
    torch.testing.assert_close(capacity.quadratic_gradient(w.detach(), v, kappa), wanted, rtol=1e-12, atol=1e-12)
    numpy_gradient = capacity.quadratic_gradient(w.detach().numpy(), v, kappa)
    np.testing.assert_allclose(numpy_gradient, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("law", "density"), [("gaussian", 0.3), ("uniform", 0.3), ("sign", 0.1), ("positive", 0.4)])
def test_loss_formula_against_sampling(rng, law, density):
    generator = streams.generator(0, "data")
    w, v = rng.standard_normal((2, 4)) / 2, rng.uniform(0.5, 2, 4)
    x = quadratic.sparse_inputs(law, density, (400_000, 4), generator).numpy()
    error = (x**2 @ v - ((x @ w.T) ** 2).sum(1) - (v.sum() - (w**2).sum())) ** 2
    expected = quadratic_loss(w, v, quadratic.INPUT_KURTOSIS[law](density))
    assert abs(error.mean() - expected) < 4.5 * error.std() / np.sqrt(len(error))


def test_the_loss_separates_into_losses_at_given_capacity_and_norm(rng):
    w, v, kappa = rng.standard_normal((3, 7)), rng.uniform(0.5, 2, 7), rng.uniform(2, 9, 7)
    c, n = feature_capacity(w), (w**2).sum(0)
    parts = (kappa - 1) * (v - n) ** 2 + 2 * n**2 * (1 / c - 1)
    assert quadratic_loss(w, v, kappa) == pytest.approx(parts.sum(), rel=1e-12)
    best = (kappa - 1) * v * c / (2 + (kappa - 3) * c)
    least = (kappa - 1) * (v - best) ** 2 + 2 * best**2 * (1 / c - 1)
    np.testing.assert_allclose(capacity.feature_loss(c, v, kappa), least, rtol=1e-12)
    assert np.all(least <= parts)


def test_memory_grows_with_features_times_dims_only():
    w = np.random.default_rng(0).standard_normal((20, 20_000))
    tracemalloc.start()
    capacity.feature_capacity(w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * w.nbytes < w.shape[1] ** 2 * 8 / 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_capacity(np.array([[1.0, np.nan]])), r"weights = nan: allowed is finite numbers"),
        (lambda: feature_capacity(torch.tensor([[1.0, np.inf]])), r"weights = inf: allowed is finite"),
        (lambda: feature_capacity(np.zeros((0, 3))), r"weights.shape = \(0, 3\): allowed is \[..., dims, features\]"),
        (lambda: leverage(np.zeros((2, 0))), r"weights.shape = \(2, 0\)"),
        (lambda: blocks(np.eye(2), cosine=1.5), r"cosine = 1.5: allowed is a threshold in \[0, 1\)"),
        (
            lambda: quadratic_loss(np.eye(2), np.array([1.0, 0.0]), 5.0),
            r"importance = 0.0: allowed is finite and above 0",
        ),
        (lambda: quadratic_loss(np.eye(2), np.ones(2), 1.0), r"kurtosis = 1.0: allowed is finite and above 1"),
        (lambda: marginal_benefit(1.2, 1.0, 5.0), r"capacity = 1.2: allowed is in \[0, 1\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_three_axes_of_blocks_are_refused():
    with pytest.raises(Exception, match="weights"):
        blocks(np.zeros((2, 3, 4)))


def test_capacities_in_parts_are_those_of_the_whole(rng, monkeypatch):
    w = rng.standard_normal((2, 5, 40)) * np.array([1e-3, 1e3])[:, None, None]
    w[0, :, 7] = 0
    whole = feature_capacity(w)
    monkeypatch.setattr(capacity, "PART", 90)
    np.testing.assert_allclose(feature_capacity(w), whole, rtol=1e-13)
    np.testing.assert_allclose(feature_capacity(torch.tensor(w)).numpy(), whole, rtol=1e-13)
