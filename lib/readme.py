"""The generated parts of README.md: the gallery of figures and the table of claims, between their markers."""

import json
import re
from collections import Counter

from lib import notebook, paths
from lib.claims import CORRECTED, HOLDS, VERDICTS

PARTS = ("findings", "gallery", "claims")


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


def findings() -> str:
    """Return how many claims hold, and what was found wherever one does not hold as printed."""
    rows = [row for rows in _claims().values() for row in rows]
    verdicts = Counter(row["verdict"] for row in rows)
    counts = ", ".join(f"**{verdicts[verdict]}** {verdict}" for verdict in VERDICTS if verdicts[verdict])
    lines = [f"{len(rows)} claims have been tested: {counts}. What does not hold as printed:", ""]
    lines += [_finding(row) for row in rows if row["verdict"] != HOLDS]
    return "\n".join(lines).rstrip()


def _finding(row: dict) -> str:
    corrected = f" Corrected: {row['correction']}." if row["verdict"] == CORRECTED else ""
    return f"- **{row['id']}** {row['claim']}: *{row['verdict']}*.{corrected} {row['note']}".rstrip()


def gallery() -> str:
    """Return the figures of every paper as a table of linked pictures with their alt texts."""
    lines = []
    for slug in _claims():
        lines += [f"**[{slug.replace('_', ' ')}](docs/{paths.notebooks()[slug].name})**", "", "| | |", "|---|---|"]
        cells = [_cell(slug, file) for file in sorted((paths.home() / "figures" / slug).glob("fig*.json"))]
        cells += [""] * (len(cells) % 2)
        lines += [f"| {left} | {right} |" for left, right in zip(cells[::2], cells[1::2], strict=True)]
        lines.append("")
    return "\n".join(lines).rstrip()


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


def _cell(slug: str, file) -> str:
    alt = re.sub(r"[\[\]|]", "", json.loads(file.read_text())["alt"])
    picture = f"figures/{slug}/{file.stem}.png"
    return f"[![{alt}]({picture})]({picture})<br>{alt}"
