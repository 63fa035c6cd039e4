"""What is published: every figure can be drawn from its table alone, and every row says whose claim it is."""

import ast
import importlib
import json
import re
import zlib

import jsonschema
import matplotlib
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib import colors as mcolors
from matplotlib import pyplot as plt

from polysemanticity import claims, plots
from polysemanticity.base import paths

PAPERS = {slug: importlib.import_module(f"polysemanticity.papers.{slug}") for slug in paths.papers()}
FIGURES = [(slug, name) for slug, paper in PAPERS.items() for name in paper.FIGURES]
TABLES = sorted((paths.ROOT / "figures").glob("*/*.csv"))


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        matplotlib.use("Agg")
        plots.use_style()
        yield
    plt.close("all")


def published(slug, name):
    return plots.read(paths.ROOT / "figures" / slug / f"{name}.csv")


def colours_of(figure):
    """The colours of all lines, markers, bands and bars of a figure."""
    found = set()
    for ax in figure.axes:
        for line in ax.lines:
            own = (line.get_color(), line.get_markerfacecolor())
            found |= {mcolors.to_hex(c) for c in own if not isinstance(c, str) or c != "none"}
        for artist in (*ax.collections, *ax.patches):
            if getattr(artist, "get_array", lambda: None)() is None:
                faces = np.atleast_2d(artist.get_facecolor())
                found |= {mcolors.to_hex(face) for face in faces if len(face)}
    return {colour.lower() for colour in found}


@pytest.mark.parametrize(("slug", "name"), FIGURES)
def test_a_figure_is_drawn_from_its_published_table(slug, name):
    table = published(slug, name)
    figures = importlib.import_module(f"polysemanticity.papers.{slug}.figures")
    drawn = getattr(figures, name)(table)
    panels = [ax for ax in drawn.axes if ax.axison and not hasattr(ax, "_colorbar")]
    assert any(ax.has_data() for ax in drawn.axes)
    assert len(panels) <= 2 or drawn.get_figwidth() <= 8, f"{len(panels)} panels, {drawn.get_figwidth()} inches"
    if "paper" not in set(table["what"]):
        assert plots.PAPER.lower() not in colours_of(drawn), "the paper's colour, but no row is the paper's"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_published_table_is_tidy(path):
    plots.check_tidy(plots.read(path))
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize(("slug", "name"), FIGURES)
def test_text_in_a_figure_can_be_read_where_it_is_shown_small(slug, name):
    """As the saved PDF has it: letters of eight pixels and more where the figure is 700 pixels wide."""
    raw = (paths.ROOT / "figures" / slug / f"{name}.pdf").read_bytes()
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", raw)[1])  # points
    streams = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", raw, re.DOTALL)
    drawn = b"".join(zlib.decompressobj().decompress(stream) for stream in streams)
    sizes = [float(size) for size in re.findall(rb"/F\d+ ([\d.]+) Tf", drawn)]
    assert sizes and 700 * min(sizes) / width >= 8, f"{min(sizes)} points on a figure {width / 72:.1f} inches wide"


def test_tables_and_figures_are_the_declared_ones():
    assert {(path.parent.name, path.stem) for path in TABLES} == set(FIGURES)


def test_anybody_can_redraw_one_with_one_line_of_seaborn():
    table = pd.read_csv(paths.ROOT / "figures" / "incidental_polysemanticity" / "figx_break.csv")
    value = "value" if "value" in table else next(name for name in table if table[name].dtype.kind == "f")
    place = next(name for name in table if table[name].dtype.kind in "if" and name != value)
    grid = sns.relplot(table, x=place, y=value, hue="what", kind="scatter")
    assert grid.axes.flat[0].has_data()


@pytest.mark.parametrize("slug", PAPERS)
def test_claims_fit_their_schema(slug):
    rows = json.loads((paths.ROOT / "figures" / slug / "claims.json").read_text())
    jsonschema.validate(rows, claims.SCHEMA)
    assert [row["id"] for row in rows] == sorted(PAPERS[slug].CLAIMS)
    for row in rows:
        assert row["scale"] or row["verdict"] == claims.NOT_TESTED, f"{row['id']} does not say on what it was measured"


@pytest.mark.parametrize("slug", PAPERS)
def test_claims_say_whose_they_are_and_why_their_rule_is_what_it_is(slug):
    for name, claim in PAPERS[slug].CLAIMS.items():
        assert claim.id == name and claim.source and claim.paper and len(claim.reason) > 40
        assert claim.figure in PAPERS[slug].FIGURES, f"{name} has no figure"


@pytest.mark.parametrize("slug", PAPERS)
def test_figures_leave_colours_to_the_roles(slug):
    folder = paths.PACKAGE / "papers" / slug / "figures"
    for file in folder.glob("*.py"):
        text = file.read_text()
        chosen = re.findall(r"plots\.(?:PAPER|MEASURED|CORRECTED)\b", text)  # reference lines have a role's style
        assert not chosen, f"{file.name} chooses {chosen} at the call"


@pytest.mark.parametrize("slug", PAPERS)
def test_every_figure_has_an_alt_text_and_stands_in_the_face(slug):
    folder = paths.PACKAGE / "papers" / slug / "figures"
    face = importlib.import_module(f"polysemanticity.papers.{slug}.figures")
    for file in folder.glob("[a-z]*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("fig"):
                assert len(ast.get_docstring(node) or "") > 40 and hasattr(face, node.name), node.name
