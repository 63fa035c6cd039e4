"""What all reports share: JSON without NaN, and plain tables to print."""

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np


def json_text(content) -> str:
    """Return content as JSON; arrays are lists, numbers that are not finite are null."""
    return json.dumps(_plain(content), allow_nan=False, indent=1)


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def two_columns(rows: Iterable[tuple[str, str]]) -> str:
    """Return lines of a name and what there is to say of it."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of text: the first column to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells, widths) -> str:
    padded = [
        cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
