"""The figure of the family `cooccurrence`, from its table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

LEFT, HALF = "share of shared neurons left", "half-price ÷ λ"
UNITS, NEURONS_PER = "price ÷ half-price by the law", "neurons per feature m/n"


def figx_price(table: pd.DataFrame) -> Figure:
    """Left: share of polysemantic neurons left against the price of sharing in units of the law, for all numbers of
    features and neurons: the points lie about the theory, which hardly depends on their number but where neurons run
    out; stars of features that are on independently among them, one of five far below. Right: the price that parts half
    of the pairs, divided by the regularization, against neurons per feature, along the theory's line, which rises
    steeply towards m = n."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3))
    look = plots.styles(table)
    rows = plots.part(table, quantity=LEFT)
    left.set(xscale="log", ylim=(-0.05, 1.1), xlim=(0.15, 4.5))
    plots.lines(left, plots.part(rows, what="corrected"), UNITS, look=look)
    star = plots.part(rows, series="independent features")
    measured = rows[(rows["what"] == "measured") & (rows["series"] != "independent features")]
    plots.points(left, measured.drop(columns=["low", "high"]), UNITS, look=look, ms=3.5, alpha=0.75)
    plots.points(left, star, UNITS, look=look, marker="*", ms=11, zorder=4)
    left.set(xlabel="price of sharing ÷ (g λ / q)", ylabel="share of shared neurons left (bars: 95 %)")
    left.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    left.minorticks_off()
    left.set_title(_left_title(measured, plots.part(rows, what="corrected")))

    rows = plots.part(table, quantity=HALF)
    right.set(xscale="log", yscale="log")
    plots.lines(right, plots.part(rows, what="corrected"), NEURONS_PER, look=look)
    lone = plots.part(rows, series="a lone pair: g")
    plots.lines(right, lone, NEURONS_PER, look=look)
    seen = plots.part(rows, series="pairs seen together")
    plots.points(right, plots.part(rows, what="measured"), NEURONS_PER, look=look, dodge=0.12, ms=4)
    plots.points(right, seen, NEURONS_PER, look=look, marker="s", mfc="none", ms=7)
    places = sorted(set(plots.part(rows, what="measured")[NEURONS_PER]))
    right.set_xticks(places, [f"{place:g}" for place in places])
    right.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    right.set(xlabel=NEURONS_PER, ylabel="half-price ÷ λ, 95 % intervals", ylim=(0.05, 1.2))
    right.minorticks_off()
    right.set_title("… and the price of half of them")
    handles = {}
    for ax in (left, right):
        handles |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return fig


def _left_title(measured: pd.DataFrame, theory: pd.DataFrame) -> str:
    plenty = theory[theory["series"] == theory["series"].iloc[0]]
    off = measured["value"] - np.interp(measured[UNITS], plenty[UNITS], plenty["value"])
    return "Nearly one curve for all sizes …" if np.sqrt((off**2).mean()) < 0.15 else "What is left at a price …"
