"""The figure of the family `necessity`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

SHARE, MEASURED, PLANTED = "share of pairs", "measured price ÷ λ", "planted price ÷ λ"
NECESSARY = "necessary"


def figx_necessity(table: pd.DataFrame) -> Figure:
    """Left: how planted pairs were diagnosed, a map of planted against diagnosed kind with the share of pairs and its
    interval; the diagonal holds nearly all. Right: measured against planted price of costly and of useful pairs, along
    the line of equal prices, but for pairs of a high price that have begun to part, in grey, whose price is no longer
    paid."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.2))
    rows = plots.part(table, quantity=SHARE)
    kinds = list(dict.fromkeys(rows["diagnosed"]))
    shares = rows.pivot(index="planted", columns="diagnosed", values="value").reindex(index=kinds, columns=kinds)
    left.imshow(shares, cmap="Greys", vmin=0, vmax=1.4)
    for _, row in rows.iterrows():
        x, y = kinds.index(row["diagnosed"]), kinds.index(row["planted"])
        said = f"{row['value']:.0%}\n{100 * row['low']:.0f}–{row['high']:.0%}" if row["value"] > 0 else "0"
        left.text(x, y, said, ha="center", va="center", fontsize=9, color="white" if row["value"] > 0.7 else "black")
    names = ["necessary*" if kind == NECESSARY else kind for kind in kinds]
    left.set_xticks(range(len(kinds)), names, rotation=20)
    left.set_yticks(range(len(kinds)), names)
    left.grid(False)
    left.set(xlabel="diagnosed (95 % intervals)\n*no neuron is free: by counting", ylabel="planted")
    judged = rows[(rows["planted"] == rows["diagnosed"]) & (rows["planted"] != NECESSARY)]["value"]
    left.set_title(f"{judged.mean():.0%} rightly told apart\n(chance {1 / len(judged):.0%})")
    prices = plots.part(table, quantity=MEASURED)
    look = plots.styles(prices)
    for kind, part in prices.groupby("series", sort=False):
        style = {"color": look[kind]["color"], "marker": look[kind].get("marker", "o")}
        style |= {} if "marker" in look[kind] else {"markerfacecolor": "none"}
        right.plot(part[PLANTED], part["value"], linestyle="none", markersize=4, alpha=0.7, label=kind, **style)
    ends = [prices[PLANTED].min(), prices[PLANTED].max()]
    right.plot(ends, ends, label="measured = planted", **plots.CONTROL_LINE)
    right.set(
        xlabel="planted price ÷ λ (below 0: sharing saves)",
        ylabel=MEASURED,
        title="Measured against\nplanted price",
    )
    right.legend(loc="upper left")
    return fig
