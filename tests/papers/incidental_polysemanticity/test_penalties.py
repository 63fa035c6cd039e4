"""Penalties and outputs: planted verdicts and tables; the workers' tests stand with those of noise."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import penalties

SETTINGS = penalties.Settings()
EXACT = incidental.expected_polysemantic(32, 64)
DENSE = 3 / 66


def planted(of_l2=DENSE, count=4, same=0):
    """Results in which l2 has this participation, and sparse arms this count of neurons and of pairs of one sign."""
    configs, rows = penalties.arms(SETTINGS), []
    spread, ones = np.linspace(0.99, 1.01, SETTINGS.n_seeds), np.ones(SETTINGS.n_seeds, int)
    for config in configs:
        dense = config["strength"] == 0 or config["penalty"] == "l2"
        sparse = of_l2 if config["penalty"] == "l2" else DENSE if dense else 1.0
        opposite = 0 if dense else count - same
        rows.append(
            {
                "participation": sparse * spread if dense else spread**0,
                "norm": spread,
                "dead": 0 * ones,
                "count": (0 if dense else count) * ones,
                "opposite": opposite * ones,
                "same": (0 if dense else same) * ones,
            }
        )
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [({}, claims.HOLDS), ({"of_l2": 0.5}, claims.FAILS), ({"count": 1}, claims.FAILS), ({"same": 2}, claims.FAILS)],
)
def test_planted_arms_are_judged_rightly(truth, verdict):
    measured = penalties.measured(planted(**truth))
    assert claims.verdict_of(penalties.CLAIMS["IP-08"], measured.quantities) == verdict
    assert measured.scale.startswith("n = 32, m = 64") and "32 networks" in measured.scale


def test_the_tables_have_every_arm():
    table = penalties.table(planted(same=1))
    plots.check_tidy(table)
    names = [name for name, *_ in penalties.ARMS]
    pairs = plots.part(table, series="opposite signs")
    assert list(pairs["penalty"]) == names and list(pairs["value"]) == [0, 0, 0, *[3] * 7]
    assert list(plots.part(table, series="all pairs")["value"]) == [0, 0, 0, *[4] * 7]
    assert plots.part(table, series="exact count")["value"].item() == pytest.approx(EXACT)
    assert plots.part(table, series="Gaussian rows")["value"].item() == pytest.approx(DENSE)
    rows = penalties.by_arm(planted())
    assert list(rows["penalty"]) == names and list(rows["polysemantic neurons"])[3] == 4


def test_a_rounding_error_is_a_power_of_ten():
    found = penalties.of_rotation({"without": np.array([2e-13, 3e-14]), "with": np.array([0.4, 0.6])})
    assert found["without a penalty"] == "below 1e-12" and found["with l1"].value == pytest.approx(0.5)
    assert penalties.of_rotation({"without": np.zeros(2), "with": np.ones(2)})["without a penalty"] == "below 1e-16"
