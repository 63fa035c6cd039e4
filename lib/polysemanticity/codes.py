"""Codes that spread k bits over m units, and what is left of them when units are dropped.

A code is the list of its words: the activity of the m units for each of 2^k equally likely messages. Linear codes over
GF(2) have a generator [k, m]: unit j shows the parity of the bits that column j selects, as -1 or +1. Zero is no value
of such a unit, so that a unit that dropout sets to zero is an *erasure*: everyone sees that it is missing. With
`on_off` units (0 or 1) a dropped unit looks like a silent one, and less can be decoded: see `dropout_accuracy`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int, Num
from scipy.special import gammaln, ndtr, ndtri

from polysemanticity.base.checks import check

MAX_BITS = 20
MAX_SPANS = 20_000  # spans of surviving columns that the exact calculation follows
MAX_UNITS = 16  # erasure patterns 2^units that the exact calculation of a nonlinear code goes through


class Code(NamedTuple):
    """The words of a code, one row per message; message number b has the bits of the integer b, bit 0 the lowest."""

    words: Int[np.ndarray, "messages units"]
    generator: Int[np.ndarray, "bits units"] | None = None  # of a linear code

    @property
    def n_bits(self) -> int:
        """The number k of bits that a word encodes."""
        return len(self.words).bit_length() - 1

    @property
    def n_units(self) -> int:
        """The number m of units."""
        return self.words.shape[1]

    @property
    def rate_bits(self) -> float:
        """Bits per unit, k / m."""
        return self.n_bits / self.n_units


# ------------------------------------------------------------ constructions


def linear(generator: Num[np.ndarray, "bits units"], on_off: bool = False) -> Code:
    """Return the linear code over GF(2) with this generator of zeros and ones; bit 0 is shown as -1 (on_off: as 0)."""
    g = np.asarray(generator).astype(np.int64)
    check(g.ndim == 2 and g.shape[1] >= 1, "generator.shape", g.shape, "[bits, units] with at least one unit")
    _check_bits(g.shape[0])
    check(bool(np.isin(generator, (0, 1)).all()), "generator", "other values", "zeros and ones")
    parity = _bits(g.shape[0]) @ g % 2
    return Code(parity if on_off else 2 * parity - 1, g)


def monosemantic(n_bits: int, on_off: bool = False) -> Code:
    """Return the code that gives every bit a unit of its own."""
    return repetition(n_bits, n_bits, on_off)


def repetition(n_bits: int, n_units: int, on_off: bool = False) -> Code:
    """Return the code that shows the bits in turn, unit j bit j mod k: n_units / n_bits copies or one more."""
    _check_bits(n_bits)
    check(n_units >= n_bits, "n_units", n_units, f"at least n_bits = {n_bits}")
    return linear(np.eye(n_bits, dtype=int)[:, np.arange(n_units) % n_bits], on_off)


def simplex(n_bits: int, on_off: bool = False) -> Code:
    """Return the simplex code: 2^k - 1 units, one for the parity of every set of bits but the empty one.

    Any two words differ in 2^(k-1) units. Two units agree in half of the words, so that their covariance is 0.
    """
    _check_bits(n_bits, 10)
    return linear(_bits(n_bits)[1:].T, on_off)


def superposition(n_bits: int, n_units: int, levels: int, rng: np.random.Generator) -> Code:
    """Return a random superposition: unit j shows one of `levels` levels of w_j . b, b = +-1 and w_j Gaussian.

    The levels are equally likely for Gaussian w . b, the most that so many levels can hold, and are shown as odd
    integers, so that zero is none of them. n_bits may exceed n_units: two messages are confused only if they have the
    same levels on all units.
    """
    _check_bits(n_bits)
    check(n_units >= 1, "n_units", n_units, "an integer of at least 1")
    check(levels >= 2 and levels % 2 == 0, "levels", levels, "an even number of at least 2, so that zero is no level")
    directions = rng.standard_normal((n_bits, n_units))
    drive = (2 * _bits(n_bits) - 1) @ (directions / np.linalg.norm(directions, axis=0))
    level = np.minimum(np.floor(levels * ndtr(drive)), levels - 1).astype(np.int64)
    return Code(2 * level - (levels - 1))


def code_spectrum(code: Code) -> Float[np.ndarray, " units"]:
    """Return the eigenvalues of the covariance of a code's words, descending, over equally likely messages (exactly).

    All ones for a linear code of units -1 and +1 whose columns are different and not zero (dual distance at least 3).
    Given to 12 decimals: what lies below is rounding, and a code without noise has eigenvalues that are 0.
    """
    centred = code.words - code.words.mean(0)
    return np.linalg.eigvalsh(centred.T @ centred / len(centred))[::-1].round(12).clip(min=0)


# ------------------------------------------------------------ decoding


class Average(NamedTuple):
    """A mean over erasures for every rate, and its standard error: 0 where it was calculated exactly."""

    value: Float[np.ndarray, "*rate"] | float
    stderr: Float[np.ndarray, "*rate"] | float


def erasure_accuracy(code: Code, rate, *, n_draws: int = 0, rng: np.random.Generator | None = None) -> Average:
    """Return how often the whole message is decoded right if each unit is erased with probability `rate`.

    By the best decoder (maximum likelihood, ties broken at random): it is right once for every different word that
    the surviving units show, of 2^k messages; for a linear code that is 2^(rank of the surviving columns - k).
    n_draws = 0 is exact; else the mean over so many random erasures with its standard error, the same erasures at all
    rates. `rate` is a number or an array in [0, 1]. Erased units are known to be erased: see `dropout_accuracy` for
    those that are not. Raises ValueError for a code too large for the exact calculation, and draws without `rng`.
    """
    return _average(code, rate, n_draws, rng, lambda counts: len(counts) / counts.sum(), lambda r, k: 2.0 ** (r - k))


def erasure_information(code: Code, rate, *, n_draws: int = 0, rng: np.random.Generator | None = None) -> Average:
    """Return the bits about the message in the units that survive, I(message; survivors); else as `erasure_accuracy`.

    For a linear code the mean rank of the surviving columns.
    """
    return _average(code, rate, n_draws, rng, _entropy, lambda r, k: r * 1.0)


def erasure_limit(n_bits: int, n_units: int, levels: int, rate) -> Float[np.ndarray, "*rate"] | float:
    """Return an accuracy that no code of k bits on m units of so many levels exceeds when units are erased; exact.

    s surviving units show at most levels^s different words, so it is the mean of min(1, levels^s / 2^k) over s.
    """
    d = _rates(rate)
    check(n_bits >= 1, "n_bits", n_bits, "an integer of at least 1")
    check(n_units >= 1, "n_units", n_units, "an integer of at least 1")
    check(levels >= 2, "levels", levels, "an integer of at least 2")
    survivors = np.arange(n_units + 1)
    told = 2.0 ** np.minimum(0, survivors * np.log2(levels) - n_bits)
    return (scipy.stats.binom.pmf(survivors, n_units, 1 - d[..., None]) * told).sum(-1)


def expected_confusions(n_bits: int, n_units: int, levels: int, active: int | None = None) -> float:
    """Return how many other messages a message of a long random `superposition` is expected to be confused with.

    Nothing is erased. Two messages that drive a unit with correlation r are confused if all units show the same level:
    the sum over messages of P(same level at r)^m; below 1 %, 99 % of messages can be told apart. Needs no list of words
    and so holds for any length.

    Fair bits b = +-1 (`active` None): C(k, h) messages differ in h bits, r = 1 - 2h/k; drives are taken as Gaussian,
    which they are for many bits. Sparse features: messages with `active` of k features on (1) and the others off (0)
    drive a unit with w . b / sqrt(active), w Gaussian, so that C(a, o) C(k-a, a-o) messages share o features and have
    r = o/a: exact. Such a message has log2 C(k, a) bits.
    """
    check(n_bits >= 2, "n_bits", n_bits, "an integer of at least 2")
    check(n_units >= 1, "n_units", n_units, "an integer of at least 1")
    check(levels >= 2 and levels % 2 == 0, "levels", levels, "an even number of at least 2")
    if active is None:
        h = np.arange(1, n_bits + 1)
        correlation, pairs = 1 - 2 * h / n_bits, _ln_choose(n_bits, h)
    else:
        check(1 <= active < n_bits, "active", active, f"an integer from 1 to {n_bits - 1}")
        shared = np.arange(max(0, 2 * active - n_bits), active)
        correlation = shared / active
        pairs = _ln_choose(active, shared) + _ln_choose(n_bits - active, active - shared)
    same = _same_level(correlation, levels)
    return float(np.exp(pairs + n_units * np.log(np.maximum(same, 1e-300))).sum())


def _ln_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _same_level(correlation: np.ndarray, levels: int) -> np.ndarray:
    """The probability that two Gaussian drives, so correlated, fall into the same one of equally likely levels."""
    edges = ndtri(np.arange(levels + 1) / levels)
    node, weight = np.polynomial.legendre.leggauss(64)
    quantile = (np.arange(levels)[:, None] + (node + 1) / 2) / levels  # of the first drive, [level, node]
    correlation = correlation[:, None, None]
    drive, spread = ndtri(quantile), np.sqrt(np.maximum(1 - correlation**2, 1e-12))
    below, above = (ndtr((edge[:, None] - correlation * drive) / spread) for edge in (edges[:-1], edges[1:]))
    return ((above - below) * weight).sum((1, 2)) / (2 * levels)


def _entropy(counts):
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def _average(code: Code, rate, n_draws, rng, of_counts: Callable, of_rank: Callable) -> Average:
    """The mean of a quantity over erasures, from the sizes of the groups of words that survivors cannot tell apart."""
    d = _rates(rate)
    check(n_draws == 0 or n_draws >= 2, "n_draws", n_draws, "0 for the exact value, or at least 2")
    if n_draws == 0:
        if code.generator is not None:
            spread = _rank_distribution(code.generator, d.ravel())
            value = of_rank(np.arange(len(spread)), code.n_bits) @ spread
        else:
            value = _over_patterns(code, d.ravel(), of_counts)
        return Average(value.reshape(d.shape)[()], np.zeros(d.shape)[()])
    check(rng is not None, "rng", rng, "a numpy generator where n_draws is not 0")
    uniform = rng.random((n_draws, code.n_units))
    samples = np.empty((d.size, n_draws))
    for row, one in enumerate(d.flat):
        survives = uniform >= one
        if code.generator is not None:
            samples[row] = of_rank(_ranks(code.generator, survives), code.n_bits)
        else:
            samples[row] = [of_counts(_groups(code.words[:, kept])) for kept in survives]
    mean, stderr = samples.mean(1), samples.std(1, ddof=1) / np.sqrt(n_draws)
    return Average(mean.reshape(d.shape)[()], stderr.reshape(d.shape)[()])


def _rank_distribution(generator, rates) -> np.ndarray:
    """P(rank of the surviving columns) [rank, rate], by following the distribution of their span, column by column."""
    columns, copies = np.unique(_as_integers(generator), return_counts=True)
    spans = {(): np.ones(len(rates))}  # reduced basis -> probability
    for column, number in zip(columns.tolist(), copies.tolist(), strict=True):
        all_erased = rates**number
        after: dict[tuple, np.ndarray] = {}
        for basis, probability in spans.items():
            for reached, share in ((basis, all_erased), (_extended(basis, column), 1 - all_erased)):
                after[reached] = after.get(reached, 0) + probability * share
        spans = after
        check(len(spans) <= MAX_SPANS, "code", "a linear code with more spans", f"{MAX_SPANS} spans, or n_draws > 0")
    spread = np.zeros((len(generator) + 1, len(rates)))
    for basis, probability in spans.items():
        spread[len(basis)] += probability
    return spread


def _extended(basis: tuple[int, ...], column: int) -> tuple[int, ...]:
    """The reduced basis (descending integers) of the span of a reduced basis and one more column."""
    for vector in basis:
        column = min(column, column ^ vector)
    if column == 0:
        return basis
    lead = 1 << (column.bit_length() - 1)
    return tuple(sorted((*(v ^ column if v & lead else v for v in basis), column), reverse=True))


def _as_integers(generator) -> np.ndarray:
    return (1 << np.arange(len(generator))) @ generator


def _ranks(generator, survives) -> np.ndarray:
    """The rank over GF(2) of the surviving columns, for every row of `survives`, by elimination."""
    columns = _as_integers(generator) * survives
    rank = np.zeros(len(columns), dtype=int)
    for bit in range(len(generator)):
        has = (columns >> bit & 1).astype(bool)
        pivot = np.take_along_axis(columns, has.argmax(1)[:, None], 1)
        columns = np.where(has, columns ^ pivot, columns)
        rank += has.any(1)
    return rank


def _over_patterns(code: Code, rates, of_counts) -> np.ndarray:
    """The mean over all 2^m sets of survivors."""
    m = code.n_units
    check(m <= MAX_UNITS, "code", f"{m} units", f"at most {MAX_UNITS} units for a nonlinear code, or n_draws > 0")
    total = np.zeros(len(rates))
    for survives in _bits(m).astype(bool):
        n = int(survives.sum())
        total += (1 - rates) ** n * rates ** (m - n) * of_counts(_groups(code.words[:, survives]))
    return total


def _groups(words) -> np.ndarray:
    """How many words look alike, for every different look."""
    if words.shape[1] == 0:
        return np.array([len(words)])
    look, span = np.zeros(len(words), dtype=np.int64), 1  # a number below `span` for every look
    for unit in words.T:
        if span > 2**40:
            look = np.unique(look, return_inverse=True)[1]
            span = len(words)
        levels = int(unit.max() - unit.min()) + 1
        look, span = look * levels + (unit - unit.min()), span * levels
    counts = np.bincount(look) if span <= 4 * len(words) else np.unique(look, return_counts=True)[1]
    return counts[counts > 0]


def dropout_accuracy(code: Code, rate) -> Float[np.ndarray, "*rate"] | float:
    """Return how often the message is decoded right if each unit is *set to zero* with probability `rate`; exact.

    The same as `erasure_accuracy` where zero is no value of a unit. Where it is, a zero may be a dropped or a silent
    unit, and the best decoder picks, among the words that could have given what is seen, the one with the fewest
    active units. Raises ValueError if the words can be thinned to more than 2^20 different activities.
    """
    d = _rates(rate)
    if code.words.all():
        return erasure_accuracy(code, d).value
    active = (code.words != 0).sum(1)
    total = int((2.0**active).sum())
    check(total <= 2**20, "code", f"{total} thinned words", f"at most {2**20}")
    seen = np.unique(np.concatenate([_thinned(word) for word in code.words]), axis=0)
    accuracy = np.zeros(d.shape)
    for part in np.array_split(seen, max(1, seen.size * len(active) // 2**22)):
        fits = ((part[:, None] == 0) | (part[:, None] == code.words)).all(-1)
        shown = (part != 0).sum(1)
        dropped = np.where(fits, active, code.n_units + 1).min(1) - shown
        accuracy += (d[..., None] ** dropped * (1 - d[..., None]) ** shown).sum(-1)
    return (accuracy / len(active))[()]


def shrunk_by_dropout(deviations, n_units: int, rate: float) -> Float[np.ndarray, " components"]:
    r"""Return the standard deviations that a linear autoencoder with dropout on its units keeps of the inputs.

    Inputs have the standard deviations $\sigma_i$ along their principal components. With dropout at `rate` p on m units
    the best linear map keeps $s_i=\max(\sigma_i-\tau,0)$, where $\tau=\frac{p}{(1-p)m}\sum_i s_i$: all components
    lose the same. Source: the penalty $\frac{p}{(1-p)m}|A\Sigma^{1/2}|_*^2$ of Mianjy, Arora & Vidal (2018), of which
    this is the minimum with the squared error; not in Marshall & Kirchner. In the order of `deviations`.
    Raises ValueError for deviations that are negative or not finite, more of them than units (the penalty holds for as
    many units as the map's rank, or more), or a rate outside [0, 1).
    """
    sigma = np.asarray(deviations, dtype=float)
    good = sigma.ndim == 1 and len(sigma) > 0 and np.isfinite(sigma).all() and (sigma >= 0).all()
    check(bool(good), "deviations", sigma, "one or more numbers of at least 0")
    check(n_units >= len(sigma), "n_units", n_units, f"at least the {len(sigma)} components")
    check(0 <= rate < 1, "rate", rate, "at least 0 and below 1")
    price = rate / (1 - rate) / n_units
    largest_first = np.sort(sigma)[::-1]
    shift = price * largest_first.cumsum() / (1 + price * np.arange(1, len(sigma) + 1))  # tau if so many are kept
    return np.maximum(sigma - shift.max(), 0)


def _thinned(word) -> np.ndarray:
    """Every activity that setting units of a word to zero can give."""
    places = np.flatnonzero(word)
    thinned = np.zeros((2 ** len(places), len(word)), dtype=word.dtype)
    thinned[:, places] = _bits(len(places)) * word[places]
    return thinned


# ------------------------------------------------------------ helpers


def _bits(n: int) -> np.ndarray:
    """The binary digits of 0 .. 2^n - 1, lowest first."""
    return np.arange(2**n)[:, None] >> np.arange(n) & 1


def _rates(rate) -> np.ndarray:
    d = np.asarray(rate, dtype=float)
    allowed = (d >= 0) & (d <= 1)
    check(bool(allowed.all()), "rate", None if allowed.all() else float(d[~allowed].flat[0]), "in [0, 1]")
    return d


def _check_bits(n_bits, most: int = MAX_BITS) -> None:
    whole = isinstance(n_bits, int | np.integer) and not isinstance(n_bits, bool)
    check(whole and 1 <= n_bits <= most, "n_bits", n_bits, f"an integer from 1 to {most}")
