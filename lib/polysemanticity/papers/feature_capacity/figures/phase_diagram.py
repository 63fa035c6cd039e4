"""The figures of the family `phase_diagram`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polysemanticity import plots

CAPACITY, EDGE = "capacity C", "importance ratio at an edge"
RATIO, KURTOSIS, INVERSE = "importance ratio", "kurtosis κ", "1/kurtosis"
WORDS = {"ignored": (0.2, 0.42), "poly-\nsemantic": (0.32, 0.017), "mono-\nsemantic": (5.5, 0.3)}


def figx_two_features(table: pd.DataFrame) -> Figure:
    """Capacity of the less important of two features in one dimension over importance ratio and kurtosis, from theory
    and from trained models: zero outside a wedge that opens at kurtosis 3, but for a few models below it."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.1), sharey=True)
    for ax, name in zip(axes, ("theory", "trained, one start"), strict=True):
        _capacities(ax, plots.part(table, series=name), KURTOSIS, colorbar=ax is axes[1])
        ends = ax.get_xlim(), ax.get_ylim()
        plots.lines(ax, plots.part(table, quantity=EDGE), "value", y=KURTOSIS)
        ax.set(xlim=ends[0], ylim=ends[1], xlabel="importance ratio v₂/v₁", ylabel=KURTOSIS)
        ax.set_title(f"Less important feature: {name}")
    axes[0].text(0.3, 10, "shared if v₁/v₂ < (κ−1)/2", color="white", va="center")
    return fig


def figx_phase_diagram(table: pd.DataFrame) -> Figure:
    """Two maps of the capacity of one special feature over its relative importance and 1/kurtosis, in theory and in
    models trained on samples. Both have the same regions, ignored, polysemantic and monosemantic, that meet at
    kurtosis 3; above it, for dense inputs, a trained model may take the wrong side, the further from equal
    importance the denser the inputs."""
    fig, axes = plt.subplots(1, 2, figsize=(8, 4.6), sharey=True)
    edges, maps = plots.part(table, quantity=EDGE), plots.part(table, quantity=CAPACITY)
    line = plots.ROLES["paper"]["linestyle"]
    for ax, name in zip(axes, dict.fromkeys(maps["series"]), strict=True):
        ax.set(xscale="log", yscale="log")
        _capacities(ax, plots.part(maps, series=name), INVERSE, colorbar=ax is axes[1], margin=0.05)
        ends = ax.get_xlim(), ax.get_ylim()
        plots.lines(ax, plots.part(edges, what="paper"), "value", y=INVERSE, linestyle=line)
        ax.set(xlim=ends[0], ylim=ends[1], xlabel="importance v ÷ that of the others")
        ax.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        ax.minorticks_off()
        for words, place in WORDS.items():
            box = {"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.85}
            ax.text(*place, words, size=9, ha="center", va="center", bbox=box)
    axes[0].set_title("Theory")
    axes[1].set_title(f"Trained on samples: {_difference(maps):.2g} off")
    letters = plots.part(table, quantity="capacity C in the six examples")
    for row in letters.to_dict("records"):
        box = {"fc": "white", "ec": plots.PAPER_LINE["color"], "pad": 1.4}
        axes[0].text(row[RATIO], row[INVERSE], row["series"], ha="center", va="center", weight="bold", size=9, bbox=box)
    axes[0].set_ylabel("1/kurtosis (dense inputs at the top)")
    axes[0].set_yticks([1, 1 / 3, 0.1, 0.03, 0.01], ["1", "1/3", "0.1", "0.03", "0.01"])
    first, last = letters["series"].iloc[0], letters["series"].iloc[-1]
    handles = [Line2D([], [], **plots.PAPER_LINE), Line2D([], [], ls="", marker=f"${first}$", ms=9, color="black")]
    names = ["edge of a phase, predicted (shades: to 0.05)", f"{first} to {last}: the panels of the figure of returns"]
    fig.legend(handles, names, loc="outside lower center", ncols=2)
    return fig


def _difference(maps: pd.DataFrame) -> float:
    """The mean difference between the two maps for kurtosis > 3."""
    theory, trained = (rows["value"].to_numpy() for _, rows in maps[maps[KURTOSIS] > 3].groupby("series", sort=False))
    return abs(theory - trained).mean()


def _capacities(ax: Axes, rows: pd.DataFrame, y: str, colorbar: bool, **shades) -> None:
    grid = rows.pivot(index=y, columns=RATIO, values="value")
    plots.capacity_map(
        ax, grid.columns.to_numpy(), grid.index.to_numpy(), grid.to_numpy(), label=CAPACITY, colorbar=colorbar, **shades
    )
