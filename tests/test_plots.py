"""Figures are saved whole, byte for byte the same, with exactly the numbers that were drawn."""

import csv
import io
import json

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from polysemanticity import plots
from polysemanticity.base import paths


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        matplotlib.use("Agg")
        plots.use_style()
        yield
    plt.close("all")


def figure():
    fig, (left, right) = plt.subplots(1, 2)
    left.set_title("left")
    line = plots.band(left, [0, 1, 2], [1.0, 2.0, 4.0], [0.5, 1.5, 3.5], [1.5, 2.5, 4.5], label="measured")
    plots.label_end(left, line, "measured")
    left.scatter([0, 1], [3, 5], c=[0.1, 0.2], label="points")
    left.bar([1], [2.0], label="bars")
    left.errorbar([1], [1], yerr=[0.5], label="error")
    plots.heatmap(right, np.array([[1.0, -2.0], [0.0, 0.5]]), label="weights")
    return fig


def table(fig):
    return list(csv.DictReader(io.StringIO(plots.drawn_numbers(fig))))


def test_save_writes_four_files_byte_stable(toy_run):
    folder = paths.figures("toy")
    plots.save(figure(), "fig1_toy", toy_run)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {f"fig1_toy.{suffix}" for suffix in ("png", "pdf", "csv", "json")}
    plots.save(figure(), "fig1_toy", toy_run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    made_from = json.loads(first["fig1_toy.json"])
    assert made_from["profile"] == "default" and made_from["settings"]["n_seeds"] == 3 and made_from["alt"]
    assert "torch" in made_from["versions"]


def test_saving_keeps_the_figure_and_its_picture(toy_run):
    drawn = figure()
    canvas, dpi = drawn.canvas, drawn.dpi
    plots.save(drawn, "fig1_toy", toy_run)
    assert drawn.canvas is canvas and drawn.dpi == dpi
    few, all_colours = (
        plt.imread(file)[..., :3] for file in (io.BytesIO(drawn.saved_png), paths.figures("toy") / "fig1_toy.png")
    )
    assert few.shape[1::-1] == tuple(np.round(drawn.get_size_inches() * 160))
    assert np.abs(few - all_colours).mean() < 0.01 and len(np.unique(few.reshape(-1, 3), axis=0)) <= 256


def test_table_has_every_number_drawn():
    rows = table(figure())

    def select(artist, label):
        return [(float(row["x"]), float(row["y"])) for row in rows if (row["artist"], row["label"]) == (artist, label)]

    assert select("line", "measured") == [(0, 1), (1, 2), (2, 4)]
    assert set(select("band", "measured: interval")) == {(0, 0.5), (1, 1.5), (2, 3.5), (0, 1.5), (1, 2.5), (2, 4.5)}
    assert select("point", "points") == [(0, 3), (1, 5)]
    assert [row["value"] for row in rows if row["label"] == "points"] == ["0.1", "0.2"]
    assert (1, 2) in select("bar", "bars") or ("bar", 1.0) in [(row["artist"], float(row["x"])) for row in rows]
    weights = {(row["x"], row["y"]): float(row["value"]) for row in rows if row["label"] == "weights"}
    assert weights == {("0", "0"): 1.0, ("1", "0"): -2.0, ("0", "1"): 0.0, ("1", "1"): 0.5}
    assert {"left"} <= {row["panel"] for row in rows}


def test_table_of_meshes_curves_in_space_and_photographs():
    fig = plt.figure()
    ax = fig.add_subplot(projection="3d")
    ax.plot([0, 1], [2, 3], [4, 5], label="curve")
    flat = fig.add_axes([0.6, 0.1, 0.3, 0.3])
    flat.pcolormesh([0, 1, 2], [0, 1], np.array([[7.0, 8.0]]), label="map")
    photo = fig.add_axes([0.1, 0.1, 0.3, 0.3])
    photo.imshow(np.zeros((2, 2, 3)))
    rows = table(fig)
    assert [(row["x"], row["y"], row["value"]) for row in rows if row["label"] == "curve"] == [
        ("0", "2", "4"),
        ("1", "3", "5"),
    ]
    assert [(row["x"], row["value"]) for row in rows if row["artist"] == "mesh"] == [("0.5", "7"), ("1.5", "8")]
    assert not [row for row in rows if row["artist"] == "image"]


def test_table_leaves_rounding_noise_out_of_matrices():
    fig, ax = plt.subplots()
    plots.heatmap(ax, [[1.0, 3e-16], [1e-9, np.nan]], label="gram", colorbar=False)
    assert [row["value"] for row in table(fig)] == ["1", "0", "1e-09", "nan"]


def test_undeclared_figures_are_refused(toy_run):
    with pytest.raises(ValueError, match="name = 'fig9': allowed is one declared in FIGURES: fig1_toy"):
        plots.save(figure(), "fig9", toy_run)
    assert not list(paths.figures("toy").iterdir())


def test_diverging_heatmap_is_centred():
    _, ax = plt.subplots()
    plots.heatmap(ax, [[3.0, -1.0]], label="w", colorbar=False)
    assert ax.images[0].get_clim() == (-3, 3)


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
