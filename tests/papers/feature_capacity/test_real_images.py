"""Small networks of real images report capacity, importance and kurtosis."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import real_images


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("name", ["photographs", "digits"])
def test_real_networks_report_capacity_importance_and_kurtosis(name):
    result = work(real_images.real_capacities, name=name, n_samples=260, n_dims=4, n_seeds=2, n_steps=20)
    n = len(result["importance"])
    assert result["capacity"].shape == result["random"].shape == (2, n) and 40 < n <= 63
    assert result["capacity"].sum(-1).max() <= 4 + 1e-9 and result["importance"].sum() == pytest.approx(1)
    assert result["kurtosis"].min() >= 1


def planted(order, more_with_kurtosis):
    """Capacities that follow importance in an order of +1 or −1, and at equal importance kurtosis if asked."""
    rng = np.random.default_rng(0)
    importance, kurtosis = np.sort(rng.exponential(size=60))[::-1], rng.uniform(3, 30, 60)
    place = np.argsort(np.argsort(importance)) + rng.normal(0, 12, 60)
    c = order * place / 100 + more_with_kurtosis * np.argsort(np.argsort(kurtosis)) / 100
    result = {"capacity": np.stack([c, c]), "random": rng.uniform(size=(2, 60)), "importance": importance / importance.sum(),
              "kurtosis": kurtosis}  # fmt: skip
    configs = [{"name": kind, "n_samples": 9, "n_dims": 16, "n_seeds": 2, "n_steps": 5} for kind in real_images.KINDS]
    return Results(configs, [result, result])


@pytest.mark.parametrize(
    ("order", "kurtosis", "verdict"), [(1, True, claims.HOLDS), (1, False, claims.CORRECTED), (-1, True, claims.FAILS)]
)
def test_fc_14_is_judged_rightly(order, kurtosis, verdict):
    measured = real_images.measured(planted(order, kurtosis), seed=0)
    assert claims.verdict_of(real_images.CLAIMS["FC-14"], measured.quantities) == verdict


def test_the_table_has_trained_and_random_directions():
    table = real_images.table(planted(1, True))
    plots.check_tidy(table)
    assert set(table["series"]) == {"trained", "random directions"} and len(table) == 4 * 60
