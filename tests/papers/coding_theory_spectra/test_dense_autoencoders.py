"""The small autoencoders of the first notebook: indices, readings at equal loss, trends and partial correlations."""

import numpy as np
import pytest
import torch
from scipy import stats

from polysemanticity.base import config
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders
from polysemanticity.projections import stimuli


@pytest.fixture(scope="module")
def smoke():
    return config.resolve(paper.Config(), paper.PROFILES, "smoke", {})


def test_networks_of_photographs_are_measured_and_deterministic(smoke):
    settings = dense_autoencoders.photograph_nets(smoke, "relu", 0.4, 128) | {"n_train": 1280}
    first, second = (dense_autoencoders.on_photographs(seed=3, device="cpu", **settings) for _ in range(2))
    for key in ("exponent", "narrow_exponent", "decodability"):
        assert first[key].shape == (2, 3) and np.isfinite(first[key]).all()
    assert (first["attacked_loss"] > first["test_loss"]).all()
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)


def test_patches_of_training_and_probing_come_from_different_photographs():
    learnt, held, scale = dense_autoencoders.patches(3, 90, 40, "", "cpu")
    assert learnt.shape == (90, 144) and held.shape == (40, 144) and 0.05 < scale < 0.5
    assert not {row.numpy().tobytes() for row in learnt} & {row.numpy().tobytes() for row in held}


def test_features_without_noise_are_learnt_and_the_course_is_recorded(smoke):
    settings = dense_autoencoders.feature_nets(smoke, "no noise") | {"n_steps": 400, "batch_size": 128}
    course = dense_autoencoders.on_features(seed=0, device="cpu", **settings)
    assert course["step"][0] == 0 and course["step"][-1] == 400
    assert course["loss"].shape == course["index"].shape == course["exponent"].shape == (len(course["step"]), 2)
    assert (course["loss"][-1] < 0.05).all() and (course["loss"][0] > 0.5).all()


def test_exponent_recovers_a_planted_one_and_knows_its_limits():
    activity = torch.from_numpy(stimuli.power_law_data(2560, 256, 1.5, np.random.default_rng(0)))
    assert dense_autoencoders.exponent(activity, (3, 32), (3, 16)) == pytest.approx([1.5, 1.5], abs=0.1)
    assert np.isnan(dense_autoencoders.exponent(activity[:, :100], (3, 32))[0])
    rank_two = activity[:, :2] @ torch.ones(2, 200, dtype=torch.float64)
    assert dense_autoencoders.exponent(rank_two, (3, 32)) == [12.0]


def test_decodability_is_the_share_that_a_linear_map_explains():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 6, generator=rng)
    assert dense_autoencoders.decodability(x @ torch.randn(6, 9, generator=rng), x) == pytest.approx(1, abs=1e-3)
    assert dense_autoencoders.decodability(x[:, :3], x) == pytest.approx(0.5, abs=0.02)
    assert abs(dense_autoencoders.decodability(torch.randn(4000, 6, generator=rng), x)) < 0.02


def test_twins_of_known_codes():
    eye, bias = torch.eye(5)[None], torch.zeros(1, 5)
    assert dense_autoencoders.twins(eye, bias).item() == 0
    assert dense_autoencoders.twins(torch.cat([eye, 2 * eye[..., :2]], -1), torch.zeros(1, 7)).item() == pytest.approx(
        4 / 7
    )
    assert (
        dense_autoencoders.twins(torch.cat([eye, -eye], -1), torch.zeros(1, 10)).item() == 0
    )  # silent units are left out


def test_features_per_unit_of_known_codes():
    eye, bias = torch.eye(4)[None], torch.zeros(1, 4)
    assert dense_autoencoders.features_per_unit(eye, bias).item() == pytest.approx(1)
    assert dense_autoencoders.features_per_unit(torch.ones(1, 4, 4), bias).item() == pytest.approx(4)
    dead = torch.cat([eye, -torch.ones(1, 4, 3)], dim=2)  # units that no feature moves are left out
    assert dense_autoencoders.features_per_unit(dead, torch.zeros(1, 7)).item() == pytest.approx(1)
    assert dense_autoencoders.features_per_unit(-torch.ones(1, 4, 3), torch.zeros(1, 3)).item() == 0


def test_at_loss_interpolates_in_the_logarithm():
    course = {"loss": np.array([[1.0], [0.1], [0.01]]), "index": np.array([[5.0], [3.0], [1.0]])}
    assert dense_autoencoders.at_loss(course, np.array([0.1]), "index") == pytest.approx([3])
    assert dense_autoencoders.at_loss(course, np.array([10**-1.5]), "index") == pytest.approx([2])
    assert dense_autoencoders.at_loss(course, np.array([1e-9]), "index") == pytest.approx([1])


def test_width_trend_is_the_regression_with_a_constant_per_seed():
    widths, rng = (64, 128, 256, 512), np.random.default_rng(0)
    values = 0.7 * np.log10(widths)[:, None] + [3.0, -1.0, 2.0] + 0.01 * rng.standard_normal((4, 3))
    design = np.c_[np.repeat(np.log10(widths), 3), np.tile(np.eye(3), (4, 1))]
    expected = np.linalg.lstsq(design, values.ravel(), rcond=None)[0][0]
    found = dense_autoencoders.width_trend(values, widths)
    assert found.value == pytest.approx(expected) and found.low < 0.7 < found.high


def test_width_trend_covers_the_truth():
    rng = np.random.default_rng(1)
    found = [
        dense_autoencoders.width_trend(rng.standard_normal((5, 4)), (64, 128, 256, 512, 1024)) for _ in range(1000)
    ]
    assert 0.93 < np.mean([low <= 0 <= high for _, low, high in found]) < 0.97


def test_rank_correlation_takes_the_training_loss_out():
    rng = np.random.default_rng(0)
    train = rng.standard_normal((12, 10))
    noise = rng.standard_normal((3, 12, 10))
    a = train + noise[0]
    groups = list(np.stack([a, train, train + noise[1], a + 0.1 * noise[2], -a], axis=-1))
    common, same, opposite = dense_autoencoders.rank_correlations(groups, rng)
    assert common.low < 0 < common.high and stats.spearmanr(a.ravel(), (train + noise[1]).ravel()).pvalue < 0.05
    assert same.low > 0.9 and opposite.value == pytest.approx(-1)


def test_rank_correlation_with_one_group_is_scipys_partial_one():
    rng = np.random.default_rng(2)
    group = rng.standard_normal((30, 3))
    r = stats.spearmanr(group).statistic
    expected = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert dense_autoencoders.rank_correlations([group], rng, 10)[0].value == pytest.approx(expected)


def test_rank_correlation_is_zero_where_the_training_loss_fixes_the_ranks():
    train = np.arange(5.0)
    groups = [np.stack([a, train, train**2], axis=-1) for a in np.random.default_rng(3).standard_normal((3, 5))]
    (left,) = dense_autoencoders.rank_correlations(groups, np.random.default_rng(4), 200)
    assert (left.value, left.low, left.high) == (0, 0, 0)


def test_predicted_slope_is_the_sheets():
    assert dense_autoencoders.predicted_slope(1024) * np.array([0.2, 0.4, 0.6, 0.8]) == pytest.approx(
        [0.37, 0.75, 1.12, 1.50], abs=0.006
    )
