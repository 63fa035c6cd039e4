"""Entropy of power-law codes: the verdict on planted entropies, and what the figure's table says."""

import numpy as np
import pytest

from polysemanticity import claims, information, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import entropy


def planted(excess):
    """Results with one seed whose entropy is above water-filling by `excess`, a tenth of a bit below the bound."""
    configs, rows = entropy.cases(entropy.Settings()), []
    for config in configs:
        m, a = config["n_units"], np.array(config["exponents"])
        found = information.power_law_entropy_bound(m, config["precision"], a) / m + excess
        rows.append([{"entropy": found, "error": np.full(len(a), 0.001), "bound": found + 0.1}])
    return Results(configs, rows)


@pytest.mark.parametrize(("excess", "verdict"), [(0.2, claims.CORRECTED), (1.2, claims.FAILS)])
def test_planted_entropies_are_judged_rightly(excess, verdict):
    measured = entropy.measured(planted(excess))
    assert claims.verdict_of(paper.CLAIMS["CT-09"], measured.quantities) == verdict
    assert measured.quantities["printed bound ÷ mn, most"].value > 10
    assert measured.quantities["entropy less water-filling, most (bits per unit)"].value == pytest.approx(excess)
    assert "n = 2 to 8 bits" in measured.scale and "85 settings" in measured.error


def test_the_table_has_every_bound_of_the_cases_that_are_shown():
    table = entropy.table(planted(0.2))
    plots.check_tidy(table)
    assert set(table[["units m", "bits n"]].itertuples(index=False, name=None)) == set(entropy.SHOWN)
    at_zero = plots.part(table, **{"exponent a": 0.0, "bits n": 8}).set_index("series")["entropy [bits per unit]"]
    assert at_zero["printed bound"] == at_zero["reverse water-filling"] == 8
    assert at_zero["entropy of rounded units"] == pytest.approx(8.2)
    assert set(plots.part(table, what="paper")["series"]) == {"printed bound"}
