"""The figure of the family `correlated`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_correlated(table: pd.DataFrame) -> Figure:
    """Mean squared cosine of partner features against how often they are active together, in two sizes: one for
    exclusive partners, as low as all other pairs where activity is independent and zero just beyond, whether or not
    there is a dimension for each pair; all other pairs stay low."""
    fig, ax = plt.subplots(figsize=(7, 4.2))
    look = plots.marked(plots.styles(table))
    plots.lines(ax, table, "co-activity q", y="mean squared cosine", look=look, markers=True)
    ax.axvline(1, color=plots.CONTROL, lw=0.8)
    ax.text(1.04, 0.6, "independent", color=plots.CONTROL, rotation=90, va="center")
    ax.set(xlabel="q = E x²y² of partners: 0 exclusive, 5 always together", ylabel="mean squared cosine")
    ax.set(ylim=(0, 1.03), title="Exclusive features share a line, features active together avoid each other")
    ax.legend(title="mean over starts and its 95 % interval", loc="upper right")
    return fig
