"""The picture that stands for the paper: its table is the network's and the verdicts'."""

import numpy as np

from polysemanticity import claims, incidental, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import incidental_polysemanticity as paper
from polysemanticity.papers.incidental_polysemanticity import emblem, figures


def judged():
    rows = {}
    for place, (_, _, claim, quantity) in enumerate(emblem.CONDITIONS):
        row = rows.setdefault(claim, {"measured": {}, "interval": {}})
        row["measured"][quantity], row["interval"][quantity] = place / 2, [place / 2 - 0.1, place / 2 + 0.1]
    return rows


def test_the_table_has_both_ends_of_one_network_and_every_condition():
    n, m = 4, 8
    start = incidental.initial_weights(n, m, [0])[0].numpy()
    end = np.zeros((n, m))
    end[[0, 1, 2, 3], [5, 5, 2, 7]] = [1.0, -1.0, 1.0, -1.0]
    configs = [{"n_features": n, "n_neurons": m * k, "n_seeds": 2} for k in (2, 1)]
    table = emblem.table(Results(configs, [{"weights": None}, {"weights": end}]), judged(), seed=0)
    plots.check_tidy(table)
    maps = plots.part(table, quantity=emblem.MAP)
    last, first = (plots.part(maps, series=name) for name in ("end", "start"))
    assert set(maps["shared neurons"]) == {1} and list(last["neuron"]) == [1, 1, 2, 3]
    assert sorted(first["value"]) == sorted(start.ravel())
    drawn = first.pivot(index="feature", columns="neuron", values="value").to_numpy()
    assert np.allclose(drawn[:, 0], start[[0, 1, 2, 3]][:, 5])  # rows keep their features, columns their neurons
    counts = plots.part(table, quantity=emblem.COUNT)
    assert list(counts["condition"]) == [name for name, *_ in emblem.CONDITIONS]
    figures.figx_emblem(table)


def test_every_condition_is_a_quantity_that_a_claim_has():
    published = {row["id"]: row for row in claims.published(paper.SLUG)}
    for _, _, claim, quantity in emblem.CONDITIONS:
        assert claim in paper.CLAIMS and quantity in published[claim]["measured"]
