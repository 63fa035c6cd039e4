"""Verdicts follow the rule and nothing else; intervals cover what they say."""

import dataclasses
import json
import math

import numpy as np
import pytest

from polysemanticity import claims
from polysemanticity.base import paths
from polysemanticity.claims import Claim, Estimate

CLAIM = Claim(
    "TO-01", "slopes are one", "Nobody 2026, Fig. 1", "slope 1", {"slope": (0.9, 1.1)}, "a tenth is what a reader can see.",
    corrected={"other slope": (1.9, math.inf)}, correction="the other slope is two",
)  # fmt: skip
PLAIN = dataclasses.replace(CLAIM, corrected=None, correction="")


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.95, 1.05, "holds"), (0.9, 1.1, "holds"), (1.2, 1.3, "fails"), (0.5, 0.8, "fails"), (1.0, 1.2, "unclear"), (0, 2, "unclear")],
)  # fmt: skip
def test_interval_decides(toy_run, low, high, outcome):
    row = claims.verdict(PLAIN, {"slope": Estimate((low + high) / 2, low, high)}, toy_run, error="95 % t, 5 seeds")
    assert row["verdict"] == outcome
    assert row["interval"] == {"slope": [low, high]}


@pytest.mark.parametrize(
    ("printed", "corrected", "outcome"),
    [
        ((1.0, 1.0), (0.0, 0.0), "holds"),
        ((1.2, 1.3), (2.0, 2.1), "holds with a correction"),
        ((1.0, 1.2), (2.0, 2.1), "holds with a correction"),
        ((1.2, 1.3), (1.8, 2.1), "fails"),
        ((1.0, 1.2), (1.8, 2.1), "unclear"),
    ],
)
def test_correction(toy_run, printed, corrected, outcome):
    measured = {
        name: Estimate(low, low, high) for name, (low, high) in (("slope", printed), ("other slope", corrected))
    }
    assert claims.verdict(CLAIM, measured, toy_run, error="exact")["verdict"] == outcome


def test_one_failing_quantity_fails_the_claim():
    rule = {"a": (0, 1), "b": (0, 1)}
    inside, outside, across = Estimate(0.5, 0.4, 0.6), Estimate(2, 2, 2), Estimate(1, 0.5, 1.5)
    assert claims.judge(rule, {"a": inside, "b": inside}) == "holds"
    assert claims.judge(rule, {"a": across, "b": outside}) == "fails"
    assert claims.judge(rule, {"a": across, "b": inside}) == "unclear"


def test_smoke_judges_nothing(toy_run):
    row = claims.verdict(
        PLAIN, {"slope": claims.exact(1)}, dataclasses.replace(toy_run, profile="smoke"), error="exact"
    )
    assert row["verdict"] == "not tested" and "smoke" in row["note"]


def test_rows_are_saved_by_id_with_the_promised_keys(toy_run):
    rows = [
        claims.not_tested(dataclasses.replace(CLAIM, id="TO-02"), "needs a network", toy_run),
        claims.verdict(CLAIM, {"slope": claims.exact(1)}, toy_run, error="exact", figure="fig1_toy"),
    ]
    claims.save(rows, toy_run)
    saved = json.loads((paths.figures("toy") / "claims.json").read_text())
    assert [row["id"] for row in saved] == ["TO-01", "TO-02"]
    assert saved[0]["correction"] == "the other slope is two"
    promised = {
        "id",
        "claim",
        "source",
        "paper",
        "measured",
        "interval",
        "rule",
        "verdict",
        "note",
        "profile",
        "figure",
    }
    assert all(promised <= row.keys() for row in saved)
    assert all(row["verdict"] in claims.VERDICTS for row in saved)
    assert saved[0]["rule"] == (
        "slope in [0.9, 1.1]. a tenth is what a reader can see. "
        "Corrected: the other slope is two (other slope ≥ 1.9)."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: claims.verdict(PLAIN, {}, run, error="exact"), "allowed is a dictionary that has 'slope'"),
        (lambda run: claims.verdict(PLAIN, {"slope": Estimate(1, 2, 3)}, run, error="exact"), "low <= value <= high"),
        (lambda run: claims.verdict(PLAIN, {"slope": Estimate(math.nan, 0, 1)}, run, error="e"), "without NaN"),
        (
            lambda run: claims.verdict(PLAIN, {"slope": claims.exact(1)}, run, error=" "),
            "which error the intervals give",
        ),
        (
            lambda run: claims.verdict(PLAIN, {"slope": claims.exact(1)}, run, error="e", figure="fig9"),
            "figure = 'fig9'",
        ),
        (lambda run: claims.not_tested(PLAIN, "", run), "why = '': allowed is a statement of what is missing"),
        (lambda run: claims.save([{"id": "a"}, {"id": "a"}], run), "each claim once"),
        (lambda run: dataclasses.replace(PLAIN, rule={}), "at least one quantity"),
        (lambda run: dataclasses.replace(PLAIN, rule={"slope": (1, 1)}), "low < high"),
        (lambda run: claims.mean_interval([1.0]), "at least two samples"),
        (lambda run: claims.mean_interval([1.0, math.nan]), "finite numbers"),
        (lambda run: claims.proportion_interval(3, 2), "0 <= successes <= trials"),
        (lambda run: claims.poisson_interval(-1, 2), "a count of at least 0"),
    ],
)
def test_bad_input(toy_run, call, message):
    with pytest.raises(ValueError, match=message):
        call(toy_run)


def coverage(interval, truth, draws):
    return np.mean([low <= truth <= high for _, low, high in (interval(draw) for draw in draws)])


def test_intervals_cover_planted_truth():
    rng = np.random.default_rng(0)
    assert 0.93 < coverage(claims.mean_interval, 3.0, rng.normal(3, 2, (2000, 5))) < 0.97
    poisson = coverage(lambda draw: claims.poisson_interval(int(draw.sum()), 8), 1.7, rng.poisson(1.7, (2000, 8)))
    assert 0.94 < poisson <= 0.99  # exact intervals cover at least their level
    share = coverage(lambda draw: claims.proportion_interval(int(draw.sum()), 30), 0.8, rng.random((2000, 30)) < 0.8)
    assert 0.94 < share <= 0.99
    boot = coverage(lambda draw: claims.bootstrap_interval(np.median, draw, rng, n=300), 0, rng.normal(size=(300, 60)))
    assert 0.90 < boot < 0.99


def test_known_intervals():
    assert claims.mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert claims.poisson_interval(0, 1).high == pytest.approx(3.6889, abs=1e-4)
    assert claims.exact(2, 0.5) == (2, 1.5, 2.5)


def test_the_worst_row():
    assert claims.worst([[1.0, 2.0], [0.0, 0.5]]).value == 0.25
    assert claims.worst([[1.0, 2.0], [0.0, 0.5]], least=False).value == 1.5


def test_counts_of_nothing_are_not_certain():
    none = claims.count_interval(np.zeros(10), unit=2.0)
    assert none.value == none.low == 0 and none.high == pytest.approx(claims.poisson_interval(0, 10).high / 2)
    some = claims.count_interval([1, 2, 3, 2], unit=2.0)
    assert some == pytest.approx(np.array(claims.mean_interval([1, 2, 3, 2])) / 2)
