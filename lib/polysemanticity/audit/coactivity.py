r"""Do features that are active together keep out of each other's way? Overlap against co-activity, over all pairs.

Symbols: unit directions u_i, b_ij = (u_i . u_j)^2, a_ij how often features i and j are active together, its mean over
pairs a. In random directions the b_ij have one law, Beta(1/2, (D - 1)/2), and no two are correlated, so that

$$T=\sum_{i<j}(a_{ij}-a)\,b_{ij}$$

has mean zero and variance $\mathrm{var}\,b\sum(a_{ij}-a)^2$ whatever the a_ij are; its skewness is taken as that of
independent b_ij, and its law as a gamma law with these three moments, or as the normal law where that says less. With a
few pairs only, overlap below chance is hardly ever told. T below zero: features that are seen together overlap less
than others. (Ours.)
"""

from typing import NamedTuple

import numpy as np
import scipy
import torch
from scipy import sparse, special

from polysemanticity.audit import sources
from polysemanticity.base.checks import check

ROWS = 200_000  # pairs that are worked on at a time


class Coactive(NamedTuple):
    """Overlap of features that are active together: z of T, the mean overlap, weighted by co-activity, times D (1 by
    chance), the same of each feature (NaN without co-activity), and the number of pairs with any."""

    z: float
    overlap: float
    by_feature: np.ndarray
    n_pairs: int


def overlap(units: torch.Tensor, coactivity, used: np.ndarray) -> Coactive:
    """Return how the overlap of unit vectors [feature, dimension] goes with co-activity [feature, feature].

    coactivity: rates, counts or anything not negative, symmetric; dense or sparse (scipy, torch), the diagonal is left
    out. used: features that take part. Raises ValueError for another shape, negative or asymmetric numbers, and for
    co-activity that is the same for all pairs. Cost: D for each pair that is not zero; O(N D) memory.
    """
    n, dims = units.shape
    i, j, a = _pairs(coactivity, n, used)
    b = np.concatenate(
        [
            (units[i[k : k + ROWS]].double() * units[j[k : k + ROWS]].double()).sum(1).square().numpy()
            for k in range(0, len(i), ROWS)
        ]
        or [np.empty(0)]
    )
    members = int(used.sum())
    pairs = members * (members - 1) / 2
    mean = a.sum() / pairs
    kept = units[torch.from_numpy(used)]
    gram = sum(part.double().T @ part.double() for part in kept.split(ROWS // 8))
    total = (float(gram.square().sum()) - members) / 2  # of b over all pairs
    rest = pairs - len(a)  # pairs without any co-activity
    moments = [((a - mean) ** k).sum() + rest * (-mean) ** k for k in (2, 3)]
    check(moments[0] > 1e-20 * (a**2).sum() and a.sum() > 0, "coactivity", "the same for all pairs", "some that differ")
    variance, skewness = (float(scipy.stats.beta(0.5, (dims - 1) / 2).stats(name)) for name in "vs")
    deviation = (float(a @ b) - mean * total) / np.sqrt(variance * moments[0])
    weight, shared = (np.bincount(i, values, n) + np.bincount(j, values, n) for values in (a, a * b))
    with np.errstate(invalid="ignore", divide="ignore"):
        by_feature = dims * shared / weight
    z = _normal(deviation, skewness * moments[1] / moments[0] ** 1.5)
    return Coactive(z, dims * float(a @ b) / float(a.sum()), by_feature, len(a))


def _normal(deviation: float, skewness: float) -> float:
    """The normal deviate of a deviation whose law is a gamma law of this skewness; the deviation, if that is less."""
    law, below = scipy.stats.pearson3(skewness), deviation < 0
    tail = law.cdf(deviation) if below else law.sf(deviation)
    size = min(-special.ndtri(max(float(tail), 1e-300)), abs(deviation))
    return float(-size if below else size)


def _pairs(coactivity, n: int, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j of features in use that have some co-activity, and how much."""
    if isinstance(coactivity, torch.Tensor) and coactivity.layout != torch.strided:
        found = coactivity.detach().cpu().coalesce() if coactivity.is_sparse else coactivity.detach().cpu().to_sparse()
        found = found.coalesce()
        matrix = sparse.coo_array((found.values().double().numpy(), tuple(found.indices().numpy())), tuple(found.shape))
    elif sparse.issparse(coactivity):
        matrix = sparse.coo_array(coactivity)
    else:
        matrix = sparse.coo_array(sources.matrix(coactivity, "coactivity", "[feature, feature]").double().numpy())
    check(matrix.shape == (n, n), "shape of coactivity", tuple(matrix.shape), f"({n}, {n}), a pair of features each")
    matrix = matrix.tocsr().astype(float)
    fits = bool(np.isfinite(matrix.data).all() and (matrix.data >= 0).all())
    check(fits, "coactivity", "negative, NaN or infinite numbers", "finite ones of at least 0")
    off = abs(matrix - matrix.T).max()
    check(off <= 1e-6 * max(matrix.max(), 1e-300), "coactivity", "an asymmetric matrix", "a symmetric one")
    upper = sparse.triu(matrix, 1).tocoo()
    kept = used[upper.row] & used[upper.col] & (upper.data > 0)
    return upper.row[kept], upper.col[kept], upper.data[kept]
