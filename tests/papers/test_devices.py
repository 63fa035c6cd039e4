"""Workers that use the device keep all their tensors on it: tried on a pretended CUDA, which raises where CUDA would."""

import numpy as np
import pytest
import torch
from pretended_cuda import OnCuda, pretended

from polysemanticity.base import streams
from polysemanticity.papers.feature_capacity import design
from polysemanticity.papers.incidental_polysemanticity import collisions

MODEL = {"decay": 0.8, "kurtosis": 8.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 4}
WORKERS = {
    "quadratic models with a penalty": (design.penalised, {**MODEL, "penalties": (0.5, 3.0)}),
    "ReLU autoencoders with a penalty": (
        design.penalised_relu,
        {"penalties": (0.0, 1.0), "density": 0.2, "decay": 0.7, "n_features": 4, "n_dims": 2, "n_seeds": 2,
         "n_steps": 4, "batch": 16, "n_test": 32},
    ),
    "the count by gradient flow": (collisions.count, {"n_features": 4, "n_neurons": 8, "l1": 0.1, "n_seeds": 2}),
    "the count by AdamW": (
        collisions.count, {"n_features": 4, "n_neurons": 8, "l1": 0.01, "n_seeds": 2, "method": "adamw"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKERS)
def test_worker_stays_on_its_device(monkeypatch, name):
    worker, config = WORKERS[name]
    with pretended(monkeypatch):
        there = worker(seed=0, device="cuda", **config)
    monkeypatch.undo()
    here = worker(seed=0, device="cpu", **config)
    assert there.keys() == here.keys()
    for key, value in here.items():
        np.testing.assert_allclose(there[key], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: torch.ones(2, device="cuda") + torch.ones(2),
        lambda: torch.ones(2, device="cuda").numpy(),
        lambda: torch.randn(2, generator=streams.generator(0, "a", "cuda")),
        lambda: torch.randn(2, generator=streams.generator(0, "a"), device="cuda"),
        lambda: torch.ones(3)[torch.tensor([1], device="cuda")],
        lambda: torch.ones(3, device="cuda").__setitem__(torch.tensor([0, 1], device="cuda"), torch.ones(2)),
    ],
)
def test_the_pretended_device_raises_where_cuda_would(monkeypatch, mistake):
    with pretended(monkeypatch), pytest.raises(RuntimeError, match="devices: "):
        mistake()


def test_what_is_right_on_cuda_is_right_here(monkeypatch):
    with pretended(monkeypatch):
        x = torch.randn(3, 3, generator=streams.generator(0, "a", "cuda"), device="cuda")
        assert isinstance(x @ x.mT + 1, OnCuda) and x.device.type == "cuda"
        assert torch.linalg.eigh(x @ x.mT).eigenvalues.cpu().numpy().shape == (3,)
        assert not isinstance(x.to("cpu"), OnCuda) and isinstance(torch.ones(2).to("cuda"), OnCuda)
