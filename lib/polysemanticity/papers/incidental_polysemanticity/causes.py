"""Which collisions survive is decided by what they cost: IP-09; without the linear, tied hidden layer: IP-10."""

import math

import numpy as np
import torch
from torch import Tensor

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.claims import Claim
from polysemanticity.incidental import interference, toy_networks

HORIZON = 4.0  # λ · time of a training: a network without interference is one-hot after 1 to 3
ARMS = {  # what a collision costs with the same sign, with opposite signs
    "the paper's ReLU": (1.0, 0.0),
    "leaky ReLU, slope 0.1": (1.0, 0.01),
    "identity or |z|": (1.0, 1.0),
    "no collision costs": (0.0, 0.0),
    "costs exchanged": (0.0, 1.0),
}
STARTS = ("all weights positive", "half the features positive, half negative", "orthogonal rows")
HIDDEN = (
    "linear, tied",
    "ReLU, tied",
    "ReLU, tied, l1 on activations",
    "linear, untied, equal starts",
    "linear, untied, correlated starts",
    "linear, untied, independent starts",
)

FIGURES = {
    "figx_costs": (
        "Left: pairs of features on one neuron when collisions cost otherwise, by their signs: none if opposite signs "
        "cost, both kinds when nothing costs, same signs only when the costs are exchanged. Middle: the count falls to "
        "half where the cost of opposite signs is about a tenth of the regularization. Right: counts from other starts."
    ),
    "figx_hidden": (
        "Bars of the number of polysemantic neurons, with the expected number beside them: none with a ReLU on the "
        "hidden layer; with untied weights about the usual number among the features that survive."
    ),
}

CLAIMS: dict[str, Claim] = {
    "IP-09": Claim(
        id="IP-09",
        claim="Benign collisions survive because they cost nothing, malign ones part because they cost",
        source="section 2.5.2",
        paper="the ReLU of the output clips the product of opposite signs: no force; same signs push each other down",
        rule={
            "count ÷ exact count, the paper's ReLU": (0.7, 1.05),
            "count ÷ exact count, opposite signs cost too": (-math.inf, 0.05),
            "count ÷ count of free winners, nothing costs": (0.9, 1.1),
            "share of same signs among survivors, costs exchanged": (0.99, math.inf),
        },
        reason=(
            "If cost is the cause, the count must go to none, to that of winners without replacement and to that of "
            "free winners as the cost alone is changed, from the same W(0), and exchanging the costs must exchange the "
            "signs. The ratio under the paper's ReLU is IP-03's; 10 % on the free winners, whose count is exact. Not "
            "blind: the first three were known from preliminary runs, the exchange was seen in a pilot of 32. 128 "
            "networks per arm: doubled once because the interval of 64 straddled the band of the free winners."
        ),
    ),
    "IP-10": Claim(
        id="IP-10",
        claim="The accident does not need the toy's linear hidden layer and tied weights",
        source="title and discussion; not tested in the paper",
        paper="silent: all its networks have a linear hidden layer and tied weights",
        rule={
            "count ÷ exact count, ReLU on the hidden layer": (0.5, 1.1),
            "count ÷ exact count, untied weights": (0.5, 1.1),
        },
        reason=(
            "Half to all of the exact count is what gradient flow and AdamW give in the paper's own network. Untied: "
            "decoder and encoder start with a correlation of 0.7. Not blind: preliminary runs had seen no polysemantic "
            "neuron under a hidden ReLU, and a pilot of 16 networks about 0.8 for untied weights."
        ),
    ),
}


def costs(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, same: list, opposite: list
) -> dict:
    """End of training from the same W(0) at each pair of costs [cost, seed]."""
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    prices = [torch.tensor(c, dtype=start.dtype, device=device).repeat_interleave(n_seeds) for c in (same, opposite)]
    return _ends(
        interference.follow(
            lambda overlap: interference.signed_error(overlap, *prices),
            start.repeat(len(same), 1, 1),
            l1=l1,
            time=HORIZON / l1,
        ),
        len(same),
    )


def starts(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int) -> dict:
    """End of the paper's training from initial weights of other signs or angles [one of STARTS, seed]."""
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    positive = start.abs()
    halves = torch.cat([positive[:, : n_features // 2], -positive[:, n_features // 2 :]], 1)
    orthogonal = torch.linalg.qr(start.double().mT)[0].mT.to(start)  # of norm one, as W(0) on average
    trained = interference.follow(
        lambda overlap: interference.signed_error(overlap, 1, 0),
        torch.cat([positive, halves, orthogonal]),
        l1=l1,
        time=HORIZON / l1,
    )
    return _ends(trained, len(STARTS))


def hidden(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, kind: str) -> dict:
    """Neurons shared by what they respond to, features kept [seed], for one of HIDDEN.

    Encoder E and decoder D have a row per feature; the response to feature i is φ(E_i), output j is ReLU(D_j · φ(E_i)).
    l1 is on the weights of each (for one-hot inputs the paper's l1 on activations), or on the activations of a ReLU
    only. A feature is kept if its own output is above one half.
    """
    check(kind in HIDDEN, "kind", kind, f"one of {', '.join(HIDDEN)}")
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    act = torch.relu if kind.startswith("ReLU") else lambda weights: weights
    on_activations, tied = kind.endswith("activations"), "untied" not in kind
    options = {"l1": 0.0 if on_activations else l1, "step": 0.04, "n_steps": math.ceil(HORIZON / l1 / 0.04)}
    if tied:
        (encoder,) = toy_networks.descend(
            lambda w: _reconstruction(act(w), w) + (l1 * act(w).sum((-2, -1)) if on_activations else 0),
            (start,),
            **options,
        )
        decoder = encoder
    else:
        correlation = {"equal": 1.0, "correlated": 0.7, "independent": 0.0}[kind.split()[2]]
        other = _start(n_features, n_neurons, seed + 50_000, n_seeds, device)
        mixed = correlation * start + math.sqrt(1 - correlation**2) * other
        encoder, decoder = toy_networks.descend(_reconstruction, (start, mixed), **options)
    response = act(encoder)
    own = (response * decoder).sum(-1)
    return {
        "count": incidental.polysemantic_neurons(response.cpu().numpy()),
        "kept": (own > 0.5).sum(-1).cpu().numpy(),
        "participation": toy_networks.participation(response).mean(-1).cpu().numpy(),
    }


def half_point(costs, counts) -> float:
    """Return the cost at which the mean count [cost, seed] is half that at the first cost, 0.

    Interpolated in the logarithm of the cost, below the first positive cost in the cost itself. The last cost, a lower
    bound, if the count does not fall to half, or is 0 from the start.
    """
    costs, mean = np.asarray(costs, dtype=float), np.asarray(counts, dtype=float).mean(1)
    target = mean[0] / 2
    below = np.flatnonzero(mean <= target)
    if len(below) == 0 or below[0] == 0:
        return float(costs[-1])
    k = below[0]
    share = (mean[k - 1] - target) / (mean[k - 1] - mean[k])
    return float(share * costs[k] if k == 1 else costs[k - 1] * (costs[k] / costs[k - 1]) ** share)


def _reconstruction(response: Tensor, decoder: Tensor) -> Tensor:
    output = (response @ decoder.mT).relu()
    return (output - torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)).square().sum((-2, -1))


def _start(n_features: int, n_neurons: int, seed: int, n_seeds: int, device: str) -> Tensor:
    drawn = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds))
    return drawn.to(device=device, dtype=torch.float32)


def _ends(trained: Tensor, n_arms: int) -> dict:
    """Counts, signs, features left without weights or with more than one, each [arm, seed]."""
    weights = trained.cpu().numpy().reshape(n_arms, -1, *trained.shape[1:])
    signs = incidental.collision_signs(weights)
    live = (weights != 0).sum(-1)
    return {
        "count": incidental.polysemantic_neurons(weights),
        "opposite": signs.opposite,
        "same": signs.same,
        "dead": (live == 0).sum(-1),
        "unfinished": (live > 1).sum(-1),
    }
