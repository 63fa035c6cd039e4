"""A ResNet-VAE over depth and dropout: CT-03, CT-04, CT-05 and CT-06.

A network is trained on patches of some photographs and probed with patches of others, and with a dot that moves on a
circle. Symbols: a > 0 is the exponent of lambda_i ~ i^-a (the paper's alpha is -a), p the dropout rate.
"""

import copy
import inspect
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from polysemanticity import projections, spectra
from polysemanticity.base import paths, streams
from polysemanticity.base.checks import check
from polysemanticity.claims import Claim, Estimate
from polysemanticity.networks import data, resnet_vae, train
from polysemanticity.projections import stimuli

ENCODER = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc1", "fc2", "mu")
EARLY, LATE = ENCODER[:3], ENCODER[-3:]
LAYERS = (*ENCODER, "fc4", "fc5")
CONVOLUTIONAL = ("stem", "layer1", "layer2", "layer3", "layer4")
WINDOW = (3, 32)  # the fitted ranks: the same for every layer and every number of images, see Config
DRAWN = 20  # projected paths kept of each layer, to look at
BATCH = 256  # images that pass through a network together
ENOUGH = 30  # samples per unit from which an exponent needs no correction: it would be below 0.01
RANKS = 512  # eigenvalues kept of each spectrum
NOISE, ATTACK = 0.1, 4 / 255  # what is added to images in [0, 1]: Gaussian noise; a step along the gradient's sign
TESTED = 512  # images that each loss of `robustness` is measured on
STEEPEST = spectra.MAX_EXPONENT  # a layer that is constant up to rounding shows more: it counts as this
VIEWS = ("flattened", "channel", "pooled", "location")  # how a convolutional layer is read, see `spectra.views`
VIEW_WINDOW = (2, 12)  # the fitted ranks in every view: the first layers have 16 channels only
DECADE_UNITS = 4 * WINDOW[1]  # a layer with fewer units has no exponent: the tail of its spectrum would be fitted
_SOURCE = "Marshall & Kirchner 2024"
RECIPE = (
    "The networks' recipe was changed before this sweep and the rule was not: patches of 16 pixels and not 32, 256 "
    "dense units and not 1024, because the networks before reconstructed less than a patch's mean colour; chosen by "
    "the held-out loss at p = 0 on a seed not used here. A sweep with 700 steps was cut off for time after p = 0 (two "
    "seeds) and p = 0.8 (one), which were looked at: they too stayed below the mean colour on these splits; 600 steps "
    "since, for time alone."
)

FIGURES = {
    "figx_reconstructions": "Held-out photograph patches above their reconstructions by networks trained with "
    "different dropout rates; and the losses of every network.",
    "fig3a_eigenspectra": "Eigenvalues against rank of each layer on doubly logarithmic axes with the fitted window, "
    "and their local slope over rank.",
    "fig3b_depth": "Exponent over depth for four numbers of images, as fitted and corrected for the number of images; "
    "beside it the exponent for each held-out photograph alone and the effective rank.",
    "figx_views": "Exponent and effective rank over depth when a convolutional layer is read in four ways: flattened, "
    "channels with positions as samples, channels averaged over positions, and channels at one position.",
    "fig4a_dot_projections": "One random three-dimensional projection per layer of the activity while a dot moves "
    "round a circle, coloured by the dot's angle.",
    "fig4b_roughness": "Roughness of the projected path and the variance of the dot's position that it explains, "
    "over depth, one line per dropout rate.",
    "fig5_dropout": "Exponent, roughness and explained variance against the dropout rate: probed in eval mode, with "
    "batch norm taken anew, and with the network left in train mode; below, each layer's slope with its interval.",
}

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
    ),
    "CT-04": Claim(
        id="CT-04",
        claim="The non-monotone course over depth does not depend on how convolutional layers are read",
        source=f"{_SOURCE}, next checks (convolutional layers)",
        paper="asks whether the result carries over; no numbers",
        rule={f"{part}, {view}": (0.05, inf) for view in VIEWS for part in ("fall", "rise")},
        reason="The rule of CT-03 (fall and rise of the exponent, least over n, mean over dropout rates) in each of "
        "four views: all units; channels with every position as a sample; channels averaged over positions; channels "
        "at the central position. Behind the average pooling the views are one. In all views the ranks are 2 to 12, "
        "as the first layers have 16 channels: under a decade, so this is a measure of steepness and no law. The "
        "claim needs the shape in every view. Written before any network was read so; CT-03's verdict on earlier "
        "networks was known.",
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
    ),
}


def network(cfg, dropout: float) -> dict:
    """Return the settings of `vae` for one dropout rate."""
    taken = {name: getattr(cfg, name) for name in inspect.signature(vae).parameters if hasattr(cfg, name)}
    return {"dropout": dropout, "content": fingerprint_here(taken), **taken}


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
    spectrum: spectra.Spectrum, window: tuple[int, int] = WINDOW, least_units: int | None = None
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


def dropout_trend(
    values: np.ndarray, rates: tuple[float, ...], held_equal: np.ndarray | None = None, level: float = 0.95
) -> Estimate:
    """Return the slope of values [rate, seed] on the rate and its t interval; every seed has its own constant.

    held_equal [rate, seed]: a second regressor, such as the loss, so that the slope is that at an equal value of it.
    """
    rate = np.broadcast_to(np.asarray(rates)[:, None], np.shape(values))
    regressors = [rate] if held_equal is None else [rate, held_equal]
    design = np.stack([(column - column.mean(0)).ravel() for column in regressors], axis=1)
    target = (values - np.mean(values, axis=0)).ravel()
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ target
    residual = target - design @ coefficients
    dof = target.size - np.shape(values)[1] - len(regressors)
    half = stats.t.ppf((1 + level) / 2, dof) * np.sqrt(residual @ residual / dof * inverse[0, 0])
    return Estimate(float(coefficients[0]), float(coefficients[0] - half), float(coefficients[0] + half))


def fall_and_rise(exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every seed how far the exponent falls from the first layer to the flattest and rises to the last.

    exponents [seed, n, layer], the layers in order of depth. The flattest layer is that of the other seeds' mean over
    n; the least value over n is returned, arrays [seed].
    """
    others = (exponents.sum(0) - exponents).mean(1)
    flattest = np.take_along_axis(exponents, others.argmin(-1)[:, None, None], axis=-1)[..., 0]
    return (exponents[..., 0] - flattest).min(1), (exponents[..., -1] - flattest).min(1)
