"""A figure is drawn from its table and saved with it: whole, byte for byte the same, its colours by role."""

import io
import json

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from polysemanticity import plots
from polysemanticity.base import paths

TABLE = pd.DataFrame(
    {
        "what": ["measured"] * 3 + ["paper"] * 3,
        "series": ["flow"] * 3 + ["n²/4m"] * 3,
        "neurons m": [1, 2, 4] * 2,
        "count": [4.0, 2.1, 1e-30, 4.0, 2.0, 1.0],
        "low": [3.5, 1.9, 0.0, *[np.nan] * 3],
        "high": [4.5, 2.3, 1e-29, *[np.nan] * 3],
    }
)


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        matplotlib.use("Agg")
        plots.use_style()
        yield
    plt.close("all")


def fig1_toy(table):
    """A line that rises from zero to one."""
    fig, ax = plt.subplots()
    plots.lines(ax, plots.part(table, what="paper"), "neurons m", y="count")
    plots.points(ax, plots.part(table, what="measured"), "neurons m", y="count")
    return fig


def test_a_figure_is_saved_as_four_files_byte_stable(toy_run, monkeypatch):
    folder = paths.figures("toy")
    plots.show(fig1_toy, TABLE, toy_run)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {f"fig1_toy.{suffix}" for suffix in ("png", "pdf", "csv", "json")}
    monkeypatch.setenv("POLYSEMANTICITY_FORCE", "again")
    plots.show(fig1_toy, TABLE, toy_run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    made_from = json.loads(first["fig1_toy.json"])
    assert made_from["profile"] == "default" and made_from["settings"]["n_seeds"] == 3 and made_from["alt"]
    assert "torch" in made_from["versions"]


def test_what_was_drawn_by_the_same_code_from_the_same_table_is_not_drawn_again(toy_run, monkeypatch):
    drawn, first = [], plots.drawing_code(fig1_toy)
    monkeypatch.setattr(plots, "_drawn", lambda figure, draw=plots._drawn: drawn.append(1) or draw(figure))
    plots.show(fig1_toy, TABLE, toy_run)
    once = {path.name: path.read_bytes() for path in paths.figures("toy").iterdir()}
    plots.show(fig1_toy, TABLE, toy_run)
    assert len(drawn) == 1 and {path.name: path.read_bytes() for path in paths.figures("toy").iterdir()} == once
    plots.show(fig1_toy, TABLE.assign(count=TABLE["count"] + 1), toy_run)
    assert len(drawn) == 2
    monkeypatch.setattr(plots, "drawing_code", lambda draw: "other code")
    plots.show(fig1_toy, TABLE, toy_run)
    assert len(drawn) == 3 and json.loads(once["fig1_toy.json"])["drawing"] == first


def test_the_table_beside_a_figure_is_what_it_was_drawn_from(toy_run):
    seen = []

    def draw(table):
        seen.append(table)
        return fig1_toy(table)

    draw.__name__ = "fig1_toy"
    plots.show(draw, TABLE, toy_run)
    published = plots.read(paths.figures("toy") / "fig1_toy.csv")
    pd.testing.assert_frame_equal(seen[0], published)
    assert list(published["count"]) == [4, 2.1, 0, 4, 2, 1]  # rounding noise is no number
    assert published["low"].isna().sum() == 3


NAN = float("nan")


@pytest.mark.parametrize(
    ("table", "lacking", "whole"),
    [
        ({"value": [1.0, NAN]}, [], False),
        ({"value": [NAN, NAN]}, ["the value"], True),
        ({"quantity": ["a", "b"], "value": [1.0, NAN]}, ["b"], False),
        ({"quantity": ["a", "b"], "value": [NAN, NAN]}, ["a", "b"], True),
        ({"quantity": ["a", "b"], "value": [1.0, NAN], "pixels": ["", "00ff"]}, [], False),
        ({"quantity": ["a", "b"], "value": [1.0, NAN], "what": ["measured", "control"]}, [], False),
    ],
)
def test_what_is_nan_throughout_is_said_and_not_drawn(toy_run, table, lacking, whole):
    table = pd.DataFrame({"what": "measured", "x": [1, 2], **table})
    assert plots.unmeasured(plots.read(io.StringIO(plots.csv_text(table)))) == (lacking, whole)
    drawn = []

    def draw(table):
        drawn.append(plt.figure())
        return drawn[-1]

    draw.__name__ = "fig1_toy"
    shown = plots.show(draw, table, toy_run)
    assert bool(drawn) != whole
    assert ("no number was measured of: " + "; ".join(lacking) in shown.alt) == bool(lacking)
    assert not drawn or bool(drawn[-1]._supxlabel) == bool(lacking)


def test_every_published_figure_shows_numbers():
    for file in sorted((paths.ROOT / "figures").rglob("*.csv")):
        assert plots.unmeasured(plots.read(file)) == ([], False), file


def test_rounding_noise_is_told_by_each_quantity():
    table = pd.DataFrame({"what": "measured", "quantity": ["a", "a", "b", "b"], "value": [1.0, 1e-14, 1e-14, 2e-14]})
    assert list(plots.read(io.StringIO(plots.csv_text(table)))["value"]) == [1, 0, 1e-14, 2e-14]


def test_text_is_read_as_it_was_written():
    table = pd.DataFrame({"what": "control", "series": ["None", "NA"], "value": [1, 2], "note": ["a", None]}).fillna("")
    back = plots.read(io.StringIO(plots.csv_text(table)))
    assert list(back["series"]) == ["None", "NA"] and back["note"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:0], "a data frame with rows"),
        (lambda t: t.drop(columns="what"), "among others `what`"),
        (lambda t: t.assign(what="guess"), "what = .*'guess'.*: allowed is one of measured, paper, corrected, control"),
        (lambda t: t.rename(columns={"count": ""}), "different names with a meaning"),
        (lambda t: t.rename(columns={"count": "Unnamed: 0"}), "different names with a meaning"),
        (lambda t: t.drop(columns="low"), "low and high, or neither"),
        (lambda t: t.assign(series="_nolegend_"), "names that a reader understands"),
        (lambda t: t.assign(series=[[1]] * len(t)), "numbers, booleans or text"),
    ],
)
def test_untidy_tables_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        plots.csv_text(change(TABLE))


def test_a_notebook_is_shown_the_saved_picture_and_its_name(toy_run):
    shown = plots.show(fig1_toy, TABLE, toy_run)
    data, metadata = shown._repr_mimebundle_()
    assert metadata["polysemanticity"] == {"figure": "fig1_toy"} and data["text/plain"] == toy_run.figures["fig1_toy"]
    few, all_colours = (
        plt.imread(file)[..., :3] for file in (io.BytesIO(shown.png), paths.figures("toy") / "fig1_toy.png")
    )
    assert np.abs(few - all_colours).mean() < 0.01 and len(np.unique(few.reshape(-1, 3), axis=0)) <= 256
    assert metadata["image/png"]["width"] / few.shape[1] == pytest.approx(110 / 160, abs=0.01)
    assert plt.get_fignums() == []


def test_undeclared_figures_are_refused(toy_run):
    with pytest.raises(ValueError, match="name = 'fig9': allowed is one declared in FIGURES: fig1_toy"):
        plots.save(plt.figure(), "fig9", toy_run, TABLE)
    assert not list(paths.figures("toy").iterdir())


def test_roles_decide_how_a_series_looks():
    look = plots.styles(TABLE)
    assert look["n²/4m"]["color"] == plots.PAPER and look["flow"]["color"] == plots.MEASURED
    roles = pd.DataFrame({"what": ["measured"] * 2 + ["control"] * 4, "series": list("abcdef")})
    look = plots.styles(roles)
    assert look["a"]["color"] != look["b"]["color"] and look["c"]["color"] == look["d"]["color"]
    assert len({str(look[name]["linestyle"]) for name in "cdef"}) == 4
    assert plots.PAPER not in plots.SERIES and plots.CORRECTED not in plots.SERIES
    with pytest.raises(ValueError, match="roles of series 'a'"):
        plots.styles(roles.assign(series="a"))
    assert len({style["marker"] for style in plots.marked(look).values()}) == 6 and "marker" not in look["c"]


def test_lines_have_their_intervals_as_bands():
    _, ax = plt.subplots()
    table = TABLE.assign(value=TABLE["count"])
    plots.lines(ax, table, "neurons m")
    assert [line.get_label() for line in ax.lines] == ["flow", "n²/4m"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [4, 2, 1])
    assert len(ax.collections) == 1 and ax.collections[0].get_paths()[0].vertices[:, 1].max() == 4.5


def test_points_are_moved_apart_in_the_picture_only():
    _, ax = plt.subplots()
    ax.set_xscale("log")
    table = pd.concat([plots.part(TABLE, what="measured"), plots.part(TABLE, what="measured").assign(series="other")])
    plots.points(ax, table, "neurons m", y="count", dodge=0.2)
    first, second = (container.lines[0].get_xdata() for container in ax.containers)
    np.testing.assert_allclose(first * second, np.array([1, 2, 4]) ** 2)
    np.testing.assert_allclose(second / first, 2**0.2)
    assert list(table["neurons m"]) == [1, 2, 4] * 2


def test_points_and_bars_have_error_bars():
    _, (left, right) = plt.subplots(1, 2)
    measured = plots.part(TABLE, what="measured")
    plots.points(left, measured, "neurons m", y="count")
    ends = left.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(ends[0], [[1, 3.5], [1, 4.5]])
    plots.bars(right, measured, "neurons m", y="count")
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], [4, 2.1, 0], atol=1e-20)
    assert [label.get_text() for label in right.get_xticklabels()] == ["1", "2", "4"]


def test_bars_of_several_series_stand_side_by_side_in_full_length():
    _, ax = plt.subplots()
    table = pd.DataFrame(
        {"what": "measured", "series": list("abab"), "arm": ["l1", "l1", "l2", "l2"], "value": [1.0, 2, 3, 4]}
    )
    plots.bars(ax, table, "arm", "series", horizontal=True)
    assert sorted(bar.get_width() for bar in ax.patches) == [1, 2, 3, 4]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["l1", "l2"]


def test_matrices_have_zeros_where_the_table_has_nothing():
    _, ax = plt.subplots()
    table = pd.DataFrame({"what": "measured", "feature": [0, 1], "neuron": [0, 1], "weight": [3.0, -1.0]})
    plots.matrix(ax, table, "feature", "neuron", value="weight", label="weight", colorbar=False)
    mesh = ax.collections[0]
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(2, 2), [[3, 0], [0, -1]])
    assert mesh.get_clim() == (-3, 3)


def test_roles_are_told_apart_in_greyscale():
    def luminance(colour):
        return float(np.dot(matplotlib.colors.to_rgb(colour), [0.2126, 0.7152, 0.0722]))

    lines = (plots.PAPER_LINE, plots.CORRECTED_LINE, plots.CONTROL_LINE)
    assert len({str(line["linestyle"]) for line in lines}) == 3
    shades = sorted(luminance(colour) for colour in (plots.MEASURED, plots.PAPER, plots.CONTROL))
    assert min(np.diff(shades)) > 0.02


def test_maps_of_capacities_have_their_cells_around_their_points():
    fig, ax = plt.subplots()
    ax.set(xscale="log")
    plots.capacity_map(ax, [1.0, 10.0, 100.0], [0.0, 1.0], np.array([[0.0, 0.5, 1.0]] * 2), label="C")
    corners = ax.collections[0].get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    np.testing.assert_allclose(corners[:, 0, 1], [-0.5, 0.5, 1.5])
    plt.close(fig)
