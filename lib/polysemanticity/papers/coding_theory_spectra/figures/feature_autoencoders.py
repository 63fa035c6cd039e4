"""The figure of the family `feature_autoencoders`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.coding_theory_spectra import feature_autoencoders as family


def figx_noise_needed(table: pd.DataFrame) -> Figure:
    """Left: features per unit against held-out loss while autoencoders with fewer units than features learn, without
    noise, with dropout, with Gaussian noise and with weight decay. Right: features per unit, and the loss that dropped
    units add, with noise in training divided by those without at equal loss, for three sizes with dropout and for five
    variants: above 1 noise makes units more polysemantic, below 1 it makes codes more robust."""
    fig, (course, ratios) = plt.subplots(1, 2, figsize=(8, 4.2), width_ratios=(1, 0.9))
    x, y = "held-out loss ÷ variance", family.COURSE
    rows = plots.part(table, quantity=y)
    plots.lines(course, rows, x, look=plots.styles(rows), markers=True, markersize=3)
    ends = rows[rows["step"] == rows["step"].max()]
    course.plot(
        ends[x], ends["value"], "s", color="black", markersize=6, markerfacecolor="none", label="end of training"
    )
    course.set(xscale="log", xlabel=f"{x} (better →)", ylabel=y, title=rows["case"].iloc[0], ylim=(0, None))
    course.invert_xaxis()
    course.legend(fontsize="small")
    rows = plots.part(table, quantity=family.RATIO)
    cases = list(dict.fromkeys(rows["case"]))[::-1]
    plots.points(ratios, rows.assign(place=rows["case"].map(cases.index)), "place", horizontal=True, dodge=0.3)
    ratios.axvline(1, **plots.CONTROL_LINE)
    ratios.set_yticks(range(len(cases)), cases)
    ratios.set(xlabel=family.RATIO, title="With noise, at equal loss", xlim=(0, 1.1), ylim=(-0.6, len(cases) - 0.4))
    fig.legend(*ratios.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize="small")
    return fig
