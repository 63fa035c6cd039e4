"""The picture that stands for the paper: measured thresholds, and a code from either side of the line."""

import pytest

from polysemanticity import plots, projections
from polysemanticity.base.results import Results
from polysemanticity.papers.coding_theory_spectra import emblem, figures, projected


@pytest.fixture(scope="module")
def table():
    configs = projected.tori(projected.Settings(n_paths=2))
    found = [[projected.path_steps(seed=0, device="cpu", **config)] for config in configs]
    return emblem.table(Results(configs, found), 0)


def test_one_code_is_smooth_and_one_is_not(table):
    plots.check_tidy(table)
    rough = [
        projections.roughness(rows[["axis 1", "axis 2", "axis 3"]].to_numpy(), closed=True)
        for _, rows in plots.part(table, quantity="projection").groupby("exponent a")
    ]
    assert len(rough) == len(emblem.SHOWN) and rough[0] > 10 * rough[1]


def test_thresholds_lie_on_the_line_and_the_picture_can_be_drawn(table):
    measured = plots.part(table, quantity="threshold of a", what="measured")
    assert measured["value"].to_numpy() == pytest.approx(1 + 2 / measured["dimension d"].to_numpy(), rel=0.1)
    figures.figx_emblem(table)
