"""`python -m benchmarks.roofline`: what the papers' work should take on a card by its published rates.

The table goes into docs/scaling.md. An expectation and no measurement: the longest of three times, that of the
operations at half a card's published rate in the type of number, that of the bytes at four fifths of its bandwidth, and
that of starting the kernels one by one.
`python -m benchmarks.gpu` measures the same on a card that is there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import scaling, vae
from polysemanticity.base import paths
from polysemanticity.networks import resnet_vae, train
from polysemanticity.pages import readme

LAUNCH = 5e-6  # s to start a kernel from Python, one after the other
OF_OPERATIONS, OF_BYTES = 0.5, 0.8  # of the published rates, in large products and copies


class Card(NamedTuple):
    """A card by its makers' numbers: operations per second, dense, by type of number, and bytes per second."""

    name: str
    bfloat16: float
    float32: float
    float64: float
    n_bytes: float


class Work(NamedTuple):
    """A piece of work: operations, in which numbers, least bytes, kernels, and what one unit of it makes."""

    name: str
    operations: float
    kind: str
    n_bytes: float
    kernels: float
    makes: float
    unit: str


CARDS = (
    Card("H100 SXM", 989e12, 67e12, 67e12, 3.35e12),
    Card("A100 40 GB", 312e12, 19.5e12, 19.5e12, 1.56e12),
    Card("RTX 4090", 165e12, 82.6e12, 1.29e12, 1.01e12),
)


def works() -> list[Work]:
    """The papers' work that a card is for, and one training of dozens of units, which it is not for."""
    model = train.build(resnet_vae.ResNetVAE, seed=0, image_size=224)
    image, numbers = 3 * vae.forward_operations(model, 224), 2 * vae.activity(model, 224)
    kernels = 10 * len(vae.passes(model, 224))  # forward, backward in two products, norms, masks, resizing, the update
    d, depths = scaling.XL["width"], scaling.XL["n_layer"] + 1
    parameters, tokens = scaling.block_parameters(scaling.XL["n_layer"], d), 65_536
    n, m, seeds = 256, 4096, 16
    return [
        *(
            Work(f"ResNet-VAE, 224 pixels, {batch} images a step", image * batch, "bfloat16", 2 * numbers * batch,
                 kernels, batch, "images")
            for batch in (50, 256)
        ),
        Work("GPT-2 XL, every depth, float32", 2 * parameters * tokens, "float32", 4 * depths * 8 * d * tokens,
             depths * 30, tokens, "tokens"),
        Work("covariances at its 49 depths, float64", 2 * depths * d**2 * tokens, "float64", 20 * depths * d * tokens,
             depths * 8 * 16, tokens, "tokens"),
        Work(f"AdamW on the incidental loss, n = {n}, m = {m:,}, {seeds} networks", 4 * n * n * m * seeds, "float32",
             4 * 20 * n * m * seeds, 14, 1, "steps"),
        Work("a toy of 20 features, 64 networks, Adam", 12 * 64 * 128 * 20 * 5, "float32", 4 * 30 * 64 * 20 * 128,
             40, 1, "steps"),
    ]  # fmt: skip


def seconds(work: Work, card: Card) -> tuple[float, str]:
    """How long a piece of work should take, and what binds it."""
    times = {
        "products": work.operations / getattr(card, work.kind) / OF_OPERATIONS,
        "memory": work.n_bytes / card.n_bytes / OF_BYTES,
        "launches": work.kernels * LAUNCH,
    }
    binds = max(times, key=lambda name: times[name])
    return times[binds], binds


def table() -> str:
    """The generated part of docs/scaling.md."""
    lines = [
        "Expected, not measured: published rates of the cards, "
        f"{OF_OPERATIONS:.0%} of them in products and {OF_BYTES:.0%} in copies, {LAUNCH * 1e6:.0f} µs a kernel.",
        "",
        "| work | " + " | ".join(card.name for card in CARDS) + " |",
        "|---" * (len(CARDS) + 1) + "|",
    ]
    for work in works():
        cells = []
        for card in CARDS:
            taken, binds = seconds(work, card)
            cells.append(f"{scaling.rounded(work.makes / taken)} {work.unit}/s ({binds})")
        lines.append(f"| {work.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table into the page; 0 when done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=paths.ROOT / "docs" / "scaling.md", help="the page")
    options = parser.parse_args(arguments)
    page = readme.replaced(options.out.read_text(encoding="utf-8"), "roofline", table())
    paths.write_atomically(options.out, page.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
