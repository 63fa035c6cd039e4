"""The eigenspectrum's exponent at every depth of a network, with an error that knows about dependent rows.

Tokens of one document resemble each other, so that rows are fewer than they look. Whole groups of rows (documents) are
therefore left out in turn: the jackknife by block (Quenouille 1956, Tukey 1958; for dependent data Künsch 1989).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

from polysemanticity.base.checks import check
from polysemanticity.networks.hooks import Activity
from polysemanticity.spectra import covariance, power_law


class LayerExponent(NamedTuple):
    """A layer's exponent on the ranks first..last, with the standard error and 95 % interval of the block jackknife.

    `fitted` is the slope that the sample shows, `corrected` the population's that would show it in as many independent
    Gaussian rows; `r2` is the fit's. `n_rows` rows in `n_groups` groups lay in `n_blocks` blocks.
    """

    layer: str
    fitted: float
    corrected: float
    stderr: float
    interval: tuple[float, float]
    r2: float
    first: int
    last: int
    n_rows: int
    n_groups: int
    n_blocks: int


def exponents(
    stream: Iterable[Activity], *, blocks: int = 10, first: int = 0, window: tuple[int, int] | None = None
) -> list[LayerExponent]:
    """Return every layer's exponent from a stream of `hooks.activity`, read once.

    Groups are dealt to the blocks in turn, as they appear; each block is left out once. The standard error is that of
    the fitted slope; the interval is that of t with blocks - 1 degrees of freedom around `corrected`, as the correction
    for (n, m), which takes rows for independent, hardly varies between blocks. Rows at positions before `first` are
    left out.
    window: the ranks, else those of `fit_window` at nine tenths of the rows (a block less). Memory: blocks
    covariances [units, units] in float64 for each layer.
    Raises ValueError for fewer than 2 blocks, fewer groups than blocks, and what the fits raise.
    """
    check(blocks >= 2, "blocks", blocks, "at least 2")
    sums, n_groups = _sums_by_block(stream, blocks, first)
    check(n_groups >= blocks, "number of groups", n_groups, f"at least {blocks}, one for each block")
    return [_exponent(layer, parts, window, n_groups) for layer, parts in sums.items()]


def _sums_by_block(stream, blocks: int, first: int):
    """Layer -> block -> sums, and how many groups there were."""
    sums: dict[str, dict[int, covariance.CovarianceSums]] = {}
    order: dict[int, int] = {}
    for batch in stream:
        for layer, rows in batch.items():
            numbers, place = batch.group[layer].unique(return_inverse=True)
            for number in numbers.tolist():
                order.setdefault(number, len(order))
            block = numbers.new_tensor([order[number] % blocks for number in numbers.tolist()])[place]
            kept = batch.position[layer] >= first
            parts = sums.setdefault(layer, {})
            for index in block[kept].unique().tolist():
                part = covariance.CovarianceSums.of(rows[kept & (block == index)])
                parts[index] = parts[index].merge(part) if index in parts else part
    check(any(sums.values()), "stream", "no rows", "at least one row that is kept")
    return sums, len(order)


def _exponent(layer: str, parts: dict[int, covariance.CovarianceSums], window, n_groups: int) -> LayerExponent:
    least = min(sum(part.count for part in parts.values()) - part.count for part in parts.values())
    ranks = power_law.fit_window(least, len(next(iter(parts.values())).mean)) if window is None else window
    whole = _merged(list(parts.values())).spectrum()
    fit = power_law.fit_power_law(whole, *ranks)
    corrected = power_law.debias_power_law(whole, first=ranks[0], last=ranks[1]).exponent
    without = [
        power_law.fit_power_law(_merged([part for k, part in parts.items() if k != index]).spectrum(), *ranks).exponent
        for index in parts
    ]
    count = len(without)
    stderr = float(np.sqrt((count - 1) / count * np.sum((np.array(without) - np.mean(without)) ** 2)))
    reach = float(stats.t.ppf(0.975, count - 1)) * stderr
    interval = (corrected - reach, corrected + reach)
    return LayerExponent(
        layer, fit.exponent, corrected, stderr, interval, fit.r2, *ranks, whole.n_samples, n_groups, count
    )


def _merged(parts: list[covariance.CovarianceSums]) -> covariance.CovarianceSums:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total
