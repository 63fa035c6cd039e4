"""The figures of the family `estimators`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

CATEGORIES = {"none": "not spoilt"}  # of what spoils a law


def figx_planted_exponents(table: pd.DataFrame) -> Figure:
    """Error of the fitted exponent of Gaussian data against the planted one, for fewer samples than units, as many and
    more: the plain fit is off by up to a quarter where samples are few, the corrected one scatters around zero."""
    sizes = table[["samples n", "units m"]].drop_duplicates().itertuples(index=False)
    fig, axes = plt.subplots(1, 3, figsize=(8, 3.6), sharey=True)
    for ax, (n, m) in zip(axes, sizes, strict=True):
        rows = plots.part(table, **{"samples n": n, "units m": m})
        plots.points(ax, rows, "planted exponent a", y="estimate − planted", dodge=0.25)
        ax.axhline(0, **plots.CONTROL_LINE, label="no error")
        ax.set(title=f"n = {n} samples,\nm = {m} units", xlabel="planted exponent a")
    axes[0].set_ylabel("estimate − planted")
    axes[-1].legend(loc="lower right", title="bars: 95 % of data sets", alignment="left")
    return fig


def figx_estimators(table: pd.DataFrame) -> Figure:
    """Error of five estimators of a planted exponent with few samples: the Hill, Zipf and plain fits are off by tenths,
    the corrected fit and the unbiased moments are not; beside it what these two read when three components are huge or
    the law breaks."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1.15, 1))
    look, (n, m) = plots.styles(table), table[["samples n", "units m"]].iloc[0]
    rows = plots.part(table, quantity="estimate − planted")
    plots.points(left, rows, "planted exponent a", look=look, dodge=0.12)
    left.axhline(0, **plots.CONTROL_LINE, label="no error")
    left.set(title=f"n = {n} samples, m = {m} units", xlabel="planted exponent a", ylabel="estimate − planted")
    left.set_ylim(-0.32, 0.32)
    left.legend(loc="upper left", ncols=2)
    rows = plots.part(table, quantity="exponent read")
    kinds = list(dict.fromkeys(rows["spoilt by"]))
    plots.points(right, rows.assign(place=rows["spoilt by"].map(kinds.index)), "place", look=look, dodge=0.12)
    right.set_xticks(range(len(kinds)), [_broken(CATEGORIES.get(kind, kind)) for kind in kinds])
    a = rows["planted exponent a"].iloc[0]
    right.set(title=f"a = {a:g}, then spoilt", ylabel="exponent read", xlim=(-0.4, len(kinds) - 0.6), ylim=(0.8, 3.4))
    right.axhline(a, **plots.CONTROL_LINE, label="planted")
    right.legend(loc="upper right")
    return fig


def _broken(text: str) -> str:
    """The text on two lines, broken before its last but one word or sign."""
    words = text.split()
    return text if len(words) < 4 else f"{' '.join(words[:2])}\n{' '.join(words[2:])}"


def figx_dropout_and_breaks(table: pd.DataFrame) -> Figure:
    """Exponent read with dropout on against the dropout rate: one pass reads ever flatter laws, two passes with
    independent masks stay near the truth to a rate of 0.4; beside it the share of data sets called broken against the
    difference of the two planted exponents."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9))
    rows = plots.part(table, quantity="exponent read")
    look = plots.styles(rows)
    plots.lines(left, plots.part(rows, series="planted"), "dropout rate D", look=look)
    rows = rows[rows["series"] != "planted"]
    plots.lines(left, rows, "dropout rate D", look=look, markers=True)
    left.set(title="Dropout on while probing", xlabel="dropout rate D", ylabel="exponent read", ylim=(0, 1.8))
    left.legend(loc="lower left")
    rows = plots.part(table, quantity="share called broken")
    plots.lines(right, rows, "difference of the two exponents", markers=True)
    right.set(title="Is a broken law seen to be broken?", ylim=(-0.03, 1.03))
    right.set(xlabel="difference of the two exponents", ylabel="share called broken")
    right.legend(loc="lower right")
    return fig


def figx_stringer_curves(table: pd.DataFrame) -> Figure:
    """Random three-dimensional projections of synthetic codes of an angle with exponents 2, 3 and 4: a jagged loop, a
    rough loop, a smooth loop. Below, the action against the number of steps: it grows as their number, as the logarithm
    of their number, and stays finite."""
    fig = plt.figure(figsize=(8, 5.8))
    value = next(name for name in table if name.startswith("action"))
    exponents = table["exponent a"].unique()
    for column, a in enumerate(exponents, start=1):
        rows = plots.part(table, **{"exponent a": a})
        ax = fig.add_subplot(2, len(exponents), column, projection="3d")
        curve = plots.part(rows, series="projection")[["axis 1", "axis 2", "axis 3"]]
        ax.plot(*pd.concat([curve, curve.iloc[:1]]).to_numpy().T, linewidth=0.8, **plots.ROLES["measured"])
        ax.set_title(f"a = {a:g}", loc="center")
        ax.set_axis_off()
        ax.set_box_aspect(None, zoom=1.25)
        ax = fig.add_subplot(2, len(exponents), len(exponents) + column)
        ax.set(xscale="log", yscale="log", ylim=(0.7, 25))
        plots.lines(ax, plots.part(rows, what="corrected"), "steps per turn T", y=value)
        plots.points(ax, plots.part(rows, series="measured"), "steps per turn T", y=value)
        steps = plots.part(rows, series="measured")["steps per turn T"].astype(int)
        ax.set_xticks(steps, steps.astype(str))
        ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        ax.minorticks_off()
        ax.set(xlabel="steps per turn T", ylabel=value if column == 1 else "")
        ax.legend(loc="upper left")
    return fig
