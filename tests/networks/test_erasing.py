"""What survives of known codes when units are erased."""

import numpy as np
import pytest
import torch

from polysemanticity.networks import erasing


def test_a_repeated_code_survives_and_one_without_repetition_keeps_half():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((800, 64)))
    scores = images @ torch.linalg.svd(images[::2] - images[::2].mean(0), full_matrices=False)[2][:16].T
    repeated = scores.repeat(1, 8) + 0.01 * torch.from_numpy(rng.standard_normal((800, 128)))
    once = torch.cat([scores, torch.from_numpy(rng.standard_normal((800, 112)))], 1)  # the rest tells nothing
    target = erasing.components(images)
    found = [erasing.survival(code, target, np.random.default_rng(1)) for code in (repeated, once)]
    assert found[0]["told"] > 0.99 and found[0]["survives"] > 0.98 > found[0]["survives_unaware"]
    assert found[1]["told"] > 0.98 and found[1]["survives"] == pytest.approx(0.5, abs=0.15)
    assert found[0]["kept_exponent"] > found[1]["kept_exponent"] + 1


def test_units_that_few_images_drive_do_not_spoil_the_reader():
    """Rectified units far below their threshold, and images with heavy tails: single images decide on weights."""
    rng = np.random.default_rng(0)
    heavy = rng.standard_normal((800, 16)) ** 3
    target = erasing.components(torch.from_numpy(np.hstack([10 * heavy, rng.standard_normal((800, 48))])))
    units = np.maximum(target @ rng.standard_normal((16, 128)) - np.linspace(0, 20, 128), 0)
    units -= units[::2].mean(0)
    told = erasing._held_out_r2(units[1::2] @ erasing._reader(units[::2], target[::2]), target[1::2])
    gram, right = units[::2].T @ units[::2], units[::2].T @ target[::2]
    fits = [np.linalg.solve(gram + gram.trace() / 128 * 10.0**power * np.eye(128), right) for power in range(-8, 2)]
    best = max(erasing._held_out_r2(units[1::2] @ fit, target[1::2]) for fit in fits)
    assert told > best - 0.05 and told > 0.65
    found = erasing.survival(torch.from_numpy(units), target, np.random.default_rng(1))
    assert 0 < found["survives"] < 1


def test_a_dead_layer_tells_nothing_and_what_is_too_small_is_refused():
    target = erasing.components(torch.rand(600, 20))
    assert np.isnan(list(erasing.survival(torch.ones(600, 128), target, np.random.default_rng(0)).values())).all()
    with pytest.raises(ValueError, match="units of the layer = 12"):
        erasing.survival(torch.rand(600, 12), target, np.random.default_rng(0))
    with pytest.raises(ValueError, match="rows"):
        erasing.survival(torch.rand(100, 128), target[:100], np.random.default_rng(0))
