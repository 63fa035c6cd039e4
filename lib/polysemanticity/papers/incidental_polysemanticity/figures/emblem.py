"""The picture that stands for the paper, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

MAP, COUNT = "weight", "shared neurons ÷ law"
BLUE = plots.ROLES["measured"]["color"]
COLOURS = {
    "sharing is free": BLUE,
    "sharing has a price": plots.SERIES[1],
    "sharing is favoured": plots.SERIES[5],
}


def figx_emblem(table: pd.DataFrame) -> Figure:
    """Left: the weights of one network with two neurons for every feature, dense noise at the start and one entry per
    feature at the end; triangles mark neurons that two features of opposite signs share by accident. Right: how many
    neurons are shared, divided by the law n²/4m or its exact form, under nine conditions: near the law where sharing is
    free, hardly any where it has a price, several times as many in two linear layers."""
    fig, (first, second, right) = plt.subplots(1, 3, figsize=(8, 3.4), width_ratios=(1, 1, 1.2))
    for ax, name in ((first, "start"), (second, "end")):
        entries = plots.part(table, quantity=MAP, series=name)
        plots.matrix(ax, entries, "feature", "neuron", label=MAP, limit=0.45 if name == "start" else 1, colorbar=False)
        ax.set(xticks=[], yticks=[], ylabel="", xlabel="neurons" if name == "start" else "neurons in use")
    shared = int(plots.part(table, quantity=MAP)["shared neurons"].iloc[0])
    above = {"transform": second.get_xaxis_transform(), "clip_on": False, "in_layout": False}
    second.plot([k + 0.5 for k in range(shared)], [1.02] * shared, "v", color="black", markersize=3, **above)
    first.set_ylabel("features")
    first.set_title("Chance at the start …", fontsize=10, pad=9)
    second.set_title(f"… {shared} shared neurons", fontsize=10, pad=9)
    found = plots.part(table, quantity=COUNT)
    for place, row in enumerate(found.to_dict("records")):
        look = plots.ROLES["paper"]["color"] if row["what"] == "paper" else COLOURS[row["series"]]
        bar = [[row["value"] - max(row["low"], 0)], [row["high"] - row["value"]]]
        right.errorbar(
            [row["value"]],
            [place],
            xerr=bar,
            marker="o",
            mfc="white" if row["what"] == "paper" else look,
            color=look,
            capsize=2,
            linestyle="none",
        )
    right.axvline(1, **plots.ROLES["corrected"])
    right.set_yticks(range(len(found)), found["condition"], fontsize=9)
    right.yaxis.tick_right()
    right.set(ylim=(len(found) - 0.5, -0.5), xlim=(-0.1, None), xlabel=f"{COUNT} (95 % intervals)")
    right.grid(False, axis="y")
    for series, rows in found.groupby("series", sort=False):
        middle = found["series"].tolist().index(series) + (len(rows) - 1) / 2
        side = (
            {"ha": "left", "x": 1.15}
            if rows["value"].max() < 1.5
            else {"ha": "right", "x": 2.75, "bbox": {"fc": "white", "ec": "none", "pad": 1}}
        )
        right.text(y=middle, s=series, va="center", fontsize=8, color=COLOURS[series], weight="bold", **side)
    right.set_title("The law n²/4m, and what ends it", fontsize=10, pad=9)
    return fig
