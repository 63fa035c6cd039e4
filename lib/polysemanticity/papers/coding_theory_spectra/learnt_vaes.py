"""The ResNet-VAEs in weights/resnet_vae: their recipe, how one is trained, packed and opened.

`python -m polysemanticity.papers.coding_theory_spectra` trains those that are missing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from polysemanticity.base import paths, streams
from polysemanticity.base.checks import check
from polysemanticity.networks import data, probing, resnet_vae, train

RATES = (0.0, 0.1, 0.2, 0.3, 0.4)
SEEDS = (41, 42, 43, 44, 45)
CUT = 8000  # patches that are cut together
BATCH = 256  # images that pass through a network together
JUDGED = 2048  # patches that a trained network's losses are measured on
RENORMED = 8192  # patches that batch norm takes its statistics from anew
LIST = "networks.json"
LEARNT = "cross-entropy of learnt patches [nats]"
ANEW = "anew."  # before the names of batch norm's statistics without dropout


@dataclass(frozen=True)
class Recipe:
    """How the stored networks were trained; chosen by the loss on photographs that no network learns from."""

    width: float = 0.25
    hidden: int = 128
    latent: int = 128
    image_size: int = 32
    scale: int = 2  # side of the square of a photograph's pixels that make one
    stem_stride: int = 2
    n_train: int = 60_000
    n_steps: int = 4500  # all together
    n_first: int = 2000  # of them, at the start without dropout
    batch_size: int = 64
    lr: float = 1e-3
    schedule: str = "cosine"
    kl_weight: float = 1e-3
    noise: float = -6.0  # logarithm of the latents' variance at the start; torch's initialisation has 0


RECIPE = Recipe()


class Learnt(NamedTuple):
    """A trained network as it came out of training, and with batch norm's statistics taken anew without dropout."""

    trained: resnet_vae.ResNetVAE
    renormed: resnet_vae.ResNetVAE


def name(rate: float, seed: int) -> str:
    """Return the name of a network's file, without its ending."""
    return f"p{rate:g}-seed{seed}"


def folder() -> Path:
    """Return where the stored networks are."""
    return paths.ROOT / "weights" / "resnet_vae"


def listed(place: Path | None = None) -> dict:
    """Return what networks.json says: the recipe, and for every network its file's sha256 and its losses."""
    path = (place or folder()) / LIST
    check(path.is_file(), "stored networks", str(path), "a checkout of the collection with its folder weights/")
    return json.loads(path.read_text(encoding="utf-8"))


def build(recipe: Recipe, rate: float, seed: int, device: str | torch.device = "cpu") -> resnet_vae.ResNetVAE:
    """Return the untrained network of a seed, in eval mode.

    Latents that begin with the noise of torch's initialisation, a variance of 1, teach the decoder nothing but each
    image's mean colour for thousands of steps: `recipe.noise` lets them begin with less.
    """
    model = train.build(
        resnet_vae.ResNetVAE, seed=seed, device=device, width=recipe.width, hidden=recipe.hidden,
        latent=recipe.latent, image_size=recipe.image_size, stem_stride=recipe.stem_stride, dropout=rate,
    )  # fmt: skip
    if recipe.noise:
        torch.nn.init.constant_(model.logvar.bias, recipe.noise)
        model.logvar.weight.data.mul_(0.1)
    return model.eval()


def stored(rate: float, seed: int, device: str | torch.device = "cpu", place: Path | None = None) -> Learnt:
    """Return a stored network, its file compared with the sha256 in networks.json.

    Raises ValueError for a rate or seed that is not stored and for a file that is missing or was changed.
    """
    from safetensors.torch import load_file

    found, place = listed(place), place or folder()
    names = ", ".join(found["networks"])
    check(name(rate, seed) in found["networks"], "stored network", name(rate, seed), f"one of {names}")
    path = place / f"{name(rate, seed)}.safetensors"
    check(path.is_file(), "stored network", str(path), "a file that this checkout has; git restore brings it back")
    expected = found["networks"][name(rate, seed)]["sha256"]
    here = hashlib.sha256(path.read_bytes()).hexdigest()
    check(here == expected, f"sha256 of {path.name}", here, f"{expected}; git restore brings the file back")
    return _unpacked(load_file(path), Recipe(**found["recipe"]), rate, seed, device)


def _unpacked(state: Mapping[str, Tensor], recipe: Recipe, rate: float, seed: int, device) -> Learnt:
    own = {key: value.float() for key, value in state.items() if not key.startswith(ANEW)}
    anew = {key.removeprefix(ANEW): value for key, value in state.items() if key.startswith(ANEW)}
    models = [build(recipe, rate, seed, device) for _ in range(2)]
    for model, weights in zip(models, (own, own | anew), strict=True):
        unknown = model.load_state_dict(weights, strict=False)
        counters = {key for key in unknown.missing_keys if key.endswith("num_batches_tracked")}
        check(set(unknown.missing_keys) == counters and not unknown.unexpected_keys, "weights", str(unknown), "its own")
    return Learnt(*models)


def packed(model: resnet_vae.ResNetVAE, renormed: resnet_vae.ResNetVAE) -> dict[str, Tensor]:
    """Return what is stored of a network: weights rounded to float16, statistics of batch norm in float32."""
    statistics = {key for key, _ in model.named_buffers()}
    own = {
        key: value.detach().cpu().contiguous().clone().to(torch.float32 if key in statistics else torch.float16)
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    anew = {ANEW + key: value.detach().cpu().clone() for key, value in renormed.named_buffers() if key in own}
    return own | anew


def loss(model: resnet_vae.ResNetVAE, pixels: Tensor, kl_weight: float) -> Tensor:
    """Return the training loss, summed over the batch: cross-entropy summed over pixels + kl_weight * KL."""
    target = resnet_vae.prepare(pixels, model.image_size)
    terms = resnet_vae.vae_terms(model(target), target)
    return terms.reconstruction.sum() + kl_weight * terms.kl.sum()


def learn(
    recipe: Recipe, rate: float, seed: int, pixels: Tensor, device: str | torch.device = "cpu",
    checkpoints: Path | None = None, label: str | None = None,
) -> tuple[Learnt, train.History]:  # fmt: skip
    """Train one network on images [n, 3, size, size]; return it, batch norm as trained and taken anew, and its losses.

    Its first steps are without dropout, as a network that is small and has dropout from the start learns each image's
    mean colour and no more; they are the same for all rates, and so is their checkpoint. The weights are those that
    are stored: rounded to float16.
    """
    model = build(recipe, rate, seed, device)
    parts = {f"first-seed{seed}": (0.0, recipe.n_first), name(rate, seed): (rate, recipe.n_steps - recipe.n_first)}
    for number, (part, (dropout, n_steps)) in enumerate(parts.items()):
        if n_steps == 0:
            continue
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        history = train.fit(
            model, partial(loss, kl_weight=recipe.kl_weight), pixels, n_steps=n_steps, batch_size=recipe.batch_size,
            lr=recipe.lr, seed=seed + 1000 * number, schedule=recipe.schedule, autocast=train.fast_autocast(device),
            channels_last=True, log_every=max(n_steps // 50, 1), label=label,
            checkpoint=checkpoints and checkpoints / f"{part}.pt",
        )  # fmt: skip
    model.to(memory_format=torch.contiguous_format)
    rounded = _unpacked(packed(model, model), recipe, rate, seed, device).trained
    anew = resnet_vae.renormalised(rounded, pixels[:RENORMED])
    return Learnt(rounded, anew), history


def reduced(pictures: data.Pictures, n: int, size: int, scale: int, rng: np.random.Generator) -> data.Patches:
    """Return n patches of pictures, squares of `scale` times `scale` pixels averaged into one, as `data.patches` does.

    A photograph at the size that a camera gives it is smooth over 32 pixels: patches are little but their mean colour.
    """
    found = data.patches(pictures, n, size * scale, rng)
    return found if scale == 1 else found._replace(pixels=torch.nn.functional.avg_pool2d(found.pixels, scale))


def patches(folders: Sequence[str | Path], n: int, recipe: Recipe, seed: int) -> Tensor:
    """Return n patches of the pictures in folders, as bytes [n, 3, size, size]."""
    least = recipe.image_size * recipe.scale
    pictures = {f"{place}/{key}": p for place in folders for key, p in data.photographs(place, smallest=least).items()}
    found = (
        reduced(pictures, min(CUT, n - start), recipe.image_size, recipe.scale, streams.rng(seed, f"patches {start}"))
        for start in range(0, n, CUT)
    )
    return torch.cat([(part.pixels * 255).round().byte() for part in found])


class Reconstructed(NamedTuple):
    """How well images are reconstructed: mean cross-entropy in nats, summed over pixels, and pixel R^2."""

    loss: float
    r2: float


@torch.no_grad()
def reconstructed(model: resnet_vae.ResNetVAE, pixels: Tensor, mean: Tensor) -> Reconstructed:
    """Return how well a network reconstructs images in eval mode; R^2 of deviations from a mean image."""
    targets = [resnet_vae.prepare(batch, model.image_size) for batch in pixels.split(BATCH)]
    outputs = [(model(target.to(next(model.parameters()))), target) for target in targets]
    losses = [resnet_vae.vae_terms(out, target.to(out.pixels)).reconstruction.cpu() for out, target in outputs]
    shown = torch.cat([out.pixels.cpu() for out, _ in outputs])
    return Reconstructed(float(torch.cat(losses).mean()), probing.pixel_r2(shown, torch.cat(targets), mean))
