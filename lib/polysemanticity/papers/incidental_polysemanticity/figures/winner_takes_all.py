"""The figure of the family `winner_takes_all`, from its table."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots

USED, SHARED = "neurons in use per feature", "polysemantic neurons ÷ exact count"


def figx_winner_takes_all(table: pd.DataFrame) -> Figure:
    """Left: how many neurons a feature uses, for six activation functions with two neurons for every feature, at the
    start (crosses) and at the end of training without and with the regularization, with and without LayerNorm. Right:
    polysemantic neurons of the same networks relative to the exact count. Without regularization and LayerNorm softmax
    alone uses fewer neurons than at the start; with the regularization functions use about one, linear and top-4 codes
    behind a LayerNorm two. Linear and top-4 codes then share neurons; without the regularization SoLU, top-4 and
    softmax codes share most."""
    seen = table[table["neurons per feature"] == 2]
    look = plots.styles(seen[seen["what"] == "measured"], "arm")
    fig, panels = plt.subplots(1, 2, figsize=(8, 5), sharey=True)
    names = list(dict.fromkeys(seen["activation"]))
    arms = list(dict.fromkeys(seen["arm"]))
    for ax, quantity in zip(panels, (USED, SHARED), strict=True):
        for k, arm in enumerate(arms):
            rows = plots.part(seen, arm=arm, quantity=quantity)
            place = pd.Series([names.index(name) for name in rows["activation"]]) + 0.19 * (k - 1.5)
            grey = {"color": plots.CONTROL}
            for y, (_, row) in zip(place, rows.iterrows(), strict=True):
                style = {**look.get(arm, {"marker": "o"}), **(grey if row["what"] == "control" else {})}
                ends = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
                ax.errorbar([row["value"]], [y], xerr=ends, linestyle="none", capsize=2, markersize=5,
                            color=style["color"], marker=style["marker"])  # fmt: skip
                if quantity == USED:
                    ax.plot([row["start"], row["value"]], [y, y], color=style["color"], linewidth=0.8, alpha=0.6)
                    ax.plot([row["start"]], [y], marker="x", color=style["color"], markersize=4)
            ax.errorbar([], [], xerr=[], linestyle="none", capsize=2, label=arm, color=look[arm]["color"],
                        marker=look[arm]["marker"])  # fmt: skip
        ax.set_yticks(range(len(names)), names)
        ax.grid(False, axis="y")
        for edge in range(1, len(names)):
            ax.axhline(edge - 0.5, color="#E4E4E4", linewidth=0.8)
    left, right = panels
    left.plot([], [], marker="x", color="#1A1A1A", linestyle="none", markersize=4, label="at the start")
    left.set(xscale="log", xlabel=f"{USED} (1: one-hot)", title="Sparse?", ylim=(len(names) - 0.5, -0.5))
    left.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    left.minorticks_off()
    right.axvline(1, **plots.ROLES["corrected"], label="exact count of one-hot codes")
    right.set(xlabel=SHARED, xlim=(-0.15, None))
    handles, labels = left.get_legend_handles_labels()
    more = dict(zip(*right.get_legend_handles_labels()[::-1], strict=True))
    law = next(name for name in more if name not in labels)
    handles, labels = [*handles, more[law]], [*labels, law]
    labels = [f"{text}, 95 %" if text in arms else text for text in labels]
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    size = seen["series"].iloc[0].partition(", missed")[0]
    right.set_title(f"Shared? ({size})")
    fig.suptitle(_finding(seen), x=0.02, ha="left", fontsize=11, fontweight="bold")
    return fig


def _finding(seen: pd.DataFrame) -> str:
    """Which functions lower the neurons in use in training without l1, and which codes share neurons with it."""
    used = plots.part(seen, quantity=USED, arm="no l1")
    fewer = used[used["high"] < 0.9 * used["start"]]["activation"]
    shared = plots.part(seen, quantity=SHARED, arm="l1")
    kept = shared[shared["low"] > 0.1]["activation"]
    return (
        f"Without l1 and LayerNorm, training concentrates {_list(fewer)} codes only;\nwith l1 alone, {_list(kept)} "
        "codes share neurons and others do not"
    )


def _list(names) -> str:
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0] if names else "no"
