"""Monosemanticity by design: penalties on interference and transforms of the inputs (FC-13)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import autoencoders, phases, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.papers.feature_capacity import allocation, architectures, phase_diagram

KURTOSIS, DECAY = 10.0, 0.9  # of the quadratic models, whose importances are v_i = decay^i
CRITICAL = (KURTOSIS - 3) / 2  # penalty at which theory ends polysemanticity
MULTIPLES = (0.0, 0.25, 0.5, 0.8, 0.9, 1.1, 1.5, 2.0)  # of the critical penalty
RELU_PENALTIES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SIGN_DENSITIES = (0.15, 0.2, 0.25, 0.3, 0.32, 0.35, 0.4, 0.5, 0.55, 0.6)  # of inputs that become ±1
TRANSFORMED, PLAIN = "transformed, x → sign(x)", "untransformed, uniform"
COUNT, COST = "polysemantic features", "loss ÷ loss without penalty"

CLAIMS = {
    "FC-13": Claim(
        id="FC-13",
        claim=(
            "A penalty on interference makes every feature of the quadratic model monosemantic, from where theory says "
            "on, and no dearer than need be"
        ),
        source="question raised in the discussion of the paper",
        paper="open question; kurtosis below 3 removes polysemanticity",
        whose="open question",
        known="at these settings, from an earlier run",
        figure="figx_by_design",
        rule={
            "polysemantic features at 1.1 × the critical penalty, quadratic": (-math.inf, 0.05),
            "polysemantic features at 0.5 × the critical penalty, quadratic": (1.0, math.inf),
            "loss ÷ least monosemantic loss": (-math.inf, 1.05),
        },
        reason=(
            "Weighing interference by 1 + μ is a kurtosis of 1 + a/(1 + μ), so theory puts the end of polysemanticity "
            "at μ = (kurtosis − 3)/2; 10 % beyond none may be left, halfway at least one must be. The cost is within "
            "5 % of the best that monosemantic features can do."
        ),
    ),
    "FC-13b": Claim(
        id="FC-13b",
        claim="A penalty on interference makes every feature of a ReLU autoencoder monosemantic",
        source="question raised in the discussion of the paper",
        paper="open question",
        whose="open question",
        known="at these settings, from an earlier run",
        figure="figx_by_design",
        rule={"polysemantic features at the strongest penalty, ReLU": (-math.inf, 0.5)},
        reason="No theory says from which penalty on; at the strongest of ours half a feature is allowed.",
    ),
    "FC-13c": Claim(
        id="FC-13c",
        claim=(
            "Some transform of single inputs that keeps zeros and signs ends polysemanticity exactly where inputs are "
            "not zero in more than a third of the samples"
        ),
        source="question raised in the discussion of the paper",
        paper="open question; kurtosis below 3 removes polysemanticity",
        whose="open question",
        known="the derivation; that uniform inputs of density 0.2 keep 7 of 20 features shared under every power",
        figure="figx_by_design",
        rule={
            "least number of polysemantic features under sign(x), density 0.15 to 0.32": (1, math.inf),
            "largest number of polysemantic features under sign(x), density 0.35 to 0.6": (-math.inf, 0.05),
            "least number of polysemantic features of untransformed inputs, density 0.15 to 0.55": (1, math.inf),
        },
        reason=(
            "A derivation: of all inputs that are 0 with probability 1 − p, those of equal size have the least "
            "kurtosis, 1/p (Cauchy–Schwarz), and sign(x) makes them so. Whether training agrees is tested, with "
            "importances so alike (0.98^i) that sharing pays soon after returns diminish: at least one feature of 16 "
            "is shared on one side of p = 1/3, none on the other. Uniform inputs that are not transformed are shared "
            "up to p = 0.6, so the transform makes the difference."
        ),
    ),
}


@dataclass(frozen=True)
class Settings:
    """Fine-tuning with penalties."""

    tune_steps: int = setting(2000, "Adam steps of fine-tuning and of block selection", low=10, smoke=20, paper=10_000)


def quadratic_arm(settings: Settings, models: phase_diagram.Settings, lists: allocation.Settings) -> dict:
    """Return the configuration of `penalised`."""
    fixed = {"decay": DECAY, "kurtosis": KURTOSIS, "n_features": models.n_features, "n_dims": lists.n_dims}
    tuned = {"n_seeds": models.n_seeds, "n_steps": settings.tune_steps}
    return {"penalties": tuple(CRITICAL * m for m in MULTIPLES), **tuned, **fixed}


def relu_arm(nets: architectures.Settings) -> dict:
    """Return the configuration of `penalised_relu`, with eight starts."""
    fixed = {"density": 0.1, "decay": DECAY, "n_dims": nets.n_dims, "n_test": nets.n_test, "n_seeds": 8}
    fixed |= {"n_features": nets.n_features, "n_steps": nets.n_steps, "batch": nets.batch}
    return {"penalties": RELU_PENALTIES, **fixed}


def transformed_arm(models: phase_diagram.Settings) -> dict:
    """Return the configuration of `transformed`."""
    size = {"n_features": 16, "n_dims": 6, "n_seeds": models.n_seeds, "n_steps": models.n_steps}
    return {"densities": SIGN_DENSITIES, "decay": 0.98, **size}


def transformed(
    *, seed: int, device: str, densities, decay: float, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Capacities [transform, density, seed, N] of quadratic models trained on the exact loss, of inputs that are ±1
    (kurtosis 1/p) or uniform (kurtosis 1.8/p) where they are not 0."""
    kurtosis = np.array([1.0, 1.8])[:, None] / np.array(densities)
    v = np.broadcast_to(decay ** np.arange(n_features), (*kurtosis.shape, n_features))
    generator = streams.generator(seed, "weights transformed", device)
    return quadratic.train_beside_optimum(v, kurtosis, n_dims, n_seeds, n_steps, generator)


def penalised(
    *, seed: int, device: str, penalties, decay: float, kurtosis: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int,
) -> dict:  # fmt: skip
    """Quadratic models fine-tuned with interference weighed by 1 + μ: capacities [μ, seed, N], loss without penalty."""
    v = torch.tensor(decay ** np.arange(n_features), device=device)
    generator = streams.generator(seed, "weights penalised", device)
    kappa = torch.tensor(kurtosis, dtype=torch.float64, device=device)
    start = quadratic.train_quadratic(v, kappa, n_dims, n_seeds, generator).weights
    start = start.expand(len(penalties), *start.shape)
    start = start + 1e-3 * torch.randn(start.shape, generator=generator, dtype=start.dtype, device=device)
    a = (kurtosis - 1) / (1 + torch.tensor(penalties, dtype=torch.float64, device=device)[:, None, None])
    (w,) = quadratic.adam_descent(lambda p, _: (capacity.gradient_unchecked(p[0], v, a),), (start,), n_steps, 0.02)
    loss = capacity.quadratic_loss(w, v, kurtosis)
    return {"capacity": capacity.feature_capacity(w).cpu().numpy(), "loss": loss.cpu().numpy()}


def penalised_relu(
    *, seed: int, device: str, penalties, density: float, decay: float, n_features: int, n_dims: int, n_seeds: int,
    n_steps: int, batch: int, n_test: int,
) -> dict:  # fmt: skip
    """ReLU autoencoders fine-tuned with a penalty μ Σ_{i≠j} G_ij²: weights [μ, seed, D, N] and loss without penalty."""
    importance = torch.tensor(decay ** np.arange(n_features))[None]
    generator = streams.generator(seed, "weights penalised relu", device)
    p, fixed = torch.tensor([density]), {"n_steps": n_steps, "batch": batch, "n_test": n_test}
    call = ("relu", p, importance, n_dims, n_seeds, generator)
    free = autoencoders.train_autoencoders(*call, **fixed)
    tuned = [autoencoders.train_autoencoders(*call, **fixed, interference=m, start=free.weights) for m in penalties]
    return {
        "weights": torch.cat([t.weights for t in tuned]).double().cpu().numpy(),
        "loss": torch.cat([t.loss for t in tuned]).cpu().numpy(),
    }


def counts(tuned: Results) -> np.ndarray:
    """Return how many features of the quadratic models are polysemantic [penalty, start]."""
    return (phases.phase(tuned[0]["capacity"]) == phases.POLYSEMANTIC).sum(-1)


def relu_counts(tuned: Results) -> np.ndarray:
    """Return how many features of the ReLU autoencoders are polysemantic [penalty, start]."""
    return phases.polysemantic_shares(tuned[0]["weights"]).all * tuned.configs[0]["n_features"]


def relative_loss(tuned: Results) -> np.ndarray:
    """Return the loss of the quadratic models over the least loss of monosemantic features [penalty, start]."""
    config = tuned.configs[0]
    v = config["decay"] ** np.arange(config["n_features"])
    return tuned[0]["loss"] / ((config["kurtosis"] - 1) * (v[config["n_dims"] :] ** 2).sum())


def transformed_counts(changed: Results) -> np.ndarray:
    """Return how many features are polysemantic [transform, density, start]."""
    return (phases.phase(changed[0]["capacity"]) == phases.POLYSEMANTIC).sum(-1)


def table(tuned: Results, relu: Results, changed: Results) -> pd.DataFrame:
    """Return counts and losses against penalties for both models, and counts against density for a transform."""
    quadratics, nets = f"quadratic model, κ = {KURTOSIS:g}", f"ReLU autoencoder, density {relu.configs[0]['density']:g}"
    transforms, density = "quadratic model, inputs transformed", changed.configs[0]["densities"]
    loss = relu[0]["loss"] / relu[0]["loss"][0].mean()
    free = tuned[0]["loss"] / tuned[0]["loss"][0].mean()
    return pd.concat(
        [
            _against(quadratics, COUNT, "penalty ÷ critical penalty", np.array(MULTIPLES), counts(tuned)),
            _against(quadratics, COST, "penalty ÷ critical penalty", np.array(MULTIPLES), free),
            _against(nets, COUNT, "penalty μ", RELU_PENALTIES, relu_counts(relu)),
            _against(nets, COST, "penalty μ", RELU_PENALTIES, loss),
            *(
                _against(transforms, COUNT, "density p", density, count).assign(series=name)
                for name, count in zip((TRANSFORMED, PLAIN), transformed_counts(changed), strict=True)
            ),
        ]
    )


def measured(tuned: Results) -> Measured:
    """Return what decides FC-13."""
    config, shared, beyond, loss = tuned.configs[0], counts(tuned), MULTIPLES.index(1.1), tuned[0]["loss"]
    return Measured(
        {
            "polysemantic features at 1.1 × the critical penalty, quadratic": intervals.mean(shared[beyond]),
            "polysemantic features at 0.5 × the critical penalty, quadratic": intervals.mean(
                shared[MULTIPLES.index(0.5)]
            ),
            "loss ÷ least monosemantic loss": intervals.mean(relative_loss(tuned)[beyond]),
        },
        f"95 % t intervals over {config['n_seeds']} starts, which all end alike",
        f"quadratic models, N = {config['n_features']}, D = {config['n_dims']}, κ = {config['kurtosis']:g}",
        f"The price of monosemanticity: the loss rises {loss[beyond].mean() / loss[0].mean():.2f} times.",
    )


def measured_relu(relu: Results) -> Measured:
    """Return what decides FC-13b."""
    config, loss = relu.configs[0], relu[0]["loss"]
    return Measured(
        {"polysemantic features at the strongest penalty, ReLU": intervals.counts(relu_counts(relu)[-1])},
        f"95 % interval over {config['n_seeds']} starts",
        f"ReLU autoencoders, N = {config['n_features']}, D = {config['n_dims']}, density {config['density']:g}, "
        f"{config['n_seeds']} starts",
        f"The price of monosemanticity: the loss rises {loss[-1].mean() / loss[0].mean():.2f} times.",
    )


def measured_transforms(changed: Results) -> Measured:
    """Return what decides FC-13c."""
    config, (sign, plain) = changed.configs[0], transformed_counts(changed)
    density = np.array(config["densities"])
    few, enough = sign[density < 1 / 3], sign[density > 1 / 3]
    return Measured(
        {
            "least number of polysemantic features under sign(x), density 0.15 to 0.32": intervals.exact(few.min()),
            "largest number of polysemantic features under sign(x), density 0.35 to 0.6": intervals.exact(enough.max()),
            "least number of polysemantic features of untransformed inputs, density 0.15 to 0.55": intervals.exact(
                plain[density < 0.6].min()
            ),
        },
        f"the least and the largest over {config['n_seeds']} starts at every density; numerical error only",
        f"quadratic model trained on its exact loss, N = {config['n_features']}, D = {config['n_dims']}, importances "
        f"{config['decay']:g}^i, {len(density)} densities, {config['n_seeds']} starts each",
        "Zeros stay zeros, and keep the kurtosis at 1/p or above.",
    )


def _against(panel: str, quantity: str, name: str, places, values: np.ndarray) -> pd.DataFrame:
    """Means of values [penalty, start] with 95 % intervals of the mean."""
    where = {"what": "measured", "model": panel, "series": quantity, "quantity": quantity, name: places}
    return pd.DataFrame({**where, **intervals.mean(values, axis=1).columns()})
