"""What ways of training from the same start have in common, and which neurons win: planted answers."""

import math

import numpy as np
import pytest
import torch

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import winners

SETTINGS = winners.Settings()
CALL = {"seed": 0, "device": "cpu", "n_features": 4, "n_neurons": 8, "l1": 0.2, "n_seeds": 3}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_collisions_are_the_pairs_on_one_neuron():
    found = winners.collisions([[1, -1, 2, 0, 0]])  # features without a slot share nothing
    assert found.shape == (1, 10) and np.flatnonzero(found).tolist() == [0]


def test_overlap_of_known_slots():
    both, chance = winners.overlap([[1, -1, 2, -2]], [[3, -3, 1, 2]])
    assert both.tolist() == [1] and chance.tolist() == [2 * 1 / 6]


def test_shared_is_one_with_itself_and_chance_with_independent_draws():
    rng = np.random.default_rng(0)
    draw = lambda seeds: rng.integers(1, 31, size=(seeds, 40)) * rng.choice([-1, 1], size=(seeds, 40))  # noqa: E731
    one, other = [draw(400), draw(400)], [draw(400), draw(300)]
    assert winners.shared(one, one)["shared collisions"] == pytest.approx((1, 1, 1))
    by_chance = winners.shared(one, other)["shared collisions ÷ chance"]
    assert by_chance.low < 1 < by_chance.high and by_chance.high - by_chance.low < 0.2


def test_descent_and_flow_end_alike_and_report_how_winners_stood():
    flow, descent = (winners.trained(**CALL, method=method) for method in ("flow", "descent"))
    assert (flow["slots"] == descent["slots"]).mean() > 0.9
    start = incidental.initial_weights(4, 8, range(3)).numpy()
    sizes = np.abs(start).max(-1).mean(-1) * math.sqrt(8)
    np.testing.assert_allclose(flow["largest"], sizes, rtol=1e-5)
    hit = flow["rank"] == 0
    np.testing.assert_array_equal(hit, flow["slots"] == incidental.slots(start))
    ends = incidental.train(4, 8, 0.2, range(3)).weights
    np.testing.assert_allclose(flow["start_end"], (start @ ends.swapaxes(1, 2)).mean(0), atol=1e-5)
    np.testing.assert_allclose(flow["diagonal"].mean(), np.diag(flow["start_end"]).mean(), rtol=1e-5)


def test_gradient_descent_is_that_of_its_formula():
    start = incidental.initial_weights(3, 5, [1])
    weights = start.clone()
    for _ in range(math.ceil(4 / 0.4 / 0.02)):
        overlap = weights[0] @ weights[0].T
        error = overlap.clamp(min=0) - torch.eye(3)
        weights = weights - 0.02 * (4 * error @ weights[0] + 0.4 * torch.sign(weights[0]))[None]
    torch.testing.assert_close(winners.gradient_descent(start, 0.4, 0.02), weights, atol=0.02, rtol=0)


def planted(configs, hits, same=lambda method: 1.0):
    """Networks in which a share `hits(method, m/n)` of features ends on its largest neuron.

    A share same(method) of networks has the same slots as by every other way of training; two features in four
    share a neuron, with opposite signs.
    """
    results = []
    for config in configs:
        n, m, n_seeds = config["n_features"] // 2 * 2, config["n_neurons"], config["n_seeds"]
        rng, chosen = np.random.default_rng(len(results)), np.random.default_rng((n, m))
        slot = lambda draw, m=m, n=n: np.repeat(draw.permutation(m)[: n // 2] + 1, 2) * np.tile([1, -1], n // 2)  # noqa: E731
        common = np.array([slot(np.random.default_rng(seed)) for seed in range(n_seeds)])
        own = np.array([slot(rng)[rng.permutation(n)] for _ in range(n_seeds)])
        kept = (rng.random(n_seeds) < same(config["method"]))[:, None]
        rank = np.where(chosen.random((n_seeds, n)) < hits(config["method"], m // n), 0, 1)
        one = {"rank": rank, "slots": np.where(kept, common, own), "initial_size": np.full((n_seeds, n), 2.0)}
        overlap = np.eye(n) * 2 / math.sqrt(m)
        height = np.full(n_seeds, 2.0) + rng.normal(0, 0.05, n_seeds)
        results.append(
            one | {"start_end": overlap, "diagonal": height / math.sqrt(m), "largest": np.full(n_seeds, 3.2)}
        )
    return Results(configs, results)


CONFIGS = winners.methods(winners.Settings(winner_features=(20, 40)))


@pytest.mark.parametrize(
    ("hits", "verdict"),
    [
        (lambda method, ratio: 0.99, claims.HOLDS),
        (lambda method, ratio: 0.3 if ratio < 4 else 0.75, claims.CORRECTED),
        (lambda method, ratio: 0.3, claims.FAILS),
        (lambda method, ratio: (0.3 if ratio < 4 else 0.75) - 0.25 * (method == "descent"), claims.FAILS),
    ],
)
def test_winners_of_descent_are_judged_rightly(hits, verdict):
    found = winners.measured_descent(planted(CONFIGS, hits))
    assert claims.verdict_of(winners.CLAIMS["IP-05a"], found.quantities) == verdict
    assert "n = 20" in found.scale and "16n" in found.scale


@pytest.mark.parametrize(("rate", "verdict"), [(0.99, claims.HOLDS), (0.13, claims.CORRECTED), (0.5, claims.FAILS)])
def test_winners_of_adamw_are_judged_rightly(rate, verdict):
    found = winners.measured_adamw(planted(CONFIGS, lambda method, ratio: rate))
    assert claims.verdict_of(winners.CLAIMS["IP-05b"], found.quantities) == verdict


@pytest.mark.parametrize(
    ("same", "verdict"),
    [
        (lambda method: 1.0, claims.HOLDS),
        (lambda method: 0.3 if method.startswith("adam") else 1.0, claims.FAILS),
        (lambda method: 0.0, claims.FAILS),
    ],
)
def test_common_collisions_are_judged_rightly(same, verdict):
    found = winners.measured_collisions(planted(CONFIGS, lambda method, ratio: 0.5, same))
    assert claims.verdict_of(winners.CLAIMS["IP-05c"], found.quantities) == verdict


@pytest.mark.parametrize(("scale", "verdict"), [(1.55, claims.HOLDS), (1.0, claims.CORRECTED), (0.5, claims.FAILS)])
def test_the_height_of_the_diagonal_is_judged_rightly(scale, verdict):
    maps = planted(winners.published(SETTINGS), lambda method, ratio: 0.1)
    for result in maps:
        result["diagonal"] = result["diagonal"] * scale
    found = winners.measured_map(maps)
    assert claims.verdict_of(winners.CLAIMS["IP-05d"], found.quantities) == verdict
    assert winners.heights(maps)["the same, published"] == pytest.approx(1.984)


def test_the_table_of_winners_has_every_series_and_chance():
    half = planted(winners.crowded(SETTINGS), lambda method, ratio: 0.5)
    table = winners.winners_table(planted(CONFIGS, lambda method, ratio: 0.5), half)
    plots.check_tidy(table)
    hits = plots.part(table, quantity=winners.HITS)
    assert hits[hits["what"] == "measured"]["series"].nunique() == 7
    assert set(plots.part(hits, what="paper")["value"]) == {1}
    chance = plots.part(hits, what="control")
    np.testing.assert_allclose(chance["value"] * chance[winners.ROOM], 1 / 20**2)
    in_common = plots.part(table, quantity=winners.SHARED, what="measured")
    assert len(in_common) == 3 and (in_common["value"] == 1).all()


@pytest.mark.parametrize(("rate", "verdict"), [(0.5, claims.HOLDS), (0.7, claims.FAILS)])
def test_the_half_is_judged_rightly(rate, verdict):
    found = winners.measured_half(planted(winners.crowded(SETTINGS), lambda method, ratio: rate))
    assert claims.verdict_of(winners.CLAIMS["IP-05e"], found.quantities) == verdict
    assert "(20, 28), (36, 90), (56, 217)" in found.scale


def test_a_rate_that_crosses_a_half():
    rates = winners.hit_rates(planted(CONFIGS, lambda method, ratio: 0.25 if ratio < 4 else 0.75), "flow")
    one = rates[rates["features n"] == 20]
    assert winners._crossing(one.assign(value=[0.1, 0.25, 0.75, 0.8, 0.9])) == pytest.approx(math.sqrt(8))
    assert math.isnan(winners._crossing(one.assign(value=0.1)))


def test_the_table_of_start_and_end_is_small_and_keeps_the_diagonal():
    table = winners.start_end_table(planted(winners.published(SETTINGS), lambda method, ratio: 0.5))
    plots.check_tidy(table)
    overlaps = plots.part(table, quantity=winners.OVERLAP)
    assert len(overlaps) == 40**2 and overlaps["value"].sum() == pytest.approx(40 * 2)
    for series in ("AdamW", "gradient flow"):
        density = plots.part(table, quantity=winners.DENSITY, series=series)
        assert (density["value"] * 0.2).sum() == pytest.approx(1)
