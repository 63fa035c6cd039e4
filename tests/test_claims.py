"""Verdicts follow the rule and nothing else, and rows say whose statement was judged, how, and on what."""

import dataclasses
import json
import math

import jsonschema
import pytest

from polysemanticity import claims, intervals
from polysemanticity.base import paths
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate

CLAIM = Claim(
    "TO-01", "slopes are one", "Nobody 2026, Fig. 1", "slope 1", {"slope": (0.9, 1.1)}, "a tenth is what a reader can see.",
    corrected={"other slope": (1.9, math.inf)}, correction="the other slope is two", whose="implied",
    known="a pilot at half the size", figure="fig1_toy",
)  # fmt: skip
PLAIN = dataclasses.replace(CLAIM, id="TO-02", corrected=None, correction="", known="")


@pytest.fixture
def run(toy_run):
    """A run of a paper that claims both."""
    return dataclasses.replace(toy_run, claims={"TO-01": CLAIM, "TO-02": PLAIN})


def judged(run, claim, **quantities):
    return claims.judge(claim, Measured(quantities, "95 % t, 5 seeds", "n = 3", "because"), run)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.95, 1.05, "holds"), (0.9, 1.1, "holds"), (1.2, 1.3, "fails"), (0.5, 0.8, "fails"), (1.0, 1.2, "unclear"), (0, 2, "unclear")],
)  # fmt: skip
def test_interval_decides(run, low, high, outcome):
    row = judged(run, "TO-02", slope=Estimate((low + high) / 2, low, high))
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
def test_correction(run, printed, corrected, outcome):
    found = {name: Estimate(low, low, high) for name, (low, high) in (("slope", printed), ("other slope", corrected))}
    assert judged(run, "TO-01", **found)["verdict"] == outcome == claims.verdict_of(CLAIM, found)


def test_one_failing_quantity_fails_the_claim():
    rule = {"a": (0, 1), "b": (0, 1)}
    inside, outside, across = Estimate(0.5, 0.4, 0.6), Estimate(2, 2, 2), Estimate(1, 0.5, 1.5)
    assert claims.of_rule(rule, {"a": inside, "b": inside}) == "holds"
    assert claims.of_rule(rule, {"a": across, "b": outside}) == "fails"
    assert claims.of_rule(rule, {"a": across, "b": inside}) == "unclear"


def test_what_no_network_was_fit_to_show_is_not_tested(run):
    """A quantity without any ends: too few networks have passed the gate."""
    nothing = Estimate(1.0, -math.inf, math.inf)
    row = judged(run, "TO-02", slope=nothing)
    assert row["verdict"] == "not tested" and claims.measured_text(row) == "slope: 1 [−∞, ∞]"
    assert "| slope | 1 | −∞ … ∞ |" in claims.shown(row)
    assert judged(run, "TO-02", slope=Estimate(1.0, 0.0, math.inf))["verdict"] != "not tested"


def test_nothing_measured_is_not_tested_and_says_why(run):
    row = claims.judge("TO-02", claims.Measured({}, "", "", "a package is not here"), run)
    assert (row["verdict"], row["note"], row["measured"]) == ("not tested", "a package is not here", {})
    assert run.rows["TO-02"] is row
    with pytest.raises(ValueError, match="why = ''"):
        claims.judge("TO-02", claims.Measured({}, "", ""), run)


def test_smoke_judges_nothing(run):
    row = judged(dataclasses.replace(run, profile="smoke"), "TO-02", slope=intervals.exact(1))
    assert row["verdict"] == "not tested" and "smoke" in row["note"]


def test_rows_are_saved_by_id_and_fit_the_schema(run):
    claims.not_tested("TO-02", "needs a network", run)
    judged(run, "TO-01", slope=intervals.exact(1), **{"other slope": Estimate(2, 1, math.inf)})
    claims.save(run)
    saved = json.loads((paths.figures("toy") / "claims.json").read_text())
    jsonschema.validate(saved, claims.SCHEMA)
    first, second = saved
    assert (first["id"], second["id"]) == ("TO-01", "TO-02")
    assert first["whose"] == "implied" and not first["blind"] and first["known"] == "a pilot at half the size"
    assert first["scale"] == "n = 3" and first["figure"] == "fig1_toy" and first["interval"]["other slope"] == [1, None]
    assert second["verdict"] == "not tested" and second["note"] == "needs a network" and second["blind"]
    assert first["rule"] == (
        "slope in [0.9, 1.1]. a tenth is what a reader can see. "
        "Corrected: the other slope is two (other slope ≥ 1.9)."
    )  # fmt: skip
    assert first["bands"] == {"printed": {"slope": [0.9, 1.1]}, "corrected": {"other slope": [1.9, None]}}


def test_what_was_published_is_read_back(run, tmp_path, monkeypatch):
    assert claims.published("toy") == []
    row = judged(run, "TO-02", slope=intervals.exact(1))
    monkeypatch.setenv("POLYSEMANTICITY_OUT", str(tmp_path))
    claims.save(run)
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(tmp_path))
    assert claims.published("toy") == [row]


def test_a_claim_that_is_judged_again_has_one_row(run):
    judged(run, "TO-02", slope=intervals.exact(1))
    judged(run, "TO-02", slope=intervals.exact(3))
    assert [row["verdict"] for row in run.rows.values()] == ["fails"]


def test_a_notebook_shows_verdict_numbers_rule_and_what_was_known(run):
    row = judged(run, "TO-01", slope=Estimate(1.3, 1.2, 1.4), **{"other slope": intervals.exact(2)})
    data, metadata = row._repr_mimebundle_()
    text = data["text/markdown"]
    for part in ("TO-01 ☑️ holds with a correction", "| slope | 1.3 | 1.2 … 1.4 | in [0.9, 1.1] |", "≥ 1.9", "because",
                 "Corrected: the other slope is two", "Not blind: a pilot", "n = 3"):  # fmt: skip
        assert part in text
    assert metadata["polysemanticity"] == {"claim": "TO-01"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: judged(run, "TO-02", other=intervals.exact(1)), "allowed is a dictionary that has 'slope'"),
        (lambda run: judged(run, "TO-02", slope=Estimate(1, 2, 3)), "low <= value <= high"),
        (lambda run: judged(run, "TO-02", slope=Estimate(math.nan, 0, 1)), "without NaN"),
        (lambda run: judged(run, "TO-09", slope=intervals.exact(1)), "claim_id = 'TO-09': allowed is one of TO-01, TO-02"),
        (lambda run: claims.judge("TO-02", Measured({"slope": intervals.exact(1)}, " ", ""), run), "which error"),
        (lambda run: claims.not_tested("TO-02", "", run), "why = '': allowed is a statement of what is missing"),
        (lambda run: dataclasses.replace(PLAIN, rule={}), "at least one quantity"),
        (lambda run: dataclasses.replace(PLAIN, rule={"slope": (1, 1)}), "low < high"),
        (lambda run: dataclasses.replace(PLAIN, whose="theirs"), "whose = 'theirs': allowed is one of printed, implied"),
    ],
)  # fmt: skip
def test_bad_input(run, call, message):
    with pytest.raises(ValueError, match=message):
        call(run)


def test_a_figure_that_nobody_declared_is_refused(run):
    run.claims["TO-02"] = dataclasses.replace(PLAIN, figure="fig9")
    with pytest.raises(ValueError, match="figure = 'fig9': allowed is one of fig1_toy"):
        judged(run, "TO-02", slope=intervals.exact(1))
