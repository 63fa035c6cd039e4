"""How much random directions overlap: XX-01."""

import numpy as np

from polysemanticity.base import streams
from polysemanticity.claims import Claim

FIGURES = {
    "fig1_overlaps": (
        "Mean squared overlap of random directions against the number of dimensions, on logarithmic axes: points with "
        "intervals lie on the line of one over the number of dimensions."
    ),
}

CLAIMS: dict[str, Claim] = {
    "XX-01": Claim(
        id="XX-01",
        claim="Random directions in D dimensions overlap by 1/D in the mean square",
        source="where the paper says so: section, equation or figure",
        paper="1/D, for directions drawn without preference",
        rule={"slope in D": (-1.05, -0.95), "mean squared overlap × D": (0.95, 1.05)},
        reason="Exact in theory at every D; 5 % leaves room for the noise of a few thousand pairs.",
    ),
}


def mean_square(*, seed: int, device: str, n_directions: int, n_dims: int) -> dict:
    """The mean squared overlap of all pairs of one set of random directions."""
    overlaps = cosines(n_directions, n_dims, streams.rng(seed, "directions"))
    return {"mean_square": float((overlaps**2).mean())}


def cosines(n_directions: int, n_dims: int, rng: np.random.Generator) -> np.ndarray:
    """Return the cosine of the angle between every two of `n_directions` random directions, as one array [pair]."""
    directions = rng.standard_normal((n_directions, n_dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (directions @ directions.T)[np.triu_indices(n_directions, 1)]
