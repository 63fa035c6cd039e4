"""The figure of the family `real_data`, from its table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

RANK, CAPACITY = "rank by importance", "capacity C"
WORDS = {"independent": "features made independent", "as they are": "real data"}


def figx_real_networks(table: pd.DataFrame) -> Figure:
    """Capacity of principal components against their rank by importance in digits, photographs and text. Above,
    features are drawn one by one from real laws: trained models lie on the prediction. Below, real data: more features
    share than predicted, in digits and text nearer to random directions of the same lengths than to the prediction."""
    kinds, names = (list(dict.fromkeys(table[column])) for column in ("features", "data"))
    fig, axes = plt.subplots(len(kinds), len(names), figsize=(8, 5.4), sharex=True, sharey=True)
    look, errors = plots.styles(table), {}
    for row, kind in zip(axes, kinds, strict=True):
        for ax, name in zip(row, names, strict=True):
            rows = plots.part(table, features=kind, data=name)
            random, predicted, trained = (plots.part(rows, what=w) for w in ("control", "paper", "measured"))
            ax.fill_between(random[RANK], random["low"], random["high"], color=plots.CONTROL_FILL, lw=0,
                            label="random directions, same lengths (95 %)")  # fmt: skip
            plots.points(ax, trained, RANK, y=CAPACITY, look=look, ms=3, capsize=0, lw=0.8)
            plots.lines(ax, predicted, RANK, y=CAPACITY, look=look)
            gap = trained[CAPACITY].to_numpy() - predicted[CAPACITY].to_numpy()
            errors[kind, name] = float(np.sqrt((gap**2).mean()))
            ax.set_title(f"{name}\n{WORDS[kind]}", fontsize=10)
            ax.text(0.97, 0.93, f"rms error {errors[kind, name]:.2f}", transform=ax.transAxes, ha="right", va="top")
            ax.set(ylim=(-0.03, 1.05))
    for ax in axes[-1]:
        ax.set_xlabel(RANK)
    for ax in axes[:, 0]:
        ax.set_ylabel(CAPACITY)
    first, last = ([errors[kind, name] for name in names] for kind in (kinds[0], kinds[-1]))
    fig.suptitle(
        f"Dependence makes real data share more: the prediction is off by {min(last):.2f} to {max(last):.2f},\n"
        f"by {max(first):.2f} at most where features are independent",
        fontsize=11, fontweight="bold",
    )  # fmt: skip
    handles, labels = axes[0, 0].get_legend_handles_labels()
    labels = [f"{label}, mean and range" if label == "trained" else label for label in labels]
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    return fig
