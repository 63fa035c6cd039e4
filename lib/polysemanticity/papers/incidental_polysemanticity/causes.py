"""Which collisions survive is decided by what they cost: IP-09; other hidden layers: IP-10."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import interference, toy_networks
from polysemanticity.intervals import Estimate

HORIZON = 4.0  # λ · time of a training: a network without interference is one-hot after 1 to 3
ARMS = {  # what a collision costs with the same sign, with opposite signs
    "the paper's ReLU": (1.0, 0.0),
    "leaky ReLU, slope 0.1": (1.0, 0.01),
    "identity or |z|": (1.0, 1.0),
    "no collision costs": (0.0, 0.0),
    "costs exchanged": (0.0, 1.0),
}
STARTS = ("all weights positive", "half the features positive, half negative", "orthogonal rows")
ACTIVATIONS = {"ReLU": torch.relu, "GELU": torch.nn.functional.gelu, "tanh": torch.tanh, "linear": torch.clone}
HIDDEN = (
    "linear, tied",
    "ReLU, tied",
    "ReLU, tied, l1 on activations",
    "GELU, tied",
    "tanh, tied",
    "linear, untied, equal starts",
    "linear, untied, correlated starts",
    "linear, untied, independent starts",
)


FRESH = 30_000  # number of the first network; earlier runs used those below
SMALLER, LARGER = "smaller n", "larger n"
PAPERS, COSTLY, NOTHING, EXCHANGED = (name for name in ARMS if not name.startswith("leaky"))
KNOWN = "all that is asked was seen at n = 32, m = 64, λ = 0.05, where it held; other sizes and starts are judged"


def _both(quantity: str, band: tuple[float, float]) -> dict:
    return {f"{quantity}, {size}": band for size in (SMALLER, LARGER)}


CLAIMS: dict[str, Claim] = {
    "IP-09a": Claim(
        id="IP-09a",
        claim="Benign collisions survive because they cost nothing: none is left where opposite signs cost too",
        source="section 2.5.2",
        paper="the ReLU of the output clips the product of opposite signs: no force; same signs push each other down",
        rule=_both("count ÷ exact count, opposite signs cost too", (-math.inf, 0.05)),
        reason=(
            "If the cost is the cause, an output that charges for opposite signs as for the same ones leaves none; a "
            "twentieth is room for what training has not finished. From the same W(0) as with the paper's ReLU, whose "
            "count is shown beside it and judged by IP-03."
        ),
        known=KNOWN,
        figure="figx_costs",
    ),
    "IP-09b": Claim(
        id="IP-09b",
        claim="Malign collisions part because they cost: where nothing costs, winners are free",
        source="section 2.5.2",
        paper="same signs push each other down, until one feature leaves",
        rule=_both("count ÷ count of free winners, nothing costs", (0.9, 1.1)),
        reason="The count of free winners is exact where winners are drawn freely; 10 % is over two standard errors.",
        known=KNOWN,
        figure="figx_costs",
    ),
    "IP-09c": Claim(
        id="IP-09c",
        claim="The sign follows the cost: with the two costs exchanged the survivors have the same sign",
        source="section 2.5.2; the exchange is ours",
        paper="opposite signs survive, as they cost nothing",
        rule=_both("share of same signs among survivors, costs exchanged", (0.99, math.inf)),
        reason="Without the exchange the share is none, and nothing else was changed; one in a hundred may be open.",
        whose="implied",
        known=KNOWN,
        figure="figx_costs",
    ),
    "IP-10a": Claim(
        id="IP-10a",
        claim="The accident survives a ReLU on the hidden layer",
        source="an open question: the paper's networks have a linear hidden layer",
        paper="silent",
        rule=_both("count ÷ exact count, hidden ReLU", (0.5, 1.1)),
        reason=(
            "Half to all of the exact count is what the paper's own network has. For one-hot rows the answer is logic: "
            "of two features with opposite signs on one neuron a ReLU passes only one."
        ),
        whose="ours",
        known="no polysemantic neuron in earlier networks at n = 32, m = 64, and none possible for one-hot rows",
        figure="figx_hidden",
    ),
    "IP-10b": Claim(
        id="IP-10b",
        claim="The accident does not need tied weights",
        source="an open question: the paper's networks are tied",
        paper="silent",
        rule=_both("count ÷ exact count, untied weights", (0.5, 1.1)),
        reason="Half to all of the exact count is what tied weights give. Decoder and encoder start correlated by 0.7.",
        whose="ours",
        known="0.90 of the exact count at n = 32, m = 64",
        figure="figx_hidden",
    ),
    "IP-10c": Claim(
        id="IP-10c",
        claim="A hidden function that keeps the sign, tanh, keeps the accident",
        source="ours, from the mechanism: opposite signs stay free",
        paper="silent",
        rule=_both("count ÷ exact count, hidden tanh", (0.5, 1.1)),
        reason="The band of IP-10a and b: half to all of the exact count, as with a linear hidden layer; tanh is odd.",
        whose="ours",
        figure="figx_hidden",
    ),
    "IP-10d": Claim(
        id="IP-10d",
        claim="A hidden function that hardly passes negative values, GELU, ends the accident as a ReLU does",
        source="ours, from the mechanism: there is no free sign left",
        paper="silent",
        rule=_both("count ÷ exact count, hidden GELU", (-math.inf, 0.1)),
        reason="GELU passes at most 0.17 of the wrong sign; a tenth is a count that one would call ended.",
        whose="ours",
        figure="figx_hidden",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The toy networks of the experiments on causes, which other families use as well."""

    n_features: int = setting(32, "features n of toys in other sections", low=4, smoke=8)
    n_neurons: int = setting(64, "neurons m of toys in other sections", low=4, smoke=16)
    l1: tuple[float, ...] = setting((0.05,), "λ of toys; the first is used", low=1e-3, high=1.0, smoke=(0.3,))
    judged_features: tuple[int, ...] = setting((28, 44), "features n where costs change, two", low=4, smoke=(6, 8))
    judged_neurons: tuple[int, ...] = setting((42, 66), "neurons m where costs change", low=4, smoke=(12, 16))
    n_seeds: int = setting(96, "trained networks per cost", low=8, smoke=8, paper=512)

    def __post_init__(self):
        two = len(self.judged_features) == len(self.judged_neurons) == 2
        check(two, "judged_neurons", self.judged_neurons, "two numbers, as of judged_features")


def arms(settings: Settings) -> list[dict]:
    """Return the configurations of `costs`: for each size one for each of ARMS."""
    return [{**size, "same": [same], "opposite": [other]} for size in _sizes(settings) for same, other in ARMS.values()]


def other_starts(settings: Settings) -> dict:
    """Return the configuration of `starts`, at the smaller size."""
    return _sizes(settings)[0]


def kinds(settings: Settings) -> list[dict]:
    """Return the configurations of `hidden`: for each size one for each of HIDDEN."""
    few = {"n_seeds": settings.n_seeds // 4, "l1": 2 * settings.l1[0]}
    return [{**size, **few, "kind": kind} for size in _sizes(settings) for kind in HIDDEN]


def _sizes(settings: Settings) -> list[dict]:
    shapes = zip(settings.judged_features, settings.judged_neurons, strict=True)
    options = {"l1": settings.l1[0], "n_seeds": settings.n_seeds}
    return [{"n_features": n, "n_neurons": m, **options} for n, m in shapes]


def costs(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, same: list, opposite: list
) -> dict:
    """End of training from the same W(0) at each pair of costs [cost, seed]."""
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    prices = [torch.tensor(c, dtype=start.dtype, device=device).repeat_interleave(n_seeds) for c in (same, opposite)]
    return _ends(
        interference.flow_under(
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
    trained = interference.flow_under(
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
    alone. A feature is kept if its own output is above one half.
    """
    check(kind in HIDDEN, "kind", kind, f"one of {', '.join(HIDDEN)}")
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    act = ACTIVATIONS[kind.partition(",")[0]]
    on_activations, tied = kind.endswith("activations"), "untied" not in kind
    options = {"l1": 0.0 if on_activations else l1, "step": 0.04, "n_steps": math.ceil(HORIZON / l1 / 0.04)}
    if tied:
        (encoder,) = toy_networks.proximal_descent(
            lambda w: _reconstruction(act(w), w) + (l1 * act(w).sum((-2, -1)) if on_activations else 0),
            (start,),
            **options,
        )
        decoder = encoder
    else:
        correlation = {"equal": 1.0, "correlated": 0.7, "independent": 0.0}[kind.split()[2]]
        other = _start(n_features, n_neurons, seed + 50_000, n_seeds, device)
        mixed = correlation * start + math.sqrt(1 - correlation**2) * other
        encoder, decoder = toy_networks.proximal_descent(_reconstruction, (start, mixed), **options)
    response = act(encoder)
    own = (response * decoder).sum(-1)
    return {
        "count": incidental.polysemantic_neurons(response.cpu().numpy()),
        "kept": (own > 0.5).sum(-1).cpu().numpy(),
        "participation": toy_networks.participation(response).mean(-1).cpu().numpy(),
    }


def _reconstruction(response: Tensor, decoder: Tensor) -> Tensor:
    output = (response @ decoder.mT).relu()
    return (output - torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)).square().sum((-2, -1))


def _start(n_features: int, n_neurons: int, seed: int, n_seeds: int, device: str) -> Tensor:
    seeds = [FRESH + number for number in streams.batch_seeds(seed, n_seeds)]
    drawn = incidental.initial_weights(n_features, n_neurons, seeds)
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


def costs_table(costed: Results) -> pd.DataFrame:
    """Return what is left on shared neurons when collisions cost otherwise, at both sizes."""
    pairs, neurons = "pairs on one neuron ÷ n", "polysemantic neurons ÷ n"
    rows = []
    for n_features, n_neurons in _shapes(costed):
        chosen = costed.where(n_features=n_features, n_neurons=n_neurons)
        exact, free = _exact(n_features, n_neurons), _exact(n_features, n_neurons, "free")
        place = {"size": f"n = {n_features}, m = {n_neurons}"}
        network = {**place, "network": list(ARMS)}
        signs = {sign: chosen.array(sign)[:, 0] / n_features for sign in ("opposite", "same", "count")}  # [arm, seed]
        counted = intervals.mean(signs["count"]).columns()
        rows += [
            {"what": "measured", **network, "quantity": pairs, "series": "pairs of opposite signs",
             "value": signs["opposite"].mean(1)},
            {"what": "measured", **network, "quantity": pairs, "series": "pairs of the same sign",
             "value": signs["same"].mean(1)},
            {"what": "measured", **network, "quantity": neurons, "series": "polysemantic neurons", **counted},
            {"what": "corrected", **place, "quantity": neurons, "series": "B: slots without replacement",
             "value": [exact / n_features]},
            {"what": "corrected", **place, "quantity": neurons, "series": "C: free winners",
             "value": [free / n_features]},
        ]  # fmt: skip
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def by_start(costed: Results, started: Results) -> dict[str, Estimate]:
    """Return the polysemantic neurons per feature under the paper's costs, by the start, at the smaller size."""
    n_features, _, _ = sizes(started)
    usual = _arm(costed.where(n_features=n_features), PAPERS)["count"]
    found = {"as in the paper, N(0, 1/m)": usual[0], **dict(zip(STARTS, started.array("count")[0], strict=True))}
    return {f"polysemantic neurons ÷ n, {name}": intervals.counts(count, n_features) for name, count in found.items()}


def measured_opposite(costed: Results) -> Measured:
    """Return what decides IP-09a."""
    found = {}
    for name, one in _by_size(costed):
        exact = _exact(*sizes(one)[:2])
        for label, arm in (("opposite signs cost too", COSTLY), ("the paper's ReLU", PAPERS)):
            found[f"count ÷ exact count, {label}, {name}"] = intervals.counts(_arm(one, arm)["count"][0], exact)
    return Measured(found, _ERROR, _scale(costed), _unfinished(costed))


def measured_free(costed: Results) -> Measured:
    """Return what decides IP-09b."""
    found = {
        f"count ÷ count of free winners, nothing costs, {name}": intervals.counts(
            _arm(one, NOTHING)["count"][0], _exact(*sizes(one)[:2], "free")
        )
        for name, one in _by_size(costed)
    }
    return Measured(found, _ERROR, _scale(costed), _unfinished(costed))


def measured_exchanged(costed: Results) -> Measured:
    """Return what decides IP-09c."""
    found = {}
    for name, one in _by_size(costed):
        same, opposite = (int(_arm(one, EXCHANGED)[sign].sum()) for sign in ("same", "opposite"))
        found[f"share of same signs among survivors, costs exchanged, {name}"] = intervals.proportion(
            same, max(1, same + opposite)
        )
    return Measured(found, "exact 95 % binomial intervals over pairs", _scale(costed))


def hidden_table(results: Results) -> pd.DataFrame:
    """Return the count of every kind of network ÷ the exact count of the features that it keeps, at both sizes."""
    rows = []
    for n_features, n_neurons in _shapes(results):
        chosen = results.where(n_features=n_features, n_neurons=n_neurons)
        kept = chosen.array("kept")  # [kind, seed]
        exact = np.array([np.mean([_exact(int(k), n_neurons) for k in row]) for row in np.maximum(kept, 2)])
        found = intervals.join([intervals.counts(row, unit) for row, unit in zip(chosen.array("count"), exact,
                                                                                 strict=True)])  # fmt: skip
        label = {"what": "measured", "series": f"n = {n_features}, m = {n_neurons}"}
        rows.append({**label, "network": HIDDEN, "features kept": kept.mean(1) / n_features, **found.columns()})
    rows.append({"what": "corrected", "series": "exact count of the kept features", "value": [1.0]})
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def measured_hidden(results: Results, kind: str, quantity: str) -> Measured:
    """Return what decides a row of IP-10: the counts of one of HIDDEN by the name that the rule has for it."""
    found = {}
    for name, one in _by_size(results):
        count = one.where(kind=kind)[0]["count"]
        found[f"count ÷ exact count, {quantity}, {name}"] = intervals.counts(count, _exact(*sizes(one)[:2]))
    return Measured(found, _ERROR, _scale(results))


def sizes(results: Results) -> list[int]:
    """Return the numbers of features, neurons and networks of the first configuration."""
    return [int(results.setting(name)[0]) for name in ("n_features", "n_neurons", "n_seeds")]


_ERROR = "95 % t intervals over networks, Poisson where all are zero"


def _shapes(results: Results) -> list[tuple[int, int]]:
    return list(dict.fromkeys((config["n_features"], config["n_neurons"]) for config in results.configs))


def _by_size(results: Results) -> list[tuple[str, Results]]:
    shapes = zip((SMALLER, LARGER), sorted(_shapes(results)), strict=True)
    return [(name, results.where(n_features=n, n_neurons=m)) for name, (n, m) in shapes]


def _arm(one: Results, arm: str) -> dict:
    same, opposite = ARMS[arm]
    return one.where(same=[same], opposite=[opposite])[0]


def _exact(n_features: int, n_neurons: int, model: str = "exclusive") -> float:
    return incidental.expected_polysemantic(n_features, n_neurons, model)


def _unfinished(costed: Results) -> str:
    most = max(result["unfinished"].mean() / n for n, result in zip(costed.setting("n_features"), costed, strict=True))
    return f"At most {most:.1%} of the rows of an arm are not one-hot at the end."


def _scale(results: Results) -> str:
    shapes = ", ".join(f"n = {n}, m = {m}" for n, m in _shapes(results))
    n_seeds, l1 = results.setting("n_seeds")[0], results.setting("l1")[0]
    return f"{shapes}, λ = {l1:g}, one feature at a time, {n_seeds} networks of each kind from the same starts"
