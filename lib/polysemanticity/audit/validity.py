"""Which statistic of a spectrum tells how polysemantic a layer is? Layers in which the answer was planted.

Each planted layer has as many features as units. Features have variances that fall as a power of their rank, and a
share of the units serves two of them, the others one or, where two features share, none. So polysemanticity and the
features' own law are varied independently, and what a statistic follows can be read off.
"""

import numpy as np
import pandas as pd
import scipy

from polysemanticity import spectra
from polysemanticity.base import streams
from polysemanticity.base.checks import check

STATISTICS = ("exponent", "participation ÷ units", "effective rank ÷ units")
PLANTED = ("share of units that are shared", "exponent of the features")


def planted(
    n_layers: int, n_units: int = 120, n_rows: int = 1500, rotated: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Return a row for each planted layer: what was planted (PLANTED), and what its spectrum says (STATISTICS).

    rotated: a random rotation mixes the units afterwards, which no spectrum sees; every unit then serves all features.
    """
    check(n_layers >= 3, "n_layers", n_layers, "at least 3")
    check(n_units >= 80, "n_units", n_units, "at least 80, or there is no exponent")
    rows = []
    for number in range(n_layers):
        rng = streams.rng(seed + number, "planted layers")
        share, exponent = rng.uniform(0, 0.5), rng.uniform(0.3, 1.5)
        values = _activity(share, exponent, n_units, n_rows, rng)
        if rotated:
            values = values @ np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
        rows.append({**dict(zip(PLANTED, (share, exponent), strict=True)), **_statistics(values)})
    return pd.DataFrame(rows)


def _activity(share: float, exponent: float, m: int, n: int, rng) -> np.ndarray:
    """Activity [row, unit] of sparse features, `share` of the units serving two of them with opposite signs."""
    shared = round(share * m)
    unit = np.concatenate([np.arange(m - shared), rng.permutation(m - shared)[:shared]])
    sign = np.where(np.arange(m) < m - shared, 1.0, -1.0)
    size = rng.permutation(np.arange(1, m + 1) ** (-exponent / 2))
    active = (rng.random((n, m)) < 0.1) * np.abs(rng.standard_normal((n, m))) * size * sign
    values = np.zeros((n, m))
    np.add.at(values.T, unit, active.T)
    return values


def _statistics(values: np.ndarray) -> dict:
    spectrum = spectra.covariance_spectrum(values)
    m = values.shape[1]
    found = spectra.fit_power_law(spectrum, first=3, last=m // 4).exponent
    ranks = spectra.participation_ratio(spectrum) / m, spectra.effective_rank(spectrum) / m
    return dict(zip(STATISTICS, (found, *ranks), strict=True))


def agreement(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the rank correlation of every statistic with what was planted, the other planted number held fixed."""
    ranks = layers.rank()
    rows = []
    for statistic in STATISTICS:
        row = {"statistic": statistic}
        for target, other in (PLANTED, PLANTED[::-1]):
            row[target] = _partial(ranks[statistic], ranks[target], ranks[other])
        rows.append(row)
    return pd.DataFrame(rows)


def _partial(x, y, given) -> float:
    left, right = (part - np.polyval(np.polyfit(given, part, 1), given) for part in (x, y))
    return float(scipy.stats.pearsonr(left, right).statistic)
