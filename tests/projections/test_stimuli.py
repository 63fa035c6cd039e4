"""Stimuli and planted data: where the dot is, how smoothly it moves, what spectra the codes have."""

import numpy as np
import pytest

from polysemanticity import spectra
from polysemanticity.projections import stimuli


def test_the_dot_is_where_its_angle_says_and_keeps_its_mass():
    frames, angles = stimuli.moving_dot(48)
    assert frames.shape == (48, 32, 32) and frames.min() >= 0 and frames.max() <= 1
    mass = frames.sum((1, 2))
    np.testing.assert_allclose(mass, 2 * np.pi * 1.5**2, rtol=1e-3)
    centres = np.arange(32) + 0.5
    x, y = (frames.sum(1) @ centres) / mass, (frames.sum(2) @ centres) / mass
    np.testing.assert_allclose(x, 16 + 10 * np.cos(angles), atol=0.01)
    np.testing.assert_allclose(y, 16 + 10 * np.sin(angles), atol=0.01)


def test_pixels_are_averages_of_the_gaussian():
    frame = stimuli.moving_dot(8, size=16, radius=4.0, sigma=0.6).frames[1]
    fine = (np.arange(16 * 20) + 0.5) / 20
    centre = 8 + 4 * np.sqrt(0.5)
    profile = np.exp(-((fine - centre) ** 2) / (2 * 0.6**2)).reshape(16, 20).mean(1)
    np.testing.assert_allclose(frame, np.outer(profile, profile), atol=1e-3)


def test_the_dot_moves_in_equal_steps():
    frames, _ = stimuli.moving_dot(256)
    steps = ((np.roll(frames, -1, 0) - frames) ** 2).sum((1, 2))
    assert steps.std() < 0.05 * steps.mean()


def test_power_law_data_have_the_planted_covariance():
    data = stimuli.power_law_data(200_000, 8, 1.5, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(data.T), np.diag(np.arange(1, 9) ** -1.5), atol=0.01)
    assert (data == stimuli.power_law_data(200_000, 8, 1.5, np.random.default_rng(0))).all()


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0])
def test_circular_code_has_paired_power_law_eigenvalues(exponent):
    spectrum = spectra.covariance_spectrum(stimuli.circular_code(1024, 200, exponent))
    harmonics = np.repeat(np.arange(1, 101), 2)
    np.testing.assert_allclose(spectrum.eigenvalues, harmonics**-exponent / 2, rtol=1e-6, atol=1e-15)
    assert spectra.fit_power_law(spectrum, 11, 180).exponent == pytest.approx(exponent, abs=0.1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: stimuli.moving_dot(1), "n_frames = 1: allowed"),
        (lambda: stimuli.moving_dot(8, size=2), "size = 2: allowed"),
        (lambda: stimuli.moving_dot(8, radius=16.0), "radius = 16.0: allowed is above 0 and below size/2 = 16"),
        (lambda: stimuli.moving_dot(8, sigma=0.0), "sigma = 0.0: allowed"),
        (lambda: stimuli.power_law_data(0, 3, 1.0, np.random.default_rng(0)), "n_samples = 0"),
        (lambda: stimuli.power_law_data(3, 0, 1.0, np.random.default_rng(0)), "n_units = 0"),
        (lambda: stimuli.power_law_data(3, 3, np.nan, np.random.default_rng(0)), "exponent = nan"),
        (lambda: stimuli.circular_code(64, 7, 2.0), "n_units = 7: allowed is an even number"),
        (lambda: stimuli.circular_code(10, 20, 2.0), "n_angles = 10: allowed is more than n_units = 20"),
        (lambda: stimuli.circular_code(64, 8, np.inf), "exponent = inf"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
