"""Penalties and outputs: planted verdicts and tables; the workers' tests stand with those of noise."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, incidental, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.incidental_polysemanticity import penalties

SETTINGS = penalties.Settings(n_seeds=60, n_counted=60)
EXACT = incidental.expected_polysemantic(24, 48)
DENSE = 3 / 50


def planted(of_l2=DENSE, root=0.8, same=0, task=0.1, spread_of_l2=6.0):
    """Results in which l2 has this participation, √|w| this multiple of the exact count, and sparse arms this many
    pairs of one sign; overlaps and features per neuron under l2 are a multiple of those under l1."""
    return of(penalties.arms(SETTINGS), of_l2, root, same, task, spread_of_l2)


def counted(of_l2=DENSE, root=0.8, same=0, task=0.1, spread_of_l2=6.0):
    """The same for the arms of which more networks are counted."""
    return of(penalties.counted(SETTINGS), of_l2, root, same, task, spread_of_l2)


def of(configs, of_l2, root, same, task, spread_of_l2):
    rows, rng = [], np.random.default_rng(0)
    spread, ones = np.linspace(0.99, 1.01, SETTINGS.n_seeds), np.ones(SETTINGS.n_seeds, int)
    for config in configs:
        dense = config["strength"] == 0 or config["penalty"] == "l2"
        sparse = of_l2 if config["penalty"] == "l2" else DENSE if dense else 1.0
        times = root if config["penalty"] == "root" else 1.0
        count = 0 * ones if dense else rng.poisson(times * EXACT, SETTINGS.n_seeds)
        rows.append(
            {
                "participation": sparse * spread if dense else spread**0,
                "norm": spread,
                "dead": 0 * ones,
                "count": count,
                "opposite": count,
                "same": (0 if dense else same) * ones,
                "task": task * spread,
                "squared": spread[::-1],
                **dict.fromkeys(("absolute", "per_neuron"), spread_of_l2 * spread[::-1] if dense else spread),
            }
        )
    return Results(configs, rows)


JUDGES = {
    "IP-08a": lambda **truth: penalties.measured_dense(counted(**truth)),
    "IP-08b": lambda **truth: penalties.measured_corner(planted(**truth), counted(**truth)),
    "IP-08c": lambda **truth: penalties.measured_sigmoid(counted(**truth)),
    "IP-08d": lambda **truth: penalties.measured_l2(planted(**truth)),
}


@pytest.mark.parametrize(
    ("claim", "truth", "verdict"),
    [
        *((name, {}, claims.HOLDS) for name in ("IP-08a", "IP-08b", "IP-08c")),
        *((name, {"task": 0.9}, claims.NOT_TESTED) for name in ("IP-08a", "IP-08b", "IP-08c", "IP-08d")),
        ("IP-08a", {"of_l2": 0.5}, claims.FAILS),
        ("IP-08b", {"root": 0.2}, claims.FAILS),
        ("IP-08c", {"same": 2}, claims.FAILS),
        ("IP-08d", {}, claims.CORRECTED),
        ("IP-08d", {"spread_of_l2": 1.5}, claims.FAILS),
    ],
)
def test_planted_arms_are_judged_rightly(claim, truth, verdict):
    measured = JUDGES[claim](**truth)
    assert claims.verdict_of(penalties.CLAIMS[claim], measured.quantities) == verdict
    assert measured.scale.startswith("n = 24, m = 48") and "60 networks" in measured.scale


def test_overlaps_of_known_weights():
    weights = torch.tensor([[[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]]])
    found = {name: float(value[0]) for name, value in penalties.overlaps(weights).items()}
    assert found["squared"] == found["absolute"] == pytest.approx(2 / 3)
    assert found["per_neuron"] == pytest.approx((25 / 17 + 1) / 2)


def test_the_tables_have_every_arm():
    table = penalties.table(planted(same=1), counted(same=1))
    plots.check_tidy(table)
    names = [name for name, *_ in penalties.ARMS]
    assert list(plots.part(table, series="opposite signs")["penalty"]) == names
    assert list(plots.part(table, series="same sign")["value"]) == [0, 0, *[1] * 6]
    assert plots.part(table, series="exact count")["value"].item() == pytest.approx(EXACT)
    assert plots.part(table, series="Gaussian rows")["value"].item() == pytest.approx(DENSE)
    assert list(penalties.by_arm(planted(), counted())["penalty"]) == names


def test_a_rounding_error_is_a_power_of_ten():
    found = penalties.of_rotation({"without": np.array([2e-13, 3e-14]), "with": np.array([0.4, 0.6])})
    assert found["without a penalty"] == "below 1e-12" and found["with l1"].value == pytest.approx(0.5)
    assert penalties.of_rotation({"without": np.zeros(2), "with": np.ones(2)})["without a penalty"] == "below 1e-16"


def test_more_networks_are_counted_of_the_arms_that_are_named():
    configs = penalties.counted(SETTINGS)
    assert [penalties._name(config) for config in configs] == list(penalties.COUNTED)
    assert {config["first"] for config in configs} == {penalties.AGAIN} and penalties.AGAIN > penalties.FRESH + 1000
