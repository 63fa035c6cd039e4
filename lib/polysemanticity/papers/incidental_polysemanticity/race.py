"""Which is faster, regularization or interference, and does the count depend on it? IP-17."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import clocks
from polysemanticity.intervals import Estimate

HALVED, DECAYED = 0.5, 0.01  # shares of the start at which the clocks strike: neurons in use, interference
METHODS = {"flow": "gradient flow", "adamw": "AdamW"}
STRENGTH, RATIO, COUNT = "λ√m", "time to sparsify ÷ time to decay", "count ÷ exact count"

CLAIMS: dict[str, Claim] = {
    "IP-17a": Claim(
        id="IP-17a",
        claim="Regularization makes encodings sparse before interference can part them",
        source="core assumption of the mechanism, as summarised; n = 256, λ = 0.001 are the published settings",
        paper="as summarised: ℓ1 picks a winner for each feature before interference acts",
        rule={
            "time to sparsify ÷ time to decay, gradient flow": (-math.inf, 1.0),
            "time to sparsify ÷ time to decay, AdamW": (-math.inf, 1.0),
        },
        reason=(
            "Sparse: half of the neurons in use, (‖W_i‖₁/‖W_i‖₂)². Decayed: 1 % of Σ ReLU(W_i·W_j)² at the start. Both "
            "shares favour the assumption: an early sign of sparsity against a late one of decay. 'Before' is a ratio "
            "below one. Corrected: five, so that no other choice of the two shares by a factor of two or so turns the "
            "order round."
        ),
        corrected={
            "time to sparsify ÷ time to decay, gradient flow": (5.0, math.inf),
            "time to sparsify ÷ time to decay, AdamW": (5.0, math.inf),
        },
        correction="the other way round: interference has decayed long before encodings become sparse",
        whose="summary",
        known="pilots at n = 28 and 96, λ = 0.001, on other seeds: ratios of 130 to 280 (flow) and 18 to 30 (AdamW)",
        figure="figx_two_clocks",
    ),
    "IP-17b": Claim(
        id="IP-17b",
        claim="Which of the two is first is decided by λ√m, at about 0.9, whatever n and m/n",
        source="our theory of the two clocks",
        paper="silent",
        rule={
            "λ√m where the clocks strike together, least of sizes": (0.4, math.inf),
            "λ√m where the clocks strike together, largest of sizes": (-math.inf, 1.1),
            "λm/√8n where they strike together, largest ÷ least": (2.0, math.inf),
        },
        reason=(
            "Theory for m ≫ n² and weak λ, without a fit: the tax keeps a share (1 − 2/π)λ²m/32 of the interference "
            "up, which is 1 % at λ√m = 0.94. Corrections in n/√m and λ√m only add to what is kept up: the boundary "
            "may lie lower, by a factor of two at most, not higher by more than the spread of networks. The other "
            "candidate compares forces, 4√(n/2)/m of interference on one weight against λ: then λm/√8n would be the "
            "same at all sizes, while a constant λ√m makes it differ by √10 = 3.2 between m = 2n and 20n."
        ),
        whose="ours",
        known="pilots at n = 14 and 28, m/n = 1, 4, 16 and 64 had the boundary at λ√m of 0.55 to 0.8",
        figure="figx_two_clocks",
    ),
    "IP-17c": Claim(
        id="IP-17c",
        claim="The count law does not need a fast regularization: a slow one loses a tenth of the count or so",
        source="ours",
        paper="silent",
        rule={
            "count ÷ exact count, fast, m = 2n": (0.9, 1.1),
            "count, slow ÷ fast, m = n": (0.75, 1.0),
            "count, slow ÷ fast, m = 2n": (0.75, 1.0),
        },
        reason=(
            "Fast is λ√m = 2, slow is λ√m = 0.2, on either side of the boundary, from the same starts. Fast: winners "
            "are drawn without replacement, to a tenth. Slow: fewer, but not by more than a quarter; one would say "
            "that regularization has to be fast if less than three quarters were left."
        ),
        whose="ours",
        known="384 networks at n = 14: 0.86 to 0.9 of the exact count at λ√m of 0.1 to 0.3, 0.9 to 1 at 1 or ",
        figure="figx_two_clocks",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks whose clocks are read, and networks that are counted on either side of the boundary."""

    features: int = setting(256, "features n of the published settings", low=4, smoke=12)
    neurons: int = setting(1024, "neurons m of the published settings", low=4, smoke=24)
    l1: float = setting(0.001, "λ of the published settings", low=1e-4, high=1.0, smoke=0.05)
    seeds: int = setting(2, "networks of the published settings", low=2, smoke=2, paper=8)
    grid_features: tuple[int, ...] = setting((20, 40), "features n where λ√m varies", low=4, smoke=(8,))
    grid_ratios: tuple[int, ...] = setting((2, 6, 20), "neurons per feature where λ√m varies", low=1, smoke=(2, 4))
    grid_strengths: tuple[float, ...] = setting(
        (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.2, 2.0), "λ√m of the grid", low=0.01, high=4.0, smoke=(0.2, 2.0)
    )
    grid_seeds: int = setting(8, "networks per point where λ√m varies", low=2, smoke=2, paper=32)
    count_features: int = setting(20, "features n of the networks that are counted", low=4, smoke=8)
    count_ratios: tuple[int, ...] = setting((1, 2), "neurons per feature of the networks that are counted", low=1)
    count_strengths: tuple[float, ...] = setting((0.2, 2.0), "λ√m of the networks that are counted", low=0.01, high=4.0)
    count_seeds: int = setting(512, "networks per point that are counted", low=2, smoke=8, paper=4096)

    def __post_init__(self):
        check(len(self.count_strengths) == 2, "count_strengths", self.count_strengths, "a slow and a fast one")
        check(set(self.count_ratios) >= {1, 2}, "count_ratios", self.count_ratios, "1 and 2 among them")


def published(settings: Settings) -> list[dict]:
    """Return the configurations of `read` for the published settings, one for each method."""
    common = {"n_features": settings.features, "n_neurons": settings.neurons, "l1": settings.l1}
    return [{**common, "n_seeds": settings.seeds, "method": method} for method in METHODS]


def grid(settings: Settings) -> list[dict]:
    """Return the configurations of `read` over features, neurons per feature and λ√m, by gradient flow."""
    sizes = [(n, n * ratio) for n in settings.grid_features for ratio in settings.grid_ratios]
    common = {"n_seeds": settings.grid_seeds, "method": "flow"}
    return [
        {"n_features": n, "n_neurons": m, "l1": x / math.sqrt(m), **common}
        for n, m in sizes
        for x in settings.grid_strengths
    ]


def counted(settings: Settings) -> list[dict]:
    """Return the configurations of `collisions.count` on either side of the boundary, slow ones first."""
    n, common = settings.count_features, {"n_seeds": settings.count_seeds}
    return [
        {"n_features": n, "n_neurons": n * ratio, "l1": x / math.sqrt(n * ratio), **common}
        for x in settings.count_strengths
        for ratio in settings.count_ratios
    ]


def read(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, method: str) -> dict:
    """When neurons in use are halved and interference has decayed [seed]: time of the flow, or steps of AdamW."""
    check(method in METHODS, "method", method, f"one of {', '.join(METHODS)}")
    start = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds))
    follow = clocks.of_flow if method == "flow" else clocks.of_adamw
    course = follow(start.float().to(device), l1, halved=HALVED, decayed=DECAYED)
    return {
        "halved": clocks.passage(course.time, course.in_use, HALVED),
        "decayed": clocks.passage(course.time, course.interference, DECAYED),
    }


def ratio(result: dict) -> Estimate:
    """Return the time to sparsify over the time to decay: geometric mean over networks, with its t interval."""
    found = intervals.mean(np.log(result["halved"] / result["decayed"]))
    return Estimate(*(math.exp(value) for value in found))


def boundary(strengths, halved, decayed) -> np.ndarray:
    """Return the λ√m at which the two clocks strike together, for each network, from times [strength, seed].

    Interpolated in logarithms at the first strength where the ratio is below one; infinity if there is none, 0 if it is
    there from the first on.
    """
    x, y = np.log(np.asarray(strengths, dtype=float)), np.log(np.asarray(halved) / np.asarray(decayed))
    place = np.where((y < 0).any(0), (y < 0).argmax(0), len(x))
    found = []
    for seed, k in enumerate(place):
        if k in (0, len(x)):
            found.append(0.0 if k == 0 else math.inf)
        else:
            share = y[k - 1, seed] / (y[k - 1, seed] - y[k, seed])
            found.append(math.exp(x[k - 1] + share * (x[k] - x[k - 1])))
    return np.array(found)


def boundaries(gridded: Results) -> pd.DataFrame:
    """Return λ√m and λm/√8n where the clocks strike together, for every size: mean over networks with its interval.

    The intervals are at a level that holds for all sizes together.
    """
    rows = []
    for n, m, part in _sizes(gridded):
        strengths = part.setting("l1") * math.sqrt(m)
        networks = boundary(strengths, part.array("halved"), part.array("decayed"))
        found = intervals.mean(networks, level=1 - 0.05 / len(_sizes(gridded)))
        unit = math.sqrt(m / (8 * n))
        rows.append({"features n": n, "neurons m": m, **found.columns(), "λm/√8n": found.value * unit,
                     "λm/√8n, low": found.low * unit, "λm/√8n, high": found.high * unit})  # fmt: skip
    return pd.DataFrame(rows).rename(
        columns={"value": STRENGTH, "low": f"{STRENGTH}, low", "high": f"{STRENGTH}, high"}
    )


def table(gridded: Results, judged: Results, networks: Results) -> pd.DataFrame:
    """Return the ratio of the clocks over λ√m for every size, with theory, and the counts on either side."""
    parts = []
    for n, m, part in _sizes(gridded):
        found = intervals.join([ratio(result) for result in part])
        place = {"series": f"n = {n}, m = {_multiple(n, m)}", "features n": n, "neurons m": m, "quantity": RATIO}
        columns = {STRENGTH: part.setting("l1") * math.sqrt(m), **found.columns()}
        parts.append(pd.DataFrame({"what": "measured", **place, **columns}))
    for config, result in judged.pairs():
        n, m = config["n_features"], config["n_neurons"]
        place = {"series": f"{METHODS[config['method']]}, n = {n}, m = {m}", "features n": n, "neurons m": m}
        columns = {"quantity": RATIO, STRENGTH: config["l1"] * math.sqrt(m), **ratio(result).columns()}
        parts.append(pd.DataFrame({"what": "measured", **place, **columns}, index=[0]))
    m, least = int(gridded.setting("n_neurons").max()), min(float(judged.setting("l1")[0]) * math.sqrt(
        judged.setting("n_neurons")[0]), 0.02)  # fmt: skip
    end = theory_of_boundary()
    theory = np.geomspace(least, end, 20)
    line = [clocks.halving_time(m, x / math.sqrt(m), HALVED) / clocks.decay_time(DECAYED) for x in theory]
    name = "theory, up to where the tax keeps 1 %"
    parts.append(
        pd.DataFrame({"what": "corrected", "series": name, "quantity": RATIO, STRENGTH: theory, "value": line})
    )
    for n, m, part in _sizes(networks):
        exact = incidental.expected_polysemantic(n, m)
        found = intervals.join([intervals.counts(result["count"], exact) for result in part])
        place = {"series": f"n = {n}, m = {_multiple(n, m)}", "features n": n, "neurons m": m, "quantity": COUNT}
        columns = {STRENGTH: part.setting("l1") * math.sqrt(m), **found.columns()}
        parts.append(pd.DataFrame({"what": "measured", **place, **columns}))
    return pd.concat(parts, ignore_index=True)


def theory_of_boundary() -> float:
    """Return the λ√m at which the tax alone keeps interference at DECAYED of its start: 0.94."""
    return math.sqrt(DECAYED / clocks.residual_share(1, 1.0))


def measured_order(judged: Results) -> Measured:
    """Return what decides IP-17a."""
    config, n_seeds = judged.configs[0], judged.configs[0]["n_seeds"]
    quantities = {f"{RATIO}, {METHODS[c['method']]}": ratio(result) for c, result in judged.pairs()}
    halved, decayed = (float(judged.where(method="adamw")[0][name].mean()) for name in ("halved", "decayed"))
    scale = f"n = {config['n_features']}, m = {config['n_neurons']:,}, λ = {config['l1']:g}"
    return Measured(
        quantities,
        f"95 % t interval of the logarithm over {n_seeds} networks",
        f"{scale}, {n_seeds} networks of each method",
        f"AdamW halves the neurons in use in {halved:.0f} steps and has removed 99 % of the interference after "
        f"{decayed:.0f} ({scale}).",
    )


def measured_boundary(gridded: Results) -> Measured:
    """Return what decides IP-17b."""
    found = boundaries(gridded)
    columns = (STRENGTH, f"{STRENGTH}, low", f"{STRENGTH}, high")
    least, largest = (Estimate(*(float(getattr(found[name], end)()) for name in columns)) for end in ("min", "max"))
    value, low, high = (found[name].to_numpy() for name in ("λm/√8n", "λm/√8n, low", "λm/√8n, high"))
    most = high.max() / low.min() if low.min() > 0 else math.inf
    spread = Estimate(float(value.max() / value.min()), float(max(1.0, low.max() / high.min())), float(most))
    quantities = {
        "λ√m where the clocks strike together, least of sizes": least,
        "λ√m where the clocks strike together, largest of sizes": largest,
        "λm/√8n where they strike together, largest ÷ least": spread,
    }
    sizes = ", ".join(f"({n}, {m})" for n, m, _ in _sizes(gridded))
    return Measured(
        quantities,
        "95 % t intervals over networks that hold for all sizes together (Bonferroni)",
        f"gradient flow, (n, m) = {sizes}, {gridded.configs[0]['n_seeds']} networks of each size",
        f"Theory without a fit has λ√m = {theory_of_boundary():.2f} for m ≫ n².",
    )


def measured_counts(networks: Results) -> Measured:
    """Return what decides IP-17c."""
    by_ratio = {m // n: (n, m, part) for n, m, part in _sizes(networks)}
    n, m, part = by_ratio[2]
    exact = incidental.expected_polysemantic(n, m)
    quantities = {"count ÷ exact count, fast, m = 2n": intervals.counts(part[1]["count"], exact)}
    for k, name in ((1, "m = n"), (2, "m = 2n")):
        slow, fast = (result["count"] for result in by_ratio[k][2])
        quantities[f"count, slow ÷ fast, {name}"] = intervals.ratio_of_means(slow, fast)
    strengths = sorted(set(np.round(networks.setting("l1") * np.sqrt(networks.setting("n_neurons")), 6)))
    return Measured(
        quantities,
        f"95 % t intervals over {len(part[1]['count'])} networks, the same starts for slow and fast",
        f"gradient flow, n = {n}, m = n and 2n, λ√m = {strengths[0]:g} (slow) and {strengths[-1]:g} (fast)",
    )


def _multiple(n: int, m: int) -> str:
    """The number of neurons in words: n, 2n, …"""
    return "n" if m == n else f"{m // n}n"


def _sizes(results: Results) -> list[tuple[int, int, Results]]:
    """The results of every size, in their order."""
    sizes = dict.fromkeys((config["n_features"], config["n_neurons"]) for config in results.configs)
    return [(n, m, results.where(n_features=n, n_neurons=m)) for n, m in sizes]
