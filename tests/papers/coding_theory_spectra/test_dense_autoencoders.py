"""The small autoencoders of the first notebook: indices, readings at equal loss, tables, and verdicts when planted."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots
from polysemanticity.base import config
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, vision
from polysemanticity.projections import stimuli


@pytest.fixture(scope="module")
def smoke():
    return config.resolve(paper.Config(), "smoke", {})


def test_networks_of_photographs_are_measured_and_deterministic(smoke):
    settings = dense_autoencoders.photograph_nets(smoke.dense_autoencoders, smoke.vision, "relu", 0.4, 128) | {
        "n_train": 1280
    }
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
    settings = dense_autoencoders.feature_nets(smoke.dense_autoencoders)[0] | {"n_steps": 400, "batch_size": 128}
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


def test_the_course_of_every_condition_has_its_noise(smoke):
    nets = dense_autoencoders.feature_nets(smoke.dense_autoencoders)
    assert [(net["noise"], net["weight_decay"] > 0) for net in nets] == [
        ("none", False), ("dropout", False), ("gaussian", False), ("none", True),
    ]  # fmt: skip


SETTINGS, ELSEWHERE = dense_autoencoders.Settings(), vision.Settings(source="cifar10")  # no photographs are read


def planted(configs, exponents, n_nets=4):
    """Results of `on_photographs` with one seed, whose networks have these exponents [config] but for some noise."""
    rng, rows = np.random.default_rng(0), []
    for value in exponents:
        layers = value + 0.01 * rng.standard_normal((n_nets, 3))
        losses = dict(
            zip(("train_loss", "test_loss", "noisy_loss", "attacked_loss"), rng.random((4, n_nets)), strict=True)
        )
        row = {"exponent": layers, "narrow_exponent": layers, "decodability": np.full((n_nets, 3), 0.9), **losses}
        rows.append([row])
    return Results(configs, rows)


@pytest.mark.parametrize(("tanh", "verdict"), [(0.3, claims.HOLDS), (-0.3, claims.FAILS)])
def test_planted_effects_of_dropout_are_judged_rightly(tanh, verdict):
    configs = dense_autoencoders.nonlinearities(SETTINGS, ELSEWHERE)
    added = {"identity": -1.0, "relu": 0.2, "gelu": 0.4, "silu": 0.3, "tanh": tanh}
    kinds = planted(configs, [1 + (config["dropout"] > 0) * added[config["activation"]] for config in configs])
    measured = dense_autoencoders.measured_nonlinearities(kinds)
    assert claims.verdict_of(paper.CLAIMS["CT-14"], measured.quantities) == verdict
    assert "p = 0 and 0.4" in measured.scale and "identity -1.0" in measured.note
    table = dense_autoencoders.activations_table(kinds)
    plots.check_tidy(table)
    difference = plots.part(table, series="difference").set_index("activation")["value"]
    assert difference.to_dict() == pytest.approx(added, abs=0.03)
    by_layer = dense_autoencoders.effects_by_layer(kinds).set_index("dropout adds")
    assert by_layer.loc["tanh", "exponent, dec1"] == pytest.approx(tanh, abs=0.03)


@pytest.mark.parametrize(("per_decade", "verdict"), [(0.0, claims.HOLDS), (0.4, claims.FAILS)])
def test_planted_growth_with_width_is_judged_rightly(per_decade, verdict):
    configs = dense_autoencoders.width_ladder(SETTINGS, ELSEWHERE)
    ladder = planted(configs, [1.5 + per_decade * np.log10(config["width"] / 64) for config in configs])
    measured = dense_autoencoders.measured_widths(ladder)
    assert claims.verdict_of(paper.CLAIMS["CT-15"], measured.quantities) == verdict
    assert all(found.value == pytest.approx(per_decade, abs=0.02) for found in measured.quantities.values())
    table = dense_autoencoders.widths_table(ladder)
    plots.check_tidy(table)
    assert table["units m"].drop_duplicates().tolist() == list(SETTINGS.widths)
    assert (plots.part(table, what="paper")["exponent a, ranks 3 to 16"] == 1).all()


@pytest.mark.parametrize(("more", "verdict"), [(2.0, claims.HOLDS), (-2.0, claims.FAILS)])
def test_planted_noise_is_judged_at_equal_loss(more, verdict):
    """With noise training ends at the loss that training without noise has at its second of three stops."""
    configs, rows = dense_autoencoders.feature_nets(SETTINGS), []
    rng = np.random.default_rng(0)
    for config_ in configs:
        noisy = config_["noise"] != "none"
        loss = np.array([1.0, 0.5, 0.1]) if noisy else np.array([1.0, 0.1, 0.001])
        index = np.array([16.0, 9.0, 5.0 + more]) if noisy else np.array([16.0, 5.0, 30.0])
        course = {"loss": loss, "index": index, "exponent": index / 10, "twins": np.array([0, 0, 0.1 * noisy])}
        noise = 0.001 * rng.standard_normal((3, 4))
        course = {key: value[:, None] * np.ones(4) + (key != "loss") * noise for key, value in course.items()}
        rows.append([{"step": np.array([0, 10, 20]), **course}])
    features = Results(configs, rows)
    measured = dense_autoencoders.measured_noise(features)
    assert claims.verdict_of(paper.CLAIMS["CT-16"], measured.quantities) == verdict
    assert measured.quantities["features per unit, dropout less none"].value == pytest.approx(more, abs=0.01)
    table = dense_autoencoders.noise_table(features)
    plots.check_tidy(table)
    end = plots.part(table, series="dropout", quantity=dense_autoencoders.COURSES["twins"], step=20)
    assert end["value"].item() == pytest.approx(0.1, abs=0.01) and end[
        "held-out loss ÷ variance"
    ].item() == pytest.approx(0.1)
    assert dense_autoencoders.ends_of_training(features)["features per unit"][1] == pytest.approx(5 + more, abs=0.01)
