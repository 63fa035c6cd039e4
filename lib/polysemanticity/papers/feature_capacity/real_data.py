"""Capacity of the principal components of real data in the quadratic model: digits, photographs, text (FC-14)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import landscape, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import data

DATA = ("digits", "photographs", "text")
WINDOW = 20  # words of a sample of text
N_WORDS = 128  # the most frequent words, which are counted
INDEPENDENT, SIGNS, REAL = quadratic.ARRANGEMENTS
PREDICTED, TRAINED, RANDOM = "predicted for independent features", "trained", "random directions of the same lengths"
RANK, CAPACITY = "rank by importance", "capacity C"
KNOWN = "30 components in 8 dimensions, with seeds 777 and 778, were looked at first"

CLAIMS = {
    "FC-14a": Claim(
        id="FC-14a",
        claim="With independent features that have the laws of real data, capacities are those of the exact optimum",
        source="the paper's model and its optimal allocation, at measured importance and kurtosis",
        paper="the optimum depends on importance and kurtosis only, whatever the law of a feature",
        whose="implied",
        known=f"{KNOWN}: an rms of 0.02 and less",
        figure="figx_real_networks",
        rule={f"rms of C − predicted C, {name}": (-math.inf, 0.05) for name in DATA},
        reason=(
            "0.05 is the margin at which we call a feature represented; random directions miss by several times as "
            "much. Each data set is judged by itself."
        ),
    ),
    "FC-14b": Claim(
        id="FC-14b",
        claim="On real data, whose features are uncorrelated but not independent, the same prediction holds",
        source="ours: the paper assumes independent features",
        paper="not in the paper",
        whose="ours",
        known=f"{KNOWN}: about 0.4 for photographs, above 1 for the others",
        gate="held-out R² at least that of the best linear code, the first D principal components",
        figure="figx_real_networks",
        rule={f"rms of C − predicted C ÷ that of random directions, {name}": (-math.inf, 0.5) for name in DATA},
        reason=(
            "Random directions of the trained lengths know nothing but lengths; a theory of directions should leave at "
            "most half of their error. Each data set is judged by itself."
        ),
    ),
    "FC-14c": Claim(
        id="FC-14c",
        claim="Dependent signs let real data share more features than the same data do with signs at random",
        source="ours",
        paper="not in the paper",
        whose="ours",
        known=f"{KNOWN}: about 19, 4 and 10 features more",
        gate="held-out R² at least that of the best linear code, the first D principal components",
        figure="figx_real_networks",
        rule={f"shared features as they are − with signs at random, {name}": (3, math.inf) for name in DATA},
        reason=(
            "An intervention: signs at random leave the sizes of all features together, and so every E x_i² x_j². "
            "Three features are one in thirteen. Signs are not all: sizes depend on each other as well (FC-14d)."
        ),
    ),
    "FC-14d": Claim(
        id="FC-14d",
        claim="With signs at random capacities differ from those of independent features, because sizes depend on each "
        "other; as many features share as the exact loss with all E x_i² x_j² says",
        source="ours: the quadratic loss of correlated activity",
        paper="not in the paper",
        whose="ours",
        known=f"{KNOWN}: differences of up to 2, and errors 200, 5 and 13 times as large",
        figure="figx_real_networks",
        rule={f"shared features with signs at random − of the exact loss, {name}": (-3, 3) for name in DATA}
        | {f"rms of C − predicted C, signs at random ÷ independent, {name}": (1.5, math.inf) for name in DATA},
        reason=(
            "Half as much error again is more than networks scatter. The loss with E x_i² x_j² is exact for random "
            "signs, but has several minima, so means over starts are compared. Three features are one in thirteen."
        ),
    ),
}


@dataclass(frozen=True)
class Settings:
    """Quadratic models of real data."""

    seeds: int = setting(6, "models of each arrangement of real data", low=2, smoke=2, paper=24)
    n_samples: int = setting(16_000, "patches of photographs", low=100, smoke=260, paper=130_000)
    n_steps: int = setting(2500, "Adam steps on real data", low=10, smoke=10, paper=20_000)
    n_features: int = setting(40, "principal components N of real data", low=4, smoke=8)
    n_dims: int = setting(10, "dimensions D of their embedding", low=2, smoke=3)


def data_sets(settings: Settings) -> list[dict]:
    """Return the configurations of `real_capacities`: digits, photographs, text."""
    fixed = {"n_samples": settings.n_samples, "n_features": settings.n_features, "n_dims": settings.n_dims}
    return [{"name": name, **fixed, "n_seeds": settings.seeds, "n_steps": settings.n_steps} for name in DATA]


def samples(name: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return real data [samples, 64 or 128] in random order: `digits` (1,797, pixels), `photographs` (grey patches of
    8 × 8 pixels) or `text` (how often each of the 128 most frequent words is among 20)."""
    check(name in DATA, "name", name, f"one of {', '.join(DATA)}")
    if name == "text":
        from sklearn.feature_extraction.text import CountVectorizer

        words = data.english_text().lower().split()
        windows = [" ".join(words[i : i + WINDOW]) for i in range(0, len(words) - WINDOW, WINDOW)]
        found = CountVectorizer(max_features=N_WORDS).fit_transform(windows).toarray()
    elif name == "digits":
        found = data.digits().pixels[:, 0].flatten(1).numpy()
    else:
        found = data.patches(data.photographs(), n_samples, 8, rng).pixels.mean(1).flatten(1).numpy()
    return rng.permutation(found.astype(float))


def components(found: np.ndarray, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first principal components of the first three quarters of some samples [train, N], the same
    directions of the rest [test, N], both in units of their standard deviations, and the variances [N]; descending."""
    first = found[: 3 * len(found) // 4]
    variance, direction = np.linalg.eigh(np.cov(first.T, bias=True))
    variance, direction = variance[::-1][:n_features], direction[:, ::-1][:, :n_features]
    scores = (found - first.mean(0)) @ direction / np.sqrt(variance)
    return scores[: len(first)], scores[len(first) :], variance


def real_capacities(
    *, seed: int, device: str, name: str, n_samples: int, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Capacities in quadratic models of real data, trained on them with more or less of their dependence, and what the
    exact loss predicts.

    The features are principal components in units of their standard deviations; the target is Σ v_i x_i² with v_i the
    share of the variance. Keys, [arrangement, net, N]: `capacity`, `random` (mean of 20 draws of directions with the
    trained lengths); [N]: `predicted` (best of the exact optima for independent features), `permuted` (kurtoses given
    to other features), `importance`, `kurtosis`; [start, N]: `exact`, minima of the loss with all E x_i² x_j² from
    random starts; `range` [2, N] of random directions; of models trained on real data, on held-out samples, [net]:
    `r2`, `sign_cost` (loss with signs at random ÷ loss); `r2_alone` of the first D components.
    """
    rng = streams.rng(seed, f"components {name}")
    train, test, variance = components(samples(name, n_samples, rng), n_features)
    v, kurtosis = variance / variance.max(), (train**4).mean(0)
    optimum, exact, permuted = _optima(v, train, n_dims, rng, streams.generator(seed, f"exact {name}"))
    generator, drawn = streams.generator(seed, f"weights {name}", device), torch.tensor(train, dtype=torch.float32)
    of = [
        quadratic.train_quadratic_on_data(drawn, torch.tensor(v), kind, n_dims, n_seeds, generator, n_steps)
        for kind in quadratic.ARRANGEMENTS
    ]
    w = torch.stack(of).double().cpu().numpy()
    random = rng.standard_normal((20, *w.shape))
    random *= np.linalg.norm(w, axis=-2)[..., None, :] / np.linalg.norm(random, axis=-2, keepdims=True)
    random = capacity.feature_capacity(random)
    scrambled = np.tile(test, (10, 1)) * rng.choice([-1, 1], (10 * len(test), n_features))
    loss, alone = _loss(w[-1], v, test), np.eye(n_features)[:n_dims] * np.sqrt(v)
    return {
        "capacity": capacity.feature_capacity(w),
        "random": random.mean(0),
        "range": np.quantile(random[:, -1], [0.025, 0.975], axis=(0, 1)),
        "predicted": optimum,
        "exact": exact,
        "permuted": permuted,
        "importance": v / v.sum(),
        "kurtosis": kurtosis,
        "r2": 1 - loss / np.var(test**2 @ v),
        "r2_alone": 1 - _loss(alone, v, test) / np.var(test**2 @ v),
        "sign_cost": _loss(w[-1], v, scrambled) / loss,
    }


def _optima(v, x, n_dims, rng, generator, n_starts=12, n_steps=2000):
    """Capacities of the exact optimum for independent features, of minima with E x_i² x_j², of permuted kurtoses."""
    squares = (x**2).T @ x**2 / len(x)
    kurtoses = (np.diag(squares), rng.permutation(np.diag(squares)))
    independent, permuted = (np.diag(kurtosis - 1) + 1 for kurtosis in kurtoses)
    moments = torch.tensor(np.stack([independent, squares, permuted]))
    importance = torch.tensor(v).expand(3, -1)
    w = landscape.train_correlated(importance, moments, n_dims, n_starts, generator, n_steps)
    best = landscape.correlated_loss(w, importance[:, None], moments[:, None]).argmin(1)
    c = capacity.feature_capacity(w).numpy()
    return c[0, best[0]], c[1], c[2, best[2]]


def _loss(w, v, x):
    """Variance of the error of Σ v_i x_i² by |W x|², which is the loss with the best constant, for W [..., D, N]."""
    return np.var(x**2 @ v - ((x @ w.swapaxes(-1, -2)) ** 2).sum(-1), axis=-1)


def table(real: Results) -> pd.DataFrame:
    """Return capacity against rank by importance: trained, predicted, and of random directions, of every data set with
    independent features and as they are."""
    parts = []
    for config, result in real.pairs():
        for place, arrangement in ((0, INDEPENDENT), (2, REAL)):
            where = {"data": config["name"], "features": arrangement, RANK: np.arange(config["n_features"]) + 1}
            where |= {"importance [share of the variance]": result["importance"], "kurtosis": result["kurtosis"]}
            c = result["capacity"][place]  # [net, N]
            series = {
                ("control", RANDOM): (result["random"][place].mean(0), *result["range"]),
                ("paper", PREDICTED): (result["predicted"], np.nan, np.nan),
                ("measured", TRAINED): (c.mean(0), c.min(0), c.max(0)),
            }
            for (what, name), (value, low, high) in series.items():
                rows = {"what": what, "series": name, **where, CAPACITY: value, "low": low, "high": high}
                parts.append(pd.DataFrame(rows))
    return pd.concat(parts)


def _rms(c: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.sqrt(((c - expected) ** 2).mean(-1))


def _shared(c: np.ndarray) -> np.ndarray:
    return ((c > 0.05) & (c < 0.95)).sum(-1)


def measured_independent(real: Results) -> Measured:
    """Return what decides FC-14a; random directions, D features alone and permuted kurtoses are not judged."""
    quantities, controls = {}, {}
    for config, result in real.pairs():
        c, name = result["capacity"][0], config["name"]
        alone = (np.arange(config["n_features"]) < config["n_dims"]).astype(float)
        quantities[f"rms of C − predicted C, {name}"] = intervals.mean(_rms(c, result["predicted"]))
        others = {"random directions": result["random"][0], "permuted kurtoses": result["permuted"]}
        for control, expected in {**others, "the first D alone": alone}.items():
            controls[f"the same from {control}, {name}"] = intervals.mean(_rms(c, expected))
    return _measured(real, quantities | controls, "Features are drawn one by one from real laws.")


def measured_real(real: Results) -> Measured:
    """Return what decides FC-14b; its gate leaves out models that predict less than the best linear code."""
    quantities, counts = {}, []
    for config, result in real.pairs():
        c, random, expected = result["capacity"][2], result["random"][2], result["predicted"]
        name = f"rms of C − predicted C ÷ that of random directions, {config['name']}"
        quantities[name] = _mean(result, _rms(c, expected) / _rms(c, random))
        counts.append(f"{_shared(c).mean():.0f} for {_shared(expected)} ({config['name']})")
    return _measured(real, quantities, f"Shared features found for those predicted: {', '.join(counts)}.")


def measured_signs(real: Results) -> Measured:
    """Return what decides FC-14c; how much the loss rises when signs are drawn at random is not judged."""
    quantities, costs = {}, {}
    for config, result in real.pairs():
        shared = _shared(result["capacity"])  # [arrangement, net]
        name = f"shared features as they are − with signs at random, {config['name']}"
        quantities[name] = intervals.gated(
            _passed(result), lambda good, all_=shared: intervals.difference(all_[2][good], all_[1], grain=1)
        )
        cost = f"held-out loss with signs at random ÷ loss, {config['name']}"
        costs[cost] = _mean(result, result["sign_cost"])
    note = "Models of real data lose when signs are drawn at random: they use interference that can be predicted."
    return _measured(real, quantities | costs, note)


def measured_squares(real: Results) -> Measured:
    """Return what decides FC-14d."""
    quantities = {}
    for config, result in real.pairs():
        name = f"shared features with signs at random − of the exact loss, {config['name']}"
        quantities[name] = intervals.difference(_shared(result["capacity"][1]), _shared(result["exact"]), grain=1)
        errors = [_rms(c, result["predicted"]) for c in result["capacity"][:2]]
        name = f"rms of C − predicted C, signs at random ÷ independent, {config['name']}"
        quantities[name] = intervals.ratio_of_means(errors[1], errors[0])
        gap = _rms(result["capacity"][1], result["exact"].mean(0))
        quantities[f"rms of C − mean C of the exact loss, signs at random, {config['name']}"] = intervals.mean(gap)
    return _measured(real, quantities, "The exact loss is minimised from 12 random starts.")


def _mean(result: dict, values: np.ndarray) -> intervals.Estimate:
    return intervals.gated(_passed(result), lambda good: intervals.mean(values[good]))


def _passed(result: dict) -> np.ndarray:
    return result["r2"] >= result["r2_alone"]


def _measured(real: Results, quantities: dict, note: str) -> Measured:
    config = real.configs[0]
    ranges = (f"{c['name']} {r['kurtosis'].min():.1f} to {r['kurtosis'].max():.0f}" for c, r in real.pairs())
    return Measured(
        quantities,
        f"95 % t intervals over {config['n_seeds']} models of each data set",
        f"quadratic models of the first {config['n_features']} principal components in {config['n_dims']} dimensions, "
        f"{config['n_steps']} steps; kurtosis: {', '.join(ranges)}",
        note,
    )
