"""Stationary points, random problems, wrong minima and gradient flow, with tiny settings."""

import matplotlib
import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import landscape
from polysemanticity.papers.feature_capacity import descent, figures, phase_diagram


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_stationary_points_random_problems_and_wrong_minima():
    found = work(descent.stationary, kurtosis=5.0, n_features=4, n_dims=2, n_starts=8)
    assert found["converged"].any() and np.abs(found["total"] - found["rank"])[found["converged"]].max() < 1e-9
    fixed = {"n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 300}
    problems = work(descent.random_problems, n_problems=3, **fixed)
    np.testing.assert_allclose(problems["eigenvalues"], np.repeat(problems["predicted"][:, None], 2, 1), rtol=1e-6)
    excess = work(descent.wrong_minima, kurtoses=(1.3, 8.0), n_problems=4, **fixed)["excess_loss"]
    assert excess.shape == (2, 4, 2) and excess[1].max() < 1e-6


def test_flow_and_how_it_is_read():
    config = {"decay": 0.5, "kurtosis": 5.0, "n_features": 3, "n_dims": 2, "n_seeds": 3, "duration": 40.0, "n_kept": 80}
    flow = work(descent.flow_from_small, **config)
    entry = landscape.entry_times(flow["times"], flow["norm"], 0.5 ** np.arange(3))
    assert landscape.in_order(entry).all() and (entry[:, 0] < entry[:, 1]).all()
    np.testing.assert_allclose(landscape.growth_rates(flow["times"], flow["norm"])[:, 0], 1, rtol=0.01)
    resting = landscape.at_rest(flow["times"], flow["total"], entry, 2)
    assert resting.shape == (81, 3, 1) and resting.any((0, 2)).all()
    assert landscape.distance_from_integers(flow["total"], resting).max() < 0.05
    assert not landscape.in_order(np.array([[3.0, np.nan, 2.0]]))[0]


SETTINGS, MODELS = descent.Settings(n_starts=4, n_problems=64, n_flows=128), phase_diagram.Settings()


def found(off=0.0, wrong=0):
    """Stationary points `off` the integers, random problems and a sweep of the kurtosis with some wrong minima."""
    ranks = np.array([2, 3, 3, 3])
    point = {
        "total": ranks + off, "rank": ranks, "off": np.zeros(4), "excess_loss": np.array([0.5, 0.2, 0, 0]),
        "minimum": np.array([False, False, True, True]), "converged": np.array([True, True, True, False]),
    }  # fmt: skip
    configs = descent.searches(SETTINGS)
    excess = np.zeros((64, 8))
    excess[:wrong] = 1.0
    spectrum = np.ones((64, 8, 4))
    problems = {"excess_loss": excess, "eigenvalues": spectrum, "predicted": spectrum[:, 0]}
    swept = {"excess_loss": np.array([np.full((8, 8), float(k < 3)) for k in descent.SWEPT])}
    return (
        Results(configs, [point] * len(configs)),
        Results([descent.problems_at_random(SETTINGS, MODELS)], [problems]),
        Results([descent.sweep_of_kurtosis(MODELS)], [swept]),
    )


@pytest.mark.parametrize(
    ("plant", "verdict"), [({}, claims.HOLDS), ({"off": 0.1}, claims.FAILS), ({"wrong": 8}, claims.FAILS)]
)
def test_the_landscape_is_judged_rightly(plant, verdict):
    measured = descent.measured_landscape(*found(**plant))
    assert claims.verdict_of(descent.CLAIMS["FC-07"], measured.quantities) == verdict
    assert "8 of the stationary points are saddles" in measured.note and "100%" in measured.note


def test_the_table_of_the_landscape():
    points, _, swept = found()
    table = descent.landscape_table(points, swept)
    plots.check_tidy(table)
    assert len(plots.part(table, quantity=descent.TOTAL, kind="saddle")) == 4
    share = plots.part(table, quantity=descent.SHARE, what="measured")
    np.testing.assert_array_equal(share["value"], share["kurtosis κ"] < 3)
    assert figures.figx_landscape(table).axes


def flown(swapped=0, rest_at=0.0):
    """Flows whose features enter at 10, 20, 30, 40; Σ C moves for 4 before each entry and rests `rest_at` too high."""
    rows = []
    for config in descent.flows(SETTINGS):
        times, n, seeds = np.linspace(0, 150, 601), config["n_features"], config["n_seeds"]
        v = config["decay"] ** np.arange(n)
        entries = np.tile(np.where(np.arange(n) < 4, 10.0 * np.arange(1, n + 1), 1e9), (seeds, 1))
        noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=(1, seeds, n))
        total = np.clip((times[:, None, None] - entries + 4) / 4, 0, 1).sum(-1) + rest_at + 1e-3 * noise.sum(-1)
        entries[:swapped, :2] = entries[:swapped, 1::-1]
        grown = times[:, None, None] >= entries
        growing = 1e-8 * v * np.exp(2 * v * times[:, None, None])
        norm = np.where(grown, v, np.minimum(growing, 1e-3 * v) * noise)
        rows.append({"times": times, "norm": norm, "total": total})
    return Results(descent.flows(SETTINGS), rows)


@pytest.mark.parametrize(("swapped", "verdict"), [(0, claims.HOLDS), (40, claims.FAILS), (13, claims.UNCLEAR)])
def test_the_order_of_entry_is_judged_rightly(swapped, verdict):
    measured = descent.measured_entry(flown(swapped))
    assert claims.verdict_of(descent.CLAIMS["FC-10a"], measured.quantities) == verdict


@pytest.mark.parametrize(("rest_at", "verdict"), [(0.0, claims.HOLDS), (0.2, claims.FAILS)])
def test_where_the_sum_rests_is_judged_rightly(rest_at, verdict):
    measured = descent.measured_rests(flown(rest_at=rest_at))
    assert claims.verdict_of(descent.CLAIMS["FC-10b"], measured.quantities) == verdict
    assert "rests for 56% of the time" in measured.note


def test_rests_are_where_the_sum_is_slow():
    times = np.arange(0, 10, 0.1)
    total = np.clip(times - 4, 0, 1)[:, None] + 1  # moves from 4 to 5
    resting = landscape.at_rest(times, total, np.array([[2.0, 8.0]]), 2)[:, 0, 0]
    inside = (times >= 2) & (times <= 8)
    np.testing.assert_array_equal(resting[(times < 3.85) | (times > 5.15)], inside[(times < 3.85) | (times > 5.15)])
    assert not resting[(times > 4.05) & (times < 4.95)].any()
    assert landscape.distance_from_integers(total, resting[:, None, None])[0] < 1e-9
    assert np.isnan(landscape.distance_from_integers(total, np.zeros((100, 1, 1), bool)))[0]


def test_the_table_of_the_flow_marks_rests():
    table = descent.entry_table(flown())
    plots.check_tidy(table)
    halves = plots.part(table, quantity=descent.HALF)
    np.testing.assert_allclose(halves[descent.TIME], [10, 20, 30, 40])
    rests = plots.part(table, quantity=descent.RESTS)
    np.testing.assert_allclose(rests["value"], rests["value"].round(), atol=0.02)
    with matplotlib.rc_context():
        plots.use_style()
        assert "At rest Σ C is an integer" in figures.figx_order_of_entry(table).axes[1].get_title(loc="left")
