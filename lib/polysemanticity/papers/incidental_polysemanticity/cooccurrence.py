"""What sharing a neuron may cost, and features that are seen together: IP-12, one law."""

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
from polysemanticity.incidental import interference, price
from polysemanticity.intervals import Estimate

HORIZON = 12.0  # λ · time of a training, by when nearly every row has one weight
SAMPLES = 256  # inputs per step where features are drawn independently
FRESH = 60_000  # number of the first network; earlier runs used those below
# p/λ of lone pairs
RATIOS = (0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.055, 0.07, 0.09, 0.115, 0.15, 0.2, 0.27, 0.36, 0.5, 0.8)
LONE_NEURONS = 128  # neurons of lone pairs; their number does not matter
DRAWS = 300  # of a bootstrap
HALVES = np.geomspace(0.15, 6, 500)  # half-points and powers that a fit chooses from, in units of the law's half-point
POWERS = np.linspace(0.5, 2.5, 21)

SCARCE = "scarce neurons, m ≤ 1.25n"
PLENTY = "m > 1.25n"
MOST, LEAST = "largest half-price ÷ law over m/n", "smallest half-price ÷ law over m/n"
EVERY = tuple(f"half-price ÷ law of a single size, {end} (not judged)" for end in ("smallest", "largest"))

TRIAL = (
    "; a trial with other networks at other n, seen when the rule was written and not yet committed, gave {}, "
    "and the rule was left as it was"
)

ROUNDED = (
    "; in the first evaluation the smallest n, whose m is rounded most, stood in groups of its own; both rows were "
    "unclear, and the grouping was mended to what the rule says"
)

CLAIMS: dict[str, Claim] = {
    "IP-12a": Claim(
        id="IP-12a",
        claim="The price that parts half of the shared neurons is proportional to λ",
        source="not in the paper; derived in `incidental.price` for small λ√m",
        paper="silent: sharing costs nothing in its model",
        rule={"exponent in λ, smaller n": (0.85, 1.15), "exponent in λ, larger n": (0.85, 1.15)},
        reason=(
            "Exactly one where λ√m is small; at our largest λ it is 0.6, and the first correction raises the exponent. "
            "0.15 tells it from √λ, from λ² and from a price that does not depend on λ."
        ),
        whose="ours",
        known="pilots at n = 20, 40 had exponents of 1.03 to 1.1 between λ = 0.03 and 0.1, more up to λ = 0.3"
        + TRIAL.format("1.02 and 1.10"),
        figure="figx_price",
    ),
    "IP-12b": Claim(
        id="IP-12b",
        claim="With more neurons than features the half-price is g λ/q(m/n), without a fitted number",
        source="not in the paper; derived in `incidental.price`",
        paper="silent",
        rule={MOST: (0.0, 4 / 3), LEAST: (3 / 4, math.inf)},
        reason=(
            "From m = 1.25n to 5n the law changes by a factor of two; a third is what an argument by averages may "
            "miss. Means over n at each m/n, with intervals that hold for all m/n together, so that the extreme of "
            "them is no selected one."
        ),
        whose="ours",
        known="pilots at n = 20, 40, 80 and m = 1.5n to 8n: half-price ÷ law 0.85 to 1.25"
        + TRIAL.format("1.20 and 0.95")
        + ROUNDED,
        figure="figx_price",
    ),
    "IP-12c": Claim(
        id="IP-12c",
        claim="The half-price depends on n and m through m/n alone, down to m = n",
        source="not in the paper; follows from the law of IP-12b",
        paper="silent",
        rule={f"exponent in n, {PLENTY}": (-0.15, 0.15), f"exponent in n, {SCARCE}": (-0.15, 0.15)},
        reason="Over a factor of six in n an exponent of 0.15 moves the half-price by a third, as IP-12b allows.",
        whose="ours",
        known="pilots: about 0.05 from 1.5n to 8n, 0.18 at m = n" + TRIAL.format("0.09 and 0.32") + ROUNDED,
        figure="figx_price",
    ),
    "IP-12d": Claim(
        id="IP-12d",
        claim="In units of the law all sizes have one curve of what is left against price",
        source="not in the paper; `incidental.price.expected_left`",
        paper="silent",
        rule={
            f"rms of share left − theory, {PLENTY}": (0.0, 0.12),
            f"rms of share left − theory, {SCARCE}": (0.0, 0.12),
        },
        reason=(
            "Shares run from one to none. Counting noise alone is 0.04 to 0.08 for these networks; with it "
            "a half-price off by a third gives 0.12."
        ),
        whose="ours",
        known="pilots were seen to follow the curve; their deviation was not computed"
        + TRIAL.format("0.045 and 0.087"),
        figure="figx_price",
    ),
    "IP-12e": Claim(
        id="IP-12e",
        claim="For features that are on independently the law says how many shared neurons are left",
        source="not in the paper; a comment under its first version asks for features that are seen together",
        paper="silent: co-occurrence is assumed to be rare",
        rule={
            "mean of measured − predicted share": (-0.15, 0.15),
            "slope of measured on predicted share": (0.6, 1.4),
        },
        reason=(
            "A feature is on with probability 1/n, so that a pair on one neuron pays 1/n, without a fit. Sizes "
            "and λ are chosen for predictions from next to none to most. 0.15 is two standard errors of one size; the "
            "slope is zero if the law says nothing."
        ),
        whose="ours",
        known="an audit had 0.03, 0.45, 0.41 and 0.83 of the exact count at other n and λ, which the law was made to "
        "tell apart; none of the sizes here was run" + TRIAL.format("−0.05 and 1.09"),
        figure="figx_price",
    ),
    "IP-12f": Claim(
        id="IP-12f",
        claim="Pairs that are seen together with weight p act as a cost p of opposite signs",
        source="not in the paper; follows from the loss of a pair near rows of norm one",
        paper="silent",
        rule={
            "half-price of pairs ÷ of a cost, smaller n": (0.75, 4 / 3),
            "half-price of pairs ÷ of a cost, larger n": (0.75, 4 / 3),
        },
        reason="Equal in theory for small p; a third is the tolerance of the law itself. From the same starts.",
        whose="ours",
        known="earlier runs at n = 32, m = 64 had both near 0.1 λ" + TRIAL.format("0.90 and 0.87"),
        figure="figx_price",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks in which sharing a neuron has a price."""

    l1: float = setting(0.1, "λ", low=1e-3, high=1.0, smoke=0.3)
    features: tuple[int, ...] = setting((18, 32, 52, 72), "features n", low=4, smoke=(8, 12))
    per_feature: tuple[float, ...] = setting(
        (1.0, 1.25, 1.75, 2.5, 4.5), "neurons per feature m/n", low=0.86, smoke=(1.0, 1.25, 2.0)
    )
    relative: tuple[float, ...] = setting(
        (0.25, 0.5, 0.75, 1.0, 1.4, 2.0, 3.0), "price ÷ half-price by the law", low=1e-2, smoke=(0.5, 1.0, 3.0)
    )
    n_shared: int = setting(80, "shared neurons at no price, over all networks of a size", low=4, smoke=8, paper=800)
    most_networks: int = setting(120, "networks of a size at most", low=2, smoke=6, paper=800)
    varied: tuple[float, ...] = setting((0.03, 0.06, 0.1), "λ for the exponent", low=1e-3, smoke=(0.2, 0.4))
    varied_shared: int = setting(250, "shared neurons at no price where λ varies", low=4, smoke=12, paper=2000)
    varied_features: tuple[int, ...] = setting((18, 26), "n where λ varies", low=4, smoke=(8, 10))
    varied_neurons: tuple[int, ...] = setting((45, 34), "m where λ varies", low=4, smoke=(16, 12))
    paired_features: tuple[int, ...] = setting((18, 26), "n where pairs are seen", low=4, smoke=(8, 10))
    paired_neurons: tuple[int, ...] = setting((45, 39), "m where pairs are seen", low=4, smoke=(16, 12))
    free_features: tuple[int, ...] = setting(
        (44, 60, 30, 28, 36), "n of independent features", low=4, smoke=(8, 6), paper=(44, 60, 30, 28, 36, 128)
    )
    free_neurons: tuple[int, ...] = setting(
        (88, 90, 150, 28, 108), "m of independent features", low=4, smoke=(16, 12), paper=(88, 90, 150, 28, 108, 256)
    )
    free_l1: tuple[float, ...] = setting(
        (0.2, 0.3, 0.3, 0.2, 0.1), "λ of independent features", low=1e-3, smoke=(0.3, 0.4),
        paper=(0.2, 0.3, 0.3, 0.2, 0.1, 0.3),
    )  # fmt: skip
    n_pairs: int = setting(1000, "lone pairs of the theory", low=10, smoke=50, paper=20000)
    n_free: int = setting(40, "shared neurons at no price where features are independent", low=4, smoke=4, paper=300)

    def __post_init__(self):
        for kind in ("varied", "paired", "free"):
            sizes = [getattr(self, f"{kind}_{name}") for name in ("features", "neurons")]
            check(len(sizes[0]) == len(sizes[1]), f"{kind}_neurons", sizes[1], f"as many as {kind}_features")
        check(len(self.free_l1) == len(self.free_features), "free_l1", self.free_l1, "as many as free_features")


def lone(settings: Settings) -> list[dict]:
    """Return the configurations of `lone_pairs`: one for each λ at which networks have a price."""
    strengths = dict.fromkeys([settings.l1, *settings.free_l1])
    return [{"n_pairs": settings.n_pairs, "l1": l1} for l1 in strengths]


def priced(settings: Settings, lonely: Results) -> list[dict]:
    """Return the configurations of `at_prices`: all n and m/n at one λ, prices in units of the law."""
    sizes = [(n, round(n * per)) for n in settings.features for per in settings.per_feature]
    return [_doses(settings, *size, settings.l1, settings.n_shared, lonely) for size in sizes]


def strengths(settings: Settings, lonely: Results) -> list[dict]:
    """Return the configurations of `at_prices` for two sizes where λ varies, from the same starts."""
    sizes = zip(settings.varied_features, settings.varied_neurons, strict=True)
    return [
        {**_doses(settings, *size, l1, settings.varied_shared, lonely), "most": 4 * settings.most_networks}
        for size in sizes
        for l1 in settings.varied
    ]


def together(settings: Settings, lonely: Results) -> list[dict]:
    """Return the configurations of `in_pairs`: two sizes, with pairs and with the cost that is to equal them."""
    sizes = zip(settings.paired_features, settings.paired_neurons, strict=True)
    return [_doses(settings, *size, settings.l1, settings.n_shared, lonely) for size in sizes]


def alone(settings: Settings) -> list[dict]:
    """Return the configurations of `independent`."""
    return [
        {"n_features": n, "n_neurons": m, "l1": l1, "n_shared": settings.n_free, "most": settings.most_networks}
        for n, m, l1 in zip(settings.free_features, settings.free_neurons, settings.free_l1, strict=True)
    ]


def _doses(settings: Settings, n: int, m: int, l1: float, n_shared: int, lonely: Results) -> dict:
    unit = price.half_price(_g(lonely, settings.l1), m / n)
    ratios = [0.0, *(round(unit * x, 5) for x in settings.relative)]
    shape = {"n_features": n, "n_neurons": m, "l1": l1, "ratios": ratios}
    return {**shape, "n_shared": n_shared, "most": settings.most_networks}


def lone_pairs(*, seed: int, device: str, n_pairs: int, l1: float) -> dict:
    """The theory's curve: the share of pairs with nobody else that stay together, by price ÷ λ [one of RATIOS]."""
    rng = streams.rng(seed, "lone pairs")
    return {"left": price.lone_pairs(np.array(RATIOS), n_pairs, LONE_NEURONS, l1, rng)}


def at_prices(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, ratios: list, n_shared: int, most: int
) -> dict:
    """Polysemantic neurons [price, network] where opposite signs cost `ratios` · l1, from the same starts W(0)."""
    start = _start(n_features, n_neurons, n_networks(n_features, n_neurons, n_shared, most), seed, device)
    prices = torch.tensor(ratios, dtype=start.dtype, device=device) * l1
    ends = [
        interference.flow_at_prices(start, each.expand(len(start)).contiguous(), l1=l1, time=HORIZON / l1)
        for each in prices
    ]
    return _ends(torch.stack(ends))


def in_pairs(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, ratios: list, n_shared: int, most: int
) -> dict:
    """`at_prices`, and beside it the counts where each pair is seen with weight `ratios` · l1 instead."""
    options = {"n_features": n_features, "n_neurons": n_neurons, "l1": l1, "n_shared": n_shared, "most": most}
    cost = at_prices(seed=seed, device=device, ratios=ratios, **options)
    start = _start(n_features, n_neurons, cost["count"].shape[1], seed, device)
    ends = [
        interference.flow_under(
            lambda overlap, pair=l1 * ratio: interference.paired_error(overlap, pair),
            start,
            l1=l1,
            time=4 / l1,
            stiffness=1 + n_features * l1 * ratio,
        )
        for ratio in ratios
    ]
    return {"cost": cost["count"], **_ends(torch.stack(ends))}


def independent(
    *, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_shared: int, most: int
) -> dict:
    """Polysemantic neurons [2, network]: one feature at a time, and each on with probability 1/n independently.

    Fresh inputs at every step; the loss is the mean over inputs times n, so that a feature counts as before.
    """
    source = streams.generator(seed, "data", device)
    rate = 1 / n_features

    def error(overlap):
        shape = (len(overlap), SAMPLES, n_features)
        active = (torch.rand(shape, generator=source, device=device) < rate).to(overlap)
        return interference.sampled_error(overlap, active, rate)

    start = _start(n_features, n_neurons, n_networks(n_features, n_neurons, n_shared, most), seed, device)
    single = interference.flow_at_prices(start, start.new_zeros(len(start)), l1=l1, time=HORIZON / l1)
    drawn = interference.flow_under(error, start, l1=l1, time=4 / l1, stiffness=4.0)
    return _ends(torch.stack([single, drawn]))


def n_networks(n_features: int, n_neurons: int, n_shared: int, most: int) -> int:
    """Return how many networks it takes for this number of shared neurons, by the exact count: 8 to `most`."""
    exact = incidental.expected_polysemantic(n_features, n_neurons)
    return min(most, max(8, math.ceil(n_shared / exact)))


def _start(n_features: int, n_neurons: int, count: int, seed: int, device: str) -> torch.Tensor:
    seeds = range(100_000 * seed + FRESH, 100_000 * seed + FRESH + count)
    return incidental.initial_weights(n_features, n_neurons, seeds).to(device=device, dtype=torch.float32)


def _ends(trained: torch.Tensor) -> dict:
    weights = trained.cpu().numpy()
    return {
        "count": incidental.polysemantic_neurons(weights),
        "open": ((weights != 0).sum(-1) > 1).mean((-2, -1)),
        "kept": (np.linalg.norm(weights, axis=-1) > 0.5).mean((-2, -1)),
    }


def redrawn(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the shares of the count [price, network] at the first price that are left at each other [1 + draw, price].

    The first row are the data, the others DRAWS of bootstrap: networks redrawn with all their prices.
    """
    n_networks = counts.shape[1]
    picks = np.vstack([np.arange(n_networks), rng.integers(n_networks, size=(DRAWS, n_networks))])
    means = counts[:, picks].mean(-1)  # [price, draw]
    return (means[1:] / np.maximum(means[:1], 1e-9)).T


def half_points(relative: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the price at which half of the count [price, network] is left: that of the data, then DRAWS of bootstrap.

    Least squares of 2^−(x/h)^k against the counts divided by those at the first price, 0; x in any unit near that of
    HALVES, networks redrawn with all their prices.
    """
    left = redrawn(counts, rng)
    curves = 2.0 ** -((relative[1:] / HALVES[:, None, None]) ** POWERS[:, None])  # [half, power, price]
    flat = curves.reshape(-1, curves.shape[-1])
    loss = (flat**2).sum(-1) - 2 * left @ flat.T
    return HALVES[loss.argmin(-1) // len(POWERS)]


def halves(results: Results, lonely: Results, seed: int, of: str = "count") -> np.ndarray:
    """Return the half-price ÷ the law's for each configuration [config, 1 + draw]."""
    rng, found = streams.rng(seed, "bootstrap"), []
    for config, result in results.pairs():
        unit = _law(config, lonely)
        found.append(half_points(np.array(config["ratios"]) / unit, np.asarray(result[of]), rng))
    return np.array(found)


def _g(lonely: Results, l1: float) -> float:
    return price.half(np.array(RATIOS), lonely.where(l1=l1)[0]["left"])


def _law(config, lonely: Results) -> float:
    return price.half_price(_g(lonely, lonely.setting("l1")[0]), config["n_neurons"] / config["n_features"])


def _interval(values: np.ndarray, level: float = 0.95) -> Estimate:
    """Percentile interval of a bootstrap: the value of the data first, then those of draws."""
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values[0]), float(min(low, values[0])), float(max(high, values[0])))


def measured_exponent(varied: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12a."""
    quantities = {}
    for name, n in zip(("smaller n", "larger n"), np.unique(varied.setting("n_features")), strict=False):
        chosen = varied.where(n_features=n)
        l1 = np.log(chosen.setting("l1"))
        # one bootstrap for all λ of a size: the same generator draws the same networks
        rows = np.array([halves(chosen[k : k + 1], lonely, seed)[0] for k in range(len(chosen))])
        slope = ((l1 - l1.mean())[:, None] * np.log(rows)).sum(0) / ((l1 - l1.mean()) ** 2).sum()
        quantities[f"exponent in λ, {name}"] = _interval(1 + slope)
    sizes = {f"n = {c['n_features']}, m = {c['n_neurons']}": np.shape(r["count"])[1] for c, r in varied.pairs()}
    strengths = ", ".join(f"{value:g}" for value in np.unique(varied.setting("l1")))
    return Measured(
        quantities,
        error="95 % bootstrap intervals over networks, the same for all λ",
        scale="; ".join(f"{size}, {count} networks" for size, count in sizes.items()) + f"; λ = {strengths}",
        note=_open_note(varied),
    )


def measured_law(results: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12b."""
    logs, per = np.log(halves(results, lonely, seed)), _per_feature(results)
    places = [place for place in np.unique(per) if place > 1]
    level = 1 - 0.05 / len(places)
    found = {place: _interval(np.exp(logs[per == place].mean(0)), level) for place in places}
    at_one = _interval(np.exp(logs[per == 1].mean(0)))
    ends = {EVERY[0]: logs[:, 0].argmin(), EVERY[1]: logs[:, 0].argmax()}
    single = {name: _interval(np.exp(logs[place])) for name, place in ends.items()}
    most, least = (pick(found, key=lambda place: found[place].value) for pick in (max, min))
    return Measured(
        {MOST: found[most], LEAST: found[least], "half-price ÷ law, m = n": at_one} | single,
        error="bootstrap intervals over networks that hold for all m/n together at 95 %",
        scale=_scale(results),
        note=f"Means over n, largest at m = {most:g}n and smallest at {least:g}n. A mean hides how single "
        f"sizes, from m = n on, differ: IP-12c. {_open_note(results)}",
    )


def measured_sizes(results: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12c."""
    logs, per, n = np.log(halves(results, lonely, seed)), _per_feature(results), np.log(results.setting("n_features"))
    quantities = {}
    for name, chosen in ((PLENTY, per > 1.25), (SCARCE, per <= 1.25)):
        x, y = n[chosen].copy(), logs[chosen].copy()
        for place in np.unique(per[chosen]):  # every m/n has its own constant
            same = per[chosen] == place
            x[same], y[same] = x[same] - x[same].mean(), y[same] - y[same].mean(0)
        quantities[f"exponent in n, {name}"] = _interval((x[:, None] * y).sum(0) / (x**2).sum())
    return Measured(quantities, "95 % bootstrap intervals over networks", _scale(results))


def measured_shape(results: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12d."""
    rng, per, rows = streams.rng(seed, "bootstrap"), _per_feature(results), []
    for config, result in results.pairs():
        rows.append(redrawn(np.asarray(result["count"]), rng) - _expected(config, lonely, config["l1"])[1:])
    squares = np.square(np.array(rows)).mean(-1)  # [config, draw]
    quantities = {}
    for name, chosen in ((PLENTY, per > 1.25), (SCARCE, per <= 1.25)):
        rms = np.sqrt(squares[chosen].mean(0))
        spread = np.quantile(rms[1:], [0.025, 0.975]) - rms[1:].mean()  # draws add counting noise a second time
        quantities[f"rms of share left − theory, {name}"] = Estimate(
            float(rms[0]), float(max(0.0, rms[0] + spread[0])), float(rms[0] + spread[1])
        )
    return Measured(quantities, "95 % bootstrap intervals over networks, centred on the value", _scale(results))


def measured_independent(free: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12e."""
    predicted = np.array([predicted_left(config, lonely) for config in free.configs])
    rng = streams.rng(seed, "bootstrap")
    left = np.array([redrawn(np.asarray(result["count"]), rng)[:, 0] for result in free])
    centred = predicted - predicted.mean()
    quantities = {
        "mean of measured − predicted share": _interval((left - predicted[:, None]).mean(0)),
        "slope of measured on predicted share": _interval((centred[:, None] * left).sum(0) / (centred**2).sum()),
    }
    for config, law in zip(free.configs, predicted, strict=True):
        size = f"n = {config['n_features']}, m = {config['n_neurons']}, λ = {config['l1']:g}"
        count = free.where(n_features=config["n_features"])[0]["count"]
        quantities[f"share left, {size} (law: {law:.2f})"] = intervals.counts(count[1], max(np.mean(count[0]), 1e-9))
    return Measured(
        quantities,
        error="95 % bootstrap intervals over networks, shares: t intervals",
        scale=f"five sizes, each feature on with probability 1/n, {SAMPLES} fresh inputs a step, "
        f"{', '.join(str(np.shape(r['count'])[1]) for r in free)} networks",
    )


def measured_pairs(paired: Results, lonely: Results, seed: int) -> Measured:
    """Return what decides IP-12f."""
    quantities = {}
    for name, place in zip(("smaller n", "larger n"), range(len(paired)), strict=False):
        one = paired[place : place + 1]
        of_pairs, of_cost = (halves(one, lonely, seed, of)[0] for of in ("count", "cost"))
        quantities[f"half-price of pairs ÷ of a cost, {name}"] = _interval(of_pairs / of_cost)
    sizes = [f"n = {c['n_features']}, m = {c['n_neurons']}" for c in paired.configs]
    return Measured(
        quantities,
        error="95 % bootstrap intervals over networks, the same for pairs and cost",
        scale=f"{' and '.join(sizes)}, λ = {paired.setting('l1')[0]:g}, "
        f"{' and '.join(str(np.shape(r['count'])[1]) for r in paired)} networks",
    )


def predicted_left(config, lonely: Results) -> float:
    """Return the share of shared neurons that the law leaves to independent features, each on with probability 1/n."""
    ratio, per = 1 / config["n_features"] / config["l1"], config["n_neurons"] / config["n_features"]
    return price.expected_left(ratio, per, np.array(RATIOS), lonely.where(l1=config["l1"])[0]["left"])


def _expected(config, lonely: Results, l1: float) -> np.ndarray:
    curve, per = lonely.where(l1=l1)[0]["left"], config["n_neurons"] / config["n_features"]
    return np.array([price.expected_left(ratio, per, np.array(RATIOS), curve) for ratio in config["ratios"]])


def _per_feature(results: Results) -> np.ndarray:
    """The m/n that each size stands for: that of the largest n, where m is rounded least."""
    n, m = results.setting("n_features"), results.setting("n_neurons")
    meant = np.round(m[n == n.max()] / n.max(), 2)
    return meant[np.abs(m[:, None] - n[:, None] * meant).argmin(1)]


def _open_note(results: Results) -> str:
    most = max(np.max(result["open"]) for result in results)
    return f"At most {most:.2%} of the rows of a size have more than one weight at the end."


def _scale(results: Results) -> str:
    n, per = np.unique(results.setting("n_features")), np.unique(_per_feature(results))
    counts = [np.shape(result["count"])[1] for result in results]
    return (
        f"n = {', '.join(map(str, n))}, m/n = {', '.join(f'{p:g}' for p in per)}, λ = {results.setting('l1')[0]:g}, "
        f"{min(counts)} to {max(counts)} networks of a size, the same starts for all prices"
    )


LEFT, HALF = "share of shared neurons left", "half-price ÷ λ"
UNITS, NEURONS_PER = "price ÷ half-price by the law", "neurons per feature m/n"


def table(results: Results, paired: Results, free: Results, lonely: Results, seed: int) -> pd.DataFrame:
    """Return what is left of shared neurons by price in units of the law, and half-prices by m/n; seed: bootstrap's."""
    rows, found = [], halves(results, lonely, seed)
    for config, result, half, per in zip(results.configs, results, found, _per_feature(results), strict=True):
        unit = _law(config, lonely)
        series = {"what": "measured", "series": f"n = {config['n_features']}", NEURONS_PER: per}
        left = intervals.mean(np.asarray(result["count"])).over(max(np.mean(result["count"][0]), 1e-9))
        doses = {UNITS: np.array(config["ratios"][1:]) / unit, **left.at(slice(1, None)).columns()}
        rows.append({**series, "quantity": LEFT, **doses})
        rows.append({**series, "quantity": HALF, **_columns(_interval(half * unit))})
    unit = _g(lonely, lonely.setting("l1")[0])
    for place, name in ((results.setting("n_neurons") / results.setting("n_features")).max(), "plenty"), (1.0, "m = n"):
        x = np.geomspace(0.15, 4, 40)
        law = price.half_price(unit, place)
        curve = lonely[0]["left"]
        left = [price.expected_left(ratio * law, place, np.array(RATIOS), curve) for ratio in x]
        label = f"theory, m = {place:g}n" if name == "plenty" else "theory, m = n"
        rows.append({"what": "corrected", "series": label, "quantity": LEFT, UNITS: x, "value": left})
    per = np.geomspace(0.9, 1.1 * np.max(_per_feature(results)), 60)
    law = [price.half_price(unit, place) for place in per]
    rows.append(
        {"what": "corrected", "series": "theory: g/q, nothing fitted", "quantity": HALF, NEURONS_PER: per, "value": law}
    )
    ends = [per[0], per[-1]]
    rows.append(
        {"what": "control", "series": "a lone pair: g", "quantity": HALF, NEURONS_PER: ends, "value": [unit, unit]}
    )
    half = halves(paired, lonely, seed)
    for config, one in zip(paired.configs, half, strict=True):
        here = {
            "what": "control",
            "series": "pairs seen together",
            NEURONS_PER: config["n_neurons"] / config["n_features"],
        }
        rows.append({**here, "quantity": HALF, **_columns(_interval(one * _law(config, lonely)))})
    for config, result in free.pairs():
        ratio, per_one = 1 / config["n_features"] / config["l1"], config["n_neurons"] / config["n_features"]
        law = price.half_price(_g(lonely, config["l1"]), per_one)
        left = intervals.counts(result["count"][1], max(np.mean(result["count"][0]), 1e-9))
        here = {"what": "measured", "series": "independent features", NEURONS_PER: per_one, UNITS: [ratio / law]}
        rows.append({**here, "quantity": LEFT, **_columns(left)})
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def _columns(estimate: Estimate) -> dict:
    return {name: [value] for name, value in estimate.columns().items()}


def numbers(lonely: Results, settings: Settings) -> dict:
    """Return the numbers of the law: g at every λ, and the weight on an empty neuron at which a feature leaves."""
    found = {f"g of lone pairs, λ = {c['l1']:g}": _g(lonely, c["l1"]) for c in lonely.configs}
    leave = {f"escape weight at price {ratio:g} λ": price.escape_weight(ratio) for ratio in (0.1, 1.0)}
    return {**found, **leave, "m/n below which half of the pairs have nowhere to go": (2 + math.sqrt(2)) / 4}
