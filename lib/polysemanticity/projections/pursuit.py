"""Few of many traces that tell a feature: chosen and fitted on one text, judged on another.

Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993): of a pool of traces [row, candidate], each step
takes the one that correlates most with what is left of the target after least squares on those taken before. The same
number of steps in two pools is a fair comparison of them. All columns must be centred.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from polysemanticity.base.checks import check

LEFT = 1e-3  # of a candidate's length that must be new beside those taken


class Reading(NamedTuple):
    """For every target: the traces taken [row, step], and how much of it they explain where they were chosen."""

    taken: tuple[Float[np.ndarray, "rows steps"], ...]
    places: tuple[tuple[int, ...], ...]
    r2: Float[np.ndarray, " targets"]


def pursue(
    pool: Num[np.ndarray, "rows candidates"],
    targets: Float[np.ndarray, "rows targets"],
    n_steps: int,
    before: Sequence[Float[np.ndarray, "rows taken"]] | None = None,
) -> Reading:
    """Return for each target the `n_steps` traces of the pool that tell most of it beside `before`, taken one by one.

    before: traces for each target that are there already. Candidates that do not vary are never taken. Raises
    ValueError where the pool has fewer candidates than steps.
    """
    size = np.sqrt((pool.astype(float) ** 2).sum(0))
    check(1 <= n_steps <= int((size > 0).sum()), "n_steps", n_steps, f"1 to {(size > 0).sum()}, the pool's candidates")
    scale = np.divide(1, size, out=np.zeros_like(size), where=size > 0)
    bases = (
        [np.linalg.qr(columns)[0] for columns in before] if before else [np.zeros((len(pool), 0))] * targets.shape[1]
    )
    left = np.stack([_beside(basis, target) for basis, target in zip(bases, targets.T, strict=True)], axis=1)
    places: list[list[int]] = [[] for _ in bases]
    for _ in range(n_steps):
        match = np.abs(pool.T @ left.astype(pool.dtype)) * scale[:, None]
        for k, order in enumerate(np.argsort(-match, axis=0).T):
            place, direction = _next(pool, size, order, places[k], bases[k])
            places[k].append(place)
            bases[k] = np.column_stack([bases[k], direction])
            left[:, k] = _beside(direction[:, None], left[:, k])
    taken = tuple(pool[:, chosen].astype(float) for chosen in places)
    return Reading(taken, tuple(map(tuple, places)), 1 - (left**2).sum(0) / (targets**2).sum(0))


def _next(pool, size, order, places, basis) -> tuple[int, np.ndarray]:
    """The best candidate that is not yet told by those taken, and its new direction; zero where none is left."""
    for place in order:
        if place not in places and size[place] > 0:
            rest = _beside(basis, _beside(basis, pool[:, place].astype(float)))
            length = np.linalg.norm(rest)
            if length > LEFT * size[place]:
                return int(place), rest / length
    return int(order[0]), np.zeros(len(pool))


def _beside(basis: np.ndarray, column: np.ndarray) -> np.ndarray:
    return column - basis @ (basis.T @ column)


def held_out_errors(
    fitted: Float[np.ndarray, "rows taken"],
    target: Float[np.ndarray, " rows"],
    held: Float[np.ndarray, "others taken"],
    held_target: Float[np.ndarray, " others"],
) -> Float[np.ndarray, " others"]:
    """Return the squared error of each held-out row after least squares on the rows that were fitted."""
    coefficients = np.linalg.lstsq(fitted, target, rcond=None)[0]
    return (held_target - held @ coefficients) ** 2
