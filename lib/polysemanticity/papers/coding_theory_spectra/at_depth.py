"""What is measured of one layer's activity over passages of a text: its spectrum, smooth directions, what they tell.

Activity is [passage, token, unit]. Everything that is chosen (depths, ranks of a break, directions, traces that tell a
feature) is chosen on one half of the documents, `select`, and measured on the other, `judge`; errors are those of
leaving out whole documents. a > 0 is the exponent of lambda_i ~ i^-a.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

from polysemanticity import intervals, spectra
from polysemanticity.audit import exponents
from polysemanticity.intervals import Estimate
from polysemanticity.networks.probing import FLOOR
from polysemanticity.projections import pursuit, traces
from polysemanticity.spectra import broken_law

SMOOTH = ("random", "minimum energy", "smoothest")
SHUFFLED = tuple(f"{kind}, tokens shuffled" for kind in SMOOTH)
POOLS = ("minimum energy", "random", "further neurons", "random, tokens shuffled")
RANKS = 512  # eigenvalues that are kept of a spectrum
RIDGE = 1e-4  # of the mean variance, added to every direction's in a linear map from a stream to neurons


class Halves(NamedTuple):
    """Activity on both halves of the documents, and the document of each passage that judges, numbered from 0."""

    select: Float[np.ndarray, "n t m"]
    judge: Float[np.ndarray, "k t m"]
    document: Int[np.ndarray, " k"]

    def centred(self) -> "Halves":
        """The activity less the mean at each place in a passage, as it is on the half that selects.

        What is the same in every text, as what tells only the position, is no property of a code of texts.
        """
        mean = self.select.mean(0, dtype=np.float64).astype(self.select.dtype)
        return self._replace(select=self.select - mean, judge=self.judge - mean)

    def of(self, units: np.ndarray) -> "Halves":
        """The activity of some units."""
        return self._replace(select=self.select[..., units], judge=self.judge[..., units])

    @property
    def n_documents(self) -> int:
        """How many documents judge."""
        return int(self.document.max()) + 1

    def by_document(self, values: Float[np.ndarray, "k *rest"]) -> Float[np.ndarray, "documents *rest"]:
        """Sums over the passages of each document that judges."""
        sums = np.zeros((self.n_documents, *values.shape[1:]))
        np.add.at(sums, self.document, values)
        return sums


# ------------------------------------------------------------ the spectrum


class Law(NamedTuple):
    """A layer's spectrum and exponent on the half that judges, the exponent on the other, and the bend of the law.

    chosen: the exponent on the half that selects; bend: the exponent beyond the rank `at` less that below it, where
    `at` was found on the half that selects.
    """

    spectrum: spectra.Spectrum
    exponent: exponents.BlockExponent
    n_effective: float
    chosen: float
    bend: Estimate
    at: float


def law(halves: Halves) -> Law | None:
    """Return the law of a layer; None where it is dead by rounding or has too few units or independent rows."""
    rows = halves.judge.reshape(-1, halves.judge.shape[-1])
    sums = spectra.CovarianceSums.of(rows)
    covariance, mean = sums.scatter.numpy() / sums.count, sums.mean.numpy()
    variance = np.diag(covariance)
    size, eps = (variance + mean**2).mean(), np.finfo(rows.dtype).eps
    if variance.mean() < (FLOOR * eps) ** 2 * size:
        return None
    spectrum = sums.spectrum()
    try:
        return _law(halves, spectrum, covariance, mean, resolved=int((spectrum.eigenvalues > eps**2 * size).sum()))
    except ValueError:  # no decade of ranks, or of ranks that vary
        return None


def _law(halves: Halves, spectrum, covariance, mean, resolved: int) -> Law:
    n, m = spectrum.n_samples, spectrum.n_units
    first, last = spectra.fit_window(n, m)
    top = min(n, m) // 4  # no window goes farther
    along = (halves.judge - mean) @ linalg.eigh(covariance, subset_by_index=(m - top, m - 1))[1][:, ::-1]
    scores = along[..., first - 1 : last] / np.sqrt(spectrum.eigenvalues[first - 1 : last])
    n_effective, _ = exponents.effective_rows(list(scores), n, grouped=True)
    first, last = spectra.fit_window(exponents.worth(spectrum, n_effective).n_samples, m)
    last = min(last, resolved)
    ranks = np.arange(first, last + 1)
    squares = halves.by_document((along[..., first - 1 : last] ** 2).sum(1))
    count = halves.by_document(np.full(len(halves.judge), halves.judge.shape[1], dtype=float))
    found = exponents.block_exponent(spectrum, squares, count, n_effective, first, last)
    other = spectra.covariance_spectrum(halves.select.reshape(-1, m))
    chosen = exponents.corrected(other, n_effective, first, last).exponent
    at = broken_law.fit_broken(ranks, broken_law.straightened(exponents.worth(other, n_effective), ranks)).at
    straight = broken_law.straightened(exponents.worth(spectrum, n_effective), ranks)
    whole = np.log(spectrum.eigenvalues[first - 1 : last])
    parts = np.concatenate([squares, count[:, None]], axis=1)
    bend = intervals.jackknife(lambda s: broken_law.bend(ranks, straight + np.log(s[:-1] / s[-1]) - whole, at), parts)
    return Law(spectrum, found, n_effective, chosen, bend, at)


# ------------------------------------------------------------ smooth directions


def directions(select: Float[np.ndarray, "n t m"], n: int, n_candidates: int, rng) -> dict[str, np.ndarray]:
    """Return kind -> directions [m, n] of centred activity: random, of least energy of `n_candidates`, the smoothest.

    The smoothest is a single one.
    """
    scatter, covariance = traces.step_scatter(select), traces.covariance(select)
    return {
        "random": traces.least_energy(scatter, n, 1, rng),
        "minimum energy": traces.least_energy(scatter, n, n_candidates, rng),
        "smoothest": traces.smoothest(scatter, covariance)[1][:, None],
    }


def roughness(activity: Float[np.ndarray, "n t m"], chosen: dict[str, np.ndarray], halves: Halves | None = None):
    """Return the geometric mean roughness of each kind of directions, and its interval over documents if halves say.

    Centred activity. Without halves: one number for each kind, of all passages.
    """
    widths = [kind.shape[1] for kind in chosen.values()]
    values = activity @ np.concatenate(list(chosen.values()), axis=1)
    steps = (np.diff(values, axis=1) ** 2).mean(1)
    parts = np.stack([steps, values.mean(1), (values**2).mean(1), np.ones_like(steps)], axis=1)

    def by_kind(sums):
        step, mean, square = sums[:3] / sums[3]
        rough = np.log(step / (2 * (square - mean**2)))
        return np.array([part.mean() for part in np.split(rough, np.cumsum(widths)[:-1])])

    if halves is None:
        return np.exp(by_kind(parts.sum(0)))
    return Estimate(*map(np.exp, intervals.jackknife(by_kind, halves.by_document(parts))))


def kept_by_passage(activity: Float[np.ndarray, "n t m"], direction: Float[np.ndarray, "m 1"]) -> float:
    """Return the share of a trace's variance that lies between the means of passages."""
    trace = (activity @ direction)[..., 0]
    return float(trace.mean(1).var() / trace.var())


def nonlinear_share(stream: Halves, neurons: Halves) -> Estimate:
    """Return the share of neurons' held-out variance that no linear map from the stream tells: mean over neurons.

    Centred activity; every neuron that varies counts alike. A little ridge keeps the map from fitting noise.
    """
    live = neurons.select.std((0, 1)) > 0
    size = neurons.select.std((0, 1))[live]
    source, held = (part.reshape(-1, part.shape[-1]) for part in (stream.select, stream.judge))
    target = neurons.select[..., live].reshape(len(source), -1) / size
    gram = source.T.astype(float) @ source
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    coefficients = linalg.solve(gram, (source.T @ target).astype(float), assume_a="pos")
    actual = neurons.judge[..., live] / size
    missed = (actual - (held @ coefficients.astype(held.dtype)).reshape(actual.shape)) ** 2
    parts = np.stack([missed.sum(1, dtype=float), (actual**2).sum(1, dtype=float)], axis=1)
    return intervals.jackknife(lambda sums: (sums[0] / sums[1]).mean(), neurons.by_document(parts))


# ------------------------------------------------------------ what projections tell that neurons do not


class Told(NamedTuple):
    """What k neurons tell of each feature, and what k traces of each pool of POOLS add: shares of variance.

    base [feature] and added [pool, feature] on the half that judges; chosen [pool]: the mean of what is added on the
    half that selects; mean: `added`'s mean over features; more: minimum energy less each other pool, [pool].
    """

    base: Float[np.ndarray, " features"]
    added: Float[np.ndarray, "pools features"]
    chosen: Float[np.ndarray, " pools"]
    mean: Estimate
    more: Estimate


def told(stream: Halves, neurons: Halves, features: Halves, kinds: dict[str, np.ndarray], n_steps: int, rng) -> Told:
    """Return what projections of the stream tell of features beside the best neurons, and what further neurons do.

    Centred activity and features. All pools are of equal size, that of the directions in `kinds`, but the neurons
    chosen first are the best of all. Shuffled: as random, every row of the stream taken from another token.
    """
    rows = [part.reshape(-1, part.shape[-1]) for part in stream[:2]]
    order = [rng.permutation(len(part)) for part in rows]
    size = kinds["random"].shape[1]
    live = np.flatnonzero(neurons.select.std((0, 1)) > 0)
    drawn = rng.choice(live, min(size, len(live)), replace=False)
    flat = [part.reshape(-1, part.shape[-1]) for part in neurons[:2]]
    pools = {
        "minimum energy": [part @ kinds["minimum energy"].astype(part.dtype) for part in rows],
        "random": [part @ kinds["random"].astype(part.dtype) for part in rows],
        "further neurons": [part[:, drawn] for part in flat],
        "random, tokens shuffled": [
            part[place] @ kinds["random"].astype(part.dtype) for part, place in zip(rows, order, strict=True)
        ],
    }
    target, actual = (part.reshape(-1, part.shape[-1]).astype(float) for part in features[:2])
    first = pursuit.pursue(flat[0], target, n_steps)
    missed, chosen = [_missed(first, None, [flat[1]], target, actual)], []
    for name in POOLS:
        more = pursuit.pursue(pools[name][0], target, n_steps, first.taken)
        chosen.append((more.r2 - first.r2).mean())
        missed.append(_missed(first, more, [flat[1], pools[name][1]], target, actual))
    shape = (len(features.judge), features.judge.shape[1], -1)
    parts = np.stack([*missed, actual**2]).transpose(1, 0, 2).reshape(*shape[:2], len(missed) + 1, actual.shape[1])
    sums = features.by_document(parts.sum(1))
    share = 1 - sums.sum(0)[:-1] / sums.sum(0)[-1]

    def added(total):
        return ((total[0] - total[1:-1]) / total[-1]).mean(1)

    return Told(
        share[0],
        share[1:] - share[0],
        np.array(chosen),
        intervals.jackknife(added, sums),
        intervals.jackknife(lambda total: added(total)[0] - added(total), sums),
    )


def _missed(first: pursuit.Reading, more: pursuit.Reading | None, held, target, actual) -> np.ndarray:
    """Squared errors [row, feature] on held-out rows; held: those of the neurons and of the pool."""
    errors = []
    for k in range(target.shape[1]):
        fitted, seen = first.taken[k], held[0][:, first.places[k]]
        if more is not None:
            fitted = np.concatenate([fitted, more.taken[k]], axis=1)
            seen = np.concatenate([seen, held[1][:, more.places[k]]], axis=1)
        errors.append(pursuit.held_out_errors(fitted, target[:, k], seen, actual[:, k]))
    return np.stack(errors, axis=1)
