"""The figures of codes under erasures, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polysemanticity import plots

MARKS = dict(
    zip(
        ("monosemantic", "repetition [15, 4]", "simplex [15, 4]", "repetition [7, 3]", "simplex [7, 3]"),
        "osDv^",
        strict=True,
    )
)


def fig2_frontier(table: pd.DataFrame) -> Figure:
    """Share of messages decoded and share of bits that survive against bits per unit at three dropout rates: random
    superpositions from few to many bits per unit keep less and less, with repetition, simplex and monosemantic codes as
    marks and, for messages, the limit that no code passes; beside it the capacity of a unit under dropout, within the
    paper's bounds."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 5))
    codes, capacity = table.dropna(subset="bits per unit"), table.dropna(subset="levels q")
    seen = plots.part(codes, what="measured")
    look = plots.styles(seen)
    shown = zip(axes[:2], ("Whole messages", "Information"), codes.groupby("quantity", sort=False), strict=True)
    for ax, title, (quantity, rows) in shown:
        plots.lines(ax, plots.part(rows, code="random superposition"), "bits per unit", look=look)
        for code, mark in MARKS.items():
            for rate, points in plots.part(rows, code=code).groupby("series", sort=False):
                style = {**look[rate], "marker": mark, "markeredgecolor": "black", "markeredgewidth": 0.5}
                ax.plot(points["bits per unit"], points["value"], linestyle="none", **style)
        for _, limit in plots.part(rows, what="control").groupby("series", sort=False):
            ax.plot(limit["bits per unit"], limit["value"], **plots.ROLES["control"])
        ax.set(title=title, xlabel="bits per unit", ylabel=quantity)
        ax.set_ylim(-0.03, 1.03)
    marks = [Line2D([], [], **plots.ROLES["control"], label="no code passes"), *_marks()]
    random = [Line2D([], [], color=look[rate]["color"], label=f"random, {rate}") for rate in look]
    fig.legend(handles=[*random, *marks], loc="outside lower left", ncols=3)
    _capacity(axes[2], capacity)
    return fig


def _marks() -> list[Line2D]:
    plain = {"color": plots.CONTROL_FILL, "markeredgecolor": "black", "linestyle": ""}
    return [Line2D([], [], marker=mark, label=code, **plain) for code, mark in MARKS.items()]


def _capacity(ax, capacity: pd.DataFrame) -> None:
    """Lines of the exact capacity with their numbers of levels, dots of the search, bands of the paper's bounds."""
    for q, rows in capacity.groupby("levels q"):
        exact, searched, bounds = (plots.part(rows, what=what) for what in ("corrected", "control", "paper"))
        labels = ("the paper's bounds", "exact", "Blahut–Arimoto") if q == capacity["levels q"].min() else [None] * 3
        band = {"color": plots.ROLES["paper"]["color"], "alpha": 0.25, "linewidth": 0}
        ax.fill_between(bounds["dropout D"], bounds["low"], bounds["high"], **band, label=labels[0])
        ax.plot(exact["dropout D"], exact["value"], **plots.ROLES["corrected"], label=labels[1])
        dots = {**plots.ROLES["control"], "linestyle": "none", "marker": "o", "markersize": 3, "zorder": 3}
        ax.plot(searched["dropout D"], searched["value"], **dots, label=labels[2])
        ax.annotate(f"{q:g} levels", (0, exact["value"].iloc[0]), xytext=(6, 4), textcoords="offset points", fontsize=9)
    ax.set(title="Capacity of one unit", xlabel="dropout rate D", ylabel=capacity["quantity"].iloc[0])
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.14))


def figx_flat_redundant(table: pd.DataFrame) -> Figure:
    """Bits per unit against the bound from the spectrum for many codes, all below the diagonal with the simplex codes
    far below; the flat spectrum of a simplex code and the steep one of repetition; their accuracy under dropout, where
    the simplex code is the better as long as it is seen which units are dropped."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8, 5))
    look, edge = plots.styles(table), {"markeredgecolor": "black", "markeredgewidth": 0.5}
    for name in plots.part(table, what="measured")["series"].unique():
        look[name] |= {"marker": MARKS[name], **edge} if name in MARKS else {"marker": ".", "alpha": 0.6}
    held = plots.part(table, quantity="bits per unit")
    bound = next(name for name in table if name.startswith("bound"))
    plots.lines(left, plots.part(held, what="control"), bound, look=look)
    for name, rows in plots.part(held, what="measured").groupby("series", sort=False):
        left.plot(rows[bound], rows["value"], **{**look[name], "linestyle": "none"}, label=name)
    left.set(title="Bits, and bits allowed", xlabel=bound, ylabel="bits per unit")
    for name, rows in plots.part(table, quantity="eigenvalue").groupby("series", sort=False):
        middle.plot(rows["rank"], rows["value"], **look[name])
    middle.set(title="Two spectra,\n4 bits on 15 units", xlabel="rank", ylabel="eigenvalue")
    rights = plots.part(table, quantity="share of messages decoded right")
    for (name, dropped), rows in rights.groupby(["series", "dropped units are"], sort=False):
        seen = dropped.startswith("seen")
        line = {} if seen else {"linestyle": ":", "markerfacecolor": "white", "markeredgecolor": look[name]["color"]}
        right.plot(rows["dropout D"], rows["value"], **{**look[name], **line})
    plain = [{"color": plots.CONTROL, "linestyle": "-"}, plots.CONTROL_LINE]
    dropped = rights["dropped units are"].unique()
    handles = [Line2D([], [], **line, label=name) for line, name in zip(plain, dropped, strict=True)]
    right.legend(handles=handles, title="dropped units are", alignment="left", loc="lower left")
    right.set(title="What they are worth", xlabel="dropout rate D", ylabel="share of messages decoded right")
    handles = dict(zip(*left.get_legend_handles_labels()[::-1], strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return fig
