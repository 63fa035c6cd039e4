"""Ensembles of ReLU autoencoders over sparsity, which the toy models of all three papers are."""

import math

import torch

from benchmarks import measure
from benchmarks.measure import Case, Result
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders

LR, BETAS = 0.01, (0.9, 0.99)


def relu_sweep(quick: bool) -> Result:
    """Steps of a model at each sparsity on fresh samples, and the held-out loss after equally many steps."""
    n, m, grid, batch, n_steps, n_pairs = (20, 4, 3, 64, 2, 2) if quick else (400, 30, 20, 1024, 20, 5)
    density = 20 ** -torch.linspace(0, 1, grid)
    start = torch.randn(grid, m, n, generator=streams.generator(0, "weights")) / math.sqrt(m)

    def ours(steps=n_steps, size=batch):
        generator, importance = streams.generator(0, "data"), torch.ones(grid, n)
        return autoencoders.train_autoencoders(
            "relu", density, importance, m, 1, generator, steps, size, LR, start=start[:, None], n_test=100
        )

    def theirs(steps=n_steps, size=batch):
        return einsum_ensemble(density, start.mT, steps, size)

    timed = measure.pairs(ours, theirs, n_pairs)
    faster = measure.ratio(timed)
    training = (20, 32) if quick else (100, 256)
    trained, (w, b) = ours(*training), theirs(*training)
    losses = [held_out_loss(density, *net) for net in ((trained.weights[:, 0].mT, trained.bias[:, 0]), (w, b))]
    return Result(
        met=faster.median >= 3,
        ratio=faster,
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy=f"held-out loss per feature ÷ density after {training[0]} steps of {training[1]} samples from one "
        "start, mean over sparsities",
        ours_accuracy=f"{losses[0]:.4f}",
        theirs_accuracy=f"{losses[1]:.4f}",
        kernels=(
            measure.kernel(
                "step of the ReLU autoencoders",
                timed.ours.median / n_steps,
                operations=12 * grid * batch * n * m,
                n_bytes=6 * 4 * grid * batch * n,
            ),
        ),
        profile=measure.profile(ours),
        note=f"{n_steps} steps of {grid} models, {n} features in {m} dimensions, {batch:,} samples each. Floors: six "
        "matrix products; inputs and errors of all models, each written once and read twice. Theirs draws inputs for "
        "every model, ours the same for all but for which are 0. Both make the same products, which bind together with "
        "the passes over inputs and errors that no library fuses on a processor.",
    )


def einsum_ensemble(density, start, n_steps: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [model, feature, dimension] and biases after training as the public toy-model notebooks do it.

    One einsum over all models, autograd, Adam, mean squared error; inputs uniform on [0, 1], non-zero with the density.
    """
    weights = torch.nn.Parameter(start.clone())
    bias = torch.nn.Parameter(torch.zeros(start.shape[:2]))
    optimizer = torch.optim.Adam([weights, bias], lr=LR, betas=BETAS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(n_steps):
        x = sparse_batch(density, batch, start.shape[1])
        hidden = torch.einsum("bif,ifh->bih", x, weights)
        out = torch.relu(torch.einsum("bih,ifh->bif", hidden, weights) + bias)
        loss = ((x - out) ** 2).mean((0, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return weights.detach(), bias.detach()


def sparse_batch(density, batch: int, n: int) -> torch.Tensor:
    """Inputs [sample, model, feature]."""
    feature = torch.rand(batch, len(density), n)
    return torch.where(torch.rand(batch, len(density), n) <= density[:, None], feature, torch.zeros(()))


def held_out_loss(density, weights, bias) -> float:
    """Mean squared error over the density, mean over features and models, on 2,000 samples."""
    with streams.drawing_from(streams.generator(0, "held out")):
        x = sparse_batch(density, 2000, weights.shape[1])
    out = torch.relu(torch.einsum("bih,ifh->bif", torch.einsum("bif,ifh->bih", x, weights), weights) + bias)
    return float((((x - out) ** 2).mean((0, 2)) / density).mean())


CASES = (
    Case(
        "autoencoders.relu-sweep",
        work="ReLU autoencoders of 400 features in 30 dimensions at 20 sparsities, training steps",
        against="one einsum over all models, autograd, Adam, as in the public toy-model notebooks",
        aim="≥ 3×",
        run=relu_sweep,
    ),
)
