"""Which clock strikes first: the worker at a small size, the boundary, and verdicts on planted results."""

import math

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import race

SETTINGS = race.Settings()


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


@pytest.mark.parametrize("method", ["flow", "adamw"])
def test_clocks_strike_earlier_under_stronger_regularization(method):
    call = {"seed": 0, "device": "cpu", "n_features": 8, "n_neurons": 32, "n_seeds": 2, "method": method}
    weak, strong = (race.read(**call, l1=l1) for l1 in (0.05, 0.2))
    assert (strong["halved"] < weak["halved"]).all() and (weak["decayed"] < weak["halved"]).all()
    with pytest.raises(ValueError, match="method = 'sgd': allowed is one of flow, adamw"):
        race.read(**{**call, "method": "sgd"}, l1=0.1)


def test_the_boundary_of_known_ratios():
    halved, decayed = np.array([[4.0, 9, 0.5], [0.25, 9, 0.5]]), np.ones((2, 3))
    np.testing.assert_allclose(race.boundary([0.5, 2.0], halved, decayed), [1.0, math.inf, 0.0])


def published(flow, adamw):
    rows = [{"halved": np.array([1.01, 1]) * ratio, "decayed": np.ones(2)} for ratio in (flow, adamw)]
    return Results(race.published(SETTINGS), rows)


@pytest.mark.parametrize(
    ("ratios", "verdict"), [((0.5, 0.2), claims.HOLDS), ((200, 20), claims.CORRECTED), ((200, 2), claims.FAILS)]
)
def test_the_order_is_judged_rightly(ratios, verdict):
    found = race.measured_order(published(*ratios))
    assert claims.verdict_of(race.CLAIMS["IP-17a"], found.quantities) == verdict


def gridded(place):
    """Clocks whose ratio falls as a power and is one at the λ√m that `place` has for (n, m)."""
    rows, rng = [], np.random.default_rng(0)
    for config in race.grid(SETTINGS):
        n, m = config["n_features"], config["n_neurons"]
        x = config["l1"] * math.sqrt(m)
        noise = rng.normal(0, 0.05, SETTINGS.grid_seeds)
        rows.append({"halved": np.exp(2 * math.log(place(n, m) / x) + noise), "decayed": np.ones(SETTINGS.grid_seeds)})
    return Results(race.grid(SETTINGS), rows)


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        (lambda n, m: 0.7, claims.HOLDS),
        (lambda n, m: 0.25, claims.FAILS),
        (lambda n, m: math.sqrt(8 * n / m) / 2, claims.FAILS),  # λm/√8n the same at all sizes
    ],
)
def test_the_boundary_is_judged_rightly(place, verdict):
    found = race.measured_boundary(gridded(place))
    assert claims.verdict_of(race.CLAIMS["IP-17b"], found.quantities) == verdict
    assert "0.94" in found.note


def networks(slow, fast):
    configs, rows = race.counted(SETTINGS), []
    for config in configs:
        rng = np.random.default_rng((config["n_neurons"], 1))
        exact = incidental.expected_polysemantic(config["n_features"], config["n_neurons"])
        share = slow if config["l1"] * math.sqrt(config["n_neurons"]) < 1 else fast
        rows.append({"count": (rng.random((SETTINGS.count_seeds, 12)) < exact * share / 12).sum(1)})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("shares", "verdict"), [((0.87, 1.0), claims.HOLDS), ((0.5, 1.0), claims.FAILS), ((0.7, 0.75), claims.FAILS)]
)
def test_counts_on_either_side_are_judged_rightly(shares, verdict):
    found = race.measured_counts(networks(*shares))
    assert claims.verdict_of(race.CLAIMS["IP-17c"], found.quantities) == verdict


def test_the_table_has_every_size_theory_and_the_published_settings():
    table = race.table(gridded(lambda n, m: 0.7), published(200, 20), networks(0.9, 1.0))
    plots.check_tidy(table)
    ratios = plots.part(table, quantity=race.RATIO, what="measured")
    assert ratios["series"].nunique() == 6 + 2
    theory = plots.part(table, what="corrected")
    assert theory["value"].is_monotonic_decreasing
    last = theory.iloc[-1]
    assert last[race.STRENGTH] == pytest.approx(0.938, abs=0.001) and last["value"] == pytest.approx(3.1, abs=0.2)
