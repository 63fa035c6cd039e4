"""Entropy and capacity of codes: sparse sources, dropout as a channel, codes whose spectrum is a power law.

Everything is in bits. Symbols: S the sparsity (probability of a zero), D the dropout rate, q the number of levels of a
unit, zero among them, m units of n bits precision, spectrum lambda_i ~ i^-a (the coding-theory paper's alpha is -a).
Arguments that are one number may also be arrays, which broadcast.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.special import entr, gammaln, ndtr, rel_entr

from polysemanticity.base.checks import check

LN2 = np.log(2)
FORMS = ("water-filling", "corrected", "printed")

# ------------------------------------------------------------ sparse sources


def binary_entropy(p):
    """Return -p log2 p - (1 - p) log2(1 - p), 0 at the ends; elementwise. ValueError for p outside [0, 1]."""
    p = _within(p, "p", 0, 1)
    return (entr(p) + entr(1 - p)) / LN2


def sparse_entropy(sparsity, element_bits):
    """Return the entropy per element of a source of which each element is set to zero with probability `sparsity`.

    H_b(S) + (1 - S) H for independent elements that have entropy H = `element_bits` and are never zero themselves.
    Source: supplement 2.1, the lemma (the last line of its printed proof has the sign of the second term wrong).
    """
    s, bits = _within(sparsity, "sparsity", 0, 1), _within(element_bits, "element_bits", 0, np.inf)
    return binary_entropy(s) + (1 - s) * bits


def dimensions_per_feature(sparsity, element_bits):
    """Return the hidden units per input that lossless coding needs, (1 - S) + H_b(S) / H, if a unit too holds H bits.

    Source: supplement 2.1. H = `element_bits` > 0 is a free parameter: the precision of inputs and units alike. Above
    1 for S below about 2^-H, because where the zeros are must be told as well.
    """
    bits = np.asarray(element_bits, dtype=float)
    check(bool(np.all(bits > 0)), "element_bits", _first(bits, bits > 0), "above 0")
    return sparse_entropy(sparsity, bits) / bits


# ------------------------------------------------------------ dropout as a channel


def dropout_channel(rate: float | int, levels: int) -> Float[np.ndarray, "input output"]:
    """Return P(output | input), row by input, of one unit with `levels` values, the first of them zero.

    A value becomes zero with probability `rate`. Unlike an erasure, which is seen, a dropped unit looks like one that
    is silent.
    """
    d, q = float(_within(rate, "rate", 0, 1)), int(_levels(levels))
    channel = (1 - d) * np.eye(q)
    channel[:, 0] += d
    return channel


def dropout_capacity(rate, levels):
    """Return the capacity of `dropout_channel` in bits, exactly; elementwise.

    (1 - D) log2(q - 1), reached without ever using zero, if q - 1 >= D^(-1/(1 - D)); else zero is worth using and
    it is log2(1 + (q - 1) 2^(-H_b(D)/(1 - D))). Derived here (by symmetry only the probability of zero is free); the
    paper has bounds, see `dropout_capacity_bounds`. For q = 2 this is the Z-channel.
    """
    d, q = np.broadcast_arrays(_within(rate, "rate", 0, 1), _levels(levels))
    kept = np.where(d < 1, 1 - d, 1.0)
    threshold = np.exp(-np.log(np.where(d > 0, d, 1.0)) / kept)
    shunned = (1 - d) * np.log2(q - 1)
    used = np.log2(1 + (q - 1) * 2 ** (-binary_entropy(d) / kept))
    return np.where(d == 1, 0.0, np.where((d > 0) & (q - 1 >= threshold), shunned, used))[()]


class Bounds(NamedTuple):
    """Between these a capacity lies, in bits."""

    lower: Num[np.ndarray, "..."] | float
    upper: Num[np.ndarray, "..."] | float


def dropout_capacity_bounds(rate, levels) -> Bounds:
    r"""Return the paper's bounds on the capacity: $(1-\varepsilon)(1-D)C$, $(1-D)C$; $\varepsilon=-\log_2(1-2^{-C})$.

    Source: supplement 2.3, C = log2 q bits per unit. The lower one is weaker than its proof gives: eps is subtracted
    from C there, (1 - D)(C - eps) = (1 - D) log2(q - 1), not a share of it.
    """
    d, q = _within(rate, "rate", 0, 1), _levels(levels)
    bits = np.log2(q)
    return Bounds((1 + np.log2(1 - 1 / q)) * (1 - d) * bits, (1 - d) * bits)


def capacity_bounds(channel: Num[np.ndarray, "input output"], source: Num[np.ndarray, " input"]) -> Bounds:
    """Return what an input distribution proves about a channel's capacity: I(X; Y) <= C <= max_x D(P(y|x) || P(y)).

    Both in bits; equal exactly at the optimum (the duality of Blahut and Arimoto). `source` is the distribution of
    inputs. Raises ValueError if the channel's rows or the source are not probabilities.
    """
    w, p = _channel(channel), np.asarray(source, dtype=float)
    check(p.shape == w.shape[:1] and _is_distribution(p), "source", p, f"{len(w)} probabilities that sum to 1")
    return _bounds(w, p)[0]


def _bounds(w, p):
    divergence = rel_entr(w, p @ w).sum(1) / LN2  # infinite where an output is possible that p never makes
    return Bounds(float(p[p > 0] @ divergence[p > 0]), float(divergence.max())), divergence


class Capacity(NamedTuple):
    """A channel's capacity in bits and the distribution of inputs that reaches it."""

    bits: float
    input: Float[np.ndarray, " input"]


def blahut_arimoto(
    channel: Num[np.ndarray, "input output"], tolerance: float = 1e-9, max_steps: int = 100_000
) -> Capacity:
    """Return the capacity of a discrete memoryless channel (rows P(output | input)) and an input that reaches it.

    Certified: `capacity_bounds(channel, input)` brackets the capacity within `tolerance`, and `bits` is its lower end.
    Plain Blahut-Arimoto steps; each time the input without the symbols that are worth less than average is tried as
    well, as the plain steps need 1/tolerance of them where an unused symbol is worth just nothing. Raises ValueError
    for rows that are no probabilities, RuntimeError if `max_steps` do not suffice. Each step costs the channel's size.
    """
    w = _channel(channel)
    check(tolerance > 0, "tolerance", tolerance, "above 0")
    p = np.full(len(w), 1 / len(w))
    for _ in range(max_steps):
        bounds, divergence = _bounds(w, p)
        if bounds.upper - bounds.lower <= tolerance:
            return Capacity(bounds.lower, p)
        pruned = np.where(divergence < bounds.lower, 0.0, p)
        pruned /= pruned.sum()
        proof = _bounds(w, pruned)[0]
        if proof.upper - proof.lower <= tolerance:
            return Capacity(proof.lower, pruned)
        p = p * 2 ** (divergence - bounds.upper)
        p /= p.sum()
    raise RuntimeError(f"the capacity is known to {bounds.upper - bounds.lower:.1e} bits after {max_steps} steps")


# ------------------------------------------------------------ codes with a power-law spectrum


def power_law_entropy_bound(n_units: int, precision_bits, exponent, form: str = "water-filling"):
    """Return how many bits m units of n bits can hold whose covariance has the eigenvalues i^-a; elementwise.

    Direction i is i^(-a/2) as wide as the first, so it has 2^n i^(-a/2) levels. Source: supplement 2.4, which takes
    i^-a for the width although it calls it the variance, and slips in a sign. `form`:
    - "water-filling": sum_i max(0, n - (a/2) log2 i); a direction narrower than one level holds nothing, not less;
    - "corrected": the same without the cut at 0, m n - (a/2) log2 m!; negative, hence absurd, for steep spectra;
    - "printed": m n + a m log2(m/e), what the paper prints; above m n, which m units of n bits cannot hold.
    Counting levels is right up to a constant per unit; what never fails is `covariance_entropy_bound`, which for
    lambda_1 = (2^n steps)^2 / 12, the variance of n uniform bits, is at most 0.755 m bits above "water-filling".
    Memory O(m) per element.
    """
    check(isinstance(n_units, int | np.integer) and n_units >= 1, "n_units", n_units, "an integer of at least 1")
    check(form in FORMS, "form", form, f"one of {', '.join(FORMS)}")
    n, a = _within(precision_bits, "precision_bits", 0, np.inf), _within(exponent, "exponent", 0, np.inf)
    if form == "printed":
        return n_units * n + a * n_units * np.log2(n_units / np.e)
    if form == "corrected":
        return n_units * n - a / 2 * gammaln(n_units + 1) / LN2
    ranks = np.arange(1, n_units + 1)
    return np.maximum(0, n[..., None] - a[..., None] / 2 * np.log2(ranks)).sum(-1)


def covariance_entropy_bound(eigenvalues: Num[np.ndarray, "*batch rank"], step: float | int = 1.0):
    """Return sum_i 1/2 log2(2 pi e (lambda_i / step^2 + 1/12)) bits: no code with this covariance has more entropy.

    For units whose values are whole multiples of `step` apart and whose covariance (of these values, exactly) has the
    given eigenvalues, all m of them. Adding uniform noise of one step to each unit turns the entropy into a
    differential one, and a Gaussian has the largest of those (Massey 1988, in m dimensions); so the units need not be
    aligned with the principal directions. Not tight for coarse codes: 0.25 bit stay for a unit that never changes.
    """
    values = np.asarray(eigenvalues, dtype=float)
    check(values.ndim >= 1 and values.size > 0, "eigenvalues", values.shape, "at least one eigenvalue")
    allowed = np.isfinite(values) & (values >= 0)
    check(bool(allowed.all()), "eigenvalues", _first(values, allowed), "finite numbers of at least 0")
    check(bool(np.isfinite(step) and step > 0), "step", step, "a finite number above 0")
    return 0.5 * np.log2(2 * np.pi * np.e * (values / step**2 + 1 / 12)).sum(-1)


def rounded_gaussian_entropy(scale):
    """Return the entropy of a Gaussian of standard deviation `scale`, mean 0, rounded to integers; elementwise, exact.

    log2(scale) + 2.05 for a wide one, 0 for a narrow one. Raises ValueError for a scale outside [0, 1e5].
    """
    scale = _within(scale, "scale", 0, 1e5)
    flat, bits = scale.ravel(), np.zeros(scale.size)
    for index in np.flatnonzero(flat > 0.03):  # a narrower one leaves 0 with probability below 1e-60
        edge = np.arange(np.ceil(12 * flat[index]) + 1) + 0.5
        tail = ndtr(-edge / flat[index])
        bits[index] = (entr(1 - 2 * tail[0]) + 2 * entr(tail[:-1] - tail[1:]).sum()) / LN2
    return bits.reshape(scale.shape)[()]


def rounded_gaussian_variance(scale):
    """Return the variance of a Gaussian of standard deviation `scale`, mean 0, rounded to integers; elementwise, exact.

    scale^2 + 1/12 for a wide one, 0 for a narrow one. Raises ValueError for a scale outside [0, 1e5].
    """
    scale = _within(scale, "scale", 0, 1e5)
    flat, variance = scale.ravel(), np.zeros(scale.size)
    for index in np.flatnonzero(flat > 0.03):
        k = np.arange(1, np.ceil(12 * flat[index]) + 2)
        variance[index] = 2 * ((2 * k - 1) * ndtr(-(k - 0.5) / flat[index])).sum()
    return variance.reshape(scale.shape)[()]


class EntropyEstimate(NamedTuple):
    """An entropy in bits estimated from samples, and its standard error."""

    bits: float
    stderr: float


def sample_entropy(symbols: Num[np.ndarray, "samples units"]) -> EntropyEstimate:
    """Return the joint entropy of the rows: that of their frequencies plus Miller and Madow's (K - 1)/(2 N).

    Low where the samples N are not many times the number of different rows K; the standard error does not know that.
    """
    check(len(symbols) >= 2 and symbols.shape[1] >= 1, "symbols", symbols.shape, "at least 2 samples of 1 unit")
    _, counts = np.unique(symbols, axis=0, return_counts=True)
    share = counts / counts.sum()
    surprise = -np.log2(share)
    bits = share @ surprise
    spread = np.sqrt(max(share @ surprise**2 - bits**2, 0) / len(symbols))
    return EntropyEstimate(float(bits + (len(counts) - 1) / (2 * len(symbols) * LN2)), float(spread))


def joint_information(
    first: Int[np.ndarray, " rows"], second: Int[np.ndarray, " rows"], weight: Float[np.ndarray, " rows"]
) -> float:
    """Return the mutual information in bits of two discrete variables, exactly, from a list of joint outcomes.

    Row i is the outcome (first[i], second[i]) with probability weight[i]; an outcome may stand in several rows. Raises
    ValueError for weights that are no probabilities. Cost O(rows log rows).
    """
    check(_is_distribution(weight), "weight", float(weight.sum()), "probabilities that sum to 1")

    def entropy(symbols) -> float:
        _, place = np.unique(symbols, return_inverse=True)
        return float(entr(np.bincount(place, weight)).sum()) / LN2

    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    return max(entropy(a) + entropy(b) - entropy(a * (b.max() + 1) + b), 0.0)


# ------------------------------------------------------------ checks


def _first(values, allowed):
    """The first value that is not allowed, for a message."""
    return None if np.all(allowed) else float(np.asarray(values)[~np.asarray(allowed)].flat[0])


def _within(values, name: str, low, high):
    values = np.asarray(values, dtype=float)
    allowed = (values >= low) & (values <= high) & np.isfinite(values)
    text = f"in [{low:g}, {high:g}]" if np.isfinite(high) else f"a finite number of at least {low:g}"
    check(bool(allowed.all()), name, _first(values, allowed), text)
    return values


def _levels(levels):
    values = np.asarray(levels, dtype=float)
    allowed = (values >= 2) & (values == np.round(values)) & np.isfinite(values)
    check(bool(allowed.all()), "levels", _first(values, allowed), "an integer of at least 2")
    return values


def _is_distribution(p) -> bool:
    return bool(np.all(np.isfinite(p)) and np.all(p >= 0) and abs(p.sum() - 1) < 1e-9)


def _channel(channel):
    w = np.asarray(channel, dtype=float)
    check(w.ndim == 2 and w.size > 0, "channel.shape", w.shape, "[inputs, outputs], not empty")
    wrong = [row for row, p in enumerate(w) if not _is_distribution(p)]
    check(not wrong, "channel", f"row {wrong[0]}" if wrong else None, "rows of probabilities that sum to 1")
    return w
