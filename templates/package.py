"""A paper: its settings, and the figures and claims of its families of experiments.

Rules are fixed before the run.
"""

from dataclasses import dataclass

from polysemanticity.base.config import setting
from polysemanticity.papers.my_paper import overlaps

SLUG = "my_paper"
TITLE = "A paper of mine"
PAPER = "Authors: Title. arXiv:0000.00000 (year)"

_FAMILIES = (overlaps,)
FIGURES = {name: alt for family in _FAMILIES for name, alt in family.FIGURES.items()}
CLAIMS = dict(sorted((name, claim) for family in _FAMILIES for name, claim in family.CLAIMS.items()))


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    n_seeds: int = setting(16, "sets of directions per number of dimensions", low=2)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    n_directions: int = setting(64, "random directions in a set", low=2)
    dims: tuple[int, ...] = setting((8, 16, 32, 64, 128, 256), "numbers of dimensions compared", low=2)


PROFILES = {
    "smoke": {"n_seeds": 2, "n_directions": 8, "dims": (4, 8)},
    "default": {},
    "paper": {"n_seeds": 64, "dims": (8, 16, 32, 64, 128, 256, 512, 1024)},
}
