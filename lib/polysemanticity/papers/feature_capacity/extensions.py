"""Unequal kurtoses, the order of the transition, width, the choice of blocks (FC-15)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import autoencoders, geometry, landscape, phases, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.papers.feature_capacity import architectures, design, phase_diagram
from polysemanticity.papers.feature_capacity.price import LABELS

LOOP_KURTOSES = (2.0, 10.0)
SPECIAL_RATIOS = tuple(np.geomspace(0.1, 10, 25).tolist())
LEVELS = {"quadratic": 10.0, "relu": 0.3, "gelu": 0.3, "tanh": 0.3}  # kurtosis, or density
ALONE_RATIOS, ALONE_DENSITIES = tuple(np.geomspace(0.5, 20, 13).tolist()), (0.3, 0.1, 0.03)
POWERS = (1.0, 2.0, 4.0)  # of the penalty on overlaps
WIDTH_DECAY, WIDTH_KURTOSIS = 0.8, 10.0
RATIO, SPECIAL = "importance of feature 2 ÷ feature 1", "importance of the special feature ÷ others"
COUNT = "polysemantic features"
KNOWN = "rule and result were in one commit; the rows were one, and are told apart since its parts came out differently"

CLAIMS = {
    "FC-15a": Claim(
        id="FC-15a",
        claim="Features of unequal kurtoses share one price, each with its own curve of capacity against importance",
        source="ours: extensions",
        paper="not in the paper",
        rule={"largest error of C, unequal kurtoses": (-math.inf, 1e-6)},
        reason="A derivation, tested on trained models: what is left is the rounding of the minimisation.",
        whose="ours",
        known=KNOWN,
        figure="figx_transitions",
    ),
    "FC-15b": Claim(
        id="FC-15b",
        claim="Capacities change continuously for a kurtosis above 3, and at once, with hysteresis, below",
        source="ours: extensions",
        paper="not in the paper",
        rule={
            "width of the hysteresis ÷ prediction, kurtosis 2": (0.9, 1.1),
            "largest gap between the sweeps, kurtosis 10": (-math.inf, 1e-3),
        },
        reason="The sweeps step by 5 %, so the width of the loop, ln 4, is known to a tenth; no gap but training's.",
        whose="ours",
        known=KNOWN,
        figure="figx_transitions",
    ),
    "FC-15c": Claim(
        id="FC-15c",
        claim="In the ReLU autoencoder a feature has no dimension, half of one or a whole one, and nothing between",
        source="ours: extensions",
        paper="not in the paper",
        rule={"share of capacities near 0, ½ or 1, ReLU": (0.8, 1.0)},
        reason="Near is within 0.05; a fifth may be on its way.",
        whose="ours",
        known=KNOWN,
        figure="figx_transitions",
    ),
    "FC-15d": Claim(
        id="FC-15d",
        claim="Doubling the width makes other features polysemantic, not more of them, in the ReLU autoencoder too",
        source="ours: extensions",
        paper="not in the paper",
        rule={
            "largest change of the count on doubling D, quadratic": (-math.inf, 1),
            "ratio of the counts on doubling D, ReLU": (0.75, 1.33),
        },
        reason="The count law: one feature for the lattice. An autoencoder's count may change by a third.",
        corrected={"largest change of the count on doubling D, quadratic": (-math.inf, 1)},
        correction="in the quadratic model; the autoencoder's count changes with its width",
        whose="ours",
        known=KNOWN,
        figure="figx_width_and_blocks",
    ),
    "FC-15e": Claim(
        id="FC-15e",
        claim="A penalty on overlaps that costs next to nothing chooses the size of blocks in the quadratic model",
        source="ours: extensions",
        paper="not in the paper",
        rule={
            "features per block, penalty of power 1": (-math.inf, 5.0),
            "share of features in the largest block, power 4": (0.9, 1.0),
            "relative cost of the penalty": (-math.inf, 1e-3),
        },
        reason="Small blocks have at most a quarter of the 20 features; blocks of equal loss must cost nothing.",
        whose="ours",
        known=KNOWN,
        figure="figx_width_and_blocks",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Transitions between features, widths, and the choice of blocks."""

    hysteresis_points: int = setting(61, "importance ratios of the sweeps up and down", low=5, smoke=5)
    width_dims: tuple[int, ...] = setting((5, 10, 20), "dimensions D, each twice the last", low=2, smoke=(2, 4))


def loops(settings: Settings) -> dict:
    """Return the configuration of `sweep_ratio`."""
    return {"kurtoses": LOOP_KURTOSES, "n_points": settings.hysteresis_points}


def special(nets: architectures.Settings) -> dict:
    """Return the configuration of `relu_special`."""
    fixed = {"density": 0.3, "n_features": 6, "n_dims": 3, "n_seeds": nets.seeds}
    return {"ratios": SPECIAL_RATIOS, **fixed, "n_steps": nets.n_steps, "batch": nets.batch}


def unequal(tuning: design.Settings) -> dict:
    """Return the configuration of `unequal_kurtoses`."""
    return {"n_problems": 16, "n_features": 12, "n_dims": 4, "n_seeds": 2, "n_steps": 2 * tuning.tune_steps}


def orders(settings: Settings, nets: architectures.Settings, tuning: design.Settings) -> list[dict]:
    """Return the configurations of `from_states`: one for each model."""
    fixed = {"ratios": tuple(np.geomspace(0.1, 10, settings.hysteresis_points).tolist())}
    fixed |= {"n_seeds": max(2, nets.seeds - 3), "n_steps": tuning.tune_steps // 2, "batch": nets.batch}
    return [{"model": name, "level": level, **fixed} for name, level in LEVELS.items()]


def densities_alone(nets: architectures.Settings) -> dict:
    """Return the configuration of `alone_thresholds`."""
    fixed = {"ratios": ALONE_RATIOS, "densities": ALONE_DENSITIES, "others": 0.3, "n_features": 6, "n_dims": 3}
    return {**fixed, "n_seeds": max(2, nets.seeds - 3), "n_steps": nets.n_steps, "batch": nets.batch}


def quadratic_width(settings: Settings, models: phase_diagram.Settings) -> dict:
    """Return the configuration of `quadratic_widths`."""
    dims = settings.width_dims
    fixed = {"dims": dims, "decay": WIDTH_DECAY, "n_features": 2 * dims[-1]}
    return {**fixed, "kurtosis": WIDTH_KURTOSIS, "n_seeds": 2, "n_steps": models.n_steps}


def relu_width(settings: Settings, nets: architectures.Settings) -> dict:
    """Return the configuration of `price.autoencoder_widths` for the same widths."""
    dims = settings.width_dims
    fixed = {"dims": dims, "decay": WIDTH_DECAY, "n_features": 2 * dims[-1], "n_seeds": 8}
    return {**fixed, "n_steps": nets.n_steps, "batch": nets.batch, "model": "relu", "density": 0.1, "n_test": 100}


def block_choice(nets: architectures.Settings, tuning: design.Settings) -> dict:
    """Return the configuration of `select_blocks`."""
    fixed = {"strength": 0.02, "kurtosis": 10.0, "n_features": 20, "n_dims": 10, "n_seeds": nets.seeds}
    return {"powers": POWERS, "n_steps": tuning.tune_steps, **fixed}


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
        (w,) = quadratic.adam_descent(
            lambda p, _, v=v: (capacity.gradient_unchecked(p[0], v, a),), (start,), n_steps, 0.01
        )
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

    (w,) = quadratic.adam_descent(gradient, (start,), n_steps, 0.02)
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
        (w,) = quadratic.adam_descent(
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


# ------------------------------------------------------------ tables and what decides the claim


def transitions_table(looped: Results, jumped: Results) -> pd.DataFrame:
    """Return the sweeps up and down, and the capacities of a special feature in the ReLU autoencoder."""
    parts = []
    for kurtosis, ways in zip(looped.configs[0]["kurtoses"], looped[0]["capacity"], strict=True):
        for name, curve in zip(("up", "down"), ways, strict=True):
            rows = {"what": "measured", "panel": "sweep", "series": f"κ = {kurtosis:g}, {name}"}
            parts.append(pd.DataFrame({**rows, RATIO: looped[0]["ratios"], "capacity C": curve}))
    for number, start in enumerate(jumped[0]["capacity"].T, start=1):
        rows = {"what": "measured", "panel": "ReLU autoencoder", "series": f"start {number}"}
        parts.append(pd.DataFrame({**rows, SPECIAL: jumped.configs[0]["ratios"], "capacity C": start}))
    return pd.concat(parts)


def orders_found(ordered: Results) -> pd.DataFrame:
    """Return for every model how its largest jump shrinks on a finer grid, and over how wide a range states differ."""
    rows = []
    for config, result in ordered.pairs():
        sizes = largest_jumps(result["capacity"])
        kind = "first-order" if sizes[-1] > FIRST_ORDER * sizes[0] else "continuous"
        rows.append(
            {
                "model": _name(config["model"]),
                "largest jump of C": float(sizes[0]),
                "on a grid four times as fine": float(sizes[-1]),
                "transition": kind,
                "ln r over which the state decides": coexistence_width(config["ratios"], result["capacity"]),
            }
        )
    return pd.DataFrame(rows)


def alone_from(apart: Results) -> pd.DataFrame:
    """Return from which relative importance on a feature of its own density is alone: the median over starts."""
    config, rows = apart.configs[0], []
    for density, values in zip(config["densities"], threshold(config["ratios"], apart[0]["capacity"]), strict=True):
        known = values[~np.isnan(values)]
        median = float(np.median(known)) if len(known) else math.nan
        rows.append({"density": density, "alone from (median)": median, "starts": f"{len(known)} of {len(values)}"})
    return pd.DataFrame(rows)


def polysemantic_counts(exact_width: Results, net_width: Results) -> dict[str, np.ndarray]:
    """Return the number of polysemantic features [D, start] of the quadratic model and of the ReLU autoencoder."""
    norm, c = net_width[0]["norm"], net_width[0]["capacity"]
    visible = (norm > 0.05 * norm.max(-1, keepdims=True)) & (c > 0.05)
    return {
        "quadratic": (phases.phase(exact_width[0]["capacity"]) == phases.POLYSEMANTIC).sum(-1),
        "relu": (visible & (c < 0.95)).sum(-1),
    }


def width_table(exact_width: Results, net_width: Results, chosen: Results) -> pd.DataFrame:
    """Return counts against the width, and Gram matrices sorted into blocks for each power of a penalty."""
    dims, parts = exact_width.configs[0]["dims"], []
    for name, count in polysemantic_counts(exact_width, net_width).items():
        rows = {"what": "measured", "series": LABELS[name], "quantity": COUNT, "dimensions D": dims}
        parts.append(pd.DataFrame({**rows, **intervals.mean(count, axis=1).columns()}))
    law = phases.count_law(WIDTH_KURTOSIS, WIDTH_DECAY).features
    rows = {"what": "control", "series": "count law", "quantity": COUNT, "dimensions D": dims}
    parts.append(pd.DataFrame({**rows, "value": law}))
    rows |= {"series": "2D, the most that digons hold", "value": 2.0 * np.array(dims[:1])}
    parts.append(pd.DataFrame({**rows, "dimensions D": dims[:1]}))
    sizes = geometry.block_geometry(chosen[0]["weights"]).size
    for power, weights, size in zip(chosen.configs[0]["powers"], chosen[0]["weights"], sizes, strict=True):
        order, _ = geometry.block_order(weights[0], cosine=0.1, norm=0.05)
        name = f"β = {power:g}: {size.mean():.1f} features per block"
        parts.append(architectures.gram_rows(weights[0][:, order], "measured", name, quantity=architectures.GRAM))
    return pd.concat(parts)


def measured_kurtoses(uneven: Results) -> Measured:
    """Return what decides FC-15a."""
    exact, config = np.broadcast_to(uneven[0]["optimum"][:, None], uneven[0]["capacity"].shape), uneven.configs[0]
    return Measured(
        {"largest error of C, unequal kurtoses": intervals.exact(np.abs(uneven[0]["capacity"] - exact).max())},
        "a calculation with numerical error",
        f"quadratic model, {config['n_problems']} problems of {config['n_features']} features with unequal kurtoses",
    )


def measured_transitions(looped: Results) -> Measured:
    """Return what decides FC-15b."""
    kurtoses, points = looped.configs[0]["kurtoses"], looped.configs[0]["n_points"]
    curves, ratios = looped[0]["capacity"], looped[0]["ratios"]
    predicted = 2 * np.log(2 / (kurtoses[0] - 1))
    step = np.log(16) / (points - 1) / predicted
    return Measured(
        {
            "width of the hysteresis ÷ prediction, kurtosis 2": intervals.exact(
                loop_width(ratios, curves[0]) / predicted, step
            ),
            "largest gap between the sweeps, kurtosis 10": intervals.exact(np.abs(curves[1, 0] - curves[1, 1]).max()),
        },
        "one step of the sweep; a calculation with numerical error",
        f"two features in one dimension at κ = {kurtoses[0]:g} and {kurtoses[1]:g}, {points} ratios of importance",
    )


def measured_levels(jumped: Results) -> Measured:
    """Return what decides FC-15c."""
    near = np.abs(jumped[0]["capacity"][..., None] - np.array([0, 0.5, 1])).min(-1) < 0.05
    config = jumped.configs[0]
    return Measured(
        {"share of capacities near 0, ½ or 1, ReLU": intervals.proportion(near.sum(), near.size)},
        f"95 % binomial interval over {near.size} models, {len(config['ratios'])} ratios of importance",
        "ReLU autoencoder, one special feature among equal ones",
        "It prefers 0, ½ and 1, but bends on the way.",
    )


def measured_widths(exact_width: Results, net_width: Results) -> Measured:
    """Return what decides FC-15d."""
    by_width, config = polysemantic_counts(exact_width, net_width), exact_width.configs[0]
    doubling = by_width["relu"][1:] / np.maximum(by_width["relu"][:-1], 1)
    counts = ", ".join(f"{count:.3g}" for count in by_width["relu"].mean(1))
    return Measured(
        {
            "largest change of the count on doubling D, quadratic": intervals.exact(np.ptp(by_width["quadratic"])),
            "ratio of the counts on doubling D, ReLU": intervals.row_of_extreme_mean(doubling, least=False),
        },
        f"a calculation; 95 % t interval over {doubling.shape[1]} starts, the larger of the ratios",
        f"D = {', '.join(map(str, config['dims']))}; {config['n_features']} features of importance {WIDTH_DECAY:g}^i",
        f"The autoencoder shares {counts} features at these widths; at the first it can share no more than 2D.",
    )


def measured_blocks(chosen: Results) -> Measured:
    """Return what decides FC-15e."""
    selected, config = geometry.block_geometry(chosen[0]["weights"]), chosen.configs[0]
    return Measured(
        {
            "features per block, penalty of power 1": intervals.mean(selected.size[0]),
            "share of features in the largest block, power 4": intervals.mean(selected.largest[-1]),
            "relative cost of the penalty": intervals.exact(chosen[0]["cost"].max()),
        },
        f"95 % t intervals over {config['n_seeds']} starts; the cost is the largest",
        f"quadratic model, {config['n_seeds']} starts each for powers {', '.join(f'{p:g}' for p in config['powers'])}",
    )


def _name(model: str) -> str:
    return f"quadratic, κ = {LEVELS['quadratic']:g}" if model == "quadratic" else LABELS[model]
