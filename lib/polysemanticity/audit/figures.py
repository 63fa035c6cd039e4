"""Drawings of the reports and of the trials; the only module here that needs matplotlib."""

import io

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.audit import trials

MOST = 3000  # features drawn, equally spaced in the order of their lengths


def save(report, path: str) -> None:
    """Write a report's drawing in the style of the collection; the ending of the name says in which format."""
    plots.use_style()
    figure = report.plot()
    figure.savefig(path)
    plt.close(figure)


def png(report) -> bytes:
    """Return a report's drawing as a small picture, for a page."""
    plots.use_style()
    figure, stream = report.plot(), io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return stream.getvalue()


def weights(report) -> Figure:
    """Capacity of features against their length, with the central 95 % under both nulls; the sizes of the blocks."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(2, 1))
    table = report.table[report.table["length"] > 0].sort_values("length")
    shown = table.iloc[np.unique(np.linspace(0, len(table) - 1, MOST).astype(int))]
    _band(left, shown, "", "random directions", plots.CONTROL)
    _band(left, shown, "spectrum_", "the same spectrum", plots.CORRECTED)
    chance = ~(np.abs(shown["z"]) > report.z_limit)
    for rows, marker, colour, name in (
        (shown[chance], "o", plots.MEASURED, "feature"),
        (shown[~chance], "D", plots.SERIES[1], "feature, not by chance"),
    ):
        left.plot(rows["length"], rows["capacity"], marker, color=colour, markersize=3, alpha=0.5, label=name)
    left.set(xlabel="length of the feature", ylabel="capacity", ylim=(-0.03, 1.03), title="Capacity")
    left.legend(loc="best")
    values, counts = np.unique([len(block.features) for block in report.blocks], return_counts=True)
    right.bar(np.arange(len(values)), counts, color=plots.MEASURED)
    right.set_xticks(np.arange(len(values)), [f"{value:.0f}" for value in values], rotation=90 * (len(values) > 12))
    right.set(xlabel=f"features of a block (|cosine| > {report.cosine:.2f})", ylabel="blocks", title="Blocks")
    right.set_xlim(-1, max(len(values), 4))
    if not len(values):
        right.text(0.5, 0.5, "none", transform=right.transAxes, ha="center")
    return fig


def _band(ax, shown, prefix: str, name: str, colour: str) -> None:
    """The central 95 % under a null against length, averaged over neighbours; a stripe where all lengths are equal."""
    low, high = prefix + "low", prefix + "high"
    look = {"alpha": 0.25, "color": colour, "label": name, "linewidth": 0}
    if shown["length"].max() <= 1.001 * shown["length"].min():
        ax.axhspan(shown[low].mean(), shown[high].mean(), **look)
        return
    bins = np.arange(len(shown)) * min(60, len(shown)) // len(shown)
    band = shown.groupby(bins)[["length", low, high]].mean()
    ax.fill_between(band["length"], band[low], band[high], **look)


def layers(report) -> Figure:
    """Spectra of the layers on logarithmic axes; exponents with intervals by layer, controls beside them."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    names = list(dict.fromkeys(report.table["layer"]))
    colours = plt.get_cmap(plots.SEQUENTIAL)(np.linspace(0, 0.9, max(len(names), 2)))
    for name, colour in zip(names, colours, strict=False):
        if name in report.spectra:
            values = report.spectra[name].eigenvalues
            positive = values[values > 1e-14 * values[0]]
            left.plot(np.arange(1, len(positive) + 1), positive, color=colour, label=name, linewidth=1.2)
    left.set(xscale="log", yscale="log", xlabel="rank", ylabel="eigenvalue (variance)", title="Spectra")
    if len(names) <= 8:
        left.legend(loc="lower left", fontsize=8)
    for what, offset, colour, label in (
        ("measured", 0.0, plots.MEASURED, "exponent, 95 %"),
        ("control", 0.2, plots.CONTROL, "untrained"),
    ):
        rows = report.table[(report.table["what"] == what) & report.table["exponent"].notna()]
        if len(rows):
            places = np.array([names.index(name) for name in rows["layer"]]) + offset
            ends = np.abs(np.array([rows["exponent"] - rows["low"], rows["high"] - rows["exponent"]]))
            right.errorbar(places, rows["exponent"], yerr=ends, fmt="o", color=colour, capsize=2, label=label)
    mixed = report.table[(report.table["what"] == "measured") & report.table["shuffled_exponent"].notna()]
    places = [names.index(name) for name in mixed["layer"]]
    right.plot(places, mixed["shuffled_exponent"], "x", color=plots.CONTROL, label="units shuffled")
    thresholds = report.table["threshold"].dropna()
    if len(thresholds):
        right.axhline(thresholds.iloc[0], **plots.CORRECTED_LINE, label="smooth above 1 + 2/d")
    right.set_xticks(range(len(names)), names, rotation=45 if len(names) < 25 else 90, ha="right", fontsize=8)
    right.set(ylabel="exponent", title="Exponents", xlim=(-0.5, len(names) - 0.3))
    right.legend(loc="best", fontsize=8)
    return fig


def sharing(report) -> Figure:
    """The price of every pair with its 95 % interval, in order, by its label; shared units beside chance."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(3, 1))
    table = report.table.sort_values("price").reset_index(drop=True)
    looks = dict(zip(("accidental", "paid for", "useful", "necessary"), "os^D", strict=True))
    for place, (kind, marker) in enumerate(looks.items()):
        for clear in (True, False):
            rows = table[(table["label"] == kind) & (table["clear"] == clear)]
            if len(rows):
                ends = np.array([rows["price"] - rows["low"], rows["high"] - rows["price"]]).clip(min=0)
                colour = plots.SERIES[place] if clear else plots.CONTROL
                name = kind if clear else f"{kind}? not clear"
                left.errorbar(rows.index, rows["price"], ends, fmt=marker, color=colour, capsize=2, label=name)
    left.axhspan(-report.least, report.least, color=plots.CONTROL, alpha=0.25, linewidth=0, label="counts as none")
    left.set(xlabel="pairs, by price", ylabel="price (loss of one feature)", title="What sharing costs")
    left.set_yscale("symlog", linthresh=report.least)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(loc="best", fontsize=8)
    right.bar([0], [report.count.shared], color=plots.MEASURED)
    right.bar([1], [report.count.chance], yerr=[2 * report.count.sd], color=plots.CONTROL, capsize=4)
    right.set_xticks([0, 1], ["measured", "chance"])
    right.set(ylabel="shared units (chance: ± 2 sd)", title="Shared units")
    return fig


def planted(table: pd.DataFrame) -> Figure:
    """Error of two estimators against the planted exponent, a panel for each size; from `trials.planted`.

    Bars hold 95 % of the data sets. The plain fit is grey.
    """
    rows = trials.errors(table)
    rows = rows.assign(what=np.where(rows["estimator"] == "plain fit", "control", "measured"))
    look = plots.marked(plots.styles(rows, "estimator"))
    sizes = list(rows[["samples n", "units m"]].drop_duplicates().itertuples(index=False))
    fig, axes = plt.subplots(1, len(sizes), figsize=(2.7 * len(sizes), 3.6), sharey=True, squeeze=False)
    for ax, (n, m) in zip(axes[0], sizes, strict=True):
        own = plots.part(rows, **{"samples n": n, "units m": m})
        plots.points(ax, own, "planted exponent a", "estimator", look=look, dodge=0.25)
        ax.axhline(0, **plots.CONTROL_LINE, label="no error")
        ax.set(title=f"n = {n} samples,\nm = {m} units", xlabel="planted exponent a")
    axes[0, 0].set_ylabel("estimate − planted")
    axes[0, -1].legend(loc="lower right", title="bars: 95 % of data sets", alignment="left")
    return fig


def estimators(table: pd.DataFrame, spoilt: pd.DataFrame) -> Figure:
    """Error of every estimator against the planted exponent, from `trials.planted` at one size; beside it what those
    with an interval read from laws that are spoilt, from `trials.spoilt`."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1.15, 1))
    rows = trials.errors(table).assign(what="measured")
    read = trials.scatter(spoilt, ("spoilt by", "estimator"), "estimate").assign(what="measured")
    own = rows["estimator"].isin(read["estimator"])
    look = plots.styles(pd.concat([rows[own], rows[~own]]), "estimator")
    plots.points(left, rows, "planted exponent a", "estimator", look=look, dodge=0.12)
    left.axhline(0, **plots.CONTROL_LINE, label="no error")
    n, m = rows[["samples n", "units m"]].iloc[0]
    left.set(title=f"n = {n} samples, m = {m} units", xlabel="planted exponent a", ylabel="estimate − planted")
    left.set_ylim(-0.32, 0.32)
    left.legend(loc="upper left", ncols=2)
    kinds = list(dict.fromkeys(read["spoilt by"]))
    places = read.assign(place=read["spoilt by"].map(kinds.index))
    plots.points(right, places, "place", "estimator", look=look, dodge=0.12)
    right.set_xticks(range(len(kinds)), [_on_two_lines(kind) for kind in kinds])
    a = spoilt["planted exponent a"].iloc[0]
    right.axhline(a, **plots.CORRECTED_LINE, label="planted")
    right.set(title=f"a = {a:g}, spoilt by …", ylabel="exponent read", xlim=(-0.4, len(kinds) - 0.6), ylim=(0.8, 3.4))
    right.legend(loc="upper right")
    return fig


def _on_two_lines(text: str) -> str:
    """The text, a long one broken after its second word."""
    words = text.split()
    return text if len(words) < 4 else f"{' '.join(words[:2])}\n{' '.join(words[2:])}"


def dropout_and_breaks(dropped: pd.DataFrame, bent: pd.DataFrame) -> Figure:
    """Exponent read under dropout in one pass and in two, from `trials.dropout`, with bands that hold 95 % of the data
    sets; and how often a law is called broken, from `trials.breaks`, with 95 % intervals."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9))
    rows = trials.scatter(dropped, ("dropout rate D", "estimator"), "estimate")
    rows = rows.assign(what=np.where(rows["estimator"] == "one pass", "control", "measured"))
    plots.lines(left, rows, "dropout rate D", "estimator", markers=True)
    left.axhline(dropped["planted exponent a"].iloc[0], **plots.CORRECTED_LINE, label="planted")
    left.set(title="Dropout on while probing", xlabel="dropout rate D", ylabel="exponent read", ylim=(0, 1.8))
    left.legend(loc="lower left")
    name = f"called broken at rank {trials.BREAK}"
    rows = trials.shares_broken(bent).assign(what="measured", series=name)
    plots.lines(right, rows, "difference of the two exponents", markers=True)
    right.set(title="Is a broken law seen to be broken?", ylim=(-0.03, 1.03))
    right.set(xlabel="difference of the two exponents", ylabel="share called broken")
    right.legend(loc="lower right")
    return fig
