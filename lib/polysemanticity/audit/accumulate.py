"""The rows of one layer, summed as they come: covariances of consecutive blocks, and a sample of neighbouring rows.

Memory does not grow with the number of rows: when there are 2 * BLOCKS blocks, neighbours are merged, so that blocks
stay consecutive, equal in size and much longer than what rows remember; of the sampled pieces every other one is then
dropped. No block begins within a group (a text, a photograph).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from polysemanticity.base.checks import check
from polysemanticity.spectra import CovarianceSums

BLOCKS = 10  # at the end there are this many to twice as many
SMALLEST = 16  # rows of a block at first
KEPT = 4096  # rows that are kept at most
PIECE = 512  # neighbouring rows that are kept at most
HELD = 4096  # rows that are summed together at most


class Block(NamedTuple):
    """The sums of some rows, with half of their symmetric scatter: exact, in half the memory."""

    count: int
    mean: torch.Tensor
    triangle: torch.Tensor

    @classmethod
    def of(cls, sums: CovarianceSums) -> "Block":
        """The half of these sums."""
        return cls(sums.count, sums.mean, sums.scatter[_upper(len(sums.mean), sums.mean.device)])

    @property
    def sums(self) -> CovarianceSums:
        """The whole sums."""
        m = len(self.mean)
        scatter = self.triangle.new_empty(m, m)
        rows, columns = _upper(m, self.mean.device)
        scatter[rows, columns] = scatter[columns, rows] = self.triangle
        return CovarianceSums(self.count, self.mean, scatter)

    def merge(self, other: "Block") -> "Block":
        """The sums of both."""
        return Block.of(self.sums.merge(other.sums))


@lru_cache(maxsize=4)
def _upper(n: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.triu_indices(n, n, device=device)
    return rows, columns


class Rows:
    """Sums and samples of the rows of one layer."""

    def __init__(self, name: str, dtype: torch.dtype | None = None):
        """dtype: in which the rows were computed, unless it is that in which they come."""
        self.name, self.units, self.dtype, self.grouped = name, None, dtype, False
        self.blocks: list[Block] = []
        self.size, self.stride, self.n_pieces = SMALLEST, 1, 0
        self._pieces: list[list[torch.Tensor]] = []
        self._open, self._held, self._n_held, self._fresh = None, [], 0, True
        self._group = None

    @property
    def kind(self) -> torch.dtype:
        """The type in which rows are kept."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def count(self) -> int:
        """Rows so far."""
        summed = sum(block.count for block in self.blocks) + (self._open.count if self._open else 0)
        return summed + self._n_held

    @property
    def pieces(self) -> list[torch.Tensor]:
        """Sampled neighbouring rows; where rows come in groups, each group's by themselves."""
        return [part for piece in self._pieces for part in piece if len(part)]

    def add(self, rows: torch.Tensor, groups: np.ndarray | None = None) -> None:
        """Add rows [n, m]; groups: a number for each, equal ones side by side. Without them each row is its own."""
        if len(rows) == 0:
            return
        self._check(rows)
        self.grouped = groups is not None
        starts = np.arange(0, len(rows), max(1, min(self.size, 64)))
        if self.grouped:
            first = np.r_[self._group is None or groups[0] != self._group, groups[1:] != groups[:-1]]
            starts = np.flatnonzero(first)
            self._group = groups[-1]
            if not len(starts) or starts[0] > 0:
                self._take(rows[: starts[0] if len(starts) else len(rows)], False)
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            if self._rows_open() >= self.size:
                self._close()
            self._take(rows[start:end], self.grouped)

    def finish(self) -> None:
        """Close the last block; one that is much shorter than the others joins its neighbour."""
        if self._rows_open():
            short = self._rows_open() < self.size / 2 and len(self.blocks) > 1
            self._close()
            if short:
                last = self.blocks.pop()
                self.blocks[-1] = self.blocks[-1].merge(last)

    def total(self) -> CovarianceSums:
        """The sums of all rows."""
        return merged(self.blocks)

    def _check(self, rows: torch.Tensor) -> None:
        if self.units is None:
            self.units, self.dtype = rows.shape[1], self.dtype or rows.dtype
            check(self.units >= 1, f"{self.name}: units", self.units, "at least 1")
        allowed = f"{self.units}, as in the first batch"
        check(rows.shape[1] == self.units, f"{self.name}: units of a batch", rows.shape[1], allowed)
        finite = bool(torch.isfinite(rows).all())
        check(finite, f"{self.name}", "NaN or infinite values", "finite numbers")

    def _rows_open(self) -> int:
        return (self._open.count if self._open else 0) + self._n_held

    def _take(self, rows: torch.Tensor, new_group: bool) -> None:
        if self._fresh:
            self.n_pieces += 1
            if (self.n_pieces - 1) % self.stride == 0:
                self._pieces.append([])
            self._fresh, new_group = False, True
        if (self.n_pieces - 1) % self.stride == 0:
            self._sample(rows, new_group)
        self._held.append(rows)
        self._n_held += len(rows)
        if self._n_held >= HELD:
            self._flush()

    def _sample(self, rows: torch.Tensor, new_group: bool) -> None:
        piece = self._pieces[-1]
        room = PIECE - sum(map(len, piece))
        if room <= 0:
            return
        chosen = rows[:room].to(self.kind).cpu().clone()  # a view would keep the whole batch
        if new_group or not piece:
            piece.append(chosen)
        else:
            piece[-1] = torch.cat([piece[-1], chosen])
        if sum(len(part) for kept in self._pieces for part in kept) > KEPT:
            self._pieces, self.stride = self._pieces[::2], 2 * self.stride

    def _flush(self) -> None:
        if self._n_held:
            sums = CovarianceSums.of(torch.cat(self._held))
            self._open = sums if self._open is None else self._open.merge(sums)
            self._held, self._n_held = [], 0

    def _close(self) -> None:
        self._flush()
        self.blocks.append(Block.of(self._open))
        self._open, self._fresh = None, True
        if len(self.blocks) == 2 * BLOCKS:
            self.blocks = [one.merge(other) for one, other in zip(self.blocks[::2], self.blocks[1::2], strict=True)]
            self.size *= 2


def merged(blocks: list[Block]) -> CovarianceSums:
    """The sums of several blocks together."""
    total = blocks[0].sums
    for block in blocks[1:]:
        total = total.merge(block.sums)
    return total
