"""Statistics of ranks: correlations of order, and neighbours out of order."""

import numpy as np
import scipy
from jaxtyping import Integer, Num


def rank_correlation(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], given: Num[np.ndarray, " n"] | None = None
) -> float:
    """Spearman's rank correlation; with `given`, the partial one: of what is left of both ranks after its ranks."""
    x, y = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    r = np.corrcoef(x, y)[0, 1]
    if given is None:
        return float(r)
    rx, ry = (np.corrcoef(side, scipy.stats.rankdata(given))[0, 1] for side in (x, y))
    return float((r - rx * ry) / np.sqrt((1 - rx**2) * (1 - ry**2)))


def out_of_order(
    c: Num[np.ndarray, "*ensemble features"], importance: Num[np.ndarray, " features"], tolerance: float = 1e-6
) -> Integer[np.ndarray, "*ensemble"] | np.integer:
    """Number of neighbours, sorted by falling importance, where the less important feature has the larger capacity."""
    order = np.argsort(-importance, kind="stable")
    tied = np.diff(importance[order]) == 0
    return ((np.diff(c[..., order], axis=-1) > tolerance) & ~tied).sum(-1)
