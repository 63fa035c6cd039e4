"""A very deep network under dropout: what mutual information it keeps, what a decoder can still read, and what is lost.

The network of the paper's Fig. S1: 40 fully connected tanh layers of 32 units, dropout after every fourth (kept units
unscaled), 3 linear outputs that repeat the 3 inputs. A block is what lies between two dropouts. Probes as published:
the fourth layer of each block, before its dropout, and the first layer after it; the last one is the output. D is the
dropout rate, k the number of input bits. Everything about several networks is one ensemble along the first axis.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from polysemanticity import information, intervals
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.base.config import setting
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import mine, train
from polysemanticity.papers.coding_theory_spectra import known_information

DEPTH, WIDTH, BLOCK, RATE, INPUTS = 40, 32, 4, 0.2, 3
PROBES = tuple(range(3, 61, 3))  # the authors' numbers of layers, which count dropout and its rescaling as layers too
BEFORE = slice(0, None, 2)  # of PROBES: before a dropout; the others are after it
ENTROPY = 3 * math.log(2)  # nats: of 3 fair bits, and the differential entropy of 3 numbers uniform on [-1, 1]
# digitised from the authors' Fig. S1, nats, +-0.02; the first two of the random network lie above its axis
PAPER_LEARNT = (
    3.89, 3.30, 3.51, 3.14, 3.32, 3.03, 3.16, 2.95, 3.08, 2.81, 2.91, 2.76, 2.82, 2.70, 2.76, 2.59, 2.69, 2.53,
    2.62, 2.43,
)  # fmt: skip
PAPER_RANDOM = (
    math.nan, math.nan, 3.90, 2.94, 2.59, 2.13, 1.98, 1.70, 1.56, 1.31, 1.23, 1.09, 1.01, 0.88, 0.82, 0.71, 0.64, 0.56,
    0.53, 0.23,
)  # fmt: skip
TASKS = ("learnt", "random", "bits", "random bits")
SMALL_WIDTH, SMALL_BLOCKS = 5, 3  # of the network all of whose masks are gone through: 2^15
RESOLUTIONS = 2.0 ** np.arange(0, -26, -2)  # steps to which its activity is rounded, relative to its spread
LATER = 4  # blocks over which the effect of one dropout is followed
STEADY = slice(6, 20, 2)  # of PROBES: before a dropout, from the 4th block to the last

_SOURCE = "Marshall & Kirchner 2024"
CLAIMS = {
    "CT-10": Claim(
        id="CT-10",
        claim="A deep network learns error correction under dropout: it keeps the mutual information with its input, "
        "of which a random network loses a share D at each dropout",
        whose="printed",
        source=f"{_SOURCE}, Fig. S1 and supplement 2.3",
        paper="MINE from 3.89 to 2.43 nats over 20 probes, above the necessary 3 ln 2; random: x .79 per block",
        rule={
            "MINE per block, learnt (ratio)": (0.9, 1.0),
            "MINE per block, random (ratio)": (0.75, 0.85),
            "MINE at the output, learnt less 3 ln 2 (nats)": (0.0, inf),
            "change of MINE over layers without noise, learnt (nats)": (-inf, 0.0),
        },
        reason="Ratio per block: geometric, from the 4th probe before a dropout to the last, since the first few lie "
        "at the ceiling of any estimate; the authors' two curves give .97 and .80 there. .9 is half-way between 1 and "
        "1 - D, .05 either side of 1 - D allows for the shorter training of critics and networks. Last quantity: "
        "layers 6k to 6k + 3 have no dropout between them, so by data processing no mutual information can rise "
        "there; a curve that does is not one of mutual information. Not blind: the authors' values were known, "
        "which rise there in each of 9 stretches. Of the corrected rule the bits and the distances were seen in "
        "pilots with other seeds and shorter training; that a finite set of masks cannot destroy information at "
        "full precision is a proof, up to the chance that a dropout takes all units.",
        corrected={
            "bits a decoder reads at the output, learnt (of 3)": (2.7, 3.0),
            "bits a decoder reads at the last layer, random (of 3)": (-inf, 1.5),
            "distance to the clean state over a block, learnt ÷ random": (0.0, 0.8),
            "exact information ÷ H(X), random, finest resolution, least": (0.99, 1.0 + 1e-9),
        },
        correction="what random networks lose is not mutual information, which dropout leaves whole at full precision "
        "in learnt and random networks alike, but what a decoder that does not know the masks can read, and "
        "precision; learnt networks keep that: they pull a disturbed state back towards the clean one",
        known="the authors' values were known, which rise in each stretch without noise; of the corrected rule, bits "
        "and distances of pilots with other seeds and shorter training",
        figure="figS1_mutual_information",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The very deep networks."""

    n_nets: int = setting(3, "very deep networks, learnt and random", low=2, smoke=2)
    n_steps: int = setting(
        7000, "steps of their training; the paper's are 39,200 of 100 samples", low=4, smoke=8, paper=39_200
    )
    lr: float = setting(2e-3, "their learning rate at the start; the paper's is a constant 0.001", low=0, paper=1e-3)


def arms(settings: Settings, critics: known_information.Settings) -> list[dict]:
    """Return the configurations of `kept`: one for each task."""
    deep = {"n_nets": settings.n_nets, "n_steps": settings.n_steps, "batch_size": 100, "lr": settings.lr}
    return [{**deep, **known_information.critic(critics), "task": task} for task in TASKS[::-1]]


def small() -> dict:
    """Return the one configuration of `exact_information`."""
    return {"resolutions": tuple(RESOLUTIONS.tolist())}


class DeepTanh(nn.Module):
    """An ensemble of very deep tanh networks, Glorot's uniform weights, biases 0 at the start."""

    def __init__(self, n_nets: int, depth: int = DEPTH, width: int = WIDTH):
        super().__init__()
        sizes = [(INPUTS, width), *[(width, width)] * (depth - 1), (width, INPUTS)]
        self.weights = nn.ParameterList(
            (2 * torch.rand(n_nets, *size) - 1) * math.sqrt(6 / sum(size)) for size in sizes
        )
        self.biases = nn.ParameterList(torch.zeros(n_nets, 1, size[1]) for size in sizes)

    def forward(self, x: Tensor, drop=None, probes: list | None = None) -> Tensor:
        """Map inputs [net or 1, sample, 3] to outputs; appends the activity at every probe to `probes`.

        `drop(block, activity)` stands in for dropout, block counted from 0; by default units are dropped at RATE.
        """
        drop = drop or _drop
        hidden = x.expand(len(self.weights[0]), -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer and layer % BLOCK == 0:
                hidden = drop(layer // BLOCK - 1, hidden)
            hidden = torch.baddbmm(bias, hidden, weight)
            hidden = torch.tanh(hidden) if layer < len(self.weights) - 1 else hidden
            if probes is not None and 0 < layer < len(self.weights) - 1 and layer % BLOCK in (0, BLOCK - 1):
                probes.append(hidden)
        return hidden


def _drop(_block: int, hidden: Tensor) -> Tensor:
    return hidden * (torch.rand_like(hidden) >= RATE)


def uniform_inputs(n: int, generator: torch.Generator, n_nets: int = 1) -> Tensor:
    """Return inputs [net, sample, 3] uniform on [-1, 1]."""
    return 2 * torch.rand(n_nets, n, INPUTS, generator=generator, device=generator.device) - 1


def bit_inputs(n: int, generator: torch.Generator, n_nets: int = 1) -> Tensor:
    """Return fair independent inputs of -1 and 1, [net, sample, 3]."""
    return uniform_inputs(n, generator, n_nets).sign()


def squared_error(model: DeepTanh, x: Tensor) -> Tensor:
    """Return the mean squared error, summed over the networks, so that none feels another."""
    return ((model(x) - x) ** 2).mean((1, 2)).sum()


def bit_error(model: DeepTanh, x: Tensor) -> Tensor:
    """Return the cross-entropy of the signs of the inputs in nats per bit, summed over the networks."""
    return softplus(-2 * model(x) * x).mean((1, 2)).sum()


def trained(task: str, *, seed, device, n_nets, n_steps, batch_size, lr) -> tuple[DeepTanh, train.History | None]:
    """Return the networks of a task of TASKS, and the history of the loss per network.

    `learnt` repeats uniform inputs; `bits` goes on from there with a quarter of the steps on bits, because networks
    that see bits from the start often saturate and lose one of them for good; the random ones are untrained.
    """
    model = train.build(DeepTanh, seed=seed, device=device, n_nets=n_nets)
    check(task in TASKS, "task", task, f"one of {', '.join(TASKS)}")
    if task.startswith("random"):
        return model, None
    fit = partial(
        train.fit,
        batch_size=batch_size,
        seed=seed,
        schedule="cosine",
        warmup=min(200, n_steps // 10),
        log_every=max(n_steps // 50, 1),
    )
    history = fit(model, squared_error, partial(uniform_inputs, n_nets=n_nets), n_steps=n_steps, lr=lr)
    if task == "bits":
        short = {"n_steps": max(n_steps // 4, 1), "lr": lr / 4}
        history = fit(model, bit_error, partial(bit_inputs, n_nets=n_nets), **short)
    return model, train.History(history.step, history.loss / n_nets)


def probed(task: str, model: DeepTanh, n_samples: int, seed: int, device) -> tuple[Tensor, Tensor]:
    """Return inputs [1, sample, 3] and the activity under dropout, pairs [probe * net, sample, unit].

    The output counts as WIDTH units of which all but 3 are 0, so that all probes stack.
    """
    draw = bit_inputs if task.endswith("bits") else uniform_inputs
    x = draw(n_samples, streams.generator(seed, "probe inputs", device))
    probes: list[Tensor] = []
    with torch.no_grad(), streams.drawing_from(streams.generator(seed, "probe masks", device)):
        output = model(x, probes=probes)
    return x, torch.cat([*probes, nn.functional.pad(output, (0, WIDTH - INPUTS))])


def kept(*, seed, device, task, n_nets, n_steps, batch_size, lr, n_samples, epochs, batches, rates) -> dict:
    """Return bounds on I(input; probe) in nats under dropout, [probe, net] each, `distances`, and the output's error.

    Uniform inputs: `mine`, `nce` and `linear` (in closed form). Bits: `decoder`. The phases of the critics' training
    are given by `epochs`, `batches` and `rates`. A fifth of the samples are held out, and as many new ones measure the
    distances.
    """
    model, history = trained(
        task, seed=seed, device=device, n_nets=n_nets, n_steps=n_steps, batch_size=batch_size, lr=lr
    )
    x, activity = probed(task, model, n_samples, seed, device)
    activity = activity / activity.std((1, 2), keepdim=True).clamp_min(torch.finfo(activity.dtype).tiny)
    phases = tuple(map(mine.Phase, epochs, batches, rates))
    options = {"seed": seed, "phases": phases, "n_held": n_samples // 5}
    if task.endswith("bits"):
        bounds = {"decoder": mine.decoder_bound(x, activity, **options)}
    else:
        bounds = {
            "mine": mine.donsker_varadhan(x, activity, **options),
            "nce": mine.info_nce(x, activity, **{**options, "phases": phases[:1]}),
            "linear": mine.linear_decoder_bound(x, activity, entropy=ENTROPY, n_held=n_samples // 5),
        }
    result = {name: bound.nats.reshape(-1, n_nets) for name, bound in bounds.items()}
    result["distance"] = distances(model, task, n_samples // 5, seed, device)
    output = activity[-n_nets:, :, :INPUTS]
    if history is not None:
        result |= {"step": history.step, "loss": history.loss}
    return result | {"r2": _linear_r2(x, output)}


def _linear_r2(x: Tensor, output: Tensor) -> np.ndarray:
    """The share of each input's variance that a line through its own output explains, [net, input]."""
    a, b = (part - part.mean(1, keepdim=True) for part in (x, output))
    return ((a * b).sum(1) ** 2 / ((a**2).sum(1) * (b**2).sum(1))).cpu().numpy()


def ratio_per_block(nats: np.ndarray) -> np.ndarray:
    """Return the geometric mean ratio of [probe, net] from one block to the next over STEADY, [net].

    Negative where the first and last value differ in sign, as estimates near 0 can. Raises ValueError for a first of 0.
    """
    steady = np.asarray(nats)[STEADY]
    check(bool((steady[0] != 0).all()), "nats", 0.0, "not 0 at the 4th block")
    whole = steady[-1] / steady[0]
    return np.sign(whole) * np.abs(whole) ** (1 / (len(steady) - 1))


def rises(nats: np.ndarray) -> np.ndarray:
    """Return the change of [probe, ...] over the stretches without noise, from after a dropout to before the next."""
    nats = np.asarray(nats)
    return nats[2::2] - nats[1:-1:2]


def best_from_here(nats: np.ndarray) -> np.ndarray:
    """Return the largest lower bound at this or any later probe, [probe, ...]: by data processing it holds here too."""
    return np.maximum.accumulate(np.asarray(nats)[::-1])[::-1]


def distances(model: DeepTanh, task: str, n_samples: int, seed: int, device) -> np.ndarray:
    """Return the squared distance to the clean state after one dropout over the variance of clean states, [later, net].

    Clean: every dropout replaced by its mean, 1 - RATE. One dropout at a time is switched on, at each block that has
    LATER probes pairs behind it, and followed: entries are the layer after it, then the 4th layer of that block, and
    so on; the mean over blocks.
    """
    draw = bit_inputs if task.endswith("bits") else uniform_inputs
    x = draw(n_samples, streams.generator(seed, "distance inputs", device))

    def states(disturbed: int | None) -> Tensor:
        probes: list[Tensor] = []
        drop = lambda block, h: _drop(block, h) if block == disturbed else h * (1 - RATE)  # noqa: E731
        model(x, drop, probes)
        return torch.stack(probes)

    n_blocks = DEPTH // BLOCK
    with torch.no_grad(), streams.drawing_from(streams.generator(seed, "distance masks", device)):
        clean = states(None)
        spread = clean.var(2).sum(-1)  # [probe, net]
        rows = []
        for block in range(n_blocks - 1 - LATER):
            ratio = ((states(block) - clean) ** 2).sum(-1).mean(2) / spread
            rows.append(ratio[2 * block + 1 : 2 * block + 1 + 2 * LATER])
    return torch.stack(rows).mean(0).cpu().numpy()


def exact_information(*, seed, device, resolutions: Sequence[float]) -> dict:
    """Return I(bits; probe rounded) in bits, [probe, resolution], by going through all masks of one small random net.

    SMALL_WIDTH units, SMALL_BLOCKS dropouts, 4 layers before each and after the last; in float64. Probes: before the
    first dropout, then the layer after each dropout and the 4th. A unit is rounded to multiples of `resolution` times
    the standard deviation of all units of that probe.
    """
    generator = streams.generator(seed, "small weights", device)
    options = {"generator": generator, "device": device, "dtype": torch.float64}
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64, device=device)] * INPUTS)
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64, device=device)] * SMALL_WIDTH)
    chance = (RATE ** (1 - masks) * (1 - RATE) ** masks).prod(1)
    hidden, weight, message = grid, torch.full((len(grid),), 1 / len(grid)).to(grid), torch.arange(len(grid))
    rows = []
    for layer in range(BLOCK * (SMALL_BLOCKS + 1)):
        if layer and layer % BLOCK == 0:
            hidden = (hidden[:, None] * masks).flatten(0, 1)
            weight = (weight[:, None] * chance).flatten()
            message = message.repeat_interleave(len(masks))
        size = (INPUTS if layer == 0 else SMALL_WIDTH, SMALL_WIDTH)
        hidden = torch.tanh(hidden @ ((2 * torch.rand(*size, **options) - 1) * math.sqrt(6 / sum(size))))
        if layer and layer % BLOCK in (0, BLOCK - 1):
            found = [_information(hidden / hidden.std() / step, message, weight) for step in resolutions]
            rows.append(found)
    return {"bits": np.array(rows)}


def _information(values: Tensor, message: Tensor, weight: Tensor) -> float:
    """I(message; rounded values) in bits, exactly, for equally likely messages and rows of the given probabilities."""
    symbols = torch.round(values).cpu().numpy().astype(np.int64)
    odd = 2 * np.random.default_rng(0).integers(2**62, size=symbols.shape[1]) + 1  # a row as one number, modulo 2^64
    return information.joint_information(symbols @ odd, message.cpu().numpy(), weight.cpu().numpy())


def information_table(deep: Results) -> pd.DataFrame:
    """Return the estimates at every probe with the paper's values, and what MINE gains where there is no noise."""
    tasks = _by_task(deep)
    quantity, layers = "mutual information, estimate [nats]", np.array(PROBES)
    parts = []
    for task, what in (("learnt", "measured"), ("random", "control")):
        for key, name in known_information.ESTIMATORS.items():
            nats = tasks[task][key]
            found = intervals.mean(nats).columns() if key == "mine" else {"value": nats.mean(1)}
            parts.append(_curve(what, quantity, f"{name}, {task}", layers, **found))
    later = best_from_here(np.maximum(tasks["learnt"]["linear"], tasks["learnt"]["nce"])).mean(1)
    parts.append(_curve("measured", quantity, "bound from a later layer, learnt", layers, value=later))
    paper = {
        "the paper, learnt": np.array(PAPER_LEARNT),
        "the paper, random": np.array(PAPER_RANDOM),
        "3 ln 2, in the paper “necessary”": np.full(len(layers), ENTROPY),
    }
    for name, nats in paper.items():
        there = np.isfinite(nats)
        parts.append(_curve("paper", quantity, name, layers[there], value=nats[there]))
    changes = {"our networks": ("measured", rises(tasks["learnt"]["mine"]))}
    changes["the paper, learnt"] = ("paper", rises(PAPER_LEARNT)[:, None])
    for name, (what, change) in changes.items():
        stretch, network = (1 + place.ravel() for place in np.indices(change.shape))
        row = {"what": what, "quantity": "change over a stretch without noise [nats]", "series": name}
        parts.append(pd.DataFrame({**row, "stretch": stretch, "network": network, "value": change.ravel()}))
    return pd.concat(parts, ignore_index=True)


def correction_table(deep: Results, exact: Results) -> pd.DataFrame:
    """Return bits that a decoder reads, distances to the clean state, and the exact information of small networks."""
    tasks, layers = _by_task(deep), np.array(PROBES)
    bits, parts = "bits of 3 that a decoder reads", []
    for what, name, task in (("measured", "learnt", "bits"), ("control", "random", "random bits")):
        read = intervals.mean(_bits(tasks[task]))
        parts.append(_curve(what, bits, name, layers, **read.columns()))
    law = INPUTS * (1 - RATE) ** ((np.arange(len(layers)) + 1) // 2)
    parts.append(_curve("paper", bits, "3 (1 − D)ᵏ after k dropouts", layers, value=law))
    parts.append(_curve("control", bits, "all that there are", layers, value=np.full(len(layers), float(INPUTS))))
    distance, later = "squared distance ÷ variance of clean states", np.arange(2 * LATER) / 2
    for what, name, task in (
        ("measured", "learnt", "learnt"), ("measured", "learnt, bits", "bits"), ("control", "random", "random"),
    ):  # fmt: skip
        for network, values in [*enumerate(tasks[task]["distance"].T, 1), ("mean", tasks[task]["distance"].mean(1))]:
            row = {"what": what, "quantity": distance, "series": name, "network": str(network)}
            parts.append(pd.DataFrame({**row, "blocks later": later, "value": values}))
    copies = {"what": "control", "quantity": distance, "series": "averaging over copies", "network": "mean"}
    parts.append(pd.DataFrame({**copies, "blocks later": later, "value": RATE / (1 - RATE) * INPUTS / WIDTH}))
    counted = exact.array("bits")[0].mean(0)  # [probe, resolution]
    for probe, values in enumerate(counted):
        drops = (probe + 1) // 2
        layer = BLOCK * drops + (BLOCK if probe % 2 == 0 else 1)
        row = {"what": "measured", "quantity": "exact mutual information [bits]"}
        row["series"] = f"{drops} dropout{'s' * (drops != 1)}, layer {layer}"
        steps = np.array(exact.configs[0]["resolutions"])
        parts.append(pd.DataFrame({**row, "step of rounding [standard deviations]": steps, "value": values}))
    return pd.concat(parts, ignore_index=True)


def measured(deep: Results, exact: Results) -> Measured:
    """Return what decides CT-10."""
    tasks, config = _by_task(deep), deep.configs[0]
    learnt, random = tasks["learnt"], tasks["random"]
    contraction = {task: _contraction(tasks[task]) for task in ("learnt", "random")}
    rise = rises(learnt["mine"])
    counted = exact.array("bits")[0]  # [net, probe, resolution]
    quantities = {
        "MINE per block, learnt (ratio)": intervals.mean(ratio_per_block(learnt["mine"])),
        "MINE per block, random (ratio)": intervals.mean(ratio_per_block(random["mine"])),
        "MINE at the output, learnt less 3 ln 2 (nats)": intervals.mean(learnt["mine"][-1] - ENTROPY),
        "change of MINE over layers without noise, learnt (nats)": intervals.mean(rise.mean(0)),
        "bits a decoder reads at the output, learnt (of 3)": intervals.mean(_bits(tasks["bits"])[-1]),
        "bits a decoder reads at the last layer, random (of 3)": intervals.mean(_bits(tasks["random bits"])[-1]),
        "distance to the clean state over a block, learnt ÷ random": intervals.mean(
            contraction["learnt"] / contraction["random"]
        ),
        "exact information ÷ H(X), random, finest resolution, least": intervals.exact(counted[..., -1].min() / INPUTS),
        "InfoNCE per block, random (ratio)": intervals.mean(ratio_per_block(random["nce"])),
    }
    error = (
        f"95 % t interval over {config['n_nets']} networks; the exact information is a calculation, the least of "
        f"{len(counted)} networks"
    )
    scale = (
        f"{config['n_nets']} networks of {DEPTH} tanh layers of {WIDTH} units with dropout {RATE:g} after every "
        f"{BLOCK}th, {config['n_steps']} steps of {config['batch_size']} samples; critics on "
        f"{config['n_samples'] - config['n_samples'] // 5} samples, {sum(config['epochs'])} passes; exact: "
        f"{len(counted)} random networks of {SMALL_WIDTH} units and {SMALL_BLOCKS} dropouts"
    )
    note = f"MINE rises in {np.mean(rise > 0):.0%} of the stretches without noise, in the paper's curve in all"
    return Measured(quantities, error, scale, note)


def numbers(deep: Results) -> dict[str, intervals.Estimate]:
    """Return what else the section speaks of, by a name for a table."""
    tasks = _by_task(deep)
    names = {"learnt": "learnt", "random": "random", "bits": "learnt, bits"}
    shrunk = {
        f"squared distance one block after a dropout ÷ at once, {name}": intervals.mean(_contraction(tasks[task]))
        for task, name in names.items()
    }
    gone = {
        f"share of the inputs' variance gone at the output, {task}": intervals.mean(1 - tasks[task]["r2"].mean(1))
        for task in ("learnt", "random")
    }
    return shrunk | gone


def _by_task(deep: Results) -> dict[str, Mapping]:
    return {config["task"]: rows[0] for config, rows in deep.pairs()}


def _bits(result: Mapping) -> np.ndarray:
    """What the decoder reads, [probe, net]."""
    return result["decoder"] / np.log(2)


def _contraction(result: Mapping) -> np.ndarray:
    """The squared distance to the clean state one block after a dropout over that right after it, [net]."""
    return result["distance"][2] / result["distance"][0]


def _curve(what: str, quantity: str, series: str, layers: np.ndarray, **values) -> pd.DataFrame:
    row = {"what": what, "quantity": quantity, "series": series, "layer, as the paper counts": layers}
    return pd.DataFrame({**row, **values})
