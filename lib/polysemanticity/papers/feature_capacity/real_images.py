"""Capacity of image components in small networks trained on photographs and digits (FC-14)."""

import math

import numpy as np
import torch
from scipy import fft
from torch import nn

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.networks import data, train

FIGURES = {
    "figx_real_networks": (
        "Capacity of image components in small networks against their importance, for photographs and digits, with "
        "random directions of the same lengths for comparison."
    ),
}


CLAIMS = {
    "FC-14": Claim(
        id="FC-14",
        claim=(
            "In networks trained on real images more important components get more capacity, more than random "
            "directions of the same lengths would, and at equal importance more with higher kurtosis"
        ),
        source="ours: the theory's ordering applied to real networks",
        paper="capacity follows importance; sharing pays with kurtosis",
        rule={
            "rank correlation of C with importance, photographs": (0.3, 1.0),
            "rank correlation of C with importance, digits": (0.3, 1.0),
            "the same less that of random directions, photographs": (0.0, math.inf),
            "the same less that of random directions, digits": (0.0, math.inf),
            "partial rank correlation of C with kurtosis, photographs": (0.0, 1.0),
            "partial rank correlation of C with kurtosis, digits": (0.0, 1.0),
        },
        reason=(
            "0.3 is a correlation one would notice. Random directions with the trained lengths already have more "
            "capacity where columns are longer, so only what exceeds them counts. At equal v < λ the exact law rises "
            "with kurtosis, so the sign is the prediction."
        ),
        corrected={
            "rank correlation of C with importance, photographs": (0.3, 1.0),
            "rank correlation of C with importance, digits": (0.3, 1.0),
        },
        correction="capacity follows importance, in the order that the lengths of the columns alone would give",
    ),
}


def _bottleneck(n_in: int, n_dims: int, n_hidden: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(n_in, n_dims, bias=False), nn.Linear(n_dims, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_in)
    )


def _reconstruction(model, x):
    return ((model(x) - x) ** 2).sum(-1).mean()


def components(name: str, n_samples: int, seed: int) -> np.ndarray:
    """Cosine components (DCT, without the constant) of 8 × 8 images [n, 63]: `photographs` (grey patches), `digits`."""
    if name == "digits":
        images = data.digits().pixels[:, 0].numpy()
    else:
        images = data.patches(data.photographs(), n_samples, 8, streams.rng(seed, "data")).pixels.mean(1).numpy()
    return fft.dctn(images, axes=(1, 2), norm="ortho").reshape(len(images), 64)[:, 1:]


def real_capacities(
    *, seed: int, device: str, name: str, n_samples: int, n_dims: int, n_seeds: int, n_steps: int
) -> dict:
    """Capacities [net, component] in the first layer of autoencoders of real images, columns times the input's size.

    Also of random directions with the trained lengths, and the importance (share of the variance) and kurtosis of
    every component. The network is linear to `n_dims` dimensions, then has one hidden layer of 128 ReLU.
    """
    x = components(name, n_samples, seed)
    x = x - x.mean(0)
    sigma = x.std(0)
    kept = sigma > 1e-3 * sigma.max()
    x, sigma = x[:, kept] / sigma.max(), sigma[kept] / sigma.max()
    found, random, rng = [], [], streams.rng(seed, "directions")
    for k in range(n_seeds):
        net = train.build(_bottleneck, seed=seed + k, device=device, n_in=len(sigma), n_dims=n_dims, n_hidden=128)
        sample = torch.tensor(x, dtype=torch.float32)
        options = {"batch_size": 128, "lr": 3e-3, "schedule": "cosine", "seed": seed + k}
        train.fit(net, _reconstruction, sample, n_steps=n_steps, **options)
        w = net[0].weight.detach().double().cpu().numpy() * sigma
        direction = rng.standard_normal((20, *w.shape))
        direction *= np.linalg.norm(w, axis=0) / np.linalg.norm(direction, axis=-2, keepdims=True)
        found.append(capacity.feature_capacity(w))
        random.append(capacity.feature_capacity(direction).mean(0))
    return {
        "capacity": np.array(found),
        "random": np.array(random),
        "importance": sigma**2 / (sigma**2).sum(),
        "kurtosis": (x**4).mean(0) / (x**2).mean(0) ** 2,
    }
