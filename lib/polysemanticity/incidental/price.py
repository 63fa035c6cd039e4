"""How much sharing a neuron may cost before features part: a law, and the numbers in it.

Two features of opposite signs on one neuron pay a price p, the cost of opposite signs of `interference.signed_error`,
or the weight with which the two are seen together. What follows is derived here; none of it is fitted.

1. *Shared is stable.* With its partner at one weight of size one, a feature of norm one moves to an empty neuron only
   if its weight there is above `escape_weight`: a dead weight never is. Who shares is decided before rows are one-hot.
2. *The price counts in units of l1.* From a time of order one on all rows have norms near one, and with l1 and p small
   the flow in the time l1 · t depends on p / l1 alone. So half of the pairs part at p* = g · l1.
3. *A lone pair.* When few weights are left they are a Gaussian's largest ones, whose differences have the same law for
   any number of neurons. So g of a pair with empty neurons to go to is one number, `half` of `lone_pairs`.
4. *Neighbours.* Of n features on m neurons each slot (neuron, sign) is taken with probability ρ = n/2m. While the race
   is open it is not settled which neurons stay empty. A slot that a feature can have is on an empty neuron with the
   probability `empty_share`, q; else it costs as much as the one it has. What it saves by moving is q p, so that

       p* = g l1 / q,     q = ((1 − ρ)² − (1 − s) ρ²) / (1 − ρ)    at s = 1/2,

   where s is the share of pairs that are left: the others have taken an empty neuron each. Below m = (2 + √2) n / 4
   there are too few neurons for half of the pairs to part at any price.
"""

import numpy as np
import scipy
import torch
from jaxtyping import Float
from numpy import ndarray

from polysemanticity.base.checks import check
from polysemanticity.incidental import interference

LARGEST = 30  # weights of each feature of a pair that are followed; the others are dead before a price is felt
HORIZON = 12.0  # l1 · time at which a pair counts as decided in any case


def escape_weight(ratio: float) -> float:
    """Return the weight s on an empty neuron above which a feature leaves its partner, at price / l1 = `ratio`.

    The feature has the weights (c, s) on the shared and the empty neuron, c² + s² = 1, its partner one of size one; l1
    is small. The angle moves as c s' − s c' = 4 p s c − l1 (c − s): outwards above the root of 4 ratio s c = c − s.
    """
    check(ratio > 0, "ratio", ratio, "above 0")

    def force(angle):
        return 4 * ratio * np.sin(angle) * np.cos(angle) - (np.cos(angle) - np.sin(angle))

    return float(np.sin(scipy.optimize.brentq(force, 0.0, np.pi / 4)))


def lone_pairs(
    ratios: Float[ndarray, "ratio"], n_pairs: int, n_neurons: int, l1: float, rng: np.random.Generator
) -> Float[ndarray, "ratio"]:
    """Return the share of pairs that stay on their neuron at each price / l1, with nobody else there.

    Both features have their largest initial weight on the same of n_neurons, with opposite signs; the flow of the two
    is followed to its end. All ratios have the same starts.
    """
    ratios = np.asarray(ratios, dtype=float)
    start = torch.from_numpy(_pairs(n_pairs, n_neurons, rng)).float()
    price = torch.from_numpy(l1 * ratios).float().repeat_interleave(n_pairs)
    end = interference.flow_at_prices(start.repeat(len(ratios), 1, 1), price, l1=l1, time=HORIZON / l1)
    winner = end.abs().argmax(-1)
    return (winner[:, 0] == winner[:, 1]).reshape(len(ratios), n_pairs).double().mean(1).numpy()


def _pairs(n_pairs: int, n_neurons: int, rng: np.random.Generator) -> Float[ndarray, "pair feature place"]:
    """Starts of pairs: the shared neuron first, then those where either feature has one of its largest weights."""
    others = min(LARGEST, n_neurons - 1)
    weights = np.zeros((n_pairs, 2, 1 + 2 * others))
    size = -np.sort(-np.abs(rng.standard_normal((n_pairs, 2, n_neurons))), axis=-1) / np.sqrt(n_neurons)
    weights[:, 0, 0], weights[:, 1, 0] = size[:, 0, 0], -size[:, 1, 0]
    elsewhere = rng.permuted(size[..., 1:], axis=-1) * rng.choice([-1.0, 1.0], (n_pairs, 2, n_neurons - 1))
    largest = np.argsort(-np.abs(elsewhere), axis=-1)[..., :others]
    for pair in range(n_pairs):
        kept = np.union1d(*largest[pair])
        weights[pair, :, 1 : 1 + len(kept)] = elsewhere[pair][:, kept]
    return weights


def empty_share(per_feature: float, left: float = 0.5) -> float:
    """Return q: with what probability a slot that a feature can have is on an empty neuron.

    per_feature: m / n. left: the share of pairs that have not parted.
    """
    check(per_feature >= 0.5, "per_feature", per_feature, "at least half a neuron per feature, or slots run out")
    taken = 0.5 / per_feature
    return max(0.0, ((1 - taken) ** 2 - (1 - left) * taken**2) / (1 - taken))


def half(ratios: Float[ndarray, "ratio"], left: Float[ndarray, "ratio"]) -> float:
    """Return g: the price / l1 at which half of lone pairs are left."""
    return float(np.interp(-0.5, -np.asarray(left), ratios))


def half_price(g: float, per_feature: float) -> float:
    """Return p* / l1 = g / q, at which half of the pairs are left; infinite where half of them have nowhere to go."""
    share = empty_share(per_feature)
    return g / share if share > 0 else float("inf")


def expected_left(
    ratio: float, per_feature: float, ratios: Float[ndarray, "ratio"], left: Float[ndarray, "ratio"]
) -> float:
    """Return the share s of pairs that are left at price / l1 = `ratio`: the root of s = left(ratio · q(s)).

    ratios, left: the curve of `lone_pairs`.
    """

    def excess(share):
        return np.interp(ratio * empty_share(per_feature, share), ratios, left) - share

    return float(scipy.optimize.brentq(excess, 0.0, 1.0)) if ratio > 0 else 1.0
