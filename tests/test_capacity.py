"""lib.capacity and the trainers against theorems, numerical optima, automatic gradients, sampling and published numbers."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from lib import autoencoders, capacity, runtime
from lib.capacity import (
    blocks,
    feature_capacity,
    leverage,
    marginal_benefit,
    optimal_allocation,
    phase_boundaries,
    quadratic_loss,
    realise,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def dense_capacity(w):
    """The definition, written out with the N x N Gram matrix."""
    gram = w.swapaxes(-1, -2) @ w
    norm = np.diagonal(gram, axis1=-2, axis2=-1)
    total = (gram**2).sum(-1)
    return np.divide(norm**2, total, out=np.zeros_like(total), where=total > 0)


# ------------------------------------------------------------ capacity of given weights


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


# ------------------------------------------------------------ blocks


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


def test_blocks_leave_ignored_features_out_and_report_uneven_spectra():
    w = np.array([[1.0, 0.0, 0.01], [0.0, 2.0, 0.0]])
    assert [list(b.features) for b in blocks(w)] == [[0], [1]]
    (block,) = blocks(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
    assert block.spread > 1
    assert blocks(np.zeros((2, 3))) == []


# ------------------------------------------------------------ the loss


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
    generator = runtime.generator(0, "data")
    w, v = rng.standard_normal((2, 4)) / 2, rng.uniform(0.5, 2, 4)
    x = autoencoders.sparse_inputs(law, density, (400_000, 4), generator).numpy()
    error = (x**2 @ v - ((x @ w.T) ** 2).sum(1) - (v.sum() - (w**2).sum())) ** 2
    expected = quadratic_loss(w, v, autoencoders.INPUT_KURTOSIS[law](density))
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


# ------------------------------------------------------------ the optimal allocation


def numerical_optimum(v, kappa, dims):
    """min Σ L_i(C_i) with Σ C_i = D by a general-purpose solver."""
    result = minimize(
        lambda c: capacity.feature_loss(np.clip(c, 0, 1), v, kappa).sum(),
        np.full(len(v), dims / len(v)),
        jac=lambda c: -marginal_benefit(np.clip(c, 0, 1), v, kappa),
        bounds=[(0, 1)] * len(v),
        constraints={"type": "eq", "fun": lambda c: c.sum() - dims, "jac": lambda c: np.ones(len(v))},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    return result.x, result.fun


@pytest.mark.parametrize("seed", range(12))
def test_allocation_against_a_numerical_optimum(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    v = rng.uniform(0.3, 2, n) if seed % 3 else np.repeat(rng.uniform(0.5, 2, (n + 1) // 2), 2)[:n]  # with ties
    kappa = rng.uniform(3.5, 40, n) if seed % 2 else float(rng.uniform(3.5, 40))
    dims = float(rng.uniform(0.2, n - 0.2)) if seed % 4 else int(rng.integers(1, n + 1))
    best = optimal_allocation(v, kappa, dims)
    c, loss = numerical_optimum(v, kappa, dims)
    assert best.loss <= loss * (1 + 1e-9)
    np.testing.assert_allclose(best.capacity, c, atol=1e-4)
    assert best.capacity.sum() == pytest.approx(min(dims, n), abs=1e-12)


POSITIVE = st.floats(0.01, 100)


@settings(max_examples=200, deadline=None)
@given(st.lists(POSITIVE, min_size=1, max_size=12), st.floats(3.01, 1000), st.floats(0.01, 14))
def test_allocation_satisfies_the_conditions_of_the_optimum(v, kappa, dims):
    v = np.array(v)
    best = optimal_allocation(v, kappa, dims)
    c, benefit = best.capacity, marginal_benefit(best.capacity, v, kappa)
    worth = 2 * best.price**2
    assert c.sum() == pytest.approx(min(dims, len(v)), abs=1e-11)
    assert np.all(benefit[c == 1] >= worth * (1 - 1e-8)) and np.all(benefit[c == 0] <= worth * (1 + 1e-8))
    np.testing.assert_allclose(benefit[(c > 0) & (c < 1)], worth, rtol=1e-6)


def test_dense_inputs_give_whole_dimensions_to_the_most_important():
    v = np.array([1.0, 3.0, 2.0, 2.0, 0.5])
    for kappa in (1.2, 2.0, 3.0):
        np.testing.assert_array_equal(optimal_allocation(v, kappa, 2).capacity, [0, 1, 1, 0, 0])
        np.testing.assert_array_equal(optimal_allocation(v, kappa, 2.5).capacity, [0, 1, 1, 0.5, 0])
    assert optimal_allocation(v, 2.0, 2).loss == pytest.approx((2.0 - 1) * (1 + 4 + 0.25))


def test_enough_dimensions_and_equal_features():
    full = optimal_allocation(np.array([1.0, 2.0]), 10.0, 2)
    np.testing.assert_array_equal(full.capacity, 1)
    np.testing.assert_array_equal(full.norm, [1, 2])
    assert full.price == 0 and full.loss == 0
    equal = optimal_allocation(np.ones(20), 10.0, 8)
    np.testing.assert_allclose(equal.capacity, 0.4)
    assert equal.price == pytest.approx(1.875) and equal.loss == pytest.approx(45)


@pytest.mark.parametrize(
    ("decay", "kappa", "counts", "price", "loss"),
    [
        (0.8, 5, (7, 3, 10), 0.2559, 0.2897),
        (0.8, 10, (5, 7, 8), 0.333, 0.4901),
        (0.8, 30, (4, 12, 4), 0.419, 0.7735),
        (0.9, 5, (5, 7, 8), 0.616, 3.299),
        (0.9, 10, (3, 14, 3), 0.803, 5.413),
        (0.9, 30, (1, 19, 0), 0.994, 7.638),
        (0.9, 100, (0, 20, 0), 1.066, 8.525),
        (0.5, 5, (8, 0, 12), 0.0078, 8.138e-5),
        (0.5, 10, (7, 2, 11), 0.0096, 1.385e-4),
        (0.5, 30, (7, 4, 9), 0.0121, 2.170e-4),
    ],
)
def test_reference_allocations(decay, kappa, counts, price, loss):
    best = optimal_allocation(decay ** np.arange(20), kappa, 8)
    c = best.capacity
    assert ((c == 1).sum(), ((c > 0) & (c < 1)).sum(), (c == 0).sum()) == counts
    assert best.price == pytest.approx(price, rel=5e-3)
    assert best.loss == pytest.approx(loss, rel=1e-3)


def test_reference_marginal_benefits():
    v = 2.0 ** np.arange(1, 21)
    np.testing.assert_allclose(marginal_benefit(np.array([0.0, 1.0]), 2.0, 100.0), [19602, 8])
    for dims, worth in {8: 4.31e8, 9: 1.08e8, 10: 2.70e7}.items():
        best = optimal_allocation(v, 100.0, dims)
        shared = best.capacity[(best.capacity > 0) & (best.capacity < 1)]
        np.testing.assert_allclose(shared[::-1], [0.549, 0.264, 0.122, 0.051, 0.015], atol=5e-4)
        assert 2 * best.price**2 == pytest.approx(worth, rel=5e-3)


def test_the_price_can_be_read_off_the_spectrum():
    v = 0.9 ** np.arange(20)
    best = capacity.optimal_allocation(v, 30.0, 8)
    assert capacity.price_from_spectrum(capacity.realise(best)) == pytest.approx(best.price, rel=1e-10)
    deficient = np.concatenate([capacity.realise(best), np.zeros((2, 20))])
    assert capacity.price_from_spectrum(np.stack([deficient] * 2)) == pytest.approx(np.full(2, best.price), rel=1e-10)


def test_memory_grows_with_features_times_dims_only():
    w = np.random.default_rng(0).standard_normal((20, 20_000))
    tracemalloc.start()
    capacity.feature_capacity(w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * w.nbytes < w.shape[1] ** 2 * 8 / 100


def test_an_ensemble_is_its_models(rng):
    v, kappa, dims = rng.uniform(0.5, 2, (4, 3, 7)), rng.uniform(1.5, 9, (4, 1)), rng.integers(1, 9, (4, 3))
    together = optimal_allocation(v, kappa[..., None], dims)
    for index in np.ndindex(4, 3):
        alone = optimal_allocation(v[index], kappa[index[0], 0], dims[index])
        np.testing.assert_allclose(together.capacity[index], alone.capacity, rtol=1e-14)
        assert together.price[index] == pytest.approx(alone.price, rel=1e-14)


def test_the_price_is_the_worth_of_a_little_more_dimension():
    v, h = 0.8 ** np.arange(12), 1e-6
    for kappa in (2.0, 10.0):
        for dims in (3, 4.3):
            here, there = optimal_allocation(v, kappa, dims), optimal_allocation(v, kappa, dims + h)
            assert (here.loss - there.loss) / h == pytest.approx(2 * here.price**2, rel=1e-4)


def test_a_large_problem_is_quick_and_exact(rng):
    v = np.exp(rng.normal(0, 3, 100_000))
    best = optimal_allocation(v, 50.0, 1234.5)
    assert best.capacity.sum() == pytest.approx(1234.5, abs=1e-8)


# ------------------------------------------------------------ weights that realise it


@pytest.mark.parametrize("seed", range(10))
def test_realise_has_exactly_these_capacities_and_this_loss(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    dims = int(rng.integers(1, n + 1))
    v, kappa = np.exp(rng.normal(0, 1, n)), rng.uniform(1.5, 60) if seed % 2 else rng.uniform(3.1, 60, n)
    best = optimal_allocation(v, kappa, dims)
    w = realise(best)
    assert w.shape == (dims, n)
    np.testing.assert_allclose(feature_capacity(w), best.capacity, atol=1e-12)
    np.testing.assert_allclose((w**2).sum(0), best.norm, rtol=1e-12, atol=1e-14)
    scale = (v**2 * (np.asarray(kappa) - 1)).sum()
    assert quadratic_loss(w, v, kappa) == pytest.approx(best.loss, abs=1e-12 * scale)
    np.testing.assert_allclose(capacity.quadratic_gradient(w, v, kappa), 0, atol=1e-11 * scale)


def test_a_hand_made_set_of_digons_is_optimal():
    v, kappa = np.ones(20), 10.0
    best = optimal_allocation(v, kappa, 10)
    w = np.sqrt(best.price / 2) * np.kron(np.eye(10), [[1.0, -1.0]])
    assert best.loss == pytest.approx(32.7273, abs=1e-4)
    assert quadratic_loss(w, v, kappa) == pytest.approx(best.loss, rel=1e-12)


# ------------------------------------------------------------ laws


def test_phase_boundaries_are_where_the_allocation_changes():
    for kappa, dims, others, special in ((10.0, 10, 19, 1), (50.0, 10, 19, 3), (6.0, 1, 1, 1)):
        edge = phase_boundaries(kappa, dims, others, special)

        def capacity_at(ratio, kappa=kappa, dims=dims, others=others, special=special):
            return optimal_allocation(np.r_[np.ones(others), np.full(special, ratio)], kappa, dims).capacity[-1]

        assert capacity_at(edge.ignored * 0.999) == 0 < capacity_at(edge.ignored * 1.001) < 0.1
        assert capacity_at(edge.monosemantic * 1.001) == 1 > capacity_at(edge.monosemantic * 0.999) > 0.9
    assert phase_boundaries(10.0, 10, 19) == pytest.approx((19 / 54, 171 / 101))
    assert phase_boundaries(10.0, 1, 1) == pytest.approx((2 / 9, 9 / 2))
    np.testing.assert_array_equal(phase_boundaries(np.array([2.0, 3.0]), 10, 19), 1)


@pytest.mark.parametrize(("kappa", "ratio"), [(30.0, 0.9), (100.0, 0.8), (10.0, 0.95)])
def test_count_law(kappa, ratio):
    law = capacity.count_law(kappa, ratio)
    c = optimal_allocation(ratio ** np.arange(200), kappa, 40).capacity
    shared = (c > 0) & (c < 1)
    assert shared.sum() == pytest.approx(law.features, abs=1.5)
    assert c[shared].sum() == pytest.approx(law.dims, abs=1.0)


# ------------------------------------------------------------ trained models


def train(v, kappa, dims, n_seeds=3, **options):
    generator = runtime.generator(0, "weights")
    return autoencoders.train_quadratic(torch.tensor(v), torch.tensor(kappa), dims, n_seeds, generator, **options)


def test_training_finds_the_optimum():
    v, kappa = np.array([0.8 ** np.arange(8), 40 * 0.6 ** np.arange(8)]), np.array([6.0, 40.0])
    trained, best = train(v, kappa, 3), optimal_allocation(v, kappa[:, None], 3)
    assert trained.weights.shape == (2, 3, 3, 8)
    c = feature_capacity(trained.weights).numpy()
    np.testing.assert_allclose(c, np.broadcast_to(best.capacity[:, None], c.shape), atol=1e-8)
    np.testing.assert_allclose(trained.loss, np.broadcast_to(best.loss[:, None], (2, 3)), rtol=1e-10)
    assert trained.residual.max() < 1e-12
    np.testing.assert_allclose(capacity.eigenvalues(trained.weights[0, 0])[-1], best.price[0], rtol=1e-6)


def test_training_is_repeatable_and_does_not_mix_models():
    v, kappa = np.array([[1.0, 0.9, 0.8]] * 2), np.array([5.0, 2.0])
    first, again = train(v, kappa, 1), train(v, kappa, 1)
    torch.testing.assert_close(first.weights, again.weights, rtol=0, atol=0)
    start = torch.randn(4, 2, 3, dtype=torch.float64)
    v, a = torch.ones(4, 3, dtype=torch.float64), torch.full((4, 1), 8.0, dtype=torch.float64)

    def end(part):
        gradient = lambda p, _: (capacity.gradient_unchecked(p[0], v[part], a[part]),)  # noqa: E731
        return autoencoders.descend(gradient, (start[part],), 50, 0.05)[0]

    torch.testing.assert_close(end(slice(0, 4))[1:2], end(slice(1, 2)), rtol=1e-12, atol=1e-14)


def test_descend_leaves_its_start_alone_and_finds_a_minimum():
    start = torch.tensor([5.0, -3.0, 0.0], dtype=torch.float64)
    end = autoencoders.descend(lambda p, _: (2 * p[0],), (start,), 500, 0.1)[0]
    torch.testing.assert_close(start, torch.tensor([5.0, -3.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(end, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-3)
    assert end[2] == 0


def test_training_on_samples_comes_close():
    generator = runtime.generator(0, "data")
    v = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64)
    options = {"n_steps": 800, "batch": 256}
    w = autoencoders.train_quadratic_on_samples(v, 10.0, 1, 3, generator, **options)
    best = optimal_allocation(v.numpy(), 10.0, 1)
    assert w.shape == (3, 1, 3)
    np.testing.assert_allclose(feature_capacity(w).mean(0), best.capacity, atol=0.1)


@pytest.mark.parametrize("law", list(autoencoders.INPUT_KURTOSIS))
@pytest.mark.parametrize("density", [0.1, 0.7])
def test_sparse_inputs_have_the_moments_they_promise(law, density):
    x = autoencoders.sparse_inputs(law, density, (400_000,), runtime.generator(1, "data"))
    assert x.mean() == pytest.approx(0, abs=0.01)
    assert x.var() == pytest.approx(1, abs=0.02)
    tolerance = 0.15 if law == "laplace" else 0.04  # the standard error of its fourth moment is four per cent
    assert (x**4).mean() == pytest.approx(autoencoders.INPUT_KURTOSIS[law](density), rel=tolerance)


# ------------------------------------------------------------ errors


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
        (lambda: optimal_allocation(np.ones(3), 5.0, 0), r"dims = 0.0: allowed is finite and above 0"),
        (lambda: optimal_allocation(np.ones(3), 5.0, np.nan), r"dims = nan"),
        (lambda: optimal_allocation(np.ones(2), np.array([2.0, 5.0]), 1), r"kurtosis = 'a mixture': allowed is all"),
        (lambda: optimal_allocation(np.ones(0), 5.0, 1), r"importance.shape = \(0,\): allowed is \[..., features\]"),
        (lambda: realise(optimal_allocation(np.ones(3), 5.0, 1.5)), r"sum of allocation.capacity = 1.5: allowed is an"),
        (lambda: realise(optimal_allocation(np.ones((2, 3)), 5.0, 1)), r"allocation.capacity.shape = \(2, 3\)"),
        (lambda: phase_boundaries(5.0, 20, 19), r"dims = 20: allowed is from n_special = 1 to n_others = 19"),
        (lambda: capacity.count_law(3.0, 0.9), r"kurtosis = 3.0: allowed is above 3"),
        (lambda: capacity.count_law(5.0, 1.0), r"ratio = 1.0: allowed is in \(0, 1\)"),
        (lambda: train(np.ones(3), np.array(5.0), 0), r"dims = 0: allowed is at least 1"),
        (lambda: train(np.ones(3), np.array(5.0), 1, n_seeds=0), r"n_seeds = 0: allowed is at least 1"),
        (lambda: train(np.zeros(3), np.array(5.0), 1), r"importance = 0.0: allowed is above 0"),
        (lambda: train(np.ones(3), np.array(1.0), 1), r"kurtosis = 1.0: allowed is above 1"),
        (lambda: train(np.ones(3), np.array(5.0), 1, n_steps=-1), r"n_steps = -1: allowed is at least 0"),
        (lambda: train(np.ones(3), np.array(5.0), 1, lr=0.0), r"lr = 0.0: allowed is above 0"),
        (
            lambda: autoencoders.sparse_inputs("cauchy", 0.5, (2,), torch.Generator()),
            r"law = 'cauchy': allowed is one of gaussian",
        ),
        (
            lambda: autoencoders.sparse_inputs("sign", 0.0, (2,), torch.Generator()),
            r"density = 0.0: allowed is in \(0, 1\]",
        ),
        (
            lambda: autoencoders.train_quadratic_on_samples(torch.ones(2), 2.0, 1, 1, torch.Generator()),
            r"kurtosis = 2.0: allowed is at least 3",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_three_axes_of_blocks_are_refused():
    with pytest.raises(Exception, match="weights"):
        blocks(np.zeros((2, 3, 4)))
