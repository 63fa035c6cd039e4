"""A training step of the ResNet-VAE, on a CPU and where there is one on a GPU."""

import copy
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from benchmarks import measure
from benchmarks.measure import Case, Result
from polysemanticity.base import streams
from polysemanticity.networks import resnet_vae, train

PUBLISHED_BATCH, DROPOUT = 50, 0.2


def step_on(device: str, aim: float, quick: bool) -> Result:
    """Training steps on 32-pixel images shown at 224, each way with its own input pipeline; gradients in float64."""
    if quick:
        size, width, batch, n_steps, n_pairs = 32, 1 / 16, 8, 1, 2
    else:
        size, width, n_pairs = 224, 1.0, 5
        batch, n_steps = (PUBLISHED_BATCH, 1) if device == "cpu" else (256, 20)
    pixels = (torch.rand(max(batch, PUBLISHED_BATCH), 3, 32, 32) * 255).byte()
    settings = {"width": width, "image_size": size, "dropout": DROPOUT}
    mine = train.build(resnet_vae.ResNetVAE, seed=0, device=device, **settings)
    published = PublishedLoop(train.build(resnet_vae.ResNetVAE, seed=0, **settings), pixels, device)
    theirs_batch = min(batch, PUBLISHED_BATCH)

    def ours(steps=n_steps):
        return train.fit(
            mine, resnet_vae.vae_loss, pixels[:batch].to(device), n_steps=steps, batch_size=batch, lr=1e-3, seed=0,
            autocast=train.fast_autocast(device), channels_last=True,
        )  # fmt: skip

    timed = measure.pairs(
        ours, lambda: published.steps(n_steps, theirs_batch), n_pairs, scale=batch / theirs_batch, device=device
    )
    faster = measure.ratio(timed)
    seconds = timed.ours.median / n_steps
    operations = 3 * forward_operations(mine, size) * batch
    kind, precision, width_bytes = (
        ("float32", "float32", 4) if device == "cpu" else ("cuda bfloat16", "bfloat16 autocast", 2)
    )
    kernel = measure.kernel(
        f"step of the ResNet-VAE, {device}", seconds, operations, width_bytes * activity(mine, size) * batch, kind
    )
    errors = gradient_errors(device, quick)
    return Result(
        met=faster.median >= aim,
        measured=f"{batch / seconds:,.0f} images/s, {kernel.operations_floor / seconds:.0%} of the {kind} rate",
        ratio=faster,
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy="relative error of the gradient against float64, eval mode",
        ours_accuracy=f"{errors[0]:.0e}",
        theirs_accuracy=f"{errors[1]:.0e}",
        kernels=(kernel,),
        profile=measure.profile(ours, device),
        note=f"{n_steps} step{'s' * (n_steps > 1)} of {batch} images of 32 pixels at {size}, resizing included; theirs "
        f"in batches of {theirs_batch}, per image. Ours: {precision}, channels last, fused Adam, dropout masks "
        "from 16 random bits on a CPU, images resized in a batch. Floors: multiplications and additions of the "
        "convolutions and dense layers, forward and twice that backward; every layer's output written once and read "
        "twice in that precision. What binds are the convolutions, above all their gradients, which the library "
        "computes well below the rate of products.",
    )  # fmt: skip


class PublishedLoop:
    """The authors' loop: images resized one by one, float32, contiguous, torch's dropout, unfused Adam, summed loss."""

    def __init__(self, model: resnet_vae.ResNetVAE, pixels: torch.Tensor, device: str):
        for module in model.modules():
            for name, child in module.named_children():
                if isinstance(child, resnet_vae.Dropout):
                    setattr(module, name, nn.Dropout(child.p))
        self.model, self.device = model.to(device).train(), device
        self.images = [to_pil_image(image) for image in pixels]
        self.transform = transforms.Compose([transforms.Resize(model.image_size), transforms.ToTensor()])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def steps(self, n_steps: int, batch: int) -> None:
        """Train."""
        for _ in range(n_steps):
            x = torch.stack([self.transform(image) for image in self.images[:batch]]).to(self.device)
            loss = published_loss(self.model, x)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def published_loss(model, x: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and KL divergence, summed over everything."""
    found = model(x)
    return summed_loss(found.pixels, found.mu, found.logvar, x)


def summed_loss(pixels, mu, logvar, x) -> torch.Tensor:
    """The published loss of a network's output."""
    kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
    return F.binary_cross_entropy(pixels, x, reduction="sum") + kl


def forward_operations(model: nn.Module, size: int) -> int:
    """Multiplications and additions of one image's pass through convolutions and dense layers."""
    return sum(
        2 * module.weight.numel() * (1 if isinstance(module, nn.Linear) else positions(module, inputs, output))
        for module, inputs, output in passes(model, size)
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
    )


def positions(module: nn.Module, inputs: torch.Tensor, output: torch.Tensor) -> int:
    """How often a convolution's kernel is applied: once for each place of its output, transposed of its input."""
    return (inputs if isinstance(module, nn.ConvTranspose2d) else output)[0, 0].numel()


def activity(model: nn.Module, size: int) -> int:
    """Numbers moved for one image's activities: each written once and read twice."""
    return sum(3 * output.numel() for _, _, output in passes(model, size))


def passes(model: nn.Module, size: int) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    """Every layer with its inputs and output for one image."""
    seen, hooks = [], []
    for module in model.modules():
        if not list(module.children()):
            hooks.append(module.register_forward_hook(lambda m, inputs, output: seen.append((m, inputs[0], output))))
    with torch.no_grad(), resnet_vae.in_mode(model, "eval"):
        model(torch.zeros(1, 3, size, size, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return seen


def gradient_errors(device: str, quick: bool) -> tuple[float, float]:
    """Relative errors of the gradient of both losses, on a narrow network in eval mode, against float64."""
    model = train.build(resnet_vae.ResNetVAE, seed=0, device=device, width=1 / 16 if quick else 0.25, image_size=64)
    model.eval()
    x = torch.rand(8, 3, 64, 64, generator=streams.generator(0, "images")).to(device)
    exact = gradient(copy.deepcopy(model).double(), lambda net: exact_loss(net, x.double()))
    with torch.autocast(device, torch.bfloat16, enabled=train.fast_autocast(device) is not None):
        ours = gradient(model, lambda net: resnet_vae.vae_loss(net, x))
    theirs = gradient(model, lambda net: published_loss(net, x))
    return tuple(float((one - exact).norm() / exact.norm()) for one in (ours, theirs))


def exact_loss(model: resnet_vae.ResNetVAE, x: torch.Tensor) -> torch.Tensor:
    """The published loss in eval mode without the rounding to float32 of `ResNetVAE.forward`."""
    h = model.fc2(model.fc1(model.trunk(x)))
    mu, logvar = model.mu(h), model.logvar(h)
    logits = model.conv8(model.conv7(model.conv6(model.fc5(model.fc4(mu)).unflatten(1, (64, 4, 4)))))
    pixels = F.interpolate(logits.sigmoid(), size=x.shape[-2:], mode="bilinear", align_corners=False)
    return summed_loss(pixels, mu, logvar, x)


def gradient(model: nn.Module, loss) -> torch.Tensor:
    """The gradient of all parameters as one vector, float64."""
    found = torch.autograd.grad(loss(model), list(model.parameters()))
    return torch.cat([one.flatten().double() for one in found])


AIMS = {"cpu": 3, "cuda": 10}  # times faster per image
CASES = tuple(
    Case(
        f"vae.step-{device}",
        work=f"training step of the paper's ResNet-VAE at 224 pixels, {device.upper()}",
        against="the authors' loop: batches of 50, float32, contiguous",
        aim=f"≥ {aim}× per image",
        run=partial(step_on, device, aim),
    )
    for device, aim in AIMS.items()
    if device == "cpu" or torch.cuda.is_available()
)
