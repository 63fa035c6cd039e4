"""Random embeddings keep to the bound on capacity."""

import numpy as np
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import bound, figures


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("kind", list(bound.KINDS))
def test_random_embeddings_keep_to_the_bound(kind):
    result = work(bound.random_embeddings, kind=kind, n_features=12, n_dims=5, n_samples=20)
    slack = result["rank"] - result["total"]
    assert slack.shape == (20,) and slack.min() > -1e-9 and result["excess"].max() < 1e-9
    expected_rank = {"low rank": 2}.get(kind, 5)
    np.testing.assert_array_equal(result["rank"], expected_rank)
    if kind == "block-semi-orthogonal":
        assert np.abs(slack).max() < 1e-9
    else:
        assert slack.min() > 1e-9


def planted(over=0.0, spared=1e-3):
    """Results of random embeddings of all kinds: Gaussian ones on the law, `over` above the bound, `spared` of it."""
    configs, noise = bound.embeddings(bound.Settings(n_random=10)), np.linspace(-1e-4, 1e-4, 10)
    rows = []
    for config in configs:
        n, d = config["n_features"], config["n_dims"]
        share = {
            "gaussian": capacity.random_efficiency(n, d) + noise,
            bound.BLOCKS: 1 + over + 0 * noise,
            bound.PERTURBED: 1 - spared + 0 * noise,
        }
        rows.append({"total": d * share.get(config["kind"], 0.5 + noise), "rank": np.full(10, float(d))})
    return Results(configs, rows)


@pytest.mark.parametrize(
    ("plant", "verdict"), [({}, claims.HOLDS), ({"over": 1e-3}, claims.FAILS), ({"spared": 1e-9}, claims.FAILS)]
)
def test_the_bound_is_judged_rightly(plant, verdict):
    measured = bound.measured(planted(**plant))
    assert claims.verdict_of(bound.CLAIMS["FC-01"], measured.quantities) == verdict
    assert "N = 12 to 1000 features in D = 8 to 40" in measured.scale


def test_the_table_of_the_bound_has_shares_of_ten_dimensions():
    table = bound.table(planted())
    plots.check_tidy(table)
    gaussian = plots.part(table, series="gaussian")
    np.testing.assert_allclose(gaussian[bound.SHARE], [n / (n + 9) for n in gaussian["features N"]])
    assert set(plots.part(table, what="paper")[bound.SHARE]) == {1.0} and (gaussian["low"] < gaussian["high"]).all()
    assert figures.figx_bound(table).axes
