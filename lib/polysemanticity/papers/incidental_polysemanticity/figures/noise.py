"""The figures of the family `noise`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

FOURTH, COST, PARTICIPATION = "mean fourth norm", "change of the cost ÷ Gaussian cost", "mean participation"
COUNT, PRODUCT = "polysemantic neurons per network", "product W₀·W₁"
PANELS = (("bipolar", "gaussian"), ("uniform", "laplace"))  # laws of noise: solid, dashed


def fig5_fourth_norm(table: pd.DataFrame) -> Figure:
    """Fourth norm of the encodings over steps of training on logarithmic axes, for four laws of noise and three
    strengths. Bipolar and uniform noise raise it, the two stronger ones to about the level of the sparsest simplex;
    Gaussian noise leaves it, Laplace noise lowers it. Right: final weights under bipolar noise, nearly one-hot rows,
    one of them spread over all neurons used."""
    fig, axes = plt.subplots(1, 3, figsize=(8, 3.9), width_ratios=(1, 1, 0.9))
    courses, look = plots.part(table, quantity=FOURTH), plots.styles(table)
    for ax, laws in zip(axes, PANELS, strict=False):
        ax.set(xscale="log", yscale="log", xlabel="step", ylim=(0.08, 1.1))
        for law, line in zip(laws, ("-", (0, (4, 2))), strict=True):
            plots.lines(ax, plots.part(courses, law=law), "step", look=look, linestyle=line)
        plots.lines(ax, plots.part(courses, what="corrected"), "step", look=look)
        ax.set_yticks([0.1, 0.2, 0.4, 0.8], ["0.1", "0.2", "0.4", "0.8"])
        ax.minorticks_off()
        names = [{"gaussian": "Gaussian", "laplace": "Laplace"}.get(law, law) for law in laws]
        ax.set(title=f"{names[0].capitalize()} (solid),\n{names[1]} (dashed)", ylabel="")
    axes[0].set(ylabel=FOURTH)
    handles, names = axes[0].get_legend_handles_labels()
    chosen = dict(zip(reversed(names), reversed(handles), strict=True))  # the solid ones, which came first
    fig.legend(list(chosen.values())[::-1], list(chosen)[::-1], loc="outside lower left", ncols=4,
               title="bands: 95 % of the mean over networks", title_fontsize=9)  # fmt: skip
    weights = plots.part(table, quantity="weight")
    plots.matrix(axes[2], weights, "feature (sorted)", "neuron (sorted)", label="weight", limit=1)
    axes[2].set(title=f"Final weights, bipolar,\nσ = {weights['noise σ'].iloc[0]:g}", xticks=[], yticks=[])
    axes[2].set(xlabel="neuron (those in use)", ylabel="feature")
    return fig


def figx_noise_theory(table: pd.DataFrame) -> Figure:
    """Left: what noise that is not Gaussian changes in the cost of a negative product, exact and by the kurtosis term,
    against how concentrated the encoding is; the term has half of the exact change for a single weight. Right:
    participation over time by descent along the exact expected loss, rising slightly above the level of the simplex
    for bipolar noise and flat for Gaussian noise."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    place = "participation of the encoding, 1/k"
    left.set(xscale="log", xlabel=place, ylabel=COST, title="A concentrated encoding is cheaper")
    rows = plots.part(table, quantity=COST)
    look = plots.styles(rows)
    plots.lines(left, rows[rows["what"] != "measured"], place, look=look)
    plots.points(left, plots.part(rows, what="measured"), place, look=look)
    left.set_xticks([1 / 12, 1 / 6, 1 / 3, 1], ["1/12", "1/6", "1/3", "1"])
    left.minorticks_off()
    left.legend(loc="lower left")
    plots.lines(right, plots.part(table, quantity=PARTICIPATION), "time t")
    right.set(xlabel="time t", ylabel=PARTICIPATION, ylim=(0, 1), title="Descent without sampling")
    right.legend(loc="lower right", title="bands: 95 % of the mean", title_fontsize=9)
    return fig


def figx_noise_pairs(table: pd.DataFrame) -> Figure:
    """Left: polysemantic neurons per network under noise alone, zero or close to it, against the law n²/4m. Middle:
    product of two opposite encodings on one neuron over time, which stays at minus one without noise and rises with it.
    Right: polysemantic neurons under l1 and noise together, falling to zero as the noise grows."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(8, 4))
    rows, look = plots.part(table, quantity=f"{COUNT}, noise"), plots.styles(table)
    law = plots.part(rows, what="paper")
    sizes, style = list(law["size"]), plots.ROLES["paper"]
    left.bar(range(len(sizes)), law["value"], 0.75, fill=False, edgecolor=style["color"], linestyle="--",
             label=law["series"].iloc[0])  # fmt: skip
    measured = plots.part(rows, what="measured")
    measured = measured.assign(place=[sizes.index(size) for size in measured["size"]])
    plots.points(left, measured, "place", look=look, dodge=0.35)
    left.set_xticks(range(len(sizes)), sizes, rotation=60)
    left.set(xlabel="features n, neurons m", ylabel=COUNT, title="Bipolar noise alone")
    left.set_ylim(-0.03 * law["value"].max(), None)
    left.legend(loc="upper left", title="bars: 95 %", title_fontsize=9)
    rows = plots.part(table, quantity=PRODUCT)
    middle.set(xscale="log", xlabel="time t", ylabel="product $W_0\\cdot W_1$", title="A planted pair")
    plots.lines(middle, rows, "time t", look=plots.styles(rows))
    middle.set_ylim(-1.05, 0.02)
    middle.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, title="bands: range", title_fontsize=9)
    rows = plots.part(table, quantity=f"{COUNT}, noise and l1")
    look = plots.styles(rows)
    plots.lines(right, plots.part(rows, what="corrected"), "noise σ", look=look)
    plots.lines(right, plots.part(rows, what="measured"), "noise σ", look=look, markers=True)
    right.set(xlabel="σ of bipolar noise", ylabel=COUNT, ylim=(0, 1.25 * rows["value"].max()))
    right.set_title(f"l1 and noise,\nn = {rows['features n'].iloc[0]:.0f}, m = {rows['neurons m'].iloc[0]:.0f}")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), title="band: 95 % of the mean", title_fontsize=9)
    right.set_xticks([0, 0.05, 0.1, 0.15], ["0", "0.05", "0.1", "0.15"])
    return fig
