"""The figure of the family `depth`, from its table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

X = "neurons per feature"
TICKS = (0, 0.25, 0.5, 1, 2, 4, 6, 8)


def figx_depth(table: pd.DataFrame) -> Figure:
    """Polysemantic neurons divided by the law of one layer, against neurons per feature, for the layers of deeper
    networks, on a square-root axis. Linear tied layers rise far above the law; where
    onward gains are held equal they stay on it, and layers of ReLU networks lie below it. Hollow: fewer than three
    networks in four reconstruct."""
    fig, ax = plt.subplots(figsize=(8, 4.6))
    look = plots.styles(table, "arm")
    labels = []
    for arm, rows in table.groupby("arm", sort=False):
        for _, line in rows.groupby("series", sort=False):
            style = {**look[arm], **({"marker": "none"} if rows["what"].iloc[0] != "measured" else {})}
            ax.plot(line[X], line["value"], **style)
            ends = line.dropna(subset=["low", "high"])
            if rows["what"].iloc[0] == "measured":
                few = line[line["low"].isna()]
                hollow = {"color": style["color"], "marker": style["marker"], "mfc": "white", "linestyle": "none"}
                ax.plot(few[X], few["value"], **hollow, zorder=4)
            ax.vlines(ends[X], ends["low"].clip(lower=0), ends["high"], color=style["color"], linewidth=1)
        last = rows[rows[X] == rows[X].max()]["value"]
        labels.append((float(last.mean()), arm, look[arm]["color"]))
    ax.set(xscale="log", xlabel="neurons per feature in each hidden layer, m/n", xlim=(0.92, 4.2))
    ax.set_yscale("function", functions=(lambda y: np.sqrt(np.clip(y, 0, None)), np.square))
    top = float(table[["value", "high"]].max().max())
    ax.set(
        ylim=(0, 1.05 * top),
        ylabel="polysemantic neurons ÷ law of one layer\n(bars: 95 %; hollow: few networks reconstruct)",
    )
    ticks = [tick for tick in TICKS if tick <= top]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    sizes = sorted(set(table[X]))
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.minorticks_off()
    height = 0.0
    for value, arm, color in sorted(labels):
        height = max(np.sqrt(max(value, 0)), height + 0.048 * np.sqrt(1.05 * top))
        name, place = arm.replace("the same,", "2 linear layers,"), (sizes[-1], height**2)
        text = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "fontsize": 9.5}
        ax.annotate(name, place, color=color, annotation_clip=False, **text)
    ax.set_title(_finding(table))
    return fig


def _finding(table: pd.DataFrame) -> str:
    """Where the layers of ReLU networks and of the linear network lie at the largest m."""
    last = table[table[X] == table[X].max()]
    rectified = last[last["arm"].str.contains("ReLU")]["value"].max()
    linear = last[last["arm"].str.startswith("2 linear")]["value"].max()
    places = ["above" if value > 1.3 else "below" if value < 0.7 else "at" for value in (rectified, linear)]
    return f"No law for depth: ReLU layers end {places[0]} it, linear ones as trained {places[1]} it"
