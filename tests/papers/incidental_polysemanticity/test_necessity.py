"""Planted pairs and their diagnosis: the worker at a small size, and verdicts on planted results."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import necessity

SETTINGS = necessity.Settings()
SMALL = {
    "seed": 0,
    "device": "cpu",
    "n_pairs": 1,
    "n_alone": 2,
    "l1": 0.1,
    "n_steps": 200,
    "n_inputs": 4000,
    "n_seeds": 4,
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_planted_prices_are_those_of_theory_and_are_found():
    result = necessity.diagnosed(**SMALL, n_free=4)
    assert result["stays"].all() and result["one_hot"].shape == (4, 3) and (result["free"] == 4).all()
    accidental, costly, useful = result["planted"].T
    np.testing.assert_allclose(accidental, 0, atol=1e-4)
    assert (costly > 0.01).all() and (useful < -0.02).all()
    np.testing.assert_allclose(result["measured"][:, 0], 0, atol=1e-3)
    assert np.corrcoef(result["measured"][:, 1], costly)[0, 1] > 0.8


def test_without_a_free_neuron_there_is_no_price():
    result = necessity.diagnosed(**SMALL, n_free=0)
    assert np.isnan(result["planted"]).all() and np.isnan(result["measured"]).all()


def test_samples_come_up_as_often_as_they_should():
    often = torch.tensor([[1.0, 2.0, 0.0, 0.5]])
    drawn = necessity._sample(often, 100_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn, often, atol=0.03, rtol=0)


def test_prices_are_named():
    named = necessity.diagnosis([0.0, 0.004, 0.006, -0.004, -0.02, np.nan], 0.1)
    assert named.tolist() == ["accidental", "accidental", "costly", "accidental", "useful", "necessary"]


def results(wrong=0.0, scale=1.0, missed=None):
    """Diagnosed networks with a share of wrong signs, a scale of measured prices, and costly pairs missed."""
    rng, rows, configs = np.random.default_rng(0), [], necessity.planted(SETTINGS)
    for config in configs:
        shape = config["n_seeds"], 2
        expected = np.exp(rng.uniform(np.log(0.5), np.log(30), shape))
        costly = expected / 500
        planted_price = np.hstack([np.zeros(shape), costly, -rng.uniform(0.03, 0.058, shape)])
        price = planted_price * scale * np.where(rng.random(planted_price.shape) < wrong, -1, 1)
        price = price * rng.normal(1, 0.05, price.shape)
        price[:, :2] += np.where(rng.random(shape) < wrong, 0.02, 0)
        seen = rng.random(shape) < 1 - np.exp(-expected) if missed is None else rng.random(shape) > missed
        price[:, 2:4] *= seen * expected / np.maximum(1e-9, expected * (1 - np.exp(-expected)))
        price[:, 2:4] = np.where(seen, np.sign(price[:, 2:4]) * np.maximum(np.abs(price[:, 2:4]), 0.006), 0)
        free = config["n_free"] > 0
        rows.append({
            "planted": planted_price if free else np.full((shape[0], 6), np.nan),
            "measured": price if free else np.full((shape[0], 6), np.nan),
            "stays": np.ones((shape[0], 6), dtype=bool),
            "one_hot": np.arange(6 * shape[0]).reshape(-1, 6) % 11 > 0,
            "expected": np.hstack([np.zeros(shape), expected, np.full(shape, 90.0)]),
        })  # fmt: skip
    return Results(configs, rows)


@pytest.mark.parametrize(("planted", "verdict"), [({}, claims.HOLDS), ({"wrong": 0.5}, claims.FAILS)])
def test_diagnoses_are_judged_rightly(planted, verdict):
    found = necessity.measured(results(**planted))
    assert claims.verdict_of(necessity.CLAIMS["IP-13a"], found.quantities) == verdict
    assert "chance 0.33" in found.note and "n = 24, m = 36" in found.scale


@pytest.mark.parametrize(
    ("planted", "verdict"), [({}, claims.HOLDS), ({"scale": 1.4}, claims.FAILS), ({"missed": 0.5}, claims.FAILS)]
)
def test_prices_are_judged_rightly(planted, verdict):
    found = necessity.measured_prices(results(**planted))
    assert claims.verdict_of(necessity.CLAIMS["IP-13b"], found.quantities) == verdict


@pytest.mark.parametrize(("planted", "verdict"), [({}, claims.HOLDS), ({"scale": 1.4}, claims.FAILS)])
def test_one_hot_pairs_are_judged_rightly(planted, verdict):
    found = necessity.measured_one_hot(results(**planted)[:1])
    assert claims.verdict_of(necessity.CLAIMS["IP-13c"], found.quantities) == verdict
    assert necessity.others(SETTINGS)["n_inputs"] == 3000


def test_the_table_has_all_kinds_and_prices_of_those_that_have_one():
    table = necessity.table(results())
    plots.check_tidy(table)
    shares = plots.part(table, quantity="share of pairs")
    assert len(shares) == 16 and shares.groupby("planted")["value"].sum().to_numpy() == pytest.approx(1)
    necessary = plots.part(shares, planted="necessary", diagnosed="necessary")
    assert necessary["value"].item() == 1
    assert len(plots.part(table, quantity=necessity.MEASURED)) == 2 * 2 * SETTINGS.planted_seeds
