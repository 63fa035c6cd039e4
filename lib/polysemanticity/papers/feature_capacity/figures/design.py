"""The figure of the family `design`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

COUNT = "polysemantic features"
COSTS = ("loss ÷ least monosemantic loss", "loss")


def figx_by_design(table: pd.DataFrame) -> Figure:
    """Above: polysemantic features against a penalty on interference, for the quadratic model, where none is left
    beyond the critical penalty, and for the ReLU autoencoder; beside them, kurtosis and polysemantic features against
    the power of a transform of the inputs, whose kurtosis stays above one over density. Below: the loss that the
    penalties cost."""
    fig, axes = plt.subplots(2, 3, figsize=(10.5, 6.4))
    models = list(dict.fromkeys(table["model"]))
    for column, (model, place) in enumerate(zip(models[:2], ("penalty ÷ critical penalty", "penalty μ"), strict=True)):
        rows = plots.part(table, model=model)
        for ax, quantity in zip(axes[:, column], (COUNT, COSTS[column]), strict=True):
            plots.lines(ax, plots.part(rows, quantity=quantity), place, markers=True)
            ax.set(xlabel=place, ylabel=quantity, ylim=(0, None))
            if column == 1:
                ax.set_xscale("symlog", linthresh=0.03)
                ax.set(xlim=(-0.004, 14))
                ax.set_xticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
        axes[0, column].set_title(model[0].upper() + model[1:])
    for ax in axes[:, 0]:
        ax.axvline(1, **plots.CORRECTED_LINE, label="theory: none shared beyond")
    axes[0, 0].legend(loc="upper right")
    axes[0, 0].set_ylim(0, 1.5 * axes[0, 0].get_ylim()[1])
    rows, place = plots.part(table, model=models[2]), "power γ of the transform"
    for ax, quantity in zip(axes[:, 2], ("kurtosis", COUNT), strict=True):
        plots.lines(ax, plots.part(rows, quantity=quantity), place)
        ax.set(xlabel=place, ylabel=quantity, ylim=(0, None))
        ax.legend(loc="lower right")
    axes[0, 2].set_title(models[2][0].upper() + models[2][1:])
    return fig
