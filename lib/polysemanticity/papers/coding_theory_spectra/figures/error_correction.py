"""The figures of the family `error_correction`, from their tables."""

import matplotlib
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

LAYER = "layer, as the paper counts"


def figS1_mutual_information(table: pd.DataFrame) -> Figure:
    """Bounds on the mutual information between input and layer of a 40-layer network, over depth. MINE for learnt
    networks is a sawtooth that falls slowly like the authors', for random ones it falls to near zero. InfoNCE does the
    same; a linear decoder's bound falls below zero for random ones. Below, the change of MINE over each stretch without
    noise: mostly above zero, in the authors' curve always, where no mutual information can rise."""
    fig, axes = plt.subplot_mosaic("AB;CC", figsize=(8, 8.4), height_ratios=(1.75, 1))
    nats = plots.part(table, quantity="mutual information, estimate [nats]")
    look, paper = _with_dashes(plots.styles(nats), nats), nats["what"] == "paper"
    plots.lines(axes["A"], nats[nats["series"].str.startswith("MINE")], LAYER, look=look, markers=True)
    plots.lines(axes["A"], nats[paper], LAYER, look=look)
    estimates = nats[~paper].drop(columns=["low", "high"])
    plots.lines(axes["B"], estimates, LAYER, look=look, markers=True, markersize=3)
    axes["A"].set_title("MINE like the authors'")
    axes["B"].set_title("Three estimates,\nand data processing")
    for ax in (axes["A"], axes["B"]):
        ax.set(xlabel=LAYER, ylabel="estimate [nats]", ylim=(-0.6, 6.2))
        _legend_below(ax)
    _changes(axes["C"], plots.part(table, quantity="change over a stretch without noise [nats]"))
    return fig


def _with_dashes(look: dict, table: pd.DataFrame) -> dict:
    """Styles in which several series of the paper's, or of controls, differ by their dashes, the first one solid."""
    for role in ("paper", "control"):
        for name, dashes in zip(plots.part(table, what=role)["series"].unique(), plots.DASHES, strict=False):
            look[name] = {**look[name], "linestyle": dashes}
    return look


def _legend_below(ax) -> None:
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), handlelength=2.6)


def _changes(ax, changes: pd.DataFrame) -> None:
    look = plots.styles(changes)
    plots.points(ax, plots.part(changes, what="measured"), "stretch", look=look)
    plots.points(
        ax, plots.part(changes, what="paper"), "stretch", look=look, marker="_", markersize=16, markeredgewidth=2
    )
    top = 1.15 * max(changes["value"].max(), 0.1)
    ax.axhspan(0, top, color=plots.CONTROL_FILL, alpha=0.4, linewidth=0, zorder=0)
    ax.annotate(
        "mutual information cannot rise here", (0.99, top), xycoords=("axes fraction", "data"), xytext=(0, -4),
        textcoords="offset points", ha="right", va="top", fontsize=9,
    )  # fmt: skip
    ax.set(ylim=(min(1.3 * changes["value"].min(), -0.35 * top), top), ylabel="change of MINE [nats]")
    ax.set(title="Change over the layers between two dropouts", xlabel="stretch without noise, from the first dropout")
    ax.legend(loc="lower right", ncols=2)


def figx_error_correction(table: pd.DataFrame) -> Figure:
    """Left: bits of three that a decoder reads from each layer, nearly all in learnt networks to the end, ever fewer in
    random ones. Middle: squared distance to the clean state after one dropout, which shrinks to about a tenth in learnt
    networks, to far less in those trained on bits, and grows in random ones. Right: exact mutual information in small
    random networks against the step to which activity is rounded: all three bits at fine steps, fewer at coarse ones
    and after more dropouts."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8, 5))
    bits = plots.part(table, quantity="bits of 3 that a decoder reads")
    look, ours = plots.marked(_with_dashes(plots.styles(bits), bits)), bits["low"].notna()
    plots.lines(left, bits[ours], LAYER, look=look, markers=True)
    plots.lines(left, bits[~ours], LAYER, look=look)
    left.set(title="A decoder reads the bits", xlabel=LAYER, ylabel="bits", ylim=(0, 3.2))
    distance, later = plots.part(table, quantity="squared distance ÷ variance of clean states"), "blocks later"
    middle.set(yscale="log")
    look, mean = plots.marked(_with_dashes(plots.styles(distance), distance)), distance["network"] == "mean"
    plots.lines(middle, distance[mean], later, look=look, markers=True)
    middle.set(title="One dropout is corrected", xlabel=later, ylabel="squared distance ÷ variance of clean states")
    exact = plots.part(table, quantity="exact mutual information [bits]")
    step = "step of rounding [standard deviations]"
    right.set(xscale="log")
    tints = matplotlib.colormaps[plots.SEQUENTIAL].resampled(exact["series"].nunique() + 1).colors
    plots.lines(right, exact, step, look=plots.styles(exact, palette=tints), markers=True)
    right.invert_xaxis()
    right.minorticks_off()
    right.set(title="In fine steps all is there", xlabel=step, ylabel="exact mutual information [bits]", ylim=(0, 3.2))
    for ax, columns in ((left, 1), (middle, 1), (right, 2)):
        ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.14), ncols=columns, columnspacing=1, handlelength=1.8)
    for _, network in distance[~mean].groupby("network"):
        plots.lines(middle, network, later, look=look, linewidth=0.7, alpha=0.6)
    return fig
