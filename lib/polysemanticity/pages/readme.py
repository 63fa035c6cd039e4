"""The generated parts of README.md, between their markers: pictures, what was found, the table of claims."""

import json
import re
from collections import Counter
from pathlib import Path

from polysemanticity import notebook
from polysemanticity.base import paths
from polysemanticity.claims import CORRECTED, FAILS, HOLDS, NOT_TESTED, UNCLEAR

PARTS = ("picture", "findings", "corrections", "gallery", "claims")
PICTURE = ("feature_capacity", "figx_phase_diagram")
SHOWN = {  # unfolded, one for each paper
    "coding_theory_spectra": "figx_smoothness",
    "incidental_polysemanticity": "fig3_counts",
    "feature_capacity": "figx_allocation",
}
COLUMNS = 3  # of the gallery
COUNTED = {HOLDS: "hold", CORRECTED: "hold with a correction", FAILS: "fail", UNCLEAR: UNCLEAR, NOT_TESTED: NOT_TESTED}

# A sentence for each paper and the verdicts that it tells; where a run has others, their number is told instead.
# {ID: quantity | format} is what was measured.
SENTENCES = {
    "coding_theory_spectra": (
        {"CT-05": FAILS, "CT-07": CORRECTED, "CT-16": FAILS},
        "**Noise does not simply buy redundant, smooth codes**: where the features are known, dropout changes the "
        "effective number of features that a unit answers to by {CT-16: features per unit, dropout less none | +.0f} "
        "where the paper expects a rise, and random projections turn smooth at an exponent of 1 + 2/d for a stimulus "
        "of d dimensions ({CT-07: threshold of a, d = 1 | .2f} for one), not at 1.",
    ),
    "incidental_polysemanticity": (
        {"IP-01": HOLDS, "IP-04": HOLDS, "IP-09": HOLDS, "IP-10": FAILS, "IP-12": FAILS},
        "**Neurons are shared by accident, as long as sharing is free**: with two neurons for every feature, "
        "{IP-01: polysemantic neurons at m = 2n | .1f} neurons of a network still serve two features, "
        "{IP-04: share of surviving collisions with opposite signs | .0%} of these pairs with opposite signs. With a "
        "ReLU on the hidden layer {IP-10: count ÷ exact count, ReLU on the hidden layer | .0%} of the predicted count "
        "are left; with features that are seen together "
        "{IP-12: count ÷ exact count, independent features | .0%}.",
    ),
    "feature_capacity": (
        {"FC-03": CORRECTED, "FC-04": HOLDS, "FC-13": CORRECTED},
        "**Training divides dimensions as the theory says**: where returns diminish, "
        "{FC-04: share of models in the predicted phase, kurtosis > 3 | .0%} of the models end in the predicted "
        "phase, and capacity is affine in importance, not proportional; a penalty on interference makes every feature "
        "monosemantic ({FC-13: polysemantic features at 1.1 × the critical penalty, quadratic | .0f} shared ones are "
        "left, of {FC-13: polysemantic features at 0.5 × the critical penalty, quadratic | .0f} at half of it).",
    ),
}


def update() -> None:
    """Write the generated parts of the README anew from figures/; nothing is touched if nothing changed or there is
    none."""
    file = paths.home() / "README.md"
    if not file.exists():
        return
    text = file.read_text()
    for part in PARTS:
        text = replaced(text, part, globals()[part]())
    if text != file.read_text():
        paths.write_atomically(file, text.encode())


def replaced(text: str, part: str, content: str) -> str:
    """Return `text` with what stands between the markers of `part` replaced; ValueError if the markers are missing."""
    begin, end = f"<!-- {part}: generated -->", f"<!-- {part}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"README.md: allowed is exactly one pair of markers {begin} and {end}")
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n{content}\n{end}{tail}"


def picture() -> str:
    """Return the picture under the title, where it has been published."""
    slug, name = PICTURE
    file = paths.home() / "figures" / slug / f"{name}.json"
    return _linked(slug, file) if file.exists() else ""


def findings() -> str:
    """Return how many claims hold, and one sentence of what was found for every paper."""
    by_paper = _claims()
    rows = [row for rows in by_paper.values() for row in rows]
    lines = [f"Of {len(rows)} claims {_counted(rows)}.", ""]
    return "\n".join([*lines, *(f"- {sentence(slug, rows)}" for slug, rows in by_paper.items())])


def sentence(slug: str, rows: list[dict]) -> str:
    """Return what was found for a paper in a sentence, whose numbers are those of the rows."""
    told, template = SENTENCES.get(slug, ({}, ""))
    by_id = {row["id"]: row for row in rows}
    if not told or any(by_id.get(claim, {}).get("verdict") != verdict for claim, verdict in told.items()):
        return f"**{_title(slug)}**: {_counted(rows)}."
    return re.sub(
        r"\{([\w-]+): (.+?) \| ([^}]+)\}",
        lambda m: format(by_id[m[1]]["measured"][m[2]], m[3]).replace("-", "−"),
        template,
    )


def corrections() -> str:
    """Return every claim that does not hold as printed, with its correction."""
    rows = [row for rows in _claims().values() for row in rows if row["verdict"] != HOLDS]
    return "\n".join(_correction(row) for row in rows)


def _correction(row: dict) -> str:
    corrected = f" Corrected: {row['correction']}." if row["verdict"] == CORRECTED else ""
    return f"- **{row['id']}** {row['claim']}: *{row['verdict']}*.{corrected} {row['note']}".rstrip()


def gallery() -> str:
    """Return a picture of every paper, and folded up all of its figures."""
    files = {slug: paths.home() / "figures" / slug / f"{name}.json" for slug, name in SHOWN.items()}
    lines = _table([_linked(slug, file) for slug, file in files.items() if file.exists()])
    for slug in _claims():
        cells = [_linked(slug, file) for file in sorted((paths.home() / "figures" / slug).glob("fig*.json"))]
        lines += [f"<details><summary>{_title(slug)}: {len(cells)} figures</summary>", ""]
        lines += _table(cells)
        lines += ["</details>", ""]
    return "\n".join(lines).rstrip()


def _table(cells: list[str]) -> list[str]:
    """The lines of a table without a head, and an empty one; nothing where there are no cells."""
    cells = cells + [""] * (-len(cells) % COLUMNS)
    rows = [f"| {' | '.join(cells[k : k + COLUMNS])} |" for k in range(0, len(cells), COLUMNS)]
    return [f"|{' |' * COLUMNS}", f"|{'---|' * COLUMNS}", *rows, ""] if rows else []


def claims() -> str:
    """Return the verdicts on all claims as a table."""
    lines = ["| | claim | measured [interval] | verdict |", "|---|---|---|---|"]
    for rows in _claims().values():
        for row in rows:
            verdict = f"{notebook.MARKS[row['verdict']]} {row['verdict']}"
            cells = (row["id"], row["claim"], notebook.measured_text(row), verdict)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _claims() -> dict[str, list[dict]]:
    files = {slug: paths.home() / "figures" / slug / "claims.json" for slug in paths.notebooks()}
    return {slug: json.loads(file.read_text()) for slug, file in files.items() if file.exists()}


def _counted(rows: list[dict]) -> str:
    verdicts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"**{verdicts[verdict]}** {verb}" for verdict, verb in COUNTED.items() if verdicts[verdict])


def _title(slug: str) -> str:
    return slug.replace("_", " ").capitalize()


def _linked(slug: str, file: Path) -> str:
    """A picture that leads to itself at its full size."""
    alt = re.sub(r"[\[\]|]", "", json.loads(file.read_text())["alt"])
    name = f"figures/{slug}/{file.stem}.png"
    return f"[![{alt}]({name})]({name})"
