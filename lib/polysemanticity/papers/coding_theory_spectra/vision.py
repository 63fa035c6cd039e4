"""ResNet-VAEs that learnt, over depth and dropout: CT-03 to CT-06.

The networks of weights/resnet_vae are shown patches of photographs that none of them has seen, and a dot that moves on
a circle. Symbols: a > 0 is the exponent of lambda_i ~ i^-a (the paper's alpha is -a), p the dropout rate.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from polysemanticity import intervals, projections, spectra
from polysemanticity.base import paths, streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.networks import data, erasing, probing, resnet_vae, train
from polysemanticity.papers.coding_theory_spectra import learnt_vaes
from polysemanticity.papers.coding_theory_spectra.learnt_vaes import RECIPE
from polysemanticity.projections import stimuli

ENCODER = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc1", "fc2", "mu")
EARLY, LATE = ENCODER[:3], ENCODER[-3:]
LAYERS = (*ENCODER, "fc4", "fc5")
CONVOLUTIONAL = ("stem", "layer1", "layer2", "layer3", "layer4")
FITTED_RANKS = (3, 32)  # the fitted ranks: the same for every layer and every number of images, see Settings
DRAWN = 20  # projected paths kept of each layer, to look at
BATCH = 256  # images that pass through a network together
ENOUGH = 30  # samples per unit from which an exponent needs no correction: it would be below 0.01
RANKS = 512  # eigenvalues kept of each spectrum
NOISE, ATTACK = 0.1, 4 / 255  # what is added to images in [0, 1]: Gaussian noise; a step along the gradient's sign
TESTED = 512  # images that each loss of `robustness` is measured on
STEEPEST = spectra.MAX_EXPONENT  # a layer of fewer directions than the fitted ranks shows more: it counts as this
COMPONENTS = 32  # principal components whose reconstruction stands beside the networks'
VIEWS = ("flattened", "channel", "pooled", "location")  # how a convolutional layer is read, see `spectra.views`
VIEW_WINDOW = (2, 12)  # the fitted ranks in every view: the first layers have 16 channels only
DECADE_UNITS = 4 * FITTED_RANKS[1]  # a layer with fewer units has no exponent: the tail of its spectrum would be fitted
SOURCE = "Marshall & Kirchner 2024"
GATE = (
    "held-out pixel R² of each network above that of every patch in its own mean colour, on photographs that none has "
    "seen; a rate counts where all its networks reach it"
)
NOT_BLIND = (
    "the recipe was chosen on photographs kept for that, by the loss alone; earlier networks, which had learnt less "
    "than each patch's mean colour, had been measured in eval mode and float32, "
    "and an audit of them was read; the number of networks was cut from five to four of each rate, for time, when one "
    "of them had been looked at, and the fifth was added when the four had been judged"
)
PROBED = (
    "Batch norm's statistics are taken anew without dropout and activity is measured in float64; eval mode and train "
    "mode are artefacts of dropout before batch norm (Li et al. 2019), shown beside it and not judged. "
)
PARTED = (
    "; when the rule was written the trend and the trend at equal loss were one row, which the paper does not say: "
    "they were parted after the result, with the bands as they were"
)
TRENDS = (
    ("gives steeper spectra", "exponent", (0.0, inf)),
    ("gives smoother projections", "log10 roughness", (-inf, 0.0)),
    ("lets projections explain more of the input", "R² to the dot's position", (0.0, inf)),
)
SHOWN = (0.0, 0.2, 0.4)  # the rates whose networks are judged by themselves

CLAIMS: dict[str, Claim] = {
    **{
        name: Claim(
            id=name,
            claim=f"The exponent is non-monotone in depth, {where}: redundancy first falls, then rises",
            source=f"{SOURCE}, Fig. 3",
            paper="eigenspectrum decay (redundancy) falls, then rises with depth; no numbers at hand",
            rule={"fall, least over n": (0.05, inf), "rise, least over n": (0.05, inf)},
            reason="Fall: the stem's exponent less that of the flattest layer between stem and mu; rise: that of mu "
            "less the flattest's. The flattest layer is found on the other networks, so that picking it makes no fall; "
            "where the stem is flatter than all others the fall is negative. Exponents are corrected for the number of "
            "images n; the least over all n, because a pattern that depends on n is an artefact of sampling. 0.05 is "
            "the sampling error of one exponent. The paper does not say which rate it shows. " + PROBED,
            whose="printed",
            known=NOT_BLIND,
            gate=GATE,
            figure="fig3b_depth",
        )
        for name, where in (("CT-03a", "without dropout"), ("CT-03b", "with dropout of 0.2"))
    },
    "CT-04": Claim(
        id="CT-04",
        claim="The non-monotone course over depth does not depend on how convolutional layers are read",
        source=f"{SOURCE}, next checks (convolutional layers)",
        paper="asks whether the result carries over; no numbers",
        rule={"fall, least over views": (0.05, inf), "rise, least over views": (0.05, inf)},
        reason="The fall and rise of CT-03a, without dropout, in each of four views: all units; channels with every "
        "position as a sample; channels averaged over positions; channels at the central position. Behind the average "
        "pooling the views are one. In all views the ranks are 2 to 12, as the first layers have 16 channels: under a "
        "decade, so this is a measure of steepness and no law. The least over views of every network, at the most "
        "images. " + PROBED,
        whose="open question",
        known=NOT_BLIND,
        gate=GATE,
        figure="figx_views",
    ),
    **{
        f"CT-05{letter}": Claim(
            id=f"CT-05{letter}",
            claim=f"More dropout {what}",
            source=f"{SOURCE}, Fig. 5",
            paper="monotone trends over p = 0, .2, .4, .6, .8, one network each",
            rule={f"{quantity} per unit dropout": band},
            reason="Signs only: the paper gives directions. Mean over the encoder's nine layers; slope of a linear "
            "regression on the rate with one constant per seed. Rates 0 to 0.4 of which all networks pass the gate, "
            "three at least. " + PROBED,
            whose="printed",
            known=NOT_BLIND + PARTED,
            gate=GATE,
            figure="fig5_dropout",
        )
        for letter, (what, quantity, band) in zip("abc", TRENDS, strict=True)
    },
    **{
        f"CT-05{letter}": Claim(
            id=f"CT-05{letter}",
            claim=f"More dropout {what}, also among networks that reconstruct equally well",
            source=f"ours, from Fig. 5 of {SOURCE}",
            paper="not in the paper, which compares networks at the end of their training",
            rule={f"{quantity} per unit dropout, at equal loss": band},
            reason="Dropout also slows learning. As above, with the held-out loss as a second regressor; rate and loss "
            "go together closely, so that this rests on how networks of one rate differ. " + PROBED,
            whose="ours",
            known=NOT_BLIND + PARTED,
            gate=GATE,
            figure="fig5_dropout",
        )
        for letter, (what, quantity, band) in zip("def", TRENDS, strict=True)
    },
    **{
        name: Claim(
            id=name,
            claim=f"Random projections of a moving dot {what} in late layers than in early ones",
            source=f"{SOURCE}, Fig. 4",
            paper="late layers recover the smooth loop",
            rule={f"{quantity}, late less early, p = {rate:g}": band for rate in SHOWN},
            reason="Signs only: the paper shows pictures. Early and late are the first and last third of the encoder's "
            "layers; 100 projections each, none selected. Three rates, each by itself, as their signs may differ. "
            + PROBED,
            whose="printed",
            known=NOT_BLIND,
            gate=GATE,
            figure="fig4b_roughness",
        )
        for name, what, quantity, band in (
            ("CT-06a", "are smoother", "log10 roughness", (-inf, 0.0)),
            ("CT-06b", "tell more of its position", "R² to the dot's position", (0.0, inf)),
        )
    },
}


RENORMED = "batch norm recalibrated"
PROBES = {RENORMED: "", "eval mode": "eval_", "left in train mode": "train_", "untrained": "untrained_"}
WAYS = tuple(PROBES)[:3]  # of probing a trained network
QUANTITIES = {"exponent": "exponent a", "roughness": "log10 roughness", "r2": "R² to the dot's position"}
VIEW_NAMES = dict(
    zip(
        VIEWS,
        ("all units", "channels, every position a sample", "channels, mean over positions", "channels, one position"),
        strict=True,
    )
)
PICKED = ("stem", "layer2", "layer4", "fc2", "mu")  # layers whose path is drawn


@dataclass(frozen=True)
class Settings:
    """The ResNet-VAEs: those stored in weights/ are measured, or others trained. The fitted ranks are 3 to 32: one
    decade, and at most a quarter of the units even in the narrowest layer (128), so that layers and numbers of images
    are compared on the same ranks."""

    n_seeds: int = setting(len(learnt_vaes.SEEDS), "networks for each dropout rate", low=2, smoke=2)
    dropouts: tuple[float, ...] = setting(
        learnt_vaes.RATES, "dropout rates of the encoder", low=0, high=0.95, smoke=(0.0, 0.2),
        paper=(0.0, 0.2, 0.4, 0.6, 0.8),
    )  # fmt: skip
    retrain: bool = setting(False, "train networks here, instead of opening the stored ones", paper=True)
    source: str = setting("photographs", "what is learnt", choices=("photographs", "cifar10"), paper="cifar10")
    folder: str = setting(
        "", "folder of your own pictures, or of CIFAR-10; empty: the photographs that ship here",
        place="folder",
    )  # fmt: skip
    n_train: int = setting(RECIPE.n_train, "patches to train on (CIFAR-10: images)", low=64, paper=50000)
    n_steps: int = setting(RECIPE.n_steps, "training steps", low=2, paper=200_000)
    batch_size: int = setting(RECIPE.batch_size, "images per step", low=2, paper=50)
    lr: float = setting(RECIPE.lr, "Adam's learning rate at the start", low=0, paper=1e-3)
    kl_weight: float = setting(RECIPE.kl_weight, "weight of the KL term; the paper's is 1", low=0, paper=1.0)
    noise: float = setting(
        RECIPE.noise, "logarithm of the latents' variance at the start; the paper's is 0", high=0, paper=0.0
    )
    schedule: str = setting(RECIPE.schedule, "learning rate over time", choices=train.SCHEDULES, paper="constant")
    width: float = setting(RECIPE.width, "channels of the encoder relative to ResNet18", low=1 / 64, high=4, paper=1.0)
    hidden: int = setting(
        RECIPE.hidden, "units of the fully connected layers; the paper's are 1024", low=DECADE_UNITS, paper=1024
    )
    latent: int = setting(RECIPE.latent, "latents; the paper's are 256", low=DECADE_UNITS, paper=256)
    image_size: int = setting(RECIPE.image_size, "side of the network's input in pixels", low=16, paper=224)
    scale: int = setting(RECIPE.scale, "side of the square of a photograph's pixels that make one", low=1, high=8)
    n_first: int = setting(RECIPE.n_first, "of the training steps, those at the start without dropout", low=0, paper=0)
    stem_stride: int = setting(
        RECIPE.stem_stride, "how much the stem reduces the image: 4 is the paper's ResNet18", choices=(1, 2, 4), paper=4
    )
    sizes: tuple[int, ...] = setting(
        (192, 384, 768, 1536), "numbers of probe images n, ascending", low=DECADE_UNITS, smoke=(128, 160, 192),
        paper=(500, 1000, 2000, 4000),  # the stem has 802,816 units: 13 GB are held for 4,000 images, and no copy
    )  # fmt: skip
    precision: str = setting(
        "float64", "of the computation when activity is measured", choices=("float64", "float32"), paper="float32"
    )
    n_frames: int = setting(256, "frames of the moving dot, one turn", low=8, smoke=32)
    n_projections: int = setting(100, "random projections of the dot's activity", low=2, smoke=4)
    layers_at_once: int = setting(len(LAYERS), "layers whose activity is held in memory together", low=1, paper=1)


def networks(settings: Settings, seed: int) -> list[dict]:
    """Return the configurations of `vae`, one for each dropout rate; `seed` is the run's.

    Raises ValueError for a rate, a number of networks or a recipe that is not stored, unless networks are trained.
    """
    recipe = {name: getattr(settings, name) for name in asdict(RECIPE)}
    stored = "retrained"
    if not settings.retrain:
        listed = learnt_vaes.listed()
        anew = "; with vision.retrain=true others are trained"
        for name, value in listed["recipe"].items():
            check(recipe[name] == value, f"vision.{name}", recipe[name], f"{value}, as in the stored networks{anew}")
        check(settings.source == "photographs", "vision.source", settings.source, f"'photographs'{anew}")
        most = len(learnt_vaes.SEEDS)
        check(settings.n_seeds <= most, "vision.n_seeds", settings.n_seeds, f"at most {most}{anew}")
        for rate in settings.dropouts:
            check(rate in learnt_vaes.RATES, "vision.dropouts", rate, f"one of {learnt_vaes.RATES}{anew}")
        stored = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    common = {
        "stored": stored,
        "place": "",
        "first_seed": seeds(settings, seed)[0],
        "content": fingerprint_here({"source": settings.source, "folder": settings.folder}),
        **{name: getattr(settings, name) for name in ("source", "folder", "sizes", "precision", "n_frames")},
        **{name: getattr(settings, name) for name in ("n_projections", "layers_at_once")},
        **recipe,
    }
    return [{"dropout": rate, **common} for rate in settings.dropouts]


def seeds(settings: Settings, seed: int) -> range:
    """Return the seeds of the networks; of stored ones, in a run with another seed, those of what they are shown."""
    return range(seed + learnt_vaes.SEEDS[0], seed + learnt_vaes.SEEDS[0] + settings.n_seeds)


def fingerprint_here(config) -> str:
    """Return the fingerprint of the images that a config of `vae` means on this machine."""
    own = config["source"] == "photographs"
    return data.fingerprint(data.photographs(config["folder"] or None)) if own else "published"


class Images(NamedTuple):
    """Images to train on, none for a stored network, and to probe with; `picture` is the photograph of each probe."""

    train: torch.Tensor
    probe: torch.Tensor
    picture: torch.Tensor | None


def images(source: str, folder: str, n_train: int, n_probe: int, size: int, scale: int, seed: int) -> Images:
    """Return images in [0, 1] to train on, as many as asked for, and others to probe with.

    Where none are learnt here, all photographs are probes; else every seed splits them anew.
    """
    if source == "cifar10":
        fitted, held = (data.cifar10(folder or paths.cache() / "cifar10", train=part).pixels for part in (True, False))
        check(n_probe <= len(held), "sizes", n_probe, f"at most {len(held)}, CIFAR-10's test images")
        return Images(fitted[:n_train], held[:n_probe], None)
    fitted, held = {}, data.photographs(folder or None, smallest=size * scale)
    if n_train:
        fitted, held = data.split(held, seed=seed)
    probes = learnt_vaes.reduced(held, n_probe, size, scale, streams.rng(seed, "probes"))
    learnt = probes.pixels[:0]
    if n_train:
        learnt = learnt_vaes.reduced(fitted, n_train, size, scale, streams.rng(seed, "patches")).pixels
    return Images(learnt, probes.pixels, probes.image)


def vae(
    *, seed, device, dropout, stored, place, first_seed, content, source, folder, sizes, precision, n_frames,
    n_projections, layers_at_once, width, hidden, latent, image_size, scale, stem_stride, n_train, n_steps, n_first,
    batch_size, lr, schedule, kl_weight, noise,
) -> dict:  # fmt: skip
    """Open or train one VAE and return its spectra, exponents, dot projections and losses; the first axis is LAYERS.

    What a name without a prefix holds was measured with batch norm's statistics taken anew, without dropout;
    `eval_…` with those of training, `train_…` in train mode, `untrained_…` before any training. place: the folder of
    stored networks, empty for this checkout's.
    """
    recipe = learnt_vaes.Recipe(
        width, hidden, latent, image_size, scale, stem_stride, n_train, n_steps, n_first, batch_size, lr, schedule,
        kl_weight, noise,
    )  # fmt: skip
    n_probe, number = max(sizes), seed
    if stored == "retrained":
        seen = images(source, folder, n_train, n_probe, 32 if source == "cifar10" else image_size, scale, seed)
        nets, _ = learnt_vaes.learn(recipe, dropout, seed, seen.train, device)
        own = seen.train[:TESTED]
        learnt = learnt_vaes.reconstructed(nets.renormed, own, resnet_vae.prepare(own, image_size).mean(0)).loss
    else:
        seen = images(source, folder, 0, n_probe, image_size, scale, seed)
        number, folder_of = learnt_vaes.SEEDS[0] + seed - first_seed, Path(place) if place else learnt_vaes.folder()
        nets = learnt_vaes.stored(dropout, number, device, folder_of)
        learnt = learnt_vaes.listed(folder_of)["networks"][learnt_vaes.name(dropout, number)][learnt_vaes.LEARNT]
    dot = stimuli.moving_dot(n_frames)
    frames = resnet_vae.prepare(torch.from_numpy(dot.frames).float()[:, None].expand(-1, 3, -1, -1), image_size)
    ways = {"": (nets.renormed, "eval"), "eval_": (nets.trained, "eval"), "train_": (nets.trained, "train")}
    if dropout == 0:  # the same at other rates, as dropout has no weights
        start = learnt_vaes.build(recipe, dropout, number, device)
        ways["untrained_"] = resnet_vae.renormalised(start, seen.probe), "eval"
    units = min(erasing.UNITS, 8 * round(64 * width), hidden, latent)  # of the narrowest layer
    held = resnet_vae.prepare(seen.probe, image_size)
    told = erasing.components(seen.probe)
    rows: dict[str, dict] = {}
    for first in range(0, len(LAYERS), layers_at_once):
        layers = LAYERS[first : first + layers_at_once]
        for way, (net, mode) in ways.items():
            net = copy.deepcopy(net).to(getattr(torch, precision))
            pixels = seen.probe if way == "" else seen.probe[: sizes[-2]]
            on_images = _activity(net, pixels, image_size, layers, mode, seed, device)
            on_dot = _activity(net, frames, image_size, layers, mode, seed, device)
            for layer in layers:
                path = dot_path(on_dot[layer].flatten(1), dot.angles, n_projections, seed)
                if way == "":
                    draws = streams.rng(seed, "erasures")
                    left = erasing.survival(on_images[layer].flatten(1), told, draws, units)
                    rows[layer] = {**_spectra(layer, on_images[layer], sizes, seen.picture), **path, **left}
                    continue
                flat = on_images[layer].flatten(1)
                exponent = np.nan if probing.is_dead(flat) else _exponent(spectra.covariance_spectrum(flat))[1]
                control = {"exponent": exponent, "roughness": path["roughness"], "r2": path["r2"]}
                rows[layer] |= {way + key: value for key, value in control.items()}
    as_trained, anew = (learnt_vaes.reconstructed(net, seen.probe, held.mean(0)) for net in nets)
    with torch.no_grad():
        output = nets.renormed(held[:8].to(device)).pixels.cpu()
    return {
        **{key: np.array([rows[layer][key] for layer in LAYERS]) for key in rows[LAYERS[0]]},
        "loss": anew.loss,
        "eval_loss": as_trained.loss,
        "pixel_r2": anew.r2,
        "eval_pixel_r2": as_trained.r2,
        "colour_r2": probing.mean_colour_r2(held, held.mean(0)),
        "principal_r2": probing.principal_r2(held[::2], held[1::2], COMPONENTS),
        "train_loss": learnt,
        **references(held),
        **robustness(nets.renormed, held[:TESTED].to(device), seed),
        "examples": np.stack([(part * 255).round().byte().numpy() for part in (held[:8], output)]),
    }


def references(held: torch.Tensor) -> dict:
    """Return the cross-entropy of held-out images that no network falls below, and that of two plain guesses.

    best_loss: every pixel exactly right; mean_colour_loss: each image in its own mean colour; mean_image_loss: all
    images as their mean.
    """
    guesses = {
        "best_loss": held,
        "mean_colour_loss": held.mean((2, 3), keepdim=True).expand_as(held),
        "mean_image_loss": held.mean(0).expand_as(held),
    }
    return {
        name: float(torch.nn.functional.binary_cross_entropy(guess, held, reduction="sum")) / len(held)
        for name, guess in guesses.items()
    }


def robustness(model: resnet_vae.ResNetVAE, held: torch.Tensor, seed: int) -> dict:
    """Return mean cross-entropies of held-out images [n, 3, size, size] in eval mode: clean, noisy and attacked.

    The input is damaged, the target never: Gaussian noise of standard deviation 0.1, or a step of 4/255 along the sign
    of the loss's gradient for each pixel (Goodfellow et al. 2015).
    """
    noise = torch.randn(held.shape, generator=streams.generator(seed, "corruption")).to(held)
    moved = held.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(resnet_vae.vae_terms(model(moved), held).reconstruction.sum(), moved)
    damaged = {
        "test_loss": held,
        "noisy_loss": (held + NOISE * noise).clamp(0, 1),
        "attacked_loss": (held + ATTACK * gradient.sign()).clamp(0, 1),
    }
    with torch.no_grad():
        return {
            name: float(resnet_vae.vae_terms(model(inputs), held).reconstruction.mean())
            for name, inputs in damaged.items()
        }


def _activity(model, pixels, size, layers, mode, seed, device) -> dict[str, torch.Tensor]:
    """Layer -> activity [n, ...] on the device in the model's precision: that of all images, and one batch more."""
    noise = None if mode == "eval" else streams.generator(seed, "probe noise", device)
    kind = next(model.parameters()).dtype
    batches = (resnet_vae.prepare(batch, size).to(kind) for batch in pixels.split(BATCH))
    found: dict[str, torch.Tensor] = {}
    for number, part in enumerate(resnet_vae.activations(model, batches, layers, mode=mode, noise=noise)):
        for layer, rows in part.items():
            whole = found.setdefault(layer, rows.new_empty(len(pixels), *rows.shape[1:]))
            whole[number * BATCH : number * BATCH + len(rows)] = rows
    return found


def _exponent(
    spectrum: spectra.Spectrum, window: tuple[int, int] = FITTED_RANKS, least_units: int | None = None
) -> tuple[float, float, float]:
    """The fitted exponent, the corrected one and the R^2 of the fit; NaN for a layer too narrow for the window.

    Too narrow is one of fewer than four times the last rank of units, or than `least_units`.
    """
    if min(spectrum.n_samples, spectrum.n_units) < (4 * window[1] if least_units is None else least_units):
        return np.nan, np.nan, np.nan
    first, last = window
    if spectrum.eigenvalues[last - 1] <= 0:
        return STEEPEST, STEEPEST, 0.0
    law = spectra.fit_power_law(spectrum, first, last)
    if law.exponent >= STEEPEST:
        return STEEPEST, STEEPEST, law.r2
    if spectrum.n_samples >= ENOUGH * spectrum.n_units:
        return law.exponent, law.exponent, law.r2
    return law.exponent, spectra.debias_power_law(spectrum, first=first, last=last).exponent, law.r2


def _spectra(layer: str, activity: torch.Tensor, sizes: tuple[int, ...], picture: torch.Tensor | None) -> dict:
    """Everything about the covariance of one layer; the axis of `sizes` comes first. NaN for a dead layer."""
    flat = [spectra.covariance_spectrum(activity[:n].flatten(1)) for n in sizes]
    views = _views(layer, activity, flat[-1])
    exponents = np.array([_exponent(spectrum) for spectrum in flat])
    counted = {
        "units": flat[-1].n_units,
        "channels": views[1].n_units,
        "eigenvalues": np.array([_padded(spectrum) for spectrum in flat]),
        "dead": probing.is_dead(activity.flatten(1)),
    }
    measured = {
        "fitted": exponents[:, 0],
        "exponent": exponents[:, 1],
        "r2_fit": exponents[:, 2],
        "effective_rank": np.array([_rank(spectrum) for spectrum in flat]),
        "view_exponent": np.array([_exponent(view, VIEW_WINDOW, VIEW_WINDOW[1])[1] for view in views]),
        "view_effective_rank": np.array([_rank(view) for view in views]),
        "by_half": _by_half(activity, picture),
    }
    if counted["dead"]:
        measured = {key: np.full(value.shape, np.nan) for key, value in measured.items()}
    return counted | measured


def _views(layer: str, activity: torch.Tensor, flat: spectra.Spectrum) -> list[spectra.Spectrum]:
    """Spectra of a layer in VIEWS, `flat` being the first: without positions the four are one."""
    if layer not in CONVOLUTIONAL:
        return [flat] * len(VIEWS)
    parts = activity.split(BATCH)  # copies are of BATCH images at a time, not of all
    channel = spectra.covariance_spectrum(spectra.views(part)["channel"] for part in parts)
    narrow = (torch.cat([spectra.views(part)[view] for part in parts]) for view in VIEWS[2:])
    return [flat, channel, *map(spectra.covariance_spectrum, narrow)]


def _padded(spectrum: spectra.Spectrum) -> np.ndarray:
    values = np.full(RANKS, np.nan)
    kept = spectrum.eigenvalues[:RANKS]
    values[: len(kept)] = kept
    return values


def _rank(spectrum: spectra.Spectrum) -> float:
    return spectra.effective_rank(spectrum) if spectrum.eigenvalues[0] > 0 else np.nan


def _by_half(activity: torch.Tensor, picture: torch.Tensor | None) -> np.ndarray:
    """The corrected exponent on the patches of every other photograph, and on those of the rest; NaN without any."""
    if picture is None:
        return np.full(2, np.nan)
    halves = (activity[picture % 2 == part].flatten(1) for part in (0, 1))
    return np.array([_exponent(spectra.covariance_spectrum(half))[1] for half in halves])


def dot_path(activity: torch.Tensor, angles: np.ndarray, n_projections: int, seed: int) -> dict:
    """Return mean log10 roughness and mean R^2 to (cos, sin) of random 3-D projections, and the first DRAWN paths.

    A dead layer, which moves by no more than rounding, has neither: NaN.
    """
    rng = streams.rng(seed, "projections")
    matrix = projections.random_projection(activity.shape[1], 3 * n_projections, rng)
    centred = activity - activity.mean(0)
    drawn = (centred @ torch.from_numpy(matrix).to(centred)).cpu().double().numpy()
    drawn = drawn.reshape(len(angles), n_projections, 3).swapaxes(0, 1)
    shown = {"path": drawn[0], "drawn": drawn[:DRAWN].astype(np.float32)}
    if probing.is_dead(activity):
        return {"roughness": np.nan, "r2": np.nan, **shown}
    return {
        "roughness": float(np.log10(projections.roughness(drawn, closed=True)).mean()),
        "r2": float(projections.circle_r2(drawn, angles).mean()),
        **shown,
    }


def layer_mean(values: np.ndarray, layers: tuple[str, ...], axis: int = -1) -> np.ndarray:
    """Return the mean over some of LAYERS, which lie along `axis`."""
    return np.take(values, [LAYERS.index(layer) for layer in layers], axis=axis).mean(axis)


def fall_and_rise(exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every seed how far the exponent falls from the first layer to the flattest and rises to the last.

    exponents [seed, n, layer], the layers in order of depth. The flattest is that of the layers between the first and
    the last in the other seeds' mean over n; the least value over n is returned, arrays [seed].
    """
    others = (exponents.sum(0) - exponents).mean(1)[:, 1:-1]
    flattest = np.take_along_axis(exponents[..., 1:-1], others.argmin(-1)[:, None, None], axis=-1)[..., 0]
    return (exponents[..., 0] - flattest).min(1), (exponents[..., -1] - flattest).min(1)


def learnt_enough(nets: Results) -> np.ndarray:
    """Return whether each network passes GATE, as [rate, seed]."""
    return nets.array("pixel_r2") > nets.array("colour_r2")


def judged(nets: Results) -> np.ndarray:
    """Return which rates are judged, as [rate]: those up to 0.4 whose networks all pass GATE and have no dead layer."""
    alive = ~nets.array("dead")[..., : len(ENCODER)].any(-1)
    return (learnt_enough(nets) & alive).all(1) & (nets.setting("dropout") <= max(SHOWN))


def at_rate(nets: Results, rate: float, values: np.ndarray) -> Estimate:
    """Return the mean over seeds of values [rate, seed] at one rate; without ends where that rate is not judged."""
    place = np.flatnonzero(nets.setting("dropout") == rate)
    if len(place) == 0 or not judged(nets)[place[0]]:
        return Estimate(float(np.nan_to_num(values[place].mean())) if len(place) else 0.0, -inf, inf)
    return intervals.mean(values[place[0]])


def probed(nets: Results, way: str, quantity: str) -> np.ndarray:
    """Return one of QUANTITIES in one of the ways PROBES as [rate, seed, layer].

    The exponent is that of the second largest number of images, the same for all ways.
    """
    if way == "untrained":  # measured without dropout, which has no weights: the same at all rates
        start = [result.get(PROBES[way] + quantity, np.full(len(LAYERS), np.nan)) for result in nets[0]]
        return np.broadcast_to(start, (len(nets), *np.shape(start)))
    values = nets.array(PROBES[way] + quantity)
    return values[..., -2] if (way, quantity) == (RENORMED, "exponent") else values


def encoder_mean(nets: Results, way: str, quantity: str) -> np.ndarray:
    """Return the mean over the encoder's layers of what `probed` returns, as [rate, seed]."""
    return layer_mean(probed(nets, way, quantity), ENCODER)


def trend(nets: Results, way: str, quantity: str, equal_loss: bool = False) -> Estimate:
    """Return how the encoder's mean of one of QUANTITIES changes per unit dropout over the judged rates, and its 95 % t
    interval.

    With `equal_loss` the held-out loss is a second regressor. Without ends where fewer than three rates are judged.
    """
    return slope(nets, encoder_mean(nets, way, quantity), equal_loss)


def slope(nets: Results, values: np.ndarray, equal_loss: bool) -> Estimate:
    """The change of values [rate, seed] per unit dropout, over the judged rates."""
    good = judged(nets)
    if good.sum() < 3:
        return Estimate(0.0, -inf, inf)
    lag = nets.array("loss")[good] if equal_loss else None
    return intervals.common_slope(values[good], nets.setting("dropout")[good], lag)


def late_less_early(values: np.ndarray) -> np.ndarray:
    """Return the mean of the encoder's last third less that of its first, of [..., layer]."""
    return layer_mean(values, LATE) - layer_mean(values, EARLY)


def learnt_share(nets: Results) -> pd.DataFrame:
    """Return the held-out pixel R² of the networks, means over seeds, beside what they have to beat."""
    names = {
        "batch norm recalibrated": "pixel_r2",
        "eval mode": "eval_pixel_r2",
        "each patch in its mean colour": "colour_r2",
        f"{COMPONENTS} principal components": "principal_r2",
    }
    shares = {name: nets.array(key).mean(1) for name, key in names.items()}
    return pd.DataFrame({"dropout p": nets.setting("dropout"), **shares, "judged": judged(nets)})


def window_fit(nets: Results) -> pd.DataFrame:
    """Return by layer the exponent and R² of the straight line, means over networks at the most images."""
    exponent, r2 = (nets.array(key)[..., -1].reshape(-1, len(LAYERS)) for key in ("exponent", "r2_fit"))
    means = {"mean exponent a": exponent.mean(0), "mean R² of the line": r2.mean(0)}
    return pd.DataFrame({"layer": LAYERS, **means, "lowest R²": r2.min(0)})


def by_depth(nets: Results) -> pd.DataFrame:
    """Return the mean exponent of the encoder's layers at the smallest and largest rate, in two ways of probing."""
    rates, columns = nets.setting("dropout"), {}
    for place in (0, -1):
        for way in WAYS[:2]:
            columns[f"p = {rates[place]:g}, {way}"] = probed(nets, way, "exponent")[place, :, : len(ENCODER)].mean(0)
    return pd.DataFrame({"layer": ENCODER, **columns})


def by_view(nets: Results) -> pd.DataFrame:
    """Return for each view the exponent of the stem, of the flattest layer of the mean curve, and which that is."""
    ends = nets.array("view_exponent")[0, :, : len(ENCODER)].mean(0).T  # [view, layer], without dropout
    return pd.DataFrame(
        {
            "view": list(VIEW_NAMES.values()),
            "exponent of the stem": ends[:, 0],
            "flattest layer between": [ENCODER[1 + place] for place in ends[:, 1:-1].argmin(1)],
            "its exponent": ends[:, 1:-1].min(1),
            "exponent of mu": ends[:, -1],
        }
    )


def trends(nets: Results) -> pd.DataFrame:
    """Return the change per unit dropout of the three quantities, in all ways of probing and at equal loss."""
    rows = {way: {key: trend(nets, way, key) for key in QUANTITIES} for way in WAYS}
    rows[f"{RENORMED}, at equal held-out loss"] = {key: trend(nets, RENORMED, key, True) for key in QUANTITIES}
    return _in_words(rows, "change per unit p")


def first_step(nets: Results) -> pd.DataFrame:
    """Return what the smallest dropout rate changes, in all ways of probing."""
    first, second = nets.setting("dropout")[:2]
    means = {way: {key: encoder_mean(nets, way, key) for key in QUANTITIES} for way in WAYS}
    rows = {way: {key: intervals.mean(v[1] - v[0]) for key, v in by_key.items()} for way, by_key in means.items()}
    return _in_words(rows, f"p = {second:g} less p = {first:g}")


def _in_words(rows: dict[str, dict[str, Estimate]], head: str) -> pd.DataFrame:
    texts = [[way, *(signed(estimate) for estimate in by_key.values())] for way, by_key in rows.items()]
    return pd.DataFrame(texts, columns=[head, *QUANTITIES.values()])


def signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"


def reconstructions_table(nets: Results) -> pd.DataFrame:
    """Return held-out patches, their reconstructions by one network of each rate, and the losses of all networks."""
    rates, examples = nets.setting("dropout"), nets.array("examples")[:, 0]  # [rate, (input, output), patch, ...]
    pictures = {"input": examples[0, 0], **{f"p = {p:g}": e[1] for p, e in zip(rates, examples, strict=True)}}
    shown = [_pictures(name, patches) for name, patches in pictures.items()]
    ways = {"batch norm recalibrated": "loss", "eval mode": "eval_loss"}
    losses = [_ofnetworks_of(rates, nets.array(key), series=name) for name, key in ways.items()]
    guesses = {
        "the mean image for every patch": "mean_image_loss",
        "each patch's mean colour": "mean_colour_loss",
        "every pixel exactly right": "best_loss",
    }
    guessed = pd.DataFrame([{"series": name, "value": nets.array(key).mean()} for name, key in guesses.items()])
    losses = [*losses, guessed.assign(what="control")]
    return pd.concat([*shown, *(loss.assign(quantity="held-out cross-entropy [nats per patch]") for loss in losses)])


def _pictures(series: str, patches: np.ndarray) -> pd.DataFrame:
    """One row for each picture [channel, y, x] of bytes: its pixels as text, made smaller where they are many."""
    step = max(patches.shape[-1] // 32, 1)
    small = patches[..., ::step, ::step].transpose(0, 2, 3, 1)
    column = f"pixels [hex RGB, {small.shape[1]}×{small.shape[2]}]"
    rows = {"patch": range(1, len(small) + 1), column: [picture.tobytes().hex() for picture in small]}
    what = "control" if series == "input" else "measured"
    return pd.DataFrame({"what": what, "series": series, "quantity": "picture", **rows})


def _ofnetworks_of(rates: np.ndarray, values: np.ndarray, **columns) -> pd.DataFrame:
    """One row for each network: values [rate, seed]."""
    place = np.indices(values.shape)
    own = {"dropout p": np.asarray(rates)[place[0].ravel()], "network": 1 + place[1].ravel(), "value": values.ravel()}
    return pd.DataFrame({"what": "measured", **columns, **own})


def _by_layer(layers: Sequence[str], estimate: Estimate, **columns) -> pd.DataFrame:
    """One row for each layer: an estimate of arrays [layer]."""
    return pd.DataFrame({"what": "measured", **columns, "layer": list(layers), **estimate.columns()})


def spectra_table(nets: Results) -> pd.DataFrame:
    """Return the median spectrum and its local slope of every layer at three rates, and the fitted ranks."""
    rates, values = nets.setting("dropout"), nets.array("eigenvalues")[..., -1, :]  # [rate, seed, layer, rank]
    n_images, parts = nets.configs[0]["sizes"][-1], []
    for place in (0, len(rates) // 2, len(rates) - 1):
        for number, layer in enumerate(LAYERS):
            normed = values[place, :, number] / values[place, :, number, :1]
            median = np.median(normed, axis=0)
            kept = median[: np.sum(np.isfinite(median) & (median > 1e-8))]  # below: float32 rounding of the activity
            ranks = np.unique(np.geomspace(1, max(len(kept), 1), 60).round().astype(int))[: len(kept)]
            slope = spectra.local_slope(spectra.Spectrum(kept, n_images, len(kept)), 0.6)
            shown = {"eigenvalue ÷ largest": (ranks, kept[ranks - 1]), "local exponent a": slope}
            parts += [
                pd.DataFrame({"series": layer, "dropout p": rates[place], "quantity": name, "rank": x, "value": y})
                for name, (x, y) in shown.items()
            ]
    window = pd.DataFrame({"what": "control", "series": "fitted ranks", "quantity": "window", "rank": FITTED_RANKS})
    return pd.concat([*(part.assign(what="measured") for part in parts), window])


def depth_table(nets: Results) -> pd.DataFrame:
    """Return exponent and effective rank over depth: by number of images, by rate, by photographs, by view."""
    exponent, fitted = nets.array("exponent"), nets.array("fitted")  # [rate, seed, layer, n]
    parts = []
    for place, n_images in enumerate(nets.configs[0]["sizes"]):
        for name, values in (("as fitted", fitted), ("corrected", exponent)):
            parts.append(_curve("numbers of images", f"n = {n_images}, {name}", values[0, ..., place].mean(0)))
    for rate, values in zip(nets.setting("dropout"), exponent[..., -1], strict=True):
        parts.append(_by_layer(LAYERS, intervals.mean(values, 0), comparison="dropout rates", series=f"p = {rate:g}"))
    for half, values in zip(("every other photograph", "the rest"), nets.array("by_half")[0].T, strict=True):
        if not np.isfinite(values).all():  # a half has too few patches, or there are no photographs
            continue
        parts.append(_by_layer(LAYERS, intervals.mean(values.T, 0), comparison="photographs", series=half))
    parts = [part.assign(quantity="exponent a") for part in parts]
    for name, values in zip(VIEW_NAMES.values(), nets.array("view_effective_rank")[0].T, strict=True):
        ranks = _by_layer(LAYERS, intervals.mean(values.T, 0), comparison="effective rank", series=name)
        parts.append(ranks.assign(quantity="effective rank"))
    return pd.concat(parts)


def _curve(comparison: str, series: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"what": "measured", "comparison": comparison, "series": series, "layer": list(LAYERS), "value": values}
    )


def views_table(nets: Results) -> pd.DataFrame:
    """Return exponent and effective rank over depth in each view, without dropout; behind the pooling they are one."""
    steepness, ranks = (nets.array(f"view_{key}")[0, :, : len(ENCODER)] for key in ("exponent", "effective_rank"))
    first, last = VIEW_WINDOW
    shown = {f"exponent a on ranks {first} to {last}": steepness, "effective rank": ranks}
    spatial, parts = len(CONVOLUTIONAL), []
    for quantity, values in shown.items():  # [seed, layer, view]
        for place, name in enumerate(VIEW_NAMES.values()):
            estimate = intervals.mean(values[:, :spatial, place], 0)
            parts.append(_by_layer(CONVOLUTIONAL, estimate, series=name, quantity=quantity))
        estimate = intervals.mean(values[:, spatial:, 0], 0)
        parts.append(_by_layer(ENCODER[spatial:], estimate, series="no positions: all four", quantity=quantity))
    return pd.concat(parts)


def dropout_table(nets: Results) -> pd.DataFrame:
    """Return the three quantities against the dropout rate, and each layer's slope, in the three ways of probing."""
    rates, good, parts = nets.setting("dropout"), judged(nets), []
    for key, quantity in QUANTITIES.items():
        for way in WAYS:
            columns = {"what": "measured" if way == RENORMED else "control", "series": way}
            mean, values = intervals.mean(encoder_mean(nets, way, key)), probed(nets, way, key)
            parts.append(pd.DataFrame({**columns, "quantity": quantity, "dropout p": rates, **mean.columns()}))
            slopes = [intervals.common_slope(values[good][..., k], rates[good]) for k in range(len(ENCODER))]
            change = _by_layer(ENCODER, intervals.join(slopes), quantity=f"change of {quantity} per unit p")
            parts.append(change.assign(**columns))
    return pd.concat(parts)


def dot_pixels(settings: Settings, seed: int) -> dict:
    """Return what `dot_path` says of the moving dot's pixels themselves, with the dot's angles."""
    dot = stimuli.moving_dot(settings.n_frames)
    flat = torch.from_numpy(dot.frames).flatten(1)
    return {**dot_path(flat, dot.angles, settings.n_projections, seed), "angles": dot.angles}


def projections_table(nets: Results, pixels: dict) -> pd.DataFrame:
    """Return one projected path of the dot for some layers of the first network at three rates, and for the pixels."""
    rates, parts = nets.setting("dropout"), [_path(pixels["path"], pixels["angles"], "control", "pixels", np.nan)]
    for place in (0, len(rates) // 2, len(rates) - 1):
        for layer in PICKED:
            path = nets[place][0]["path"][LAYERS.index(layer)]
            parts.append(_path(path, pixels["angles"], "measured", layer, rates[place]))
    return pd.concat(parts)


def _path(points: np.ndarray, angles: np.ndarray, what: str, layer: str, rate: float) -> pd.DataFrame:
    """A path [frame, 3] in deviations from its mean, to three decimals; a layer that does not move stays at 0."""
    moves = points.std() > 0
    scaled = (points - points.mean(0)) / (points.std() if moves else 1.0)
    columns = {"what": what, "series": layer, "dropout p": rate, "angle [degrees]": np.degrees(angles).round(1)}
    columns |= {f"projection {1 + axis} [deviations]": scaled[:, axis].round(3) for axis in range(3)}
    return pd.DataFrame({**columns, "roughness": projections.roughness(points, closed=True) if moves else np.nan})


def roughness_table(nets: Results, pixels: dict) -> pd.DataFrame:
    """Return log10 roughness and R² over depth by rate, in eval mode and with batch norm recalibrated."""
    parts = []
    for way in WAYS[:2]:
        for key in ("roughness", "r2"):
            for rate, values in zip(nets.setting("dropout"), nets.array(PROBES[way] + key), strict=True):
                parts.append(_by_layer(LAYERS, intervals.mean(values, 0), series=f"p = {rate:g}"))
                parts[-1] = parts[-1].assign(probe=way, quantity=QUANTITIES[key])
            nothing = {"what": ["control"], "series": "the pixels themselves", "value": pixels[key]}
            parts.append(pd.DataFrame({**nothing, "probe": way, "quantity": QUANTITIES[key]}))
    return pd.concat(parts)


def position_told(nets: Results, pixels: dict) -> pd.DataFrame:
    """Return R² to the dot's position in the encoder's first and last third, by rate and way of probing."""
    rows = [{"read from": "the pixels", "all layers": pixels["r2"]}]
    for way in WAYS[:2]:
        r2 = probed(nets, way, "r2").mean(1)  # [rate, layer]
        for rate, early, late in zip(nets.setting("dropout"), layer_mean(r2, EARLY), layer_mean(r2, LATE), strict=True):
            rows.append({"read from": f"p = {rate:g}, {way}", "first three layers": early, "last three": late})
    return pd.DataFrame(rows, columns=["read from", "all layers", "first three layers", "last three"])


def explored_table(net: dict, layer: str, projection: int, angles: np.ndarray) -> pd.DataFrame:
    """Return one projected path of the dot in a layer of one network, and the layer's spectrum."""
    place = LAYERS.index(layer)
    path = _path(net["drawn"][place][projection - 1].astype(float), angles, "measured", layer, np.nan)
    eigenvalues = net["eigenvalues"][place][-1]
    kept = eigenvalues[np.isfinite(eigenvalues) & (eigenvalues > 1e-8 * eigenvalues[0])]
    spectrum = {"what": "measured", "series": "eigenvalues", "rank": np.arange(1, len(kept) + 1)}
    window = pd.DataFrame({"what": "control", "series": "fitted ranks", "rank": FITTED_RANKS})
    return pd.concat([path, pd.DataFrame({**spectrum, "value": kept / eigenvalues[0]}), window])


def measured_depth(nets: Results, rate: float) -> Measured:
    """Return what decides CT-03a (p = 0) and CT-03b (p = 0.2)."""
    exponent = nets.array("exponent")[:, :, : len(ENCODER)]  # [rate, seed, layer, n]
    both = np.array([fall_and_rise(of_rate.swapaxes(1, 2)) for of_rate in exponent])  # [rate, (fall, rise), seed]
    mean = exponent[nets.setting("dropout") == rate].mean((0, 1, -1))
    flattest = ENCODER[1 + int(mean[1:-1].argmin())]
    moved = np.nanmax(np.abs(nets.array("exponent") - nets.array("fitted")))
    return Measured(
        {f"{part}, least over n": at_rate(nets, rate, both[:, k]) for k, part in enumerate(("fall", "rise"))},
        f"95 % t interval over {n_seeds(nets)} networks (weights, order, what they are shown)",
        f"{networks_of(nets, rate)}; {probes_of(nets)}",
        f"the flattest layer of the mean curve is {flattest}: {mean[0]:.2f} in the stem, {mean[1:-1].min():.2f} there, "
        f"{mean[-1]:.2f} in mu; the largest correction for n moves an exponent by {moved:.2f}",
    )


def measured_views(nets: Results) -> Measured:
    """Return what decides CT-04."""
    rate = float(nets.setting("dropout")[0])
    steepness = nets.array("view_exponent")[0, :, : len(ENCODER)]  # [seed, layer, view]
    shape = np.array([fall_and_rise(steepness[:, None, :, view]) for view in range(len(VIEWS))])
    alone = {view: [intervals.mean(part) for part in parts] for view, parts in zip(VIEWS, shape, strict=True)}
    least = np.broadcast_to(shape.min(0)[None], (len(nets), *shape.shape[1:]))  # [rate, (fall, rise), seed]
    return Measured(
        {f"{part}, least over views": at_rate(nets, rate, least[:, k]) for k, part in enumerate(("fall", "rise"))},
        f"95 % t interval over {n_seeds(nets)} networks (weights, order, what they are shown)",
        f"{networks_of(nets, rate)}; {probes_of(nets)}",
        "view by view: "
        + "; ".join(f"{view}: fall {signed(fall)}, rise {signed(rise)}" for view, (fall, rise) in alone.items()),
    )


def measured_dropout(nets: Results, quantity: str, equal_loss: bool = False) -> Measured:
    """Return what decides CT-05a ("exponent"), b ("roughness") and c ("r2"), at equal loss d, e and f."""
    row = f"CT-05{'abcdef'[list(QUANTITIES).index(quantity) + 3 * equal_loss]}"
    rates = nets.setting("dropout")[judged(nets)]
    others = (f"{way}: {signed(trend(nets, way, quantity, equal_loss))}" for way in WAYS[1:])
    return Measured(
        dict.fromkeys(CLAIMS[row].rule, trend(nets, RENORMED, quantity, equal_loss)),
        f"95 % t interval of the regression over {len(rates)} rates and {n_seeds(nets)} networks each",
        f"{networks_of(nets)}; {probes_of(nets, -2)}, a dot in {nets.configs[0]['n_frames']} frames",
        "; ".join(others),
    )


def measured_dot(nets: Results, quantity: str) -> Measured:
    """Return what decides CT-06a ("roughness") and b ("r2")."""
    row = {"roughness": "CT-06a", "r2": "CT-06b"}[quantity]
    return by_rate(nets, CLAIMS[row].rule, lambda way: late_less_early(probed(nets, way, quantity)), "eval mode")


def by_rate(nets: Results, rule: Sequence[str], values: Callable[[str], np.ndarray], beside: str) -> Measured:
    """Estimates at the rates SHOWN of values(way) [rate, seed], and in the note those of another way."""
    settings = nets.configs[0]
    other = (f"p = {rate:g} {signed(at_rate(nets, rate, values(beside)))}" for rate in SHOWN)
    return Measured(
        {name: at_rate(nets, rate, values(RENORMED)) for name, rate in zip(rule, SHOWN, strict=True)},
        f"95 % t interval over {n_seeds(nets)} networks (weights, order, projections)",
        f"{networks_of(nets)}; {probes_of(nets, -2)}, a dot in {settings['n_frames']} frames, "
        f"{settings['n_projections']} projections",
        f"{beside}: {', '.join(other)}",
    )


def n_seeds(nets: Results) -> int:
    return len(nets[0])


def networks_of(nets: Results, rate: float | None = None) -> str:
    """What the networks are, in a line, and how well they reconstruct."""
    settings, rates, r2 = nets.configs[0], nets.setting("dropout"), nets.array("pixel_r2").mean(1)
    shown = [place for place in range(len(rates)) if rate in (None, rates[place])]
    own = settings["source"]
    if settings["stored"] != "retrained":
        own = f"{learnt_vaes.listed()['photographs']['learnt from']['number']} photographs"
    learnt = ", ".join(f"{r2[k]:.2f} at p = {rates[k]:g}" for k in shown)
    return (
        f"{len(shown) * n_seeds(nets)} ResNet-VAEs, {settings['width']:g} of ResNet18's channels, "
        f"{settings['n_steps']} steps of {settings['batch_size']} on {settings['n_train']} patches of {own} of "
        f"{settings['image_size']} pixels; held-out pixel R² {learnt}, of mean colours "
        f"{nets.array('colour_r2').mean():.2f}"
    )


def trained(nets: Results) -> str:
    """For how long the networks were trained, and from which step on with dropout: a sentence."""
    settings = nets.configs[0]
    return (
        f"There were {n_seeds(nets)} for each rate; dropout began after {settings['n_first']:,} of "
        f"{settings['n_steps']:,} steps."
    )


def probes_of(nets: Results, last: int = -1) -> str:
    sizes, units = nets.configs[0]["sizes"], nets.array("units")[0, 0]
    chosen = f"n = {sizes[0]} to {sizes[-1]}" if last == -1 else f"n = {sizes[last]}"
    return f"{chosen} held-out patches, m = {units.min()} to {units.max()} units"
