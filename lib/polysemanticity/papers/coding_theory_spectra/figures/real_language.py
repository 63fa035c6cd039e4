"""The figures of the family `real_language`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

DEPTH = "depth ÷ blocks"
KINDS = pd.DataFrame({"what": "measured", "series": ["random", "minimum energy", "smoothest", "further neurons"]})


def _nothing(table: pd.DataFrame) -> Figure | None:
    """A figure that says which packages are not here, where the table holds nothing else."""
    if table["value"].notna().any():
        return None
    fig, ax = plt.subplots(figsize=(10.5, 1.6))
    ax.text(0, 0.5, "\n".join(table["network"].iloc[0].split("; ")), va="center", wrap=True)
    ax.set_axis_off()
    return fig


def _networks(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["network"]))


def _look(look: dict, table: pd.DataFrame, network: str) -> dict:
    """How series are drawn: in grey where the network has missed its gate."""
    judged = (plots.part(table, network=network)["what"] == "measured").any()
    return look if judged else {name: {**style, "color": plots.CONTROL} for name, style in look.items()}


def _titled(table: pd.DataFrame, network: str) -> str:
    judged = (plots.part(table, network=network)["what"] == "measured").any()
    return network if judged else f"{network} (not judged)"


def fig6a_exponents(table: pd.DataFrame) -> Figure:
    """Exponents over the depth of trained language models, of the residual stream and of the MLPs' neurons, with
    intervals over documents, above; below, how much steeper the tail of each spectrum is than its head. In SmolLM2 the
    stream's exponent falls from the embedding to the first blocks and rises again in the last third; MiniLM, in grey,
    goes another way."""
    if (nothing := _nothing(table)) is not None:
        return nothing
    names, look = _networks(table), plots.styles(table.assign(what="measured"))
    quantities = list(dict.fromkeys(table["quantity"]))
    fig, axes = plt.subplots(2, len(names), figsize=(8, 6.4), sharex=True, sharey="row", squeeze=False)
    for column, name in enumerate(names):
        for ax, quantity in zip(axes[:, column], quantities, strict=True):
            rows = plots.part(table, network=name, quantity=quantity).dropna(subset=["value"])
            plots.points(ax, rows, DEPTH, look=_look(look, table, name), joined=True)
        axes[0, column].set_title(_titled(table, name))
        axes[1, column].axhline(0, **plots.CONTROL_LINE)
        axes[1, column].set_xlabel("depth [share of the blocks; 0: embedding]")
    axes[0, 0].set(ylabel="exponent a (95 % over documents)", ylim=(0, None))
    axes[1, 0].set_ylabel("tail less head, exponent\n(95 % over documents)")
    axes[0, 0].legend()
    return fig


def fig6b_smoothness(table: pd.DataFrame) -> Figure:
    """Roughness over the tokens of held-out text, by depth of trained language models: random projections, those of
    least energy among many, the smoothest direction of all, and the same among shuffled tokens, near 1 but for the
    smoothest in the first block. The first two fall together, slowly; the smoothest is far below at every depth."""
    if (nothing := _nothing(table)) is not None:
        return nothing
    names, look = _networks(table), plots.styles(table.assign(what=table["what"].where(
        table["series"].str.contains("shuffled"), "measured")))  # fmt: skip
    fig, axes = plt.subplots(1, len(names), figsize=(max(7, 5.2 * len(names)), 4.8), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        plots.points(ax, plots.part(table, network=name), DEPTH, look=_look(look, table, name), joined=True)
        ax.axhline(0.5, color=plots.CONTROL, linewidth=0.8)
        ax.set(title=_titled(table, name), xlabel="depth [share of the blocks; 0: embedding]", ylim=(0, 1.15))
    axes[0, 0].set_ylabel("roughness on held-out text\n(95 % over documents)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=4)
    return fig


def fig6c_traces(table: pd.DataFrame) -> Figure:
    """Traces over the words of one held-out passage, of a middle block: a random projection, one of least energy, the
    smoothest direction of all, and a neuron: only the smoothest is no jagged line."""
    if (nothing := _nothing(table)) is not None:
        return nothing
    name = _networks(table)[0]
    rows = plots.part(table, network=name)
    look = plots.styles(rows.assign(what="measured"))
    fig, axes = plt.subplots(len(look), 1, figsize=(8, 7.6), sharex=True, sharey=True)
    for ax, kind in zip(axes, look, strict=True):
        ax.axhline(0, **plots.CONTROL_LINE)
        plots.lines(ax, plots.part(rows, series=kind), "token", look=look, markers=True, markersize=4)
        ax.set(title=kind[0].upper() + kind[1:], ylabel="")
    words = plots.part(rows, series=next(iter(look)))
    shown = [word[1:-1].replace("$", r"\$") for word in words["word"]]
    axes[-1].set_xticks(words["token"], shown, rotation=90, fontsize=8)
    axes[-1].set(xlabel="tokens of the passage", xlim=(words["token"].min() - 0.7, words["token"].max() + 0.7))
    fig.supylabel(f"{name}, after block {rows['block'].iloc[0]} [standard deviations]", fontsize=10)
    return fig


def fig6d_complement(table: pd.DataFrame) -> Figure:
    """What projections and further neurons add to the eight best neurons in telling features of tokens and their
    context, by depth, mean over features; beside it each feature, in the block where projections add most. In the
    middle of SmolLM2 projections add more than further neurons, random ones most."""
    if (nothing := _nothing(table)) is not None:
        return nothing
    names = _networks(table)
    added = plots.part(table, quantity="added R², mean over features")
    single = plots.part(table, quantity="held-out R² of a feature")
    look = {**plots.styles(KINDS), "random, tokens shuffled": plots.ROLES["control"]}
    base, projections, further = dict.fromkeys(single["series"])
    neurons = look["further neurons"]
    marks = {base: {**neurons, "markerfacecolor": "none"}, projections: look["minimum energy"], further: neurons}
    fig, axes = plt.subplots(len(names), 2, figsize=(8, 0.6 + 4.6 * len(names)), squeeze=False, width_ratios=(1, 1.3))
    for (left, right), name in zip(axes, names, strict=True):
        plots.points(
            left, plots.part(added, network=name), DEPTH, look=_look(look, added, name), joined=True, dodge=0.06
        )
        left.axhline(0, **plots.CONTROL_LINE)
        left.set(title=_titled(table, name), xlabel="depth [share of the blocks]")
        left.set_ylabel("added held-out R² (95 % over documents)")
        rows = plots.part(single, network=name)
        order = list(dict.fromkeys(rows["feature"]))[::-1]
        for series, style in _look(marks, single, name).items():
            values = plots.part(rows, series=series)
            places = [order.index(feature) for feature in values["feature"]]
            right.plot(values["value"], places, linestyle="none", label=series, **style)
        right.set_yticks(range(len(order)), order, fontsize=8)
        right.set(title=f"each feature, block {rows['block'].iloc[0]}", xlabel="held-out R²")
    for column, place in ((0, "outside lower left"), (1, "outside lower right")):
        handles, labels = axes[0, column].get_legend_handles_labels()
        fig.legend(handles, labels, loc=place, ncols=2 - column, handlelength=3)
    return fig
