"""Where the mechanism ends: regularization too strong or too weak, too few neurons: IP-15."""

import math
import warnings

import numpy as np

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.incidental import winner

FIGURES = {
    "figx_limits": (
        "Left: share of dead features against the regularization, one rising curve per number of neurons, each on the "
        "line predicted from single encodings. Middle: share of features whose fate is open after a fixed time, high "
        "for weak regularization. Right: with fewer neurons than half the features, encodings stop being one-hot."
    ),
}

CLAIMS: dict[str, Claim] = {
    "IP-15": Claim(
        id="IP-15",
        claim="Too strong a regularization kills features, too weak a one makes nothing sparse in the time there is",
        source="section 2.4; the critical value is ours",
        paper="says so without a number",
        rule={
            "measured ÷ predicted λ at which half of the features die": (0.85, 1.15),
            "share of features whose death or life is predicted": (0.85, math.inf),
            "exponent of the time to decision in λ": (-1.15, -0.85),
            "share of one-hot rows at m = n/2": (0.99, math.inf),
        },
        reason=(
            "The critical λ of each feature follows from its own initial weights by the exact solution, without "
            "interference; 15 % is the spread of that value over features, so interference must shift it by less. Time "
            "goes as 1/λ in the theory of one encoding. With m = n/2 every slot (neuron, sign) has one feature. Not "
            "blind: a pilot of 4 networks per point had been seen."
        ),
    ),
}


def deaths(*, seed: int, device: str, n_features: int, n_neurons: int, l1: list, n_seeds: int) -> dict:
    """Share of dead features at each l1 [l1, seed], and which of the first network's are dead [l1, feature]."""
    seeds = streams.batch_seeds(seed, n_seeds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", incidental.DyingFeatures)  # they are what is looked for
        trained = [incidental.train(n_features, n_neurons, strength, seeds, device=device) for strength in l1]
    return {
        "dead": np.array([result.dead.mean(1) for result in trained]),
        "first": np.array([result.dead[0] for result in trained]),
        "count": np.array([incidental.polysemantic_neurons(result.weights) for result in trained]),
    }


def critical(*, seed: int, device: str, n_features: int, n_neurons: int) -> dict:
    """Critical l1 of each feature of the first network of `deaths`, from its own initial weights alone."""
    start = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, 1)).numpy()[0]
    return {
        "critical": np.array([winner.critical_l1(row, rtol=3e-3) for row in start]),
        "largest": np.abs(start).max(1),
    }


def patience(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, time: float) -> dict:
    """Share of features still open after a fixed time, and the time until all are decided [seed]."""
    seeds = streams.batch_seeds(seed, n_seeds)
    early = incidental.train(n_features, n_neurons, l1, seeds, max_time=time, device=device)
    return {
        "open": (~early.converged).mean(1),
        "time": incidental.train(n_features, n_neurons, l1, seeds, device=device).time,
    }


def crowd(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int) -> dict:
    """Features that end one-hot, dead or spread, and shared neurons [seed], where neurons are few."""
    seeds = streams.batch_seeds(seed, n_seeds)
    trained = incidental.train(n_features, n_neurons, l1, seeds, max_time=8 / l1, device=device)
    live = (trained.weights != 0).sum(-1)
    return {
        "one_hot": (live == 1).mean(1),
        "dead": (live == 0).mean(1),
        "count": incidental.polysemantic_neurons(trained.weights),
    }


def half_dead(l1, dead) -> float:
    """Return the l1 at which half of the features die, from their share [l1], by linear interpolation; NaN if none."""
    l1, dead = np.asarray(l1, dtype=float), np.asarray(dead, dtype=float)
    above = np.flatnonzero(dead >= 0.5)
    if len(above) == 0 or above[0] == 0:
        return math.nan
    k = above[0]
    return float(l1[k - 1] + (0.5 - dead[k - 1]) / (dead[k] - dead[k - 1]) * (l1[k] - l1[k - 1]))
