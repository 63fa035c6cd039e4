"""A paper: its settings, and the claims of its families of experiments.

Rules are fixed before the run.
"""

from dataclasses import dataclass

from polysemanticity import papers
from polysemanticity.base.config import family, setting
from polysemanticity.papers.my_paper import overlaps

SLUG = "my_paper"
TITLE = "A paper of mine"
PAPER = "Authors: Title. arXiv:0000.00000 (year)"

FAMILIES = (overlaps,)
FIGURES = papers.figures(__file__)
CLAIMS = {name: claim for module in FAMILIES for name, claim in sorted(module.CLAIMS.items())}


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    overlaps: overlaps.Settings = family(overlaps.Settings)
