"""Whether a code can be decoded, and what its spectrum says about that: CT-13.

First the paper's example: x ↦ g^x mod p for a prime p with primitive root g, learnt by a network from the bits of x to
those of g^x, and controls that map x to itself and to a random order; each layer is probed for the bits of x. Then
autoencoders of photographs' patches, whose layers are decoded by a line and by a network.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from polysemanticity import intervals, ranks, spectra
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import data, mine, train

FUNCTIONS = ("g^x mod p", "random order", "x itself")
LAYERS = ("input", "hidden 1", "hidden 2", "hidden 3", "output")
HIDDEN = 128  # units of each hidden layer of every network here
SEEN = 0.8  # share of all x that a probe sees
PATCH, CODE = 8, 24  # side of a grey patch, and units in an autoencoder's middle
DECODED = ("encoder 1", "encoder 2", "decoder 1", "decoder 2")  # layers of HIDDEN units, before and after the middle
FITTED_RANKS = (3, 32)  # fitted ranks, as in the other experiments
RATES = (0.0, 0.2, 0.4, 0.6, 0.8)  # dropout in the encoders

EASY = 0.75  # share of parities that a probe has to read right
_SOURCE = "Marshall & Kirchner 2024"
CLAIMS = {
    "CT-13": Claim(
        id="CT-13",
        claim="A network's code can keep all of the input and yet be too hard to decode (x ↦ g^x mod p)",
        whose="printed",
        source=f"{_SOURCE}, supplement 2.2 and open question 1",
        paper="the best code of x is g^x, from which no polynomial decoder finds x; how alpha relates to that is open",
        rule={
            "bits of g^x that the network gets right (share)": (0.99, 1.0),
            "bits of new x read from the first hidden layer, above chance": (0.4, 0.5),
            "bits of new x read from the output, above chance": (-0.05, 0.05),
        },
        reason="The map is one to one, so the network's output keeps all of x if nearly all bits are right. Share of "
        "bits, chance being about one half; 0.05 is above what a probe gets by knowing how often each bit is set. New: "
        "not among the x that the probe has learnt from. The gate: the lowest bit of x is known to be easy, by Euler's "
        "criterion. A probe that does not find what is easy shows by its failure nothing about what is hard.",
        known="the probe had read nothing of x from g^x, and as little from a random order",
        gate="from the output the probe reads the parity of new x right three times in four: the bit that is easy",
        figure="figx_decoding",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Networks that learn powers modulo p, and small autoencoders whose layers are decoded."""

    prime: int = setting(1019, "p of the networks that learn powers modulo p", low=5, smoke=67, paper=4079)
    power_nets: int = setting(3, "networks that learn each function", low=2, smoke=2)
    power_steps: int = setting(
        1500, "steps of their training; their probes take a third as many", low=3, smoke=6, paper=20_000
    )
    n_seeds: int = setting(4, "splits of the photographs, each with one autoencoder per dropout rate", low=2, smoke=2)
    coder_steps: int = setting(800, "steps of the small autoencoders' training", low=2, smoke=4, paper=10_000)
    decoder_steps: int = setting(400, "steps of their decoders' training", low=2, smoke=4, paper=4000)
    n_patches: int = setting(4096, "patches to train on, and others to decode", low=260, smoke=260, paper=32_768)

    def __post_init__(self):
        check(is_odd_prime(self.prime), "decoding.prime", self.prime, "a prime above 2")


def functions(settings: Settings) -> list[dict]:
    """Return the configurations of `modular`: one for each function."""
    power = {
        "p": settings.prime,
        "n_nets": settings.power_nets,
        "n_steps": settings.power_steps,
        "batch_size": min(128, settings.prime // 4),
        "lr": 3e-3,
        "probe_steps": settings.power_steps // 3,
    }
    return [{"function": name, **power} for name in FUNCTIONS]


def coders(settings: Settings) -> dict:
    """Return the one configuration of `autoencoded`."""
    return {
        "rates": RATES,
        "n_patches": settings.n_patches,
        "n_steps": settings.coder_steps,
        "batch_size": 128,
        "lr": 2e-3,
        "decoder_steps": settings.decoder_steps,
    }


def is_odd_prime(p: int) -> bool:
    """Return whether a number is a prime above 2."""
    return p > 2 and all(p % k for k in range(2, math.isqrt(p) + 1))


def smallest_root(p: int) -> int:
    """Return the smallest g whose powers modulo p are all of 1 .. p - 1; ValueError for p that is no prime above 2."""
    check(is_odd_prime(p), "p", p, "a prime above 2")
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

    `right` [net]: share of the output's bits that is right. `parity` [net]: share of new x whose lowest bit a probe of
    the output reads right. `new` and `seen` [layer, net]: share of the bits of x that
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
        bits = (probes(stacked).sign() == x).float().unflatten(0, (len(LAYERS), n_nets))
    correct = bits.mean(-1)
    return {
        "right": right.cpu().numpy(),
        "parity": bits[-1][:, new, 0].mean(-1).cpu().numpy(),
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


def _grey(pixels: Tensor) -> Tensor:
    return pixels.float().mean(1).flatten(1)


def _exponent(activity: Tensor) -> float:
    spectrum = spectra.covariance_spectrum(activity)
    if spectrum.eigenvalues[FITTED_RANKS[1] - 1] <= 1e-12 * spectrum.eigenvalues[0]:
        return spectra.MAX_EXPONENT  # fewer directions than fitted ranks
    return spectra.debias_power_law(spectrum, first=FITTED_RANKS[0], last=FITTED_RANKS[1]).exponent


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


def reading_table(powers: Results) -> pd.DataFrame:
    """Return the share of the bits of x that a probe reads right from every layer, and the outputs' spectra."""
    share, parts = "share of bits of x read right", []
    by_function = _by_function(powers)
    for name, found in by_function.items():
        row = {"what": "measured" if name == FUNCTIONS[0] else "control", "series": name}
        for which in ("new", "seen"):
            read = intervals.mean(found[which])
            parts.append({**row, "quantity": share, "x": which, "layer": LAYERS, **read.columns()})
    parts.append({"what": "control", "series": "chance", "quantity": share, "layer": LAYERS, "value": 0.5})
    for name, found in by_function.items():
        row = {"what": "measured" if name == FUNCTIONS[0] else "control", "series": name}
        rank = 1 + np.arange(len(found["eigenvalues"]))
        parts.append({**row, "quantity": "eigenvalue", "rank": rank, "value": found["eigenvalues"]})
    return pd.concat(map(pd.DataFrame, parts), ignore_index=True)


def gap_table(coded: Results, seed: int) -> pd.DataFrame:
    """Return exponent and gain of every autoencoder and layer, and their rank correlations; `seed` redraws them."""
    exponent, gain = _exponents(coded), _gains(coded)  # [seed, layer, rate]
    split, layer, rate = np.indices(gain.shape).reshape(3, -1)
    each = {
        "what": "measured",
        "quantity": "share of the line's error that a network explains",
        "layer": np.array(DECODED)[layer],
        "split of the photographs": 1 + split,
        "dropout p": np.array(coded.configs[0]["rates"])[rate],
        "exponent a": exponent.ravel(),
        "value": gain.ravel(),
    }
    ranked = intervals.join(list(correlations(coded, seed).values()))
    together = {"what": "measured", "quantity": "rank correlation", "layer": DECODED, **ranked.columns()}
    table = pd.DataFrame(each).sort_values("layer", key=lambda names: names.map(DECODED.index), kind="stable")
    return pd.concat([table, pd.DataFrame(together)], ignore_index=True)


def correlations(coded: Results, seed: int) -> dict[str, intervals.Estimate]:
    """Return Spearman's correlation of exponent and gain over all autoencoders, for each layer of DECODED."""
    exponent, gain = _exponents(coded), _gains(coded)
    return {
        name: intervals.bootstrap(
            lambda pairs: ranks.rank_correlation(*pairs.T),
            np.stack([exponent[:, layer].ravel(), gain[:, layer].ravel()], axis=1),
            streams.rng(seed, f"gap {layer}"),
            1000,
        )
        for layer, name in enumerate(DECODED)
    }


def measured(powers: Results, coded: Results, seed: int) -> Measured:
    """Return what decides CT-13; `seed` is that of the bootstrap."""
    by_function, power, coder = _by_function(powers), powers.configs[0], coded.configs[0]
    learned = by_function["g^x mod p"]
    above = {name: intervals.mean(found["new"][-1] - 0.5) for name, found in by_function.items()}
    parity = intervals.mean(learned["parity"])
    if parity.value < EASY:
        above["g^x mod p"] = above["g^x mod p"]._replace(low=-math.inf, high=math.inf)
    quantities = {
        "bits of g^x that the network gets right (share)": intervals.mean(learned["right"]),
        "bits of new x read from the first hidden layer, above chance": intervals.mean(learned["new"][1] - 0.5),
        "bits of new x read from the output, above chance": above["g^x mod p"],
        "parity of new x read from the output": parity,
        "the same for x itself": above["x itself"],
        "the same for a random order": above["random order"],
        **{f"Spearman(a, gain), {name}": one for name, one in correlations(coded, seed).items()},
    }
    n_coders = len(coded[0]) * len(coder["rates"])
    error = (
        f"95 %: t interval over {power['n_nets']} networks, without the draw of new x, which they share "
        f"(another ±.02); bootstrap over {n_coders} autoencoders"
    )
    scale = (
        f"p = {power['p']}, {power['n_nets']} networks of 3 hidden layers of {HIDDEN} units for each function, "
        f"{power['n_steps']} steps; {n_coders} autoencoders of grey {PATCH}×{PATCH} patches of photographs, "
        f"{CODE} units in the middle, {coder['n_steps']} steps on {coder['n_patches']} patches, "
        f"{len(coded[0])} splits of the photographs"
    )
    note = (
        "the probe reads {:.0%} [{:.0%}, {:.0%}] of the parities of new x right, which arithmetic reads all; at this p "
        "a table of all x decodes everything".format(*parity)
    )
    return Measured(quantities, error, scale, note)


def numbers(powers: Results, coded: Results) -> dict[str, intervals.Estimate | float]:
    """Return what else the section speaks of, by a name for a table."""
    exponent, gain = np.log(_exponents(coded)), _gains(coded)
    learned = _by_function(powers)["g^x mod p"]
    within = {
        f"rank correlation at equal dropout, {name}": ranks.rank_correlation(
            *((part[:, layer] - part[:, layer].mean(0)).ravel() for part in (exponent, gain))
        )
        for layer, name in enumerate(DECODED)
    }
    return {
        "bits of seen x read from the output, g^x mod p": intervals.mean(learned["seen"][-1]),
        **{
            f"largest eigenvalue ÷ smallest, {name}": float(found["eigenvalues"][0] / found["eigenvalues"][-1])
            for name, found in _by_function(powers).items()
        },
        "share of the line's error that a network explains, largest": float(gain.max()),
        "the same, median": float(np.median(gain)),
        **within,
    }


def _by_function(powers: Results) -> dict[str, dict]:
    return {config["function"]: rows[0] for config, rows in powers.pairs()}


def _exponents(coded: Results) -> np.ndarray:
    return coded.array("exponent")[0]


def _gains(coded: Results) -> np.ndarray:
    return gap(coded.array("linear")[0], coded.array("network")[0])
