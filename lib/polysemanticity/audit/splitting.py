"""Would a network do better if two features on one unit were read apart? The network itself is changed, and asked.

Symbols: x_i a feature's activity, h_u the unit's, W_iu the feature's weight on it, o the output of the linear map that
reads the layer. Two changes are compared, each fitted to the first half of the batches and judged on the others:

    whole: o + h_u d             split: o + x_i W_iu d_i + x_j W_ju d_j + h_u d

with vectors d over the outputs. The first refits how the unit is read; the second can also read its two features as if
each had a unit of its own. What the second gains beyond the first is what sharing costs this network.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from polysemanticity.base.checks import check
from polysemanticity.networks import hooks

ITERATIONS = 25  # of L-BFGS
START = 0.1  # of the reader's own weights, from which a change may begin


def gain(
    model: nn.Module, layer: str, reader: str, batches: Sequence, loss: Callable, active: np.ndarray,
    weights: np.ndarray, pair: tuple[int, int, int],
) -> dict:  # fmt: skip
    """Return `gain` and `gain_stderr`: the mean fall of the loss over held-out batches, and its standard error.

    loss(model, batch) is a tensor of one number. active [row, feature] and weights [feature, unit] as for the layer's
    rows, which must be all positions (no padding). Raises ValueError for a reader whose output has other rows.
    """
    place = hooks.find(model, reader)
    check(len(place) == 1, "reader", reader, "the name of one module")
    module = model.get_submodule(next(iter(place.values())).module)
    i, j, unit = pair
    parts, start = [], 0
    for batch in hooks.activity(model, batches, layer, maps="channel", mode=None):
        (rows,) = batch.values()
        x = torch.from_numpy(active[start : start + len(rows), [i, j]]).to(rows)
        parts.append(torch.cat([rows[:, unit, None], x * torch.from_numpy(weights[[i, j], unit]).to(rows)], 1))
        start += len(rows)
    half = len(batches) // 2
    read, own = _column(module, unit, rows), torch.from_numpy(weights[[i, j], unit]).to(rows)[:, None]
    excited = torch.where(own * read > 0, read, 0)  # each feature keeps the outputs that it excites
    held = []
    for starts in ((read[None],), (read[None], *excited[:, None])):
        number, first = len(starts), START * torch.cat(starts)
        cut = [part[:, :number] for part in parts]
        change = _fitted(model, module, batches[:half], cut[:half], loss, first)
        with torch.no_grad():
            pairs = zip(batches[half:], cut[half:], strict=True)
            held.append([float(_loss(model, module, batch, part, change, loss)) for batch, part in pairs])
    falls = np.subtract(held[0], held[1])
    return {"gain": float(falls.mean()), "gain_stderr": float(falls.std(ddof=1) / np.sqrt(len(falls)))}


@torch.no_grad()
def _column(module: nn.Module, unit: int, rows: Tensor) -> Tensor:
    """What the reader makes of one unit alone [output]."""
    given = rows.new_zeros(2, rows.shape[1])
    given[1, unit] = 1
    kind = next((parameter.dtype for parameter in module.parameters()), given.dtype)
    read = module(given.to(kind)).to(given.dtype)
    check(read.ndim == 2, "reader", type(module).__name__, "a linear map of the layer's units")
    return read[1] - read[0]


def _fitted(model, module, batches, parts, loss, first: Tensor) -> Tensor:
    """The change [part, output] of least loss over the batches, from none and from `first`; the parameters stay.

    Two starts, as a network that is silent where it should not be, behind a ReLU, has no slope at none.
    """
    found = []
    for start in (torch.zeros_like(first), first):
        change = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([change], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure(change=change, optimizer=optimizer):
            optimizer.zero_grad()
            pairs = zip(batches, parts, strict=True)
            mean = sum(_loss(model, module, batch, part, change, loss) for batch, part in pairs) / len(batches)
            mean.backward(inputs=[change])
            return mean

        optimizer.step(closure)
        found.append((float(closure().detach()), len(found), change.detach()))
    return min(found)[2]


def _loss(model, module, batch, parts: Tensor, change: Tensor, loss) -> Tensor:
    with _changed(module, parts, change):
        value = loss(model, batch)
    check(isinstance(value, Tensor) and value.numel() == 1, "loss", type(value).__name__, "a tensor of one number")
    return value.sum()


@contextlib.contextmanager
def _changed(module: nn.Module, parts: Tensor, change: Tensor) -> Iterator[None]:
    def hook(_module, _inputs, output):
        n = output.numel() // output.shape[-1]
        check(n == len(parts), "reader", f"{n} rows", f"{len(parts)}, as the layer has, without padding")
        return output + (parts @ change).view(*output.shape[:-1], -1).to(output.dtype)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
