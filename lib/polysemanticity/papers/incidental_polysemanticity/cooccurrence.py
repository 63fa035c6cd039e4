"""Features that are seen together: IP-12."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import interference
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import causes

HORIZON = 4.0  # λ · time of a training
SAMPLES = 256  # inputs per step where features are drawn independently


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
        whose="ours",
        known="preliminary runs had the count halved at about 0.1 λ, and none for independent features",
        figure="figx_cooccurrence",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Features that are seen in pairs, or independently of each other."""

    l1: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3), "λ; the middle one is that of independent features", low=1e-3, high=1.0, smoke=(0.2, 0.4)
    )
    weights: tuple[float, ...] = setting(
        (0.03, 0.06, 0.1, 0.2, 0.4, 1.0), "weight of a pair ÷ λ; 1 is judged", low=1e-3, smoke=(0.1, 1.0)
    )
    n_seeds: int = setting(16, "trained networks per weight of the pairs", low=2, smoke=3, paper=64)

    def __post_init__(self):
        check(1.0 in self.weights, "cooccurrence.weights", self.weights, "a list with 1, which is judged")


def strengths(settings: Settings, toys: causes.Settings) -> list[dict]:
    """Return the configurations of `pairs`, one for each λ: no pairs and then all their weights."""
    base, relative = _toys(settings, toys), [0.0, *settings.weights]
    return [{**base, "l1": l1, "relative": relative} for l1 in settings.l1]


def alone(settings: Settings, toys: causes.Settings) -> dict:
    """Return the configuration of `independent`, at the middle λ."""
    return {**_toys(settings, toys), "l1": settings.l1[len(settings.l1) // 2]}


def _toys(settings: Settings, toys: causes.Settings) -> dict:
    return {"n_features": toys.n_features, "n_neurons": toys.n_neurons, "n_seeds": settings.n_seeds}


def pairs(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, relative: list) -> dict:
    """Polysemantic neurons [weight, seed] for pairs of weight `relative` · l1 in the loss, all from the same W(0)."""
    start = _start(n_features, n_neurons, seed, n_seeds, device)
    ends = [
        interference.flow_under(
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
    return _ends(interference.flow_under(error, start, l1=l1, time=HORIZON / l1, stiffness=4.0)[None])


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


def half_lives(paired: Results, seed: int) -> dict[float, Estimate]:
    """Return by λ the weight of a pair ÷ λ at which half of the neurons are left; the seed is that of the bootstrap."""
    rng = streams.rng(seed, "bootstrap")
    return {
        config["l1"]: intervals.bootstrap(
            lambda c, relative=config["relative"]: causes.half_point(relative, c.T), result["count"].T, rng
        )
        for config, result in paired.pairs()
    }


def table(paired: Results, free: Results, dosed: Results, seed: int) -> pd.DataFrame:
    """Return how many polysemantic neurons are left where pairs, or independent features, are seen, and half-lives.

    dosed: results of `causes.costs`, where a cost of opposite signs stands in for pairs. seed: the bootstrap's.
    """
    x, share, half_life = "weight of a pair or cost ÷ λ", "polysemantic neurons ÷ without pairs", "half-life p*"
    rows = []
    for (config, result), half in zip(paired.pairs(), half_lives(paired, seed).values(), strict=True):
        series = {"what": "measured", "series": f"pairs, λ = {config['l1']:g}"}
        count = intervals.mean(result["count"])
        left = count.over(max(count.value[0], 1e-9)).at(slice(1, None))
        rows.append({**series, "quantity": share, x: config["relative"][1:], **left.columns()})
        half = Estimate(*(config["l1"] * np.array(half)))
        rows.append({**series, "quantity": half_life, "λ": [config["l1"]], **half.columns()})
    n_features, n_neurons, _ = causes.sizes(free)
    l1, count = free.configs[0]["l1"], free[0]["count"][0]
    left = intervals.counts(count, incidental.expected_polysemantic(n_features, n_neurons))
    star = {"what": "measured", "series": f"independent features, λ = {l1:g}", x: [1 / (n_features - 1) / l1]}
    rows.append({**star, "quantity": share, **left.columns()})
    first, costs = dosed.configs[0], dosed[0]["count"].mean(1)
    instead = {"what": "control", "series": f"a cost of opposite signs instead, λ = {first['l1']:g}"}
    relative = np.array(first["opposite"][1:]) / first["l1"]
    rows.append({**instead, "quantity": share, x: relative, "value": costs[1:] / max(costs[0], 1e-9)})
    rows.append({"what": "control", "series": "half", "quantity": share, "value": [0.5]})
    halves = causes.half_points(dosed)
    known = {"what": "control", "quantity": half_life}
    points = {"λ": list(halves), "value": [l1 * half for l1, half in halves.items()]}
    rows.append({**known, "series": "half-point of a cost of opposite signs", **points})
    ends = np.array([paired.setting("l1").min() / 1.5, paired.setting("l1").max() * 1.5])
    rows.append({**known, "series": "p* = 0.1 λ", "λ": ends, "value": 0.1 * ends})
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def numbers(paired: Results, free: Results, seed: int) -> dict:
    """Return the power of λ that the half-life goes as, and how often independent features meet; seed: bootstrap's."""
    halves = half_lives(paired, seed)
    power = np.polyfit(np.log(list(halves)), np.log([l1 * half.value for l1, half in halves.items()]), 1)[0]
    config = free.configs[0]
    return {
        "exponent of the half-life p* in λ": float(power),
        "weight of a pair ÷ λ of independent features": 1 / (config["n_features"] - 1) / config["l1"],
    }


def measured(paired: Results, free: Results, seed: int) -> Measured:
    """Return what decides IP-12; the seed is that of the bootstrap."""
    n_features, n_neurons, n_seeds = causes.sizes(free)
    l1 = free.configs[0]["l1"]
    middle = paired.where(l1=l1)
    count = middle[0]["count"]
    at_l1 = count[middle.configs[0]["relative"].index(1.0)]
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    quantities = {
        "count ÷ count without pairs, at pair weight λ": intervals.counts(at_l1, max(count[0].mean(), 1e-9)),
        "count ÷ exact count, independent features": intervals.counts(free[0]["count"][0], exact),
        **{f"half-life p*/λ at λ = {l1:g}": half for l1, half in half_lives(paired, seed).items()},
    }
    return Measured(
        quantities,
        error=f"95 % t intervals over {n_seeds} networks, Poisson where all are zero; "
        "half-life: bootstrap over networks",
        scale=f"n = {n_features}, m = {n_neurons}, {n_seeds} networks from the same starts per λ and weight of a pair; "
        f"judged at λ = {l1:g}",
        note="Pairs seen a tenth of λ as often as single features are enough to dissolve half of the accidents.",
    )
