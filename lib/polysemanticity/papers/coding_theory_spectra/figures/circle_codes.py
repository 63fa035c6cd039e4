"""The figure of the family `circle_codes`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


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
