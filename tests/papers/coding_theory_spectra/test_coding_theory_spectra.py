"""The first notebook's own calculations: trends, falls and rises, batch norm taken anew, and what a worker returns."""

import numpy as np
import pytest
import torch

from polysemanticity import codes, spectra
from polysemanticity.base import config
from polysemanticity.networks import resnet_vae, train
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import entropy, projected, redundancy, vision
from polysemanticity.projections import stimuli


@pytest.fixture(scope="module")
def smoke():
    return config.resolve(paper.Config(), paper.PROFILES, "smoke", {})


@pytest.fixture(scope="module")
def result(smoke):
    return vision.vae(seed=0, device="cpu", **vision.network(smoke, 0.4))


def test_every_layer_and_size_is_measured(smoke, result):
    n_layers, n_sizes = len(vision.LAYERS), len(smoke.sizes)
    for key in ("fitted", "exponent", "r2_fit", "effective_rank", "channel_effective_rank"):
        assert result[key].shape == (n_layers, n_sizes) and np.isfinite(result[key]).all()
    assert result["eigenvalues"].shape == (n_layers, n_sizes, vision.RANKS)
    assert result["path"].shape == (n_layers, smoke.n_frames, 3)
    for probing in ("", "train_", "renormed_"):
        assert np.isfinite(result[probing + "roughness"]).all() and np.isfinite(result[probing + "r2"]).all()
        assert ((result[probing + "r2"] >= 0) & (result[probing + "r2"] <= 1)).all()
    assert result["units"].tolist()[:2] == [4096, 4096] and result["channels"].tolist()[:5] == [16, 16, 32, 64, 128]


def test_the_worker_is_deterministic(smoke, result):
    again = vision.vae(seed=0, device="cpu", **vision.network(smoke, 0.4))
    for key, value in result.items():
        np.testing.assert_array_equal(again[key], value)


def test_seeds_split_the_photographs_anew_and_nothing_is_both_learnt_and_probed():
    first, second = (vision.images("photographs", "", 52, 8, 32, seed) for seed in (1, 2))
    assert len(first.train) == 52 and len(first.probe) == 8 and first.picture.unique().tolist() == [0, 1, 2, 3]
    assert not torch.equal(first.probe, second.probe)
    learnt = {patch.numpy().tobytes() for patch in first.train}
    assert not learnt & {patch.numpy().tobytes() for patch in first.probe}


def test_batch_norm_taken_anew_changes_only_batch_norm():
    model = train.build(resnet_vae.ResNetVAE, seed=0, width=1 / 16, image_size=32, stem_stride=2, dropout=0.5).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pixels = torch.rand(300, 3, 32, 32)
    anew = vision.renormalised(model, pixels, "cpu")
    for name, value in anew.state_dict().items():
        assert torch.equal(model.state_dict()[name], before[name])
        assert ("running" in name or "num_batches" in name) or torch.equal(value, before[name])
    stem = model.trunk.conv1(pixels)
    parts = [stem[:256].mean((0, 2, 3)), stem[256:].mean((0, 2, 3))]
    torch.testing.assert_close(anew.trunk.bn1.running_mean, (parts[0] + parts[1]) / 2, rtol=1e-4, atol=1e-5)


def test_a_dead_layer_is_reported_as_one():
    angles = np.arange(16) / 16
    found = vision.dot_path(torch.ones(16, 5), angles, 3, 0)
    assert (found["roughness"], found["r2"]) == (0.0, 0.0)
    dead = vision._spectra("fc1", torch.ones(200, 150), (150, 200), None)
    assert (dead["exponent"] == vision.STEEPEST).all() and (dead["effective_rank"] == 0).all()


def test_kl_weight_scales_the_second_term_only():
    model = train.build(resnet_vae.ResNetVAE, seed=0, width=1 / 16, image_size=32, stem_stride=2).eval()
    pixels = torch.rand(4, 3, 32, 32)
    terms = resnet_vae.vae_evaluate(model, pixels)
    expected = terms.reconstruction.sum() + 0.25 * terms.kl.sum()
    torch.testing.assert_close(vision.loss(model, pixels, 0.25).detach(), expected)


def test_the_four_views_are_those_of_the_whole_activity_and_one_without_positions():
    activity = torch.randn(300, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    found = vision._view_spectra("stem", activity, (200, 300))
    for view, (_, last) in zip(vision.VIEWS, found, strict=True):
        whole = spectra.covariance_spectrum(spectra.views(activity)[view])
        np.testing.assert_allclose(last.eigenvalues, whole.eigenvalues, rtol=1e-9, atol=1e-12)
        assert (last.n_samples, last.n_units) == (whole.n_samples, whole.n_units)
    assert len(vision._view_spectra("mu", activity.flatten(1), (200, 300))) == 1


def test_activity_is_that_of_one_pass():
    model = train.build(resnet_vae.ResNetVAE, seed=0, width=1 / 16, image_size=16, stem_stride=1).eval()
    pixels = torch.rand(300, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = vision._activity(model, pixels, 16, ("stem", "mu"), "eval", 0, "cpu")
    (whole,) = resnet_vae.activations(model, [pixels], ("stem", "mu"))
    for layer, value in whole.items():
        torch.testing.assert_close(found[layer], value, rtol=1e-4, atol=1e-5)


def test_plenty_of_samples_need_no_correction():
    rng = np.random.default_rng(0)
    few, many = (spectra.covariance_spectrum(stimuli.power_law_data(n, 16, 1.0, rng)) for n in (160, 160_000))
    assert vision._exponent(many, (2, 12), 12)[:2] == pytest.approx([1, 1], abs=0.02)
    fitted, corrected, _ = vision._exponent(few, (2, 12), 12)
    assert fitted != corrected and np.isnan(vision._exponent(few)[1])


def test_references_of_known_images():
    grey = torch.full((4, 3, 8, 8), 0.5)
    found = vision.references(vision.Images(grey, grey, None), 8)
    assert list(found.values()) == pytest.approx([192 * np.log(2)] * 3)
    halves = torch.cat([torch.zeros(2, 3, 8, 4), torch.ones(2, 3, 8, 4)], dim=3)
    found = vision.references(vision.Images(halves, halves, None), 8)
    assert found["best_loss"] == pytest.approx(0, abs=1e-3) and found["mean_image_loss"] == pytest.approx(0, abs=1e-3)
    assert found["mean_colour_loss"] == pytest.approx(192 * np.log(2), rel=1e-3)


def test_an_attack_adds_more_loss_than_it_is_large_and_the_model_is_left_as_it_was():
    model = train.build(resnet_vae.ResNetVAE, seed=0, width=1 / 16, image_size=16, stem_stride=1).eval()
    pixels = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = vision.robustness(model, vision.Images(pixels, pixels, None), 0, "cpu")
    assert found["train_loss"] == found["test_loss"] < found["attacked_loss"]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_trend_is_the_regression_with_a_constant_per_seed():
    rates, rng = (0.0, 0.2, 0.4, 0.8), np.random.default_rng(0)
    values = 3 * np.array(rates)[:, None] + [5, -2, 7] + 0.1 * rng.standard_normal((4, 3))
    design = np.c_[np.repeat(rates, 3), np.tile(np.eye(3), (4, 1))]
    coefficients, residual, _, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    error = np.sqrt(residual[0] / 8 * np.linalg.inv(design.T @ design)[0, 0])
    found = vision.dropout_trend(values, rates)
    assert found.value == pytest.approx(coefficients[0])
    assert found.high - found.value == pytest.approx(2.306 * error, rel=1e-3)


def test_dropout_trend_at_equal_loss_is_the_regression_on_both():
    rates, rng = (0.0, 0.3, 0.5, 0.8), np.random.default_rng(2)
    loss = np.array(rates)[:, None] + 0.2 * rng.standard_normal((4, 3))
    values = 2 * loss + 0.1 * rng.standard_normal((4, 3)) + [1, 2, 3]
    design = np.c_[np.repeat(rates, 3), loss.ravel(), np.tile(np.eye(3), (4, 1))]
    expected = np.linalg.lstsq(design, values.ravel(), rcond=None)[0][0]
    found = vision.dropout_trend(values, rates, loss)
    assert found.value == pytest.approx(expected) and found.low < 0 < found.high
    assert vision.dropout_trend(values, rates).low > 0


def test_dropout_trend_covers_the_truth():
    rates, rng = (0.0, 0.2, 0.4, 0.6, 0.8), np.random.default_rng(1)
    found = [vision.dropout_trend(rng.standard_normal((5, 4)), rates) for _ in range(1000)]
    assert 0.93 < np.mean([low <= 0 <= high for _, low, high in found]) < 0.97


def test_fall_and_rise_of_a_known_curve():
    curve = np.array([2.0, 1.5, 1.0, 3.0])
    fall, rise = vision.fall_and_rise(np.broadcast_to(curve, (3, 2, 4)))
    np.testing.assert_allclose(fall, 1) and np.testing.assert_allclose(rise, 2)
    rising = np.broadcast_to([1.0, 2.0, 3.0], (3, 2, 3))
    np.testing.assert_allclose(vision.fall_and_rise(rising)[0], 0)
    by_size = np.array([curve, curve[[0, 0, 0, 3]]])[None].repeat(3, 0)
    np.testing.assert_allclose(vision.fall_and_rise(by_size)[0], 0)


def test_picking_the_flattest_layer_makes_no_fall_of_noise():
    noise = np.random.default_rng(0).standard_normal((4000, 4, 1, 6))
    falls = np.array([vision.fall_and_rise(curves)[0].mean() for curves in noise])
    assert abs(falls.mean()) < 0.05


def test_layer_mean_takes_the_named_layers():
    values = np.arange(len(vision.LAYERS), dtype=float)
    assert vision.layer_mean(values, vision.EARLY) == 1
    assert vision.layer_mean(np.tile(values, (2, 3, 1)), vision.LATE).tolist() == [[7.0] * 3] * 2


def test_superpositions_keep_less_the_denser_they_are_and_never_more_than_the_limit():
    rates = (0.2, 0.5, 0.8)
    found = redundancy.superpositions(seed=1, device="cpu", n_bits=(2, 6, 12), rates=rates)
    assert found["accuracy"].shape == found["share"].shape == (3, 3)
    assert (np.diff(found["share"], axis=0) < 0).all() and (np.diff(found["share"], axis=1) < 0).all()
    limit = [codes.erasure_limit(k, redundancy.UNITS, redundancy.LEVELS, np.array(rates)) for k in (2, 6, 12)]
    assert (found["accuracy"] <= np.array(limit) + 1e-12).all()
    assert (found["entropy"] <= np.minimum(found["rate_bits"], found["bound"])).all()


def test_linear_codes_are_those_of_the_sheet():
    found = redundancy.linear_codes(seed=0, device="cpu", rates=(0.2, 0.4, 0.6, 0.8))
    of = {name: row for row, name in enumerate(redundancy.LINEAR)}
    simplex, repetition = of["simplex [15, 4]"], of["repetition [15, 4]"]
    np.testing.assert_allclose(found["accuracy"][simplex], [1.000, 0.996, 0.912, 0.505], atol=0.003)
    np.testing.assert_allclose(found["accuracy"][repetition], [0.993, 0.931, 0.728, 0.374], atol=0.003)
    assert found["evenness"][simplex] == pytest.approx(1) and found["evenness"][repetition] < 0.3
    assert (found["on_off"][simplex] < found["accuracy"][simplex]).all()


def test_capacities_agree_and_lie_within_the_bounds():
    found = redundancy.capacities(seed=0, device="cpu", rates=(0.0, 0.3, 0.9), levels=(2, 16))
    np.testing.assert_allclose(found["exact"], found["searched"], atol=1e-6)
    assert (found["lower"] <= found["exact"] + 1e-12).all() and (found["exact"] <= found["upper"] + 1e-12).all()


def test_thresholds_of_synthetic_codes():
    for dimension in (1, 4):
        exponents = 1 + np.array(projected.ROUGH) / dimension
        found = projected.path_steps(seed=0, device="cpu", dimension=dimension, exponents=tuple(exponents), n_paths=20)
        assert found["step"].shape == (3, 20, len(projected.STEPS))
        powers = projected.step_exponents(found["step"])
        np.testing.assert_allclose(powers.mean(1), projected.ROUGH, atol=0.06)
        assert projected.threshold(exponents, powers).mean() == pytest.approx(1 + 2 / dimension, abs=0.1)


def test_step_exponents_and_threshold_of_exact_powers():
    step = projected.STEPS ** -np.array([[1.5], [0.5]])
    np.testing.assert_allclose(projected.step_exponents(step), [1.5, 0.5])
    assert projected.threshold(np.array([1.0, 2.0]), np.array([[0.0, 0.5], [1.0, 1.0]])).tolist() == pytest.approx(
        [3, 4]
    )


def test_projected_action_has_the_corrected_mean():
    found = projected.projected_action(seed=0, device="cpu", n_units=50, exponents=(0.5, 1.5), n_draws=4000)
    np.testing.assert_allclose(found["trace"], [(np.arange(1, 51) ** -a).sum() for a in (0.5, 1.5)])
    np.testing.assert_allclose(found["action"].mean(1), 1.5 / 50 * found["trace"], rtol=0.08)


@pytest.mark.parametrize("n_units", [3, 64])
def test_rounded_units_hold_no_more_than_the_certified_bound(n_units):
    found = entropy.rounded_units(
        seed=0, device="cpu", n_units=n_units, precision=2, exponents=(0.0, 1.0, 3.0), n_draws=20_000
    )
    assert (found["entropy"] + 2 * found["error"] < found["bound"]).all()
    assert (np.diff(found["entropy"]) < 0).all() and ((found["error"] == 0) == (n_units > 3)).all()


def test_settings_of_the_theory_do_not_touch_the_trainings(smoke):
    assert not {"code_bits", "n_codes", "n_paths", "n_draws"} & set(vision.network(smoke, 0.4))
