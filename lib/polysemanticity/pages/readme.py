"""What is generated beside the site: parts of README.md, between their markers, docs/claims.md and docs/gallery.md."""

import importlib
import json
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

from polysemanticity.base import paths
from polysemanticity.claims import CORRECTED, FAILS, HOLDS, MARKS, NOT_TESTED, UNCLEAR, measured_text, published

PARTS = ("picture", "findings", "strip", "times")
PAGES = ("claims", "gallery")  # whole files in docs/
COLUMNS = 3  # of the gallery
COUNTED = {HOLDS: "hold", CORRECTED: "hold with a correction", FAILS: "fail", UNCLEAR: UNCLEAR, NOT_TESTED: NOT_TESTED}
TIMED = {  # rows of benchmarks/run_all.py, and what the README calls them
    "run_all.cold": "a first run",
    "run_all.unchanged": "nothing changed",
    "run_all.drawing": "one drawing changed",
}
GROUPS = {  # whose statements are told together; only the first group counts for or against a paper
    "statements of the papers": ("printed", "implied"),
    "open questions, and what summaries say": ("open question", "summary"),
    "statements of our own": ("ours",),
}


def update() -> None:
    """Write what is generated anew from figures/; nothing is touched if nothing changed or there is none."""
    file = paths.home() / "README.md"
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    for part in PARTS:
        text = replaced(text, part, globals()[part]())
    _write(file, text)
    for page in PAGES if _claims() else ():
        _write(paths.home() / "docs" / f"{page}.md", globals()[page]())


def _write(file: Path, text: str) -> None:
    if not file.exists() or text != file.read_text(encoding="utf-8"):
        file.parent.mkdir(exist_ok=True)
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
    """Return the figures that stand for the papers, side by side, each above what its paper asks."""
    covers = _covers()
    if not covers:
        return ""
    heads = [f"[{_title(slug)}](docs/{paths.notebooks()[slug].name})" for slug in covers]
    rows = [heads, ["---"] * len(heads), [_linked(slug, file) for slug, file in covers.items()]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _covers() -> dict[str, Path]:
    """The provenance of each paper's `COVER`, the figure that stands for it, where it has been published."""
    folder = paths.home() / "figures"
    files = {slug: folder / slug / f"{_paper(slug).COVER}.json" for slug in _claims()}
    return {slug: file for slug, file in files.items() if file.exists()}


def _paper(slug: str) -> ModuleType:
    return importlib.import_module(f"polysemanticity.papers.{slug}")


def findings() -> str:
    """Return one sentence of what was found for every paper, and how many of the papers' statements hold."""
    by_paper = _claims()
    rows = [row for rows in by_paper.values() for row in rows]
    told = [f"Of {len(group)} {name} {counted(group)}." for name, group in _groups(rows).items()]
    return "\n".join([*(f"- {sentence(slug, rows)}" for slug, rows in by_paper.items()), "", *told[:1]])


def strip() -> str:
    """Return a mark for every verdict, a row for every paper, apart by whose statement it is."""
    by_paper = _claims()
    every = [row for rows in by_paper.values() for row in rows]
    lines = [f"| | {' | '.join(_groups(every))} |", f"|---|{'---|' * len(_groups(every))}"]
    for slug, rows in by_paper.items():
        groups = _groups(rows)
        marks = ["".join(MARKS[row["verdict"]] for row in groups.get(name, ())) for name in _groups(every)]
        lines.append(f"| {_title(slug)} | {' | '.join(marks)} |")
    key = ", ".join(f"{MARKS[verdict]} {verdict}" for verdict in COUNTED if any(r["verdict"] == verdict for r in every))
    return "\n".join([*lines, "", f"{key}. [Every claim](docs/claims.md): what was measured, and by which rule."])


def _groups(rows: list[dict]) -> dict[str, list[dict]]:
    """The rows by whose statement they judge, without empty groups."""
    found = {name: [row for row in rows if row["whose"] in whose] for name, whose in GROUPS.items()}
    return {name: group for name, group in found.items() if group}


def sentence(slug: str, rows: list[dict]) -> str:
    """Return what was found for a paper in a sentence, whose numbers are those of the rows.

    The paper's `FINDING` is that sentence with the verdicts that it tells; `{ID: quantity | format}` in it is what was
    measured, `{ID: scale n}` the n on which it was. Where the rows have other verdicts, their number is told instead.
    """
    told, template = getattr(_paper(slug), "FINDING", ({}, ""))
    by_id = {row["id"]: row for row in rows}
    if not told or any(by_id.get(claim, {}).get("verdict") != verdict for claim, verdict in told.items()):
        return f"**{_title(slug)}**: {counted(rows)}."
    template = re.sub(r"\{([\w-]+): scale ([^}|]+)\}", lambda m: _scale(by_id[m[1]], m[2]), template)
    return re.sub(
        r"\{([\w-]+): (.+?) \| ([^}]+)\}",
        lambda m: format(by_id[m[1]]["measured"][m[2]], m[3]).replace("-", "−"),
        template,
    )


def _scale(row: dict, symbol: str) -> str:
    """The first value of a symbol in what a claim was measured on, as `20` for N in `N = 20 features`."""
    found = re.search(rf"(?<!\w){re.escape(symbol)} = ([\d.,]*\d)", row["scale"])
    if found is None:
        raise ValueError(f"{row['id']}: its scale {row['scale']!r} has no {symbol!r}")
    return found[1]


def gallery() -> str:
    """Return the page of every published figure."""
    lines = [
        "# Gallery",
        "",
        "Each picture comes with its PDF, the table that it was drawn from ([how to read one](../figures/README.md)), "
        "and a JSON file that says what it was made from.",
        "",
    ]
    for slug in _claims():
        cells = [_linked(slug, file, "../") for file in sorted((paths.home() / "figures" / slug).glob("fig*.json"))]
        lines += [f"## {_title(slug)}", "", *_table(cells)]
    return "\n".join(lines).rstrip() + "\n"


def _table(cells: list[str]) -> list[str]:
    """The lines of a table without a head, and an empty one; nothing where there are no cells."""
    cells = cells + [""] * (-len(cells) % COLUMNS)
    rows = [f"| {' | '.join(cells[k : k + COLUMNS])} |" for k in range(0, len(cells), COLUMNS)]
    return [f"|{' |' * COLUMNS}", f"|{'---|' * COLUMNS}", *rows, ""] if rows else []


def claims() -> str:
    """Return the page of the verdicts on all claims: those of the papers, open questions, and our own."""
    lines = [
        "# Every claim",
        "",
        "A claim *holds* if the interval of every quantity lies inside the band that was fixed before the run, *fails* "
        "if one lies outside, and is *unclear* if one straddles an end. Where something of the result was known when "
        "the rule was set, its line says *not blind*. Only the first part counts for or against a paper. Rules, kinds "
        "of error and notes are in the notebooks and in `figures/*/claims.json`.",
        "",
    ]
    rows = [row for rows in _claims().values() for row in rows]
    for name, group in _groups(rows).items():
        lines += [f"## {name[0].upper()}{name[1:]}", "", f"Of {len(group)}, {counted(group)}.", ""]
        lines += ["| | claim | measured [interval] | verdict |", "|---|---|---|---|"]
        for row in group:
            verdict = f"{MARKS[row['verdict']]} {row['verdict']}{'' if row['blind'] else ' (not blind)'}"
            anchor = f'<a id="{row["id"].lower()}"></a>'
            cells = (anchor + row["id"], row["claim"], measured_text(row), verdict)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += ["## What does not hold as printed, and why", ""]
    lines += [_correction(row) for row in rows if row["verdict"] != HOLDS]
    return "\n".join(lines).rstrip() + "\n"


def _correction(row: dict) -> str:
    corrected = f" Corrected: {row['correction']}." if row["verdict"] == CORRECTED else ""
    return f"- **{row['id']}** {row['claim']}: *{row['verdict']}*.{corrected} {row['note']}".rstrip()


def _claims() -> dict[str, list[dict]]:
    found = {slug: published(slug) for slug in paths.notebooks()}
    return {slug: rows for slug, rows in found.items() if rows}


def times() -> str:
    """Return how long runs take, with memory and disk, on the machines where `python -m benchmarks` has measured it."""
    lines = []
    for file in sorted((paths.home() / "benchmarks" / "results").glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        found = {name: case.get("measured") for name, case in record["cases"].items()}
        if record["quick"] or not all(found.get(name) for name in TIMED):
            continue
        stamp = record["stamp"]
        told = "; ".join(f"{words} {found[name]}" for name, words in TIMED.items())
        lines.append(f"- {stamp['cpu']}, {stamp['cores']} cores, {stamp['memory_gib']} GiB: {told}.")
    return "\n".join([*lines, "- Linux and macOS; Windows through WSL."])


def counted(rows: list[dict]) -> str:
    """Return how many of the rows have each verdict: Markdown."""
    verdicts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"**{verdicts[verdict]}** {verb}" for verdict, verb in COUNTED.items() if verdicts[verdict])


def _title(slug: str) -> str:
    return slug.replace("_", " ").capitalize()


def _linked(slug: str, file: Path, up: str = "") -> str:
    """A picture that leads to itself at its full size; `up` is the way from the page to the top folder."""
    alt = re.sub(r"[\[\]|]", "", json.loads(file.read_text(encoding="utf-8"))["alt"])
    name = f"{up}figures/{slug}/{file.stem}.png"
    return f"[![{alt}]({name})]({name})"
