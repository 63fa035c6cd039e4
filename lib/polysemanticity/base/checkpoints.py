"""Trainings go on where a killed run left them.

`engine.sweep` computes every result within `kept`, which names a folder of that result. A training that takes its steps
from `steps` then stores all that changes in it there every half minute, and the same call of a later run goes on from
there, bit for bit at the same number of threads. Outside `kept` nothing is stored, and short trainings never are.

A file is MAGIC, the sha256 of the rest, and what `torch.save` makes of tensors and plain values; nothing is unpickled
but these. A file that is damaged or of other steps is reported, set aside, and its training starts afresh.
"""

import contextlib
import hashlib
import io
import itertools
import time
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import torch

from polysemanticity.base import paths, runtime

MAGIC = b"training checkpoint 1\n"
EVERY = 30.0  # seconds between two checkpoints

_places: ContextVar[Iterator[Path] | None] = ContextVar("places", default=None)


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Let the trainings within keep their states in `folder`, which is theirs alone: one file each, in their order."""
    token = _places.set(folder / f"{number}.pt" for number in itertools.count())
    try:
        yield
    finally:
        _places.reset(token)


def place() -> Path | None:
    """Return where the next training within `kept` has its file, or None outside."""
    places = _places.get()
    return None if places is None else next(places)


def steps(count: int | None, *state) -> Iterator[int]:
    """Yield the numbers of the steps that a training still has to take, up to `count` or without end.

    `state` is everything that a step changes and a later one depends on, changed in place: tensors, arrays, random
    generators, modules, optimizers (whatever has `state_dict` and `load_state_dict`), lists of tensors, arrays and
    plain values, and dictionaries of these.
    """
    path, first = place(), 0
    if path is not None and (content := read(path)) is not None:
        first = content["step"]
        for thing, packed in zip(state, content["state"], strict=True):
            _restore(thing, packed)
    started = written = time.monotonic()
    for step in itertools.count(first) if count is None else range(first, count):
        yield step
        if path is not None and time.monotonic() - written >= EVERY:
            write(path, {"step": step + 1, "state": [_packed(thing) for thing in state]})
            written = time.monotonic()
    if path is not None and count is not None and count > first and time.monotonic() - started >= EVERY:
        write(path, {"step": count, "state": [_packed(thing) for thing in state]})


def write(path: Path, content: dict) -> None:
    """Store a dictionary of tensors and plain values whole or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    paths.write_atomically(path, MAGIC + hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())


def read(path: Path) -> dict | None:
    """Return what `write` stored, or None; a damaged file is reported, set aside and counts as none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(MAGIC) + 32
    try:
        if raw[:start] != MAGIC + hashlib.sha256(raw[start:]).digest():
            raise ValueError("wrong checksum")
        content = torch.load(io.BytesIO(raw[start:]), map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise ValueError("no dictionary")
    except Exception:  # whatever the decoder raises
        set_aside(path)
        return None
    return content


def set_aside(path: Path) -> None:
    """Rename a file that is of no use, and report it."""
    aside = path.replace(path.with_name(path.name + ".damaged"))
    text = f"checkpoint damaged, kept as {str(aside)!r}: training starts afresh"
    runtime.report(text)
    warnings.warn(text, stacklevel=2)


def _packed(thing):
    if isinstance(thing, torch.Tensor):
        return thing.detach()
    if isinstance(thing, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(thing))
    if isinstance(thing, np.random.Generator):
        return thing.bit_generator.state
    if isinstance(thing, torch.Generator):
        return thing.get_state()
    if isinstance(thing, (list, tuple)):
        return {"kinds": [_kind(item) for item in thing], "items": [_packed(item) for item in thing]}
    if isinstance(thing, dict):
        return {name: _packed(value) for name, value in thing.items()}
    return thing.state_dict() if hasattr(thing, "state_dict") else thing


def _kind(item) -> str:
    """Where an element of a list was: in an array, or on which device."""
    return "array" if isinstance(item, np.ndarray) else str(item.device) if isinstance(item, torch.Tensor) else ""


def _restore(thing, packed) -> None:
    if isinstance(thing, torch.Tensor):
        with torch.no_grad():
            thing.copy_(packed)
    elif isinstance(thing, np.ndarray):
        thing[...] = packed.numpy()
    elif isinstance(thing, np.random.Generator):
        thing.bit_generator.state = packed
    elif isinstance(thing, torch.Generator):
        thing.set_state(packed)
    elif isinstance(thing, list):
        found = zip(packed["kinds"], packed["items"], strict=True)
        thing[:] = [item.numpy() if kind == "array" else item.to(kind) if kind else item for kind, item in found]
    elif isinstance(thing, tuple):
        for item, value in zip(thing, packed["items"], strict=True):
            _restore(item, value)
    else:
        thing.load_state_dict(packed)
