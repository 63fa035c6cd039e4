"""The incidental-polysemanticity notebook's workers, in this process and at the smallest sizes, and its claims' rules."""

import math

import numpy as np
import pytest

from polysemanticity import incidental
from polysemanticity.base import runtime
from polysemanticity.papers import incidental_polysemanticity as paper
from polysemanticity.papers.incidental_polysemanticity import collisions, sparsification

CALL = {"seed": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_checks_pass_and_the_simulation_error_falls_with_the_step():
    checks = sparsification.checks(**CALL, n_features=8, n_neurons=16, l1=0.1)
    assert checks["gradient"] < 1e-12 and checks["count"] < 1e-12
    assert checks["same_without_early_end"] == 1 and checks["same_with_small_steps"] > 0.9
    np.testing.assert_allclose(checks["exact"][1:] / checks["exact"][:-1], 0.1, rtol=0.5)


def test_trajectory_descends_along_the_exact_solution():
    one = sparsification.trajectory(**CALL, n_neurons=20, l1=0.2)
    assert one["exact"].shape == one["descended"].shape == (len(one["time"]), 20)
    np.testing.assert_allclose(one["descended"], one["exact"], atol=0.02)


def test_course_reaches_one_weight_in_simulation_and_theory():
    course = sparsification.course(**CALL, n_neurons=500, l1=1e-3, n_times=20)
    assert len(course["time"]) == 20 and course["simulated_n_alive"][-1] <= 2
    np.testing.assert_allclose(course["simulated_l1_norm"], course["exact_l1_norm"], rtol=0.05)


def test_weight_map_reports_the_first_network():
    result = sparsification.weight_map(**CALL, n_features=8, n_neurons=16, l1=0.1, n_seeds=3)
    assert result["weights"].shape == (8, 16)
    assert result["one_hot"].tolist() == [8, 8, 8] and result["kept"].tolist() == [8, 8, 8]
    assert result["count"][0] == incidental.polysemantic_neurons(result["weights"])


def test_count_is_whole_and_different_seeds_differ():
    config = {"device": "cpu", "n_features": 12, "n_neurons": 12, "l1": 0.1, "n_seeds": 6}
    result, other = collisions.count(seed=0, **config), collisions.count(seed=1, **config)
    assert result["unfinished"].sum() == result["dead"].sum() == result["same"].sum() == 0
    np.testing.assert_array_equal(result["count"], result["opposite"])  # one pair on each shared neuron
    assert (result["stay_opposite"] <= np.minimum(result["start_opposite"], result["opposite"])).all()
    assert (result["stay_same"] <= result["start_same"]).all()
    assert any((result[key] != other[key]).any() for key in ("count", "start_same", "start_opposite"))


def test_fates_of_known_slots():
    start = np.array([[1, 1, -1, 2, -2]])  # features 0, 1 and 2 on neuron 0; features 3 and 4 on neuron 1
    end = np.array([[1, 3, -1, 2, 4]])
    fates = {name: value.tolist() for name, value in collisions._fates(start, end).items()}
    assert fates == {"start_same": [1], "start_opposite": [3], "stay_same": [0], "stay_opposite": [1]}


def test_count_reports_how_the_winner_stood_at_the_start():
    result = collisions.count(**CALL, n_features=12, n_neurons=24, l1=0.1, n_seeds=6)
    assert result["rank"].shape == result["initial_size"].shape == result["slots"].shape == (6, 12)
    assert result["start_end"].shape == (12, 12)
    top = (result["rank"] == 0) & (result["initial_size"] > 0)
    np.testing.assert_allclose(top.mean(1), result["kept_winner"])
    rest = incidental.fixed_point(0.1)
    overlap = rest * result["initial_size"].mean() / math.sqrt(24)
    assert np.diag(result["start_end"]).mean() == pytest.approx(overlap, rel=1e-4)
    np.testing.assert_array_equal(result["count"], result["count_in_window"])


def test_standing_of_known_weights():
    initial = np.array([[[0.5, -0.2, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]])
    rank, size = collisions.standing(initial, np.array([[-2, -4, 0]]))
    assert rank.tolist() == [[1, 0, -1]]
    np.testing.assert_allclose(size, [[0.4, -0.8, np.nan]])


def test_the_published_optimizer_starts_from_the_same_weights():
    flow = collisions.count(**CALL, n_features=8, n_neurons=16, l1=0.05, n_seeds=3)
    descent = collisions.count(**CALL, n_features=8, n_neurons=16, l1=0.05, n_seeds=3, method="adamw")
    np.testing.assert_array_equal(flow["start_same"], descent["start_same"])
    assert descent["same"].sum() == descent["dead"].sum() == 0
    assert (flow["slots"] != descent["slots"]).any()


@pytest.mark.parametrize("n_neurons", [1, 10, 4096])
def test_largest_of_normal_weights(n_neurons):
    drawn = np.abs(np.random.default_rng(0).standard_normal((400, n_neurons))).max(1)
    assert abs(collisions.expected_largest(n_neurons) - drawn.mean()) < 4 * drawn.std() / 20
    assert collisions.half_normal(1.959964) == pytest.approx(0.95) and collisions.half_normal(-1.0) == 0


def test_ordered_puts_shared_neurons_first_and_loses_nothing():
    weights = np.zeros((4, 6))
    weights[[0, 1, 2, 3], [5, 2, 4, 2]] = [1.0, -1.0, 1.0, 1.0]
    staircase, shared = sparsification.ordered(weights)
    assert shared == 1 and staircase.shape == (4, 3)
    np.testing.assert_array_equal(staircase[:2, 0], [1, -1])
    assert sorted(staircase.ravel()) == sorted(weights[:, [2, 4, 5]].ravel())


def test_log_slope_finds_a_planted_slope():
    n_neurons = np.array([64, 128, 256, 512])
    counts = np.random.default_rng(0).poisson(1000 / n_neurons, size=(400, 4))
    assert collisions.log_slope(n_neurons, counts) == pytest.approx(-1, abs=0.03)
    assert collisions.log_slope(n_neurons, 0 * counts) != collisions.log_slope(
        n_neurons, 0 * counts
    )  # NaN: nothing to fit


def test_exponents_of_the_papers_own_curve():
    time = np.geomspace(1, 3e5, 60)
    norm = 1 / (1 / math.sqrt(1e5) + 1e-5 * time)
    np.testing.assert_allclose(sparsification.exponents(time, norm, norm**2, 10**5, 1e-5), (-1, -2), atol=1e-9)


def test_claims_state_a_rule_a_reason_and_a_source():
    assert list(paper.CLAIMS) == [f"IP-{number:02}" for number in range(1, 17)]
    for name, claim in paper.CLAIMS.items():
        assert claim.id == name and claim.source and claim.paper and len(claim.reason) > 80
        assert (claim.corrected is None) == (claim.correction == "")


def test_published_numbers_belong_together():
    lengths = {
        len(values) for values in (collisions.PUBLISHED_NEURONS, collisions.PUBLISHED_MEAN, collisions.PUBLISHED_STD)
    }
    assert lengths == {16}
    assert collisions.published_mean(1024) == 10.1 and math.isnan(collisions.published_mean(1000))
