"""Autoencoders of sparse features that are known, so that the features of a unit can be counted: CT-16a to e.

Independent features pass one hidden layer of ReLUs, many networks at once. Is noise in training what makes units answer
to several features, and their code redundant? Networks with noise learn less, so the one without is taken at the step
of its training where its clean held-out loss is that which the noisy one ends with.

The output has ReLUs too: without them a network is no better than principal components, and squeezes features without
regard to how sparse they are. Weights start a tenth as large as usual (He et al. 2015): in pilots on one other seed,
whose losses alone were looked at, that left a quarter of the loss of the usual start, and nearly all networks better
than principal components.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
import torch

from polysemanticity import intervals, spectra
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.networks import perceptrons

PROBES_PER_UNIT = 10  # n/m of every spectrum
DROPPED = 0.4  # share of units that are dropped to see what a code stands
RATE, DECAY = 0.2, 0.3
NARROW, TIGHT, ROOMY = (64, 32), (128, 32), (64, 128)  # features and units
PLAIN = {"noise": "none", "rate": 0.0, "weight_decay": 0.0}
NOISE = {
    "dropout": {"noise": "dropout", "rate": RATE, "weight_decay": 0.0},
    "Gaussian noise": {"noise": "gaussian", "rate": RATE, "weight_decay": 0.0},
    "weight decay": {"noise": "none", "rate": 0.0, "weight_decay": DECAY},
}
USUAL = {"density": 0.05, "start": 0.1}
# name -> what differs from NARROW with dropout: its noise, and what both networks that are compared share
VARIANTS = {
    "Gaussian noise": (NOISE["Gaussian noise"], {}),
    "density 0.03": (NOISE["dropout"], {"density": 0.03}),
    "density 0.1": (NOISE["dropout"], {"density": 0.1}),
    "dropout 0.1": (NOISE["dropout"] | {"rate": 0.1}, {}),
    "start three times as large": (NOISE["dropout"], {"start": 0.3}),
}
EXPLAINS = (
    "both networks explain more of held-out inputs than as many principal components as there are units, and more than "
    "half where there are as many units as features; three pairs of four at least"
)
COURSE, RATIO = "features per unit [effective number]", "noise ÷ none, at equal loss"
RATIOS = {"index": "features per unit", "added": "loss that dropped units add"}
_SOURCE = "Marshall & Kirchner 2024"


def _sizes(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]} features on {sizes[1]} units"


def _by_size(quantity: str, band: tuple[float, float], sizes=(NARROW, TIGHT)) -> dict[str, tuple[float, float]]:
    """A rule: one band for the networks of each size."""
    return {f"{quantity}, {_sizes(size)}": band for size in sizes}


INDEX = "features per unit, dropout ÷ none"
SPREAD, LOSS = "spectral redundancy, dropout less none", "loss that dropped units add, dropout ÷ none"
LEAST, MOST = (f"features per unit, noise ÷ none, {which} of {len(VARIANTS)} variants" for which in ("least", "most"))
_FEWER = "the reverse: with noise units answer to fewer features"
_KNOWN = (
    "an audit of other networks had 13.8 (64 features, 32 units) and 37.4 (256, 64) fewer features per unit with "
    "dropout at equal loss, and 15.5 fewer with more units than features; other seeds are judged"
)

CLAIMS: dict[str, Claim] = {
    "CT-16a": Claim(
        id="CT-16a",
        claim="Noise in training makes units polysemantic where there are fewer units than features",
        whose="summary",
        source=f"{_SOURCE}, check 1 (without dropout)",
        paper="training noise is what makes it pay to spread features over units; no numbers",
        rule=_by_size(INDEX, (1.0, inf)),
        reason="Polysemanticity: the effective number of features that a unit answers to, exp of the entropy of its "
        "squared answers to single features, mean over live units. The direction is what is said, so 1 is the bound. "
        "Two sizes, judged each by itself.",
        corrected=_by_size(INDEX, (0.0, 1.0)),
        correction=_FEWER,
        known=_KNOWN,
        gate=EXPLAINS,
        figure="figx_noise_needed",
    ),
    "CT-16b": Claim(
        id="CT-16b",
        claim="… whatever the noise, the density of features, the rate and the size of the start",
        whose="summary",
        source=f"{_SOURCE}, check 1",
        paper="as above",
        rule={LEAST: (1.0, inf)},
        reason="64 features on 32 units: Gaussian factors of dropout's variance, which growing weights cannot outrun; "
        "features of density 0.03 and 0.1 and not 0.05; a dropout of 0.1 and not 0.2; weights that start three "
        "times as large, as networks without noise could stay near their start. Simultaneous intervals, so that the "
        "least is no selected extreme.",
        corrected={MOST: (0.0, 1.0)},
        correction=f"{_FEWER}, in every variant",
        known=_KNOWN + "; none of the variants had been tried",
        gate=EXPLAINS,
        figure="figx_noise_needed",
    ),
    "CT-16c": Claim(
        id="CT-16c",
        claim="With more units than features a code without noise is monosemantic, and noise makes it polysemantic",
        whose="summary",
        source=f"{_SOURCE}, check 1; a condition under which the account should break",
        paper="with more neurons than features a monosemantic code suffices, noise makes redundancy pay",
        rule=_by_size(INDEX, (1.0, inf), (ROOMY,)),
        reason="As CT-16a. A unit of twice as many as there are features could serve one of them.",
        corrected=_by_size(INDEX, (0.0, 1.0), (ROOMY,)),
        correction=_FEWER + "; without it they stay mixed",
        known=_KNOWN,
        gate=EXPLAINS,
        figure="figx_noise_needed",
    ),
    "CT-16d": Claim(
        id="CT-16d",
        claim="Noise in training makes the code robust: dropped units cost less",
        whose="implied",
        source=f"{_SOURCE}, section on redundancy",
        paper="redundancy buys robustness to dropout",
        rule=_by_size(LOSS, (-inf, 1.0)),
        reason=f"What dropping {DROPPED:.0%} of the units, the others scaled up, adds to the squared error, with and "
        "without noise in training, at equal clean loss. Less is more redundant, in the sense in which redundancy is "
        "of use. The direction is what is said.",
        gate=EXPLAINS,
        figure="figx_noise_needed",
    ),
    "CT-16e": Claim(
        id="CT-16e",
        claim="… and that redundancy shows in a steeper spectrum",
        whose="printed",
        source=f"{_SOURCE}, abstract",
        paper="the eigenspectrum of a layer's activity tells how redundant it is",
        rule=_by_size(SPREAD, (0.0, inf)),
        reason="Spectral redundancy: 1 − effective rank ÷ units, which needs no fitted ranks, as 32 units have too few "
        "of them; at equal loss. To be read beside CT-16d. Corrected: the direction is the other one.",
        corrected=_by_size(SPREAD, (-inf, 0.0)),
        correction="the reverse: with noise the spectrum is flatter, and the code more robust",
        known="with more units than features the exponent had changed by −0.14 with dropout; other sizes are judged",
        gate=EXPLAINS,
        figure="figx_noise_needed",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Autoencoders of known features."""

    n_nets: int = setting(6, "networks of each kind, each with features of its own", low=2, smoke=2)
    n_steps: int = setting(2000, "training steps", low=20, smoke=20)


def arms(settings: Settings) -> list[dict]:
    """Return the configurations of `on_features`: every size and variant with noise, and what it is compared with."""
    sizes = [(size, USUAL | noise) for size in (TIGHT, ROOMY, NARROW) for noise in (PLAIN, NOISE["dropout"])]
    sizes += [(NARROW, USUAL | noise) for noise in NOISE.values()]
    variants = [(NARROW, USUAL | shared | kind) for noise, shared in VARIANTS.values() for kind in (PLAIN, noise)]
    fixed = {"n_nets": settings.n_nets, "n_steps": settings.n_steps, "batch_size": 256, "lr": 3e-3, "n_stops": 24}
    configs = [{"n_features": size[0], "n_units": size[1], **kind, **fixed} for size, kind in (*sizes, *variants)]
    return [config for place, config in enumerate(configs) if config not in configs[:place]]


def on_features(
    *, seed, device, n_features, n_units, density, start, noise, rate, weight_decay, n_nets, n_steps, batch_size, lr,
    n_stops,
) -> dict:  # fmt: skip
    """Train autoencoders with one hidden layer of ReLUs on sparse features; return their course [stop, net].

    A feature is 0 but with probability `density`, then uniform on [0, 1]; `start` multiplies the weights at first.
    `loss` is the clean held-out squared error as a share of the inputs' variance, `added` what dropping units (DROPPED)
    adds to it, `index` `features_per_unit`, `twins` the share of units that another one repeats, `redundancy`
    1 − effective rank ÷ units of the hidden layer's covariance.
    """
    drawn, held, erased = (streams.generator(seed, stream, device) for stream in ("data", "probes", "erasures"))
    probe = sparse_features((n_nets, PROBES_PER_UNIT * n_units, n_features), density, held)
    erase = perceptrons.multiplied("dropout", DROPPED, erased)
    nets = perceptrons.perceptrons(
        (n_features, n_units, n_features), ("relu", "relu"), (True, False), n_nets,
        streams.generator(seed, "weights", device),
    )  # fmt: skip
    nets = nets._replace(weights=tuple(start * weight for weight in nets.weights))

    def draw(step):
        batch = sparse_features((n_nets, batch_size, n_features), density, drawn)
        return batch, batch

    factors = streams.generator(seed, "noise", device)
    act = perceptrons.multiplied(noise, rate, factors)
    stops = [0, *np.unique(np.geomspace(10, n_steps, n_stops).round().astype(int)).tolist()]
    course: dict[str, list] = {"step": [], **{name: [] for name in ("loss", "added", "index", "twins", "redundancy")}}
    changed = (drawn, factors, erased, *course.values())
    for step, now in perceptrons.trained(nets, draw, n_steps, lr, act, weight_decay, stops, also=changed):
        with torch.no_grad():
            hidden, output = perceptrons.activities(now, probe)
            loss = _loss(output, probe)
            course["step"].append(step)
            course["loss"].append(loss)
            course["added"].append(_loss(perceptrons.activities(now, probe, erase)[-1], probe) - loss)
            course["index"].append(features_per_unit(now.weights[0], now.biases[0]).cpu().numpy())
            course["twins"].append(twins(now.weights[0], now.biases[0]).double().cpu().numpy())
            course["redundancy"].append(np.array([redundancy(layer) for layer in hidden]))
    return {name: np.array(values) for name, values in course.items()}


def _loss(output: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    return ((output - target).square().mean((1, 2)) / target.var((1, 2))).cpu().numpy()


def sparse_features(shape: tuple[int, ...], density: float, generator: torch.Generator) -> torch.Tensor:
    """Return features that are 0 but with probability `density`, then uniform on [0, 1]."""
    options = {"generator": generator, "device": generator.device}
    return torch.rand(shape, **options) * (torch.rand(shape, **options) < density)


def redundancy(activity: torch.Tensor) -> float:
    """Return 1 − effective rank ÷ units of activity [n, m]; 1 − 1/m where it does not vary."""
    spectrum = spectra.covariance_spectrum(activity)
    varies = spectrum.eigenvalues[0] > 0
    return 1 - (spectra.effective_rank(spectrum) if varies else 1.0) / spectrum.n_units


def twins(weight: torch.Tensor, bias: torch.Tensor, alike: float = 0.9) -> torch.Tensor:
    """Return the share of live units whose answers to single features another unit repeats, [net].

    Answers as in `features_per_unit`; two units repeat each other where their answers' cosine is at least `alike`.
    """
    answer = (torch.relu(weight + bias[:, None]) - torch.relu(bias)[:, None]).double()
    size = answer.norm(dim=1)
    direction = answer / size.clamp_min(1e-300)[:, None]
    cosine = direction.mT @ direction
    cosine.diagonal(dim1=1, dim2=2).zero_()
    live = size > 0
    return ((cosine.amax(-1) >= alike) & live).sum(1) / live.sum(1).clamp_min(1)


def features_per_unit(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the mean over live units of their effective number of features, of ReLU networks [net, feature, unit].

    A unit's answer to a feature is how far the feature alone, at 1, moves it; exp of the entropy of the squared
    answers' shares is 1 for one feature and N for N equal ones. Units that no single feature moves are left out.
    """
    answer = (torch.relu(weight + bias[:, None]) - torch.relu(bias)[:, None]).double().square()
    total = answer.sum(1)
    share = answer / total.clamp_min(1e-300)[:, None]
    number = torch.exp(torch.special.entr(share).sum(1))
    live = total > 0
    return (number * live).sum(1) / live.sum(1).clamp_min(1)


def at_loss(course: dict, loss: np.ndarray, key: str) -> np.ndarray:
    """Return a quantity of each network of a course at the step where its loss has come down to `loss` [net].

    Linear in the logarithm of the loss between the stops of its training; a loss that it never has counts as the
    nearest it has.
    """
    reached = np.minimum.accumulate(course["loss"], axis=0)
    return np.array(
        [
            np.interp(np.log(target), np.log(path[::-1]), values[::-1])
            for target, path, values in zip(loss, reached.T, course[key].T, strict=True)
        ]
    )


# ------------------------------------------------------------ what the figures show and what decides the claims


class Pair:
    """Networks trained with noise at the end of their training, and those without at the same loss: [net] each."""

    def __init__(self, noisy: dict, plain: dict, least: float):
        self.noisy, self.plain, self.loss = noisy, plain, noisy["loss"][-1]
        self.good = np.maximum(self.loss, plain["loss"].min(0)) < least

    def values(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        return self.noisy[key][-1], at_loss(self.plain, self.loss, key)

    def ratio(self, key: str, level: float = 0.95) -> Estimate:
        with_noise, without = self.values(key)
        return self._gated(lambda good: intervals.ratio_of_means(with_noise[good], without[good], level))

    def difference(self, key: str) -> Estimate:
        with_noise, without = self.values(key)
        return self._gated(lambda good: intervals.mean(with_noise[good] - without[good]))

    def _gated(self, estimate: Callable[[np.ndarray], Estimate]) -> Estimate:
        return intervals.gated(self.good, estimate)


def course_of(features: Results, size: tuple[int, int], **kind) -> dict[str, np.ndarray]:
    """Return the course of one kind of network, [stop, net], the networks of all seeds side by side; `step` [stop]."""
    ((_, row),) = features.where(n_features=size[0], n_units=size[1], **kind).pairs()
    return {key: row[0][key] if key == "step" else np.concatenate([one[key] for one in row], -1) for key in row[0]}


def pair(features: Results, size: tuple[int, int], noise: dict, **shared) -> Pair:
    """Return the networks with `noise` and those without, of one size; `shared` differs from USUAL."""
    shared = USUAL | shared
    left = max(0.0, 1 - size[1] / size[0]) or 0.5  # of the variance, by that many principal components
    return Pair(course_of(features, size, **shared, **noise), course_of(features, size, **shared, **PLAIN), left)


def _by_variant(features: Results) -> dict[str, Pair]:
    return {name: pair(features, NARROW, noise, **shared) for name, (noise, shared) in VARIANTS.items()}


def noise_table(features: Results) -> pd.DataFrame:
    """Return features per unit while networks of one size learn, and what noise makes of them at equal loss in all."""
    frames = []
    for name, noise in {"no noise": PLAIN, **NOISE}.items():
        course = course_of(features, NARROW, **USUAL, **noise)
        frames.append(
            {
                "what": "control" if name == "no noise" else "measured",
                "series": name,
                "quantity": COURSE,
                "case": _sizes(NARROW),
                "step": course["step"],
                "held-out loss ÷ variance": np.exp(np.log(course["loss"]).mean(1)),
                **intervals.mean(course["index"]).columns(),
            }
        )
    cases = {_sizes(size): pair(features, size, NOISE["dropout"]) for size in (NARROW, TIGHT, ROOMY)}
    for name, found in {**cases, **_by_variant(features)}.items():
        level = 0.95 if name in cases else _level()
        for key, series in RATIOS.items():
            frames.append(
                {
                    "what": "measured",
                    "series": series,
                    "quantity": RATIO,
                    "case": name,
                    "held-out loss ÷ variance": found.loss.mean(),
                    **found.ratio(key, level).columns(),
                }
            )
    return pd.concat([pd.DataFrame(frame, index=None if "step" in frame else [0]) for frame in frames])


def _level() -> float:
    """The level of each variant's interval, so that all hold together."""
    return 1 - 0.05 / len(VARIANTS)


def ends_of_training(features: Results) -> pd.DataFrame:
    """Return how networks without noise and with dropout compare at equal loss, by size."""
    rows = []
    for size in (NARROW, TIGHT, ROOMY):
        found = pair(features, size, NOISE["dropout"])
        row = {"networks": _sizes(size), "loss ÷ variance": found.loss.mean()}
        for key, title in {"index": "features per unit", "twins": "repeated units", "redundancy": "redundancy"}.items():
            with_noise, without = found.values(key)
            row |= {f"{title}, none": without.mean(), f"{title}, dropout": with_noise.mean()}
        rows.append(row)
    return pd.DataFrame(rows)


def measured_noise(features: Results) -> dict[str, Measured]:
    """Return what decides CT-16a to CT-16e, by claim."""
    by_size = {size: pair(features, size, NOISE["dropout"]) for size in (NARROW, TIGHT, ROOMY)}
    variants = _by_variant(features)
    ratios = [found.ratio("index", _level()) for found in variants.values()]
    quantities = {
        "CT-16a": {f"{INDEX}, {_sizes(size)}": by_size[size].ratio("index") for size in (NARROW, TIGHT)},
        "CT-16b": {LEAST: intervals.extreme(ratios, largest=False), MOST: intervals.extreme(ratios)},
        "CT-16c": {f"{INDEX}, {_sizes(ROOMY)}": by_size[ROOMY].ratio("index")},
        "CT-16d": {f"{LOSS}, {_sizes(size)}": by_size[size].ratio("added") for size in (NARROW, TIGHT)},
        "CT-16e": {f"{SPREAD}, {_sizes(size)}": by_size[size].difference("redundancy") for size in (NARROW, TIGHT)},
    }
    config, n_nets = features.configs[0], len(by_size[NARROW].loss)
    error = f"95 % t interval over {n_nets} networks"
    scale = (
        f"ReLU autoencoders of independent features of density {USUAL['density']:g}, {n_nets} networks of each kind, "
        f"{config['n_steps']:,} steps of {config['batch_size']} samples, dropout or Gaussian factors at {RATE:g}"
    )
    together = f"{error} for a ratio of means; simultaneous over {len(VARIANTS)} variants"
    notes = {
        "CT-16b": "; ".join(f"{name} {ratio.value:.2f}" for name, ratio in zip(variants, ratios, strict=True)),
        **dict.fromkeys(("CT-16a", "CT-16c", "CT-16d", "CT-16e"), _losses(by_size)),
    }
    return {
        name: Measured(found, together if name == "CT-16b" else error, scale, notes[name])
        for name, found in quantities.items()
    }


def _losses(by_size: dict[tuple[int, int], Pair]) -> str:
    """The gate's values: at which losses networks are compared; and features per unit when training has ended."""
    gates = (
        f"{_sizes(size)} {found.loss.mean():.2f}, passed by {found.good.mean():.0%}" for size, found in by_size.items()
    )
    ends = (
        f"{_sizes(size)} {found.plain['index'][-1].mean():.1f} without and {found.noisy['index'][-1].mean():.1f} with"
        for size, found in by_size.items()
    )
    return (
        f"loss ÷ variance at which networks are compared: {'; '.join(gates)}. Features per unit at the end of "
        f"training, each network at its own loss: {'; '.join(ends)}"
    )
