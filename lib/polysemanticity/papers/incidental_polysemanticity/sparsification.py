"""How l1 makes one encoding sparse, and what trained weights look like: IP-01 and IP-02, after known truths."""

import itertools
import math

import numpy as np
import torch

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.incidental import winner

WINDOW = (0.01, 0.3)  # λ t over which the exponents of sparsification are fitted: past the start, tens of weights left
FIGURES = {
    "figx_winner": (
        "Left: sizes of forty weights of one encoding over time; all but the largest fall to zero one after the other, "
        "the largest rises to one, and points of plain descent lie on the exact lines. Right: weights against their "
        "initial sizes at five times, each a straight line cut off at a rising threshold."
    ),
    "figx_weights": (
        "Heatmaps of trained weights, features against neurons, for two numbers of features and a rising number of "
        "neurons: every row has one entry of plus or minus one; columns with two entries are marked and hold one of "
        "each sign."
    ),
    "fig2_sparsification": (
        "Three panels over time on logarithmic axes: number of live weights falling as the inverse square of time, l1 "
        "norm falling as its inverse, relative variance rising from 0.57 to about 1. The paper's curve for the number "
        "lies below the simulation, the corrected one on it."
    ),
}

_EXPONENT = (
    "The paper derives straight lines; 10 % of the exponent is far above the spread over seeds and below the distance "
    "to any other simple exponent. Fitted against 1/√m + λt, the variable of the paper's curves, for λt from 0.01 to "
    "0.3."
)

CLAIMS: dict[str, Claim] = {
    "IP-01": Claim(
        id="IP-01",
        claim=(
            "l1 makes every feature's encoding one-hot, and some neurons are polysemantic although there is one for "
            "each feature"
        ),
        source="sections 2.4 and 2.5",
        paper="rows end with one weight of about ±1; polysemantic neurons at m ≥ n",
        rule={
            "share of one-hot rows": (0.99, math.inf),
            "share of features kept": (0.99, math.inf),
            "polysemantic neurons at m = 2n": (1.0, math.inf),
        },
        reason=(
            "One-hot: one weight in the paper's window 0.8 to 1.2 and the others together below 1 % of it, integrated "
            "to the end; 1 row in 100 may fail. At m = 2n theory expects n/8 polysemantic neurons; one is the least "
            "that is not none."
        ),
    ),
    "IP-02": Claim(
        id="IP-02",
        claim=(
            "An encoding's l1 norm falls as 1/λt and the number m' of its live weights as 1/(λt)², with a relative "
            "variance of order one"
        ),
        source="section 2.4.2, Figure 2 (dynamics of sparsification)",
        paper="‖w‖₁ = 1/(1/√m + λt) and m' = ‖w‖₁², the dashed curves of the figure",
        rule={
            "exponent of ‖w‖₁": (-1.1, -0.9),
            "exponent of m'": (-2.2, -1.8),
            "‖w‖₁ ÷ paper's curve": (0.8, 1.25),
            "m' ÷ paper's curve": (0.8, 1.25),
            "least relative variance": (0.5, math.inf),
            "largest relative variance": (-math.inf, 2.0),
        },
        reason=_EXPONENT + " The curves are drawn, so a quarter is the most that reads as agreement on that figure.",
        corrected={
            "exponent of ‖w‖₁": (-1.1, -0.9),
            "exponent of m'": (-2.2, -1.8),
            "‖w‖₁ ÷ corrected curve": (0.9, 1.1),
            "m' ÷ corrected curve": (0.9, 1.1),
            "least relative variance": (0.5, math.inf),
            "largest relative variance": (-math.inf, 2.0),
        },
        correction=(
            "the exponents hold; m' = (1 + RV) ‖w‖₁², with the relative variance RV of a Gaussian's tail, without a fit"
        ),
    ),
}


def checks(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float) -> dict:
    """Second ways to known truths: autograd, smaller steps, enumeration, training without its short cuts."""
    weights = incidental.initial_weights(n_features, n_neurons, [seed]).requires_grad_()
    (slope,) = torch.autograd.grad(incidental.loss(weights, 0.0).sum(), weights)
    steps = (0.1, 0.01, 0.001)
    trained = incidental.slots(incidental.train(n_features, n_neurons, l1, streams.batch_seeds(seed, 8)).weights)
    late = incidental.train(n_features, n_neurons, l1, streams.batch_seeds(seed, 8), early=False)
    fine = incidental.train(n_features, n_neurons, l1, streams.batch_seeds(seed, 8), step=0.05, dtype=torch.float64)
    return {
        "gradient": float((slope - incidental.gradient(weights.detach())).abs().max()),
        "steps": np.array(steps),
        "exact": np.array([_simulation_error(weights.detach().numpy()[0, 0], l1, step) for step in steps]),
        "count": abs(incidental.expected_polysemantic(4, 3) - _enumerated(4, 3)),
        "same_without_early_end": float((trained == incidental.slots(late.weights)).mean()),
        "same_with_small_steps": float((trained == incidental.slots(fine.weights)).mean()),
    }


def trajectory(*, seed: int, device: str, n_neurons: int, l1: float, n_times: int = 200, step: float = 0.01) -> dict:
    """Every weight of one encoding over time: the exact solution, and plain descent along the library's gradient."""
    weights = incidental.initial_weights(1, n_neurons, [seed])[0]
    counts = np.unique(np.geomspace(10, 6 / (l1 * step), n_times).astype(int))
    descended = []
    for n_steps in np.diff(counts, prepend=0):
        for _ in range(n_steps):
            moved = weights - step * incidental.gradient(weights)
            weights = moved - moved.clamp(-step * l1, step * l1)
        descended.append(weights[0].numpy())
    start = incidental.initial_weights(1, n_neurons, [seed])[0, 0].numpy()
    exact = winner.winner_take_all(start, l1, counts * step)
    return {"time": counts * step, "exact": exact, "descended": np.array(descended)}


def course(*, seed: int, device: str, n_neurons: int, l1: float, n_times: int = 60) -> dict:
    """One encoding's sparsification up to λt = 3, in the paper's unit of time: simulated at dt = 0.5, and exact."""
    times = np.geomspace(1, 3 / l1, n_times)
    weights = streams.rng(seed, "weights").normal(0, 0.9 / math.sqrt(n_neurons), n_neurons)
    simulated = winner.simulate(weights, 4 * l1, times / 4)
    exact = winner.sparsity(simulated.time, winner.winner_take_all(weights, 4 * l1, simulated.time))
    result = {"time": 4 * simulated.time}
    for name, values in (("simulated", simulated), ("exact", exact)):
        result |= {f"{name}_{field}": getattr(values, field) for field in ("l1_norm", "n_alive", "relative_variance")}
    return result


def weight_map(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int) -> dict:
    """Trained weights of the first network, and what its rows and neurons look like over all; integrated to the end."""
    trained = incidental.train(
        n_features, n_neurons, l1, streams.batch_seeds(seed, n_seeds), early=False, device=device
    )
    size = np.abs(trained.weights).max(-1)
    one_hot = (trained.residual < 0.01) & (size > 0.8) & (size < 1.2)
    return {
        "weights": trained.weights[0],
        "one_hot": one_hot.sum(1),
        "kept": (~trained.dead).sum(1),
        "count": incidental.polysemantic_neurons(trained.weights),
    }


def ordered(weights) -> tuple[np.ndarray, int]:
    """Return weights [feature, neuron] as a staircase of the neurons in use, and how many are shared: those first."""
    neuron = np.abs(weights).argmax(1)
    users = np.bincount(neuron, minlength=weights.shape[1])
    used = np.flatnonzero(users)
    columns = used[np.argsort(-users[used], kind="stable")]
    place = np.empty(weights.shape[1], dtype=int)
    place[columns] = np.arange(len(columns))
    largest = weights[np.arange(len(weights)), neuron]
    rows = np.lexsort((largest < 0, place[neuron]))
    return weights[rows][:, columns], int((users > 1).sum())


def exponents(time, l1_norm, n_alive, n_neurons: int, l1: float) -> tuple[float, float]:
    """Return the exponents of ‖w‖₁ and m' in 1/√m + λt, the variable of the paper's curves, over λt in WINDOW."""
    inside = (l1 * time >= WINDOW[0]) & (l1 * time <= WINDOW[1])
    x = np.log(1 / math.sqrt(n_neurons) + l1 * time[inside])
    first, second = (np.polyfit(x, np.log(y[inside]), 1)[0] for y in (l1_norm, n_alive))
    return float(first), float(second)


def _simulation_error(encoding: np.ndarray, l1: float, step: float) -> float:
    """Largest relative error of ‖w‖₁ of a simulation against the exact solution at the same times."""
    simulated = winner.simulate(encoding, l1, np.geomspace(0.1, 1 / l1, 12), step=step)
    exact = winner.sparsity(simulated.time, winner.winner_take_all(encoding, l1, simulated.time))
    return float(np.abs(simulated.l1_norm / exact.l1_norm - 1).max())


def _enumerated(n_features: int, n_neurons: int) -> float:
    """Mean number of neurons with two features over every way to give features different slots (neuron, sign)."""
    ways = itertools.permutations(range(2 * n_neurons), n_features)
    shared = [sum(len([slot for slot in way if slot % n_neurons == k]) > 1 for k in range(n_neurons)) for way in ways]
    return float(np.mean(shared))
