"""What must be penalized, and what the output must be, for encodings to become sparse and neurons shared: IP-08."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import toy_networks
from polysemanticity.papers.incidental_polysemanticity import causes

STEP = 0.05

# name, output, penalty, strength
ARMS = (
    ("no penalty", "relu", "l1", 0.0),
    ("l2, 0.01", "relu", "l2", 0.01),
    ("l2, 0.1", "relu", "l2", 0.1),
    ("l1, 0.05", "relu", "l1", 0.05),
    ("√|w|, 0.02", "relu", "root", 0.02),
    ("sigmoid(z), l1, 0.01", "sigmoid", "l1", 0.01),
    ("sigmoid(z), l1, 0.1", "sigmoid", "l1", 0.1),
    ("sigmoid(z), l1, 0.3", "sigmoid", "l1", 0.3),
    ("sigmoid(4z−2), l1, 0.05", "sharp sigmoid", "l1", 0.05),
    ("sigmoid(4z−2), l1, 0.3", "sharp sigmoid", "l1", 0.3),
)

CLAIMS: dict[str, Claim] = {
    "IP-08": Claim(
        id="IP-08",
        claim="It is the l1 penalty that gives the neurons a meaning: without it, or with l2, encodings do not become "
        "sparse and no count of polysemantic neurons is defined",
        source="the authors' comments on section 2; baselines asked for by a reviewer (sigmoid, l2: proposed checks)",
        paper="l1 makes a privileged basis; otherwise there is rotational symmetry",
        rule={
            "participation ÷ 3/(m + 2), no penalty": (0.8, 1.25),
            "participation ÷ 3/(m + 2), l2": (0.8, 1.25),
            "participation, l1": (0.95, math.inf),
            "participation, √|w|": (0.95, math.inf),
            "polysemantic neurons, no penalty or l2": (-math.inf, 0.1),
            "count ÷ exact count, √|w|": (0.5, 1.1),
            "share of opposite signs, sigmoid(4z−2), l1 = 0.3": (0.95, math.inf),
            "polysemantic neurons, sigmoid(4z−2), l1 = 0.3": (1.0, math.inf),
        },
        reason=(
            "3/(m + 2) is the participation of a Gaussian encoding, a quarter the scatter that training without axes "
            "may leave. One-hot is 1. A count above half the exact count is the law up to its known deficit; one "
            "neuron per network is the least that is not none. Not blind: single trials of most arms were known."
        ),
        whose="implied",
        known="single trials of most arms",
        figure="figx_penalties",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks with other penalties, outputs and forces."""

    n_features: int = setting(32, "features n, on twice as many neurons", low=4, smoke=8)
    n_seeds: int = setting(32, "networks per penalty or force", low=2, smoke=2)
    time: float = setting(150.0, "training time", low=1.0, smoke=3.0)


def shape(settings: Settings) -> dict:
    """Return what the configurations of all these networks share: features, neurons and training time."""
    return {"n_features": settings.n_features, "n_neurons": 2 * settings.n_features, "time": settings.time}


def arms(settings: Settings) -> list[dict]:
    """Return the configurations of `penalized`: one for each of ARMS."""
    return [
        {"output": output, "penalty": penalty, "strength": strength, "n_seeds": settings.n_seeds, **shape(settings)}
        for _, output, penalty, strength in ARMS
    ]


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
    time: float,
) -> dict:
    """Participation of living encodings, shared neurons by signs and dead features of each network after training."""
    start = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds)).float().to(device)
    options = {"step": STEP, "n_steps": round(time / STEP), "l1": strength, "penalty": penalty}
    (weights,) = toy_networks.proximal_descent(lambda w: task_loss(w, output), (start,), **options)
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


def table(results: Results) -> pd.DataFrame:
    """Return participation and shared neurons of every arm, beside those of Gaussian and of one-hot rows."""
    n_features, n_neurons, _ = causes.sizes(results)
    sparse, shared = "participation of living encodings", "pairs on one neuron, per network"
    dead = results.array("dead").mean(1)
    opposite, same = results.array("opposite"), results.array("same")
    seen = {"what": "measured", "penalty": [name for name, *_ in ARMS]}
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    rows = [
        {**seen, "quantity": sparse, "series": "measured", **intervals.mean(results.array("participation")).columns()},
        {**seen, "quantity": shared, "series": "opposite signs", "value": opposite.mean(1)},
        {**seen, "quantity": shared, "series": "same sign", "value": same.mean(1)},
        {**seen, "quantity": shared, "series": "all pairs", **intervals.mean(opposite + same).columns()},
        {**seen, "quantity": "dead features, per network", "series": "measured", "value": dead},
        {"what": "control", "quantity": sparse, "series": "Gaussian rows", "value": [3 / (n_neurons + 2)]},
        {"what": "corrected", "quantity": sparse, "series": "one-hot rows", "value": [1.0]},
        {"what": "corrected", "quantity": shared, "series": "exact count", "value": [exact]},
    ]
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def by_arm(results: Results) -> pd.DataFrame:
    """Return the means over networks of every arm: participation, norm, polysemantic neurons and dead features."""
    names = {"participation": "participation", "norm": "norm", "count": "polysemantic neurons", "dead": "dead features"}
    means = {name: results.array(key).mean(1, dtype=float) for key, name in names.items()}
    return pd.DataFrame({"penalty": [name for name, *_ in ARMS], **means})


def of_rotation(result: Mapping) -> dict:
    """Return how far the outcomes from turned starts are from the turned outcomes, relative to their norm.

    Without a penalty it is a rounding error, whose digits differ between machines: the power of ten above it.
    """
    largest = float(result["without"].max())
    power = math.ceil(math.log10(largest)) if largest > 0 else -16
    return {"without a penalty": f"below 1e{power}", "with l1": intervals.mean(result["with"])}


def measured(results: Results) -> Measured:
    """Return what decides IP-08."""
    n_features, n_neurons, n_seeds = causes.sizes(results)
    names = [name for name, *_ in ARMS]
    by_name = dict(zip(names, results, strict=True))
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    gaussian = 3 / (n_neurons + 2)
    ratio = {name: intervals.mean(by_name[name]["participation"] / gaussian) for name in names[:3]}
    dense = sum(int(by_name[name]["count"].sum()) for name in names[:3])
    root, sharp = by_name["√|w|, 0.02"], by_name["sigmoid(4z−2), l1, 0.3"]
    opposite, pairs = int(sharp["opposite"].sum()), int(sharp["opposite"].sum() + sharp["same"].sum())
    quantities = {
        "participation ÷ 3/(m + 2), no penalty": ratio["no penalty"],
        "participation ÷ 3/(m + 2), l2": max((ratio["l2, 0.01"], ratio["l2, 0.1"]), key=lambda e: abs(e.value - 1)),
        "participation, l1": intervals.mean(by_name["l1, 0.05"]["participation"]),
        "participation, √|w|": intervals.mean(root["participation"]),
        "polysemantic neurons, no penalty or l2": intervals.poisson(dense, 3 * n_seeds),
        "count ÷ exact count, √|w|": intervals.mean(root["count"] / exact),
        "share of opposite signs, sigmoid(4z−2), l1 = 0.3": intervals.proportion(
            opposite if pairs else 0, max(1, pairs)
        ),
        "polysemantic neurons, sigmoid(4z−2), l1 = 0.3": intervals.mean(sharp["count"]),
    }
    return Measured(
        quantities,
        error=f"95 % t interval over {n_seeds} networks; counts of none: exact Poisson; signs: exact binomial",
        scale=f"n = {n_features}, m = {n_neurons}, one feature at a time; {n_seeds} networks from the same starts for "
        f"each of {len(results)} penalties, descent to time {results.setting('time')[0]:g}",
        note=f"n = {n_features}, m = {n_neurons}. l1 itself is not needed: a concave penalty gives the same law.",
    )
