"""Does initialization decide, whatever the optimizer? Winners and collision sets from the same start: IP-05.

The same seed gives every way of training the same initial weights.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import checkpoints, streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import collisions as counting

NAMES = {"flow": "gradient flow", "descent": "gradient descent", "adamw": "AdamW", "adam": "Adam"}
PAIRS = (("flow", "descent"), ("adamw", "adam"), ("flow", "adamw"))  # ways of training whose collisions are compared
CROWDED = 3.8  # n/√m at which half of the features end on their most correlated neuron
HALF = ("small", "middle", "large")
RATE = 0.03  # learning rate of gradient descent
EDGES = np.linspace(0, 5, 26)  # of the histogram of initial weights, in standard deviations
START, DENSITY, OVERLAP = "initial weight [standard deviations]", "density", "overlap of start and end"
HITS, SHARED = "share of features", "share of collisions in common"
PER_FEATURE, ROOM = "neurons per feature m/n", "m/n²"

CLAIMS: dict[str, Claim] = {
    "IP-05a": Claim(
        id="IP-05a",
        claim="Under gradient descent each feature ends on the neuron most correlated with it at initialization",
        source="introduction, Figure 4 (start–end correlation)",
        paper="final encodings are strengthened initial ones",
        rule={
            "hit rate, gradient flow, least of sizes": (0.9, math.inf),
            "hit rate, gradient descent, least of sizes": (0.9, math.inf),
        },
        reason=(
            "Hit rate: share of features whose final neuron and sign had their largest initial weight; 'the most "
            "correlated neuron wins' allows one exception in ten, at every size. Corrected: a half is what tells 'most "
            "features' from 'some'; at one neuron per feature it must be below, at 16 above. The flow is the limit of "
            "descent with small steps: their rates may differ by a tenth at most."
        ),
        corrected={
            "hit rate, gradient flow, m = n, largest of sizes": (-math.inf, 0.5),
            "hit rate, gradient flow, m = 16n, least of sizes": (0.5, math.inf),
            "hit rate, descent − flow, largest difference of sizes": (-math.inf, 0.1),
        },
        correction=(
            "a tendency that grows with the number of neurons per feature: fewer than half of the features do so at "
            "m = n, more than half at m = 16n"
        ),
        known="rates of 0.29 to 0.62 for m = n to 16n at n = 64, λ = 0.01; 0.5 to 0.8 in earlier runs at four others",
        figure="figx_winners",
    ),
    "IP-05b": Claim(
        id="IP-05b",
        claim="So it is under the published optimizer, AdamW",
        source="introduction, Figure 4 (start–end correlation)",
        paper="final encodings are strengthened initial ones",
        rule={"hit rate, AdamW, least of sizes": (0.9, math.inf)},
        reason=(
            "As for gradient descent. Corrected: three features in ten would no longer be 'seldom'; twice chance (1/m) "
            "at the most neurons is the least that can be called a tendency (at m = n chance is a good part of it)."
        ),
        corrected={
            "hit rate, AdamW, largest of sizes": (-math.inf, 0.3),
            "hit rate × m, AdamW, m = 16n, least of sizes": (2.0, math.inf),
        },
        correction="seldom, yet more often than by chance: steps of the same length for every weight reshuffle them",
        known="rates of 0.01 to 0.15 at n = 64, λ = 0.001 and at n = 32; pilots of 2 to 4 networks at n = 12 and 28",
        figure="figx_winners",
    ),
    "IP-05c": Claim(
        id="IP-05c",
        claim="Initialization decides which features share a neuron: from the same start two optimizers end alike",
        source="title and abstract: polysemanticity by the accident of initialization",
        paper="collisions are due to the start",
        rule={"shared collisions, gradient flow and AdamW": (0.5, math.inf)},
        reason=(
            "If the start decides, two ways to train from it end with mostly the same pairs on one neuron: more than "
            "half. Corrected: twice chance is a bias; two ways that scale each weight by itself, or neither does, "
            "agree in most pairs."
        ),
        corrected={
            "shared collisions ÷ chance, gradient flow and AdamW": (2.0, math.inf),
            "shared collisions, gradient flow and gradient descent": (0.5, math.inf),
            "shared collisions, AdamW and Adam": (0.5, math.inf),
        },
        correction="the start and the optimizer decide together which pairs collide",
        whose="implied",
        known="0.07 of collisions in common at n = 64, and 12 times chance; 0.09 to 0.10 in earlier runs at one λ",
        figure="figx_winners",
    ),
    "IP-05d": Claim(
        id="IP-05d",
        claim="The bright diagonal of start and end is that of the most correlated neurons",
        source="Figure 4: n = 256, m = 4,096, AdamW, λ = 0.001, mean over 16 networks",
        paper="mean of the diagonal 0.031, which is 1.98 standard deviations of an initial weight",
        rule={"diagonal ÷ mean of the largest initial weights, AdamW": (0.9, math.inf)},
        reason=(
            "The diagonal is the initial weight of the final neuron; if the most correlated neuron wins it is that of "
            "the largest. One tenth is far more than the error of reading the map. Corrected: the published height in "
            "standard deviations, 15 % either way for its reading, another n at the same m/n = 16, and few networks."
        ),
        corrected={"diagonal [standard deviations of an initial weight], AdamW": (1.68, 2.28)},
        correction="it is as high as published, and that is half of what the most correlated neurons would give",
        known="1.98 at n = 64, m = 1,024, and the published value itself",
        figure="fig4_start_end",
    ),
    "IP-05e": Claim(
        id="IP-05e",
        claim=(
            "Under gradient flow and slow regularization half of the features end on their most correlated neuron "
            "where n = 3.8 √m, that is m = n²/14"
        ),
        source="ours, after IP-05a",
        paper="silent",
        rule={f"hit rate at n = 3.8 √m, {name} n": (0.43, 0.57) for name in HALF},
        reason=(
            "At the start the products of rows have the size 1/√m, and the n rows together push with n/√(2πm), the "
            "eigenvalue of ReLU(WWᵀ) off the diagonal, against a benefit of order one: the reshuffling should be the "
            "same at the same n/√m, not at the same m/n. Three n that IP-05a has not, m rounded; 0.07 is a quarter of "
            "the change of the rate between m = n and 16n."
        ),
        whose="ours",
        known="IP-05a: half is crossed at n/√m of 3.7 (n = 15) and 3.7 (n = 30); earlier runs at n = 64 had about 3.7",
        figure="figx_winners",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks that several ways of training take from the same start."""

    winner_features: tuple[int, ...] = setting(
        (15, 30), "features n, for the flow and AdamW; the others have the first", low=4, smoke=(8,)
    )
    winner_ratios: tuple[int, ...] = setting((1, 2, 4, 8, 16), "neurons per feature m/n", low=1, smoke=(1, 2, 16))
    winner_l1: float = setting(0.01, "λ of all ways of training", low=1e-3, high=0.3, smoke=0.1)
    flow_seeds: int = setting(32, "networks per size that the flow trains", low=2, smoke=2, paper=128)
    winner_seeds: tuple[int, ...] = setting(
        (16, 8), "networks per size that the other ways train, for each n", low=2, smoke=(2,), paper=(64, 32)
    )
    other_ratios: tuple[int, ...] = setting(
        (1, 4, 16), "neurons per feature, for Adam and gradient descent", low=1, smoke=(1, 16), paper=(1, 2, 4, 8, 16)
    )
    half_features: tuple[int, ...] = setting((20, 36, 56), "features n at n = 3.8 √m", low=4, smoke=(8, 10, 12))
    half_seeds: tuple[int, ...] = setting((48, 32, 20), "networks at n = 3.8 √m", low=2, smoke=(2, 2, 2))
    map_of_features: int = setting(40, "features n of the map of start and end", low=4, smoke=8, paper=256)
    map_of_neurons: int = setting(640, "neurons m of the map of start and end", low=4, smoke=64, paper=4096)
    map_l1: float = setting(0.001, "λ of the map of start and end", low=1e-4, high=0.3, smoke=0.05)
    map_networks: int = setting(6, "networks of the map of start and end", low=2, smoke=2, paper=16)

    def __post_init__(self):
        both = len(self.winner_seeds) == len(self.winner_features)
        check(both, "winner_seeds", self.winner_seeds, "a number for each of winner_features")
        ends = {1, 16} <= set(self.winner_ratios) and set(self.other_ratios) <= set(self.winner_ratios)
        three = len(self.half_features) == len(self.half_seeds) == len(HALF)
        check(three, "half_features", self.half_features, f"{len(HALF)} numbers, as of half_seeds")
        check(ends, "winner_ratios", self.winner_ratios, "1, 16 and those of other_ratios among them")


def methods(settings: Settings) -> list[dict]:
    """Return the configurations of `trained`: one for each way of training, number of features and of neurons."""
    sizes = list(zip(settings.winner_features, settings.winner_seeds, strict=True))
    rows = []
    for method in NAMES:
        both = method in ("flow", "adamw")
        for n, n_seeds in sizes if both else sizes[:1]:
            for ratio in settings.winner_ratios if both else settings.other_ratios:
                networks = settings.flow_seeds if method == "flow" else n_seeds
                size = {"n_features": n, "n_neurons": n * ratio, "n_seeds": networks}
                rows.append({**size, "l1": settings.winner_l1, "method": method})
    return rows


def crowded(settings: Settings) -> list[dict]:
    """Return the configurations of `trained` where n = CROWDED √m, by gradient flow."""
    common = {"l1": settings.winner_l1, "method": "flow"}
    pairs = zip(settings.half_features, settings.half_seeds, strict=True)
    return [{"n_features": n, "n_neurons": round((n / CROWDED) ** 2), "n_seeds": k, **common} for n, k in pairs]


def published(settings: Settings) -> list[dict]:
    """Return the configurations of `trained` for the map of start and end: as published, and by gradient flow."""
    size = {"n_features": settings.map_of_features, "n_neurons": settings.map_of_neurons}
    common = {**size, "n_seeds": settings.map_networks}
    strong = settings.winner_l1
    return [{**common, "l1": settings.map_l1, "method": "adamw"}, {**common, "l1": strong, "method": "flow"}]


def trained(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, method: str) -> dict:
    """Where each feature ends, and how that neuron stood at the start [seed, feature].

    Also the overlap W(0) W(end)ᵀ, averaged over networks (the paper's "correlation"), and the mean of the largest
    initial weights of all features [standard deviations of an initial weight].
    """
    check(method in NAMES, "method", method, f"one of {', '.join(NAMES)}")
    seeds = streams.batch_seeds(seed, n_seeds)
    start = incidental.initial_weights(n_features, n_neurons, seeds)
    if method == "descent":
        initial = start.float().numpy()
        weights = gradient_descent(start.float().to(device), l1, RATE).cpu().numpy()
    else:
        initial, weights = incidental.train(n_features, n_neurons, l1, seeds, method=method, device=device)[1::-1]
    end = incidental.slots(weights)
    rank, size = counting.standing(initial, end)
    return {
        "rank": rank,
        "initial_size": size,
        "slots": end,
        "start_end": (initial @ weights.swapaxes(1, 2)).mean(0),
        "diagonal": np.einsum("sik,sik->s", initial, weights) / n_features,
        "largest": np.abs(initial).max(-1).mean(-1) * math.sqrt(n_neurons),
    }


def gradient_descent(start: torch.Tensor, l1: float, rate: float) -> torch.Tensor:
    """Return the weights after a time of 4 / l1 of plain descent on the l1 subgradient."""
    weights = start.clone()
    for _ in checkpoints.steps(math.ceil(4 / l1 / rate), weights):
        weights -= rate * (incidental.gradient(weights) + l1 * weights.sign())
    return weights


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


def shared(one, other) -> dict[str, Estimate]:
    """Return the share of colliding pairs that two ways of training have in common, and that number over chance.

    `one` and `other` hold slots [seed, feature] for every size, of the same starts as far as both go; the share is of
    the mean number of pairs of the two. t intervals over networks, all sizes together.
    """
    rows = [_counts(a[: len(b)], b[: len(a)]) for a, b in zip(one, other, strict=True)]
    both, chance, each = (np.concatenate(values) for values in zip(*rows, strict=True))
    name = "shared collisions"
    return {name: intervals.ratio_of_means(both, each), f"{name} ÷ chance": intervals.ratio_of_means(both, chance)}


def in_common(results: Results) -> dict[str, dict[str, Estimate]]:
    """Return `shared` for PAIRS of ways of training, by their names, at the first n and the sizes that both have."""
    n, found = results.configs[0]["n_features"], {}
    for pair in PAIRS:
        rows = [results.where(method=method, n_features=n) for method in pair]
        sizes = sorted(set(rows[0].setting("n_neurons")) & set(rows[1].setting("n_neurons")))
        slots = [[row.where(n_neurons=m)[0]["slots"] for m in sizes] for row in rows]
        found[" and ".join(NAMES[method] for method in pair)] = shared(*slots)
    return found


def hit_rates(results: Results, method: str, level: float = 0.95) -> pd.DataFrame:
    """Return the share of features whose final neuron had their largest initial weight, for every size of a method.

    With t intervals over networks.
    """
    rows = []
    for config, result in results.where(method=method).pairs():
        n, m = config["n_features"], config["n_neurons"]
        found = intervals.mean((result["rank"] == 0).mean(1), level=level)
        place = {"features n": n, "neurons m": m, PER_FEATURE: m / n, ROOM: m / n**2}
        rows.append({**place, **found.columns()})
    return pd.DataFrame(rows)


def start_end_table(maps: Results) -> pd.DataFrame:
    """Return how start and end overlap under AdamW, and how the final neurons stood at the start.

    All in standard deviations of an initial weight; a histogram's rows are the middles of its bins.
    """
    adamw, m = maps.where(method="adamw")[0], maps.configs[0]["n_neurons"]
    start, end = np.indices(adamw["start_end"].shape) + 1
    overlaps = {"quantity": OVERLAP, "feature at the start": start.ravel(), "feature at the end": end.ravel(),
                "value": np.round(adamw["start_end"].ravel() * math.sqrt(m), 3)}  # fmt: skip
    parts = [pd.DataFrame({"what": "measured", "series": "AdamW", **overlaps})]
    middles = (EDGES[1:] + EDGES[:-1]) / 2
    for method in ("adamw", "flow"):
        density = np.histogram(maps.where(method=method)[0]["initial_size"].ravel(), EDGES, density=True)[0]
        rows = {"quantity": DENSITY, START: middles, "value": density}
        parts.append(pd.DataFrame({"what": "measured", "series": NAMES[method], **rows}))
    largest = 2 * m * np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi) * counting.half_normal(middles) ** (m - 1)
    rows = {"quantity": DENSITY, START: middles, "value": np.round(largest, 4)}
    parts.append(pd.DataFrame({"what": "control", "series": "each feature's largest", **rows}))
    marks = {"AdamW": ("measured", float(adamw["diagonal"].mean() * math.sqrt(m))),
             "published diagonal": ("paper", published_height()),
             "each feature's largest": ("control", float(adamw["largest"].mean()))}  # fmt: skip
    for series, (what, place) in marks.items():
        parts.append(pd.DataFrame({"what": what, "series": series, "quantity": "mean", START: [place], "value": 0.0}))
    return pd.concat(parts)


def published_height() -> float:
    """Return the height of the published diagonal in standard deviations of an initial weight."""
    return counting.PUBLISHED_DIAGONAL * math.sqrt(counting.PUBLISHED_NEURONS[-1])


def winners_table(results: Results, half: Results) -> pd.DataFrame:
    """Return the shares of hits by size, also at n = CROWDED √m (`half`), and what collision sets have in common."""
    other = ", ".join(str(config["n_features"]) for config in half.configs)
    name = f"gradient flow, n = {other}"
    parts = [hit_rates(half, "flow").assign(what="measured", series=name, quantity=HITS)]
    for method, name in NAMES.items():
        for n, rows in hit_rates(results, method).groupby("features n"):
            parts.append(rows.assign(what="measured", series=f"{name}, n = {n}", quantity=HITS))
    n = results.configs[0]["n_features"]
    m = np.unique(results.where(n_features=n).setting("n_neurons"))
    rooms = np.array([table[ROOM].min() for table in parts] + [table[ROOM].max() for table in parts])
    columns = {"features n": n, "neurons m": m, ROOM: m / n**2, "value": 1 / m}
    parts.append(pd.DataFrame({"what": "control", "series": f"chance 1/m, n = {n}", "quantity": HITS, **columns}))
    claimed = {"series": "the most correlated neuron", "quantity": HITS, ROOM: [rooms.min(), rooms.max()], "value": 1.0}
    parts.append(pd.DataFrame({"what": "paper", **claimed}))
    for pair, found in in_common(results).items():
        both, over = found["shared collisions"], found["shared collisions ÷ chance"]
        place = {"trainings": pair, "quantity": SHARED}
        parts.append(pd.DataFrame({"what": "measured", "series": "same start", **place, **both.columns()}, index=[0]))
        chance = {"what": "control", "series": "by chance", **place, "value": both.value / over.value}
        parts.append(pd.DataFrame(chance, index=[0]))
    return pd.concat(parts, ignore_index=True)


def heights(maps: Results) -> dict[str, float | Estimate]:
    """Return the height of the diagonal and the spread around it, beside what was published."""
    config, found = maps.configs[0], maps.where(method="adamw")[0]
    off = found["start_end"][~np.eye(len(found["start_end"]), dtype=bool)]
    scale = math.sqrt(config["n_neurons"])
    return {
        "diagonal, AdamW [standard deviations of an initial weight]": intervals.mean(found["diagonal"] * scale),
        "the same, published": published_height(),
        "mean of each feature's largest": float(found["largest"].mean()),
        f"the same for m = {counting.PUBLISHED_NEURONS[-1]:,}": counting.expected_largest(
            counting.PUBLISHED_NEURONS[-1]
        ),
        "off the diagonal, standard deviation ÷ 1/√(networks × m)": float(
            off.std() * math.sqrt(config["n_seeds"]) * scale
        ),
    }


def measured_descent(results: Results) -> Measured:
    """Return what decides IP-05a."""
    flow, descent = (_rates(results, method) for method in ("flow", "descent"))
    first, last = (flow[flow[PER_FEATURE] == ratio] for ratio in (1, 16))
    differences = [
        _difference(results, *size, len(descent)) for size in descent[["features n", "neurons m"]].to_numpy()
    ]
    quantities = {
        "hit rate, gradient flow, least of sizes": _extreme(flow, "min"),
        "hit rate, gradient descent, least of sizes": _extreme(descent, "min"),
        "hit rate, gradient flow, m = n, largest of sizes": _extreme(first, "max"),
        "hit rate, gradient flow, m = 16n, least of sizes": _extreme(last, "min"),
        "hit rate, descent − flow, largest difference of sizes": Estimate(*map(float, np.max(differences, axis=0))),
    }
    crossed = {n: _crossing(rows) for n, rows in flow.groupby("features n")}
    said = ", ".join(f"{ratio:.1f}n at n = {n}" for n, ratio in crossed.items())
    return Measured(quantities, _error(), _scale(results), f"Under the flow a half is crossed at m = {said}.")


def measured_adamw(results: Results) -> Measured:
    """Return what decides IP-05b."""
    rates = _rates(results, "adamw")
    wide = rates[rates[PER_FEATURE] == 16]
    by_chance = wide.assign(**{end: wide[end] * wide["neurons m"] for end in ("value", "low", "high")})
    quantities = {
        "hit rate, AdamW, least of sizes": _extreme(rates, "min"),
        "hit rate, AdamW, largest of sizes": _extreme(rates, "max"),
        "hit rate × m, AdamW, m = 16n, least of sizes": _extreme(by_chance, "min"),
    }
    first, last = rates.loc[rates["value"].idxmax()], rates.loc[rates["value"].idxmin()]
    places = [f"{row['value']:.3f} at n = {row['features n']:.0f}, m = {row['neurons m']:.0f}" for row in (first, last)]
    note = f"From {' down to '.join(places)}, at the same λ as the flow."
    return Measured(quantities, _error(), _scale(results), note)


def measured_half(half: Results) -> Measured:
    """Return what decides IP-05e."""
    found = hit_rates(half, "flow")
    rows = zip(HALF, found["value"], found["low"], found["high"], strict=True)
    quantities = {f"hit rate at n = {CROWDED} √m, {name} n": Estimate(*ends) for name, *ends in rows}
    sizes = ", ".join(f"({c['n_features']}, {c['n_neurons']})" for c in half.configs)
    networks = ", ".join(str(config["n_seeds"]) for config in half.configs)
    scale = f"gradient flow, (n, m) = {sizes}, λ = {half.configs[0]['l1']:g}, {networks} networks"
    return Measured(quantities, "95 % t intervals over networks", scale)


def measured_collisions(results: Results) -> Measured:
    """Return what decides IP-05c."""
    quantities = {
        f"{name}, {pair}": value for pair, found in in_common(results).items() for name, value in found.items()
    }
    config = results.where(method="adamw").configs[0]
    scale = f"n = {config['n_features']}, λ = {config['l1']:g}, all sizes that both have"
    return Measured(quantities, f"95 % t intervals over {config['n_seeds']} networks of each size", scale)


def measured_map(maps: Results) -> Measured:
    """Return what decides IP-05d."""
    config, found = maps.configs[0], maps.where(method="adamw")[0]
    height = found["diagonal"] * math.sqrt(config["n_neurons"])
    quantities = {
        "diagonal ÷ mean of the largest initial weights, AdamW": intervals.mean(height / found["largest"]),
        "diagonal [standard deviations of an initial weight], AdamW": intervals.mean(height),
    }
    published = published_height() / counting.expected_largest(counting.PUBLISHED_NEURONS[-1])
    return Measured(
        quantities,
        f"95 % t intervals over {config['n_seeds']} networks",
        f"AdamW as published, n = {config['n_features']}, m = {config['n_neurons']:,}, λ = {config['l1']:g}, "
        f"{config['n_seeds']} networks",
        f"The published map itself has {published:.2f} of the largest.",
    )


def _rates(results: Results, method: str) -> pd.DataFrame:
    """Hit rates of all sizes, with intervals that hold for all of them together (Bonferroni)."""
    return hit_rates(results, method, level=1 - 0.05 / len(results.where(method=method)))


def _difference(results: Results, n: int, m: int, n_sizes: int) -> Estimate:
    """The size of the difference between the rates of descent and flow from the same starts, for all sizes together."""
    size = {"n_features": int(n), "n_neurons": int(m)}
    descent, flow = (results.where(method=method, **size)[0]["rank"] == 0 for method in ("descent", "flow"))
    found = intervals.mean(descent.mean(1) - flow[: len(descent)].mean(1), level=1 - 0.05 / n_sizes)
    if found.low == found.high == 0:  # all alike: as if one of the features might have differed
        return intervals.proportion(0, descent.size)
    return Estimate(abs(found.value), max(0.0, found.low, -found.high), max(found.high, -found.low))


def _extreme(rates: pd.DataFrame, which: str) -> Estimate:
    """The least or largest of several rates, from intervals that hold together."""
    return Estimate(*(float(getattr(rates[end], which)()) for end in ("value", "low", "high")))


def _crossing(rates: pd.DataFrame) -> float:
    """The neurons per feature at which the rate first reaches a half, interpolated in the logarithm; NaN if never."""
    x, y = np.log(rates[PER_FEATURE].to_numpy(float)), rates["value"].to_numpy()
    above = np.flatnonzero(y >= 0.5)
    if len(above) == 0:
        return math.nan
    k = above[0]
    return math.exp(x[k] if k == 0 else np.interp(0.5, y[k - 1 : k + 1], x[k - 1 : k + 1]))


def _counts(one, other) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    both, chance = overlap(one, other)
    return both, chance, (collisions(one).sum(1) + collisions(other).sum(1)) / 2


def _error() -> str:
    return "95 % t intervals over networks that hold for all sizes together (Bonferroni)"


def _scale(results: Results) -> str:
    ratios = np.unique(results.setting("n_neurons") // results.setting("n_features"))
    optimizers = results.where(method="adamw")
    seeds = dict(zip(optimizers.setting("n_features").tolist(), optimizers.setting("n_seeds").tolist(), strict=True))
    said = " and ".join(f"n = {n} ({count} networks of each size)" for n, count in seeds.items())
    sizes = ", ".join(f"{ratio}n" for ratio in ratios)
    l1, n_flows = results.configs[0]["l1"], results.configs[0]["n_seeds"]
    return f"{said}, {n_flows} by the flow; m = {sizes}; λ = {l1:g} for all"
