"""The figure of the family `winner_takes_all`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

SPARSE, SHARED = "participation of the codes", "polysemantic neurons ÷ exact count"
BESIDE = {  # where the name of a force stands, in points from its mark
    "nothing": (24, 10),
    "layer norm": (24, 28),
    "AdamW": (-34, 40),
    "dropout": (-4, 22),
    "l1": (-58, 0),
    "reward on fourth norm": (-150, -14),
    "top-1": (-50, 0),
    "softmax": (-24, 30),
    "bipolar noise": (-110, 12),
}


def figx_winner_takes_all(table: pd.DataFrame) -> Figure:
    """Networks with different forces on the hidden layer, by participation of their codes and by the number of
    polysemantic neurons relative to the exact count. l1, a reward on the fourth norm and top-1 are sparse and share
    neurons; bipolar noise and softmax are sparse without sharing; the others are neither."""
    fig, ax = plt.subplots(figsize=(9, 4.8))
    look = plots.styles(table)
    ax.set(xscale="log")
    seen = plots.part(table, what="measured")
    wide = seen.pivot(index=["series", "force"], columns="quantity", values=["value", "low", "high"]).reset_index()
    for series, rows in wide.groupby("series"):
        middle, low, high = (rows[end] for end in ("value", "low", "high"))
        errors = {
            axis: [middle[name] - low[name], high[name] - middle[name]]
            for axis, name in (("xerr", SPARSE), ("yerr", SHARED))
        }
        style = {**look[series], "marker": "o", "linestyle": "none", "capsize": 2}
        ax.errorbar(middle[SPARSE], middle[SHARED], **errors, label=series, **style)
    drawing.levels(ax, plots.part(table, what="corrected"), look=look)
    arrow = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.4}
    for force, x, y in zip(wide["force"], wide["value"][SPARSE], wide["value"][SHARED], strict=True):
        ax.annotate(force, (x, y), xytext=BESIDE[force], textcoords="offset points", fontsize=9, arrowprops=arrow)
    ax.set(xlabel=f"{SPARSE}: 1 is one neuron for each feature", ylabel=SHARED, title="Two readouts of nine forces")
    ax.set(xlim=(0.018, 1.25), ylim=(-0.1, None))
    ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    ax.minorticks_off()
    ax.legend(loc="upper left", bbox_to_anchor=(0.1, 0.98))
    return fig
