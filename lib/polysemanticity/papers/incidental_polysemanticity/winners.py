"""Does initialization decide, whatever the optimizer? Winners and collision sets from the same start: IP-05.

The worker is `collisions.count` with its `method`: the same seed gives every method the same initial weights.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polysemanticity.claims import Claim, Estimate, mean_interval

FIGURES = {
    "fig4_start_end": (
        "Left: overlap of each feature's final encoding with every feature's initial one, averaged over networks: a "
        "thin bright diagonal on noise. Right: distribution of the final neuron's initial weight, and that of the "
        "largest initial weight, which lies further right."
    ),
    "figx_winners": (
        "Left: share of features whose final neuron had their largest initial weight, against the number of neurons on "
        "logarithmic axes, for gradient flow, AdamW and Adam; all lie between one and chance 1/m. "
        "Middle: median initial rank of the final neuron, falling to one for gradient flow and rising for AdamW. "
        "Right: overlap of collision sets from the same start, small between flow and AdamW, large between AdamW and "
        "Adam."
    ),
}
NAMES = {"flow": "gradient flow", "adamw": "AdamW", "adam": "Adam"}

CLAIMS: dict[str, Claim] = {
    "IP-05": Claim(
        id="IP-05",
        claim="Each feature ends on the neuron that was most correlated with it at initialization",
        source="introduction, Figure 4 (start–end correlation)",
        paper="a bright diagonal: final encodings are strengthened initial ones; polysemanticity is due to the start",
        rule={
            "hit rate, gradient flow": (0.9, math.inf),
            "hit rate, AdamW": (0.9, math.inf),
            "shared collisions, flow and AdamW": (0.5, math.inf),
        },
        reason=(
            "Hit rate: share of features whose final neuron and sign had their largest initial weight; 'the most "
            "correlated neuron wins' allows one exception in ten. If the start decides, two ways to train from it "
            "end with mostly the same pairs on one neuron. Rates of 0.2 to 0.6 (flow) and 0.01 to 0.15 (AdamW) "
            "were known from trials; the overlap of collision sets was not."
        ),
        corrected={
            "hit rate, gradient flow": (-math.inf, 0.9),
            "hit rate, AdamW": (-math.inf, 0.9),
            "hit rate × m, gradient flow": (2.0, math.inf),
            "hit rate × m, AdamW": (2.0, math.inf),
            "shared collisions ÷ chance, flow and AdamW": (2.0, math.inf),
        },
        correction=(
            "a tendency: most features end on another neuron than the one most correlated at the start, but on one "
            "that was better than chance, and which pairs collide depends on the optimizer as well as on the start"
        ),
    ),
}


def hit_rate(results: Sequence[Mapping], factors: Sequence[float] | None = None) -> Estimate:
    """Return the share of features whose final neuron had their largest initial weight: a t interval over networks.

    `results` has one result of `collisions.count` for each size, `factors` what to multiply each one's shares by (m
    divides by chance); networks of all sizes are pooled.
    """
    factors = np.ones(len(results)) if factors is None else factors
    shares = [(result["rank"] == 0).mean(1) * factor for result, factor in zip(results, factors, strict=True)]
    return mean_interval(np.concatenate(shares))


def collisions(slots) -> np.ndarray:
    """Return which pairs of features share a neuron, [seed, pair], from slots [seed, feature]; 0 is no slot."""
    slots = np.asarray(slots)
    first, second = np.triu_indices(slots.shape[1], 1)
    neuron = np.abs(slots)
    return (neuron[:, first] == neuron[:, second]) & (neuron[:, first] > 0)


def overlap(one, other) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs that collide in both, and those expected by chance, per seed.

    Chance: as many pairs in each, drawn independently from all; slots are [seed, feature].
    """
    first, second = collisions(one), collisions(other)
    return (first & second).sum(1), first.sum(1) * second.sum(1) / first.shape[1]


def shared(sets: Mapping[str, Sequence], one: str, other: str) -> dict[str, Estimate]:
    """Return the share of colliding pairs that two methods have in common, and that number divided by chance.

    `sets[method]` holds slots [seed, feature] for every size; the share is of the mean number of pairs of the two. t
    intervals over seeds, all sizes pooled.
    """
    both, chance, each = (sum(values) for values in zip(*map(_counts, sets[one], sets[other]), strict=True))
    name = "shared collisions"
    return {name: _ratio(both, each), f"{name} ÷ chance": _ratio(both, chance)}


def _counts(one, other) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    both, chance = overlap(one, other)
    return both, chance, (collisions(one).sum(1) + collisions(other).sum(1)) / 2


def _ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """Ratio of means with a t interval over seeds by linearisation; NaN if nothing collides."""
    if below.mean() == 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = above.mean() / below.mean()
    _, low, high = mean_interval(above / below.mean() - value * (below / below.mean() - 1))
    return Estimate(float(value), low, high)
