r"""An exponent and its interval from rows that depend on each other: tokens of a text, patches of an image.

Symbols: n rows of m units, eigenvalues lambda_i and eigenvectors v_i of their covariance, scores y_ti = v_i . x_t /
sqrt(lambda_i), rho_k the correlation of scores k rows apart. Dependent rows do two things to an exponent. They bias it
as fewer rows do: if every score has the same correlations, the covariance is that of

$$n_e=\frac{n}{1+2\sum_k\rho_k^2}$$

independent rows, to leading order (the mean is that of fewer, with rho_k in place of its square). And they make it
vary more, which blocks of rows show: leaving one out at a time, the eigenvalues move by v_i . C_k v_i to first order.
(Ours; coverage is measured in the tests.)
"""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

from polysemanticity import intervals, spectra
from polysemanticity.base.checks import check
from polysemanticity.spectra import PowerLaw, Spectrum, wishart

SIGNIFICANT = 3.0  # standard deviations of a correlation by chance; the sum over lags ends at the first one below
STEP = 0.05  # by which a slope is moved to see how the corrected exponent follows


class BlockExponent(NamedTuple):
    """The corrected exponent of dependent rows.

    law: fitted and corrected as of n_e rows, its stderr and interval those of n_e Gaussian rows; jackknife: standard
    error by leaving out blocks; stderr: the larger of both; interval: 95 %, Student's t for the number of blocks.
    influence: by how much each block's own value differs from the mean of all, scaled so that the mean square of the
    differences is the squared error.
    """

    law: PowerLaw
    jackknife: float
    stderr: float
    interval: tuple[float, float]
    influence: Float[np.ndarray, " blocks"]


def effective_rows(pieces: list[Float[np.ndarray, "_ k"]], n_rows: int, grouped: bool = False) -> tuple[float, bool]:
    """Return n_e for n rows from pieces of neighbouring rows' scores, and whether the sum over lags came to its end.

    Correlations are averages over all scores, which must be centred and of variance about 1. A lag that fewer than 8
    pairs have is not looked at. grouped: each piece is a whole group, independent of the others, so that a lag counts
    as often as there are such pairs; otherwise pieces are cut from one long series.
    """
    longest = max(map(len, pieces))
    total = sum((piece**2).sum() for piece in pieces)
    rows, width = sum(map(len, pieces)), pieces[0].shape[1]
    products, pairs = np.zeros(longest), np.zeros(longest)
    for piece in pieces:
        size = len(piece)
        transformed = np.fft.rfft(piece, 2 * size, axis=0)
        power = (transformed.real**2 + transformed.imag**2).sum(1)
        products[:size] += np.fft.irfft(power, 2 * size)[:size]
        pairs[:size] += size - np.arange(size)
    known = pairs >= 8
    correlation = products[known] / pairs[known] / (total / rows)
    noise = 1 / np.sqrt(pairs[known] * width)
    weak = np.flatnonzero(np.abs(correlation) < SIGNIFICANT * noise)
    end = weak[0] if len(weak) else len(correlation)
    often = pairs[known][1:end] / rows if grouped else 1.0
    squares = (often * (correlation[1:end] ** 2 - noise[1:end] ** 2)).sum()
    finished = grouped or len(weak) > 0 or bool(correlation[-1] < 0.2)
    return float(n_rows / (1 + 2 * max(squares, 0.0))), finished


def worth(spectrum: Spectrum, n_effective: float | int) -> Spectrum:
    """Return the spectrum as that of n_e rows, to two digits: the correction is calibrated once for each number."""
    n = max(int(float(f"{n_effective:.2g}")), 2)
    return Spectrum(spectrum.eigenvalues[: min(n, spectrum.n_units)], n, spectrum.n_units)


def corrected(spectrum: Spectrum, n_effective: float | int, first: int, last: int) -> PowerLaw:
    """Return `spectra.debias_power_law` as if the spectrum were that of n_e rows."""
    return spectra.debias_power_law(worth(spectrum, n_effective), first=first, last=last)


def block_exponent(
    spectrum: Spectrum,
    along: Float[np.ndarray, "blocks ranks"],
    rows: Float[np.ndarray, " blocks"],
    n_effective: float | int,
    first: int,
    last: int,
) -> BlockExponent:
    """Return the exponent on ranks first..last with its interval.

    along: v_i . S_b v_i of every block's scatter S_b (sums over its rows, about the mean of all rows), for these ranks;
    rows: how many rows each block has. Raises what `spectra.debias_power_law` raises.
    """
    law = corrected(spectrum, n_effective, first, last)
    ranks = np.arange(first, last + 1)
    weights = wishart.slope_weights(np.log(ranks), 1 / ranks)
    left = (along.sum(0) - along) / (rows.sum() - rows)[:, None]
    slopes = -np.log(left) @ weights
    blocks = len(rows)
    share = rows.sum() / rows  # blocks of different size (Busing, Meijer and van der Leeden 1999)
    whole = -np.log(along.sum(0) / rows.sum()) @ weights
    pseudo = share * whole - (share - 1) * slopes
    influence = (pseudo - np.average(pseudo, weights=rows)) / np.sqrt(share - 1)
    tilted = [spectrum._replace(eigenvalues=_tilted(spectrum.eigenvalues, shift)) for shift in (-STEP, STEP)]
    low, high = (corrected(tilt, n_effective, first, last).exponent for tilt in tilted)
    influence = influence * (high - low) / (2 * STEP)
    jackknife = float(np.sqrt((influence**2).mean()))
    stderr = max(law.stderr, jackknife)
    half = scipy.stats.t.ppf(0.975, blocks - 1) * stderr
    return BlockExponent(law, jackknife, stderr, (max(law.exponent - half, 0.0), law.exponent + half), influence)


def difference(one: BlockExponent, other: BlockExponent) -> intervals.Estimate:
    """Return the difference of two layers' exponents on the same blocks, with its 95 % interval.

    Its error is the larger of that by leaving out blocks, which are the same for both, and of both layers' sampling
    errors as if they were independent. Raises ValueError for different numbers of blocks.
    """
    blocks = len(one.influence)
    check(blocks == len(other.influence), "blocks", (blocks, len(other.influence)), "the same blocks of both layers")
    together = np.sqrt(((one.influence - other.influence) ** 2).mean())
    error = max(float(together), float(np.hypot(one.law.stderr, other.law.stderr)))
    return intervals.exact(one.law.exponent - other.law.exponent, scipy.stats.t.ppf(0.975, blocks - 1) * error)


def _tilted(eigenvalues, shift: float):
    """A spectrum that is steeper by `shift`; a flatter one is kept descending."""
    return np.minimum.accumulate(eigenvalues * np.arange(1, len(eigenvalues) + 1) ** -shift)
