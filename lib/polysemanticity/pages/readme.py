"""The generated parts of README.md, between their markers: pictures, what was found, the table of claims."""

import importlib
import json
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

from polysemanticity.base import paths
from polysemanticity.claims import CORRECTED, FAILS, HOLDS, MARKS, NOT_TESTED, UNCLEAR, measured_text, published

PARTS = ("picture", "findings", "corrections", "gallery", "claims")
COLUMNS = 3  # of the gallery
COUNTED = {HOLDS: "hold", CORRECTED: "hold with a correction", FAILS: "fail", UNCLEAR: UNCLEAR, NOT_TESTED: NOT_TESTED}


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
    """Return the picture under the title: the cover of the last paper whose figures are published."""
    return next((_linked(slug, file) for slug, file in reversed(_covers().items())), "")


def _covers() -> dict[str, Path]:
    """The provenance of each paper's `COVER`, the figure that stands for it, where it has been published."""
    folder = paths.home() / "figures"
    files = {slug: folder / slug / f"{_paper(slug).COVER}.json" for slug in _claims()}
    return {slug: file for slug, file in files.items() if file.exists()}


def _paper(slug: str) -> ModuleType:
    return importlib.import_module(f"polysemanticity.papers.{slug}")


def findings() -> str:
    """Return how many claims hold, and one sentence of what was found for every paper."""
    by_paper = _claims()
    rows = [row for rows in by_paper.values() for row in rows]
    lines = [f"Of {len(rows)} claims {_counted(rows)}.", ""]
    return "\n".join([*lines, *(f"- {sentence(slug, rows)}" for slug, rows in by_paper.items())])


def sentence(slug: str, rows: list[dict]) -> str:
    """Return what was found for a paper in a sentence, whose numbers are those of the rows.

    The paper's `FINDING` is that sentence with the verdicts that it tells; `{ID: quantity | format}` in it is what was
    measured. Where the rows have other verdicts, their number is told instead.
    """
    told, template = getattr(_paper(slug), "FINDING", ({}, ""))
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
    lines = _table([_linked(slug, file) for slug, file in _covers().items()])
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
            verdict = f"{MARKS[row['verdict']]} {row['verdict']}"
            cells = (row["id"], row["claim"], measured_text(row), verdict)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _claims() -> dict[str, list[dict]]:
    found = {slug: published(slug) for slug in paths.notebooks()}
    return {slug: rows for slug, rows in found.items() if rows}


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
