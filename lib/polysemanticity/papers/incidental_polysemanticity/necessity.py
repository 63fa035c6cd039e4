"""Was it necessary that two features share a neuron? A test on the final weights: IP-13."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.claims import Claim
from polysemanticity.incidental import toy_networks

RATE = 0.1  # how often a feature of the small autoencoder is on
BATCH, LEARNING_RATE = 64, 3e-3
TOLERANCE = 0.01  # a move of a feature is free if it raises the loss by less than this share
SMALL = 0.1  # a weight of a trained toy below this is none
QUIET = 0.05  # a neuron is free if its largest response is below this share of the network's largest

FIGURES = {
    "figx_necessity": (
        "Left: polysemantic neurons of trained toys against neurons per feature, split by the test on the final "
        "weights into necessary ones, which follow the line of missing neurons, and incidental ones on top. Right: the "
        "same for small autoencoders: all sharing is necessary up to one neuron per feature, and little is left beyond."
    ),
}

CLAIMS: dict[str, Claim] = {
    "IP-13": Claim(
        id="IP-13",
        claim="Final weights tell incidental from necessary polysemanticity",
        source="open questions 1 and 2; our test",
        paper="open: with polysemantic neurons found, is there a way to see which kind they are?",
        rule={
            "share of toys diagnosed as count − max(0, n − m)": (0.95, math.inf),
            "largest relative change of the loss by an incidental move": (-math.inf, TOLERANCE),
            "least relative change of the loss by a move onto a used slot": (TOLERANCE, math.inf),
            "pairs shared again from another start ÷ chance": (0.0, 2.0),
        },
        reason=(
            "Incidental: one of the features can be moved to an unused neuron and the loss stays. The count says how "
            "many must be so, which the test on weights does not know. 5 % of errors; 1 % of the loss is far above "
            "rounding and below what any real interference costs. Pairs that are an accident of the start recur by "
            "chance only; twice that leaves room for few pairs. Blind but for the counts, which were known."
        ),
    ),
}


def toy(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int) -> dict:
    """Incidental and necessary sharing [seed] by moves of weights, what the moves cost, and which pairs recur."""
    trained = incidental.train(n_features, n_neurons, l1, streams.batch_seeds(seed, n_seeds), device=device)
    found = [relocate(weights, l1) for weights in trained.weights.astype(float)]
    together = [_pairs(weights) for weights in trained.weights]
    again = [len(a & b) for a, b in zip(together, together[1:] + together[:1], strict=True)]
    return {
        "count": incidental.polysemantic_neurons(trained.weights),
        "incidental": np.array([moves.incidental for moves in found]),
        "free_cost": np.array([moves.free_cost for moves in found]),
        "used_cost": np.array([moves.used_cost for moves in found]),
        "again": np.array(again),
        "chance": np.array([len(a) * len(b) for a, b in zip(together, together[1:] + together[:1], strict=True)])
        / math.comb(n_features, 2),
    }


class Moves(NamedTuple):
    """What moving features from shared neurons does: how many moves were free, and what moves cost at most and least,
    relative to the loss; NaN where there was no such move."""

    incidental: int
    free_cost: float  # largest relative rise of the loss by a move to an unused neuron
    used_cost: float  # least relative rise by a move onto a neuron's used slot


def relocate(weights: Float[ndarray, "feature neuron"], l1: float) -> Moves:
    """Move one feature of each shared neuron to an unused neuron, one after the other, and look at the loss.

    A move is free if the loss with l1 rises by at most TOLERANCE of it; it is then kept, and its neuron is used from
    now on. Without unused neurons nothing can move: the sharing left is necessary. As a control one of the features is
    moved instead onto a neuron that another feature uses with the same sign.
    """
    weights = np.array(weights, dtype=float)
    incidental_moves, free_costs, used_costs = 0, [], []
    for neuron in np.flatnonzero((np.abs(weights) > SMALL).sum(0) >= 2):
        mover = np.flatnonzero(np.abs(weights[:, neuron]) > SMALL)[0]
        sign = np.sign(weights[mover, neuron])
        taken = np.flatnonzero((sign * weights > SMALL).any(0) & (np.arange(weights.shape[1]) != neuron))
        if len(taken):
            used_costs.append(_rise(weights, mover, neuron, taken[0], l1))
        unused = np.flatnonzero(~(np.abs(weights) > SMALL).any(0))
        if len(unused) == 0:
            continue
        free_costs.append(_rise(weights, mover, neuron, unused[0], l1))
        if free_costs[-1] <= TOLERANCE:
            incidental_moves += 1
            weights = _moved(weights, mover, neuron, unused[0])
    return Moves(incidental_moves, max(free_costs, default=math.nan), min(used_costs, default=math.nan))


def autoencoder(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, kind: str, n_steps: int
) -> dict:
    """Shared neurons, how many of them incidentally [seed], and reconstruction of a small trained autoencoder.

    y = E φ(D x + b) + c with a linear or ReLU hidden layer φ (`kind`), untied, trained by Adam on fresh inputs: each
    feature is on with probability RATE, whatever the others do, with a uniform size. l1 is on the hidden activations,
    the loss is a sum over outputs, mean over inputs.
    """
    check(kind in ("linear", "ReLU"), "kind", kind, "linear or ReLU")
    act = torch.relu if kind == "ReLU" else lambda values: values
    source = streams.generator(seed, "data", device)
    seeds = streams.batch_seeds(seed, n_seeds)
    encoder = incidental.initial_weights(n_features, n_neurons, seeds).to(device=device, dtype=torch.float32)
    start = (encoder, encoder.mT.clone(), torch.zeros(n_seeds, 1, n_neurons), torch.zeros(n_seeds, 1, n_features))
    trained = toy_networks.descend(
        lambda *weights: _loss(weights, _inputs(n_seeds, BATCH, n_features, source), act, l1),
        tuple(w.to(device) for w in start),
        step=0.0,
        n_steps=n_steps,
        optimizer=lambda weights: toy_networks.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.0),
        also=(source,),
    )
    held_out = _inputs(n_seeds, 4096, n_features, source)
    found = [_split(tuple(w[k] for w in trained), held_out[k], act, l1) for k in range(n_seeds)]
    blind = held_out.var(1).sum(-1)
    output = act(held_out @ trained[0] + trained[2]) @ trained[1] + trained[3]
    return {
        "count": np.array([count for count, _ in found]),
        "incidental": np.array([moves for _, moves in found]),
        "explained": (1 - (output - held_out).square().sum(-1).mean(-1) / blind).cpu().numpy(),
    }


def _inputs(n_seeds: int, n_samples: int, n_features: int, source: torch.Generator) -> Tensor:
    size, on = (torch.rand(n_seeds, n_samples, n_features, generator=source, device=source.device) for _ in range(2))
    return size * (on < RATE)


def _loss(weights, inputs: Tensor, act, l1: float) -> Tensor:
    encoder, decoder, bias, output_bias = weights
    hidden = act(inputs @ encoder + bias)
    error = (hidden @ decoder + output_bias - inputs).square().sum(-1).mean(-1)
    return error + l1 * hidden.abs().sum(-1).mean(-1)


def _responses(weights, act) -> Tensor:
    """Change of each neuron's activation [feature, neuron] when one feature goes from off to its full size."""
    encoder, _, bias, _ = weights
    return act(encoder + bias) - act(bias)


def _split(weights, inputs: Tensor, act, l1: float) -> tuple[int, int]:
    """Return the number of shared neurons and how many could be split onto a free neuron without loss."""
    response = _responses(weights, act).abs()
    used = response >= response.norm(dim=1, keepdim=True) / 2
    used &= response > QUIET * response.max()
    shared = torch.nonzero(used.sum(0) >= 2)[:, 0].tolist()
    free = torch.nonzero(response.amax(0) < QUIET * response.max())[:, 0].tolist()
    before, moves = _loss(weights, inputs, act, l1), 0
    for neuron in shared:
        if not free:
            break
        mover = torch.nonzero(used[:, neuron])[-1, 0].item()
        candidate = _divided(weights, mover, neuron, free[0])
        after = _loss(candidate, inputs, act, l1)
        if after <= (1 + TOLERANCE) * before:
            weights, before, moves = candidate, after, moves + 1
            free = free[1:]
    return len(shared), moves


def _divided(weights, mover: int, neuron: int, free: int) -> tuple[Tensor, ...]:
    """Return the network with one feature's way through a neuron on a free neuron, to the same outputs."""
    encoder, decoder, bias, output_bias = (w.clone() for w in weights)
    encoder[:, free] = 0
    encoder[mover, free], encoder[mover, neuron] = encoder[mover, neuron], 0
    decoder[free], bias[..., free] = decoder[neuron], bias[..., neuron].clamp(max=0)
    return encoder, decoder, bias, output_bias


def _moved(weights: ndarray, mover: int, source: int, target: int) -> ndarray:
    moved = weights.copy()
    moved[mover, target], moved[mover, source] = weights[mover, source], 0.0
    return moved


def _rise(weights: ndarray, mover: int, source: int, target: int, l1: float) -> float:
    before, after = (
        float(incidental.loss(torch.from_numpy(w), l1)) for w in (weights, _moved(weights, mover, source, target))
    )
    return after / before - 1


def _pairs(weights: ndarray) -> set[tuple[int, int]]:
    """The pairs of features that share a neuron."""
    neuron = np.abs(weights).argmax(1)
    first, second = np.triu_indices(len(neuron), 1)
    alike = neuron[first] == neuron[second]
    return set(zip(first[alike].tolist(), second[alike].tolist(), strict=True))
