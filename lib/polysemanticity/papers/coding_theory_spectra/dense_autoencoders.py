"""Small autoencoders of photographs, many at once: CT-14 and CT-15, open questions that need many networks.

Grey patches through two hidden layers to a narrow code and back through one, dropout in the encoder as in the paper. No
batch norm, hence no variance shift.
Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p the dropout rate, m the width of the hidden layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
import torch

from polysemanticity import intervals, projections, spectra
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.networks import data, perceptrons
from polysemanticity.projections import stimuli

SIDE = 12  # pixels of a patch
CODE = 32  # units of the linear code in the middle
LAYERS = ("enc1", "enc2", "dec1")  # the hidden layers, all of width m; the code is not among them
HIDDEN = (0, 1, 3)  # their places among all layers' activities
PARTS = {"encoder": [0, 1], "decoder": [2]}  # of them; dropout acts in the encoder
EFFECT = "exponent at p = 0.4 less that at 0"
NONLINEAR = tuple(name for name in perceptrons.ACTIVATIONS if name != "identity")
DECADE, NARROW = (3, 32), (3, 16)  # fitted ranks; the narrow window fits into 64 units
PROBES_PER_UNIT = 10  # n/m of every spectrum
NOISE, ATTACK = 0.1, 4 / 255  # damage of inputs in [0, 1], as in the vision family
BETTER = (
    "held-out error below that of each patch's mean grey, with and without dropout; three networks in four at least"
)
LEAST, MOST = (f"{which} of {len(NONLINEAR)} effects of dropout on the exponent" for which in ("least", "largest"))
_SOURCE = "Marshall & Kirchner 2024"

CLAIMS: dict[str, Claim] = {
    "CT-14a": Claim(
        id="CT-14a",
        claim="Where dropout acts it makes spectra steeper, whatever the nonlinearity",
        whose="open question",
        source=f"{_SOURCE}, open question 2",
        paper="open question; only ReLU networks are shown, where dropout is said to steepen spectra",
        rule={f"{LEAST}, encoder": (0.0, inf)},
        reason="Effect: exponent at p = 0.4 less that at 0, mean of the two layers of the encoder, which alone have "
        "dropout, paired by network. The direction is the paper's for ReLU. Simultaneous intervals over ReLU, GELU, "
        "SiLU and tanh. Corrected: one effect below 0 and one above.",
        corrected={f"{LEAST}, encoder": (-inf, 0.0), f"{MOST}, encoder": (0.0, inf)},
        correction="the direction depends on the nonlinearity: flatter with one, steeper with another",
        known="an audit had found +0.01 with ReLU, −0.11 GELU, −0.12 SiLU and +0.17 tanh; other networks are judged",
        gate=BETTER,
        figure="figx_activations",
    ),
    "CT-14b": Claim(
        id="CT-14b",
        claim="Behind the code, where there is no dropout, spectra become steeper all the same",
        whose="ours",
        source="not in the paper: our measurement",
        paper="silent",
        rule={f"{LEAST}, decoder": (0.0, inf)},
        reason="As CT-14a, for the one layer of the decoder.",
        known="an audit had found +0.39 to +0.52; other networks are judged",
        gate=BETTER,
        figure="figx_activations",
    ),
    **{
        name: Claim(
            id=name,
            claim=f"The exponent does not depend on the size of the network{where}",
            whose="open question",
            source=f"{_SOURCE}, open question 3",
            paper="open question; no numbers",
            rule={f"exponent per decade of width{where}, p = {rate:g}": (-0.1, 0.1) for rate in (0.0, 0.4)},
            reason="0.1 per decade of width is what one could not see between GPT-2 small and XL. Regression of each "
            f"network's exponents on log10 width and {beside}, over widths and learning rates; mean over three hidden "
            "layers; n/m = 10 and ranks 3 to 16 at every width, so that neither sampling nor the window changes with "
            "it (16 is a quarter of the narrowest layer: under a decade). Networks, that is photographs and random "
            "starts, are the sample.",
            known="at one learning rate, without regard to the loss, other networks gave −0.28 per decade without "
            "dropout and +0.45 with it; nothing at other rates and at equal loss",
            gate="held-out error below that of each patch's mean grey; other trainings are left out of the "
            "regression, and three in four have to pass",
            figure="figx_widths",
        )
        for name, where, beside in (
            ("CT-15a", "", "log10 learning rate"),
            ("CT-15b", " at equal loss", "the logarithm of the held-out loss"),
        )
    },
}


RATES = (0.0, 0.4)
LR = 1e-3  # of Adam, where the learning rate is not the question


@dataclass(frozen=True)
class Settings:
    """Small autoencoders."""

    n_nets: int = setting(5, "small autoencoders of each kind; each splits the photographs anew", low=2, smoke=2)
    n_steps: int = setting(500, "training steps of the autoencoders of photographs", low=2, smoke=4)
    width: int = setting(256, "units of their hidden layers where width is not the question", low=128, smoke=128)
    widths: tuple[int, ...] = setting(
        (64, 128, 256, 512, 1024), "widths of their hidden layers", low=64, smoke=(64, 128)
    )
    lrs: tuple[float, ...] = setting(
        (3e-4, 1e-3, 3e-3), "learning rates at every width but the largest, which has the middle one", low=1e-6,
        smoke=(1e-3, 3e-3),
    )  # fmt: skip
    n_frames: int = setting(256, "frames of the moving dot", low=8, smoke=32)
    n_projections: int = setting(50, "random projections of its path", low=1, smoke=4)


def photograph_nets(settings: Settings, images, activation: str, dropout: float, width: int, lr: float = LR) -> dict:
    """Return the configuration of `on_photographs` for one ensemble; `images` has `source` and `folder` of vision."""
    folder = images.folder if images.source == "photographs" else ""
    content = fingerprint_here({"folder": folder}) if images.source == "photographs" else ""
    return {
        **{"activation": activation, "dropout": dropout, "width": width, "content": content, "folder": folder},
        **{"n_nets": settings.n_nets, "n_steps": settings.n_steps, "n_train": 16384, "batch_size": 64, "lr": lr},
        **{"n_frames": settings.n_frames, "n_projections": settings.n_projections},
    }


def nonlinearities(settings: Settings, images) -> list[dict]:
    """Return the configurations of `on_photographs` with every activation function, without and with dropout."""
    kinds = [(name, rate) for name in perceptrons.ACTIVATIONS for rate in RATES]
    return [photograph_nets(settings, images, name, rate, settings.width) for name, rate in kinds]


def width_ladder(settings: Settings, images) -> list[dict]:
    """Return the configurations of `on_photographs` with ReLUs at every width and learning rate, both dropout rates.

    The largest width, which takes longest, is trained at the middle learning rate alone.
    """
    kinds = [
        (rate, width, lr)
        for width in settings.widths
        for lr in (settings.lrs if width < max(settings.widths) else [middle(settings.lrs)])
        for rate in RATES
    ]
    return [photograph_nets(settings, images, "relu", *kind) for kind in kinds]


def middle(lrs: Sequence[float]) -> float:
    """The middle one of the learning rates, the larger of two."""
    return sorted(lrs)[len(lrs) // 2]


def fingerprint_here(config) -> str:
    """Return the fingerprint of the photographs that a config of `on_photographs` means on this machine."""
    return data.fingerprint(data.photographs(config["folder"] or None))


def patches(
    seed: int, n_train: int, n_probe: int, folder: str, device
) -> tuple[torch.Tensor, torch.Tensor, tuple[float, float]]:
    """Return grey patches to learn and to probe [n, pixels], and mean and standard deviation of the learnt pixels.

    Every seed splits the photographs anew; grey is the mean of the channels, centred with that mean and in units of
    that deviation.
    """
    learnt, held = data.split(data.photographs(folder or None, smallest=SIDE), seed=seed)
    parts = [
        data.patches(pictures, n, SIDE, streams.rng(seed, stream)).pixels.mean(1).flatten(1)
        for pictures, n, stream in ((learnt, n_train, "patches"), (held, n_probe, "probes"))
    ]
    mean, scale = parts[0].mean(), parts[0].std()
    return *(((part - mean) / scale).to(device) for part in parts), (float(mean), float(scale))


def on_photographs(
    *, seed, device, activation, dropout, width, n_nets, n_train, n_steps, batch_size, lr, content, folder, n_frames,
    n_projections
) -> dict:  # fmt: skip
    """Train autoencoders with seeds `seed`, `seed` + 1, …; return losses, and exponents, decodability and roughness.

    The last three are [net, layer]; roughness is log10 of it, of random projections of the path of a moving dot.
    """
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
    layers = [found[place] for place in HIDDEN]
    exponents = np.array([[exponent(layer[k], DECADE, NARROW) for layer in layers] for k in range(n_nets)])
    mean, scale = torch.tensor([one[2] for one in sets], device=device).T[..., None, None]
    dot = stimuli.moving_dot(n_frames, SIDE, radius=SIDE / 3, sigma=1.0).frames
    dot = (torch.from_numpy(dot).float().flatten(1).to(device) - mean) / scale
    return {
        "exponent": exponents[..., 0],
        "narrow_exponent": exponents[..., 1],
        "decodability": np.array([[decodability(layer[k], held[k]) for layer in layers] for k in range(n_nets)]),
        "roughness": roughness(nets, dot, n_projections, streams.rng(seed, "projections")),
        "train_loss": _loss(nets, learnt[:, :n_probe], learnt[:, :n_probe]).cpu().numpy(),
        "grey_loss": (held - held.mean(-1, keepdim=True)).square().mean((1, 2)).cpu().numpy(),
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


def roughness(
    nets: perceptrons.Perceptrons, path: torch.Tensor, n_projections: int, rng: np.random.Generator
) -> np.ndarray:
    """Return log10 roughness of random 3-D projections of every hidden layer along closed paths [net, T, pixels]."""
    with torch.no_grad():
        found = perceptrons.activities(nets, path)
    found = [found[place].double().cpu().numpy() for place in HIDDEN]
    matrices = [projections.random_projection(layer.shape[-1], 3 * n_projections, rng) for layer in found]
    drawn = [
        (layer @ matrix).reshape(*layer.shape[:2], n_projections, 3).swapaxes(1, 2)
        for layer, matrix in zip(found, matrices, strict=True)
    ]
    return np.stack([np.log10(projections.roughness(points, closed=True)).mean(-1) for points in drawn], axis=-1)


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


# ------------------------------------------------------------ what the figures show and what decides the claims


def values_of_nets(results: Results, key: str) -> np.ndarray:
    """One value of `on_photographs` as [config, net, ...]: the networks of all seeds side by side."""
    values = results.array(key)  # [config, seed, net, ...]
    return values.reshape(len(values), -1, *values.shape[3:])


def by_activation(kinds: Results, key: str) -> dict[str, np.ndarray]:
    """One value of the networks of `nonlinearities` for each activation function, as [rate, net, layer]."""
    names = dict.fromkeys(kinds.setting("activation").tolist())
    return {name: values_of_nets(kinds.where(activation=name), key) for name in names}


def dropout_effects(kinds: Results, part: str) -> dict[str, np.ndarray]:
    """What dropout adds to the exponent of each network, mean of a part's layers, for each activation function: [net].

    `part` is a name in PARTS.
    """
    found = by_activation(kinds, "exponent")
    return {name: np.diff(values[..., PARTS[part]].mean(-1), axis=0)[0] for name, values in found.items()}


def beats_grey(results: Results) -> np.ndarray:
    """Whether networks [config, net] reconstruct held-out patches better than each patch's mean grey does."""
    return values_of_nets(results, "test_loss") < values_of_nets(results, "grey_loss")


def learnt(kinds: Results) -> dict[str, np.ndarray]:
    """Whether networks pass the gate with and without dropout, for each activation function: [net]."""
    grey, loss = (by_activation(kinds, key) for key in ("grey_loss", "test_loss"))
    return {name: (loss[name] < grey[name]).all(0) for name in loss}


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
    """Return what dropout adds to the exponent of encoder and decoder, for each activation function."""
    frames = []
    for part in PARTS:
        for name, values in dropout_effects(kinds, part).items():
            role = {"what": "control" if name == "identity" else "measured", "series": part}
            frames.append({**role, "activation": name, **intervals.mean(values).columns()})
    return pd.DataFrame(frames).rename(columns={"value": EFFECT})


def effects_by_layer(kinds: Results) -> pd.DataFrame:
    """Return what dropout adds to the mean exponent of each layer, and to the mean decodability."""
    rows, read = [], by_activation(kinds, "decodability")
    for name, values in by_activation(kinds, "exponent").items():
        layers = np.diff(values, axis=0)[0].mean(0)
        added = {f"exponent, {layer}": value for layer, value in zip(LAYERS, layers, strict=True)}
        rows.append({"dropout adds": name, **added, "R² of the patch": np.diff(read[name].mean((1, 2)))[0]})
    return pd.DataFrame(rows)


def measured_nonlinearities(kinds: Results) -> dict[str, Measured]:
    """Return what decides CT-14a and CT-14b, by claim."""
    good, level = learnt(kinds), 1 - 0.05 / len(NONLINEAR)
    error = f"95 % t intervals over {len(good[NONLINEAR[0]])} networks (weights, photographs), simultaneous over four"
    gate = f"passed by {np.mean([good[name] for name in NONLINEAR]):.0%}"
    found = {}
    for claim, part in zip(("CT-14a", "CT-14b"), PARTS, strict=True):
        effects = dropout_effects(kinds, part)
        each = {
            name: intervals.gated(good[name], lambda some, x=effects[name]: intervals.mean(x[some], level=level))
            for name in NONLINEAR
        }
        quantities = {f"{LEAST}, {part}": intervals.extreme([*each.values()], largest=False)}
        quantities[f"{MOST}, {part}"] = intervals.extreme([*each.values()])
        note = f"effects: {_listed(each)}; identity {effects['identity'].mean():+.2f}; gate {gate}"
        found[claim] = Measured(quantities, error, scale_of(kinds), note)
    return found


FOLLOWED = {  # what is followed over the widths, and where it is in the results
    "exponent a, ranks 3 to 16": "narrow_exponent",
    "log10 roughness": "roughness",
    "R² of the patch": "decodability",
}


def exponents_by_width(ladder: Results) -> tuple[list[int], np.ndarray]:
    """The widths, and the exponents at the middle learning rate on the narrow window as [width, rate, net, layer]."""
    widths, lr = list(dict.fromkeys(ladder.setting("width").tolist())), middle(sorted(set(ladder.setting("lr"))))
    return widths, np.array([values_of_nets(ladder.where(width=w, lr=lr), "narrow_exponent") for w in widths])


def widths_table(ladder: Results) -> pd.DataFrame:
    """Return the exponent of every layer against the width at the middle learning rate, without and with dropout.

    Beside it stands the share of networks that learnt more than each patch's mean grey.
    """
    (widths, exponents), lr, frames = exponents_by_width(ladder), middle(sorted(set(ladder.setting("lr")))), []
    good = np.array([beats_grey(ladder.where(width=width, lr=lr)).mean(-1) for width in widths])
    for layer, name in enumerate(LAYERS):
        place = {"layer": name, "units m": widths}
        for index, rate in enumerate(rates_of(ladder)):
            found = intervals.mean(exponents[:, index, :, layer]).columns()
            row = {"what": "measured", "series": f"p = {rate:g}", **place, **found}
            frames.append(row | {"share that learnt": good[:, index]})
        frames.append({"what": "paper", "series": "a = 1, the paper's threshold", **place, "value": 1.0})
    return pd.concat(map(pd.DataFrame, frames)).rename(columns={"value": "exponent a, ranks 3 to 16"})


def growth(ladder: Results, key: str, equal_loss: bool) -> list[Estimate]:
    """Return by dropout rate what a decade of width adds to a layer mean: each network's regression, then their mean.

    Beside log10 of the width stands log10 of the learning rate, or the logarithm of the held-out loss. The whole line
    where these leave the width nothing of its own.
    """
    return [_growth(ladder.where(dropout=rate), key, equal_loss) for rate in rates_of(ladder)]


def _growth(ladder: Results, key: str, equal_loss: bool) -> Estimate:
    values, loss, good = values_of_nets(ladder, key).mean(-1), values_of_nets(ladder, "test_loss"), beats_grey(ladder)
    width, lr = (np.log10(ladder.setting(name).astype(float)) for name in ("width", "lr"))
    slopes = []
    for net in range(values.shape[1]):
        columns = [np.ones_like(width), width, np.log(loss[:, net]) if equal_loss else lr]
        design, y = np.stack(columns, axis=1)[good[:, net]], values[good[:, net], net]
        if not intervals.passes(good.ravel()) or np.linalg.matrix_rank(design) < len(columns):
            return Estimate(np.nan, -inf, inf)
        slopes.append(np.linalg.lstsq(design, y, rcond=None)[0][1])
    return intervals.mean(slopes)


def growth_table(ladder: Results) -> pd.DataFrame:
    """Return what a decade of width adds to exponent, roughness and decodability, without and with dropout."""
    rows = []
    for name, key in FOLLOWED.items():
        found = [estimate for equal in (False, True) for estimate in growth(ladder, key, equal)]
        rows.append([name, *map(_or_not_judged, found)])
    heads = [f"p = {rate:g}{where}" for where in ("", ", at equal loss") for rate in rates_of(ladder)]
    return pd.DataFrame(rows, columns=["a decade of width adds to", *heads])


def _or_not_judged(estimate: Estimate) -> str:
    return "not judged" if np.isnan(estimate.value) else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*estimate)


def measured_widths(ladder: Results) -> dict[str, Measured]:
    """Return what decides CT-15a and CT-15b, by claim."""
    nets, lrs = values_of_nets(ladder, "train_loss").shape[1], sorted(set(ladder.setting("lr").tolist()))
    error = f"95 % t interval over {nets} networks, each one's regression over {len(ladder) // len(RATES)} trainings"
    scale = f"{scale_of(ladder)}; learning rates {', '.join(f'{lr:g}' for lr in lrs)}, the widest at {middle(lrs):g}"
    passed = (f"{beats_grey(ladder.where(dropout=rate)).mean():.0%} at p = {rate:g}" for rate in rates_of(ladder))
    steep = (values_of_nets(ladder, "narrow_exponent") > 1).mean()
    note = f"gate passed by {', '.join(passed)}; layers with a > 1: {steep:.0%}"
    return {
        claim: Measured(
            dict(zip(CLAIMS[claim].rule, growth(ladder, "narrow_exponent", equal), strict=True)), error, scale, note
        )
        for claim, equal in (("CT-15a", False), ("CT-15b", True))
    }
