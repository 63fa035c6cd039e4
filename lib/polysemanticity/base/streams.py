"""Named streams of random numbers: weights, data and shuffling of one seed never share a draw."""

import contextlib
import hashlib
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch


def _stream_seed(seed: int, stream: str) -> int:
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, stream: str, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a torch generator for one named stream (`weights`, `data`, `shuffle`, …); streams of one seed are
    independent."""
    return torch.Generator(device=device).manual_seed(_stream_seed(seed, stream))


@contextlib.contextmanager
def drawing_from(source: torch.Generator) -> Iterator[None]:
    """Let what torch draws by itself (initial weights, dropout, `randn_like`) on the device of `source` come from it.

    `source` moves on as it is drawn from; the global generator is left as it was found.
    """
    if source.device.type == "cuda":
        read = partial(torch.cuda.get_rng_state, source.device)
        write = partial(torch.cuda.set_rng_state, device=source.device)
    else:
        read, write = torch.get_rng_state, torch.set_rng_state
    before = read()
    write(source.get_state())
    try:
        yield
    finally:
        source.set_state(read())
        write(before)


def rng(seed: int, stream: str) -> np.random.Generator:
    """Return a numpy generator for one named stream; streams of one seed are independent."""
    return np.random.default_rng(_stream_seed(seed, stream))


def batch_seeds(seed: int, n_seeds: int) -> range:
    """Return the seeds of a batch: no two batches of up to 100,000 share one."""
    return range(100_000 * seed, 100_000 * seed + n_seeds)
