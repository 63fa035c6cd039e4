"""The figure of the family `known_information`, from its table."""

import textwrap

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_mine_bias(table: pd.DataFrame) -> Figure:
    """Three bounds on mutual information less the truth, against the truth, for Gaussian variables: MINE and InfoNCE
    fall short where it is large, a linear decoder, which there has the right model, does not. Beside it MINE and
    InfoNCE for the channels with which the authors check their estimator: they fall short for fine quantisers."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True, width_ratios=(1, 1.15))
    truth, value = "true mutual information [nats]", "estimate less truth [nats]"
    look, gaussian = plots.styles(table, "estimator"), plots.part(table, pair="Gaussian")
    left.set(xscale="log")
    plots.points(left, gaussian, truth, "estimator", y=value, look=look, dodge=0.12)
    left.set_xticks(gaussian[truth].unique(), [f"{nats:g}" for nats in gaussian[truth].unique()])
    left.minorticks_off()
    channels = table[table["pair"] != "Gaussian"]
    names = list(channels["pair"].unique())
    plots.points(
        right, channels.assign(place=channels["pair"].map(names.index)), "place", "estimator", y=value, look=look,
        dodge=0.12,
    )  # fmt: skip
    nats = channels.groupby("pair")[truth].first()
    right.set_xticks(range(len(names)), [f"{_folded(name)}\n({nats[name]:.3f})" for name in names])
    right.tick_params(axis="x", labelsize=9)
    for ax in (left, right):
        ax.axhline(0, **plots.CONTROL_LINE, label="no error")
    left.legend(loc="lower left")
    left.set(title="Gaussian variables", xlabel=truth, ylabel=f"{value}\n± standard deviation over repeats")
    right.set(title="The authors' channels", xlabel="channel (its mutual information in nats)")
    return fig


def _folded(name: str) -> str:
    return textwrap.fill(name.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), 11)
