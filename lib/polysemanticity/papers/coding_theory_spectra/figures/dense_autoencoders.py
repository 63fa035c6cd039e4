"""The figures of the family `dense_autoencoders`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polysemanticity import intervals, plots
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders as family

HOLLOW = {"linestyle": "none", "markerfacecolor": "white", "markersize": 6, "zorder": 4}


def figx_activations(table: pd.DataFrame) -> Figure:
    """What dropout adds to the exponent of an autoencoder's layers, for five activation functions: the encoder, where
    it acts, and the decoder, where it does not. The identity is the control."""
    fig, ax = plt.subplots(figsize=(6.5, 3.8))
    names = list(dict.fromkeys(table["activation"]))
    rows = table.assign(place=table["activation"].map(names.index))
    look = plots.styles(plots.part(table, what="measured"))
    for control in (False, True):
        chosen = rows[(rows["what"] == "control") == control]
        plots.points(ax, chosen, "place", y=family.EFFECT, look=look, dodge=0.24, alpha=0.45 if control else 1)
    ax.axhline(0, **plots.CONTROL_LINE)
    ax.set_xticks(range(len(names)), [f"{name}\n(control)" if name == "identity" else name for name in names])
    ax.set(xlabel="activation function", ylabel=family.EFFECT, xlim=(-0.5, len(names) - 0.5))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[:2], [f"{name}, {'with' if name == 'encoder' else 'without'} dropout" for name in labels[:2]])
    return fig


def figx_widths(table: pd.DataFrame) -> Figure:
    """Exponent against the width of the layers at one learning rate, without and with dropout, one panel for each
    layer. Marks are hollow where fewer than three networks in four learnt more than each patch's mean grey."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 3.8), sharey=True)
    y, look = "exponent a, ranks 3 to 16", plots.styles(table)
    where = {"enc1": "encoder, layer 1", "enc2": "encoder, layer 2", "dec1": "decoder"}
    for ax, (layer, rows) in zip(axes, table.groupby("layer", sort=False), strict=True):
        ax.set(xscale="log", xlabel="units m", title=f"{layer}: {where.get(layer, layer)}")
        plots.lines(ax, plots.part(rows, what="paper"), "units m", y=y, look=look)
        plots.lines(ax, plots.part(rows, what="measured"), "units m", y=y, look=look, markers=True)
        few = rows[rows["share that learnt"] < intervals.PASSING]
        for name, own in few.groupby("series"):
            ax.plot(own["units m"], own[y], **{**look[name], **HOLLOW, "markeredgecolor": look[name]["color"]})
        widths = rows["units m"].drop_duplicates().astype(int)
        ax.set_xticks(widths, widths.astype(str))
        ax.minorticks_off()
    axes[0].set_ylabel(y)
    handles, _ = axes[0].get_legend_handles_labels()
    grey = {"color": plots.CONTROL, "marker": "o", "markeredgecolor": plots.CONTROL}
    handles.append(Line2D([], [], **grey, **HOLLOW, label="fewer than 3 networks in 4 learnt"))
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    return fig
