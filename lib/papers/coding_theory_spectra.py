"""Understanding polysemanticity through coding theory, part 1: eigenspectra of a ResNet-VAE over depth and dropout.

Symbols: a > 0 is the exponent of lambda_i ~ i^-a (the paper's alpha is -a), p the dropout rate. A network is trained on
patches of some photographs and probed with patches of others, and with a dot that moves on a circle.
"""

import copy
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from lib import codes, data, information, models, paths, projections, runtime, smoothness, spectra, stimuli, train
from lib.claims import Claim, Estimate
from lib.config import setting

SLUG = "coding_theory_spectra"
TITLE = "Understanding polysemanticity in neural networks through coding theory"
PAPER = "Simon C. Marshall, Jan H. Kirchner (2024), arXiv:2401.17975"

ENCODER = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc1", "fc2", "mu")
EARLY, LATE = ENCODER[:3], ENCODER[-3:]
LAYERS = (*ENCODER, "fc4", "fc5")
CONVOLUTIONAL = ("stem", "layer1", "layer2", "layer3", "layer4")
WINDOW = (3, 32)  # the fitted ranks: the same for every layer and every number of images, see Config
RANKS = 512  # eigenvalues kept of each spectrum
STEEPEST = spectra.MAX_EXPONENT  # a layer that is constant up to rounding shows more: it counts as this
DECADE_UNITS = 4 * WINDOW[1]  # a layer with fewer units has no exponent: the tail of its spectrum would be fitted

ELSEWHERE = ("n_seeds", "dropouts", "n_planted", "threads", "code_bits", "n_codes", "n_paths", "n_draws")

UNITS, LEVELS = 8, 4  # of random superpositions: small enough to go through every message and every set of survivors
LINEAR = {
    "monosemantic": partial(codes.monosemantic, 8),
    "repetition [15, 4]": partial(codes.repetition, 4, 15),
    "simplex [15, 4]": partial(codes.simplex, 4),
    "repetition [7, 3]": partial(codes.repetition, 3, 7),
    "simplex [7, 3]": partial(codes.simplex, 3),
}
STEPS = 2 ** np.arange(5, 13)  # steps per turn at which a path is looked at
FINE = 5  # of these, the finest, between which the power is fitted
DIMENSIONS = (1, 2, 4)
ROUGH, POWERS = (0.5, 1.0, 1.5), (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # d(a - 1)


@dataclass(frozen=True)
class Config:
    """Settings of the default profile. The fitted ranks are 3 to 32: one decade, and below a quarter of the units even
    in the narrowest layer (128), so that layers and numbers of images are compared on the same ranks."""

    n_seeds: int = setting(3, "trainings per dropout rate; each splits the photographs anew", low=2)
    dropouts: tuple[float, ...] = setting((0.0, 0.2, 0.4, 0.6, 0.8), "dropout rates of the encoder", low=0, high=0.95)
    source: str = setting("photographs", "what is learnt", choices=("photographs", "cifar10"))
    folder: str = setting("", "folder of your own pictures, or of CIFAR-10; empty: the photographs that ship here")
    n_train: int = setting(16384, "patches to train on (CIFAR-10: images)", low=64)
    n_steps: int = setting(900, "training steps", low=2)
    batch_size: int = setting(32, "images per step", low=2)
    lr: float = setting(2e-3, "Adam's learning rate at the start; the paper's is 0.001, for many more steps", low=0)
    kl_weight: float = setting(
        (32 / 224) ** 2, "weight of the KL term; the paper's 1 at 224 pixels, scaled with the number of pixels", low=0
    )
    schedule: str = setting("cosine", "learning rate over time", choices=train.SCHEDULES)
    width: float = setting(0.25, "channels of the encoder relative to ResNet18", low=1 / 64, high=4)
    image_size: int = setting(32, "side of the network's input in pixels", low=16)
    stem_stride: int = setting(2, "how much the stem reduces the image: 4 is the paper's ResNet18", choices=(1, 2, 4))
    sizes: tuple[int, ...] = setting((192, 384, 768, 1536), "numbers of probe images n, ascending", low=DECADE_UNITS)
    n_frames: int = setting(256, "frames of the moving dot, one turn", low=8)
    n_projections: int = setting(100, "random projections of the dot's activity", low=2)
    n_planted: int = setting(20, "planted data sets for each exponent, in the first check", low=2)
    code_bits: tuple[int, ...] = setting((2, 4, 6, 8, 9, 10, 11, 12, 14, 16), "bits on 8 units", low=2, high=16)
    n_codes: int = setting(10, "random superpositions of each size", low=2)
    n_paths: int = setting(40, "random projections of each synthetic code", low=2)
    n_draws: int = setting(40_000, "random projections of Gaussian activity, and samples of rounded units", low=100)
    layers_at_once: int = setting(len(LAYERS), "layers whose activity is held in memory together", low=1)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)


PROFILES = {
    "smoke": {
        "n_seeds": 2,
        "dropouts": (0.0, 0.4, 0.8),
        "n_train": 128,
        "n_steps": 4,
        "batch_size": 32,
        "sizes": (128, 144, 160, 192),
        "n_frames": 32,
        "n_projections": 4,
        "n_planted": 2,
        "code_bits": (2, 4, 16),
        "n_codes": 2,
        "n_paths": 4,
        "n_draws": 400,
    },
    "default": {},
    "paper": {
        "source": "cifar10",
        "n_train": 50000,
        "n_steps": 200_000,
        "batch_size": 50,
        "lr": 1e-3,
        "schedule": "constant",
        "kl_weight": 1.0,
        "width": 1.0,
        "image_size": 224,
        "stem_stride": 4,
        "sizes": (1000, 2000, 4000, 8000),
        "layers_at_once": 1,
    },
}

FIGURES = {
    "figx_planted_exponents": "Planted against fitted exponents of Gaussian data: the plain fit bends away from the "
    "diagonal where samples are few, the corrected one stays on it with its interval.",
    "figx_stringer_curves": "Random three-dimensional projections of synthetic codes of an angle with exponents 2, 3 "
    "and 4: a jagged loop, a rough loop, a smooth loop; below, action against the number of steps.",
    "figx_reconstructions": "Held-out photograph patches above their reconstructions by networks trained with "
    "different dropout rates; and the losses of every network.",
    "fig3a_eigenspectra": "Eigenvalues against rank of each layer on doubly logarithmic axes with the fitted window, "
    "and their local slope over rank.",
    "fig3b_depth": "Exponent over depth for four numbers of images, as fitted and corrected for the number of images; "
    "beside it the exponent for each held-out photograph alone and the effective rank.",
    "fig4a_dot_projections": "One random three-dimensional projection per layer of the activity while a dot moves "
    "round a circle, coloured by the dot's angle.",
    "fig4b_roughness": "Roughness of the projected path and the variance of the dot's position that it explains, "
    "over depth, one line per dropout rate.",
    "fig5_dropout": "Exponent, roughness and explained variance against the dropout rate: probed in eval mode, with "
    "batch norm taken anew, and with the network left in train mode; below, each layer's slope with its interval.",
    "fig2_frontier": "Share of messages decoded and share of bits that survive against bits per unit at three dropout "
    "rates: random superpositions from sparse to dense, with repetition, simplex and monosemantic codes and the limit "
    "that no code passes; beside it the capacity of a unit under dropout and the paper's bounds.",
    "figx_smoothness": "Squared step of random projections against the step's length, in one dimension; "
    "the power against the spectral exponent for one, two and four dimensions; the threshold against the dimension.",
    "figx_action": "Mean squared projection over the paper's value and over the corrected one against the exponent, "
    "for three numbers of units; and the finite sum of the spectrum beside the zeta function.",
    "figx_entropy_bound": "Bits per unit against the spectral exponent: the printed bound rises above the bits that "
    "there are, the corrected one goes below zero, water-filling follows the entropy of rounded Gaussian units.",
    "figx_flat_redundant": "Bits per unit against the bound from the spectrum for many codes, all below the diagonal "
    "with the simplex codes far below; the spectra of simplex and repetition codes; their accuracy under dropout.",
}

_SOURCE = "Marshall & Kirchner 2024"
CLAIMS = {
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
        "sweep in which the fall was 0 and a bound of 0 would have let it pass; both with seeds not used here.",
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
        "the rate with one constant per seed.",
    ),
    "CT-06": Claim(
        id="CT-06",
        claim="Random projections of a moving dot are jagged in early layers and smooth in late ones",
        source=f"{_SOURCE}, Fig. 4",
        paper="late layers recover the smooth loop",
        rule={"log10 roughness, late less early": (-inf, 0.0), "R² to the dot's position, late less early": (0.0, inf)},
        reason="Signs only: the paper shows pictures. Early and late are the first and last third of the encoder's "
        "layers; roughness is free of scale and R² asks whether the loop is recovered. Eval mode, mean over dropout "
        "rates, 100 projections each, none selected.",
    ),
    "CT-02": Claim(
        id="CT-02",
        claim="Superposition maximises capacity, redundancy buys robustness",
        source=f"{_SOURCE}, Fig. 2 and supplement 2.3",
        paper="a superposition holds more than a monosemantic code; (1 - eps)(1 - D) C m <= capacity <= (1 - D) C m",
        rule={
            "bits per unit, dense superposition ÷ monosemantic": (1.0, inf),
            "bits per unit without loss, long superposition ÷ monosemantic": (1.0, inf),
            "surviving share, redundant less dense superposition": (0.0, inf),
            "surviving share, redundant less monosemantic": (0.0, inf),
            "capacity outside the paper's bounds, most (bits)": (-inf, 1e-9),
            "closed form less Blahut–Arimoto, most (bits)": (0.0, 1e-6),
        },
        reason="The first is I(message; units) per unit of the densest code without dropout, over the one bit of a "
        "unit that shows one binary feature; the second the most bits per unit at which 99 % of messages of a random "
        "superposition of 256 bits can be told apart. The surviving share is I(message; surviving units)/k, averaged "
        "over rates .1 to .8, which unlike the accuracy does not depend on how many bits have to be right together; "
        "redundant: half a bit per unit, dense: two bits, all that a unit of four levels holds. Signs only for the "
        "codes; the capacity is a calculation. Fixed after a pilot with seed 0, which is not among the seeds used: it "
        "showed that 99 % is not reached by codes of 8 units, the only ones that the first version looked at; see the "
        "note.",
    ),
    "CT-07": Claim(
        id="CT-07",
        claim="Projections are smooth if and only if alpha <= -1",
        source=f"{_SOURCE}, main text and supplement 2.5",
        paper="threshold a = 1, whatever the stimulus; its probe, a dot on a circle, has one dimension",
        rule={"threshold of a, d = 1": (0.9, 1.1)},
        reason="Threshold: the exponent at which a projection's squared steps fall as the square of their length, as "
        "those of a differentiable curve do; a line through the powers at d(a - 1) = .5, 1, 1.5, continued to 2. The "
        "powers are fitted on 256 to 4096 steps per turn; d(a - 1) = 2 itself is left out of the rule because there "
        "the squared step falls as the square times a logarithm. 0.1 is what the finite range of steps allows. "
        "Not blind: the powers had been looked at in pilots.",
        corrected={
            "threshold less 1 + 2/d, d = 1": (-0.1, 0.1),
            "threshold less 1 + 2/d, d = 2": (-0.1, 0.1),
            "threshold less 1 + 2/d, d = 4": (-0.1, 0.1),
            "power less min(2, d(a - 1)), least": (-0.1, 0.1),
            "power less min(2, d(a - 1)), most": (-0.1, 0.1),
        },
        correction="smooth if and only if a > 1 + 2/d for a stimulus with d dimensions; a > 1 is its limit for many",
    ),
    "CT-08": Claim(
        id="CT-08",
        claim="The expected action of a random projection is ½ζ(-alpha)",
        source=f"{_SOURCE}, supplement 2.5",
        paper="½ Σ i^alpha ~ ½ ζ(-alpha) for three directions with entries of variance 1/m",
        rule={"measured ÷ ½ζ(a), a = 1.5": (0.95, 1.05)},
        reason="At a = 1.5 the sum has nearly converged for the largest m here, so that only the constant is tested. "
        "5 % is three times the sampling error or more.",
        corrected={
            "measured ÷ (3/2m) Σ i^-a, least": (0.95, 1.05),
            "measured ÷ (3/2m) Σ i^-a, most": (0.95, 1.05),
        },
        correction="(3/2m) Σ i^-a summed over the m units that there are, at every a; a variance, not an action",
    ),
    "CT-09": Claim(
        id="CT-09",
        claim="A code with a power-law spectrum holds at most mn - alpha m log(m/e) bits",
        source=f"{_SOURCE}, supplement 2.4",
        paper="H <= mn - alpha m log(m/e), with alpha < 0 more than the mn bits that m units of n bits have",
        rule={"printed bound ÷ mn, most": (0.0, 1.0)},
        reason="A bound above mn says nothing; it should fall as the spectrum becomes steeper. Corrected: the entropy "
        "of rounded Gaussian units, along the principal axes (exact) and turned at random (sampled), is never above "
        "the certified bound, and within a bit per unit of water-filling: theory allows 0.755.",
        corrected={
            "entropy ÷ certified bound, most": (0.0, 1.0),
            "entropy less water-filling, least (bits per unit)": (-1.0, 1.0),
            "entropy less water-filling, most (bits per unit)": (-1.0, 1.0),
        },
        correction="H <= Σ ½ log2(2πe(λ_i/δ² + 1/12)) for units in steps of δ; to within a bit per unit "
        "Σ max(0, n - (a/2) log2 i), reverse water-filling",
    ),
    "CT-12": Claim(
        id="CT-12",
        claim="How steeply the eigenspectrum falls measures how redundant a code is",
        source=f"{_SOURCE}, main text",
        paper="flat: efficient; steep: redundant",
        rule={"spectral redundancy of the simplex code": (0.5, 1.0)},
        reason="Spectral redundancy: 1 - (effective rank)/(units), no fit needed. 11 of the 15 units of the [15, 4] "
        "simplex code are redundant, a share of .73; half of that would be a sign of it. The corrected statement needs "
        "all of: that code is flat, repetition with as many units is not, the simplex code stands erasures better at "
        "every rate, and no code here holds more bits than its spectrum allows.",
        corrected={
            "spectral redundancy of the simplex code": (-1e-9, 1e-9),
            "spectral redundancy of repetition": (0.5, 1.0),
            "accuracy, simplex less repetition, least": (0.0, inf),
            "bits ÷ bound from the spectrum, most": (0.0, 1.0),
        },
        correction="one direction only: a steep spectrum bounds the bits from above, a flat one allows any redundancy",
    ),
}


def network(cfg: Config, dropout: float) -> dict:
    """Return the settings of `vae` for one dropout rate."""
    content = data.fingerprint(data.photographs(cfg.folder or None)) if cfg.source == "photographs" else "published"
    taken = {name: value for name, value in vars(cfg).items() if name not in ELSEWHERE}
    return {"dropout": dropout, "content": content, **taken}


class Images(NamedTuple):
    """Images to train on and to probe with; `picture` is the photograph of each probe, or None."""

    train: torch.Tensor
    probe: torch.Tensor
    picture: torch.Tensor | None


def images(source: str, folder: str, n_train: int, n_probe: int, size: int, seed: int) -> Images:
    """Return images in [0, 1] to train on and others to probe with; every seed splits the photographs anew."""
    if source == "cifar10":
        fitted, held = (data.cifar10(folder or paths.cache() / "cifar10", train=part).pixels for part in (True, False))
        runtime.check(n_probe <= len(held), "sizes", n_probe, f"at most {len(held)}, CIFAR-10's test images")
        return Images(fitted[:n_train], held[:n_probe], None)
    fitted, held = data.split(data.photographs(folder or None, smallest=size), seed=seed)
    probes = data.patches(held, n_probe, size, runtime.rng(seed, "probes"))
    return Images(data.patches(fitted, n_train, size, runtime.rng(seed, "patches")).pixels, probes.pixels, probes.image)


def loss(model: models.ResNetVAE, pixels: torch.Tensor, kl_weight: float) -> torch.Tensor:
    """Return the training loss, summed over the batch: cross-entropy summed over pixels + kl_weight * KL."""
    target = models.prepare(pixels, model.image_size)
    terms = models.vae_terms(model(target), target)
    return terms.reconstruction.sum() + kl_weight * terms.kl.sum()


def vae(
    *, seed, device, dropout, content, source, folder, n_train, n_steps, batch_size, lr, kl_weight, schedule, width,
    image_size, stem_stride, sizes, n_frames, n_projections, layers_at_once,
) -> dict:  # fmt: skip
    """Train one VAE and return its spectra, exponents, dot projections and losses; the first axis is LAYERS."""
    seen = images(source, folder, n_train, max(sizes), 32 if source == "cifar10" else image_size, seed)
    model = train.build(
        models.ResNetVAE, seed=seed, device=device, width=width, image_size=image_size, stem_stride=stem_stride,
        dropout=dropout,
    )  # fmt: skip
    long = n_steps > 10_000
    history = train.fit(
        model, partial(loss, kl_weight=kl_weight), seen.train, n_steps=n_steps, batch_size=batch_size, lr=lr,
        seed=seed, schedule=schedule, autocast="bfloat16", channels_last=True, log_every=max(n_steps // 50, 1),
        checkpoint=paths.cache() / "trainings" / f"vae-p{dropout:g}-seed{seed}-steps{n_steps}.pt" if long else None,
    )  # fmt: skip
    model.to(memory_format=torch.contiguous_format)
    terms = models.vae_evaluate(model, seen.probe)
    examples = models.prepare(seen.probe[:8], image_size)
    with torch.no_grad():
        output = model(examples.to(device)).pixels.cpu()
    dot = stimuli.moving_dot(n_frames)
    frames = models.prepare(torch.from_numpy(dot.frames).float()[:, None].expand(-1, 3, -1, -1), image_size)
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
        "renormed_reconstruction": float(models.vae_evaluate(renormed, seen.probe).reconstruction.mean()),
        "kl": float(terms.kl.mean()),
        "examples": np.stack([(images * 255).round().byte().numpy() for images in (examples, output)]),
    }


def renormalised(model: models.ResNetVAE, pixels: torch.Tensor, device) -> models.ResNetVAE:
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
        for batch in pixels.split(256):
            copy_(models.prepare(batch, model.image_size).to(device))
    return copy_.eval()


def _activity(model, pixels, size, layers, mode, seed, device) -> dict[str, torch.Tensor]:
    """Layer -> activity [n, ...] on the device, float32."""
    noise = None if mode == "eval" else runtime.generator(seed, "probe noise", device)
    batches = (models.prepare(batch, size) for batch in pixels.split(256))
    parts = list(models.activations(model, batches, layers, mode=mode, noise=noise))
    return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}


def _exponent(spectrum: spectra.Spectrum, window: tuple[int, int] = WINDOW) -> tuple[float, float, float]:
    """The fitted exponent, the corrected one and the R^2 of the fit; NaN for a layer too narrow for the window."""
    if min(spectrum.n_samples, spectrum.n_units) < 4 * window[1]:
        return np.nan, np.nan, np.nan
    first, last = window
    if spectrum.eigenvalues[last - 1] <= 0:
        return STEEPEST, STEEPEST, 0.0
    law = spectra.fit_power_law(spectrum, first, last)
    if law.exponent >= STEEPEST:
        return STEEPEST, STEEPEST, law.r2
    return law.exponent, spectra.debias_power_law(spectrum, first=first, last=last).exponent, law.r2


def _spectra(layer: str, activity: torch.Tensor, sizes: tuple[int, ...], picture: torch.Tensor | None) -> dict:
    """Everything about the covariance of one layer; the axis of `sizes` comes first."""
    flat = [spectra.covariance_spectrum(activity[:n].flatten(1)) for n in sizes]
    pooled = flat
    if layer in CONVOLUTIONAL:
        channels = activity.flatten(2).transpose(1, 2)
        pooled = [spectra.covariance_spectrum(channels[:n].flatten(0, 1)) for n in sizes]
    exponents = np.array([_exponent(spectrum) for spectrum in flat])
    return {
        "units": flat[-1].n_units,
        "channels": pooled[-1].n_units,
        "eigenvalues": np.array([_padded(spectrum) for spectrum in flat]),
        "channel_eigenvalues": np.array([_padded(spectrum) for spectrum in pooled]),
        "fitted": exponents[:, 0],
        "exponent": exponents[:, 1],
        "r2_fit": exponents[:, 2],
        "wide_exponent": _wide(flat[-1]),
        "effective_rank": np.array([_rank(spectrum) for spectrum in flat]),
        "channel_effective_rank": np.array([_rank(spectrum) for spectrum in pooled]),
        "by_picture": _by_picture(activity, picture),
    }


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
    """Return mean log10 roughness and mean R^2 to (cos, sin) of random 3-D projections, and the first path.

    A dead layer, which does not move at all, counts as noise: roughness 1 and R^2 0.
    """
    rng = runtime.rng(seed, "projections")
    matrix = projections.random_projection(activity.shape[1], 3 * n_projections, rng)
    centred = activity - activity.mean(0)
    drawn = (centred @ torch.from_numpy(matrix).to(centred)).cpu().double().numpy()
    drawn = drawn.reshape(len(angles), n_projections, 3).swapaxes(0, 1)
    if not activity.var(0).any():
        return {"roughness": 0.0, "r2": 0.0, "path": drawn[0]}
    return {
        "roughness": float(np.log10(projections.roughness(drawn, closed=True)).mean()),
        "r2": float(projections.circle_r2(drawn, angles).mean()),
        "path": drawn[0],
    }


def planted(*, seed, device, n_samples, n_units, exponents, repeats) -> dict:
    """Return fitted and corrected exponents and intervals of planted Gaussian data, arrays [exponent, repeat, ...]."""
    rng = runtime.rng(seed, "planted")
    fitted, corrected, intervals = [], [], []
    for exponent in np.repeat(exponents, repeats):
        spectrum = spectra.covariance_spectrum(stimuli.power_law_data(n_samples, n_units, float(exponent), rng))
        law = spectra.debias_power_law(spectrum, first=WINDOW[0], last=WINDOW[1])
        fitted.append(spectra.fit_power_law(spectrum, *WINDOW).exponent)
        corrected.append(law.exponent)
        intervals.append(law.interval)
    shape = (len(exponents), repeats)
    return {
        "fitted": np.reshape(fitted, shape),
        "corrected": np.reshape(corrected, shape),
        "interval": np.reshape(intervals, (*shape, 2)),
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


def superpositions(*, seed, device, n_bits, rates) -> dict:
    """Return what random superpositions of n_bits features on UNITS units keep under erasures, [bits, rate] each.

    `apart` is the share of messages that can be told apart without dropout.
    """
    rng = runtime.rng(seed, "superpositions")
    made = [codes.superposition(k, UNITS, LEVELS, rng) for k in n_bits]
    apart = [len(np.unique(code.words, axis=0)) / len(code.words) for code in made]
    return _kept(made, np.array(rates)) | {"apart": np.array(apart)}


def linear_codes(*, seed, device, rates) -> dict:
    """Return what the codes LINEAR keep under erasures, exactly, and when units are on or off, [code, rate] each."""
    rates = np.array(rates)
    silent = [codes.dropout_accuracy(make(on_off=True), rates) for make in LINEAR.values()]
    return _kept([make() for make in LINEAR.values()], rates) | {"on_off": np.array(silent)}


def _kept(made, rates) -> dict:
    spectrum = [codes.code_spectrum(code) for code in made]
    bound = [information.covariance_entropy_bound(values, step=2) / len(values) for values in spectrum]
    ranks = [
        spectra.effective_rank(spectra.Spectrum(values, len(code.words), code.n_units))
        for values, code in zip(spectrum, made, strict=True)
    ]
    return {
        "accuracy": np.array([codes.erasure_accuracy(code, rates).value for code in made]),
        "share": np.array([codes.erasure_information(code, rates).value / code.n_bits for code in made]),
        "rate_bits": np.array([code.rate_bits for code in made]),
        "entropy": np.array([codes.erasure_information(code, 0.0).value / code.n_units for code in made]),
        "bound": np.array(bound),
        "evenness": np.array(ranks) / [code.n_units for code in made],
    }


def capacities(*, seed, device, rates, levels) -> dict:
    """Return the capacity of dropout in bits [rate, level]: in closed form, by Blahut and Arimoto, and its bounds."""
    grid = np.meshgrid(rates, levels, indexing="ij")
    searched = [[information.blahut_arimoto(information.dropout_channel(d, q)).bits for q in levels] for d in rates]
    exact, bounds = information.dropout_capacity(*grid), information.dropout_capacity_bounds(*grid)
    return {"exact": exact, "searched": np.array(searched), "lower": bounds.lower, "upper": bounds.upper}


def path_steps(*, seed, device, dimension, exponents, n_paths) -> dict:
    """Return the mean squared step of random projections of synthetic codes, [exponent, path, number of steps]."""
    rng, finest = runtime.rng(seed, f"paths {dimension}"), int(STEPS[-1])
    paths = (smoothness.random_paths(float(a), dimension, finest, 3, n_paths, rng) for a in exponents)
    return {
        "step": np.array(
            [[projections.path_energy(path[:, :: finest // n], closed=True) / n for n in STEPS] for path in paths]
        ).swapaxes(1, 2)
    }


def step_exponents(step: np.ndarray) -> np.ndarray:
    """Return the power of dt with which squared steps [..., number of steps] fall, over the FINE finest of STEPS."""
    x = -np.log(STEPS[-FINE:])
    return np.log(step[..., -FINE:]) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()


def threshold(exponents: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return for every path the spectral exponent at which a line through its powers [exponent, path] reaches 2."""
    slope, constant = np.polyfit(exponents, powers, 1)
    return (2 - constant) / slope


def projected_action(*, seed, device, n_units, exponents, n_draws) -> dict:
    """Return half the squared length of Gaussian activity along three random directions, [exponent, draw]."""
    rng = runtime.rng(seed, f"action {n_units}")
    deviation = np.arange(1, n_units + 1) ** (-np.array(exponents)[:, None] / 2)
    half = [
        0.5 * ((deviation * rng.standard_normal(n_units)) @ projections.random_projection(n_units, 3, rng)) ** 2
        for _ in range(n_draws)
    ]
    return {"action": np.sum(half, axis=-1).T, "trace": (deviation**2).sum(1)}


def rounded_units(*, seed, device, n_units, precision, exponents, n_draws) -> dict:
    """Return the entropy of Gaussian units rounded to steps of 1, of the sizes that `power_law_entropy_bound` assumes.

    Units along the principal axes (any number, exact) or, where there are at most 3, turned at random (sampled). The
    certified bound is that of the rounded units' own covariance. Arrays [exponent], bits per unit.
    """
    rng = runtime.rng(seed, f"rounding {precision}")
    rows = []
    for a in exponents:
        scale = 2.0**precision / np.sqrt(12) * np.arange(1, n_units + 1) ** (-a / 2)
        if n_units > 3:
            entropy, error = information.rounded_gaussian_entropy(scale).sum(), 0.0
            eigenvalues = information.rounded_gaussian_variance(scale)
        else:
            turned = np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
            units = np.rint(rng.standard_normal((n_draws, n_units)) * scale @ turned)
            entropy, error = information.sample_entropy(units)
            eigenvalues = spectra.covariance_spectrum(units).eigenvalues
        rows.append((entropy, error, information.covariance_entropy_bound(eigenvalues)))
    entropy, error, bound = np.array(rows).T / n_units
    return {"entropy": entropy, "error": error, "bound": bound}
