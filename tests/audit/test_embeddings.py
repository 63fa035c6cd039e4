"""The report of an embedding: known capacities, planted blocks, silence about random directions, refusals."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from polysemanticity import audit, capacity
from polysemanticity.audit import embeddings, nulls


def digons(n_dims):
    weights = np.zeros((2 * n_dims, n_dims))
    weights[0::2], weights[1::2] = np.eye(n_dims), -np.eye(n_dims)
    return weights


def test_capacities_are_those_of_the_capacity_package():
    weights = np.random.default_rng(0).standard_normal((90, 20)) * np.geomspace(0.01, 100, 90)[:, None]
    report = audit.weights(weights)
    np.testing.assert_allclose(report.table["capacity"], capacity.feature_capacity(weights.T), rtol=1e-9)
    assert report.efficiency == pytest.approx(float(capacity.efficiency(weights.T)))
    single = audit.weights(weights.astype(np.float32))
    np.testing.assert_allclose(single.table["capacity"], report.table["capacity"], rtol=1e-4)
    np.testing.assert_allclose(single.table["z"], report.table["z"], atol=0.02)


def test_digons_are_found_one_by_one():
    report = audit.weights(digons(20))
    np.testing.assert_allclose(report.table["capacity"], 0.5)
    assert report.n_pairs == len(report.blocks) == 20
    assert all((len(block.features), block.dims, block.spread) == (2, 1, 0) for block in report.blocks)
    np.testing.assert_array_equal(report.table["partner"], np.arange(40) ^ 1)
    np.testing.assert_allclose(report.table["cosine"], -1)
    assert report.findings[0].startswith("20 pairs") and report.efficiency_z > 5
    assert report.spectrum.mean == pytest.approx(1, abs=1e-6)  # a flat spectrum leaves no other efficiency


def test_crowded_and_lonely_features_are_told_apart():
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((300, 40))
    weights[:, 0] = 0
    weights[0] = 6 * np.eye(40)[0]  # a dimension of its own
    weights[1:31] = 0.4 * rng.standard_normal((30, 40)) + 6 * np.eye(40)[1]  # thirty in one direction
    z = audit.weights(weights).table["z"]
    assert z[0] < -4 and np.all(z[1:31] > 5) and np.abs(z[31:]).mean() < 3


def test_one_large_block_has_the_spectrum_of_its_weights(monkeypatch):
    monkeypatch.setattr(embeddings, "ROWS", 7)
    weights = np.random.default_rng(7).standard_normal((60, 5)) + 3
    report = audit.weights(weights, cosine=0.5)
    (block,) = report.blocks
    assert len(block.features) > 40
    expected = np.linalg.svd(weights[block.features], compute_uv=False) ** 2
    kept = expected[expected > 0.1 * expected[0]]
    assert (block.dims, block.eigenvalue) == (len(kept), pytest.approx(kept.mean(), rel=1e-6))


@pytest.mark.parametrize(("n", "dims", "spread", "trials", "least"), [(40, 5, 0.0, 200, 180), (50, 12, 0.7, 50, 42)])
def test_random_directions_give_no_finding(n, dims, spread, trials, least, monkeypatch):
    """At the stated level in 95 % of the trials or more: at that share fewer than `least` come once in a thousand."""
    monkeypatch.setattr(nulls, "DRAWS", 100)  # of the second null, which decides no finding
    rng, silent = np.random.default_rng(n), 0
    lengths = np.exp(spread * np.round(2 * rng.standard_normal(n)) / 2)[:, None]
    for _ in range(trials):
        drawn = rng.standard_normal((n, dims))
        drawn *= lengths / np.linalg.norm(drawn, axis=1, keepdims=True)
        silent += not audit.weights(drawn).findings
    assert silent >= least


def test_findings_need_the_level(monkeypatch):
    """The test above can fail: at a level of one half random directions do give findings."""
    monkeypatch.setattr(nulls, "DRAWS", 100)
    rng = np.random.default_rng(5)
    loud = sum(bool(audit.weights(rng.standard_normal((30, 6)), level=0.5).findings) for _ in range(25))
    assert 3 < loud < 20


def test_what_is_predicted_stands_beside_what_is_measured():
    importance = np.geomspace(1, 0.05, 60)
    optimum = capacity.optimal_allocation(importance, 6.0, 20)
    weights = capacity.realise(optimum).T
    report = audit.weights(weights, importance, 6.0)
    np.testing.assert_allclose(report.table["predicted"], optimum.capacity)
    np.testing.assert_allclose(report.table["capacity"], optimum.capacity, atol=1e-6)
    assert "rank correlation 1.00" in str(report)


def test_whatever_researchers_have():
    weights = np.random.default_rng(2).standard_normal((30, 8)).astype(np.float32)
    expected = audit.weights(weights).table
    forms = {
        "torch": torch.tensor(weights, requires_grad=True),
        "frame": pd.DataFrame(weights),
        "list": weights.tolist(),
        "strided": np.asfortranarray(weights)[::-1][::-1],
    }
    for form in forms.values():
        pd.testing.assert_frame_equal(audit.weights(form).table, expected, atol=1e-4, rtol=1e-4)
    columns = audit.weights(weights.T, features="columns").table
    pd.testing.assert_frame_equal(columns, expected)
    half = audit.weights(torch.tensor(weights).bfloat16()).table
    np.testing.assert_allclose(half["capacity"], expected["capacity"], rtol=0.1)
    assert audit.weights(weights[:5], features="rows").n_features == 5


@pytest.mark.parametrize(
    ("value", "options", "named"),
    [
        (np.ones((64, 784)), {}, "transpose W"),
        (np.ones(3), {}, r"shape of W = \(3,\)"),
        ("weights.pt", {}, "W = 'str"),
        ([[1.0, 2.0], [3.0]], {}, "W = list"),
        (np.full((4, 3), np.nan), {}, "NaN"),
        (np.zeros((4, 3)), {}, "0 features that are not zero"),
        (np.ones((3, 3)) * 1j, {}, "complex"),
        (torch.ones(3, 3, dtype=torch.complex64), {}, "complex"),
        (np.ones((4, 1)), {}, "2 dimensions"),
        (np.empty((0, 3)), {}, "not empty"),
        (None, {}, "W = 'NoneType"),
        (digons(3), {"features": "row"}, "features"),
        (digons(3), {"level": 2}, "level"),
        (digons(3), {"cosine": 1.0}, "cosine"),
        (digons(3), {"importance": np.ones(6)}, "importance, kurtosis"),
        (digons(3), {"importance": np.ones(5), "kurtosis": 4.0}, "shape of importance"),
        (digons(3), {"importance": np.ones(6), "kurtosis": np.ones(2)}, "shape of kurtosis"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_a_sentence(value, options, named):
    with pytest.raises(ValueError, match=named) as refused:
        audit.weights(value, **options)
    assert "allowed is" in str(refused.value) and len(str(refused.value)) < 320


def test_features_of_length_zero_take_no_part():
    weights = np.random.default_rng(3).standard_normal((40, 6))
    dead = np.insert(weights, [0, 20], 0.0, axis=0)
    report, without = audit.weights(dead), audit.weights(weights)
    zero = report.table["length"] == 0
    assert zero.sum() == report.summary()["n_zero"] == 2
    assert (report.table["capacity"][zero] == 0).all() and report.table["z"][zero].isna().all()
    np.testing.assert_allclose(report.table["z"][~zero], without.table["z"])
    assert report.cosine == without.cosine


def test_json_table_and_print_tell_the_same():
    report = audit.weights(digons(4))
    content = json.loads(report.to_json())
    assert content["n_pairs"] == 4 and content["features"]["capacity"] == [0.5] * 8
    assert content["blocks"][0]["features"] == [0, 1] and "features" not in json.loads(report.to_json(features=False))
    assert math.isclose(content["efficiency"], 1) and re.search(r"efficiency +1\.0000", str(report))
    assert all(finding in str(report) for finding in content["findings"])
    random = audit.weights(np.random.default_rng(6).standard_normal((30, 5)))
    assert "nothing that random directions would not show" in str(random)
    assert json.loads(random.to_json())["features"]["cosine"] == [None] * 30


@pytest.mark.parametrize("weights", [digons(5), np.random.default_rng(4).standard_normal((70, 9))])
def test_the_drawing_shows_every_feature_and_block(weights):
    report = audit.weights(weights)
    figure = report.plot()
    left, right = figure.axes
    drawn = sum(len(line.get_xdata()) for line in left.lines)
    assert drawn == len(weights) and left.get_ylabel() == "capacity"
    assert sum(patch.get_height() for patch in right.patches) == len(report.blocks)
    plt.close(figure)
