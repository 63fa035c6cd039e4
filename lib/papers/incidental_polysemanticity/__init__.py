"""Incidental polysemanticity: settings, and the figures and claims of its families of experiments.

Rules are fixed before the run. A worker that trains draws its seeds as a batch; its arrays have the seed axis first.
"""

from dataclasses import dataclass

from lib.config import setting
from lib.papers.incidental_polysemanticity import collisions, noise, penalties, sparsification, winner_takes_all

SLUG = "incidental_polysemanticity"
TITLE = "What causes polysemanticity? Incidental causes"
PAPER = (
    "Victor Lecomte, Kushal Thaman, Rylan Schaeffer, Naomi Bashkansky, Trevor Chow, Sanmi Koyejo: What Causes "
    "Polysemanticity? An Alternative Origin Story of Mixed Selectivity from Incidental Causes. arXiv:2312.03096 (2023)"
)

FIGURES = sparsification.FIGURES | collisions.FIGURES | noise.FIGURES | penalties.FIGURES | winner_takes_all.FIGURES
CLAIMS = sparsification.CLAIMS | collisions.CLAIMS | noise.CLAIMS | penalties.CLAIMS | winner_takes_all.CLAIMS


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    n_seeds: int = setting(256, "trained networks per point of the count law", low=2)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    l1: float = setting(0.03, "λ of the sum loss (the paper's notebook: 0.013 to 0.064)", low=1e-3, high=1.0)
    map_features: tuple[int, ...] = setting((32, 64), "features n of the weight maps", low=4)
    map_ratios: tuple[int, ...] = setting((1, 2, 4, 8), "neurons per feature of the weight maps", low=1)
    map_seeds: int = setting(16, "trained networks per weight map; the first is drawn", low=2)
    count_features: int = setting(64, "features n of the count law", low=4)
    count_neurons: tuple[int, ...] = setting((64, 128, 256, 512, 1024), "neurons m of the count law", low=2)
    other_l1: tuple[float, ...] = setting((0.01, 0.1), "further λ of the count law", low=1e-3, high=1.0)
    other_seeds: int = setting(48, "trained networks per point at the further λ", low=2)
    course_neurons: int = setting(100_000, "neurons m of the single encoding", low=100)
    course_l1: float = setting(1e-5, "λ of the single encoding, in the paper's unit of time", low=1e-6, high=1e-2)
    course_seeds: int = setting(8, "single encodings", low=2)
    noise_sigmas: tuple[float, ...] = setting((0.07, 0.1, 0.15), "σ of the noise on the hidden neurons", low=0.01)
    noise_seeds: int = setting(16, "networks per law and σ of the fourth norm", low=2)
    noise_steps: int = setting(100_000, "steps of the fourth norm, and half as many of the planted pair", low=100)
    noise_sizes: tuple[int, ...] = setting((8, 16, 32, 64), "features of the count under noise", low=4)
    noise_count_seeds: int = setting(8, "networks per size of the count under noise", low=2)
    noise_time: float = setting(1600.0, "training time of the count under noise", low=1.0)
    arm_features: int = setting(
        32, "features of networks with other penalties and forces, on twice as many neurons", low=4
    )
    arm_seeds: int = setting(32, "networks per other penalty or force", low=2)
    arm_time: float = setting(150.0, "training time of networks with other penalties and forces", low=1.0)


PROFILES = {
    "smoke": {
        "n_seeds": 4,
        "l1": 0.1,
        "map_features": (8,),
        "map_ratios": (1, 2),
        "map_seeds": 3,
        "count_features": 12,
        "count_neurons": (12, 24, 48),
        "other_l1": (0.2,),
        "other_seeds": 3,
        "course_neurons": 2000,
        "course_l1": 2e-4,
        "course_seeds": 2,
        "noise_seeds": 2,
        "noise_steps": 400,
        "noise_sizes": (8,),
        "noise_count_seeds": 2,
        "noise_time": 20.0,
        "arm_features": 8,
        "arm_seeds": 2,
        "arm_time": 3.0,
    },
    "default": {},
    "paper": {
        "n_seeds": 64,
        "count_features": 256,
        "count_neurons": collisions.PUBLISHED_NEURONS,
        "other_seeds": 16,
        "map_seeds": 64,
        "course_seeds": 32,
    },
}
