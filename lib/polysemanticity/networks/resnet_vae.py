"""The variational autoencoder with a ResNet18 encoder of the coding theory paper, and a look inside any network.

`width` scales the encoder's channels (1 is torchvision's ResNet18); `LAYERS` names the probed layers in order of depth.
"""

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.networks import memory

# layer -> module whose output is the layer's activity
PROBES = {
    "stem": "trunk.relu",
    "layer1": "trunk.layer1",
    "layer2": "trunk.layer2",
    "layer3": "trunk.layer3",
    "layer4": "trunk.layer4",
    "avgpool": "trunk.avgpool",
    "fc1": "fc1",
    "fc2": "fc2",
    "mu": "mu",
    "fc4": "fc4",
    "fc5": "fc5",
    "conv6": "conv6",
    "conv7": "conv7",
    "conv8": "sigmoid",
}
LAYERS = tuple(PROBES)
MODES = ("eval", "dropout", "train")
PRODUCT = 2**19  # numbers of the larger matrix in a product that stands for a convolution


class VAEOutput(NamedTuple):
    """What the autoencoder returns; `logits` are the decoder's values before the sigmoid and the resize to `pixels`."""

    pixels: Float[Tensor, "n 3 size size"]
    mu: Float[Tensor, "n latent"]
    logvar: Float[Tensor, "n latent"]
    z: Float[Tensor, "n latent"]
    logits: Float[Tensor, "n 3 39 39"]


class VAETerms(NamedTuple):
    """The two terms of each image's loss in nats: `reconstruction` summed over its pixels, `kl` over its latents."""

    reconstruction: Float[Tensor, " n"]
    kl: Float[Tensor, " n"]


class Dropout(nn.Dropout):
    """torch's dropout with a mask drawn five times as fast on a CPU, where it took a third of a training step.

    Sixteen random bits decide for each unit: there the rate is rounded to a multiple of 2^-16, and so is the scale.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        dropped = round(self.p * 65536)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.int16)[: x.numel()] >= dropped - 32768
        mask = torch.empty_like(x)
        in_memory_order = mask.as_strided((x.numel(),), (1,))  # whatever the layout, channels last included
        in_memory_order.copy_(kept).mul_(65536 / (65536 - dropped))
        return x * mask


class Trunk(nn.Module):
    """torchvision's ResNet18 without its classifier, dropout after each ReLU, `channels` (64 there) at the start.

    Modules, parameters and their initialisation are torchvision's, by the same names. A block uses its one ReLU twice,
    so dropout acts 17 times in a pass. `stem_stride` is 4 as there (7 × 7 of stride 2, then max-pooling), or for small
    images 1 or 2: a 3 × 3 convolution of that stride without pooling.
    """

    def __init__(self, channels: int, dropout: float, stem_stride: int):
        super().__init__()
        kernel, stride = (7, 2) if stem_stride == 4 else (3, stem_stride)
        self.conv1 = nn.Conv2d(3, channels, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = _relu(dropout)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem_stride == 4 else nn.Identity()
        self.layer1 = _stage(channels, channels, 1, dropout)
        self.layer2 = _stage(channels, 2 * channels, 2, dropout)
        self.layer3 = _stage(2 * channels, 4 * channels, 2, dropout)
        self.layer4 = _stage(4 * channels, 8 * channels, 2, dropout)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n features"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)


class ResNetVAE(nn.Module):
    """The paper's variational autoencoder: ResNet18 encoder with dropout, Gaussian latents, convolutional decoder.

    Source: Marshall & Kirchner 2024 with their code. Trunk → fc1 → fc2 → (mu, logvar) → z → fc4 → fc5 as 64 × 4 × 4 →
    9 → 19 → 39 pixels → sigmoid → bilinear resize. Batch norm outside the trunk has momentum 0.01; dropout stands in
    the trunk only; z = mu + std · noise in train mode and mu in eval mode.
    Defaults are the paper's. `width`, `image_size` and `stem_stride` make small variants with the same decoder.
    Deviation: a logit beyond ±80 counts as ±80, so that no logarithm is infinite (torch's own limit is log p = -100).
    """

    probes = PROBES

    def __init__(
        self,
        *,
        width: float = 1.0,
        image_size: int = 224,
        stem_stride: int = 4,
        dropout: float = 0.0,
        hidden: int = 1024,
        latent: int = 256,
    ):
        super().__init__()
        channels = round(64 * width)
        check(channels >= 1 and channels == 64 * width, "width", width, "a positive multiple of 1/64")
        check(stem_stride in (1, 2, 4), "stem_stride", stem_stride, "1, 2 or 4")
        check(0 <= dropout < 1, "dropout", dropout, "a rate of at least 0 and below 1")
        for name, value in (("image_size", image_size), ("hidden", hidden), ("latent", latent)):
            check(value >= 1, name, value, "at least 1")
        self.image_size = image_size
        self.trunk = Trunk(channels, dropout, stem_stride)
        self.fc1 = _dense(8 * channels, hidden)
        self.fc2 = _dense(hidden, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.fc4 = _dense(latent, hidden)
        self.fc5 = _dense(hidden, 64 * 4 * 4)
        self.conv6 = nn.Sequential(*_upsampling(64, 32), nn.ReLU(inplace=True))
        self.conv7 = nn.Sequential(*_upsampling(32, 8), nn.ReLU(inplace=True))
        self.conv8 = nn.Sequential(*_upsampling(8, 3))
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Float[Tensor, "n 3 size size"]) -> VAEOutput:
        allowed = (
            f"[n, 3, {self.image_size}, {self.image_size}], which polysemanticity.networks.resnet_vae.prepare returns"
        )
        check(x.shape[1:] == (3, self.image_size, self.image_size), "shape of images", tuple(x.shape), allowed)
        h = self.fc2(self.fc1(self.trunk(x)))
        mu, logvar = _full(self.mu(h)), _full(self.logvar(h))
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu) if self.training else mu
        small = self.fc5(self.fc4(z)).unflatten(1, (64, 4, 4))
        logits = _full(self.conv8(self.conv7(self.conv6(small)))).clamp(-80, 80)
        return VAEOutput(_resize(self.sigmoid(logits), self.image_size), mu, logvar, z, logits)


def _full(x: Tensor) -> Tensor:
    """In float32, or in float64 where it is so already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _relu(dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(inplace=True), Dropout(dropout))


def _stage(n_in: int, n_out: int, stride: int, dropout: float) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock  # seconds, as it brings torch's compiler along

    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
    blocks = BasicBlock(n_in, n_out, stride, shortcut), BasicBlock(n_out, n_out)
    for block in blocks:
        block.relu = _relu(dropout)
    return nn.Sequential(*blocks)


def _dense(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, momentum=0.01), nn.ReLU(inplace=True))


def _upsampling(n_in: int, n_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.ConvTranspose2d(n_in, n_out, 3, stride=2), nn.BatchNorm2d(n_out, momentum=0.01)


def _resize(x: Tensor, size: int) -> Tensor:
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def prepare(images: Tensor, size: int) -> Float[Tensor, "n 3 size size"]:
    """Return images (uint8, or floats in [0, 1]) as float32, resized bilinearly unless they are of `size` already.

    Deviation from the paper's transform: no rounding to 8 bits after the resize.
    """
    x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    return x if x.shape[-2:] == (size, size) else _resize(x, size)


def vae_terms(output: VAEOutput, target: Float[Tensor, "n 3 size size"]) -> VAETerms:
    """Return each image's binary cross-entropy and its KL divergence from the standard normal.

    The paper's network computes p = resize(sigmoid(u)), of whose log(1 - p) no digit is left near p = 1. Resizing is a
    mean with weights that sum to 1, so 1 - p = resize(sigmoid(-u)): the same number, precise at both ends.
    """
    off = _resize(torch.sigmoid(-output.logits), target.shape[-1])
    cross_entropy = -(target * output.pixels.log() + (1 - target) * off.log())
    kl = (output.mu**2 + output.logvar.exp() - 1 - output.logvar) / 2
    return VAETerms(cross_entropy.flatten(1).sum(1), kl.sum(1))


def vae_loss(model: ResNetVAE, images: Tensor) -> Float[Tensor, ""]:
    """Return the paper's training loss: cross-entropy + KL with weight 1, summed over pixels, latents and the batch."""
    target = prepare(images, model.image_size)
    terms = vae_terms(model(target), target)
    return terms.reconstruction.sum() + terms.kl.sum()


@torch.no_grad()
def vae_evaluate(model: ResNetVAE, images: Tensor, batch_size: int = 256) -> VAETerms:
    """Return both terms for every image in eval mode (no dropout, z = mu, so no sampled bound), on the CPU."""
    parts = []

    def terms_of(batch: Tensor) -> VAETerms:
        target = prepare(batch, model.image_size).to(next(model.parameters()))
        return vae_terms(model(target), target)

    with in_mode(model, "eval"):
        for batch in images.split(batch_size):
            parts.extend(memory.whole_or_halves(terms_of, batch))
    return VAETerms(*(torch.cat(term).cpu() for term in zip(*parts, strict=True)))


@torch.no_grad()
def renormalised(model: ResNetVAE, images: Tensor, batch_size: int = 256) -> ResNetVAE:
    """Return a copy whose batch-norm statistics are taken anew, from images and without dropout.

    The statistics of training include the variance that dropout adds, which is missing in eval mode: every batch norm
    then divides by too much (Li et al. 2019). This copy differs from the trained network in nothing else.
    """
    anew = copy.deepcopy(model).eval()
    parameter = next(anew.parameters())
    for module in anew.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over the batches
            module.train()
    for batch in images.split(batch_size):
        anew(prepare(batch, model.image_size).to(parameter))
    return anew.eval()


@contextlib.contextmanager
def in_mode(model: nn.Module, mode: str) -> Iterator[None]:
    """Put every module in `mode` inside the block; modes and batch-norm statistics are left as they were found.

    `eval`: nothing is random. `dropout`: dropout acts, batch norm keeps its running statistics and z = mu. `train`: all
    as in training (dropout, batch statistics, sampled z).
    """
    check(mode in MODES, "mode", mode, "one of " + ", ".join(MODES))
    before = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()] if mode == "train" else []
    for module, _ in before:
        module.training = mode == "train" or (mode == "dropout" and isinstance(module, nn.modules.dropout._DropoutNd))
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
        for buffer, found in buffers:
            buffer.data.copy_(found)


def activations(
    model: nn.Module,
    batches: Iterable[Tensor],
    layers: Sequence[str],
    *,
    mode: str = "eval",
    noise: torch.Generator | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Yield for each batch: layer -> its activity, in the module's own shape, on the model's device.

    In float64 where the network computes in it (batches must be of its type), else in float32.

    A layer is a name in `model.probes` (for ResNetVAE: `LAYERS`) or any module's dotted name; one batch is held at a
    time. Probes stand in the order of depth and act once in a pass, which ends at the deepest where only these are
    asked for. `mode` is that of `in_mode`. Modes other than `eval` draw from `noise`, a generator on the model's
    device, which moves on: two passes with one generator have independent masks. A batch that is too large for the
    device is halved in mode eval (`networks.memory`).
    Raises ValueError for an unknown layer or mode, and for noise that is missing or has no use.
    """
    check(mode in MODES, "mode", mode, "one of " + ", ".join(MODES))
    check((mode == "eval") == (noise is None), "noise", noise, "None in mode eval, else a torch.Generator")
    modules = {layer: _module(model, layer) for layer in layers}
    depth = {layer: place for place, layer in enumerate(getattr(model, "probes", {}))}
    deepest = max(layers, key=depth.__getitem__) if layers and set(layers) <= set(depth) else None
    return _activations(model, batches, modules, deepest, mode, noise)


class _Enough(Exception):
    """All layers that are asked for have been seen: what comes behind them is not computed."""


class _Products(torch.overrides.TorchFunctionMode):
    """Convolutions in float64 on a CPU as products of matrices that fit a cache: torch's own take twice as long."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.conv2d and len(args) == 7 and not kwargs:
            x, weight, bias, stride, padding, dilation, groups = args
            plain = x.ndim == 4 and bias is None and dilation == (1, 1) and groups == 1 and isinstance(padding, tuple)
            if plain and x.dtype == torch.float64 and x.device.type == "cpu":
                return _convolved(x, weight, stride, padding)
        return function(*args, **kwargs)


def _convolved(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    (rows, columns), width = weight.shape[2:], weight[0].numel()
    positions = ((x.shape[2] + 2 * padding[0] - rows) // stride[0] + 1) * (x.shape[3] // stride[1] + 1)
    parts = []
    for part in F.pad(x, (padding[1], padding[1], padding[0], padding[0])).split(max(PRODUCT // width // positions, 1)):
        seen = part.unfold(2, rows, stride[0]).unfold(3, columns, stride[1]).permute(1, 4, 5, 0, 2, 3)
        product = weight.flatten(1) @ seen.reshape(width, -1)
        parts.append(product.view(len(weight), *seen.shape[3:]).transpose(0, 1))
    return torch.cat(parts)


def _activations(model, batches, modules, deepest, mode, noise):
    device = next(model.parameters()).device

    def end(module, inputs, output):
        raise _Enough

    def seen_in(batch: Tensor) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        hooks = [module.register_forward_hook(_keep(seen, layer)) for layer, module in modules.items()]
        hooks += [modules[deepest].register_forward_hook(end)] if deepest else []
        source = contextlib.nullcontext() if noise is None else streams.drawing_from(noise)
        try:
            with contextlib.suppress(_Enough), torch.no_grad(), in_mode(model, mode), source, _Products():
                model(batch.to(device))
        finally:
            for hook in hooks:
                hook.remove()
        return {layer: seen[layer] for layer in modules}

    for batch in batches:
        yield from memory.whole_or_halves(seen_in, batch, halve=mode == "eval")


def _module(model: nn.Module, layer: str) -> nn.Module:
    probes = getattr(model, "probes", {})
    modules = dict(model.named_modules())
    modules.pop("")
    name = probes.get(layer, layer)
    check(name in modules, "layer", layer, "one of " + ", ".join(probes or modules))
    return modules[name]


def _keep(seen: dict[str, Tensor], layer: str) -> Callable:
    def hook(module, inputs, output):
        value = output[0] if isinstance(output, tuple) else output
        kind = torch.promote_types(value.dtype, torch.float32)
        seen[layer] = value.detach().to(kind, copy=True)  # a later layer may work in place

    return hook
