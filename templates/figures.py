"""The figures of the family `overlaps`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def fig1_overlaps(table: pd.DataFrame) -> Figure:
    """Mean squared overlap of random directions against the number of dimensions, on logarithmic axes: points with
    intervals lie on the line of one over the number of dimensions."""
    fig, ax = plt.subplots(figsize=(5, 3.6))
    ax.set(xscale="log", yscale="log")
    plots.lines(ax, plots.part(table, what="paper"), "dimensions D", y="mean squared overlap")
    plots.points(ax, plots.part(table, what="measured"), "dimensions D", y="mean squared overlap")
    ax.set_title("Random directions are nearly orthogonal")
    ax.set(xlabel="dimensions D", ylabel="mean squared overlap")
    ax.legend()
    return fig
