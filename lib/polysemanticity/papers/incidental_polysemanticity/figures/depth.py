"""The figure of the family `depth`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

M, NEURONS = "neurons m per layer", "polysemantic neurons per network"


def figx_depth(table: pd.DataFrame) -> Figure:
    """Polysemantic neurons of the first and the second hidden layer against the number of neurons on a logarithmic
    axis. Linear layers lie far above the law of a single layer and fall slowly, less far above it where the second
    layer starts as the identity. ReLU layers with the regularization on weights fall steeply, below the law; with it
    on activations they lie above the law too."""
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 5.2), sharey=True)
    look = plots.styles(table)
    for ax, (layer, rows) in zip(axes, table.groupby("layer", sort=False), strict=True):
        ax.set(xscale="log")
        plots.lines(ax, plots.part(rows, what=["corrected", "control"]), M, y=NEURONS, look=look)
        seen = plots.part(rows, what="measured")
        plots.points(ax, seen, M, y=NEURONS, look=look, dodge=0.03, joined=True)
        ax.set(xlabel=M, title=f"{layer.capitalize()} hidden layer", ylim=(0, None))
        ax.set_xticks(sorted(set(rows[M])), [f"{m}" for m in sorted(set(rows[M]))])
        ax.minorticks_off()
    axes[0].set_ylabel(NEURONS)
    axes[1].set_ylabel("")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig
