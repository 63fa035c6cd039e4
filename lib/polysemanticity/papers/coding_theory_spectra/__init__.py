"""Coding theory: what is reproduced, its settings, and the figures and claims of its families of experiments."""

from __future__ import annotations  # a family and its settings have one name

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.claims import CORRECTED, HOLDS
from polysemanticity.papers.coding_theory_spectra import (
    across_layers,
    across_networks,
    circle_codes,
    decoding,
    dense_autoencoders,
    emblem,
    entropy,
    error_correction,
    feature_autoencoders,
    inputs,
    known_information,
    linear_dropout,
    projected,
    real_language,
    redundancy,
    sparse_codes,
    vision,
)

SLUG = "coding_theory_spectra"
TITLE = "Understanding polysemanticity in neural networks through coding theory"
PAPER = "Simon C. Marshall, Jan H. Kirchner (2024), arXiv:2401.17975"

COVER = "figx_emblem"  # the figure that stands for the paper
# a sentence on what was found, and the verdicts that it tells
FINDING = (
    {"CT-05a": HOLDS, "CT-16a": CORRECTED},
    "**Dropout makes a code redundant, not its units polysemantic**: in variational autoencoders of photographs it "
    "steepens the spectrum of the activity (exponent +{CT-05a: exponent per unit dropout | .2f} per unit of the rate); "
    "where m = 32 units hold n = 64 features, it leaves a unit "
    "{CT-16a: features per unit, dropout ÷ none, 64 features on 32 units | .0%} of the features that it answers to.",
)

FAMILIES = (
    across_layers,
    across_networks,
    circle_codes,
    dense_autoencoders,
    decoding,
    emblem,
    entropy,
    error_correction,
    feature_autoencoders,
    known_information,
    linear_dropout,
    projected,
    real_language,
    redundancy,
    sparse_codes,
    vision,
)
FIGURES = papers.figures(__file__)
CLAIMS = dict(sorted((name, claim) for family in FAMILIES for name, claim in family.CLAIMS.items()))


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    vision: vision.Settings = family(vision.Settings)
    projected: projected.Settings = family(projected.Settings)
    redundancy: redundancy.Settings = family(redundancy.Settings)
    known_information: known_information.Settings = family(known_information.Settings)
    error_correction: error_correction.Settings = family(error_correction.Settings)
    decoding: decoding.Settings = family(decoding.Settings)
    dense_autoencoders: dense_autoencoders.Settings = family(dense_autoencoders.Settings)
    feature_autoencoders: feature_autoencoders.Settings = family(feature_autoencoders.Settings)
    entropy: entropy.Settings = family(entropy.Settings)
    sparse_codes: sparse_codes.Settings = family(sparse_codes.Settings)
    linear_dropout: linear_dropout.Settings = family(linear_dropout.Settings)
    real_language: real_language.Settings = family(real_language.Settings)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)

    def __post_init__(self):
        inputs.check_vision(self.vision)


check_files = inputs.check_files
