"""The picture that stands for the paper: its bars are optimal divisions at points of the diagram."""

import pytest

from polysemanticity import plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import emblem, figures, phase_diagram


@pytest.fixture(scope="module")
def table():
    settings = phase_diagram.Settings(n_grid=6, sample_starts=2, sample_steps=10)
    configs = phase_diagram.sampled(settings)
    found = [phase_diagram.train_on_samples(seed=0, device="cpu", **config) for config in configs]
    return emblem.table(Results(configs, found))


def test_three_divisions_of_all_dimensions(table):
    plots.check_tidy(table)
    bars = plots.part(table, quantity=emblem.BAR)
    budget = bars["dimensions D"].iloc[0]
    special = []
    for name in emblem.POINTS:
        rows = plots.part(bars, series=name)
        assert rows["value"].sum() == pytest.approx(budget) and len(rows) == rows["features N"].iloc[0]
        special.append(rows["value"].iloc[0])
    assert special[0] == 0 and 0.2 < special[1] < 0.8 and special[2] == 1


def test_the_picture_can_be_drawn(table):
    assert set(plots.part(table, quantity=phase_diagram.CAPACITY)["what"]) == {"measured"}
    figures.figx_emblem(table)
