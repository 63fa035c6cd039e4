"""The figures of the ResNet-VAEs, from their tables."""

import re

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_reconstructions(table: pd.DataFrame) -> Figure:
    """Patches of photographs that no network has seen above their reconstructions by one network of each dropout rate;
    and the held-out loss of every network, beside those of plain guesses."""
    pictures, losses = plots.part(table, quantity="picture"), table.dropna(subset="value")
    series = list(dict.fromkeys(pictures["series"]))
    fig = plt.figure(figsize=(8, 4.2))
    left, right = fig.subfigures(1, 2, width_ratios=(1.25, 1))
    grid = left.subplots(len(series), pictures["patch"].nunique(), squeeze=False)
    for line, name in zip(grid, series, strict=True):
        for ax, picture in zip(line, _pictures(plots.part(pictures, series=name)), strict=True):
            ax.imshow(picture)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    ax = right.subplots()
    nets, look = plots.part(losses, what="measured"), plots.styles(losses)
    means = nets.groupby(["what", "series", "dropout p"], sort=False, as_index=False)["value"].mean()
    plots.lines(ax, means, "dropout p", look=look)
    for name, rows in nets.groupby("series", sort=False):
        ax.plot(rows["dropout p"], rows["value"], **{**look[name], "linestyle": "none"}, alpha=0.5)
    guesses = plots.part(losses, what="control")[["series", "value"]].to_numpy()
    for (name, value), dash in zip(guesses, plots.DASHES[1:], strict=False):
        ax.axhline(value, **{**look[name], "linestyle": dash}, label=name)
    ax.set(title="Loss of every network", xlabel="dropout rate p", ylabel="held-out cross-entropy [nats per patch]")
    ax.legend(loc="upper left")
    ax.set_ylim(top=1.3 * nets["value"].max())
    return fig


def _pictures(rows: pd.DataFrame) -> list[np.ndarray]:
    """The pictures of a table's rows, [y, x, colour] of bytes."""
    column = next(name for name in rows if name.startswith("pixels"))
    height, width = map(int, re.search(r"(\d+)×(\d+)", column).groups())
    return [np.frombuffer(bytes.fromhex(text), np.uint8).reshape(height, width, 3) for text in rows[column]]


def fig3a_eigenspectra(table: pd.DataFrame) -> Figure:
    """Eigenvalues against rank of each layer on doubly logarithmic axes, at three dropout rates, with the fitted ranks
    shaded; and their local exponent over rank, which is no horizontal line in any late layer: no power law."""
    spectra, window = plots.part(table, what="measured"), plots.part(table, series="fitted ranks")["rank"]
    rates, quantities = spectra["dropout p"].unique(), list(dict.fromkeys(spectra["quantity"]))
    look = plots.styles(spectra, palette=sns.color_palette("viridis_r", spectra["series"].nunique() + 1)[1:])
    fig, axes = plt.subplots(2, len(rates), figsize=(8, 6.8), sharex=True, sharey="row", squeeze=False)
    for row, quantity in enumerate(quantities):
        for ax, rate in zip(axes[row], rates, strict=True):
            ax.set_xscale("log")
            ax.axvspan(window.min(), window.max(), color=plots.CONTROL_FILL, alpha=0.4, linewidth=0)
            shown = plots.part(spectra, quantity=quantity, **{"dropout p": rate})
            plots.lines(ax, shown, "rank", look=look, linewidth=1.3)
            ax.set(xlabel="rank" if row else "", ylabel=quantity, title="" if row else f"Dropout p = {rate:g}")
    axes[0, 0].set(yscale="log", ylim=(1e-8, 1.5))
    axes[1, 0].set_ylim(0, 8)
    text = {"xy": (np.sqrt(window.min() * window.max()), 0.97), "xycoords": ("data", "axes fraction")}
    axes[1, 0].annotate("fitted\nranks", **text, ha="center", va="top", fontsize=9)
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside right center", title="layer,\nearly\nto late")
    return fig


def fig3b_depth(table: pd.DataFrame) -> Figure:
    """Exponent over depth, early layers on the left: without dropout for four numbers of images, as fitted and
    corrected for their number; for each dropout rate; for two halves of the photographs; and the effective rank when a
    layer is read in four ways."""
    fig, axes = plt.subplots(2, 2, figsize=(8, 8), sharex=True)
    titles = {
        "numbers of images": "Numbers of images n (p = 0)",
        "dropout rates": "Dropout rates\n(95 % over networks)",
        "photographs": "Halves of the photographs (p = 0)",
        "effective rank": "Effective rank\n(p = 0, 95 % over networks)",
    }
    for ax, (comparison, title) in zip(axes.flat, titles.items(), strict=True):
        if comparison not in set(table["comparison"]):  # too few patches for halves
            ax.set_axis_off()
            continue
        rows = _placed(ax, plots.part(table, comparison=comparison))
        ax.set(title=title, ylabel=rows["quantity"].iloc[0])
        if comparison in ("dropout rates", "photographs"):
            look = _rates(rows) if comparison == "dropout rates" else plots.styles(rows)
            plots.points(ax, rows, "place", look=look, dodge=0.12, joined=True)
        else:
            plots.lines(ax, rows, "place", look=_looks(rows, comparison), markers=comparison == "effective rank")
        ax.set(xlabel="", ylim=(0, None))
        ax.legend(ncols=2 if comparison == "numbers of images" else 1, loc="best", fontsize=9)
    return fig


def _looks(rows: pd.DataFrame, comparison: str) -> dict[str, dict]:
    """As everywhere; numbers of images in pairs, dotted as fitted."""
    look = plots.styles(rows)
    if comparison == "numbers of images":
        for number, name in enumerate(look):
            look[name] |= {"color": plots.SERIES[number // 2], "linestyle": ":" if "as fitted" in name else "-"}
    return look


def _rates(rows: pd.DataFrame) -> dict[str, dict]:
    """The look of dropout rates, from dark to light."""
    count = rows.loc[rows["what"] == "measured", "series"].nunique()
    return plots.styles(rows, palette=sns.color_palette("plasma", count + 1)[:count])


def _placed(ax: Axes, rows: pd.DataFrame, **ticks) -> pd.DataFrame:
    """Rows with the place of their layer on an axis whose ticks are the layers, in the table's order."""
    layers = list(dict.fromkeys(rows["layer"].dropna()))
    ax.set_xticks(range(len(layers)), layers, rotation=45, ha="right", rotation_mode="anchor", **ticks)
    return rows.assign(place=rows["layer"].map({layer: place for place, layer in enumerate(layers)}))


def figx_views(table: pd.DataFrame) -> Figure:
    """Exponent and effective rank over depth, without dropout, when a convolutional layer is read in four ways: all
    units, channels with positions as samples, channels averaged over positions, and channels at one position. Behind
    the average pooling the four are one."""
    quantities = list(dict.fromkeys(table["quantity"]))
    fig, axes = plt.subplots(1, len(quantities), figsize=(10.5, 4.8))
    for ax, quantity in zip(axes, quantities, strict=True):
        plots.lines(ax, _placed(ax, plots.part(table, quantity=quantity)), "place", markers=True)
        ax.set(title=f"{quantity[0].upper()}{quantity[1:]}", ylabel=quantity, xlabel="", ylim=(0, None))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def fig4a_dot_projections(table: pd.DataFrame) -> Figure:
    """One random three-dimensional projection of the pixels and of five layers' activity while a dot moves round a
    circle, coloured by the dot's angle, with its roughness, at three dropout rates. Nothing was selected."""
    rates = table["dropout p"].dropna().unique()
    layers = list(dict.fromkeys(table["series"]))
    fig = plt.figure(figsize=(10.5, 6.2))
    grid = fig.add_gridspec(len(rates), len(layers))
    (pixels, rows), *_ = plots.part(table, what="control").groupby("series")
    _loop(fig.add_subplot(grid[:, 0], projection="3d"), rows, pixels)
    for line, rate in enumerate(rates):
        for column, layer in enumerate(layers[1:], start=1):
            ax = fig.add_subplot(grid[line, column], projection="3d")
            mesh = _loop(ax, plots.part(table, series=layer, **{"dropout p": rate}), layer if line == 0 else "")
            if column == 1:
                ax.text2D(-0.1, 0.5, f"p = {rate:g}", transform=ax.transAxes, rotation=90, va="center")
    bar = fig.colorbar(mesh, ax=fig.axes, label="angle of the dot [degrees]", shrink=0.6, ticks=range(0, 361, 90))
    bar.ax.tick_params(labelsize=9)
    return fig


def _loop(ax: Axes, rows: pd.DataFrame, title: str):
    points = rows[[name for name in rows if name.startswith("projection")]].to_numpy().T
    ax.plot(*points, color=plots.CONTROL, linewidth=0.6)
    mesh = ax.scatter(*points, c=rows["angle [degrees]"], cmap="hsv", vmin=0, vmax=360, s=4, depthshade=False)
    ax.set_axis_off()
    ax.set_box_aspect(None, zoom=1.25)
    ax.set_title(title, loc="center", fontsize=10)
    ax.text2D(0.5, -0.06, f"roughness {rows['roughness'].iloc[0]:.2g}", transform=ax.transAxes, ha="center", fontsize=9)
    return mesh


def fig4b_roughness(table: pd.DataFrame) -> Figure:
    """Roughness of the projected path and the variance of the dot's position that it explains, over depth, one line per
    dropout rate: with batch norm recalibrated, as judged, and in eval mode, where dropout's variance is missing."""
    probes, quantities = (list(dict.fromkeys(table[name])) for name in ("probe", "quantity"))
    fig, axes = plt.subplots(len(probes), len(quantities), figsize=(8, 8), sharex=True, sharey="col")
    for line, probe in zip(axes, probes, strict=True):
        for ax, quantity in zip(line, quantities, strict=True):
            rows = _placed(ax, plots.part(table, probe=probe, quantity=quantity))
            look = _rates(rows)
            plots.points(ax, plots.part(rows, what="measured"), "place", look=look, dodge=0.12, joined=True)
            for _, pixels in plots.part(rows, what="control").iterrows():
                ax.axhline(pixels["value"], **look[pixels["series"]], label=pixels["series"])
            ax.set(title=probe[0].upper() + probe[1:], ylabel=quantity)
    axes[0, 1].set_ylim(0, 1.02)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return fig


def fig5_dropout(table: pd.DataFrame) -> Figure:
    """Exponent, roughness and explained variance against the dropout rate: with batch norm recalibrated, as judged, in
    eval mode, and with the network left in train mode; below, each layer's slope with its interval over the rates whose
    networks have learnt."""
    names = list(dict.fromkeys(table.dropna(subset="dropout p")["quantity"]))
    fig, axes = plt.subplots(2, len(names), figsize=(8, 7.6))
    look = plots.marked(plots.styles(table))
    for (above, below), name in zip(axes.T, names, strict=True):
        plots.lines(above, plots.part(table, quantity=name), "dropout p", look=look, markers=True)
        above.set(title=name[0].upper() + name[1:], xlabel="dropout rate p", ylabel="mean of the encoder's layers")
        slopes = _placed(below, plots.part(table, quantity=f"change of {name} per unit p"))
        below.axhline(0, **plots.CONTROL_LINE)
        plots.points(below, slopes, "place", look=look, dodge=0.2)
        below.set_xticks(below.get_xticks(), below.get_xticklabels(), rotation=90, ha="center", rotation_mode="default")
        below.set_ylabel("change per unit p")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def figx_steep_and_smooth(table: pd.DataFrame) -> Figure:
    """Exponent of each layer against the roughness of its projections and against what they tell of the dot's position,
    one point for each layer of each network, at three dropout rates and before training."""
    quantities = list(dict.fromkeys(table["quantity"]))
    fig, axes = plt.subplots(1, len(quantities), figsize=(10.5, 5), sharex=True)
    look = plots.styles(table)
    for ax, quantity in zip(axes, quantities, strict=True):
        for name, rows in plots.part(table, quantity=quantity).groupby("series", sort=False):
            style = {"marker": "x", **look[name], "linestyle": "none"}
            ax.plot(rows["exponent a"], rows["value"], **style, alpha=0.7, label=name)
        ax.set(xlabel="exponent a", ylabel=quantity, title=quantity[0].upper() + quantity[1:])
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def figx_erased(table: pd.DataFrame) -> Figure:
    """Share of what a layer tells of its input that is left when half of its units are erased: against the exponent of
    the units, one point for each layer of each network; and the encoder's mean against the dropout rate, with 95 %
    intervals over networks."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6))
    layers, means = plots.part(table, quantity="by layer"), plots.part(table, quantity="by rate")
    look = plots.styles(layers)
    for name, rows in layers.groupby("series", sort=False):
        style = {**look[name], "linestyle": "none"}
        left.plot(rows["exponent a"], rows["share that survives"], **style, alpha=0.7, label=name)
    left.set(title="Each layer of each network", xlabel="exponent a", ylabel="share that survives")
    left.legend()
    plots.lines(right, means, "dropout p", y="share that survives", look=plots.styles(means), markers=True)
    right.set(title="Mean of the encoder", xlabel="dropout rate p", ylabel="share that survives")
    return fig


def explore_layer(table: pd.DataFrame) -> Figure:
    """The dot's curve in one layer of one network, and the layer's spectrum with the fitted ranks."""
    fig = plt.figure(figsize=(10, 4.2))
    ax, (name, rows) = fig.add_subplot(1, 2, 1, projection="3d"), next(iter(table.groupby("series", sort=False)))
    _loop(ax, rows, f"{name}: the dot's curve")
    ax = fig.add_subplot(1, 2, 2, xscale="log", yscale="log")
    spectrum = plots.part(table, series="eigenvalues")
    plots.lines(ax, spectrum, "rank")
    window = plots.part(table, series="fitted ranks")["rank"]
    ax.axvspan(window.min(), window.max(), color=plots.CONTROL_FILL, alpha=0.4, linewidth=0, label="fitted ranks")
    ax.set(title="Spectrum over patches", xlabel="rank", ylabel="eigenvalue ÷ largest")
    ax.legend(loc="lower left")
    return fig
