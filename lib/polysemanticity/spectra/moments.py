"""Spectral moments without bias, and the power law that has them: an exponent from few samples, with no fit window.

Symbols: n samples, m units, population eigenvalues lambda_i; the k-th moment is the sum of lambda_i^k. A sample's own
moments are too large, because a sample takes part twice in the products they consist of. Kong and Valiant (2017) sum
only over cycles of k different samples; the expectation of

    <x_1, x_2> <x_2, x_3> ... <x_k, x_1>

is the k-th moment whatever n and m are. Four moments and two unknowns, scale and exponent, leave two numbers that tell
whether a power law over all ranks fits at all.

What the moments do not see: the k-th weighs each eigenvalue by its k-th power, so they know the head of the spectrum
and its sum. The tail's shape leaves no trace in them, and a few huge components drown everything else.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
import torch
from jaxtyping import Float, Num

from polysemanticity.spectra import covariance

ORDERS = 4
STEEPEST = 6.0  # beyond it the first eigenvalue is all there is, for any moment
NODE = 0.25  # spacing of the exponents at which the moments' scatter is simulated


class MomentLaw(NamedTuple):
    """The power law over all m ranks with these moments; misfit: chi-square of the moments with 2 degrees of freedom.

    stderr and interval (95 %) are the sampling error of Gaussian data with that law.
    """

    exponent: float
    stderr: float
    interval: tuple[float, float]
    misfit: float
    moments: Float[np.ndarray, " orders"]


def spectral_moments(samples: Num[np.ndarray | torch.Tensor, "samples units"]) -> Float[np.ndarray, " orders"]:
    """Return unbiased estimates of the sums of lambda_i, lambda_i^2, lambda_i^3 and lambda_i^4.

    Kong and Valiant (2017) average over increasing cycles of samples; here it is all cycles of different samples, which
    has the same expectation and less variance. The unknown mean is rotated away: the n samples become n - 1 of mean
    zero, independent if they are Gaussian. Cost: the n x n Gram matrix and its square. Raises ValueError for fewer than
    5 samples, NaN or infinity.
    """
    if len(samples) <= ORDERS:
        raise ValueError(f"samples: shape {tuple(samples.shape)}: allowed is more than {ORDERS} samples")
    gram = covariance.centred_gram([torch.as_tensor(samples)])
    return _cycle_moments(_without_mean(gram))


def _without_mean(gram: torch.Tensor) -> torch.Tensor:
    """The Gram matrix [n - 1, n - 1] of the centred samples in an orthonormal basis of what centring leaves.

    A reflection takes the direction of the mean to the first axis: Q = 1 - u u^T / (1 + 1/sqrt n), u = e_1 + 1/sqrt n.
    """
    n = len(gram)
    u = torch.full((n,), n**-0.5, dtype=gram.dtype, device=gram.device)
    u[0] += 1
    u /= (1 + n**-0.5) ** 0.5
    across = gram @ u
    turned = gram - torch.outer(u, across) - torch.outer(across, u) + (u @ across) * torch.outer(u, u)
    return turned[1:, 1:]


def _cycle_moments(gram: torch.Tensor) -> Float[np.ndarray, " orders"]:
    """Means over cycles of different samples; for four, closed walks that come back to a sample are subtracted."""
    n = len(gram)
    apart = gram - torch.diag(gram.diagonal())
    twice = apart @ apart
    squares = (apart**2).sum(1)
    sums = (
        gram.trace(),
        squares.sum(),
        (twice * apart).sum(),
        (twice**2).sum() - 2 * (squares**2).sum() + (apart**4).sum(),
    )
    cycles = np.cumprod(n - np.arange(ORDERS, dtype=float))
    return np.array([float(total) for total in sums]) / cycles


def fit_moments(
    samples: Num[np.ndarray | torch.Tensor, "samples units"], seed: int = 0, *, simulations: int = 100
) -> MomentLaw:
    """Return the exponent of the power law over all m ranks whose moments are nearest to the samples' unbiased ones.

    Nearest in the metric of the logarithms' scatter, which `simulations` Gaussian data sets of the same (n, m) show at
    the exponents around (kept for later calls; `seed` chooses them). The scale is fitted with the exponent. It needs
    neither n > m nor a window, but assumes one law from rank 1 to m: see `MomentLaw.misfit` before believing it (above
    6 in one case of twenty), and the module's text for what moments cannot see. Cost: `simulations` times that of
    `spectral_moments`, twice. Raises ValueError for moments that are not positive (too few samples for how flat the
    spectrum is) or that no exponent between 0 and 6 has.
    """
    n, m = samples.shape
    if simulations < 10:
        raise ValueError(f"simulations = {simulations!r}: allowed is at least 10")
    moments = spectral_moments(samples)
    if not np.all(moments > 0):
        raise ValueError(f"samples: moments {moments}: allowed is positive; {n} samples of {m} units are too few")
    measured = np.log(moments)
    start = _from_two(measured, m)
    offset, scatter = _scatter_at(start, n, m, simulations, seed)
    metric = np.linalg.inv(scatter)
    exponents = np.linspace(max(0.0, start - 1), min(STEEPEST, start + 1), 2001)
    residuals = measured - offset - log_moments(exponents, m)
    scale = np.arange(1, ORDERS + 1)
    free = metric - np.outer(metric @ scale, metric @ scale) / (scale @ metric @ scale)
    costs = np.einsum("ek,kl,el->e", residuals, free, residuals)
    best = int(costs.argmin())
    slope = np.gradient(log_moments(exponents, m), exponents, axis=0)[best]
    stderr = float((slope @ free @ slope) ** -0.5)
    value = float(exponents[best])
    return MomentLaw(
        value, stderr, (max(0.0, value - 1.96 * stderr), value + 1.96 * stderr), float(costs[best]), moments
    )


def log_moments(exponents: Float[np.ndarray, " exponents"], n_units: int) -> Float[np.ndarray, "exponents orders"]:
    """Return the logarithms of the sums of i^(-k exponent) over i = 1..n_units, for k = 1..4."""
    log_ranks = np.log(np.arange(1, n_units + 1))
    powers = np.outer(np.ravel(exponents), np.arange(1, ORDERS + 1))
    sums = [np.exp(-power * log_ranks).sum() for power in powers.ravel()]
    return np.log(sums).reshape(powers.shape)


def _from_two(measured: Float[np.ndarray, " orders"], m: int) -> float:
    """The exponent that has the first two moments."""

    def excess(exponent: float) -> float:
        first, second = log_moments(np.array([exponent]), m)[0, :2]
        return (second - 2 * first) - (measured[1] - 2 * measured[0])

    if excess(0.0) >= 0:
        return 0.0
    if excess(STEEPEST) <= 0:
        raise ValueError(
            f"samples: moments {np.exp(measured)}: allowed are those of an exponent from 0 to {STEEPEST:g}"
        )
    return scipy.optimize.brentq(excess, 0.0, STEEPEST)


def _scatter_at(exponent: float, *setting):
    """Mean error and covariance of the log moments, between the two nodes around the exponent."""
    below = int(exponent / NODE)
    low, high = (_scatter(node * NODE, *setting) for node in (below, below + 1))
    share = exponent / NODE - below
    return tuple((1 - share) * a + share * b for a, b in zip(low, high, strict=True))


@lru_cache(maxsize=256)
def _scatter(exponent: float, n: int, m: int, simulations: int, seed: int):
    """Mean error of the log moments of Gaussian power-law data, and their covariance."""
    rng = np.random.default_rng((seed, round(exponent / NODE)))
    deviations = np.arange(1, m + 1) ** (-exponent / 2)
    draws = (rng.standard_normal((n, m)) * deviations for _ in range(simulations))
    found = np.array([spectral_moments(draw) for draw in draws])
    logs = np.log(np.where(found > 0, found, np.nan))
    logs = logs[np.isfinite(logs).all(1)]
    if len(logs) < max(10, simulations // 2):
        raise ValueError(f"samples: shape {(n, m)}: allowed is more samples, for moments that are positive")
    offset = logs.mean(0) - log_moments(np.array([exponent]), m)[0]
    widened = (len(logs) - 1) / (len(logs) - ORDERS - 2)  # its inverse is unbiased (Hartlap et al. 2007)
    return offset, widened * np.cov(logs.T)
