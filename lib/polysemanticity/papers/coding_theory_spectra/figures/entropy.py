"""The figure of the family `entropy`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_entropy_bound(table: pd.DataFrame) -> Figure:
    """Bits per unit against the spectral exponent: the printed bound rises above the bits that a unit has, the entropy
    of rounded Gaussian units falls, follows reverse water-filling from above and stays below the certified bound; the
    bound with sign and factor put right goes below zero for many units."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 3.9), sharex=True)
    look, y = plots.styles(table), "entropy [bits per unit]"
    look["n bits, of a uniform unit"]["linestyle"] = plots.DASHES[3]
    cases = table[["units m", "bits n"]].drop_duplicates().itertuples(index=False)
    for ax, (m, n) in zip(axes, cases, strict=True):
        rows = plots.part(table, **{"units m": m, "bits n": n})
        plots.lines(ax, rows[rows["what"] != "measured"], "exponent a", y=y, look=look)
        plots.points(ax, plots.part(rows, what="measured"), "exponent a", y=y, look=look, markersize=3.5)
        turned = ",\nturned at random" if m < n else ""
        ax.set(title=f"{m} units of {n} bits{turned}", xlabel="exponent a", ylim=(-0.15 * n, 1.6 * n))
        ax.set_ylabel(y if ax is axes[0] else "")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
