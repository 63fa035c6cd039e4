"""The figures of the family `causes`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

PAIRS, NEURONS = "pairs on one neuron ÷ n", "polysemantic neurons ÷ n"


def figx_costs(table: pd.DataFrame) -> Figure:
    """Pairs of features on one neuron, divided by the number of features, when collisions cost otherwise, for two sizes
    and by sign: pairs of opposite signs with the paper's costs, next to none if opposite signs cost as much, both kinds
    when nothing costs, the same sign alone when the costs are exchanged. Diamonds count neurons; their levels are
    dashed."""
    look, panels = plots.styles(table), list(dict.fromkeys(table["size"]))
    fig, axes = plt.subplots(len(panels), 1, figsize=(8, 2.7 * len(panels)), sharex=True, squeeze=False)
    for ax, size in zip(axes[:, 0], panels, strict=True):
        here = plots.part(table, size=size)
        places = drawing.stacked(ax, plots.part(here, quantity=PAIRS), "network", look=look)
        neurons = plots.part(here, quantity=NEURONS, what="measured")
        neurons = neurons.assign(place=neurons["network"].map(places), series="polysemantic neurons, 95 % interval")
        plots.points(ax, neurons, "place", look={neurons["series"].iloc[0]: look["polysemantic neurons"]}, marker="D")
        drawing.levels(ax, plots.part(here, what="corrected"), look=look)
        ax.set_xticks(list(places.values()), [f"{drawing.wrapped(n, 16)}" for n in places])
        ax.set(ylabel="pairs, or neurons,\nper feature", ylim=(0, None))
        ax.set_title(size, fontsize=10, fontweight="normal")
    fig.suptitle(_costs_title(table), x=0.01, ha="left", fontweight="bold", fontsize=11)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return fig


def _costs_title(rows: pd.DataFrame) -> str:
    shares = plots.part(rows, quantity=PAIRS, network="costs exchanged").groupby("series")["value"].sum()
    moved = shares["pairs of the same sign"] > 10 * shares["pairs of opposite signs"]
    return "What survives is what costs nothing, whichever sign it is" if moved else "Other costs, other survivors"


def figx_hidden(table: pd.DataFrame) -> Figure:
    """Bars of the number of polysemantic neurons divided by the exact count of the features that are kept, for linear,
    ReLU, GELU and tanh hidden layers, tied and untied, at two sizes: none with a ReLU, about the exact count with
    linear layers."""
    fig, ax = plt.subplots(figsize=(8, 4.2))
    rows, look = plots.part(table, what="measured"), plots.styles(table)
    plots.bars(ax, rows, "network", "series", look=look, horizontal=True)
    drawing.levels(ax, plots.part(table, what="corrected"), look=look, vertical=True)
    kept = rows.groupby("network", sort=False)["features kept"].min()
    ax.set_yticks(range(len(kept)), [f"{name}{'' if k > 0.99 else f' (≥ {k:.0%} kept)'}" for name, k in kept.items()])
    ax.invert_yaxis()
    ax.set(xlabel="count ÷ exact count; 95 % intervals over networks")
    ax.set_title(_hidden_title(rows))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return fig


def _hidden_title(rows: pd.DataFrame) -> str:
    most = rows.groupby("network")["value"].max()
    kinds = ("ReLU", "GELU", "tanh")
    ended = [kind for kind in kinds if most[[name for name in most.index if name.startswith(kind)]].max() < 0.1]
    return f"No accident with a hidden {' or '.join(ended)}" if ended else "Hidden layers of several kinds"
