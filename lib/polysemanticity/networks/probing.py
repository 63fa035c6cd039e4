"""Is what a layer shows more than rounding? A network's activity, with a floor under its variation.

A layer that hardly answers to its input still has a spectrum and a path: those of floating-point rounding. It is *dead*
where its variation is below FLOOR times the precision of its numbers, and then has no exponent and no roughness.
"""

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from polysemanticity.base.checks import check

FLOOR = 100  # units of the last place


def relative_variation(activity: Num[Tensor, "samples units"]) -> float:
    """Return the root of the mean squared deviation from the mean sample over that of the activity itself.

    0 for a layer that is the same for every sample (or all zero), near 1 for one without a mean.
    """
    check(activity.ndim == 2 and len(activity) >= 2, "activity", tuple(activity.shape), "[samples, units], 2 or more")
    wide = activity.double()
    mean = wide.mean(0)
    variance = float((wide - mean).square().mean())
    size = variance + float(mean.square().mean())
    return (variance / size) ** 0.5 if size > 0 else 0.0


def is_dead(activity: Num[Tensor, "samples units"]) -> bool:
    """Whether the variation of activity, in the precision that it was computed in, is rounding or nothing."""
    check(activity.dtype.is_floating_point, "activity", activity.dtype, "a floating-point type")
    return relative_variation(activity) < FLOOR * torch.finfo(activity.dtype).eps


def pixel_r2(output: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."], mean: Float[Tensor, "..."]) -> float:
    """Return the share of squared deviations from a mean image that a reconstruction explains: 1 for exact pixels."""
    check(output.shape == target.shape, "output", tuple(output.shape), tuple(target.shape))
    wide = target.double()
    return 1 - float((output.double() - wide).square().sum() / (wide - mean.double()).square().sum())


def principal_r2(learnt: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."], n_components: int) -> float:
    """Return the pixel R^2 of a reconstruction from the first principal components of other images."""
    seen, held = learnt.flatten(1).double(), target.flatten(1).double()
    mean = seen.mean(0)
    basis = principal_directions(seen - mean, n_components)
    return pixel_r2((held - mean) @ basis @ basis.T + mean, held, mean)


def principal_directions(centred: Float[Tensor, "n units"], n_directions: int) -> Float[Tensor, "units directions"]:
    """Return the first principal directions of rows without a mean, each of length 1, in float64 on their device.

    Of n rows there are at most n - 1 that mean anything: where there are fewer rows than units they come from the
    inner products of rows. Raises ValueError for more directions than rows or units.
    """
    rows, most = centred.double(), min(centred.shape)
    check(1 <= n_directions <= most, "n_directions", n_directions, f"1 to {most}")
    wide = len(rows) < rows.shape[1]
    square = rows @ rows.T if wide else rows.T @ rows
    # eigenvalue problems are the host's: a card is slower at them
    vectors = torch.linalg.eigh(square.cpu()).eigenvectors.to(rows.device)[:, -n_directions:].flip(1)
    return torch.nn.functional.normalize(rows.T @ vectors, dim=0) if wide else vectors


def mean_colour_r2(target: Float[Tensor, "n 3 size size"], mean: Float[Tensor, "..."]) -> float:
    """Return the pixel R^2 of each image in its own mean colour: the predictor that a network has to beat."""
    return pixel_r2(target.mean((2, 3), keepdim=True).expand_as(target), target, mean)


def effective_number(values: Num[np.ndarray, " n"], block: Num[np.ndarray, " n"]) -> float:
    """Return how many independent rows would tell the mean as well as these rows in dependent blocks do.

    The variance of the rows over the squared error of their mean, which is taken from the blocks (contexts,
    photographs): the sum over B blocks of their squared sums of deviations, times B / (B - 1), over n^2. At most n.
    """
    values, block = np.asarray(values, dtype=float), np.asarray(block)
    check(values.shape == block.shape and values.ndim == 1, "block", block.shape, "one block for each value")
    names, place = np.unique(block, return_inverse=True)
    check(len(names) >= 2, "block", len(names), "at least 2 different ones")
    deviation = values - values.mean()
    sums = np.bincount(place, deviation)
    squared_error = (sums**2).sum() * len(names) / (len(names) - 1) / len(values) ** 2
    return float(min(deviation.var() / squared_error, len(values))) if squared_error > 0 else float(len(values))
