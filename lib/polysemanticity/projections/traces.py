"""One-dimensional traces of activity over the tokens of a text, and how smooth they are.

Symbols: activity [context, T, m] of m units, a direction r of m weights, its trace y_t = a_t . r, steps dy_t =
y_{t+1} - y_t within a context, S the mean of da da^T over steps and C the covariance over tokens. A trace's energy is
r^T S r per step and its roughness r^T S r / (2 r^T C r): 1 for tokens in random order, near 0 for a smooth trace; one
minus the roughness is about the correlation of neighbours. Energy mixes smoothness with size: the direction of least
energy may be the smallest, not the smoothest.
"""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from polysemanticity.base.checks import check

FLAT = 1e-9  # of the largest variance, below which a direction is one of rounding


def step_scatter(activity: Float[np.ndarray, "context T m"]) -> Float[np.ndarray, "m m"]:
    """Return S, the mean of da da^T over all steps within contexts, in float64."""
    check(activity.shape[1] >= 2, "activity", activity.shape, "contexts of at least 2 tokens")
    steps = np.diff(activity, axis=1).reshape(-1, activity.shape[-1]).astype(float)
    return steps.T @ steps / len(steps)


def covariance(activity: Float[np.ndarray, "context T m"]) -> Float[np.ndarray, "m m"]:
    """Return C, the covariance of the activity over all tokens of all contexts (divided by n), in float64."""
    flat = activity.reshape(-1, activity.shape[-1]).astype(float)
    centred = flat - flat.mean(0)
    return centred.T @ centred / len(flat)


def quadratic(matrix: Float[np.ndarray, "m m"], directions: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " k"]:
    """Return r^T M r for every direction r, a column: the energy per step for S, the variance for C."""
    return ((matrix @ directions) * directions).sum(0)


def roughness(
    scatter: Float[np.ndarray, "m m"], covariance: Float[np.ndarray, "m m"], directions: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, " k"]:
    """Return r^T S r / (2 r^T C r) for every direction; raises ValueError for one whose trace does not vary."""
    variance = quadratic(covariance, directions)
    check(bool(np.all(variance > 0)), "directions", "one whose trace does not vary", "directions with some variance")
    return quadratic(scatter, directions) / (2 * variance)


def least_energy(
    scatter: Float[np.ndarray, "m m"], n_selected: int, n_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "m selected"]:
    """Return directions with entries of variance 1/m, each the one of least energy among `n_draws` random ones.

    The paper's procedure; one draw is no selection. The least of many is small on the text that chose it partly by
    chance: judge it on another.
    """
    check(n_selected >= 1, "n_selected", n_selected, "at least 1")
    check(n_draws >= 1, "n_draws", n_draws, "at least 1")
    m, kept = len(scatter), []
    for _ in range(n_selected):
        drawn = rng.standard_normal((m, n_draws)) / np.sqrt(m)
        kept.append(drawn[:, quadratic(scatter, drawn).argmin()])
    return np.stack(kept, axis=1)


def smoothest(
    scatter: Float[np.ndarray, "m m"], covariance: Float[np.ndarray, "m m"]
) -> tuple[float, Float[np.ndarray, " m"]]:
    """Return the least roughness of all directions, and the direction, of variance 1: S r = 2 rho C r.

    Directions whose variance is below FLAT of the largest, which rounding has left, take no part. The least is least
    on the text that S and C are of partly by chance: judge the direction on another. Raises ValueError for no variance.
    """
    variance, axes = linalg.eigh(covariance)
    check(variance[-1] > 0, "largest variance", float(variance[-1]), "above 0")
    kept = variance > FLAT * variance[-1]
    whitening = axes[:, kept] / np.sqrt(variance[kept])
    value, direction = linalg.eigh(whitening.T @ scatter @ whitening, subset_by_index=(0, 0))
    return float(value[0] / 2), whitening @ direction[:, 0]


def shuffled(
    activity: Float[np.ndarray, "context T m"], rng: np.random.Generator, keep_position: bool = False
) -> Float[np.ndarray, "context T m"]:
    """Return the activity with its tokens in random order, over all contexts and positions, or only over contexts.

    Variances stay what they are; every trace becomes rough, but for what the position itself makes smooth if
    `keep_position`.
    """
    contexts, length, m = activity.shape
    if not keep_position:
        return activity.reshape(-1, m)[rng.permutation(contexts * length)].reshape(activity.shape)
    order = np.argsort(rng.random((contexts, length)), axis=0)
    return np.take_along_axis(activity, order[..., None], axis=0)


def outlier_units(activity: Float[np.ndarray, "context T m"], factor: float | int) -> np.ndarray:
    """Return which units are outliers [m]: root mean square above `factor` times the median unit's."""
    size = np.sqrt((activity.reshape(-1, activity.shape[-1]).astype(float) ** 2).mean(0))
    return size > factor * np.median(size)
