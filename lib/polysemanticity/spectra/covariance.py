"""Covariance of activations and its spectrum, streamed, in float64 and in bounded memory.

Symbols: n samples, m units, eigenvalues lambda_1 >= lambda_2 >= ... of the centred covariance, divided by n.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num

ROWS = 4096  # samples, or units of a Gram matrix, that are converted to float64 at a time


class Spectrum(NamedTuple):
    """Eigenvalues (float64, descending, divided by n not n-1) of a covariance; min(n_samples, n_units) of them."""

    eigenvalues: Float[np.ndarray, " rank"]
    n_samples: int
    n_units: int


class CovarianceSums(NamedTuple):
    """Count, mean and centred scatter of samples, float64: partial sums that merge without cancellation.

    Workers can each sum their share and hand over this (its three values go into any file); merged in any order and
    grouping the sums are those of all samples together, to rounding (Chan, Golub and LeVeque 1979). Memory: O(m^2).
    """

    count: int
    mean: torch.Tensor
    scatter: torch.Tensor

    @classmethod
    def of(cls, batch: Num[np.ndarray | torch.Tensor, "samples units"]) -> "CovarianceSums":
        """The sums of one array of samples, on its device."""
        if len(batch) == 0:
            raise ValueError(f"batch: shape {tuple(batch.shape)}: allowed is at least 1 sample")
        work = _Work(batch.shape[1])
        for piece in _batches(batch):
            work.add(piece)
        return work.sums

    def merge(self, other: "CovarianceSums") -> "CovarianceSums":
        """The sums of both sets of samples together; neither is changed."""
        if len(self.mean) != len(other.mean):
            raise ValueError(f"other: it has {len(other.mean)} units: allowed is {len(self.mean)}, as here")
        return _absorb(self._replace(scatter=self.scatter.clone()), other)

    def spectrum(self) -> Spectrum:
        """The eigenvalues of scatter / count."""
        if self.count < 2:
            raise ValueError(f"count = {self.count}: allowed is at least 2 samples")
        return spectrum_of(self.scatter / self.count, self.count, len(self.mean))


class _Work:
    """Sums of the batches added so far, in working memory that is allocated once: fresh pages cost more than adding."""

    def __init__(self, n_units: int):
        self.sums, self.n_units, self.rows, self.scatter = None, n_units, None, None

    def add(self, batch: torch.Tensor) -> None:
        for piece in batch.split(ROWS):
            part = self._sums_of(piece)
            self.sums = part._replace(scatter=part.scatter.clone()) if self.sums is None else _absorb(self.sums, part)

    def _sums_of(self, piece: torch.Tensor) -> CovarianceSums:
        """The sums of at most ROWS samples; their scatter is overwritten by the next."""
        if self.rows is None:
            options = {"dtype": torch.float64, "device": piece.device}
            self.rows = torch.empty(ROWS, self.n_units, **options)
            self.scatter = torch.empty(self.n_units, self.n_units, **options)
        rows = self.rows[: len(piece)]
        rows.copy_(piece)
        mean = _finite_mean(rows)
        rows -= mean
        return CovarianceSums(len(rows), mean, _product(rows.T, self.scatter))


def _absorb(sums: CovarianceSums, other: CovarianceSums) -> CovarianceSums:
    """Both together; the scatter of `sums` is overwritten with theirs."""
    count, shift = sums.count + other.count, other.mean - sums.mean
    sums.scatter.add_(other.scatter).addr_(shift, shift, alpha=sums.count * other.count / count)
    return CovarianceSums(count, sums.mean + shift * (other.count / count), sums.scatter)


def _product(matrix: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """matrix @ matrix.T into `out`; on a CPU by numpy, which sees the symmetry and does half the work (BLAS's syrk)."""
    if matrix.is_cuda:
        return torch.matmul(matrix, matrix.T, out=out)
    np.matmul(matrix.numpy(), matrix.T.numpy(), out=out.numpy())
    return out


def covariance_spectrum(source: Num[np.ndarray | torch.Tensor, "..."] | Iterable) -> Spectrum:
    """Return the eigenvalues of the centred covariance (divided by n) of samples.

    source: an array [n, m] (numpy or torch, any device) or an iterable of such batches, read once. All sums are
    float64 on the source's device, so eigenvalues are exact to about 1e-15 of the largest. For n >= m the m x m
    covariance is accumulated: O(m^2) memory, O(n m^2) work. For n < m the n x n Gram matrix is, a block of units at a
    time: O(n^2) memory, O(m n^2) work; a stream's batches have to be kept for it as they are, and only while fewer than
    m samples have come, so they never take more numbers than the covariance would. Round-off below zero is returned as
    zero. Raises ValueError for NaN or infinity, batches of differing width, no units, or fewer than two samples.
    """
    held, held_count, work, width = [], 0, None, None
    for batch in _batches(source):
        width = batch.shape[1] if width is None else width
        if batch.shape[1] != width:
            raise ValueError(f"source: a batch has {batch.shape[1]} units: allowed is {width}, as in the first batch")
        held.append(batch)
        held_count += len(batch)
        if held_count >= (width if work is None else min(width, ROWS)):  # small batches are summed together
            work = _Work(width) if work is None else work
            work.add(torch.cat(held) if len(held) > 1 else batch)
            held, held_count = [], 0
    count = held_count + (0 if work is None else work.sums.count)
    if count < 2:
        raise ValueError(f"source: it has {count} samples: allowed is at least 2")
    if work is None:
        return spectrum_of(centred_gram(held) / count, count, width)
    if held:
        work.add(torch.cat(held))
    return work.sums.spectrum()


def _batches(source):
    """The source as two-dimensional tensors of at most ROWS samples; empty batches are passed over."""
    whole = hasattr(source, "shape")
    if not whole and (isinstance(source, str | bytes) or not isinstance(source, Iterable)):
        raise ValueError(f"source = {type(source).__name__}: allowed is an array [n, m] or an iterable of them")
    for batch in [source] if whole else source:
        tensor = _tensor(batch)
        if tensor.ndim != 2 or tensor.shape[1] == 0:
            raise ValueError(f"source: shape {tuple(tensor.shape)}: allowed is [samples, units] with at least 1 unit")
        if tensor.is_complex():
            raise ValueError(f"source: dtype {tensor.dtype}: allowed is real numbers")
        yield from (piece for piece in tensor.split(ROWS) if len(piece))


def _tensor(batch) -> torch.Tensor:
    """An array, a data frame or nested numbers as a tensor without gradients, where it is."""
    if isinstance(batch, torch.Tensor):
        return batch.detach()
    try:
        return torch.as_tensor(batch.to_numpy() if hasattr(batch, "to_numpy") else batch)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(batch).__name__
        raise ValueError(f"source: {kind}: allowed is arrays [samples, units] of real numbers ({error})") from None


def _finite_mean(rows: torch.Tensor) -> torch.Tensor:
    """The mean over samples; it shows NaN and infinity without a pass of its own over the samples."""
    mean = rows.mean(0)
    if not torch.isfinite(mean).all():
        raise ValueError("source: it holds NaN or infinite values: allowed is finite numbers")
    return mean


def centred_gram(batches: list[torch.Tensor]) -> torch.Tensor:
    """Return the inner products [n, n] of centred samples in float64; only ROWS units are converted at a time."""
    n, m = sum(map(len, batches)), batches[0].shape[1]
    options = {"dtype": torch.float64, "device": batches[0].device}
    gram, part, work = torch.zeros(n, n, **options), torch.empty(n, n, **options), torch.empty(n * ROWS, **options)
    for start in range(0, m, ROWS):
        width = min(ROWS, m - start)
        columns = work[: n * width].view(n, width)
        torch.cat([batch[:, start : start + width].double() for batch in batches], out=columns)
        columns -= _finite_mean(columns)
        gram += _product(columns, part)
    return gram


def spectrum_of(matrix: torch.Tensor, n_samples: int, n_units: int) -> Spectrum:
    """Return the spectrum of a covariance or, divided by n, of a Gram matrix; computed on the host.

    Most cards do float64 at a 32nd or a 64th of the rate of float32, and half of this work is bound by memory; to copy
    the matrix takes a hundredth of it.
    """
    values = np.linalg.eigvalsh(matrix.cpu().numpy())
    return Spectrum(values[::-1][: min(n_samples, n_units)].clip(min=0), n_samples, n_units)


def views(
    activity: Float[torch.Tensor, "samples channels height width"], location: tuple[int, int] | None = None
) -> dict[str, Float[torch.Tensor, "rows units"]]:
    """Return the four ways to read a convolutional layer's activity as samples of units, each [samples, units].

    flattened: every channel at every position is a unit; channel: channels are units and every position of every image
    is a sample (not independent: positions of one image are correlated, so its row count overstates the data);
    pooled: channels are units, averaged over positions; location: channels at one position, (row, column), the centre
    unless given. `flattened`, `pooled` and `location` have a row per image. Views where torch can, on the same device
    and of the same dtype. Raises ValueError for an empty axis or a location outside the map.
    """
    n, channels, height, width = activity.shape
    if activity.numel() == 0:
        raise ValueError(f"activity: shape {tuple(activity.shape)}: allowed is at least 1 along every axis")
    row, column = (height // 2, width // 2) if location is None else location
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"location = {location!r}: allowed is (row, column) within {height} x {width}")
    return {
        "flattened": activity.flatten(1),
        "channel": activity.permute(0, 2, 3, 1).reshape(n * height * width, channels),
        "pooled": activity.mean((2, 3)),
        "location": activity[:, :, row, column],
    }
