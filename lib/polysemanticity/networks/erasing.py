"""What a layer tells of its input, and how much of it is left when some of its units are erased."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity import spectra
from polysemanticity.base.checks import check
from polysemanticity.networks import probing

SHARE = 0.5  # of the units, that are erased
UNITS = 128  # of a layer that take part: width alone makes a layer robust
TOLD = 16  # principal components of the input that are read off
DRAWS = 8  # random choices of units and of those erased
RANKS = (3, 32)  # that the exponent of the units is fitted to


def components(images: Float[Tensor, "n ..."]) -> Float[np.ndarray, "n components"]:
    """Return the first TOLD principal components of images, each of variance 1, found and scaled on every other one."""
    flat = images.flatten(1).double()
    centred = flat - flat[::2].mean(0)
    scores = (centred @ probing.principal_directions(centred[::2], TOLD)).cpu().numpy()
    return scores / scores[::2].std(0)


def survival(
    activity: Float[Tensor, "n units"],
    target: Float[np.ndarray, "n components"],
    rng: np.random.Generator,
    units: int = UNITS,
) -> dict[str, float]:
    """Return what `units` random units tell of images, and the share of it that survives when half of them are erased.

    target: the `components` of the images. They are read off by ridge regression, fitted on every other row and judged
    on the rest. `told`: held-out R^2 from all these units. `survives`: that of a
    reader fitted to the units that are left, which knows what is gone, ÷ told. `survives_unaware`: that of the reader
    of all units, with those that are gone at their mean, ÷ told. `kept_exponent` and `kept_rank`: the exponent of the
    units' spectrum on ranks 3 to 32, as fitted (NaN below 128 units), and its effective rank. Means over DRAWS; all are
    NaN for a dead layer.
    Raises ValueError for fewer than `units` units or rows.
    """
    names = ("told", "survives", "survives_unaware", "kept_exponent", "kept_rank")
    check(activity.shape[1] >= units, "units of the layer", activity.shape[1], f"at least {units}")
    check(
        len(activity) == len(target) >= units, "rows", (len(activity), len(target)), f"as many images, {units} or more"
    )
    if probing.is_dead(activity):
        return dict.fromkeys(names, np.nan)
    return dict(zip(names, np.mean([_one(activity, target, units, rng) for _ in range(DRAWS)], 0), strict=True))


def _one(activity: Tensor, target: np.ndarray, units: int, rng: np.random.Generator) -> tuple[float, ...]:
    chosen = rng.choice(activity.shape[1], units, replace=False)
    x = activity[:, torch.from_numpy(chosen).to(activity.device)].double().cpu()
    spectrum = spectra.covariance_spectrum(x)
    x = (x - x[::2].mean(0)).numpy()
    left = rng.permutation(units) >= SHARE * units
    whole, rest = _reader(x[::2], target[::2]), _reader(x[::2][:, left], target[::2])
    seen = (x[1::2] @ whole, x[1::2][:, left] @ rest, (x[1::2] * left) @ whole)
    told, aware, unaware = (_held_out_r2(read, target[1::2]) for read in seen)
    enough = units >= 4 * RANKS[1]  # with fewer units the tail of the spectrum would be fitted
    exponent = spectra.fit_power_law(spectrum, *RANKS).exponent if enough else np.nan
    return told, aware / told, unaware / told, exponent, spectra.effective_rank(spectrum)


def _reader(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ridge regression of rows without a mean, as strong as is best for each row when it is left out (Allen 1974).

    Least squares alone would fit the noise of units that say the same, and read more off fewer units. Generalised
    cross-validation, which takes all rows to have the same weight in the fit, is far too weak where units are active
    for few rows.
    """
    values, vectors = np.linalg.eigh(x.T @ x)
    values, told, scores = values.clip(min=0), vectors.T @ (x.T @ y), x @ vectors
    strengths = values.mean() * 10.0 ** np.arange(-8.0, 2.0)
    fits = [told / (values + strength)[:, None] for strength in strengths]
    own = [(scores**2 / (values + strength)).sum(1) for strength in strengths]  # a row's weight in its own prediction
    errors = [
        (((y - scores @ fit) / (1 - weight).clip(min=1e-9)[:, None]) ** 2).sum()
        for fit, weight in zip(fits, own, strict=True)
    ]
    return vectors @ fits[int(np.argmin(errors))]


def _held_out_r2(read: np.ndarray, target: np.ndarray) -> float:
    return float(1 - ((read - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum())
