"""What is refused before anything runs: settings that do not fit each other, and own files that cannot be read."""

import itertools
from pathlib import Path

import psutil

from polysemanticity.base import paths
from polysemanticity.base.checks import check
from polysemanticity.networks import data, gpt2_folders, language_models
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, language, vision

FLOAT = 4  # bytes
CIFAR = 32  # pixels


def check_vision(settings: vision.Settings) -> None:
    """Raise ValueError for settings of the ResNet-VAEs that do not fit each other or this machine's memory."""
    sizes = settings.sizes
    ascending = len(sizes) >= 2 and all(low < high for low, high in itertools.pairwise(sizes))
    check(ascending, "vision.sizes", sizes, "at least two numbers, ascending")
    check(64 * settings.width == round(64 * settings.width), "vision.width", settings.width, "a multiple of 1/64")
    side = CIFAR if settings.source == "cifar10" else settings.image_size
    stem = round(64 * settings.width) * (settings.image_size // settings.stem_stride) ** 2
    needed = FLOAT * (3 * side**2 * (settings.n_train + sizes[-1]) + stem * sizes[-1])
    there = psutil.virtual_memory().total
    asked = {name: getattr(settings, name) for name in ("n_train", "sizes", "image_size", "width", "stem_stride")}
    allowed = f"what fits into memory: this takes {needed / 1e9:.3g} GB, and {there / 1e9:.3g} GB are there"
    check(needed < there, "vision", asked, allowed)


def check_files(cfg) -> list[str]:
    """Read the own pictures, text and model that the settings name; return what is to be said of them.

    Raises ValueError for what is not there, cannot be read or is too little.
    """
    return [*_pictures(cfg.vision), *_text(cfg.language), *_model(cfg.language)]


def _pictures(settings: vision.Settings) -> list[str]:
    if settings.source == "cifar10":
        data.cifar10(settings.folder or paths.cache() / "cifar10", train=False)
        return []
    if not settings.folder:
        return []
    pictures = data.photographs(settings.folder, smallest=max(settings.image_size, dense_autoencoders.SIDE))
    data.split(pictures)
    others = data.left_out(settings.folder)
    return [f"folder {settings.folder}: {len(pictures)} pictures; left out are {', '.join(others)}"] if others else []


def _text(settings: language.Settings) -> list[str]:
    if settings.text:
        shares = language.SHARES[1:] if settings.checkpoint else language.SHARES
        try:
            language_models.split_text(data.english_text(settings.text), shares, 0)
        except ValueError as error:
            raise ValueError(f"text = {settings.text!r}: {error}") from None
    return []


def _model(settings: language.Settings) -> list[str]:
    name = settings.checkpoint
    if not name:
        return []
    if not Path(name).is_dir():
        gpt2_folders.look_for(name)
        return []
    opened = gpt2_folders.open_checkpoint(name)
    gpt2_folders.tokenizer_of(opened)
    longest, width = opened.config.n_positions, opened.config.n_embd
    allowed = f"at most {longest}, the positions of {name}"
    check(width >= 120, "checkpoint", name, f"a GPT-2 of width 120 or more, for a decade of ranks; this has {width}")
    check(settings.context <= longest, "language.context", settings.context, allowed)
    check(settings.n_directions <= width, "language.n_directions", settings.n_directions, f"at most {width}, its width")
    return []
