"""The workers on noise and penalties, at the smallest sizes and on known answers."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime, streams
from polysemanticity.base.results import Results
from polysemanticity.incidental import hidden_noise
from polysemanticity.papers.incidental_polysemanticity import noise, penalties

CALL = {"seed": 0, "device": "cpu"}
SIZE = {"n_features": 6, "n_neurons": 12}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_fourth_norms_begin_alike_under_every_noise():
    config = {"laws": ("bipolar", "gaussian"), "sigmas": (0.1, 0.2), "n_seeds": 3, "n_steps": 200}
    result = noise.fourth_norms(**CALL, **SIZE, **config)
    assert result["value"].shape == (2, 2, 3, len(result["steps"])) and result["weights"].shape == (2, 2, 6, 12)
    np.testing.assert_array_equal(result["start"][0, 0], result["start"][1, 1])
    again = noise.fourth_norms(**CALL, **SIZE, **config)
    np.testing.assert_array_equal(result["value"], again["value"])


def test_expected_flow_sparsifies_under_bipolar_noise_only():
    result = noise.expected_flow(**CALL, n_features=6, n_neurons=8, sigma=0.15, n_seeds=4, n_steps=1500)
    assert result["bipolar"].shape == result["gaussian"].shape == (4, len(result["time"]))
    assert result["bipolar"][:, -1].mean() > 1.3 * result["bipolar"][:, 0].mean()
    assert abs(result["gaussian"][:, -1] - result["gaussian"][:, 5]).max() < 0.02
    assert result["gaussian_change"] < 1e-12 < 1e-5 < result["bipolar_change"]


def test_pair_cost_is_known_for_one_weight_and_near_the_kurtosis_term_for_many():
    cost = noise.pair_cost(**CALL, product=-0.1, sigma=0.2)
    assert cost["exact"][0] + cost["gaussian"] == pytest.approx((0.2 - 0.1) ** 2 / 2)  # half the states: ReLU(σ + a)²
    assert cost["exact"][8:].mean() == pytest.approx(cost["predicted"][8:].mean(), rel=0.2)


def test_a_planted_pair_stays_without_noise_and_dissolves_with_it():
    result = noise.planted_pair(**CALL, **SIZE, sigmas=(0.0, 0.25), n_seeds=3, n_steps=2500)
    silent, noisy = result["product"]
    np.testing.assert_allclose(silent, -1, atol=1e-6)
    assert (noisy[:, -1] > -0.5).all()


def test_noisy_counts_and_l1_with_noise():
    result = noise.noisy_counts(**CALL, n_features=8, n_neurons=8, sigma=0.15, n_seeds=4, time=400.0)
    assert result["window"].shape == result["relative"].shape == (4,)
    assert result["window"].sum() == 0 and (result["low"] > 0).any()
    assert (result["participation"] > 0.5).all() and abs(result["product"] * 7 + 1).max() < 0.1
    both = noise.with_l1(**CALL, n_features=16, n_neurons=16, l1=0.1, sigmas=(0.0, 0.2), n_seeds=8, time=100.0)
    trained = incidental.train(16, 16, 0.1, streams.batch_seeds(0, 8), step=0.2)
    assert abs(both["count"][0].mean() - incidental.polysemantic_neurons(trained.weights).mean()) < 0.5
    assert both["count"][1].sum() < both["count"][0].sum() / 2


def test_task_loss_of_each_output():
    weights = incidental.initial_weights(4, 5, range(2))
    torch.testing.assert_close(penalties.task_loss(weights, "relu"), incidental.loss(weights, 0.0))
    flat = torch.zeros(1, 3, 4)
    assert float(penalties.task_loss(flat, "sigmoid")) == pytest.approx(9 / 4)
    low = 1 / (1 + np.exp(2))
    assert float(penalties.task_loss(flat, "sharp sigmoid")) == pytest.approx(6 * low**2 + 3 * (1 - low) ** 2)


def test_l2_leaves_encodings_dense_and_l1_does_not():
    config = {**SIZE, "n_seeds": 4, "first": 0, "time": 100.0, "output": "relu"}
    flat = penalties.penalized(**CALL, **config, penalty="l2", strength=0.1)
    sparse = penalties.penalized(**CALL, **config, penalty="l1", strength=0.1)
    assert flat["participation"].max() < 0.4 and sparse["participation"].min() > 0.95
    assert (sparse["dead"] == 0).all() and (sparse["same"] == 0).all()
    gone = penalties.penalized(**CALL, **config, penalty="l1", strength=3.0)
    assert (gone["dead"] == 6).all() and (gone["participation"] == 0).all()


def test_rotation_is_a_symmetry_without_l1_only():
    turned = penalties.rotated(**CALL, **SIZE, l1=0.1, n_seeds=3, time=30.0)
    assert turned["without"].max() < 1e-10 and turned["with"].min() > 0.1


def test_steps_of_several_lengths_cover_the_same_time():
    result = noise.by_step(**CALL, **SIZE, sigma=0.1, steps=(0.04, 0.02), n_seeds=3, time=20.0)
    assert result["participation"].shape == (2, 3)
    assert abs(result["participation"][0] - result["participation"][1]).max() < 0.2


def test_a_callers_step_is_used():
    config = {**CALL, "n_features": 4, "n_neurons": 4, "sigma": 0.15, "n_seeds": 2}
    for worker, usual, length in (
        (noise.expected_flow, 0.1, {"n_steps": 100}),
        (noise.noisy_counts, 0.04, {"time": 4.0}),
    ):
        name = "bipolar" if worker is noise.expected_flow else "participation"
        default, same, other = (
            worker(**config, **length, **step)[name] for step in ({}, {"step": usual}, {"step": 0.02})
        )
        np.testing.assert_array_equal(default, same)
        assert abs(default - other).max() > 1e-5


SETTINGS = noise.Settings(n_seeds=6, n_steps=200)
SIMPLEX = float(hidden_noise.fourth_norm(hidden_noise.sparsest_simplex(8, 16)))


def planted_norms(growth=4.0, gaussian=1.0, laplace=0.6):
    """Fourth norms that begin at a quarter of the simplex's and end at a multiple of that."""
    config, rng = noise.protocol(SETTINGS), np.random.default_rng(0)
    ends = {"bipolar": growth, "gaussian": gaussian, "uniform": growth, "laplace": laplace}
    scatter = 1 + 0.01 * rng.standard_normal((4, 3, 6, 1))
    course = np.array([[[[1.0, ends[law]]]] for law in config["laws"]])
    value = SIMPLEX / 4 * (1 + (course - 1) * scatter)
    weights = np.tile(hidden_noise.sparsest_simplex(8, 16).numpy(), (4, 3, 1, 1))
    start = np.full((4, 3, 6), SIMPLEX / 4)
    return Results([config], [{"steps": np.array([1, 200]), "start": start, "value": value, "weights": weights}])


@pytest.mark.parametrize(
    ("planted", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"growth": 1.1}, claims.FAILS),
        ({"gaussian": 2.0}, claims.FAILS),
        ({"laplace": 2.0}, claims.FAILS),
    ],
)
def test_sparsity_is_judged_rightly(planted, verdict):
    measured = noise.measured_sparsity(planted_norms(**planted))
    assert claims.verdict_of(noise.CLAIMS["IP-06"], measured.quantities) == verdict


def test_the_table_of_fourth_norms_has_all_laws_and_the_weights_in_use():
    table = noise.fourth_norm_table(planted_norms())
    plots.check_tidy(table)
    norms = plots.part(table, quantity=noise.FOURTH, what="measured")
    assert len(norms) == 4 * 3 * 2 and set(norms["law"]) == set(noise.LAWS)
    weights = plots.part(table, quantity="weight")
    assert len(weights) == 8 * 7
    assert float((weights["value"] ** 4).sum() / 8) == pytest.approx(SIMPLEX, rel=1e-4)
    assert noise.end_norms(planted_norms()).iloc[-1, 1] == pytest.approx(SIMPLEX)


def planted_counts(per_network):
    """Networks under noise with the same number of shared neurons by both criteria, and a pair that dissolves."""
    configs = noise.counted_sizes(SETTINGS)
    per = {"participation": np.full(8, 0.7), "ceiling": 0.8, "product": np.full(8, -0.1), "low": np.ones(8)}
    counted = []
    for config in configs:
        count = np.full(8, round(per_network * config["n_features"] ** 2 / (4 * config["n_neurons"])))
        counted.append({"window": count, "relative": count, **per})
    time = np.array([1.0, 2.0])
    course = -np.ones((len(noise.PAIR_SIGMAS), 8, 2)) * [1.0, 0.5]
    pair = Results([noise.dissolving(SETTINGS)], [{"time": time, "product": course}])
    both = noise.both_forces(SETTINGS, 0.03)
    shared = Results(both, [{"count": np.arange(16).reshape(1, 16)} for _ in both])
    return Results(configs, counted), pair, shared


@pytest.mark.parametrize(("per_network", "verdict"), [(1.0, claims.HOLDS), (0.0, claims.FAILS)])
def test_counts_under_noise_are_judged_rightly(per_network, verdict):
    measured = noise.measured_counts(*planted_counts(per_network)[:2])
    assert claims.verdict_of(noise.CLAIMS["IP-07"], measured.quantities) == verdict
    assert measured.quantities["product of the planted pair at σ = 0.15"].value == -0.5


def test_the_tables_of_noise_name_their_series():
    table = noise.pairs_table(*planted_counts(1.0))
    plots.check_tidy(table)
    law = plots.part(table, what="paper")
    assert list(law["size"])[:2] == ["8, 8", "8, 16"] and list(law["value"])[:2] == [2, 1]
    flow = noise.expected_flow(**CALL, n_features=6, n_neurons=8, sigma=0.15, n_seeds=2, n_steps=100)
    config = noise.small_network(SETTINGS)
    cost = Results([noise.one_product(SETTINGS)], [noise.pair_cost(**CALL, product=-0.1, sigma=0.2, most=5)])
    table = noise.theory_table(cost, Results([config], [flow]))
    plots.check_tidy(table)
    assert len(plots.part(table, quantity=noise.COST, what="measured")) == 5
    assert set(noise.theory_numbers(cost, Results([config], [flow]))) > {"participation at the start"}
