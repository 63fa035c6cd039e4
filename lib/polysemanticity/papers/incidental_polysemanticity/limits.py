"""Where the mechanism ends: regularization too strong or too weak, too few neurons: IP-15."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import winner
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import causes

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
        whose="printed",
        known="a pilot of 4 networks per point",
        figure="figx_limits",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Too strong a regularization, too weak a one, too few neurons."""

    neurons: tuple[int, ...] = setting((64, 256, 1024), "neurons m of the experiments on strong λ", low=4, smoke=(16,))
    scales: tuple[float, ...] = setting(
        (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5), "λ ÷ mean critical λ", low=0.1, high=2.0,
        smoke=(0.5, 1.0, 1.5),
    )  # fmt: skip
    l1: tuple[float, ...] = setting(
        (0.01, 0.02, 0.05, 0.1, 0.2), "λ of the time to decision", low=1e-3, high=1.0, smoke=(0.2, 0.4)
    )
    crowd: tuple[int, ...] = setting(
        (4, 6, 8, 12, 14, 16, 20, 24, 32), "neurons m of crowded networks; n/2 is judged", low=2, smoke=(4, 8)
    )
    n_seeds: int = setting(16, "trained networks per point of the limits", low=2, smoke=2, paper=64)


def single(settings: Settings, toys: causes.Settings) -> list[dict]:
    """Return the configurations of `critical`, one for each number of neurons."""
    return [{"n_features": toys.n_features, "n_neurons": m} for m in settings.neurons]


def strong(settings: Settings, toys: causes.Settings, alone: Results) -> list[dict]:
    """Return the configurations of `deaths`: λ around the mean critical one of each number of neurons, below 1.5.

    alone: results of `critical`.
    """
    few = {"n_features": toys.n_features, "n_seeds": settings.n_seeds}
    configs = []
    for config, result in alone.pairs():
        around = sorted({min(scale * result["critical"].mean(), 1.5) for scale in settings.scales})
        configs.append({**few, "n_neurons": config["n_neurons"], "l1": around})
    return configs


def weak(settings: Settings, toys: causes.Settings) -> list[dict]:
    """Return the configurations of `patience`: every λ for the time in which the strongest decides."""
    few = {"n_features": toys.n_features, "n_seeds": settings.n_seeds, "n_neurons": toys.n_neurons}
    return [{**few, "l1": l1, "time": 2 / max(settings.l1) * 4} for l1 in settings.l1]


def crowds(settings: Settings, toys: causes.Settings) -> list[dict]:
    """Return the configurations of `crowd`, one for each number of neurons."""
    few = {"n_features": toys.n_features, "n_seeds": settings.n_seeds, "l1": toys.l1[0]}
    return [{**few, "n_neurons": m} for m in settings.crowd]


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


def table(alone: Results, died: Results, waited: Results, crowded: Results) -> pd.DataFrame:
    """Return shares of features that die, are undecided or are not one-hot, in the three experiments.

    alone, died, waited, crowded: results of `critical`, `deaths`, `patience` and `crowd`.
    """
    rows, n_features = [], int(crowded.setting("n_features")[0])
    for config, result in died.pairs():
        key = {"what": "measured", "experiment": "too strong", "series": f"m = {config['n_neurons']}"}
        rows.append({**key, "λ": config["l1"], **_share(result["dead"])})
    for config, result in alone.pairs():
        key = {"what": "corrected", "experiment": "too strong", "series": f"predicted, m = {config['n_neurons']}"}
        own = np.sort(result["critical"])
        rows.append({**key, "λ": own, "share": np.arange(1, len(own) + 1) / len(own)})
    undecided = f"features undecided at t = {waited.setting('time')[0]:g}"
    key = {"what": "measured", "experiment": "too weak", "series": undecided}
    rows.append({**key, "λ": waited.setting("l1"), **_share(waited.array("open"))})
    per_feature = crowded.setting("n_neurons") / n_features
    key = {"what": "measured", "experiment": "too few neurons", "neurons per feature m/n": per_feature}
    rows += [
        {**key, "series": "features that are one-hot", **_share(crowded.array("one_hot"))},
        {**key, "series": "features that are dead", **_share(crowded.array("dead"))},
        {
            **key,
            "series": "neurons that are polysemantic",
            **_share(crowded.array("count") / crowded.setting("n_neurons")[:, None]),
        },
    ]
    border = {"what": "control", "experiment": "too few neurons", "series": "2m = n: as many slots as features"}
    rows.append({**border, "neurons per feature m/n": [0.5, 0.5], "share": [0.0, 1.0]})
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def numbers(alone: Results, died: Results, waited: Results, crowded: Results) -> dict:
    """Return where half of the features die, and what becomes of them where λ is weak or neurons are few."""
    found = {}
    for m, ratio in _ratios(alone, died).items():
        found[f"λ at which half of the features die, m = {m}"] = _half_dead(died, m)
        found[f"the same ÷ predicted, m = {m}"] = ratio
    for config, result in zip(waited.configs, waited, strict=True):
        found[f"share undecided at t = {config['time']:g}, λ = {config['l1']:g}"] = intervals.mean(result["open"])
    fewest, result = crowded.configs[0], crowded[0]
    found |= {f"share one-hot at m = {fewest['n_neurons']}": intervals.mean(result["one_hot"])}
    return found | {f"share dead at m = {fewest['n_neurons']}": intervals.mean(result["dead"])}


def measured(alone: Results, died: Results, waited: Results, crowded: Results, seed: int) -> Measured:
    """Return what decides IP-15; arguments as of `table`, the seed is that of the bootstrap.

    Where at no number of neurons half of the features die, nothing is known of the first quantity.
    """
    n_features, n_seeds = (int(died.setting(name)[0]) for name in ("n_features", "n_seeds"))
    pairs = [
        (result["first"], lone["critical"] < np.array(config["l1"])[:, None])
        for (config, result), lone in zip(died.pairs(), alone, strict=True)
    ]
    right, guesses = sum(int((dead == guess).sum()) for dead, guess in pairs), sum(dead.size for dead, _ in pairs)
    slopes = np.array([np.polyfit(np.log(waited.setting("l1")), np.log(t), 1)[0] for t in waited.array("time").T])
    at_half = crowded.where(n_neurons=n_features // 2)[0]["one_hot"]
    quantities = {
        "measured ÷ predicted λ at which half of the features die": _half_estimate(alone, died, seed),
        "share of features whose death or life is predicted": intervals.proportion(right, guesses),
        "exponent of the time to decision in λ": intervals.mean(slopes),
        "share of one-hot rows at m = n/2": intervals.proportion(
            round(at_half.mean() * n_seeds * n_features), n_seeds * n_features
        ),
    }
    sizes = ", ".join(map(str, died.setting("n_neurons")))
    return Measured(
        quantities,
        error=f"half-dead λ: the size farthest from 1 of {len(died)}, bootstrap over {n_seeds} networks; exact "
        f"binomial interval over the features of one network per size; 95 % t interval over {n_seeds} starts",
        scale=f"n = {n_features}, one feature at a time, {n_seeds} networks per point; strong λ: m = {sizes}; weak λ: "
        f"m = {waited.setting('n_neurons')[0]}; few neurons: λ = {crowded.setting('l1')[0]:g}",
        note=f"n = {n_features}; the prediction ignores interference.",
    )


def _half_estimate(alone: Results, died: Results, seed: int) -> Estimate:
    """Measured ÷ predicted λ at which half die, of the number of neurons whose ratio is farthest from 1."""
    ratios = _ratios(alone, died)
    far = max(ratios, key=lambda m: abs(np.log(ratios[m])) if np.isfinite(ratios[m]) else 0)
    config, result = next(pair for pair in died.pairs() if pair[0]["n_neurons"] == far)
    found = intervals.bootstrap(
        lambda dead: ratios[far] * half_dead(config["l1"], dead.mean(0)) / _half_dead(died, far),
        result["dead"].T,
        streams.rng(seed, "half-dead"),
    )
    return found if np.isfinite(found).all() else Estimate(0.0, 0.0, math.inf)


def _ratios(alone: Results, died: Results) -> dict[int, float]:
    """Measured ÷ predicted λ at which half of the features die, by the number of neurons."""
    return {
        config["n_neurons"]: _half_dead(died, config["n_neurons"])
        / half_dead(config["l1"], [(lone["critical"] < k).mean() for k in config["l1"]])
        for config, lone in zip(died.configs, alone, strict=True)
    }


def _half_dead(died: Results, n_neurons: int) -> float:
    config, result = next(pair for pair in died.pairs() if pair[0]["n_neurons"] == n_neurons)
    return half_dead(config["l1"], result["dead"].mean(1))


def _share(samples) -> dict[str, np.ndarray]:
    """The mean share [place] of samples [place, network] with its interval, as columns of a table."""
    found = intervals.mean(samples)
    return {"share": found.value, "low": found.low, "high": found.high}
