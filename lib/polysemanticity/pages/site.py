"""The documentation site: what has been published, as pages; built by Sphinx, without executing anything.

Its sources are laid out under docs/_build/sources from three places: the pages written by hand in site/, the published
notebooks and figures in docs/ and figures/, and pages from claims and docstrings (`pages.audits`, `pages.reference`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys
import typing
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.pages import audits, readme, reference

if typing.TYPE_CHECKING:
    import nbformat

NEEDS = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline")
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"  # the one file that typesets without its siblings
BY_HAND = (".md", ".py", ".css", ".js", ".svg", ".png")
THUMBNAIL = 480  # pixels
LONG_CELL = 12  # lines; code of a longer cell is folded


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
        env=os.environ | {"SITE_CODE": str(paths.PACKAGE.parent), "PYTHONPATH": str(paths.PACKAGE.parent)},
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
    found |= {f"figures/{file.relative_to(figures)}": file for file in figures.glob("*/fig*")}
    pictures = sorted(figures.glob("*/fig*.png"))
    with ThreadPoolExecutor(runtime.cores()) as pool:
        small = pool.map(thumbnail, pictures)
    found |= {f"thumbnails/{p.parent.name}/{p.stem}.webp": s for p, s in zip(pictures, small, strict=True)}
    import nbformat

    documents = {file.name: nbformat.read(file, as_version=4) for file in (paths.home() / "docs").glob("*.ipynb")}
    found |= audits.pages(documents) | reference.pages()
    found |= {name: nbformat.writes(page(document)) for name, document in documents.items()}
    found["_static/tex-svg-full.js"] = Path(
        importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(MATHJAX)
    )
    return found


def guides(written: Iterable[str]) -> str:
    """Return the list of the guides among the pages written by hand: all but those that index.md names itself."""
    names = sorted(name.removesuffix(".md") for name in written if name.endswith(".md"))
    listed = "\n".join(f"/{name}" for name in names if name not in ("index", "estimators"))
    return f"```{{toctree}}\n:caption: Guides\n:hidden:\n\n{listed}\n```\n"


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


def thumbnail(picture: Path) -> bytes:
    """Return a picture small enough for a gallery, as WebP."""
    buffer = io.BytesIO()
    with Image.open(picture) as opened:
        small = opened.convert("RGB").reduce(max(1, opened.width // (2 * THUMBNAIL)))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def page(document) -> nbformat.NotebookNode:
    """Return an executed notebook as the site shows it: pictures have an alt text, long code is folded, and the section
    in which a claim is judged can be linked to."""
    import nbformat

    document = nbformat.from_dict(document)
    alts, section, heading = audits.alts(), None, ""
    for cell in document.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            section, heading = cell, cell.source.partition("\n")[0].strip("# ")
        if cell.cell_type != "code":
            continue
        drawn = audits.shown_in(cell, "figure")
        alt = alts.get(drawn[0] if drawn else "", f"Picture drawn by the code above, in the section “{heading}”.")
        cell.metadata["mystnb"] = {"image": {"alt": alt}}
        if cell.source.count("\n") >= LONG_CELL:
            cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata.get("tags", []), "hide-input"]))
        if "show_claims(" in cell.source:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "wide-table"]
        for claim in audits.shown_in(cell, "claim"):
            section.source = f"({audits.label(claim)}-in-notebook)=\n{section.source}"
    return document
