"""Polysemanticity and capacity: the settings of the notebook; its experiments are the modules of this package.

Rules are fixed before the run. Symbols as in `capacity`; a phase of a feature is ignored (C < 0.001),
monosemantic (C > 0.999) or polysemantic (between).
"""

from dataclasses import dataclass

from polysemanticity.base.config import setting
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

_FAMILIES = (
    bound, allocation, phase_diagram, architectures, descent, price, correlated, design, real_images, extensions,
)  # fmt: skip
FIGURES = {name: alt for family in _FAMILIES for name, alt in family.FIGURES.items()}
CLAIMS = {key: claim for key, claim in sorted(i for family in _FAMILIES for i in family.CLAIMS.items())}


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are the default profile."""

    n_seeds: int = setting(8, "random starts per trained model", low=2)
    threads: int = setting(1, "threads per worker; results are bit-identical only at the same number", low=1)
    n_features: int = setting(20, "features N of the phase diagram and of the importance lists", low=4)
    n_dims: int = setting(10, "dimensions D of the phase diagram", low=1)
    n_grid: int = setting(20, "points per axis of both phase diagrams", low=4)
    n_steps: int = setting(800, "Adam steps per model of the phase diagrams, before polishing", low=10)
    list_dims: int = setting(8, "dimensions D of the importance lists", low=1)
    list_decays: tuple[float, ...] = setting((0.8, 0.9, 0.5, 1.0), "importance lists v_i = decay^i", low=0.1, high=1)
    list_kurtoses: tuple[float, ...] = setting((5.0, 10.0, 30.0, 100.0), "kurtoses of the lists, above 3", low=3.1)
    list_steps: int = setting(
        12_000, "Adam steps on the importance lists; one lies exactly on a boundary, where descent is slow", low=10
    )
    sample_ratios: tuple[float, ...] = setting((0.2, 0.5, 1.3, 3.0), "importances v_N trained on samples", low=0.01)
    sample_kurtosis: float = setting(10.0, "kurtosis of the samples", low=3.1)
    sample_steps: int = setting(4000, "Adam steps on samples", low=10)
    sample_batch: int = setting(256, "samples per step", low=16)
    n_random: int = setting(200, "random embeddings per size and kind in the test of the bound", low=10)
    n_starts: int = setting(150, "starts of the search for stationary points, per kurtosis", low=4)
    n_problems: int = setting(64, "random importance lists and kurtoses of the landscape test", low=2)
    flow_seeds: int = setting(128, "random starts of gradient flow", low=4)
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
    n_monte_carlo: int = setting(4_000_000, "samples per input law in the test of the loss formula", low=1000)


PROFILES = {
    "smoke": {
        "n_seeds": 2,
        "n_features": 6,
        "n_dims": 3,
        "n_grid": 4,
        "n_steps": 200,
        "list_dims": 3,
        "list_decays": (0.8, 1.0),
        "list_kurtoses": (5.0, 30.0),
        "list_steps": 300,
        "sample_ratios": (0.5,),
        "sample_steps": 50,
        "sample_batch": 32,
        "n_random": 10,
        "n_starts": 6,
        "n_problems": 3,
        "flow_seeds": 4,
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
        "n_monte_carlo": 10_000,
    },
    "default": {},
    "paper": {
        "n_seeds": 16,
        "n_grid": 60,
        "sample_steps": 40_000,
        "sample_batch": 1024,
        "n_starts": 1000,
        "n_problems": 500,
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
        "n_monte_carlo": 20_000_000,
    },
}
