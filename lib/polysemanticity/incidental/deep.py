"""Networks with several hidden layers, in one batch: untied with ReLU and biases, or linear and tied.

Inputs are the n features, one at a time. Every tensor has a leading axis of independent networks, all hidden layers
have m neurons, and row i of a layer's responses is what its neurons say to feature i.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from polysemanticity import incidental
from polysemanticity.base.checks import check

Responses = Float[Tensor, "network feature neuron"]
Onward = Float[Tensor, "network neuron neuron"]


def feedforward_start(
    n_features: int, n_neurons: int, n_layers: int, n_networks: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Return weights W₁ [network, feature, neuron], W₂ … W_L [network, neuron, neuron] and the read-out D [network,
    feature, neuron], then the biases of the layers and of the output: Gaussian weights of variance 1/m, 2/m between
    ReLU layers (He et al., 2015), and biases of zero. float32."""
    check(n_layers >= 1, "n_layers", n_layers, "at least 1")
    n, m = n_features, n_neurons

    def draw(rows: int, variance: float) -> Tensor:
        return math.sqrt(variance) * torch.randn(n_networks, rows, m, generator=generator, device=generator.device)

    weights = (draw(n, 1 / m), *(draw(m, 2 / m) for _ in range(n_layers - 1)), draw(n, 1 / m))
    sizes = (*[m] * n_layers, n)
    return *weights, *(torch.zeros(n_networks, 1, size, device=generator.device) for size in sizes)


def feedforward_responses(parameters: Sequence[Tensor]) -> list[Responses]:
    """Return h_l = ReLU(h_{l−1} W_l + b_l) of every hidden layer, for `feedforward_start`'s tensors."""
    n_layers = len(parameters) // 2 - 1
    hidden, biases = [(parameters[0] + parameters[n_layers + 1]).relu()], parameters[n_layers + 1 :]
    for weights, bias in zip(parameters[1:n_layers], biases[1:n_layers], strict=True):
        hidden.append((hidden[-1] @ weights + bias).relu())
    return hidden


def feedforward_error(parameters: Sequence[Tensor]) -> Float[Tensor, "network"]:
    """Return Σ_ij (y_ij − δ_ij)² of the read-out y = h_L Dᵀ + c."""
    n_layers = len(parameters) // 2 - 1
    return _error(feedforward_responses(parameters)[-1] @ parameters[n_layers].mT + parameters[-1])


def tied_error(encoding: Responses, onward: Onward) -> Float[Tensor, "network"]:
    """Return Σ_ij (y_ij − δ_ij)² of y = ReLU(W₁ W₂ W₂ᵀ W₁ᵀ), whose hidden responses are W₁ and W₁ W₂."""
    hidden = encoding @ onward
    return _error((hidden @ hidden.mT).relu())


def equal_gains(onward: Onward) -> Onward:
    """Return W₂ with rows of norm one: every neuron of the first layer has the same onward gain ‖W₂[k]‖².

    The growth of a first-layer weight is 4 Σ_l (W₂W₂ᵀ)_kl w_l: a neuron's own gain is the diagonal of W₂W₂ᵀ.
    """
    return onward / onward.norm(dim=-1, keepdim=True)


def collided_winners(responses: Float[ndarray, "*network feature neuron"]) -> Int[ndarray, "*network"]:
    """Return the number of neurons that answer more strongly than any other neuron to two or more features.

    A feature without any response has no winner. For Gaussian responses the mean is "free" of `expected_polysemantic`.
    """
    size = np.abs(responses)
    won = (size.argmax(-1)[..., None] == np.arange(size.shape[-1])) & (size.max(-1, keepdims=True) > 0)
    return (won.sum(-2) >= 2).sum(-1)


def count_of_shuffled(
    responses: Float[ndarray, "*network feature neuron"], rng: np.random.Generator, n_draws: int = 20
) -> Float[ndarray, "*network"]:
    """Return the polysemantic neurons there would be by chance: if every feature's responses, with their sizes and
    signs, were dealt to the neurons at random. Mean over draws. Of one-hot codes it is "free" of
    `expected_polysemantic`; codes that use several neurons share more of them by chance."""
    draws = [incidental.polysemantic_neurons(rng.permuted(responses, axis=-1)) for _ in range(n_draws)]
    return np.mean(draws, axis=0)


def _error(output: Float[Tensor, "network feature feature"]) -> Float[Tensor, "network"]:
    return (output - torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)).square().sum((-2, -1))
