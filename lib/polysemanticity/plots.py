"""How figures look and how they are saved; knows nothing of how their numbers were made.

Colours go by role, the same in every figure: what was measured, what the paper predicts, the corrected theory,
controls.
"""

import csv
import io
import json
import logging
from collections.abc import Iterator

import matplotlib
import numpy as np
from fontTools import subset
from matplotlib import collections as mcollections
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from polysemanticity.base import paths, runtime
from polysemanticity.base.checks import check

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it remarks on the dates inside fonts
# A PDF places every glyph by itself: tables for shaping text are of no use in its fonts, and reducing them to the
# glyphs in use takes longer than drawing the figure.
subset.Options._drop_tables_default += ["GDEF", "GPOS", "GSUB", "kern"]

CANVASES = {"png": FigureCanvasAgg, "pdf": FigureCanvasPdf}

# Okabe–Ito with the green darkened and the sky blue lightened: also the greys of the first five differ, by 10 and more
# units of lightness
MEASURED = "#0072B2"
PAPER = "#D55E00"
CORRECTED = "#005C3F"
CONTROL = "#767676"
CONTROL_FILL = "#C8C8C8"
SERIES = ("#0072B2", "#E69F00", "#005C3F", "#CC79A7", "#8CCBF0", "#D55E00", "#1A1A1A")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
PAPER_LINE = {"color": PAPER, "linestyle": (0, (5, 2)), "linewidth": 1.8, "zorder": 2.1}  # over what agrees with it
CORRECTED_LINE = {"color": CORRECTED, "linestyle": "-", "linewidth": 1.8}
CONTROL_LINE = {"color": CONTROL, "linestyle": ":", "linewidth": 1.5}


def use_style() -> None:
    """Set the one style of all figures."""
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": matplotlib.cycler(color=SERIES),
            "axes.grid": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "image.cmap": SEQUENTIAL,
            "lines.linewidth": 1.6,
            "lines.markersize": 4.5,
            "svg.hashsalt": "polysemanticity",
            "pdf.fonttype": 42,
        }
    )


def band(ax: Axes, x, y, low, high, *, color=MEASURED, label: str, **line) -> Line2D:
    """Draw a line with its error band and return the line."""
    drawn = ax.plot(x, y, color=color, label=label, **line)[0]
    ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0, label=f"{label}: interval")
    _hide_from_legend(ax.collections[-1])
    return drawn


def heatmap(
    ax: Axes, matrix, *, label: str, cmap=DIVERGING, limit: float | None = None, colorbar: bool = True, **image
) -> None:
    """Draw a matrix, rows downwards; a diverging map is centred at zero and spans ±limit (the largest size by
    default)."""
    matrix = np.asarray(matrix)
    if cmap == DIVERGING:
        limit = float(np.abs(matrix).max()) if limit is None else limit
        image = {"vmin": -limit, "vmax": limit, **image}
    drawn = ax.imshow(matrix, cmap=cmap, aspect="auto", interpolation="nearest", label=label, **image)
    ax.grid(False)
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.85)


def grid_map(ax: Axes, x, y, values, *, label: str, **mesh) -> mcollections.QuadMesh:
    """Draw values [y, x] at the points of two axes and return the mesh.

    Set logarithmic scales before the call: the cells' edges lie halfway between the points on the axis as drawn.
    """
    edges = [_edges(points, scale) for points, scale in ((x, ax.get_xscale()), (y, ax.get_yscale()))]
    ax.grid(False)
    return ax.pcolormesh(*edges, values, label=label, rasterized=True, **mesh)


def capacity_map(ax: Axes, x, y, capacity, *, label: str, colorbar: bool = True) -> None:
    """Draw capacities [y, x] as `grid_map`: grey where 0 (ignored), black where 1 (monosemantic), coloured between."""
    colours = matplotlib.colormaps[SEQUENTIAL].with_extremes(under="#D0D0D0", over="#1A1A1A")
    mesh = grid_map(ax, x, y, capacity, label=label, cmap=colours, vmin=1e-3, vmax=1 - 1e-3)
    if colorbar:
        bar = ax.figure.colorbar(mesh, ax=ax, extend="both", ticks=[0.001, 0.25, 0.5, 0.75, 0.999], shrink=0.9)
        bar.ax.set_yticklabels(["ignored", "0.25", "0.5", "0.75", "mono-\nsemantic"])
        bar.ax.set_title("capacity", fontsize=10, fontweight="normal")


def _edges(points, scale: str) -> np.ndarray:
    points = np.log(points) if scale == "log" else np.asarray(points, dtype=float)
    inner = (points[1:] + points[:-1]) / 2
    edges = np.concatenate([[2 * points[0] - inner[0]], inner, [2 * points[-1] - inner[-1]]])
    return np.exp(edges) if scale == "log" else edges


def label_end(ax: Axes, line: Line2D, text: str, **style) -> None:
    """Write `text` at the right end of a line, in its colour."""
    x, y = line.get_xdata()[-1], line.get_ydata()[-1]
    ax.annotate(
        text,
        (x, y),
        xytext=(4, 0),
        textcoords="offset points",
        color=line.get_color(),
        va="center",
        fontsize=9,
        **style,
    )


def save(fig: Figure, name: str, context: runtime.Run) -> None:
    """Write the figure as PNG and PDF, the numbers drawn in it as CSV, and what it was made from as JSON.

    Byte for byte the same for the same figure, which keeps its layout and, as `saved_png`, the picture in 256 colours:
    a notebook shows that one, the smaller file. Raises ValueError for a name that the paper's FIGURES does not
    declare.
    """
    check(name in context.figures, "name", name, f"one declared in FIGURES: {', '.join(context.figures)}")
    folder = paths.figures(context.slug)
    png = _drawn(fig, "png", {"Software": None})
    fig.saved_png = _in_few_colours(png)
    fig.set_layout_engine("none")  # it is laid out now, which every further drawing would repeat
    paths.write_atomically(folder / f"{name}.png", png)
    paths.write_atomically(folder / f"{name}.pdf", _drawn(fig, "pdf", {"CreationDate": None, "ModDate": None}))
    paths.write_atomically(folder / f"{name}.csv", drawn_numbers(fig).encode())
    paths.write_atomically(folder / f"{name}.json", (json.dumps(provenance(name, context), indent=1) + "\n").encode())


def _drawn(fig: Figure, suffix: str, metadata: dict) -> bytes:
    """The figure's file; as `fig.savefig`, which however draws twice, the first time for the layout only."""
    buffer, canvas, dpi = io.BytesIO(), fig.canvas, fig.dpi
    wanted = plt.rcParams["savefig.dpi"]
    fig.dpi = dpi if wanted == "figure" else wanted
    try:
        getattr(CANVASES[suffix](fig), f"print_{suffix}")(buffer, metadata=metadata)
    finally:
        fig.set_canvas(canvas)
        fig.dpi = dpi
    return buffer.getvalue()


def _in_few_colours(png: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(buffer, "PNG")
    return buffer.getvalue()


def provenance(name: str, context: runtime.Run) -> dict:
    """Return what a figure was made from: paper, profile, settings, seed, device and the versions of the packages."""
    return {
        "figure": name,
        "alt": context.figures[name],
        "slug": context.slug,
        "profile": context.label,
        "settings": vars(context.cfg),
        "seed": context.seed,
        "device": context.device,
        "versions": runtime.versions(),
        "matplotlib": matplotlib.__version__,
    }


def drawn_numbers(fig: Figure) -> str:
    """Return the numbers of every line, band, point, bar and image of a figure as CSV: panel, artist, label, x, y,
    value.

    Taken from the drawn artists, so the table cannot differ from the picture. `value` is an image's entry or a point's
    colour; a band has two rows per x, its outline; a polyline in three dimensions has z as its value.
    """
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["panel", "artist", "label", "x", "y", "value"])
    for number, ax in enumerate(fig.axes):
        if ax.get_label() == "<colorbar>":
            continue
        panel = ax.get_title(loc="left") or ax.get_title() or f"panel {number}"
        for artist, label, x, y, value in _artists(ax):
            table.writerow([panel.replace("\n", " "), artist, label, *(_number(item) for item in (x, y, value))])
    return buffer.getvalue()


def _artists(ax: Axes) -> Iterator[tuple]:
    for line in ax.lines:
        data = line.get_data_3d() if hasattr(line, "get_data_3d") else line.get_data()
        x, y = (np.atleast_1d(values) for values in data[:2])
        z = np.atleast_1d(data[2]) if len(data) == 3 else [None] * len(x)
        yield from (("line", line.get_label(), *point) for point in zip(x, y, z, strict=True))
    for collection in ax.collections:
        yield from _collection(collection)
    for patch in ax.patches:
        if hasattr(patch, "get_height"):
            yield (
                "bar",
                patch.get_label(),
                patch.get_x() + patch.get_width() / 2,
                patch.get_y() + patch.get_height(),
                None,
            )
    for image in ax.images:
        entries = _without_rounding(image.get_array())
        if entries.ndim == 2:  # a photograph's pixels are not numbers to look up
            yield from (
                ("image", image.get_label(), column, row, entries[row, column])
                for row, column in np.ndindex(entries.shape)
            )


def _collection(collection) -> Iterator[tuple]:
    label = getattr(collection, "table_label", None) or collection.get_label()
    if isinstance(collection, mcollections.PathCollection):
        colours = collection.get_array()
        points = np.atleast_2d(collection.get_offsets())
        values = [None] * len(points) if colours is None else np.ravel(colours)
        yield from (("point", label, x, y, value) for (x, y), value in zip(points, values, strict=True))
    elif isinstance(collection, mcollections.QuadMesh):
        corners, values = collection.get_coordinates(), _without_rounding(collection.get_array())
        centres = (corners[:-1, :-1] + corners[1:, 1:]) / 2
        for row, column in np.ndindex(values.shape):
            yield "mesh", label, *centres[row, column], values[row, column]
    elif isinstance(collection, (mcollections.PolyCollection, mcollections.LineCollection)):
        kind = "band" if isinstance(collection, mcollections.PolyCollection) else "segment"
        for path in collection.get_paths():
            yield from ((kind, label, x, y, None) for x, y in path.vertices)


def _without_rounding(entries) -> np.ndarray:
    """Entries with those a trillion times smaller than the largest as 0: what is left of them differs between runs."""
    entries = np.asarray(entries)
    size = np.abs(entries)
    return np.where(size < 1e-12 * size.max(initial=0, where=np.isfinite(size)), 0, entries)


def _hide_from_legend(collection) -> None:
    collection.table_label = collection.get_label()
    collection.set_label("_interval")


def _number(value) -> str:
    return "" if value is None or value is np.ma.masked else f"{float(value):.6g}"
