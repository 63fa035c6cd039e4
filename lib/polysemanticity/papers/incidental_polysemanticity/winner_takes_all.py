"""Other ways to let one neuron win each feature, and whether they leave shared neurons: IP-14."""

import math
from collections.abc import Callable

import torch

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.incidental import toy_networks

STEP = 0.05
FIGURES = {
    "figx_winner_takes_all": (
        "Networks with different forces on the hidden layer, by participation of their codes and by the number of "
        "polysemantic neurons relative to the exact count. l1, a reward on the fourth norm and top-1 are sparse and "
        "share neurons; some forces are sparse without sharing; the others are neither."
    ),
}

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
    ),
}


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
    (weights,) = toy_networks.descend(objective, (start,), **options, also=(masks,))
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
