"""The figure of the family `bits`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

CAPACITY, BITS = "capacity C", "information of the read-out [bit]"


def figx_bits(table: pd.DataFrame) -> Figure:
    """Information that the read-out in a feature's own direction has about it, against its capacity: Gaussian features
    lie on −½ log₂(1 − C), half a bit for half a dimension; heavy-tailed ones lie above it at small capacities, mostly
    below it at large ones."""
    fig, ax = plt.subplots(figsize=(7, 4))
    look = plots.styles(table)
    plots.lines(ax, plots.part(table, what="corrected"), CAPACITY, y=BITS, look=look)
    plots.points(ax, plots.part(table, what="measured"), CAPACITY, y=BITS, look=look)
    ax.plot([0.5, 0.5, 0], [0, 0.5, 0.5], **plots.CONTROL_LINE)
    ax.set(xlabel=CAPACITY, ylabel=BITS, xlim=(0, 1), ylim=(0, 3))
    ax.set_title("Half a dimension is worth half a bit of a Gaussian feature")
    ax.legend(loc="upper left")
    return fig
