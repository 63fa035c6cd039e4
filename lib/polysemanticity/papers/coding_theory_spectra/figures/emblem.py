"""The picture that stands for the paper, from its table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

AXES = ["axis 1", "axis 2", "axis 3"]
WORDS = {"smooth": (3.2, 2.9), "jagged": (1.25, 1.3)}


def figx_emblem(table: pd.DataFrame) -> Figure:
    """Left: the exponent of a code's spectrum above which its random projections are smooth, against the dimension of
    the stimulus: measured points lie on 1 + 2/d, not on the paper's 1. Right: a random projection of a code of an angle
    with an exponent below the line, and one above it; the marks on the left say where they are."""
    fig = plt.figure(figsize=(8.6, 3.6))
    grid = fig.add_gridspec(1, 3, width_ratios=(2, 1, 1))
    ax = fig.add_subplot(grid[0])
    limits, curves = plots.part(table, quantity="threshold of a"), plots.part(table, quantity="projection")
    law = plots.part(limits, what="corrected")
    top = curves["exponent a"].max() + 0.5
    ax.fill_between(law["dimension d"], law["value"], top, color=plots.CONTROL_FILL, alpha=0.5, linewidth=0)
    plots.lines(ax, plots.part(limits, what=["corrected", "paper"]), "dimension d")
    measured = plots.part(limits, what="measured").assign(series="measured")
    plots.points(ax, measured, "dimension d", zorder=4)
    ax.set_xscale("log")
    ax.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    ax.minorticks_off()
    ax.set(xlabel="dimension d of the stimulus", ylabel="exponent a of the spectrum", ylim=(0.7, top), xlim=(0.9, 8.5))
    for words, place in WORDS.items():
        ax.text(*place, words, ha="center", va="center", weight="bold")
    ax.set_title("Where projections are smooth", fontsize=10)
    ax.legend(loc="upper right", fontsize=9)
    for letter, (a, rows) in zip("AB", curves.groupby("exponent a"), strict=True):
        box = {"boxstyle": "circle", "fc": "white", "ec": "black"}
        ax.annotate(letter, (1.0, a), bbox=box, fontsize=8, ha="center", va="center", annotation_clip=False)
        panel = fig.add_subplot(grid["AB".index(letter) + 1], projection="3d")
        points = rows[AXES].to_numpy()
        panel.plot(*np.vstack([points, points[:1]]).T, linewidth=0.8, color=plots.ROLES["measured"]["color"])
        panel.set_axis_off()
        panel.set_box_aspect(None, zoom=1.05)
        panel.set_title(f"{letter}: a = {a:g}", loc="center", fontsize=10)
    return fig
