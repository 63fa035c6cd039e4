"""One-dimensional traces of activity over the tokens of a text: how smooth they are, and how well tokens explain them.

Symbols: activity [context, T, m] of m units, a direction r of m weights, its trace y_t = a_t . r, steps dy_t =
y_{t+1} - y_t within a context, S the mean of da da^T over steps and C the covariance over tokens. A trace's energy is
r^T S r per step and its roughness r^T S r / (2 r^T C r): 1 for tokens in random order, near 0 for a smooth trace; one
minus the roughness is about the correlation of neighbours. Energy mixes smoothness with size: the direction of least
energy may be the smallest, not the smoothest.

The explainer stands in for a language model that reads activations: it knows the token, those before it, and the
position, and is scored as in Bills et al. 2023 by the correlation of its prediction with the activity of a text that
it was not fitted to.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, sparse

from polysemanticity.base.checks import check

FLAT = 1e-9  # of the largest variance, below which a direction is one of rounding


def step_scatter(activity: Float[np.ndarray, "context T m"]) -> Float[np.ndarray, "m m"]:
    """Return S, the mean of da da^T over all steps within contexts, in float64."""
    check(activity.shape[1] >= 2, "activity", activity.shape, "contexts of at least 2 tokens")
    steps = np.diff(activity, axis=1).reshape(-1, activity.shape[-1]).astype(float)
    return steps.T @ steps / len(steps)


def covariance(activity: Float[np.ndarray, "context T m"]) -> Float[np.ndarray, "m m"]:
    """Return C, the covariance of the activity over all tokens of all contexts (divided by n), in float64."""
    flat = activity.reshape(-1, activity.shape[-1]).astype(float)
    centred = flat - flat.mean(0)
    return centred.T @ centred / len(flat)


def quadratic(matrix: Float[np.ndarray, "m m"], directions: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " k"]:
    """Return r^T M r for every direction r, a column: the energy per step for S, the variance for C."""
    return ((matrix @ directions) * directions).sum(0)


def roughness(
    scatter: Float[np.ndarray, "m m"], covariance: Float[np.ndarray, "m m"], directions: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, " k"]:
    """Return r^T S r / (2 r^T C r) for every direction; raises ValueError for one whose trace does not vary."""
    variance = quadratic(covariance, directions)
    check(bool(np.all(variance > 0)), "directions", "one whose trace does not vary", "directions with some variance")
    return quadratic(scatter, directions) / (2 * variance)


def least_energy(
    scatter: Float[np.ndarray, "m m"], n_selected: int, n_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "m selected"]:
    """Return directions with entries of variance 1/m, each the one of least energy among `n_draws` random ones.

    The paper's procedure; one draw is no selection. The least of many is small on the text that chose it partly by
    chance: judge it on another.
    """
    check(n_selected >= 1, "n_selected", n_selected, "at least 1")
    check(n_draws >= 1, "n_draws", n_draws, "at least 1")
    m, kept = len(scatter), []
    for _ in range(n_selected):
        drawn = rng.standard_normal((m, n_draws)) / np.sqrt(m)
        kept.append(drawn[:, quadratic(scatter, drawn).argmin()])
    return np.stack(kept, axis=1)


def smoothest(
    scatter: Float[np.ndarray, "m m"], covariance: Float[np.ndarray, "m m"]
) -> tuple[float, Float[np.ndarray, " m"]]:
    """Return the least roughness of all directions, and the direction, of variance 1: S r = 2 rho C r.

    Directions whose variance is below FLAT of the largest, which rounding has left, take no part. The least is least
    on the text that S and C are of partly by chance: judge the direction on another. Raises ValueError for no variance.
    """
    variance, axes = linalg.eigh(covariance)
    check(variance[-1] > 0, "largest variance", variance[-1], "above 0")
    kept = variance > FLAT * variance[-1]
    whitening = axes[:, kept] / np.sqrt(variance[kept])
    value, direction = linalg.eigh(whitening.T @ scatter @ whitening, subset_by_index=(0, 0))
    return float(value[0] / 2), whitening @ direction[:, 0]


def shuffled(
    activity: Float[np.ndarray, "context T m"], rng: np.random.Generator, keep_position: bool = False
) -> Float[np.ndarray, "context T m"]:
    """Return the activity with its tokens in random order, over all contexts and positions, or only over contexts.

    Variances stay what they are; every trace becomes rough, but for what the position itself makes smooth if
    `keep_position`.
    """
    contexts, length, m = activity.shape
    if not keep_position:
        return activity.reshape(-1, m)[rng.permutation(contexts * length)].reshape(activity.shape)
    order = np.argsort(rng.random((contexts, length)), axis=0)
    return np.take_along_axis(activity, order[..., None], axis=0)


class Explainer:
    """Ridge regression of any trace on which token it is, which ones came before it, and the position.

    Each of these is one-hot: one coefficient for every token kind that the fitted text holds at that place, and one
    for every position, all shrunk by the same `penalty`: on its own, a token seen k times gets k / (k + penalty) of its
    mean deviation, one never seen gets none. The features depend on the tokens alone, so that one factorisation serves
    every trace of every layer. The first `skip` tokens of a context are known but not explained: traces begin after
    them, so `length` is T - skip. Cost: the cube of the number of coefficients, once.
    """

    def __init__(self, tokens: Int[np.ndarray, "context T"], penalty: float | int, n_before: int = 2, skip: int = 0):
        check(penalty > 0, "penalty", penalty, "above 0")
        check(n_before >= 0, "n_before", n_before, "at least 0 tokens")
        check(0 <= skip < tokens.shape[1], "skip", skip, f"0 to {tokens.shape[1] - 1} tokens")
        self.n_before, self.skip, self.length = n_before, skip, tokens.shape[1] - skip
        self.kinds = [np.unique(place[place >= 0]) for place in self._places(tokens)]
        features = self._features(tokens)
        self._mean = np.asarray(features.mean(0)).ravel()
        gram = (features.T @ features).toarray() - features.shape[0] * np.outer(self._mean, self._mean)
        gram[np.diag_indices_from(gram)] += penalty
        self._fitted, self._factor = features, linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)

    def _places(self, tokens) -> list[np.ndarray]:
        """The token at each place [context, length], the one before it, ...; -1 where a context has not begun."""
        padded = np.concatenate([np.full((len(tokens), self.n_before), -1), tokens], axis=1)
        starts = [self.n_before + self.skip - k for k in range(self.n_before + 1)]
        return [padded[:, start : start + self.length] for start in starts]

    def _features(self, tokens) -> sparse.csr_matrix:
        blocks = [_one_hot(place.ravel(), known) for place, known in zip(self._places(tokens), self.kinds, strict=True)]
        positions = np.tile(np.arange(self.length), len(tokens))
        return sparse.hstack([*blocks, _one_hot(positions, np.arange(self.length))], format="csr")

    def predict(
        self, traces: Float[np.ndarray, "context length k"], tokens: Int[np.ndarray, "others T"]
    ) -> Float[np.ndarray, "others length k"]:
        """Return what is expected at `tokens`, after a fit to the traces of the text given at the start.

        Raises ValueError for traces or tokens whose shape differs from that text's.
        """
        flat = traces.reshape(-1, traces.shape[-1]).astype(float)
        allowed = f"[context, {self.length}, k] with {self._fitted.shape[0]} tokens, as the text that was given"
        fits = traces.shape[1] == self.length and len(flat) == self._fitted.shape[0]
        check(fits, "shape of traces", traces.shape, allowed)
        expected = self.length + self.skip
        check(tokens.shape[1] == expected, "shape of tokens", tokens.shape, f"[context, {expected}]")
        centre = flat.mean(0)
        target = self._fitted.T @ (flat - centre)  # centred, so that the features' means drop out
        coefficients = linalg.cho_solve(self._factor, target, check_finite=False)
        predicted = self._features(tokens) @ coefficients + (centre - self._mean @ coefficients)
        return predicted.reshape(len(tokens), self.length, -1)


def _one_hot(values: np.ndarray, known: np.ndarray) -> sparse.csr_matrix:
    """One row for each value, all zero for a value that is not known."""
    column = np.searchsorted(known, values).clip(max=len(known) - 1)
    row = np.flatnonzero(known[column] == values)
    return sparse.csr_matrix((np.ones(len(row)), (row, column[row])), shape=(len(values), len(known)))


def explanation_scores(
    traces: Float[np.ndarray, "context T k"],
    predicted: Float[np.ndarray, "context T k"],
    n_contexts: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return for every trace its score on top and random contexts, and on all contexts.

    A score is the correlation of prediction and trace over tokens. Top-and-random (Bills et al. 2023): over the
    `n_contexts` contexts with the highest single value and as many others drawn at random. A trace or a prediction
    that does not vary scores 0.
    """
    n = len(traces)
    check(1 <= n_contexts <= n // 2, "n_contexts", n_contexts, f"1 to {n // 2}, half of the contexts")
    order = np.argsort(-traces.max(1), axis=0)  # [context, k]
    scores = []
    for k in range(traces.shape[-1]):
        others = rng.choice(order[n_contexts:, k], n_contexts, replace=False)
        chosen = np.concatenate([order[:n_contexts, k], others])
        scores.append(_correlation(traces[chosen, :, k], predicted[chosen, :, k]))
    whole = [_correlation(traces[..., k], predicted[..., k]) for k in range(traces.shape[-1])]
    return np.array(scores), np.array(whole)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(float) - x.mean(dtype=float), y.astype(float) - y.mean(dtype=float)
    size = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / size) if size > 0 else 0.0


def outlier_units(activity: Float[np.ndarray, "context T m"], factor: float | int) -> np.ndarray:
    """Return which units are outliers [m]: root mean square above `factor` times the median unit's."""
    size = np.sqrt((activity.reshape(-1, activity.shape[-1]).astype(float) ** 2).mean(0))
    return size > factor * np.median(size)
