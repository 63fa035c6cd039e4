"""Pairs of features that point the same or the opposite way more than chance allows, without N^2 memory.

The squared cosine of two random directions in D dimensions follows the law Beta(1/2, (D - 1)/2) exactly. With it the
cosine above which not one of all N(N - 1)/2 pairs lies, but for a stated probability, is known whatever N and D are.
"""

import time
from typing import NamedTuple

import numpy as np
import scipy
import torch
from jaxtyping import Float
from scipy import sparse

from polysemanticity.base.checks import check

TILE = 4096  # features on either side of a tile of the Gram matrix
PART = 2**24  # numbers of pairs of features that are looked at again together
EDGES = 2**22  # pairs that are held before they are reduced to a forest of their components
WIDE = 20_000  # features from which the search may run in bfloat16, if that is faster
MARGINS = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 6e-3}  # beyond what rounding does to a cosine


class Pairs(NamedTuple):
    """What lies above a cosine: the number of pairs; of each feature its block (-1 outside all), number and closest.

    block: numbered from the largest, ties by the first feature; cosine: with the closest partner, signed, NaN without.
    """

    number: int
    block: np.ndarray
    degree: np.ndarray
    partner: np.ndarray
    cosine: np.ndarray


def calibrated_cosine(n_features: int, n_dims: int, level: float) -> float:
    """Return the cosine that any of N random directions' pairs exceeds with a probability of at most `level`."""
    check(n_features >= 2, "n_features", n_features, "at least 2")
    check(n_dims >= 2, "n_dims", n_dims, "at least 2, as all cosines are 1 in one dimension")
    check(0 < level < 1, "level", level, "in (0, 1)")
    return float(np.sqrt(scipy.stats.beta.isf(level / (n_features * (n_features - 1) / 2), 0.5, (n_dims - 1) / 2)))


def above(units: Float[torch.Tensor, "features dims"], cosine: float) -> Pairs:
    """Return the pairs of unit vectors whose |cosine| is above a threshold, and the blocks that they connect.

    Works through tiles of the upper half of the Gram matrix. Where bfloat16 is faster it screens the pairs, with a
    margin above the largest possible rounding error; each pair found is computed again in float64. Cost: N^2 D
    multiplications, O(N D) memory.
    """
    check(0 < cosine < 1, "cosine", cosine, "in (0, 1)")
    n = len(units)
    screen = _screen(units)
    threshold = cosine - MARGINS[screen.dtype]
    found, step = _Found(n), max(1, PART // units.shape[1])
    for first in range(0, n, TILE):
        for second in range(first, n, TILE):
            i, j = _candidates(screen[first : first + TILE], screen[second : second + TILE], threshold)
            i, j = i + first, j + second
            i, j = i[i < j], j[i < j]
            for start in range(0, len(i), step):
                found.add(*_exact(units, i[start : start + step], j[start : start + step], cosine))
    return found.pairs()


def _screen(units: torch.Tensor) -> torch.Tensor:
    """The vectors in the type in which tiles of them are multiplied fastest."""
    if len(units) < WIDE or units.dtype == torch.float64:
        return units
    half = units.bfloat16()
    seconds = []
    for rows in (units[:TILE], half[:TILE]):
        rows[:256] @ rows.T  # the first product of a type sets it up
        start = time.perf_counter()
        rows[:1024] @ rows.T
        seconds.append(time.perf_counter() - start)
    return half if seconds[1] < seconds[0] else units


def _candidates(left: torch.Tensor, right: torch.Tensor, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
    product = (left @ right.T).abs_()
    rows = torch.nonzero(product.amax(1) > threshold).squeeze(1)
    i, j = torch.nonzero(product[rows] > threshold, as_tuple=True)
    return rows[i], j


def _exact(units, i, j, cosine):
    value = (units[i].double() * units[j].double()).sum(1)
    kept = value.abs() > cosine
    return i[kept].numpy(), j[kept].numpy(), value[kept].numpy()


class _Found:
    """Counts and closest partners of what was found so far, and a forest of its components."""

    def __init__(self, n: int):
        self.n, self.number = n, 0
        self.degree, self.partner, self.cosine = np.zeros(n, int), np.full(n, -1), np.full(n, np.nan)
        self.held, self.n_held = [], 0

    def add(self, i: np.ndarray, j: np.ndarray, cosine: np.ndarray) -> None:
        self.number += len(i)
        for here, there in ((i, j), (j, i)):
            np.add.at(self.degree, here, 1)
            order = np.lexsort((-np.abs(cosine), here))
            best = order[np.unique(here[order], return_index=True)[1]]
            closer = ~(np.abs(cosine[best]) <= np.abs(self.cosine[here[best]]))
            best = best[closer]
            self.partner[here[best]], self.cosine[here[best]] = there[best], cosine[best]
        self.held.append((i, j))
        self.n_held += len(i)
        if self.n_held > EDGES:
            label = self._label()
            _, root = np.unique(label, return_index=True)
            self.held, self.n_held = [(np.arange(self.n), root[label])], self.n

    def _label(self) -> np.ndarray:
        i, j = (np.concatenate(side) for side in zip(*self.held, strict=True)) if self.held else (np.empty(0, int),) * 2
        graph = sparse.coo_matrix((np.ones(len(i), bool), (i, j)), shape=(self.n, self.n))
        return sparse.csgraph.connected_components(graph, directed=False)[1]

    def pairs(self) -> Pairs:
        label = self._label()
        names, first, size = np.unique(label, return_index=True, return_counts=True)
        place = np.empty(len(names), int)
        order = np.lexsort((first, -size))
        place[order] = np.arange(len(names))
        block = np.where(size[label] > 1, place[label], -1)
        return Pairs(self.number, block, self.degree, self.partner, self.cosine)
