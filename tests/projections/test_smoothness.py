"""Codes of a stimulus with several dimensions: their spectrum, their variance along a line, and how it scales."""

import numpy as np
import pytest

from polysemanticity import projections, spectra
from polysemanticity.projections import smoothness


@pytest.mark.parametrize("dimension, radius", [(1, 4000), (2, 60), (3, 20), (4, 12)])
def test_eigenvalues_fall_with_the_set_exponent(dimension, radius):
    values = smoothness.spectrum(1.7, dimension, radius)
    law = spectra.fit_power_law(spectra.Spectrum(values, len(values), len(values)), 11, len(values) // 2)
    assert law.exponent == pytest.approx(1.7, abs=0.05) and law.decades > 2


@pytest.mark.parametrize("dimension, radius", [(1, 5), (2, 400), (3, 250)])
def test_the_variance_along_a_line_is_the_lattice_sum(dimension, radius):
    exponent = 1 + 2.5 / dimension
    squares = np.arange(-radius, radius + 1) ** 2
    others = np.zeros(1)
    for _ in range(dimension - 1):
        others = np.add.outer(others, squares).ravel()
    summed = [((j**2 + others) ** (-dimension * exponent / 2)).sum() for j in range(1, 6)]
    np.testing.assert_allclose(smoothness.line_spectrum(exponent, dimension, 5), summed, rtol=1e-4)


def test_lattice_sum_and_integral_meet():
    for dimension in (1, 2, 4):
        variance = smoothness.line_spectrum(1.5, dimension, 60)
        slope = np.diff(np.log(variance)) / np.diff(np.log(np.arange(1, 61)))
        np.testing.assert_allclose(slope[10:], -(1 + dimension * 0.5), rtol=1e-6)


def test_one_dimension_is_the_code_of_a_circle():
    np.testing.assert_allclose(smoothness.line_spectrum(2.2, 1, 50), np.arange(1, 51) ** -2.2)
    assert smoothness.spectrum(2.0, 1, 3).tolist() == pytest.approx([0.5, 0.5, 0.125, 0.125, 0.5 / 9, 0.5 / 9])


def test_paths_have_the_variance_and_the_covariance_of_the_code():
    rng = np.random.default_rng(0)
    paths = smoothness.random_paths(2.0, 1, 64, 2, 20_000, rng)
    assert paths.shape == (20_000, 64, 2)
    assert paths.mean() == pytest.approx(0, abs=0.01) and paths.mean(1) == pytest.approx(0, abs=1e-9)
    variance = (paths**2).mean((0, 2))
    np.testing.assert_allclose(variance, np.pi**2 / 6, rtol=0.03)
    k = np.arange(1, 200_001.0)
    for shift in (1, 5, 32):
        angle = 2 * np.pi * shift / 64
        exact = (k**-2.0 * np.cos(k * angle)).sum()
        assert (paths * np.roll(paths, shift, 1)).mean() == pytest.approx(exact, abs=0.02)


def test_coarser_points_are_a_subset_of_finer_ones():
    """Folding the harmonics back leaves the energy at 64 points the same however finely the path was drawn."""
    rng = np.random.default_rng(0)
    energies = []
    for n in (64, 256):
        paths = smoothness.random_paths(1.6, 2, n, 3, 4000, rng)[:, :: n // 64]
        energies.append(projections.path_energy(paths, closed=True).mean())
    assert energies[0] == pytest.approx(energies[1], rel=0.03)


@pytest.mark.parametrize("dimension", [1, 2, 4])
@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 3.0])
def test_steps_scale_as_predicted(dimension, power):
    exponent = 1 + power / dimension
    paths = smoothness.random_paths(exponent, dimension, 4096, 3, 20, np.random.default_rng(0))
    counts = np.array([256, 512, 1024, 2048, 4096])
    step = [projections.path_energy(paths[:, :: 4096 // n], closed=True).mean() / n for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(step), 1)[0]
    assert slope == pytest.approx(smoothness.structure_exponent(exponent, dimension), abs=0.05)


def test_thresholds():
    np.testing.assert_allclose(smoothness.differentiable_above([1, 2, 4]), [3, 2, 1.5])
    assert smoothness.structure_exponent(smoothness.differentiable_above(3), 3) == pytest.approx(2)
    assert smoothness.structure_exponent(1.25, 2) == 0.5 and smoothness.structure_exponent(9, 1) == 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: smoothness.spectrum(2.0, 4, 100), "radius = 100: allowed"),
        (lambda: smoothness.line_spectrum(1.0, 1, 5), "exponent = 1.0: allowed is above 1"),
        (lambda: smoothness.line_spectrum(2.0, 0, 5), "dimension = 0: allowed is 1 to 8"),
        (lambda: smoothness.line_spectrum(2.0, 1, 0), "n_harmonics = 0"),
        (lambda: smoothness.random_paths(2.0, 1, 65, 3, 1, np.random.default_rng(0)), "n_points = 65"),
        (lambda: smoothness.random_paths(2.0, 1, 32, 3, 1, np.random.default_rng(0)), "n_points = 32"),
        (lambda: smoothness.random_paths(2.0, 1, 64, 0, 1, np.random.default_rng(0)), "n_dims = 0"),
        (lambda: smoothness.random_paths(2.0, 1, 64, 3, 0, np.random.default_rng(0)), "n_draws = 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
