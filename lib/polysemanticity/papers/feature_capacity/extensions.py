"""Unequal kurtoses, the order of the transition, width, the choice of blocks (FC-15)."""

import math

import numpy as np
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders, landscape, phases, quadratic
from polysemanticity.claims import Claim

FIGURES = {
    "figx_transitions": (
        "Left: capacity on a sweep of the importance ratio up and down, a loop at kurtosis 2 and one curve at 10. "
        "Middle: capacity in the ReLU autoencoder jumps between 0, one half and 1. Right: trained against exact "
        "capacities for unequal kurtoses, on the diagonal."
    ),
    "figx_transition_order": (
        "Capacity of the second of two features in one dimension against its relative importance, from three starting "
        "states, for four models; the largest jump against the spacing of the grid; and the importance from which a "
        "feature is alone against its density."
    ),
    "figx_width_and_blocks": (
        "Left: number of polysemantic features against dimensions, constant in the quadratic model and growing in the "
        "ReLU autoencoder. Right: three sorted Gram matrices for a small penalty on overlaps of power 1, 2 and 4."
    ),
}


CLAIMS = {
    "FC-15": Claim(
        id="FC-15",
        claim=(
            "Unequal kurtoses share one price; doubling the width leaves the number of polysemantic features; the "
            "transition is continuous for kurtosis > 3, first-order below and in autoencoders; a small penalty on "
            "overlaps chooses the size of blocks"
        ),
        source="ours: extensions",
        paper="not in the paper",
        rule={
            "largest error of C, unequal kurtoses": (-math.inf, 1e-6),
            "largest change of the count on doubling D, quadratic": (-math.inf, 1),
            "ratio of the counts on doubling D, ReLU": (0.75, 1.33),
            "width of the hysteresis ÷ prediction, kurtosis 2": (0.9, 1.1),
            "largest gap between the sweeps, kurtosis 10": (-math.inf, 1e-3),
            "share of capacities near 0, ½ or 1, ReLU": (0.8, 1.0),
            "features per block, penalty of power 1": (-math.inf, 5.0),
            "share of features in the largest block, power 4": (0.9, 1.0),
            "relative cost of the penalty": (-math.inf, 1e-3),
        },
        reason=(
            "Exact laws: rounding of the minimisation, one feature for the lattice. An autoencoder's count may change "
            "by a third. The sweeps step by 5 %, so the width of the loop, ln 4, is known to a tenth. Near is within "
            "0.05. Small blocks have at most a quarter of the 20 features; blocks of equal loss must cost nothing."
        ),
        corrected={
            "largest error of C, unequal kurtoses": (-math.inf, 1e-6),
            "largest change of the count on doubling D, quadratic": (-math.inf, 1),
            "width of the hysteresis ÷ prediction, kurtosis 2": (0.9, 1.1),
            "largest gap between the sweeps, kurtosis 10": (-math.inf, 1e-3),
            "share of features in the largest block, power 4": (0.9, 1.0),
            "relative cost of the penalty": (-math.inf, 1e-3),
        },
        correction="so in the quadratic model; autoencoders need not follow",
    ),
}


def unequal_kurtoses(
    *, seed: int, device: str, n_problems: int, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Trained and exact capacities for random importances and a random kurtosis in (4, 60) for every feature."""
    rng = streams.rng(seed, "problems")
    v = rng.uniform(0.3, 1, (n_problems, n_features))
    kappa = np.exp(rng.uniform(np.log(4), np.log(60), v.shape))
    moments = torch.ones(n_problems, n_features, n_features, dtype=torch.float64)
    moments.diagonal(dim1=-2, dim2=-1).copy_(torch.tensor(kappa))
    generator = streams.generator(seed, "weights unequal")
    w = landscape.train_correlated(torch.tensor(v), moments, n_dims, n_seeds, generator, n_steps)
    best = capacity.optimal_allocation(v, kappa, n_dims)
    return {"capacity": capacity.feature_capacity(w).numpy(), "optimum": best.capacity, "kurtosis": kappa}


def quadratic_widths(
    *, seed: int, device: str, dims, decay: float, kurtosis: float, n_features: int, n_seeds: int, n_steps: int
) -> dict:
    """Capacities [dims, seed, N] of quadratic models of several widths on the same importances decay^i."""
    v, found = torch.tensor(decay ** np.arange(n_features)), []
    kappa = torch.tensor(kurtosis, dtype=torch.float64)
    for d in dims:
        generator = streams.generator(seed, f"weights width {d}", device)
        trained = quadratic.train_quadratic(v, kappa, d, n_seeds, generator, n_steps=n_steps)
        found.append(capacity.feature_capacity(trained.weights).cpu().numpy())
    return {"capacity": np.array(found)}


def sweep_ratio(*, seed: int, device: str, kurtoses, n_points: int, n_steps: int = 400, noise: float = 1e-3) -> dict:
    """C of the second of two features in one dimension on a sweep of v₂/v₁ from ¼ to 4 and back [kurtosis, way, ratio].

    Each point starts from the last one's weights plus a little noise, so a model leaves its minimum when that ends.
    """
    ratios = np.geomspace(0.25, 4, n_points)
    generator = streams.generator(seed, "noise")
    a = torch.tensor(kurtoses, dtype=torch.float64).repeat_interleave(2)[:, None] - 1
    w = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]], dtype=torch.float64).repeat(len(kurtoses), 1, 1)
    found = np.zeros((len(kurtoses), 2, n_points))
    for k in range(n_points):
        ways = torch.tensor([[1.0, ratios[k]], [1.0, ratios[-1 - k]]], dtype=torch.float64)
        v = ways.repeat(len(kurtoses), 1)
        start = w + noise * torch.randn(w.shape, generator=generator, dtype=w.dtype)
        (w,) = quadratic.descend(lambda p, _, v=v: (capacity.gradient_unchecked(p[0], v, a),), (start,), n_steps, 0.01)
        c = capacity.feature_capacity(w)[:, 1].view(len(kurtoses), 2).numpy()
        found[:, 0, k], found[:, 1, -1 - k] = c[:, 0], c[:, 1]
    return {"ratios": ratios, "capacity": found}


def loop_width(ratios, capacities) -> float:
    """ln of the ratio between the jumps of the sweep up and of the sweep down; capacities [way, ratio]."""
    up, down = (np.log(ratios[(c > 0.5).argmax()]) for c in capacities)
    return float(up - down)


def relu_special(
    *, seed: int, device: str, ratios, density: float, n_features: int, n_dims: int, n_seeds: int, n_steps: int,
    batch: int,
) -> dict:  # fmt: skip
    """C of one special feature [ratio, seed] in a ReLU autoencoder, over its relative importance."""
    importance = torch.tensor(phases.special_importance(ratios, n_features))
    trained = autoencoders.train_autoencoders(
        "relu", torch.full((len(ratios),), density), importance, n_dims, n_seeds,
        streams.generator(seed, "weights special", device), n_steps=n_steps, batch=batch, n_test=100,
    )  # fmt: skip
    return {"capacity": capacity.feature_capacity(trained.weights.double())[..., -1].cpu().numpy()}


def select_blocks(
    *, seed: int, device: str, powers, strength: float, kurtosis: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int,
) -> dict:  # fmt: skip
    """Equal features with a penalty strength · Σ |cos θ|^β on overlaps: weights [power, seed, D, N] and their loss.

    |cos| is smoothed at 0.01. The quadratic loss is indifferent to the size of blocks, so that a small penalty decides.
    """
    beta = torch.tensor(powers, dtype=torch.float64)[:, None, None, None]
    shape = (len(powers), n_seeds, n_dims, n_features)
    start = torch.randn(shape, generator=streams.generator(seed, "weights blocks"), dtype=torch.float64) * 0.3
    v, a = torch.ones(n_features, dtype=torch.float64), torch.tensor(kurtosis - 1, dtype=torch.float64)

    def gradient(parameters, _):
        w = parameters[0].detach().requires_grad_()
        unit = w / w.norm(dim=-2, keepdim=True)
        penalty = (((unit.mT @ unit) ** 2 + 1e-4) ** (beta / 2)).sum() * strength / 2
        return (torch.autograd.grad(penalty, w)[0] + capacity.gradient_unchecked(parameters[0], v, a),)

    (w,) = quadratic.descend(gradient, (start,), n_steps, 0.02)
    best = capacity.optimal_allocation(v, kurtosis, n_dims).loss
    cost = capacity.quadratic_loss(w, v, kurtosis).numpy() / best - 1
    return {"weights": w.numpy(), "cost": cost}


# ------------------------------------------------------------ the order of the transition

# Fixed before the first run: first-order if the largest jump of C between neighbouring ratios is, on a grid four times
# as fine, still more than half of what it was (that of a continuous curve falls to about a quarter), else continuous.
FIRST_ORDER = 0.5
STATES = {"feature 1 alone": (1.0, 0.0), "shared": (0.8, -0.8), "feature 2 alone": (0.0, 1.0)}


def from_states(
    *, seed: int, device: str, model: str, ratios, level: float, n_seeds: int, n_steps: int, batch: int
) -> dict:
    """C of the second of two features in one dimension [state, ratio, seed], from each of `STATES` with a little noise.

    `model`: an autoencoder, with `level` its density, or `quadratic`, with `level` its kurtosis.
    """
    start = torch.tensor(list(STATES.values())).repeat_interleave(len(ratios), 0)[:, None, None]
    generator = streams.generator(seed, f"noise {model} {level}", device)
    start = start.to(device) + 0.03 * torch.randn(len(start), n_seeds, 1, 2, generator=generator, device=device)
    importance = torch.tensor(phases.special_importance(ratios, 2), device=device).repeat(len(STATES), 1)
    if model == "quadratic":
        v, a = importance[:, None], torch.tensor(level - 1, dtype=torch.float64, device=device)
        (w,) = quadratic.descend(
            lambda p, _: (capacity.gradient_unchecked(p[0], v, a),), (start.double(),), n_steps, 0.02
        )
    else:
        density = torch.full((len(start),), level)
        w = autoencoders.train_autoencoders(
            model, density, importance, 1, n_seeds, generator, n_steps=n_steps, batch=batch, start=start, n_test=100
        ).weights.double()
    return {"capacity": capacity.feature_capacity(w)[..., 1].reshape(len(STATES), -1, n_seeds).cpu().numpy()}


def largest_jumps(c, refinements=(4, 2, 1)) -> np.ndarray:
    """The largest jump of C between neighbouring ratios, from any state and start, on ever finer grids of the ratio.

    c: [state, ratio, seed]; a refinement of 4 takes every fourth ratio.
    """
    return np.array([np.abs(np.diff(c[:, ::step], axis=1)).max() for step in refinements])


def coexistence_width(ratios, c, margin: float = 0.1) -> float:
    """ln of the range of ratios over which C, its mean over seeds, depends on the state by more than the margin."""
    apart = np.ptp(c.mean(-1), axis=0) > margin
    return float(np.log(np.asarray(ratios)[1:] / np.asarray(ratios)[:-1]).mean() * apart.sum())


def alone_thresholds(
    *, seed: int, device: str, ratios, densities, others: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int, batch: int,
) -> dict:  # fmt: skip
    """C of one special feature [density, ratio, seed] in ReLU autoencoders, which has a density of its own."""
    grid = [(p, r) for p in densities for r in ratios]
    density = torch.full((len(grid), n_features), others)
    density[:, -1] = torch.tensor([p for p, _ in grid])
    importance = torch.tensor(phases.special_importance([r for _, r in grid], n_features))
    trained = autoencoders.train_autoencoders(
        "relu", density, importance, n_dims, n_seeds, streams.generator(seed, "weights thresholds", device),
        n_steps=n_steps, batch=batch, n_test=100,
    )  # fmt: skip
    c = capacity.feature_capacity(trained.weights.double())[..., -1].cpu().numpy()
    return {"capacity": c.reshape(len(densities), len(ratios), n_seeds)}


def threshold(ratios, c, margin: float = 0.05) -> np.ndarray:
    """The smallest ratio [..., seed] from which on C > 1 − margin at every larger one; NaN where there is none."""
    alone = np.flip(np.logical_and.accumulate(np.flip(c > 1 - margin, -2), -2), -2)
    return np.where(alone.any(-2), np.asarray(ratios)[alone.argmax(-2)], np.nan)
