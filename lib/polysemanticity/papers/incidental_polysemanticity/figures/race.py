"""The figure of the family `race`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

STRENGTH, RATIO, COUNT = "λ√m", "time to sparsify ÷ time to decay", "count ÷ exact count"


def figx_two_clocks(table: pd.DataFrame) -> Figure:
    """Left: time until half of the neurons in use are left, over the time until interference has fallen to 1 %, against
    λ√m on logarithmic axes: sizes with many neurons fall just below one theoretical line, those with few further below;
    far above one for weak regularization, all drop below one between half and one of λ√m; the published settings lie
    where interference is many times faster. Right: the number of polysemantic neurons over the exact count on either
    side of that boundary, little below one on the slow side."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.6), width_ratios=(1.7, 1))
    look, rows = plots.styles(table), plots.part(table, quantity=RATIO)
    left.set(xscale="log", yscale="log", xlabel="strength of regularization λ√m", ylabel=RATIO)
    left.axhspan(rows["value"].min() / 2, 1, color=plots.CONTROL_FILL, alpha=0.35, linewidth=0)
    plots.lines(left, plots.part(rows, what="corrected"), STRENGTH, look=look)
    found = plots.part(rows, what="measured")
    for _, part in found.groupby("series", sort=False):
        single = len(part) == 1
        size = {"markersize": 9, "zorder": 4} if single else {"linewidth": 0.8}
        plots.points(left, part, STRENGTH, look=look, joined=not single, **size)
    left.set_ylim(rows["value"].min() / 2, rows["value"].max() * 3)
    left.text(0.03, 0.04, "sparse first, as the mechanism assumes", transform=left.transAxes, fontsize=9)
    left.text(0.97, 0.95, "interference decays first", transform=left.transAxes, fontsize=9, ha="right")
    published = found[found.groupby("series")["value"].transform("size") == 1]["value"]
    left.set_title(f"As published, interference\nis {published.min():.0f} to {published.max():.0f} times faster")
    counts = plots.part(table, quantity=COUNT)
    counts = counts.assign(series=counts["series"] + ", counted")
    looks = plots.styles(counts, palette=plots.SERIES[2:])
    right.set(xscale="log")
    plots.points(right, counts, STRENGTH, look=looks, joined=True, dodge=0.03, capsize=3)
    right.axhline(1, label="exact count", **plots.CORRECTED_LINE)
    right.set(ylim=(0, 1.2), xlabel="λ√m", ylabel=COUNT)
    right.set_xticks(sorted(set(counts[STRENGTH].round(6))), [f"{x:g}" for x in sorted(set(counts[STRENGTH].round(6)))])
    right.minorticks_off()
    least = counts["value"].min()
    right.set_title(f"Even so, {least:.0%} or more\nof the count is there")
    handles = {label: line for ax in (left, right) for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=3, title="bars: 95 % intervals of the mean")
    return fig
