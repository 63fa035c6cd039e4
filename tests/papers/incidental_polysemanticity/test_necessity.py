"""The test for incidental sharing: the workers at the smallest sizes, and planted verdicts."""

import math

import numpy as np
import pytest
import torch

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes, necessity

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}
SETTINGS = necessity.Settings()


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_relocate_tells_incidental_from_necessary():
    weights = np.zeros((4, 3))
    weights[[0, 1, 2, 3], [0, 0, 1, 1]] = [1.0, -1.0, 1.0, -1.0]
    moves = necessity.relocate(weights, 0.05)
    assert moves.incidental == 1  # one free neuron, two shared ones
    assert moves.free_cost == pytest.approx(0, abs=1e-12) and moves.used_cost > 1
    full = necessity.relocate(weights[:, :2], 0.05)
    assert full.incidental == 0 and math.isnan(full.free_cost) and full.used_cost > 1


@pytest.mark.parametrize("n_neurons", [4, 6, 16])
def test_toys_are_diagnosed_as_counted(n_neurons):
    result = necessity.toy(**{**TOY, "l1": 0.05, "n_neurons": n_neurons}, n_seeds=8)
    np.testing.assert_array_equal(result["incidental"], result["count"] - max(0, 8 - n_neurons))
    assert (result["again"] >= 0).all() and result["chance"].shape == (8,)


def test_dividing_a_linear_neuron_changes_nothing_else():
    encoder, decoder = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    weights = (encoder, decoder, torch.zeros(1, 2), torch.zeros(1, 2))
    inputs = torch.eye(2)
    divided = necessity._divided(weights, 1, 0, 1)
    assert divided[0].tolist() == [[1.0, 0.0], [0.0, -1.0]]
    for network in (weights, divided):
        output = inputs @ network[0] @ network[1]
        assert output.tolist() == [[1.0, -1.0], [-1.0, 1.0]]
    assert weights[0].tolist() == [[1.0, 0.0], [-1.0, 0.0]]  # the argument is as it was
    assert necessity._split(weights, inputs, lambda h: h, 0.0) == (1, 1)


@pytest.mark.parametrize("kind", ["linear", "ReLU"])
def test_autoencoders_learn_and_are_diagnosed(kind):
    config = {**CALL, "n_features": 4, "n_neurons": 8, "l1": 0.02, "n_seeds": 2, "n_steps": 600}
    result = necessity.autoencoder(**config, kind=kind)
    assert result["explained"].min() > 0.8 and (result["incidental"] <= result["count"]).all()


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is linear or ReLU"):
        necessity.autoencoder(**TOY, n_seeds=2, kind="cubic", n_steps=1)


def toys(wrong=0, free_cost=0.0, again=1.0):
    """Results of `toy` with these many wrong diagnoses per size, cost of a free move, and pairs that recur ÷ chance."""
    configs, rows = necessity.sizes(SETTINGS, causes.Settings()), []
    for config in configs:
        m, n_seeds = config["n_neurons"], config["n_seeds"]
        count = np.full(n_seeds, max(0, 32 - m) + 2)
        rows.append(
            {
                "count": count,
                "incidental": count - max(0, 32 - m) - (np.arange(n_seeds) < wrong),
                "free_cost": np.full(n_seeds, free_cost),
                "used_cost": np.full(n_seeds, 1.2),
                "again": np.full(n_seeds, round(3 * again)),
                "chance": np.full(n_seeds, 3.0),
            }
        )
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("planted", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"wrong": 9}, claims.FAILS),
        ({"free_cost": 0.1}, claims.FAILS),
        ({"again": 3.0}, claims.FAILS),
    ],
)
def test_planted_diagnoses_are_judged_rightly(planted, verdict):
    measured = necessity.measured(toys(**planted))
    assert claims.verdict_of(necessity.CLAIMS["IP-13"], measured.quantities) == verdict
    assert "48 networks per size" in measured.scale


def nets():
    """Results of `autoencoder`: three shared neurons, of which one is incidental where there is room."""
    configs = necessity.autoencoders(SETTINGS)
    split = [int(config["n_neurons"] > 16) for config in configs]
    three, sure = np.full(SETTINGS.net_seeds, 3), np.full(SETTINGS.net_seeds, 0.9)
    return Results(configs, [{"count": three, "incidental": 0 * three + one, "explained": sure} for one in split])


def test_the_tables_split_what_is_shared():
    table = necessity.table(toys(), nets())
    plots.check_tidy(table)
    shared = "shared neurons per network"
    necessary = plots.part(table, network="toys", series="necessary, by the test")
    by_counting = plots.part(table, network="toys", what="control")
    assert list(necessary[shared]) == list(by_counting[shared]) == [16, 12, 8, 4, 0, 0, 0, 0]
    exact = plots.part(table, what="corrected")[shared]
    assert list(exact) == pytest.approx([incidental.expected_polysemantic(32, m) for m in SETTINGS.neurons])
    linear = plots.part(table, network="linear autoencoders", series="incidental, by the test")
    assert dict(zip(linear["neurons per feature m/n"], linear[shared], strict=True)) == {
        0.5: 0,
        1: 0,
        1.5: 1,
        2: 1,
        4: 1,
    }
    rows = necessity.by_kind(nets())
    assert list(rows["of these split at no loss"]) == [0, 18, 0, 18] and list(rows["shared neurons"]) == [
        36,
        54,
        36,
        54,
    ]
