"""What researchers have, as arrays: numpy, torch on any device and of any type, data frames; or a refusal."""

import numpy as np
import pandas as pd
import torch

from polysemanticity.base.checks import check


def tensor(value, name: str) -> torch.Tensor:
    """Return anything that is an array of real numbers as a tensor without gradients, on the CPU, not copied if it is.

    An object whose `value` is a tensor, as nnsight saves it, counts as that. Raises ValueError for anything else: text,
    ragged lists, complex numbers, objects.
    """
    saved = getattr(value, "value", None)
    value = saved if isinstance(saved, torch.Tensor) and not isinstance(value, torch.Tensor) else value
    if isinstance(value, pd.DataFrame | pd.Series):
        value = value.to_numpy()
    if isinstance(value, torch.Tensor):
        found = value.detach()
        found = (found.to_dense() if found.layout != torch.strided else found).cpu()
    else:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{name} = {type(value).__name__}: allowed is an array of real numbers ({error})"
            ) from None
        kinds = "an array of real numbers: numpy, torch or a data frame"
        check(array.dtype.kind in "biuf", name, f"{type(value).__name__} of {array.dtype}", kinds)
        if array.dtype.itemsize > 8 or not array.dtype.isnative:
            array = array.astype(np.float64)
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            array = array.astype(np.int64)
        writeable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
        found = torch.from_numpy(array if writeable else array.copy())
    check(not found.is_complex(), name, str(found.dtype), "real numbers")
    return found if found.is_floating_point() else found.double()


def numpy(value, name: str = "array") -> np.ndarray:
    """Return anything that is an array of real numbers as a numpy array, half precision as float32."""
    found = tensor(value, name)
    return (found if found.dtype in (torch.float32, torch.float64) else found.float()).numpy()


def turned(weights, features: str, usual: str):
    """Return weights [..., row, column] (numpy or torch) with their features on the axis where the caller has them.

    features: "rows" or "columns", where they are; usual: where they should be. A view, not a copy. Raises ValueError
    for another word.
    """
    check(features in ("rows", "columns"), "features", features, "'rows' or 'columns'")
    return weights if features == usual else weights.swapaxes(-1, -2)


def matrix(value, name: str, shape: str) -> torch.Tensor:
    """Return a two-dimensional array that is not empty as a tensor."""
    found = tensor(value, name)
    check(found.ndim == 2 and found.numel() > 0, f"shape of {name}", tuple(found.shape), f"{shape}, not empty")
    return found
