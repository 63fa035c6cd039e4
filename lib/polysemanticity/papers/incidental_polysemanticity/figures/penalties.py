"""The figure of the family `penalties`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

SPARSE, SHARED, DEAD = (
    "participation of living encodings",
    "pairs on one neuron, per network",
    "dead features, per network",
)


def figx_penalties(table: pd.DataFrame) -> Figure:
    """Left: participation of the encodings for each penalty and output, from dense to one-hot. Right: pairs of features
    on one neuron per network for the same arms, split by the signs of their weights. Without a penalty and with l2
    encodings stay dense; with l1 and with a concave penalty they are one-hot and neurons are shared, nearly as often as
    the exact count says. With a sigmoid output and weak l1 rows are less sparse, and pairs of one sign remain."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.4), sharey=True)
    sparse, shared = plots.part(table, quantity=SPARSE), plots.part(table, quantity=SHARED)
    look = plots.styles(shared)
    bars = plots.part(shared, series=["opposite signs", "same sign", "missed the gate"])
    missed = bars["series"] == "missed the gate"
    bars = bars.assign(value=bars["value"].where(~missed, 0.0))
    places = drawing.stacked(right, bars, "penalty", look=look, horizontal=True)
    for penalty in bars["penalty"][missed]:
        right.text(
            0.1, places[penalty], "these networks do not reconstruct", va="center", fontsize=9, color=plots.CONTROL
        )
    pairs = plots.part(shared, series="all pairs")
    pairs = pairs.assign(place=pairs["penalty"].map(places), series="all pairs, 95 % interval")
    whole = {"all pairs, 95 % interval": look["all pairs"]}
    plots.points(right, pairs, "place", look=whole, horizontal=True, marker="", elinewidth=1)
    drawing.levels(right, plots.part(shared, what="corrected"), look=look, vertical=True)
    right.set(xlabel=SHARED, title="Shared?", ylim=(len(places) - 0.4, -0.6))
    handles = dict(zip(*right.get_legend_handles_labels()[::-1], strict=True))
    handles.pop("missed the gate", None)
    fig.legend(handles.values(), handles, loc="outside lower right", ncols=4)

    look = plots.styles(sparse)
    names = {"measured": "measured, 95 %", "missed the gate": "do not reconstruct"}
    look |= {new: look[old] for old, new in names.items() if old in look}
    seen = plots.part(sparse, series=list(names)).replace({"series": names})
    left.set(xscale="log", xlabel=f"{SPARSE}\n(one-hot: 1)", title="Sparse?")
    plots.points(left, seen.assign(place=seen["penalty"].map(places)), "place", look=look, horizontal=True)
    drawing.levels(left, plots.part(sparse, series=["Gaussian rows", "one-hot rows"]), look=look, vertical=True)
    for penalty, dead in plots.part(table, quantity=DEAD)[["penalty", "value"]].itertuples(index=False):
        if dead > 0.5:
            left.text(0.075, places[penalty], f"{dead:.0f} features die", va="center", fontsize=9)
    left.set_xticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    left.minorticks_off()
    left.grid(False, axis="y")
    left.legend(loc="upper left", bbox_to_anchor=(0.12, 0.87))
    fig.suptitle(_finding(table), x=0.02, ha="left", fontsize=11, fontweight="bold")
    return fig


def _finding(table: pd.DataFrame) -> str:
    """Which of the two penalties beside l1 leaves sparse encodings that share neurons."""
    pairs = plots.part(table, quantity=SHARED, series="all pairs").set_index("penalty")["low"]
    names = [name.split(",")[0] for name, low in pairs.items() if low > 0 and name.startswith(("l1", "l2", "√"))]
    return f"Sparse and shared under {' and '.join(names)}; neither without a penalty that has a corner at zero"
