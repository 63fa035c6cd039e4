"""What a capacity is worth in bits (FC-16)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured

GAUSSIAN, HEAVY = "Gaussian", "heavy-tailed"
EMBEDDINGS = ("optimal", "random")
CAPACITY, BITS = "capacity C", "information of the read-out [bit]"

CLAIMS = {
    "FC-16": Claim(
        id="FC-16",
        claim="A Gaussian feature of capacity C is worth −½ log₂(1 − C) bits to a read-out in its own direction",
        source="ours: capacity is that read-out's r², which is derived, not judged; the paper calls it the dimension "
        "that a feature consumes",
        paper="not in the paper",
        whose="ours",
        known="derived; one draw of another size had errors of up to 0.03 bits",
        figure="figx_bits",
        rule={"largest |information − formula|, Gaussian [bit]": (-math.inf, 0.1)},
        reason=(
            "An estimate by nearest neighbours knows nothing of the formula, and ten thousand samples give it to a few "
            "hundredths of a bit; the worst of all features is judged. Features of capacity 1 have no finite "
            "information and are left out."
        ),
    ),
}


@dataclass(frozen=True)
class Settings:
    """Simulated activity, read out of embeddings."""

    n_samples: int = setting(10_000, "samples of activity whose read-out is measured", low=100, smoke=200)
    n_draws: int = setting(8, "draws of the activity", low=2, smoke=2)
    n_features: int = setting(18, "features N of the embeddings that are read out", low=4, smoke=5)
    n_dims: int = setting(7, "dimensions D there", low=2, smoke=3)


def simulations(settings: Settings) -> list[dict]:
    """Return the configurations of `read_out`: optimal and random embeddings of Gaussian and heavy-tailed features."""
    fixed = {"n_samples": settings.n_samples, "n_features": settings.n_features, "n_dims": settings.n_dims}
    fixed |= {"n_draws": settings.n_draws}
    return [{"embedding": kind, "law": law, **fixed} for law in (GAUSSIAN, HEAVY) for kind in EMBEDDINGS]


def read_out(
    *, seed: int, device: str, embedding: str, law: str, n_samples: int, n_draws: int, n_features: int, n_dims: int
) -> dict:
    """Capacity and leverage of every feature [N], and of each draw of independent features of variance 1 [draw, N]: r²
    of the read-out W_i·W x (`own`) and of the best linear one (`best`), the information [bit] between x_i and W_i·W x.

    `optimal` is the embedding of importances 0.85^i at kurtosis 30, `random` has normal columns of such lengths.
    Heavy-tailed features are normal numbers times e to a normal power. Information is estimated by nearest neighbours.
    """
    rng = streams.rng(seed, f"read-out {embedding} {law}")
    v = 0.85 ** np.arange(n_features)
    if embedding == "optimal":
        w = capacity.realise(capacity.optimal_allocation(v, 30.0, n_dims))
    else:
        w = rng.standard_normal((n_dims, n_features)) * np.sqrt(v)
    draws = [_of_draw(w, _activity(law, (n_samples, n_features), rng)) for _ in range(n_draws)]
    return {
        "capacity": capacity.feature_capacity(w),
        "leverage": capacity.leverage(w),
        **{key: np.array([draw[key] for draw in draws]) for key in draws[0]},
    }


def _activity(law: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal(shape)
    x = x * np.exp(rng.standard_normal(shape)) if law == HEAVY else x
    return (x - x.mean(0)) / x.std(0)


def _of_draw(w: np.ndarray, x: np.ndarray) -> dict:
    """r² and information [N] of the read-outs of one draw of activity [samples, N]."""
    from sklearn.feature_selection import mutual_info_regression

    hidden = x @ w.T
    own = hidden @ w
    best = hidden @ np.linalg.lstsq(hidden, x, rcond=None)[0]
    nats = [mutual_info_regression(y[:, None], z, random_state=0)[0] for y, z in zip(own.T, x.T, strict=True)]
    return {
        "own": np.array([np.corrcoef(y, z)[0, 1] ** 2 for y, z in zip(own.T, x.T, strict=True)]),
        "best": 1 - ((x - best) ** 2).mean(0),
        "information": np.array(nats) / math.log(2),
    }


def table(read: Results) -> pd.DataFrame:
    """Return information against capacity of all features below capacity 1, and the formula."""
    parts = []
    for config, result in read.pairs():
        some = result["capacity"] < 0.999
        rows = {"what": "measured", "series": f"{config['law']} features", "embedding": config["embedding"]}
        columns = {CAPACITY: result["capacity"][some], BITS: result["information"].mean(0)[some]}
        parts.append(pd.DataFrame({**rows, **columns, "own r²": result["own"].mean(0)[some]}))
    c = np.linspace(0, 0.985, 100)
    parts.append(pd.DataFrame({"what": "corrected", "series": "−½ log₂(1 − C)", CAPACITY: c, BITS: capacity.bits(c)}))
    return pd.concat(parts)


def measured(read: Results) -> Measured:
    """Return what decides FC-16; the two r², which are derived, and heavy-tailed features are not judged."""
    config = read.configs[0]
    gaussian, heavy = ([_worst(r, "information", capacity.bits(r["capacity"])) for r in read.where(law=law)]
                       for law in (GAUSSIAN, HEAVY))  # fmt: skip
    quantities = {
        "largest |information − formula|, Gaussian [bit]": np.max(gaussian, axis=0),
        "largest |information − formula|, heavy-tailed [bit]": np.max(heavy, axis=0),
        "largest |r² of the own direction − C|": np.max([_worst(r, "own", r["capacity"]) for r in read], axis=0),
        "largest |r² of the best read-out − leverage|": np.max(
            [_worst(r, "best", r["leverage"]) for r in read], axis=0
        ),
    }
    return Measured(
        {name: intervals.mean(values) for name, values in quantities.items()},
        f"95 % t intervals over {config['n_draws']} draws of the largest error of all features",
        f"N = {config['n_features']}, D = {config['n_dims']}, an optimal and a random embedding, Gaussian and "
        f"heavy-tailed features, {config['n_samples']:,} samples",
        "Both r² hold whatever the law of features is; the bits need Gaussian ones.",
    )


def _worst(result: dict, key: str, expected: np.ndarray) -> np.ndarray:
    """The largest error of all features below capacity 1 [draw]."""
    some = result["capacity"] < 0.999
    return np.abs(result[key] - expected)[:, some].max(1)
