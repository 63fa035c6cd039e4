"""How many dimensions a trained code spends on a sparse feature, against what lossless coding would need: CT-01.

Elhage et al.'s (2022) toy model, x̂ = ReLU(Wᵀ W x + b) with n features and m units, equal importance, features 0 with
probability S and else uniform on [0, 1]. Dimensions per feature: D* = m / ‖W‖². Prediction: (1 − S) + H_b(S)/H.
"""

from math import inf

import numpy as np
import torch

from polysemanticity import information
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders
from polysemanticity.claims import Claim, Estimate

DENSITIES = 1 / np.array([1, 1.5, 2, 3, 4, 5, 7, 10, 14, 20, 30, 50, 100])  # 1 - S
FITTED = slice(1, 10)  # of these: sparse at all, and predicted above m/n, where not all features are stored yet
PLATEAU = slice(2, 4)  # 1/(1 - S) of 2 and 3
FLOAT_BITS = 24.0  # what a float32 number drawn by torch.rand holds

_SOURCE = "Marshall & Kirchner 2024"
FIGURES = {
    "figx_dimensions_per_feature": "Dimensions per feature of trained toy models against sparsity: near the entropy "
    "curve with its element entropy fitted, far above the one with 24 bits, below the fit near one half "
    "and above it at the floor; beside it the misfit of each curve, and the share of the input's variance that the "
    "models lose.",
}
CLAIMS = {
    "CT-01": Claim(
        id="CT-01",
        claim="Superposition in toy models is near-optimal coding of sparse inputs: dimensions per feature follow "
        "(1 - S) + H_b(S)/H",
        source=f"{_SOURCE}, supplement 2.1, about Elhage et al. 2022",
        paper="the entropy curve goes through Elhage's points; which H was used is not known",
        rule={
            "log-rms, H fitted": (0.0, 0.15),
            "log-rms, H fitted, less that of the best other curve": (-inf, 0.0),
            "squared error ÷ variance of the input, least": (0.0, 0.05),
        },
        reason="Natural logarithm of D*, root mean square over 1/(1 - S) of 1.5 to 20: sparse, and predicted above "
        "m/n, below which a model has stored every feature and need not store more. 0.15 is about the spread of the "
        "points round a smooth curve that the plateau at one half makes. The other curves: H = 24 bits, constant "
        "½, and c k log(n/k) with c fitted. The entropy is that of a lossless code, so a model of it has to "
        "reproduce its input; 0.05 is generous. Not blind: the sheet's run with one seed gave .06 to .11, and a "
        "squared error of several tenths.",
        corrected={
            "log-rms, H fitted": (0.0, 0.15),
            "log-rms, H fitted, less that of the best other curve": (-inf, 0.0),
            "H fitted (bits)": (2.0, 12.0),
            "squared error ÷ variance of the input, least": (0.05, inf),
        },
        correction="the curve describes D* with one fitted number of a few bits, where the units' own precision, 24 "
        "bits, is far off; the codes are lossy, so it is a fit and not the lossless optimum",
    ),
}


def toy_models(*, seed, device, n_features, n_units, n_steps, batch_size, lr) -> dict:
    """Return D*, mean squared error over the input's variance and features stored of one toy model for each density.

    Stored: |W_i|² above ½. Batches are the same for all densities, but for which features are 0.
    """
    generator = streams.generator(seed, "toy models", device)
    density = torch.tensor(DENSITIES)
    importance = torch.ones(len(DENSITIES), n_features)
    weights, _, loss = autoencoders.train_autoencoders(
        "relu", density, importance, n_units, 1, generator, n_steps, batch_size, lr, n_test=4000
    )
    norms = (weights**2).sum(-2)[:, 0].double().cpu().numpy()
    variance = 1 / 3 - DENSITIES / 4  # of a feature, over the density, by which the loss is divided too
    return {
        "dimensions": n_units / norms.sum(1),
        "stored": (norms > 0.5).sum(1),
        "error": loss[:, 0].cpu().numpy() / n_features / variance,
    }


def fit_element_bits(dimensions: np.ndarray) -> np.ndarray:
    """Return the H in bits whose curve is nearest to D* [..., density] on FITTED, in log-rms; to 0.3 %.

    Searched on a grid from 0.5 to 64 bits.
    """
    logs = np.log(np.asarray(dimensions)[..., FITTED])
    squared = ((logs[..., None, :] - _LOG_CURVES) ** 2).mean(-1)
    return _ELEMENT_BITS[squared.argmin(-1)]


_ELEMENT_BITS = np.geomspace(0.5, 64, 1600)
_LOG_CURVES = np.log(information.dimensions_per_feature(1 - DENSITIES[FITTED], _ELEMENT_BITS[:, None]))


def log_rms(dimensions: np.ndarray, curve: np.ndarray) -> float:
    """Return the root mean square of ln(D* / curve) on FITTED."""
    return float(np.sqrt(np.mean(np.log(dimensions[FITTED] / curve[FITTED]) ** 2)))


def curves(dimensions: np.ndarray) -> dict[str, np.ndarray]:
    """Return every curve at DENSITIES for D* [density]: with H fitted, and the others of the rule.

    The number of measurements that compressed sensing needs is c k log(n/k); c is fitted on FITTED.
    """
    sparsity = 1 - DENSITIES
    sensing = DENSITIES * np.log(1 / DENSITIES)
    ratio = np.log(dimensions[FITTED] / sensing[FITTED]).mean()
    return {
        "H fitted": information.dimensions_per_feature(sparsity, fit_element_bits(dimensions)),
        "H = 24 bits": information.dimensions_per_feature(sparsity, FLOAT_BITS),
        "constant ½": np.full(len(DENSITIES), 0.5),
        "c k log(n/k)": np.exp(ratio) * sensing,
    }


def misfits(dimensions: np.ndarray) -> np.ndarray:
    """Return (H fitted, log-rms of each of `curves`, that of the first less the best other) for D* [model, density]."""
    mean = np.exp(np.log(dimensions).mean(0))
    rms = [log_rms(mean, curve) for curve in curves(mean).values()]
    return np.array([fit_element_bits(mean), *rms, rms[0] - min(rms[1:])])


def misfit_intervals(dimensions: np.ndarray, rng: np.random.Generator, n: int = 500) -> list[Estimate]:
    """Return `misfits` of D* [model, density] with 95 % bootstrap percentile intervals over the models."""
    draws = [misfits(dimensions[rng.integers(len(dimensions), size=len(dimensions))]) for _ in range(n)]
    value = misfits(dimensions)
    low, high = (
        np.minimum(np.quantile(draws, 0.025, axis=0), value),
        np.maximum(np.quantile(draws, 0.975, axis=0), value),
    )
    return [Estimate(*map(float, one)) for one in zip(value, low, high, strict=True)]
