"""Where descent goes: stationary points, wrong minima, the order in which features enter (FC-07, FC-10)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from polysemanticity import capacity, intervals
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.capacity import landscape, quadratic
from polysemanticity.claims import Claim, Measured
from polysemanticity.papers.feature_capacity import phase_diagram

KURTOSES = (2.0, 3.0, 5.0, 10.0)  # of the search for stationary points; the figure shows the first and the last
SWEPT = (1.3, 1.6, 2.0, 2.3, 2.6, 2.8, 2.95, 3.05, 3.3, 4.0, 5.0, 7.0)  # of the count of wrong minima
WRONG = 1e-6  # relative loss above the best from which on a minimum is wrong
UNTIL = 60.0  # what the figure shows of the flow; nothing moves later
TIME, TOTAL, SHARE = "time [1/(4 a v₁)]", "Σ C", "share of starts in a wrong minimum"

CLAIMS = {
    "FC-07": Claim(
        id="FC-07",
        claim=(
            "Every stationary point of the quadratic model is block-semi-orthogonal with Σ C = rank; for kurtosis > 3 "
            "every minimum is global; there the spectrum is the monosemantic importances and a flat tail at the price"
        ),
        source="ours: landscape theorem",
        paper="not in the paper",
        rule={
            "largest |Σ C − rank| at stationary points": (-math.inf, 1e-6),
            "largest distance of a column from an eigenvector": (-math.inf, 1e-6),
            "share of starts in a wrong minimum, kurtosis > 3": (0.0, 0.01),
            "largest relative error of the predicted spectrum": (-math.inf, 1e-4),
        },
        reason=(
            "Theorems, so only what a search to a residual of 1e-12 leaves: its square root, 1e-6, where a stationary "
            "point is degenerate. A minimum is wrong if its loss is more than 1e-6 above the best; 1 % is what 500 "
            "starts without a failure can show. The loss is quadratic in an error of the spectrum, so a loss to 1e-8 "
            "fixes it to 1e-4."
        ),
        whose="ours",
        known="150 stationary points at each of the same kurtoses had sums of capacities within 1e-15 of integers",
        figure="figx_landscape",
    ),
    "FC-10": Claim(
        id="FC-10",
        claim=(
            "Under gradient flow from a small start features enter in order of importance, growing as exp(4 a v t), "
            "and between two entries the capacities sum to an integer"
        ),
        source="ours: dynamics",
        paper="not in the paper",
        rule={
            "share of starts with all entries in order": (0.95, 1.0),
            "growth rate ÷ 4av, feature farthest from 1": (0.95, 1.05),
            "mean |Σ C − integer| halfway between entries": (-math.inf, 0.05),
        },
        reason=(
            "Order can be upset by a lucky start, so 5 % may fail; rates are measured while squared lengths are below "
            "a hundredth of their end, where what is left out changes them by about as much, and 5 % is generous; 0.05 "
            "is the margin of our phases in trained autoencoders."
        ),
        whose="ours",
        known="rule and result were in one commit",
        figure="figx_order_of_entry",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Stationary points, wrong minima, gradient flow."""

    n_starts: int = setting(150, "starts of the search for stationary points, per kurtosis", low=4, smoke=6, paper=1000)
    n_problems: int = setting(
        64, "random importance lists and kurtoses of the landscape test", low=2, smoke=3, paper=500
    )
    n_flows: int = setting(128, "random starts of gradient flow", low=4, smoke=4)


def searches(settings: Settings) -> list[dict]:
    """Return the configurations of `stationary`: one for each kurtosis."""
    size = {"n_features": 6, "n_dims": 3, "n_starts": settings.n_starts}
    return [{"kurtosis": kurtosis, **size} for kurtosis in KURTOSES]


def problems_at_random(settings: Settings, models: phase_diagram.Settings) -> dict:
    """Return the configuration of `random_problems`."""
    return {"n_problems": settings.n_problems, **_size(models)}


def sweep_of_kurtosis(models: phase_diagram.Settings) -> dict:
    """Return the configuration of `wrong_minima`."""
    return {"kurtoses": SWEPT, "n_problems": 8, **_size(models)}


def _size(models: phase_diagram.Settings) -> dict:
    return {"n_features": 12, "n_dims": 4, "n_seeds": 8, "n_steps": models.n_steps}


def flows(settings: Settings) -> dict:
    """Return the configuration of `flow_from_small`."""
    size = {"decay": 0.6, "kurtosis": 5.0, "n_features": 8, "n_dims": 4, "duration": 150.0, "n_kept": 300}
    return {"n_seeds": settings.n_flows, **size}


def stationary(*, seed: int, device: str, kurtosis: float, n_features: int, n_dims: int, n_starts: int) -> dict:
    """Stationary points from random starts, importances 0.85^i: Σ C, rank, loss over the best, and whether minima."""
    v = 0.85 ** np.arange(n_features)
    shape = (n_starts, n_dims, n_features)
    start = torch.randn(shape, generator=streams.generator(seed, f"weights {kurtosis}"), dtype=torch.float64) * 0.7
    kappa = torch.full((n_starts,), kurtosis, dtype=torch.float64)
    found = landscape.stationary_points(start, torch.tensor(v), kappa)
    best = capacity.optimal_allocation(v, kurtosis, n_dims).loss
    return {
        "total": capacity.feature_capacity(found.weights).sum(-1).numpy(),
        "rank": (capacity.eigenvalues(found.weights) > 1e-8).sum(-1).numpy(),
        "off": landscape.eigenvector_error(found.weights).numpy(),
        "excess_loss": capacity.quadratic_loss(found.weights, v, kurtosis).numpy() / best - 1,
        "minimum": (found.curvature > -1e-8).numpy(),
        "converged": (found.residual < 1e-12).numpy(),
    }


def random_problems(
    *, seed: int, device: str, n_problems: int, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Models with random importances and kurtosis in (3.3, 100), trained, with the spectrum that theory predicts."""
    rng = streams.rng(seed, "problems")
    v = np.exp(rng.uniform(np.log(0.1), 0, (n_problems, n_features)))
    kurtosis = np.exp(rng.uniform(np.log(3.3), np.log(100), n_problems))
    result = quadratic.train_beside_optimum(
        v, kurtosis, n_dims, n_seeds, n_steps, streams.generator(seed, "weights problems", device)
    )
    predicted = [
        capacity.predicted_spectrum(*problem, n_dims)
        for problem in zip(v, result["optimum"], result["price"], strict=True)
    ]
    return result | {"predicted": np.array(predicted), "kurtosis": kurtosis}


def wrong_minima(
    *, seed: int, device: str, kurtoses, n_problems: int, n_features: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Relative loss over the best [kurtosis, problem, seed] for the same random importances at every kurtosis."""
    v = np.exp(streams.rng(seed, "importances").uniform(np.log(0.1), 0, (n_problems, n_features)))
    v = np.broadcast_to(v, (len(kurtoses), *v.shape))
    kappa = np.broadcast_to(np.reshape(kurtoses, (-1, 1)), v.shape[:-1])
    trained = quadratic.train_beside_optimum(
        v, kappa, n_dims, n_seeds, n_steps, streams.generator(seed, "weights wrong", device)
    )
    return {"excess_loss": trained["excess_loss"]}


def flow_from_small(
    *, seed: int, device: str, decay: float, kurtosis: float, n_features: int, n_dims: int, n_seeds: int,
    duration: float, n_kept: int,
) -> dict:  # fmt: skip
    """Gradient flow from weights of 1e-4: squared lengths, Σ C of features above 1e-3, losses, at every kept time."""
    generator = streams.generator(seed, "weights flow")
    start = torch.randn(n_seeds, n_dims, n_features, generator=generator, dtype=torch.float64) * 1e-4
    v = decay ** np.arange(n_features)
    flow = landscape.gradient_flow(start, torch.tensor(v), kurtosis, duration, n_kept, 10)
    norm = (flow.weights**2).sum(-2)
    total = capacity.feature_capacity(flow.weights * (norm > 1e-3)[..., None, :]).sum(-1)
    loss = capacity.quadratic_loss(flow.weights, v, kurtosis)
    return {"times": flow.times.numpy(), "norm": norm.numpy(), "total": total.numpy(), "loss": loss.numpy()}


# ------------------------------------------------------------ stationary points and wrong minima


def landscape_table(points: Results, swept: Results) -> pd.DataFrame:
    """Return stationary points by their loss and Σ C, and the share of starts in a wrong minimum by kurtosis."""
    parts = []
    for config, p in (pair for pair in points.pairs() if pair[0]["kurtosis"] in (KURTOSES[0], KURTOSES[-1])):
        for kind, chosen in (("saddle", p["converged"] & ~p["minimum"]), ("minimum", p["converged"] & p["minimum"])):
            one = {"series": f"κ = {config['kurtosis']:g}", "kind": kind, "kurtosis κ": config["kurtosis"]}
            at = {"loss above the best L/L* − 1": p["excess_loss"][chosen], "value": p["total"][chosen]}
            parts.append(pd.DataFrame({"what": "measured", "quantity": TOTAL, **one, **at}))
    wrong, kurtoses = swept[0]["excess_loss"] > WRONG, swept.configs[0]["kurtoses"]
    share = intervals.join([intervals.proportion(one.sum(), one.size) for one in wrong])
    trained = {"series": "trained", "quantity": SHARE, "kurtosis κ": kurtoses, **share.columns()}
    theory = {"series": "theory: none beyond 3", "quantity": SHARE, "kurtosis κ": [3.0, max(kurtoses)], "value": 0.0}
    return pd.concat(
        [*parts, *(pd.DataFrame(rows) for rows in ({"what": "measured", **trained}, {"what": "control", **theory}))]
    )


def measured_landscape(points: Results, problems: Results, swept: Results) -> Measured:
    """Return what decides FC-07."""
    found = {key: np.concatenate([p[key][p["converged"]] for p in points]) for key in points[0]}
    random, wrong = problems[0], swept[0]["excess_loss"] > WRONG
    off = random["excess_loss"] > WRONG
    spectrum = np.abs(random["eigenvalues"] / random["predicted"][:, None] - 1)
    quantities = {
        "largest |Σ C − rank| at stationary points": intervals.exact(np.abs(found["total"] - found["rank"]).max()),
        "largest distance of a column from an eigenvector": intervals.exact(found["off"].max()),
        "share of starts in a wrong minimum, kurtosis > 3": intervals.proportion(off.sum(), off.size),
        "largest relative error of the predicted spectrum": intervals.exact(spectrum.max()),
    }
    search, problem = points.configs[0], problems.configs[0]
    scale = (
        f"quadratic model: stationary points at N = {search['n_features']}, D = {search['n_dims']}, kurtosis "
        f"{', '.join(f'{k:g}' for k in points.setting('kurtosis'))}, {search['n_starts']} starts each; "
        f"{problem['n_problems']} random problems at N = {problem['n_features']}, D = {problem['n_dims']}, "
        f"{problem['n_seeds']} starts each"
    )
    note = (
        f"{(~found['minimum']).sum()} of the stationary points are saddles. Below kurtosis 3 up to "
        f"{wrong.mean((1, 2)).max():.0%} of starts end in a wrong minimum."
    )
    error = f"largest of {len(found['total'])} stationary points; 95 % binomial interval over {off.size} starts"
    return Measured(quantities, error, scale, note)


# ------------------------------------------------------------ the order of entry


def _read(flown: Results) -> tuple[dict, np.ndarray, np.ndarray]:
    """The flow, when its features enter [start, feature], and the importances."""
    (config,), (flow,) = flown.configs, flown
    v = config["decay"] ** np.arange(config["n_features"])
    return flow, landscape.entry_times(flow["times"], flow["norm"], v), v


def _rests(flown: Results) -> tuple[np.ndarray, np.ndarray]:
    """|Σ C − k|, and that to the nearest integer, halfway between the entries k and k + 1 [start, k]."""
    flow, entry, _ = _read(flown)
    return landscape.distance_from_integers(flow["times"], flow["total"], entry, flown.configs[0]["n_dims"])


def entry_table(flown: Results) -> pd.DataFrame:
    """Return the flow of one start, Σ C of all, when features enter, and where the claim judges Σ C."""
    flow, entry, _ = _read(flown)
    dims, some = flown.configs[0]["n_dims"], flow["times"] <= UNTIL
    times, total = flow["times"][some], flow["total"][some]
    low, high = np.quantile(total, [0.025, 0.975], axis=1)
    halfway = (entry[0, : dims - 1] + entry[0, 1:dims]) / 2
    judged = flow["total"][np.searchsorted(flow["times"], halfway), 0]
    rests = intervals.mean(_rests(flown)[0], axis=0)
    all_starts = {"series": f"median and 95 % of {total.shape[1]} starts", "quantity": TOTAL, TIME: times}
    parts = [
        *(_course(f"feature {i + 1}", "squared length n", times, flow["norm"][some, 0, i]) for i in range(dims + 2)),
        *(
            _course(f"feature {i + 1}", "half of its length", [entry[0, i]], flow["norm"][-1, 0, [i]] / 2)
            for i in range(dims)
        ),
        pd.DataFrame({**all_starts, "value": np.median(total, axis=1), "low": low, "high": high}),
        _course("one start", TOTAL, times, total[:, 0]),
        _course("judged, halfway between entries", "Σ C where it is judged", halfway, judged),
        _course("one start", "loss ÷ first loss", times, flow["loss"][some, 0] / flow["loss"][0, 0]),
    ]
    apart = {"series": "all starts", "quantity": "|Σ C − k| halfway between entries k and k + 1, mean over starts"}
    entries = pd.DataFrame({"entry k": np.arange(1, dims), **apart, **rests.columns()})
    return pd.concat([pd.concat(parts).assign(what="measured"), entries.assign(what="measured")])


def _course(series: str, quantity: str, times, values) -> pd.DataFrame:
    return pd.DataFrame({"series": series, "quantity": quantity, TIME: times, "value": values})


def measured_entry(flown: Results) -> Measured:
    """Return what decides FC-10."""
    flow, entry, v = _read(flown)
    ordered, (rests, nearest) = landscape.in_order(entry), _rests(flown)
    rates = landscape.growth_rates(flow["times"], flow["norm"]) / v
    farthest = max((intervals.mean(rate) for rate in rates.T), key=lambda e: abs(e.value - 1))
    quantities = {
        "share of starts with all entries in order": intervals.proportion(ordered.sum(), ordered.size),
        "growth rate ÷ 4av, feature farthest from 1": farthest,
        "mean |Σ C − integer| halfway between entries": max(map(intervals.mean, rests.T)),
        "the same to the nearest integer (not judged)": max(map(intervals.mean, nearest.T)),
    }
    config = flown.configs[0]
    return Measured(
        quantities,
        f"95 % binomial and t intervals over {config['n_seeds']} starts; the worst feature, the worst plateau",
        f"quadratic model under gradient flow, N = {config['n_features']} features of importance {config['decay']:g}^i "
        f"in D = {config['n_dims']} dimensions, κ = {config['kurtosis']:g}, {config['n_seeds']} starts",
        "Halfway between entries k and k + 1 the sum is often k + 1 already: capacity does not depend on length, so a "
        "feature counts fully while it is still short.",
    )
