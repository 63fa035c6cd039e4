"""The figures of the family `architectures`, from their tables."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

GRAM = "entry of the Gram matrix WᵀW"
MAPPED = ("share of dimensions in digons", "share of features in the largest block")


def figx_architectures(table: pd.DataFrame) -> Figure:
    """Two panels of the polysemantic share against density, for six architectures. Of the represented features it rises
    to one as inputs get sparse for quadratic, ReLU, GELU and hidden ReLU, and stays near zero for tanh and linear. Of
    all features the four end at different levels."""
    fig, axes = plt.subplots(1, 2, figsize=(8, 4.4), sharex=True, sharey=True)
    look = plots.styles(table)
    for name, marker in zip(look, plots.MARKERS, strict=False):
        look[name] |= {"marker": marker}
    titles = ("Represented: they come to share", "All: to different levels")
    for ax, quantity, title in zip(axes, dict.fromkeys(table["quantity"]), titles, strict=True):
        plots.lines(ax, plots.part(table, quantity=quantity), "density", look=look, markers=True)
        _sparse_to_the_right(ax, table["density"])
        ax.set(ylim=(-0.03, 1.03), title=title)
        ax.set_ylabel(quantity, visible=True)
        ax.yaxis.set_tick_params(labelleft=True)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=6, title="bands: 95 % of the mean over starts")
    return fig


def figx_crossover(table: pd.DataFrame) -> Figure:
    """Maps over features per dimension and density for ReLU above and GELU below: left, share of dimensions in digons,
    one in the outlined column N = 2D; right, share of features in the largest block, one for ReLU beyond two
    features per dimension and sparse inputs, for GELU at four and the sparsest only."""
    fig, axes = plt.subplots(2, 2, figsize=(8, 6.2), sharex=True, sharey=True)
    for row, series in zip(axes, dict.fromkeys(table["series"]), strict=True):
        for ax, quantity in zip(row, MAPPED, strict=True):
            found = plots.part(table, series=series, quantity=quantity)
            entries = found.pivot(index="density", columns="features per dimension N/D", values="value")
            _numbers(ax, entries)
            ax.set_title(f"{series}: {quantity.removeprefix('share of ')}", fontsize=10)
            if quantity == MAPPED[0]:
                place = abs(entries.columns.to_numpy() - 2).argmin()
                box = {"fill": False, "ec": plots.CORRECTED_LINE["color"], "lw": 3, "clip_on": False, "zorder": 5}
                ax.add_patch(plt.Rectangle((place, 0), 1, len(entries), **box))
    fig.colorbar(axes[0, 0].collections[0], ax=axes, label="share, mean over starts", shrink=0.7)
    fig.suptitle("At N = 2D all dimensions hold digons; beyond, sparse inputs merge them", weight="bold", fontsize=11)
    fig.supxlabel("features per dimension N/D (outlined: N = 2D)", fontsize=10)
    fig.supylabel("density (sparse at the bottom)", fontsize=10)
    return fig


def _numbers(ax: Axes, entries: pd.DataFrame) -> None:
    entries = entries.sort_index(ascending=False)
    mesh = ax.pcolormesh(np.arange(len(entries.columns) + 1), np.arange(len(entries) + 1), entries, vmin=0, vmax=1)
    mesh.set_rasterized(True)
    for row, column in np.ndindex(entries.shape):
        value = entries.iloc[row, column]
        shade = "white" if value < 0.6 else "black"
        ax.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=9)
    ax.grid(False)
    ax.set_ylim(len(entries), 0)
    ax.set_xticks(np.arange(len(entries.columns)) + 0.5, [f"{ratio:.3g}" for ratio in entries.columns])
    ax.set_yticks(np.arange(len(entries)) + 0.5, [f"{density:g}" for density in entries.index])


def draw_gram(ax: Axes, entries: pd.DataFrame, limit: float) -> None:
    size = int(entries["places"].iloc[0])
    gram = np.zeros((size, size))
    places = entries[["place", "other place"]].to_numpy(int) - 1
    gram[places[:, 0], places[:, 1]] = entries["value"]
    ax.pcolormesh(gram, cmap=plots.DIVERGING, vmin=-limit, vmax=limit, rasterized=True)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.invert_yaxis()
    ax.grid(False)


def _sparse_to_the_right(ax: Axes, densities: Iterable[float]) -> None:
    ticks = sorted(set(densities))
    ax.set(xscale="log", xlabel="density (sparse to the right)", xlim=(1.1 * ticks[-1], ticks[0] / 1.1))
    ax.minorticks_off()
    ax.set_xticks(ticks, [f"{density:g}" for density in ticks])
