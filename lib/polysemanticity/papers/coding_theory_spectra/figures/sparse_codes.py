"""The figure of the family `sparse_codes`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_dimensions_per_feature(table: pd.DataFrame) -> Figure:
    """Dimensions per feature of trained toy models against sparsity: near the entropy curve with its element entropy
    fitted, far above the one with 24 bits, below the fit near one half and above it at the floor; beside it the misfit
    of each curve, and the share of the input's variance that the models lose: a third at least."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 4.4), width_ratios=(1.6, 0.9, 1))
    x, (first, lost, misfit) = "1/(1 − S)", table["quantity"].drop_duplicates()
    rows = plots.part(table, quantity=first)
    axes[0].set(xscale="log", yscale="log", ylim=(8e-3, 2.2))
    look = plots.styles(rows)
    look["c k log(n/k)"]["linestyle"] = plots.DASHES[4]
    plots.lines(axes[0], rows[rows["what"] != "measured"], x, look=look)
    plots.points(axes[0], plots.part(rows, what="measured"), x, look=look)
    compared = rows[rows["compared"]][x]
    axes[0].axvspan(compared.min(), compared.max(), alpha=0.35, lw=0, color=plots.CONTROL_FILL, label="compared")
    axes[0].set(title="Dimensions per feature", xlabel=x, ylabel="D* = m/‖W‖²")
    axes[0].legend(loc="lower left")
    plots.bars(axes[1], plots.part(table, quantity=misfit), "curve")
    axes[1].set(title="Misfit", ylabel="root mean square of ln(D*/curve)")
    axes[1].tick_params(axis="x", rotation=35)
    axes[2].set(xscale="log", ylim=(0, 1), title="Lost in the code", xlabel=x, ylabel="squared error ÷ variance")
    plots.points(axes[2], plots.part(table, quantity=lost), x)
    return fig
