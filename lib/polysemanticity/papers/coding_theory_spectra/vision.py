"""A ResNet-VAE over depth and dropout: CT-03, CT-04, CT-05 and CT-06.

A network is trained on patches of some photographs and probed with patches of others, and with a dot that moves on a
circle. Symbols: a > 0 is the exponent of lambda_i ~ i^-a (the paper's alpha is -a), p the dropout rate.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from polysemanticity import claims, intervals, projections, spectra
from polysemanticity.base import paths, streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.networks import data, resnet_vae, train
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
STEEPEST = spectra.MAX_EXPONENT  # a layer that is constant up to rounding shows more: it counts as this
VIEWS = ("flattened", "channel", "pooled", "location")  # how a convolutional layer is read, see `spectra.views`
VIEW_WINDOW = (2, 12)  # the fitted ranks in every view: the first layers have 16 channels only
DECADE_UNITS = 4 * FITTED_RANKS[1]  # a layer with fewer units has no exponent: the tail of its spectrum would be fitted
_SOURCE = "Marshall & Kirchner 2024"
RECIPE = (
    "The networks' recipe was changed before this sweep and the rule was not: patches of 16 pixels and not 32, 256 "
    "dense units and not 1024, because the networks before reconstructed less than a patch's mean colour; chosen by "
    "the held-out loss at p = 0 on a seed not used here. A sweep with 700 steps was cut off for time after p = 0 (two "
    "seeds) and p = 0.8 (one), which were looked at: they too stayed below the mean colour on these splits; 600 steps "
    "since, for time alone."
)
_KNOWN = (
    "the recipe was changed after pilot trainings, and a sweep of more steps that was cut off was looked at before "
    "this one; the rule was not changed"
)

CLAIMS: dict[str, Claim] = {
    "CT-03": Claim(
        id="CT-03",
        claim="The exponent is non-monotone in depth: redundancy first falls, then rises",
        source=f"{_SOURCE}, Fig. 3",
        paper="eigenspectrum decay (redundancy) falls, then rises with depth; no numbers at hand",
        rule={"fall, least over n": (0.05, inf), "rise, least over n": (0.05, inf)},
        reason="Fall: the stem's exponent less that of the encoder's flattest layer; rise: the last layer's (mu) less "
        "the flattest's; the flattest layer is found on the other seeds, so that picking it does not make a fall. "
        "Exponents are corrected for the number of images n and averaged over dropout rates, as the paper does not say "
        "which network it shows; the least over all n, because a pattern that depends on n is an artefact of sampling. "
        "0.05 is the sampling error of one exponent; where the stem itself is flattest the fall is exactly 0. "
        "Not blind: how the flattest layer is found was settled after pilot trainings, and the 0.05 after a first "
        "sweep in which the fall was 0 and a bound of 0 would have let it pass; both with seeds not used here. "
        + RECIPE,
        whose="printed",
        known="how the flattest layer is found and the 0.05 were settled after pilot trainings and a first sweep with "
        f"other seeds; {_KNOWN}",
        figure="fig3b_depth",
    ),
    "CT-04": Claim(
        id="CT-04",
        claim="The non-monotone course over depth does not depend on how convolutional layers are read",
        source=f"{_SOURCE}, next checks (convolutional layers)",
        paper="asks whether the result carries over; no numbers",
        rule={f"{course}, {reading}": (0.05, inf) for reading in VIEWS for course in ("fall", "rise")},
        reason="The rule of CT-03 (fall and rise of the exponent, least over n, mean over dropout rates) in each of "
        "four views: all units; channels with every position as a sample; channels averaged over positions; channels "
        "at the central position. Behind the average pooling the views are one. In all views the ranks are 2 to 12, "
        "as the first layers have 16 channels: under a decade, so this is a measure of steepness and no law. The "
        "claim needs the shape in every view. Written before any network was read so; CT-03's verdict on earlier "
        "networks was known.",
        whose="open question",
        known="CT-03's verdict on earlier networks",
        figure="figx_views",
    ),
    "CT-05": Claim(
        id="CT-05",
        claim="More dropout gives steeper spectra, smoother projections and more input variance explained",
        source=f"{_SOURCE}, Fig. 5",
        paper="monotone trends over p = 0, .2, .4, .6, .8, one network each",
        rule={
            "exponent per unit dropout": (0.0, inf),
            "log10 roughness per unit dropout": (-inf, 0.0),
            "R² to the dot's position per unit dropout": (0.0, inf),
        },
        reason="Signs only: the paper gives directions. Probed in eval mode, because dropout that is active while "
        "probing adds a noise floor of its own. Mean over the encoder's nine layers; slope of a linear regression on "
        "the rate with one constant per seed. " + RECIPE,
        whose="printed",
        known=_KNOWN,
        figure="fig5_dropout",
    ),
    "CT-06": Claim(
        id="CT-06",
        claim="Random projections of a moving dot are jagged in early layers and smooth in late ones",
        source=f"{_SOURCE}, Fig. 4",
        paper="late layers recover the smooth loop",
        rule={"log10 roughness, late less early": (-inf, 0.0), "R² to the dot's position, late less early": (0.0, inf)},
        reason="Signs only: the paper shows pictures. Early and late are the first and last third of the encoder's "
        "layers; roughness is free of scale and R² asks whether the loop is recovered. Eval mode, mean over dropout "
        "rates, 100 projections each, none selected. " + RECIPE,
        whose="printed",
        known=_KNOWN,
        figure="fig4b_roughness",
    ),
}


PROBES = {"eval mode": "", "batch norm recalibrated": "renormed_", "left in train mode": "train_"}
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
    """The ResNet-VAEs. The fitted ranks are 3 to 32: one decade, and below a quarter of the units even in the narrowest
    layer (128), so that layers and numbers of images are compared on the same ranks."""

    n_seeds: int = setting(3, "trainings per dropout rate; each splits the photographs anew", low=2, smoke=2)
    dropouts: tuple[float, ...] = setting(
        (0.0, 0.2, 0.4, 0.6, 0.8), "dropout rates of the encoder", low=0, high=0.95, smoke=(0.0, 0.4)
    )
    source: str = setting("photographs", "what is learnt", choices=("photographs", "cifar10"), paper="cifar10")
    folder: str = setting(
        "", "folder of your own pictures, or of CIFAR-10; empty: the photographs that ship here", place="folder"
    )
    n_train: int = setting(16384, "patches to train on (CIFAR-10: images)", low=64, smoke=128, paper=50000)
    n_steps: int = setting(600, "training steps", low=2, smoke=4, paper=200_000)
    batch_size: int = setting(32, "images per step", low=2, paper=50)
    lr: float = setting(
        3e-3, "Adam's learning rate at the start; the paper's is 0.001, for many more steps", low=0, paper=1e-3
    )
    kl_weight: float = setting(
        (16 / 224) ** 2, "weight of the KL term; the paper's 1 at 224 pixels, scaled with the number of pixels", low=0,
        paper=1.0,
    )  # fmt: skip
    schedule: str = setting("cosine", "learning rate over time", choices=train.SCHEDULES, paper="constant")
    width: float = setting(0.25, "channels of the encoder relative to ResNet18", low=1 / 64, high=4, paper=1.0)
    hidden: int = setting(
        256, "units of the fully connected layers; the paper's are 1024", low=4 * FITTED_RANKS[1], paper=1024
    )
    image_size: int = setting(16, "side of the network's input in pixels", low=16, paper=224)
    stem_stride: int = setting(
        1, "how much the stem reduces the image: 4 is the paper's ResNet18", choices=(1, 2, 4), paper=4
    )
    sizes: tuple[int, ...] = setting(
        (192, 384, 768, 1536), "numbers of probe images n, ascending", low=DECADE_UNITS, smoke=(128, 160, 192),
        paper=(500, 1000, 2000, 4000),  # the stem has 802,816 units: 13 GB are held for 4,000 images, and no copy
    )  # fmt: skip
    n_frames: int = setting(256, "frames of the moving dot, one turn", low=8, smoke=32)
    n_projections: int = setting(100, "random projections of the dot's activity", low=2, smoke=4)
    layers_at_once: int = setting(len(LAYERS), "layers whose activity is held in memory together", low=1, paper=1)


def network(settings: Settings, dropout: float) -> dict:
    """Return the configuration of `vae` for one dropout rate."""
    return {
        "dropout": dropout,
        "content": fingerprint_here({"source": settings.source, "folder": settings.folder}),
        "source": settings.source,
        "folder": settings.folder,
        "n_train": settings.n_train,
        "n_steps": settings.n_steps,
        "batch_size": settings.batch_size,
        "lr": settings.lr,
        "kl_weight": settings.kl_weight,
        "schedule": settings.schedule,
        "width": settings.width,
        "hidden": settings.hidden,
        "image_size": settings.image_size,
        "stem_stride": settings.stem_stride,
        "sizes": settings.sizes,
        "n_frames": settings.n_frames,
        "n_projections": settings.n_projections,
        "layers_at_once": settings.layers_at_once,
    }


def networks(settings: Settings) -> list[dict]:
    """Return the configurations of `vae`: one for each dropout rate."""
    return [network(settings, rate) for rate in settings.dropouts]


def fingerprint_here(config) -> str:
    """Return the fingerprint of the images that a config of `vae` means on this machine."""
    own = config["source"] == "photographs"
    return data.fingerprint(data.photographs(config["folder"] or None)) if own else "published"


class Images(NamedTuple):
    """Images to train on and to probe with; `picture` is the photograph of each probe, or None."""

    train: torch.Tensor
    probe: torch.Tensor
    picture: torch.Tensor | None


def images(source: str, folder: str, n_train: int, n_probe: int, size: int, seed: int) -> Images:
    """Return images in [0, 1] to train on and others to probe with; every seed splits the photographs anew."""
    if source == "cifar10":
        fitted, held = (data.cifar10(folder or paths.cache() / "cifar10", train=part).pixels for part in (True, False))
        check(n_probe <= len(held), "sizes", n_probe, f"at most {len(held)}, CIFAR-10's test images")
        return Images(fitted[:n_train], held[:n_probe], None)
    fitted, held = data.split(data.photographs(folder or None, smallest=size), seed=seed)
    probes = data.patches(held, n_probe, size, streams.rng(seed, "probes"))
    return Images(data.patches(fitted, n_train, size, streams.rng(seed, "patches")).pixels, probes.pixels, probes.image)


def loss(model: resnet_vae.ResNetVAE, pixels: torch.Tensor, kl_weight: float) -> torch.Tensor:
    """Return the training loss, summed over the batch: cross-entropy summed over pixels + kl_weight * KL."""
    target = resnet_vae.prepare(pixels, model.image_size)
    terms = resnet_vae.vae_terms(model(target), target)
    return terms.reconstruction.sum() + kl_weight * terms.kl.sum()


def vae(
    *, seed, device, dropout, content, source, folder, n_train, n_steps, batch_size, lr, kl_weight, schedule, width,
    hidden, image_size, stem_stride, sizes, n_frames, n_projections, layers_at_once,
) -> dict:  # fmt: skip
    """Train one VAE and return its spectra, exponents, dot projections and losses; the first axis is LAYERS."""
    seen = images(source, folder, n_train, max(sizes), 32 if source == "cifar10" else image_size, seed)
    model = train.build(
        resnet_vae.ResNetVAE, seed=seed, device=device, width=width, hidden=hidden, image_size=image_size,
        stem_stride=stem_stride, dropout=dropout,
    )  # fmt: skip
    history = train.fit(
        model, partial(loss, kl_weight=kl_weight), seen.train, n_steps=n_steps, batch_size=batch_size, lr=lr,
        seed=seed, schedule=schedule, autocast=train.fast_autocast(device), channels_last=True,
        log_every=max(n_steps // 50, 1),
    )  # fmt: skip
    model.to(memory_format=torch.contiguous_format)
    terms = resnet_vae.vae_evaluate(model, seen.probe)
    examples = resnet_vae.prepare(seen.probe[:8], image_size)
    with torch.no_grad():
        output = model(examples.to(device)).pixels.cpu()
    dot = stimuli.moving_dot(n_frames)
    frames = resnet_vae.prepare(torch.from_numpy(dot.frames).float()[:, None].expand(-1, 3, -1, -1), image_size)
    renormed = renormalised(model, seen.train[: sizes[-1]], device)
    rows: dict[str, dict] = {}
    for start in range(0, len(LAYERS), layers_at_once):
        layers = LAYERS[start : start + layers_at_once]
        for name, net, mode in (("eval", model, "eval"), ("train", model, "train"), ("renormed", renormed, "eval")):
            pixels = seen.probe if name == "eval" else seen.probe[: sizes[-2]]
            on_images = _activity(net, pixels, image_size, layers, mode, seed, device)
            on_dot = _activity(net, frames, image_size, layers, mode, seed, device)
            for layer in layers:
                path = dot_path(on_dot[layer].flatten(1), dot.angles, n_projections, seed)
                if name == "eval":
                    rows[layer] = {**_spectra(layer, on_images[layer], sizes, seen.picture), **path}
                    continue
                exponent = _exponent(spectra.covariance_spectrum(on_images[layer].flatten(1)))[1]
                control = {"exponent": exponent, "roughness": path["roughness"], "r2": path["r2"]}
                rows[layer] |= {f"{name}_{key}": value for key, value in control.items()}
    return {
        **{key: np.array([rows[layer][key] for layer in LAYERS]) for key in rows[LAYERS[0]]},
        "step": history.step,
        "loss": history.loss / batch_size,
        "reconstruction": float(terms.reconstruction.mean()),
        "renormed_reconstruction": float(resnet_vae.vae_evaluate(renormed, seen.probe).reconstruction.mean()),
        "kl": float(terms.kl.mean()),
        **references(seen, image_size),
        **robustness(model, seen, seed, device),
        "examples": np.stack([(images * 255).round().byte().numpy() for images in (examples, output)]),
    }


def references(seen: Images, size: int) -> dict:
    """Return the cross-entropy of held-out images that no network falls below, and that of two plain guesses.

    best_loss: every pixel exactly right; mean_colour_loss: each image in its own mean colour; mean_image_loss: all
    images as the mean of the training images.
    """
    held, mean = resnet_vae.prepare(seen.probe, size), resnet_vae.prepare(seen.train[:2048], size).mean(0)
    guesses = {
        "best_loss": held,
        "mean_colour_loss": held.mean((2, 3), keepdim=True).expand_as(held),
        "mean_image_loss": mean.expand_as(held),
    }
    return {
        name: float(torch.nn.functional.binary_cross_entropy(guess, held, reduction="sum")) / len(held)
        for name, guess in guesses.items()
    }


def robustness(model: resnet_vae.ResNetVAE, seen: Images, seed: int, device) -> dict:
    """Return mean cross-entropies in eval mode: of training images, and of held-out ones clean, noisy and attacked.

    The input is damaged, the target never: Gaussian noise of standard deviation 0.1, or a step of 4/255 along the sign
    of the loss's gradient for each pixel (Goodfellow et al. 2015).
    """
    learnt, held = (resnet_vae.prepare(part[:TESTED], model.image_size).to(device) for part in (seen.train, seen.probe))
    noise = torch.randn(held.shape, generator=streams.generator(seed, "corruption")).to(device)
    moved = held.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(resnet_vae.vae_terms(model(moved), held).reconstruction.sum(), moved)
    pairs = {
        "train_loss": (learnt, learnt),
        "test_loss": (held, held),
        "noisy_loss": ((held + NOISE * noise).clamp(0, 1), held),
        "attacked_loss": ((held + ATTACK * gradient.sign()).clamp(0, 1), held),
    }
    with torch.no_grad():
        return {
            name: float(resnet_vae.vae_terms(model(inputs), target).reconstruction.mean())
            for name, (inputs, target) in pairs.items()
        }


def renormalised(model: resnet_vae.ResNetVAE, pixels: torch.Tensor, device) -> resnet_vae.ResNetVAE:
    """Return a copy whose batch-norm statistics are taken anew without dropout.

    The statistics of training include the variance that dropout adds, which is missing in eval mode: every batch norm
    then divides by too much (Li et al. 2019). This copy differs from the trained network in nothing else.
    """
    copy_ = copy.deepcopy(model).eval()
    for module in copy_.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over the batches
            module.train()
    with torch.no_grad():
        for batch in pixels.split(BATCH):
            copy_(resnet_vae.prepare(batch, model.image_size).to(device))
    return copy_.eval()


def _activity(model, pixels, size, layers, mode, seed, device) -> dict[str, torch.Tensor]:
    """Layer -> activity [n, ...] on the device, float32: 4 bytes for each unit and image, and one batch more."""
    noise = None if mode == "eval" else streams.generator(seed, "probe noise", device)
    batches = (resnet_vae.prepare(batch, size) for batch in pixels.split(BATCH))
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
    """Everything about the covariance of one layer; the axis of `sizes` comes first."""
    found = _view_spectra(layer, activity, sizes)
    flat, channel = found[0], found[min(1, len(found) - 1)]
    exponents = np.array([_exponent(spectrum) for spectrum in flat])
    steepness = [[_exponent(spectrum, VIEW_WINDOW, VIEW_WINDOW[1])[1] for spectrum in view] for view in found]
    one = len(VIEWS) // len(found)  # without positions the four views are one
    return {
        "units": flat[-1].n_units,
        "channels": channel[-1].n_units,
        "eigenvalues": np.array([_padded(spectrum) for spectrum in flat]),
        "channel_eigenvalues": np.array([_padded(spectrum) for spectrum in channel]),
        "fitted": exponents[:, 0],
        "exponent": exponents[:, 1],
        "r2_fit": exponents[:, 2],
        "wide_exponent": _wide(flat[-1]),
        "effective_rank": np.array([_rank(spectrum) for spectrum in flat]),
        "channel_effective_rank": np.array([_rank(spectrum) for spectrum in channel]),
        "view_exponent": np.array(steepness * one),
        "view_effective_rank": np.array([_rank(view[-1]) for view in found] * one),
        "by_picture": _by_picture(activity, picture),
    }


def _view_spectra(layer: str, activity: torch.Tensor, sizes: tuple[int, ...]) -> list[list[spectra.Spectrum]]:
    """Spectra [view][n] of a layer; one view without positions. Copies are of BATCH images at a time, not of all."""
    flat = [spectra.covariance_spectrum(activity[:n].flatten(1)) for n in sizes]
    if layer not in CONVOLUTIONAL:
        return [flat]
    channel = [
        spectra.covariance_spectrum(spectra.views(part)["channel"] for part in activity[:n].split(BATCH)) for n in sizes
    ]
    narrow = [torch.cat([spectra.views(part)[view] for part in activity.split(BATCH)]) for view in VIEWS[2:]]
    return [flat, channel, *([spectra.covariance_spectrum(rows[:n]) for n in sizes] for rows in narrow)]


def _padded(spectrum: spectra.Spectrum) -> np.ndarray:
    values = np.full(RANKS, np.nan)
    kept = spectrum.eigenvalues[:RANKS]
    values[: len(kept)] = kept
    return values


def _rank(spectrum: spectra.Spectrum) -> float:
    """The effective rank; 0 for a dead layer, whose activity is the same for every image."""
    return spectra.effective_rank(spectrum) if spectrum.eigenvalues[0] > 0 else 0.0


def _wide(spectrum: spectra.Spectrum) -> float:
    """The corrected exponent on ranks 11 to min(n, m)/10, or NaN where that is no decade."""
    last = min(spectrum.n_samples, spectrum.n_units) // 10
    return _exponent(spectrum, (11, last))[1] if last >= 110 else np.nan


def _by_picture(activity: torch.Tensor, picture: torch.Tensor | None) -> np.ndarray:
    """The corrected exponent on the patches of each held-out photograph alone; NaN without photographs."""
    if picture is None:
        return np.full(1, np.nan)
    groups = [activity[picture == index].flatten(1) for index in picture.unique()]
    return np.array([_exponent(spectra.covariance_spectrum(group))[1] for group in groups])


def dot_path(activity: torch.Tensor, angles: np.ndarray, n_projections: int, seed: int) -> dict:
    """Return mean log10 roughness and mean R^2 to (cos, sin) of random 3-D projections, and the first DRAWN paths.

    A dead layer, which does not move at all, counts as noise: roughness 1 and R^2 0.
    """
    rng = streams.rng(seed, "projections")
    matrix = projections.random_projection(activity.shape[1], 3 * n_projections, rng)
    centred = activity - activity.mean(0)
    drawn = (centred @ torch.from_numpy(matrix).to(centred)).cpu().double().numpy()
    drawn = drawn.reshape(len(angles), n_projections, 3).swapaxes(0, 1)
    shown = {"path": drawn[0], "drawn": drawn[:DRAWN].astype(np.float32)}
    if not activity.var(0).any():
        return {"roughness": 0.0, "r2": 0.0, **shown}
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

    exponents [seed, n, layer], the layers in order of depth. The flattest layer is that of the other seeds' mean over
    n; the least value over n is returned, arrays [seed].
    """
    others = (exponents.sum(0) - exponents).mean(1)
    flattest = np.take_along_axis(exponents, others.argmin(-1)[:, None, None], axis=-1)[..., 0]
    return (exponents[..., 0] - flattest).min(1), (exponents[..., -1] - flattest).min(1)


def probed(nets: Results, way: str, quantity: str) -> np.ndarray:
    """Return one of QUANTITIES in one of the ways PROBES as [rate, seed, layer].

    The exponent is that of the second largest number of images, the same for the three ways.
    """
    values = nets.array(PROBES[way] + quantity)
    return values[..., -2] if (way, quantity) == ("eval mode", "exponent") else values


def encoder_mean(nets: Results, way: str, quantity: str) -> np.ndarray:
    """Return the mean over the encoder's layers of what `probed` returns, as [rate, seed]."""
    return layer_mean(probed(nets, way, quantity), ENCODER)


def trend(nets: Results, way: str, quantity: str, held_equal: np.ndarray | None = None) -> Estimate:
    """Return how the encoder's mean changes per unit dropout, and its 95 % t interval."""
    return intervals.common_slope(encoder_mean(nets, way, quantity), nets.setting("dropout"), held_equal)


def late_less_early(values: np.ndarray) -> Estimate:
    """Return the mean over rates of the encoder's last third less its first, of [rate, seed, layer], over seeds."""
    return intervals.mean((layer_mean(values, LATE) - layer_mean(values, EARLY)).mean(0))


def learnt_share(nets: Results) -> pd.DataFrame:
    """Return how far the networks have come: the share of the way from the mean image to exact pixels."""
    guess, right = nets.array("mean_image_loss"), nets.array("best_loss")
    names = {
        "as trained, eval mode": "reconstruction",
        "batch norm recalibrated": "renormed_reconstruction",
        "each patch's mean colour": "mean_colour_loss",
    }
    shares = {name: ((guess - nets.array(key)) / (guess - right)).mean(1) for name, key in names.items()}
    return pd.DataFrame({"dropout p": nets.setting("dropout"), **shares})


def window_fit(nets: Results) -> pd.DataFrame:
    """Return by layer the exponent and R² of the straight line, means over networks at the most images."""
    exponent, r2 = (nets.array(key)[..., -1].reshape(-1, len(LAYERS)) for key in ("exponent", "r2_fit"))
    means = {"mean exponent a": exponent.mean(0), "mean R² of the line": r2.mean(0)}
    return pd.DataFrame({"layer": LAYERS, **means, "lowest R²": r2.min(0)})


def by_depth(nets: Results) -> pd.DataFrame:
    """Return the mean exponent of the encoder's layers, over all rates and at the smallest and largest."""
    eval_mode = nets.array("exponent")[:, :, : len(ENCODER), -1].mean(1)
    anew = nets.array("renormed_exponent")[:, :, : len(ENCODER)].mean((0, 1))
    rates = nets.setting("dropout")
    ends = {f"p = {rates[place]:g}": eval_mode[place] for place in (0, -1)}
    return pd.DataFrame(
        {
            "layer": ENCODER,
            "all rates, eval mode": eval_mode.mean(0),
            **ends,
            "all rates, batch norm recalibrated": anew,
        }
    )


def by_view(nets: Results) -> pd.DataFrame:
    """Return for each view the exponent of the stem, of the flattest layer of the mean curve, and which that is."""
    ends = nets.array("view_exponent")[:, :, : len(ENCODER), :, -1].mean((0, 1)).T  # [view, layer]
    return pd.DataFrame(
        {
            "view": list(VIEW_NAMES.values()),
            "exponent of the stem": ends[:, 0],
            "flattest layer": [ENCODER[place] for place in ends.argmin(1)],
            "its exponent": ends.min(1),
        }
    )


def trends(nets: Results) -> pd.DataFrame:
    """Return the change per unit dropout of the three quantities, in all ways of probing."""
    lag = nets.array("renormed_reconstruction")  # how far learning has come, freed of the variance shift
    rows = {way: {key: trend(nets, way, key) for key in QUANTITIES} for way in PROBES}
    way = "batch norm recalibrated"
    rows[f"{way}, at equal held-out loss"] = {key: trend(nets, way, key, lag) for key in QUANTITIES}
    return _in_words(rows, "change per unit p")


def first_step(nets: Results) -> pd.DataFrame:
    """Return what the smallest dropout rate changes, in all ways of probing."""
    first, second = nets.setting("dropout")[:2]
    means = {way: {key: encoder_mean(nets, way, key) for key in QUANTITIES} for way in PROBES}
    rows = {way: {key: intervals.mean(v[1] - v[0]) for key, v in by_key.items()} for way, by_key in means.items()}
    return _in_words(rows, f"p = {second:g} less p = {first:g}")


def _in_words(rows: dict[str, dict[str, Estimate]], head: str) -> pd.DataFrame:
    texts = [[way, *(_signed(estimate) for estimate in by_key.values())] for way, by_key in rows.items()]
    return pd.DataFrame(texts, columns=[head, *QUANTITIES.values()])


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"


def reconstructions_table(nets: Results) -> pd.DataFrame:
    """Return held-out patches, their reconstructions by one network of each rate, and the losses of all networks."""
    rates, examples = nets.setting("dropout"), nets.array("examples")[:, 0]  # [rate, (input, output), patch, ...]
    pictures = {"input": examples[0, 0], **{f"p = {p:g}": e[1] for p, e in zip(rates, examples, strict=True)}}
    shown = [_pictures(name, patches) for name, patches in pictures.items()]
    ways = {"as trained, eval mode": "reconstruction", "batch norm recalibrated": "renormed_reconstruction"}
    losses = [_of_networks(rates, nets.array(key), series=name) for name, key in ways.items()]
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


def _of_networks(rates: np.ndarray, values: np.ndarray, **columns) -> pd.DataFrame:
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
    """Return exponent and effective rank over depth: by number of images, by rate, by photograph."""
    exponent, fitted = nets.array("exponent"), nets.array("fitted")  # [rate, seed, layer, n]
    parts = []
    for place, n_images in enumerate(nets.configs[0]["sizes"]):
        for name, values in (("as fitted", fitted), ("corrected", exponent)):
            mean = values[..., place].mean((0, 1))
            parts.append(_curve("numbers of images", f"n = {n_images}, {name}", mean))
    for rate, values in zip(nets.setting("dropout"), exponent[..., -1], strict=True):
        parts.append(_by_layer(LAYERS, intervals.mean(values, 0), comparison="dropout rates", series=f"p = {rate:g}"))
    alone = nets.array("by_picture").mean(0)  # [seed, layer, picture]
    for seed, picture in np.ndindex(len(alone), alone.shape[-1]):
        curve = _curve("photographs", "one photograph alone", alone[seed, :, picture])
        parts.append(curve.assign(photograph=f"{1 + picture} of split {1 + seed}"))
    parts.append(_curve("photographs", "mean of photographs", alone.mean((0, 2))))
    parts = [part.assign(quantity="exponent a") for part in parts]
    for key, name in (("effective_rank", "all units"), ("channel_effective_rank", "channels, every position a sample")):
        ranks = intervals.mean(nets.array(key)[..., -1].mean(0), 0)
        parts.append(_by_layer(LAYERS, ranks, comparison="effective rank", series=name, quantity="effective rank"))
    return pd.concat(parts)


def _curve(comparison: str, series: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"what": "measured", "comparison": comparison, "series": series, "layer": list(LAYERS), "value": values}
    )


def views_table(nets: Results) -> pd.DataFrame:
    """Return exponent and effective rank over depth in each view; behind the pooling the four are one."""
    steepness, ranks = (
        nets.array(f"view_{key}")[:, :, : len(ENCODER)].mean(0) for key in ("exponent", "effective_rank")
    )
    first, last = VIEW_WINDOW
    shown = {f"exponent a on ranks {first} to {last}": steepness[..., -1], "effective rank": ranks}
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
    rates, parts = nets.setting("dropout"), []
    for key, quantity in QUANTITIES.items():
        for way in PROBES:
            columns = {"what": "control" if way == "left in train mode" else "measured", "series": way}
            mean, values = intervals.mean(encoder_mean(nets, way, key)), probed(nets, way, key)
            parts.append(pd.DataFrame({**columns, "quantity": quantity, "dropout p": rates, **mean.columns()}))
            slopes = [intervals.common_slope(values[..., place], rates) for place in range(len(ENCODER))]
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
    for way in ("eval mode", "batch norm recalibrated"):
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
    for way in ("eval mode", "batch norm recalibrated"):
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


def measured_depth(nets: Results) -> Measured:
    """Return what decides CT-03."""
    exponent = nets.array("exponent")  # [rate, seed, layer, n]
    curves = exponent[:, :, : len(ENCODER)].mean(0).swapaxes(1, 2)  # [seed, n, layer]
    fall, rise = fall_and_rise(curves)
    flattest = ENCODER[int(curves.mean((0, 1)).argmin())]
    return Measured(
        {"fall, least over n": intervals.mean(fall), "rise, least over n": intervals.mean(rise)},
        f"95 % t interval over {_n_seeds(nets)} seeds (weights, order and split of the photographs)",
        f"{_networks(nets)}; {_probes(nets)}",
        f"the flattest layer of the mean curve is {flattest}; the largest correction for n moves an exponent by "
        f"{np.abs(exponent - nets.array('fitted')).max():.2f}",
    )


def measured_views(nets: Results) -> Measured:
    """Return what decides CT-04."""
    steepness = nets.array("view_exponent")[:, :, : len(ENCODER)].mean(0)  # [seed, layer, view, n]
    shape = {
        view: [intervals.mean(part) for part in fall_and_rise(steepness[:, :, place].swapaxes(1, 2))]
        for place, view in enumerate(VIEWS)
    }
    rule = CLAIMS["CT-03"].rule
    alone = {view: claims.of_rule(rule, dict(zip(rule, parts, strict=True))) for view, parts in shape.items()}
    return Measured(
        {f"{part}, {view}": shape[view][place] for view in VIEWS for place, part in enumerate(("fall", "rise"))},
        f"95 % t interval over {_n_seeds(nets)} seeds (weights, order and split of the photographs)",
        f"{_networks(nets)}; {_probes(nets)}",
        "CT-03's rule alone would say, view by view: " + ", ".join(f"{view} {said}" for view, said in alone.items()),
    )


def measured_dropout(nets: Results) -> Measured:
    """Return what decides CT-05."""
    names = dict(zip(QUANTITIES, CLAIMS["CT-05"].rule, strict=True))
    others = {"same weights with batch norm recalibrated": "batch norm recalibrated"}
    others |= {"left in train mode": "left in train mode"}
    notes = [
        f"{name}: exponent {_signed(trend(nets, way, 'exponent'))}, log10 roughness "
        f"{_signed(trend(nets, way, 'roughness'))}, R² {_signed(trend(nets, way, 'r2'))}"
        for name, way in others.items()
    ]
    return Measured(
        {name: trend(nets, "eval mode", key) for key, name in names.items()},
        f"95 % t interval of the regression over {len(nets)} rates and {_n_seeds(nets)} seeds",
        f"{_networks(nets)}; {_probes(nets, -2)}, a dot in {nets.configs[0]['n_frames']} frames",
        "; ".join(notes),
    )


def measured_dot(nets: Results) -> Measured:
    """Return what decides CT-06."""
    names = dict(zip(("roughness", "r2"), CLAIMS["CT-06"].rule, strict=True))
    change = {key: late_less_early(probed(nets, "eval mode", key)) for key in names}
    without = {key: late_less_early(probed(nets, "eval mode", key)[:1]) for key in names}
    anew = {key: late_less_early(probed(nets, "batch norm recalibrated", key)) for key in names}
    settings = nets.configs[0]
    notes = {f"p = {settings['dropout']:g} alone": without, "all rates, batch norm recalibrated": anew}
    return Measured(
        {name: change[key] for key, name in names.items()},
        f"95 % t interval over {_n_seeds(nets)} seeds",
        f"{_networks(nets)}; a dot in {settings['n_frames']} frames, {settings['n_projections']} projections",
        "; ".join(
            f"{name}: log10 roughness {_signed(e['roughness'])}, R² {_signed(e['r2'])}" for name, e in notes.items()
        ),
    )


def _n_seeds(nets: Results) -> int:
    return len(nets[0])


def _networks(nets: Results) -> str:
    """What the networks are, in a line."""
    settings, rates = nets.configs[0], nets.setting("dropout")
    own = "photographs" if settings["source"] == "photographs" else "CIFAR-10"
    return (
        f"{len(nets) * _n_seeds(nets)} ResNet-VAEs, dropout {rates.min():g} to {rates.max():g}, "
        f"{settings['width']:g} of ResNet18's channels, {settings['n_steps']} steps of {settings['batch_size']} on "
        f"{settings['n_train']} patches of {own} of {settings['image_size']} pixels"
    )


def _probes(nets: Results, last: int = -1) -> str:
    sizes, units = nets.configs[0]["sizes"], nets.array("units")[0, 0]
    chosen = f"n = {sizes[0]} to {sizes[-1]}" if last == -1 else f"n = {sizes[last]}"
    return f"{chosen} held-out patches, m = {units.min()} to {units.max()} units"
