"""Codes of an angle: how their action grows with the number of steps."""

import numpy as np
import pytest

from polysemanticity import plots
from polysemanticity.papers.coding_theory_spectra import circle_codes


def test_the_action_of_a_code_of_an_angle_follows_its_law():
    table = circle_codes.stringer_table(0)
    plots.check_tidy(table)
    value = "action ÷ action at T = 16"
    seen, law = (
        plots.part(table, series=name, **{"exponent a": 3.0})[value] for name in ("measured", "grows as log T")
    )
    assert law.to_numpy() == pytest.approx(1 + 0.2847 * np.arange(5), abs=1e-3)
    assert seen.to_numpy() == pytest.approx(law.to_numpy(), abs=5e-3)
    smooth, rough = (plots.part(table, series="measured", **{"exponent a": a})[value].iloc[-1] for a in (4.0, 2.0))
    assert smooth < 1.2 and rough == pytest.approx(16, rel=0.05)
