"""Costs of collisions, other starts and hidden layers: the workers at the smallest sizes, and planted verdicts."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import causes

CALL = {"seed": 0, "device": "cpu"}
TOY = {**CALL, "n_features": 8, "n_neurons": 16, "l1": 0.3}
SETTINGS = causes.Settings()


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
    assert (result["kept"].mean() < 7) == ("independent" in kind)
    assert result["count"].sum() == 0 or not kind.startswith(("ReLU", "GELU"))


def test_untied_networks_from_equal_starts_are_the_tied_one():
    tied, untied = (causes.hidden(**TOY, n_seeds=6, kind=k) for k in ("linear, tied", "linear, untied, equal starts"))
    np.testing.assert_allclose(tied["count"], untied["count"], atol=1)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind = 'cubic': allowed is one of linear, tied"):
        causes.hidden(**TOY, n_seeds=2, kind="cubic")


def test_activations_are_those_that_kinds_name():
    assert {kind.partition(",")[0] for kind in causes.HIDDEN} == set(causes.ACTIVATIONS)


def counted(mean, n_seeds):
    """Whole counts with this mean."""
    return np.random.default_rng(0).permutation(np.floor(mean + (np.arange(n_seeds) + 0.5) / n_seeds).astype(int))


def of_costs(config, mean, same=False):
    """A result of `causes.costs` with this mean count of pairs, of the same sign or not."""
    count = counted(mean, config["n_seeds"])[None]
    none = np.zeros_like(count)
    return {"count": count, "opposite": none if same else count, "same": count if same else none, "unfinished": none}


def planted(costly=0.0, nothing=1.0, exchanged_is_same=True):
    """Results of `causes.costs` for each arm of both sizes, in units of the exact counts."""
    configs, rows = causes.arms(SETTINGS), []
    for config in configs:
        size = config["n_features"], config["n_neurons"]
        exact, free = (incidental.expected_polysemantic(*size, model) for model in ("exclusive", "free"))
        arm = (config["same"][0], config["opposite"][0])
        mean = {(1.0, 0.0): 0.85 * exact, (1.0, 0.01): 0.2 * exact, (1.0, 1.0): costly * exact,
                (0.0, 0.0): nothing * free, (0.0, 1.0): free}[arm]  # fmt: skip
        rows.append(of_costs(config, mean, arm == (0.0, 1.0) and exchanged_is_same))
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("claim", "judge", "options", "verdict"),
    [
        ("IP-09a", causes.measured_opposite, {}, claims.HOLDS),
        ("IP-09a", causes.measured_opposite, {"costly": 0.5}, claims.FAILS),
        ("IP-09b", causes.measured_free, {}, claims.HOLDS),
        ("IP-09b", causes.measured_free, {"nothing": 0.5}, claims.FAILS),
        ("IP-09c", causes.measured_exchanged, {}, claims.HOLDS),
        ("IP-09c", causes.measured_exchanged, {"exchanged_is_same": False}, claims.FAILS),
    ],
)
def test_planted_costs_are_judged_rightly(claim, judge, options, verdict):
    measured = judge(planted(**options))
    assert claims.verdict_of(causes.CLAIMS[claim], measured.quantities) == verdict
    assert "n = 28, m = 42, n = 44, m = 66, λ = 0.05" in measured.scale


def test_the_table_of_costs_has_a_bar_for_every_arm_and_size():
    table = causes.costs_table(planted())
    plots.check_tidy(table)
    bars = plots.part(table, size="n = 28, m = 42", series="pairs of the same sign")
    assert list(bars["network"])[-1] == "costs exchanged" and list(bars["value"])[:4] == [0, 0, 0, 0]


def test_starts_are_told_beside_the_papers_own():
    config = causes.other_starts(SETTINGS)
    ends = {"count": np.array([counted(mean, config["n_seeds"]) for mean in (0.5, 4, 3)])}
    usual, *others = causes.by_start(planted(), Results([config], [ends])).values()
    assert [start.value for start in others] == pytest.approx([0.5 / 28, 4 / 28, 3 / 28], abs=0.002)
    assert usual.value == pytest.approx(0.85 * incidental.expected_polysemantic(28, 42) / 28, rel=0.01)


def of_hidden(**means):
    """Results of `causes.hidden` with these mean counts ÷ the exact count by the beginning of a kind, else one."""
    configs, rows = causes.kinds(SETTINGS), []
    for config in configs:
        exact = incidental.expected_polysemantic(config["n_features"], config["n_neurons"])
        share = next((value for name, value in means.items() if config["kind"].startswith(name)), 1.0)
        kept = np.full(config["n_seeds"], config["n_features"])
        rows.append({"count": counted(share * exact, config["n_seeds"]), "kept": kept})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("claim", "kind", "quantity", "share", "verdict"),
    [
        ("IP-10a", "ReLU, tied", "hidden ReLU", 0.8, claims.HOLDS),
        ("IP-10a", "ReLU, tied", "hidden ReLU", 0.0, claims.FAILS),
        ("IP-10b", "linear, untied, correlated starts", "untied weights", 0.8, claims.HOLDS),
        ("IP-10b", "linear, untied, correlated starts", "untied weights", 0.2, claims.FAILS),
        ("IP-10c", "tanh, tied", "hidden tanh", 0.8, claims.HOLDS),
        ("IP-10c", "tanh, tied", "hidden tanh", 0.1, claims.FAILS),
        ("IP-10d", "GELU, tied", "hidden GELU", 0.0, claims.HOLDS),
        ("IP-10d", "GELU, tied", "hidden GELU", 0.8, claims.FAILS),
    ],
)
def test_planted_hidden_layers_are_judged_rightly(claim, kind, quantity, share, verdict):
    results = of_hidden(**{kind.partition(" ")[0] if "untied" not in kind else kind: share})
    measured = causes.measured_hidden(results, kind, quantity)
    assert claims.verdict_of(causes.CLAIMS[claim], measured.quantities) == verdict


def test_the_table_of_hidden_layers_is_in_units_of_the_exact_count():
    table = causes.hidden_table(of_hidden(ReLU=0.0))
    plots.check_tidy(table)
    assert list(plots.part(table, what="corrected")["value"]) == [1.0]
    rows = plots.part(table, what="measured", network="ReLU, tied")
    assert list(rows["value"]) == [0, 0] and rows["high"].min() > 0
    assert plots.part(table, network="linear, tied")["value"].to_numpy() == pytest.approx(1, abs=0.1)
