"""What notebooks show: settings, prose with numbers, claims."""

import pytest
from matplotlib.figure import Figure

from lib import claims, notebook, runtime
from lib.claims import Claim


@pytest.fixture
def shown(monkeypatch):
    collected = []
    monkeypatch.setattr(notebook, "display", lambda item: collected.append(item.data))
    return collected


def test_config_table_marks_differences(toy_paper, shown):
    notebook.show_config(runtime.start(toy_paper, profile="smoke", seed=0, device="cpu", overrides={}))
    assert "| `n_seeds` | **2** (default 3) | number of seeds |" in shown[0]
    assert "| `rate` | 0.5 | a rate |" in shown[0]


def test_a_saved_figure_is_shown_as_it_was_saved():
    figure = Figure(figsize=(4, 3), dpi=100)
    assert notebook._saved_picture(figure) is None
    figure.saved_png = b"a picture"
    assert notebook._saved_picture(figure) == (b"a picture", {"width": 400, "height": 300})


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
    row = claims.verdict(claim, {"slope": claims.Estimate(0.5, 0.25, 0.75)}, toy_run, error="exact", note="as expected")
    notebook.show_claims([row])
    assert "a \\| b" in shown[0] and "slope: 0.5 [0.25, 0.75] *exact*" in shown[0]
    assert "✓ **holds**: as expected" in shown[0]


def test_source_is_shown(shown):
    notebook.show_source(claims.exact)
    assert "def exact" in str(shown[0])


def test_headless_under_the_runner(monkeypatch):
    assert notebook.headless()
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    monkeypatch.delenv("PAPERMILL_OUTPUT_PATH", raising=False)
    assert not notebook.headless()


def test_sliders_draw_once_where_nobody_can_move_them(monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_OUT", "somewhere")
    drawn = []
    notebook.sliders(lambda **values: drawn.append(values), ratio=(0.1, 10, 1.5), kurtosis=(1.2, 100, 10))
    assert drawn == [{"ratio": 1.5, "kurtosis": 10}]
    notebook.sliders(lambda **values: drawn.append(values), noise=(0.0, 0.3, 0.1), optimizer=("flow", "AdamW"))
    assert drawn[1:] == [{"noise": 0.1, "optimizer": "flow"}]


def test_sliders_start_in_range_and_wait_until_they_are_let_go(monkeypatch):
    import ipywidgets

    monkeypatch.delenv("POLYSEMANTICITY_OUT", raising=False)
    monkeypatch.delenv("PAPERMILL_OUTPUT_PATH", raising=False)
    made = {}
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **controls: made.update(controls))
    notebook.sliders(print, ratio=(0.1, 10, 1.5))
    assert made["ratio"].value == 1.5 and not made["ratio"].continuous_update
    assert (made["ratio"].min, made["ratio"].max) == (-1, 1)
    notebook.sliders(print, noise=(0.0, 0.3, 0.1), optimizer=("flow", "AdamW"))
    assert (made["noise"].min, made["noise"].max, made["noise"].value) == (0, 0.3, 0.1)
    assert made["optimizer"].options == ("flow", "AdamW") and made["optimizer"].value == "flow"


def test_choices_draw_once_where_nobody_can_choose(monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_OUT", "somewhere")
    drawn = []
    notebook.choices(lambda **values: drawn.append(values), layer=(("stem", "mu"), "mu"), rate=((0.0, 0.4), 0.4))
    assert drawn == [{"layer": "mu", "rate": 0.4}]
    with pytest.raises(ValueError, match="layer = 'fc9': allowed is one of stem, mu"):
        notebook.choices(print, layer=(("stem", "mu"), "fc9"))


def test_choices_are_menus_that_start_where_they_should(monkeypatch):
    import ipywidgets

    monkeypatch.delenv("POLYSEMANTICITY_OUT", raising=False)
    monkeypatch.delenv("PAPERMILL_OUTPUT_PATH", raising=False)
    made = {}
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **controls: made.update(controls))
    notebook.choices(print, layer=(("stem", "mu"), "mu"))
    assert made["layer"].value == "mu" and list(made["layer"].options) == ["stem", "mu"]


@pytest.mark.parametrize(
    ("value", "text"), [(6e-16, "1e-15"), (4e-16, "1e-15"), (1e-3, "1e-3"), (2.0, "1e1"), (0.0, "1e-16")]
)
def test_rounding_errors_are_shown_as_the_power_of_ten_above(value, text):
    assert notebook.below(value) == text
