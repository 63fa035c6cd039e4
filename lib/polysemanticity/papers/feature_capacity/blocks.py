"""One block or many: the geometry of embeddings in the quadratic model and in ReLU autoencoders (FC-06)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import autoencoders, geometry, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.papers.feature_capacity import architectures
from polysemanticity.papers.feature_capacity.price import LABELS

MODELS = ("quadratic", "relu")
DENSITIES = (0.3, 0.1, 0.02)
SIZES = ("few", "many")  # features
N_TEST = 10_000  # samples that measure a loss
GRAM, BLOCK, SIZE = "entry of WᵀW ÷ its largest", "dimensions of a block", "features per block, mean over starts"


_GATED = (
    "held-out loss below that of D features kept whole and a constant for the others; three networks in four at least"
)
_KNOWN_OF_RELU = (
    "digons at density 0.3 and one block at 0.1 and below, with 30 features from a fact sheet and an earlier run, and "
    "with 96 at 0.1 and below from other starts"
)


def _of_relu(key: str, which: str) -> Claim:
    return Claim(
        id=key,
        claim=f"The ReLU autoencoder has many small blocks, with {which} features per dimension",
        source="summaries of the paper; its abstract says that block sizes differ between models",
        paper="many small blocks, at a density that is not known to us",
        whose="summary",
        known=_KNOWN_OF_RELU,
        gate=_GATED,
        figure="figx_block_geometry",
        rule={f"features per block, density {p:g}": (-math.inf, 4.0) for p in DENSITIES},
        reason=(
            "Small means up to 4 features per block, the size of a simplex in three dimensions. The paper names no "
            "density, so each of ours is judged by itself. Corrected: one dimension, or feature, in ten may be odd."
        ),
        corrected={
            "share of dimensions in digons, densest": (0.9, math.inf),
            "share of features in the largest block, sparsest": (0.9, math.inf),
        },
        correction="blocks are small, digons, at moderate sparsity, and melt into one for sparse inputs",
    )


CLAIMS = {
    "FC-06a": Claim(
        id="FC-06a",
        claim="Block sizes differ between models: they are larger in the quadratic one than in the ReLU autoencoder",
        source="abstract",
        paper="block sizes differ between models",
        whose="printed",
        known=f"{_KNOWN_OF_RELU}; one block in quadratic models",
        gate=_GATED,
        figure="figx_block_geometry",
        rule={f"features per block, quadratic − ReLU, densest, {size} features": (1, math.inf) for size in SIZES},
        reason=(
            "At the densest of our inputs, as in the sparse limit both models are known to end in one block. A "
            "difference of one feature per block would be seen in a picture."
        ),
    ),
    "FC-06b": Claim(
        id="FC-06b",
        claim="All polysemantic features of a quadratic model are in one block",
        source="summaries of the paper; its abstract says that block sizes differ between models",
        paper="one large block",
        whose="summary",
        known="always one block with 20, 30 and 40 features, from a fact sheet and an earlier run; the sizes are new",
        figure="figx_block_geometry",
        rule={f"share of models with one polysemantic block, {size} features": (0.9, 1.0) for size in SIZES},
        reason="One model in ten may be odd. Four features per dimension are few, twelve are many.",
    ),
    "FC-06c": _of_relu("FC-06c", "four"),
    "FC-06d": _of_relu("FC-06d", "twelve"),
}


@dataclass(frozen=True)
class Settings:
    """Features of equal importance in the quadratic model and in ReLU autoencoders."""

    few: int = setting(32, "features N where they are few", low=6, smoke=8)
    many: int = setting(96, "features N where they are many", low=6, smoke=12)
    n_dims: int = setting(8, "dimensions D", low=2, smoke=3)
    starts: int = setting(12, "starts of quadratic models", low=2, smoke=2, paper=40)
    seeds: int = setting(6, "starts of ReLU autoencoders", low=2, smoke=2, paper=24)
    n_steps: int = setting(4000, "Adam steps of ReLU autoencoders", low=10, smoke=30, paper=40_000)
    batch: int = setting(256, "samples per step of ReLU autoencoders", low=16, smoke=32, paper=2048)


def equal_importances(settings: Settings) -> list[dict]:
    """Return the configurations of `embed`: both models, with few and many features."""
    fixed = {"densities": DENSITIES, "n_dims": settings.n_dims}
    fixed |= {"n_steps": settings.n_steps, "batch": settings.batch}
    starts = {"quadratic": settings.starts, "relu": settings.seeds}
    sizes = (settings.few, settings.many)
    return [{"model": m, "n_features": n, "n_seeds": starts[m], **fixed} for m in MODELS for n in sizes]


def embed(
    *, seed: int, device: str, model: str, densities, n_features: int, n_dims: int, n_seeds: int, n_steps: int,
    batch: int,
) -> dict:  # fmt: skip
    """Weights [density, seed, D, N] of features of equal importance; of ReLU autoencoders also `loss`, the held-out
    loss ÷ that of D features kept whole and the best constant for the others, N − D times 1/3 − density/4 [density,
    seed]."""
    importance = torch.ones(len(densities), n_features, dtype=torch.float64)
    generator = streams.generator(seed, f"weights of blocks {model} {n_features}", device)
    p = torch.tensor(densities, dtype=torch.float64)
    if model == "quadratic":
        found = quadratic.train_quadratic(importance, 1.8 / p, n_dims, n_seeds, generator)
        return {"weights": found.weights.double().cpu().numpy()}
    found = autoencoders.train_autoencoders(
        model, p, importance, n_dims, n_seeds, generator, n_steps=n_steps, batch=batch, n_test=N_TEST
    )
    alone = (n_features - n_dims) * (1 / 3 - p / 4)
    return {
        "weights": found.weights.double().cpu().numpy(),
        "loss": found.loss.cpu().numpy() / alone.numpy()[:, None],
    }


def archetypes_table(
    archetypes: Mapping[str, np.ndarray], weights: np.ndarray, kurtoses: Sequence[float]
) -> pd.DataFrame:
    """Return the Gram matrices of the archetypes, and of trained embeddings [kurtosis, D, N] sorted into blocks."""
    parts = [architectures.gram_rows(w, "control", name, row="archetypes") for name, w in archetypes.items()]
    for kurtosis, w in zip(kurtoses, weights, strict=False):
        order, found = geometry.block_order(w)
        singles = sum(len(block.features) == 1 for block in found)
        shared = ", ".join(f"({len(b.features)}, {b.dims})" for b in found if len(b.features) > 1)
        name = f"κ = {kurtosis:g}: {f'{shared} + ' if shared else ''}{singles} single"
        parts.append(architectures.gram_rows(w[:, order], "measured", name, row="trained"))
    return pd.concat(parts)


def table(shaped: Results) -> pd.DataFrame:
    """Return sorted Gram matrices of the first models with few features and their blocks, and the features per block
    of all models, by density."""
    parts, few = [], shaped.setting("n_features").min()
    for config, result in shaped.pairs():
        model, n = LABELS[config["model"]], config["n_features"]
        size = geometry.block_geometry(result["weights"]).size.mean(1)
        rows = {"what": "measured", "series": model, "quantity": SIZE, "density": config["densities"], "features N": n}
        parts.append(pd.DataFrame({**rows, "value": size}))
        for density, w in zip(config["densities"], result["weights"][:, 0], strict=True):
            if n == few:
                order, found = geometry.block_order(w, cosine=0.1, norm=0.05)
                w = w[:, order] / np.sqrt((w**2).sum(0).max())
                parts.append(architectures.gram_rows(w, "measured", model, quantity=GRAM, density=density))
                last = np.cumsum([len(block.features) for block in found])
                first, dims = np.concatenate([[1], last[:-1] + 1]), [block.dims for block in found]
                where = {"what": "measured", "series": model, "quantity": BLOCK, "density": density}
                parts.append(pd.DataFrame({**where, "place": first, "other place": last, "value": dims}))
    return pd.concat(parts)


def measured_sizes(shaped: Results) -> Measured:
    """Return what decides FC-06a."""
    quantities = {}
    for name, n in zip(SIZES, _sizes(shaped), strict=True):
        large = _shape(shaped, "quadratic", n).size[0]
        good = _passed(shaped, n)[0]
        small = _shape(shaped, "relu", n).size[0]
        key = f"features per block, quadratic − ReLU, densest, {name} features"
        quantities[key] = intervals.gated(
            good, lambda some, large=large, small=small: intervals.difference(large, small[some], grain=1)
        )
    config = shaped.where(model="relu").configs[0]
    return Measured(
        quantities,
        "95 % intervals of the difference of means over starts (Welch)",
        f"quadratic models and ReLU autoencoders, {_scale(config)}, N = {_both(shaped)}",
        "Where inputs are sparse both models have one block.",
    )


def measured_quadratic(shaped: Results) -> Measured:
    """Return what decides FC-06b."""
    quantities = {}
    for name, n in zip(SIZES, _sizes(shaped), strict=True):
        one = _shape(shaped, "quadratic", n).blocks == 1
        quantities[f"share of models with one polysemantic block, {name} features"] = intervals.proportion(
            int(one.sum()), one.size
        )
    config = shaped.where(model="quadratic").configs[0]
    return Measured(
        quantities,
        f"exact 95 % binomial intervals over {config['n_seeds']} starts at {len(config['densities'])} densities",
        f"quadratic models, {_scale(config)}, N = {_both(shaped)}",
        "The loss does not ask for one block, and random starts end in one.",
    )


def measured_relu(shaped: Results, many: bool = False) -> Measured:
    """Return what decides FC-06c, or FC-06d with many features."""
    n = _sizes(shaped)[many]
    shape, config, good = _shape(shaped, "relu", n), shaped.where(model="relu").configs[0], _passed(shaped, n)
    sizes = {
        f"features per block, density {p:g}": _mean(good[k], shape.size[k]) for k, p in enumerate(config["densities"])
    }
    corrected = {
        "share of dimensions in digons, densest": _mean(good[0], shape.digons[0]),
        "share of features in the largest block, sparsest": _mean(good[-1], shape.largest[-1]),
    }
    losses = ", ".join(f"{loss:.2f}" for loss in shaped.where(model="relu", n_features=n)[0]["loss"].mean(1))
    return Measured(
        {**sizes, **corrected},
        f"95 % t intervals over {config['n_seeds']} starts",
        f"ReLU autoencoders, {_scale(config)}, N = {n}",
        f"D digons hold 2D features; sparser inputs make the others worth representing. Held-out losses, ÷ that of D "
        f"features kept whole, from dense to sparse: {losses}.",
    )


def _passed(shaped: Results, n_features: int) -> np.ndarray:
    """Which of the ReLU autoencoders [density, seed] do better than D features kept whole."""
    return shaped.where(model="relu", n_features=n_features)[0]["loss"] < 1


def _mean(good: np.ndarray, values: np.ndarray) -> Estimate:
    return intervals.gated(good, lambda some: intervals.mean(values[some]))


def _both(shaped: Results) -> str:
    return " and ".join(map(str, _sizes(shaped)))


def _sizes(shaped: Results) -> list[int]:
    return [int(n) for n in sorted(set(shaped.setting("n_features")))]


def _shape(shaped: Results, model: str, n_features: int) -> geometry.Geometry:
    return geometry.block_geometry(shaped.where(model=model, n_features=n_features)[0]["weights"])


def _scale(config: dict) -> str:
    densities = ", ".join(f"{p:g}" for p in config["densities"])
    return f"D = {config['n_dims']}, equal importances, densities {densities}"
