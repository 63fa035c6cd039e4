"""Incidental polysemanticity: settings, and the figures and claims of its families of experiments.

Rules are fixed before the run. A worker that trains draws its seeds as a batch; its arrays have the seed axis first.
"""

from dataclasses import dataclass

from lib.config import setting
from lib.papers.incidental_polysemanticity import collisions, optimizers, sparsification

SLUG = "incidental_polysemanticity"
TITLE = "What causes polysemanticity? Incidental causes"
PAPER = (
    "Victor Lecomte, Kushal Thaman, Rylan Schaeffer, Naomi Bashkansky, Trevor Chow, Sanmi Koyejo: What Causes "
    "Polysemanticity? An Alternative Origin Story of Mixed Selectivity from Incidental Causes. arXiv:2312.03096 (2023)"
)

FIGURES = sparsification.FIGURES | collisions.FIGURES | optimizers.FIGURES
CLAIMS = sparsification.CLAIMS | collisions.CLAIMS | optimizers.CLAIMS


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    n_seeds: int = setting(16, "trained networks per point of the count law", low=2)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    l1: float = setting(0.03, "λ of the sum loss (the paper's notebook: 0.013 to 0.064)", low=1e-3, high=1.0)
    map_features: tuple[int, ...] = setting((32, 64), "features n of the weight maps", low=4)
    map_ratios: tuple[int, ...] = setting((1, 2, 4, 8), "neurons per feature of the weight maps", low=1)
    map_seeds: int = setting(16, "trained networks per weight map; the first is drawn", low=2)
    count_features: int = setting(256, "features n of the count law", low=4)
    count_neurons: tuple[int, ...] = setting(collisions.PUBLISHED_NEURONS, "neurons m of the count law", low=2)
    adamw_l1: float = setting(0.001, "λ of the published optimizer", low=1e-4, high=1.0)
    adamw_neurons: tuple[int, ...] = setting((256, 512), "neurons m of the count law by AdamW", low=2)
    adamw_seeds: int = setting(3, "networks per point of the count law by AdamW", low=2)
    fan_features: int = setting(64, "features n where λ and the optimizer vary", low=4)
    fan_neurons: tuple[int, ...] = setting((64, 128, 256, 512, 1024), "neurons m where λ varies", low=2)
    fan_l1: tuple[float, ...] = setting((0.01, 0.03, 0.1), "λ compared", low=1e-3, high=1.0)
    fan_seeds: int = setting(32, "trained networks per point where λ varies", low=2)
    optimizer_neurons: tuple[int, ...] = setting((64, 128, 256), "neurons m where the optimizer varies", low=2)
    optimizer_seeds: int = setting(16, "networks per point where the optimizer varies", low=2)
    break_features: tuple[int, ...] = setting((16, 32), "features n of the search for a break up to m = n²", low=4)
    break_l1: float = setting(0.1, "λ of the search for a break", low=1e-3, high=1.0)
    break_seeds: int = setting(2048, "trained networks per point of the search for a break", low=2)
    course_neurons: int = setting(100_000, "neurons m of the single encoding", low=100)
    course_l1: float = setting(1e-5, "λ of the single encoding, in the paper's unit of time", low=1e-6, high=1e-2)
    course_seeds: int = setting(8, "single encodings", low=2)


PROFILES = {
    "smoke": {
        "n_seeds": 4,
        "l1": 0.1,
        "map_features": (8,),
        "map_ratios": (1, 2),
        "map_seeds": 3,
        "count_features": 12,
        "count_neurons": (12, 24, 48),
        "adamw_neurons": (12,),
        "adamw_seeds": 2,
        "fan_features": 12,
        "fan_neurons": (12, 24, 48),
        "fan_l1": (0.1, 0.2),
        "fan_seeds": 3,
        "optimizer_neurons": (12,),
        "optimizer_seeds": 3,
        "break_features": (8, 12),
        "break_seeds": 24,
        "course_neurons": 2000,
        "course_l1": 2e-4,
        "course_seeds": 2,
    },
    "default": {},
    "paper": {
        "n_seeds": 64,
        "adamw_neurons": collisions.PUBLISHED_NEURONS,
        "adamw_seeds": 16,
        "fan_neurons": (64, 128, 256, 512, 1024, 2048, 4096),
        "fan_seeds": 64,
        "optimizer_neurons": (64, 128, 256, 512, 1024),
        "break_seeds": 4096,
        "map_seeds": 64,
        "course_seeds": 32,
    },
}
