"""A new paper, made from `templates/`: notebook, package, tests and a row in the README, which all work at once.

The template is a small paper in itself (one experiment, one figure, one claim with its rule, one picture with a
slider), to be changed piece by piece.
"""

import contextlib
import keyword
import re
from pathlib import Path

from polysemanticity.base import paths
from polysemanticity.base.checks import check

ROW = re.compile(r"^\| \[\d\d [^\]]+\]\((?:docs|notebooks)/\d\d_\w+\.ipynb\).*\n", re.MULTILINE)
LONGEST = {"slug": 40, "title": 80}


def create(slug: str, title: str | None = None) -> list[Path]:
    """Make the files of a new paper and its row in the README; return their paths. All are made, or none.

    Raises ValueError for a slug that is no name of a module or whose files exist already, for a title that does not
    fit into a line of Python or a table, and for a README without a table of notebooks.
    """
    check(
        _is_module_name(slug),
        "slug",
        slug,
        f"lower-case letters, digits and _ ({LONGEST['slug']} at most), no word of Python",
    )
    title = slug.replace("_", " ").capitalize() if title is None else title
    check(_fits_a_line(title), "title", title, f'1 to {LONGEST["title"]} characters of one line, without " \\ and |')
    number = max((int(path.name[:2]) for path in (paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")), default=0) + 1
    check(number < 100, "number of notebooks", number, "below 100: their names start with two digits")
    name = f"{number:02}_{slug}.ipynb"
    package, tests = paths.PACKAGE / "papers" / slug, paths.ROOT / "tests" / "papers" / slug / f"test_{slug}.py"
    for place in (package, tests, *(paths.ROOT / "notebooks").glob(f"[0-9][0-9]_{slug}.ipynb")):
        check(not place.exists(), "slug", slug, f"a name that is free: {place.relative_to(paths.ROOT)} exists already")
    templates = {
        paths.ROOT / "notebooks" / name: "notebook.ipynb",
        package / "__init__.py": "package.py",
        package / "overlaps.py": "overlaps.py",
        package / "figures" / "__init__.py": "figures_face.py",
        package / "figures" / "overlaps.py": "figures.py",
        tests: "test_paper.py",
    }
    words = {"my_paper": slug, "A paper of mine": title, "XX-": f"{_prefix(slug)}-"}
    files = {
        place: _filled((paths.ROOT / "templates" / source).read_text(encoding="utf-8"), words)
        for place, source in templates.items()
    }
    files[paths.ROOT / "README.md"] = _with_row(
        f"| [{number:02} {title}](notebooks/{name}) | Authors year | the idea in a line |\n"
    )
    _write(files)
    return list(files)


def _is_module_name(slug: str) -> bool:
    plain = re.fullmatch(r"[a-z][a-z0-9_]*", slug) is not None
    return plain and len(slug) <= LONGEST["slug"] and not keyword.iskeyword(slug)


def _fits_a_line(title: str) -> bool:
    return (
        len(title.strip()) >= 1
        and len(title) <= LONGEST["title"]
        and title.isprintable()
        and not set('"\\|') & set(title)
    )


def _prefix(slug: str) -> str:
    """Two free capitals for the ids of claims: initials of the first words, or the first letters of a single one."""
    words = "".join(word[0] for word in slug.split("_") if word)
    letters = (words if len(words) > 1 else slug.replace("_", "")).ljust(2, "x")
    sources = "".join(path.read_text(encoding="utf-8") for path in (paths.PACKAGE / "papers").rglob("*.py"))
    candidates = [letters[0] + other for other in letters[1:] + "abcdefghijklmnopqrstuvwxyz"]
    return next(pair for pair in map(str.upper, candidates) if f'"{pair}-01"' not in sources)


def _filled(text: str, words: dict[str, str]) -> str:
    for word, own in words.items():
        text = text.replace(word, own)
    return text


def _with_row(row: str) -> str:
    """The README with one more row in its table of notebooks."""
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    rows = list(ROW.finditer(text))
    check(bool(rows), "README.md", "no row", "a table of notebooks with rows like | [01 name](docs/01_slug.ipynb) | …")
    return text[: rows[-1].end()] + row + text[rows[-1].end() :]


def _write(files: dict[Path, str]) -> None:
    """Write all files, the README last; on any failure what was made goes again."""
    made = []
    try:
        for place, text in files.items():
            if not place.exists():
                made.append(place)
            paths.write_atomically(place, text.encode())
    except BaseException:
        for place in made:
            place.unlink(missing_ok=True)
        for folder in sorted({place.parent for place in made}, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):  # the notebooks' is not empty
                folder.rmdir()
        raise
