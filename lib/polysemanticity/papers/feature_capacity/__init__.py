"""Polysemanticity and capacity: the settings of the notebook; its experiments are the modules of this package.

Rules are fixed before the run. Symbols as in `capacity`; a phase of a feature is ignored (C < 0.001),
monosemantic (C > 0.999) or polysemantic (between).
"""

from __future__ import annotations  # a family and its settings have one name

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.claims import CORRECTED, HOLDS
from polysemanticity.papers.feature_capacity import (
    allocation,
    architectures,
    bound,
    correlated,
    descent,
    design,
    extensions,
    phase_diagram,
    price,
    real_images,
)

SLUG = "feature_capacity"
TITLE = "Polysemanticity and capacity in neural networks"
PAPER = (
    "Adam Scherlis, Kshitij Sachan, Adam S. Jermyn, Joe Benton, Buck Shlegeris: "
    "Polysemanticity and Capacity in Neural Networks. arXiv:2210.01892 (2022)"
)

COVER = "figx_phase_diagram"  # the figure that stands for the paper
# a sentence on what was found, and the verdicts that it tells
FINDING = (
    {"FC-03": CORRECTED, "FC-04": HOLDS, "FC-13": CORRECTED},
    "**Training divides dimensions as the theory says**: where returns diminish, "
    "{FC-04: share of models in the predicted phase, kurtosis > 3 | .0%} of the models end in the predicted "
    "phase, and capacity is affine in importance, not proportional; a penalty on interference makes every feature "
    "monosemantic ({FC-13: polysemantic features at 1.1 × the critical penalty, quadratic | .0f} shared ones are "
    "left, of {FC-13: polysemantic features at 0.5 × the critical penalty, quadratic | .0f} at half of it).",
)

FAMILIES = (
    bound, allocation, phase_diagram, architectures, descent, price, correlated, design, real_images, extensions,
)  # fmt: skip
_OLD = {name: alt for module in FAMILIES for name, alt in getattr(module, "FIGURES", {}).items()}
FIGURES = _OLD | papers.figures(__file__)
CLAIMS = {key: claim for key, claim in sorted(i for module in FAMILIES for i in module.CLAIMS.items())}


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    bound: bound.Settings = family(bound.Settings)
    allocation: allocation.Settings = family(allocation.Settings)
    phase_diagram: phase_diagram.Settings = family(phase_diagram.Settings)
    architectures: architectures.Settings = family(architectures.Settings)
    design: design.Settings = family(design.Settings)
    descent: descent.Settings = family(descent.Settings)
    n_seeds: int = setting(8, "random starts per trained model", low=2)
    n_features: int = setting(20, "features N of the phase diagram and of the importance lists", low=4)
    n_steps: int = setting(800, "Adam steps per model of the phase diagrams, before polishing", low=10)
    list_dims: int = setting(8, "dimensions D of the importance lists", low=1)
    ae_features: int = setting(20, "features N of the autoencoders", low=6)
    ae_dims: int = setting(5, "dimensions D of the autoencoders", low=2)
    ae_seeds: int = setting(8, "random starts of the autoencoders", low=2)
    ae_steps: int = setting(2500, "Adam steps of the autoencoders", low=10)
    ae_batch: int = setting(256, "samples per step of the autoencoders", low=16)
    crossover_steps: int = setting(4000, "Adam steps on the map over features per dimension and density", low=10)
    crossover_batch: int = setting(512, "samples per step there, where most samples are empty", low=16)
    ae_test: int = setting(20_000, "fresh samples that measure an autoencoder's loss", low=100)
    hysteresis_points: int = setting(61, "importance ratios of the sweeps up and down", low=5)
    tune_steps: int = setting(2000, "Adam steps of fine-tuning and of block selection", low=10)
    real_seeds: int = setting(4, "networks per data set trained on real images", low=2)
    real_samples: int = setting(13_000, "patches of photographs", low=100)
    real_steps: int = setting(1500, "Adam steps on real images", low=10)
    real_dims: int = setting(16, "dimensions of the embedding of real images", low=2)


PROFILES = {
    "smoke": {
        "n_seeds": 2,
        "n_features": 6,
        "n_steps": 200,
        "list_dims": 3,
        "ae_features": 8,
        "ae_dims": 3,
        "hysteresis_points": 5,
        "tune_steps": 20,
        "real_seeds": 2,
        "real_samples": 260,
        "real_steps": 10,
        "ae_seeds": 2,
        "ae_steps": 30,
        "crossover_steps": 30,
        "crossover_batch": 32,
        "ae_batch": 32,
        "ae_test": 200,
    },
    "default": {},
    "paper": {
        "n_seeds": 16,
        "tune_steps": 10_000,
        "real_seeds": 20,
        "real_samples": 130_000,
        "real_steps": 20_000,
        "ae_seeds": 24,
        "ae_steps": 20_000,
        "crossover_steps": 40_000,
        "crossover_batch": 4096,
        "ae_batch": 1024,
        "ae_test": 200_000,
    },
}
