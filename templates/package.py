"""A paper: its settings, and the claims of its families of experiments.

Rules are fixed before the run.
"""

from __future__ import annotations  # a family and its settings have one name

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.claims import HOLDS
from polysemanticity.papers.my_paper import overlaps

SLUG = "my_paper"
TITLE = "A paper of mine"
PAPER = "Authors: Title. arXiv:0000.00000 (year)"

COVER = "fig1_overlaps"  # the figure that stands for the paper
# a sentence on what was found, and the verdicts that it tells
FINDING = (
    {"XX-01": HOLDS},
    "**Random directions are nearly orthogonal**: their squared overlap falls with the number of dimensions as a power "
    "of {XX-01: slope in D | .2f}.",
)

FAMILIES = (overlaps,)
FIGURES = papers.figures(__file__)
CLAIMS = {name: claim for module in FAMILIES for name, claim in sorted(module.CLAIMS.items())}


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    overlaps: overlaps.Settings = family(overlaps.Settings)
