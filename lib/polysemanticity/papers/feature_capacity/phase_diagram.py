"""The phase diagram: two features, one special feature among equal ones, trained on the loss and on samples (FC-04)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import phases, quadratic
from polysemanticity.claims import Claim, Measured

CASES = {"A": (2, 0.8), "B": (2, 1.25), "C": (3, 1.0), "D": (10, 0.2), "E": (10, 1.3), "F": (10, 5.0)}  # kurtosis, r
WRONG = 1e-9  # relative loss above the best from which on a model is in a wrong minimum
CAPACITY, EDGE = "capacity C", "importance ratio at an edge"
RATIO, SHARE = "importance ratio", "share of starts in a wrong minimum"

CLAIMS = {
    "FC-04": Claim(
        id="FC-04",
        claim=(
            "Trained models show the phases that theory predicts: ignored, polysemantic, monosemantic by importance "
            "and kurtosis"
        ),
        source="theoretical and empirical phase diagram",
        paper="N = 20, D = 10, one special feature",
        rule={
            "share of models in the predicted phase, kurtosis > 3": (0.99, 1.0),
            "largest error of C, kurtosis > 3": (-math.inf, 1e-6),
            "share of models with kurtosis < 3 in no predicted minimum": (-math.inf, 0.02),
        },
        reason=(
            "For kurtosis > 3 every minimum is global, so training may not miss; 1 % allows for the resolution of an "
            "exact binomial interval. For kurtosis < 3 returns increase, the landscape has local minima (v of every "
            "chosen feature ≥ a/2 · v of every other), and a model may stop in any of them but nowhere else; how "
            "many stop in a wrong one is counted, not judged."
        ),
        whose="printed",
        known="trials on the same grid had errors below 1e-14 above kurtosis 3, and wrong minima below it as predicted",
        figure="figx_phase_diagram",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The quadratic model: both phase diagrams, and its size wherever it is trained."""

    n_seeds: int = setting(8, "random starts per trained model", low=2, smoke=2, paper=16)
    n_features: int = setting(20, "features N of the phase diagram and of the importance lists", low=4, smoke=6)
    n_dims: int = setting(10, "dimensions D of the phase diagram", low=1, smoke=3)
    n_grid: int = setting(20, "points per axis of both phase diagrams", low=4, smoke=4, paper=60)
    n_steps: int = setting(800, "Adam steps per model of the phase diagrams, before polishing", low=10, smoke=200)
    sample_ratios: tuple[float, ...] = setting(
        (0.2, 0.5, 1.3, 3.0), "importances v_N trained on samples", low=0.01, smoke=(0.5,)
    )
    sample_kurtosis: float = setting(10.0, "kurtosis of the samples", low=3.1)
    sample_steps: int = setting(4000, "Adam steps on samples", low=10, smoke=50, paper=40_000)
    sample_batch: int = setting(256, "samples per step", low=16, smoke=32, paper=1024)

    def __post_init__(self):
        check(self.n_dims < self.n_features, "n_dims", self.n_dims, f"below n_features = {self.n_features}")


def pair(settings: Settings) -> list[dict]:
    """Return the configurations of `train_special` for two features in one dimension."""
    fixed = {"n_features": 2, "n_dims": 1, "n_seeds": settings.n_seeds, "n_steps": settings.n_steps}
    return grid_configs(*pair_grid(settings.n_grid), 2, **fixed)


def special(settings: Settings) -> list[dict]:
    """Return the configurations of `train_special` for one special feature among equal ones."""
    return grid_configs(*phase_grid(settings.n_grid), **_size(settings))


def close_up(settings: Settings) -> list[dict]:
    """Return the configurations of `train_special` for one special feature and kurtoses from 1.2 to 4."""
    ratios, _ = phase_grid(settings.n_grid)
    return grid_configs(ratios, np.linspace(1.2, 4, settings.n_grid).tolist(), **_size(settings))


def sampled(settings: Settings) -> list[dict]:
    """Return the configurations of `train_on_samples`: one for each importance of the special feature."""
    size = {name: getattr(settings, name) for name in ("n_features", "n_dims", "n_seeds")}
    training = {"n_steps": settings.sample_steps, "batch": settings.sample_batch}
    return [
        {"ratio": ratio, "kurtosis": settings.sample_kurtosis, **size, **training} for ratio in settings.sample_ratios
    ]


def _size(settings: Settings) -> dict:
    return {name: getattr(settings, name) for name in ("n_features", "n_dims", "n_seeds", "n_steps")}


def train_special(
    *, seed: int, device: str, ratios, kurtoses, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Models of every kurtosis x ratio x seed with one special feature: trained and optimal capacities and losses."""
    v = np.broadcast_to(phases.special_importance(ratios, n_features), (len(kurtoses), len(ratios), n_features))
    kappa = np.broadcast_to(np.reshape(kurtoses, (-1, 1)), v.shape[:-1])
    return quadratic.train_beside_optimum(
        v, kappa, n_dims, n_seeds, n_steps, streams.generator(seed, f"weights {kurtoses[0]}", device)
    )


def train_on_samples(
    *,
    seed: int,
    device: str,
    ratio: float,
    kurtosis: float,
    n_features: int,
    n_dims: int,
    n_seeds: int,
    n_steps: int,
    batch: int,
) -> dict:
    """Models with one special feature, trained on the squared error of sampled inputs."""
    v = phases.special_importance([ratio], n_features)[0]
    generator = streams.generator(seed, f"data {ratio}", device)
    options = {"n_steps": n_steps, "batch": batch}
    weights = quadratic.train_quadratic_on_samples(torch.tensor(v), kurtosis, n_dims, n_seeds, generator, **options)
    best = capacity.optimal_allocation(v, kurtosis, n_dims)
    loss = capacity.quadratic_loss(weights, v, kurtosis).cpu().numpy()
    return {
        "capacity": capacity.feature_capacity(weights).cpu().numpy(),
        "optimum": best.capacity,
        "excess_loss": loss / best.loss - 1,
    }


def phase_grid(n_grid: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Importance ratios from 0.1 to 10 and kurtoses from 1/0.9 to 1/0.003, both evenly spaced on a logarithmic axis."""
    ratios, inverse = np.geomspace(0.1, 10, n_grid), np.geomspace(0.9, 0.003, n_grid)
    return tuple(ratios.tolist()), tuple((1 / inverse).tolist())


def pair_grid(n_grid: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Importance ratios below 1 (at 1 the features are tied) and kurtoses for two features in one dimension."""
    return tuple(np.linspace(0.05, 0.975, n_grid).tolist()), tuple(np.linspace(1.5, 20, n_grid).tolist())


def grid_configs(ratios, kurtoses, n_parts: int = 4, **fixed) -> list[dict]:
    """Configs of `train_special` that cover the grid in a few parts, so that several cores can work on it."""
    parts = np.array_split(np.asarray(kurtoses), n_parts)
    return [{"ratios": ratios, "kurtoses": tuple(part.tolist()), **fixed} for part in parts]


class Grid(NamedTuple):
    """The results of `grid_configs`, put together again along the kurtoses."""

    ratios: np.ndarray
    kurtoses: np.ndarray
    capacity: np.ndarray  # [kurtosis, ratio, seed, N]
    optimum: np.ndarray  # [kurtosis, ratio, N]
    excess_loss: np.ndarray  # [kurtosis, ratio, seed]

    @property
    def sparse(self) -> np.ndarray:
        """Which kurtoses are above 3."""
        return self.kurtoses > 3

    @property
    def wrong(self) -> np.ndarray:
        """Which models [kurtosis, ratio, seed] stopped above the best loss."""
        return self.excess_loss > WRONG

    @property
    def error(self) -> np.ndarray:
        """The largest error of a capacity [kurtosis, ratio, seed]."""
        return np.abs(self.capacity - self.optimum[:, :, None]).max(-1)


def joined(trained: Results) -> Grid:
    """Return the results of `grid_configs` on their grid."""
    kurtoses = np.concatenate([config["kurtoses"] for config in trained.configs])
    arrays = (np.concatenate([one[key] for one in trained]) for key in ("capacity", "optimum", "excess_loss"))
    return Grid(np.array(trained.configs[0]["ratios"]), kurtoses, *arrays)


def decade_above(error: float) -> float:
    """Return the power of ten just above a rounding error, whose digits differ between machines."""
    return 10.0 ** math.ceil(math.log10(error)) if error > 0 else 1e-16


def pair_table(trained: Results) -> pd.DataFrame:
    """Return the capacity of the less important of two features: of the optimum, of one trained start, and its edge."""
    grid, kurtosis = joined(trained), np.linspace(3, 20.4, 100)
    return pd.concat(
        [
            _map("paper", "theory", CAPACITY, grid.ratios, grid.kurtoses, grid.optimum[..., -1]),
            _map("measured", "trained, one start", CAPACITY, grid.ratios, grid.kurtoses, grid.capacity[:, :, 0, -1]),
            _edge("paper", "v₁/v₂ = (κ−1)/2", kurtosis, 2 / (kurtosis - 1)),
        ]
    )


def pair_numbers(trained: Results) -> dict:
    """Return how well trained pairs of features agree with theory."""
    grid = joined(trained)
    return {
        "models": grid.excess_loss.size,
        "error of a capacity below, kurtosis above 3": decade_above(grid.error[grid.sparse].max()),
        "share of models in the wrong minimum, kurtosis below 3": grid.wrong[~grid.sparse].mean(),
    }


def special_table(trained: Results, dense: Results) -> pd.DataFrame:
    """Return the phase diagram: C of the special feature, edges of its phases, and wrong minima in the close-up."""
    grid, near = joined(trained), joined(dense)
    n, d = (trained.configs[0][name] for name in ("n_features", "n_dims"))
    kurtosis, low = np.geomspace(3.01, 340, 100), np.linspace(1.2, 3, 50)
    edges, wedge = phases.phase_boundaries(kurtosis, d, n - 1), (low - 1) / 2
    optimum = [
        capacity.optimal_allocation(phases.special_importance([ratio], n)[0], k, d).capacity[-1]
        for k, ratio in CASES.values()
    ]
    k, ratio = np.array(list(CASES.values())).T
    letters = pd.DataFrame(
        {"series": list(CASES), RATIO: ratio, "kurtosis κ": k, "1/kurtosis": 1 / k, "value": optimum}
    )
    return pd.concat(
        [
            _map("paper", "theory", CAPACITY, grid.ratios, grid.kurtoses, grid.optimum[..., -1]),
            _map("measured", "trained, one start", CAPACITY, grid.ratios, grid.kurtoses, grid.capacity[:, :, 0, -1]),
            letters.assign(what="paper", quantity="capacity C in the six examples"),
            _edge("paper", "predicted edge, ignored", kurtosis, edges.ignored),
            _edge("paper", "predicted edge, monosemantic", kurtosis, edges.monosemantic),
            _map("measured", "close-up", SHARE, near.ratios, near.kurtoses, near.wrong.mean(-1)),
            _edge("corrected", "predicted wedge, from", low, wedge),
            _edge("corrected", "predicted wedge, to", low, 1 / wedge),
        ]
    )


def _map(what: str, series: str, quantity: str, ratios, kurtoses, values) -> pd.DataFrame:
    k, ratio = (axis.ravel() for axis in np.meshgrid(kurtoses, ratios, indexing="ij"))
    places = {RATIO: ratio, "kurtosis κ": k, "1/kurtosis": 1 / k}
    return pd.DataFrame({"what": what, "series": series, "quantity": quantity, **places, "value": values.ravel()})


def _edge(what: str, series: str, kurtosis, ratio) -> pd.DataFrame:
    places = {"kurtosis κ": kurtosis, "1/kurtosis": 1 / kurtosis, "value": ratio}
    return pd.DataFrame({"what": what, "series": series, "quantity": EDGE, **places})


def wedge_numbers(dense: Results) -> dict:
    """Return how many models of the close-up stopped in a wrong minimum, inside the predicted wedge and outside."""
    near = joined(dense)
    edge = (near.kurtoses[:, None] - 1) / 2
    inside = (edge < near.ratios) & (near.ratios < 1 / edge)
    return {
        "models": near.wrong.size,
        "in a wrong minimum": int(near.wrong.sum()),
        "of these outside the predicted wedge": int(near.wrong[~inside].sum()),
        "share of models in a wrong minimum, inside the wedge": near.wrong[inside].mean(),
    }


def measured(trained: Results, dense: Results) -> Measured:
    """Return what decides FC-04."""
    grid, near = joined(trained), joined(dense)
    agree = phases.phase(grid.capacity[..., -1]) == phases.phase(grid.optimum[..., -1])[..., None]
    agree, below = agree[grid.sparse], np.concatenate([g.wrong[g.kurtoses < 3].ravel() for g in (grid, near)])
    n, d = (trained.configs[0][name] for name in ("n_features", "n_dims"))
    v = phases.special_importance(grid.ratios, n)[None, :, None]
    stops = [
        phases.at_a_predicted_minimum(g.capacity[g.kurtoses < 3], v, g.kurtoses[g.kurtoses < 3, None, None])
        for g in (grid, near)
    ]
    stray = np.concatenate([~stop.ravel() for stop in stops])
    quantities = {
        "share of models in the predicted phase, kurtosis > 3": intervals.proportion(agree.sum(), agree.size),
        "largest error of C, kurtosis > 3": intervals.exact(grid.error[grid.sparse].max()),
        "share of models with kurtosis < 3 in no predicted minimum": intervals.proportion(stray.sum(), stray.size),
        "share of models with kurtosis < 3 in a wrong minimum": intervals.proportion(below.sum(), below.size),
    }
    error = (
        f"95 % binomial intervals over {agree.size:,} models with kurtosis > 3 and {below.size:,} below; the error is "
        "the largest of all features and models"
    )
    note = (
        f"For kurtosis < 3 training stops in a wrong minimum in {below.mean():.1%} of the models; {stray.sum()} stop "
        "anywhere but in a predicted local minimum."
    )
    points = f"{grid.wrong.shape[0]} × {grid.wrong.shape[1]} points and as many of the close-up"
    scale = f"quadratic model trained on its exact loss, N = {n} features in D = {d} dimensions, {points}"
    return Measured(quantities, error, f"{scale}, {grid.wrong.shape[2]} starts each", note)


def samples_table(trained: Results) -> pd.DataFrame:
    """Return the capacity of the special feature in models that were trained on samples, beside the theory."""
    special = intervals.join([intervals.mean(result["capacity"][:, -1]) for result in trained])
    return pd.DataFrame(
        {
            "importance": trained.setting("ratio"),
            "C, theory": [result["optimum"][-1] for result in trained],
            "C, trained on samples": special.value,
            "95 % t interval over starts, from": special.low,
            "to": special.high,
            "excess loss": [result["excess_loss"].mean() for result in trained],
        }
    )
