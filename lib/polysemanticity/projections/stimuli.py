"""Stimuli and data with a known truth: a dot on a circle, Gaussian data with a power law, Stringer's codes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import erf

from polysemanticity.base.checks import check


class MovingDot(NamedTuple):
    """Frames of the dot with values in [0, 1], and the dot's angle in each, in radians."""

    frames: Float[np.ndarray, "time height width"]
    angles: Float[np.ndarray, " time"]


def moving_dot(n_frames: int, size: int = 32, radius: float = 10.0, sigma: float = 1.5) -> MovingDot:
    """Return one full turn of a bright Gaussian dot on a black canvas, n_frames equal steps of the angle from 0.

    The dot is the Gaussian's average over each pixel (not its value at the pixel's centre), so the frames move as
    smoothly as the angle and the frame's sum stays constant. radius and sigma in pixels; the peak of the unblurred
    dot is 1. The paper gives no parameters: these are ours.
    """
    check(isinstance(n_frames, int | np.integer) and n_frames >= 2, "n_frames", n_frames, "an integer of at least 2")
    check(isinstance(size, int | np.integer) and size >= 4, "size", size, "an integer of at least 4")
    check(bool(0 < radius < size / 2), "radius", radius, f"above 0 and below size/2 = {size / 2}")
    check(bool(0 < sigma < size), "sigma", sigma, f"above 0 and below size = {size}")
    angles = 2 * np.pi * np.arange(n_frames) / n_frames
    column = _pixel_profile(size / 2 + radius * np.cos(angles), size, sigma)
    row = _pixel_profile(size / 2 + radius * np.sin(angles), size, sigma)
    return MovingDot(row[:, :, None] * column[:, None, :], angles)


def _pixel_profile(centre: Float[np.ndarray, " time"], size: int, sigma: float) -> Float[np.ndarray, "time size"]:
    """Mean of exp(-(x - centre)^2 / (2 sigma^2)) over each pixel [i, i + 1]."""
    edges = (np.arange(size + 1) - centre[:, None]) / (sigma * np.sqrt(2))
    return sigma * np.sqrt(np.pi / 2) * np.diff(erf(edges), axis=1)


def power_law_data(
    n_samples: int, n_units: int, exponent: float, rng: np.random.Generator
) -> Float[np.ndarray, "samples units"]:
    """Return Gaussian samples whose covariance has the eigenvalues i^-exponent, i = 1..n_units, along the axes."""
    for name, value in (("n_samples", n_samples), ("n_units", n_units)):
        check(isinstance(value, int | np.integer) and value >= 1, name, value, "an integer of at least 1")
    check(bool(np.isfinite(exponent)), "exponent", exponent, "a finite number")
    return rng.standard_normal((n_samples, n_units)) * np.arange(1, n_units + 1) ** (-exponent / 2)


def circular_code(n_angles: int, n_units: int, exponent: float) -> Float[np.ndarray, "angles units"]:
    """Return Stringer's code of an angle: units cos(k angle) k^(-a/2) and sin(k angle) k^(-a/2), k = 1..n_units/2.

    Its eigenvalues come in pairs (k^-a)/2 and so fall as i^-a. One full turn in n_angles equal steps. n_units must be
    even, and n_angles above n_units so that the harmonics are independent. Source: Stringer et al. 2019, Fig. 4 (1000
    units, 4096 angles).
    """
    check(n_units >= 2 and n_units % 2 == 0, "n_units", n_units, "an even number of at least 2")
    check(n_angles > n_units, "n_angles", n_angles, f"more than n_units = {n_units}")
    check(bool(np.isfinite(exponent)), "exponent", exponent, "a finite number")
    angles = 2 * np.pi * np.arange(n_angles) / n_angles
    k = np.arange(1, n_units // 2 + 1)
    phase = np.outer(angles, k)
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * np.tile(k ** (-exponent / 2), 2)
