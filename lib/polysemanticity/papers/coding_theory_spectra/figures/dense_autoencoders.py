"""The figures of the family `dense_autoencoders`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_activations(table: pd.DataFrame) -> Figure:
    """Exponent and linear decodability of autoencoders with five activation functions, without and with dropout, and
    what dropout adds to the exponent: more than nothing with each, most with the identity and tanh."""
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.8))
    names = list(dict.fromkeys(table["activation"]))
    for ax, (quantity, rows) in zip(axes, table.groupby("quantity", sort=False), strict=True):
        plots.points(ax, rows.assign(place=rows["activation"].map(names.index)), "place", dodge=0.24)
        ax.set_xticks(range(len(names)), names)
        ax.set(xlabel="activation function", ylabel=quantity, xlim=(-0.5, len(names) - 0.5))
    axes[2].axhline(0, **plots.CONTROL_LINE)
    for ax, title in zip(axes, ("Exponent", "Decodability", "What dropout adds"), strict=True):
        ax.set_title(title)
    axes[0].legend()
    return fig


def figx_widths(table: pd.DataFrame) -> Figure:
    """Exponent against the width of the layers, without and with dropout, one panel for each layer: with dropout it
    rises with width in the encoder, in the decoder it falls without dropout and has a maximum with it."""
    fig, axes = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True)
    y, look = "exponent a, ranks 3 to 16", plots.styles(table)
    where = {"enc1": "encoder, layer 1", "enc2": "encoder, layer 2", "dec1": "decoder"}
    for ax, (layer, rows) in zip(axes, table.groupby("layer", sort=False), strict=True):
        ax.set(xscale="log", xlabel="units m", title=f"{layer}: {where.get(layer, layer)}")
        plots.lines(ax, plots.part(rows, what="paper"), "units m", y=y, look=look)
        plots.lines(ax, plots.part(rows, what="measured"), "units m", y=y, look=look, markers=True)
        widths = rows["units m"].drop_duplicates().astype(int)
        ax.set_xticks(widths, widths.astype(str))
        ax.minorticks_off()
    axes[0].set_ylabel(y)
    axes[0].legend(loc="upper left")
    return fig


def figx_noise_needed(table: pd.DataFrame) -> Figure:
    """Features per unit, share of units that another repeats, and exponent against held-out loss while autoencoders
    learn without noise, with dropout, with Gaussian noise and with weight decay: at the loss where training with noise
    ends, units answer to far fewer features with noise than without."""
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.2))
    x, look = "held-out loss ÷ variance", plots.styles(table)
    for ax, (quantity, rows) in zip(axes, table.groupby("quantity", sort=False), strict=True):
        ax.set(xscale="log", xlabel=f"{x} (better →)", ylabel=quantity)
        ends = rows[rows["step"] == rows["step"].max()]
        for name in sorted(
            look, key=lambda name: name != "Gaussian noise"
        ):  # it lies under dropout, and is drawn wider
            wide, end = name == "Gaussian noise", plots.part(ends, series=name)
            line = {"linewidth": 4.5 if wide else 1.6, "markersize": 3}
            plots.lines(ax, plots.part(rows, series=name), x, look=look, markers=True, **line)
            ax.plot(end[x], end["value"], "s", markersize=11 if wide else 7, color=look[name]["color"])
        ax.axvline(plots.part(ends, series="dropout")[x].item(), **plots.CONTROL_LINE, label="loss compared at")
        ax.set_ylim(0, None)
        ax.invert_xaxis()
    for ax, title in zip(axes, ("Polysemantic?", "Repeated?", "Steep?"), strict=True):
        ax.set_title(title)
    fig.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, title="squares: end of training"
    )
    return fig
