"""The price of sharing: the workers at the smallest sizes, and planted verdicts."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.incidental import interference, price
from polysemanticity.papers.incidental_polysemanticity import cooccurrence

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 6, "n_neurons": 10, "l1": 0.3, "n_shared": 8, "most": 6}
SETTINGS = cooccurrence.Settings(n_shared=400, varied_shared=400, n_free=400, most_networks=100)
CURVE = 2.0 ** -((np.array(cooccurrence.RATIOS) / 0.07) ** 1.2)
LONE = Results(cooccurrence.lone(SETTINGS), [{"left": CURVE} for _ in cooccurrence.lone(SETTINGS)])
NAMES = {
    "IP-12a": cooccurrence.measured_exponent,
    "IP-12b": cooccurrence.measured_law,
    "IP-12c": cooccurrence.measured_sizes,
    "IP-12d": cooccurrence.measured_shape,
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_a_price_parts_what_shares_and_keeps_every_feature():
    result = cooccurrence.at_prices(**TOY, ratios=[0.0, 2.0])
    assert result["count"][0].sum() > result["count"][1].sum() and result["kept"].min() == 1 > result["open"].max()
    start = cooccurrence._start(6, 10, result["count"].shape[1], 0, "cpu")
    plain = interference.flow_under(lambda s: interference.signed_error(s, 1, 0.6), start, l1=0.3, time=40.0)
    np.testing.assert_array_equal(result["count"][1], incidental.polysemantic_neurons(plain.numpy()))


def test_pairs_are_counted_beside_the_cost_that_they_equal():
    result = cooccurrence.in_pairs(**TOY, ratios=[0.0, 1.0])
    np.testing.assert_array_equal(result["cost"][0], result["count"][0])
    assert result["count"].shape == result["cost"].shape


def test_independent_features_are_beside_single_ones():
    result = cooccurrence.independent(**TOY)
    single = cooccurrence.at_prices(**TOY, ratios=[0.0])
    np.testing.assert_array_equal(result["count"][0], single["count"][0])
    assert result["kept"][1] > 0.9


def test_lone_pairs_are_reproducible():
    one, two = (cooccurrence.lone_pairs(**CALL, n_pairs=10, l1=0.3)["left"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one[0] == 1 and one[-1] < 0.3


def planted(configs, exponent=0.0, constant=1.0, of_l1=0.0, power=1.2):
    """Results of `at_prices` with half-prices off the law by a constant, a power of n and a power of λ."""
    rng, rows = np.random.default_rng(0), []
    for config in configs:
        n, m = config["n_features"], config["n_neurons"]
        off = constant * (n / 40) ** exponent * (config["l1"] / 0.1) ** of_l1
        unit = cooccurrence._law(config, LONE) * off
        networks = cooccurrence.n_networks(n, m, config["n_shared"], config["most"])
        exact = incidental.expected_polysemantic(n, m)
        if power is None:
            left = [price.expected_left(r / off, m / n, np.array(cooccurrence.RATIOS), CURVE) for r in config["ratios"]]
        else:
            left = 2.0 ** -((np.array(config["ratios"]) / unit) ** power)
        base = rng.poisson(exact, networks)
        rows.append({"count": np.array([rng.binomial(base, share) for share in left]), "open": np.zeros(len(left))})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("claim", "options", "verdict"),
    [
        ("IP-12a", {}, claims.HOLDS),
        ("IP-12a", {"of_l1": 0.5}, claims.FAILS),
        ("IP-12b", {"power": None}, claims.HOLDS),
        ("IP-12b", {"constant": 1.7}, claims.FAILS),
        ("IP-12c", {}, claims.HOLDS),
        ("IP-12c", {"exponent": 0.5}, claims.FAILS),
        ("IP-12d", {"power": None}, claims.HOLDS),
        ("IP-12d", {"power": None, "constant": 2.5}, claims.FAILS),
    ],
)
def test_planted_prices_are_judged_rightly(claim, options, verdict):
    make = cooccurrence.strengths if claim == "IP-12a" else cooccurrence.priced
    measured = NAMES[claim](planted(make(SETTINGS, LONE), **options), LONE, 0)
    assert claims.verdict_of(cooccurrence.CLAIMS[claim], measured.quantities) == verdict


def of_free(share):
    """Results of `independent` in which this function of the predicted share is left."""
    rng, rows, configs = np.random.default_rng(0), [], cooccurrence.alone(SETTINGS)
    for config in configs:
        base = rng.poisson(incidental.expected_polysemantic(config["n_features"], config["n_neurons"]), 60)
        left = share(cooccurrence.predicted_left(config, LONE))
        rows.append({"count": np.array([base, rng.binomial(base, left)])})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(lambda law: law, claims.HOLDS), (lambda law: 0.4, claims.FAILS), (lambda law: 0.0, claims.FAILS)],
)
def test_planted_independent_features_are_judged_rightly(share, verdict):
    measured = cooccurrence.measured_independent(of_free(share), LONE, 0)
    assert claims.verdict_of(cooccurrence.CLAIMS["IP-12e"], measured.quantities) == verdict


def of_pairs(factor):
    configs = cooccurrence.together(SETTINGS, LONE)
    cost, pairs = planted(configs), planted(configs, constant=factor)
    return Results(configs, [{"count": p["count"], "cost": c["count"]} for p, c in zip(pairs, cost, strict=True)])


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, claims.HOLDS), (2.0, claims.FAILS)])
def test_planted_pairs_are_judged_rightly(factor, verdict):
    measured = cooccurrence.measured_pairs(of_pairs(factor), LONE, 0)
    assert claims.verdict_of(cooccurrence.CLAIMS["IP-12f"], measured.quantities) == verdict


def test_half_points_find_planted_ones_and_their_intervals_cover():
    rng, x, covered = np.random.default_rng(0), np.array([0, 0.25, 0.5, 1, 1.5, 2, 3]), 0
    for _ in range(40):
        base = rng.poisson(3, 30)
        found = cooccurrence.half_points(x, np.array([rng.binomial(base, 2.0**-dose) for dose in x]), rng)
        covered += np.quantile(found[1:], 0.025) <= 1 <= np.quantile(found[1:], 0.975)
    assert covered >= 34


def test_the_table_has_every_size_in_units_of_the_law():
    results = planted(cooccurrence.priced(SETTINGS, LONE))
    table = cooccurrence.table(results, of_pairs(1.0), of_free(lambda law: law), LONE, 0)
    plots.check_tidy(table)
    halves = plots.part(table, quantity=cooccurrence.HALF, series="n = 52")
    law = [
        price.half_price(price.half(np.array(cooccurrence.RATIOS), CURVE), m) for m in halves[cooccurrence.NEURONS_PER]
    ]
    assert list(halves["value"]) == pytest.approx(law, rel=0.25)
    assert len(plots.part(table, series="independent features")) == len(SETTINGS.free_features)
    assert 0.05 < cooccurrence.numbers(LONE, SETTINGS)["g of lone pairs, λ = 0.1"] < 0.1


def test_a_rounded_size_stands_with_those_of_its_ratio():
    sizes = [(18, 22), (18, 32), (72, 90), (72, 126)]
    results = Results([{"n_features": n, "n_neurons": m} for n, m in sizes], [{}] * 4)
    np.testing.assert_array_equal(cooccurrence._per_feature(results), [1.25, 1.75, 1.25, 1.75])
