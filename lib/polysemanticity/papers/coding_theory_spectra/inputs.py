"""What is refused before anything runs: settings that do not fit each other, and own files that cannot be read."""

import itertools
from pathlib import Path

import psutil

from polysemanticity.base import paths
from polysemanticity.base.checks import check
from polysemanticity.networks import data
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, reading, real_language, vision

FLOAT = {"float32": 4, "float64": 8}  # bytes
CIFAR = 32  # pixels
CHARACTERS = 6  # of a text for each token that is read: more than any tokenizer here needs


def check_vision(settings: vision.Settings) -> None:
    """Raise ValueError for settings of the ResNet-VAEs that do not fit each other or this machine's memory."""
    sizes = settings.sizes
    ascending = len(sizes) >= 2 and all(low < high for low, high in itertools.pairwise(sizes))
    check(ascending, "vision.sizes", sizes, "at least two numbers, ascending")
    check(64 * settings.width == round(64 * settings.width), "vision.width", settings.width, "a multiple of 1/64")
    check(settings.n_first <= settings.n_steps, "vision.n_first", settings.n_first, f"at most {settings.n_steps}, all")
    side = CIFAR if settings.source == "cifar10" else settings.image_size
    stem = round(64 * settings.width) * (settings.image_size // settings.stem_stride) ** 2
    n_train = settings.n_train if settings.retrain else 0
    needed = 4 * 3 * side**2 * (n_train + sizes[-1]) + FLOAT[settings.precision] * stem * sizes[-1]
    there = psutil.virtual_memory().total
    asked = {name: getattr(settings, name) for name in ("n_train", "sizes", "image_size", "width", "stem_stride")}
    allowed = f"what fits into memory: this takes {needed / 1e9:.3g} GB, and {there / 1e9:.3g} GB are there"
    check(needed < there, "vision", asked, allowed)


def check_files(cfg) -> list[str]:
    """Read the own pictures and text, and look for the models, that the settings name; return what is to be said.

    Raises ValueError for what is not there, cannot be read or is too little, and for a recipe that is not stored.
    """
    vision.networks(cfg.vision, 0)
    return [*_pictures(cfg.vision), *_language(cfg.real_language)]


def _pictures(settings: vision.Settings) -> list[str]:
    if settings.source == "cifar10":
        data.cifar10(settings.folder or paths.cache() / "cifar10", train=False)
        return []
    if not settings.folder:
        return []
    smallest = max(settings.image_size * settings.scale, dense_autoencoders.SIDE)
    pictures = data.photographs(settings.folder, smallest=smallest)
    data.split(pictures)
    others = data.left_out(settings.folder)
    return [f"folder {settings.folder}: {len(pictures)} pictures; left out are {', '.join(others)}"] if others else []


def _language(settings: real_language.Settings) -> list[str]:
    if settings.text:
        smallest = CHARACTERS * settings.length * settings.per_document
        try:
            reading.documents(settings.text, settings.most_documents, smallest)
        except ValueError as error:
            raise ValueError(f"text = {settings.text!r}: {error}") from None
    for name in settings.networks:
        if name not in reading.NAMES and (Path(name).is_absolute() or Path(name).exists()):
            allowed = (
                "a folder of transformers: config.json, a tokenizer and safetensors, as save_pretrained writes them"
            )
            here = (Path(name) / "config.json").is_file() and any(Path(name).glob("*.safetensors"))
            check(here, "real_language.networks", name, allowed)
    return []
