"""The figures of the family `collisions`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

COUNT, RATIO, SHARE = "polysemantic neurons per network", "count ÷ n²/4m", "share of neurons"
STAY, SURVIVORS = "share of starting collisions that stay", "share of surviving collisions that were there at the start"
SOME = "share of networks with at least one"
PER_FEATURE = "neurons per feature m/n"


def fig3_counts(table: pd.DataFrame) -> Figure:
    """Left: polysemantic neurons of 256 features against the number of neurons on logarithmic axes; gradient flow and
    AdamW with intervals, the published means, the line n²/4m and three theories. Right: the same divided by n²/4m;
    gradient flow lies a little below one, AdamW lower, and the published means about a third below."""
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 5))
    look = {series: {"marker": "v", **style} for series, style in plots.styles(table).items()}
    for ax, quantity in zip(axes, (COUNT, RATIO), strict=True):
        _per_feature(ax, table)
        rows = plots.part(table, quantity=quantity)
        with_interval = rows["low"].notna() & rows["what"].isin(["measured", "paper"])
        plots.lines(ax, rows[~with_interval], PER_FEATURE, look=look)
        plots.points(ax, _between(rows[with_interval]), PER_FEATURE, look=look, dodge=0.3)
        ax.set(ylabel=quantity)
    law = plots.part(table, quantity=COUNT, series="n²/4m")["value"]
    axes[0].set(yscale="log", title=f"Count for n = {table['features n'].iloc[0]} features")
    axes[0].set_ylim(0.4 * law.min(), 1.6 * law.max())
    powers = [2**power for power in range(-3, 12) if 0.4 * law.min() <= 2**power <= 1.6 * law.max()]
    axes[0].set_yticks(powers, [f"{power:g}" for power in powers])
    axes[0].minorticks_off()
    axes[1].set(title="Ratio to n²/4m", ylim=(0.3, 2.1))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _between(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order in which the series are drawn side by side: the paper's first, the longest last."""
    order = {"paper": rows["what"] != "paper", "length": rows.groupby("series")["value"].transform("size")}
    return rows.assign(**order).sort_values(list(order), kind="stable")


def _per_feature(ax: Axes, table: pd.DataFrame) -> None:
    """Give an axis neurons per feature, on a logarithmic scale with the powers of two."""
    found = sorted(set(table[PER_FEATURE].dropna()))
    ticks = [2**power for power in range(12) if found[0] <= 2**power <= found[-1]]
    ax.set(xscale="log", xlabel=PER_FEATURE)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def fig6_strengths(table: pd.DataFrame) -> Figure:
    """Left: polysemantic neurons of 64 features against the number of neurons for three strengths of regularization,
    means with bands from the 15th to the 85th percentile of networks. Right: means divided by n²/4m; stronger
    regularization lies closer to one."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.1))
    look = plots.styles(table)
    for ax, quantity in ((left, COUNT), (right, RATIO)):
        _per_feature(ax, table)
        rows = plots.part(table, quantity=quantity)
        theory, measured = rows[rows["what"] != "measured"], plots.part(rows, what="measured")
        plots.lines(ax, theory, PER_FEATURE, look=look)
        if quantity == COUNT:
            plots.lines(ax, measured, PER_FEATURE, look=look, markers=True)
        else:
            plots.points(ax, measured, PER_FEATURE, look=look, dodge=0.1)
        ax.set(ylabel=quantity)
        ax.legend()
    left.set(title="Networks from the 15th to the 85th percentile")
    right.set(title="Ratio to n²/4m, 95 % intervals")
    return fig


def fig7_proportion(table: pd.DataFrame) -> Figure:
    """Share of neurons that are polysemantic against the number of neurons on logarithmic axes, falling with slope
    minus two along the exact theory; the published axis, divided once more by the number of features, lies 256 times
    lower."""
    fig, ax = plt.subplots(figsize=(6, 3.9))
    ax.set(xscale="log", yscale="log", xlabel="neurons m", ylabel=SHARE)
    plots.lines(ax, table[table["what"] != "measured"], "neurons m")
    plots.points(ax, plots.part(table, what="measured"), "neurons m")
    ax.set_title(f"Share of neurons that are polysemantic, n = {table['features n'].iloc[0]}")
    sizes = sorted(set(table["neurons m"]))
    ticks = [m for m in sizes if m % sizes[0] == 0 and (m // sizes[0]) & (m // sizes[0] - 1) == 0]
    ax.set_xticks(ticks, [str(m) for m in ticks])
    ax.minorticks_off()
    ax.legend()
    return fig


def figx_collisions(table: pd.DataFrame) -> Figure:
    """Left: of the pairs of features whose largest initial weights share a neuron, same-sign pairs all part and
    opposite-sign pairs partly stay. Right: share of the final shared neurons that began as such a pair, against the
    number of neurons."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4))
    look = plots.styles(table)
    stay = plots.part(table, quantity=STAY)
    plots.bars(left, stay, "signs", "series", look=look)
    for bars, (_, rows) in zip(left.containers[1::2], stay.groupby("series", sort=False), strict=True):
        for bar, high, (_, row) in zip(bars, rows["high"], rows.iterrows(), strict=True):
            text = f"{row['pairs that stay']:,.0f}\nof {row['pairs']:,.0f}"
            left.annotate(text, (bar.get_x() + bar.get_width() / 2, high), xytext=(0, 4), textcoords="offset points",
                          ha="center", va="bottom", fontsize=9)  # fmt: skip
    left.set(ylabel=STAY, title="Starting collisions, by signs", ylim=(0, 1), xlabel="")
    _per_feature(right, table)
    plots.lines(right, plots.part(table, quantity=SURVIVORS), PER_FEATURE, look=look, markers=True)
    right.set(ylabel="share of survivors", title="Survivors that were there at the start", ylim=(0, 1))
    left.legend()
    right.legend()
    return fig


def figx_break(table: pd.DataFrame) -> Figure:
    """Polysemantic neurons per network against the number of neurons divided by the square of the number of features,
    on logarithmic axes, for 16 and 32 features: means with intervals follow the exact theory straight through m = n²,
    where it is a quarter. Right: share of networks with at least one, falling gradually."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.9))
    look, place = plots.styles(table), "m ÷ n²"
    for ax, quantity in ((left, COUNT), (right, SOME)):
        ax.set(xscale="log", xlabel=place, ylabel=quantity)
        rows = plots.part(table, quantity=quantity)
        plots.lines(ax, plots.part(rows, what="corrected"), place, look=look)
        plots.points(ax, plots.part(rows, what="measured"), place, look=look)
        ax.axvline(1, **plots.CONTROL_LINE)
        ax.set_xticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
        ax.minorticks_off()
        ax.legend()
    left.set(yscale="log", title="The count falls straight through m = n²")
    left.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
    left.minorticks_off()
    right.set(title="Networks with at least one", ylim=(0, 1.05))
    return fig
