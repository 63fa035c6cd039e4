"""The figures of the family `descent`, from their tables."""

import matplotlib
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

TIME, TOTAL, SHARE = "time [1/(4 a v₁)]", "Σ C", "share of starts in a wrong minimum"
LENGTH, HALF, RESTS = "squared length n", "half of its length", "Σ C at rest"


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
    right.legend(title="band: 95 %, binomial", title_fontsize=9)
    return fig


def figx_order_of_entry(table: pd.DataFrame) -> Figure:
    """Two panels over time, from a tiny start along gradient flow. Above, squared lengths: features enter one after the
    other, in order of importance. Below, the sum of capacities climbs a staircase: where it rests, drawn thick, it is
    an integer; it takes the first two steps before the next feature has half of its length, the others later."""
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(1, 1.1))
    _lengths(top, table)
    _capacities(bottom, table)
    entries = plots.part(table, quantity=HALF)[TIME]
    for ax in (top, bottom):
        for time in entries:
            ax.axvline(time, **{**plots.CONTROL_LINE, "linewidth": 1}, zorder=1)
    bottom.set_xticks(entries, [f"{time:.0f}" for time in entries])
    bottom.set_xlabel("time in units of 1/(4 a v₁), marked at every entry")
    return fig


def _lengths(ax: Axes, table: pd.DataFrame) -> None:
    lengths, halves = plots.part(table, quantity=LENGTH), plots.part(table, quantity=HALF)
    names = list(dict.fromkeys(lengths["series"]))
    shades = matplotlib.colormaps[plots.SEQUENTIAL].resampled(len(names) + 1)
    for number, name in enumerate(names):
        rows, half = plots.part(lengths, series=name), plots.part(halves, series=name)
        (line,) = ax.plot(rows[TIME], rows["value"], color=shades(number), label="_" + name)
        ax.plot(half[TIME], half["value"], "v", ms=8, color=shades(number), mec="black", zorder=4)
        if len(half):
            plots.label_end(ax, line, name)
    ax.plot([], [], "v", ms=8, mfc="none", mec="black", ls="", label="entry: half of its final squared length")
    ax.set(ylabel=LENGTH, xlim=(0, lengths[TIME].max()))
    ax.set_title(f"Features enter in order of importance (v = {lengths['decay ρ'].iloc[0]:g}^i, one start)")
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.98))


def _capacities(ax: Axes, table: pd.DataFrame) -> None:
    sums, rests = plots.part(table, quantity=TOTAL), plots.part(table, quantity=RESTS)
    ax.plot(sums[TIME], sums["value"], color=plots.ROLES["measured"]["color"], lw=1.3, label="Σ C, one start")
    gaps = rests[TIME].diff() > 1.5 * sums[TIME].diff().min()
    for number, (_, rest) in enumerate(rests.groupby(gaps.cumsum())):
        label = {"label": rests["series"].iloc[0]} if number == 0 else {}
        ax.plot(
            rest[TIME],
            rest["value"],
            color=plots.ROLES["measured"]["color"],
            lw=6,
            solid_capstyle="butt",
            alpha=0.55,
            **label,
        )
    off = plots.part(table, quantity="|Σ C − nearest integer| at rest").iloc[0]
    ax.set(ylabel=TOTAL, ylim=(0, sums["value"].max() + 0.3), yticks=range(round(sums["value"].max()) + 1))
    ax.set_title(f"At rest Σ C is an integer: {off['value']:.2g} off, {off['series']}")
    ax.legend(loc="lower right")
