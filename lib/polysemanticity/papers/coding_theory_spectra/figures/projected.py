"""The figures of random projections of power-law codes, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_smoothness(table: pd.DataFrame) -> Figure:
    """Squared step of random projections against the step's length, in one dimension; its power against the spectral
    exponent for one, two and four dimensions, which follows the law min(2, d(a − 1)); and the exponent at which a
    straight line through its rise reaches 2, on the curve 1 + 2/d and not at the paper's 1."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8, 5))
    steps, powers, thresholds = (part for _, part in table.groupby("quantity", sort=False))
    left.set(xscale="log", yscale="log")
    look = plots.styles(steps)
    for number, style in enumerate(look.values()):  # the last two coincide: the first of them is wider
        style["linewidth"] = 4 if number == len(look) - 2 else 1.4
    plots.lines(left, steps, "step [radians]", look=look, markers=True)
    left.set(title="One dimension", xlabel="length of the step [radians]", ylabel=steps["quantity"].iloc[0])
    look = plots.styles(powers)
    plots.lines(middle, plots.part(powers, what="corrected"), "exponent a", look=look)
    for line in middle.lines:
        line.set_label("min(2, d(a − 1))" if line is middle.lines[0] else "_the same")
    plots.points(middle, plots.part(powers, what="measured"), "exponent a", look=look)
    paper = plots.part(thresholds, what="paper")
    middle.axvline(paper["value"].iloc[0], **plots.PAPER_LINE, label="the paper: smooth from here")
    middle.set(title="Power of the squared step", xlabel="exponent a of the spectrum", ylabel="power of the length")
    plots.lines(right, plots.part(thresholds, what=["corrected", "paper"]), "dimension d")
    plots.points(right, plots.part(thresholds, what="measured"), "dimension d")
    right.set(title="Smooth above", xlabel="dimension d of the stimulus", ylabel="exponent a", ylim=(0.8, 3.6))
    for ax in (left, middle, right):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return fig


def figx_action(table: pd.DataFrame) -> Figure:
    """Mean squared projection over the paper's value, far below 1 and falling with the number of units, and over the
    corrected one, which is 1 within about the error, against the exponent; and the finite sums of the spectrum, which
    reach the paper's zeta function for large exponents only."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 4.2))
    titles = {
        "measured ÷ ½ζ(a)": "Over the paper's ½ζ(a)",
        "measured ÷ (3/2m) Σ i^-a": "Over (3/2m) Σ i$^{-a}$",
        "Σ i^-a": "The finite sums\nand ζ(a)",
    }
    for ax, (quantity, title) in zip(axes, titles.items(), strict=True):
        rows = plots.part(table, quantity=quantity)
        ax.set(title=title, yscale="linear" if title.startswith("Over (") else "log")
        plots.lines(ax, plots.part(rows, what=["paper", "corrected"]), "exponent a")
        dodge = 0.25 if title.startswith("Over (") else 0
        plots.points(ax, plots.part(rows, what="measured"), "exponent a", dodge=dodge, joined=True)
        ax.set(xlabel="exponent a", ylabel="sum" if quantity.startswith("Σ") else "measured ÷ expected")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes[0].set(ylim=(1e-3, 40), xlim=(1, None))
    axes[1].set_ylim(0.9, 1.1)
    axes[2].set_ylim(1, 100)
    return fig
