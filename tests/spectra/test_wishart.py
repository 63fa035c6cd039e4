"""The theory of sample spectra where samples are so many that their eigenvalues stand apart."""

import numpy as np
import pytest

from polysemanticity import spectra
from polysemanticity.spectra import wishart


@pytest.mark.parametrize("exponent", [1.0, 6.0])
def test_the_slope_varies_as_that_of_simulated_data(exponent):
    population, rng = np.arange(1, 41.0) ** -exponent, np.random.default_rng(0)
    slopes = [
        spectra.fit_power_law(
            spectra.covariance_spectrum(rng.standard_normal((4000, 40)) * np.sqrt(population)), 3, 16
        ).exponent
        for _ in range(150)
    ]
    mean, spread = wishart.fitted_slope(population, 4000, 3, 16)
    assert np.mean(slopes) == pytest.approx(mean, abs=0.003)
    assert np.std(slopes) == pytest.approx(spread, rel=0.2)


def test_both_ways_agree_where_they_meet():
    found = [wishart.fitted_slope(np.arange(1, 129.0) ** -a, 12800, 3, 32)[1] for a in (2.5, 3.0, 3.5)]
    assert max(found) / min(found) < 1.1


@pytest.mark.parametrize("n_samples", [1280, 12800, 32256, 10**6])
def test_no_exponent_is_without_a_spread(n_samples):
    for exponent in (0.5, 2.0, 5.75, 8.0, 12.0):
        assert wishart.fitted_slope(np.arange(1, 129.0) ** -exponent, n_samples, 3, 32)[1] > 0
