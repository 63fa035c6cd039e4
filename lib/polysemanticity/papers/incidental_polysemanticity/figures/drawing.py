"""What several figures of this paper draw alike: stacked bars, and lines across a panel."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes


def stacked(
    ax: Axes, table: pd.DataFrame, x: str, *, look: Mapping, y: str = "value", horizontal: bool = False
) -> dict:
    """Draw a bar for every category of `x`, its series on top of each other, and return the categories' places."""
    places = {category: place for place, category in enumerate(dict.fromkeys(table[x]))}
    base = pd.Series(0.0, index=list(places))
    for series, rows in table.groupby("series", sort=False):
        sizes = rows.set_index(x)[y].reindex(base.index).fillna(0.0)
        offset = {"left" if horizontal else "bottom": base}
        (ax.barh if horizontal else ax.bar)(
            places.values(), sizes, 0.65, label=series, color=look[series]["color"], **offset
        )
        base = base + sizes
    ticks = ax.set_yticks if horizontal else ax.set_xticks
    ticks(list(places.values()), [str(category) for category in places])
    ax.grid(False, axis="y" if horizontal else "x")
    return places


def levels(ax: Axes, table: pd.DataFrame, *, look: Mapping, y: str = "value", vertical: bool = False) -> None:
    """Draw a line across the panel for every row of a table."""
    for series, value in zip(table["series"], table[y], strict=True):
        (ax.axvline if vertical else ax.axhline)(value, label=series, **look[series])


def wrapped(text: str, width: int) -> str:
    """Return a text broken into lines at its commas and, where they are longer than `width`, at its spaces."""
    lines = [""]
    for word in text.split(" "):
        full = len(lines[-1]) + len(word) > width
        lines = [*lines, word] if lines[-1] and full else [*lines[:-1], f"{lines[-1]} {word}".strip()]
    return "\n".join(lines)
