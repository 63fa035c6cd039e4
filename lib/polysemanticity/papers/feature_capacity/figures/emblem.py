"""The picture that stands for the paper, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

CAPACITY, EDGE, BAR = "capacity C", "importance ratio at an edge", "dimensions of a feature"
RATIO, KURTOSIS, INVERSE = "importance ratio", "kurtosis κ", "1/kurtosis"
WORDS = {"ignored": (0.22, 0.3), "shared": (0.9, 0.02), "alone": (4.5, 0.3)}
BLUE = plots.ROLES["measured"]["color"]


def figx_emblem(table: pd.DataFrame) -> Figure:
    """Left: how much of a dimension one special feature gets in trained models, over its importance and the density of
    inputs; grey it is ignored, coloured it shares, black it has a whole one, and the dashed edges are predicted; for
    dense inputs, where nothing is shared, a model may take the wrong side. Right: three bars show how ten dimensions
    are divided at the three marked points: the special feature in blue has no room, a shared room and a room of its
    own."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6), width_ratios=(1.1, 1))
    left.set(xscale="log", yscale="log")
    grid = plots.part(table, quantity=CAPACITY).pivot(index=INVERSE, columns=RATIO, values="value")
    shades = {"label": CAPACITY, "colorbar": False, "margin": 0.05}
    plots.capacity_map(left, grid.columns.to_numpy(), grid.index.to_numpy(), grid.to_numpy(), **shades)
    ends = left.get_xlim(), left.get_ylim()
    plots.lines(left, plots.part(table, quantity=EDGE), "value", y=INVERSE, linestyle=plots.PAPER_LINE["linestyle"])
    left.set(xlim=ends[0], ylim=ends[1], xlabel="importance ÷ that of the others", ylabel="density (1/kurtosis)")
    left.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    left.set_yticks([1, 1 / 3, 0.1, 0.01], ["1", "1/3", "0.1", "0.01"])
    left.minorticks_off()
    for words, place in WORDS.items():
        box = {"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.85}
        left.text(*place, words, ha="center", va="center", bbox=box, weight="bold")
    left.set_title("Trained: who shares, and the predicted edges", fontsize=10)
    bars = plots.part(table, quantity=BAR)
    names, budget = list(dict.fromkeys(bars["series"])), bars["dimensions D"].iloc[0]
    for row, name in enumerate(names):
        rows, start = plots.part(bars, series=name), 0.0
        for feature, value in rows[["feature", "value"]].itertuples(index=False):
            colour = BLUE if feature == 1 else plots.CONTROL_FILL
            right.barh(row, value, 0.42, left=start, color=colour, edgecolor="white", linewidth=0.8)
            start += value
        own = rows["value"].iloc[0]
        words = f"{row + 1}  {name}: {own:.2g} of a dimension"
        right.text(0.03 * budget, row - 0.34, words, color=BLUE, weight="bold", va="center")
        point = (rows[RATIO].iloc[0], rows[INVERSE].iloc[0])
        box = {"boxstyle": "circle", "fc": BLUE, "ec": "white"}
        left.text(*point, f"{row + 1}", color="white", weight="bold", ha="center", va="center", size=9, bbox=box)
    right.set(xlim=(0, budget), ylim=(len(names) - 0.6, -0.6), yticks=[], xlabel=f"{budget:.0f} dimensions, divided")
    right.grid(False)
    right.set_title("Importance buys room", fontsize=10)
    return fig
