"""Small networks of real images report capacity, importance and kurtosis."""

import pytest

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
