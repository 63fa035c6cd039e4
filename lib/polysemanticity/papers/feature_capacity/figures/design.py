"""The figure of the family `design`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

COUNT, COST = "polysemantic features", "loss ÷ loss without penalty"
PLACES = ("penalty ÷ critical penalty", "penalty μ", "density p")


def figx_by_design(table: pd.DataFrame) -> Figure:
    """Above: polysemantic features against a penalty on interference in the quadratic model, where none is left beyond
    the critical penalty, and in the ReLU autoencoder; and against the density of inputs that a transform makes ±1,
    where none is left beyond one third. Below: what the two penalties cost."""
    fig, axes = plt.subplots(2, 3, figsize=(8, 5.4), sharex="col", height_ratios=(1.2, 1))
    look = plots.styles(table)
    for column, (model, place) in enumerate(zip(dict.fromkeys(table["model"]), PLACES, strict=True)):
        rows = plots.part(table, model=model)
        if column == 1:
            axes[0, 1].set_xscale("symlog", linthresh=0.03)
        plots.lines(axes[0, column], plots.part(rows, quantity=COUNT), place, look=look, markers=True)
        plots.lines(axes[1, column], plots.part(rows, quantity=COST), place, look=look, markers=True)
        axes[0, column].set(ylim=(-0.4, None))
        axes[1, column].set(ylim=(0, None), xlabel=place)
        axes[0, column].set_title(model[0].upper() + model[1:].replace(", ", ",\n"), fontsize=10)
    axes[1, 1].set(xlim=(-0.004, 14))
    axes[1, 1].set_xticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    axes[0, 0].set_ylabel(COUNT)
    axes[1, 0].set_ylabel(COST)
    for ax, end, words in ((axes[0, 0], 1, "theory: none beyond"), (axes[0, 2], 1 / 3, "1/3")):
        ax.axvline(end, **plots.CORRECTED_LINE, zorder=1)
        ax.text(end, 0.97, f" {words}", va="top", color=plots.CORRECTED, transform=ax.get_xaxis_transform(), fontsize=9)
    axes[1, 2].set_axis_off()
    axes[0, 2].tick_params(labelbottom=True)
    axes[0, 2].set_xlabel(PLACES[2])
    handles, names = axes[0, 2].get_legend_handles_labels()
    axes[1, 2].legend(handles, names, loc="center", title="inputs that are not 0")
    return fig
