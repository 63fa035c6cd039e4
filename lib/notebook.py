"""What a notebook shows besides its figures; the only module that imports IPython."""

import gc
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence

from IPython import get_ipython
from IPython.display import Code, Markdown, display
from matplotlib.figure import Figure

from lib import config, runtime

MARKS = {"holds": "✓", "fails": "✗", "unclear": "?", "holds with a correction": "✓*", "not tested": "–"}


def headless() -> bool:
    """Whether the notebook is executed by the runner, so that nobody can move a slider."""
    return "POLYSEMANTICITY_OUT" in os.environ or "PAPERMILL_OUTPUT_PATH" in os.environ


def _show_saved_pictures() -> None:
    """Let the notebook show the picture that `plots.save` has written rather than draw the figure once more."""
    shell = get_ipython()
    if shell is None or "inline" not in os.environ.get("MPLBACKEND", ""):
        return
    import matplotlib_inline.backend_inline  # noqa: F401  registers its own way to show figures, which is kept

    formatter = shell.display_formatter.formatters["image/png"]
    draw = formatter.lookup_by_type(Figure)
    formatter.for_type(Figure, lambda figure: _saved_picture(figure) or draw(figure))


def _saved_picture(figure: Figure) -> tuple[bytes, dict] | None:
    """The saved PNG, at the size on the page that the notebook's own drawing would have; None for an unsaved figure."""
    png = getattr(figure, "saved_png", None)
    if png is None:
        return None
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    return png, {"width": width, "height": height}


def say(text: str) -> None:
    """Show Markdown whose numbers come from the run (an f-string), so that prose never disagrees with the figures."""
    display(Markdown(inspect.cleandoc(text)))


def below(value: float) -> str:
    """Return the power of ten just above a rounding error, as `1e-15`: its digits differ between machines and runs."""
    return f"1e{math.ceil(math.log10(value)) if value > 0 else -16:d}"


def show_config(context: runtime.Run) -> None:
    """Show every setting with its meaning; one that differs from the default profile is in bold with the default
    beside it."""
    lines = [f"profile **{context.profile}**, seed {context.seed}, device {context.device}", ""]
    lines += ["| setting | value | meaning |", "|---|---|---|"]
    for name, value, default, meaning in config.rows(context.cfg, type(context.cfg)()):
        shown = _cell(value) if value == default else f"**{_cell(value)}** (default {_cell(default)})"
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    display(Markdown("\n".join(lines)))


def show_claims(rows: Sequence[Mapping]) -> None:
    """Show the verdict on every claim: what the paper says, what was measured with its interval, the rule."""
    display(Markdown(claims_table(rows)))


def claims_table(rows: Sequence[Mapping]) -> str:
    """Return the claims as a Markdown table."""
    lines = ["| | claim | measured [interval] | rule fixed before the run | verdict |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["id"]):
        cells = [
            row["id"],
            f"{row['claim']} *({row['source']}; {row['paper']})*",
            measured_text(row) + (f" *{row['error']}*" if row["error"] else ""),
            row["rule"],
            f"{MARKS[row['verdict']]} **{row['verdict']}**" + (f": {row['note']}" if row["note"] else ""),
        ]
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    return "\n".join(lines)


def measured_text(row: Mapping) -> str:
    """Return the measured values of a row, with intervals where they have one: `slope: -1 [-1.1, -0.9]`."""
    parts = []
    for quantity, value in row["measured"].items():
        ends = [_short(end) for end in row["interval"][quantity]]
        interval = "" if set(ends) == {_short(value)} else f" [{', '.join(ends)}]"
        parts.append(f"{quantity}: {_short(value)}{interval}")
    return "; ".join(parts)


def show_source(function: Callable) -> None:
    """Show the source of a library function, where reading it is the lesson."""
    display(Code(inspect.getsource(function), language="python"))


def sliders(draw: Callable, **ranges: tuple[float, float, float] | tuple[str, ...]) -> None:
    """Show what `draw(**values)` draws, with a slider (low, high, start) for every number, a menu for every choice.

    A range above zero has a logarithmic slider, one from zero on a linear one; a tuple of texts is a menu that starts
    with the first. It is drawn again when a slider is let go, not on the way, so that a slow picture never lags behind.
    Where nobody can move a slider the picture for the starting values stands in.
    """
    if headless():
        draw(**{name: choice[0] if isinstance(choice[0], str) else choice[2] for name, choice in ranges.items()})
        return
    import ipywidgets  # loads slowly, and only a live notebook needs it

    ipywidgets.interact(draw, **{name: _control(ipywidgets, name, choice) for name, choice in ranges.items()})


def _control(widgets, name: str, choice: tuple):
    if isinstance(choice[0], str):
        return widgets.Dropdown(options=choice, value=choice[0], description=name)
    low, high, start = choice
    if low > 0:
        ends = {"base": 10, "min": math.log10(low), "max": math.log10(high)}
        return widgets.FloatLogSlider(start, **ends, description=name, continuous_update=False)
    return widgets.FloatSlider(
        start, min=low, max=high, step=(high - low) / 30, description=name, continuous_update=False
    )


def choices(draw: Callable, **options: tuple[Sequence, object]) -> None:
    """Show what `draw(**values)` draws, with a menu for every argument: (what can be chosen, the start).

    Where nobody can choose, the picture for the starting values stands in. Raises ValueError for a start that is none
    of the options.
    """
    for name, (allowed, start) in options.items():
        runtime.check(start in allowed, name, start, f"one of {', '.join(map(str, allowed))}")
    if headless():
        draw(**{name: start for name, (_, start) in options.items()})
        return
    import ipywidgets  # loads slowly, and only a live notebook needs it

    menus = {
        name: ipywidgets.Dropdown(options=list(allowed), value=start, description=name)
        for name, (allowed, start) in options.items()
    }
    ipywidgets.interact(draw, **menus)


def _cell(value) -> str:
    return ", ".join(
        f"{item:g}" if isinstance(item, float) else str(item)
        for item in (value if isinstance(value, tuple) else (value,))
    )


def _short(value: float | None) -> str:
    return "∞" if value is None else f"{value:.3g}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_show_saved_pictures()
gc.freeze()  # what has been imported stays: the collector need not walk it again for every figure
