"""Two hidden layers: the worker at the smallest sizes, and planted verdicts."""

import math

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes, depth

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


@pytest.mark.parametrize("kind", depth.KINDS)
def test_two_layers_keep_their_features(kind):
    result = depth.two_layers(**{**TOY, "n_features": 6, "n_neurons": 12}, n_seeds=3, kind=kind)
    assert result["count"].shape == result["same"].shape == (2, 3)
    assert kind.startswith("ReLU") or result["kept"].min() >= 5


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is one of linear, l1 on weights"):
        depth.two_layers(**TOY, n_seeds=2, kind="cubic")


def test_sharing_a_path_pays():
    alone, shared = (depth.path_objective(0.05, share) for share in (False, True))
    assert shared < alone < 0.1
    # to first order the weights stay at one and the taxes are 2 and √2 (the weights' product is one) times l1
    assert alone == pytest.approx(0.1, rel=0.02) and shared == pytest.approx(0.05 * math.sqrt(2), rel=0.02)


def planted(power, factor):
    """Results whose counts go as the exact count at m = 64 times a factor, and as m to a power."""
    configs = depth.networks(depth.Settings(n_seeds=400), causes.Settings())
    rng, rows = np.random.default_rng(0), []
    for config in configs:
        mean = factor * incidental.expected_polysemantic(16, 64) * (config["n_neurons"] / 64) ** power
        count = rng.poisson(mean, (2, 400))
        rows.append({"count": count, "opposite": count, "same": 0 * count, "kept": np.full(400, 12)})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("power", "factor", "verdict"), [(-1.0, 1.0, claims.HOLDS), (-0.1, 1.0, claims.FAILS), (-1.0, 5.0, claims.FAILS)]
)
def test_planted_layers_are_judged_rightly(power, factor, verdict):
    measured = depth.measured(planted(power, factor), seed=0)
    assert claims.verdict_of(depth.CLAIMS["IP-11"], measured.quantities) == verdict
    assert measured.scale.startswith("n = 16, m = 16, 32, 64 in each")


def test_the_tables_have_every_kind_in_both_layers():
    results = planted(-1.0, 2.0)
    table = depth.table(results)
    plots.check_tidy(table)
    seen = plots.part(table, what="measured", layer="second")
    assert list(dict.fromkeys(seen["series"])) == list(depth.KINDS) and len(seen) == 3 * len(depth.KINDS)
    law = plots.part(table, what="corrected", layer="first")["polysemantic neurons per network"]
    assert list(law) == pytest.approx([incidental.expected_polysemantic(16, m) for m in (16, 32, 64)])
    rows = depth.by_kind(results)
    assert list(rows["first layer ÷ exact count, m = 64"]) == pytest.approx([2.0] * 5, rel=0.15)
    assert list(rows["share of features lost"]) == [0.25] * 5


def test_the_losses_of_paths_are_named():
    alone, shared = depth.path_losses(0.05).values()
    assert (alone, shared) == (depth.path_objective(0.05, False), depth.path_objective(0.05, True))
