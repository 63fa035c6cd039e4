"""Incidental polysemanticity: settings, and the figures and claims of its families of experiments.

Where something was known of a result when its rule was set, the claim says so. A worker that trains draws its seeds as
a batch; its arrays have the seed axis first.
"""

from __future__ import annotations  # a family and its settings have one name

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.claims import CORRECTED as CORRECTED
from polysemanticity.claims import HOLDS
from polysemanticity.papers.incidental_polysemanticity import (
    causes,
    collisions,
    cooccurrence,
    depth,
    emblem,
    limits,
    necessity,
    noise,
    penalties,
    race,
    sparsification,
    winner_takes_all,
    winners,
)

SLUG = "incidental_polysemanticity"
TITLE = "What causes polysemanticity? Incidental causes"
PAPER = (
    "Victor Lecomte, Kushal Thaman, Rylan Schaeffer, Naomi Bashkansky, Trevor Chow, Sanmi Koyejo: What Causes "
    "Polysemanticity? An Alternative Origin Story of Mixed Selectivity from Incidental Causes. arXiv:2312.03096 (2023)"
)

COVER = "figx_emblem"  # the figure that stands for the paper
# a sentence on what was found, and the verdicts that it tells
FINDING = (
    {"IP-01": HOLDS, "IP-04": HOLDS},
    "**Neurons are shared by accident, as long as sharing is free**: in linear autoencoders of n = {IP-01: scale n} "
    "features with m = 2n neurons and an l1 penalty of λ = {IP-01: scale λ}, "
    "{IP-01: polysemantic neurons at m = 2n | .0f} neurons come to serve two features although there is room for all; "
    "in {IP-04: networks whose surviving collisions all have opposite signs | .0%} of networks such features have "
    "opposite signs.",
)

FAMILIES = (
    sparsification,
    collisions,
    winners,
    race,
    noise,
    penalties,
    causes,
    depth,
    cooccurrence,
    necessity,
    winner_takes_all,
    limits,
    emblem,
)
FIGURES = papers.figures(__file__)
CLAIMS = dict(sorted((name, claim) for family in FAMILIES for name, claim in family.CLAIMS.items()))


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    sparsification: sparsification.Settings = family(sparsification.Settings)
    collisions: collisions.Settings = family(collisions.Settings)
    winners: winners.Settings = family(winners.Settings)
    race: race.Settings = family(race.Settings)
    noise: noise.Settings = family(noise.Settings)
    penalties: penalties.Settings = family(penalties.Settings)
    causes: causes.Settings = family(causes.Settings)
    depth: depth.Settings = family(depth.Settings)
    cooccurrence: cooccurrence.Settings = family(cooccurrence.Settings)
    necessity: necessity.Settings = family(necessity.Settings)
    winner_takes_all: winner_takes_all.Settings = family(winner_takes_all.Settings)
    limits: limits.Settings = family(limits.Settings)
