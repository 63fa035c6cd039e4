"""Several hidden layers: the workers at the smallest sizes, and planted verdicts."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import depth, figures

CALL = {"seed": 0, "device": "cpu"}
SETTINGS = depth.Settings(n_seeds=400)


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


@pytest.mark.parametrize("arm", depth.INTERVENTIONS)
def test_tied_networks_learn_one_hot_codes(arm):
    result = depth.linear(**CALL, n_features=6, n_neurons=12, l1=0.3, n_seeds=3, arm=arm)
    assert result["count"].shape == result["winners"].shape == (2, 3) and result["above"].shape == (3,)
    assert (result["error"] < depth.GATE).all() and (result["in_use"][0] < 1.8).all()


def test_untied_networks_learn():
    result = depth.feedforward(**CALL, n_features=5, n_neurons=10, n_layers=2, l1=0.01, n_seeds=3, n_steps=600)
    assert result["count"].shape == result["shuffled"].shape == (2, 3) and np.median(result["error"]) < depth.GATE


def planted(factor=1.0, error=0.01, above=0.8, **factors):
    """Results with these multiples of the exact count, for all networks or for some interventions by their names."""
    rng = np.random.default_rng(0)

    def result(config, n_layers, factor):
        exact = incidental.expected_polysemantic(config["n_features"], config["n_neurons"])
        count = rng.poisson(factor * exact, (n_layers, 400))
        others = {name: count + 1.0 for name in ("winners", "shuffled", "in_use")}
        errors = np.full(400, error)
        return {"count": count, **others, "error": errors, "above": rng.binomial(count[0], above)}

    feed = [result(c, c["n_layers"], factor) for c in depth.untied(SETTINGS)]
    lines = [result(c, 2, factors.get(c["arm"], factor)) for c in depth.tied(SETTINGS)]
    return Results(depth.untied(SETTINGS), feed), Results(depth.tied(SETTINGS), lines)


@pytest.mark.parametrize(
    ("factor", "error", "verdict"),
    [
        (1.0, 0.01, claims.HOLDS),
        (0.2, 0.01, claims.CORRECTED),
        (2.0, 0.01, claims.FAILS),
        (1.0, 0.5, claims.NOT_TESTED),
    ],
)
@pytest.mark.parametrize("n_layers", [2, 3])
def test_planted_layers_are_judged_rightly(factor, error, verdict, n_layers):
    measured = depth.measured(planted(factor, error)[0], n_layers)
    claim = depth.CLAIMS["IP-11a" if n_layers == 2 else "IP-11b"]
    assert claims.verdict_of(claim, measured.quantities) == verdict
    assert "m = 64, 128" in measured.scale


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, claims.HOLDS), (3.0, claims.CORRECTED), (0.3, claims.FAILS)])
def test_planted_linear_layers_are_judged_rightly(factor, verdict):
    measured = depth.measured_linear(planted(factor)[1])
    assert claims.verdict_of(depth.CLAIMS["IP-11c"], measured.quantities) == verdict


@pytest.mark.parametrize(
    ("untaxed", "held", "above", "verdict"),
    [
        (3.0, 1.2, 0.8, claims.HOLDS),
        (1.0, 1.2, 0.8, claims.FAILS),
        (3.0, 3.0, 0.8, claims.FAILS),
        (3.0, 1.2, 0.5, claims.FAILS),
    ],
)
def test_planted_gains_are_judged_rightly(untaxed, held, above, verdict):
    arms = {"onward weights untaxed": untaxed, "gains held equal": held}
    measured = depth.measured_gains(planted(5.0, above=above, **arms)[1])
    assert claims.verdict_of(depth.CLAIMS["IP-11d"], measured.quantities) == verdict


def test_the_tables_have_every_layer_and_can_be_drawn():
    results = planted(2.0)
    table = depth.table(*results)
    plots.check_tidy(table)
    assert len(plots.part(table, series="3 ReLU layers, untied, third layer")) == 3
    assert set(plots.part(table, arm="law of one layer")["value"]) == {1.0}
    figures.figx_depth(table)
    rows = depth.by_layer(*results)
    assert len(rows) == 1 + 2 + 3 + 2 * len(depth.INTERVENTIONS)
