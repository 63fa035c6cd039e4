"""The figure of the family `necessity`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.incidental_polysemanticity.figures import drawing

PER_FEATURE, SHARED = "neurons per feature m/n", "shared neurons per network"
SPLIT = ["necessary, by the test", "incidental, by the test"]


def figx_necessity(table: pd.DataFrame) -> Figure:
    """Left: polysemantic neurons of trained toys against neurons per feature, split by the test on the final weights
    into necessary ones, which are as many as neurons are missing, and incidental ones on top. Middle and right: the
    same for small linear and ReLU autoencoders: all sharing is necessary up to one neuron per feature, and little is
    left beyond."""
    networks = list(dict.fromkeys(table["network"]))
    fig, axes = plt.subplots(1, len(networks), figsize=(10.5, 4.2), width_ratios=(1.5, 1, 1))
    look = plots.styles(table)
    for ax, network in zip(axes, networks, strict=True):
        rows = plots.part(table, network=network)
        bars = plots.part(rows, series=SPLIT).sort_values(
            "series", key=lambda name: name.map(SPLIT.index), kind="stable"
        )
        places = drawing.stacked(ax, bars, PER_FEATURE, y=SHARED, look=look)
        rows = rows.assign(place=rows[PER_FEATURE].map(places))
        theory = plots.part(rows, what=["corrected", "control"])
        plots.points(ax, theory, "place", y=SHARED, look=look, marker="_", ms=18, markeredgewidth=2.2)
        whole = plots.part(rows, series="all").assign(series="all, 95 % interval")
        plots.points(ax, whole, "place", y=SHARED, look={"all, 95 % interval": look["all"]}, marker="", elinewidth=1)
        ax.set(xlabel=PER_FEATURE, title=network[0].upper() + network[1:])
        ax.set_xticks(list(places.values()), [f"{ratio:.3g}" for ratio in places])
        ax.set_ylim(0, None)
    axes[0].set_ylabel(SHARED)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
