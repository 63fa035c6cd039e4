"""The figures of the family `extensions`, from their tables."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.feature_capacity.figures.architectures import GRAM, draw_gram

C2, JUMP, ALONE = "capacity of feature 2", "largest jump of C", "capacity of the special feature"
RATIO, SPACING, COUNT = "importance of feature 2 ÷ feature 1", "spacing of the grid [ln r]", "polysemantic features"


def figx_transitions(table: pd.DataFrame) -> Figure:
    """Left: capacity on a sweep of the importance ratio up and down, a loop at kurtosis 2 and one curve at 10. Middle:
    capacity in the ReLU autoencoder jumps between 0, one half and 1. Right: trained against exact capacities for
    unequal kurtoses, on the diagonal."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 4.3))
    sweep = plots.part(table, panel="sweep")
    left.set(xscale="log")
    look = plots.styles(sweep)
    for name, style in look.items():
        style["linestyle"] = "--" if name.endswith("down") else "-"
    plots.lines(left, sweep, RATIO, y="capacity C", look=look)
    left.set(xlabel=RATIO, ylabel=C2, title="Two features, one dimension")
    left.minorticks_off()
    left.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    nets = plots.part(table, panel="ReLU autoencoder")
    for level in (0, 0.5, 1):
        middle.axhline(level, **plots.CONTROL_LINE)
    nets = nets.assign(series="one start")
    plots.points(middle, nets, "relative importance", y="capacity C", ms=3, alpha=0.6)
    middle.set(xscale="log", xlabel="relative importance", ylabel="capacity C", title="ReLU autoencoder: 0, ½ or 1")
    uneven = plots.part(table, panel="unequal kurtoses")
    drawn = right.scatter(uneven["exact capacity"], uneven["capacity C"], c=np.log10(uneven["kurtosis"]), s=9)
    right.plot([0, 1], [0, 1], **plots.CONTROL_LINE, zorder=0)
    fig.colorbar(drawn, ax=right, label="log₁₀ kurtosis of the feature", location="bottom")
    right.set(xlabel="exact capacity C", ylabel="trained capacity C", title="Unequal kurtoses")
    return fig


def figx_transition_order(table: pd.DataFrame) -> Figure:
    """Capacity of the second of two features in one dimension against its relative importance, from three starting
    states, for four models; the largest jump against the spacing of the grid, which shrinks with it in the quadratic
    model; and the capacity of one feature against its importance for three densities of its own."""
    fig, axes = plt.subplots(2, 3, figsize=(10.5, 7))
    states = plots.part(table, quantity=C2)
    look = plots.styles(states)
    for style, marker in zip(look.values(), "o.x", strict=True):
        style |= {"marker": marker, "mfc": "none", "ms": 4, "alpha": 0.7}
    for ax, model in zip(axes.flat, dict.fromkeys(states["model"]), strict=False):
        plots.points(ax, plots.part(states, model=model), RATIO, look=look)
        ax.set(xscale="log", xlabel=RATIO, ylabel=C2, ylim=(-0.04, 1.04), title=model[0].upper() + model[1:])
    axes[0, 0].legend(loc="upper left", fontsize=9)
    jumps = plots.part(table, quantity=JUMP)
    plots.lines(axes[1, 1], jumps, SPACING, markers=True)
    axes[1, 1].set(xscale="log", yscale="log", xlabel=SPACING, ylabel=JUMP, title="Largest jump")
    axes[1, 1].minorticks_off()
    spacing = sorted(set(jumps[SPACING]))
    axes[1, 1].set_xticks(spacing, [f"{step:.2g}" for step in spacing])
    axes[1, 1].legend(fontsize=9)
    plots.lines(axes[1, 2], plots.part(table, quantity=ALONE), "relative importance", markers=True)
    axes[1, 2].set(xscale="log", xlabel="relative importance r", ylabel=ALONE, ylim=(0, 1.04))
    axes[1, 2].set_title("ReLU: density of one feature")
    axes[1, 2].legend(loc="lower right", fontsize=9)
    return fig


def figx_width_and_blocks(table: pd.DataFrame) -> Figure:
    """Left: number of polysemantic features against dimensions, constant in the quadratic model and growing in the ReLU
    autoencoder. Right: three sorted Gram matrices for a small penalty on overlaps |cos θ|^β of power 1, 2 and 4."""
    fig, axes = plt.subplots(1, 4, figsize=(10.5, 3.6), width_ratios=(1.3, 1, 1, 1))
    plots.lines(axes[0], plots.part(table, quantity=COUNT), "dimensions D", markers=True)
    ticks = sorted(set(table["dimensions D"].dropna()))
    axes[0].set(xlabel="dimensions D", ylabel=COUNT, ylim=(0, None), title="Width", xticks=ticks)
    axes[0].legend(fontsize=9)
    grams = plots.part(table, quantity=GRAM)
    limit = grams["value"].abs().max()
    for ax, series in zip(axes[1:], dict.fromkeys(grams["series"]), strict=True):
        draw_gram(ax, plots.part(grams, series=series), limit)
        ax.set_title(series.replace(": ", ":\n"), fontsize=9)
        ax.set_xlabel("feature")
    axes[1].set_ylabel("feature")
    fig.colorbar(axes[1].collections[0], ax=axes[1:], label=GRAM, shrink=0.8)
    return fig
