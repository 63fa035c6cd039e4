"""The figure of the family `bound`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

SHARE, PER_DIMENSION = "share of the dimensions in use Σ C/D", "features per dimension N/D"


def figx_bound(table: pd.DataFrame) -> Figure:
    """Share of ten dimensions in use against features per dimension: random embeddings of every kind stay below one,
    Gaussian ones follow N/(N+D−1) and come close to one, block-semi-orthogonal ones reach one."""
    fig, ax = plt.subplots(figsize=(7.5, 4.4))
    ax.set(xscale="log", xlabel=PER_DIMENSION, ylabel=SHARE, ylim=(0, 1.06))
    look, drawn = plots.styles(table), plots.part(table, what="measured")
    plots.lines(ax, table[table["what"] != "measured"], PER_DIMENSION, y=SHARE, look=look)
    plots.points(ax, drawn, PER_DIMENSION, y=SHARE, look=look, dodge=0.08)
    ticks = sorted(set(drawn[PER_DIMENSION]))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(ncols=2, loc="lower right")
    one = drawn.iloc[0]
    ax.set_title(f"Nothing crosses the bound (D = {one['dimensions D']}; 95 % range of {one['embeddings']} embeddings)")
    return fig
