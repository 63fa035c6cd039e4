"""Two hidden layers: IP-11."""

import math

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.claims import Claim
from polysemanticity.incidental import toy_networks

HORIZON = 4.0  # λ · time of a training
STEP = 0.025
KINDS = {  # name -> ReLU on the hidden layers, l1 on weights (else activations), second matrix starts as identity
    "linear, l1 on weights": (False, True, False),
    "linear, l1 on activations": (False, False, False),
    "ReLU, l1 on weights": (True, True, False),
    "ReLU, l1 on activations": (True, False, False),
    "linear, l1 on weights, second layer starts as identity": (False, True, True),
}

FIGURES = {
    "figx_depth": (
        "Polysemantic neurons of the first and the second hidden layer against the number of neurons on logarithmic "
        "axes: linear layers lie far above the line n²/4m and fall more slowly, ReLU layers lie lower and fall steeply."
    ),
}

CLAIMS: dict[str, Claim] = {
    "IP-11": Claim(
        id="IP-11",
        claim="Each hidden layer of a deeper network has n²/4m polysemantic neurons",
        source="our check 1: the paper's argument applied to each of two layers",
        paper="silent: all its networks have one hidden layer",
        rule={
            "slope in m, first layer": (-1.25, -0.75),
            "slope in m, second layer": (-1.25, -0.75),
            "count ÷ exact count at the largest m, first layer": (0.7, 1.3),
            "count ÷ exact count at the largest m, second layer": (0.7, 1.3),
        },
        reason=(
            "Linear hidden layers, l1 on all weights, the case nearest to the paper's. The law would be the same line; "
            "a quarter on the slope and 30 % on the count are loose because few sizes are affordable. Not blind: a "
            "pilot of 12 networks at 16 features had shown three to six times the law's count at m = 4n."
        ),
    ),
}


def two_layers(*, seed: int, device: str, n_features: int, n_neurons: int, l1: float, n_seeds: int, kind: str) -> dict:
    """Shared neurons and their signs in both layers [layer, seed] of a tied network with two hidden layers.

    h₁ = φ(W₁ᵀx), h₂ = φ(W₂ᵀh₁), y = ReLU(W₁ φ(W₂ h₂)), all layers n_neurons wide, W₁ and W₂ from N(0, 1/n_neurons). l1
    is on W₁ and W₂, or on h₁ and h₂ as the paper has it (by its subgradient). A neuron is used by a feature that it
    answers with at least half the norm of the feature's encoding in its layer.
    """
    check(kind in KINDS, "kind", kind, f"one of {', '.join(KINDS)}")
    rectified, on_weights, identity = KINDS[kind]
    act = torch.relu if rectified else lambda values: values

    def encode(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        hidden = act(first)
        return hidden, act(hidden @ second)

    def loss(first: Tensor, second: Tensor) -> Tensor:
        encodings = encode(first, second)
        error = (act(encodings[1] @ second.mT) @ first.mT).relu() - torch.eye(n_features, device=first.device)
        tax = 0.0 if on_weights else l1 * sum(layer.abs().sum((-2, -1)) for layer in encodings)
        return error.square().sum((-2, -1)) + tax

    seeds = streams.batch_seeds(seed, n_seeds)
    first = incidental.initial_weights(n_features, n_neurons, seeds)
    second = incidental.initial_weights(n_neurons, n_neurons, [50_000 + k for k in seeds])
    second = torch.eye(n_neurons).expand_as(second) if identity else second
    trained = toy_networks.descend(
        loss,
        tuple(w.to(device=device, dtype=torch.float32) for w in (first, second)),
        l1=l1 if on_weights else 0.0,
        step=STEP,
        n_steps=math.ceil(HORIZON / l1 / STEP),
    )
    layers = [layer.cpu().numpy() for layer in encode(*trained)]
    output = (act(torch.from_numpy(layers[1]) @ trained[1].cpu().mT) @ trained[0].cpu().mT).relu()
    signs = [incidental.collision_signs(layer) for layer in layers]
    return {
        "count": np.array([incidental.polysemantic_neurons(layer) for layer in layers]),
        "same": np.array([sign.same for sign in signs]),
        "opposite": np.array([sign.opposite for sign in signs]),
        "kept": (output.diagonal(dim1=-2, dim2=-1) > 0.5).sum(-1).numpy(),
    }


def path_objective(l1: float, shared: bool) -> float:
    """Return the least loss with l1 per feature of one-hot paths through two linear layers, for l1 on the weights.

    A path is a weight a of W₁ and a weight b of W₂; its feature's output is a²b². Two features of opposite signs that
    share a path have a weight in W₁ each and the one of W₂ together: (1 − a²b²)² + l1 (a + b/2) for each, against
    (1 − a²b²)² + l1 (a + b) alone.
    """
    share = 0.5 if shared else 1.0

    def objective(weights):
        a, b = weights
        return (1 - (a * b) ** 2) ** 2 + l1 * (a + share * b)

    return float(optimize.minimize(objective, (1.0, 1.0), bounds=[(0.1, 3.0)] * 2).fun)
