"""The figures of the family `allocation`, from their tables."""

import matplotlib
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polysemanticity import plots

BENEFIT, OPTIMUM, COMMON = "marginal benefit −dL/dC", "marginal benefit at the optimum", "common marginal benefit 2λ²"
CAPACITY, EXPONENT = "capacity C", "log₂ importance"
IN_PRICES = "importance in units of the price v/λ"


def figx_schematic(table: pd.DataFrame) -> Figure:
    """Three bars, each as long as three dimensions and divided among features: three whole features for dense
    inputs, more and smaller parts the sparser the inputs are."""
    fig, ax = plt.subplots(figsize=(9, 2.8))
    names, last = list(dict.fromkeys(table["inputs"])), table["feature"].max()
    colours = matplotlib.colormaps[plots.SEQUENTIAL]
    for row, name in enumerate(names):
        start = 0.0
        for feature, length in plots.part(table, inputs=name)[["feature", CAPACITY]].itertuples(index=False):
            shade = colours(0.1 + 0.85 * (feature - 1) / (last - 1))
            ax.barh(row, length, 0.6, left=start, color=shade, edgecolor="white")
            if length > 0.08:
                ink = "white" if feature <= 5 else "black"
                ax.text(start + length / 2, row, f"{feature}", ha="center", va="center", color=ink)
            start += length
    ax.set(xlabel="dimensions, each part with the number of its feature", xlim=(0, 3), xticks=range(4))
    ax.set_yticks(range(len(names)), names)
    ax.set_title("The sparser the inputs, the more features share three dimensions")
    ax.grid(False)
    return fig


def figx_marginal_benefit(table: pd.DataFrame) -> Figure:
    """Left: marginal benefit of capacity on a logarithmic axis, one falling curve per feature of importance 2 to
    2^20, the optimum of every shared feature on one horizontal line. Right: capacity of each feature rising from 0 to
    1 in turn as dimensions are added."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.6))
    exponents = sorted(set(table[EXPONENT].dropna()))
    shades = matplotlib.colormaps[plots.SEQUENTIAL].resampled(len(exponents))
    shade = {exponent: shades(number) for number, exponent in enumerate(exponents)}
    for exponent, rows in table.groupby(EXPONENT):
        curve, dot = (plots.part(rows, quantity=f"log₁₀ {name}") for name in (BENEFIT, OPTIMUM))
        left.plot(curve[CAPACITY], curve["value"], color=shade[exponent], lw=1.1)
        left.plot(
            dot[CAPACITY], dot["value"], "o", color=shade[exponent], mec="black", mew=0.6, clip_on=False, zorder=5
        )
        rising = plots.part(rows, quantity=CAPACITY)
        right.plot(rising["dimensions D"], rising["value"], color=shade[exponent], lw=1.3)
    common = plots.part(table, what="paper")
    plots.lines(left, common, CAPACITY, "quantity")
    box = {"fc": "white", "ec": "none", "pad": 0.5, "alpha": 0.8}
    left.annotate("2λ²", (0.72, common["value"].iloc[0]), xytext=(0, 6), textcoords="offset points", bbox=box)
    powers = range(2, 17, 2)
    left.set_yticks(powers, [f"$10^{{{power}}}$" for power in powers])
    left.set(xlabel=CAPACITY, ylabel=BENEFIT, xlim=(0, 1), title="One curve a feature;\ndots: optimum at D = 9")
    right.set(xlabel="dimensions D", ylabel=CAPACITY, xlim=(0, 20), ylim=(0, 1.03), xticks=range(0, 21, 2))
    right.set_title("The next feature starts\nbefore the last is full")
    ends = plt.Normalize(exponents[0] - 0.5, exponents[-1] + 0.5)
    fig.colorbar(plt.cm.ScalarMappable(ends, shades), ax=right, label=EXPONENT, ticks=[1, 5, 10, 15, 20])
    return fig


def figx_returns(table: pd.DataFrame) -> Figure:
    """Six panels of marginal benefit against capacity for one special feature and the equal others: rising at
    kurtosis 2, flat at 3, falling at 10, with the optimal allocation as dots; at kurtosis 10 the dots of shared
    features lie on a dashed line, the common marginal benefit."""
    fig, axes = plt.subplots(2, 3, figsize=(8, 5.8), sharex=True)
    look = plots.styles(table)
    plain = {name: {"color": style["color"]} for name, style in look.items()}
    drawn = {**plain, "special": {**plain["special"], "linewidth": 3}}
    for ax, (letter, rows) in zip(axes.flat, table.groupby("example"), strict=True):
        plots.lines(ax, plots.part(rows, quantity=COMMON), CAPACITY, look=look)
        plots.lines(ax, plots.part(rows, quantity=BENEFIT), CAPACITY, look=drawn)
        dots = plots.part(rows, quantity=OPTIMUM)
        plots.points(ax, dots, CAPACITY, look=plain, ms=8, mec="black", clip_on=False, zorder=5)
        ax.set(ylim=(0, None), xlabel="", ylabel="")
        ax.set_title(f"{letter}: kurtosis {rows['kurtosis κ'].iloc[0]:g}, v = {rows['importance v'].iloc[0]:g}")
    handles = [Line2D([], [], **drawn[name], label=name) for name in ("the others", "special")]
    handles += [Line2D([], [], **look[COMMON], label="common 2λ²")] if COMMON in look else []
    handles.append(Line2D([], [], marker="o", ms=8, mec="black", mfc="none", ls="", label="optimum"))
    fig.legend(handles=handles, loc="outside upper right", ncols=4)
    fig.supxlabel(CAPACITY, fontsize=10)
    fig.supylabel(BENEFIT, fontsize=10)
    return fig


def figx_allocation(table: pd.DataFrame) -> Figure:
    """Capacity against importance for one importance list, and against importance in units of the price for all
    lists, at four kurtoses; trained models lie on the straight lines of theory between ignored and monosemantic."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3), sharey=True)
    look, measured = plots.styles(table), plots.part(table, what="measured")
    law = plots.part(table, what="corrected")
    one, decays = law["decay ρ"].iloc[0], list(dict.fromkeys(measured["decay ρ"]))
    for ax, x in ((left, "importance v"), (right, IN_PRICES)):
        plots.lines(ax, law, x, y=CAPACITY, look=look, linestyle="-", linewidth=1.0)
    of_one = plots.part(measured, **{"decay ρ": one})
    plots.points(left, of_one, "importance v", y=CAPACITY, look=look, marker="o")
    for decay, marker in zip(decays, plots.MARKERS, strict=False):
        some = plots.part(measured, **{"decay ρ": decay})
        plots.points(right, some, IN_PRICES, y=CAPACITY, look=look, marker=marker, ms=4, mfc="none")
    plots.lines(right, plots.part(table, what="paper"), IN_PRICES, y=CAPACITY, look=look)
    right.annotate("in proportion", (0.5, 0.5), (0.16, 0.75), arrowprops={"arrowstyle": "-"})
    n, d = (law[name].iloc[0] for name in ("features N", "dimensions D"))
    left.set(
        xlim=(0, 1.02), xlabel="importance v", ylabel=CAPACITY, title=f"v = {one:g}^i, {n} features in {d} dimensions"
    )
    right.set(xlim=(0, 1.6), xlabel=IN_PRICES, ylabel="", title="All lists: one straight line per kurtosis")
    names = list(dict.fromkeys(measured["series"]))
    dots = [Line2D([], [], ls="", **{**look[name], "marker": "o"}, label=name) for name in names]
    theory = Line2D([], [], **plots.ROLES["corrected"], label="exact law")
    left.legend(handles=[*dots, theory], loc="upper left")
    marks = zip(decays, plots.MARKERS, strict=False)
    shapes = [Line2D([], [], ls="", marker=m, mfc="none", mec="black", label=f"ρ = {decay:g}") for decay, m in marks]
    right.legend(handles=shapes, loc="lower right")
    return fig
