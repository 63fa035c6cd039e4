"""The figures of the family `collisions`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

COUNT, RATIO = "polysemantic neurons per network", "count ÷ n²/4m"
STAY, SURVIVORS = "share of starting collisions that stay", "share of surviving collisions that were there at the start"
SOME = "share of networks with at least one"
PER_FEATURE = "neurons per feature m/n"
ON_THE_WAY, AT_THE_END = "count ÷ exact count, slots filled by the weights at λt", "count ÷ exact count"
WIDE = (8, 4.4)


def fig3_counts(table: pd.DataFrame) -> Figure:
    """Left: polysemantic neurons against the number of neurons on logarithmic axes: published means, gradient flow and
    AdamW of fewer features, each along its own dashed line n²/4m. Right: the same counts divided by n²/4m against
    neurons per feature, with 95 % intervals: about one where there are as many neurons as features; beyond, lower in
    the flow and lowest in the published counts; without interference they would rise far above."""
    fig, (left, right) = plt.subplots(1, 2, figsize=WIDE)
    look = plots.styles(table)
    look |= {"the law n²/4m": plots.PAPER_LINE, "no interference": plots.CONTROL_LINE}
    look["published, AdamW"] = {"color": plots.PAPER_LINE["color"], "marker": "v", "linestyle": "none"}
    left.set(xscale="log", yscale="log", xlabel="neurons m", ylabel=COUNT)
    count = plots.part(table, quantity=COUNT)
    for _, rows in plots.part(count, series="the law n²/4m").groupby("features n"):
        plots.lines(left, rows, "neurons m", look=look)
        end = rows.iloc[0]
        left.annotate(f"n = {end['features n']}", (end["neurons m"], end["value"]), xytext=(6, 2),
                      textcoords="offset points", fontsize=9)  # fmt: skip
    plots.points(left, count[count["low"].notna()], "neurons m", look=look)
    powers = [2**power for power in range(-2, 8)]
    left.set_yticks(powers, [f"{power:g}" for power in powers])
    found = sorted(set(count["neurons m"]))
    ticks = [2**power for power in range(2, 15, 2) if found[0] <= 2**power <= found[-1]]
    left.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    left.minorticks_off()
    _per_feature(right, table)
    ratio = plots.part(table, quantity=RATIO)
    plots.lines(right, ratio[ratio["low"].isna()], PER_FEATURE, look=look)
    plots.points(right, ratio[ratio["low"].notna()], PER_FEATURE, look=look, dodge=0.15)
    right.set(ylabel=RATIO, ylim=(0, 2))
    names = dict(zip(*right.get_legend_handles_labels()[::-1], strict=True))
    bars = "bars: 95 % t intervals of the mean over networks"
    fig.legend(names.values(), names, loc="outside lower center", ncols=3, title=bars, title_fontsize=9)
    left.set_title("About as 1/m …")
    right.set_title("… but the constant depends on m/n")
    return fig


def _per_feature(ax: Axes, table: pd.DataFrame) -> None:
    """Give an axis neurons per feature, on a logarithmic scale with the powers of two."""
    found = sorted(set(table[PER_FEATURE].dropna()))
    ticks = [2**power for power in range(12) if found[0] <= 2**power <= found[-1]]
    ax.set(xscale="log", xlabel=PER_FEATURE)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def figx_constant(table: pd.DataFrame) -> Figure:
    """Left: count over the exact count if slots are filled by the weights that a network has at λt, largest first, with
    95 % intervals, for two sizes: about one at the start, near the final count (dotted, dashed) long before encodings
    are sparse; the smaller size rises above one on the way. Right: count over the exact count of eight features alone,
    of eight features in the crowd of n by mean field, and of whole networks: alone above one; in the larger crowd the
    theory is below one, in the smaller as high as alone; whole networks lie below the eight alone."""
    fig, (left, right) = plt.subplots(1, 2, figsize=WIDE)
    way, end = plots.part(table, quantity=ON_THE_WAY), plots.part(table, quantity=AT_THE_END)
    look = plots.styles(table)
    plots.lines(left, plots.part(way, what="control"), "λt", look=look)
    plots.points(left, plots.part(way, what="measured"), "λt", look=look, joined=True, dodge=0.15)
    left.set(xlabel="λt: the threshold rises with time", ylabel="count ÷ exact count, if slots were filled now")
    left.axhline(1, **plots.CORRECTED_LINE)
    left.legend()
    left.set_title("The count falls while weights are many")
    sizes = [f"n = {n}\nm = {m}" for n, m in zip(end["features n"], end["neurons m"], strict=True)]
    plots.points(right, end.assign(size=end.groupby("neurons m").ngroup()), "size", look=look, dodge=0.15)
    right.set_xticks(range(len(set(sizes))), sorted(set(sizes), key=sizes.index))
    right.set(xlim=(-0.5, len(set(sizes)) - 0.5), ylabel=AT_THE_END)
    right.axhline(1, **plots.CORRECTED_LINE)
    right.legend()
    right.set_title("A crowd lowers it")
    fig.supxlabel(
        "bars: 95 % t intervals of the mean over networks, or over groups; full line: the exact count", fontsize=9
    )
    return fig


def figx_collisions(table: pd.DataFrame) -> Figure:
    """Left: of the pairs of features whose largest initial weights share a neuron, same-sign pairs all part and
    opposite-sign pairs partly stay. Right: share of the final shared neurons that began as such a pair, against the
    number of neurons."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
    look = plots.styles(table)
    stay = plots.part(table, quantity=STAY)
    plots.bars(left, stay, "signs", "series", look=look)
    for bars, (_, rows) in zip(left.containers[1::2], stay.groupby("series", sort=False), strict=True):
        for bar, high, (_, row) in zip(bars, rows["high"], rows.iterrows(), strict=True):
            text = f"{row['pairs that stay']:,.0f}\nof\n{row['pairs']:,.0f}"
            left.annotate(text, (bar.get_x() + bar.get_width() / 2, high), xytext=(0, 4), textcoords="offset points",
                          ha="center", va="bottom", fontsize=8.5)  # fmt: skip
    left.set(ylabel=STAY, title="Starting collisions, by signs", ylim=(0, 1), xlabel="")
    _per_feature(right, table)
    plots.lines(right, plots.part(table, quantity=SURVIVORS), PER_FEATURE, look=look, markers=True)
    right.set(ylabel="share of survivors", title="Survivors there at the start", ylim=(0, 1))
    left.legend(loc="upper right")
    fig.supxlabel("bars and bands: 95 % binomial intervals over pairs", fontsize=9)
    return fig


def figx_break(table: pd.DataFrame) -> Figure:
    """Polysemantic neurons per network against the number of neurons divided by the square of the number of features,
    on logarithmic axes, for 16 and 32 features: means with intervals lie a little below the exact theory for few
    neurons and on it from a quarter of n² on, straight through m = n², where it is a quarter. Right: share of networks
    with at least one, falling gradually."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
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
    fig.supxlabel("bars: exact 95 % intervals, Poisson (left) and binomial (right)", fontsize=9)
    left.set(yscale="log", title="Straight through m = n²")
    left.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
    left.minorticks_off()
    right.set(title="Networks with at least one", ylim=(0, 1.05))
    return fig
