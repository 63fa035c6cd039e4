"""Incidental polysemanticity: settings, and the figures and claims of its families of experiments.

Rules are fixed before the run. A worker that trains draws its seeds as a batch; its arrays have the seed axis first.
"""

from dataclasses import dataclass

from polysemanticity.base.config import setting
from polysemanticity.papers.incidental_polysemanticity import (
    causes,
    collisions,
    cooccurrence,
    depth,
    limits,
    necessity,
    noise,
    penalties,
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

_FAMILIES = (
    sparsification,
    collisions,
    winners,
    noise,
    penalties,
    causes,
    depth,
    cooccurrence,
    necessity,
    winner_takes_all,
    limits,
)
FIGURES = {name: alt for family in _FAMILIES for name, alt in family.FIGURES.items()}
CLAIMS = dict(sorted((name, claim) for family in _FAMILIES for name, claim in family.CLAIMS.items()))


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
    cause_features: int = setting(32, "features n of the experiments on causes", low=4)
    cause_neurons: int = setting(64, "neurons m of the experiments on causes", low=4)
    cause_l1: tuple[float, ...] = setting((0.05, 0.1), "λ of the experiments on causes", low=1e-3, high=1.0)
    cause_seeds: int = setting(128, "trained networks per arm of the experiments on causes", low=2)
    cause_costs: tuple[float, ...] = setting((0.01, 0.03, 0.1, 0.3, 1.0), "cost of opposite signs ÷ λ", low=1e-3)
    depth_features: int = setting(16, "features n of networks with two hidden layers", low=4)
    depth_neurons: tuple[int, ...] = setting((16, 32, 64), "neurons m of each of the two layers", low=4)
    depth_seeds: int = setting(16, "trained networks with two hidden layers per point", low=2)
    pair_l1: tuple[float, ...] = setting((0.03, 0.1, 0.3), "λ of the experiments on co-occurrence", low=1e-3, high=1.0)
    pair_weights: tuple[float, ...] = setting((0.03, 0.06, 0.1, 0.2, 0.4, 1.0), "weight of a pair ÷ λ", low=1e-3)
    pair_seeds: int = setting(16, "trained networks per weight of the pairs", low=2)
    need_neurons: tuple[int, ...] = setting((16, 20, 24, 28, 32, 48, 64, 128), "neurons m of diagnosed toys", low=4)
    need_seeds: int = setting(48, "diagnosed toys per size", low=2)
    net_features: int = setting(16, "features of the small autoencoders", low=4)
    net_neurons: tuple[int, ...] = setting((8, 16, 24, 32, 64), "hidden neurons of the small autoencoders", low=4)
    net_l1: float = setting(0.1, "l1 on the activations of the small autoencoders", low=1e-3, high=1.0)
    net_steps: int = setting(2000, "steps of a small autoencoder's training", low=10)
    net_seeds: int = setting(6, "trained autoencoders per size", low=2)
    limit_neurons: tuple[int, ...] = setting((64, 256, 1024), "neurons m of the experiments on strong λ", low=4)
    limit_scales: tuple[float, ...] = setting(
        (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5), "λ ÷ mean critical λ", low=0.1, high=2.0
    )
    limit_l1: tuple[float, ...] = setting((0.01, 0.02, 0.05, 0.1, 0.2), "λ of the time to decision", low=1e-3, high=1.0)
    limit_crowd: tuple[int, ...] = setting((4, 6, 8, 12, 14, 16, 20, 24, 32), "neurons m of crowded networks", low=2)
    limit_seeds: int = setting(16, "trained networks per point of the limits", low=2)
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
        "cause_features": 8,
        "cause_neurons": 16,
        "cause_l1": (0.3,),
        "cause_seeds": 8,
        "cause_costs": (0.1, 1.0),
        "depth_features": 6,
        "depth_neurons": (6, 12),
        "depth_seeds": 2,
        "pair_l1": (0.2, 0.4),
        "pair_weights": (0.1, 1.0),
        "pair_seeds": 3,
        "need_neurons": (4, 8, 16),
        "need_seeds": 3,
        "net_features": 4,
        "net_neurons": (4, 8),
        "net_steps": 200,
        "net_seeds": 2,
        "limit_neurons": (16,),
        "limit_scales": (0.5, 1.0, 1.5),
        "limit_l1": (0.2, 0.4),
        "limit_crowd": (4, 8),
        "limit_seeds": 2,
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
        "adamw_neurons": collisions.PUBLISHED_NEURONS,
        "adamw_seeds": 16,
        "fan_neurons": (64, 128, 256, 512, 1024, 2048, 4096),
        "fan_seeds": 64,
        "optimizer_neurons": (64, 128, 256, 512, 1024),
        "break_seeds": 4096,
        "map_seeds": 64,
        "course_seeds": 32,
        "cause_seeds": 512,
        "depth_seeds": 48,
        "pair_seeds": 64,
        "need_seeds": 256,
        "net_seeds": 24,
        "limit_seeds": 64,
    },
}
