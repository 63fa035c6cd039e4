"""Polysemanticity of different architectures, and where digons end (FC-05, FC-12)."""

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
from polysemanticity.capacity import autoencoders, geometry, phases, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.papers.feature_capacity.price import LABELS

MODELS = ("quadratic", "relu", "gelu", "relu hidden", "tanh", "linear")
JUDGED = ("quadratic", "relu", "gelu", "relu hidden")
DENSITIES = (1.0, 0.7, 0.4, 0.2, 0.1, 0.05, 0.02)
CROSSOVER_DENSITIES = (0.3, 0.1, 0.03, 0.01)
FEATURES_PER_DIMENSION = (1.25, 1.5, 2, 2.5, 3, 4)
SHAPE = {"digons": "share of dimensions in digons", "largest": "share of features in the largest block"}
SHARES = {"represented": "polysemantic share of represented features", "all": "polysemantic share of all features"}
GRAM = "entry of the Gram matrix WᵀW"

CLAIMS = {
    "FC-05a": Claim(
        id="FC-05a",
        claim="Polysemanticity grows with sparsity in all kinds of model that the paper lists: quadratic, ReLU, GELU",
        source="abstract; polysemanticity against sparsity for several architectures",
        paper="rises in all models tried",
        whose="printed",
        known="rises at N = 20 and D = 5, from a fact sheet and from an earlier run; the size is a new one",
        figure="figx_architectures",
        rule={f"rise of the polysemantic share, {LABELS[model]}": (0.1, math.inf) for model in JUDGED}
        | {"largest drop between neighbouring densities": (-math.inf, 0.1)},
        reason=(
            "Rise: from dense inputs to the sparsest, of the share of represented features with 0.05 < C < 0.95; 0.1 "
            "is one feature in ten. Monotone: no step towards sparser inputs may lose as much. Each model is judged by "
            "itself. The paper's variants of ReLU and GELU are unknown to us: ours have it at the output, or on the "
            "hidden layer too."
        ),
    ),
    "FC-05b": Claim(
        id="FC-05b",
        claim="The level of polysemanticity differs between architectures",
        source="abstract; polysemanticity against sparsity for several architectures",
        paper="more in some architectures than in others",
        whose="printed",
        known="a range of 0.4 at N = 20 and D = 5; the size is a new one",
        figure="figx_architectures",
        rule={"range of levels at density 0.2": (0.1, math.inf)},
        reason="Of the share of all features, most against least polysemantic of the four; 0.1 is one feature in ten.",
    ),
    "FC-05c": Claim(
        id="FC-05c",
        claim="Without a nonlinearity at the output that suppresses interference sparsity makes nothing polysemantic",
        source="ours: linear and tanh outputs as controls",
        paper="not in the paper",
        whose="ours",
        known="falls of 0.07 and 0.17 at N = 20 and D = 5; the size is a new one",
        figure="figx_architectures",
        rule={
            "rise of the polysemantic share, linear": (-math.inf, 0.1),
            "rise of the polysemantic share, tanh": (-math.inf, 0.1),
        },
        reason="A linear map cannot suppress interference, an odd tanh only where it saturates. Rises as in FC-05a.",
    ),
    "FC-12a": Claim(
        id="FC-12a",
        claim=(
            "In the ReLU autoencoder N = 2D features form D digons at every density; with fewer, sparse inputs give "
            "N − D simplices; with more, sparse inputs merge the blocks into one"
        ),
        source="ours: crossover map",
        paper="not in the paper",
        whose="ours",
        known="the map in 8 dimensions, from a fact sheet and an earlier run; here there are 7",
        figure="figx_crossover",
        rule={
            "share of dimensions in digons, ReLU, N = 2D": (0.9, 1.0),
            "polysemantic blocks ÷ (N − D), ReLU, N < 2D, sparsest": (0.9, 1.1),
            "share of features in the largest block, ReLU, N = 4D, sparsest": (0.8, 1.0),
        },
        reason=(
            "At most 2D vectors have no positive overlap, and they fall into simplices. One dimension, block or "
            "feature in ten may be lost to training; merging may leave a few digons, so 20 % there."
        ),
    ),
    "FC-12b": Claim(
        id="FC-12b",
        claim="With a GELU output four features per dimension stay in digons, however sparse inputs are",
        source="ours: crossover map",
        paper="not in the paper",
        whose="ours",
        known="they did so where importances fall, from a fact sheet, and did not in an earlier run in 8 dimensions",
        figure="figx_crossover",
        rule={"share of dimensions in digons, GELU, N = 4D, sparsest": (0.9, 1.0)},
        reason="One dimension in ten may be lost to training.",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Autoencoders of several architectures beside the quadratic model."""

    n_features: int = setting(20, "features N of the autoencoders", low=6, smoke=8)
    n_dims: int = setting(5, "dimensions D of the autoencoders", low=2, smoke=3)
    seeds: int = setting(8, "random starts of the autoencoders", low=2, smoke=2, paper=24)
    n_steps: int = setting(2500, "Adam steps of the autoencoders", low=10, smoke=30, paper=20_000)
    batch: int = setting(256, "samples per step of the autoencoders", low=16, smoke=32, paper=1024)
    n_test: int = setting(20_000, "fresh samples that measure an autoencoder's loss", low=100, smoke=200, paper=200_000)
    shares_features: int = setting(24, "features N where polysemanticity against sparsity is judged", low=6, smoke=8)
    shares_dims: int = setting(6, "dimensions D there", low=2, smoke=3)
    crossover_dims: int = setting(7, "dimensions D of the map over features per dimension and density", low=2, smoke=3)
    crossover_steps: int = setting(4000, "Adam steps on that map", low=10, smoke=30, paper=40_000)
    crossover_batch: int = setting(
        512, "samples per step of that map, where most samples are empty", low=16, smoke=32, paper=4096
    )


def architectures(settings: Settings) -> list[dict]:
    """Return the configurations of `train_architecture` for falling importances: one for each model."""
    size = {"n_features": settings.shares_features, "n_dims": settings.shares_dims}
    fixed = {"densities": DENSITIES, "decay": 0.9, **size}
    fixed |= {"n_seeds": settings.seeds, "n_steps": settings.n_steps, "batch": settings.batch}
    return [{"model": model, **fixed} for model in MODELS]


def crossover(settings: Settings) -> list[dict]:
    """Return the configurations of `train_architecture` for the map: ReLU, then GELU, with more and more features."""
    dims = settings.crossover_dims
    fixed = {"densities": CROSSOVER_DENSITIES, "decay": 1.0, "n_dims": dims, "n_seeds": max(2, settings.seeds // 2)}
    fixed |= {"n_steps": settings.crossover_steps, "batch": settings.crossover_batch}
    many = list(dict.fromkeys(round(dims * ratio) for ratio in FEATURES_PER_DIMENSION))  # few dimensions: fewer sizes
    return [{"model": model, "n_features": n, **fixed} for model in ("relu", "gelu") for n in many]


def train_architecture(
    *, seed: int, device: str, model: str, densities, decay: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int, batch: int,
) -> dict:  # fmt: skip
    """Weights [density, seed, D, N] of one architecture; `quadratic` has importances √I and kurtosis 1.8/density."""
    importance = torch.tensor(decay ** np.arange(n_features)).expand(len(densities), -1)
    generator = streams.generator(seed, f"weights {model} {n_features}", device)
    p = torch.tensor(densities, dtype=torch.float64)
    if model == "quadratic":
        weights = quadratic.train_quadratic(importance.sqrt(), 1.8 / p, n_dims, n_seeds, generator).weights
    else:
        weights = autoencoders.train_autoencoders(
            model, p, importance, n_dims, n_seeds, generator, n_steps=n_steps, batch=batch, n_test=100
        ).weights
    return {"weights": weights.double().cpu().numpy()}


def shares_table(built: Results) -> pd.DataFrame:
    """Return two shares of polysemantic features of every model against density."""
    parts = []
    for config, result in built.pairs():
        share = phases.polysemantic_shares(result["weights"])
        role = "measured" if config["model"] in JUDGED else "control"
        for key, quantity in SHARES.items():
            values = getattr(share, key)
            parts.append(_against_density(LABELS[config["model"]], config["densities"], values, quantity, role))
    return pd.concat(parts)


def crossover_table(mapped: Results) -> pd.DataFrame:
    """Return digons and the largest block of ReLU and GELU autoencoders over features per dimension and density."""
    parts = []
    for config, result in mapped.pairs():
        shape = geometry.block_geometry(result["weights"])
        for key, quantity in SHAPE.items():
            rows = _against_density(LABELS[config["model"]], config["densities"], getattr(shape, key), quantity)
            parts.append(rows.assign(**{"features N": config["n_features"], "dimensions D": config["n_dims"]}))
    table = pd.concat(parts)
    return table.assign(**{"features per dimension N/D": table["features N"] / table["dimensions D"]})


def _rises(built: Results, models: Sequence[str]) -> dict[str, intervals.Estimate]:
    """How much the polysemantic share of represented features rises from dense inputs to the sparsest, by quantity."""
    shares = {m: phases.polysemantic_shares(built.where(model=m)[0]["weights"]).represented for m in models}
    return {f"rise of the polysemantic share, {LABELS[m]}": intervals.mean(s[-1] - s[0]) for m, s in shares.items()}


def _of_architectures(built: Results, quantities: dict, error: str, note: str) -> Measured:
    config = built.configs[0]
    return Measured(
        quantities,
        f"95 % t intervals over {config['n_seeds']} starts{error}",
        f"{_size(config)}, importances {config['decay']:g}^i, "
        f"{len(DENSITIES)} densities from {min(DENSITIES):g} to {max(DENSITIES):g}",
        note,
    )


def measured_sparsity(built: Results) -> Measured:
    """Return what decides FC-05a."""
    shares = [phases.polysemantic_shares(built.where(model=m)[0]["weights"]).represented for m in JUDGED]
    drops = np.concatenate([-np.diff(share, axis=0) for share in shares])
    worst = intervals.row_of_extreme_mean(drops, least=False)
    quantities = {**_rises(built, JUDGED), "largest drop between neighbouring densities": worst}
    return _of_architectures(built, quantities, "; the worst of all steps", "Every kind is judged by itself.")


def measured_levels(built: Results) -> Measured:
    """Return what decides FC-05b."""
    place = DENSITIES.index(0.2)
    levels = np.array([phases.polysemantic_shares(built.where(model=m)[0]["weights"]).all[place] for m in JUDGED])
    most, least = levels.mean(1).argmax(), levels.mean(1).argmin()
    quantities = {"range of levels at density 0.2": intervals.mean(levels[most] - levels[least])}
    note = f"Most polysemantic is {LABELS[JUDGED[most]]}, least {LABELS[JUDGED[least]]}."
    return _of_architectures(built, quantities, " of the two", note)


def measured_controls(built: Results) -> Measured:
    """Return what decides FC-05c."""
    return _of_architectures(built, _rises(built, ("linear", "tanh")), "", "Both are controls of FC-05a.")


def measured_crossover(mapped: Results) -> Measured:
    """Return what decides FC-12a."""
    relu = [geometry.block_geometry(result["weights"]) for result in mapped.where(model="relu")]
    many, config = mapped.where(model="relu").setting("n_features"), mapped.configs[0]
    simplices = [relu[k].blocks[-1] / (many[k] - config["n_dims"]) for k in (0, 1)]
    farthest = max((intervals.mean(s) for s in simplices), key=lambda estimate: abs(estimate.value - 1))
    quantities = {
        "share of dimensions in digons, ReLU, N = 2D": intervals.mean(relu[2].digons.mean(0)),
        "polysemantic blocks ÷ (N − D), ReLU, N < 2D, sparsest": farthest,
        "share of features in the largest block, ReLU, N = 4D, sparsest": intervals.mean(relu[-1].largest[-1]),
    }
    error = f"95 % t intervals over {config['n_seeds']} starts; of N < 2D the case farthest from 1"
    return Measured(quantities, error, _scale(mapped, "ReLU"), "Digons, simplices and merging are as expected.")


def measured_gelu(mapped: Results) -> Measured:
    """Return what decides FC-12b."""
    digons = geometry.block_geometry(mapped.where(model="gelu")[-1]["weights"]).digons
    return Measured(
        {"share of dimensions in digons, GELU, N = 4D, sparsest": intervals.mean(digons[-1])},
        f"95 % t interval over {mapped.configs[0]['n_seeds']} starts",
        _scale(mapped, "GELU"),
        f"At density {CROSSOVER_DENSITIES[0]:g} it is {digons[0].mean():.0%}: GELU merges its blocks as well, later "
        "than ReLU.",
    )


def _scale(mapped: Results, name: str) -> str:
    many, config = mapped.setting("n_features"), mapped.configs[0]
    return (
        f"{name} autoencoders, D = {config['n_dims']}, N = {many.min()} to {many.max()}, equal importances, "
        f"densities {min(CROSSOVER_DENSITIES):g} to {max(CROSSOVER_DENSITIES):g}"
    )


def _size(config: Mapping) -> str:
    return f"N = {config['n_features']}, D = {config['n_dims']}, {config['n_seeds']} starts each"


def gram_rows(w: np.ndarray, what: str, name: str, **columns) -> pd.DataFrame:
    """The entries of WᵀW that are not 0, in the order of the features given."""
    gram = w.T @ w
    first, second = np.nonzero(np.abs(gram) > 1e-3 * np.abs(gram).max())
    found = {"what": what, "series": name, **columns, "place": first + 1, "other place": second + 1}
    return pd.DataFrame({**found, "value": gram[first, second].round(4)}).assign(places=len(gram))


def _against_density(name: str, densities, values: np.ndarray, quantity: str, what: str = "measured") -> pd.DataFrame:
    """Means of values [density, start] with 95 % intervals of the mean."""
    where = {"what": what, "series": name, "quantity": quantity, "density": densities}
    return pd.DataFrame({**where, **intervals.mean(values, axis=1).columns()})
