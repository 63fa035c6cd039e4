"""What is done where a device's memory does not suffice for a batch that a network only looks at.

In eval mode an input's activity does not depend on what else is in its batch: halves tell the same, to rounding. A
training whose batch is too large fails, as half of it would be another training.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from polysemanticity.base import runtime

Batch = Tensor | Mapping[str, object]
Found = TypeVar("Found")


def whole_or_halves(compute: Callable[[Batch], Found], batch: Batch, halve: bool = True) -> Iterator[Found]:
    """Yield what is computed of a batch; where that exceeds the device's memory, with a notice, of its two halves.

    batch: a tensor, or a mapping in which tensors of the batch's length are halved. `halve=False` where the entries of
    a batch are not computed independently. Raises torch.OutOfMemoryError where a half is still too large.
    """
    try:
        found = compute(batch)
    except torch.OutOfMemoryError:
        size = _size(batch)
        if not halve or size < 2:
            raise
        found = None
    if found is not None:
        yield found
        return
    torch.cuda.empty_cache()  # what the failed attempt had taken
    note = f"the device's memory does not suffice for a batch of {size}: computed in two halves"
    runtime.report(note)
    warnings.warn(note, stacklevel=2)
    yield compute(_part(batch, slice(size // 2), size))
    yield compute(_part(batch, slice(size // 2, size), size))


def first(batch: Batch, count: int) -> Batch:
    """Return the first `count` entries of a batch, or all where there are no more; what is no batch as it is."""
    size = _size(batch) if isinstance(batch, Tensor | Mapping) else 0
    return batch if size <= count else _part(batch, slice(count), size)


def _size(batch: Batch) -> int:
    tensors = [batch] if isinstance(batch, Tensor) else [one for one in batch.values() if isinstance(one, Tensor)]
    return len(tensors[0]) if tensors and tensors[0].ndim else 0


def _part(batch: Batch, rows: slice, size: int) -> Batch:
    if isinstance(batch, Tensor):
        return batch[rows]
    return {
        name: value[rows] if isinstance(value, Tensor) and value.ndim and len(value) == size else value
        for name, value in batch.items()
    }
