"""The training loop: against torch's own steps, from checkpoints bit for bit, on bad input, and with its streams apart."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from polysemanticity.base import streams
from polysemanticity.networks import resnet_vae, train

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SETTINGS = {"n_steps": 17, "batch_size": 8, "lr": 1e-2, "seed": 3}


def layers(dropout):
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 2))


def network(seed=0, dropout=0.3, device="cpu"):
    return train.build(layers, seed=seed, device=device, dropout=dropout)


def examples(n=44):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return x, torch.stack([x.sum(1), x[:, 0] * x[:, 1]], 1)


def squared_error(model, x, y):
    return ((model(x) - y) ** 2).mean()


def same(one, two):
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class InterruptedError_(Exception):
    """Stands for a kill."""


def fit_until(stop, model, data, loss=squared_error, **settings):
    """Call fit and stop it in the given step, before that step changes anything."""
    calls = []

    @functools.wraps(loss)
    def stopping(*arguments):
        calls.append(1)
        if len(calls) == stop:
            raise InterruptedError_
        return loss(*arguments)

    with pytest.raises(InterruptedError_):
        train.fit(model, stopping, data, **settings)


def test_build_is_a_function_of_the_seed_alone():
    torch.manual_seed(5)
    one = network(0)
    state = torch.get_rng_state()
    torch.rand(3)
    assert same(one, network(0))
    assert not same(one, network(1))
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_steps_are_torchs_own(optimizer):
    x, y = examples(8)  # the whole data in each batch; no batch norm, for a gradient that is zero but for rounding
    ours, theirs = (
        train.build(lambda: nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2)), seed=0) for _ in "ab"
    )
    options = {"weight_decay": 0.1}
    history = train.fit(
        ours, squared_error, (x, y), n_steps=5, batch_size=8, lr=0.05, seed=0, optimizer=optimizer,
        optimizer_options=options, log_every=1,
    )  # fmt: skip
    stepper = train.OPTIMIZERS[optimizer](theirs.parameters(), lr=0.05, **options)
    for step in range(5):
        loss = squared_error(theirs, x, y)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        assert history.loss[step] == pytest.approx(loss.item(), rel=1e-4)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_it_learns_and_leaves_the_model_in_eval_mode():
    model = network(dropout=0)
    history = train.fit(model, squared_error, examples(), n_steps=600, batch_size=22, lr=1e-2, seed=0)
    assert history.step.tolist() == list(range(6, 601, 6))
    assert history.loss[-1] < history.loss[0] / 10
    assert not any(module.training for module in model.modules())


def test_history_is_the_mean_since_the_last_entry():
    every, third = (train.fit(network(), squared_error, examples(), log_every=k, **SETTINGS) for k in (1, 3))
    assert third.step.tolist() == [3, 6, 9, 12, 15, 17]
    means = [every.loss[start : start + 3].mean() for start in range(0, 17, 3)]
    np.testing.assert_allclose(third.loss, means, rtol=1e-12)


def test_the_seed_decides_everything_and_the_global_state_is_left_alone():
    def run(seed, setup):
        torch.manual_seed(setup)
        model, state = network(), torch.get_rng_state()
        history = train.fit(model, squared_error, examples(), **{**SETTINGS, "seed": seed})
        assert torch.equal(torch.get_rng_state(), state)
        return model, history

    (one, first), (two, second), (other, _) = run(0, 1), run(0, 2), run(1, 1)
    assert same(one, two)
    np.testing.assert_array_equal(first.loss, second.loss)
    assert not same(one, other)


def test_every_example_comes_once_an_epoch_in_a_new_order():
    seen = []

    def loss(model, x):
        seen.append(x[:, 0].int().tolist())
        return model(x).mean()

    train.fit(nn.Linear(1, 1), loss, torch.arange(10.0)[:, None], n_steps=6, batch_size=5, lr=1e-3, seed=0)
    epochs = [seen[i] + seen[i + 1] for i in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3


def test_drawn_batches_come_from_the_data_stream():
    drawn = []

    def draw(batch_size, generator):
        drawn.append(torch.rand(batch_size, 4, generator=generator))
        return drawn[-1], drawn[-1][:, :2]

    train.fit(network(), squared_error, draw, **SETTINGS)
    stream = streams.generator(SETTINGS["seed"], "data")
    assert torch.equal(torch.cat(drawn), torch.cat([torch.rand(8, 4, generator=stream) for _ in range(17)]))


def test_rate_follows_warmup_and_schedule():
    cosine = [train._lr_factor(step, 10, "cosine", 0) for step in range(10)]
    assert cosine[0] == 1
    assert cosine[5] == pytest.approx(0.5)
    assert all(a > b > 0 for a, b in itertools.pairwise(cosine))
    assert [train._lr_factor(step, 9, "constant", 3) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    weight = nn.Linear(1, 1, bias=False)
    before = weight.weight.item()
    data = torch.ones(4, 1)
    settings = {"n_steps": 4, "batch_size": 4, "lr": 0.1, "seed": 0, "optimizer": "sgd", "schedule": "cosine"}
    train.fit(weight, lambda model, x: model(x).mean(), data, **settings)  # the gradient is 1
    moved = 0.1 * sum((1 + math.cos(math.pi * step / 4)) / 2 for step in range(4))
    assert before - weight.weight.item() == pytest.approx(moved, rel=1e-5)


def test_clip_norm_bounds_the_step():
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.item()
    settings = {"n_steps": 1, "batch_size": 4, "lr": 0.1, "seed": 0, "optimizer": "sgd", "clip_norm": 0.5}
    train.fit(model, lambda model, x: 100 * model(x).mean(), torch.ones(4, 1), **settings)
    assert before - model.weight.item() == pytest.approx(0.05, rel=1e-4)


# 44 examples in batches of 8 are epochs of 5 steps: 7 is in the middle of the second, 11 after the end of one
@pytest.mark.parametrize("stop", [1, 7, 11, 17])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, stop, optimizer):
    settings = {**SETTINGS, "optimizer": optimizer, "schedule": "cosine", "log_every": 4}
    whole = network()
    expected = train.fit(whole, squared_error, examples(), **settings)
    settings |= {"checkpoint": tmp_path / "deep" / "c", "checkpoint_every": 0}
    fit_until(stop, network(), examples(), **settings)
    resumed = network()
    history = train.fit(resumed, squared_error, examples(), **settings)
    assert same(whole, resumed)
    np.testing.assert_array_equal(history.loss, expected.loss)
    np.testing.assert_array_equal(history.step, expected.step)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c"]


def test_an_autoencoder_in_mixed_precision_goes_on_to_the_same_bits(tmp_path):
    build = functools.partial(
        train.build,
        resnet_vae.ResNetVAE,
        seed=0,
        width=1 / 16,
        image_size=16,
        stem_stride=2,
        dropout=0.2,
        hidden=16,
        latent=4,
    )
    images = torch.randint(256, (30, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    settings = {"n_steps": 9, "batch_size": 8, "lr": 1e-3, "seed": 0, "autocast": "bfloat16", "channels_last": True}
    whole, resumed = build(), build()
    train.fit(whole, resnet_vae.vae_loss, images, **settings)
    stored = {"checkpoint": tmp_path / "c", "checkpoint_every": 0}
    fit_until(6, build(), images, resnet_vae.vae_loss, **settings, **stored)
    train.fit(resumed, resnet_vae.vae_loss, images, **settings, **stored)
    assert same(whole, resumed)
    assert all(p.dtype == torch.float32 for p in whole.parameters())


def test_drawn_batches_go_on_where_they_were(tmp_path):
    def draw(batch_size, generator):
        x = torch.randn(batch_size, 4, generator=generator)
        return x, x[:, :2]

    whole, resumed = network(), network()
    train.fit(whole, squared_error, draw, **SETTINGS)
    stored = {"checkpoint": tmp_path / "c", "checkpoint_every": 0}
    fit_until(9, network(), draw, **SETTINGS, **stored)
    train.fit(resumed, squared_error, draw, **SETTINGS, **stored)
    assert same(whole, resumed)


def test_a_finished_training_is_read_back_without_a_step(tmp_path):
    model, again = network(), network()
    history = train.fit(model, squared_error, examples(), checkpoint=tmp_path / "c", **SETTINGS)

    @functools.wraps(squared_error)
    def never(*_):
        raise AssertionError

    read = train.fit(again, never, examples(), checkpoint=tmp_path / "c", **SETTINGS)
    assert same(model, again)
    np.testing.assert_array_equal(read.loss, history.loss)
    assert not again.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.5}, r"\(lr is 0\.01 there and 0\.5 here\)"),
        ({"n_steps": 18}, r"\(n_steps is 17 there and 18 here\)"),
        ({"optimizer": "sgd", "seed": 4}, r"\(seed is 3 there and 4 here; optimizer is 'adam' there and 'sgd' here\)"),
        ({"optimizer_options": {"weight_decay": 1}}, r"optimizer_options is None there and \{'weight_decay': 1\} here"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, changes, message):
    train.fit(network(), squared_error, examples(), checkpoint=tmp_path / "c", **SETTINGS)
    with pytest.raises(ValueError, match=message) as raised:
        train.fit(network(), squared_error, examples(), checkpoint=tmp_path / "c", **{**SETTINGS, **changes})
    assert str(tmp_path / "c") in str(raised.value)


def test_a_checkpoint_of_other_data_loss_or_network_is_refused(tmp_path):
    path, (x, y) = tmp_path / "c", examples()
    train.fit(network(), squared_error, (x, y), checkpoint=path, **SETTINGS)
    cases = {
        "data": (network(), squared_error, (x, y + 1)),
        "loss": (network(), functools.partial(squared_error), (x, y)),
        "network": (network(dropout=0.4), squared_error, (x, y)),
    }
    for name, arguments in cases.items():
        with pytest.raises(ValueError, match=rf"\({name} is '"):
            train.fit(*arguments, checkpoint=path, **SETTINGS)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-100], lambda raw: b"", lambda raw: raw[:400] + b"?" + raw[401:]])
def test_a_damaged_checkpoint_is_reported_and_set_aside(tmp_path, damage):
    path, model, again = tmp_path / "c", network(), network()
    train.fit(model, squared_error, examples(), checkpoint=path, **SETTINGS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"checkpoint damaged, kept as .*c\.damaged': training starts afresh"):
        train.fit(again, squared_error, examples(), checkpoint=path, **SETTINGS)
    assert same(model, again)
    assert (tmp_path / "c.damaged").exists()


def test_checkpoints_are_written_by_the_clock(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(train.checkpoints.paths, "write_atomically", lambda path, content: written.append(path))
    train.fit(network(), squared_error, examples(), checkpoint=tmp_path / "c", checkpoint_every=1000, **SETTINGS)
    assert len(written) == 1  # at the end
    train.fit(network(), squared_error, examples(), checkpoint=tmp_path / "c", checkpoint_every=0, **SETTINGS)
    assert len(written) == 1 + 17


@pytest.mark.parametrize("log_every", [1, 5, None])
def test_a_loss_that_is_not_finite_names_its_step_and_is_never_stored(tmp_path, log_every):
    calls = []

    def loss(model, x, y):
        calls.append(1)
        return squared_error(model, x, y) * (math.nan if len(calls) == 7 else 1)

    settings = {**SETTINGS, "log_every": log_every, "checkpoint": tmp_path / "c", "checkpoint_every": 0}
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 7: a smaller lr"):
        train.fit(network(), loss, examples(), **settings)
    raw = (tmp_path / "c").read_bytes()[len(train.checkpoints.MAGIC) + 32 :]
    (tmp_path / "payload").write_bytes(raw)
    assert torch.load(tmp_path / "payload", weights_only=True)["state"]["step"] == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 0}, r"n_steps = 0: allowed is an integer of at least 1"),
        ({"batch_size": 2.0}, r"batch_size = 2\.0: allowed is an integer of at least 1"),
        ({"batch_size": 45}, r"batch_size = 45: allowed is at most the 44 examples"),
        ({"lr": -1}, r"lr = -1: allowed is a positive number"),
        ({"lr": math.nan}, r"lr = nan: allowed is a positive number"),
        ({"optimizer": "lion"}, r"optimizer = 'lion': allowed is one of adam, adamw, sgd"),
        ({"schedule": "step"}, r"schedule = 'step': allowed is one of constant, cosine"),
        ({"autocast": "float16"}, r"autocast = 'float16': allowed is one of None, bfloat16"),
        ({"clip_norm": 0}, r"clip_norm = 0: allowed is a positive number"),
        ({"warmup": -1}, r"warmup = -1: allowed is an integer of at least 0"),
        ({"log_every": 0}, r"log_every = 0: allowed is an integer of at least 1 or None"),
        ({"checkpoint_every": -1}, r"checkpoint_every = -1: allowed is at least 0 seconds"),
    ],
)
def test_arguments_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        train.fit(network(), squared_error, examples(), **{**SETTINGS, **changes})


def test_data_of_unequal_length():
    x, y = examples()
    with pytest.raises(ValueError, match=r"lengths of data = \[44, 43\]: allowed is tensors with equally many"):
        train.fit(network(), squared_error, (x, y[:-1]), **SETTINGS)


def test_progress_is_shown_where_a_label_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_PROGRESS", str(tmp_path / "progress"))
    train.fit(network(), squared_error, examples(), **SETTINGS)
    assert not (tmp_path / "progress").exists()
    train.fit(network(), squared_error, examples(), label="autoencoder", **SETTINGS)
    assert "autoencoder 17/17" in (tmp_path / "progress").read_text()


def test_drawing_from_moves_its_source_and_nothing_else():
    source, state = streams.generator(0, "noise"), torch.get_rng_state()
    with streams.drawing_from(source):
        first = torch.rand(3)
    with pytest.raises(RuntimeError), streams.drawing_from(source):
        second = torch.rand(3)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.cat([first, second]), torch.rand(6, generator=streams.generator(0, "noise")))


@CUDA
def test_cuda_trains_as_the_cpu_does():
    models_ = [network(dropout=0, device=device) for device in ("cpu", "cuda")]
    here, there = (train.fit(model, squared_error, examples(), **SETTINGS) for model in models_)
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-3)


@CUDA
@pytest.mark.parametrize("autocast", [None, "bfloat16"])
def test_cuda_goes_on_from_its_checkpoint(tmp_path, autocast):
    state = torch.cuda.get_rng_state()
    whole, resumed = network(device="cuda"), network(device="cuda")
    settings = {**SETTINGS, "autocast": autocast}
    expected = train.fit(whole, squared_error, examples(), **settings)
    settings |= {"checkpoint": tmp_path / "c", "checkpoint_every": 0}
    fit_until(8, network(device="cuda"), examples(), **settings)
    history = train.fit(resumed, squared_error, examples(), **settings)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-5)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    with pytest.raises(ValueError, match=r"\(device is 'cuda' there and 'cpu' here\)"):
        train.fit(network(), squared_error, examples(), **settings)


@CUDA
def test_cuda_trains_the_autoencoder_in_mixed_precision():
    settings = {"width": 1 / 8, "image_size": 32, "stem_stride": 2, "dropout": 0.2, "hidden": 64, "latent": 16}
    model = train.build(resnet_vae.ResNetVAE, seed=0, device="cuda", **settings)
    images = torch.rand(64, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 32, 32).contiguous()
    history = train.fit(
        model,
        resnet_vae.vae_loss,
        images,
        n_steps=60,
        batch_size=32,
        lr=1e-3,
        seed=0,
        autocast="bfloat16",
        channels_last=True,
    )
    assert history.loss[-1] < history.loss[0]
