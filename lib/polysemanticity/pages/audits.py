"""Pages made from the claims: the table of all of them, the gallery, and an audit of each family of experiments.

An audit says of each claim what the paper says, what was measured and by which rule it was judged, why it came out so
(the words of the notebook), and the corrected statement. What was measured comes from figures/*/claims.json, statement
and rule from the code that judges.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from types import ModuleType

from polysemanticity import claims
from polysemanticity import papers as declared
from polysemanticity.base import paths
from polysemanticity.pages import readme

SAYS = {
    "printed": "The paper says", "implied": "The paper implies", "open question": "The paper asks",
    "summary": "A summary of the paper says", "ours": "We expected",
}  # fmt: skip
CORRECTION = {claims.CORRECTED: "Corrected statement", claims.HOLDS: "A sharper statement"}


def papers() -> dict[str, ModuleType]:
    """Return the package of every paper that has published claims."""
    figures = paths.home() / "figures"
    slugs = [slug for slug in paths.notebooks() if (figures / slug / "claims.json").exists()]
    return {slug: importlib.import_module(f"polysemanticity.papers.{slug}") for slug in slugs}


def families(paper: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """Yield name and module of each family of experiments of a paper, in the order of their first claims."""
    for module in sorted(paper.FAMILIES, key=lambda module: min(module.CLAIMS, default="~")):
        yield module.__name__.rpartition(".")[2], module


def rows(slug: str) -> dict[str, dict]:
    """Return the published rows of a paper's claims by their id."""
    return {row["id"]: row for row in claims.published(slug)}


def alts() -> dict[str, str]:
    """Return the alt text of every declared figure by its name."""
    return {name: alt for paper in papers().values() for name, alt in paper.FIGURES.items()}


def shown_in(cell, kind: str) -> list[str]:
    """Return the names of the figures, or the ids of the claims, that the outputs of an executed cell say they are."""
    marks = [output.get("metadata", {}).get("polysemanticity", {}) for output in cell.get("outputs", ())]
    return [mark[kind] for mark in marks if kind in mark]


def label(claim: str) -> str:
    """Return the name by which pages link to a claim."""
    return claim.lower()


def text(plain: str) -> str:
    """Return plain text so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", plain).replace("\n", " ")


def pages(documents: Mapping[str, object]) -> dict[str, str]:
    """Return all pages by their path; `documents` are the executed notebooks by file name."""
    found = {
        "parts/findings.md": readme.findings(),
        "parts/claims.md": table(),
        "parts/gallery.md": gallery(),
        "parts/checks.md": checks(),
    }
    for slug, paper in papers().items():
        names = [name for name, family in families(paper) if family.CLAIMS]
        listed = "\n".join(f"{slug}/{name}" for name in names)
        found[f"audits/{slug}.md"] = f"# {_title(slug)}\n\n{text(paper.PAPER)}\n\n```{{toctree}}\n{listed}\n```\n"
        explained = explanations(documents[paths.notebooks()[slug].name])
        for name, family in families(paper):
            if family.CLAIMS:
                found[f"audits/{slug}/{name}.md"] = audit(paper, family, explained)
    return found


def table() -> str:
    """Return the table of all claims; a script filters it."""
    lines = ["| claim | paper | what it says | verdict |", "|---|---|---|---|"]
    for slug, paper in papers().items():
        for row in rows(slug).values():
            link = f"[{row['id']}](#{label(row['id'])})"
            lines.append(f"| {link} | {_title(paper.SLUG)} | {text(row['claim'])} | {_verdict(row)} |")
    return "\n".join(lines) + "\n"


def gallery() -> str:
    """Return every published figure as a small picture that leads to the page it is on."""
    lines = []
    for slug, paper in papers().items():
        lines += [f"**{_title(slug)}**: {text(paper.TITLE)}", "", ":::{container} gallery"]
        for name, family in families(paper):
            place = f"audits/{slug}/{name}.md" if family.CLAIMS else "estimators.md"
            for figure in _published(slug, family):
                lines.append(f"[![{text(paper.FIGURES[figure])}](/thumbnails/{slug}/{figure}.webp)](/{place})")
        lines += [":::", ""]
    return "\n".join(lines)


def checks() -> str:
    """Return the figures of those families that judge no claim: they check the instruments."""
    parts = []
    for slug, paper in papers().items():
        for name, family in families(paper):
            if not family.CLAIMS and _published(slug, family):
                parts += [f"## {_title(name)}", _lead(family)]
                parts += [_figure(paper, figure) for figure in _published(slug, family)]
    return "\n\n".join(parts) + "\n"


def audit(paper: ModuleType, family: ModuleType, explained: Mapping[str, str]) -> str:
    """Return the page of one family of experiments of a paper."""
    published, parts = rows(paper.SLUG), [f"# {_title(family.__name__.rpartition('.')[2])}", _lead(family)]
    shown = [published[key]["figure"] for key in family.CLAIMS if key in published]
    for key, claim in family.CLAIMS.items():
        if key in published:
            parts += _claim(paper, claim, published[key], explained.get(key))
    others = [figure for figure in _published(paper.SLUG, family) if figure not in shown]
    if others:
        parts.append("## More figures")
    parts += [_figure(paper, figure) for figure in others]
    return "\n\n".join(parts) + "\n"


def explanations(document) -> dict[str, str]:
    """Return by claim what an executed notebook says in the section that judges it: after that cell, else before it,
    else what it says of the claim before, where two are judged in one breath."""
    before, after, said, told = {}, {}, [], []
    for cell in document.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            said, told = [], []
            continue
        for claim in shown_in(cell, "claim"):
            before[claim] = told = said or told
            after[claim] = said = []
        said += [cell.source] if cell.cell_type == "markdown" else _said(cell)
    return {claim: "\n\n".join(after[claim] or before[claim]) for claim in after}


def _said(cell) -> list[str]:
    """What a cell shows as text, without verdicts, which pages tell by themselves, and what has headings of its own."""
    plain = [output for output in cell.get("outputs", ()) if "polysemanticity" not in output.get("metadata", {})]
    shown = [output.get("data", {}).get("text/markdown", "") for output in plain]
    return [text for text in shown if text and not re.search(r"^#", text, re.MULTILINE)]


def _claim(paper: ModuleType, claim: claims.Claim, row: Mapping, explained: str | None) -> list[str]:
    says = SAYS[claim.whose]
    parts = [f"({label(claim.id)})=\n## {claim.id}: {row['verdict']}", _rubric(says)]
    parts += [_sentence(claim.claim), f"*{text(claim.source)}: {text(claim.paper)}.*"]
    parts += [_rubric("What happens"), _verdict(row), _measured(claim, row)]
    parts += [_sentence(f"Intervals: {row['error']}") if row["error"] else "", _sentence(row["scale"])]
    parts += [_figure(paper, row["figure"]) if row["figure"] else ""]
    parts += [_rubric("Why"), _sentence(row["note"])]
    if explained is not None:
        parts += [explained.strip(), f"The experiment is in [the notebook](#{label(claim.id)}-in-notebook)."]
    if claim.correction:
        parts += [_rubric(CORRECTION.get(row["verdict"], "Corrected statement, which does not hold either"))]
        parts += [_sentence(claim.correction)]
    blind = "The rule was set before anything of the result was known." if not claim.known else ""
    known = _sentence(f"Not blind: {claim.known}") if claim.known else blind
    return [part for part in [*parts, _rubric("Why this rule"), text(claim.reason), known] if part]


def _sentence(plain: str) -> str:
    """A note as a sentence; a symbol that it begins with stays as it is."""
    first = plain[:1].upper() if plain[1:2].isalpha() else plain[:1]
    return text(f"{first}{plain[1:].rstrip('.')}.") if plain else ""


def _rubric(title: str) -> str:
    return f"```{{rubric}} {title}\n```"


def _measured(claim: claims.Claim, row: Mapping) -> str:
    rules = {"holds if": claim.rule} | ({"corrected holds if": claim.corrected} if claim.corrected else {})
    lines = [["quantity", "measured", "interval", *rules], ["---"] * (3 + len(rules))]
    for quantity, value in row["measured"].items():
        low, high = claims.ends(row, quantity)
        interval = "" if low == high else f"{low} … {high}"
        lines.append(
            [text(quantity), claims.short(value), interval, *(_band(rule, quantity) for rule in rules.values())]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if row["measured"] else ""


def _band(rule: Mapping[str, claims.Band], quantity: str) -> str:
    return text(claims.rule_text({quantity: rule[quantity]})[len(quantity) :].strip()) if quantity in rule else ""


def _verdict(row: Mapping) -> str:
    mark, kind = claims.MARKS[row["verdict"]].replace("*", ""), row["verdict"].replace(" ", "-")
    return f"[{mark} {row['verdict']}]{{.verdict .{kind}}}"


def _published(slug: str, family: ModuleType) -> list[str]:
    return [name for name in declared.of_family(family) if (paths.home() / "figures" / slug / f"{name}.png").exists()]


def _figure(paper: ModuleType, name: str) -> str:
    base, alt = f"/figures/{paper.SLUG}/{name}", paper.FIGURES[name]
    named = {"PDF": "pdf", "table": "csv", "made from": "json"}
    files = " · ".join(f"{{download}}`{name} <{base}.{suffix}>`" for name, suffix in named.items())
    return f":::{{figure}} {base}.png\n:alt: {alt}\n\n{text(alt)}\n{files}\n:::"


def _lead(family: ModuleType) -> str:
    return text(family.__doc__.strip().partition("\n\n")[0])


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
