"""The figure of the family `real_images`, from its table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

IMPORTANCE, CAPACITY = "importance [share of the variance]", "capacity C, mean over networks"


def figx_real_networks(table: pd.DataFrame) -> Figure:
    """Capacity of image components in small networks against their importance, for photographs and digits, coloured by
    kurtosis, with random directions of the same lengths as crosses for comparison: they lie lower, in the same
    order."""
    kinds = list(dict.fromkeys(table["images"]))
    fig, axes = plt.subplots(1, len(kinds), figsize=(10.5, 4.3), sharey=True)
    shade = np.log10(table["kurtosis"])
    for ax, kind in zip(axes, kinds, strict=True):
        rows = plots.part(table, images=kind)
        random, trained = plots.part(rows, what="control"), plots.part(rows, what="measured")
        ax.set(xscale="log", xlabel=IMPORTANCE, title=kind.capitalize(), xlim=(5e-4, 0.5), ylim=(0, 1))
        plots.points(ax, random, IMPORTANCE, y=CAPACITY, marker="x", ms=5)
        drawn = ax.scatter(
            trained[IMPORTANCE], trained[CAPACITY], c=np.log10(trained["kurtosis"]), s=28, ec="black", lw=0.4,
            label="trained", zorder=3, vmin=shade.min(), vmax=shade.max(),
        )  # fmt: skip
    axes[0].set_ylabel(CAPACITY)
    axes[0].legend(loc="upper left")
    fig.colorbar(drawn, ax=axes, label="log₁₀ kurtosis of the component")
    return fig
