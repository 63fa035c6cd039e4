"""The ResNet-VAE against torchvision and against the paper's numbers, and the probes of its layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from polysemanticity.base import streams
from polysemanticity.networks import resnet_vae, train

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def small(**changes):
    settings = {"width": 1 / 8, "image_size": 16, "stem_stride": 1, "hidden": 32, "latent": 8, **changes}
    return train.build(resnet_vae.ResNetVAE, seed=0, **settings)


def images(n=6, size=16, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_full_width_trunk_is_torchvisions_resnet18():
    trunk = resnet_vae.Trunk(64, 0.0, 4).eval()
    theirs = resnet18().eval()
    theirs.fc = nn.Identity()
    trunk.load_state_dict(theirs.state_dict())  # the same names and shapes, or it raises
    assert sum(p.numel() for p in trunk.parameters()) == 11_689_512 - (
        512 * 1000 + 1000
    )  # ResNet18 less its classifier
    x = images(2, 64)
    torch.testing.assert_close(trunk(x), theirs(x), rtol=0, atol=0)


def test_trunk_is_initialised_as_torchvisions():
    with streams.drawing_from(streams.generator(0, "weights")):
        trunk = resnet_vae.Trunk(64, 0.0, 4)
    for name, ours in trunk.state_dict().items():
        if name.endswith("conv2.weight"):
            fan_out = ours.shape[0] * 9
            assert ours.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
        elif "bn" in name and name.endswith("weight"):
            assert (ours == 1).all()


def test_shapes_are_the_papers():
    model = resnet_vae.ResNetVAE()
    assert model.fc1[0].weight.shape == (1024, 512)
    assert model.fc2[0].weight.shape == (1024, 1024)
    assert model.mu.weight.shape == model.logvar.weight.shape == (256, 1024)
    seen = next(resnet_vae.activations(model, [images(1, 224)], resnet_vae.LAYERS))
    widths = [seen[layer].numel() for layer in resnet_vae.LAYERS]
    encoder = [802_816, 200_704, 100_352, 50_176, 25_088, 512, 1024, 1024, 256]
    assert widths == [*encoder, 1024, 1024, 32 * 9 * 9, 8 * 19 * 19, 3 * 39 * 39]


def test_dropout_acts_seventeen_times_in_the_trunk_only():
    model = small(dropout=0.5)
    calls = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            assert name.startswith("trunk.")
            module.register_forward_hook(lambda *_: calls.append(1))
    model(images())
    assert len(calls) == 17


def test_batch_norm_momentum_is_the_papers():
    for name, module in small().named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.momentum == (0.1 if name.startswith("trunk.") else 0.01), name


def test_forward_returns_probabilities_of_the_input_size_and_samples_in_train_mode_only():
    model = small()
    output = model(images())
    assert output.pixels.shape == (6, 3, 16, 16)
    assert output.logits.shape == (6, 3, 39, 39)
    assert output.pixels.min() > 0 and output.pixels.max() < 1
    assert not torch.equal(output.z, output.mu)
    model.eval()
    output = model(images())
    assert torch.equal(output.z, output.mu)


def test_loss_is_torchs_cross_entropy_and_kl_summed():
    model = small().eval()
    x = images()
    output = model(x)
    cross_entropy = F.binary_cross_entropy(output.pixels, x, reduction="sum")
    posterior = torch.distributions.Normal(output.mu, (output.logvar / 2).exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).sum()
    torch.testing.assert_close(resnet_vae.vae_loss(model, x), cross_entropy + kl)


def test_loss_keeps_its_digits_where_the_plain_formula_loses_them():
    logits = torch.full((1, 3, 39, 39), 30.0)
    pixels = resnet_vae._resize(torch.sigmoid(logits), 16)
    output = resnet_vae.VAEOutput(pixels, torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2), logits)
    loss = resnet_vae.vae_terms(output, torch.zeros(1, 3, 16, 16)).reconstruction.item()
    assert loss == pytest.approx(30 * 3 * 16 * 16, rel=1e-6)
    assert F.binary_cross_entropy(pixels, torch.zeros_like(pixels), reduction="sum").item() > 3 * loss


def test_extreme_logits_give_a_finite_loss_and_gradient():
    model = small().eval()
    with torch.no_grad():
        model.conv8[1].weight.fill_(1e4)
    loss = resnet_vae.vae_loss(model, images().round())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_evaluate_gives_every_image_its_own_terms_whatever_the_batches():
    model = small(dropout=0.5)
    x = images(7)
    terms = resnet_vae.vae_evaluate(model, x, batch_size=3)
    assert terms.reconstruction.shape == terms.kl.shape == (7,)
    torch.testing.assert_close(terms, resnet_vae.vae_evaluate(model, x, batch_size=7))
    assert model.training
    total = (terms.reconstruction.sum() + terms.kl.sum()).item()
    with torch.no_grad():
        assert total == pytest.approx(resnet_vae.vae_loss(model.eval(), x).item(), rel=1e-5)


def test_prepare_scales_bytes_and_resizes():
    x = (images(2, 32) * 255).to(torch.uint8)
    torch.testing.assert_close(resnet_vae.prepare(x, 32), x / 255)
    assert resnet_vae.prepare(x, 48).shape == (2, 3, 48, 48)
    flat = resnet_vae.prepare(torch.full((1, 3, 32, 32), 51, dtype=torch.uint8), 224)
    torch.testing.assert_close(flat, torch.full((1, 3, 224, 224), 0.2))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(rate, layout):
    drop = resnet_vae.Dropout(rate)
    x = torch.ones(64, 8, 32, 33).contiguous(memory_format=layout).requires_grad_()
    with streams.drawing_from(streams.generator(0, "noise")):
        y = drop(x)
    n = x.numel()
    assert abs((y == 0).double().mean().item() - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
    torch.testing.assert_close(y.max().item(), 1 / (1 - rate), rtol=1e-4, atol=0)
    per_channel = (y == 0).double().mean((0, 2, 3))
    assert (per_channel - rate).abs().max() < 5 * (rate * (1 - rate) / (n / 8)) ** 0.5
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach(), rtol=1e-4, atol=0)
    assert y.is_contiguous(memory_format=layout)
    assert drop.eval()(x) is x


def test_dropout_masks_are_reproducible_and_independent():
    drop, x = resnet_vae.Dropout(0.5), torch.ones(10_000)

    def mask(seed):
        with streams.drawing_from(streams.generator(seed, "noise")):
            return drop(x) > 0, drop(x) > 0

    (first, second), (again, _), (other, _) = mask(0), mask(0), mask(1)
    assert torch.equal(first, again)
    assert abs((first == second).double().mean() - 0.5) < 0.025
    assert abs((first == other).double().mean() - 0.5) < 0.025


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0.3}, r"width = 0\.3: allowed is a positive multiple of 1/64"),
        ({"dropout": 1.0}, r"dropout = 1\.0: allowed is a rate of at least 0 and below 1"),
        ({"stem_stride": 3}, r"stem_stride = 3: allowed is 1, 2 or 4"),
        ({"latent": 0}, r"latent = 0: allowed is at least 1"),
        ({"image_size": 0}, r"image_size = 0: allowed is at least 1"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        resnet_vae.ResNetVAE(**changes)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape of images = \(6, 3, 32, 32\): allowed is \[n, 3, 16, 16\]"):
        small()(images(6, 32))


def test_layers_are_in_order_of_depth_and_stream_by_batch():
    model = small()
    order = []
    for layer, name in resnet_vae.PROBES.items():
        model.get_submodule(name).register_forward_hook(lambda *_, layer=layer: order.append(layer))
    batches = list(resnet_vae.activations(model, images(7).split(3), resnet_vae.LAYERS))
    assert [len(batch["mu"]) for batch in batches] == [3, 3, 1]
    assert order[: len(resnet_vae.LAYERS)] == list(resnet_vae.LAYERS)
    assert list(batches[0]) == list(resnet_vae.LAYERS)


def test_eval_activations_are_the_networks_own_values():
    model = small(dropout=0.5)
    x = images()
    seen = next(resnet_vae.activations(model, [x], ["layer4", "mu", "trunk.layer1.0.conv1"]))
    assert model.training  # left as it was
    model.eval()
    with torch.no_grad():
        features = model.trunk(x)
        torch.testing.assert_close(seen["layer4"].mean((2, 3)), features)
        torch.testing.assert_close(seen["mu"], model(x).mu)
    assert seen["layer4"].min() >= 0
    assert seen["trunk.layer1.0.conv1"].shape == (6, 8, 16, 16)


def test_dropout_mode_is_noise_with_the_running_statistics():
    model = small(dropout=0.4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()

    def stem(mode, seed):
        noise = None if mode == "eval" else streams.generator(seed, "noise")
        return next(resnet_vae.activations(model, [images()], ["stem"], mode=mode, noise=noise))["stem"]

    clean, noisy = stem("eval", 0), stem("dropout", 0)
    assert torch.equal(noisy, stem("dropout", 0))
    assert not torch.equal(noisy, stem("dropout", 1))
    kept = noisy != 0
    torch.testing.assert_close(noisy[kept], clean[kept] / 0.6, rtol=1e-4, atol=1e-6)
    batch_statistics = stem("train", 0)
    kept = batch_statistics != 0
    assert not torch.allclose(batch_statistics[kept], clean[kept] / 0.6, rtol=1e-2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_mode_is_restored_after_an_error_and_each_module_keeps_its_own():
    model = small(dropout=0.1)
    model.trunk.eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError), resnet_vae.in_mode(model, "dropout"):
        assert model.trunk.relu[1].training and not model.trunk.bn1.training
        raise RuntimeError
    assert [module.training for module in model.modules()] == before
    assert not any(module._forward_hooks for module in model.modules())


def test_activations_of_any_module_that_returns_a_tuple():
    class Pair(nn.Module):
        def forward(self, x):
            return x + 1, x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.last = Pair(), nn.Linear(2, 2)

        def forward(self, x):
            return self.last(self.pair(x)[0].mul_(0))

    seen = next(resnet_vae.activations(Net(), [torch.ones(1, 2)], ["pair"]))
    assert seen["pair"].tolist() == [[2, 2]]  # as it was before the next layer changed it in place


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ["layer9"]}, r"layer = 'layer9': allowed is one of stem, layer1"),
        ({"mode": "test"}, r"mode = 'test': allowed is one of eval, dropout, train"),
        ({"mode": "dropout"}, r"noise = None: allowed is None in mode eval, else a torch\.Generator"),
    ],
)
def test_activations_say_what_is_wrong_before_the_first_batch(arguments, message):
    with pytest.raises(ValueError, match=message):
        resnet_vae.activations(small(), [images()], **{"layers": ["mu"], **arguments})


@CUDA
def test_cuda_agrees_with_the_cpu():
    model, x = small(dropout=0.3), images()
    here = next(resnet_vae.activations(model, [x], resnet_vae.LAYERS))
    there = next(resnet_vae.activations(model.cuda(), [x], resnet_vae.LAYERS))
    for layer in resnet_vae.LAYERS:
        torch.testing.assert_close(there[layer].cpu(), here[layer], rtol=1e-3, atol=1e-3)
    noise = [streams.generator(0, "noise", "cuda") for _ in range(2)]
    one, two = (next(resnet_vae.activations(model, [x], ["stem"], mode="dropout", noise=n))["stem"] for n in noise)
    assert torch.equal(one, two)


def test_double_precision_activity_is_that_of_torchs_own_convolutions_and_ends_at_the_deepest_layer():
    model = small().double().eval()
    x, seen = images(5).double(), {}
    layers = ("stem", "layer1", "layer4", "fc2")
    for layer in layers:
        keep = lambda module, inputs, output, layer=layer: seen.setdefault(layer, output.clone())  # noqa: E731
        dict(model.named_modules())[resnet_vae.PROBES[layer]].register_forward_hook(keep)
    reached = []
    model.conv8.register_forward_hook(lambda *_: reached.append(True))
    found = next(resnet_vae.activations(model, [x], layers[::-1]))
    assert not reached
    seen.clear()
    with torch.no_grad():
        model(x)
    assert reached
    for layer in layers:
        torch.testing.assert_close(found[layer], seen[layer], rtol=1e-12, atol=1e-13)
