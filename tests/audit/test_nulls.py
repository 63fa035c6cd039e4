"""The laws of random directions: against exact formulas, simulated directions, and rotated weights."""

import numpy as np
import pytest
from scipy import special

from polysemanticity.audit import nulls


def directions(n, dims, rng):
    drawn = rng.standard_normal((n, dims))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def interference(units, squared):
    gram = (units * squared[:, None]).T @ units
    return ((units @ gram) * units).sum(1) - squared


@pytest.mark.parametrize("dims", [3, 8, 500])
def test_log_laplace_is_kummers_function(dims):
    s = np.array([-40.0, -1.0, 0.0, 0.7, 30.0])
    value, first, second = nulls.log_laplace(s, dims)
    np.testing.assert_allclose(value, np.log(special.hyp1f1(0.5, dims / 2, s)), atol=1e-11, rtol=1e-11)
    step = 1e-4
    around = [nulls.log_laplace(s + shift, dims) for shift in (-step, step)]
    np.testing.assert_allclose((around[1][0] - around[0][0]) / 2 / step, first, rtol=1e-6)
    np.testing.assert_allclose((around[1][1] - around[0][1]) / 2 / step, second, rtol=1e-5)
    assert (first[2], second[2]) == pytest.approx(nulls.cosine_moments(dims))


@pytest.mark.parametrize(("n", "dims", "spread"), [(40, 6, 0.0), (60, 10, 1.0)])
def test_random_directions_have_the_law_that_is_stated(n, dims, spread):
    rng = np.random.default_rng(n)
    squared = np.exp(spread * np.round(2 * rng.standard_normal(n)) / 2)
    deviates, inside, efficiencies = [], [], []
    for _ in range(100):
        found = interference(directions(n, dims, rng), squared)
        null = nulls.random_directions(squared, found, dims)
        capacity = squared / (squared + found)
        deviates.append(null.z)
        inside.append((null.low <= capacity) & (capacity <= null.high))
        efficiencies.append(capacity.sum() / dims)
    z = np.concatenate(deviates)
    assert abs(z.mean()) < 0.06 and z.std() == pytest.approx(1, abs=0.06)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)
    assert np.mean(np.abs(z) > 3) < 0.006
    assert abs(np.mean(efficiencies) - null.efficiency.mean) < 0.35 * null.efficiency.sd
    assert 0.7 < np.std(efficiencies) / null.efficiency.sd < 1.15


def test_tails_are_those_of_many_draws():
    """One feature among few of very different lengths, where normal and moment-matched tails are far off."""
    rng, dims = np.random.default_rng(0), 8
    squared = np.array([1.0, 5.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1])
    drawn = rng.beta(0.5, (dims - 1) / 2, (400_000, 7)) @ squared[1:]
    for quantile in (0.5, 0.99, 0.9999):
        place = np.quantile(drawn, quantile)
        full = np.concatenate([[place], np.ones(7)])
        z = nulls.random_directions(squared, full, dims).z[0]
        assert special.ndtr(-z) == pytest.approx(1 - quantile, rel=0.25)


def test_central_directions_have_the_second_moment_asked_for():
    share = np.arange(1, 21) ** -1.5
    share /= share.sum()
    drawn = nulls.central_directions(share, 40_000, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_allclose((drawn**2).mean(0), share, rtol=0.06)


def test_rotated_weights_have_the_law_of_their_spectrum():
    rng, inside, deviates = np.random.default_rng(2), [], []
    for _ in range(12):
        rotated = np.linalg.qr(rng.standard_normal((600, 40)))[0] * np.arange(1, 41) ** -0.3
        squared = (rotated**2).sum(1)
        quadratic = ((rotated @ (rotated.T @ rotated)) * rotated).sum(1) / squared
        spectrum = np.linalg.eigvalsh(rotated.T @ rotated)[::-1]
        null, drawn = nulls.same_spectrum(squared, quadratic - squared, spectrum, rng)
        capacity = squared / quadratic
        inside.append((null.low <= capacity) & (capacity <= null.high))
        deviates.append(null.z)
        assert abs(capacity.sum() / 40 - null.efficiency.mean) < 5 * null.efficiency.sd
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert np.std(deviates) == pytest.approx(1, abs=0.08) and abs(np.mean(deviates)) < 0.2
    assert drawn.shape == (nulls.DRAWS, 40)


def test_many_different_lengths_are_grouped_without_a_trace(monkeypatch):
    rng = np.random.default_rng(3)
    squared = np.exp(rng.standard_normal(200))
    found = interference(directions(200, 20, rng), squared)
    few = nulls.random_directions(squared, found, 20)
    monkeypatch.setattr(nulls, "GROUPS", 400)
    all_of_them = nulls.random_directions(squared, found, 20)
    np.testing.assert_allclose(few.z, all_of_them.z, atol=0.02)
    assert few.efficiency.mean == pytest.approx(all_of_them.efficiency.mean, abs=1e-5)
