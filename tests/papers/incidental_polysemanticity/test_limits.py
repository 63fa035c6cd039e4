"""Where the mechanism ends: the workers at the smallest sizes, and planted verdicts."""

import math

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes, limits

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}
SETTINGS, TOYS = limits.Settings(), causes.Settings()


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_deaths_follow_the_critical_value():
    critical = limits.critical(**CALL, n_features=8, n_neurons=16)["critical"]
    result = limits.deaths(**CALL, n_features=8, n_neurons=16, l1=[0.3, 0.99 * 1.5], n_seeds=4)
    assert critical.shape == (8,) and result["dead"].shape == (2, 4)
    assert result["dead"][0].mean() < 0.1 < result["dead"][1].mean()
    assert limits.half_dead([1.0, 2.0, 3.0], [0.0, 0.25, 0.75]) == pytest.approx(2.5)
    assert math.isnan(limits.half_dead([1.0, 2.0], [0.0, 0.1]))


def test_patience_and_crowds():
    early = limits.patience(**TOY, n_seeds=3, time=0.5)
    late = limits.patience(**TOY, n_seeds=3, time=200.0)
    assert early["open"].mean() == 1 and late["open"].mean() == 0 and (late["time"] < 200).all()
    assert limits.crowd(**{**TOY, "l1": 0.05, "n_neurons": 4}, n_seeds=4)["one_hot"].mean() == 1
    assert limits.crowd(**{**TOY, "n_neurons": 2}, n_seeds=4)["one_hot"].mean() <= 0.5


def planted(shift=1.0, power=-1.0, at_half=1.0):
    """Results of the four workers: half of the features die at `shift` times the predicted λ; times go as λ to a power;
    at m = n/2 a share of rows is one-hot."""
    alone = limits.single(SETTINGS, TOYS)
    own = {m: (6 / np.sqrt(m)) * np.linspace(0.85, 1.15, 32) for m in SETTINGS.neurons}
    alone = Results(alone, [{"critical": own[config["n_neurons"]]} for config in alone])
    configs, died = limits.strong(SETTINGS, TOYS, alone), []
    for config in configs:
        first = shift * own[config["n_neurons"]] < np.array(config["l1"])[:, None]
        share = first.mean(1, keepdims=True) * np.linspace(0.99, 1.01, SETTINGS.n_seeds)
        died.append({"dead": share, "first": first})
    died, few = Results(configs, died), np.linspace(0.99, 1.01, SETTINGS.n_seeds)
    waited = limits.weak(SETTINGS, TOYS)
    waited = Results(waited, [{"open": 0.5 * few, "time": few * config["l1"] ** power} for config in waited])
    crowded, one = limits.crowds(SETTINGS, TOYS), np.ones(SETTINGS.n_seeds)
    shares = [{"one_hot": at_half * one, "dead": 0 * one, "count": one} for _ in crowded]
    return alone, died, waited, Results(crowded, shares)


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"shift": 1.25}, claims.FAILS),
        ({"power": -0.5}, claims.FAILS),
        ({"at_half": 0.9}, claims.FAILS),
    ],
)
def test_planted_limits_are_judged_rightly(truth, verdict):
    measured = limits.measured(*planted(**truth), seed=0)
    assert claims.verdict_of(limits.CLAIMS["IP-15"], measured.quantities) == verdict
    assert "strong λ: m = 64, 256, 1024; weak λ: m = 64; few neurons: λ = 0.05" in measured.scale


def test_where_nothing_dies_nothing_is_known_of_the_critical_value():
    alone, died, waited, crowded = planted(shift=10.0)
    found = limits.measured(alone, died, waited, crowded, seed=0).quantities
    assert found["measured ÷ predicted λ at which half of the features die"] == (0, 0, math.inf)


def test_the_table_has_the_three_limits():
    results = planted()
    table = limits.table(*results)
    plots.check_tidy(table)
    predicted = plots.part(table, series="predicted, m = 256")
    assert list(predicted["λ"]) == sorted(results[0][1]["critical"]) and predicted["share"].iloc[-1] == 1
    assert list(plots.part(table, experiment="too weak")["λ"]) == list(SETTINGS.l1)
    shared = plots.part(table, series="neurons that are polysemantic")
    assert list(shared["share"]) == pytest.approx([1 / m for m in SETTINGS.crowd])
    numbers = limits.numbers(*results)
    assert numbers["the same ÷ predicted, m = 64"] == pytest.approx(1, abs=0.02)
    assert numbers["share one-hot at m = 4"].value == 1
