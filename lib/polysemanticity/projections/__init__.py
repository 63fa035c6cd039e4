"""Random projections of activity along a path of stimuli, and how smooth the projected path is.

Symbols: T points z_t in d dimensions, steps dz_t = z_{t+1} - z_t, dt the time (or angle) between points. Three
quantities that the coding-theory paper calls by one name are kept apart: the energy sum |dz|^2, the action sum |dz|^2
/ (2 dt), and the scale-free roughness. For a code with spectrum i^-a on a circle, T points per turn, energy grows as
T^(2-a) and action as T^(3-a) while these powers are positive and settles otherwise; so the paper's "smooth" means a >
2 or a > 3 there, not a > 1.
"""

import numpy as np
import torch
from jaxtyping import Float, Num

from polysemanticity.base import arrays
from polysemanticity.base.checks import check


def random_projection(n_units: int, n_dims: int, rng: np.random.Generator) -> Float[np.ndarray, "units dims"]:
    """Return a matrix [units, dims] of independent normals of variance 1/n_units; points are `activity @ matrix`.

    The paper's scaling (supplement 2.5): the projected variance is then the mean variance of a unit, per dimension.
    """
    for name, value in (("n_units", n_units), ("n_dims", n_dims)):
        check(isinstance(value, int | np.integer) and value >= 1, name, value, "an integer of at least 1")
    return rng.standard_normal((n_units, n_dims)) / np.sqrt(n_units)


def path_energy(
    points: Num[np.ndarray | torch.Tensor, "..."], closed: bool = False
) -> Float[np.ndarray, "*batch"] | float:
    """Return sum_t |z_{t+1} - z_t|^2 of paths [..., T, d] (what the supplement's code is said to compute).

    closed: count the step from the last point back to the first. Squared units of `points`.
    """
    points = _paths(points)
    ends = points[..., :1, :] if closed else points[..., :0, :]
    steps = np.diff(np.concatenate([points, ends], axis=-2), axis=-2)
    return (steps**2).sum((-2, -1))


def action(
    points: Num[np.ndarray | torch.Tensor, "..."], dt: float, closed: bool = False
) -> Float[np.ndarray, "*batch"] | float:
    """Return sum_t |z_{t+1} - z_t|^2 / (2 dt), the discrete action of a free particle, of paths [..., T, d]."""
    check(bool(np.isfinite(dt) and dt > 0), "dt", dt, "a finite number above 0")
    return path_energy(points, closed) / (2 * dt)


def roughness(
    points: Num[np.ndarray | torch.Tensor, "..."], closed: bool = False
) -> Float[np.ndarray, "*batch"] | float:
    """Return the mean squared step over twice the variance of the points, of paths [..., T, d].

    Free of scale: 1 on average for independent points (the roughest stationary path), 2 for a path that only flips
    sign, and about 2 (pi k / T)^2 for k even turns of a circle. Raises ValueError for a path that never moves.
    """
    points = _paths(points)
    variance = points.var(-2).sum(-1)
    check(bool(np.all(variance > 0)), "points", "a path that never moves", "at least two different points")
    steps = points.shape[-2] - (0 if closed else 1)
    return path_energy(points, closed) / (2 * steps * variance)


def circle_r2(
    points: Num[np.ndarray | torch.Tensor, "..."], angles: Num[np.ndarray, "..."]
) -> Float[np.ndarray, "*batch"] | float:
    """Return how much of (cos angle, sin angle) a linear map of the points explains: R^2 of least squares, centred.

    points [..., T, d], angles [T] in radians; the two targets are pooled. With d fitted directions chance is d/(T - 1).
    """
    points, angles = _paths(points), np.asarray(angles, dtype=float)
    check(
        angles.shape == points.shape[-2:-1] and bool(np.all(np.isfinite(angles))),
        "angles",
        angles.shape,
        f"{points.shape[-2:-1]} finite numbers, one per point",
    )
    targets = np.stack([np.cos(angles), np.sin(angles)], -1)
    targets = targets - targets.mean(0)
    check(bool((targets**2).sum() > 1e-12), "angles", "all equal", "at least two different angles")
    centred = points - points.mean(-2, keepdims=True)
    basis, singular, _ = np.linalg.svd(centred, full_matrices=False)
    kept = singular > singular[..., :1] * 1e-10
    explained = ((basis.swapaxes(-1, -2) @ targets) ** 2 * kept[..., None]).sum((-2, -1))
    return explained / (targets**2).sum()


def _paths(points) -> np.ndarray:
    points = arrays.numpy(points, "points").astype(float, copy=False)
    shape_fits = points.ndim >= 2 and points.shape[-2] >= 2 and points.shape[-1] >= 1
    check(shape_fits, "points", points.shape, "a shape [..., T, d] with T at least 2 and d at least 1")
    check(bool(np.all(np.isfinite(points))), "points", "NaN or infinite values", "finite numbers")
    return points
