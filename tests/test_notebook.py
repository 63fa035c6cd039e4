"""What notebooks show: settings, prose with numbers, claims."""

import asyncio
import contextlib
import dataclasses
import math
import signal
import time

import ipywidgets
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from matplotlib.figure import Figure

from polysemanticity import claims, intervals, notebook
from polysemanticity.base import runtime
from polysemanticity.claims import Claim


@pytest.fixture
def shown(monkeypatch):
    collected = []
    monkeypatch.setattr(notebook, "display", lambda item: collected.append(item.data))
    return collected


def test_config_table_marks_differences(toy_paper, shown):
    notebook.show_config(runtime.start(toy_paper, profile="smoke", seed=0, device="cpu", overrides={}))
    differing, folded = shown[0].split("<details>")
    assert "| `n_seeds` | 2 | 3 | number of seeds |" in differing and "1 of 5 settings differ" in differing
    assert "`rate`" not in differing and "| `rate` | 0.5 | a rate |" in folded


def test_small_tables_of_numbers(shown):
    notebook.show_table({"slope": intervals.Estimate(1.23456, 1.0, 1.5), "count": 12345, "none": math.nan})
    assert (
        "| slope | 1.23 | 1 … 1.5 |" in shown[0] and "| count | 12,345 |" in shown[0] and "| none |  |  |" in shown[0]
    )
    notebook.show_table(pd.DataFrame({"arm": ["a|b"], "share": [0.5], "held": [True]}))
    assert shown[1].splitlines() == ["| arm | share | held |", "| --- | --- | --- |", "| a\\|b | 0.5 | yes |"]


def test_prose_is_dedented(shown):
    notebook.say(
        """
        Slope **2**
        and more
        """
    )
    assert shown == ["Slope **2**\nand more"]


def test_claims_table(toy_run, shown):
    claim = Claim("TO-01", "a | b", "Nobody", "one", {"slope": (0, 1)}, "because.")
    run = dataclasses.replace(toy_run, claims={"TO-01": claim})
    measured = claims.Measured({"slope": intervals.Estimate(0.5, 0.25, 0.75)}, "exact", "n = 3", "as expected")
    claims.judge("TO-01", measured, run)
    notebook.show_claims(run)
    line = "| [TO-01](../docs/claims.md#to-01) | a \\| b | slope: 0.5 [0.25, 0.75] | ✅ holds |"
    assert shown[0].splitlines()[-1] == line


def test_source_is_shown(shown):
    notebook.show_source(intervals.exact)
    assert "def exact" in str(shown[0])


def test_headless_under_the_runner(monkeypatch):
    assert notebook.headless()
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    monkeypatch.delenv("PAPERMILL_OUTPUT_PATH", raising=False)
    assert not notebook.headless()


@pytest.fixture
def live(monkeypatch):
    """A notebook that somebody runs: what it displays, as it comes."""
    monkeypatch.delenv("POLYSEMANTICITY_OUT", raising=False)
    monkeypatch.delenv("PAPERMILL_OUTPUT_PATH", raising=False)
    monkeypatch.setattr(notebook, "_outputs", lambda draw, values: ({"text": draw(**values)},))
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    return shown


def test_a_still_stands_in_where_nobody_can_move_anything(monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_OUT", "somewhere")
    drawn = []
    notebook.sliders(lambda **values: drawn.append(values), ratio=(0.1, 10, 1.5), kurtosis=(1.2, 100, 10))
    notebook.sliders(lambda **values: drawn.append(values), noise=(0.0, 0.3, 0.1), optimizer=("flow", "AdamW"))
    notebook.choices(lambda **values: drawn.append(values), layer=(("stem", "mu"), "mu"), rate=((0.0, 0.4), 0.4))
    notebook.sliders(lambda **values: drawn.append(values), m=(1, 9, 2), stills=({"m": 1}, {"m": 9}))
    assert drawn == [
        {"ratio": 1.5, "kurtosis": 10},
        {"noise": 0.1, "optimizer": "flow"},
        {"layer": "mu", "rate": 0.4},
        {"m": 1},
        {"m": 9},
    ]


@pytest.mark.parametrize(
    ("show", "message"),
    [
        (lambda: notebook.choices(print, layer=(("stem", "mu"), "fc9")), "layer = 'fc9': allowed is one of stem, mu"),
        (lambda: notebook.sliders(print, m=(1, 9, 20)), "m = 20: allowed is a start from 1 to 9"),
        (lambda: notebook.sliders(print, m=(9, 1, 2)), "allowed is \\(low, high, start\\) with low < high"),
        (
            lambda: notebook.sliders(print, m=(1, 9, 2), stills=({"n": 1},)),
            "stills = {'n': 1}: allowed is values for m",
        ),
    ],
)
def test_bad_ranges_are_refused(show, message):
    with pytest.raises(ValueError, match=message):
        show()


def test_controls_have_the_ranges_and_the_start_that_were_asked_for(live):
    notebook.sliders(dict, ratio=(0.1, 10, 1.5), m=(8, 192, 64), noise=(0.0, 0.3, 0.1), optimizer=("flow", "AdamW"))
    ratio, m, noise, optimizer, _ = live[0].children
    for slider, (low, high, start) in ((ratio, (0.1, 10, 1.5)), (m, (8, 192, 64)), (noise, (0.0, 0.3, 0.1))):
        stops = [stop for _, stop in slider.options]
        assert (slider.value, stops[-1]) == (start, high) and stops[0] == pytest.approx(low) and stops == sorted(stops)
    assert all(isinstance(stop, int) for _, stop in m.options)
    assert ratio.options[30][1] == pytest.approx(1) and noise.options[1][1] == pytest.approx(0.005)
    assert optimizer.options == ("flow", "AdamW") and optimizer.value == "flow"
    notebook.choices(dict, layer=(("stem", "mu"), "mu"), rate=((0.0, 0.4), 0.4), training=((1,), 1))
    layer, rate, training, _ = live[1].children
    assert layer.value == "mu" and list(layer.options) == ["stem", "mu"]
    assert isinstance(rate, ipywidgets.SelectionSlider) and rate.value == 0.4
    assert isinstance(training, ipywidgets.Dropdown)  # a slider with one position cannot be drawn


def test_the_picture_follows_a_slider_and_an_error_is_shown(live):
    notebook.sliders(lambda m: 1 / m, m=(0, 9, 2))
    slider, screen = live[0].children
    assert screen.outputs == ({"text": 0.5},)
    slider.value = 4.0
    assert screen.outputs == ({"text": 0.25},)
    slider.value = 0.0
    assert screen.outputs[0]["data"]["text/markdown"].startswith("**ZeroDivisionError: ")
    slider.value = 5.0
    assert screen.outputs == ({"text": 0.2},)


def test_moves_on_the_way_are_not_drawn(live):
    drawn = []
    notebook.sliders(lambda m, n: drawn.append(m), m=(0, 9, 2), n=(0, 9, 2))
    m, n, _ = live[0].children

    async def move():
        for value in (3.0, 4.0, 5.0):
            m.value = n.value = value
            await asyncio.sleep(notebook.REST / 5)
        await asyncio.sleep(3 * notebook.REST)

    asyncio.run(move())
    assert drawn == [2.0, 5.0]


def test_a_picture_that_takes_too_long_is_given_up(live):
    def draw(m):
        while m > 3:  # a loop that would catch an ordinary exception
            with contextlib.suppress(Exception):
                time.sleep(0.01)
        return m

    notebook.sliders(draw, m=(0, 9, 2), budget=0.2)
    slider, screen = live[0].children
    slider.value = 5.0
    assert "take longer than 0.2 s" in screen.outputs[0]["data"]["text/markdown"]
    slider.value = 3.0
    assert screen.outputs == ({"text": 3.0},)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_outputs_are_those_of_a_cell():
    """In a real kernel's shell: text, then the picture as base64, as a notebook file has them."""
    shell = InteractiveShell.instance()
    shell.display_formatter.formatters["image/png"].for_type(Figure, lambda figure: b"a picture")
    try:
        outputs = notebook._outputs(lambda m: (print("m is", m), display(Figure())), {"m": 2})
    finally:
        InteractiveShell.clear_instance()
    assert outputs[0] == {"output_type": "stream", "name": "stdout", "text": "m is 2\n"}
    assert outputs[1]["data"]["image/png"] == "YSBwaWN0dXJl"


@pytest.mark.parametrize(
    ("value", "text"), [(6e-16, "1e-15"), (4e-16, "1e-15"), (1e-3, "1e-3"), (2.0, "1e1"), (0.0, "1e-16")]
)
def test_rounding_errors_are_shown_as_the_power_of_ten_above(value, text):
    assert notebook.below(value) == text
