"""Spectra of activity that is noisy on purpose: cross-validated PCA with two dropout masks.

Dropout that is left on while a network is probed adds variance: Cov = Sigma + D/(1-D) diag(E[A^2]) for a layer whose
own units are dropped at the rate D and rescaled. That is a floor under the spectrum, and a fit reads a flatter law. Two
passes of the same images with independent masks share the signal and nothing else (Stringer et al. 2019 did this with
two presentations of a stimulus): the covariance *between* the passes along the components of one of them has no floor.
"""

import numpy as np
import torch
from jaxtyping import Float, Num

from polysemanticity.spectra.covariance import CovarianceSums


def cross_validated_variances(
    first: Num[np.ndarray | torch.Tensor, "samples units"], second: Num[np.ndarray | torch.Tensor, "_ _"]
) -> Float[np.ndarray, " units"]:
    """Return the variance that two passes share along the principal components of one, in the components' order.

    first, second: the same images in the same order with independent masks. Components of the first pass measure the
    covariance of both and the other way round; the mean of the two is returned (Stringer et al. also swap passes image
    by image at random, which changes nothing on average). Divided by n. Values are neither sorted nor positive: where
    the noise drowns the signal they scatter around zero. Exact in the mean for a fixed direction; the components
    themselves are those of noisy data, so with much noise the slope is flatter than the signal's: good to D = 0.4 or
    so. For a network in eval mode it is plain PCA. Memory O(m^2). Raises ValueError for differing shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"second: shape {tuple(second.shape)}: allowed is {tuple(first.shape)}, as `first`")
    units = first.shape[1]
    joined = torch.cat([torch.as_tensor(first), torch.as_tensor(second)], dim=1)
    sums = CovarianceSums.of(joined)
    if sums.count < 2:
        raise ValueError(f"first: shape {tuple(first.shape)}: allowed is at least 2 samples")
    covariance = sums.scatter / sums.count
    between = covariance[:units, units:]
    along = [_along(block, between) for block in (covariance[:units, :units], covariance[units:, units:])]
    return np.mean(along, axis=0)


def _along(covariance: torch.Tensor, between: torch.Tensor) -> np.ndarray:
    components = torch.linalg.eigh(covariance.cpu()).eigenvectors.flip(1)
    return ((between.cpu() @ components) * components).sum(0).numpy()


def dropped(
    activity: Float[np.ndarray, "samples units"], rate: float, rng: np.random.Generator
) -> Float[np.ndarray, "samples units"]:
    """Return the activity with each entry set to 0 at the given rate and the rest divided by 1 - rate."""
    if not 0 <= rate < 1:
        raise ValueError(f"rate = {rate!r}: allowed is at least 0 and below 1")
    return activity * (rng.random(activity.shape) >= rate) / (1 - rate)
