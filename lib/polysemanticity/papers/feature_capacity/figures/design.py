"""The figure of the family `design`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from polysemanticity import plots

COUNT, COST = "polysemantic features", "loss ÷ loss without penalty"
PLACES = ("penalty ÷ critical penalty", "penalty μ", "density p")


def figx_by_design(table: pd.DataFrame) -> Figure:
    """Above: polysemantic features against a penalty on interference in the quadratic model, where none is left beyond
    the critical penalty, and in the ReLU autoencoder; and against the density of inputs that a transform makes ±1,
    where none is left beyond one third. Below: what the two penalties cost."""
    fig, axes = plt.subplots(2, 3, figsize=(8, 5.4), sharex="col", height_ratios=(1.2, 1))
    look = plots.styles(table)
    look[COUNT] = look[COST] = {**plots.ROLES["measured"], "marker": "o"}
    for column, (model, place) in enumerate(zip(dict.fromkeys(table["model"]), PLACES, strict=True)):
        rows = plots.part(table, model=model)
        if column == 1:
            axes[0, 1].set_xscale("symlog", linthresh=0.03)
        for ax, quantity in zip(axes[:, column], (COUNT, COST), strict=True):
            plots.lines(ax, plots.part(rows, quantity=quantity), place, look=look, markers=True)
            ax.set(xlabel=place, ylabel=quantity if column == 0 else "")
        axes[0, column].set_ylim(-0.4, 17)
        axes[1, column].set_ylim(0, 2.6)
        axes[0, column].set_title(model[0].upper() + model[1:].replace(", ", ",\n"), fontsize=10)
    axes[1, 1].set(xlim=(-0.004, 14))
    axes[1, 1].set_xticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    axes[1, 1].xaxis.set_minor_locator(NullLocator())
    for ax, end, words, height in ((axes[0, 0], 1, "theory:\nnone beyond", 0.97), (axes[0, 2], 1 / 3, "1/3", 0.6)):
        ax.axvline(end, **plots.CORRECTED_LINE, zorder=1)
        place = {"va": "top", "transform": ax.get_xaxis_transform(), "fontsize": 9}
        ax.text(1.03 * end, height, words, color=plots.CORRECTED_LINE["color"], **place)
    axes[1, 2].set_axis_off()
    axes[0, 2].tick_params(labelbottom=True)
    axes[0, 2].xaxis.label.set_visible(True)
    handles, names = axes[0, 2].get_legend_handles_labels()
    axes[1, 2].legend(handles, names, loc="center", title="inputs that are not 0")
    axes[1, 2].text(0.5, 0.15, "bands: 95 % of the mean over starts", ha="center", fontsize=9)
    return fig
