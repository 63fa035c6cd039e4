"""The figure of the family `cooccurrence`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

WEIGHT, SHARE, HALF_LIFE = "weight of a pair or cost ÷ λ", "polysemantic neurons ÷ without pairs", "half-life p*"


def figx_cooccurrence(table: pd.DataFrame) -> Figure:
    """Left: count of polysemantic neurons, relative to that without co-occurrence, against the weight of a pair
    divided by the regularization: the curves for all regularizations fall together, to half at about a tenth, on the
    curve for a cost of opposite signs. Independent features lie near zero. Right: the half-life against the
    regularization on logarithmic axes, along a line of slope one."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6), width_ratios=(3, 2))
    look = plots.styles(table)
    rows = plots.part(table, quantity=SHARE)
    pairs, star = (rows[(rows["what"] == "measured") & found] for found in _pairs(rows))
    left.set(xscale="log")
    plots.lines(left, pairs, WEIGHT, look=look, markers=True)
    plots.lines(left, rows[(rows["what"] == "control") & rows[WEIGHT].notna()], WEIGHT, look=look)
    plots.points(left, star, WEIGHT, look=look, marker="*", ms=13, zorder=3)
    drawing.levels(left, rows[rows[WEIGHT].isna()], look=look)
    left.set(xlabel="weight p of a pair ÷ λ", ylabel=SHARE, title="Features seen together part", ylim=(-0.05, 1.4))
    left.legend(loc="upper right")

    rows = plots.part(table, quantity=HALF_LIFE)
    right.set(xscale="log", yscale="log")
    plots.points(right, plots.part(rows, what="measured"), "λ", look=look, capsize=3)
    known = plots.part(rows, what="control")
    line = known["series"].str.startswith("p*")
    plots.lines(right, known[line], "λ", look=look)
    plots.points(right, known[~line], "λ", look=look, marker="s", mfc="none")
    right.set(xlabel="λ", ylabel="half-life p*: weight that halves the count", title="The half-life goes as λ")
    ticks = sorted(set(plots.part(rows, what="measured")["λ"]))
    right.set_xticks(ticks, [f"{l1:g}" for l1 in ticks])
    right.set_yticks([0.003, 0.01, 0.03], ["0.003", "0.01", "0.03"])
    right.minorticks_off()
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return fig


def _pairs(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Which rows are of pairs, and which are not."""
    found = rows["series"].str.startswith("pairs")
    return found, ~found
