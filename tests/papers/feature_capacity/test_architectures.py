"""Every architecture returns embeddings, and the ReLU autoencoder digons."""

import numpy as np
import pytest
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import geometry, quadratic
from polysemanticity.papers.feature_capacity import architectures


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("model", ["quadratic", "relu"])
def test_architectures_return_weights_per_density_and_start(model):
    config = {"decay": 1.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 600, "batch": 64}
    w = work(architectures.train_architecture, model=model, densities=(0.3, 0.1), **config)["weights"]
    assert w.shape == (2, 2, 2, 4)
    shape = geometry.block_geometry(w)
    assert shape.blocks.shape == (2, 2) and (shape.efficiency <= 1 + 1e-9).all()
    if model == "relu":
        assert (shape.digons[0] == 1).all() and (shape.size[0] == 2).all()


def phases(weights):
    """Mono-, polysemantic and ignored features, means over starts, by the thresholds of the reference table."""
    share = capacity.feature_capacity(weights)
    length = np.square(weights).sum(axis=-2)
    ignored = (share < 0.05) | (length < 0.05 * length.max(axis=-1, keepdims=True))
    mono = ~ignored & (share > 0.95)
    return np.stack([mono, ~ignored & ~mono, ignored]).sum(axis=-1).mean(axis=-1).T


# mono, polysemantic, ignored of 20 features in 5 dimensions, importance 0.9^i: the settings where independent runs agree
ARCHITECTURES = {
    "linear": {0.2: (5, 0, 15)},
    "tanh": {0.2: (5, 0, 15)},
    "gelu": {0.1: (0, 10, 10)},
    "relu": {0.2: (0, 10, 10)},
}


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_trained_architectures_share_features_as_independent_runs_did(model):
    table = ARCHITECTURES[model]
    config = {"decay": 0.9, "n_features": 20, "n_dims": 5, "n_seeds": 2, "n_steps": 2500, "batch": 256}
    w = work(architectures.train_architecture, model=model, densities=tuple(table), **config)["weights"]
    assert phases(w) == pytest.approx(np.array(list(table.values())), abs=1)


@pytest.mark.parametrize(
    ("density", "table"), [(1.0, (5, 0, 15)), (0.5, (3, 5, 12)), (0.4, (0, 11, 9)), (0.2, (0, 20, 0))]
)
def test_the_quadratic_optimum_shares_features_as_tabulated(density, table):
    share = capacity.optimal_allocation(0.9 ** (np.arange(20) / 2), 1.8 / density, 5).capacity
    mono, ignored = (share > 0.999).sum(), (share < 0.001).sum()
    assert (mono, 20 - mono - ignored, ignored) == table


@pytest.mark.parametrize(
    ("n", "dims", "decay", "kurtosis", "block", "singletons"),
    [
        (30, 8, 1.0, 10.0, (30, 8), 0),
        (40, 10, 1.0, 10.0, (40, 10), 0),
        (20, 5, 1.0, 10.0, (20, 5), 0),
        (40, 10, 0.9, 10.0, (14, 5), 5),
        (40, 10, 0.9, 30.0, (26, 8), 2),
    ],
)
def test_quadratic_models_have_the_tabulated_block(n, dims, decay, kurtosis, block, singletons):
    v = torch.tensor(decay ** np.arange(n))[None]
    trained = quadratic.train_quadratic(v, torch.tensor([kurtosis]).double(), dims, 2, streams.generator(0, "blocks"))
    for weights in trained.weights[0].numpy():
        found = sorted(((len(b.features), b.dims) for b in capacity.blocks(weights, 0.05, 1e-3)), reverse=True)
        assert found == [block] + [(1, 1)] * singletons


def test_relu_autoencoders_have_the_tabulated_blocks():
    config = {"n_seeds": 2, "n_steps": 2500, "batch": 256}
    w = work(
        architectures.train_architecture, model="relu", densities=(0.3,), decay=1.0, n_features=20, n_dims=10, **config
    )
    for weights in w["weights"][0]:
        assert [(len(b.features), b.dims) for b in capacity.blocks(weights)] == [(2, 1)] * 10
    w = work(
        architectures.train_architecture, model="relu", densities=(0.02,), decay=0.9, n_features=20, n_dims=5, **config
    )
    assert phases(w["weights"]) == pytest.approx(np.array([(0, 18, 2)]), abs=1)
    for weights in w["weights"][0]:
        (block,) = capacity.blocks(weights)
        assert 17 <= len(block.features) <= 20 and block.dims == 5
