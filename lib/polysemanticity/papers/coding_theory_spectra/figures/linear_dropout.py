"""The figure of the family `linear_dropout`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.coding_theory_spectra import linear_dropout as family


def figx_linear_dropout(table: pd.DataFrame) -> Figure:
    """What linear autoencoders keep of each principal component of their inputs, at four dropout rates: measured
    (points) and by theory (lines), which takes the same amount off every component."""
    fig, ax = plt.subplots(figsize=(6.5, 4))
    look = plots.styles(plots.part(table, what="measured"))
    ax.set(xscale="log", xlabel="principal component of the inputs", ylabel=family.KEPT, xlim=(0.9, 36))
    plots.lines(ax, plots.part(table, what="corrected"), "component", y=family.KEPT, look=look)
    plots.points(ax, plots.part(table, what="measured"), "component", y=family.KEPT, look=look, markersize=3)
    ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    ax.minorticks_off()
    handles, labels = ax.get_legend_handles_labels()
    half = len(labels) // 2
    ax.legend(handles[half:], [f"{name} (line: theory)" for name in labels[half:]])
    return fig
