"""The price of dimensions in quadratic models and autoencoders."""

import functools

import numpy as np
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import allocation, architectures, phase_diagram, price


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


@pytest.mark.parametrize(("stretched", "verdict"), [(1.0, claims.HOLDS), (1.2, claims.FAILS)])
def test_the_count_law_is_judged_rightly(stretched, verdict):
    counts = price.counted()
    rows = [{"count": (stretched * row["count"]).round()} for row in counts]
    measured = price.measured_count(Results(counts.configs, rows))
    assert claims.verdict_of(price.CLAIMS["FC-08"], measured.quantities) == verdict
    assert "D = 120 and 200 and 300" in measured.scale


def test_the_table_of_the_count_law():
    table = price.count_table(price.counted())
    plots.check_tidy(table)
    found = plots.part(table, quantity=price.COUNT, what="measured")
    assert len(found) == 72 and (found["value"] - found[price.LAW]).abs().max() < 1
    window = plots.part(table, quantity="capacity C").groupby("series")["value"]
    np.testing.assert_allclose(window.sum()["D = 10"], 10)


@functools.cache
def exact():
    """The configuration of the widths, and the exact allocation at each."""
    config = price.widths(phase_diagram.Settings())
    v = config["decay"] ** np.arange(config["n_features"])
    return config, [capacity.optimal_allocation(v, config["kurtosis"], d) for d in range(1, len(v))]


def planted(factor, spread):
    """Losses of exact allocations with gains times a factor, and autoencoders with one factor but for a spread."""
    config, best = exact()
    loss = np.array([float(a.loss) for a in best])
    loss = loss[0] - factor * (loss[0] - loss)
    widths = Results([config], [{"loss": loss, "price": np.array([float(a.price) for a in best])}])
    configs = price.autoencoder_models(architectures.Settings(n_features=20, n_steps=10, batch=16, n_test=100))
    values = np.repeat((0.9 ** np.arange(10))[:, None], 8, axis=1)
    gains = 3 * values**2 * (1 + spread * (-1) ** np.arange(10)[:, None])
    net = {"loss": 100 - np.cumsum(gains, axis=0) + gains, "last": values}
    return widths, Results(configs, [net] * 2)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, claims.HOLDS), (1.01, claims.FAILS), (1.5, claims.FAILS)])
def test_the_price_is_judged_rightly(factor, verdict):
    measured = price.measured_gain(planted(factor, 0.0)[0])
    assert claims.verdict_of(price.CLAIMS["FC-09a"], measured.quantities) == verdict


@pytest.mark.parametrize(("spread", "verdict"), [(0.05, claims.HOLDS), (0.6, claims.FAILS)])
def test_autoencoders_are_judged_rightly(spread, verdict):
    measured = price.measured_nets(planted(1.0, spread)[1], seed=0)
    assert claims.verdict_of(price.CLAIMS["FC-09b"], measured.quantities) == verdict
    assert measured.error.endswith("over 8 starts")


def test_chance_alone_makes_gains_vary_as_much_as_is_said():
    rng = np.random.default_rng(0)
    dims, seeds, noise = 400, 8, 0.3
    gains = 1 + noise * rng.standard_normal((dims, seeds))
    loss = np.concatenate([np.zeros((1, seeds)), -np.cumsum(gains, axis=0)])
    found = price.variation_by_chance({"loss": loss, "last": np.ones((dims + 1, seeds))})
    assert found == pytest.approx(noise / seeds**0.5, rel=0.05)
    assert found == pytest.approx(gains.mean(1).std() / gains.mean(), rel=0.1)


def test_the_table_of_prices():
    widths, nets = planted(1.0, 0.0)
    table = price.price_table(widths, nets)
    plots.check_tidy(table)
    np.testing.assert_allclose(plots.part(table, series="ReLU")["value"], 1)
    gain = plots.part(table, quantity=price.GAIN, what="measured")["value"].to_numpy()
    between = plots.part(table, quantity=price.GAIN, what="control")
    assert ((between["low"] < gain) & (gain < between["high"])).all()


def test_the_spectrum_ends_at_the_price():
    models = phase_diagram.Settings(n_features=7, n_dims=2, n_seeds=2)
    configs = allocation.lists(allocation.Settings(n_dims=3, decays=(0.8,), kurtoses=(6.0, 20.0)), models)
    best = capacity.optimal_allocation(np.tile(0.8 ** np.arange(7), (2, 1)), np.array([[6.0], [20.0]]), 3)
    spectra = [
        capacity.predicted_spectrum(0.8 ** np.arange(7), *one, 3) for one in zip(best.capacity, best.price, strict=True)
    ]
    row = {"eigenvalues": np.array(spectra)[:, None].repeat(2, 1), "optimum": best.capacity, "price": best.price}
    trained = Results(configs, [row])
    table = price.spectrum_table(trained)
    plots.check_tidy(table)
    theory, found = (plots.part(table, what=what)[price.EIGENVALUE] for what in ("control", "measured"))
    np.testing.assert_allclose(theory, found)
    assert price.error_of_the_tail(trained) < 1e-12
