"""Ensembles of small models with a linear embedding, trained in one batch: every leading axis is one more model.

Symbols: weights W is [..., dims, features] with columns W_i; importance v, kurtosis kappa and a = kappa − 1 as in
`capacity`. A model is its population loss and the gradient of it; `adam_descent` trains any of them, because Adam
treats each number by itself and so never mixes the models of an ensemble.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity import capacity
from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

Parameters = tuple[Tensor, ...]


def adam_descent(
    gradient: Callable[[Parameters, int], Sequence[Tensor]],
    start: Parameters,
    n_steps: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.99),
    drawn: torch.Generator | None = None,
) -> Parameters:
    """Parameters after `n_steps` of Adam along `gradient(parameters, step)`, the rate falling as a half cosine to 0.

    `drawn` is what the gradient draws from, so that a training that was killed goes on from where it was.
    Deviation from Adam's paper: no ε; a number whose gradient has always been 0 stays. Raises ValueError for n_steps
    < 0 or lr ≤ 0.
    """
    check(n_steps >= 0, "n_steps", n_steps, "at least 0")
    check(lr > 0, "lr", lr, "above 0")
    now = tuple(p.clone() for p in start)
    mean, square = tuple(torch.zeros_like(p) for p in now), tuple(torch.zeros_like(p) for p in now)
    for step in checkpoints.steps(n_steps, now, mean, square, *([] if drawn is None else [drawn])):
        rate = lr * (1 + math.cos(math.pi * step / n_steps)) / 2 / (1 - betas[0] ** (step + 1))
        spread = 1 / math.sqrt(1 - betas[1] ** (step + 1))
        for p, m, s, g in zip(now, mean, square, gradient(now, step), strict=True):
            m.lerp_(g, 1 - betas[0])
            s.lerp_(g * g, 1 - betas[1])
            p.addcdiv_(m, s.sqrt_().mul(spread).clamp_min(torch.finfo(p.dtype).tiny), value=-rate)
            s.square_()
    return now


class Trained(NamedTuple):
    """An ensemble after training; `residual` is |gradient| / (a v^1.5) for the largest v, 0 at a stationary point."""

    weights: Float[Tensor, "*ensemble seeds dims features"]
    loss: Float[Tensor, "*ensemble seeds"]
    residual: Float[Tensor, "*ensemble seeds"]


def train_quadratic(
    importance: Float[Tensor, "*ensemble features"],
    kurtosis: Float[Tensor, "*ensemble"],
    dims: int,
    n_seeds: int,
    generator: torch.Generator,
    n_steps: int = 800,
    lr: float = 0.05,
    scale: float = 0.3,
    n_polish: int = 400,
) -> Trained:
    """Train the quadratic model on its exact population loss from `n_seeds` random starts per model, in float64.

    Starts are Gaussian with standard deviation `scale`·√(largest v). Adam finds the basin; up to `n_polish` steps of
    conjugate gradients with exact line search then bring the models whose residual is above 1e-13 to machine
    precision. No restart, no selection: a model in a local minimum stays there. Source: the paper's quadratic model;
    the method is ours. On the generator's device. Raises ValueError for importance ≤ 0, kurtosis ≤ 1, dims or n_seeds
    < 1.
    """
    check(dims >= 1, "dims", dims, "at least 1")
    check(n_seeds >= 1, "n_seeds", n_seeds, "at least 1")
    check(bool((importance > 0).all()), "importance", float(importance.min()), "above 0")
    check(bool((kurtosis > 1).all()), "kurtosis", float(kurtosis.min()), "above 1")
    v = importance.to(generator.device, torch.float64)
    unit = v.amax(-1, keepdim=True)  # the problem is the same in any unit of importance
    shape = (*v.shape[:-1], n_seeds)
    v = (v / unit)[..., None, :].expand(*shape, -1).flatten(0, -2)
    a = (kurtosis.to(v) - 1)[..., None].expand(shape).flatten()[:, None]
    start = torch.randn(len(v), dims, v.shape[-1], generator=generator, device=v.device, dtype=v.dtype) * scale
    (weights,) = adam_descent(lambda p, _: (capacity.gradient_unchecked(p[0], v, a),), (start,), n_steps, lr)
    weights = _polished(weights, v, a, n_polish)
    residual, loss = _residual(weights, v, a), capacity.quadratic_loss(weights, v, a + 1)
    weights = weights.unflatten(0, shape) * unit[..., None, None].sqrt()
    return Trained(weights, loss.unflatten(0, shape) * unit**2, residual.unflatten(0, shape))


def train_beside_optimum(
    v: Float[np.ndarray, "*ensemble features"],
    kurtosis: Float[np.ndarray, "*ensemble"],
    n_dims: int,
    n_seeds: int,
    n_steps: int,
    generator: torch.Generator,
    keep_weights: bool = False,
) -> dict[str, np.ndarray]:
    """Quadratic models trained from `n_seeds` starts, as numpy arrays, beside the exact optimum of each problem.

    Keys: `capacity` [..., seeds, N], `eigenvalues` [..., seeds, D], `excess_loss` (relative) and `residual` [...,
    seeds]; `optimum` [..., N] and `price` [...]; with `keep_weights` also `weights`. Raises as `train_quadratic`.
    """
    importance, kappa = torch.tensor(v), torch.tensor(kurtosis)
    trained = train_quadratic(importance, kappa, n_dims, n_seeds, generator, n_steps=n_steps)
    best = capacity.optimal_allocation(v, kurtosis[..., None], n_dims)
    weights = {"weights": trained.weights.cpu().numpy()} if keep_weights else {}
    return weights | {
        "capacity": capacity.feature_capacity(trained.weights).cpu().numpy(),
        "eigenvalues": capacity.eigenvalues(trained.weights).cpu().numpy(),
        "excess_loss": trained.loss.cpu().numpy() / best.loss[..., None] - 1,
        "residual": trained.residual.cpu().numpy(),
        "optimum": best.capacity,
        "price": best.price,
    }


def train_quadratic_on_samples(
    importance: Float[Tensor, "kurtosis problem features"],
    kurtosis: Float[Tensor, " kurtosis"],
    dims: int,
    n_seeds: int,
    generator: torch.Generator,
    n_steps: int = 1500,
    batch: int = 128,
    lr: float = 0.02,
    scale: float = 0.3,
) -> Float[Tensor, "kurtosis problem seeds dims features"]:
    """Weights of the quadratic model trained as one would without the theory: on the squared error of fresh samples.

    Inputs are 0 but for a share 1/κ of the samples, where they are ±√κ: of all inputs of kurtosis κ those with the
    least noise, at any κ ≥ 1. The constant e is learned as well. Adam, float32, on the generator's device; the weights
    of the last step are returned, so the noise of the samples is left in them. All problems of one kurtosis and start
    see the same samples; starts and kurtoses have samples of their own. Raises ValueError for a kurtosis below 1.
    """
    check(bool((kurtosis >= 1).all()), "kurtosis", kurtosis.tolist(), "at least 1")
    n_kurtoses, n_problems, n = importance.shape
    v = importance.to(generator.device, torch.float32)
    options = {"generator": generator, "device": v.device}
    start = (
        torch.randn(n_kurtoses, n_seeds, n_problems * dims, n, **options) * scale,
        torch.zeros(n_kurtoses, n_seeds, n_problems, device=v.device),
    )

    def gradient(parameters, _):
        slopes = [torch.empty_like(one) for one in parameters]
        for k, (w, constant) in enumerate(zip(*parameters, strict=True)):
            chance = torch.rand(n_seeds, batch, n, **options) * float(kurtosis[k])
            x = ((chance < 1).float() - 2 * (chance < 0.5).float()) * float(kurtosis[k]) ** 0.5
            hidden = (x @ w.mT).unflatten(-1, (n_problems, dims))
            error = (x * x) @ v[k].mT - (hidden * hidden).sum(-1) - constant[:, None]
            slopes[0][k] = -4 / batch * (hidden * error[..., None]).flatten(-2).mT @ x
            slopes[1][k] = -2 * error.mean(1)
        return slopes

    w = adam_descent(gradient, start, n_steps, lr, drawn=generator)[0]
    return w.unflatten(2, (n_problems, dims)).transpose(1, 2)


ARRANGEMENTS = ("independent", "signs at random", "as they are")


def rearranged(
    data: Float[Tensor, "samples features"], arrangement: str, size: int, generator: torch.Generator
) -> Float[Tensor, "size features"]:
    """Samples drawn from data with more or less of the dependence between their features.

    `independent` draws every feature by itself, so that only the law of each is left; `signs at random` draws whole
    samples and then the sign of each number, which leaves sizes together and so every E x_i² x_j²; `as they are` draws
    whole samples. Raises ValueError for another arrangement.
    """
    check(arrangement in ARRANGEMENTS, "arrangement", arrangement, f"one of {', '.join(ARRANGEMENTS)}")
    options = {"generator": generator, "device": data.device}
    if arrangement == "independent":
        rows = torch.randint(len(data), (size, data.shape[1]), **options)
        return data[rows, torch.arange(data.shape[1], device=data.device)]
    drawn = data[torch.randint(len(data), (size,), **options)]
    if arrangement == "signs at random":
        drawn = drawn * (2 * torch.randint(2, drawn.shape, **options) - 1)
    return drawn


def train_quadratic_on_data(
    data: Float[Tensor, "samples features"],
    importance: Float[Tensor, " features"],
    arrangement: str,
    dims: int,
    n_seeds: int,
    generator: torch.Generator,
    n_steps: int = 2500,
    batch: int = 256,
    lr: float = 0.02,
    scale: float = 0.3,
) -> Float[Tensor, "seeds dims features"]:
    """Weights of the quadratic model trained on the squared error of data of mean 0 and variance 1, as `rearranged`.

    The constant e is learned as well. Adam, float32, on the generator's device; the weights of the last step are
    returned. Every start draws samples of its own.
    """
    x, v = data.to(generator.device, torch.float32), importance.to(generator.device, torch.float32)
    options = {"generator": generator, "device": v.device}
    start = (torch.randn(n_seeds, dims, len(v), **options) * scale, torch.zeros(n_seeds, device=v.device))

    def gradient(parameters, _):
        w, constant = parameters
        drawn = rearranged(x, arrangement, n_seeds * batch, generator).unflatten(0, (n_seeds, batch))
        hidden = drawn @ w.mT
        error = drawn * drawn @ v - (hidden * hidden).sum(-1) - constant[:, None]
        return -4 / batch * (hidden * error[..., None]).mT @ drawn, -2 * error.mean(-1)

    return adam_descent(gradient, start, n_steps, lr, drawn=generator)[0]


# Inputs of mean 0 and variance 1: how a Bernoulli(p) gate multiplies a law, and the kurtosis of the product.
INPUT_KURTOSIS: dict[str, Callable[[float], float]] = {
    "gaussian": lambda p: 3 / p,
    "uniform": lambda p: 1.8 / p,
    "laplace": lambda p: 6 / p,
    "sign": lambda p: 1 / p,
    "positive": lambda p: (p / 5 - p**2 / 2 + p**3 / 2 - 3 * p**4 / 16) / (p / 3 - p**2 / 4) ** 2,
    "binary": lambda p: (1 - 3 * p * (1 - p)) / (p * (1 - p)),
}


def power_kurtosis(power, density: int | float):
    """Kurtosis of sign(x)|x|^power for uniform inputs on [−1, 1] that are non-zero with this density."""
    power = np.asarray(power, dtype=float)
    return (2 * power + 1) ** 2 / (4 * power + 1) / density


def sparse_inputs(
    law: str, density: int | float, shape: tuple[int, ...], generator: torch.Generator
) -> Float[Tensor, "..."]:
    """Independent inputs that are non-zero with probability `density`, scaled to mean 0 and variance 1, in float64.

    law: `gaussian`, `laplace`, `uniform` on [−1, 1], `sign` (±1), all symmetric; `positive` (uniform on [0, 1]) and
    `binary` (0 or 1), both centred after gating. Their kurtosis is `INPUT_KURTOSIS[law](density)`. Raises ValueError
    for another law or a density outside (0, 1].
    """
    check(law in INPUT_KURTOSIS, "law", law, f"one of {', '.join(INPUT_KURTOSIS)}")
    check(0 < density <= 1 and (law != "binary" or density < 1), "density", density, "in (0, 1], below 1 for binary")
    p, options = density, {"generator": generator, "device": generator.device, "dtype": torch.float64}
    gate = (torch.rand(shape, **options) < p).double()
    if law == "gaussian":
        return gate * torch.randn(shape, **options) / p**0.5
    value = torch.rand(shape, **options)
    if law == "laplace":
        centred = value - 0.5
        return gate * -centred.sign() * torch.log1p(-2 * centred.abs()) / (2 * p) ** 0.5
    if law == "uniform":
        return gate * (2 * value - 1) * (3 / p) ** 0.5
    if law == "sign":
        return gate * (2 * (value < 0.5).double() - 1) / p**0.5
    if law == "positive":
        return (gate * value - p / 2) / (p / 3 - p * p / 4) ** 0.5
    return (gate - p) / (p * (1 - p)) ** 0.5


def _residual(w, v, a):
    return capacity.gradient_unchecked(w, v, a).flatten(-2).norm(dim=-1) / a[:, 0]


def _polished(weights, v, a, n_steps, tolerance=1e-13, stretch=50):
    """Conjugate gradients in stretches of 50 steps, each on the models that are not there yet."""
    weights = weights.clone()
    for _ in range(0, n_steps, stretch):
        left = _residual(weights, v, a) > tolerance
        if not left.any():
            break
        weights[left] = _conjugate_gradients(weights[left], v[left], a[left], stretch)
    return weights


def _conjugate_gradients(w, v, a, n_steps):
    """Polak–Ribière with restarts; along a line the loss is a quartic, so the best step is a root of a cubic."""
    gradient = capacity.gradient_unchecked(w, v, a)
    direction = -gradient
    for _ in range(n_steps):
        w = w + _step(_quartic(w, direction, v, a))[:, None, None] * direction
        before, gradient = gradient, capacity.gradient_unchecked(w, v, a)
        mix = (_dot(gradient, gradient - before) / _dot(before, before)).nan_to_num(0.0).clamp_min(0)[:, None, None]
        direction = mix * direction - gradient
        uphill = _dot(direction, gradient) >= 0
        direction = torch.where(uphill[:, None, None], -gradient, direction)
    return w


def _quartic(w, p, v, a):
    """Coefficients (of t, t², t³, t⁴) of the loss at W + t P, written through n(t) and W Wᵀ(t), both quadratic in t."""
    gap, n0 = v - (w * w).sum(-2), (w * w).sum(-2)
    n1, n2 = 2 * (w * p).sum(-2), (p * p).sum(-2)
    cross = w @ p.mT
    m0, m1, m2 = w @ w.mT, cross + cross.mT, p @ p.mT
    return (
        (-2 * a * gap * n1 - 4 * n0 * n1).sum(-1) + 4 * _dot(m0, m1),
        (a * (n1**2 - 2 * gap * n2) - 2 * n1**2 - 4 * n0 * n2).sum(-1) + 2 * _dot(m1, m1) + 4 * _dot(m0, m2),
        (2 * (a - 2) * n1 * n2).sum(-1) + 4 * _dot(m1, m2),
        ((a - 2) * n2**2).sum(-1) + 2 * _dot(m2, m2),
    )


def _step(coefficients, n_newton=8):
    """The nearest minimum along the line by Newton's method; 0 (no step) where that would not lower the loss."""
    c1, c2, c3, c4 = coefficients
    t = -c1 / (2 * c2.abs())
    for _ in range(n_newton):
        t = t - (c1 + t * (2 * c2 + t * (3 * c3 + t * 4 * c4))) / (2 * c2 + t * (6 * c3 + t * 12 * c4))
    lower = t * (c1 + t * (c2 + t * (c3 + t * c4))) < 0
    return torch.where(lower & (t > 0), t, torch.zeros_like(t))


def _dot(x, y):
    return (x * y).sum((-2, -1))
