"""The edges of the phases against the exact allocation, the count law, and how phases are read."""

import math

import numpy as np
import pytest

from polysemanticity import capacity, intervals, ranks
from polysemanticity.capacity import optimal_allocation, phases
from polysemanticity.capacity.phases import phase_boundaries
from polysemanticity.papers.feature_capacity import allocation


def test_phase_boundaries_are_where_the_allocation_changes():
    for kappa, dims, others, special in ((10.0, 10, 19, 1), (50.0, 10, 19, 3), (6.0, 1, 1, 1)):
        edge = phase_boundaries(kappa, dims, others, special)

        def capacity_at(ratio, kappa=kappa, dims=dims, others=others, special=special):
            return optimal_allocation(np.r_[np.ones(others), np.full(special, ratio)], kappa, dims).capacity[-1]

        assert capacity_at(edge.ignored * 0.999) == 0 < capacity_at(edge.ignored * 1.001) < 0.1
        assert capacity_at(edge.monosemantic * 1.001) == 1 > capacity_at(edge.monosemantic * 0.999) > 0.9
    assert phase_boundaries(10.0, 10, 19) == pytest.approx((19 / 54, 171 / 101, 0, np.inf))
    assert phase_boundaries(10.0, 1, 1) == pytest.approx((2 / 9, 9 / 2, 2 / 9, 9 / 2))
    np.testing.assert_array_equal(phase_boundaries(np.array([2.0, 3.0]), 10, 19)[:2], 1)


GROUPS = [(1, 1, 1), (10, 19, 1), (10, 19, 3), (10, 4, 16), (10, 1, 19), (5, 3, 4), (5, 5, 5), (3, 2, 7), (2.5, 1, 3)]


@pytest.mark.parametrize(("dims", "others", "special"), GROUPS)
@pytest.mark.parametrize("kappa", [3.5, 10.0, 80.0])
def test_phase_boundaries_agree_with_the_allocation_on_a_grid(kappa, dims, others, special):
    ratio = np.geomspace(0.003, 300, 401)
    v = np.ones((len(ratio), others + special))
    v[:, others:] = ratio[:, None]
    c = optimal_allocation(v, kappa, dims).capacity
    edge = phase_boundaries(kappa, dims, others, special)
    np.testing.assert_array_equal(c[:, -1] == 0, ratio <= edge.ignored)
    np.testing.assert_array_equal(c[:, -1] == 1, ratio >= edge.monosemantic)
    np.testing.assert_array_equal(c[:, 0] == 1, ratio <= edge.others_monosemantic)
    np.testing.assert_array_equal(c[:, 0] == 0, ratio >= edge.others_ignored)


@pytest.mark.parametrize(("dims", "others", "special"), GROUPS)
def test_exchanging_the_groups_inverts_the_boundaries(dims, others, special):
    here, there = phase_boundaries(12.0, dims, others, special), phase_boundaries(12.0, dims, special, others)
    with np.errstate(divide="ignore"):
        mirrored = [1 / np.asarray(edge) for edge in (there.others_ignored, there.others_monosemantic)]
    np.testing.assert_allclose([here.ignored, here.monosemantic], mirrored, rtol=1e-14)


@pytest.mark.parametrize(("kappa", "ratio"), [(30.0, 0.9), (100.0, 0.8), (10.0, 0.95)])
def test_count_law(kappa, ratio):
    law = phases.count_law(kappa, ratio)
    c = optimal_allocation(ratio ** np.arange(200), kappa, 40).capacity
    shared = (c > 0) & (c < 1)
    assert shared.sum() == pytest.approx(law.features, abs=1.5)
    assert c[shared].sum() == pytest.approx(law.dims, abs=1.0)


def test_counts_slopes_and_predicted_spectra():
    np.testing.assert_array_equal(phases.count_polysemantic(0.9, 30.0, (40, 60), 200), [26, 26])
    slope = intervals.slope(np.arange(5.0), 2 * np.arange(5.0) + [0, 0.1, 0, -0.1, 0])
    assert slope.low < slope.value < slope.high and slope.value == pytest.approx(1.96, abs=0.05)
    spectrum = capacity.predicted_spectrum(np.array([1.0, 3.0, 0.5]), np.array([1.0, 1.0, 0.7]), 0.6, 3)
    np.testing.assert_array_equal(spectrum, [3.0, 1.0, 0.6])


def test_reading_phases_order_and_proportion():
    c, v = np.array([1.0, 0.5, 0.2, 0.0]), np.array([4.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(phases.phase(c), [2, 1, 1, 0])
    assert ranks.out_of_order(c, v) == 0
    assert ranks.out_of_order(c[::-1], v) == 3
    assert ranks.out_of_order(np.array([0.2, 0.8]), np.ones(2)) == 0
    assert allocation.departure_from_proportion(c, v) == pytest.approx(0.25)
    assert math.isnan(allocation.departure_from_proportion(np.array([1.0, 0.0]), np.ones(2)))


def test_predicted_minima_below_kurtosis_3():
    v = np.array([1.0, 0.9, 0.4])
    chosen = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(phases.at_a_predicted_minimum(chosen, v, 2.0), [True, True, False, False])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: phase_boundaries(5.0, 20, 19), r"dims = 20: allowed is above 0 and below N = 20"),
        (lambda: phase_boundaries(5.0, 0, 19), r"dims = 0: allowed is above 0"),
        (lambda: phase_boundaries(5.0, 2, 0), r"n_others = 0: allowed is at least 1"),
        (lambda: phase_boundaries(5.0, 2, 3, 0), r"n_special = 0: allowed is at least 1"),
        (lambda: phase_boundaries(1.0, 2, 3), r"kurtosis = 1.0: allowed is finite and above 1"),
        (lambda: phases.count_law(3.0, 0.9), r"kurtosis = 3.0: allowed is above 3"),
        (lambda: phases.count_law(5.0, 1.0), r"ratio = 1.0: allowed is in \(0, 1\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("kurtosis", "dims"), [(12.0, 3), (40.0, 2.3), (5.0, 4)])
def test_sensitivity_is_the_derivative_of_the_allocation(kurtosis, dims):
    v, step = 0.8 ** np.arange(8), 1e-6

    def allocated(v=v, kurtosis=kurtosis, dims=dims):
        return capacity.optimal_allocation(v, kurtosis, dims).capacity

    found = phases.sensitivity(v, kurtosis, dims)
    for j in range(8):
        nudge = np.exp(step * (np.arange(8) == j))
        by_v = (allocated(v=v * nudge) - allocated(v=v / nudge)) / (2 * step)
        np.testing.assert_allclose(found.importance[:, j], by_v, atol=1e-7)
    by_kurtosis = (allocated(kurtosis=kurtosis + step) - allocated(kurtosis=kurtosis - step)) / (2 * step)
    np.testing.assert_allclose(found.kurtosis, by_kurtosis, atol=1e-7)
    by_dims = (allocated(dims=dims + step) - allocated(dims=dims - step)) / (2 * step)
    np.testing.assert_allclose(found.dims, by_dims, atol=1e-7)
    np.testing.assert_allclose(found.importance.sum(1), 0, atol=1e-12)  # the unit of importance does not matter
    with pytest.raises(ValueError, match="kurtosis = 2.0: allowed is above 3"):
        phases.sensitivity(v, 2.0, 3)
