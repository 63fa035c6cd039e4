"""The figures of the family `phase_diagram`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots

CAPACITY, EDGE = "capacity C", "importance ratio at an edge"
RATIO, SHARE, KURTOSIS, INVERSE = "importance ratio", "share of starts in a wrong minimum", "kurtosis κ", "1/kurtosis"


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
    """Capacity of the special feature over its relative importance and 1/kurtosis: theory and trained models look
    alike. A close-up of kurtosis 1.2 to 4 shows the share of starts that end in a wrong minimum, all inside a predicted
    wedge below kurtosis 3."""
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.2), layout="constrained")
    edges = plots.part(table, quantity=EDGE)
    for ax, name in zip(axes, ("theory", "trained, one start"), strict=False):
        ax.set(xscale="log", yscale="log")
        _capacities(ax, plots.part(table, series=name, quantity=CAPACITY), INVERSE, colorbar=ax is axes[1])
        ends = ax.get_xlim(), ax.get_ylim()
        plots.lines(
            ax, plots.part(edges, what="paper"), "value", y=INVERSE, linestyle=plots.ROLES["paper"]["linestyle"]
        )
        ax.set(xlim=ends[0], ylim=ends[1], xlabel="relative importance r", title=name)
    for row in plots.part(table, quantity="capacity C in the six examples").to_dict("records"):
        box = {"fc": "white", "ec": "none", "pad": 1.2}
        axes[0].text(row[RATIO], row[INVERSE], row["series"], ha="center", va="center", weight="bold", size=9, bbox=box)
    axes[0].set(ylabel="1/kurtosis (dense at the top)", title="theory, and examples A to F")
    axes[1].set(ylabel="", title="trained, one start")
    axes[1].text(0.14, 0.35, "ignored", size=9)
    axes[1].text(4.6, 0.03, "mono-\nsemantic", size=9, color="white", ha="center")
    axes[1].text(0.33, 0.007, "polysemantic", size=9, color="white", ha="center")
    _wrong_minima(axes[2], table)
    fig.get_layout_engine().set(w_pad=0.06)
    return fig


def _capacities(ax: Axes, rows: pd.DataFrame, y: str, colorbar: bool) -> None:
    grid = rows.pivot(index=y, columns=RATIO, values="value")
    plots.capacity_map(
        ax, grid.columns.to_numpy(), grid.index.to_numpy(), grid.to_numpy(), label=CAPACITY, colorbar=colorbar
    )


def _wrong_minima(ax: Axes, table: pd.DataFrame) -> None:
    ax.set(xscale="log")
    grid = plots.part(table, quantity=SHARE).pivot(index=KURTOSIS, columns=RATIO, values="value")
    places = grid.columns.to_numpy(), grid.index.to_numpy()
    mesh = plots.grid_map(ax, *places, grid.to_numpy(), label=SHARE, cmap="Greys", vmin=0)
    ax.figure.colorbar(mesh, ax=ax, label=SHARE, shrink=0.9)
    wedge = plots.part(table, quantity=EDGE, what="corrected")
    plots.lines(ax, wedge, "value", y=KURTOSIS, linestyle="-")
    ax.text(1, 3.1, "edge of the\npredicted wedge", size=9, ha="center", va="top")
    ax.set(xlim=(places[0][0], places[0][-1]), ylim=(4, 1.2), xlabel="relative importance r", ylabel=KURTOSIS)
    ax.set_title("close-up of dense inputs")
