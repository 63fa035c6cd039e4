"""The documentation site: what has been published, as pages; built by Sphinx, without executing anything.

Its sources are laid out under docs/_build/sources from three places: the pages written by hand in site/, the published
notebooks and figures in docs/ and figures/, and pages from claims and docstrings (`pages.audits`, `pages.reference`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from polysemanticity import __version__, claims
from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.pages import audits, pictures, readme, reference

if typing.TYPE_CHECKING:
    import nbformat

NEEDS = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline")
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"  # the one file that typesets without its siblings
BY_HAND = (".md", ".py", ".css", ".js", ".svg", ".png")
LONG_CELL = 12  # lines; code of a longer cell is folded, as is what imports, draws or judges
FOLDED = re.compile(
    r"^(from|import|plots\.(show|use_style)|claims\.(judge|save)|notebook\.show_(table|claims))\b", re.MULTILINE
)
PLAIN = {claims.HOLDS: "✓", claims.CORRECTED: "◐", claims.FAILS: "✗", claims.UNCLEAR: "?", claims.NOT_TESTED: "–"}
OWN_PLACE = ("index", "estimators", "claims", "gallery")  # pages that index.md names by itself


class NotBuilt(Exception):
    """Sphinx failed, or warned."""


def build() -> Path:
    """Build docs/_build/html and return its folder; `NotBuilt` with what Sphinx said where it warned or failed.

    ValueError, with what to do, where Sphinx and its extensions are not installed.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    allowed = (
        "with the packages of the extra `docs` installed: pip install --constraint constraints.txt --editable .[docs]"
    )
    check(not missing, "--site without", ", ".join(missing), allowed)
    place = paths.home() / "docs" / "_build"
    lay_out(sources(), place / "sources")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", str(min(4, runtime.cores()))]
    done = subprocess.run(
        [*command, "-d", str(place / "doctrees"), str(place / "sources"), str(place / "html")],
        cwd=paths.ROOT,
        env=os.environ
        | {"SITE_CODE": str(paths.PACKAGE.parent), "SITE_VERSION": version(), "PYTHONPATH": str(paths.PACKAGE.parent)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotBuilt(f"the site was not built:\n{done.stderr.strip()}")
    return place / "html"


def sources() -> dict[str, bytes | str | Path]:
    """Return every source of the site by its path: its content, or the file that it is a copy of."""
    own = paths.ROOT / "site"
    found = {str(file.relative_to(own)): file for file in own.rglob("*") if file.suffix in BY_HAND}
    found |= {file.name: file for file in (paths.ROOT / "docs").glob("*.md") if file.stem not in readme.PAGES}
    found["parts/guides.md"] = guides(found)
    figures = paths.home() / "figures"
    found |= {f"figures/{file.relative_to(figures)}": file for file in figures.glob("*/fig*") if file.suffix != ".png"}
    drawn = sorted(figures.glob("*/fig*.png"))
    for folder, convert in (("pictures", pictures.full), ("thumbnails", pictures.thumbnail)):
        with ThreadPoolExecutor(runtime.cores()) as pool:
            converted = pool.map(convert, drawn)
        found |= {f"{folder}/{p.parent.name}/{p.stem}.webp": new for p, new in zip(drawn, converted, strict=True)}
    import nbformat

    documents = {file.name: nbformat.read(file, as_version=4) for file in (paths.home() / "docs").glob("*.ipynb")}
    found |= audits.pages(documents) | reference.pages()
    found |= {name: nbformat.writes(page(name, document)) for name, document in documents.items()}
    found["_static/tex-svg-full.js"] = Path(
        importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(MATHJAX)
    )
    return {name: _plain(what) if isinstance(what, str) else what for name, what in found.items()}


def _plain(text: str) -> str:
    """The text with the marks of verdicts in signs that fonts for text have, where emoji may be empty boxes."""
    for verdict, mark in claims.MARKS.items():
        text = text.replace(mark, PLAIN[verdict])
    return text


def version() -> str:
    """Return the version of the package, and the last commit where there are commits, as the foot of every page."""
    told = subprocess.run(
        ["git", "log", "-1", "--format=, commit %h of %cs"], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    return f"Version {__version__}{told.stdout.strip() if told.returncode == 0 else ''}"


def guides(written: Iterable[str]) -> str:
    """Return the lists of the pages written by hand: those for contributors, in their folder, apart from the others."""
    names = sorted(name.removesuffix(".md") for name in written if name.endswith(".md"))
    names = [name for name in names if name not in OWN_PLACE]
    contribute = [name for name in names if name.startswith("contribute/")]
    lists = {"Guides": [name for name in names if name not in contribute], "For contributors": contribute}
    return "\n".join(
        "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *(f"/{name}" for name in listed), "```", ""])
        for caption, listed in lists.items()
    )


def lay_out(content: dict[str, bytes | str | Path], folder: Path) -> None:
    """Make `folder` hold exactly this; files that are so already stay untouched, so that Sphinx does not read them."""
    for name, what in content.items():
        target = folder / name
        new = what.read_bytes() if isinstance(what, Path) else what.encode() if isinstance(what, str) else what
        if not target.exists() or target.read_bytes() != new:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(new)
    for file in folder.rglob("*"):
        if file.is_file() and str(file.relative_to(folder)) not in content:
            file.unlink()


def page(name: str, document) -> nbformat.NotebookNode:
    """Return an executed notebook as the site shows it.

    The figure that stands for its paper, or those of all papers, comes first. Pictures have an alt text and their
    files; code that is long, or only imports, draws or judges, is folded; the section in which a claim is judged can be
    linked to, and the table of claims leads to the audits.
    """
    import nbformat

    document = nbformat.from_dict(document)
    papers = audits.papers()
    known = {figure: paper for paper in papers.values() for figure in paper.FIGURES if paper.SLUG in name}
    published = {key: row for slug in papers for key, row in audits.rows(slug).items()}
    section, heading, cells = None, "", []
    for cell in document.cells:
        cells.append(cell)
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            section, heading = cell, cell.source.partition("\n")[0].strip("# ")
        if cell.cell_type != "code":
            continue
        drawn = [figure for figure in pictures.shown_in(cell, "figure") if figure in known]
        alt = pictures.alt(known[drawn[0]], drawn[0], published) if drawn else ""
        cell.metadata["mystnb"] = {
            "image": {"alt": alt or f"Picture drawn by the code above, in the section “{heading}”."}
        }
        if cell.source.count("\n") >= LONG_CELL or FOLDED.search(cell.source):
            cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata.get("tags", []), "hide-input"]))
        for output in cell.get("outputs", ()):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = output.data["text/markdown"].replace(f"]({claims.PAGE}#", "](#")
        for figure in drawn:
            told = f"{pictures.caption(figure, published)} {figure}: {pictures.files(known[figure].SLUG, figure)}"
            cells.append(
                nbformat.v4.new_markdown_cell(f":::{{container}} files\n{told.strip()}\n:::", id=f"files-{figure}")
            )
        for claim in pictures.shown_in(cell, "claim"):
            section.source = f"({audits.label(claim)}-in-notebook)=\n{section.source}"
    covers = [paper for slug, paper in papers.items() if slug in name] or list(papers.values())
    cover = nbformat.v4.new_markdown_cell(_covers(covers), id="covers")
    blocks = cells[0].source.split("\n\n", 2)  # title, authors, the rest
    cells[0].source = "\n\n".join(blocks[:2])
    told = [nbformat.v4.new_markdown_cell(text, id="summary") for text in blocks[2:]]
    document.cells = [cells[0], cover, *told, *cells[1:]]
    return document


def _covers(papers: list) -> str:
    rows = [
        (paper, f"[![{pictures.escaped(paper.FIGURES[paper.COVER])}]", pictures.place(paper.SLUG, paper.COVER))
        for paper in papers
    ]
    shown = [f"{alt}({place})](/audits/{paper.SLUG}.md)" for paper, alt, place in rows]
    return ":::{container} gallery covers\n" + "\n".join(shown) + "\n:::"


def finish(app, name: str, template: str, context: dict, doctree) -> None:
    """Give the pictures of a page their sizes, load them when they come into view, and open them at their full size.
    Parameters of a signature that takes several lines are marked up by Sphinx as definitions without terms, which a
    screen reader announces as a broken list: they become lines."""

    def finished(found: re.Match) -> str:
        link, image = found[1] or "", found[2]
        source = re.search(r'src="([^"]+)"', image)[1]
        file = Path(app.outdir, name).parent / source
        size = ""
        if file.exists() and " width=" not in image:
            with Image.open(file) as opened:
                size = f' width="{opened.width}" height="{opened.height}"'
        image = f'<img loading="lazy"{size}{image.removeprefix("<img")}'
        return f"{link}{image}" if link else f'<a class="full-size" href="{source}">{image}</a>'

    def lines(found: re.Match) -> str:
        return found[1] + found[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")

    body = context.get("body", "").replace(' aria-label="Toggle hidden content"', "")  # the toggle shows its name
    body = re.sub(r'(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>', lines, body, flags=re.DOTALL)
    context["body"] = re.sub(r"(<a [^>]*>\s*(?:<span[^>]*>\s*)?)?(<img [^>]*>)", finished, body)
