"""The figure of the family `blocks`, from its table."""

import itertools

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemanticity import plots
from polysemanticity.papers.feature_capacity.figures.architectures import draw_gram

GRAM, BLOCK, SIZE = "entry of WᵀW ÷ its largest", "dimensions of a block", "features per block, mean over starts"


def figx_blocks(table: pd.DataFrame) -> Figure:
    """Gram matrices sorted into blocks: four archetypes of block-semi-orthogonal embeddings above, trained quadratic
    models below, with one dense block of shared features and single monosemantic features."""
    fig, axes = plt.subplots(2, 4, figsize=(8, 4.8))
    for row, name in zip(axes, ("archetypes", "trained"), strict=True):
        found = plots.part(table, row=name)
        for ax, series in zip(row, dict.fromkeys(found["series"]), strict=False):
            draw_gram(ax, plots.part(found, series=series), limit=1)
            ax.set_title(series.replace(": ", "\n"), fontsize=9)
        for ax in row[found["series"].nunique() :]:
            ax.set_axis_off()
        row[0].set_ylabel(name)
    fig.colorbar(axes[0, 0].collections[0], ax=axes, label="entry of WᵀW", shrink=0.6)
    fig.suptitle(
        "Above, the same budget spent in four ways; below, training makes one block of all that share\n"
        "(n, d): n features in d dimensions",
        weight="bold", fontsize=10,
    )  # fmt: skip
    return fig


def figx_block_geometry(table: pd.DataFrame) -> Figure:
    """Sorted Gram matrices of 32 equally important features in 8 dimensions at densities 0.3, 0.1 and 0.02. Above, the
    quadratic model: always one dense block. Below, the ReLU autoencoder: digons at density 0.3, larger blocks and one
    block where inputs are sparser."""
    models, densities = (list(dict.fromkeys(table[column])) for column in ("series", "density"))
    fig, axes = plt.subplots(len(models), len(densities), figsize=(8, 6))
    for row, model in zip(axes, models, strict=True):
        for ax, density in zip(row, densities, strict=True):
            some = plots.part(table, series=model, density=density)
            draw_gram(ax, plots.part(some, quantity=GRAM), limit=1)
            _brackets(ax, plots.part(some, quantity=BLOCK))
            ax.set_title(f"{model}, density {density:g}", fontsize=10)
            sizes = plots.part(some, quantity=SIZE)
            pairs = sizes[["features N", "value"]].itertuples(index=False)
            found = "\n".join(f"N = {n:.0f}: {value:.3g} per block" for n, value in pairs)
            ax.set_xlabel(found, fontsize=9)
        row[0].set_ylabel("feature, sorted by block")
    fig.colorbar(axes[0, 0].collections[0], ax=axes, label=GRAM, shrink=0.6)
    fig.supxlabel("below each: features per block, mean over starts", fontsize=10)
    fig.suptitle(
        "One block in the quadratic model; digons that melt in the ReLU autoencoder", weight="bold", fontsize=11
    )
    return fig


def _brackets(ax: Axes, blocks: pd.DataFrame) -> None:
    """A bar beside each group of neighbouring blocks of one kind, with its name."""
    rows = [(int(a), int(b), int(d)) for a, b, d in blocks[["place", "other place", "value"]].to_numpy()]
    for (n, dims), same in itertools.groupby(rows, key=lambda row: (row[1] - row[0] + 1, row[2])):
        group = list(same)
        first, last, many = group[0][0], group[-1][1], len(group)
        kind = {1: "single", 2: "digon"}.get(n if dims == 1 else 0)
        name = (
            f"{many} {kind}{'s' * (many > 1 and n == 2)}"
            if kind
            else f"block of {n}"
            if many == 1
            else f"{many} of {n}"
        )
        right = ax.get_xlim()[1]
        ax.plot([1.03 * right] * 2, [first - 0.9, last - 0.1], color="black", lw=1.5, clip_on=False)
        ax.text(1.06 * right, (first + last - 1) / 2, name, rotation=90, va="center", fontsize=9)
