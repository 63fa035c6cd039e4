"""Several hidden layers: does each of them have n²/4m shared neurons? IP-11."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import deep, toy_networks
from polysemanticity.intervals import Estimate

GATE = 0.1  # error per feature (that of y = 0 is one)
RATE = 0.01  # of Adam, for untied networks
STEP, HORIZON = 0.025, 6.0  # of the descent of tied networks; λ · time
ORDINALS = ("first", "second", "third")
INTERVENTIONS = {  # name -> are the onward weights taxed, are the onward gains equal: at the start, throughout
    "as trained": (True, False, False),
    "onward weights untaxed": (False, False, False),
    "gains equal at the start": (True, True, False),
    "gains held equal": (True, True, True),
}

_GATED = (
    "error per feature below 0.1, where that of a network that outputs nothing is 1; three networks in four at least"
)
LEAST, MOST = (f"count ÷ exact count, {end} of layers, m = 2n and 4n" for end in ("least", "largest"))
_LAW = {LEAST: (0.7, math.inf), MOST: (-math.inf, 1.3)}
_REASON = (
    "The law within 30 %, which is wider than any deficit or excess of one layer (IP-03). All layers and sizes have to "
    "meet it; the intervals hold for all of them together. Corrected: no layer at any size within the law's band, as a "
    "ReLU layer cannot hold opposite signs (IP-10). At m = n networks of three layers do not learn with this λ: drawn, "
    "not judged. A network with one such layer stands beside them."
)


def _feedforward_claim(letter: str, layers: str, known: str) -> Claim:
    return Claim(
        id=f"IP-11{letter}",
        claim=f"In untied networks with biases and {layers} ReLU layers each layer has n²/4m polysemantic neurons",
        source="proposed check 1: deeper networks",
        paper="silent: all its networks have one hidden layer",
        rule=_LAW,
        reason=_REASON,
        corrected={MOST: (-math.inf, 0.7)},
        correction="fewer, in every layer",
        whose="open question",
        known=known,
        gate=_GATED,
        figure="figx_depth",
    )


CLAIMS: dict[str, Claim] = {
    "IP-11a": _feedforward_claim("a", "two", "pilots at n = 20 on other seeds had none at m = 2n and 4n"),
    "IP-11b": _feedforward_claim(
        "b", "three", "a pilot at n = 20 on another seed had 0 to 0.6 of the exact count at m = 2n and 4n"
    ),
    "IP-11c": Claim(
        id="IP-11c",
        claim="In a tied linear network with two hidden layers each has n²/4m polysemantic neurons",
        source="ours: the paper's argument applied to each of two layers",
        paper="silent: all its networks have one hidden layer",
        rule={f"count ÷ exact count, m = {k}n": (0.7, 1.3) for k in (1, 2, 4)},
        reason=(
            "First layer; in a one-hot network the second has the same pairs, so that it is no second test. The law "
            "within 30 %, as for the other networks. Corrected: beyond the band at m = 2n, twice the law at m = 4n."
        ),
        corrected={
            "count ÷ exact count, m = 2n": (1.3, math.inf),
            "count ÷ exact count, m = 4n": (2.0, math.inf),
        },
        correction="far more than that, and the further above the law the more neurons there are",
        whose="ours",
        known="networks with n = 16 had 5.8 times the exact count at m = 4n, pilots with n = 20 and 22 as much. "
        "At λ = 0.2 networks of this size had 1.7, 3.2 and 6.2, but at m = 4n most of them missed the gate",
        gate=_GATED,
        figure="figx_depth",
    ),
    "IP-11d": Claim(
        id="IP-11d",
        claim="This excess comes from onward gains: neurons whose onward weights are large win more features, which "
        "make them larger still; that a shared path saves tax is not enough",
        source="ours; replaces our earlier reading, that sharing pays because two features share a taxed weight",
        paper="silent",
        rule={
            "count ÷ exact count, onward weights untaxed": (1.75, math.inf),
            "count ÷ exact count, gains held equal": (-math.inf, 1.75),
            "share of shared neurons with a gain above the median at the start": (0.6, math.inf),
        },
        reason=(
            "First layer, m = 4n, from the same starts. If saved tax were the cause, the excess would go with the tax "
            "on onward weights and stay when their norms are held equal; if gains are, the other way round. 1.75 "
            "divides what is near the law from what is far above. By chance half of the shared neurons have a gain "
            "above the median; the interval has to lie clearly above that. Gains that are equal at the start only are "
            "drawn."
        ),
        whose="ours",
        known="pilots at n = 20 and 22, m = 4n, on other seeds had 2.5 to 3.3, 1.2 to 1.3, and 0.74 to 0.8. "
        "At λ = 0.2 networks of this size had 3.0 and 1.0, but those that show the last missed the gate",
        gate=_GATED,
        figure="figx_depth",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks with two and three hidden layers."""

    n_features: int = setting(32, "features n of networks with several hidden layers", low=4, smoke=6)
    ratios: tuple[int, ...] = setting((1, 2, 4), "neurons per feature in each hidden layer", low=1, smoke=(1, 2, 4))
    layers: tuple[int, ...] = setting((1, 2, 3), "hidden layers of untied networks", low=1, high=3)
    n_seeds: int = setting(8, "networks with several hidden layers per point", low=2, smoke=2, paper=48)
    l1: float = setting(0.03, "λ of untied networks", low=1e-4, high=1.0)
    n_steps: int = setting(1200, "steps of untied networks", low=1, smoke=60)
    tied_l1: float = setting(0.1, "λ of tied linear networks", low=1e-3, high=1.0, smoke=0.5)


def untied(settings: Settings) -> list[dict]:
    """Return the configurations of `feedforward`: every size for every number of layers."""
    options = {"l1": settings.l1, "n_seeds": settings.n_seeds, "n_steps": settings.n_steps}
    return [{**_size(settings, ratio), "n_layers": k, **options} for k in settings.layers for ratio in settings.ratios]


def tied(settings: Settings) -> list[dict]:
    """Return the configurations of `linear`: every size as trained, the largest with each of INTERVENTIONS."""
    options = {"l1": settings.tied_l1, "n_seeds": settings.n_seeds}
    usual, *others = INTERVENTIONS
    largest = max(settings.ratios)
    sizes = [(ratio, usual) for ratio in settings.ratios] + [(largest, arm) for arm in others]
    return [{**_size(settings, ratio), **options, "arm": arm} for ratio, arm in sizes]


def _size(settings: Settings, ratio: int) -> dict:
    return {"n_features": settings.n_features, "n_neurons": ratio * settings.n_features}


def feedforward(
    *,
    seed: int,
    device: str,
    n_features: int,
    n_neurons: int,
    n_layers: int,
    l1: float,
    n_seeds: int,
    n_steps: int,
) -> dict:
    """Shared neurons at the end, and winners that collide at the start and the end [layer, seed], and errors [seed].

    Untied, ReLU and a bias in every hidden layer, a linear read-out: behind a ReLU a feature whose output begins below
    zero gets no gradient. l1 on all weights, none on biases; Adam. Neurons count by their responses.
    """
    drawn = deep.feedforward_start(n_features, n_neurons, n_layers, n_seeds, streams.generator(seed, "deep"))
    start = tuple(tensor.to(device) for tensor in drawn)
    n_weights = n_layers + 1
    trained = toy_networks.proximal_descent(
        lambda *parameters: deep.feedforward_error(parameters),
        start,
        step=RATE,
        n_steps=n_steps,
        l1=[l1] * n_weights + [0.0] * n_weights,
        optimizer=lambda weights: toy_networks.AdamW(weights, lr=RATE, weight_decay=0.0),
    )
    begun, ended = (
        [layer.cpu().numpy() for layer in deep.feedforward_responses(parameters)] for parameters in (start, trained)
    )
    return _read(begun, ended, deep.feedforward_error(trained) / n_features, seed)


def linear(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, arm: str) -> dict:
    """The same of a tied linear network with two hidden layers, under one of INTERVENTIONS, and [seed] how many of the
    shared neurons of its first layer had an onward gain above the median at the start.

    Gradient descent with a soft threshold, where gains are equal the tax on W₂ by its subgradient.
    """
    taxed, at_start, equal = INTERVENTIONS[arm]
    source, n, m = streams.generator(seed, f"deep and tied, λ = {l1:g}"), n_features, n_neurons
    start = tuple((torch.randn(n_seeds, rows, m, generator=source) / math.sqrt(m)).to(device) for rows in (n, m))

    if at_start:
        start = start[0], deep.equal_gains(start[1])

    def onward(weights):
        return deep.equal_gains(weights) if equal else weights

    def loss(encoding, weights):
        second = onward(weights)
        tax = l1 * second.abs().sum((-2, -1)) if taxed and equal else 0.0
        return deep.tied_error(encoding, second) + tax

    first, second = toy_networks.proximal_descent(
        loss,
        start,
        step=STEP,
        n_steps=math.ceil(HORIZON / l1 / STEP),
        l1=[l1, l1 if taxed and not equal else 0.0],
    )
    begun, ended = (
        [layer.cpu().numpy() for layer in (w, w @ onward(v))] for w, v in ((start[0], start[1]), (first, second))
    )
    gain = start[1].square().sum(-1).cpu().numpy()
    used = np.abs(ended[0]) >= np.linalg.norm(ended[0], axis=-1, keepdims=True) / 2
    shared = used.sum(-2) >= 2
    above = (shared & (gain > np.median(gain, axis=-1, keepdims=True))).sum(-1)
    return _read(begun, ended, deep.tied_error(first, onward(second)) / n, seed) | {"above": above}


def _read(begun: list, ended: list, error: torch.Tensor, seed: int) -> dict:
    """What is counted in the layers' responses at the start and at the end, and the error of each network."""
    rng = streams.rng(seed, "shuffled responses")
    return {
        "count": np.array([incidental.polysemantic_neurons(layer) for layer in ended]),
        "winners": np.array([deep.collided_winners(layer) for layer in begun]),
        "shuffled": np.array([deep.count_of_shuffled(layer, rng) for layer in ended]),
        "in_use": np.array([_in_use(layer) for layer in ended]),
        "error": error.cpu().numpy(),
    }


def _in_use(responses: np.ndarray) -> np.ndarray:
    """The neurons in use per feature [seed], features without a response left out."""
    share = toy_networks.participation(torch.from_numpy(responses)).numpy()
    return np.array([np.mean(1 / row[row > 0]) if (row > 0).any() else 0.0 for row in share])


def counted(result: dict, config: dict, layer: int, level: float = 0.95) -> Estimate:
    """Return the count of a layer ÷ the exact count, over the networks that pass the gate."""
    exact = incidental.expected_polysemantic(config["n_features"], config["n_neurons"])
    count = result["count"][layer]
    return intervals.gated(result["error"] < GATE, lambda good: intervals.counts(count[good], exact, level))


def table(feed: Results, lines: Results) -> pd.DataFrame:
    """Return count ÷ exact count of every layer of every network, of the interventions, and what the starts have."""
    usual, rows = next(iter(INTERVENTIONS)), []
    for config, result in lines.pairs():
        arm = "2 linear tied layers" if config["arm"] == usual else f"the same, {config['arm']}"
        rows.append({"what": "measured", "arm": arm, "series": f"{arm}, first layer", **_place(config, result, 0)})
    for config, result in feed.pairs():
        for layer in range(config["n_layers"]):
            arm = f"{_relu(config)}, untied, each layer"
            series = f"{arm[:-10]}{ORDINALS[layer]} layer"
            rows.append({"what": "measured", "arm": arm, "series": series, **_place(config, result, layer)})
    for n, m in sorted({(c["n_features"], c["n_neurons"]) for c in feed.configs}):
        free = incidental.expected_polysemantic(n, m, "free") / incidental.expected_polysemantic(n, m)
        for what, name, value in (
            ("corrected", "law of one layer", 1.0),
            ("control", "winners drawn freely, any signs", free),
        ):
            rows.append({"what": what, "arm": name, "series": name, "neurons per feature": m // n, "value": value})
    return pd.DataFrame(rows)


def _place(config: dict, result: dict, layer: int) -> dict:
    found = counted(result, config, layer)
    ends = {"low": found.low, "high": found.high} if math.isfinite(found.high) else {}
    passed = float((result["error"] < GATE).mean())
    ratio = config["n_neurons"] // config["n_features"]
    return {"neurons per feature": ratio, "value": found.value, **ends, "networks that reconstruct": passed}


def by_layer(feed: Results, lines: Results) -> pd.DataFrame:
    """Return for every layer at the largest m the count, what the start and free winners would give, and the codes."""
    rows = []
    largest = int(feed.setting("n_neurons").max())
    for config, result in [*feed.pairs(), *lines.pairs()]:
        if config["n_neurons"] != largest:
            continue
        for layer, count in enumerate(result["count"]):
            kind = _relu(config) if "n_layers" in config else f"2 tied linear layers, {config['arm']}"
            rows.append(
                {
                    "network": kind,
                    "layer": ORDINALS[layer],
                    "polysemantic neurons": float(count.mean()),
                    "÷ exact count": counted(result, config, layer).value,
                    "if codes were shuffled": float(result["shuffled"][layer].mean()),
                    "winners that collide at the start": float(result["winners"][layer].mean()),
                    "neurons in use per feature": float(result["in_use"][layer].mean()),
                    "networks that reconstruct": f"{(result['error'] < GATE).sum()} of {len(result['error'])}",
                }
            )
    return pd.DataFrame(rows)


def _relu(config: dict) -> str:
    return f"{config['n_layers']} ReLU layer{'s' if config['n_layers'] > 1 else ''}"


def measured(feed: Results, n_layers: int) -> Measured:
    """Return what decides IP-11a (two hidden layers) and IP-11b (three)."""
    chosen = feed.where(n_layers=n_layers)
    least = chosen.setting("n_neurons") >= 2 * chosen.setting("n_features")
    chosen = Results(*zip(*[pair for pair, use in zip(chosen.pairs(), least, strict=True) if use], strict=True))
    cells = [(result, config, layer) for config, result in chosen.pairs() for layer in range(n_layers)]
    found = [counted(*cell, level=1 - 0.05 / len(cells)) for cell in cells]
    passing = [float((result["error"] < GATE).mean()) for result in chosen]
    in_use = max(float(result["in_use"].mean()) for result in chosen)
    shared, shuffled = (sum(float(result[key].mean()) for result in chosen) for key in ("count", "shuffled"))
    return Measured(
        {
            LEAST: intervals.extreme(found, largest=False),
            MOST: intervals.extreme(found),
        },
        "95 % t intervals over networks that hold for all layers and sizes together, Poisson where none was counted",
        f"{n_layers} hidden layers, λ = {chosen.setting('l1')[0]:g} on the weights, {_sizes(chosen)}",
        f"{min(passing):.0%} of the networks or more reconstruct. A feature uses up to {in_use:.1f} neurons of a layer "
        f"on average, so codes are not one-hot. All layers share {shared:.1f} neurons, the same codes shuffled "
        f"{shuffled:.1f}.",
    )


def measured_linear(lines: Results) -> Measured:
    """Return what decides IP-11c."""
    chosen = lines.where(arm=next(iter(INTERVENTIONS)))
    found = {
        f"count ÷ exact count, m = {c['n_neurons'] // c['n_features']}n": counted(result, c, 0)
        for c, result in chosen.pairs()
    }
    count = chosen[-1]["count"][0].mean()
    return Measured(
        found,
        "95 % t intervals over networks",
        f"two tied linear layers, λ = {chosen.setting('l1')[0]:g}, {_sizes(chosen)}",
        f"At the largest m {count:.1f} of at most {chosen.setting('n_features')[0] // 2} pairs form.",
    )


def measured_gains(lines: Results) -> Measured:
    """Return what decides IP-11d."""
    largest = int(lines.setting("n_neurons").max())
    by_arm = {c["arm"]: (result, c) for c, result in lines.pairs() if c["n_neurons"] == largest}
    usual, untaxed, begun, equal = (by_arm[arm] for arm in INTERVENTIONS)
    good = usual[0]["error"] < GATE
    chances = Estimate(0.5, -math.inf, math.inf)
    if usual[0]["count"][0][good].any():
        above, count = usual[0]["above"], usual[0]["count"][0]
        chances = intervals.gated(good, lambda some: intervals.ratio_of_means(above[some], count[some]))
    values = [counted(*part, 0).value for part in (usual, begun)]
    return Measured(
        {
            "count ÷ exact count, onward weights untaxed": counted(*untaxed, 0),
            "count ÷ exact count, gains held equal": counted(*equal, 0),
            "share of shared neurons with a gain above the median at the start": chances,
        },
        "95 % t intervals over networks, all arms from the same starts",
        f"first of two tied linear layers, λ = {usual[1]['l1']:g}, {_sizes(lines.where(n_neurons=largest))}",
        f"As trained {values[0]:.1f} times the exact count, with gains that are equal at the start only "
        f"{values[1]:.1f}.",
    )


def _sizes(results: Results) -> str:
    neurons = ", ".join(map(str, np.unique(results.setting("n_neurons"))))
    return f"n = {results.setting('n_features')[0]}, m = {neurons}, {results.setting('n_seeds')[0]} networks per point"
