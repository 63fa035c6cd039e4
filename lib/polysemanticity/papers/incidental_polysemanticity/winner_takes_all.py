"""Other ways to let one neuron win each feature, and whether they leave shared neurons: IP-14."""

import math
from collections.abc import Callable

import pandas as pd
import torch

from polysemanticity import incidental, intervals
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.incidental import toy_networks
from polysemanticity.intervals import Estimate
from polysemanticity.papers.incidental_polysemanticity import causes, penalties

STEP = 0.05

# the prediction, made before the run: does a code become sparse, and do features share neurons?
PREDICTIONS = {
    "nothing": (False, False),
    "l1": (True, True),
    "reward on fourth norm": (True, True),
    "top-1": (True, True),
    "bipolar noise": (True, False),
    "softmax": (True, False),
    "layer norm": (False, False),
    "dropout": (False, False),
    "AdamW": (False, False),
}
ARMS = tuple(arm for arm in PREDICTIONS if arm != "bipolar noise")  # which hidden_noise trains

CLAIMS: dict[str, Claim] = {
    "IP-14": Claim(
        id="IP-14",
        claim="Other winner-take-all forces: codes become sparse only under a force that rotations of the hidden layer "
        "change; neurons are shared only if, besides, opposite signs on one neuron are free",
        source="open question 3; the prediction is ours",
        paper="l1 is one of several possible causes; open which others there are",
        rule={
            "participation, least of the arms predicted sparse": (0.5, math.inf),
            "participation, largest of the arms predicted dense": (-math.inf, 0.25),
            "count ÷ exact count, least of the arms predicted to share": (0.25, math.inf),
            "count ÷ exact count, largest of the arms predicted not to share": (-math.inf, 0.1),
        },
        reason=(
            "Participation 0.5 is two equal weights, 0.25 four, a Gaussian code 0.05. A quarter of the exact count is "
            "an effect of the size of l1's, a tenth is none. Predicted sparse: l1, bipolar noise, reward on the fourth "
            "norm, top-1, softmax; of these l1, reward and top-1 leave opposite signs free. Blind but for l1 and noise."
        ),
        whose="open question",
        known="the outcomes of l1 and of bipolar noise, two of the nine arms",
        figure="figx_winner_takes_all",
    ),
}


def forces(settings: penalties.Settings) -> list[dict]:
    """Return the configurations of `trained`, one for each of ARMS."""
    return [{"arm": arm, "l1": 0.05, "n_seeds": settings.n_seeds, **penalties.shape(settings)} for arm in ARMS]


def under_noise(settings: penalties.Settings, time: float) -> dict:
    """Return the configuration of `noise.noisy_counts` for the arm under bipolar noise, trained for some time."""
    shape = {"n_features": settings.n_features, "n_neurons": 2 * settings.n_features}
    return {**shape, "sigma": 0.1, "time": time, "n_seeds": min(16, settings.n_seeds)}


def codes(weights: torch.Tensor, arm: str) -> torch.Tensor:
    """Return the hidden activations [seed, feature, neuron] of the arm's network for one-hot inputs."""
    if arm == "reward on fourth norm":
        return torch.nn.functional.normalize(weights, dim=-1)
    if arm == "layer norm":
        return torch.nn.functional.normalize(weights - weights.mean(-1, keepdim=True), dim=-1)
    if arm == "softmax":  # logits start with variance 1
        return torch.softmax(math.sqrt(weights.shape[-1]) * weights, -1)
    if arm == "top-1":
        winner = torch.nn.functional.one_hot(weights.abs().argmax(-1), weights.shape[-1])
        return weights * winner
    return weights


def loss(arm: str, generator: torch.Generator, rate: float = 0.2, reward: float = 0.2) -> Callable:
    """Return the arm's loss of the weights, one number per network; dropout draws its masks from the generator."""

    def value(weights):
        code = codes(weights, arm)
        decoder = code if arm == "reward on fourth norm" else weights
        if arm == "dropout":
            kept = torch.rand(code.shape, generator=generator, device=code.device) >= rate
            code = code * kept / (1 - rate)
        output = (code @ decoder.mT).relu()
        target = torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)
        task = (output - target).square().sum((1, 2))
        return task - reward * code.square().square().sum((1, 2)) if arm == "reward on fourth norm" else task

    return value


def trained(
    *, seed: int, device: str, arm: str, l1: float, n_features: int, n_neurons: int, n_seeds: int, time: float
) -> dict:
    """Participation of the codes, norms, outputs, and shared neurons by signs, of each network of one arm."""
    start = incidental.initial_weights(n_features, n_neurons, streams.batch_seeds(seed, n_seeds)).float().to(device)
    options = {"step": STEP, "n_steps": round(time / STEP), "l1": l1 if arm == "l1" else 0.0}
    if arm == "AdamW":  # the published settings
        options |= {"n_steps": round(7500 * time / 150), "optimizer": lambda w: toy_networks.AdamW(w, lr=1e-3)}
    masks = streams.generator(seed, "dropout", device)
    objective = loss(arm, masks)
    (weights,) = toy_networks.proximal_descent(objective, (start,), **options, also=(masks,))
    code = codes(weights, arm).cpu()
    signs = incidental.collision_signs(code.numpy())
    return {
        "code": code[0].numpy(),
        "participation": toy_networks.participation(code).mean(-1).numpy(),
        "count": incidental.polysemantic_neurons(code.numpy()),
        "opposite": signs.opposite,
        "same": signs.same,
        "task": (loss("nothing", None)(weights) if arm == "l1" else objective(weights)).cpu().numpy(),
    }


def table(results: Results, noisy: Results) -> pd.DataFrame:
    """Return participation and count ÷ exact count of every force, and what was predicted of it."""
    words = {(True, True): "sparse and shared", (True, False): "sparse, not shared", (False, False): "dense"}
    sparse, shared = _readouts(results, noisy)
    rows = []
    for name in sparse:
        key = {"what": "measured", "force": name, "series": f"predicted: {words[PREDICTIONS[name]]}"}
        rows.append({**key, "quantity": "participation of the codes", **sparse[name].columns()})
        rows.append({**key, "quantity": "polysemantic neurons ÷ exact count", **shared[name].columns()})
    law = {"what": "corrected", "series": "exact count", "quantity": "polysemantic neurons ÷ exact count", "value": 1.0}
    return pd.DataFrame([*rows, law])


def by_force(results: Results, noisy: Results) -> pd.DataFrame:
    """Return for every force participation, count ÷ exact count, the signs of pairs that share, and the task's loss."""
    sparse, shared = _readouts(results, noisy)
    rows = []
    for name, force in _forces(results, noisy).items():
        opposite, same = (int(force[sign].sum()) if sign in force else None for sign in ("opposite", "same"))
        rows.append(
            {
                "force": name,
                "participation": sparse[name].value,
                "count ÷ exact count": shared[name].value,
                "pairs with opposite signs": "–" if same is None else f"{opposite} of {opposite + same}",
                "task loss": float(force["task"].mean()) if "task" in force else math.nan,
            }
        )
    return pd.DataFrame(rows)


def measured(results: Results, noisy: Results) -> Measured:
    """Return what decides IP-14."""
    sparse, shared = _readouts(results, noisy)
    quantities = {
        "participation, least of the arms predicted sparse": _least(sparse[a] for a in sparse if PREDICTIONS[a][0]),
        "participation, largest of the arms predicted dense": _largest(
            sparse[a] for a in sparse if not PREDICTIONS[a][0]
        ),
        "count ÷ exact count, least of the arms predicted to share": _least(
            shared[a] for a in shared if PREDICTIONS[a][1]
        ),
        "count ÷ exact count, largest of the arms predicted not to share": _largest(
            shared[a] for a in shared if not PREDICTIONS[a][1]
        ),
    }
    n_features, n_neurons, n_seeds = causes.sizes(results)
    return Measured(
        quantities,
        error=f"95 % t interval over {n_seeds} networks; counts: exact Poisson",
        scale=f"n = {n_features}, m = {n_neurons}, one feature at a time, {n_seeds} networks for each of {len(sparse)} "
        f"forces, {noisy.setting('n_seeds')[0]} under noise",
        note=f"n = {n_features}, m = {n_neurons}. "
        "Top-1 leaves same-sign pairs as well: without a tax nothing parts them.",
    )


def _forces(results: Results, noisy: Results) -> dict[str, dict]:
    """The results of every force by its name, that of bipolar noise last, counted by half of each row's norm."""
    by_noise = noisy[0] | {"count": noisy[0]["relative"]}
    return {**dict(zip(results.setting("arm"), results, strict=True)), "bipolar noise": by_noise}


def _readouts(results: Results, noisy: Results) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Participation of the codes, and polysemantic neurons ÷ exact count, of every force."""
    n_features, n_neurons, _ = causes.sizes(results)
    exact, found = incidental.expected_polysemantic(n_features, n_neurons), _forces(results, noisy)
    sparse = {name: intervals.mean(force["participation"]) for name, force in found.items()}
    counts = {name: force["count"] for name, force in found.items()}
    return sparse, {name: intervals.poisson(int(c.sum()), len(c) * exact) for name, c in counts.items()}


def _least(estimates) -> Estimate:
    return min(estimates, key=lambda estimate: estimate.low)


def _largest(estimates) -> Estimate:
    return max(estimates, key=lambda estimate: estimate.high)
