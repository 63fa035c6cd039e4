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
from polysemanticity.pages import pictures, readme
from polysemanticity.pages.pictures import text

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


def title(slug: str) -> str:
    """Return the title of a paper with the number of its notebook."""
    return f"{int(paths.notebooks()[slug].name[:2])} · {papers()[slug].TITLE}"


def label(claim: str) -> str:
    """Return the name by which pages link to a claim."""
    return claim.lower()


def pages(documents: Mapping[str, object]) -> dict[str, str]:
    """Return all pages by their path; `documents` are the executed notebooks by file name."""
    found = {
        "parts/cards.md": cards(),
        "parts/claims.md": table(),
        "parts/gallery.md": gallery(),
        "parts/checks.md": checks(documents),
        "parts/audits.md": _toctree(
            [f"/audits/{slug}" for slug in papers()] + ["/estimators"], ":caption: Audits", ":hidden:"
        ),
    }
    for slug, paper in papers().items():
        document = documents[paths.notebooks()[slug].name]
        explained, sights = explanations(document), pictures.sights(document)
        found[f"audits/{slug}.md"] = overview(paper, sights)
        for name, family in families(paper):
            if family.CLAIMS:
                found[f"audits/{slug}/{name}.md"] = audit(paper, family, explained, sights)
    return found


def cards() -> str:
    """Return a card for every paper: the figure that stands for it, what was found, its notebook and its audits."""
    parts = ["::::{container} cards"]
    for slug, paper in papers().items():
        notebook, published = paths.notebooks()[slug].name, rows(slug)
        of_paper = [row for row in published.values() if row["whose"] in ("printed", "implied")]
        parts += [
            ":::{container} paper-card",
            f"[![{pictures.escaped(paper.FIGURES[paper.COVER])}]({pictures.place(slug, paper.COVER)})](/{notebook})",
        ]
        parts += [f"[{text(title(slug))}](/{notebook}){{.card-title}}", readme.sentence(slug, list(published.values()))]
        parts += [
            f"Of {len(of_paper)} statements of the paper {readme.counted(of_paper)}.",
            f"[Notebook](/{notebook}) · [Audits](/audits/{slug}.md)",
            ":::",
        ]
    return "\n\n".join([*parts, "::::"]) + "\n"


def overview(paper: ModuleType, sights: Mapping[str, str]) -> str:
    """Return the page that leads to the audits of a paper: its claims with their verdicts, family by family."""
    published = rows(paper.SLUG)
    parts = [
        f"# {text(title(paper.SLUG))}",
        f"{text(paper.PAPER)}. [The notebook](/{paths.notebooks()[paper.SLUG].name}).",
    ]
    parts += [readme.sentence(paper.SLUG, list(published.values()))]
    if paper.COVER in _covered(paper):
        parts.append(pictures.figure(paper, paper.COVER, published, sights.get(paper.COVER, "")))
    with_claims = [(name, family) for name, family in families(paper) if family.CLAIMS]
    for name, family in with_claims:
        judged = [published[key] for key in family.CLAIMS if key in published]
        parts += [f"## {_title(name)}", _lead(family)]
        parts.append(
            "\n".join(f"- {_verdict(row)} [{row['id']}](#{label(row['id'])}): {text(row['claim'])}" for row in judged)
        )
    return "\n\n".join([*parts, _toctree([f"{paper.SLUG}/{name}" for name, _ in with_claims], ":hidden:")])


def _toctree(names: list[str], *options: str) -> str:
    return "\n".join(["```{toctree}", *options, "", *names, "```", ""])


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
        lines += [f"## {text(title(slug))}", "", ":::{container} gallery"]
        for name, family in families(paper):
            place = f"audits/{slug}/{name}.md" if family.CLAIMS else "estimators.md"
            for figure in _published(slug, family):
                lines.append(
                    f"[![{pictures.escaped(paper.FIGURES[figure])}](/thumbnails/{slug}/{figure}.webp)](/{place})"
                )
        lines += [":::", ""]
    return "\n".join(lines)


def checks(documents: Mapping[str, object]) -> str:
    """Return the figures of those families that judge no claim, by paper: they check the instruments."""
    parts = []
    for slug, paper in papers().items():
        sights = pictures.sights(documents[paths.notebooks()[slug].name])
        unjudged = [name for name, family in families(paper) if not family.CLAIMS and _published(slug, family)]
        parts += [f"## {_title(slug)}"] if unjudged else []
        for name, family in families(paper):
            if name in unjudged:
                parts += [f"### {_title(name)}", _lead(family)]
                parts += [
                    pictures.figure(paper, figure, {}, sights.get(figure, "")) for figure in _published(slug, family)
                ]
    return "\n\n".join(parts) + "\n"


def audit(paper: ModuleType, family: ModuleType, explained: Mapping[str, str], sights: Mapping[str, str]) -> str:
    """Return the page of one family of experiments of a paper."""
    published, parts = rows(paper.SLUG), [f"# {_title(family.__name__.rpartition('.')[2])}", _lead(family)]
    told = []
    first = next((published[key]["figure"] for key in family.CLAIMS if published.get(key, {}).get("figure")), None)
    if first:
        parts.append(pictures.figure(paper, first, published, sights.get(first, "")))
        told.append(first)
    for key, claim in family.CLAIMS.items():
        if key in published:
            figure = published[key]["figure"]
            picture = (
                pictures.figure(paper, figure, published, sights.get(figure, ""))
                if figure and figure not in told
                else ""
            )
            told.append(figure)
            parts += _claim(claim, published[key], explained.get(key), picture)
    others = [figure for figure in _published(paper.SLUG, family) if figure not in told]
    if others:
        parts.append("## More figures")
    parts += [pictures.figure(paper, figure, published, sights.get(figure, "")) for figure in others]
    return "\n\n".join(parts) + "\n"


def explanations(document) -> dict[str, str]:
    """Return by claim what an executed notebook says in the section that judges it: after that cell, else before it,
    else what it says of the claim before, where two are judged in one breath."""
    before, after, said, told = {}, {}, [], []
    for cell in document.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            said, told = [], []
            continue
        for claim in pictures.shown_in(cell, "claim"):
            before[claim] = told = said or told
            after[claim] = said = []
        if not cell.source.startswith("**What to see.**"):  # the caption of a figure
            said += [cell.source] if cell.cell_type == "markdown" else _said(cell)
    return {claim: "\n\n".join(after[claim] or before[claim]) for claim in after}


def _said(cell) -> list[str]:
    """What a cell shows as text, without verdicts, which pages tell by themselves, and what has headings of its own."""
    plain = [output for output in cell.get("outputs", ()) if "polysemanticity" not in output.get("metadata", {})]
    shown = [output.get("data", {}).get("text/markdown", "") for output in plain]
    return [text for text in shown if text and not re.search(r"^#", text, re.MULTILINE)]


def _claim(claim: claims.Claim, row: Mapping, explained: str | None, picture: str) -> list[str]:
    parts = [
        f"({label(claim.id)})=\n## {claim.id} {claims.MARKS[row['verdict']]} {row['verdict']}: {_clause(claim.claim)}"
    ]
    parts += [f"{SAYS[claim.whose]}: *{text(claim.source)}: {text(claim.paper)}.*", _rubric("What happens")]
    parts += [_verdict(row), _measured(claim, row)]
    parts += [_sentence(f"Intervals: {row['error']}") if row["error"] else "", _sentence(row["scale"]), picture]
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


def _clause(plain: str) -> str:
    """A statement as it goes on after a colon; a symbol or a name that it begins with stays as it is."""
    return text(f"{plain[:1].lower() if plain[1:2].islower() else plain[:1]}{plain[1:].rstrip('.')}")


def _rubric(title: str) -> str:
    return f"```{{rubric}} {title}\n```"


def _measured(claim: claims.Claim, row: Mapping) -> str:
    rules = {"holds if": claim.rule} | ({"corrected holds if": claim.corrected} if claim.corrected else {})
    lines = [["quantity", "measured", "interval", *rules], ["---"] * (3 + len(rules))]
    for quantity, value in row["measured"].items():
        low, high = claims.ends(row, quantity)
        interval = "" if low == high else f"{low} … {high}"
        lines.append(
            [text(quantity), claims.value_text(value), interval, *(_band(rule, quantity) for rule in rules.values())]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if row["measured"] else ""


def _band(rule: Mapping[str, claims.Band], quantity: str) -> str:
    return text(claims.rule_text({quantity: rule[quantity]})[len(quantity) :].strip()) if quantity in rule else ""


def _verdict(row: Mapping) -> str:
    mark, kind = claims.MARKS[row["verdict"]], row["verdict"].replace(" ", "-")
    return f"[{mark} {row['verdict']}]{{.verdict .{kind}}}"


def _published(slug: str, family: ModuleType) -> list[str]:
    return [name for name in declared.of_family(family) if (paths.home() / "figures" / slug / f"{name}.png").exists()]


def _covered(paper: ModuleType) -> list[str]:
    return [name for family in paper.FAMILIES for name in _published(paper.SLUG, family)]


def _lead(family: ModuleType) -> str:
    return text(family.__doc__.strip().partition("\n\n")[0])


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
