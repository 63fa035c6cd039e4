"""Polysemanticity and capacity: the settings of the notebook; its experiments are the modules of this package.

Rules are fixed before the run. Symbols as in `capacity`; a phase of a feature is ignored (C < 0.001),
monosemantic (C > 0.999) or polysemantic (between).
"""

from __future__ import annotations  # a family and its settings have one name

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.claims import CORRECTED as CORRECTED
from polysemanticity.claims import HOLDS
from polysemanticity.papers.feature_capacity import (
    allocation,
    architectures,
    bits,
    blocks,
    bound,
    correlated,
    descent,
    design,
    emblem,
    extensions,
    phase_diagram,
    price,
    real_data,
)

SLUG = "feature_capacity"
TITLE = "Polysemanticity and capacity in neural networks"
PAPER = (
    "Adam Scherlis, Kshitij Sachan, Adam S. Jermyn, Joe Benton, Buck Shlegeris: "
    "Polysemanticity and Capacity in Neural Networks. arXiv:2210.01892 (2022)"
)

COVER = "figx_emblem"  # the figure that stands for the paper
# a sentence on what was found, and the verdicts that it tells
FINDING = (
    {"FC-04": HOLDS},
    "**Training divides dimensions as theory says**: of quadratic models of N = {FC-04: scale N} features in "
    "D = {FC-04: scale D} dimensions, {FC-04: share of models in the predicted phase, kurtosis > 3 | .0%} ignore a "
    "feature, let it share dimensions, or give it one of its own, as its importance and sparsity predict.",
)

FAMILIES = (
    bound, bits, allocation, phase_diagram, architectures, blocks, descent, price, correlated, design, real_data,
    extensions, emblem,
)  # fmt: skip
FIGURES = papers.figures(__file__)
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
    real_data: real_data.Settings = family(real_data.Settings)
    bits: bits.Settings = family(bits.Settings)
    blocks: blocks.Settings = family(blocks.Settings)
    extensions: extensions.Settings = family(extensions.Settings)
    descent: descent.Settings = family(descent.Settings)
