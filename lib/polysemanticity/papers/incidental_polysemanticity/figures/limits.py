"""The figure of the family `limits`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

PER_FEATURE = "neurons per feature m/n"


def figx_limits(table: pd.DataFrame) -> Figure:
    """Left: share of dead features against the regularization, one rising set of points per number of neurons, each on
    the line predicted from single encodings. Middle: share of features whose fate is open after a fixed time, high
    for weak regularization. Right: with fewer neurons than half the features, encodings stop being one-hot."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 4.9), sharey=True)
    strong, weak, few = (plots.part(table, experiment=name) for name in ("too strong", "too weak", "too few neurons"))
    left, middle, right = axes

    look = plots.styles(strong)
    left.set(xscale="log", title="Too strong", xlabel="λ", ylabel="share of dead features")
    plots.lines(left, plots.part(strong, what="corrected"), "λ", y="share", look=look, drawstyle="steps-post")
    plots.points(left, plots.part(strong, what="measured"), "λ", y="share", look=look)
    left.set(ylabel="share of features\n(right: of features or neurons)")
    left.set_xticks([0.2, 0.4, 0.8, 1.2], ["0.2", "0.4", "0.8", "1.2"])

    middle.set(xscale="log", title="Too weak", xlabel="λ")
    plots.lines(middle, weak, "λ", y="share", markers=True)
    ticks = sorted(set(weak["λ"]))
    middle.set_xticks(ticks, [f"{l1:g}" for l1 in ticks])

    look = plots.styles(few)
    plots.lines(right, plots.part(few, what="control"), PER_FEATURE, y="share", look=look)
    plots.lines(right, plots.part(few, what="measured"), PER_FEATURE, y="share", look=look, markers=True)
    right.set(title="Too few neurons", xlabel=PER_FEATURE)
    for ax in axes:
        ax.set_ylim(-0.03, 1.03)
        ax.minorticks_off()
        ax.set_ylabel(ax.get_ylabel() if ax is left else "")
        bars = "bars: 95 % of the mean" if ax is left else "bands: 95 % of the mean"
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), title=bars, title_fontsize=9)
    return fig
