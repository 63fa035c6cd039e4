"""Every architecture returns embeddings, and the ReLU autoencoder digons."""

import pytest

from lib import geometry
from lib.papers.feature_capacity import architectures


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
