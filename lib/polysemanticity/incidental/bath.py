"""A few features in a bath: a mean-field model of how n features share m neurons, with nothing fitted.

If each of the 2m slots (neuron, sign) holds one of n features at random, `incidental.expected_polysemantic` neurons are
shared. What deviates is a correlation between the two slots of a neuron. Two features alone (no bath) can have a
negative overlap W_i·W_j at no cost: interference only takes positive ones away, which favours opposite signs on a
neuron. Many features cannot all have negative overlaps: ‖Σ_i W_i‖² ≥ 0 gives

    mean over i ≠ j of W_i·W_j  ≥  −q/(n − 1),        q = mean of ‖W_i‖²,

which for n ≫ √m is far less than the 0.4/√m that is left of half of the initial overlaps. The model follows groups of a
few features; the other n − group features act through this bound alone. Where the mean overlap d of all groups falls
below it, each feature is pulled towards the rest of its group,

    W_i ← W_i + (bound − d)/2 · Σ_{j≠i in group} W_j,

which brings the mean overlap back to the bound: the push of a crowd that the others have set up against each of them.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from polysemanticity.base import checkpoints
from polysemanticity.base.checks import check

PART = 2**18  # weights that a processor works on at once: they fit its cache from one product to the next
STEP = 0.07  # of time: below the flow's limit of stability while groups are small against the number of neurons


def groups_in_a_bath(
    start: Float[Tensor, "group feature neuron"],
    l1: float,
    time: float,
    n_features: int | float = math.inf,
    step: float = STEP,
) -> Float[Tensor, "group feature neuron"]:
    """Return the weights of groups of features at `time` of the flow, among `n_features` in all: `start` is kept.

    With n_features = the size of a group there is no bath: the bound holds by itself, and groups are small networks.
    Proximal steps of length `step`; dead weights are exactly zero. ValueError for fewer features than a group has.
    """
    size = start.shape[1]
    check(n_features >= size, "n_features", n_features, f"at least the {size} of a group")
    check(l1 >= 0, "l1", l1, "a number of at least 0")
    check(step > 0, "step", step, "a number above 0")
    weights, n_groups = start.clone(), len(start)
    overlap, moved = weights @ weights.mT, torch.empty_like(weights)
    own_place = torch.eye(size, dtype=start.dtype, device=start.device)
    several = max(1, PART // start[0].numel()) if start.device.type == "cpu" else n_groups
    for _ in checkpoints.steps(max(1, round(time / step)), weights, overlap):
        change = overlap.clamp(min=0).sub_(own_place).mul_(-4 * step)
        if n_features > size:
            own = overlap.diagonal(dim1=-2, dim2=-1).sum()
            mean = (overlap.sum() - own) / (n_groups * size * (size - 1))
            bound = -own / (n_groups * size * (n_features - 1))
            change += (bound - mean).clamp(min=0) / 2 * (1 - own_place)
        for now, by, to, next_overlap in zip(
            *(x.split(several) for x in (weights, change, moved, overlap)), strict=True
        ):
            torch.baddbmm(now, by, now, out=to)
            torch.ops.aten.softshrink.out(to, step * l1, out=now)  # x − clamp(x, −λ, λ) in one pass
            torch.bmm(now, now.mT, out=next_overlap)
    return weights


def filled_slots(weights: Float[ndarray, "seed feature neuron"]) -> Int[ndarray, "seed feature"]:
    """Return the slots that features take one after the other, the largest weight of all first (`incidental.slots`).

    Each feature takes the largest of its weights whose slot nobody has taken; 0 for a feature that finds none. For
    independent weights the shared neurons are those of `incidental.expected_polysemantic` on average, but for a share
    of about 1/2m: a feature that finds a slot taken cannot have the other one of that neuron.
    """
    taken = np.zeros(weights.shape[:2], dtype=int)
    for slots, network in zip(taken, np.asarray(weights), strict=True):
        n_neurons, full = network.shape[1], set()
        order = np.argsort(-np.abs(network), axis=None)[: np.count_nonzero(network)]
        for place in order:
            feature, neuron = divmod(int(place), n_neurons)
            slot = (neuron + 1) * (1 if network[feature, neuron] > 0 else -1)
            if slots[feature] == 0 and slot not in full:
                slots[feature] = slot
                full.add(slot)
            if len(full) == len(slots):
                break
    return taken
