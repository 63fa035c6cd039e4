"""The figures of the family `across_networks`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_generalisation(table: pd.DataFrame) -> Figure:
    """Rank correlation of the exponent with held-out loss, with the loss that noise adds and with that which an attack
    adds, at equal training loss, in two families of networks. Left of the line, steeper goes with better. A family too
    few of whose networks learnt is grey; without a value, the training loss alone fixes the ranks."""
    names, y = list(dict.fromkeys(table["networks"])), "rank correlation with a"
    look = plots.styles(table, "networks")
    fig, axes = plt.subplots(1, 3, figsize=(8, 2.6), sharey=True)
    for ax, (loss, rows) in zip(axes, table.groupby("loss", sort=False), strict=True):
        places = rows.assign(place=rows["networks"].map(names.index))
        plots.points(ax, places, "place", "networks", y=y, look=look, horizontal=True)
        ax.axvline(0, **plots.CONTROL_LINE)
        for place in places.loc[places[y].isna(), "place"]:
            ax.annotate("no value", (0.06, place), va="center", fontsize=9)
        ax.set(title=loss[0].upper() + loss[1:].replace("that ", "that\n"), xlim=(-1.08, 1.08), xlabel=y)
        ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes[0].set_yticks(range(len(names)), [name.replace(" and ", "\nand ").replace(" (", "\n(") for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    return fig


def figx_slope_prediction(table: pd.DataFrame) -> Figure:
    """Exponent against the dropout rate in two families of networks, beside the line that it would follow if spectral
    decay alone paid for dropout: the ResNet-VAEs' rises by less, with batch norm recalibrated and in eval mode alike;
    the ReLU autoencoders' hardly changes, others' fall or rise a little, all far from the line."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4))
    for ax, (networks, rows) in zip(axes, table.groupby("networks", sort=False), strict=True):
        look = plots.styles(rows)
        plots.lines(ax, plots.part(rows, what="corrected"), "dropout rate p", y="exponent a", look=look)
        measured = plots.part(rows, what="measured")
        plots.lines(ax, measured, "dropout rate p", y="exponent a", look=look, markers=True)
        ax.set(title=networks, xlabel="dropout rate p", ylabel="exponent a, mean over layers", ylim=(0, None))
        ax.legend(loc="lower left")
    return fig
