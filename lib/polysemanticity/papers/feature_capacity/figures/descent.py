"""The figures of the family `descent`, from their tables."""

import matplotlib
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

TIME, TOTAL, SHARE = "time [1/(4 a v₁)]", "Σ C", "share of starts in a wrong minimum"
LENGTH, LOSS = "squared length n", "loss ÷ first loss"


def figx_landscape(table: pd.DataFrame) -> Figure:
    """Left: stationary points by their loss and the sum of their capacities, which are integers; at kurtosis 10 all
    minima have the least loss, at kurtosis 2 they spread. Right: share of starts that end in a wrong minimum, falling
    to zero at kurtosis 3."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2))
    points = plots.part(table, quantity=TOTAL)
    look, names = plots.styles(points), list(dict.fromkeys(points["series"]))
    for row, name in enumerate(names):
        for kind, marker, size in (("saddle", "x", 6), ("minimum", "o", 9)):
            rows = plots.part(points, series=name, kind=kind)
            above = rows["value"] + 0.16 * (row - (len(names) - 1) / 2)
            style = {"color": look[name]["color"], "alpha": 0.5, "ms": size, "mfc": "none", "ls": ""}
            left.plot(rows["loss above the best L/L* − 1"], above, marker, label=f"{kind}, {name}", **style)
    left.set(xlabel="loss above the best L/L* − 1", ylabel=TOTAL, yticks=range(4), ylim=(0, 3.4))
    left.set_title("Stationary points: Σ C is an integer")
    left.legend(loc="lower right", title="drawn a little apart", title_fontsize=9)
    shares = plots.part(table, quantity=SHARE)
    plots.lines(right, plots.part(shares, what="measured"), "kurtosis κ", markers=True)
    plots.lines(right, plots.part(shares, what="control"), "kurtosis κ", linewidth=2.5)
    right.axvline(3, **plots.CONTROL_LINE)
    right.set(xlabel="kurtosis κ", ylabel=SHARE, ylim=(-0.02, None), title="No wrong minima for kurtosis > 3")
    right.legend()
    return fig


def figx_order_of_entry(table: pd.DataFrame) -> Figure:
    """Three panels over time, from a tiny start along gradient flow. Squared lengths of one start: features enter one
    after the other, a triangle where each has half its length. Sum of capacities: it climbs from integer to integer,
    but early: at the circles, halfway between two entries, where the claim judges it, it has left its integer. The
    loss, on a logarithmic axis, which goes down in steps."""
    fig, (top, middle, bottom) = plt.subplots(3, 1, figsize=(8, 8), sharex=True, height_ratios=(1, 1.25, 0.8))
    _lengths(top, table)
    _capacities(middle, table)
    plots.lines(bottom, plots.part(table, quantity=LOSS), TIME)
    bottom.set(xlabel="time in units of 1/(4 a v₁)", ylabel=LOSS, yscale="log", title="The loss rests between entries")
    return fig


def _lengths(ax: Axes, table: pd.DataFrame) -> None:
    lengths, halves = plots.part(table, quantity=LENGTH), plots.part(table, quantity="half of its length")
    names = list(dict.fromkeys(lengths["series"]))
    shades = matplotlib.colormaps[plots.SEQUENTIAL].resampled(len(names) + 1)
    for number, name in enumerate(names):
        rows, half = plots.part(lengths, series=name), plots.part(halves, series=name)
        (line,) = ax.plot(rows[TIME], rows["value"], color=shades(number), label="_" + name)
        ax.plot(half[TIME], half["value"], "v", ms=8, color=shades(number), mec="black", zorder=4)
        if len(half):
            plots.label_end(ax, line, name)
    ax.plot([], [], "v", ms=8, mfc="none", mec="black", ls="", label="entry: half of its squared length")
    ax.set(ylabel=LENGTH, title="One start: features enter in turn", xlim=(-1, lengths[TIME].max()))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.94))


def _capacities(ax: Axes, table: pd.DataFrame) -> None:
    sums, judged = plots.part(table, quantity=TOTAL), plots.part(table, quantity="Σ C where it is judged")
    apart = table[table["entry k"].notna()]
    look = plots.styles(pd.concat([sums, judged]))
    plots.lines(ax, sums, TIME, look=look)
    plots.points(ax, judged, TIME, look=look, marker="o", ms=9, mfc="none", mew=1.8, zorder=5)
    for k, (time, value) in enumerate(judged[[TIME, "value"]].itertuples(index=False), start=1):
        ax.plot([time, time], [k, value], **{**plots.CONTROL_LINE, "linewidth": 1.2}, zorder=4)
        ax.plot(time, k, "_", ms=14, mew=2, color=plots.CONTROL, zorder=4)
    ax.plot([], [], "_", ms=14, mew=2, color=plots.CONTROL, label="the integer that the claim expects there")
    worst = apart.loc[apart["value"].idxmax()]
    ax.set(ylabel=TOTAL, ylim=(0, 4.2), yticks=range(5))
    off = f"mean {worst['value']:.2f} off after entry {worst['entry k']:g}"
    ax.set_title(f"Σ C jumps before the next feature has grown: {off}")
    ax.legend(loc="lower right")
