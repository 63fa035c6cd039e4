"""What researchers have, as tensors: numpy, torch on any device and of any type, data frames, files; or a refusal."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from polysemanticity.base.arrays import matrix as matrix
from polysemanticity.base.arrays import numpy as numpy
from polysemanticity.base.arrays import tensor
from polysemanticity.base.checks import check

FILES = (".safetensors", ".npz")
ACCEPTED = "a torch module, a dictionary of arrays or of iterables of them, an iterable of dictionaries, or a path"


def rows_of(value, name: str) -> tuple[torch.Tensor, np.ndarray | None]:
    """Return activity [..., unit] as rows [n, unit], and for each the number of its group: its place on the first axis.

    Without groups for [n, unit]. Raises ValueError for fewer than two axes and no units.
    """
    plain = isinstance(value, torch.Tensor) and value.layout == torch.strided
    found = value.detach() if plain else tensor(value, name)
    found = found if found.is_floating_point() else tensor(found, name)
    check(
        found.ndim >= 2 and found.shape[-1] >= 1, f"shape of {name}", tuple(found.shape), "[..., unit], at least 2 axes"
    )
    rows = found.reshape(-1, found.shape[-1])
    if found.ndim == 2:
        return rows, None
    return rows, np.repeat(np.arange(len(found)), rows.shape[0] // max(len(found), 1))


def batches(source) -> Iterator[dict]:
    """Yield dictionaries of layers' arrays, whatever they come as.

    source: a dictionary of arrays or of iterables of batches; an iterable of dictionaries; the path of a file or folder
    of safetensors or npz shards, or several paths. Arrays in files are layers by their names, shards follow each other.
    What has names and items like a dictionary, as TransformerLens keeps it, is one.
    """
    source = _as_mapping(source)
    if isinstance(source, str | Path):
        yield from _shards([Path(source)])
    elif isinstance(source, Mapping):
        check(len(source) > 0, "model", "an empty dictionary", "at least one layer")
        for name, value in source.items():
            for part in _parts_of(value, str(name)):
                yield {str(name): part}
    else:
        check(isinstance(source, Iterable) and not hasattr(source, "shape"), "model", type(source).__name__, ACCEPTED)
        for part in source:
            if isinstance(part, str | Path):
                yield from _shards([Path(part)])
            else:
                part = _as_mapping(part)
                check(isinstance(part, Mapping), "model", f"an iterable of {type(part).__name__}", ACCEPTED)
                yield {str(name): value for name, value in part.items()}


def _as_mapping(source):
    named = hasattr(source, "keys") and hasattr(source, "__getitem__")
    if isinstance(source, Mapping | pd.DataFrame) or not named:
        return source
    return {str(name): source[name] for name in source.keys()}  # noqa: SIM118 - no mapping


def _parts_of(value, name: str):
    """An array as it is; an iterable of arrays one by one."""
    saved = isinstance(getattr(value, "value", None), torch.Tensor)
    arrays = hasattr(value, "shape") or saved or isinstance(value, pd.DataFrame | list | tuple)
    if not arrays:
        check(isinstance(value, Iterable) and not isinstance(value, str | bytes), name, type(value).__name__, ACCEPTED)
        yield from value
        return
    several = isinstance(value, list | tuple) and len(value) > 0 and hasattr(value[0], "shape") and value[0].ndim >= 2
    yield from value if several else [value]


def _shards(paths: list[Path]) -> Iterator[dict]:
    for path in paths:
        check(path.exists(), "path", str(path), "a file or folder that is there")
        files = sorted(entry for entry in path.iterdir() if entry.suffix in FILES) if path.is_dir() else [path]
        check(len(files) > 0, "path", str(path), f"a folder with files that end in {' or '.join(FILES)}")
        for file in files:
            check(file.suffix in FILES, "path", str(file), f"files that end in {' or '.join(FILES)}")
            yield from _safetensors(file) if file.suffix == ".safetensors" else _npz(file)


def _safetensors(path: Path) -> Iterator[dict]:
    from safetensors import SafetensorError, safe_open  # comes with the networks

    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                yield {name: file.get_tensor(name)}
    except SafetensorError as error:
        raise ValueError(f"path = {str(path)!r}: allowed is a safetensors file ({error})") from None


def _npz(path: Path) -> Iterator[dict]:
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                yield {name: file[name]}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"path = {str(path)!r}: allowed is an npz file of numbers ({error})") from None
