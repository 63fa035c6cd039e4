"""A report as one HTML page that needs nothing else: no network, no script; a picture, and tables to be read aloud."""

import base64
import html
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from polysemanticity.audit import figures

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2rem; }
img { max-width: 100%; height: auto; background: white; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem 0; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; }
th[scope=row], td.text, th.text { text-align: left; }
td.flags { white-space: normal; min-width: 14rem; text-align: left; }
summary { cursor: pointer; margin: 1rem 0; }
"""
MOST = 200  # rows of a table; JSON has all of them
LAYERS = {
    "n": "rows", "n_effective": "independent rows that they are worth", "units": "units of the layer",
    "exponent": "of the power law of the spectrum, corrected for rows and units", "low": "of its 95 % interval",
    "high": "of its 95 % interval", "bent": "whether a broken power law predicts the other half of the rows better",
    "participation": "participation ratio: how many directions share the variance",
    "flags": "what should make one doubt",
    "shuffled_participation": "participation with each unit's rows shuffled",
    "smoothest": "roughness of the smoothest direction, 1 where neighbouring rows are independent",
}  # fmt: skip
FEATURES = {
    "length": "of the feature", "capacity": "share of a dimension that is its own",
    "low": "of the central 95 % under random directions", "high": "of the central 95 % under random directions",
    "z": "above 0: more crowded than random directions", "partner": "the closest feature above the cosine",
    "cosine": "with the partner", "degree": "partners above the cosine",
}  # fmt: skip
PAIRS = {
    "unit": "that both use", "feature": "one of the pair", "other": "the other one",
    "sign": "of the product of their weights", "together": "rows with both over rows with either",
    "price": "of sharing, in units of the loss of one feature", "low": "of its 95 % interval",
    "high": "of its 95 % interval", "label": "the likeliest reason", "probability": "that it is right",
    "clear": "whether the probability is 0.9 or more and both are on this unit alone",
}  # fmt: skip


def of_layers(report) -> str:
    """The page of a report of layers."""
    measured = report.table[report.table["what"] == "measured"]
    with_law = measured.dropna(subset=["exponent"])
    lead = [f"{len(measured)} layers, {len(with_law)} of them with an exponent."]
    if len(with_law):
        ends = with_law["exponent"].min(), with_law["exponent"].max()
        lead.append(f"Exponents run from {ends[0]:.2f} to {ends[1]:.2f}.")
    flagged = int((measured["flags"] != "").sum())
    lead.append(f"{flagged} layers carry a flag: read it before the numbers." if flagged else "No layer has a flag.")
    alt = f"Left: eigenvalues against rank, a line for each of {len(report.spectra)} layers. Right: exponents by layer."
    table = _table(report.table, "layer", ["what", *LAYERS], "Layers in order of depth")
    return _page("Layers", lead, _picture(report), alt, [table], LAYERS)


def of_weights(report) -> str:
    """The page of a report of an embedding."""
    lead = [f"{report.n_features:,} features in {report.n_dims:,} dimensions."]
    found = report.findings
    lead.append("Found: " + "; ".join(found) + "." if found else "Nothing that random directions would not show.")
    lead.append(f"Such findings come by chance with a probability of at most {100 * report.level:g} %.")
    alt = "Left: capacity against length of features, with the bands of random directions. Right: sizes of blocks."
    strange = report.table.assign(size=report.table["z"].abs()).sort_values("size", ascending=False)
    table = _table(strange, "feature", FEATURES, "Features, those furthest from random directions first")
    numbers = {name: value for name, value in report.summary().items() if isinstance(value, int | float)}
    listed = pd.DataFrame({"quantity": list(numbers), "value": list(numbers.values())})
    summary = _table(listed, "quantity", ["value"], "The embedding as a whole")
    return _page("Features", lead, _picture(report), alt, [summary, table], FEATURES)


def of_sharing(report) -> str:
    """The page of a report of shared units."""
    summary = report.summary()
    told = ", ".join(f"{number} {kind}" for kind, number in summary["clear"].items() if number) or "none"
    lead = [
        f"{report.count.shared:,} of {report.n_units:,} units serve two features or more; by chance it would be "
        f"{report.count.chance:.1f} ± {report.count.sd:.1f}.",
        f"Of {len(report.table):,} pairs these are clear: {told}; {summary['unclear']:,} are not.",
    ]
    alt = "Left: the price of every pair with its interval, by label. Right: shared units beside chance."
    table = report.table.assign(probability=[row[row["label"]] for _, row in report.table.iterrows()])
    more = {"gain": "fall of the network's own loss when the two are read apart"} if "gain" in table else {}
    shown = _table(table, None, [*PAIRS, *more], "Pairs of features on one unit")
    return _page("Shared units", lead, _picture(report), alt, [shown], PAIRS | more)


def _picture(report) -> str:
    return base64.b64encode(figures.png(report)).decode()


def _page(title: str, lead: Iterable[str], picture: str, alt: str, tables: Iterable[str], names: dict[str, str]) -> str:
    words = "".join(
        f"<dt>{_text(name.replace('_', ' '))}</dt><dd>{_text(meaning)}</dd>" for name, meaning in names.items()
    )
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta name="viewport" content="width=device-width"><title>{_text(title)}</title>',
            f"<style>{STYLE}</style></head><body><main>",
            f"<h1>{_text(title)}</h1>",
            *(f"<p>{_text(sentence)}</p>" for sentence in lead),
            f'<p><img alt="{_text(alt)}" src="data:image/png;base64,{picture}"></p>',
            *tables,
            f"<details><summary>What the columns say</summary><dl>{words}</dl></details>",
            "</main></body></html>\n",
        ]
    )


def _table(table: pd.DataFrame, row: str | None, shown: Sequence[str], caption: str) -> str:
    shown, rest = list(shown), max(len(table) - MOST, 0)
    head = [*([row] if row else []), *shown]
    cells = "".join(
        f'<th scope="col"{_kind(table[name], True)}>{_text(str(name).replace("_", " "))}</th>' for name in head
    )
    lines = []
    for _, line in table.head(MOST).iterrows():
        first = [f'<th scope="row">{_text(_number(line[row]))}</th>'] if row else []
        others = [f"<td{_kind(table[name], name != 'flags')}>{_text(_number(line[name]))}</td>" for name in shown]
        lines.append(f"<tr>{''.join([*first, *others])}</tr>")
    note = f" ({rest:,} more are in the JSON)" if rest else ""
    body = f"<caption>{_text(caption + note)}</caption><thead><tr>{cells}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="scroll" role="region" aria-label="{_text(caption)}" tabindex="0"><table>{body}</table></div>'


def _kind(column: pd.Series, one_line: bool) -> str:
    numbers = column.dtype.kind in "iufb"
    return "" if numbers else ' class="text"' if one_line else ' class="flags"'


def _number(value) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def _text(value) -> str:
    return html.escape(str(value))
