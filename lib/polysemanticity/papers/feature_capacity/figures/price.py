"""The figures of the family `price`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polysemanticity import plots

COUNT, LAW = "polysemantic features", "the law, ln((κ−1)/2)/ln(1/ρ)"
EIGENVALUE, GAIN, RELATIVE = "eigenvalue of W Wᵀ", "gain L(D) − L(D+1)", "gain ÷ λ², relative to its mean"


def figx_spectrum(table: pd.DataFrame) -> Figure:
    """Eigenvalues of the trained embeddings at four kurtoses, on the lines of theory: the importances of the
    monosemantic features, where there are any, then a flat tail at the price."""
    fig, ax = plt.subplots(figsize=(7, 4))
    look = plots.styles(table)
    found, theory = plots.part(table, what="measured"), plots.part(table, what="control")
    plots.lines(ax, theory, "rank", y=EIGENVALUE, look=look, linestyle=plots.CONTROL_LINE["linestyle"])
    plots.points(ax, found.drop(columns=["low", "high"]), "rank", y=EIGENVALUE, look=look, ms=6)
    ax.set(xlabel="rank", ylabel=EIGENVALUE, xticks=sorted(set(table["rank"])), ylim=(0, None))
    ax.set_title(f"v = {found['decay ρ'].iloc[0]:g}^i: importances, then a flat tail at the price")
    handles, names = ax.get_legend_handles_labels()
    trained = [(handle, name) for handle, name in zip(handles, names, strict=True) if "theory" not in name]
    lines = (Line2D([], [], **plots.CONTROL_LINE), "theory")
    ax.legend(*zip(*trained, lines, strict=True), loc="lower left", title="trained", ncols=2)
    return fig


def figx_count_law(table: pd.DataFrame) -> Figure:
    """Left: number of polysemantic features against the law, on the diagonal for three budgets. Right: capacity against
    rank for three budgets, the same shape moved along the list."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2))
    counts, window = plots.part(table, quantity=COUNT), plots.part(table, quantity="capacity C")
    plots.lines(left, plots.part(counts, what="control"), LAW)
    look = plots.styles(plots.part(counts, what="measured"))
    for name, size in zip(look, (10, 7, 4), strict=False):  # they lie on each other
        plots.points(left, plots.part(counts, series=name), LAW, look=look, mfc="none", ms=size)
    left.set(xlabel=LAW, ylabel=COUNT, title="One law for every budget")
    left.legend()
    plots.lines(right, window, "rank", markers=True, markersize=3)
    one = window.iloc[0]
    right.set(xlabel="rank of the feature", ylabel="capacity C", xlim=(0, 80))
    right.set_title(f"ρ = {one['decay ρ']:g}, κ = {one['kurtosis κ']:g}: the window moves")
    right.legend()
    return fig


def figx_price(table: pd.DataFrame) -> Figure:
    """Left: gain from one more dimension in trained quadratic models, dots on the line of theory, the integral of twice
    the squared price, between the prices before and after. Right: gain over squared last eigenvalue for ReLU and GELU
    autoencoders, relative to its mean: not on the line of one factor for all widths."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3))
    gain, relative = plots.part(table, quantity=GAIN), plots.part(table, quantity=RELATIVE)
    left.set(yscale="log")
    theory = {
        **plots.styles(gain),
        **{name: plots.CORRECTED_LINE for name in gain[gain["what"] == "control"]["series"]},
    }
    plots.lines(left, plots.part(gain, what="control"), "dimensions D", look=theory)
    plots.points(left, plots.part(gain, what="measured"), "dimensions D", look=theory)
    left.set(xlabel="dimensions D", ylabel=GAIN, title="Quadratic model: ∫ 2λ² dD")
    left.legend(loc="lower left", title="band: prices after and before", title_fontsize=9)
    plots.lines(right, plots.part(relative, what="control"), "dimensions D")
    plots.points(right, plots.part(relative, what="measured"), "dimensions D", joined=True, dodge=0.15)
    right.set(xlabel="dimensions D", ylabel=RELATIVE, ylim=(0, None), title="Autoencoders: one factor will not do")
    right.legend(title="bars: 95 % of the mean over starts", title_fontsize=9)
    for ax, rows in ((left, gain), (right, relative)):
        last = int(rows["dimensions D"].max())
        ax.set_xticks(range(1, last + 1, 1 if last < 12 else 3))
    return fig
