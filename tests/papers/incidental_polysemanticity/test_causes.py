"""Workers and readers of the families causes, depth, co-occurrence, necessity, limits and of the playground."""

import math

import numpy as np
import pytest
import torch

from polysemanticity import claims, incidental
from polysemanticity.base import runtime
from polysemanticity.papers.incidental_polysemanticity import causes, cooccurrence, depth, limits, necessity, playground

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_costs_move_the_signs_of_what_survives():
    result = causes.costs(**TOY, n_seeds=24, same=[1.0, 1.0, 0.0], opposite=[0.0, 1.0, 1.0])
    assert result["count"].shape == (3, 24) and result["dead"].sum() == 0
    assert result["same"][0].sum() == 0 < result["opposite"][0].sum()
    assert result["count"][1].sum() == 0
    assert result["opposite"][2].sum() == 0 < result["same"][2].sum()
    again = causes.costs(**TOY, n_seeds=24, same=[1.0, 1.0, 0.0], opposite=[0.0, 1.0, 1.0])
    np.testing.assert_array_equal(result["count"], again["count"])


def test_starts_keep_signs_where_they_are_given():
    result = causes.starts(**TOY, n_seeds=12)
    assert result["count"].shape == (len(causes.STARTS), 12)
    assert result["count"][0].sum() < result["count"][1].sum()  # no opposite signs to start with


@pytest.mark.parametrize("kind", causes.HIDDEN)
def test_hidden_layers_keep_or_lose_features(kind):
    result = causes.hidden(**TOY, n_seeds=8, kind=kind)
    assert result["participation"].min() > 0.4 or "independent" in kind
    assert (result["kept"].mean() < 8) == ("independent" in kind)
    assert result["count"].sum() == 0 or "ReLU" not in kind


def test_untied_networks_from_equal_starts_are_the_tied_one():
    tied, untied = (causes.hidden(**TOY, n_seeds=6, kind=k) for k in ("linear, tied", "linear, untied, equal starts"))
    np.testing.assert_allclose(tied["count"], untied["count"], atol=1)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is one of linear, tied"):
        causes.hidden(**TOY, n_seeds=2, kind="cubic")
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is one of linear, l1 on weights"):
        depth.two_layers(**TOY, n_seeds=2, kind="cubic")
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is linear or ReLU"):
        necessity.autoencoder(**TOY, n_seeds=2, kind="cubic", n_steps=1)
    with pytest.raises(ValueError, match="optimizer = 'cubic': allowed is one of gradient flow, AdamW"):
        playground.ensemble(n_features=4, n_neurons=8, l1=0.3, noise=0, optimizer="cubic", n_seeds=2)
    with pytest.raises(ValueError, match="noise = 2: allowed is a size from 0 to 1"):
        playground.ensemble(n_features=4, n_neurons=8, l1=0.3, noise=2, optimizer="AdamW", n_seeds=2)


def test_half_point_finds_a_planted_one():
    costs = np.array([0.0, 0.01, 0.03, 0.1, 0.3])
    planted = 10 / (1 + costs / 0.05)
    assert causes.half_point(costs, np.tile(planted, (4, 1)).T) == pytest.approx(0.05, rel=0.05)
    assert causes.half_point([0.0, 0.2], [[10, 10], [0, 0]]) == pytest.approx(0.1)
    assert causes.half_point(costs, np.ones((5, 2))) == 0.3 == causes.half_point(costs, np.zeros((5, 2)))


def test_bootstrap_intervals_of_the_half_point_cover():
    rng, costs = np.random.default_rng(0), np.array([0.0, 0.03, 0.06, 0.1, 0.2, 0.4])
    covered, values = 0, []
    for _ in range(60):
        counts = rng.poisson(3.4 * 2.0 ** -(costs / 0.09), size=(16, 6))
        found = claims.bootstrap_interval(lambda c: causes.half_point(costs, c.T), counts, rng, n=100)
        covered, values = covered + (found.low <= 0.09 <= found.high), [*values, found.value]
    assert covered >= 52 and np.median(values) == pytest.approx(0.09, rel=0.15)


@pytest.mark.parametrize("kind", depth.KINDS)
def test_two_layers_keep_their_features(kind):
    result = depth.two_layers(**{**TOY, "n_features": 6, "n_neurons": 12}, n_seeds=3, kind=kind)
    assert result["count"].shape == result["same"].shape == (2, 3)
    assert kind.startswith("ReLU") or result["kept"].min() >= 5


def test_sharing_a_path_pays():
    alone, shared = (depth.path_objective(0.05, share) for share in (False, True))
    assert shared < alone < 0.1
    # to first order the weights stay at one and the taxes are 2 and √2 (the weights' product is one) times l1
    assert alone == pytest.approx(0.1, rel=0.02) and shared == pytest.approx(0.05 * math.sqrt(2), rel=0.02)


def test_pairs_dissolve_collisions_and_nothing_is_lost():
    result = cooccurrence.pairs(**TOY, n_seeds=16, relative=[0.0, 1.0])
    assert result["count"].shape == (2, 16) and result["kept"].min() == 8
    assert result["count"][0].sum() > 2 * result["count"][1].sum()
    without = causes.costs(**TOY, n_seeds=16, same=[1.0], opposite=[0.0])
    np.testing.assert_array_equal(result["count"][0], without["count"][0])


def test_independent_features_leave_no_accident():
    result = cooccurrence.independent(**TOY, n_seeds=4)
    assert result["count"].shape == (1, 4) and result["count"].sum() <= 1 and result["kept"].min() >= 7


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


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", playground.OPTIMIZERS)
def test_playground_trains_every_choice(noise, optimizer):
    weights = playground.ensemble(n_features=6, n_neurons=12, l1=0.1, noise=noise, optimizer=optimizer, n_seeds=2)
    assert weights.shape == (2, 6, 12)
    assert (np.abs(weights).max(-1) > 0.5).mean() > 0.8
    assert incidental.polysemantic_neurons(weights).shape == (2,)
