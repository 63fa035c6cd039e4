"""The glossary: every entry says what a word means, and leads to a section of a notebook that is there."""

import re

import nbformat

from polysemanticity.base import paths

PAGE = (paths.ROOT / "site" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^(\S.*)\n: (.*)$", PAGE, re.M)


def anchors(name):
    """The anchors that MyST gives the headings of a notebook."""
    cells = nbformat.read(paths.home() / "notebooks" / name, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}


def test_every_entry_leads_to_where_its_word_is_used():
    assert len(ENTRIES) >= 60 and PAGE.count("\n: ") == len(ENTRIES)
    known = {path.name: anchors(path.name) for path in paths.notebooks().values()}
    for term, meaning in ENTRIES:
        links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", meaning)
        assert len(links) == 1 and links[0][1] in known[links[0][0]], term
        assert 40 < len(meaning) < 700, term
