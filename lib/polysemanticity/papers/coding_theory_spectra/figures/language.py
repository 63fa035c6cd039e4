"""The figures of the family `language`, from their tables."""

import matplotlib
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.figure import Figure

from polysemanticity import plots

DEPTH = "depth [blocks]"


def fig6_spectra(table: pd.DataFrame) -> Figure:
    """Eigenvalues against rank of the residual stream of a GPT-2 after each block, with the fitted ranks shaded: the
    spectrum is steepest after the first block. Beside it the spectral exponent and the participation ratio over depth,
    of the residual stream and of what each MLP adds to it, with a band over networks: the exponent jumps at the first
    block and falls from there on."""
    fig, (left, *others) = plt.subplots(1, 3, figsize=(10.5, 4.2))
    eigenvalues = plots.part(table, quantity="eigenvalue ÷ largest")
    left.set(xscale="log", yscale="log")
    tints = matplotlib.colormaps[plots.SEQUENTIAL].resampled(eigenvalues["series"].nunique() + 1).colors
    plots.lines(left, eigenvalues, "rank", look=plots.styles(eigenvalues, palette=tints), linewidth=1.2)
    fitted = plots.part(eigenvalues, fitted="yes")["rank"]
    left.axvspan(fitted.min(), fitted.max(), color=plots.CONTROL_FILL, alpha=0.4, linewidth=0, label="fitted ranks")
    left.set(title="Spectra of one network", xlabel="rank", ylabel="eigenvalue ÷ largest, residual stream")
    if eigenvalues["series"].nunique() < 12:
        left.legend(loc="lower left")
    for ax, quantity in zip(others, ("exponent a", "participation ratio"), strict=True):
        plots.lines(ax, plots.part(table, quantity=quantity), DEPTH, markers=True)
        ax.set(title=f"{quantity[0].upper()}{quantity[1:]}", xlabel=f"{DEPTH}, 0: embedding", ylim=(0, None))
        ax.set_ylabel(f"{quantity} (95 % over networks)")
        ax.legend()
    return fig


def fig6_traces(table: pd.DataFrame) -> Figure:
    """Traces over the words of one held-out passage of a random projection, the projection of least energy among many,
    the first principal component and one neuron: all four are jagged lines over the words."""
    traces = plots.part(table, quantity="activity [standard deviations]")
    roughness = plots.part(table, quantity="roughness on this passage").set_index("series")["value"]
    look = plots.styles(traces)
    fig, axes = plt.subplots(len(look), 1, figsize=(10.5, 7.6), sharex=True, sharey=True)
    for ax, kind in zip(axes, look, strict=True):
        ax.axhline(0, **plots.CONTROL_LINE)
        plots.lines(ax, plots.part(traces, series=kind), "token", look=look, markers=True, markersize=4)
        ax.set(title=f"{kind[0].upper()}{kind[1:]}: roughness {roughness[kind]:.2f} on this passage", ylabel="")
    words = plots.part(traces, series=next(iter(look)))
    shown = [word[1:-1].replace("$", r"\$") for word in words["word"]]
    axes[-1].set_xticks(words["token"], shown, rotation=90, fontsize=9)
    axes[-1].set(xlabel="words of the passage", xlim=(words["token"].min() - 0.7, words["token"].max() + 0.7))
    block = traces["block"].iloc[0]
    fig.supylabel(f"activity after block {block}, centred [standard deviations]", fontsize=10)
    return fig


def fig6_selection(table: pd.DataFrame) -> Figure:
    """Energy and roughness of random and of minimum-energy projections over depth, on the text that selected them, on
    held-out text and with the tokens shuffled. Selection lowers the energy several times, among shuffled tokens as
    well, and the roughness by little; held-out text gives the same."""
    fig, axes = plt.subplots(1, 2, figsize=(10.5, 5.6))
    look = plots.styles(table)
    held, selecting = "minimum energy, held-out text", "minimum energy, on the text that selected it"
    look[selecting] = {**look[held], "linestyle": plots.DASHES[2]}
    controls = plots.part(table, what="control")["series"].unique()
    for name, dashes in zip(controls, plots.DASHES, strict=False):
        look[name] = {**look[name], "linestyle": dashes}
    for ax, quantity in zip(axes, ("energy", "roughness"), strict=True):
        plots.lines(ax, plots.part(table, quantity=quantity), "block", look=look)
        ax.set(xlabel="block", ylabel=f"{quantity}, geometric mean (95 % over networks)")
    axes[0].set(yscale="log", title="Selection lowers the energy …")
    axes[0].yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].minorticks_off()
    axes[1].set(ylim=(0, 1.1), title="… and the roughness by less")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=4)
    return fig


def fig6_scores(table: pd.DataFrame) -> Figure:
    """Explanation scores over depth of random and minimum-energy projections, principal components and neurons, with
    the shuffled control at zero; beside it their differences from the neurons' score: tokens explain random projections
    as well as neurons, minimum-energy projections worse, principal components worst."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6))
    look = plots.styles(table)
    absolute, relative = "explanation score [held-out correlation]", "score less the neurons' [held-out correlation]"
    plots.lines(left, plots.part(table, quantity=absolute), "block", look=look, markers=True)
    plots.lines(right, plots.part(table, quantity=relative), "block", look=look, markers=True)
    right.axhline(0, **plots.CONTROL_LINE, label="as well as neurons")
    left.set(title="How well tokens explain a trace", ylabel=f"{absolute}\n(95 % over directions)", ylim=(-0.1, 1))
    right.set(title="Compared with neurons", ylabel=f"{relative}\n(95 % over directions)")
    for ax in (left, right):
        ax.set_xlabel("block")
        ax.legend()
    return fig
