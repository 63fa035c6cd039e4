"""Unequal kurtoses, widths, transitions and chosen blocks."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import geometry
from polysemanticity.papers.feature_capacity import extensions


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_unequal_kurtoses_and_widths():
    config = {"n_problems": 3, "n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 3000}
    result = work(extensions.unequal_kurtoses, **config)
    expected = np.broadcast_to(result["optimum"][:, None], result["capacity"].shape)
    np.testing.assert_allclose(result["capacity"], expected, atol=1e-6)
    config = {"dims": (2, 4), "decay": 0.7, "kurtosis": 8.0, "n_features": 12, "n_seeds": 2, "n_steps": 300}
    c = work(extensions.quadratic_widths, **config)["capacity"]
    assert c.shape == (2, 2, 12)
    np.testing.assert_allclose(c.sum(-1), [[2, 2], [4, 4]])


def test_sweeping_the_ratio_shows_a_loop_below_kurtosis_3_only():
    loops = work(extensions.sweep_ratio, kurtoses=(2.0, 10.0), n_points=21)
    assert extensions.loop_width(loops["ratios"], loops["capacity"][0]) == pytest.approx(np.log(4), rel=0.25)
    assert np.abs(loops["capacity"][1, 0] - loops["capacity"][1, 1]).max() < 1e-3


def test_one_special_feature_in_a_relu_autoencoder():
    config = {"density": 0.3, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 800, "batch": 64}
    c = work(extensions.relu_special, ratios=(0.05, 1.0), **config)["capacity"]
    assert c.shape == (2, 2) and c[1] == pytest.approx(0.5, abs=0.1)


def test_a_penalty_on_overlaps_costs_little():
    config = {"strength": 0.02, "kurtosis": 10.0, "n_features": 6, "n_dims": 3, "n_seeds": 2, "n_steps": 1500}
    result = work(extensions.select_blocks, powers=(1.0, 4.0), **config)
    assert result["weights"].shape == (2, 2, 3, 6) and result["cost"].max() < 2e-3


def test_the_quadratic_transition_is_continuous_and_the_tanh_one_is_not():
    ratios = tuple(np.geomspace(0.2, 5, 17).tolist())
    config = {"ratios": ratios, "n_seeds": 2, "n_steps": 500, "batch": 64}
    jumps, widths = {}, {}
    for model, level in (("quadratic", 10.0), ("tanh", 0.3)):
        c = work(extensions.from_states, model=model, level=level, **config)["capacity"]
        assert c.shape == (3, 17, 2)
        jumps[model], widths[model] = extensions.largest_jumps(c), extensions.coexistence_width(ratios, c)
    assert jumps["quadratic"][-1] < extensions.FIRST_ORDER * jumps["quadratic"][0] and widths["quadratic"] == 0
    assert jumps["tanh"][-1] > extensions.FIRST_ORDER * jumps["tanh"][0]


def test_jumps_widths_and_thresholds_of_made_up_curves():
    ratios = np.geomspace(1, np.e**8, 9)
    ramp, step = np.linspace(0, 1, 9), (np.arange(9) > 4).astype(float)
    np.testing.assert_allclose(extensions.largest_jumps(np.stack([ramp] * 3)[..., None]), [0.5, 0.25, 0.125])
    np.testing.assert_allclose(extensions.largest_jumps(np.stack([step] * 3)[..., None]), 1)
    late = (np.arange(9) > 6).astype(float)
    assert extensions.coexistence_width(ratios, np.stack([step, step, late])[..., None]) == pytest.approx(2)
    found = extensions.threshold(ratios, np.stack([step, late, 0 * step], -1))
    np.testing.assert_allclose(found, [np.e**5, np.e**7, np.nan])


def test_a_special_feature_of_its_own_density_becomes_alone():
    config = {"others": 0.3, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 800, "batch": 64}
    c = work(extensions.alone_thresholds, ratios=(0.02, 30.0), densities=(0.3, 0.1), **config)["capacity"]
    assert c.shape == (2, 2, 2) and (c[:, 1] > 0.95).all() and (c[:, 0] < 0.8).all()


def planted(**changes):
    """Results at which every quantity of FC-15 is as claimed, with some of them changed."""
    ratios = np.geomspace(0.25, 4, 61)
    up, down = (ratios > 2).astype(float), (ratios > 0.5).astype(float)
    smooth = np.clip(0.5 + np.log(ratios) / 4, 0, 1)
    loop = {"ratios": ratios, "capacity": np.array([[up, changes.get("down", down)], [smooth, smooth]])}
    states = {"capacity": np.tile([0.0, 0.5, 1.0, 0.5], (25, 1)) + changes.get("states", 0)}
    exact = np.array([[0.2, 0.6, 0.9]])
    uneven = {
        "capacity": np.stack([exact, exact], 1) + changes.get("error", 0),
        "optimum": exact,
        "kurtosis": exact * 9,
    }
    wide = {"capacity": np.tile([1.0, 0.5, 0.5, 0.0], (3, 2, 1))}
    nets = np.tile([1.0, 0.5, 0.5, 0.0], (3, 4, 1))
    nets[-1, :, 3] = changes.get("wider", 0.0)
    kinds = geometry.archetypes(np.random.default_rng(0))
    small, large = kinds["eight digons (2, 1)"], kinds["one block (16, 8)"]
    weights = np.stack([np.stack([w] * 4) for w in (small, small, changes.get("last", large))])
    configs = [
        {"kurtoses": (2.0, 10.0), "n_points": 61}, {"ratios": extensions.SPECIAL_RATIOS}, {"n_problems": 1, "n_features": 3},
        {"dims": (5, 10, 20), "n_features": 40}, {"dims": (5, 10, 20)}, {"powers": extensions.POWERS, "n_seeds": 4},
    ]  # fmt: skip
    found = (
        loop,
        states,
        uneven,
        wide,
        {"norm": np.ones_like(nets), "capacity": nets},
        {"weights": weights, "cost": np.zeros(3)},
    )
    return [Results([config], [result]) for config, result in zip(configs, found, strict=True)]


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({}, {}),
        ({"wider": 0.5}, {"d": claims.CORRECTED}),
        ({"error": 1e-3}, {"a": claims.FAILS}),
        ({"down": np.ones(61)}, {"b": claims.FAILS}),
        ({"states": 0.3}, {"c": claims.FAILS}),
        ({"last": np.eye(8, 16)}, {"e": claims.FAILS}),
    ],
)
def test_fc_15_is_judged_rightly(changes, others):
    looped, jumped, uneven, exact_width, net_width, chosen = planted(**changes)
    measured = {
        "a": extensions.measured_kurtoses(uneven),
        "b": extensions.measured_transitions(looped),
        "c": extensions.measured_levels(jumped),
        "d": extensions.measured_widths(exact_width, net_width),
        "e": extensions.measured_blocks(chosen),
    }
    found = {k: claims.verdict_of(extensions.CLAIMS[f"FC-15{k}"], m.quantities) for k, m in measured.items()}
    assert found == dict.fromkeys("abcde", claims.HOLDS) | others


def test_tables_of_extensions_are_tidy():
    looped, jumped, _, wide, nets, chosen = planted()
    plots.check_tidy(extensions.transitions_table(looped, jumped))
    table = extensions.width_table(wide, nets, chosen)
    plots.check_tidy(table)
    assert list(plots.part(table, series="quadratic")["value"]) == [2, 2, 2]


def test_an_order_of_transition_is_found_where_it_was_planted():
    ratios = np.geomspace(0.1, 10, 61)
    step = np.tile((ratios > 1).astype(float)[None, :, None], (3, 1, 2))
    slope = np.tile(np.clip(0.5 + np.log(ratios) / 8, 0, 1)[None, :, None], (3, 1, 2))
    ordered = Results(
        [{"model": m, "ratios": ratios} for m in ("relu", "quadratic")], [{"capacity": step}, {"capacity": slope}]
    )
    assert list(extensions.orders_found(ordered)["transition"]) == ["first-order", "continuous"]
    config = {"ratios": extensions.ALONE_RATIOS, "densities": extensions.ALONE_DENSITIES}
    apart = Results([config], [{"capacity": np.tile((np.arange(13) > 6)[None, :, None], (3, 1, 2)).astype(float)}])
    found = extensions.alone_from(apart)
    assert found["alone from (median)"].tolist() == pytest.approx([extensions.ALONE_RATIOS[7]] * 3)
