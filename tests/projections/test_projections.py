"""Random projections and the smoothness of paths: closed forms, invariances, the scaling with the step."""

import numpy as np
import pytest

from polysemanticity import projections
from polysemanticity.projections import stimuli


def circle(n, dims=3, turns=1):
    angles = 2 * np.pi * np.arange(n) / n
    points = np.zeros((n, dims))
    points[:, 0], points[:, 1] = np.cos(turns * angles), np.sin(turns * angles)
    return points, angles


def test_random_projection_has_the_stated_scale_and_is_reproducible():
    matrix = projections.random_projection(2000, 5, np.random.default_rng(0))
    assert matrix.shape == (2000, 5)
    assert np.var(matrix) == pytest.approx(1 / 2000, rel=0.05)
    np.testing.assert_array_equal(matrix, projections.random_projection(2000, 5, np.random.default_rng(0)))


def test_energy_and_action_of_a_straight_line():
    line = np.linspace(0, 1, 11)[:, None] * [3.0, 4.0]
    assert projections.path_energy(line) == pytest.approx(10 * 0.5**2)
    assert projections.action(line, 0.1) == pytest.approx(0.5 * 25)  # half the squared speed for one unit of time


def test_closing_a_path_adds_its_last_step():
    points, _ = circle(8)
    chord = 4 * np.sin(np.pi / 8) ** 2
    assert projections.path_energy(points) == pytest.approx(7 * chord)
    assert projections.path_energy(points, closed=True) == pytest.approx(8 * chord)


def test_batches_are_paths_of_their_own():
    paths = np.random.default_rng(0).standard_normal((4, 2, 9, 3))
    for measure in (projections.path_energy, projections.roughness, lambda p: projections.action(p, 0.5)):
        found = measure(paths)
        assert found.shape == (4, 2) and found[1, 1] == pytest.approx(measure(paths[1, 1]))


def test_roughness_of_known_paths():
    rng = np.random.default_rng(0)
    assert projections.roughness(rng.standard_normal((20000, 3))) == pytest.approx(1, abs=0.02)
    assert projections.roughness(np.resize([[1.0], [-1.0]], (100, 1)), closed=True) == pytest.approx(2)
    points, _ = circle(256, turns=3)
    assert projections.roughness(points, closed=True) == pytest.approx(2 * np.sin(3 * np.pi / 256) ** 2)


def test_roughness_ignores_scale_shift_and_rotation():
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.standard_normal((50, 3)), 0)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    assert projections.roughness(7 * path @ rotation + 100) == pytest.approx(projections.roughness(path))


def test_circle_r2_of_a_circle_of_noise_and_of_an_invertible_map():
    points, angles = circle(64)
    assert projections.circle_r2(points, angles) == pytest.approx(1)
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.standard_normal((64, 3)), 0)
    mixed = path @ rng.standard_normal((3, 3)) + 5
    assert projections.circle_r2(mixed, angles) == pytest.approx(projections.circle_r2(path, angles))
    noise = rng.standard_normal((400, 64, 3))
    assert projections.circle_r2(noise, angles).mean() == pytest.approx(3 / 63, abs=0.005)
    assert projections.circle_r2(circle(64, turns=2)[0], angles) == pytest.approx(0, abs=1e-12)


def test_circle_r2_is_ordinary_least_squares():
    rng = np.random.default_rng(2)
    path, angles = rng.standard_normal((30, 3)), rng.uniform(0, 6, 30)
    targets = np.stack([np.cos(angles), np.sin(angles)], 1)
    design = np.c_[np.ones(30), path]
    residual = targets - design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    expected = 1 - (residual**2).sum() / ((targets - targets.mean(0)) ** 2).sum()
    assert projections.circle_r2(path, angles) == pytest.approx(expected)


@pytest.mark.parametrize("exponent", [1.5, 2.0, 2.5])
def test_energy_and_action_scale_with_the_step_as_the_spectrum_says(exponent):
    steps = np.array([64, 128, 256, 512])
    code = stimuli.circular_code(4096, 4000, exponent)
    energy = np.array([projections.path_energy(code[:: 4096 // n], closed=True) for n in steps])
    actions = energy * steps / (4 * np.pi)
    assert projections.action(code[::8], 2 * np.pi / 512, closed=True) == pytest.approx(actions[-1])
    assert np.polyfit(np.log(steps), np.log(energy), 1)[0] == pytest.approx(2 - exponent, abs=0.12)
    assert np.polyfit(np.log(steps), np.log(actions), 1)[0] == pytest.approx(3 - exponent, abs=0.12)


def test_action_converges_above_exponent_three():
    code = stimuli.circular_code(4096, 4000, 4.0)
    coarse, fine = (projections.action(code[::k], 2 * np.pi * k / 4096, closed=True) for k in (16, 8))
    assert fine / coarse == pytest.approx(1, abs=0.02)


def test_projecting_keeps_the_expected_energy():
    code = stimuli.circular_code(128, 100, 2.0)
    rng = np.random.default_rng(0)
    draws = [projections.path_energy(code @ projections.random_projection(100, 3, rng)) for _ in range(2000)]
    assert np.mean(draws) == pytest.approx(3 / 100 * projections.path_energy(code), rel=0.05)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: projections.random_projection(0, 3, np.random.default_rng(0)), "n_units = 0: allowed"),
        (lambda: projections.random_projection(5, 0, np.random.default_rng(0)), "n_dims = 0: allowed"),
        (lambda: projections.path_energy(np.zeros(4)), r"points = \(4,\): allowed"),
        (lambda: projections.path_energy(np.zeros((1, 3))), "T at least 2"),
        (lambda: projections.path_energy(np.array([[0.0], [np.nan]])), "NaN"),
        (lambda: projections.action(np.zeros((4, 3)), 0.0), "dt = 0.0: allowed"),
        (lambda: projections.roughness(np.ones((4, 3))), "never moves"),
        (lambda: projections.circle_r2(np.ones((4, 3)), np.zeros(3)), r"angles = \(3,\): allowed is \(4,\)"),
        (lambda: projections.circle_r2(np.ones((4, 3)), np.zeros(4)), "two different angles"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
