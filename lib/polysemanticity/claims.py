"""Claims of the papers, the rules that judge them, and the rows that say how they came out.

A rule is fixed before the run: for each measured quantity a band (low, high). A claim *holds* if every quantity's
interval lies inside its band, *fails* if one lies outside, and is *unclear* if one straddles an end. A claim that does
not hold as printed, while the bands of its corrected statement hold, *holds with a correction*.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check

if typing.TYPE_CHECKING:  # SciPy's statistics take seconds to import
    from polysemanticity.intervals import Estimate

HOLDS, FAILS, UNCLEAR = "holds", "fails", "unclear"
CORRECTED, NOT_TESTED = "holds with a correction", "not tested"
VERDICTS = (HOLDS, FAILS, UNCLEAR, CORRECTED, NOT_TESTED)
MARKS = {HOLDS: "✅", FAILS: "❌", UNCLEAR: "❔", CORRECTED: "☑️", NOT_TESTED: "➖"}
PAGE = "../docs/claims.md"  # where all are told, as seen from notebooks/ and from docs/
WHOSE = {  # whose statement a claim is; only the first two count for or against a paper
    "printed": "words or a figure of the paper",
    "implied": "follows from the paper's model",
    "open question": "asked by the paper",
    "summary": "said by a summary of the paper, not by the paper",
    "ours": "our own",
}

Band = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """A statement of a paper and the rule that decides it, written down before the run."""

    id: str  # the row of the ledger, e.g. "IP-03"
    claim: str  # the paper's statement in our words
    source: str  # the paper, its section or figure
    paper: str  # the value the paper states or implies, in words
    rule: Mapping[str, Band]  # quantity -> the band its interval must lie in
    reason: str  # why these bands
    corrected: Mapping[str, Band] | None = None  # the rule of the corrected statement
    correction: str = ""  # the corrected statement
    whose: str = "printed"  # one of WHOSE
    known: str = ""  # what of the result was known when the rule was set, and how; empty for a blind rule
    gate: str = ""  # what a trained network has to reach to be judged; empty where none was fixed
    figure: str = ""  # the figure that shows it

    def __post_init__(self):
        check(len(self.rule) > 0, f"{self.id}.rule", self.rule, "at least one quantity with its band")
        check(self.whose in WHOSE, f"{self.id}.whose", self.whose, f"one of {', '.join(WHOSE)}")
        for quantity, (low, high) in {**self.rule, **(self.corrected or {})}.items():
            check(low < high, f"{self.id}.rule[{quantity!r}]", (low, high), "a band with low < high")

    @property
    def quantities(self) -> set[str]:
        """The names of all that has to be measured to judge the claim."""
        return set(self.rule) | set(self.corrected or {})


class Measured(NamedTuple):
    """What was measured for one claim: what a family's `measured…(results)` returns."""

    quantities: Mapping[str, Estimate]  # by the names that the claim's rules use
    error: str  # which error the intervals state, and over what
    scale: str  # what it was measured on: n, m, λ, network, data, seeds
    note: str = ""  # why it came out so, with its numbers


class Row(dict):
    """One row of claims.json; a notebook shows it as the verdict with what was measured and the rule."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/markdown": shown(self), "text/plain": f"{self['id']}: {self['verdict']}"}, {
            "polysemanticity": {"claim": self["id"]}
        }


def judge(claim_id: str, measured: Measured, run: runtime.Run) -> Row:
    """Return the claim's row, and keep it for `save`: what was measured, its interval, the rule and the verdict.

    Raises ValueError for a claim that the paper does not declare, a quantity of its rules without an estimate, and an
    estimate whose value is not between its ends. A smoke run judges nothing, and without any quantity the row is *not
    tested*, for the reason that stands in the note.
    """
    check(claim_id in run.claims, "claim_id", claim_id, f"one of {', '.join(run.claims)}")
    if not measured.quantities:
        return not_tested(claim_id, measured.note, run)
    claim = run.claims[claim_id]
    check(bool(measured.error.strip()), "error", measured.error, "a statement of which error the intervals give")
    known = claim.figure == "" or claim.figure in run.figures
    check(known, "figure", claim.figure, f"one of {', '.join(run.figures)}")
    outcome, note = verdict_of(claim, measured.quantities), measured.note
    if not run.judges:
        outcome, note = NOT_TESTED, "a smoke run is too small to judge anything"
    return _kept(Row(_row(claim, run, measured._replace(note=note), outcome, claim.figure)), run)


def not_tested(claim_id: str, why: str, run: runtime.Run) -> Row:
    """Return the row of a claim that could not be tested, saying what is missing, and keep it for `save`."""
    check(claim_id in run.claims, "claim_id", claim_id, f"one of {', '.join(run.claims)}")
    check(bool(why.strip()), "why", why, "a statement of what is missing")
    return _kept(Row(_row(run.claims[claim_id], run, Measured({}, "", "", why), NOT_TESTED, "")), run)


def verdict_of(claim: Claim, measured: Mapping[str, Estimate]) -> str:
    """Return the verdict that a claim's rules give on what was measured.

    *Not tested* where a quantity of the rule has no ends at all: too few networks have passed the claim's gate.
    """
    ends = [measured[quantity][1:] for quantity in claim.rule if quantity in measured]
    if any(low == -math.inf and high == math.inf for low, high in ends):
        return NOT_TESTED
    outcome = of_rule(claim.rule, measured)
    if outcome != HOLDS and claim.corrected is not None and of_rule(claim.corrected, measured) == HOLDS:
        return CORRECTED
    return outcome


def of_rule(rule: Mapping[str, Band], measured: Mapping[str, Estimate]) -> str:
    """Return *holds*, *fails* or *unclear* for the bands of a rule; raises ValueError if a quantity has no estimate."""
    verdicts = []
    for quantity, (low, high) in rule.items():
        check(quantity in measured, "measured", sorted(measured), f"a dictionary that has {quantity!r}")
        estimate = measured[quantity]
        ordered = estimate.low <= estimate.value <= estimate.high
        check(ordered, f"measured[{quantity!r}]", tuple(estimate), "low <= value <= high, without NaN")
        if low <= estimate.low and estimate.high <= high:
            verdicts.append(HOLDS)
        else:
            verdicts.append(FAILS if estimate.high < low or estimate.low > high else UNCLEAR)
    return FAILS if FAILS in verdicts else UNCLEAR if UNCLEAR in verdicts else HOLDS


def save(run: runtime.Run) -> None:
    """Write the rows that this run has judged, ordered by id, to `claims.json` among the paper's figures."""
    rows = [run.rows[claim] for claim in sorted(run.rows)]
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    paths.write_atomically(paths.figures(run.slug) / "claims.json", text.encode())


def published(slug: str) -> list[Row]:
    """Return the published rows of a paper's claims in the order of their ids; none where nothing was published."""
    file = paths.home() / "figures" / slug / "claims.json"
    return [Row(row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def rule_text(rule: Mapping[str, Band]) -> str:
    """Return a rule in words, e.g. `slope in [-1.1, -0.9]; share of opposite signs >= 0.99`."""
    return "; ".join(f"{quantity} {_band_text(*band)}" for quantity, band in rule.items())


def measured_text(row: Mapping) -> str:
    """Return the measured values of a row, with intervals where they have one: `slope: -1 [-1.1, -0.9]`."""
    parts = []
    for quantity, value in row["measured"].items():
        low, high = ends(row, quantity)
        interval = "" if {low, high} == {value_text(value)} else f" [{low}, {high}]"
        parts.append(f"{quantity}: {value_text(value)}{interval}")
    return "; ".join(parts)


def value_text(value: float | None) -> str:
    """Return a measured value in three digits; None, which no network identified, in words."""
    return "not identified" if value is None else short(value)


def ends(row: Mapping, quantity: str) -> tuple[str, str]:
    """The ends of an interval as text; one that is None is at infinity, on its side."""
    low, high = row["interval"][quantity]
    return ("−∞" if low is None else short(low)), short(high)


def shown(row: Mapping) -> str:
    """Return a verdict as a notebook shows it: Markdown."""
    table = ["| measured | value | interval | rule |", "|---|---|---|---|"]
    rules = {**row["bands"]["corrected"], **row["bands"]["printed"]}
    for quantity, value in row["measured"].items():
        low, high = ends(row, quantity)
        interval = "" if low == high else f"{low} … {high}"
        if quantity not in rules:
            table.append(f"| {_cell(quantity)} | {value_text(value)} | {interval} | not judged |")
            continue
        least, most = rules[quantity]
        band = _band_text(-math.inf if least is None else least, math.inf if most is None else most)
        table.append(f"| {_cell(quantity)} | {value_text(value)} | {interval} | {_cell(band)} |")
    head = f"**{row['id']} {MARKS[row['verdict']]} {row['verdict']}**: {row['claim']}."
    corrected = f"Corrected: {row['correction']}." if row["verdict"] == CORRECTED else ""
    blind = "" if row["blind"] else f"Not blind: {row['known']}."
    rest = [part for part in (corrected, _sentence(row["note"]), f"*{row['error']}. {row['scale']}*", blind) if part]
    return "\n\n".join([head, "\n".join(table), " ".join(rest)]) if row["measured"] else f"{head} {row['note']}"


def short(value: float | None) -> str:
    """Return a number in three digits; None, an end at infinity, as ∞."""
    return "∞" if value is None else f"{value:.3g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}." if text else ""


def _band_text(low: float, high: float) -> str:
    if math.isinf(low):
        return f"≤ {high:g}"
    return f"≥ {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g}]"


def _kept(row: Row, run: runtime.Run) -> Row:
    run.rows[row["id"]] = row
    return row


def _row(claim: Claim, run: runtime.Run, measured: Measured, outcome: str, figure: str) -> dict:
    rule = f"{rule_text(claim.rule)}. {claim.reason}"
    if claim.corrected is not None:
        rule += f" Corrected: {claim.correction} ({rule_text(claim.corrected)})."
    quantities = measured.quantities.items()
    return {
        "id": claim.id,
        "claim": claim.claim,
        "whose": claim.whose,
        "source": claim.source,
        "paper": claim.paper,
        "measured": {quantity: _rounded(estimate.value) for quantity, estimate in quantities},
        "interval": {quantity: [_rounded(estimate.low), _rounded(estimate.high)] for quantity, estimate in quantities},
        "error": measured.error,
        "scale": measured.scale,
        "rule": rule,
        "bands": {"printed": _bands(claim.rule), "corrected": _bands(claim.corrected or {})},
        "correction": claim.correction,
        "blind": not claim.known,
        "known": claim.known,
        "gate": claim.gate,
        "verdict": outcome,
        "note": measured.note,
        "profile": run.label,
        "figure": figure,
    }


def _bands(rule: Mapping[str, Band]) -> dict[str, list[float | None]]:
    return {quantity: [_rounded(low), _rounded(high)] for quantity, (low, high) in rule.items()}


def _rounded(value: float) -> float | None:
    """Six significant digits; None for an interval's infinite end, which JSON cannot hold."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


_TEXT, _NUMBER = {"type": "string"}, {"type": ["number", "null"]}
_ENDS = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_NUMBERS = {"type": "object", "additionalProperties": _NUMBER}
_INTERVALS = {"type": "object", "additionalProperties": _ENDS}
_FIELDS = {
    **dict.fromkeys(("claim", "source", "paper", "error", "scale", "rule", "correction"), _TEXT),
    **dict.fromkeys(("known", "gate", "note", "profile", "figure"), _TEXT),
    "id": {"type": "string", "pattern": r"^[A-Z]{2}-\d{2}[a-z]?$"},
    "whose": {"enum": list(WHOSE)},
    "verdict": {"enum": list(VERDICTS)},
    "blind": {"type": "boolean"},
    "measured": _NUMBERS,
    "interval": _INTERVALS,
    "bands": {"type": "object", "properties": {"printed": _INTERVALS, "corrected": _INTERVALS}},
}
SCHEMA = {  # JSON Schema of claims.json; a quantity's end at infinity is null
    "type": "array",
    "items": {"type": "object", "properties": _FIELDS, "required": sorted(_FIELDS), "additionalProperties": False},
}
