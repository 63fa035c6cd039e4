"""The figures of the family `winners`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

START, DENSITY, OVERLAP = "initial weight [standard deviations]", "density", "overlap of start and end"
HITS, SHARED = "share of features", "share of collisions in common"
ROOM = "m/n²"


def fig4_start_end(table: pd.DataFrame) -> Figure:
    """Left: overlap of each feature's final encoding with every feature's initial one under AdamW, averaged over
    networks: a bright diagonal on noise. Right: distribution of the final neuron's initial weight, for AdamW, for
    gradient flow, and for each feature's largest; AdamW's mean is slightly above the published diagonal, well below the
    mean of the largest."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.9), width_ratios=(1, 1.1))
    entries = plots.part(table, quantity=OVERLAP)
    label = "overlap [standard deviations]"
    limit = entries.loc[entries["feature at the start"] == entries["feature at the end"], "value"].max()
    plots.matrix(left, entries, "feature at the start", "feature at the end", label=label, limit=limit)
    last = int(entries["feature at the start"].max())
    ticks = sorted({1, last // 2, last})
    left.set_xticks([k - 0.5 for k in ticks], [str(k) for k in ticks])
    left.set_yticks([k - 0.5 for k in ticks], [str(k) for k in ticks])
    left.set_aspect("equal")
    left.set_title("AdamW: a bright diagonal …")
    look = plots.styles(table)
    rows = plots.part(table, quantity=DENSITY)
    for series, part in rows.groupby("series", sort=False):
        style = {key: value for key, value in look[series].items() if key in ("color", "linestyle", "linewidth")}
        right.step(part[START], part["value"], where="mid", label=f"{series}", **style)
    means = plots.part(table, quantity="mean").set_index("series")[START]
    top = rows["value"].max()
    for place, (series, mean) in enumerate(means.items()):
        style = {key: value for key, value in look[series].items() if key != "marker"}
        style |= {"linestyle": "--"} if series == "published diagonal" else {}
        label = f"mean, {series}" if series == "published diagonal" else None
        right.plot([mean, mean], [0, top * (1.08 - 0.02 * place)], label=label, **{"linewidth": 1.2, **style})
    right.set(xlabel=START, ylabel=DENSITY, ylim=(0, top * 1.1))
    share = means["AdamW"] / means["each feature's largest"]
    right.set_title(f"… {share:.0%} as high as if\nthe largest weight won")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, title="vertical lines: means")
    return fig


def figx_winners(table: pd.DataFrame) -> Figure:
    """Left: share of features whose final neuron had their largest initial weight, against m/n²: under gradient flow
    all n lie on one rising curve that crosses a half near m = n²/14, gradient descent lies on it too, and under AdamW
    and Adam the share falls to nearly nothing; the paper's claim is a line at one, chance is close to zero. Right:
    share of collisions that two ways of training from the same start have in common: most for ways of one kind, few for
    flow and AdamW, all beyond chance."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.7), width_ratios=(1.6, 1))
    rows = plots.part(table, quantity=HITS)
    look = plots.styles(rows)
    left.set(xscale="log", ylim=(0, 1.05), xlabel="m/n² (m neurons, n features)")
    left.set_ylabel("share of features that end on it")
    plots.lines(left, rows[rows["what"] != "measured"], ROOM, look=look)
    for series, part in plots.part(rows, what="measured").groupby("series", sort=False):
        plots.points(left, part, ROOM, look=look, joined="," not in series.partition(", ")[2], linewidth=1)
    flow, adamw = (rows[rows["series"].str.startswith(name)]["value"] for name in ("gradient flow", "AdamW"))
    left.set_title(
        f"The most correlated neuron wins:\n{flow.min():.0%} to {flow.max():.0%} by flow, "
        f"{adamw.min():.0%} to {adamw.max():.0%} by AdamW"
    )
    shares = plots.part(table, quantity=SHARED)
    shares = shares.assign(trainings=shares["trainings"].str.replace(" and ", "\nand "))
    plots.bars(right, plots.part(shares, what="measured"), "trainings", horizontal=True)
    names = list(dict.fromkeys(shares["trainings"]))
    chance = plots.part(shares, what="control")
    places = [names.index(name) for name in chance["trainings"]]
    right.plot(
        chance["value"], places, "|", color=plots.CONTROL_FILL, markersize=16, markeredgewidth=2, label="by chance"
    )
    right.set(xlim=(0, 1), xlabel=SHARED, title="Same start,\nsame collisions?")
    right.invert_yaxis()
    handles = {label: line for ax in (left, right) for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    title = "bars: 95 % intervals over networks"
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=3, title=title)
    return fig
