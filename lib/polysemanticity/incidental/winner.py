"""One encoding under benefit and l1, without interference: the winner takes all.

The weights w of one feature follow dw_k/dt = 4 (1 − ‖w‖²) w_k − l1 sign w_k, the gradient flow of its part of the loss,
(1 − ‖w‖²)² + l1 ‖w‖₁ (Lecomte et al., arXiv 2312.03096, section 2). The benefit stretches every weight by the same
factor, the tax l1 is the same for all: the rich get richer.

Time convention: the paper writes dw/dt = (1 − ‖w‖²) w − λ. Its (λ, t) is l1 = 4 λ, time = t / 4 here; l1 · time = λ ·
t.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float
from numpy import ndarray
from scipy import special

from polysemanticity.base.checks import check

L1_LIMIT = 8 / (3 * math.sqrt(3))  # the largest value of 4 (1 − w²) w: above it no weight can rest

Times = Float[ndarray, "time"] | Sequence[float]


def winner_take_all(weights: Float[ndarray, "neuron"], l1: float, times: Times) -> Float[ndarray, "time neuron"]:
    """Return one encoding's weights at each time, exactly.

    Gaps between weights are all stretched by the same factor A(t), so w_k(t) = sign · A(t) · max(0, |w_k(0)| −
    theta(t)) with a rising threshold theta: the order never changes, the largest initial weight wins. What is left are
    two equations, for log A and for the winner s = A (max |w(0)| − theta): d log A/dt = 4 (1 − ‖w‖²) and ds/dt = 4 (1 −
    ‖w‖²) s − l1. They are integrated to a relative 1e-10, with ‖w‖² from prefix sums over the sorted gaps. Above
    `critical_l1` the winner dies too: all zero.

    `times` ascend from 0 on, in the unit of the gradient flow of the sum loss; the paper's (λ, t) is l1 = 4 λ, time = t
    / 4. Costs O(n log n) for n neurons and O(n) for each time. ValueError for NaN, no weights, l1 ≤ 0 or unordered
    times.
    """
    weights, times = np.asarray(weights, dtype=float), np.asarray(times, dtype=float)
    _check_encoding(weights)
    check_l1(l1)
    _check_times(times)
    size = np.abs(weights)
    log_growth, winner = _solve(size, l1, times)
    with np.errstate(divide="ignore", over="ignore"):  # log of the winner's own gap; a dead weight's gap beyond floats
        stretched = np.exp(log_growth[:, None] + np.log(size.max() - size))
    return np.sign(weights) * np.maximum(0.0, winner[:, None] - stretched)


def fixed_point(l1: float) -> float:
    """Return the size at which a feature's only weight rests: the larger root of 4 (1 − w²) w = l1, about 1 − l1/8."""
    check_l1(l1)
    check(l1 < L1_LIMIT, "l1", l1, f"a number below {L1_LIMIT:.4f}, above which no weight survives")
    return float(max(np.roots([4.0, 0.0, -4.0, l1]).real))


def critical_l1(weights: Float[ndarray, "neuron"], rtol: float = 1e-4) -> float:
    """Return the l1 above which one encoding dies (all weights reach zero), below which its largest weight survives.

    By bisection to a relative `rtol` on the exact solution. About 3.2 max |w(0)| for Gaussian weights of norm one; 0
    for zeros.
    """
    weights = np.asarray(weights, dtype=float)
    _check_encoding(weights)
    check(0 < rtol < 1, "rtol", rtol, "a number between 0 and 1")
    size = np.abs(weights)
    if not size.any():
        return 0.0
    low, high = 0.0, L1_LIMIT
    while high - low > rtol * high:
        middle = (low + high) / 2
        low, high = (middle, high) if survives(size, middle) else (low, middle)
    return (low + high) / 2


class Sparsity(NamedTuple):
    """One encoding's course: ‖w‖₁, the number m' of live weights, and their relative variance m' ‖w‖₂² / ‖w‖₁² − 1."""

    time: Float[ndarray, "time"]
    l1_norm: Float[ndarray, "time"]
    n_alive: Float[ndarray, "time"]
    relative_variance: Float[ndarray, "time"]  # NaN once all weights are zero


def sparsity(times: Times, weights: Float[ndarray, "time neuron"]) -> Sparsity:
    """Return norm, number of live weights and their relative variance at each time."""
    size = np.abs(weights)
    l1_norm, n_alive, square = size.sum(-1), (size > 0).sum(-1), (size**2).sum(-1)
    alive = n_alive > 0
    variance = np.full(len(size), np.nan)
    variance[alive] = n_alive[alive] * square[alive] / l1_norm[alive] ** 2 - 1
    return Sparsity(np.asarray(times, dtype=float), l1_norm, n_alive.astype(float), variance)


def simulate(weights: Float[ndarray, "neuron"], l1: float, times: Times, step: float = 0.125) -> Sparsity:
    """Return one encoding's course by plain descent with soft threshold, which knows nothing of the exact solution.

    Euler steps of length `step` in the time of `winner_take_all` (0.125 is the paper's dt = 0.5); each time is rounded
    to a whole step. The sizes are sorted once, since a step keeps the order of the live ones, and the dead tail is
    dropped as it grows.
    """
    weights, times = np.asarray(weights, dtype=float), np.asarray(times, dtype=float)
    _check_encoding(weights)
    check_l1(l1)
    _check_times(times)
    check(0 < step <= 0.2, "step", step, "a number above 0 and up to 0.2, beyond which descent is unstable")
    live, done, course = np.sort(np.abs(weights))[::-1].copy(), 0, []
    counts = np.rint(times / step).astype(int)
    for count in counts:
        for _ in range(count - done):
            live *= 1 + 4 * step * (1 - live @ live)
            live -= step * l1
            if live.size and live[-1] <= 0:
                live = live[: np.count_nonzero(live > 0)]
        done = count
        course.append(sparsity(times[:1], live[None]))
    _, l1_norm, n_alive, variance = (np.concatenate(column) for column in zip(*course, strict=True))
    return Sparsity(counts * step, l1_norm, n_alive, variance)


class SparsityLaw(NamedTuple):
    """A prediction of ‖w‖₁ and of the number m' of live weights."""

    l1_norm: Float[ndarray, "time"]
    n_alive: Float[ndarray, "time"]


def sparsity_law(n_neurons: int, l1: float, times: Times, corrected: bool = False) -> SparsityLaw:
    """Return the prediction for a Gaussian encoding: the paper's ‖w‖₁ = 1 / (1/√m + l1 t), m' = ‖w‖₁², or a corrected
    one.

    Both rest on ‖w‖ ≈ 1, which gives d(1/‖w‖₁)/dt = l1 · RV and m' = (1 + RV) ‖w‖₁² with RV the relative variance of
    the live weights. The paper's curves set RV = 1 in the first and RV = 0 in the second, and start at √m. Corrected:
    live weights are a Gaussian's excesses over a rising threshold, which gives RV, m' and ‖w‖₁ for every threshold, and
    l1 t by integration. RV rises from π/2 − 1 towards 1, ‖w‖₁ starts at √(2m/π), m' tends to 2 / (l1 t)²; nothing is
    fitted.

    Valid for l1 √m ≪ 1; NaN where the corrected law has less than one live weight. Only the product l1 · time matters.
    """
    check(n_neurons >= 1, "n_neurons", n_neurons, "at least 1")
    check_l1(l1)
    times = np.asarray(times, dtype=float)
    _check_times(times)
    if not corrected:
        l1_norm = 1 / (1 / math.sqrt(n_neurons) + l1 * times)
        return SparsityLaw(l1_norm, l1_norm**2)
    threshold = np.linspace(0, 7, 4001)  # in standard deviations; one of 10^11 weights is above 7
    hazard = math.sqrt(2 / math.pi) / special.erfcx(threshold / math.sqrt(2))  # density over tail
    excess, square = hazard - threshold, 1 + threshold**2 - threshold * hazard  # first two moments above the threshold
    variance, n_alive = square / excess**2 - 1, n_neurons * special.erfc(threshold / math.sqrt(2))
    inverse_norm = np.sqrt((1 + variance) / n_alive)
    scaled_time = scipy.integrate.cumulative_trapezoid(1 / variance, inverse_norm, initial=0)
    some = n_alive >= 1
    log_alive, log_inverse = (
        np.interp(l1 * times, scaled_time[some], np.log(values[some]), right=np.nan)
        for values in (n_alive, inverse_norm)
    )
    return SparsityLaw(np.exp(-log_inverse), np.exp(log_alive))


class _Gaps:
    """Prefix sums over the sorted gaps to the largest weight: ‖w‖² and ‖w‖₁ from (log A, s) in O(log n)."""

    def __init__(self, size: ndarray):
        gaps = np.sort(size.max() - size)
        self.gaps = gaps
        self.first, self.second = (np.concatenate([[0.0], np.cumsum(gaps**power)]) for power in (1, 2))

    def norms(self, log_growth: float, winner: float) -> tuple[float, float]:
        alive = max(1, int(np.searchsorted(self.gaps, winner * math.exp(-log_growth))))
        growth = math.exp(log_growth) if self.first[alive] > 0 else 0.0  # one weight left: A may be beyond floats
        first, second = growth * self.first[alive], growth**2 * self.second[alive]
        return alive * winner**2 - 2 * winner * first + second, alive * winner - first

    def slope(self, time: float, state: ndarray, l1: float) -> tuple[float, float]:
        """Return d log A/dt and ds/dt."""
        benefit = 4 * (1 - self.norms(*state)[0])
        return benefit, benefit * state[1] - l1


def _death(time, state, l1):
    return state[1]


_death.terminal = True


def _solve(size: ndarray, l1: float, times: ndarray) -> tuple[ndarray, ndarray]:
    """Return log A and the winner's weight at each time; the winner is 0 from its death on."""
    distinct, place = np.unique(times, return_inverse=True)
    log_growth, winner = np.zeros(len(distinct)), np.zeros(len(distinct))
    if not size.any() or distinct[-1] == 0:
        return np.zeros(len(times)), np.full(len(times), size.max())
    options = {"method": "LSODA", "t_eval": distinct, "rtol": 1e-10, "atol": 1e-13, "events": _death, "args": (l1,)}
    solved = scipy.integrate.solve_ivp(_Gaps(size).slope, (0.0, distinct[-1]), np.array([0.0, size.max()]), **options)
    if not solved.success:
        raise RuntimeError(f"the exact solution stopped: {solved.message}")
    if len(solved.t):  # else it died before the first of the times
        log_growth[: len(solved.t)], winner[: len(solved.t)] = solved.y
    return log_growth[place], winner[place]


def survives(weights: Float[ndarray, "neuron"], l1: float) -> bool:
    """Return whether one encoding's winner never reaches zero; once the loss is below 1, a dead one's, it cannot."""
    size = np.abs(np.asarray(weights, dtype=float))
    _check_encoding(size)
    check_l1(l1)
    sums = _Gaps(size)

    def above_death(time, state, l1):
        square, absolute = sums.norms(*state)
        return (1 - square) ** 2 + l1 * absolute - 1

    above_death.terminal = True
    start = np.array([0.0, size.max()])
    if above_death(0.0, start, l1) < 0:
        return True
    options = {"method": "LSODA", "rtol": 1e-8, "atol": 1e-11, "events": [above_death, _death], "args": (l1,)}
    end = scipy.integrate.solve_ivp(sums.slope, (0.0, 1e3 / l1), start, **options).y[1, -1]
    return bool(end > l1 / 4)  # a loss below 1 needs s > l1 / 2, rest needs s > 1 / √3; both exceed l1 / 4


def check_l1(l1: float) -> None:
    """Raise ValueError unless l1 is finite and positive."""
    check(math.isfinite(l1) and l1 > 0, "l1", l1, "a finite number above 0")


def _check_encoding(weights: ndarray) -> None:
    check(weights.ndim == 1 and weights.size > 0, "weights", weights.shape, "one encoding of at least one weight")
    check(bool(np.isfinite(weights).all()), "weights", weights, "finite numbers")


def _check_times(times: ndarray) -> None:
    finite = times.ndim == 1 and times.size > 0 and bool(np.isfinite(times).all())
    check(finite and times[0] >= 0 and bool((np.diff(times) >= 0).all()), "times", times, "ascending times from 0 on")
