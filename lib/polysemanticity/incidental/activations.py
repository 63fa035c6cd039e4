"""The paper's network with an activation function and a LayerNorm on its hidden layer, untied.

y = ReLU(D h), h_i = φ(√m W_i)/√m, for one feature i at a time. √m W_i has unit variance at the start, as activation
functions expect; with φ linear and D = W at the start it is the paper's tied network. Leading axis: networks.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TOP = 4  # entries that top-k keeps

Values = Float[Tensor, "*batch neuron"]


def top(values: Values, kept: int = TOP) -> Values:
    """Return the `kept` largest entries by size, the rest as 0; gradients go straight through the mask, to all."""
    places = values.abs().topk(kept, -1).indices
    mask = torch.zeros_like(values).scatter(-1, places, 1.0)
    return values + (values * mask - values).detach()


def solu(values: Values) -> Values:
    """Return x · softmax(x) (Elhage et al., 2022), which is meant to make single neurons stand out."""
    return values * values.softmax(-1)


ACTIVATIONS: dict[str, Callable] = {
    "linear": lambda values: values,
    "ReLU": torch.relu,
    "GELU": functional.gelu,
    "SoLU": solu,
    f"top-{TOP}": top,
    "softmax": lambda values: math.sqrt(values.shape[-1]) * values.softmax(-1),  # a code that sums to one
}
POSITIVE = ("ReLU", "GELU", "SoLU", "softmax")  # whose large entries are all positive


def layer_norm(values: Values) -> Values:
    """Return the values minus their mean, of norm one."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / (centred.square().sum(-1, keepdim=True) + 1e-8).sqrt()


def code(
    encoding: Float[Tensor, "network feature neuron"], activation: str, normed: bool
) -> Float[Tensor, "network feature neuron"]:
    """Return the hidden activations h_i, one of ACTIVATIONS at the scale above, then LayerNorm if `normed`."""
    root = math.sqrt(encoding.shape[-1])
    hidden = ACTIVATIONS[activation](root * encoding) / root
    return layer_norm(hidden) if normed else hidden


def reconstruction_error(
    hidden: Float[Tensor, "network feature neuron"], decoder: Float[Tensor, "network feature neuron"]
) -> Float[Tensor, "network"]:
    """Return Σ_ij (y_ij − δ_ij)² for y_i = ReLU(D h_i)."""
    output = (hidden @ decoder.mT).relu()
    return (output - torch.eye(output.shape[-1], dtype=output.dtype, device=output.device)).square().sum((-2, -1))


def centred_pairs(n_features: int, n_neurons: int) -> float:
    r"""Return the expected number of shared neurons of one-pair codes (e_k − e_l)/√2, placed at random: n(n−1)/(m−1).

    Among codes of norm one whose entries sum to zero these have the least l1 norm, √2. Each of the 2m slots (neuron,
    sign) holds one feature at most; feature i's plus is on j's minus with probability 1/(m − 1), to leading order in
    1/m and exactly where n = m. The count is about four times that of one-hot codes.
    """
    return n_features * (n_features - 1) / (n_neurons - 1)
