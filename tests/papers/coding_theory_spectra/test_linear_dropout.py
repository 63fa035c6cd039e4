"""Dropout in linear autoencoders: training meets the theory, tables, and verdicts when planted."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import linear_dropout as family


def test_a_trained_network_keeps_what_the_theory_says():
    settings = family.rates(family.Settings(n_nets=2))[2] | {"n_steps": 1500}
    found = family.kept(seed=0, device="cpu", **settings)["kept"]
    np.testing.assert_allclose(found[:, :4], np.broadcast_to(family.predicted(0.4)[:4], (2, 4)), rtol=0.15)
    assert (found[:, 0] < family.deviations()[0]).all()


def planted(factor=1.0, n_nets=4):
    """Results in which networks keep `factor` of what the theory says at rates above 0."""
    rng, configs = np.random.default_rng(0), family.rates(family.Settings())
    rows = []
    for config in configs:
        kept = family.predicted(config["rate"]) * (factor if config["rate"] else 1.0)
        rows.append([{"kept": kept * (1 + 0.001 * rng.standard_normal((n_nets, family.DIMENSIONS)))}])
    return Results(configs, rows)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, claims.HOLDS), (0.7, claims.FAILS)])
def test_planted_spectra_are_judged_rightly(factor, verdict):
    measured = family.measured(planted(factor))
    assert claims.verdict_of(paper.CLAIMS["CT-21"], measured.quantities) == verdict
    assert measured.quantities[family.OFF].value == pytest.approx(abs(1 - factor), abs=0.01)
    assert measured.quantities[family.STEEPER].value > 0


def test_the_table_has_measurement_and_theory_at_every_rate():
    table = family.table(planted())
    plots.check_tidy(table)
    assert len(table) == 2 * len(family.RATES) * family.DIMENSIONS
    none = plots.part(table, what="corrected", series="p = 0")
    np.testing.assert_allclose(none[family.KEPT], family.deviations())


def test_the_exponent_of_a_power_law_is_its_own():
    rank = np.arange(1.0, 33.0)
    np.testing.assert_allclose(family.exponents(np.stack([rank**-0.5, rank**-1.0])), [1, 2])
