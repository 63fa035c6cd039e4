"""Other winner-take-all forces: planted verdicts and tables; the workers' tests stand with those of noise."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import penalties, winner_takes_all

EXACT = incidental.expected_polysemantic(32, 64)


def result(arm, n_seeds, **other):
    """A result that is as was predicted of the arm, but for what is said otherwise."""
    sparse, shares = winner_takes_all.PREDICTIONS[arm]
    spread, ones = np.linspace(0.99, 1.01, n_seeds), np.ones(n_seeds, int)
    participation, count = (0.9 if sparse else 0.05) * spread, (4 if shares else 0) * ones
    return {
        "participation": participation,
        "count": count,
        "opposite": count,
        "same": 0 * count,
        "task": spread,
    } | other


def planted(**other):
    """Results of every force, and under noise, as predicted, but for some arms by their names."""
    settings = penalties.Settings()
    configs, noisy = winner_takes_all.forces(settings), winner_takes_all.under_noise(settings, 1600.0)
    rows = [result(c["arm"], c["n_seeds"], **other.get(c["arm"], {})) for c in configs]
    none = {"participation": np.linspace(0.8, 0.9, 16), "relative": np.zeros(16, int), "window": np.zeros(16, int)}
    return Results(configs, rows), Results([noisy], [none])


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"softmax": {"participation": np.linspace(0.2, 0.3, 32)}}, claims.FAILS),
        ({"AdamW": {"participation": np.linspace(0.5, 0.6, 32)}}, claims.FAILS),
        ({"top-1": {"count": np.zeros(32, int)}}, claims.FAILS),
        ({"softmax": {"count": np.full(32, 2)}}, claims.FAILS),
    ],
)
def test_planted_forces_are_judged_rightly(other, verdict):
    measured = winner_takes_all.measured(*planted(**other))
    assert claims.verdict_of(winner_takes_all.CLAIMS["IP-14"], measured.quantities) == verdict
    assert "9 forces, 16 under noise" in measured.scale


def test_the_tables_say_what_was_predicted_of_each_force():
    table = winner_takes_all.table(*planted())
    plots.check_tidy(table)
    shared = plots.part(table, what="measured", quantity="polysemantic neurons ÷ exact count").set_index("force")
    assert set(shared.index) == set(winner_takes_all.PREDICTIONS)
    assert shared.loc["l1", "value"] == pytest.approx(4 / EXACT)
    assert shared.loc["bipolar noise", "series"] == "predicted: sparse, not shared"
    rows = winner_takes_all.by_force(*planted()).set_index("force")
    assert rows.loc["l1", "pairs with opposite signs"] == "128 of 128"
    assert rows.loc["bipolar noise", "pairs with opposite signs"] == "–" and np.isnan(
        rows.loc["bipolar noise", "task loss"]
    )
