"""Intervals cover what they say, along any axis."""

import math

import numpy as np
import pytest
from scipy import stats

from polysemanticity import intervals
from polysemanticity.intervals import Estimate


def coverage(interval, truth, draws):
    return np.mean([low <= truth <= high for _, low, high in (interval(draw) for draw in draws)])


def test_intervals_cover_planted_truth():
    rng = np.random.default_rng(0)
    assert 0.93 < coverage(intervals.mean, 3.0, rng.normal(3, 2, (2000, 5))) < 0.97
    poisson = coverage(lambda draw: intervals.poisson(int(draw.sum()), 8), 1.7, rng.poisson(1.7, (2000, 8)))
    assert 0.94 < poisson <= 0.99  # exact intervals cover at least their level
    share = coverage(lambda draw: intervals.proportion(int(draw.sum()), 30), 0.8, rng.random((2000, 30)) < 0.8)
    assert 0.94 < share <= 0.99
    boot = coverage(lambda draw: intervals.bootstrap(np.median, draw, rng, n=300), 0, rng.normal(size=(300, 60)))
    assert 0.90 < boot < 0.99
    x = np.linspace(0, 1, 12)
    lines = 2 * x + rng.normal(0, 0.5, (2000, 12))
    assert 0.93 < coverage(lambda y: intervals.slope(x, y), 2.0, lines) < 0.97


def test_known_intervals():
    assert intervals.mean([1, 2, 3]) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert intervals.poisson(0, 1).high == pytest.approx(3.6889, abs=1e-4)
    assert intervals.exact(2, 0.5) == (2, 1.5, 2.5)


def test_means_along_an_axis_are_the_means_of_its_rows():
    samples = np.random.default_rng(1).normal(size=(3, 4, 5))
    for axis in (0, 1, 2, -1):
        whole, rows = intervals.mean(samples, axis), np.moveaxis(samples, axis, -1)
        assert whole.value.shape == rows.shape[:-1]
        for place in np.ndindex(rows.shape[:-1]):
            np.testing.assert_allclose(np.array(whole.at(place)), intervals.mean(rows[place]), rtol=1e-13)


def test_single_estimates_hold_plain_numbers():
    for estimate in (intervals.mean([1, 2]), intervals.exact(1), intervals.mean(np.eye(3), 0).at(1)):
        assert all(type(part) is float for part in estimate)


def test_estimates_join_scale_and_fill_columns():
    joined = intervals.join([Estimate(1, 0, 2), Estimate(3, 2, 4)])
    assert [list(part) for part in joined] == [[1, 3], [0, 2], [2, 4]]
    assert joined.at(1) == (3, 2, 4)
    assert Estimate(2.0, 1.0, 4.0).over(2) == (1, 0.5, 2)
    assert list(joined.columns()) == ["value", "low", "high"]


def test_the_row_of_the_extreme_mean():
    rows = [[1.0, 2.0], [0.0, 0.5]]
    assert intervals.row_of_extreme_mean(rows).value == 0.25
    assert intervals.row_of_extreme_mean(rows, least=False).value == 1.5


def test_counts_of_nothing_are_not_certain():
    none = intervals.counts(np.zeros(10), unit=2.0)
    assert none.value == none.low == 0 and none.high == pytest.approx(intervals.poisson(0, 10).high / 2)
    some = intervals.counts([1, 2, 3, 2], unit=2.0)
    assert some == pytest.approx(np.array(intervals.mean([1, 2, 3, 2])) / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.mean([1.0]), "at least two samples"),
        (lambda: intervals.mean(np.ones((2, 3)), 2), "at least two samples along the axis"),
        (lambda: intervals.mean([1.0, math.nan]), "finite numbers"),
        (lambda: intervals.bootstrap(np.mean, [1.0], np.random.default_rng(0)), "at least two samples"),
        (lambda: intervals.proportion(3, 2), "0 <= successes <= trials"),
        (lambda: intervals.poisson(-1, 2), "a count of at least 0"),
        (lambda: intervals.poisson(1, 0), "at least one run"),
        (lambda: Estimate(1, 0, 2).over(0), "unit = 0: allowed is above 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_common_slope_is_the_regression_with_a_constant_per_sample():
    x, rng = (0.0, 0.2, 0.4, 0.8), np.random.default_rng(0)
    values = 3 * np.array(x)[:, None] + [5, -2, 7] + 0.1 * rng.standard_normal((4, 3))
    design = np.c_[np.repeat(x, 3), np.tile(np.eye(3), (4, 1))]
    coefficients, residual, _, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    error = np.sqrt(residual[0] / 8 * np.linalg.inv(design.T @ design)[0, 0])
    found = intervals.common_slope(values, x)
    assert found.value == pytest.approx(coefficients[0])
    assert found.high - found.value == pytest.approx(2.306 * error, rel=1e-3)


def test_a_common_slope_at_an_equal_value_is_the_regression_on_both():
    x, rng = (0.0, 0.3, 0.5, 0.8), np.random.default_rng(2)
    second = np.array(x)[:, None] + 0.2 * rng.standard_normal((4, 3))
    values = 2 * second + 0.1 * rng.standard_normal((4, 3)) + [1, 2, 3]
    design = np.c_[np.repeat(x, 3), second.ravel(), np.tile(np.eye(3), (4, 1))]
    expected = np.linalg.lstsq(design, values.ravel(), rcond=None)[0][0]
    found = intervals.common_slope(values, x, second)
    assert found.value == pytest.approx(expected) and found.low < 0 < found.high
    assert intervals.common_slope(values, x).low > 0


def test_a_common_slope_that_nothing_tells_is_nan_or_without_ends():
    rng = np.random.default_rng(3)
    for n in (1, 2):
        found = intervals.common_slope(rng.standard_normal((n, 3)), [0.2] * n)
        assert np.isnan(found.value) and (found.low, found.high) == (-np.inf, np.inf)
    second = np.array([0.0, 0.1])[:, None] + [1, 2, 3]
    assert np.isnan(intervals.common_slope(rng.standard_normal((2, 3)), [0.0, 0.1], second).value)
    found = intervals.common_slope([[1.0], [3.0]], [0.0, 1.0])
    assert found.value == pytest.approx(2) and (found.low, found.high) == (-np.inf, np.inf)


def test_a_common_slope_covers_the_truth():
    x, rng = (0.0, 0.2, 0.4, 0.6, 0.8), np.random.default_rng(1)
    found = [intervals.common_slope(rng.standard_normal((5, 4)), x) for _ in range(1000)]
    assert 0.93 < np.mean([low <= 0 <= high for _, low, high in found]) < 0.97


def test_a_difference_of_means_is_welchs_and_counts_are_never_exact():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1.0, 2.0, 9), rng.normal(0.0, 0.5, 30)
    found = intervals.difference(first, second)
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    np.testing.assert_allclose(found, (first.mean() - second.mean(), low, high))
    assert intervals.difference([4, 4, 4], [1, 1]) == (3, 3, 3)
    value, low, high = intervals.difference([4, 4, 4], [1, 1], grain=1)
    assert value == 3 and 1.5 < low < 3 < high < 4.5


def test_estimates_of_networks_that_pass_a_gate_and_of_too_few():
    values, half = np.arange(8.0), np.arange(8) % 2 == 0
    assert intervals.gated(values > 1, lambda good: intervals.mean(values[good])) == intervals.mean(values[2:])
    value, low, high = intervals.gated(half, lambda good: intervals.mean(values[good]))
    assert (value, low, high) == (3.5, -np.inf, np.inf) and not intervals.passes(np.array([True]))


def test_an_extreme_of_what_was_not_measured_has_no_ends():
    known, unknown = Estimate(1.0, 0.5, 1.5), Estimate(2.0, -np.inf, np.inf)
    assert intervals.extreme([known, Estimate(2.0, 1.8, 2.2)]) == (2.0, 1.8, 2.2)
    for largest in (True, False):
        assert intervals.extreme([known, unknown], largest)[1:] == (-np.inf, np.inf)


def test_the_jackknife_of_a_mean_is_its_t_interval():
    samples = np.random.default_rng(1).normal(2, 1, 30)
    found = intervals.jackknife(lambda sums: sums[0] / sums[1], np.stack([samples, np.ones(30)], axis=1))
    np.testing.assert_allclose(found, intervals.mean(samples))


def test_the_jackknife_covers_a_ratio_of_sums_over_groups():
    """Rows of a group share half of their variance: single rows would make an interval that is too short."""
    rng = np.random.default_rng(2)

    def draw():
        groups = rng.normal(0, 1, (40, 1)) + rng.normal(0, 1, (40, 25))
        return np.stack([(1 + groups).sum(1), (2 + rng.normal(0, 0.2, (40, 25))).sum(1)], axis=1)

    covered = coverage(
        lambda parts: intervals.jackknife(lambda s: s[0] / s[1], parts), 0.5, (draw() for _ in range(500))
    )
    assert 0.92 < covered < 0.98


def test_the_jackknife_of_several_numbers_and_what_it_refuses():
    parts = np.random.default_rng(3).normal(5, 1, (20, 3))
    found = intervals.jackknife(lambda sums: sums / 20, parts)
    np.testing.assert_allclose(found.value, parts.mean(0))
    assert found.low.shape == (3,) and (found.low < found.high).all()
    with pytest.raises(ValueError, match="parts = .*: allowed is at least two"):
        intervals.jackknife(lambda sums: sums, parts[:1])
