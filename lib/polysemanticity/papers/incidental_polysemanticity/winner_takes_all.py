"""Activation functions as the force that lets one neuron win each feature, with and without l1 and LayerNorm: IP-14."""

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
from polysemanticity.incidental import activations, deep, toy_networks
from polysemanticity.intervals import Estimate

RATE = 0.02  # of Adam
GATE = 0.1  # error per feature (that of y = 0 is one)
NAMES = tuple(activations.ACTIVATIONS)
BOUNDED = f"top-{activations.TOP}"  # in use by construction: no more than it keeps
SPREADING = tuple(name for name in NAMES if name not in ("softmax", BOUNDED))

_GATED = (
    "error per feature below 0.1, where that of a network that outputs nothing is 1; three networks in four at least"
)
_COMMON = {
    "source": "open question 3, whose first example is activation functions",
    "paper": "l1 is one of several possible causes; open which others there are",
    "whose": "open question",
    "gate": _GATED,
    "figure": "figx_winner_takes_all",
}

CLAIMS: dict[str, Claim] = {
    "IP-14a": Claim(
        id="IP-14a",
        claim="Of the activation functions only softmax lets neurons win without l1; LayerNorm behind it undoes that",
        rule={
            "neurons in use, end ÷ start, softmax, largest of sizes": (-math.inf, 0.8),
            "neurons in use, end ÷ start, linear, ReLU, GELU or SoLU, least": (0.9, math.inf),
            "neurons in use, end ÷ start, with LayerNorm, least": (0.9, math.inf),
        },
        reason=(
            "A code may be sparse because the function makes it so (ReLU, SoLU, top-4) or because training does: only "
            "the second is a winner taking all, hence end ÷ start. A fifth fewer neurons in use is an effect, a tenth "
            "is none. Top-4 is not judged: it has at most four in use by construction. At every size; intervals hold "
            "for all sizes and functions together."
        ),
        known="one pilot with other seeds at n = 18 and 20, m/n = 1, 2, 3: 0.4 to 0.7, 1.0 and more, 1.0 and more",
        **_COMMON,
    ),
    "IP-14b": Claim(
        id="IP-14b",
        claim="Softmax codes without l1 share neurons by another accident: in pairs of one sign, and as many as codes "
        "of their spread that are placed at random",
        rule={
            "share of opposite signs among pairs, softmax, largest of sizes": (-math.inf, 0.05),
            "count ÷ count of shuffled codes, softmax, largest of sizes": (-math.inf, 1.3),
            "count ÷ count of shuffled codes, softmax, least of sizes": (0.7, math.inf),
        },
        reason=(
            "A feature that uses three neurons meets others more often than one with a single neuron, so that the "
            "exact count of one-hot codes is no measure: the same codes dealt to the neurons at random are. Within "
            "30 % of them, as for the law elsewhere (IP-11). Dense codes have no neurons of their own, so nothing is "
            "counted in them (IP-08a)."
        ),
        known="one pilot with other seeds at n = 18 and 20, m/n = 1, 2, 3: none of opposite signs, 0.9 to 1.1 of the "
        "shuffled codes",
        **_COMMON,
    ),
    "IP-14c": Claim(
        id="IP-14c",
        claim="With l1 the accident needs codes of both signs: positive codes share no neuron as long as there are "
        "two for every feature, and do at m = n, where they have only as many slots as features",
        rule={
            "count ÷ exact count, linear, m = 2n": (0.3, 1.5),
            "count ÷ exact count, positive codes, m ≥ 2n, largest": (-math.inf, 0.45),
            "count ÷ exact count, positive codes, m = n, least": (0.25, math.inf),
        },
        reason=(
            "Linear: the law with AdamW's known deficit, and what eight networks scatter. Positive codes (ReLU, GELU, "
            "SoLU, softmax) have one slot a neuron, which two features cannot share for free: none are shared, which "
            "few networks tell from the law only at half of it. At m = n winners would have to fill every slot; where "
            "the last find none they share, at a cost, so a quarter or more."
        ),
        known="one pilot with other seeds at n = 18 and 20, m/n = 1, 2, 3: 1.1, none, 0.5 to 0.8",
        **_COMMON,
    ),
    "IP-14d": Claim(
        id="IP-14d",
        claim="With l1 and LayerNorm a linear code uses two neurons of opposite signs per feature, and four times as "
        "many neurons are shared",
        rule={
            "neurons in use, LayerNorm and l1, m = 2n": (1.8, 2.2),
            "count ÷ n(n−1)/(m−1), LayerNorm and l1, m = 2n": (0.7, 1.3),
            "count ÷ n(n−1)/(m−1), LayerNorm and l1, m = 3n": (0.7, 1.3),
        },
        reason=(
            "Of all codes with norm one and mean zero (e_k − e_l)/√2 has the least l1. Two slots for each feature give "
            "n(n−1)/(m−1), without a fit. Bands as wide as those of the law of one-hot codes (IP-11)."
        ),
        **_COMMON | {"whose": "ours", "source": "ours", "paper": "silent"},
        known="one pilot with other seeds at n = 18 and 20, m/n = 2, 3: 2.0 in use, 0.99 and 1.07 of the count",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks with an activation function, trained with and without l1 and LayerNorm."""

    features: tuple[int, ...] = setting((21, 22, 21), "features n of each size", low=4, smoke=(6, 6, 6))
    ratios: tuple[int, ...] = setting((1, 2, 3), "neurons per feature of each size: 1, 2 and 3 among them", low=1)
    n_seeds: int = setting(8, "networks per activation function, size, l1 and LayerNorm", low=2, smoke=2, paper=32)
    l1: float = setting(0.05, "λ where there is one", low=1e-4, high=1.0)
    n_steps: int = setting(700, "steps of training", low=1, smoke=30)

    def __post_init__(self):
        check(len(self.features) == len(self.ratios), "features", self.features, "as many as ratios")
        check(set(self.ratios) >= {1, 2, 3}, "ratios", self.ratios, "1, 2 and 3 among them")


def sizes(settings: Settings) -> list[dict]:
    """Return the configurations of `trained`, one for each size."""
    options = {"l1": settings.l1, "n_seeds": settings.n_seeds, "n_steps": settings.n_steps}
    places = zip(settings.features, settings.ratios, strict=True)
    return [{"n_features": n, "n_neurons": n * ratio, **options} for n, ratio in places]


def trained(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, n_steps: int) -> dict:
    """What the codes of networks with each activation function became [activation, LayerNorm, taxed, seed].

    All start from the same W, and D = W. The tax is on the activations, behind the LayerNorm, and on D; without
    activation function and LayerNorm that is the paper's tied network. Adam, all arms in one batch.
    """
    drawn = torch.randn(n_seeds, n_features, n_neurons, generator=streams.generator(seed, "activations"))
    weights = (drawn / math.sqrt(n_neurons)).to(device).expand(len(NAMES), 2, 2, n_seeds, n_features, n_neurons)
    shape, weights = weights.shape, weights.reshape(-1, n_features, n_neurons)
    tax = torch.tensor([0.0, l1], device=device)[:, None].expand(shape[:4]).reshape(-1)

    def codes(encoding):
        arms = encoding.view(len(NAMES), 2, -1, n_features, n_neurons)
        both = [
            activations.code(arms[k, normed], name, bool(normed)) for k, name in enumerate(NAMES) for normed in (0, 1)
        ]
        return torch.stack(both).view(-1, n_features, n_neurons)

    def loss(encoding, decoder):
        hidden = codes(encoding)
        return activations.reconstruction_error(hidden, decoder) + tax * hidden.abs().sum((-2, -1))

    encoding, decoder = toy_networks.proximal_descent(
        loss,
        (weights, weights),
        step=RATE,
        n_steps=n_steps,
        l1=[0.0, tax[:, None, None]],
        optimizer=lambda moved: toy_networks.AdamW(moved, lr=RATE, weight_decay=0.0),
    )
    hidden = codes(encoding)
    error = activations.reconstruction_error(hidden, decoder) / n_features
    ended = hidden.cpu().numpy()
    signs = incidental.collision_signs(ended)
    found = {
        "in_use": in_use(hidden),
        "begun": in_use(codes(weights)),
        "count": incidental.polysemantic_neurons(ended),
        "shuffled": deep.count_of_shuffled(ended, streams.rng(seed, "shuffled codes")),
        "opposite": signs.opposite,
        "same": signs.same,
        "error": error.cpu().numpy(),
    }
    return {name: np.asarray(values).reshape(shape[:4]) for name, values in found.items()}


def in_use(codes: torch.Tensor) -> np.ndarray:
    """Return the neurons in use per feature, ‖h‖₂⁴/‖h‖₄⁴, mean over features [network]."""
    return (1 / toy_networks.participation(codes).clamp(min=1e-6)).mean(-1).cpu().numpy()


class Arm:
    """The networks of one arm at one size: those that pass the gate, if enough do."""

    def __init__(self, result: dict, config: dict, name: str, normed: bool = False, taxed: bool = False):
        place = (NAMES.index(name), int(normed), int(taxed))
        self.values = {key: array[place] for key, array in result.items()}
        self.n, self.m = config["n_features"], config["n_neurons"]
        self.passed = self.values["error"] < GATE
        self.judged = intervals.passes(self.passed)

    def _of(self, estimate) -> Estimate:
        return intervals.gated(self.passed, estimate)

    def used(self, level: float = 0.95) -> Estimate:
        """Return the neurons in use at the end."""
        return self._of(lambda good: intervals.mean(self.values["in_use"][good], level=level))

    def grown(self, level: float = 0.95) -> Estimate:
        """Return the neurons in use at the end ÷ at the start, of each network."""
        return self._of(lambda good: intervals.mean((self.values["in_use"] / self.values["begun"])[good], level=level))

    def shared(self, level: float = 0.95, unit: float | None = None) -> Estimate:
        """Return the polysemantic neurons ÷ a unit, the exact count unless another is given."""
        unit = incidental.expected_polysemantic(self.n, self.m) if unit is None else unit
        return self._of(lambda good: intervals.counts(self.values["count"][good], unit, level))

    def by_chance(self, level: float = 0.95) -> Estimate:
        """Return the polysemantic neurons ÷ those of the same codes shuffled."""

        def ratio(good):
            found = intervals.ratio_of_means(self.values["count"][good], self.values["shuffled"][good], level)
            return found if math.isfinite(found.value) else Estimate(0.0, -math.inf, math.inf)

        return self._of(ratio)

    def opposite(self, level: float = 0.95) -> Estimate:
        """Return the share of opposite signs among all pairs that share a neuron."""

        def share(good):
            opposite, same = (int(self.values[sign][good].sum()) for sign in ("opposite", "same"))
            return intervals.proportion(opposite, max(1, opposite + same), level)

        return self._of(share)


def _arms(results: Results, names, least_ratio: int = 1, ratio: int | None = None, **kind) -> list[Arm]:
    """The arms of some activation functions at the sizes with this ratio m/n, or at least the other."""
    chosen = []
    for config, result in results.pairs():
        here = config["n_neurons"] // config["n_features"]
        if (here >= least_ratio) if ratio is None else (here == ratio):
            chosen += [Arm(result, config, name, **kind) for name in names]
    return chosen


def _extreme(arms: list[Arm], quantity: str, largest: bool) -> Estimate:
    """The largest or smallest of a quantity over arms, with intervals that hold for all of them together."""
    return intervals.extreme([getattr(arm, quantity)(1 - 0.05 / len(arms)) for arm in arms], largest)


def measured_winners(results: Results) -> Measured:
    """Return what decides IP-14a."""
    soft, top = _arms(results, ["softmax"]), _arms(results, [BOUNDED])
    return _measured(
        results,
        {
            "neurons in use, end ÷ start, softmax, largest of sizes": _extreme(soft, "grown", True),
            "neurons in use, end ÷ start, linear, ReLU, GELU or SoLU, least": _extreme(
                _arms(results, SPREADING), "grown", False
            ),
            "neurons in use, end ÷ start, with LayerNorm, least": _extreme(
                _arms(results, [*SPREADING, "softmax"], normed=True), "grown", False
            ),
        },
        f"Without l1 {_means(soft, 'used')} neurons are in use with softmax and {_means(top, 'used')} with {BOUNDED}: "
        "no function alone makes codes one-hot.",
    )


def measured_sharing(results: Results) -> Measured:
    """Return what decides IP-14b."""
    soft = _arms(results, ["softmax"])
    return _measured(
        results,
        {
            "share of opposite signs among pairs, softmax, largest of sizes": _extreme(soft, "opposite", True),
            "count ÷ count of shuffled codes, softmax, largest of sizes": _extreme(soft, "by_chance", True),
            "count ÷ count of shuffled codes, softmax, least of sizes": _extreme(soft, "by_chance", False),
        },
        f"These are {_means(soft, 'shared')} of the exact count of one-hot codes. SoLU codes, sparse from the start, "
        f"share {_means(_arms(results, ['SoLU']), 'by_chance')} of what they would by chance.",
    )


def measured_signs(results: Results) -> Measured:
    """Return what decides IP-14c."""
    top = _arms(results, [BOUNDED], taxed=True)
    return _measured(
        results,
        {
            "count ÷ exact count, linear, m = 2n": _arms(results, ["linear"], ratio=2, taxed=True)[0].shared(),
            "count ÷ exact count, positive codes, m ≥ 2n, largest": _extreme(
                _arms(results, activations.POSITIVE, least_ratio=2, taxed=True), "shared", True
            ),
            "count ÷ exact count, positive codes, m = n, least": _extreme(
                _arms(results, activations.POSITIVE, ratio=1, taxed=True), "shared", False
            ),
        },
        f"{BOUNDED}, whose codes have both signs, has {_means(top, 'shared')} of the exact count with l1.",
    )


def measured_centred(results: Results) -> Measured:
    """Return what decides IP-14d."""
    found = {}
    for ratio in (2, 3):
        (arm,) = _arms(results, ["linear"], ratio=ratio, normed=True, taxed=True)
        unit = activations.centred_pairs(arm.n, arm.m)
        if ratio == 2:
            found["neurons in use, LayerNorm and l1, m = 2n"] = arm.used()
        found[f"count ÷ n(n−1)/(m−1), LayerNorm and l1, m = {ratio}n"] = arm.shared(unit=unit)
    return _measured(results, found, "At m = n all slots would have to be taken.")


def _measured(results: Results, quantities: dict, note: str) -> Measured:
    places = ", ".join(f"({c['n_features']}, {c['n_neurons']})" for c in results.configs)
    config = results.configs[0]
    return Measured(
        quantities,
        "95 % t intervals over networks, Poisson where none was counted, binomial for signs; those of an extreme hold "
        "for all that it was taken of",
        f"(n, m) = {places}, one feature at a time, λ = {config['l1']:g} or 0, {config['n_seeds']} networks per arm "
        "and size",
        note,
    )


def _means(arms: list[Arm], quantity: str) -> str:
    return ", ".join(f"{getattr(arm, quantity)().value:.2g}" for arm in arms)


def table(results: Results) -> pd.DataFrame:
    """Return neurons in use, at the start and the end, and count ÷ exact count, for every arm at every size."""
    rows = []
    for config, result in results.pairs():
        size = f"n = {config['n_features']}, m = {config['n_neurons']}"
        for name in NAMES:
            for normed in (False, True):
                for taxed in (False, True):
                    arm = Arm(result, config, name, normed, taxed)
                    series = ", ".join([size, *(["missed the gate"] if not arm.judged else [])])
                    place = {
                        "what": "measured" if arm.judged else "control",
                        "series": series,
                        "neurons per feature": arm.m // arm.n,
                        "activation": name,
                        "arm": _arm_name(normed, taxed),
                    }
                    good = arm.passed if arm.judged else slice(None)
                    used, counted = (arm.values[key][good] for key in ("in_use", "count"))
                    exact = incidental.expected_polysemantic(arm.n, arm.m)
                    start = float(arm.values["begun"].mean())
                    rows += [
                        {**place, "quantity": "neurons in use per feature", "start": start,
                         **intervals.mean(used).columns()},
                        {**place, "quantity": "polysemantic neurons ÷ exact count",
                         **intervals.counts(counted, exact).columns()},
                    ]  # fmt: skip
    return pd.DataFrame(rows)


def _arm_name(normed: bool, taxed: bool) -> str:
    return {
        (False, False): "no l1",
        (True, False): "LayerNorm, no l1",
        (False, True): "l1",
        (True, True): "LayerNorm and l1",
    }[normed, taxed]


def by_arm(results: Results) -> pd.DataFrame:
    """Return for every activation function at m = 2n, with and without l1: neurons in use at the start and the end,
    count ÷ exact count, the signs of pairs that share, and how many networks reconstruct."""
    rows = []
    for name in NAMES:
        for taxed in (False, True):
            (arm,) = _arms(results, [name], ratio=2, taxed=taxed)
            opposite, same = (int(arm.values[sign].sum()) for sign in ("opposite", "same"))
            rows.append(
                {
                    "activation": name,
                    "l1": "yes" if taxed else "no",
                    "neurons in use, start": float(arm.values["begun"].mean()),
                    "end": float(arm.values["in_use"].mean()),
                    "count ÷ exact count": arm.shared().value,
                    "count ÷ shuffled": arm.by_chance().value,
                    "pairs of opposite signs": f"{opposite} of {opposite + same}",
                    "networks that reconstruct": f"{arm.passed.sum()} of {len(arm.passed)}",
                }
            )
    return pd.DataFrame(rows)
