"""The figures of the family `causes`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

PAIRS, NEURONS = "pairs on one neuron, per network", "polysemantic neurons per network"
COST = "cost of opposite signs ÷ λ"


def figx_costs(table: pd.DataFrame) -> Figure:
    """Left: pairs of features on one neuron, and polysemantic neurons, when collisions cost otherwise, by their signs:
    none if opposite signs cost, both kinds when nothing costs, same signs only when the costs are exchanged. Middle:
    the count falls to half where the cost of opposite signs is about a tenth of the regularization. Right: counts from
    other starts; nearly none where all weights start positive."""
    fig = plt.figure(figsize=(10.5, 7.4), layout="constrained")
    panels = fig.subplot_mosaic([["costs", "costs"], ["price", "starts"]], height_ratios=(1.1, 1))
    costs, price, starts = (panels[name] for name in ("costs", "price", "starts"))

    rows = plots.part(table, experiment="other costs, same start")
    look = plots.styles(rows)
    places = drawing.stacked(costs, plots.part(rows, quantity=PAIRS), "network", look=look)
    neurons = plots.part(rows, quantity=NEURONS, what="measured")
    plots.points(costs, neurons.assign(place=neurons["network"].map(places)), "place", look=look, marker="D", ms=5)
    drawing.levels(costs, plots.part(rows, what="corrected"), look=look)
    costs.set_xticks(list(places.values()), [name.replace(" (", "\n(") for name in places])
    highest = plots.part(rows, quantity=PAIRS).groupby("network")["value"].sum().max()
    costs.set(ylabel="pairs or neurons per network", ylim=(0, 1.35 * highest))
    costs.set_title("Same start, other costs of (same signs, opposite signs)")
    costs.legend(ncols=3, loc="upper left")

    rows = plots.part(table, experiment="a price for opposite signs")
    look = plots.styles(rows)
    price.set(xscale="log")
    plots.lines(price, plots.part(rows, what="control"), COST, look=look)
    plots.lines(price, plots.part(rows, what="measured"), COST, look=look, markers=True)
    price.set(xlabel=COST, ylabel=NEURONS, title="A small cost is enough")
    price.set_ylim(0, 1.5 * rows["value"].max())
    price.legend(loc="upper right", ncols=2)

    rows = plots.part(table, experiment="other starts")
    look = plots.styles(rows)
    plots.bars(starts, plots.part(rows, what="measured"), "network")
    drawing.levels(starts, plots.part(rows, what="corrected"), look=look)
    names = plots.part(rows, what="measured")["network"]
    starts.set_xticks(range(len(names)), [drawing.wrapped(name, 14) for name in names])
    starts.set(ylabel=NEURONS, title="The paper's costs, other starts", ylim=(0, 1.25 * rows["value"].max()))
    starts.set_xlabel("initial weights")
    starts.legend(loc="upper right")
    return fig


def figx_hidden(table: pd.DataFrame) -> Figure:
    """Bars of the number of polysemantic neurons, with the expected number beside them: none with a ReLU on the hidden
    layer; with untied weights about the usual number among the features that survive."""
    fig, ax = plt.subplots(figsize=(10.5, 4))
    look, names = plots.styles(table), list(dict.fromkeys(table["network"]))
    for series, rows in table.groupby("series", sort=False):
        measured = rows["what"].iloc[0] == "measured"
        places = rows["network"].map(names.index) + (-0.2 if measured else 0.2)
        bars = ax.bar(places, rows[NEURONS], 0.38, label=series, color=look[series]["color"])
        if measured:
            error = [rows[NEURONS] - rows["low"], rows["high"] - rows[NEURONS]]
            ax.errorbar(places, rows[NEURONS], error, fmt="none", ecolor=plt.rcParams["text.color"], capsize=3)
        else:
            plt.setp(bars, alpha=0.35, hatch="///", edgecolor=look[series]["color"])
    kept = table.drop_duplicates("network").set_index("network")["features kept"]
    ax.set_xticks(range(len(names)), [f"{drawing.wrapped(name, 14)}\n{kept[name]:.0%} kept" for name in names])
    ax.set(ylabel=NEURONS, title="Hidden layers: linear and ReLU, tied and untied")
    ax.set_ylim(0, 1.3 * table[NEURONS].max())
    ax.set_xlabel("hidden layer, weights, where λ is; share of features that are kept")
    ax.grid(False, axis="x")
    ax.legend(ncols=3, loc="upper right")
    return fig
