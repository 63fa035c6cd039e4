"""The exercises of the notebooks: each has a folded answer and a folded solution, which runs and says whether it holds.

A solution needs the notebook's imports and what the section imports, and nothing that the notebook computes.
"""

import ast

import nbformat
import pytest
from matplotlib import pyplot as plt

from polysemanticity.base import paths
from polysemanticity.engine import execute

NOTEBOOKS = paths.notebooks()
FOLDED = {"jupyter": {"outputs_hidden": True, "source_hidden": True}, "tags": ["solution", "hide-cell"]}


def cells_of(slug):
    return nbformat.read(NOTEBOOKS[slug], as_version=4).cells


def solutions(cells):
    return [k for k, cell in enumerate(cells) if "solution" in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("slug", NOTEBOOKS)
def test_there_are_three_to_five_with_folded_answers_and_solutions(slug):
    cells = cells_of(slug)
    section = next(k for k, cell in enumerate(cells) if cell.source.startswith("## Exercises"))
    assert 3 <= sum(k > section for k in solutions(cells)) <= 5
    for k in solutions(cells):
        asked, answered, rest = cells[k - 1].source.partition("<details><summary>Answer</summary>\n\n")
        assert answered and "?" in asked and rest.endswith("\n\n</details>")
        assert cells[k].metadata == FOLDED
        last = ast.parse(cells[k].source).body[-1]
        assert isinstance(last, ast.Assert) and not isinstance(last.test, ast.Constant)


@pytest.mark.parametrize("slug", NOTEBOOKS)
def test_solutions_hold(slug, capsys):
    cells = cells_of(slug)
    names = {}
    for cell in cells:
        if cell.id in ("imports", "exercises-imports"):
            exec(cell.source, names)
    for k in solutions(cells):
        capsys.readouterr()
        exec(compile(cells[k].source, cells[k].id, "exec"), names)
        assert capsys.readouterr().out, f"{cells[k].id} shows nothing"
    plt.close("all")


def test_the_first_notebook_answers_what_it_asks_to_try():
    cells = cells_of("start_here")
    asking = [k for k, cell in enumerate(cells) if "**Try.**" in cell.source]
    assert len(asking) == 3 and {k + 1 for k in asking} <= set(solutions(cells))


def test_the_published_copy_keeps_what_is_folded():
    document = execute.cleaned(nbformat.read(NOTEBOOKS["start_here"], as_version=4))
    found = solutions(document.cells)
    assert found and all(document.cells[k].metadata == FOLDED for k in found)
