"""Does initialization decide, whatever the optimizer? Winners and collision sets from the same start: IP-05.

The worker is `collisions.count` with its `method`: the same seed gives every method the same initial weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import intervals
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import collisions as counting

NAMES = {"flow": "gradient flow", "adamw": "AdamW", "adam": "Adam"}
DRAWN = 64  # features of the map of overlaps between start and end
EDGES = np.linspace(-1, 6, 71)  # of the histogram of initial weights, in standard deviations
START, DENSITY = "initial weight [standard deviations]", "density"
HITS, RANK, SHARED = "share of features", "median rank (1 = largest)", "share of collisions in common"

CLAIMS: dict[str, Claim] = {
    "IP-05": Claim(
        id="IP-05",
        claim="Each feature ends on the neuron that was most correlated with it at initialization",
        source="introduction, Figure 4 (start–end correlation)",
        paper="a bright diagonal: final encodings are strengthened initial ones; polysemanticity is due to the start",
        rule={
            "hit rate, gradient flow": (0.9, math.inf),
            "hit rate, AdamW": (0.9, math.inf),
            "shared collisions, flow and AdamW": (0.5, math.inf),
        },
        reason=(
            "Hit rate: share of features whose final neuron and sign had their largest initial weight; 'the most "
            "correlated neuron wins' allows one exception in ten. If the start decides, two ways to train from it "
            "end with mostly the same pairs on one neuron. Rates of 0.2 to 0.6 (flow) and 0.01 to 0.15 (AdamW) "
            "were known from trials; the overlap of collision sets was not."
        ),
        corrected={
            "hit rate, gradient flow": (-math.inf, 0.9),
            "hit rate, AdamW": (-math.inf, 0.9),
            "hit rate × m, gradient flow": (2.0, math.inf),
            "hit rate × m, AdamW": (2.0, math.inf),
            "shared collisions ÷ chance, flow and AdamW": (2.0, math.inf),
        },
        correction=(
            "a tendency: most features end on another neuron than the one most correlated at the start, but on one "
            "that was better than chance, and which pairs collide depends on the optimizer as well as on the start"
        ),
        whose="printed",
        known="rates of 0.2 to 0.6 (flow) and 0.01 to 0.15 (AdamW) from trials, but not the overlap of collision sets",
        figure="figx_winners",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks that several methods train from the same start."""

    neurons: tuple[int, ...] = setting(
        (64, 128, 256), "neurons m where the optimizer varies", low=2, smoke=(12,), paper=(64, 128, 256, 512, 1024)
    )
    n_seeds: int = setting(16, "networks per point where the optimizer varies", low=2, smoke=3)


def methods(settings: Settings, counts: counting.Settings) -> list[dict]:
    """Return the configurations of `collisions.count`: one for each method and number of neurons."""
    strengths = {"flow": counts.l1, "adamw": counts.adamw_l1, "adam": counts.adamw_l1}
    common = {"n_features": counts.fan_features, "n_seeds": settings.n_seeds}
    return [
        {"n_neurons": m, "l1": l1, "method": method, **common}
        for method, l1 in strengths.items()
        for m in settings.neurons
    ]


def start_end_table(flows: Results) -> pd.DataFrame:
    """Return how start and end overlap in the largest networks, and how the final neurons stood at the start.

    The map holds the first features only; a histogram's rows are the middles of its bins.
    """
    last, m = flows[-1], flows.configs[-1]["n_neurons"]
    drawn = last["start_end"][:DRAWN, :DRAWN]
    start, end = np.indices(drawn.shape) + 1
    columns = {"feature at the start": start.ravel(), "feature at the end": end.ravel()}
    overlaps = {"quantity": "overlap", **columns, "value": np.round(drawn.ravel(), 4)}
    middles = (EDGES[1:] + EDGES[:-1]) / 2
    density = np.histogram(last["initial_size"].ravel(), EDGES, density=True)[0]
    largest = 2 * m * np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi) * counting.half_normal(middles) ** (m - 1)
    published = counting.PUBLISHED_DIAGONAL * math.sqrt(counting.PUBLISHED_NEURONS[-1])
    series = [
        ("measured", "gradient flow", middles, density),
        ("control", "largest of each feature", middles, np.round(largest, 4)),
        ("paper", "published mean of the diagonal, AdamW", [published, published], [0.0, density.max()]),
    ]
    parts = [pd.DataFrame({"what": "measured", "series": "gradient flow", **overlaps})]
    for what, name, x, y in series:
        rows = pd.DataFrame({"what": what, "series": name, "quantity": DENSITY, START: x, "value": y})
        parts.append(rows[(rows["value"] > 0) | (what == "paper")])
    return pd.concat(parts)


def winners_table(same_start: Results, flows: Results, descents: Results, fan: Results) -> pd.DataFrame:
    """Return the shares of hits and the median ranks by size, and what collision sets have in common."""
    rows = {
        f"{NAMES[method]}, n = {row.configs[0]['n_features']}": row for method, row in _by_method(same_start).items()
    }
    n = flows.configs[0]["n_features"]
    rows |= {f"gradient flow, n = {n}": flows, f"AdamW, n = {n}": descents}
    parts = []
    for name, row in rows.items():
        place = {"what": "measured", "series": name, "neurons m": row.setting("n_neurons")}
        hits = intervals.join([intervals.proportion(int((r["rank"] == 0).sum()), r["rank"].size) for r in row])
        ranks = [1 + np.median(r["rank"][r["rank"] >= 0]) for r in row]
        parts += [pd.DataFrame({**place, "quantity": HITS, **hits.columns()})]
        parts += [pd.DataFrame({**place, "quantity": RANK, "value": ranks})]
    ends = np.array([same_start.setting("n_neurons").min(), flows.setting("n_neurons").max()])
    references = [("control", "chance", HITS, 1 / ends), ("paper", "every feature's largest", HITS, 1.0)]
    references += [("control", "chance", RANK, ends / 2), ("paper", "every feature's largest", RANK, 1.0)]
    for what, name, quantity, value in references:
        columns = {"what": what, "series": name, "neurons m": ends, "quantity": quantity, "value": value}
        parts.append(pd.DataFrame(columns))
    for pair, found in _in_common(same_start, fan).items():
        both, ratio = found["shared collisions"], found["shared collisions ÷ chance"]
        place = {"trainings": pair, "quantity": SHARED}
        parts.append(pd.DataFrame({"what": "measured", "series": "same start", **place, **both.columns()}, index=[0]))
        chance = {"what": "control", "series": "by chance", **place, "value": both.value / ratio.value}
        parts.append(pd.DataFrame(chance, index=[0]))
    return pd.concat(parts)


def diagonal(flows: Results) -> dict[str, float]:
    """Return the height of the diagonal of the largest networks, and the initial weights that it stands for."""
    last, m = flows[-1], flows.configs[-1]["n_neurons"]
    largest = counting.PUBLISHED_NEURONS[-1]
    return {
        f"mean of the diagonal, gradient flow, m = {m}": float(np.diag(last["start_end"]).mean()),
        f"mean of the diagonal, published, AdamW, m = {largest}": counting.PUBLISHED_DIAGONAL,
        "final neuron's initial weight, flow [standard deviations]": float(np.nanmean(last["initial_size"])),
        "the same from the published diagonal": counting.PUBLISHED_DIAGONAL * math.sqrt(largest),
        f"the largest of {m} weights": counting.expected_largest(m),
        f"hit rate, gradient flow, n = {flows.configs[-1]['n_features']}, m = {m}": float((last["rank"] == 0).mean()),
    }


def overlaps(same_start: Results, fan: Results) -> dict[str, Estimate]:
    """Return the share of collisions that two ways of training from the same start have in common."""
    return {
        f"shared collisions, {pair}": found["shared collisions"] for pair, found in _in_common(same_start, fan).items()
    }


def measured(same_start: Results) -> Measured:
    """Return what decides IP-05."""
    rows = _by_method(same_start)
    flow, adamw = rows["flow"], rows["adamw"]
    sizes, config = flow.setting("n_neurons"), flow.configs[0]
    common = shared(_slots(same_start), "flow", "adamw")
    quantities = {
        "hit rate, gradient flow": hit_rate(flow),
        "hit rate, AdamW": hit_rate(adamw),
        "hit rate × m, gradient flow": hit_rate(flow, sizes),
        "hit rate × m, AdamW": hit_rate(adamw, sizes),
        **{f"{name}, flow and AdamW": value for name, value in common.items()},
    }
    strengths = f"flow at λ = {config['l1']:g}, optimizers at λ = {adamw.configs[0]['l1']:g}"
    scale = f"n = {config['n_features']}, m = {min(sizes)} to {max(sizes)}"
    return Measured(
        quantities,
        f"95 % t interval over networks, {config['n_seeds']} of each of {len(sizes)} sizes",
        f"{scale}, {strengths}, {config['n_seeds']} networks of each size from the same starts",
        f"{scale}; {strengths}.",
    )


def hit_rate(results: Sequence[Mapping], factors: Sequence[float] | None = None) -> Estimate:
    """Return the share of features whose final neuron had their largest initial weight: a t interval over networks.

    `results` has one result of `collisions.count` for each size, `factors` what to multiply each one's shares by (m
    divides by chance); networks of all sizes are pooled.
    """
    factors = np.ones(len(results)) if factors is None else factors
    shares = [(result["rank"] == 0).mean(1) * factor for result, factor in zip(results, factors, strict=True)]
    return intervals.mean(np.concatenate(shares))


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


def shared(sets: Mapping[str | float, Sequence], one: str | float, other: str | float) -> dict[str, Estimate]:
    """Return the share of colliding pairs that two methods have in common, and that number divided by chance.

    `sets[method]` holds slots [seed, feature] for every size; the share is of the mean number of pairs of the two. t
    intervals over seeds, all sizes pooled.
    """
    both, chance, each = (sum(values) for values in zip(*map(_counts, sets[one], sets[other]), strict=True))
    name = "shared collisions"
    return {name: _ratio(both, each), f"{name} ÷ chance": _ratio(both, chance)}


def _by_method(same_start: Results) -> dict[str, Results]:
    names = dict.fromkeys(config["method"] for config in same_start.configs)
    return {method: same_start.where(method=method) for method in names}


def _slots(same_start: Results) -> dict[str, list[np.ndarray]]:
    return {method: [result["slots"] for result in row] for method, row in _by_method(same_start).items()}


def _in_common(same_start: Results, fan: Results) -> dict[str, dict[str, Estimate]]:
    """What pairs of trainings from the same start share, by their names; the last are the flow at two strengths."""
    weak, strong = list(dict.fromkeys(config["l1"] for config in fan.configs))[-2:]
    sets = _slots(same_start) | {l1: [result["slots"] for result in fan.where(l1=l1)] for l1 in (weak, strong)}
    pairs = {f"{NAMES[one]} and {NAMES[other]}": (one, other) for one, other in
             (("flow", "adamw"), ("flow", "adam"), ("adamw", "adam"))}  # fmt: skip
    pairs[f"gradient flow, λ = {weak:g} and {strong:g}"] = (weak, strong)
    return {name: shared(sets, *pair) for name, pair in pairs.items()}


def _counts(one, other) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    both, chance = overlap(one, other)
    return both, chance, (collisions(one).sum(1) + collisions(other).sum(1)) / 2


def _ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """Ratio of means with a t interval over seeds by linearisation; NaN if nothing collides."""
    if below.mean() == 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = above.mean() / below.mean()
    _, low, high = intervals.mean(above / below.mean() - value * (below / below.mean() - 1))
    return Estimate(float(value), low, high)
