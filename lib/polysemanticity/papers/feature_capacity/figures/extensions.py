"""The figures of the family `extensions`, from their tables."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.feature_capacity.figures.architectures import GRAM, draw_gram

C2, RATIO = "capacity of feature 2", "importance of feature 2 ÷ feature 1"
SPECIAL, COUNT = "importance of the special feature ÷ others", "polysemantic features"


def figx_transitions(table: pd.DataFrame) -> Figure:
    """Left: capacity on a sweep of the importance ratio up and down in the quadratic model: a loop at kurtosis 2, where
    the sweep jumps at another ratio up than down, and one smooth curve at 10. Right: capacities of one special feature
    in ReLU autoencoders, a dot a start: most lie near 0, one half or 1."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.2), sharey=True)
    sweep, nets = plots.part(table, panel="sweep"), plots.part(table, panel="ReLU autoencoder")
    left.set(xscale="log")
    kurtoses = dict.fromkeys(name.partition(",")[0] for name in sweep["series"])
    colour = dict(zip(kurtoses, plots.SERIES, strict=False))
    for name, rows in sweep.groupby("series", sort=False):
        kurtosis, _, way = name.partition(", ")
        down = {"linestyle": (0, (2, 2)), "linewidth": 2.4, "zorder": 3} if way == "down" else {"linestyle": "-"}
        style = {
            "color": plots.SERIES[2] if way == "down" and kurtosis == list(kurtoses)[-1] else colour[kurtosis],
            **down,
        }
        left.plot(rows[RATIO], rows["capacity C"], label=f"{kurtosis}, ratio going {way}", **style)
    left.set(xlabel=RATIO, ylabel="capacity C", title="Quadratic: a loop below κ = 3 only")
    left.minorticks_off()
    left.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    for level in (0, 0.5, 1):
        right.axhline(level, **plots.CONTROL_LINE)
    near = nets["capacity C"].to_numpy()[:, None] - np.array([0, 0.5, 1])
    share = (np.abs(near).min(-1) < 0.05).mean()
    plots.points(right, nets.assign(series="ReLU, one start"), SPECIAL, y="capacity C", ms=4, alpha=0.5)
    right.set(xscale="log", xlabel=SPECIAL, title=f"ReLU: {share:.0%} within 0.05 of 0, ½, 1")
    right.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    right.minorticks_off()
    handles, names = (a + b for a, b in zip(*(ax.get_legend_handles_labels() for ax in (left, right)), strict=True))
    fig.legend(handles, names, loc="outside lower center", ncols=3)
    return fig


def figx_width_and_blocks(table: pd.DataFrame) -> Figure:
    """Above: number of polysemantic features against dimensions: the same at every width in the quadratic model; in the
    ReLU autoencoder never more than 2D, and at every width more than in the quadratic model. Below: three sorted Gram
    matrices for a small penalty on overlaps |cos θ|^β: pairs, opposite or parallel, at power 1, one block of all
    features at 2 and 4."""
    fig = plt.figure(figsize=(8, 6.2))
    grid = fig.add_gridspec(2, 3, height_ratios=(1, 1.05))
    top, below = fig.add_subplot(grid[0, :]), [fig.add_subplot(grid[1, k]) for k in range(3)]
    counts = plots.part(table, quantity=COUNT)
    look = plots.styles(counts)
    plots.lines(top, plots.part(counts, series="count law"), "dimensions D", look=look)
    most = counts[counts["series"].str.startswith("2D")]
    top.plot(most["dimensions D"], most["value"], "_", ms=28, mew=2, color=plots.CONTROL, label=most["series"].iloc[0])
    plots.points(top, plots.part(counts, what="measured"), "dimensions D", look=look, joined=True)
    top.set_xticks(sorted(set(counts["dimensions D"])))
    top.set(
        xlabel="dimensions D", ylabel=COUNT, ylim=(0, None), title="Quadratic: as many features share at every width"
    )
    top.legend(ncols=2, title="bars: 95 % of the mean over starts", title_fontsize=9)
    grams = plots.part(table, quantity=GRAM)
    limit = grams["value"].abs().max()
    for ax, series in zip(below, dict.fromkeys(grams["series"]), strict=True):
        draw_gram(ax, plots.part(grams, series=series), limit)
        ax.set_title(series.replace(": ", ":\n"), fontsize=10)
        ax.set_xlabel("feature")
    below[0].set_ylabel("feature")
    fig.colorbar(below[0].collections[0], ax=below, label=GRAM, shrink=0.8)
    fig.supxlabel("β: power of a small penalty on overlaps |cos θ|^β", fontsize=10)
    return fig
