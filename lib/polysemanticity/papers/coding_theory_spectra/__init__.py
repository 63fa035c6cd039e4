"""Coding theory: what is reproduced, its settings, and the figures and claims of its families of experiments."""

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import setting
from polysemanticity.networks import train
from polysemanticity.papers.coding_theory_spectra import (
    decoding,
    dense_autoencoders,
    entropy,
    error_correction,
    estimators,
    known_information,
    language,
    projected,
    redundancy,
    sparse_codes,
    vision,
)

SLUG = "coding_theory_spectra"
TITLE = "Understanding polysemanticity in neural networks through coding theory"
PAPER = "Simon C. Marshall, Jan H. Kirchner (2024), arXiv:2401.17975"

FAMILIES = (
    dense_autoencoders,
    decoding,
    entropy,
    error_correction,
    estimators,
    known_information,
    language,
    projected,
    redundancy,
    sparse_codes,
    vision,
)
FIGURES = papers.figures(__file__) | {  # OLD: until every family's figures are functions
    name: text for family in FAMILIES for name, text in getattr(family, "FIGURES", {}).items()
}
CLAIMS = dict(sorted((name, claim) for family in FAMILIES for name, claim in family.CLAIMS.items()))


@dataclass(frozen=True)
class Config:
    """Settings of the default profile. The fitted ranks are 3 to 32: one decade, and below a quarter of the units even
    in the narrowest layer (128), so that layers and numbers of images are compared on the same ranks."""

    n_seeds: int = setting(3, "trainings per dropout rate; each splits the photographs anew", low=2)
    dropouts: tuple[float, ...] = setting((0.0, 0.2, 0.4, 0.6, 0.8), "dropout rates of the encoder", low=0, high=0.95)
    source: str = setting("photographs", "what is learnt", choices=("photographs", "cifar10"))
    folder: str = setting("", "folder of your own pictures, or of CIFAR-10; empty: the photographs that ship here")
    n_train: int = setting(16384, "patches to train on (CIFAR-10: images)", low=64)
    n_steps: int = setting(600, "training steps", low=2)
    batch_size: int = setting(32, "images per step", low=2)
    lr: float = setting(3e-3, "Adam's learning rate at the start; the paper's is 0.001, for many more steps", low=0)
    kl_weight: float = setting(
        (16 / 224) ** 2, "weight of the KL term; the paper's 1 at 224 pixels, scaled with the number of pixels", low=0
    )
    schedule: str = setting("cosine", "learning rate over time", choices=train.SCHEDULES)
    width: float = setting(0.25, "channels of the encoder relative to ResNet18", low=1 / 64, high=4)
    hidden: int = setting(256, "units of the fully connected layers; the paper's are 1024", low=4 * vision.WINDOW[1])
    image_size: int = setting(16, "side of the network's input in pixels", low=16)
    stem_stride: int = setting(1, "how much the stem reduces the image: 4 is the paper's ResNet18", choices=(1, 2, 4))
    sizes: tuple[int, ...] = setting(
        (192, 384, 768, 1536), "numbers of probe images n, ascending", low=vision.DECADE_UNITS
    )
    n_frames: int = setting(256, "frames of the moving dot, one turn", low=8)
    n_projections: int = setting(100, "random projections of the dot's activity", low=2)
    n_planted: int = setting(20, "planted data sets for each exponent, in the first check", low=2)
    code_bits: tuple[int, ...] = setting((2, 4, 6, 8, 9, 10, 11, 12, 14, 16), "bits on 8 units", low=2, high=16)
    n_codes: int = setting(10, "random superpositions of each size", low=2)
    n_paths: int = setting(40, "random projections of each synthetic code", low=2)
    n_draws: int = setting(40_000, "random projections of Gaussian activity, and samples of rounded units", low=100)
    text: str = setting("", "your own English text, a UTF-8 file; empty: the help topics of the Python language")
    checkpoint: str = setting("", "a GPT-2: a folder, or a hub name such as gpt2-xl; empty: one is trained here")
    gpt2_seeds: int = setting(6, "GPT-2s trained; each splits the text anew (so does each with a checkpoint)", low=2)
    gpt2_vocabulary: int = setting(2048, "tokens of the tokenizer learnt here", low=256)
    gpt2_layers: int = setting(6, "blocks of the GPT-2 trained here", low=2)
    gpt2_width: int = setting(128, "its residual stream; 120 are needed to fit a decade of ranks", low=128)
    gpt2_heads: int = setting(4, "its attention heads", low=1)
    gpt2_context: int = setting(64, "tokens of a context; the paper shows 64", low=8)
    gpt2_steps: int = setting(300, "its training steps", low=1)
    gpt2_batch: int = setting(32, "contexts per step", low=1)
    gpt2_lr: float = setting(3e-3, "AdamW's highest learning rate", low=0)
    gpt2_precision: str = setting(
        "float32", "of the computation when activity is measured", choices=("float32", "bfloat16", "float16")
    )
    probe_contexts: int = setting(256, "contexts to select directions on, and as many to judge them on, at most", low=4)
    n_directions: int = setting(50, "directions of each kind in each layer", low=2)
    n_candidates: int = setting(100, "random projections from which the one of least energy is kept", low=2)
    toy_features: int = setting(200, "features of the toy models of superposition", low=4)
    toy_units: int = setting(20, "their units", low=2)
    toy_seeds: int = setting(5, "toy models at each sparsity", low=2)
    toy_steps: int = setting(2500, "steps of their training", low=2)
    toy_batch: int = setting(128, "samples per step", low=2)
    deep_nets: int = setting(3, "very deep networks, learnt and random", low=2)
    deep_steps: int = setting(7000, "steps of their training; the paper's are 39,200 of 100 samples", low=4)
    deep_lr: float = setting(2e-3, "their learning rate at the start; the paper's is a constant 0.001", low=0)
    mine_samples: int = setting(10_240, "samples for each bound on information, a fifth of them held out", low=64)
    mine_epochs: tuple[int, ...] = setting((10, 6), "passes over them in the phases of a critic's training", low=1)
    mine_batches: tuple[int, ...] = setting((256, 512), "samples per step in each phase", low=2)
    mine_rates: tuple[float, ...] = setting((1e-3, 1e-4), "learning rate in each phase", low=0)
    n_known: int = setting(3, "repeats of each pair whose mutual information is known", low=2)
    prime: int = setting(1019, "p of the networks that learn powers modulo p", low=5)
    power_nets: int = setting(3, "networks that learn each function", low=2)
    power_steps: int = setting(1500, "steps of their training; their probes take a third as many", low=3)
    decoded_seeds: int = setting(4, "splits of the photographs, each with one autoencoder per dropout rate", low=2)
    decoded_steps: int = setting(800, "steps of the small autoencoders' training", low=2)
    decoder_steps: int = setting(400, "steps of their decoders' training", low=2)
    decoded_patches: int = setting(4096, "patches to train on, and others to decode", low=260)
    n_nets: int = setting(5, "small autoencoders of each kind; each splits the photographs anew", low=2)
    ae_steps: int = setting(500, "training steps of the autoencoders of photographs", low=2)
    ae_width: int = setting(256, "units of their hidden layers where width is not the question", low=128)
    ae_widths: tuple[int, ...] = setting((64, 128, 256, 512, 1024), "widths of their hidden layers", low=64)
    feature_steps: int = setting(2000, "training steps of the autoencoders of sparse features", low=20)
    layers_at_once: int = setting(len(vision.LAYERS), "layers whose activity is held in memory together", low=1)
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
        "gpt2_seeds": 2,
        "gpt2_vocabulary": 300,
        "gpt2_layers": 2,
        "gpt2_context": 16,
        "gpt2_steps": 3,
        "gpt2_batch": 8,
        "probe_contexts": 24,
        "n_directions": 4,
        "n_candidates": 3,
        "toy_features": 20,
        "toy_units": 4,
        "toy_seeds": 2,
        "toy_steps": 20,
        "prime": 67,
        "power_nets": 2,
        "power_steps": 6,
        "decoded_seeds": 2,
        "decoded_steps": 4,
        "decoder_steps": 4,
        "decoded_patches": 260,
        "deep_nets": 2,
        "deep_steps": 8,
        "mine_samples": 320,
        "mine_epochs": (1, 1),
        "mine_batches": (64, 128),
        "n_known": 2,
        "n_nets": 2,
        "ae_steps": 4,
        "ae_width": 128,
        "ae_widths": (64, 128),
        "feature_steps": 20,
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
        "hidden": 1024,
        "image_size": 224,
        "stem_stride": 4,
        "toy_features": 400,
        "toy_units": 30,
        "toy_steps": 6000,
        "toy_batch": 1024,
        "prime": 4079,
        "power_steps": 20_000,
        "decoded_steps": 10_000,
        "decoder_steps": 4000,
        "decoded_patches": 32_768,
        "deep_steps": 39_200,
        "deep_lr": 1e-3,
        "mine_samples": 45_056,
        "mine_epochs": (100, 50),
        "mine_batches": (1024, 2048),
        "mine_rates": (1e-4, 5e-6),
        "sizes": (500, 1000, 2000, 4000),  # the stem has 802,816 units: 13 GB are held for 4,000 images, and no copy
        "layers_at_once": 1,
        "checkpoint": "gpt2-xl",
    },
}
