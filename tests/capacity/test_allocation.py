"""The optimal allocation against numerical optima, published numbers and the weights that realise it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from polysemanticity import capacity
from polysemanticity.capacity import feature_capacity, marginal_benefit, optimal_allocation, quadratic_loss, realise


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_allocation(np.ones(3), 5.0, 0), r"dims = 0.0: allowed is finite and above 0"),
        (lambda: optimal_allocation(np.ones(3), 5.0, np.nan), r"dims = nan"),
        (lambda: optimal_allocation(np.ones(2), np.array([2.0, 5.0]), 1), r"kurtosis = 'a mixture': allowed is all"),
        (lambda: optimal_allocation(np.ones(0), 5.0, 1), r"importance.shape = \(0,\): allowed is \[..., features\]"),
        (lambda: realise(optimal_allocation(np.ones(3), 5.0, 1.5)), r"sum of allocation.capacity = 1.5: allowed is an"),
        (lambda: realise(optimal_allocation(np.ones((2, 3)), 5.0, 1)), r"allocation.capacity.shape = \(2, 3\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_capacity_is_the_represented_strength_in_prices_and_what_it_saves():
    """C = n/λ among those who share, and the loss is a Σ v² less a Σ v n: exact."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        v, kappa = rng.uniform(0.2, 1, 9), rng.uniform(3.2, 80)
        best = capacity.optimal_allocation(v, kappa, rng.integers(1, 9))
        shared = (best.capacity > 0) & (best.capacity < 1)
        np.testing.assert_allclose(best.capacity[shared], best.norm[shared] / best.price, rtol=1e-12)
        np.testing.assert_allclose(best.loss, (kappa - 1) * (v * (v - best.norm)).sum(), rtol=1e-12)
        each = (kappa - 1) * v**2 - capacity.feature_loss(best.capacity, v, kappa)
        np.testing.assert_allclose(each, (kappa - 1) * v * best.norm, rtol=1e-11, atol=1e-14)
