"""Traces over tokens: energy and roughness, selection, shuffling, and an explainer against dense ridge regression."""

import numpy as np
import pytest

from polysemanticity import intervals, projections
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


# --- the explainer ---


def dense(tokens, kinds, length, skip, n_before):
    """The one-hot features, one token at a time."""
    rows = []
    for context in tokens:
        for t in range(skip, skip + length):
            row = []
            for k in range(n_before + 1):
                row += [float(t - k >= 0 and context[t - k] == kind) for kind in kinds[k]]
            rows.append(row + [float(t - skip == p) for p in range(length)])
    return np.array(rows)


@pytest.mark.parametrize(("n_before", "skip"), [(0, 0), (2, 0), (2, 1)])
def test_the_explainer_is_ridge_regression_with_a_free_constant(n_before, skip):
    rng = np.random.default_rng(0)
    tokens, new = rng.integers(6, size=(30, 9)), rng.integers(8, size=(5, 9))  # 6 and 7 are not among the first
    values = rng.standard_normal((30, 9 - skip, 2))
    explainer = traces.Explainer(tokens, 1.5, n_before, skip)
    x, z = (dense(part, explainer.kinds, 9 - skip, skip, n_before) for part in (tokens, new))
    y = values.reshape(-1, 2)
    augmented = np.vstack([np.c_[np.ones(len(x)), x], np.c_[np.zeros(x.shape[1]), np.sqrt(1.5) * np.eye(x.shape[1])]])
    beta = np.linalg.lstsq(augmented, np.vstack([y, np.zeros((x.shape[1], 2))]), rcond=None)[0]
    expected = np.c_[np.ones(len(z)), z] @ beta
    np.testing.assert_allclose(explainer.predict(values, new).reshape(-1, 2), expected, atol=1e-9)


def test_a_token_seen_k_times_is_shrunk_and_one_never_seen_is_average():
    tokens = np.array([[0]] * 6 + [[1]] * 6)
    values = np.where(tokens == 0, 3.0, 1.0)[..., None]
    found = traces.Explainer(tokens, 3, n_before=0).predict(values, np.array([[0], [1], [2]]))
    np.testing.assert_allclose(found.ravel(), [2 + 6 / 9, 2 - 6 / 9, 2])


def planted(noise, rng, k=50, contexts=300, length=20):
    """Tokens of two texts and traces that are a function of the token and the one before, plus noise."""
    tables = rng.standard_normal((2, 30, k)) * np.array([1.0, 0.5])[:, None, None]
    tokens = rng.integers(30, size=(2, contexts, length))
    before = np.roll(tokens, 1, axis=-1)
    signal = tables[0][tokens] + tables[1][before]
    return tokens, signal + noise * signal.std() * rng.standard_normal(signal.shape)


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_scores_of_planted_traces_are_near_what_can_be_explained(noise):
    rng = np.random.default_rng(5)
    tokens, values = planted(noise, rng, contexts=900)
    predicted = traces.Explainer(tokens[0], 3, 1, 1).predict(values[0][:, 1:], tokens[1])
    top, whole = traces.explanation_scores(values[1][:, 1:], predicted, 20, rng)
    truth = 1 / np.sqrt(1 + noise**2)
    assert abs(whole.mean() - truth) < 0.02 and abs(top.mean() - truth) < 0.08


def test_the_interval_over_directions_covers_zero_where_nothing_can_be_explained():
    rng, covered = np.random.default_rng(6), []
    tokens, _ = planted(1.0, rng, contexts=60)
    explainer = traces.Explainer(tokens[0], 3, 1, 1)
    for _ in range(100):
        noise = rng.standard_normal((2, 60, 19, 50))
        found = intervals.mean(traces.explanation_scores(noise[1], explainer.predict(noise[0], tokens[1]), 5, rng)[0])
        covered.append(found.low <= 0 <= found.high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_scores_by_hand():
    values = np.zeros((6, 2, 1))
    values[4] = [[1.0], [0.0]]
    values[1] = [[9.0], [5.0]]
    predicted = 2 * values + 3
    top, whole = traces.explanation_scores(values, predicted, 1, np.random.default_rng(0))
    assert top == pytest.approx(1) and whole == pytest.approx(1)
    predicted[1] = 0
    chosen = [9, 5, 0, 0]  # the top context and a silent one; the prediction is 0, 0 there and 3, 3 here
    expected = np.corrcoef(chosen, [0, 0, 3, 3])[0, 1]
    seen = {
        round(float(traces.explanation_scores(values, predicted, 1, np.random.default_rng(s))[0][0]), 6)
        for s in range(20)
    }
    assert round(expected, 6) in seen
    assert traces.explanation_scores(values * 0, predicted, 1, np.random.default_rng(0))[0] == 0
    for n in (0, 4):
        with pytest.raises(ValueError, match=f"n_contexts = {n}: allowed is 1 to 3"):
            traces.explanation_scores(values, predicted, n, np.random.default_rng(0))


def test_the_explainer_checks_its_arguments():
    tokens = np.zeros((4, 5), dtype=int)
    for arguments, name in (((0,), "penalty"), ((1, -1), "n_before"), ((1, 0, 5), "skip")):
        with pytest.raises(ValueError, match=f"{name} = "):
            traces.Explainer(tokens, *arguments)
    explainer = traces.Explainer(tokens, 1)
    with pytest.raises(ValueError, match="shape of traces"):
        explainer.predict(np.zeros((3, 5, 1)), tokens)
    with pytest.raises(ValueError, match=r"shape of tokens = \(4, 4\)"):
        explainer.predict(np.zeros((4, 5, 1)), tokens[:, :4])


def test_outliers_are_far_above_the_median_unit():
    activity = smooth(0.0, m=9) * np.array([1, 1, 1, 1, 1, 1, 1, 4.5, 6.0])
    assert traces.outlier_units(activity, 5).tolist() == [False] * 8 + [True]
    assert traces.outlier_units(activity * 100 + 0, 5).tolist() == traces.outlier_units(activity, 5).tolist()
