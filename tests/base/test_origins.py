"""What goes into a figure's table is followed through the cells of its notebook, on planted ones and on the papers'."""

import importlib
import json
import re

import pytest

from polysemanticity import plots
from polysemanticity.base import codedigest, config, origins, paths, runtime
from polysemanticity.engine import sweep

CELLS = [
    "from polysemanticity.papers.toy import counts, figures, shapes",
    "settings, l1 = run.cfg.counts, run.cfg.shapes.l1",
    "some = sweep.over(counts.count, counts.sizes(settings), run, settings.seeds)",
    "plots.show(figures.fig1, counts.table(some), run)",
    "others = sweep.over(shapes.drawn, shapes.sizes(l1), run)\nfirst = others[0]",
    "plots.show(figures.fig2, shapes.table(some, first, run.seed), run)",
    "settings = run.cfg.shapes\nmore = sweep.over(counts.count, counts.sizes(settings), run)",
    "plots.show(figures.fig3, counts.table(more), run)",
    "for one in some:\n    last = one\nplots.show(figures.fig4, shapes.table(last), run)",
    "plots.show(figures.fig5, counts.summary(run.rows), run)",
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def write(home, cells):
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in cells]
    (home / "notebooks" / "01_toy.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")


def test_a_name_depends_on_what_it_was_bound_to_when_it_is_used(home):
    write(home, CELLS)
    found = origins.of("toy")
    assert {name: one.families for name, one in found.items()} == {
        "fig1": {"counts"},
        "fig2": {"counts", "shapes"},
        "fig3": {"shapes"},
        "fig4": {"counts"},
        "fig5": None,
    }
    place = "polysemanticity.papers.toy."
    assert found["fig1"].functions == tuple((f"{place}counts", name) for name in ("count", "sizes", "table"))
    assert (f"{place}shapes", "drawn") in found["fig2"].functions


@pytest.mark.parametrize("cells", [None, ["%matplotlib inline"]])
def test_without_a_notebook_that_can_be_read_all_settings_are_written(home, toy_run, cells):
    if cells:
        write(home, cells)
    assert origins.of("toy") == {}
    assert plots.provenance("fig1_toy", toy_run)["settings"] == config.values(toy_run.cfg)


@pytest.mark.parametrize("slug", paths.papers())
def test_every_figure_of_a_paper_says_what_it_was_made_from(slug):
    paper = importlib.import_module(f"polysemanticity.papers.{slug}")
    run = runtime.start(paper, profile="smoke", seed=0, device="cpu", overrides={})
    every = config.values(run.cfg)
    for name in paper.FIGURES:
        about = plots.provenance(name, run)
        assert about["made by"] and len(about["code"]) == 64, name
        assert about["settings"].items() <= every.items() and "threads" in about["settings"]
    few = [name for name in paper.FIGURES if len(plots.provenance(name, run)["settings"]) < len(every) / 2]
    assert len(few) > 0.8 * len(paper.FIGURES)


def test_a_figure_says_what_data_its_workers_read_and_where_quoted_numbers_stand():
    paper = importlib.import_module("polysemanticity.papers.coding_theory_spectra")
    run = runtime.start(paper, profile="smoke", seed=0, device="cpu", overrides={})
    worker = paper.vision.vae
    sweep._tasks(worker, paper.vision.networks(run.cfg.vision, 0), [0], run)
    read = plots.provenance("fig5_dropout", run)["read"]
    assert set(read) == {"vae: data", "vae: weights"} and all(len(value) >= 16 for value in read.values())
    assert plots.provenance("figx_smoothness", run)["read"] == {}
    quoting = plots.provenance("fig5_dropout", run, quotes=True)
    assert quoting["sources"]["CT-05a"] == paper.CLAIMS["CT-05a"].source
    assert plots.provenance("fig5_dropout", run)["sources"] == {}


def test_the_readme_tells_every_key(toy_run):
    page = (paths.ROOT / "figures" / "README.md").read_text(encoding="utf-8")
    rows = page.partition("## What a figure was made from")[2].partition("\n## ")[0]
    told = [
        key for line in rows.splitlines() for key in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line[:1] == "|"
    ]
    assert sorted(told) == sorted([*plots.provenance("fig1_toy", toy_run), "drawing"])


def test_the_digest_of_several_names_is_that_of_all_they_reach():
    count = ("polysemanticity.incidental", "expected_polysemantic")
    one, reached = codedigest.of([count])
    assert one == codedigest.of([count, count])[0] != codedigest.of([count, ("polysemanticity.codes", "simplex")])[0]
    assert count in reached and ("polysemanticity.codes", "simplex") not in reached
