"""The figures of the family `sparsification`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

TIME, START, SIZE = "time t", "size at the start |w(0)|", "size |w|"
LIMIT = 1.3  # of the weights' colours


def figx_winner(table: pd.DataFrame) -> Figure:
    """Left: sizes of forty weights of one encoding over time; all but the largest fall to zero one after the other, the
    largest rises to one, and points of plain descent lie on the exact lines. Right: weights against their initial sizes
    at five times, each a straight line cut off at a rising threshold."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    course = plots.part(table, drawn="over time")
    style = plots.styles(plots.part(course, series="exact solution"))["exact solution"]
    for (rank, series), rows in course.groupby(["rank at the start", "series"]):
        look = {"color": style["color"], "alpha": 1 if rank == 1 else 0.45}
        line = {"linewidth": 1.6 if rank == 1 else 0.8} if series == "exact solution" else {"linestyle": "none"}
        marker = {} if series == "exact solution" else {"marker": "o", "markersize": 2.5 if rank == 1 else 1.8}
        label = series if rank == 1 else None
        left.plot(rows[TIME], rows[SIZE], **look, **line, **marker, label=label)
    left.set(xscale="log", xlabel="time t", ylabel="size of each weight $|w_k|$", title="The winner takes all")
    left.text(0.11, 0.42, "largest initial weight", color=style["color"])
    left.legend(loc="center left", bbox_to_anchor=(0, 0.72))
    snapshots = table[table["drawn"] != "over time"]
    look = plots.styles(snapshots)
    for series, rows in snapshots.groupby("series", sort=False):
        line, weights = (plots.part(rows, drawn=kind).sort_values(START) for kind in ("soft threshold", "weights"))
        right.plot(line[START], line[SIZE], color=look[series]["color"], linewidth=1, label=series)
        right.plot(weights[START], weights[SIZE], **look[series], markersize=2.5, linestyle="none")
    right.set(xlabel="size at the start $|w_k(0)|$", ylabel="size at time t", title="A soft threshold that rises")
    right.legend()
    return fig


def figx_weights(table: pd.DataFrame) -> Figure:
    """Heatmaps of trained weights, features against neurons, for two numbers of features and a rising number of
    neurons: every row has one entry of plus or minus one; columns with two entries are marked and hold one of each
    sign."""
    sizes = table.groupby("features n")["neurons m"].unique()
    n_columns = max(map(len, sizes))
    size = (min(8, 2.4 * n_columns + 0.8), 2.6 * len(sizes))
    fig, axes = plt.subplots(len(sizes), n_columns, figsize=size, squeeze=False)
    for row, (n, neurons) in zip(axes, sizes.items(), strict=True):
        for ax, m in zip(row, neurons, strict=True):
            _staircase(ax, table[(table["features n"] == n) & (table["neurons m"] == m)])
            ax.set_title(f"n = {n}, m = {m}", pad=9)
        row[0].set_ylabel("feature")
    fig.colorbar(axes[0, 0].collections[0], ax=axes, label="weight", shrink=0.6)
    return fig


def _staircase(ax, entries: pd.DataFrame) -> None:
    """One map of sorted weights, with triangles above the neurons of several features."""
    plots.matrix(
        ax, entries, "feature (sorted)", "neuron (sorted)", value="weight", label="weight", limit=LIMIT, colorbar=False
    )
    used, shared = entries["neuron (sorted)"].nunique(), int(entries["shared neurons"].iloc[0])
    above = {"transform": ax.get_xaxis_transform(), "clip_on": False, "in_layout": False}
    ax.plot([k + 0.5 for k in range(shared)], [1.025] * shared, "v", color="black", markersize=2.5, **above)
    ax.set(xticks=[], yticks=[], ylabel="")
    ax.set_xlabel(f"{used} neurons used,\n{shared} shared (▼)")


def fig2_sparsification(table: pd.DataFrame) -> Figure:
    """Three panels over time, the first two on logarithmic axes: number of live weights falling as the inverse square
    of time, l1 norm falling as its inverse, relative variance rising from 0.57 to about 1, and to 0 with the last
    weight. The paper's curve for the number lies below the simulation, the corrected one on it."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 4.0))
    look, time = plots.styles(table), "time (the paper's unit)"
    titles = ("The number falls\nas 1/t²", "The norm falls\nas 1/t", "The variance rises\ntowards one")
    for ax, (quantity, rows), title in zip(axes, table.groupby("quantity", sort=False), titles, strict=True):
        ax.set(xscale="log")
        simulated = plots.part(rows, what="measured")
        plots.lines(ax, simulated, time, look=look, linestyle="none", markers=True)
        plots.lines(ax, rows[rows["what"] != "measured"], time, look=look)
        ax.set(title=title, xlabel=time, ylabel=quantity)
    for ax in axes[:2]:
        ax.set(yscale="log", ylim=(0.8, None))
    axes[2].set_ylim(0, None)
    handles = {label: line for ax in axes for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=3)
    return fig
