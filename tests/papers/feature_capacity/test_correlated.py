"""Pairs of features, exclusive or always active together."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import correlated


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_partners_are_parallel_if_exclusive_and_orthogonal_if_together():
    config = {"kurtosis": 9.0, "n_features": 8, "n_dims": 4, "n_seeds": 2, "n_steps": 1500}
    result = work(correlated.train_pairs, co_activity=(0.0, 5.0), **config)
    np.testing.assert_allclose(result["partners"], [[1, 1], [0, 0]], atol=1e-3)
    assert result["loss"][0].max() < 1e-6 and (result["others"][1] > 0.05).all()


def planted(partners):
    """Overlaps [q, start] of partners in both sizes, the same for four starts but for a hair."""
    overlap = np.array(partners)[:, None] * np.array([1.0, 0.9999, 0.9998, 0.9997])
    config = {"co_activity": (0.0, 1.0, 5.0), "kurtosis": 9.0, "n_seeds": 4}
    configs = [{**config, "n_features": n, "n_dims": d} for n, d in correlated.SIZES]
    return Results(configs, [{"partners": overlap, "others": overlap / 9}] * 2)


@pytest.mark.parametrize(
    ("partners", "verdict"),
    [((0.999, 0.4, 0.01), claims.HOLDS), ((0.5, 0.4, 0.3), claims.FAILS), ((0.999, 0.01, 0.04), claims.FAILS)],
)
def test_fc_11_is_judged_rightly(partners, verdict):
    for key, size in zip(("FC-11a", "FC-11b"), correlated.SIZES, strict=True):
        measured = correlated.measured(planted(partners), size)
        assert claims.verdict_of(correlated.CLAIMS[key], measured.quantities) == verdict


def test_the_table_has_both_kinds_of_pairs():
    table = correlated.table(planted((0.9, 0.5, 0.1)))
    plots.check_tidy(table)
    overlap = plots.part(table, series="partners, N = 14, D = 7")["mean squared cosine"]
    assert overlap.iloc[0] == pytest.approx(0.9, rel=1e-3)
