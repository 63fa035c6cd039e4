"""Noise on the hidden neurons as a regularizer: what its law does to the encodings.

The output is y = ReLU(W (Wᵀ x + ξ)) for one-hot x; the ξ_k are independent and symmetric with standard deviation
`sigma`. With the products a_ij = W_i·W_j of two encodings and u_j = W_j·ξ, the expected loss is exactly (Lecomte et
al., arXiv 2312.03096v2, the part on noise; derived here)

    E L = Σ_i E (ReLU(a_ii + u_i) − 1)² + Σ_{i≠j} h_j(a_ij),     h_j(a) = E ReLU(a + u_j)².

h_j is convex and increases, so that noise of any law rewards negative products; of unit encodings all products being
equal, −1/(n − 1), is best (Jensen): the regular simplex. The law enters through the excess kurtosis κ of ξ: that of
u_j is κ times the participation ‖W_j‖₄⁴ / ‖W_j‖₂⁴, and at fixed negative products κ < 0 rewards concentrated encodings.
Gaussian noise has no preferred axes at all: E L(W Q) = E L(W) for orthogonal Q.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check
from polysemanticity.incidental.toy_networks import participation

EXCESS_KURTOSIS = {"bipolar": -2.0, "uniform": -1.2, "gaussian": 0.0, "laplace": 3.0}
MOST_STATES = 14  # neurons up to which all 2^m states of bipolar noise are enumerated
CHUNK = 2**20  # numbers of noise drawn at once

Weights = Float[Tensor, "*instance feature neuron"]
Value = Float[Tensor, "*instance"]


def draw(law: str, shape: Sequence[int], generator: torch.Generator) -> Float[Tensor, "..."]:
    """Return independent float32 noise of mean 0 and standard deviation 1: `bipolar` (±1), uniform, gaussian, laplace.

    Bipolar noise is what the paper's code calls Bernoulli.
    """
    _check_law(law)
    options = {"generator": generator, "device": generator.device}
    if law == "bipolar":
        return torch.randint(0, 2, tuple(shape), dtype=torch.float32, **options).mul_(2).sub_(1)
    if law == "gaussian":
        return torch.randn(tuple(shape), **options)
    centred = torch.rand(tuple(shape), **options).sub_(0.5)
    if law == "uniform":
        return centred.mul_(math.sqrt(12))
    tail = (1 - 2 * centred.abs()).clamp_(min=2**-24)  # a uniform float32 has 24 bits
    return -centred.sign() * tail.log_() / math.sqrt(2)


def loss(weights: Weights, noise: Float[Tensor, "*instance #feature neuron"]) -> Value:
    """Return Σ_ij (y_ij − δ_ij)² for one draw of the noise, one vector per input or one for all of them."""
    output = ((weights + noise) @ weights.mT).relu()
    target = torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)
    return (output - target).square().sum((-2, -1))


def gradient(weights: Weights, noise: Float[Tensor, "*instance #feature neuron"]) -> Weights:
    """Return ∂loss/∂W for one draw of the noise: 2 (E W + Eᵀ (W + ξ)) with E the error of the active outputs."""
    hidden = weights + noise
    error = _active_error(hidden, weights)
    return 2 * (error @ weights + error.mT @ hidden)


def noisy_descent(
    start: Float[Tensor, "instance feature neuron"],
    sigma: Float[Tensor, "instance"],
    laws: Sequence[str],
    *,
    step: float,
    n_steps: int,
    generator: torch.Generator,
    record_at: Sequence[int],
    per_input: bool = False,
    l1: float = 0.0,
) -> Float[Tensor, "time instance feature neuron"]:
    """Return the weights after each of `record_at` steps of stochastic gradient descent on the noisy loss.

    Every step draws one noise vector per instance, with the instance's own law and sigma: the same for all inputs of
    the batch, as in the paper's code (where the instances share it too), or one for each with `per_input`. The mean
    gradient is the same; a shared vector makes it noisier, and steps above about 1/(n m sigma²) unstable. With `l1`, a
    soft threshold follows every step. Instances are independent but for the stream: a draw depends on which others are
    asked for. In the dtype of `start`, on its device. Costs 6 n² m flops per instance and step. RuntimeError if it
    diverges.
    """
    check(len(laws) == len(start), "laws", tuple(laws), f"one law for each of the {len(start)} instances")
    check(bool((sigma >= 0).all()), "sigma", sigma, "at least 0")
    check(step > 0, "step", step, "above 0")
    check(l1 >= 0, "l1", l1, "at least 0")
    wanted = set(record_at)
    check(len(wanted) > 0 and 0 <= min(wanted) <= max(wanted) <= n_steps, "record_at", record_at, f"0 to {n_steps}")
    groups = {law: torch.tensor([index for index, name in enumerate(laws) if name == law]) for law in set(laws)}
    shape = (len(start), start.shape[1] if per_input else 1, start.shape[2])
    chunk = max(1, CHUNK // math.prod(shape))
    weights, kept = start.clone(), [start.clone()] if 0 in wanted else []
    for block in checkpoints.steps(-(-n_steps // chunk), weights, kept, generator):
        first = block * chunk
        now, noise = weights, _noise(groups, sigma.to(start), (min(chunk, n_steps - first), *shape), generator)
        for done, shift in enumerate(noise, start=first + 1):
            hidden = now + shift
            error = _active_error(hidden, now)
            moved = torch.baddbmm(now, error, now, alpha=-2 * step)
            now = moved.baddbmm_(error.mT, hidden, alpha=-2 * step)
            if l1 > 0:
                now.sub_(now.clamp(-step * l1, step * l1))
            if done in wanted:
                kept.append(now.clone())
        weights.copy_(now)
    if not bool(weights.isfinite().all()):
        raise RuntimeError(f"training diverged within {n_steps} steps: use a smaller step than {step}")
    return torch.stack(kept)


def rectified_square(product: Tensor, spread: Tensor | float) -> Tensor:
    """Return E ReLU(a + u)² for Gaussian u of standard deviation `spread` > 0: (a² + s²) Φ(a/s) + a s φ(a/s)."""
    ratio = product / spread
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    return (product.square() + spread**2) * torch.special.ndtr(ratio) + product * spread * density


def bipolar_square(product: float, weights: Float[Tensor, "neuron"]) -> Float[Tensor, ""]:
    """Return E ReLU(a + Σ_k w_k ξ_k)² over all 2^m states of ξ_k = ±1, for m ≤ 14."""
    return (product + _states(weights) @ weights).relu().square().mean()


def expected_loss(weights: Weights, sigma: float, law: str) -> Value:
    """Return the exact E L: for bipolar noise over all 2^m states (m ≤ 14), for Gaussian noise in closed form.

    Gaussian: in the diagonal (1 − y)² = 1 − 2 y + y², with E ReLU(a + u) = a Φ(a/s) + s φ(a/s). Memory for bipolar
    noise is n² 2^m numbers per instance. Raises ValueError for another law, m > 14 or sigma ≤ 0.
    """
    check(law in ("bipolar", "gaussian"), "law", law, "bipolar or gaussian, whose expectations are exact here")
    check(sigma > 0, "sigma", sigma, "above 0")
    products = weights @ weights.mT
    target = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
    if law == "bipolar":
        shifts = sigma * (weights @ _states(weights).mT)  # u_j for each state: [feature j, state]
        output = (products[..., None] + shifts[..., None, :, :]).relu()  # [feature i, feature j, state]
        return (output - target[..., None]).square().mean(-1).sum((-2, -1))
    spread = sigma * weights.norm(dim=-1)
    own = products.diagonal(dim1=-2, dim2=-1)
    ratio = own / spread
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    correct = own * torch.special.ndtr(ratio) + spread * density
    return rectified_square(products, spread[..., None, :]).sum((-2, -1)) + (1 - 2 * correct).sum(-1)


def kurtosis_term(weights: Weights, sigma: float, kurtosis: float) -> Value:
    """Return the implicit regularizer −(κ/12) Σ_j PR_j s_j Σ_{i≠j} a_ij φ(a_ij / s_j), with s_j = sigma ‖W_j‖.

    What excess kurtosis adds to the Gaussian expected loss, by the Gram–Charlier series of u_j to fourth order, in
    which ∫ (α + z)₊² He₄(z) φ(z) dz = −2 α φ(α). Good where many weights add up in u_j, qualitative for a few.
    """
    products = weights @ weights.mT
    spread = sigma * weights.norm(dim=-1)[..., None, :]
    ratio = products / spread
    pull = products * torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    pull = pull - torch.diag_embed(pull.diagonal(dim1=-2, dim2=-1))
    return -kurtosis / 12 * (participation(weights)[..., None, :] * spread * pull).sum((-2, -1))


def sparsest_simplex(n_features: int, n_neurons: int) -> Float[Tensor, "feature neuron"]:
    """Return n unit encodings with all products −1/(n − 1), as concentrated on single neurons as that allows. float64.

    The more concentrated of two solutions; zeros on the other neurons. *Corner*, on n − 1 neurons: encoding k < n − 1
    has α on its own and −β on the others, the last has −1/√(n − 1) on all, with β = 1 / (√(n − 1) (√n + 1)) and α =
    1/√(n − 1) + (n − 2) β. *Centred*, on n neurons, better from n = 13 on: √(n/(n − 1)) (δ_ik − 1/n). Ours; that
    no rotation of a simplex is more concentrated was found by ascent from many starts for n ≤ 16, not proved.
    """
    check(n_features >= 2, "n_features", n_features, "at least 2")
    check(n_neurons >= n_features - 1, "n_neurons", n_neurons, f"at least {n_features - 1}, a simplex's dimension")
    n = n_features
    beta = 1 / (math.sqrt(n - 1) * (math.sqrt(n) + 1))
    alpha = 1 / math.sqrt(n - 1) + (n - 2) * beta
    own = torch.eye(n - 1, dtype=torch.float64) * (alpha + beta) - beta
    last = torch.full((1, n - 1), -1 / math.sqrt(n - 1), dtype=torch.float64)
    corner = torch.cat([own, last])
    centred = math.sqrt(n / (n - 1)) * (torch.eye(n, dtype=torch.float64) - 1 / n)
    best = centred if n_neurons >= n and fourth_norm(centred) > fourth_norm(corner) else corner
    return torch.nn.functional.pad(best, (0, n_neurons - best.shape[1]))


def fourth_norm(weights: Weights) -> Value:
    """Return the mean over features of Σ_k W_ik⁴, the paper's measure of sparsity: 1 for one-hot unit encodings."""
    return weights.square().square().sum(-1).mean(-1)


def users(weights: Weights, low: float, high: float = math.inf) -> Value:
    """Return how many neurons have two or more weights with low ≤ |w| ≤ high; the paper's window is 0.8 to 1.2."""
    check(0 < low < high, "low, high", (low, high), "0 < low < high")
    size = weights.abs()
    return (((size >= low) & (size <= high)).sum(-2) >= 2).sum(-1).to(weights.dtype)


def _active_error(hidden: Tensor, weights: Tensor) -> Tensor:
    error = (hidden @ weights.mT).clamp_(min=0)
    own = error.diagonal(dim1=-2, dim2=-1)
    own.sub_(own.sign())  # an output that is off has no slope
    return error


def _noise(groups: dict[str, Tensor], sigma: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = sigma.new_empty(shape)
    for law, chosen in sorted(groups.items()):
        noise[:, chosen] = draw(law, (shape[0], len(chosen), *shape[2:]), generator).to(sigma)
    return noise.mul_(sigma[:, None, None])


def _states(weights: Tensor) -> Tensor:
    """All sign vectors [state, neuron]."""
    m = weights.shape[-1]
    check(m <= MOST_STATES, "n_neurons", m, f"at most {MOST_STATES}: all 2^m states of the noise are enumerated")
    bits = torch.arange(2**m, device=weights.device)[:, None] >> torch.arange(m, device=weights.device) & 1
    return 2 * bits.to(weights.dtype) - 1


def _check_law(law: str) -> None:
    check(law in EXCESS_KURTOSIS, "law", law, f"one of {', '.join(EXCESS_KURTOSIS)}")
