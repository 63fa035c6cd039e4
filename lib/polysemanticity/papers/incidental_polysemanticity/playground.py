"""A small ensemble trained while one waits: what the sliders of the notebook move."""

import math
import warnings

import torch
from torch import Tensor

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.incidental import toy_networks

OPTIMIZERS = ("gradient flow", "AdamW")
MOST_STEPS = 900  # keeps a picture below a second


def ensemble(*, n_features: int, n_neurons: int, l1: float, noise: float, optimizer: str, n_seeds: int, seed: int = 0):
    """Return trained weights [seed, feature, neuron] of the paper's network, as an array; not kept in the store.

    Without noise the gradient flow is `incidental.train`'s. `noise` is the size of a fair coin's noise ±noise on every
    hidden neuron, drawn anew for every input and step; then, and for AdamW (rate 0.01, ten times the paper's, so that
    it ends in time), the network is trained by MOST_STEPS steps.
    """
    check(optimizer in OPTIMIZERS, "optimizer", optimizer, f"one of {', '.join(OPTIMIZERS)}")
    check(0 <= noise <= 1, "noise", noise, "a size from 0 to 1")
    seeds = streams.batch_seeds(seed, n_seeds)
    if noise == 0 and optimizer == "gradient flow":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", incidental.DyingFeatures)  # one sees them die
            return incidental.train(n_features, n_neurons, l1, seeds).weights
    start = incidental.initial_weights(n_features, n_neurons, seeds).float()
    source, target = streams.generator(seed, "noise"), torch.eye(n_features)

    def loss(weights: Tensor) -> Tensor:
        hidden = weights
        if noise:
            hidden = weights + noise * (2 * torch.randint(2, weights.shape, generator=source) - 1)
        return ((hidden @ weights.mT).relu() - target).square().sum((-2, -1))

    adaptive = (lambda weights: toy_networks.AdamW(weights, lr=0.01)) if optimizer == "AdamW" else None
    step = 0.5 / (4 * (1 + math.sqrt(n_features / n_neurons)) ** 2 + 4)
    (trained,) = toy_networks.proximal_descent(loss, (start,), step=step, n_steps=MOST_STEPS, l1=l1, optimizer=adaptive)
    return trained.numpy()
