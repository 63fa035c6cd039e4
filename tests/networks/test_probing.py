"""The floor under a layer's variation, what a reconstruction explains, and how many rows dependent ones are worth."""

import numpy as np
import pytest
import torch

from polysemanticity import projections
from polysemanticity.networks import probing


def planted(variation, dtype, n=64, units=256, seed=0):
    """A dot's path in a layer that varies by a share of its size, in a dtype."""
    source = torch.Generator().manual_seed(seed)
    angle = 2 * np.pi * torch.arange(n, dtype=torch.float64) / n
    path = torch.stack([angle.cos(), angle.sin()], 1) @ torch.randn(2, units, generator=source, dtype=torch.float64)
    return (1 + variation * path).to(dtype)


def test_variation_is_the_planted_share_of_the_size():
    assert probing.relative_variation(planted(1e-3, torch.float64)) == pytest.approx(1e-3, rel=0.1)
    assert probing.relative_variation(torch.ones(5, 3)) == 0 == probing.relative_variation(torch.zeros(5, 3))
    noise = torch.randn(4000, 3, generator=torch.Generator().manual_seed(1))
    assert probing.relative_variation(noise) == pytest.approx(1, abs=0.01)


def test_rounding_noise_is_dead_and_the_same_layer_in_double_precision_is_not():
    """What once decided a verdict: at p = 0.8 activity varied by 1e-8 of its size and its roughness was rounding's."""
    single, double = planted(1e-8, torch.float32), planted(1e-8, torch.float64)
    assert probing.is_dead(single) and not probing.is_dead(double)
    source = torch.Generator().manual_seed(2)
    assert probing.is_dead(1 + 1e-8 * torch.randn(64, 256, generator=source))
    smooth = projections.roughness(double.numpy(), closed=True)  # of the loop that was planted
    rounded = planted(1e-7, torch.float32)  # a few last places: alive for one who only asks for a variance
    assert rounded.var(0).any() and projections.roughness(rounded.double().numpy(), closed=True) > 4 * smooth
    assert probing.is_dead(rounded) and not probing.is_dead(planted(1e-4, torch.float32))
    assert probing.is_dead(torch.ones(4, 2)) and probing.is_dead(planted(1e-15, torch.float64))
    with pytest.raises(ValueError, match="floating-point"):
        probing.is_dead(torch.ones(4, 2, dtype=torch.int64))


def test_what_reconstructions_explain():
    source = torch.Generator().manual_seed(3)
    held = torch.rand(50, 3, 4, 4, generator=source)
    mean = held.mean(0)
    assert probing.pixel_r2(held, held, mean) == 1
    assert probing.pixel_r2(mean.expand_as(held), held, mean) == pytest.approx(0)
    flat = torch.rand(50, 3, 1, 1, generator=source).expand(50, 3, 4, 4)
    assert probing.mean_colour_r2(flat, flat.mean(0)) == pytest.approx(1)
    assert probing.mean_colour_r2(held, mean) < 0.2
    assert probing.principal_r2(held, held, 48) == pytest.approx(1)
    assert probing.principal_r2(flat, flat, 2) < 0.9 < probing.principal_r2(flat, flat, 3)


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_errors_by_block_cover_autoregressive_rows(rho):
    """Rows of AR(1) contexts: the plain error of the mean covers too rarely, the one by block as often as it says."""
    rng, covered, plain, counts = np.random.default_rng(5), 0, 0, []
    contexts, length, repeats = 40, 25, 300
    for _ in range(repeats):
        steps = rng.standard_normal((contexts, length))
        rows = np.empty_like(steps)
        rows[:, 0] = steps[:, 0]
        for t in range(1, length):
            rows[:, t] = rho * rows[:, t - 1] + np.sqrt(1 - rho**2) * steps[:, t]
        values, block = rows.ravel(), np.repeat(np.arange(contexts), length)
        number = probing.effective_number(values, block)
        covered += abs(values.mean()) < 2.02 * values.std() / np.sqrt(number)
        plain += abs(values.mean()) < 1.96 * values.std() / np.sqrt(len(values))
        counts.append(number)
    assert 0.91 < covered / repeats < 0.985
    assert (plain / repeats > 0.91) == (rho == 0)
    assert (np.median(counts) < 150) == (rho > 0)


def test_blocks_that_make_no_sense():
    with pytest.raises(ValueError, match="one block for each value"):
        probing.effective_number(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="at least 2"):
        probing.effective_number(np.ones(3), np.ones(3))
    assert probing.effective_number(np.array([1.0, 2.0, 1.0, 2.0]), np.array([0, 0, 1, 1])) == 4
