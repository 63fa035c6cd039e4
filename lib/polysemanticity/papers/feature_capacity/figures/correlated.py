"""The figure of the family `correlated`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_correlated(table: pd.DataFrame) -> Figure:
    """Mean squared cosine of partner features against how often they are active together: one for exclusive partners,
    falling to zero; all other pairs stay between. A dotted line marks independent partners."""
    fig, ax = plt.subplots(figsize=(7, 4.2))
    plots.lines(ax, table, "co-activity q", y="mean squared cosine", markers=True)
    ax.axvline(1, **plots.CONTROL_LINE, label="independent")
    ax.set(xlabel="q = E x²y² of partners: 0 exclusive, 5 always together", ylabel="mean squared cosine")
    ax.set(ylim=(0, 1.03), title="Partners that are active together avoid each other")
    ax.legend()
    return fig
