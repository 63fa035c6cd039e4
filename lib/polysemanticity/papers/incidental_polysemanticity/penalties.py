"""What must be penalized, and what the output must be, for encodings to become sparse and neurons shared: IP-08."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import toy_networks
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import causes

STEP = 0.05
FRESH, AGAIN = 40_000, 50_000  # numbers of first networks; earlier runs used those below

GATE = 0.5  # task loss ÷ that of W = 0
# name, output, penalty, strength
ARMS = (
    ("no penalty", "relu", "l1", 0.0),
    ("l2, 0.1", "relu", "l2", 0.1),
    ("l1, 0.05", "relu", "l1", 0.05),
    ("√|w|, 0.02", "relu", "root", 0.02),
    ("sigmoid(z), l1, 0.1", "sigmoid", "l1", 0.1),
    ("sigmoid(z), l1, 0.3", "sigmoid", "l1", 0.3),
    ("sigmoid(4z−2), l1, 0.05", "sharp sigmoid", "l1", 0.05),
    ("sigmoid(4z−2), l1, 0.3", "sharp sigmoid", "l1", 0.3),
)
NONE, L2, L1, ROOT, SHARP = COUNTED = (  # arms of which more networks are counted
    "no penalty", "l2, 0.1", "l1, 0.05", "√|w|, 0.02", "sigmoid(4z−2), l1, 0.3",
)  # fmt: skip
_GATED = "task loss below half that of W = 0; three networks in four at least"

CLAIMS: dict[str, Claim] = {
    "IP-08a": Claim(
        id="IP-08a",
        claim="Without l1, and with l2 in its place, encodings do not become sparse, and no neuron is polysemantic",
        source="the authors' comments on section 2; a baseline asked for by a reviewer; proposed check 2 (l2)",
        paper="l1 makes a privileged basis; otherwise there is rotational symmetry",
        rule={
            "participation ÷ 3/(m + 2), no penalty": (0.8, 1.25),
            "participation ÷ 3/(m + 2), l2": (0.8, 1.25),
            "polysemantic neurons, no penalty or l2, larger": (-math.inf, 0.2),
        },
        reason=(
            "3/(m + 2) is the participation of a Gaussian encoding, a quarter the scatter that training without axes "
            "may leave. One neuron in five networks would still be none, against three under l1."
        ),
        whose="implied",
        known="32 networks at n = 32, m = 64 had 1.0, 1.0 and 0; sixteen at n = 20, m = 50 the same. Twelve of this "
        "size had them too, but both arms share their starts: their counts were pooled as if of twice as "
        "many networks: forty others of each are judged, the larger count of the two",
        gate=_GATED,
        figure="figx_penalties",
    ),
    "IP-08b": Claim(
        id="IP-08b",
        claim="Another penalty with a corner at zero does what l1 does: one-hot encodings, and the same law",
        source="ours",
        paper="l1 is one of several possible causes",
        rule={
            "participation, l1": (0.95, math.inf),
            "participation, √|w|": (0.95, math.inf),
            "count ÷ exact count, √|w|": (0.4, 1.3),
        },
        reason=(
            "One-hot is 1; 0.95 is a second weight of a sixth of the first. From two fifths to 1.3 of the exact count "
            "is the law with its known deficit and what twelve networks scatter."
        ),
        whose="ours",
        known="32 networks at n = 32, m = 64 had 1.0, 0.98 and 0.82; sixteen at n = 20, m = 50 the same. Twelve of "
        "this size left the count unclear, 0.52 in [0.37, 0.66]; it is judged on forty others, by the same rule",
        gate=_GATED,
        figure="figx_penalties",
    ),
    "IP-08c": Claim(
        id="IP-08c",
        claim="The output need not be a ReLU: a sigmoid that is near zero for negative products leaves pairs of "
        "opposite signs as well",
        source="asked for by a reviewer (sigmoid: proposed check)",
        paper="silent: the output is a ReLU",
        rule={
            "share of opposite signs, sigmoid(4z−2), l1 = 0.3": (0.9, math.inf),
            "count ÷ exact count, sigmoid(4z−2), l1 = 0.3": (0.4, 1.4),
        },
        reason=(
            "All pairs but one in ten with opposite signs, as under a ReLU. From two fifths to 1.4 of the exact count: "
            "wider than for √|w|, as the slope at zero is not zero and negative products are even rewarded."
        ),
        whose="open question",
        known="32 networks at n = 32, m = 64 had 1.0 and 0.9; sixteen at n = 20, m = 50 the same. Twelve of this size "
        "left both unclear, 1.0 in [0.85, 1.0] and 0.63 in [0.31, 0.95]; forty others are judged, by the same rule",
        gate=_GATED,
        figure="figx_penalties",
    ),
    "IP-08d": Claim(
        id="IP-08d",
        claim="l2 lowers polysemanticity against l1",
        source="a later study (S. Ngugi, Taming incidental polysemanticity): 18 % less interference under l2",
        paper="silent: l2 is the proposed check 2",
        rule={
            "squared overlap, l2 ÷ l1": (-math.inf, 1.0),
            "absolute overlap, l2 ÷ l1": (-math.inf, 1.0),
            "features per neuron, l2 ÷ l1": (-math.inf, 1.0),
        },
        reason=(
            "Lower is below one, whatever the measure: Σ cos² and Σ |cos| between an encoding and all others, and the "
            "features that a neuron in use answers to, ‖column‖₂⁴/‖column‖₄⁴. Corrected: twice and three times as much "
            "is beyond what the choice of a measure's details would turn round. Squared overlap is near that under l1 "
            "and not asked there."
        ),
        corrected={
            "absolute overlap, l2 ÷ l1": (2.0, math.inf),
            "features per neuron, l2 ÷ l1": (3.0, math.inf),
        },
        correction="it spreads overlaps over many pairs, and features over all neurons: both grow",
        whose="ours",
        known="sixteen networks at n = 20, m = 50 and m = 40 had 0.8 and 1.2, 4.6 and 6.1, 7 and 7.3",
        gate=_GATED,
        figure="figx_penalties",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks with other penalties and outputs."""

    n_features: int = setting(24, "features n, on twice as many neurons", low=4, smoke=8)
    n_seeds: int = setting(12, "networks per penalty", low=2, smoke=2, paper=160)
    n_counted: int = setting(40, "networks where the count is judged", low=2, smoke=2, paper=160)
    time: float = setting(150.0, "training time", low=1.0, smoke=3.0)


def shape(settings: Settings) -> dict:
    """Return what the configurations of all these networks share: features, neurons and training time."""
    return {"n_features": settings.n_features, "n_neurons": 2 * settings.n_features, "time": settings.time}


def arms(settings: Settings) -> list[dict]:
    """Return the configurations of `penalized`: one for each of ARMS."""
    return [_arm(arm, settings, settings.n_seeds, FRESH) for arm in ARMS]


def counted(settings: Settings) -> list[dict]:
    """Return the configurations of `penalized` for more networks of the arms COUNTED."""
    return [_arm(arm, settings, settings.n_counted, AGAIN) for arm in ARMS if arm[0] in COUNTED]


def _arm(arm: tuple, settings: Settings, n_seeds: int, first: int) -> dict:
    of_arm = dict(zip(("output", "penalty", "strength"), arm[1:], strict=True))
    return {**of_arm, "n_seeds": n_seeds, "first": first, **shape(settings)}


def rotations(settings: Settings) -> dict:
    """Return the configuration of `rotated`."""
    return {**shape(settings), "l1": 0.05, "n_seeds": min(4, settings.n_seeds)}


def task_loss(weights: torch.Tensor, output: str) -> torch.Tensor:
    """Return Σ_ij (y_ij − δ_ij)² for outputs y = ReLU(S), sigmoid(S) or sigmoid(4S − 2) of S = W Wᵀ."""
    if output == "relu":
        return incidental.loss(weights, 0.0)
    products = weights @ weights.mT
    value = torch.sigmoid(products if output == "sigmoid" else 4 * products - 2)
    return (value - torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)).square().sum((1, 2))


def penalized(
    *,
    seed: int,
    device: str,
    output: str,
    penalty: str,
    strength: float,
    n_features: int,
    n_neurons: int,
    n_seeds: int,
    first: int,
    time: float,
) -> dict:
    """Participation of living encodings, shared neurons by signs and dead features of each network after training."""
    seeds = [first + number for number in streams.batch_seeds(seed, n_seeds)]
    start = incidental.initial_weights(n_features, n_neurons, seeds).float().to(device)
    options = {"step": STEP, "n_steps": round(time / STEP), "l1": strength, "penalty": penalty}
    (weights,) = toy_networks.proximal_descent(lambda w: task_loss(w, output), (start,), **options)
    task, nothing = (task_loss(w, output).cpu().numpy() for w in (weights, torch.zeros_like(weights)))
    weights = weights.cpu()
    signs, norm = incidental.collision_signs(weights.numpy()), weights.norm(dim=-1)
    alive = (norm > 0).sum(-1)
    return {
        "participation": (toy_networks.participation(weights).sum(-1) / alive.clamp(min=1)).numpy(),
        "norm": (norm.sum(-1) / alive.clamp(min=1)).numpy(),
        "dead": (n_features - alive).numpy(),
        "count": incidental.polysemantic_neurons(weights.numpy()),
        "opposite": signs.opposite,
        "same": signs.same,
        "task": task / nothing,
        **overlaps(weights),
    }


def overlaps(weights: torch.Tensor) -> dict:
    """Σ_j≠i cos² and |cos| between encoding i and the others, means over i, and features per neuron in use [seed]."""
    cosines = torch.nn.functional.normalize(weights, dim=-1)
    cosines = (cosines @ cosines.mT) * (1 - torch.eye(weights.shape[1]))
    share = toy_networks.participation(weights.mT)
    used = share > 0
    features = (used / share.clamp(min=1e-9)).sum(-1) / used.sum(-1).clamp(min=1)
    return {
        "squared": cosines.square().sum(-1).mean(-1).numpy(),
        "absolute": cosines.abs().sum(-1).mean(-1).numpy(),
        "per_neuron": features.numpy(),
    }


def rotated(*, seed: int, device: str, l1: float, n_features: int, n_neurons: int, n_seeds: int, time: float) -> dict:
    """How far the outcome from W(0) Q is from the outcome from W(0), times Q, without and with l1: relative norms."""
    start = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds))
    turn, result = toy_networks.rotation(n_neurons, streams.generator(seed, "rotation")), {}
    for name, strength in (("without", 0.0), ("with", l1)):
        options = {"step": STEP, "n_steps": round(time / STEP), "l1": strength}
        ends = [
            toy_networks.proximal_descent(lambda w: task_loss(w, "relu"), (first,), **options)[0]
            for first in (start, start @ turn)
        ]
        result[name] = ((ends[1] - ends[0] @ turn).norm(dim=(1, 2)) / ends[0].norm(dim=(1, 2))).numpy()
    return result


def table(results: Results, more: Results) -> pd.DataFrame:
    """Return participation and shared neurons of every arm, beside those of Gaussian and of one-hot rows; of the arms
    that are counted from `more` networks. An arm that missed the gate is a control, and has no intervals."""
    n_features, n_neurons, _ = causes.sizes(results)
    sparse, shared = "participation of living encodings", "pairs on one neuron, per network"
    exact, rows = incidental.expected_polysemantic(n_features, n_neurons), []
    for name, arm in _most(results, more).items():
        passes, pairs = _passes(arm), arm["opposite"] + arm["same"]
        seen = {"what": "measured" if passes else "control", "penalty": name}
        series = "measured" if passes else "missed the gate"
        rows += [
            {**seen, "quantity": sparse, "series": series, **_spread(arm, arm["participation"])},
            {**seen, "quantity": shared, "series": "all pairs" if passes else series, **_spread(arm, pairs)},
            {**seen, "quantity": "dead features, per network", "series": series, "value": arm["dead"].mean()},
        ]
        signs = {"opposite signs": "opposite", "same sign": "same"} if passes else {}
        rows += [{**seen, "quantity": shared, "series": s, "value": arm[key].mean()} for s, key in signs.items()]
    rows += [
        {"what": "control", "quantity": sparse, "series": "Gaussian rows", "value": 3 / (n_neurons + 2)},
        {"what": "corrected", "quantity": sparse, "series": "one-hot rows", "value": 1.0},
        {"what": "corrected", "quantity": shared, "series": "exact count", "value": exact},
    ]
    return pd.DataFrame(rows)


def _spread(arm: Mapping, values: np.ndarray) -> dict:
    return intervals.mean(values).columns() if _passes(arm) else {"value": values.mean()}


def by_arm(results: Results, more: Results) -> pd.DataFrame:
    """Return the means over networks of every arm: what IP-08 judges, norms and losses."""
    names = {
        "participation": "participation",
        "norm": "norm",
        "count": "polysemantic neurons",
        "per_neuron": "features per neuron",
        "squared": "Σ cos²",
        "absolute": "Σ |cos|",
        "dead": "dead features",
        "task": "task loss ÷ that of W = 0",
    }
    found = _most(results, more)
    means = {text: [float(arm[key].mean()) for arm in found.values()] for key, text in names.items()}
    return pd.DataFrame({"penalty": list(found), "networks": [len(arm["task"]) for arm in found.values()], **means})


def _most(results: Results, more: Results) -> dict[str, dict]:
    return _by_name(results) | _by_name(more)


def of_rotation(result: Mapping) -> dict:
    """Return how far the outcomes from turned starts are from the turned outcomes, relative to their norm.

    Without a penalty it is a rounding error, whose digits differ between machines: the power of ten above it.
    """
    largest = float(result["without"].max())
    power = math.ceil(math.log10(largest)) if largest > 0 else -16
    return {"without a penalty": f"below 1e{power}", "with l1": intervals.mean(result["with"])}


def measured_dense(more: Results) -> Measured:
    """Return what decides IP-08a, from more networks of the arms that are counted."""
    _, n_neurons, _ = causes.sizes(more)
    gaussian, by_name = 3 / (n_neurons + 2), _by_name(more)
    quantities, counted_ = {}, []
    for name, place in (("no penalty", NONE), ("l2", L2)):
        arm = by_name[place]
        sparse, count = arm["participation"] / gaussian, arm["count"]
        quantities[f"participation ÷ 3/(m + 2), {name}"] = _gated(arm, lambda g, x=sparse: intervals.mean(x[g]))
        counted_.append(_gated(arm, lambda g, x=count: intervals.poisson(int(x[g].sum()), int(g.sum()), 1 - 0.05 / 2)))
    key = "polysemantic neurons, no penalty or l2, larger"
    return _measured(more, quantities | {key: intervals.extreme(counted_)})


def measured_corner(results: Results, more: Results) -> Measured:
    """Return what decides IP-08b, from all arms and from `more` networks of those that are counted."""
    n_features, n_neurons, _ = causes.sizes(results)
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    l1, root = (_by_name(more)[name] for name in (L1, ROOT))
    quantities = {
        "participation, l1": _gated(l1, lambda good: intervals.mean(l1["participation"][good])),
        "participation, √|w|": _gated(root, lambda good: intervals.mean(root["participation"][good])),
        "count ÷ exact count, √|w|": _gated(root, lambda good: intervals.counts(root["count"][good], exact)),
    }
    return _measured(results, quantities, more)


def measured_sigmoid(more: Results) -> Measured:
    """Return what decides IP-08c, from more networks of the arms that are counted."""
    n_features, n_neurons, _ = causes.sizes(more)
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    sharp = _by_name(more)[SHARP]

    def opposite(good):
        found, others = (int(sharp[sign][good].sum()) for sign in ("opposite", "same"))
        return intervals.proportion(found, max(1, found + others))

    quantities = {
        "share of opposite signs, sigmoid(4z−2), l1 = 0.3": _gated(sharp, opposite),
        "count ÷ exact count, sigmoid(4z−2), l1 = 0.3": _gated(
            sharp, lambda good: intervals.counts(sharp["count"][good], exact)
        ),
    }
    return _measured(more, quantities)


def measured_l2(results: Results) -> Measured:
    """Return what decides IP-08d."""
    by_name = _by_name(results)
    l1, l2 = by_name["l1, 0.05"], by_name["l2, 0.1"]
    both = {"task": np.maximum(l1["task"], l2["task"])}
    quantities = {
        f"{name}, l2 ÷ l1": _gated(both, lambda good, key=key: intervals.ratio_of_means(l2[key][good], l1[key][good]))
        for name, key in (
            ("squared overlap", "squared"),
            ("absolute overlap", "absolute"),
            ("features per neuron", "per_neuron"),
        )
    }
    return _measured(results, quantities)


def _by_name(results: Results) -> dict[str, dict]:
    return {_name(config): arm for config, arm in results.pairs()}


def _gated(arm: Mapping, estimate: Callable) -> Estimate:
    return intervals.gated(arm["task"] < GATE, estimate)


def _passes(arm: Mapping) -> bool:
    return intervals.passes(arm["task"] < GATE)


def _measured(results: Results, quantities: dict, more: Results | None = None) -> Measured:
    n_features, n_neurons, n_seeds = causes.sizes(results)
    passed = {_name(config): int((arm["task"] < GATE).sum()) for config, arm in results.pairs()}
    missed = [f"{name} ({good} of {n_seeds})" for name, good in passed.items() if good < n_seeds]
    others = f", {causes.sizes(more)[2]} others where the count is judged" if more else ""
    return Measured(
        quantities,
        "95 % t intervals over networks; counts of none: exact Poisson; signs: exact binomial",
        f"n = {n_features}, m = {n_neurons}, one feature at a time; {n_seeds} networks for each of {len(results)} "
        f"penalties or outputs{others}, descent to time {results.setting('time')[0]:g}",
        f"Not all networks pass the gate with {', '.join(missed)}." if missed else "",
    )


def _name(config: Mapping) -> str:
    of_arm = tuple(config[key] for key in ("output", "penalty", "strength"))
    return next(name for name, *rest in ARMS if tuple(rest) == of_arm)
