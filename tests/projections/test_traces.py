"""Traces over tokens: energy and roughness, selection by luck and by the eigenvalue problem, shuffling, outliers."""

import numpy as np
import pytest

from polysemanticity import projections
from polysemanticity.projections import traces


def smooth(phi, contexts=200, length=32, m=3, seed=0):
    """Activity whose units are independent AR(1) processes with correlation phi between neighbours."""
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal((contexts, m))]
    for _ in range(length - 1):
        values.append(phi * values[-1] + np.sqrt(1 - phi**2) * rng.standard_normal((contexts, m)))
    return np.stack(values, 1)


def test_energy_and_roughness_are_those_of_the_path():
    activity, directions = smooth(0.5, contexts=1, m=4), np.random.default_rng(1).standard_normal((4, 6))
    scatter, cov = traces.step_scatter(activity), traces.covariance(activity)
    paths = (activity[0] @ directions).T[..., None]  # [direction, T, 1]
    np.testing.assert_allclose(traces.quadratic(scatter, directions) * 31, projections.path_energy(paths))
    np.testing.assert_allclose(traces.roughness(scatter, cov, directions), projections.roughness(paths))


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.95])
def test_roughness_is_one_less_the_correlation_of_neighbours(phi):
    activity = smooth(phi, contexts=4000)
    found = traces.roughness(traces.step_scatter(activity), traces.covariance(activity), np.eye(3))
    np.testing.assert_allclose(found, 1 - phi, atol=0.01)


def test_steps_do_not_cross_contexts():
    activity = np.repeat(np.arange(5.0)[:, None, None], 8, axis=1)
    assert traces.step_scatter(activity) == 0
    with pytest.raises(ValueError, match="activity"):
        traces.step_scatter(activity[:, :1])


def test_a_trace_that_does_not_vary_has_no_roughness():
    with pytest.raises(ValueError, match="directions = 'one whose trace does not vary'"):
        traces.roughness(np.eye(2), np.diag([1.0, 0.0]), np.eye(2))


def test_least_energy_is_the_least_of_the_drawn():
    scatter = np.diag([4.0, 1.0, 0.25, 9.0])
    kept = traces.least_energy(scatter, 5, 7, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    for column in kept.T:
        drawn = [r / 2 for r in rng.standard_normal((4, 7)).T]
        np.testing.assert_allclose(column, min(drawn, key=lambda r: r @ scatter @ r))
    unselected = traces.least_energy(scatter, 20_000, 1, np.random.default_rng(4))
    assert unselected.var() == pytest.approx(1 / 4, rel=0.02)
    for arguments in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="allowed is at least 1"):
            traces.least_energy(scatter, *arguments, rng)


def test_selection_on_tokens_in_random_order_finds_small_directions_no_smooth_ones():
    rng, scale = np.random.default_rng(0), np.arange(1, 17.0) ** -1
    text = [smooth(0.0, contexts=400, m=16, seed=k) * scale for k in (1, 2)]
    scatters, covs = [traces.step_scatter(part) for part in text], [traces.covariance(part) for part in text]
    chosen, anyhow = traces.least_energy(scatters[0], 40, 100, rng), traces.least_energy(scatters[0], 40, 1, rng)
    assert traces.quadratic(scatters[1], chosen).mean() < 0.3 * traces.quadratic(scatters[1], anyhow).mean()
    np.testing.assert_allclose(traces.roughness(scatters[1], covs[1], chosen), 1, atol=0.05)


def test_shuffling_keeps_tokens_and_on_demand_their_positions():
    activity = smooth(0.9, contexts=50)
    everywhere = traces.shuffled(activity, np.random.default_rng(0))
    within = traces.shuffled(activity, np.random.default_rng(0), keep_position=True)
    for other in (everywhere, within):
        assert sorted(map(tuple, other.reshape(-1, 3))) == sorted(map(tuple, activity.reshape(-1, 3)))
        found = traces.roughness(traces.step_scatter(other), traces.covariance(other), np.eye(3))
        np.testing.assert_allclose(found, 1, atol=0.1)
    for position in range(32):
        assert sorted(map(tuple, within[:, position])) == sorted(map(tuple, activity[:, position]))
    assert not np.array_equal(np.sort(everywhere[:, 0], 0), np.sort(activity[:, 0], 0))


def test_outliers_are_far_above_the_median_unit():
    activity = smooth(0.0, m=9) * np.array([1, 1, 1, 1, 1, 1, 1, 4.5, 6.0])
    assert traces.outlier_units(activity, 5).tolist() == [False] * 8 + [True]
    assert traces.outlier_units(activity * 100 + 0, 5).tolist() == traces.outlier_units(activity, 5).tolist()


@pytest.mark.parametrize("phi", [0.3, 0.9])
def test_the_smoothest_direction_is_the_planted_one(phi):
    """One AR(1) process, loud or not, hidden in a rotation among processes without memory."""
    rng = np.random.default_rng(2)
    activity = np.concatenate([0.01 * smooth(phi, m=1), 3 * smooth(0, m=7, seed=1)], axis=-1)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    scatter, cov = traces.step_scatter(activity @ turn), traces.covariance(activity @ turn)
    rough, direction = traces.smoothest(scatter, cov)
    assert rough == pytest.approx(1 - phi, abs=0.05)
    assert rough == pytest.approx(traces.roughness(scatter, cov, direction[:, None])[0])
    found = turn @ direction  # in the processes' own axes, of variance 1
    assert abs(found[0]) * 0.01 == pytest.approx(1, abs=0.05) and np.abs(found[1:]).max() * 3 < 0.3


def test_no_direction_is_smoother_than_the_smoothest():
    activity = smooth(0.5, m=6)
    scatter, cov = traces.step_scatter(activity), traces.covariance(activity)
    drawn = np.random.default_rng(3).standard_normal((6, 500))
    assert traces.smoothest(scatter, cov)[0] <= traces.roughness(scatter, cov, drawn).min()


def test_directions_of_rounding_take_no_part():
    """After layer normalisation the units' sum is constant: a direction that would be smooth by rounding."""
    activity = smooth(0.5, m=6).astype(np.float32)
    activity -= activity.mean(-1, keepdims=True)
    scatter, cov = traces.step_scatter(activity), traces.covariance(activity)
    rough, direction = traces.smoothest(scatter, cov)
    assert 0.4 < rough < 0.55 and abs(direction.sum()) < 1e-3 * np.linalg.norm(direction)
    with pytest.raises(ValueError, match="largest variance = 0.0: allowed is above 0"):
        traces.smoothest(np.zeros((2, 2)), np.zeros((2, 2)))


def test_noise_is_smooth_only_where_it_was_chosen():
    select, judge = smooth(0, m=60, contexts=60), smooth(0, m=60, contexts=60, seed=1)
    rough, direction = traces.smoothest(traces.step_scatter(select), traces.covariance(select))
    again = traces.roughness(traces.step_scatter(judge), traces.covariance(judge), direction[:, None])[0]
    assert rough < 0.85 and again == pytest.approx(1, abs=0.06)
