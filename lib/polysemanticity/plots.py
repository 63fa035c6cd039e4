"""How figures look and how they are saved: from a tidy table to a picture, never back.

A table has one row for each observation. `what` says whose number it is (ROLES): measured, the paper's, the corrected
theory's, a control's. Other columns are named with their units; a table of several quantities has `quantity` (with its
unit) and `value`; `low` and `high` are the ends of an interval. The table is written as the CSV beside the figure, and
the figure is drawn from what a reader of that CSV reads. Colours go by `what`, the same in every figure.
"""

import atexit
import base64
import gc
import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from fontTools import subset
from matplotlib import collections as mcollections
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from polysemanticity.base import codedigest, config, origins, paths, runtime
from polysemanticity.base.checks import check

CANVASES = {"png": FigureCanvasAgg, "pdf": FigureCanvasPdf}

# Okabe–Ito with the green darkened and the sky blue lightened: also the greys of the first five differ, by 10 and more
# units of lightness
MEASURED = "#0072B2"
PAPER = "#D55E00"
CORRECTED = "#005C3F"
CONTROL = "#767676"
CONTROL_FILL = "#C8C8C8"
SERIES = ("#0072B2", "#E69F00", "#1A1A1A", "#CC79A7", "#8CCBF0", "#7A4FA3", "#8A6D3B")  # of what was measured
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
PAPER_LINE = {"color": PAPER, "linestyle": (0, (5, 2)), "linewidth": 1.8, "zorder": 2.1}  # over what agrees with it
CORRECTED_LINE = {"color": CORRECTED, "linestyle": "-", "linewidth": 1.8}
CONTROL_LINE = {"color": CONTROL, "linestyle": ":", "linewidth": 1.5}
ROLES = {"measured": {"color": MEASURED}, "paper": PAPER_LINE, "corrected": CORRECTED_LINE, "control": CONTROL_LINE}
DASHES = ("-", (0, (5, 2)), ":", (0, (3, 1, 1, 1)), (0, (8, 3)), (0, (1, 2)))
MARKERS = "osD^vPX<>*"


def use_style() -> None:
    """Set the one style of all figures, and spare matplotlib's PDFs what they do not need."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it remarks on the dates inside fonts
    # A PDF places every glyph by itself: tables for shaping text are of no use in its fonts, and reducing them to the
    # glyphs in use takes longer than drawing the figure.
    shaping = [name for name in ("GDEF", "GPOS", "GSUB", "kern") if name not in subset.Options._drop_tables_default]
    subset.Options._drop_tables_default += shaping
    gc.freeze()  # what has been imported stays: the collector need not walk it again for every figure …
    atexit.register(gc.unfreeze)  # … but at the end, where libraries look for what was left
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


class Picture(NamedTuple):
    """The files of a figure that was drawn."""

    png: bytes
    pdf: bytes


class Shown:
    """A figure that was drawn and saved; a notebook shows its picture in 256 colours, and pages find it by its name."""

    def __init__(self, picture: Picture, name: str, alt: str):
        self.name, self.alt = name, alt
        scale = plt.rcParams["figure.dpi"] / _saved_dpi()
        with Image.open(io.BytesIO(picture.png)) as opened:
            self.width, self.height = (round(scale * pixels) for pixels in opened.size)
            self.png = _in_few_colours(opened)

    def _repr_mimebundle_(self, include=None, exclude=None):
        size = {"width": self.width, "height": self.height}
        metadata = {"image/png": size, "polysemanticity": {"figure": self.name}}
        return {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}, metadata


def show(draw: Callable[[pd.DataFrame], Figure], table: pd.DataFrame, run: runtime.Run) -> Shown:
    """Draw a paper's figure from its table, save both under the function's name, and return it to be shown.

    `draw` gets the table as it is read back from the CSV, so that it needs nothing else. A picture that was drawn from
    the same table by the same code is not drawn again. What is NaN throughout is said below the picture, and in its
    place where nothing else was measured. Raises ValueError for a name that the paper does not declare, and for a table
    that is not tidy.
    """
    name, text, drawing = draw.__name__, csv_text(table), drawing_code(draw)
    check(name in run.figures, "name", name, f"one declared in FIGURES: {', '.join(run.figures)}")
    tidy = read(io.StringIO(text))
    lacking, whole = unmeasured(tidy)
    note = f"no number was measured of: {'; '.join(lacking)}" if lacking else ""
    picture = None if lacking else _kept(drawing, text)
    if picture is None:
        figure = _empty() if whole else draw(tidy)
        if note:
            figure.supxlabel(note, fontsize=9, color=PAPER, wrap=True)
        picture = _drawn(figure)
        plt.close(figure)
        _keep(drawing, text, picture)
    _write(name, run, picture, text, drawing)
    return Shown(picture, name, ". ".join(filter(None, [run.figures[name], note])))


def unmeasured(table: pd.DataFrame) -> tuple[list[str], bool]:
    """Return the quantities of which every measured value is NaN, and whether that is so of all quantities.

    A quantity whose rows tell something in a column of their own, as the pixels of a picture, is none of them.
    """
    if "value" not in table or "measured" not in set(table["what"]):
        return [], False
    names = table["quantity"] if "quantity" in table else pd.Series("the value", index=table.index)
    measured, lacking = table["what"] == "measured", []
    kinds = list(dict.fromkeys(names[measured].dropna()))
    for kind in kinds:
        inside, others = names == kind, names != kind
        own = any(table.loc[inside, c].notna().any() and not table.loc[others, c].notna().any() for c in table)
        if table.loc[inside & measured, "value"].isna().all() and not (own and others.any()):
            lacking.append(str(kind))
    return lacking, bool(lacking) and len(lacking) == len(kinds)


def _empty() -> Figure:
    figure, ax = plt.subplots(figsize=(6, 1))
    ax.set_axis_off()
    return figure


def drawing_code(draw: Callable) -> str:
    """Return a digest of all that makes a picture from a table: code, style and versions; empty where it has no
    source."""
    if draw.__module__ == "__main__":  # a notebook's own function
        return ""
    code = [codedigest.digest(draw), codedigest.digest(use_style)]
    return hashlib.sha256(json.dumps([*code, matplotlib.__version__, sns.__version__]).encode()).hexdigest()


def _kept(drawing: str, text: str) -> Picture | None:
    """The picture that this code has drawn from this table before, unless everything is to be made again."""
    if not drawing or os.environ.get("POLYSEMANTICITY_FORCE"):
        return None
    try:
        return Picture(
            *((kept_at(drawing, text, paths.cache()).with_suffix(f".{suffix}")).read_bytes() for suffix in CANVASES)
        )
    except FileNotFoundError:
        return None


def _keep(drawing: str, text: str, picture: Picture) -> None:
    for suffix, content in picture._asdict().items() if drawing else ():
        paths.write_atomically(kept_at(drawing, text, paths.cache()).with_suffix(f".{suffix}"), content)


def kept_at(drawing: str, text: str, cache: Path) -> Path:
    """Return where the picture that this code (`drawing_code`) has drawn from this table is kept, without a suffix."""
    return cache / "pictures" / hashlib.sha256(f"{drawing}\n{text}".encode()).hexdigest()


def read(file) -> pd.DataFrame:
    """Return the table of a published CSV (path or open file); empty cells are NaN, all else stays as it is written."""
    return pd.read_csv(file, keep_default_na=False, na_values=[""])


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV: six significant digits, and 0 for what is a trillion times smaller than the largest.

    Such small numbers are what rounding has left, and differ between machines. Raises ValueError for a table that is
    not tidy: no rows, no `what` with one of ROLES, a nameless column, one end of an interval without the other, an
    interval without its value, a column of anything but numbers, booleans and text.
    """
    check_tidy(table)
    table = table.copy()
    groups = [table[name] for name in ("quantity",) if name in table] or [pd.Series(0, index=table.index)]
    for name in table.select_dtypes("number"):
        if table[name].dtype.kind == "f":
            table[name] = (
                table[name].groupby(groups, dropna=False).transform(lambda column: _without_rounding(column.to_numpy()))
            )
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def check_tidy(table: pd.DataFrame) -> None:
    """Raise ValueError unless a table is as `csv_text` wants it."""
    check(isinstance(table, pd.DataFrame) and len(table) > 0, "table", type(table), "a data frame with rows")
    named = all(isinstance(name, str) and name.strip() and not name.startswith(("_", "Unnamed")) for name in table)
    check(named and table.columns.is_unique, "table's columns", list(table.columns), "different names with a meaning")
    check("what" in table, "table's columns", list(table.columns), "among others `what`")
    check(set(table["what"]) <= set(ROLES), "what", sorted(set(table["what"])), f"one of {', '.join(ROLES)}")
    check(("low" in table) == ("high" in table), "table's columns", list(table.columns), "low and high, or neither")
    for name in table:
        plain = table[name].dtype.kind in "biuf" or table[name].map(lambda cell: isinstance(cell, str | float)).all()
        check(plain, f"column {name!r}", table[name].dtype, "numbers, booleans or text")
        hidden = table[name].dtype.kind not in "biuf" and table[name].astype(str).str.startswith("_").any()
        check(not hidden, f"column {name!r}", "a text that begins with _", "names that a reader understands")


def part(table: pd.DataFrame, **conditions) -> pd.DataFrame:
    """Return the rows of a table that have these values: `part(table, quantity="loss", what=["measured", "paper"])`."""
    for name, wanted in conditions.items():
        several = isinstance(wanted, list | tuple | set)
        table = table[table[name].isin(list(wanted)) if several else table[name] == wanted]
    return table


def styles(table: pd.DataFrame, series: str | Sequence = "series", palette: Sequence[str] = SERIES) -> dict[str, dict]:
    """Return how each series is drawn, by its name: the colour and line of its role, measured ones in turn by palette.

    Take them from the whole table where several panels are to agree. Several series of another role differ by their
    dashes. ValueError for a series whose rows have different roles.
    """
    found, taken = {}, dict.fromkeys(ROLES, 0)
    for name, rows in table.groupby(series, sort=False, dropna=True):
        roles = set(rows["what"])
        check(len(roles) == 1, f"roles of series {name!r}", sorted(roles), "one")
        role = roles.pop()
        style = dict(ROLES[role])
        if role == "measured":
            style |= {"color": palette[taken[role] % len(palette)], "marker": MARKERS[taken[role] % len(MARKERS)]}
        elif taken[role]:
            others = [dash for dash in DASHES if dash != style["linestyle"]]
            style["linestyle"] = others[(taken[role] - 1) % len(others)]
        taken[role] += 1
        found[name] = style
    return found


def marked(look: Mapping[str, dict]) -> dict[str, dict]:
    """Return styles in which every series, of whatever role, has a marker of its own, so that grey tells them apart."""
    names = enumerate(look.items())
    return {name: {**style, "marker": MARKERS[place % len(MARKERS)]} for place, (name, style) in names}


def lines(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    series: str = "series",
    *,
    y: str = "value",
    look: Mapping | None = None,
    markers: bool = False,
    **line,
) -> None:
    """Draw a line for every series of a table, with its interval (low, high) as a band where it has one."""
    for name, rows, style in _each_series(table, series, look):
        style = {**style, **line}
        marker = style.pop("marker", "o") if markers else style.pop("marker", None) and None
        sns.lineplot(rows, x=x, y=y, ax=ax, errorbar=None, estimator=None, sort=False, label=str(name), marker=marker,
                     markeredgewidth=0, legend=False, **style)  # fmt: skip
        if _has_interval(rows):
            ends = rows.dropna(subset=["low", "high"])
            ax.fill_between(ends[x], ends["low"], ends["high"], color=style["color"], alpha=0.18, linewidth=0)


def points(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    series: str = "series",
    *,
    y: str = "value",
    look: Mapping | None = None,
    dodge: float = 0.0,
    joined: bool = False,
    horizontal: bool = False,
    **point,
) -> None:
    """Draw points with error bars (low, high) for every series of a table.

    `dodge` moves the series apart by that share of the axis's step between neighbours (a factor on a logarithmic axis,
    which is to be set before the call); the table keeps the places. `joined` draws lines between the points, dotted or
    dashed by the role; `horizontal` exchanges the axes of values and places.
    """
    chosen = list(_each_series(table, series, look))
    for number, (name, rows, style) in enumerate(chosen):
        style = {"marker": "o", "capsize": 2, **style, **point}
        style["linestyle"] = style.get("linestyle", "-") if joined else "none"
        places = _dodged(ax, rows[x], dodge * (number - (len(chosen) - 1) / 2), horizontal)
        value = rows[y].to_numpy(float)
        bars = np.abs(np.array([value - rows["low"], rows["high"] - value])) if _has_interval(rows) else None
        if horizontal:
            ax.errorbar(value, places, xerr=bars, label=str(name), **style)
        else:
            ax.errorbar(places, value, yerr=bars, label=str(name), **style)


def bars(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    series: str | None = None,
    *,
    y: str = "value",
    look: Mapping | None = None,
    horizontal: bool = False,
    **bar,
) -> None:
    """Draw a bar for every category of `x`, side by side for several series, with error bars (low, high)."""
    single = series is None
    rows_of = [("", table, {"color": ROLES[table["what"].iloc[0]]["color"]})] if single else []
    chosen = rows_of or list(_each_series(table, series, look))
    categories = list(dict.fromkeys(table[x]))
    width = 0.8 / len(chosen)
    for number, (name, rows, style) in enumerate(chosen):
        places = np.array([categories.index(entry) for entry in rows[x]]) + width * (number - (len(chosen) - 1) / 2)
        value = rows[y].to_numpy(float)
        error = np.abs(np.array([value - rows["low"], rows["high"] - value])) if _has_interval(rows) else None
        draw = ax.barh if horizontal else ax.bar
        label = {} if single else {"label": str(name)}
        draw(
            places,
            value,
            width,
            color=style["color"],
            **{"xerr" if horizontal else "yerr": error},
            capsize=2,
            **label,
            **bar,
        )
    ticks = ax.set_yticks if horizontal else ax.set_xticks
    ticks(range(len(categories)), [str(entry) for entry in categories])
    ax.grid(False, axis="y" if horizontal else "x")


def matrix(
    ax: Axes,
    table: pd.DataFrame,
    rows: str,
    columns: str,
    *,
    value: str = "value",
    label: str,
    cmap: str = DIVERGING,
    limit: float | None = None,
    colorbar: bool = True,
    **image,
) -> None:
    """Draw the entries of a matrix as a map, rows downwards; a diverging map spans ±limit (the largest size else).

    Entries that the table leaves out are 0.
    """
    entries = table.pivot(index=rows, columns=columns, values=value).fillna(0)
    if cmap == DIVERGING:
        limit = float(np.abs(entries.to_numpy()).max()) if limit is None else limit
        image = {"vmin": -limit, "vmax": limit, **image}
    bar = {"cbar_kws": {"label": label, "shrink": 0.85}} if colorbar else {"cbar": False}
    sns.heatmap(entries, ax=ax, cmap=cmap, rasterized=True, **bar, **image)
    ax.tick_params(rotation=0)


def _each_series(table: pd.DataFrame, series: str, look: Mapping | None) -> Iterator[tuple]:
    look = styles(table, series) if look is None else look
    for name, rows in table.groupby(series, sort=False, dropna=True):
        yield name, rows, dict(look[name])


def _has_interval(rows: pd.DataFrame) -> bool:
    return "low" in rows and bool(rows["low"].notna().any())


def _dodged(ax: Axes, places, by: float, horizontal: bool) -> np.ndarray:
    places = places.to_numpy(float)
    steps = np.unique(places)
    if by == 0 or len(steps) < 2:
        return places
    if (ax.get_yscale() if horizontal else ax.get_xscale()) == "log":
        return places * np.exp(by * np.diff(np.log(steps)).min())
    return places + by * np.diff(steps).min()


def grid_map(ax: Axes, x, y, values, *, label: str, **mesh) -> mcollections.QuadMesh:
    """Draw values [y, x] at the points of two axes and return the mesh.

    Set logarithmic scales before the call: the cells' edges lie halfway between the points on the axis as drawn.
    """
    edges = [_edges(points, scale) for points, scale in ((x, ax.get_xscale()), (y, ax.get_yscale()))]
    ax.grid(False)
    return ax.pcolormesh(*edges, values, label=label, rasterized=True, **mesh)


def capacity_map(ax: Axes, x, y, capacity, *, label: str, colorbar: bool = True, margin: float = 1e-3) -> None:
    """Draw capacities [y, x] as `grid_map`: grey where 0 (ignored), black where 1 (monosemantic), coloured between.

    Within `margin` of 0 or 1 counts as 0 or 1.
    """
    colours = matplotlib.colormaps[SEQUENTIAL].with_extremes(under="#D0D0D0", over="#1A1A1A")
    mesh = grid_map(ax, x, y, capacity, label=label, cmap=colours, vmin=margin, vmax=1 - margin)
    if colorbar:
        bar = ax.figure.colorbar(mesh, ax=ax, extend="both", ticks=[margin, 0.25, 0.5, 0.75, 1 - margin], shrink=0.9)
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


def save(fig: Figure, name: str, context: runtime.Run, table: pd.DataFrame) -> None:
    """Write the figure as PNG and PDF, the table that it was drawn from as CSV, and what it was made from as JSON.

    Byte for byte the same for the same figure. Raises ValueError for a name that the paper's FIGURES does not declare.
    """
    check(name in context.figures, "name", name, f"one declared in FIGURES: {', '.join(context.figures)}")
    _write(name, context, _drawn(fig), csv_text(table), "")


def _write(name: str, context: runtime.Run, picture: Picture, text: str, drawing: str) -> None:
    about = provenance(name, context, "paper" in set(read(io.StringIO(text))["what"])) | {"drawing": drawing}
    folder = paths.figures(context.slug)
    paths.write_atomically(folder / f"{name}.png", picture.png)
    paths.write_atomically(folder / f"{name}.pdf", picture.pdf)
    paths.write_atomically(folder / f"{name}.csv", text.encode())
    paths.write_atomically(folder / f"{name}.json", (json.dumps(about, indent=1) + "\n").encode())


def _drawn(fig: Figure) -> Picture:
    """The figure's files; it keeps the layout that the first of them needed, which each would repeat."""
    png = _file(fig, "png", {"Software": None})
    fig.set_layout_engine("none")
    return Picture(png, _file(fig, "pdf", {"CreationDate": None, "ModDate": None}))


def _file(fig: Figure, suffix: str, metadata: dict) -> bytes:
    """The figure's file; as `fig.savefig`, which however draws twice, the first time for the layout only."""
    buffer, canvas, dpi = io.BytesIO(), fig.canvas, fig.dpi
    fig.dpi = _saved_dpi()
    try:
        getattr(CANVASES[suffix](fig), f"print_{suffix}")(buffer, metadata=metadata)
    finally:
        fig.set_canvas(canvas)
        fig.dpi = dpi
    return buffer.getvalue()


def _saved_dpi() -> float:
    wanted = plt.rcParams["savefig.dpi"]
    return plt.rcParams["figure.dpi"] if wanted == "figure" else wanted


def _in_few_colours(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    few = picture.convert("RGB").quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(buffer, "PNG")
    return buffer.getvalue()


def provenance(name: str, context: runtime.Run, quotes: bool = False) -> dict:
    """Return what a figure was made from: the settings, code, data and weights that go into its table, and versions.

    Whose settings these are, and which code, the paper's notebook says (`base.origins`); all settings where it shows no
    such figure. With `quotes` also where numbers of the paper stand, as the claims of the figure say.
    """
    origin = origins.of(context.slug).get(name, origins.Origin(None, ()))
    code, reached = codedigest.of(origin.functions)
    read = {f"{worker[1]}: {kind}": value for worker in sorted(reached & set(context.inputs))
            for kind, value in sorted(context.inputs[worker])}  # fmt: skip
    sources = {key: claim.source for key, claim in sorted(context.claims.items()) if quotes and claim.figure == name}
    return {
        "figure": name,
        "alt": context.figures[name],
        "slug": context.slug,
        "profile": context.label,
        "settings": config.values(context.cfg, origin.families),
        "made by": [f"{module.rpartition('.')[2]}.{function}" for module, function in origin.functions],
        "code": code if origin.functions else "",
        "read": read,
        "sources": sources,
        "seed": context.seed,
        "device": context.device,
        "versions": runtime.versions(),
        "matplotlib": matplotlib.__version__,
    }


def _without_rounding(entries) -> np.ndarray:
    """Entries with those a trillion times smaller than the largest as 0: what is left of them differs between runs."""
    entries = np.asarray(entries)
    size = np.abs(entries)
    return np.where(size < 1e-12 * size.max(initial=0, where=np.isfinite(size)), 0, entries)
