"""Counts of polysemantic neurons and the fates of collisions: workers, tables, and verdicts on planted results."""

import math

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import collisions

CALL = {"seed": 0, "device": "cpu"}
SETTINGS = collisions.Settings(count_features=64, count_neurons=(64, 128, 256, 512), n_seeds=200, break_seeds=1000)


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_count_is_whole_and_different_seeds_differ():
    config = {"device": "cpu", "n_features": 12, "n_neurons": 12, "l1": 0.1, "n_seeds": 6}
    result, other = collisions.count(seed=0, **config), collisions.count(seed=1, **config)
    assert result["unfinished"].sum() == result["dead"].sum() == result["same"].sum() == 0
    np.testing.assert_array_equal(result["count"], result["opposite"])  # one pair on each shared neuron
    assert (result["stay_opposite"] <= np.minimum(result["start_opposite"], result["opposite"])).all()
    assert (result["stay_same"] <= result["start_same"]).all()
    assert any((result[key] != other[key]).any() for key in ("count", "start_same", "start_opposite"))


def test_fates_of_known_slots():
    start = np.array([[1, 1, -1, 2, -2]])  # features 0, 1 and 2 on neuron 0; features 3 and 4 on neuron 1
    end = np.array([[1, 3, -1, 2, 4]])
    fates = {name: value.tolist() for name, value in collisions._fates(start, end).items()}
    assert fates == {"start_same": [1], "start_opposite": [3], "stay_same": [0], "stay_opposite": [1]}


def test_count_reports_how_the_winner_stood_at_the_start():
    result = collisions.count(**CALL, n_features=12, n_neurons=24, l1=0.1, n_seeds=6)
    assert result["rank"].shape == result["initial_size"].shape == result["slots"].shape == (6, 12)
    assert result["start_end"].shape == (12, 12)
    top = (result["rank"] == 0) & (result["initial_size"] > 0)
    np.testing.assert_allclose(top.mean(1), result["kept_winner"])
    rest = incidental.fixed_point(0.1)
    overlap = rest * result["initial_size"].mean() / math.sqrt(24)
    assert np.diag(result["start_end"]).mean() == pytest.approx(overlap, rel=1e-4)
    np.testing.assert_array_equal(result["count"], result["count_in_window"])


def test_standing_of_known_weights():
    initial = np.array([[[0.5, -0.2, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]])
    rank, size = collisions.standing(initial, np.array([[-2, -4, 0]]))
    assert rank.tolist() == [[1, 0, -1]]
    np.testing.assert_allclose(size, [[0.4, -0.8, np.nan]])


def test_the_published_optimizer_starts_from_the_same_weights():
    flow = collisions.count(**CALL, n_features=8, n_neurons=16, l1=0.05, n_seeds=3)
    descent = collisions.count(**CALL, n_features=8, n_neurons=16, l1=0.05, n_seeds=3, method="adamw")
    np.testing.assert_array_equal(flow["start_same"], descent["start_same"])
    assert descent["same"].sum() == descent["dead"].sum() == 0
    assert (flow["slots"] != descent["slots"]).any()


@pytest.mark.parametrize("n_neurons", [1, 10, 4096])
def test_largest_of_normal_weights(n_neurons):
    drawn = np.abs(np.random.default_rng(0).standard_normal((400, n_neurons))).max(1)
    assert abs(collisions.expected_largest(n_neurons) - drawn.mean()) < 4 * drawn.std() / 20
    assert collisions.half_normal(1.959964) == pytest.approx(0.95) and collisions.half_normal(-1.0) == 0


def test_log_slope_finds_a_planted_slope():
    n_neurons = np.array([64, 128, 256, 512])
    counts = np.random.default_rng(0).poisson(1000 / n_neurons, size=(400, 4))
    assert collisions.log_slope(n_neurons, counts) == pytest.approx(-1, abs=0.03)
    assert math.isnan(collisions.log_slope(n_neurons, 0 * counts))  # nothing to fit


def test_published_numbers_belong_together():
    lengths = {
        len(values) for values in (collisions.PUBLISHED_NEURONS, collisions.PUBLISHED_MEAN, collisions.PUBLISHED_STD)
    }
    assert lengths == {16}
    assert collisions.published_mean(1024) == 10.1 and math.isnan(collisions.published_mean(1000))


def test_settings_that_the_figures_cannot_do_without():
    with pytest.raises(ValueError, match=r"count_neurons = \(64, 128\): allowed is one of 3 × count_features = 192"):
        collisions.Settings(count_features=64, count_neurons=(64, 128))
    with pytest.raises(ValueError, match="fan_l1"):
        collisions.Settings(fan_l1=(0.1,))


def test_small_networks_go_by_doubling_to_the_square():
    sizes = [config["n_neurons"] for config in collisions.small_networks(collisions.Settings(break_features=(12,)))]
    assert sizes == [12, 24, 48, 96, 144]


def planted(configs, share, power=0.0, **values):
    """Networks whose counts are Poisson numbers of a share of n²/4m, times m to a power."""
    rng, results = np.random.default_rng(1), []
    for config in configs:
        n, m, n_seeds = config["n_features"], config["n_neurons"], config["n_seeds"]
        counts = rng.poisson(share * n**2 / (4 * m) * (m / n) ** power, n_seeds)
        per_network = dict.fromkeys(("unfinished", "dead", *collisions.FATES), np.zeros(n_seeds, int)) | values
        results.append({"count": counts, "count_in_window": counts, "rank": np.zeros((n_seeds, n)), **per_network})
    return Results(configs, results)


@pytest.mark.parametrize(
    ("share", "power", "verdict"),
    [
        (0.99, 0.0, claims.HOLDS),
        (0.82, 0.0, claims.CORRECTED),
        (0.4, 0.0, claims.FAILS),
        (1.0, 0.5, claims.FAILS),
    ],
)
def test_counts_are_judged_rightly(share, power, verdict):
    measured = collisions.measured_counts(planted(collisions.sizes(SETTINGS), share, power), seed=0)
    assert claims.verdict_of(collisions.CLAIMS["IP-03"], measured.quantities) == verdict
    assert "n = 64, m = 64 to 512" in measured.scale and "200 networks" in measured.scale


def test_the_table_of_counts_tells_published_flow_and_adamw_apart():
    settings = collisions.Settings(count_features=64, count_neurons=(64, 256), adamw_neurons=(64,))
    flows, descents = (planted(kind(settings), 1.0) for kind in (collisions.sizes, collisions.adamw_sizes))
    table = collisions.counts_table(flows, descents)
    plots.check_tidy(table)
    count = plots.part(table, quantity=collisions.COUNT)
    published = plots.part(count, series="published means, AdamW")
    assert set(published["what"]) == {"paper"} and tuple(published["value"]) == collisions.PUBLISHED_MEAN
    assert set(published["features n"]) == {256} and published[collisions.PER_FEATURE].iloc[-1] == 16
    assert list(plots.part(count, series="n²/4m")["value"]) == [16, 4]
    flow = plots.part(count, series="gradient flow, λ = 0.03")
    assert list(flow["value"]) == [result["count"].mean() for result in flows] and set(flow["what"]) == {"measured"}
    assert len(plots.part(count, series="AdamW, λ = 0.001")) == 1
    ratio = plots.part(table, quantity=collisions.RATIO, series="gradient flow, λ = 0.03")
    np.testing.assert_allclose(ratio["value"], flow["value"].to_numpy() / [16, 4])
    assert collisions.counts_by_part(flows, descents)["networks in all"] == 2 * 16 + 3


def test_tables_of_strengths_and_of_shares():
    fan = planted(collisions.strengths(collisions.Settings(fan_neurons=(64, 128), fan_l1=(0.01, 0.1))), 1.0)
    table = collisions.strengths_table(fan)
    plots.check_tidy(table)
    spread = plots.part(table, quantity=collisions.COUNT, series="λ = 0.1")
    assert spread["low"].iloc[0] == np.percentile(fan[2]["count"], 15)
    assert list(collisions.strength_ratios(fan))[:2] == [f"count ÷ exact count, λ = {l1}" for l1 in (0.01, 0.1)]
    table = collisions.proportion_table(planted(collisions.sizes(SETTINGS), 1.0))
    plots.check_tidy(table)
    assert plots.part(table, what="paper")["value"].iloc[0] == pytest.approx(64**2 / (4 * 64) / 64**2)


def fates(opposite, same, stay_same):
    some = {"start_same": 50, "stay_same": stay_same, "start_opposite": 50, "stay_opposite": 20}
    values = some | {"opposite": opposite, "same": same, "kept_winner": 0.3}
    configs = collisions.strengths(collisions.Settings(fan_neurons=(64, 128), fan_seeds=20))
    return planted(configs, 1.0, **{name: np.full(20, value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [((50, 0, 0), claims.HOLDS), ((40, 10, 0), claims.FAILS), ((50, 0, 10), claims.FAILS)],
)
def test_fates_are_judged_rightly(numbers, verdict):
    measured = collisions.measured_fates(fates(*numbers), planted(collisions.sizes(SETTINGS), 1.0))
    assert claims.verdict_of(collisions.CLAIMS["IP-04"], measured.quantities) == verdict


def test_the_table_of_fates_counts_pairs():
    fan = fates(50, 0, 0)
    table = collisions.fates_table(fan)
    plots.check_tidy(table)
    stay = plots.part(table, signs="opposite signs", series="λ = 0.03")
    assert stay["pairs"].tolist() == [2 * 20 * 50] and stay["value"].tolist() == [0.4]
    survivors = table[table["signs"].isna()]
    assert set(survivors["value"]) == {20 / 50}
    shares = collisions.fate_shares(fan, planted(collisions.sizes(SETTINGS), 1.0))
    assert shares["share of opposite-sign starting collisions that stay"].value == 0.4


@pytest.mark.parametrize(("share", "verdict"), [(0.98, claims.CORRECTED), (3.0, claims.FAILS)])
def test_the_break_is_judged_rightly(share, verdict):
    measured = collisions.measured_break(planted(collisions.small_networks(SETTINGS), share), seed=0)
    assert claims.verdict_of(collisions.CLAIMS["IP-16"], measured.quantities) == verdict


def test_a_break_is_found():
    small = planted(collisions.small_networks(SETTINGS), 0.98)
    for config, result in small.pairs():
        if config["n_neurons"] == config["n_features"] ** 2:
            result["count"][:] = 0
    measured = collisions.measured_break(small, seed=0)
    assert claims.verdict_of(collisions.CLAIMS["IP-16"], measured.quantities) == claims.HOLDS


def test_the_table_of_the_break_has_the_law_beside_the_counts():
    table = collisions.break_table(planted(collisions.small_networks(SETTINGS), 1.0))
    plots.check_tidy(table)
    theory = plots.part(table, quantity=collisions.COUNT, series="theory, n = 16")
    assert theory["m ÷ n²"].iloc[-1] == 1 and theory["value"].iloc[-1] == 16 * 15 / (2 * (2 * 256 - 1))
