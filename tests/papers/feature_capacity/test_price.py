"""The price of dimensions in quadratic models and autoencoders."""

import numpy as np
import pytest

from polysemanticity.papers.feature_capacity import price


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_the_price_of_dimensions_bounds_the_gain():
    result = work(price.price_of_dimensions, decay=0.8, kurtosis=20.0, n_features=6, n_seeds=2, n_steps=300)
    gain, worth = result["loss"][:-1] - result["loss"][1:], 2 * result["price"] ** 2
    assert (gain < worth[:-1]).all() and (gain > worth[1:]).all()


def test_autoencoders_of_several_widths_in_one_batch():
    config = {"density": 0.2, "decay": 0.9, "n_features": 6, "n_seeds": 2, "n_steps": 300, "batch": 64, "n_test": 1000}
    result = work(price.autoencoder_widths, model="relu", dims=(1, 3), **config)
    assert (result["loss"][1] < result["loss"][0]).all() and (result["last"] > 0).all()
    assert result["capacity"][0].sum(-1).max() < 1 + 1e-9
    constant = np.array([[[4.0, 3.0, 2.0], [1.0, 1.0, 1.0]]])
    assert price.variation_of_price(constant) == pytest.approx(0)
