"""How l1 makes one encoding sparse: workers at the smallest sizes, tables, and verdicts on planted results."""

import math

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.incidental import winner
from polysemanticity.papers.incidental_polysemanticity import sparsification

CALL = {"seed": 0, "device": "cpu"}
SETTINGS = sparsification.Settings(map_features=(32,), map_ratios=(1, 2), course_neurons=10_000, course_l1=1e-4)


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
    assert list(sparsification.checks_table(checks)["result"])[-2] == "100.0%"


def test_trajectory_descends_along_the_exact_solution():
    one = sparsification.trajectory(**CALL, n_neurons=20, l1=0.2)
    assert one["exact"].shape == one["descended"].shape == (len(one["time"]), 20)
    np.testing.assert_allclose(one["descended"], one["exact"], atol=0.02)


def test_course_reaches_one_weight_and_simulation_and_theory_agree():
    course = sparsification.course(**CALL, n_neurons=500, l1=1e-3, n_times=20)
    early = len(course["simulated_time"])
    assert len(course["time"]) == 20 > early and course["exact_n_alive"][-1] <= 2
    np.testing.assert_array_equal(course["simulated_time"], course["time"][:early])
    np.testing.assert_allclose(course["simulated_l1_norm"], course["exact_l1_norm"][:early], rtol=0.05)


def test_weight_map_reports_the_first_network():
    result = sparsification.weight_map(**CALL, n_features=8, n_neurons=16, l1=0.1, n_seeds=3)
    assert result["weights"].shape == (8, 16)
    assert result["one_hot"].tolist() == [8, 8, 8] and result["kept"].tolist() == [8, 8, 8]
    assert result["count"][0] == incidental.polysemantic_neurons(result["weights"])


def test_ordered_puts_shared_neurons_first_and_loses_nothing():
    weights = np.zeros((4, 6))
    weights[[0, 1, 2, 3], [5, 2, 4, 2]] = [1.0, -1.0, 1.0, 1.0]
    staircase, shared = sparsification.ordered(weights)
    assert shared == 1 and staircase.shape == (4, 3)
    np.testing.assert_array_equal(staircase[:2, 0], [1, -1])
    assert sorted(staircase.ravel()) == sorted(weights[:, [2, 4, 5]].ravel())


def test_exponents_of_the_papers_own_curve():
    time = np.geomspace(1, 3e5, 60)
    norm = 1 / (1 / math.sqrt(1e5) + 1e-5 * time)
    np.testing.assert_allclose(sparsification.exponents(time, norm, norm**2, 10**5, 1e-5), (-1, -2), atol=1e-9)


def planted_maps(one_hot=32, count=4):
    """Networks with a number of one-hot rows and of shared neurons; the map drawn has two features on one neuron."""
    configs = sparsification.shapes(SETTINGS, 0.03)
    weights = np.eye(32, 64)
    weights[1] = -weights[0]
    one = {"weights": weights, "one_hot": np.full(8, one_hot), "kept": np.full(8, 32)}
    return Results(configs, [one | {"count": count + np.arange(8) % 2} for _ in configs])


@pytest.mark.parametrize(
    ("planted", "verdict"),
    [({}, claims.HOLDS), ({"one_hot": 30}, claims.FAILS), ({"count": 0}, claims.FAILS)],
)
def test_maps_are_judged_rightly(planted, verdict):
    measured = sparsification.measured_maps(planted_maps(**planted))
    assert claims.verdict_of(sparsification.CLAIMS["IP-01"], measured.quantities) == verdict
    assert "n = 32" in measured.scale and "8 networks" in measured.error


def test_the_table_of_weights_has_the_entries_that_are_not_zero():
    table = sparsification.weights_table(planted_maps())
    plots.check_tidy(table)
    assert len(table) == 2 * 32 and set(table["shared neurons"]) == {1}
    first = plots.part(table, **{"neuron (sorted)": 1, "neurons m": 32})
    assert sorted(first["weight"]) == [-1, 1]


def on_a_curve(config, number, power=1.0, n_seeds=3, spread=0.0):
    """Encodings on the paper's or the corrected curves, the norm and the number to some power."""
    time, rng = np.geomspace(1, 1 / config["l1"], 40), np.random.default_rng(0)
    law = winner.sparsity_law(config["n_neurons"], config["l1"], time, corrected=number == "corrected")
    rows = []
    for _ in range(n_seeds):
        own = power * (1 + spread * rng.normal())
        values = {"l1_norm": law.l1_norm**own, "n_alive": law.n_alive**own, "relative_variance": np.full(40, 0.8)}
        early = int((config["l1"] * time <= sparsification.SIMULATED).sum())
        result = {f"exact_{name}": value for name, value in values.items()}
        result |= {f"simulated_{name}": value[:early] for name, value in values.items()}
        rows.append({"time": time, "simulated_time": time[:early], **result})
    return rows


def planted_courses(number="paper", power=1.0):
    config = sparsification.encoding(SETTINGS)
    return Results([config], [on_a_curve(config, number, power)])


@pytest.mark.parametrize(("power", "verdict"), [(1.0, claims.HOLDS), (1.5, claims.FAILS)])
def test_exponents_are_judged_rightly(power, verdict):
    measured = sparsification.measured_exponents(planted_courses(power=power))
    assert claims.verdict_of(sparsification.CLAIMS["IP-02a"], measured.quantities) == verdict
    assert "m = 10,000" in measured.scale


@pytest.mark.parametrize(
    ("number", "power", "verdict"),
    [("paper", 1.0, claims.HOLDS), ("corrected", 1.0, claims.CORRECTED), ("corrected", 1.3, claims.FAILS)],
)
def test_other_settings_are_judged_rightly(number, power, verdict):
    configs = sparsification.other_encodings(SETTINGS)
    others = Results(configs, [on_a_curve(config, number, power) for config in configs])
    measured = sparsification.measured_others(others)
    assert claims.verdict_of(sparsification.CLAIMS["IP-02b"], measured.quantities) == verdict


@pytest.mark.parametrize(
    ("number", "power", "verdict"),
    [("paper", 1.0, claims.HOLDS), ("corrected", 1.0, claims.CORRECTED), ("paper", 1.5, claims.FAILS)],
)
def test_curves_are_judged_rightly(number, power, verdict):
    measured = sparsification.measured_curves(planted_courses(number, power))
    assert claims.verdict_of(sparsification.CLAIMS["IP-02c"], measured.quantities) == verdict


@pytest.mark.parametrize(("variance", "verdict"), [(0.8, claims.HOLDS), (3.0, claims.FAILS)])
def test_the_variance_is_judged_rightly(variance, verdict):
    courses = planted_courses()
    for one in courses[0]:
        one["simulated_relative_variance"] = np.full_like(one["simulated_time"], variance)
    measured = sparsification.measured_variance(courses)
    assert claims.verdict_of(sparsification.CLAIMS["IP-02d"], measured.quantities) == verdict


def test_the_table_of_a_course_tells_the_paper_from_the_simulation():
    table = sparsification.course_table(planted_courses())
    plots.check_tidy(table)
    number = plots.part(table, quantity="live weights m'")
    simulated, paper = (plots.part(number, what=what)["value"].to_numpy() for what in ("measured", "paper"))
    np.testing.assert_allclose(simulated, paper[: len(simulated)])
    assert (plots.part(number, what="corrected")["value"].to_numpy()[:20] > paper[:20]).all()


def test_the_table_of_the_winner_follows_weights_until_they_die():
    table = sparsification.winner_table(sparsification.trajectory(**CALL, n_neurons=12, l1=0.2, n_times=60))
    plots.check_tidy(table)
    exact = plots.part(table, drawn="over time", series="exact solution")
    assert (exact["size |w|"] >= 0).all()
    last = exact.groupby("rank at the start")["time t"].max()
    assert (np.diff(last) <= 0).all() and last[1] > last[2]
    assert len(plots.part(table, drawn="soft threshold")) == 3 * 5
