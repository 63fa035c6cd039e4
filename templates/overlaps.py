"""How much random directions overlap: XX-01."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured

CLAIMS: dict[str, Claim] = {
    "XX-01": Claim(
        id="XX-01",
        claim="Random directions in D dimensions overlap by 1/D in the mean square",
        whose="printed",
        source="where the paper says so: section, equation or figure",
        paper="1/D, for directions drawn without preference",
        rule={"slope in D": (-1.05, -0.95), "mean squared overlap × D": (0.95, 1.05)},
        reason="Exact in theory at every D; 5 % leaves room for the noise of a few thousand pairs.",
        figure="fig1_overlaps",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Random directions."""

    n_seeds: int = setting(16, "sets of directions per number of dimensions", low=2, smoke=2, paper=64)
    n_directions: int = setting(64, "random directions in a set", low=2, smoke=8)
    dims: tuple[int, ...] = setting(
        (8, 16, 32, 64, 128, 256), "numbers of dimensions compared", low=2,
        smoke=(4, 8), paper=(8, 16, 32, 64, 128, 256, 512, 1024),
    )  # fmt: skip


def sizes(settings: Settings) -> list[dict]:
    """Return the configurations of `mean_square`: one for each number of dimensions."""
    return [{"n_directions": settings.n_directions, "n_dims": n_dims} for n_dims in settings.dims]


def mean_square(*, seed: int, device: str, n_directions: int, n_dims: int) -> dict:
    """The mean squared overlap of all pairs of one set of random directions."""
    overlaps = cosines(n_directions, n_dims, streams.rng(seed, "directions"))
    return {"mean_square": float((overlaps**2).mean())}


def cosines(n_directions: int, n_dims: int, rng: np.random.Generator) -> np.ndarray:
    """Return the cosine of the angle between every two of `n_directions` random directions, as one array [pair]."""
    directions = rng.standard_normal((n_directions, n_dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (directions @ directions.T)[np.triu_indices(n_directions, 1)]


def table(results: Results) -> pd.DataFrame:
    """Return the mean squared overlap at every number of dimensions, measured and by the paper's law."""
    dims, measured = results.setting("n_dims"), intervals.mean(results.array("mean_square"))
    law = {"what": "paper", "series": "1/D", "dimensions D": dims, "mean squared overlap": 1 / dims}
    seen = {"what": "measured", "series": "measured", "dimensions D": dims, "mean squared overlap": measured.value}
    return pd.concat([pd.DataFrame(law), pd.DataFrame({**seen, "low": measured.low, "high": measured.high})])


def measured(results: Results) -> Measured:
    """Return what decides XX-01."""
    dims, squares = results.setting("n_dims"), results.array("mean_square")  # squares: [dims, seed]
    quantities = {
        "slope in D": intervals.mean(np.polyfit(np.log(dims), np.log(squares), 1)[0]),
        "mean squared overlap × D": intervals.mean((squares * dims[:, None]).mean(0)),
    }
    sets, directions = squares.shape[1], results.setting("n_directions")[0]
    scale = f"{sets} sets of {directions} random directions in D = {dims.min()} to {dims.max()} dimensions"
    return Measured(quantities, f"95 % t intervals over {sets} sets", scale)
