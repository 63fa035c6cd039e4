"""Counts of polysemantic neurons and the fates of collisions: workers, tables, and verdicts on planted results."""

import itertools
import math

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import collisions

CALL = {"seed": 0, "device": "cpu"}
SETTINGS = collisions.Settings(
    count_features=64, count_neurons=(64, 128, 256, 512), n_seeds=1500, adamw_seeds=1500, break_seeds=1000
)


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
    other = collisions.count(**CALL, n_features=8, n_neurons=16, l1=0.05, n_seeds=3, first=7)
    assert (flow["kept_winner"] != other["kept_winner"]).any()  # another start


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


def test_settings_have_a_size_in_every_range_that_is_judged():
    with pytest.raises(ValueError, match=r"count_neurons = \(64, 128\): allowed is for n = 64 one or more in each of"):
        collisions.Settings(count_features=64, count_neurons=(64, 128))
    with pytest.raises(ValueError, match="adamw_neurons"):
        collisions.Settings(adamw_neurons=(64, 512))
    with pytest.raises(ValueError, match="fan_l1"):
        collisions.Settings(fan_l1=(0.1,))


def test_no_two_configurations_share_a_start():
    settings = collisions.Settings()
    for kind in (collisions.sizes, collisions.adamw_sizes, collisions.strengths, collisions.crowds):
        configs = kind(settings)
        spans = sorted((config["first"], config["first"] + config["n_seeds"]) for config in configs)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
        assert spans[0][0] >= collisions.FRESH


def test_small_networks_go_by_doubling_to_the_square():
    sizes = [config["n_neurons"] for config in collisions.small_networks(collisions.Settings(break_features=(12,)))]
    assert sizes == [12, 24, 48, 96, 144]


def planted(configs, share, power=0.0, **values):
    """Networks whose counts are Poisson numbers of a share of n²/4m, times m to a power; a share by m/n may be given."""
    rng, results = np.random.default_rng(1), []
    share = share if callable(share) else lambda ratio, share=share: share
    for config in configs:
        n, m, n_seeds = config["n_features"], config["n_neurons"], config["n_seeds"]
        counts = rng.poisson(share(m / n) * n**2 / (4 * m) * (m / n) ** power, n_seeds)
        per_network = dict.fromkeys(("unfinished", "dead", *collisions.FATES), np.zeros(n_seeds, int)) | values
        results.append({"count": counts, "count_in_window": counts, **per_network})
    return Results(configs, results)


def tilted(ratio):
    """What two errors of opposite sign look like: pooled over sizes they cancel."""
    return 1.15 if ratio <= 2 else 0.8


@pytest.mark.parametrize(
    ("power", "verdict"), [(0.0, claims.HOLDS), (-0.15, claims.CORRECTED), (0.5, claims.FAILS), (-1, claims.FAILS)]
)
def test_the_slope_is_judged_rightly(power, verdict):
    both = [planted(kind(SETTINGS), 1.0, power) for kind in (collisions.sizes, collisions.adamw_sizes)]
    measured = collisions.measured_slopes(*both, seed=0)
    assert claims.verdict_of(collisions.CLAIMS["IP-03a"], measured.quantities) == verdict
    assert "n = 64, m = 64 to 512" in measured.scale and "1500 networks" in measured.scale


@pytest.mark.parametrize(("share", "verdict"), [(0.99, claims.HOLDS), (tilted, claims.CORRECTED), (0.5, claims.FAILS)])
def test_the_constant_is_judged_by_size(share, verdict):
    measured = collisions.measured_constant(planted(collisions.sizes(SETTINGS), share))
    assert claims.verdict_of(collisions.CLAIMS["IP-03b"], measured.quantities) == verdict
    if share is tilted:
        assert measured.quantities[collisions.SPREAD].value == pytest.approx(0.35, abs=0.08)
        assert "The largest deviation is at" in measured.note


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.99, claims.HOLDS), (lambda ratio: 1.0 if ratio <= 2 else 0.68, claims.CORRECTED), (0.4, claims.FAILS)],
)
def test_the_constant_of_the_published_algorithm_is_judged_by_size(share, verdict):
    measured = collisions.measured_constant(planted(collisions.adamw_sizes(SETTINGS), share))
    assert claims.verdict_of(collisions.CLAIMS["IP-03c"], measured.quantities) == verdict


def test_the_largest_deviation_is_no_selected_extreme():
    """Of 300 experiments that follow the law, one in twenty may exclude a deviation of zero."""
    configs = [{**config, "n_seeds": 12} for config in collisions.sizes(SETTINGS)]
    rng, excluded = np.random.default_rng(0), 0
    for _ in range(300):
        counts = [
            rng.normal(100 / c["n_neurons"], 10 / c["n_neurons"], 12) * c["n_features"] ** 2 / 400 for c in configs
        ]
        found = collisions._constant(collisions._ratios(Results(configs, [{"count": c} for c in counts])))
        excluded += found[collisions.LARGEST].low > 0
    assert 3 <= excluded <= 27


def test_the_published_counts_are_judged_by_the_same_rule(monkeypatch):
    claim = collisions.CLAIMS["IP-03d"]
    measured = collisions.measured_published(seed=0)
    assert measured.quantities[collisions.SLOPE].value == pytest.approx(-1.18, abs=0.01)
    assert claims.of_rule(claim.rule, measured.quantities) == claims.FAILS
    law = tuple(256**2 / (4 * m) for m in collisions.PUBLISHED_NEURONS)
    monkeypatch.setattr(collisions, "PUBLISHED_MEAN", law)
    monkeypatch.setattr(collisions, "PUBLISHED_STD", tuple(mean / 20 for mean in law))
    assert claims.verdict_of(claim, collisions.measured_published(seed=0).quantities) == claims.HOLDS


CROWDS = [{"n_features": n, "n_neurons": 4 * n, "l1": 0.03, "n_seeds": 400, "n_groups": 40_000} for n in (24, 48)]


def crowded(networks, alone, among, early=1.0):
    """Results of `crowd` with counts of these shares of the exact count, and `early` of the end's at λt = 0.2."""
    rng, results = np.random.default_rng(2), []
    for config in CROWDS:
        n, m = config["n_features"], config["n_neurons"]
        of_network, of_group = (incidental.expected_polysemantic(size, m) for size in (n, collisions.GROUP))
        count = rng.poisson(networks * of_network, 4000)
        course = early * count + rng.integers(-1, 2, (len(collisions.COURSE), 4000))
        result = {"count": count, "course": course, "alive": np.full(len(course), 0.1), "dead": np.zeros(400, int)}
        groups = {"alone": alone, "in the crowd": among}
        results.append(result | {name: rng.poisson(share * of_group, 40_000) for name, share in groups.items()})
    return Results(CROWDS, results)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [((0.85, 1.15, 0.86), claims.HOLDS), ((0.85, 1.15, 0.6), claims.CORRECTED), ((1.15, 0.9, 0.8), claims.FAILS)],
)
def test_the_theory_of_the_constant_is_judged_rightly(shares, verdict):
    measured = collisions.measured_theory(crowded(*shares))
    assert claims.verdict_of(collisions.CLAIMS["IP-18a"], measured.quantities) == verdict
    assert "(n, m) = 24, 96 and 48, 192" in measured.scale


@pytest.mark.parametrize(("early", "verdict"), [(1.0, claims.HOLDS), (1.2, claims.FAILS)])
def test_when_the_constant_is_decided_is_judged_rightly(early, verdict):
    measured = collisions.measured_course(crowded(1, 1, 1, early))
    assert claims.verdict_of(collisions.CLAIMS["IP-18b"], measured.quantities) == verdict


def test_crowd_counts_networks_and_groups():
    size = {"n_features": 10, "n_neurons": 20, "l1": 0.2, "n_seeds": 60, "n_groups": 600}
    result = collisions.crowd(**CALL, **size)
    assert result["course"].shape == (len(collisions.COURSE), 60) and result["dead"].sum() == 0
    assert result["alive"][0] == 1 and (np.diff(result["alive"]) < 0).all()
    whole = collisions.count(**CALL, n_features=10, n_neurons=20, l1=0.2, n_seeds=60)["count"]
    assert np.mean(result["count"] != whole) < 0.1  # the same networks, by steps of another length at first
    for name in ("alone", "in the crowd"):
        assert abs(result[name].mean() / incidental.expected_polysemantic(collisions.GROUP, 20) - 1) < 0.4
    plots.check_tidy(collisions.constant_table(Results([size], [result])))


def test_the_table_of_counts_tells_published_flow_and_adamw_apart():
    flows, descents = (planted(kind(SETTINGS), 1.0) for kind in (collisions.sizes, collisions.adamw_sizes))
    table = collisions.counts_table(flows, descents)
    plots.check_tidy(table)
    count = plots.part(table, quantity=collisions.COUNT)
    published = plots.part(count, series="published, AdamW")
    assert set(published["what"]) == {"paper"} and tuple(published["value"]) == collisions.PUBLISHED_MEAN
    assert set(published["features n"]) == {256} and published[collisions.PER_FEATURE].iloc[-1] == 16
    assert list(plots.part(count, series="the law n²/4m")["value"]) == [64, 4, 16, 1]
    flow = plots.part(count, series="gradient flow, n = 64")
    assert list(flow["value"]) == [result["count"].mean() for result in flows] and set(flow["what"]) == {"measured"}
    ratio = plots.part(table, quantity=collisions.RATIO, series="gradient flow, n = 64")
    np.testing.assert_allclose(ratio["value"], flow["value"].to_numpy() / [16, 8, 4, 2])
    parts = collisions.counts_by_part(flows, descents)
    assert list(parts.index) == ["gradient flow", "AdamW", "published, AdamW"]
    assert list(parts)[:3] == list(collisions.BANDS)


def test_ratios_of_strengths():
    fan = planted(collisions.strengths(collisions.Settings(fan_neurons=(64, 128), fan_l1=(0.01, 0.1))), 1.0)
    assert list(collisions.strength_ratios(fan))[:2] == [f"count ÷ exact count, λ = {l1}" for l1 in (0.01, 0.1)]


def fates(opposite, same, stay_same):
    some = {"start_same": 50, "stay_same": stay_same, "start_opposite": 50, "stay_opposite": 20}
    values = some | {"opposite": opposite, "same": same, "kept_winner": 0.3}
    configs = collisions.strengths(collisions.Settings(fan_neurons=(64, 128), fan_seeds=20))
    return planted(configs, 1.0, **{name: np.full(20, value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [((50, 0, 0), claims.HOLDS), ((50, 1, 0), claims.FAILS), ((50, 0, 1), claims.FAILS)],
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
