"""Features that are seen together: IP-12."""

import math

import numpy as np
import torch

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.incidental import interference

HORIZON = 4.0  # λ · time of a training
SAMPLES = 256  # inputs per step where features are drawn independently

FIGURES = {
    "figx_cooccurrence": (
        "Left: count of polysemantic neurons, relative to that without co-occurrence, against the weight of a pair "
        "divided by the regularization: the curves for all regularizations fall together, to half at about a tenth. "
        "Right: the half-life against the regularization on logarithmic axes, a line of slope one."
    ),
}

CLAIMS: dict[str, Claim] = {
    "IP-12": Claim(
        id="IP-12",
        claim="Incidental polysemanticity survives where features are seen together now and then",
        source="the paper's setting has one feature at a time; a comment under its first version asks for more",
        paper="silent: co-occurrence is assumed to be rare",
        rule={
            "count ÷ count without pairs, at pair weight λ": (0.5, math.inf),
            "count ÷ exact count, independent features": (0.5, math.inf),
        },
        reason=(
            "Half of the count is the least that one would call survival. A pair weight of λ is a pair seen once for "
            "every 1/λ times that a feature is seen alone; independent features are on with probability 1/n, one at a "
            "time on average. Not blind: preliminary runs had seen the count halved at about 0.1 λ and none for "
            "independent features."
        ),
    ),
}


def pairs(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, relative: list) -> dict:
    """Polysemantic neurons [weight, seed] for pairs of weight `relative` · l1 in the loss, all from the same W(0)."""
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    ends = [
        interference.follow(
            lambda overlap, pair=l1 * ratio: interference.paired_error(overlap, pair),
            start,
            l1=l1,
            time=HORIZON / l1,
            stiffness=1 + n_features * l1 * ratio,
        )
        for ratio in relative
    ]
    return _ends(torch.stack(ends))


def independent(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int) -> dict:
    """Polysemantic neurons [1, seed] where each feature is on with probability 1/n, whatever the others do.

    Fresh inputs at every step; the loss is the mean over inputs times n, so that a feature alone counts as before.
    """
    source = streams.generator(seed, "data", device)
    rate = 1 / n_features

    def error(overlap):
        shape = (len(overlap), SAMPLES, n_features)
        active = (torch.rand(shape, generator=source, device=device) < rate).to(overlap)
        return interference.sampled_error(overlap, active, rate)

    start = _start(n_features, n_neurons, seed, n_seeds, device)
    return _ends(interference.follow(error, start, l1=l1, time=HORIZON / l1, stiffness=4.0)[None])


def _start(n_features: int, n_neurons: int, seed: int, n_seeds: int, device: str) -> torch.Tensor:
    drawn = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds))
    return drawn.to(device=device, dtype=torch.float32)


def _ends(trained: torch.Tensor) -> dict:
    weights = trained.cpu().numpy()
    return {
        "count": incidental.polysemantic_neurons(weights),
        "same": incidental.collision_signs(weights).same,
        "kept": (np.linalg.norm(weights, axis=-1) > 0.5).sum(-1),
    }
