"""The small autoencoders of the first notebook: indices, readings at equal loss, tables, and verdicts when planted."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots, projections
from polysemanticity.base import config
from polysemanticity.base.results import Results
from polysemanticity.networks import perceptrons
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
    for key in ("exponent", "narrow_exponent", "decodability", "roughness"):
        assert first[key].shape == (2, 3) and np.isfinite(first[key]).all()
    assert (first["attacked_loss"] > first["test_loss"]).all()
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)


def test_patches_of_training_and_probing_come_from_different_photographs():
    learnt, held, (mean, scale) = dense_autoencoders.patches(3, 90, 40, "", "cpu")
    assert learnt.shape == (90, 144) and held.shape == (40, 144) and 0.05 < scale < 0.5 and 0.1 < mean < 0.9
    assert float(learnt.mean()) == pytest.approx(0, abs=1e-5) and float(learnt.std()) == pytest.approx(1, abs=1e-5)
    assert not {row.numpy().tobytes() for row in learnt} & {row.numpy().tobytes() for row in held}


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


def test_roughness_is_that_of_every_layer_projected_by_hand():
    nets = perceptrons.perceptrons(
        (9, 6, 6, 3, 6, 9), ("relu", "relu", "identity", "relu", "identity"), (False,) * 5, 2,
        torch.Generator().manual_seed(0),
    )  # fmt: skip
    frames = stimuli.moving_dot(40, 4, radius=1.0, sigma=1.0).frames.reshape(40, 16)[:, :9]
    path = torch.from_numpy(frames).float().expand(2, -1, -1)
    found = dense_autoencoders.roughness(nets, path, 5, np.random.default_rng(1))
    rng, x, by_hand = np.random.default_rng(1), path[1].double().numpy(), []
    for place, (weight, bias) in enumerate(zip(nets.weights, nets.biases, strict=True)):
        x = x @ weight[1].double().numpy() + bias[1].double().numpy()
        x = x if nets.activations[place] == "identity" else np.maximum(x, 0)
        if place in dense_autoencoders.HIDDEN:
            drawn = [x @ m for m in np.split(projections.random_projection(6, 15, rng), 5, axis=1)]
            by_hand.append(np.mean([np.log10(projections.roughness(points, closed=True)) for points in drawn]))
    assert found.shape == (2, 3) and found[1] == pytest.approx(by_hand, abs=1e-5)


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
        row["roughness"] = -layers
        row["grey_loss"] = np.full(n_nets, 2.0)
        rows.append([row])
    return Results(configs, rows)


@pytest.mark.parametrize(("tanh", "verdict"), [(0.3, claims.HOLDS), (-0.3, claims.CORRECTED)])
def test_planted_effects_of_dropout_are_judged_rightly(tanh, verdict):
    configs = dense_autoencoders.nonlinearities(SETTINGS, ELSEWHERE)
    added = {"identity": -1.0, "relu": 0.2, "gelu": 0.4, "silu": 0.3, "tanh": tanh}
    kinds = planted(configs, [1 + (config["dropout"] > 0) * added[config["activation"]] for config in configs])
    measured = dense_autoencoders.measured_nonlinearities(kinds)
    assert claims.verdict_of(paper.CLAIMS["CT-14a"], measured["CT-14a"].quantities) == verdict
    holds = claims.HOLDS if tanh > 0 else claims.FAILS
    assert claims.verdict_of(paper.CLAIMS["CT-14b"], measured["CT-14b"].quantities) == holds
    assert "p = 0 and 0.4" in measured["CT-14a"].scale and "identity -1.0" in measured["CT-14a"].note
    table = dense_autoencoders.activations_table(kinds)
    plots.check_tidy(table)
    effects = plots.part(table, series="encoder").set_index("activation")[dense_autoencoders.EFFECT]
    assert effects.to_dict() == pytest.approx(added, abs=0.03)
    by_layer = dense_autoencoders.effects_by_layer(kinds).set_index("dropout adds")
    assert by_layer.loc["tanh", "exponent, dec1"] == pytest.approx(tanh, abs=0.03)


def test_networks_no_better_than_mean_grey_are_not_judged():
    configs = dense_autoencoders.nonlinearities(SETTINGS, ELSEWHERE)
    kinds = planted(configs, [1 + (config["dropout"] > 0) * 0.3 for config in configs])
    tanh = next(n for n, c in enumerate(configs) if c["activation"] == "tanh" and c["dropout"] > 0)
    kinds[tanh][0]["test_loss"][:2] = 3  # two of four
    measured = dense_autoencoders.measured_nonlinearities(kinds)
    assert claims.verdict_of(paper.CLAIMS["CT-14a"], measured["CT-14a"].quantities) == claims.NOT_TESTED


@pytest.mark.parametrize(("per_decade", "verdict"), [(0.0, claims.HOLDS), (0.4, claims.FAILS)])
def test_planted_growth_with_width_is_judged_rightly(per_decade, verdict):
    configs = dense_autoencoders.width_ladder(SETTINGS, ELSEWHERE)
    assert len(configs) == 2 * (4 * 3 + 1)
    ladder = planted(configs, [1.5 + per_decade * np.log10(config["width"] / 64) for config in configs])
    for claim, measured in dense_autoencoders.measured_widths(ladder).items():
        assert claims.verdict_of(paper.CLAIMS[claim], measured.quantities) == verdict
        assert all(found.value == pytest.approx(per_decade, abs=0.02) for found in measured.quantities.values())
        assert "13 trainings" in measured.error and "the widest at 0.001" in measured.scale
    table = dense_autoencoders.widths_table(ladder)
    plots.check_tidy(table)
    assert table["units m"].drop_duplicates().tolist() == list(SETTINGS.widths)
    assert (plots.part(table, what="paper")["exponent a, ranks 3 to 16"] == 1).all()
    shown = dense_autoencoders.growth_table(ladder).set_index("a decade of width adds to")
    found = float(shown.loc["log10 roughness", "p = 0, at equal loss"].split()[0])
    assert found == pytest.approx(-per_decade, abs=0.02) and shown.shape == (3, 4)


def test_growth_that_is_only_progress_is_none_at_equal_loss():
    """The exponent follows the loss, which falls with width and with the learning rate."""
    configs = dense_autoencoders.width_ladder(SETTINGS, ELSEWHERE)
    lost = [np.log10(config["width"]) + 0.5 * np.log10(config["lr"]) for config in configs]
    ladder = planted(configs, [1.5 + value for value in lost])
    for row, value in zip(ladder.results, lost, strict=True):
        row[0]["test_loss"] = np.full(4, np.exp(-value))
    raw, equal = (dense_autoencoders.growth(ladder, "narrow_exponent", equal) for equal in (False, True))
    assert [one.value for one in raw] == pytest.approx([1, 1], abs=0.05)
    assert [one.value for one in equal] == pytest.approx([0, 0], abs=0.05)


def test_growth_is_unknown_where_too_little_was_learnt_or_varied():
    configs = dense_autoencoders.width_ladder(SETTINGS, ELSEWHERE)
    ladder = planted(configs, [1.5] * len(configs))
    ladder[0][0]["test_loss"][:] = 3  # one training in 26 is left out
    assert all(np.isfinite(one.low) for one in dense_autoencoders.growth(ladder, "roughness", False))
    for row in ladder.results[:10]:
        row[0]["test_loss"][:] = 3
    assert set(dense_autoencoders.growth_table(ladder)["p = 0"]) == {"not judged"}
    shares = plots.part(dense_autoencoders.widths_table(ladder), what="measured").groupby("units m")
    assert shares["share that learnt"].max().to_dict() == {64: 0, 128: 0, 256: 1, 512: 1, 1024: 1}
    assert all(np.isinf(one.low) for one in dense_autoencoders.growth(ladder, "roughness", False))
    assert all(np.isinf(one.low) for one in dense_autoencoders.growth(ladder.where(lr=1e-3), "roughness", False))
