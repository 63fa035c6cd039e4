"""Capacity of image components in small networks trained on photographs and digits (FC-14)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import fft
from torch import nn

from polysemanticity import capacity, intervals, ranks
from polysemanticity.base import streams
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import data, train

KINDS = ("photographs", "digits")
CAPACITY = "capacity C, mean over networks"

CLAIMS = {
    "FC-14": Claim(
        id="FC-14",
        claim=(
            "In networks trained on real images more important components get more capacity, more than random "
            "directions of the same lengths would, and at equal importance more with higher kurtosis"
        ),
        source="ours: the theory's ordering applied to real networks",
        paper="capacity follows importance; sharing pays with kurtosis",
        whose="ours",
        known="rule and result were in one commit",
        figure="figx_real_networks",
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


@dataclass(frozen=True)
class Settings:
    """Small networks of real images."""

    seeds: int = setting(4, "networks per data set trained on real images", low=2, smoke=2, paper=20)
    n_samples: int = setting(13_000, "patches of photographs", low=100, smoke=260, paper=130_000)
    n_steps: int = setting(1500, "Adam steps on real images", low=10, smoke=10, paper=20_000)
    n_dims: int = setting(16, "dimensions of the embedding of real images", low=2)


def data_sets(settings: Settings) -> list[dict]:
    """Return the configurations of `real_capacities`: photographs, then digits."""
    fixed = {"n_samples": settings.n_samples, "n_dims": settings.n_dims, "n_seeds": settings.seeds}
    return [{"name": kind, **fixed, "n_steps": settings.n_steps} for kind in KINDS]


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


def table(real: Results) -> pd.DataFrame:
    """Return capacity against importance of every component, with its kurtosis, trained and of random directions."""
    parts = []
    for config, result in real.pairs():
        for what, series, key in (("control", "random directions", "random"), ("measured", "trained", "capacity")):
            rows = {"what": what, "series": series, "images": config["name"]}
            rows |= {"importance [share of the variance]": result["importance"], "kurtosis": result["kurtosis"]}
            parts.append(pd.DataFrame({**rows, CAPACITY: result[key].mean(0)}))
    return pd.concat(parts)


def measured(real: Results, seed: int) -> Measured:
    """Return what decides FC-14; `seed` draws the bootstrap over components."""
    rng, quantities = streams.rng(seed, "bootstrap"), {}
    statistics = {
        "rank correlation of C with importance, ": lambda t: ranks.rank_correlation(t[:, 0], t[:, 2]),
        "the same less that of random directions, ": lambda t: (
            ranks.rank_correlation(t[:, 0], t[:, 2]) - ranks.rank_correlation(t[:, 1], t[:, 2])
        ),
        "partial rank correlation of C with kurtosis, ": lambda t: ranks.rank_correlation(t[:, 0], t[:, 3], t[:, 2]),
    }
    for config, r in real.pairs():
        columns = np.stack([r["capacity"].mean(0), r["random"].mean(0), r["importance"], r["kurtosis"]], -1)
        for name, statistic in statistics.items():
            quantities[name + config["name"]] = intervals.bootstrap(statistic, columns, rng, n=500)
    config = real.configs[0]
    return Measured(
        quantities,
        f"95 % bootstrap intervals over components; capacities are means over {config['n_seeds']} networks",
        f"{' and '.join(KINDS)}, cosine components of 8 × 8 images, D = {config['n_dims']}, "
        f"{config['n_seeds']} networks each, {config['n_steps']} steps",
        _levels(real),
    )


def _levels(real: Results) -> str:
    dims = real.configs[0]["n_dims"]
    total = [f"{c['name']} {r['capacity'].sum(-1).mean() / dims:.2f} (random "
             f"{capacity.random_efficiency(r['capacity'].shape[1], dims):.2f})" for c, r in real.pairs()]  # fmt: skip
    more = [f"{(r['capacity'].mean(0) - r['random'].mean(0)).max():.2f} ({c['name']})" for c, r in real.pairs()]
    return (
        f"Σ C/D {', '.join(total)}; up to {' and '.join(more)} more capacity than random directions of the same "
        "lengths, but in the same order."
    )
