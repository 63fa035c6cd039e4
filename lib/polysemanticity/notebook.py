"""What a notebook shows besides its figures; the only module that imports IPython."""

import asyncio
import base64
import contextlib
import inspect
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from IPython.display import Code, Markdown, display
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt

from polysemanticity import claims
from polysemanticity.base import config, runtime
from polysemanticity.base.checks import check

REST = 0.15  # seconds without a move after which a slider has come to rest
IN_TABLE = 2  # quantities of a claim that the table of all claims shows
BUDGET = 3.0  # seconds that a picture may take to follow a slider
LOOK = {"layout": {"width": "30em"}, "style": {"description_width": "7em"}}


def headless() -> bool:
    """Whether the notebook is executed by the runner, so that nobody can move a slider."""
    return "POLYSEMANTICITY_OUT" in os.environ or "PAPERMILL_OUTPUT_PATH" in os.environ


def say(text: str) -> None:
    """Show Markdown whose numbers come from the run (an f-string), so that prose never disagrees with the figures."""
    display(Markdown(inspect.cleandoc(text)))


def below(value: float) -> str:
    """Return the power of ten just above a rounding error, as `1e-15`: its digits differ between machines and runs."""
    return f"1e{math.ceil(math.log10(value)) if value > 0 else -16:d}"


def show_config(context: runtime.Run) -> None:
    """Show the settings that differ from the default profile, and folded up all of them with their meaning."""
    rows = config.rows(context.cfg, type(context.cfg)())
    changed = [(name, value, default, meaning) for name, value, default, meaning in rows if value != default]
    head = f"Profile **{context.profile}**, seed {context.seed}, device {context.device}"
    differing = f"{len(changed)} of {len(rows)} settings differ from the default profile:" if changed else ""
    own = _settings(changed, with_default=True) if changed else []
    everything = [
        "<details><summary>All settings</summary>",
        "",
        *_settings(rows, with_default=False),
        "",
        "</details>",
    ]
    display(Markdown("\n".join([f"{head}. {differing}".strip(), "", *own, "", *everything])))


def _settings(rows: Sequence[tuple], with_default: bool) -> list[str]:
    head = ["setting", "value", *(["default"] if with_default else []), "meaning"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, value, default, meaning in rows:
        cells = [f"`{name}`", _cell(value), *([_cell(default)] if with_default else []), meaning]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def show_table(table, digits: int = 3) -> None:
    """Show a data frame, or a dictionary of estimates by their names, as a small table of numbers in Markdown."""
    if isinstance(table, Mapping):
        head, rows = ["", "value", "interval"], [[name, *_estimate(value, digits)] for name, value in table.items()]
    else:
        head, rows = list(table.columns), table.itertuples(index=False)
    lines = [head, ["---"] * len(head), *([_number(cell, digits) for cell in row] for row in rows)]
    display(Markdown("\n".join(f"| {' | '.join(_escaped(str(cell)) for cell in line)} |" for line in lines)))


def _estimate(value, digits: int) -> list[str]:
    if isinstance(value, tuple):
        value, low, high = value
        return [_number(value, digits), "" if low == high else f"{_number(low, digits)} … {_number(high, digits)}"]
    return [_number(value, digits), ""]


def _number(value, digits: int) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return "" if math.isnan(value) else f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.{digits}g}"


def show_claims(run: runtime.Run) -> None:
    """Show the verdict on every claim: what the paper says, and what was measured with its interval."""
    display(Markdown(claims_table(run.rows.values())))


def claims_table(rows: Sequence[Mapping]) -> str:
    """Return the claims as a Markdown table of four short columns; its numbers lead to all that was measured."""
    lines = ["| | claim | measured [interval] | verdict |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["id"]):
        judged = [quantity for quantity in row["measured"] if quantity in row["bands"]["printed"]]
        first = {**row, "measured": {quantity: row["measured"][quantity] for quantity in judged[:IN_TABLE]}}
        more = len(row["measured"]) - len(first["measured"])
        cells = [
            f"[{row['id']}]({claims.PAGE}#{row['id'].lower()})",
            row["claim"],
            claims.measured_text(first) + (f"; {more} more" if more and first["measured"] else ""),
            f"{claims.MARKS[row['verdict']]} {row['verdict']}",
        ]
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    return "\n".join(lines)


def show_source(function: Callable) -> None:
    """Show the source of a library function, where reading it is the lesson."""
    display(Code(inspect.getsource(function), language="python"))


def sliders(
    draw: Callable,
    *,
    stills: Sequence[Mapping] = (),
    budget: float | None = None,
    **ranges: tuple[float, float, float] | tuple,
) -> None:
    """Show what `draw(**values)` draws, with a slider (low, high, start) for every number, a menu for every choice.

    A range above zero has a logarithmic slider, one from zero on a linear one, a range of integers whole numbers; a
    tuple of texts is a menu that starts with the first. The picture is drawn anew as soon as the sliders rest, and for
    `budget` seconds at most, BUDGET by default: values that take longer are said to. Where nobody can move a slider, a
    picture for each of `stills` (values by name) stands in, by default one for the starting values. Raises ValueError
    for a start outside its range or a still that leaves a value out.
    """
    starts = {name: _start(name, choice) for name, choice in ranges.items()}
    for still in stills:
        check(set(still) == set(ranges), "stills", still, f"values for {', '.join(ranges)}")
    _explore(draw, lambda widgets, name: _range_control(widgets, name, ranges[name]), starts, stills, budget)


def choices(
    draw: Callable, *, stills: Sequence[Mapping] = (), budget: float | None = None, **options: tuple[Sequence, object]
) -> None:
    """Show what `draw(**values)` draws, with one of a few values for every argument: (what can be chosen, the start).

    Numbers have a slider that goes from one to the next, texts a menu. Drawn, and replaced by `stills`, as by
    `sliders`. Raises ValueError for a start that is none of the options.
    """
    for name, (allowed, start) in options.items():
        check(start in allowed, name, start, f"one of {', '.join(map(str, allowed))}")
    starts = {name: start for name, (_, start) in options.items()}
    _explore(draw, lambda widgets, name: _option_control(widgets, name, *options[name]), starts, stills, budget)


def _start(name: str, choice: tuple):
    if isinstance(choice[0], str):
        return choice[0]
    low, high, start = choice
    check(low < high, name, choice, "(low, high, start) with low < high")
    check(low <= start <= high, name, start, f"a start from {low:g} to {high:g}")
    return start


def _explore(draw: Callable, make: Callable, starts: Mapping, stills: Sequence[Mapping], budget: float | None) -> None:
    """Draw the stills where nobody can move anything; else show the controls and, below them, the picture."""
    if headless():
        for values in stills or [starts]:
            draw(**values)
        return
    import ipywidgets  # loads slowly, and only a live notebook needs it

    controls, screen = {name: make(ipywidgets, name) for name in starts}, ipywidgets.Output()

    def redraw() -> None:
        values = {name: control.value for name, control in controls.items()}
        screen.outputs = _within_budget(draw, values, BUDGET if budget is None else budget)

    screen.outputs = _outputs(draw, starts)  # the first picture also loads what is needed: it may take its time
    moved = _when_it_rests(redraw)
    for control in controls.values():
        control.observe(moved, "value")
    display(ipywidgets.VBox([*controls.values(), screen]))


def _when_it_rests(action: Callable[[], None]) -> Callable:
    """Return a callback that calls `action` once REST seconds have passed without another call of it.

    A slider on its way sends many values. Without an event loop there is nothing to wait in: then at once.
    """
    waiting = []

    def moved(change) -> None:
        while waiting:
            waiting.pop().cancel()
        try:
            waiting.append(asyncio.get_running_loop().call_later(REST, action))
        except RuntimeError:
            action()

    return moved


def _within_budget(draw: Callable, values: Mapping, budget: float) -> tuple[dict, ...]:
    """The outputs of `draw(**values)`, or of why there are none: too slow, or values that go together badly."""
    try:
        with _time_limit(budget):
            return _outputs(draw, values)
    except _TooSlow:
        text = f"These values take longer than {budget:g} s on this machine: move a slider back."
    except Exception as error:  # in an event loop nobody else would show it
        text = f"{type(error).__name__}: {error}"
    finally:
        plt.close("all")
    return ({"output_type": "display_data", "data": {"text/markdown": f"**{text}**"}, "metadata": {}},)


def _outputs(draw: Callable, values: Mapping) -> tuple[dict, ...]:
    """What `draw(**values)` prints and displays, as the outputs of a cell, to be shown all at once."""
    with capture_output() as captured:
        draw(**values)
        plt.show()
    printed = [{"output_type": "stream", "name": "stdout", "text": captured.stdout}] if captured.stdout else []
    shown = [
        {"output_type": "display_data", "data": _as_text(output.data), "metadata": output.metadata or {}}
        for output in captured.outputs
    ]
    return (*printed, *shown)


def _as_text(data: Mapping) -> dict:
    """The forms of an output with bytes as base64, as a notebook file has them."""
    return {kind: base64.b64encode(form).decode() if isinstance(form, bytes) else form for kind, form in data.items()}


class _TooSlow(BaseException):
    """Not an Exception, so that nothing that is interrupted takes it for one of its own."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End the block with `_TooSlow` after some seconds, where there are alarms: in a main thread, not on Windows."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number, frame):
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _range_control(widgets, name: str, choice: tuple):
    """A slider that stops at 61 places and at the start; at whole numbers only, where the range is given by such."""
    look = {"description": name, **LOOK}
    if isinstance(choice[0], str):
        return widgets.Dropdown(options=choice, value=choice[0], **look)
    low, high, start = choice
    places = np.geomspace(low, high, 61) if low > 0 else np.linspace(low, high, 61)
    places[-1] = high  # geomspace may miss it by a rounding
    whole = all(isinstance(end, int) for end in choice)
    stops = sorted({round(place) if whole else float(place) for place in (*places, start)})
    labels = [f"{stop}" if whole else f"{stop:.3g}" for stop in stops]
    return widgets.SelectionSlider(options=list(zip(labels, stops, strict=True)), value=start, **look)


def _option_control(widgets, name: str, allowed: Sequence, start):
    numbers = len(allowed) > 1 and all(isinstance(value, int | float) for value in allowed)
    kind = widgets.SelectionSlider if numbers else widgets.Dropdown
    return kind(options=list(allowed), value=start, description=name, **LOOK)


def _cell(value) -> str:
    return ", ".join(
        f"{item:g}" if isinstance(item, float) else str(item)
        for item in (value if isinstance(value, tuple) else (value,))
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
