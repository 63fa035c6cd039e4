"""Was it necessary that two features share a neuron? A test on the final weights: IP-13."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import toy_networks
from polysemanticity.papers.incidental_polysemanticity import causes

RATE = 0.1  # how often a feature of the small autoencoder is on
BATCH, LEARNING_RATE = 64, 3e-3
TOLERANCE = 0.01  # a move of a feature is free if it raises the loss by less than this share
SMALL = 0.1  # a weight of a trained toy below this is none
QUIET = 0.05  # a neuron is free if its largest response is below this share of the network's largest


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
        whose="open question",
        known="the counts, but not what the test on weights would find",
        figure="figx_necessity",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks that are diagnosed: toys with one-hot inputs, and small autoencoders."""

    neurons: tuple[int, ...] = setting(
        (16, 20, 24, 28, 32, 48, 64, 128), "neurons m of diagnosed toys", low=4, smoke=(4, 8, 16)
    )
    n_seeds: int = setting(48, "diagnosed toys per size", low=2, smoke=3, paper=256)
    net_features: int = setting(16, "features of the small autoencoders", low=4, smoke=4)
    net_neurons: tuple[int, ...] = setting(
        (8, 16, 24, 32, 64), "hidden neurons of the small autoencoders", low=4, smoke=(4, 8)
    )
    net_l1: float = setting(0.1, "l1 on the activations of the small autoencoders", low=1e-3, high=1.0)
    net_steps: int = setting(2000, "steps of a small autoencoder's training", low=10, smoke=200)
    net_seeds: int = setting(6, "trained autoencoders per size", low=2, smoke=2, paper=24)


def sizes(settings: Settings, shape: causes.Settings) -> list[dict]:
    """Return the configurations of `toy`, one for each number of neurons."""
    common = {"n_features": shape.n_features, "l1": shape.l1[0], "n_seeds": settings.n_seeds}
    return [{**common, "n_neurons": m} for m in settings.neurons]


def autoencoders(settings: Settings) -> list[dict]:
    """Return the configurations of `autoencoder`: linear and ReLU, each with every number of neurons."""
    common = {"n_features": settings.net_features, "l1": settings.net_l1, "n_seeds": settings.net_seeds}
    common |= {"n_steps": settings.net_steps}
    return [{**common, "n_neurons": m, "kind": kind} for kind in ("linear", "ReLU") for m in settings.net_neurons]


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
    trained = toy_networks.proximal_descent(
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


def table(toys: Results, nets: Results) -> pd.DataFrame:
    """Return the shared neurons of toys and of small autoencoders, split by the test, and what counting says."""
    rows = _split_rows("toys", toys)
    x, shared = "neurons per feature m/n", "shared neurons per network"
    counted = {"network": "toys", x: toys.setting("n_neurons") / toys.setting("n_features")}
    missing = [max(0, config["n_features"] - config["n_neurons"]) for config in toys.configs]
    exact = [incidental.expected_polysemantic(config["n_features"], config["n_neurons"]) for config in toys.configs]
    rows += [
        {"what": "control", "series": "necessary, by counting: max(0, n − m)", **counted, shared: missing},
        {"what": "corrected", "series": "exact count of all", **counted, shared: exact},
    ]
    for kind in ("linear", "ReLU"):
        rows += _split_rows(f"{kind} autoencoders", nets.where(kind=kind))
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def by_kind(nets: Results) -> pd.DataFrame:
    """Return how many shared neurons of the small autoencoders could be split, up to and beyond m = n."""
    n_features, rows = int(nets.setting("n_features")[0]), []
    for kind in ("linear", "ReLU"):
        found = nets.where(kind=kind)
        wide = found.setting("n_neurons") > n_features
        for size, chosen in (("m ≤ n", ~wide), ("m > n", wide)):
            rows.append(
                {
                    "autoencoders": f"{kind}, {size}",
                    "shared neurons": int(found.array("count")[chosen].sum()),
                    "of these split at no loss": int(found.array("incidental")[chosen].sum()),
                    "least variance explained": float(found.array("explained")[chosen].min()),
                }
            )
    return pd.DataFrame(rows)


def measured(toys: Results) -> Measured:
    """Return what decides IP-13."""
    n_features, _, n_seeds = causes.sizes(toys)
    n_neurons = toys.setting("n_neurons")
    missing = np.maximum(0, n_features - n_neurons)[:, None]
    agree = int((toys.array("incidental") == toys.array("count") - missing).sum())
    again, chance = (
        sum(float(result[key].sum()) for config, result in toys.pairs() if config["n_neurons"] >= n_features)
        for key in ("again", "chance")
    )
    quantities = {
        "share of toys diagnosed as count − max(0, n − m)": intervals.proportion(agree, len(n_neurons) * n_seeds),
        "largest relative change of the loss by an incidental move": intervals.exact(
            np.nanmax(toys.array("free_cost"))
        ),
        "least relative change of the loss by a move onto a used slot": intervals.exact(
            np.nanmin(toys.array("used_cost"))
        ),
        "pairs shared again from another start ÷ chance": intervals.poisson(int(again), 1).over(max(chance, 1e-9)),
    }
    return Measured(
        quantities,
        error=f"exact 95 % binomial and Poisson intervals over {n_seeds} networks per size; changes: extremes",
        scale=f"n = {n_features}, m = {', '.join(map(str, n_neurons))}, λ = {toys.setting('l1')[0]:g}, one feature at "
        f"a time, {n_seeds} networks per size",
        note="True by counting once encodings are one-hot; the small autoencoders are the test beyond.",
    )


def _split_rows(network: str, results: Results) -> list[dict]:
    """The rows of the table for one kind of network: incidental, necessary and, with intervals, all shared neurons."""
    x, shared = "neurons per feature m/n", "shared neurons per network"
    count, incidental_ones = results.array("count"), results.array("incidental")
    key = {"what": "measured", "network": network, x: results.setting("n_neurons") / results.setting("n_features")}
    total = intervals.mean(count)
    return [
        {**key, "series": "incidental, by the test", shared: incidental_ones.mean(1)},
        {**key, "series": "necessary, by the test", shared: (count - incidental_ones).mean(1)},
        {**key, "series": "all", shared: total.value, "low": total.low, "high": total.high},
    ]
