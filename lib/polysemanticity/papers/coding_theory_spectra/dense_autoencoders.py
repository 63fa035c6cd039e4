"""Small autoencoders, many at once: CT-14 to CT-16, open questions of the paper that need many networks.

Two kinds. `on_photographs`: grey patches through two hidden layers to a narrow code and back through one, noise in the
encoder as in the paper. `on_features`: independent sparse features through one hidden layer with more units than
features, so that it can be said how many features a unit answers to. No batch norm, hence no variance shift.
Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p the dropout rate, m the width of the hidden layers.
"""

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
from polysemanticity.networks import data, perceptrons

SIDE = 12  # pixels of a patch
CODE = 32  # units of the linear code in the middle
LAYERS = ("enc1", "enc2", "dec1")  # the hidden layers, all of width m; the code is not among them
NONLINEAR = tuple(name for name in perceptrons.ACTIVATIONS if name != "identity")
DECADE, NARROW = (3, 32), (3, 16)  # fitted ranks; the narrow window fits into 64 units
PROBES_PER_UNIT = 10  # n/m of every spectrum
NOISE, ATTACK = 0.1, 4 / 255  # damage of inputs in [0, 1], as in the vision family
N_FEATURES, HIDDEN, DENSITY = 64, 128, 0.05
_SOURCE = "Marshall & Kirchner 2024"

CLAIMS: dict[str, Claim] = {
    "CT-14": Claim(
        id="CT-14",
        claim="Dropout changes the exponent in the same direction whatever the nonlinearity",
        whose="open question",
        source=f"{_SOURCE}, open question 2",
        paper="open question; only ReLU networks are shown, where dropout is said to steepen spectra",
        rule={
            f"effect × sign of the others', {name}": (0.0, inf)
            for name in perceptrons.ACTIVATIONS
            if name != "identity"
        },
        reason="Effect: exponent at p = 0.4 less that at 0, mean over three hidden layers, paired by seed; "
        "multiplied by the sign of the mean effect of the other three nonlinearities, so that all four must agree "
        "and each must exclude 0. The direction itself is not part of this rule (it is CT-05's). Blind.",
        figure="figx_activations",
    ),
    "CT-15": Claim(
        id="CT-15",
        claim="The exponent does not depend on the size of the network",
        whose="open question",
        source=f"{_SOURCE}, open question 3",
        paper="open question; no numbers",
        rule={f"exponent per decade of width, p = {rate:g}": (-0.1, 0.1) for rate in (0.0, 0.4)},
        reason="0.1 per decade of width is what one could not see between GPT-2 small and XL. Regression on log10 "
        "width with a constant per seed, mean over three hidden layers; n/m = 10 and ranks 3 to 16 at every width, "
        "so that neither sampling nor the window changes with it (16 is a quarter of the narrowest layer: under a "
        "decade). Blind.",
        figure="figx_widths",
    ),
    "CT-16": Claim(
        id="CT-16",
        claim="Noise in training is needed for polysemantic, redundant codes",
        whose="summary",
        source=f"{_SOURCE}, check 1 (without dropout)",
        paper="training noise is what makes redundancy pay; with more neurons than features a monosemantic code "
        "suffices",
        rule={
            "features per unit, dropout less none": (0.0, inf),
            "features per unit, Gaussian noise less none": (0.0, inf),
            "exponent, dropout less none": (0.0, inf),
        },
        reason="Polysemanticity index: the effective number of features a unit answers to, exp of the entropy of its "
        "squared answers to single features, mean over live units. Compared at equal loss: the network without noise "
        "is taken at the step of its training where its clean held-out loss is that which the noisy one ends with. "
        "Gaussian noise multiplies activity with dropout's variance, as additive noise could be outgrown; weight "
        "decay is a control. More units (128) than features (64). Signs only: the paper gives directions. Blind.",
        figure="figx_noise_needed",
    ),
}


RATES = (0.0, 0.4)
# condition -> kind of noise, its rate, weight decay
CONDITIONS = {
    "no noise": ("none", 0.0, 0.0),
    "dropout": ("dropout", 0.4, 0.0),
    "Gaussian noise": ("gaussian", 0.4, 0.0),
    "weight decay": ("none", 0.0, 0.3),
}
COURSES = {
    "index": "features per unit [effective number]",
    "twins": "units that another repeats [share]",
    "exponent": "exponent a of the hidden layer",
}


@dataclass(frozen=True)
class Settings:
    """Small autoencoders."""

    n_nets: int = setting(5, "small autoencoders of each kind; each splits the photographs anew", low=2, smoke=2)
    n_steps: int = setting(500, "training steps of the autoencoders of photographs", low=2, smoke=4)
    width: int = setting(256, "units of their hidden layers where width is not the question", low=128, smoke=128)
    widths: tuple[int, ...] = setting(
        (64, 128, 256, 512, 1024), "widths of their hidden layers", low=64, smoke=(64, 128)
    )
    feature_steps: int = setting(2000, "training steps of the autoencoders of sparse features", low=20, smoke=20)


def photograph_nets(settings: Settings, images, activation: str, dropout: float, width: int) -> dict:
    """Return the configuration of `on_photographs` for one ensemble; `images` has `source` and `folder` of vision."""
    folder = images.folder if images.source == "photographs" else ""
    content = fingerprint_here({"folder": folder}) if images.source == "photographs" else ""
    return {
        **{"activation": activation, "dropout": dropout, "width": width, "content": content, "folder": folder},
        **{"n_nets": settings.n_nets, "n_steps": settings.n_steps, "n_train": 16384, "batch_size": 64, "lr": 1e-3},
    }


def nonlinearities(settings: Settings, images) -> list[dict]:
    """Return the configurations of `on_photographs` with every activation function, without and with dropout."""
    kinds = [(name, rate) for name in perceptrons.ACTIVATIONS for rate in RATES]
    return [photograph_nets(settings, images, name, rate, settings.width) for name, rate in kinds]


def width_ladder(settings: Settings, images) -> list[dict]:
    """Return the configurations of `on_photographs` with ReLUs at every width, without and with dropout."""
    kinds = [(width, rate) for width in settings.widths for rate in RATES]
    return [photograph_nets(settings, images, "relu", rate, width) for width, rate in kinds]


def fingerprint_here(config) -> str:
    """Return the fingerprint of the photographs that a config of `on_photographs` means on this machine."""
    return data.fingerprint(data.photographs(config["folder"] or None))


def feature_nets(settings: Settings) -> list[dict]:
    """Return the configurations of `on_features`: one for each of CONDITIONS."""
    fixed = {"n_nets": settings.n_nets, "n_stops": 24, "n_steps": settings.feature_steps, "batch_size": 256, "lr": 3e-3}
    return [
        {"noise": noise, "rate": rate, "weight_decay": weight_decay, **fixed}
        for noise, rate, weight_decay in CONDITIONS.values()
    ]


def patches(seed: int, n_train: int, n_probe: int, folder: str, device) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return grey patches to learn and to probe [n, pixels], in units of the learnt ones' standard deviation, and it.

    Every seed splits the photographs anew; grey is the mean of the channels, centred with the mean of all pixels
    learnt.
    """
    learnt, held = data.split(data.photographs(folder or None, smallest=SIDE), seed=seed)
    parts = [
        data.patches(pictures, n, SIDE, streams.rng(seed, stream)).pixels.mean(1).flatten(1)
        for pictures, n, stream in ((learnt, n_train, "patches"), (held, n_probe, "probes"))
    ]
    mean, scale = parts[0].mean(), parts[0].std()
    return *(((part - mean) / scale).to(device) for part in parts), float(scale)


def on_photographs(
    *, seed, device, activation, dropout, width, n_nets, n_train, n_steps, batch_size, lr, content, folder
) -> dict:
    """Train autoencoders with seeds `seed`, `seed` + 1, …; return exponents [net, layer], losses and decodability."""
    n_probe = PROBES_PER_UNIT * width
    sets = [patches(seed + k, n_train, n_probe, folder, device) for k in range(n_nets)]
    learnt, held = (torch.stack([one[part] for one in sets]) for part in (0, 1))
    nets = perceptrons.perceptrons(
        (SIDE**2, width, width, CODE, width, SIDE**2),
        (activation, activation, "identity", activation, "identity"),
        (True, True, False, False, False),
        n_nets,
        streams.generator(seed, "weights", device),
    )
    order = streams.generator(seed, "shuffle", device)

    def draw(step):
        batch = learnt[:, torch.randint(n_train, (batch_size,), generator=order, device=device)]
        return batch, batch

    masks = streams.generator(seed, "noise", device)
    noise = perceptrons.multiplied("dropout", dropout, masks)
    ((_, nets),) = perceptrons.trained(nets, draw, n_steps, lr, noise, also=(order, masks))
    with torch.no_grad():
        found = perceptrons.activities(nets, held)
    layers = [found[0], found[1], found[3]]
    exponents = np.array([[exponent(layer[k], DECADE, NARROW) for layer in layers] for k in range(n_nets)])
    scale = torch.tensor([one[2] for one in sets], device=device)[:, None, None]
    return {
        "exponent": exponents[..., 0],
        "narrow_exponent": exponents[..., 1],
        "decodability": np.array([[decodability(layer[k], held[k]) for layer in layers] for k in range(n_nets)]),
        "train_loss": _loss(nets, learnt[:, :n_probe], learnt[:, :n_probe]).cpu().numpy(),
        **{name: values.cpu().numpy() for name, values in robustness(nets, held, scale, seed).items()},
    }


def exponent(activity: torch.Tensor, *windows: tuple[int, int]) -> list[float]:
    """Return the exponents of activity [n, m] on ranks (first, last), corrected for n; NaN where m is below 4 · last.

    An activity that does not reach the last rank counts as the steepest exponent there is.
    """
    spectrum = spectra.covariance_spectrum(activity)
    return [_exponent(spectrum, first, last) for first, last in windows]


def _exponent(spectrum: spectra.Spectrum, first: int, last: int) -> float:
    if spectrum.n_units < 4 * last:
        return np.nan
    fitted = np.inf
    if spectrum.eigenvalues[last - 1] > 1e-12 * spectrum.eigenvalues[0]:
        fitted = spectra.fit_power_law(spectrum, first, last).exponent
    if fitted >= spectra.MAX_EXPONENT:
        return spectra.MAX_EXPONENT
    return spectra.debias_power_law(spectrum, first=first, last=last).exponent


def decodability(activity: torch.Tensor, target: torch.Tensor, ridge: float = 1e-4) -> float:
    """Return R² of a linear map from activity [n, m] to the inputs [n, d]: fitted on one half, measured on the other.

    The ridge is a share of the mean variance of a unit; the order of samples is that of drawing, so halves are alike.
    """
    half = len(activity) // 2
    mean, centre = activity[:half].double().mean(0), target[:half].double().mean(0)
    x, y = activity.double() - mean, target.double() - centre
    gram = x[:half].T @ x[:half]
    gram.diagonal().add_(ridge * gram.diagonal().mean().clamp_min(1e-300))
    error = y[half:] - x[half:] @ torch.linalg.solve(gram, x[:half].T @ y[:half])
    return float(1 - error.square().sum() / y[half:].square().sum())


def _loss(nets, inputs, target):
    return (perceptrons.activities(nets, inputs)[-1] - target).square().mean((1, 2))


def robustness(nets: perceptrons.Perceptrons, held: torch.Tensor, scale: torch.Tensor, seed: int) -> dict:
    """Return every network's mean squared error on held-out patches: clean, with noisy inputs, with attacked inputs.

    Damage is that of the vision family, in units of the patches; the target is the clean patch.
    """
    noise = torch.randn(held.shape, generator=streams.generator(seed, "corruption", held.device), device=held.device)
    moved = held.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(nets, moved, held).sum(), moved)
    inputs = {
        "test_loss": held,
        "noisy_loss": held + NOISE / scale * noise,
        "attacked_loss": held + ATTACK / scale * gradient.sign(),
    }
    with torch.no_grad():
        return {name: _loss(nets, values, held) for name, values in inputs.items()}


def on_features(*, seed, device, noise, rate, weight_decay, n_nets, n_steps, batch_size, lr, n_stops) -> dict:
    """Train one-hidden-layer ReLU autoencoders of sparse features; return their course [stop, net].

    A feature is 0 but with probability 0.05, then uniform on [0, 1]. `loss` is the clean held-out squared error as a
    share of the inputs' variance, `index` `features_per_unit`, `twins` the share of units that another one repeats,
    `exponent` that of the hidden layer.
    """
    drawn, held = (streams.generator(seed, stream, device) for stream in ("data", "probes"))
    probe = sparse_features((n_nets, PROBES_PER_UNIT * HIDDEN, N_FEATURES), held)
    nets = perceptrons.perceptrons(
        (N_FEATURES, HIDDEN, N_FEATURES), ("relu", "identity"), (True, False), n_nets,
        streams.generator(seed, "weights", device),
    )  # fmt: skip

    def draw(step):
        batch = sparse_features((n_nets, batch_size, N_FEATURES), drawn)
        return batch, batch

    factors = streams.generator(seed, "noise", device)
    act = perceptrons.multiplied(noise, rate, factors)
    stops = [0, *np.unique(np.geomspace(10, n_steps, n_stops).round().astype(int)).tolist()]
    course: dict[str, list] = {"step": [], "loss": [], "index": [], "twins": [], "exponent": []}
    changed = (drawn, factors, *course.values())
    for step, now in perceptrons.trained(nets, draw, n_steps, lr, act, weight_decay, stops, also=changed):
        with torch.no_grad():
            hidden, output = perceptrons.activities(now, probe)
            course["step"].append(step)
            course["loss"].append(((output - probe).square().mean((1, 2)) / probe.var((1, 2))).cpu().numpy())
            course["index"].append(features_per_unit(now.weights[0], now.biases[0]).cpu().numpy())
            course["twins"].append(twins(now.weights[0], now.biases[0]).double().cpu().numpy())
            course["exponent"].append(np.array([exponent(layer, DECADE)[0] for layer in hidden]))
    return {name: np.array(values) for name, values in course.items()}


def sparse_features(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Return features that are 0 but with probability DENSITY, then uniform on [0, 1]."""
    options = {"generator": generator, "device": generator.device}
    return torch.rand(shape, **options) * (torch.rand(shape, **options) < DENSITY)


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


def values_of_nets(results: Results, key: str) -> np.ndarray:
    """One value of `on_photographs` as [config, net, ...]: the networks of all seeds side by side."""
    values = results.array(key)  # [config, seed, net, ...]
    return values.reshape(len(values), -1, *values.shape[3:])


def by_activation(kinds: Results, key: str) -> dict[str, np.ndarray]:
    """One value of the networks of `nonlinearities` for each activation function, as [rate, net, layer]."""
    names = dict.fromkeys(kinds.setting("activation").tolist())
    return {name: values_of_nets(kinds.where(activation=name), key) for name in names}


def dropout_effects(kinds: Results) -> dict[str, np.ndarray]:
    """What dropout adds to the exponent of each network, mean of its layers, for each activation function: [net]."""
    return {name: values[1].mean(-1) - values[0].mean(-1) for name, values in by_activation(kinds, "exponent").items()}


def rates_of(results: Results) -> list[float]:
    """The dropout rates of the configurations, each once."""
    return list(dict.fromkeys(results.setting("dropout").tolist()))


def scale_of(results: Results) -> str:
    """Return what networks of photographs were trained and probed on, in one line."""
    config = results.configs[0]
    widths = sorted(set(results.setting("width").tolist()))
    m = f"m = {widths[0]}" if len(widths) == 1 else f"m = {widths[0]} to {widths[-1]}"
    nets = values_of_nets(results, "train_loss").shape[1]
    return (
        f"autoencoders {SIDE**2}-m-m-{CODE}-m-{SIDE**2}, {m}, {nets} of each kind, {config['n_steps']:,} steps of "
        f"{config['batch_size']} grey patches of {SIDE} × {SIDE} pixels of photographs, probed with n = "
        f"{PROBES_PER_UNIT} m others, p = {' and '.join(f'{rate:g}' for rate in rates_of(results))}"
    )


def _listed(estimates: dict[str, Estimate]) -> str:
    return ", ".join("{} {:+.2f} [{:+.2f}, {:+.2f}]".format(name, *e) for name, e in estimates.items())


def activations_table(kinds: Results) -> pd.DataFrame:
    """Return exponent and decodability for each activation function and rate, and what dropout adds to the exponent."""
    rates, frames = rates_of(kinds), []
    for key, title in (("exponent", "exponent a"), ("decodability", "R² of the patch")):
        for name, values in by_activation(kinds, key).items():
            row = {"what": "measured", "quantity": f"{title}, mean of {values.shape[-1]} layers", "activation": name}
            series = [f"p = {rate:g}" for rate in rates]
            frames.append(pd.DataFrame({**row, "series": series, **intervals.mean(values.mean(-1)).columns()}))
    for name, values in dropout_effects(kinds).items():
        row = {"what": "measured", "quantity": f"exponent at p = {rates[1]:g} less that at {rates[0]:g}"}
        row |= {"activation": name, "series": "difference", **intervals.mean(values).columns()}
        frames.append(pd.DataFrame([row]))
    return pd.concat(frames)


def effects_by_layer(kinds: Results) -> pd.DataFrame:
    """Return what dropout adds to the mean exponent of each layer, and to the mean decodability."""
    rows, read = [], by_activation(kinds, "decodability")
    for name, values in by_activation(kinds, "exponent").items():
        layers = np.diff(values, axis=0)[0].mean(0)
        added = {f"exponent, {layer}": value for layer, value in zip(LAYERS, layers, strict=True)}
        rows.append({"dropout adds": name, **added, "R² of the patch": np.diff(read[name].mean((1, 2)))[0]})
    return pd.DataFrame(rows)


def measured_nonlinearities(kinds: Results) -> Measured:
    """Return what decides CT-14."""
    effects = dropout_effects(kinds)
    quantities = {
        f"effect × sign of the others', {name}": intervals.mean(
            effects[name] * np.sign(np.mean([effects[other] for other in NONLINEAR if other != name]))
        )
        for name in NONLINEAR
    }
    n_nets = len(effects[NONLINEAR[0]])
    error = f"95 % t interval over {n_nets} networks (weights and split of the photographs)"
    note = "effects: " + _listed({name: intervals.mean(values) for name, values in effects.items()})
    return Measured(quantities, error, scale_of(kinds), note)


def exponents_by_width(ladder: Results) -> tuple[list[int], np.ndarray]:
    """The widths, and the exponents on the narrow window as [width, rate, net, layer]."""
    widths = list(dict.fromkeys(ladder.setting("width").tolist()))
    return widths, np.array([values_of_nets(ladder.where(width=width), "narrow_exponent") for width in widths])


def widths_table(ladder: Results) -> pd.DataFrame:
    """Return the exponent of every layer against the width, without and with dropout."""
    (widths, exponents), frames = exponents_by_width(ladder), []
    for layer, name in enumerate(LAYERS):
        place = {"layer": name, "units m": widths}
        for index, rate in enumerate(rates_of(ladder)):
            found = intervals.mean(exponents[:, index, :, layer]).columns()
            frames.append({"what": "measured", "series": f"p = {rate:g}", **place, **found})
        frames.append({"what": "paper", "series": "a = 1, the paper's threshold", **place, "value": 1.0})
    return pd.concat(map(pd.DataFrame, frames)).rename(columns={"value": "exponent a, ranks 3 to 16"})


def ends_of_ladder(ladder: Results) -> pd.DataFrame:
    """Return the mean exponent of the narrowest and the widest networks, without and with dropout."""
    (widths, exponents), rates = exponents_by_width(ladder), rates_of(ladder)
    mean = exponents.mean((2, 3))
    columns = {f"exponent at m = {widths[place]}": mean[place] for place in (0, -1)}
    return pd.DataFrame({"dropout p": [f"{rate:g}" for rate in rates], **columns})


def measured_widths(ladder: Results) -> Measured:
    """Return what decides CT-15."""
    widths, exponents = exponents_by_width(ladder)
    growth = [intervals.common_slope(exponents[:, index].mean(-1), np.log10(widths)) for index in range(2)]
    quantities = dict(zip(CLAIMS["CT-15"].rule, growth, strict=True))
    error = f"95 % t interval of the regression over {len(widths)} widths and {exponents.shape[2]} networks each"
    note = f"layers with a > 1: {(exponents > 1).mean():.0%} of {exponents.size}"
    return Measured(quantities, error, scale_of(ladder), note)


def _courses(features: Results) -> dict[str, dict[str, np.ndarray]]:
    """The courses of `on_features` by condition, as [stop, net] with the networks of all seeds side by side."""
    names, courses = {values: name for name, values in CONDITIONS.items()}, {}
    for config, row in features.pairs():
        course = {key: np.concatenate([one[key] for one in row], axis=-1) for key in row[0] if key != "step"}
        courses[names[config["noise"], config["rate"], config["weight_decay"]]] = {"step": row[0]["step"], **course}
    return courses


def noise_table(features: Results) -> pd.DataFrame:
    """Return features per unit, repeated units and exponent while networks learn, against their held-out loss."""
    frames = []
    for condition, course in _courses(features).items():
        loss = np.exp(np.log(course["loss"]).mean(1))
        for key, quantity in COURSES.items():
            place = {"what": "measured", "series": condition, "quantity": quantity, "step": course["step"]}
            found = intervals.mean(course[key]).columns()
            frames.append(pd.DataFrame({**place, "held-out loss ÷ variance": loss, **found}))
    return pd.concat(frames)


def ends_of_training(features: Results) -> pd.DataFrame:
    """Return features per unit and the share of units that another repeats when training ends."""
    rows = []
    for condition, course in _courses(features).items():
        twin = intervals.mean(course["twins"][-1])
        row = {"condition": condition, "features per unit": course["index"][-1].mean()}
        rows.append({**row, "units that another repeats": twin.value, "from": twin.low, "to": twin.high})
    return pd.DataFrame(rows)


def measured_noise(features: Results) -> Measured:
    """Return what decides CT-16: what noise adds at the loss at which the network with noise ends."""
    courses, config = _courses(features), features.configs[0]

    def excess(condition: str, key: str) -> Estimate:
        course = courses[condition]
        return intervals.mean(course[key][-1] - at_loss(courses["no noise"], course["loss"][-1], key))

    pairs = (("dropout", "index"), ("Gaussian noise", "index"), ("dropout", "exponent"))
    quantities = {name: excess(*pair) for name, pair in zip(CLAIMS["CT-16"].rule, pairs, strict=True)}
    decay = {name: excess("weight decay", key) for name, key in (("features", "index"), ("exponent", "exponent"))}
    ends = ", ".join(f"{condition} {course['index'][-1].mean():.1f}" for condition, course in courses.items())
    n_nets = courses["no noise"]["loss"].shape[1]
    scale = (
        f"ReLU autoencoders {N_FEATURES}-{HIDDEN}-{N_FEATURES} of independent features of density {DENSITY:g}, "
        f"{n_nets} networks of each kind, {config['n_steps']:,} steps of {config['batch_size']} samples"
    )
    note = f"features per unit at the end: {ends}; weight decay less none at equal loss: {_listed(decay)}"
    return Measured(quantities, f"95 % t interval over {n_nets} networks", scale, note)
