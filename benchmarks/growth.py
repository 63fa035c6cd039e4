"""How time and memory grow with features, neurons, dimensions, samples, units and seeds: measured against the law.

A `Sweep` varies one argument of a function that prepares a piece of work (as in `measure.peak_memory`) and holds the
others. The expected exponent is that of its cost law over the very sizes that are measured, so that a term which
is not negligible there counts.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import torch

from benchmarks import measure
from benchmarks.measure import Case, Growth, Result
from polysemanticity import capacity, incidental, spectra
from polysemanticity.base import streams
from polysemanticity.capacity import autoencoders, quadratic
from polysemanticity.incidental import optimizers
from polysemanticity.networks import resnet_vae, train

L1, PUBLISHED_L1 = 0.03, 0.001
SLACK = 0.2  # by how much an exponent may exceed the expected one
LONG = 1.0  # seconds from which on a piece of work is timed once, and not four times


class Sweep(NamedTuple):
    """One cost of `make(**held, **{size: value})` for several values of one argument, and the law it should follow."""

    cost: str  # time or memory
    make: Callable[..., Callable[[], object]]
    size: str
    sizes: Sequence[int]
    law: str  # as text
    expected: Callable[[np.ndarray], np.ndarray]  # the law, up to a factor
    held: dict

    def run(self) -> Growth:
        """Measure every size and fit."""
        each = [{**self.held, self.size: int(size)} for size in self.sizes]
        if self.cost == "memory":
            name = f"{self.make.__module__}:{self.make.__name__}"
            values = [max(peak, 4096) for peak in measure.peak_memories(name, each)]
        else:
            values = [_seconds(self.make(**one)) for one in each]
        exponent = measure.growth("", "", self.sizes, self.expected(np.array(self.sizes, dtype=float)), 0.0).exponent
        held = ", ".join(f"{name} = {value:,}" for name, value in self.held.items())
        return measure.growth(f"{self.cost} ∝ {self.law}, {held}", self.size, self.sizes, values, exponent)


NOTES = {
    "capacities": " The memory of capacities is measured where an embedding is worked through in parts. A first sweep "
    "began below that, at sizes that are one part, and found memory growing with the features up to it.",
}


def _seconds(work: Callable[[], object]) -> float:
    """The median of some runs after a warm-up, which counts itself where it is long."""
    start = time.perf_counter()
    work()
    first = time.perf_counter() - start
    return first if first > LONG else measure.timings(work, 3).median


def sizes(low: int, high: int) -> tuple[int, ...]:
    """Powers of two from `low` to `high`."""
    return tuple(2**k for k in range(low.bit_length() - 1, high.bit_length()))


def _beside_a_part(features: np.ndarray) -> np.ndarray:
    return capacity.PART + features


# ------------------------------------------------------------ the work


def flow(features: int, neurons: int, seeds: int):
    """The gradient flow of incidental polysemanticity to its end."""
    return lambda: incidental.train(features, neurons, L1, range(seeds))


def adamw(features: int, neurons: int, seeds: int, steps: int = 5):
    """Some steps of AdamW on the published loss."""
    start = incidental.initial_weights(features, neurons, range(seeds)).float()
    return lambda: optimizers.published_descent(start, PUBLISHED_L1, "adamw", steps)


def quadratic_training(features: int, dimensions: int, seeds: int, steps: int = 50):
    """Some steps of the quadratic model's training."""
    v, kappa = torch.ones(features, dtype=torch.float64), torch.tensor(10.0, dtype=torch.float64)

    def work():
        generator = streams.generator(0, "weights")
        return quadratic.train_quadratic(v, kappa, dimensions, seeds, generator, n_steps=steps, n_polish=0)

    return work


def relu(features: int, dimensions: int, networks: int, steps: int = 10):
    """Some steps of an ensemble of ReLU autoencoders on samples."""
    density, importance = torch.linspace(0.05, 1, networks), torch.ones(networks, features)

    def work():
        generator = streams.generator(0, "weights")
        return autoencoders.train_autoencoders(
            "relu", density, importance, dimensions, 1, generator, n_steps=steps, n_test=100
        )

    return work


def spectrum(samples: int, units: int):
    """The covariance spectrum of an array."""
    data = np.random.default_rng(0).standard_normal((samples, units), dtype=np.float32)
    return lambda: spectra.covariance_spectrum(data)


def stream(samples: int, units: int):
    """The covariance spectrum of a stream in batches of 1,024 samples."""
    batch = np.random.default_rng(0).standard_normal((1024, units), dtype=np.float32)
    return lambda: spectra.covariance_spectrum(_again(batch, samples // 1024))


def _again(batch: np.ndarray, times: int) -> Iterable[np.ndarray]:
    return islice(cycle([batch]), times)


def capacities(features: int, dimensions: int):
    """The capacity of every feature of random weights."""
    w = np.random.default_rng(0).standard_normal((dimensions, features))
    return lambda: capacity.feature_capacity(w)


def allocation(features: int):
    """The optimal allocation of features of random importance to a quarter as many dimensions."""
    v = np.exp(np.random.default_rng(0).normal(0, 1, features))
    return lambda: capacity.optimal_allocation(v, 30.0, features / 4)


def vae(images: int, width: float = 0.25):
    """One training step of a small ResNet-VAE on 16-pixel images."""
    model = train.build(
        resnet_vae.ResNetVAE, seed=0, width=width, image_size=16, stem_stride=1, hidden=256, dropout=0.2
    )
    batch = torch.rand(images, 3, 16, 16)

    def work():
        return train.fit(model, resnet_vae.vae_loss, batch, n_steps=1, batch_size=images, lr=1e-3, seed=0)

    return work


# ------------------------------------------------------------ the sweeps


SWEEPS = {
    "solvers": (
        # dense while more than a tenth of a row lives, until time ∝ 1 / √m: √m steps' worth of n² m operations
        Sweep("time", flow, "neurons", sizes(64, 2048), "√m", np.sqrt, {"features": 128, "seeds": 1}),
        Sweep("time", flow, "features", sizes(8, 256), "n²", np.square, {"neurons": 512, "seeds": 1}),
        Sweep("time", flow, "seeds", sizes(4, 128), "seeds", np.abs, {"features": 32, "neurons": 128}),
        Sweep("memory", flow, "neurons", sizes(128, 4096), "m", np.abs, {"features": 64, "seeds": 16}),
        Sweep("memory", flow, "seeds", sizes(16, 512), "seeds", np.abs, {"features": 32, "neurons": 256}),
        Sweep("time", adamw, "neurons", sizes(128, 4096), "n² m", np.abs, {"features": 256, "seeds": 4}),
        Sweep("time", adamw, "features", sizes(32, 1024), "n² m", np.square, {"neurons": 1024, "seeds": 1}),
        Sweep("time", adamw, "seeds", sizes(4, 128), "seeds", np.abs, {"features": 128, "neurons": 512}),
    ),
    "spectra": (
        Sweep("time", spectrum, "samples", sizes(2048, 65_536), "n m² + m³", lambda n: n + 256, {"units": 256}),
        Sweep("time", spectrum, "units", sizes(64, 2048), "n m² + m³", lambda m: 8192 * m**2 + m**3, {"samples": 8192}),
        Sweep("time", spectrum, "units", sizes(2048, 65_536), "n² m + n³", lambda m: m + 512, {"samples": 512}),
        Sweep("memory", stream, "samples", sizes(8192, 262_144), "1", np.ones_like, {"units": 512}),
        Sweep("memory", spectrum, "samples", sizes(8192, 262_144), "1", np.ones_like, {"units": 256}),
        Sweep("memory", spectrum, "units", sizes(2048, 65_536), "1", np.ones_like, {"samples": 512}),
        Sweep(
            "memory", spectrum, "units", sizes(128, 4096), "m² + rows m", lambda m: m**2 + 2048 * m, {"samples": 8192}
        ),
    ),
    "capacities": (
        Sweep("time", capacities, "features", sizes(4096, 131_072), "N D²", np.abs, {"dimensions": 100}),
        Sweep("time", capacities, "dimensions", sizes(32, 1024), "N D²", np.square, {"features": 8192}),
        # from where on the embedding is worked through in parts
        Sweep(
            "memory", capacities, "features", sizes(65_536, 2_097_152), "part + N", _beside_a_part, {"dimensions": 100}
        ),
        Sweep("time", allocation, "features", sizes(4096, 131_072), "N log N", lambda n: n * np.log(n), {}),
        Sweep(
            "time", quadratic_training, "seeds", sizes(32, 1024), "seeds", np.abs, {"features": 20, "dimensions": 10}
        ),
        Sweep(
            "memory", quadratic_training, "seeds", sizes(256, 8192), "seeds", np.abs, {"features": 20, "dimensions": 10}
        ),
        Sweep("time", relu, "networks", sizes(2, 64), "networks", np.abs, {"features": 200, "dimensions": 20}),
        Sweep("time", relu, "features", sizes(32, 1024), "N", np.abs, {"dimensions": 20, "networks": 8}),
    ),
    "networks": (
        Sweep("time", vae, "images", sizes(16, 512), "images", np.abs, {}),
        Sweep("memory", vae, "images", sizes(64, 2048), "images", np.abs, {}),
    ),
}

# shows that it works
QUICK = {
    "solvers": Sweep("time", adamw, "neurons", sizes(32, 128), "n² m", np.abs, {"features": 16, "seeds": 2}),
    "spectra": Sweep("time", stream, "samples", sizes(1024, 4096), "n", np.abs, {"units": 32}),
    "capacities": Sweep("time", capacities, "features", sizes(32, 128), "N D²", np.abs, {"dimensions": 10}),
    "networks": Sweep("time", vae, "images", sizes(4, 16), "images", np.abs, {"width": 1 / 16}),
}


def grown(name: str, quick: bool) -> Result:
    """Fit every sweep; the aim is met if none grows faster than its law."""
    found = [sweep.run() for sweep in ((QUICK[name],) if quick else SWEEPS[name])]
    excess = [one.exponent - one.expected for one in found]
    worst = int(np.argmax(excess))
    return Result(
        met=quick or max(excess) <= SLACK,
        measured=f"largest excess {max(excess):+.2f}: {found[worst].what.partition(',')[0]}, {found[worst].size}",
        growth=tuple(found),
        note="An exponent below the expected one is the cost of small sizes, where fixed costs count, or a law that "
        "holds for large sizes only." + NOTES.get(name, ""),
    )


CASES = tuple(
    Case(
        f"growth.{name}",
        work=f"growth of the cost of {name} over one and a half decades",
        against="the cost law over the same sizes",
        aim=f"no exponent more than {SLACK} above",
        run=partial(grown, name),
    )
    for name in SWEEPS
)
