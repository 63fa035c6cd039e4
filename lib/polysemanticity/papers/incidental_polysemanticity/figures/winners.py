"""The figures of the family `winners`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

START, DENSITY = "initial weight [standard deviations]", "density"
HITS, RANK, SHARED = "share of features", "median rank (1 = largest)", "share of collisions in common"


def fig4_start_end(table: pd.DataFrame) -> Figure:
    """Left: overlap of each feature's final encoding with every feature's initial one, averaged over networks, for the
    first 64 features: a thin bright diagonal on noise. Right: distribution of the final neuron's initial weight, and
    that of the largest initial weight, which lies slightly further right; a dashed line marks what the published map
    has on its diagonal, about half as large."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4))
    entries = plots.part(table, quantity="overlap")
    limit = entries.loc[entries["feature at the start"] == entries["feature at the end"], "value"].max()
    plots.matrix(
        left, entries, "feature at the start", "feature at the end", label="overlap of start and end", limit=limit
    )
    n = entries["feature at the start"].max()
    ticks = [k for k in (1, 16, 32, 48, 64) if k <= n]
    left.set_xticks([k - 0.5 for k in ticks], [str(k) for k in ticks])
    left.set_yticks([k - 0.5 for k in ticks], [str(k) for k in ticks])
    left.set(xlabel="feature at the end", ylabel="feature at the start", title="A bright diagonal on noise")
    rows = plots.part(table, quantity=DENSITY)
    found, look = plots.part(rows, what="measured"), plots.styles(rows)
    (name,) = set(found["series"])
    label = f"{name}, of the final neuron"
    right.bar(found[START], found["value"], 0.1, color=look[name]["color"], alpha=0.6, label=label)
    plots.lines(right, rows[rows["what"] != "measured"], START, look=look)
    right.set(xlabel=START, ylabel=DENSITY, ylim=(0, None), title="How the winner stood at the start")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
    return fig


def figx_winners(table: pd.DataFrame) -> Figure:
    """Left: share of features whose final neuron had their largest initial weight, against the number of neurons on
    logarithmic axes, for gradient flow, AdamW and Adam; all lie between one and chance 1/m. Middle: median initial rank
    of the final neuron, falling to one for gradient flow and rising for AdamW. Right: overlap of collision sets from
    the same start, beside what chance gives: small between flow and AdamW, large between AdamW and Adam."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 4.6))
    look = plots.styles(table)
    for ax, quantity in ((left, HITS), (middle, RANK)):
        ax.set(xscale="log", yscale="log", xlabel="neurons m", ylabel=quantity)
        rows = plots.part(table, quantity=quantity)
        plots.lines(ax, rows[rows["what"] != "measured"], "neurons m", look=look)
        plots.points(ax, plots.part(rows, what="measured"), "neurons m", look=look, joined=True, linewidth=1)
    left.set(title="Final neuron was the largest")
    middle.set(title="Its rank at the start")
    rows = plots.part(table, quantity=SHARED)
    chance = plots.part(rows, what="control").set_index("trainings")["value"]
    found = plots.part(rows, what="measured")
    names = [f"{name}\n(by chance {chance[name]:.1%})" for name in found["trainings"]]
    names = [name.replace(" and ", "\nand ").replace(", ", ",\n") for name in names]
    plots.bars(right, found.assign(trainings=names), "trainings", look=look, horizontal=True)
    right.set(xlim=(0, 1), xlabel=SHARED, title="Same start,\nsame collisions?")
    right.invert_yaxis()
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
