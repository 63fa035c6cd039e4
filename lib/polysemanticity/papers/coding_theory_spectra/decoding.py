"""Whether a code can be decoded, and what its spectrum says about that: CT-13.

First the paper's example: x ↦ g^x mod p for a prime p with primitive root g, learnt by a network from the bits of x to
those of g^x, and controls that map x to itself and to a random order; each layer is probed for the bits of x. Then
autoencoders of photographs' patches, whose layers are decoded by a line and by a network.
"""

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import softplus

from polysemanticity import spectra
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.claims import Claim
from polysemanticity.networks import data, mine, train

FUNCTIONS = ("g^x mod p", "random order", "x itself")
LAYERS = ("input", "hidden 1", "hidden 2", "hidden 3", "output")
HIDDEN = 128  # units of each hidden layer of every network here
SEEN = 0.8  # share of all x that a probe sees
PATCH, CODE = 8, 24  # side of a grey patch, and units in an autoencoder's middle
DECODED = ("encoder 1", "encoder 2", "decoder 1", "decoder 2")  # layers of HIDDEN units, before and after the middle
WINDOW = (3, 32)  # fitted ranks, as in the other experiments

_SOURCE = "Marshall & Kirchner 2024"
FIGURES = {
    "figx_decoding": "Share of the bits of x that a probe reads correctly at each layer of networks that have learnt "
    "powers modulo a prime, a random order and the identity: on new x it falls to chance at the output of the first "
    "two; beside it the spectra of the three outputs, which are alike.",
    "figx_decoder_gap": "Gain of a network over a line in decoding autoencoders' layers against the layer's exponent, "
    "one point per autoencoder and layer, and the rank correlation of the two for each layer with its interval.",
}
CLAIMS = {
    "CT-13": Claim(
        id="CT-13",
        claim="A network's code can keep all of the input and yet be too hard to decode (x ↦ g^x mod p)",
        source=f"{_SOURCE}, supplement 2.2 and open question 1",
        paper="the best code of x is g^x, from which no polynomial decoder finds x; how alpha relates to that is open",
        rule={
            "bits of g^x that the network gets right (share)": (0.99, 1.0),
            "bits of new x read from the first hidden layer, above chance": (0.4, 0.5),
            "bits of new x read from the output, above chance": (-0.05, 0.05),
        },
        reason="The map is one to one, so the network's output keeps all of x if nearly all bits are right. Share of "
        "bits, chance being about one half; 0.05 is above what a probe gets by knowing how often each bit is set. New: "
        "not among the x that the probe has learnt from. Blind, but for the expectation in the sheet.",
    ),
}


def smallest_root(p: int) -> int:
    """Return the smallest g whose powers modulo p are all of 1 .. p - 1; ValueError for p that is no prime above 2."""
    prime = p > 2 and all(p % k for k in range(2, math.isqrt(p) + 1))
    check(prime, "p", p, "a prime above 2")
    factors = [q for q in range(2, p) if (p - 1) % q == 0 and all(q % k for k in range(2, math.isqrt(q) + 1))]
    return next(g for g in range(2, p) if all(pow(g, (p - 1) // q, p) != 1 for q in factors))


def to_bits(values: np.ndarray, n_bits: int) -> Tensor:
    """Return the binary digits of whole numbers as -1 and 1, lowest first, [..., n_bits] float32."""
    digits = (np.asarray(values)[..., None] >> np.arange(n_bits)) & 1
    return torch.from_numpy(2.0 * digits - 1).float()


def table(function: str, p: int, rng: np.random.Generator) -> np.ndarray:
    """Return what a function of FUNCTIONS makes of x = 0 .. p - 2."""
    check(function in FUNCTIONS, "function", function, f"one of {', '.join(FUNCTIONS)}")
    if function == "g^x mod p":
        g = smallest_root(p)
        return np.array([pow(g, x, p) for x in range(p - 1)])
    return rng.permutation(p - 1) if function == "random order" else np.arange(p - 1)


def layers_of(nets: mine.Ensemble, inputs: Tensor) -> list[Tensor]:
    """Return the activity [net, sample, unit] of every layer of an ensemble, the input first and the output last."""
    hidden, found = inputs, [inputs.expand(len(nets.weights[0]), -1, -1)]
    for index, (weight, bias) in enumerate(zip(nets.weights, nets.biases, strict=True)):
        hidden = torch.baddbmm(bias, torch.relu(hidden) if index > 1 else found[-1], weight)
        found.append(torch.relu(hidden) if index < len(nets.weights) - 1 else hidden)
    return found


def wrong_bits(nets: mine.Ensemble, inputs: Tensor, bits: Tensor) -> Tensor:
    """Return the cross-entropy of bits [sample, net, bit] of -1 and 1 in nats per bit, summed over the networks."""
    return softplus(-bits.transpose(0, 1) * nets(inputs.transpose(0, 1))).mean((1, 2)).sum()


def modular(*, seed, device, function, p, n_nets, n_steps, batch_size, lr, probe_steps) -> dict:
    """Return how many bits of x can be read from each layer of networks that have learnt a function of x.

    `right` [net]: share of the output's bits that is right. `new` and `seen` [layer, net]: share of the bits of x that
    a probe with one hidden layer reads right, for x that it has not and has learnt from. `eigenvalues` [bit]: spectrum
    of the function's own bits.
    """
    n_bits = (p - 1).bit_length()
    x = to_bits(np.arange(p - 1), n_bits).to(device)
    y = to_bits(table(function, p, streams.rng(seed, "order")), n_bits).to(device)
    nets = mine.Ensemble(n_nets, (n_bits, *[HIDDEN] * 3, n_bits), streams.generator(seed, "weights", device))
    expanded = x[:, None].expand(-1, n_nets, -1), y[:, None].expand(-1, n_nets, -1)
    recipe = {"batch_size": batch_size, "lr": lr, "seed": seed, "schedule": "cosine"}
    train.fit(nets, wrong_bits, expanded, n_steps=n_steps, **recipe)
    with torch.no_grad():
        activity = layers_of(nets, x[None].expand(n_nets, -1, -1))
    activity[-1] = activity[-1].sign()
    stacked = torch.cat([nn.functional.pad(part, (0, HIDDEN - part.shape[-1])) for part in activity])  # [layer * net]
    right = (activity[-1] == y).float().mean((1, 2))
    order = torch.randperm(p - 1, generator=streams.generator(seed, "probe split")).to(device)
    known, new = order.split([int(SEEN * (p - 1)), p - 1 - int(SEEN * (p - 1))])
    probes = mine.Ensemble(len(stacked), (HIDDEN, HIDDEN, n_bits), streams.generator(seed, "probes", device))
    pairs = stacked[:, known].transpose(0, 1), x[known][:, None].expand(-1, len(stacked), -1)
    train.fit(probes, wrong_bits, pairs, n_steps=probe_steps, **recipe)
    with torch.no_grad():
        correct = (probes(stacked).sign() == x).float().mean(-1).unflatten(0, (len(LAYERS), n_nets))
    return {
        "right": right.cpu().numpy(),
        "new": correct[..., new].mean(-1).cpu().numpy(),
        "seen": correct[..., known].mean(-1).cpu().numpy(),
        "eigenvalues": spectra.covariance_spectrum(y).eigenvalues,
    }


class Autoencoders(nn.Module):
    """An ensemble of fully connected autoencoders with a dropout rate each, ReLU, dropout in the encoder only."""

    def __init__(self, rates: tuple[float, ...], n_inputs: int = PATCH**2):
        super().__init__()
        sizes = (n_inputs, HIDDEN, HIDDEN, CODE, HIDDEN, HIDDEN, n_inputs)
        self.stack = mine.Ensemble(len(rates), sizes, torch.Generator().manual_seed(torch.initial_seed()))
        self.register_buffer("rates", torch.tensor(rates)[:, None, None])

    def forward(self, x: Tensor, found: list | None = None) -> Tensor:
        """Map patches [sample, input] to [net, sample, input]; appends the layers DECODED to `found`."""
        hidden = x.expand(len(self.rates), -1, -1)
        for index, (weight, bias) in enumerate(zip(self.stack.weights, self.stack.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if index in (0, 1, 3, 4):
                hidden = torch.relu(hidden)
                if found is not None:
                    found.append(hidden)
                if index < 2 and self.training:
                    hidden = hidden * (torch.rand_like(hidden) >= self.rates) / (1 - self.rates)
        return hidden


def patch_error(model: Autoencoders, x: Tensor) -> Tensor:
    """Return the mean squared error, summed over the networks."""
    return ((model(x) - x) ** 2).mean((1, 2)).sum()


def decoder_error(decoders: mine.Ensemble, activity: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error on targets [sample, pair, input], summed over the pairs."""
    return ((decoders(activity.transpose(0, 1)) - target.transpose(0, 1)) ** 2).mean((1, 2)).sum()


def autoencoded(*, seed, device, rates, n_patches, n_steps, batch_size, lr, decoder_steps) -> dict:
    """Return exponent and decodability of the layers DECODED of one autoencoder for each dropout rate, [layer, rate].

    `exponent`: corrected, of held-out patches; 12 for a layer of fewer directions than fitted ranks. `linear` and
    `network`: R² of the input decoded by a line, and with a network of one hidden layer added to it, on patches that
    neither has learnt from. `error`: held-out, over variance.
    """
    pictures, held = data.split(data.photographs(smallest=PATCH), seed=seed)
    fitted, probe = (
        _grey(data.patches(part, n_patches, PATCH, streams.rng(seed, name)).pixels).to(device)
        for part, name in ((pictures, "patches"), (held, "probes"))
    )
    scale = fitted.std()
    fitted, probe = (fitted - fitted.mean()) / scale, (probe - fitted.mean()) / scale
    model = train.build(Autoencoders, seed=seed, device=device, rates=tuple(rates))
    recipe = {"batch_size": batch_size, "lr": lr, "seed": seed, "schedule": "cosine"}
    train.fit(model, patch_error, fitted, n_steps=n_steps, **recipe)
    layers: list[Tensor] = []
    with torch.no_grad():
        error = ((model(probe, layers) - probe) ** 2).mean((1, 2)) / probe.var()
    stacked = torch.cat(layers)  # [layer * net, sample, unit]
    exponents = [_exponent(layer) for layer in stacked]
    linear, network = _decoded(stacked, probe, decoder_steps, recipe, seed, device)
    shape = (len(DECODED), len(rates))
    return {
        "exponent": np.reshape(exponents, shape),
        "linear": linear.reshape(shape),
        "network": network.reshape(shape),
        "error": error.cpu().numpy(),
    }


def gap(linear: np.ndarray, network: np.ndarray) -> np.ndarray:
    """Return the share of what a line leaves unexplained that the network explains, from the two R²; elementwise."""
    return 1 - (1 - np.asarray(network)) / (1 - np.asarray(linear))


def rank_correlation(pairs: np.ndarray) -> float:
    """Return Spearman's correlation of pairs [n, 2]."""
    return float(stats.spearmanr(*np.asarray(pairs).T).statistic)


def _grey(pixels: Tensor) -> Tensor:
    return pixels.float().mean(1).flatten(1)


def _exponent(activity: Tensor) -> float:
    spectrum = spectra.covariance_spectrum(activity)
    if spectrum.eigenvalues[WINDOW[1] - 1] <= 1e-12 * spectrum.eigenvalues[0]:
        return spectra.MAX_EXPONENT  # fewer directions than fitted ranks
    return spectra.debias_power_law(spectrum, first=WINDOW[0], last=WINDOW[1]).exponent


def _decoded(stacked: Tensor, x: Tensor, n_steps: int, recipe: dict, seed: int, device) -> tuple[np.ndarray, ...]:
    """R² of x by a line and by a line plus a network, each learnt on the first half of the samples."""
    half = len(x) // 2
    centre, spread = stacked[:, :half].mean(1, keepdim=True), stacked[:, :half].std((1, 2), keepdim=True)
    inputs = torch.cat([(stacked - centre) / spread, torch.ones_like(stacked[..., :1])], -1)
    design, target = inputs[:, :half].double(), x[:half].double()
    ridge = 1e-4 * half * torch.eye(design.shape[-1], dtype=torch.float64, device=device)
    line = torch.linalg.solve(design.mT @ design + ridge, design.mT @ target).float()
    rest = x - inputs @ line
    decoders = mine.Ensemble(len(stacked), (inputs.shape[-1], HIDDEN, x.shape[1]), streams.generator(seed, "decoders"))
    decoders.to(device)
    with torch.no_grad():
        decoders.weights[-1].zero_()  # starts as the line
    pairs = inputs[:, :half].transpose(0, 1), rest[:, :half].transpose(0, 1)
    train.fit(decoders, decoder_error, pairs, n_steps=n_steps, **recipe)
    with torch.no_grad():
        left = rest[:, half:] - decoders(inputs[:, half:])
    total = ((x[half:] - x[:half].mean(0)) ** 2).mean()
    return tuple((1 - (part**2).mean((1, 2)) / total).cpu().numpy() for part in (rest[:, half:], left))
