"""Every worker, the audits and the hooks keep their tensors on the device: tried on a pretended CUDA."""

import functools
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pretended_cuda import OnCuda, pretended
from torch import nn

from benchmarks import workers
from polysemanticity import audit, spectra
from polysemanticity.base import codedigest, paths, streams
from polysemanticity.networks import hooks, language_models, resnet_vae, train

FEWEST, LONG = 10, 5_000  # operations on the device of a worker that uses it; of one that is not called twice
SHORT = {"steps": 10, "batch_size": 8}  # the largest values here of settings whose names end so


asked_of = functools.cache(workers.calls)


def shortened(call: workers.Call) -> workers.Call:
    """The call with shorter trainings."""
    whole = {key: value for key, value in call.config.items() if isinstance(value, int)}
    short = {key: min(value, most) for key, value in whole.items() for end, most in SHORT.items() if key.endswith(end)}
    return call._replace(config={**call.config, **short})


def tried(call: workers.Call, compared: bool = True) -> None:
    """Call a worker on the pretended device, and compare with the CPU where the arithmetic is the same."""
    with pytest.MonkeyPatch.context() as patches, pretended(patches) as device:
        there = call("cuda")
    tensors = [key for key, value in there.items() if isinstance(value, torch.Tensor)]
    assert not tensors, f"results are arrays, not tensors: {tensors}"
    assert device.done["device"] >= FEWEST, f"hardly anything was done on the device: {device.done}"
    if device.autocast or not compared or device.done["device"] > LONG:
        return
    here = call("cpu")
    assert there.keys() == here.keys()
    for key, value in here.items():
        if np.asarray(value).dtype.kind not in "biufc":  # texts
            assert np.array_equal(there[key], value)
        else:
            np.testing.assert_allclose(there[key], value, rtol=1e-5, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("slug", paths.papers())
def test_workers_stay_on_their_device(slug, tmp_path):
    found, failed = workers.workers(slug), {}
    calls = [*asked_of(slug), *workers.beside(slug, tmp_path)]
    asked = {workers.name(call.worker): call for call in calls}
    assert set(asked) == set(found), "a worker that no notebook asks is named in benchmarks.workers.beside"
    for call in calls:
        if codedigest.reads(call.worker, "device"):
            try:
                tried(shortened(call), compared=call is asked[workers.name(call.worker)])
            except Exception as error:
                texts = [value for value in call.config.values() if isinstance(value, str)]
                failed[workers.name(call.worker), *texts] = f"{type(error).__name__}: {error}"
    assert not failed


# ------------------------------------------------------------ what is removed is missed

MOVES = [  # five places in the library where something is moved to the device, and a worker that goes there
    ("papers.coding_theory_spectra.decoding", ".to(device)", "decoding.modular"),
    ("papers.coding_theory_spectra.dense_autoencoders", ".to(device)", "dense_autoencoders.on_photographs"),
    ("papers.incidental_polysemanticity.depth", ".to(device)", "depth.feedforward"),
    ("papers.incidental_polysemanticity.necessity", "value.to(device)", "necessity.diagnosed"),
    ("capacity.autoencoders", ".to(generator.device)", "price.autoencoder_widths"),
]


def _source(module) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize(("module", "move", "worker"), MOVES, ids=[worker for _, _, worker in MOVES])
def test_a_tensor_left_behind_is_missed(monkeypatch, module, move, worker):
    module = importlib.import_module(f"polysemanticity.{module}")
    changed, n_moves = re.subn(re.escape(move), move.partition(".")[0], _source(module), count=1)
    assert n_moves == 1
    slug = next(slug for slug in paths.papers() if worker in workers.workers(slug))
    call = next(call for call in asked_of(slug) if workers.name(call.worker) == worker)
    for name, value in vars(module).items():
        monkeypatch.setitem(vars(module), name, value)  # what the changed source overwrites is put back
    exec(compile(changed, module.__file__, "exec"), vars(module))
    changed = call._replace(worker=getattr(importlib.import_module(call.worker.__module__), call.worker.__name__))
    with pytest.raises((RuntimeError, AssertionError), match="devices: |hardly anything was done on the device"):
        tried(shortened(changed), compared=False)


# ------------------------------------------------------------ audits, hooks, training


@pytest.fixture
def network():
    """Returns an untrained convolutional network with batch norm, on a device."""

    def build(device):
        with streams.drawing_from(streams.generator(0, "weights")):
            layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 12)
            return nn.Sequential(*layers).to(device).eval()

    return build


def images(n=60):
    return torch.rand(n, 3, 8, 8, generator=streams.generator(0, "images"))


def test_an_audit_of_layers(monkeypatch, network):
    here = audit.layers(network("cpu"), [images()], simulations=0, untrained=lambda: network("cpu")).table
    with pretended(monkeypatch):
        model = network("cuda")
        assert isinstance(next(model.parameters()), OnCuda)
        there = audit.layers(model, [images()], simulations=0, untrained=lambda: network("cuda")).table
    numbers = here.select_dtypes("number")
    np.testing.assert_allclose(there[numbers.columns].to_numpy(float), numbers.to_numpy(float), rtol=1e-5)
    assert there["flags"].tolist() == here["flags"].tolist()


def test_an_audit_of_activity_and_of_weights(monkeypatch):
    rows = torch.randn(200, 24, generator=streams.generator(0, "rows")) * torch.arange(1, 25) ** -0.5
    here = audit.layers({"a": rows}, simulations=0).table, audit.weights(rows.T @ rows)
    with pretended(monkeypatch):
        on_card = rows.to("cuda")
        there = audit.layers({"a": on_card}, simulations=0).table, audit.weights(on_card.T @ on_card)
    np.testing.assert_allclose(there[0]["participation"], here[0]["participation"])
    assert str(there[1]) == str(here[1])


def test_hooks_into_a_transformer(monkeypatch):
    shape = {"vocab_size": 40, "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 12}
    tokens = torch.randint(40, (6, 12), generator=streams.generator(0, "tokens"))
    mask = torch.ones_like(tokens)
    mask[0, 9:] = 0
    batches = [{"input_ids": part, "attention_mask": m} for part, m in zip(tokens.split(3), mask.split(3), strict=True)]
    layers = ["residual.*", "attention.*", "neurons.*"]

    def found(device):
        model = train.build(language_models.build, seed=1, device=device, **shape)
        sums = hooks.covariance_sums(hooks.activity(model, batches, layers), first=1)
        losses = torch.cat([loss.cpu() for loss in hooks.token_losses(model, batches)])
        return sums, {name: one.spectrum().eigenvalues for name, one in sums.items()}, losses

    _, here, losses = found("cpu")
    with pretended(monkeypatch) as device:
        sums, there, losses_there = found("cuda")
    assert all(isinstance(one.scatter, OnCuda) for one in sums.values())  # summed where they arise
    assert device.copies["cpu"] == len(there) + len(batches)  # a covariance's each, and the losses
    for name, values in here.items():
        np.testing.assert_allclose(there[name], values, rtol=1e-4, atol=1e-6 * values[0])
    torch.testing.assert_close(losses_there, losses)


def waits(n_steps):
    """Times that the host waited and copies that it made in a training that logs at its end."""
    pixels = (torch.rand(64, 3, 16, 16, generator=streams.generator(0, "pixels")) * 255).byte()
    with pytest.MonkeyPatch.context() as patches, pretended(patches) as device:
        small = {"width": 1 / 16, "image_size": 16, "stem_stride": 2, "hidden": 16, "latent": 4}
        model = train.build(resnet_vae.ResNetVAE, seed=0, device="cuda", **small)
        train.fit(
            model, resnet_vae.vae_loss, pixels, n_steps=n_steps, batch_size=32, lr=1e-3, seed=0, log_every=n_steps,
            autocast=train.fast_autocast("cuda"), channels_last=True,
        )  # fmt: skip
    assert device.autocast and all(isinstance(part, OnCuda) for part in model.parameters())
    return sum(device.waits.values()), sum(device.copies.values())


def test_a_training_waits_and_copies_for_its_epochs_and_not_for_its_steps():
    short, long = waits(2), waits(10)  # one epoch and five: an order is copied for each
    assert long[0] == short[0] and long[1] == short[1] + 4


def test_a_batch_that_is_too_large_is_halved_once(monkeypatch, network):
    model, whole = network("cpu"), images(50)
    expected = audit.layers(model, [whole], simulations=0).table

    def small_memory(module, inputs):
        if len(inputs[0]) > 30:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.register_forward_pre_hook(small_memory)
    with pytest.warns(UserWarning, match="does not suffice for a batch of 50: computed in two halves"):
        halved = audit.layers(model, [whole], simulations=0).table
    np.testing.assert_allclose(halved["participation"], expected["participation"], rtol=1e-5)
    with pytest.warns(UserWarning, match="two halves"), pytest.raises(torch.OutOfMemoryError):
        audit.layers(model, [images(80)], simulations=0)
    with pytest.warns(UserWarning, match="two halves"):
        parts = list(hooks.activity(model, [whole], "4"))
    assert [part.group["4"].tolist() for part in parts] == [list(range(25)), list(range(25, 50))]
    model.train()
    with pytest.raises(torch.OutOfMemoryError):  # batch norm would see another batch
        audit.layers(model, [whole], simulations=0)


# ------------------------------------------------------------ the pretended device itself


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: torch.ones(2, device="cuda") + torch.ones(2),
        lambda: torch.ones(2, device="cuda").numpy(),
        lambda: torch.randn(2, generator=streams.generator(0, "a", "cuda")),
        lambda: torch.randn(2, generator=streams.generator(0, "a"), device="cuda"),
        lambda: torch.ones(3)[torch.tensor([1], device="cuda")],
        lambda: torch.ones(3, device="cuda").__setitem__(torch.tensor([0, 1], device="cuda"), torch.ones(2)),
        lambda: torch.stack([torch.tensor(1.0, device="cuda"), torch.tensor(1.0)]),
        lambda: torch.linalg.eigvalsh(torch.eye(3, device="cuda")),
        lambda: torch.linalg.lstsq(*[torch.ones(3, 2, device="cuda")] * 2, driver="gelsd"),
        lambda: torch.no_grad()(lambda: torch.autocast("cuda", torch.bfloat16))(),
    ],
)
def test_the_pretended_device_raises_where_cuda_would(monkeypatch, mistake):
    with pretended(monkeypatch), pytest.raises(RuntimeError, match="devices: "):
        mistake()


def test_what_is_right_on_cuda_is_right_here(monkeypatch):
    with pretended(monkeypatch) as device:
        x = torch.randn(3, 3, generator=streams.generator(0, "a", "cuda"), device="cuda")
        assert isinstance(x @ x.mT + 1, OnCuda) and x.device.type == "cuda"
        assert torch.linalg.qr(x).Q.cpu().numpy().shape == (3, 3)
        assert not isinstance(x.to("cpu"), OnCuda) and isinstance(torch.ones(2).to("cuda"), OnCuda)
        assert device.copies == {"cpu": 1, "to": 2}
        assert float(x.sum()) and bool((x == x).all()) and device.waits["__float__"] + device.waits["__bool__"] == 2
        assert spectra.covariance_spectrum(x).n_units == 3
