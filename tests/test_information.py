"""Entropies, the capacity of dropout and the bounds of power-law codes: known values, limits, second ways."""

import numpy as np
import pytest
from scipy import optimize
from scipy.linalg import qr

from polysemanticity import information


def test_binary_entropy_of_known_values():
    np.testing.assert_allclose(information.binary_entropy([0, 0.5, 1, 0.11]), [0, 1, 0, 0.499916], atol=1e-6)
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(information.binary_entropy(p), information.binary_entropy(1 - p), atol=1e-15)


def test_the_entropy_lemma_on_an_explicit_source():
    values = np.full(64, 1 / 64)  # six bits, none of them zero
    for sparsity in (0.0, 0.3, 0.7, 1.0):
        table = np.concatenate([[sparsity], (1 - sparsity) * values])
        entropy = -sum(p * np.log2(p) for p in table if p > 0)
        assert information.sparse_entropy(sparsity, 6) == pytest.approx(entropy)
    assert information.sparse_entropy(0.7, 6) == pytest.approx(2.6813, abs=5e-5)


def test_dimensions_per_feature_matches_the_sheet():
    density = 1 / np.array([1, 1.5, 2, 5, 10, 100])
    four = information.dimensions_per_feature(1 - density, 4)
    np.testing.assert_allclose(four, [1.000, 0.896, 0.750, 0.380, 0.217, 0.030], atol=6e-4)
    fine = information.dimensions_per_feature(1 - density, 24)
    np.testing.assert_allclose(fine, [1.000, 0.705, 0.542, 0.230, 0.120, 0.013], atol=6e-4)
    assert information.dimensions_per_feature(0.9, 1e9) == pytest.approx(0.1)
    assert information.dimensions_per_feature(2.0**-9, 8) > 1


def test_dropout_capacity_of_known_values():
    found = information.dropout_capacity([0.1, 0.2, 0.5, 0.2, 0.2], [2, 2, 2, 16, 256])
    np.testing.assert_allclose(found, [0.763, 0.618, 0.322, 3.126, 6.395], atol=5e-4)
    assert information.dropout_capacity(0, 8) == 3 and information.dropout_capacity(1, 8) == 0
    assert information.dropout_capacity(0.5, 2) == pytest.approx(np.log2(5 / 4))  # the Z-channel at one half


def test_zero_is_shunned_from_the_stated_number_of_levels_on():
    for rate, levels in ((0.2, 9), (0.5, 5), (0.8, 5)):
        assert information.dropout_capacity(rate, levels) == pytest.approx((1 - rate) * np.log2(levels - 1))
        fewer = information.dropout_capacity(rate, levels - 1)
        assert fewer > (1 - rate) * np.log2(levels - 2) + 1e-6


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5, 0.8, 0.99, 1.0])
def test_dropout_capacity_is_blahut_and_arimotos(rate):
    for levels in (2, 3, 4, 5, 9, 16, 64):
        channel = information.dropout_channel(rate, levels)
        bits, source = information.blahut_arimoto(channel)
        assert bits == pytest.approx(information.dropout_capacity(rate, levels), abs=1e-6)
        low, high = information.capacity_bounds(channel, source)
        assert low - 1e-12 <= high <= low + 1e-9 and low == bits


def test_the_papers_bounds_hold():
    rate, levels = np.meshgrid(np.linspace(0, 1, 21), 2 ** np.arange(1, 9))
    capacity = information.dropout_capacity(rate, levels)
    lower, upper = information.dropout_capacity_bounds(rate, levels)
    assert (lower <= capacity + 1e-12).all() and (capacity <= upper + 1e-12).all()
    assert (np.diff(capacity, axis=1) <= 1e-12).all() and (np.diff(capacity, axis=0) >= -1e-12).all()


def test_blahut_arimoto_on_channels_with_known_capacity():
    p = 0.11
    symmetric = np.array([[1 - p, p], [p, 1 - p]])
    assert information.blahut_arimoto(symmetric).bits == pytest.approx(1 - information.binary_entropy(p), abs=1e-9)
    erasure = np.array([[0.7, 0, 0.3], [0, 0.7, 0.3]])
    assert information.blahut_arimoto(erasure).bits == pytest.approx(0.7, abs=1e-9)
    assert information.blahut_arimoto(np.ones((3, 1))).bits == 0
    typewriter = (np.eye(6) + np.roll(np.eye(6), 1, axis=1)) / 2
    assert information.blahut_arimoto(typewriter).bits == pytest.approx(np.log2(3), abs=1e-9)


def test_blahut_arimoto_agrees_with_numerical_maximization():
    rng = np.random.default_rng(0)
    for _ in range(5):
        channel = rng.dirichlet(np.full(5, 0.4), size=4)

        def loss(x, channel=channel):
            source = np.exp(x - x.max())
            return -information.capacity_bounds(channel, source / source.sum()).lower

        best = min(optimize.minimize(loss, rng.standard_normal(4), tol=1e-12).fun for _ in range(3))
        assert information.blahut_arimoto(channel).bits == pytest.approx(-best, abs=1e-5)


def test_capacity_does_not_depend_on_the_order_of_symbols():
    rng = np.random.default_rng(1)
    channel = rng.dirichlet(np.ones(4), size=5)
    shuffled = channel[rng.permutation(5)][:, rng.permutation(4)]
    first, second = information.blahut_arimoto(channel).bits, information.blahut_arimoto(shuffled).bits
    assert first == pytest.approx(second, abs=2e-9)


def test_the_power_law_bound_of_the_sheet():
    bound = information.power_law_entropy_bound
    assert bound(1024, 8, 0.0) == 1024 * 8 == bound(1024, 8, 0.0, "printed")
    assert bound(1024, 8, 1.0) == pytest.approx(3807, abs=1)
    assert bound(1024, 8, 2.0, "corrected") == pytest.approx(-577, abs=1)
    assert bound(1024, 8, [2.0, 3.0]) == pytest.approx([364, 81], abs=0.5)
    assert bound(1024, 8, 0.5, "printed") > 8192


def test_water_filling_is_the_cut_sum_and_falls_with_the_exponent():
    for n, a in ((3.0, 0.7), (5.5, 2.0)):
        by_hand = sum(max(0.0, n - a / 2 * np.log2(i)) for i in range(1, 101))
        assert information.power_law_entropy_bound(100, n, a) == pytest.approx(by_hand)
    bounds = information.power_law_entropy_bound(64, 4, np.linspace(0, 6, 30))
    assert (np.diff(bounds) < 0).all() and bounds.min() > 0


def test_the_certified_bound_is_close_above_water_filling():
    for n in (1, 4, 8):
        for a in (0.0, 0.5, 1.0, 2.0, 4.0):
            eigenvalues = 4.0**n / 12 * np.arange(1, 201) ** -a
            above = information.covariance_entropy_bound(eigenvalues) - information.power_law_entropy_bound(200, n, a)
            assert 0.25 * 200 <= above <= 0.755 * 200


def test_the_certified_bound_needs_no_principal_axes():
    rng = np.random.default_rng(0)
    for precision, exponent in ((1, 0.5), (2, 1.0), (3, 2.0)):
        rotation = qr(rng.standard_normal((3, 3)))[0]
        widths = 2**precision * np.arange(1, 4) ** (-exponent / 2) / np.sqrt(12)
        units = np.rint(rng.standard_normal((100_000, 3)) * widths @ rotation)
        entropy = information.sample_entropy(units)
        bound = information.covariance_entropy_bound(np.linalg.eigvalsh(np.cov(units.T)))
        assert entropy.bits + 4 * entropy.stderr < bound < entropy.bits + 3 * 0.76


def test_the_certified_bound_scales_and_is_nearly_reached_by_fine_gaussians():
    values = np.array([100.0, 40.0, 9.0])
    assert information.covariance_entropy_bound(values, 2.0) == pytest.approx(
        information.covariance_entropy_bound(values / 4)
    )
    exact = information.rounded_gaussian_entropy(np.sqrt(values)).sum()
    assert exact <= information.covariance_entropy_bound(values) < exact + 1e-2


def test_rounded_gaussian_entropy_of_limits_and_samples():
    assert information.rounded_gaussian_entropy([0.0, 0.02]).tolist() == [0, 0]
    assert information.rounded_gaussian_entropy(50.0) == pytest.approx(
        np.log2(50 * np.sqrt(2 * np.pi * np.e)), abs=1e-4
    )
    drawn = np.rint(0.7 * np.random.default_rng(0).standard_normal((200_000, 1)))
    estimate = information.sample_entropy(drawn)
    assert abs(information.rounded_gaussian_entropy(0.7) - estimate.bits) < 4 * estimate.stderr


def test_rounded_gaussian_variance_of_limits_and_the_bound_that_it_gives():
    assert information.rounded_gaussian_variance([0.0, 0.02]).tolist() == [0, 0]
    assert information.rounded_gaussian_variance(30.0) == pytest.approx(900 + 1 / 12)
    drawn = np.rint(0.7 * np.random.default_rng(0).standard_normal(400_000))
    assert information.rounded_gaussian_variance(0.7) == pytest.approx(drawn.var(), rel=0.01)
    for scale in np.geomspace(0.01, 100, 40):
        bound = information.covariance_entropy_bound(np.array([information.rounded_gaussian_variance(scale)]))
        assert information.rounded_gaussian_entropy(scale) <= bound + 1e-12


def test_sample_entropy_of_fair_dice_has_the_stated_error():
    rng = np.random.default_rng(0)
    estimates = [information.sample_entropy(rng.choice(4, (500, 1), p=[0.5, 0.3, 0.15, 0.05])) for _ in range(300)]
    truth = -sum(p * np.log2(p) for p in (0.5, 0.3, 0.15, 0.05))
    bits = np.array([estimate.bits for estimate in estimates])
    assert bits.mean() == pytest.approx(truth, abs=0.01)
    assert bits.std() == pytest.approx(np.mean([estimate.stderr for estimate in estimates]), rel=0.15)
    assert information.sample_entropy(np.zeros((5, 2))) == (0, 0)


def test_joint_information_of_known_channels():
    x, y = np.array([0, 0, 1, 1]), np.array([5, -3, 5, -3])
    assert information.joint_information(x, y, np.array([0.45, 0.05, 0.05, 0.45])) == pytest.approx(
        1 - information.binary_entropy(0.1)
    )
    assert information.joint_information(x, x, np.full(4, 0.25)) == pytest.approx(1)
    assert information.joint_information(x, y, np.full(4, 0.25)) == pytest.approx(0, abs=1e-12)


def test_joint_information_does_not_see_the_order_or_split_of_rows_and_agrees_with_the_channel():
    rng = np.random.default_rng(0)
    channel = information.dropout_channel(0.3, 4)
    x, y = (part.ravel() for part in np.indices(channel.shape))
    weight = channel.ravel() / 4
    first = information.joint_information(x, y, weight)
    assert first == pytest.approx(information.capacity_bounds(channel, np.full(4, 0.25)).lower)
    order = rng.permutation(32)
    twice = information.joint_information(np.tile(x, 2)[order], np.tile(y, 2)[order], np.tile(weight / 2, 2)[order])
    assert twice == pytest.approx(first)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: information.binary_entropy([0.5, 1.5]), r"p = 1.5: allowed is in \[0, 1\]"),
        (lambda: information.binary_entropy(np.nan), "p = nan"),
        (lambda: information.sparse_entropy(-0.1, 4), "sparsity = -0.1"),
        (lambda: information.sparse_entropy(0.1, -4), "element_bits = -4.0"),
        (lambda: information.dimensions_per_feature(0.1, 0), "element_bits = 0.0: allowed is above 0"),
        (lambda: information.dropout_channel(2.0, 4), "rate = 2.0"),
        (lambda: information.dropout_capacity(0.5, 1), "levels = 1.0: allowed is an integer of at least 2"),
        (lambda: information.dropout_capacity(0.5, 2.5), "levels = 2.5"),
        (lambda: information.blahut_arimoto(np.full((2, 2), 0.6)), "channel = 'row 0'"),
        (lambda: information.blahut_arimoto(np.zeros((0, 2))), r"channel.shape = \(0, 2\)"),
        (lambda: information.blahut_arimoto(np.eye(2), tolerance=0.0), "tolerance = 0.0"),
        (lambda: information.capacity_bounds(np.eye(2), np.array([0.5, 0.4])), "source = .*2 probabilities"),
        (lambda: information.power_law_entropy_bound(0, 8, 1.0), "n_units = 0"),
        (lambda: information.power_law_entropy_bound(8, 8, -1.0), "exponent = -1.0"),
        (lambda: information.power_law_entropy_bound(8, 8, 1.0, "best"), "form = 'best'"),
        (lambda: information.covariance_entropy_bound(np.array([1.0, -1.0])), "eigenvalues = -1.0"),
        (lambda: information.covariance_entropy_bound(np.array([1.0]), 0.0), "step = 0.0"),
        (lambda: information.rounded_gaussian_entropy(1e6), "scale = 1000000.0"),
        (lambda: information.joint_information(np.zeros(2, int), np.ones(2, int), np.ones(2)), "weight = 2.0"),
        (lambda: information.sample_entropy(np.zeros((1, 2))), r"symbols = \(1, 2\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_too_few_steps_are_reported():
    with pytest.raises(RuntimeError, match="after 1 steps"):
        information.blahut_arimoto(np.array([[0.9, 0.1], [0.5, 0.5]]), max_steps=1)
