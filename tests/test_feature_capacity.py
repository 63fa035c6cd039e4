"""The workers of the third paper with tiny settings, and the functions that read their results."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lib import capacity, plots, runtime
from lib.papers import feature_capacity as paper

SPECIAL = {"n_features": 5, "n_dims": 2, "n_seeds": 2, "n_steps": 200}


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("profile", list(paper.PROFILES))
def test_profiles_resolve(profile):
    run = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert run.cfg.n_dims < run.cfg.n_features and run.cfg.list_dims < run.cfg.n_features
    assert set(run.figures) == set(paper.FIGURES)
    assert all(claim.id == name for name, claim in paper.CLAIMS.items())


@pytest.mark.parametrize("kind", list(paper.KINDS))
def test_random_embeddings_keep_to_the_bound(kind):
    result = work(paper.random_embeddings, kind=kind, n_features=12, n_dims=5, n_samples=20)
    slack = result["rank"] - result["total"]
    assert slack.shape == (20,) and slack.min() > -1e-9 and result["excess"].max() < 1e-9
    expected_rank = {"low rank": 2}.get(kind, 5)
    np.testing.assert_array_equal(result["rank"], expected_rank)
    if kind == "block-semi-orthogonal":
        assert np.abs(slack).max() < 1e-9
    else:
        assert slack.min() > 1e-9


def test_the_loss_formula_agrees_with_sampling():
    result = work(paper.loss_by_sampling, law="uniform", density=0.3, n_features=4, n_dims=2, n_samples=200_000)
    assert abs(result["sampled"] - result["formula"]) < 4.5 * result["stderr"]
    assert result["kurtosis"] == pytest.approx(6)


def test_a_solver_agrees_with_the_exact_allocation():
    result = work(paper.allocations_by_solver, n_problems=5, n_features=6)
    assert result["difference"].max() < 1e-4 and result["gain"].max() < 1e-9


def test_numerical_benefit_and_the_kurtosis_of_constant_returns():
    for c, v, kappa in ((0.1, 1.0, 2.0), (0.5, 3.0, 50.0), (0.9, 0.2, 5.0)):
        assert paper.numerical_benefit(c, v, kappa) == pytest.approx(
            capacity.marginal_benefit(c, v, kappa)[0], rel=1e-5
        )
    assert paper.kurtosis_of_constant_returns() == pytest.approx(3, abs=1e-5)


def test_the_phase_diagram_is_trained_part_by_part():
    ratios, kurtoses = paper.phase_grid(4)
    configs = paper.grid_configs(ratios, kurtoses, 2, **SPECIAL)
    results = [[work(paper.train_special, **config)] for config in configs]
    c, best = paper.joined(results, "capacity"), paper.joined(results, "optimum")
    assert c.shape == (4, 4, 2, 5) and best.shape == (4, 4, 5)
    sparse = np.array(kurtoses) > 3
    np.testing.assert_allclose(c[sparse], np.broadcast_to(best[sparse][:, :, None], c[sparse].shape), atol=1e-6)
    v = paper.special_importance(ratios, 5)[None, :, None]
    assert paper.at_a_predicted_minimum(c[~sparse], v, np.array(kurtoses)[~sparse, None, None]).all()
    again = work(paper.train_special, **configs[0])
    np.testing.assert_array_equal(again["capacity"], results[0][0]["capacity"])


def test_lists_return_weights_whose_spectrum_ends_at_the_price():
    result = work(paper.train_lists, decay=0.8, kurtoses=(6.0, 20.0), n_features=6, n_dims=3, n_seeds=2, n_steps=300)
    assert result["weights"].shape == (2, 2, 3, 6)
    np.testing.assert_allclose(result["eigenvalues"][..., -1], result["price"][:, None] * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(result["excess_loss"], 0, atol=1e-9)


def test_training_on_samples_reports_capacity_and_excess_loss():
    config = {"ratio": 0.5, "kurtosis": 10.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 30, "batch": 16}
    result = work(paper.train_on_samples, **config)
    assert result["capacity"].shape == (2, 4) and result["optimum"].shape == (4,)
    assert (result["excess_loss"] > 0).all()


def test_reading_phases_order_and_proportion():
    c, v = np.array([1.0, 0.5, 0.2, 0.0]), np.array([4.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(paper.phase(c), [2, 1, 1, 0])
    assert paper.out_of_order(c, v) == 0
    assert paper.out_of_order(c[::-1], v) == 3
    assert paper.out_of_order(np.array([0.2, 0.8]), np.ones(2)) == 0
    assert paper.departure_from_proportion(c, v) == pytest.approx(0.25)
    assert math.isnan(paper.departure_from_proportion(np.array([1.0, 0.0]), np.ones(2)))


def test_predicted_minima_below_kurtosis_3():
    v = np.array([1.0, 0.9, 0.4])
    chosen = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(paper.at_a_predicted_minimum(chosen, v, 2.0), [True, True, False, False])


def test_archetypes_are_efficient_and_found_as_blocks():
    for name, w in paper.archetypes(np.random.default_rng(0)).items():
        assert w.shape == (8, 16)
        assert capacity.feature_capacity(w).sum() == pytest.approx(8), name
    order, found = paper.block_order(np.concatenate([w, np.zeros((8, 1))], 1))
    assert sorted(order) == list(range(17)) and order[-1] == 16
    assert sorted(len(block.features) for block in found) == [1, 1, 1, 2, 3, 8]


def test_maps_of_capacities_have_their_cells_around_their_points():
    fig, ax = plt.subplots()
    ax.set(xscale="log")
    plots.capacity_map(ax, [1.0, 10.0, 100.0], [0.0, 1.0], np.array([[0.0, 0.5, 1.0]] * 2), label="C")
    corners = ax.collections[0].get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    np.testing.assert_allclose(corners[:, 0, 1], [-0.5, 0.5, 1.5])
    plt.close(fig)


def test_stationary_points_random_problems_and_wrong_minima():
    found = work(paper.stationary, kurtosis=5.0, n_features=4, n_dims=2, n_starts=8)
    assert found["converged"].any() and np.abs(found["total"] - found["rank"])[found["converged"]].max() < 1e-9
    fixed = {"n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 300}
    problems = work(paper.random_problems, n_problems=3, **fixed)
    np.testing.assert_allclose(problems["eigenvalues"], np.repeat(problems["predicted"][:, None], 2, 1), rtol=1e-6)
    excess = work(paper.wrong_minima, kurtoses=(1.3, 8.0), n_problems=4, **fixed)["excess_loss"]
    assert excess.shape == (2, 4, 2) and excess[1].max() < 1e-6


def test_counts_slopes_and_predicted_spectra():
    np.testing.assert_array_equal(paper.count_polysemantic(0.9, 30.0, (40, 60), 200), [26, 26])
    slope = paper.slope_interval(np.arange(5.0), 2 * np.arange(5.0) + [0, 0.1, 0, -0.1, 0])
    assert slope.low < slope.value < slope.high and slope.value == pytest.approx(1.96, abs=0.05)
    spectrum = paper.predicted_spectrum(np.array([1.0, 3.0, 0.5]), np.array([1.0, 1.0, 0.7]), 0.6, 3)
    np.testing.assert_array_equal(spectrum, [3.0, 1.0, 0.6])


def test_the_price_of_dimensions_bounds_the_gain():
    result = work(paper.price_of_dimensions, decay=0.8, kurtosis=20.0, n_features=6, n_seeds=2, n_steps=300)
    gain, price = result["loss"][:-1] - result["loss"][1:], 2 * result["price"] ** 2
    assert (gain < price[:-1]).all() and (gain > price[1:]).all()


def test_autoencoders_of_several_widths_in_one_batch():
    config = {"density": 0.2, "decay": 0.9, "n_features": 6, "n_seeds": 2, "n_steps": 300, "batch": 64, "n_test": 1000}
    result = work(paper.autoencoder_widths, model="relu", dims=(1, 3), **config)
    assert (result["loss"][1] < result["loss"][0]).all() and (result["last"] > 0).all()
    assert result["capacity"][0].sum(-1).max() < 1 + 1e-9
    constant = np.array([[[4.0, 3.0, 2.0], [1.0, 1.0, 1.0]]])
    assert paper.variation_of_price(constant) == pytest.approx(0)


def test_flow_and_how_it_is_read():
    config = {"decay": 0.5, "kurtosis": 5.0, "n_features": 3, "n_dims": 2, "n_seeds": 3, "duration": 40.0, "n_kept": 80}
    flow = work(paper.flow_from_small, **config)
    entry = paper.entry_times(flow["times"], flow["norm"], 0.5 ** np.arange(3))
    assert paper.in_order(entry).all() and (entry[:, 0] < entry[:, 1]).all()
    np.testing.assert_allclose(paper.growth_rates(flow["times"], flow["norm"])[:, 0], 1, rtol=0.01)
    rests, nearest = paper.distance_from_integers(flow["times"], flow["total"], entry, 2)
    assert rests.shape == nearest.shape == (3, 1) and (nearest <= rests + 1e-12).all()
    assert not paper.in_order(np.array([[3.0, np.nan, 2.0]]))[0]


@pytest.mark.parametrize("model", ["quadratic", "relu"])
def test_architectures_return_weights_per_density_and_start(model):
    config = {"decay": 1.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 600, "batch": 64}
    w = work(paper.train_architecture, model=model, densities=(0.3, 0.1), **config)["weights"]
    assert w.shape == (2, 2, 2, 4)
    shape = paper.geometry(w)
    assert shape.blocks.shape == (2, 2) and (shape.efficiency <= 1 + 1e-9).all()
    if model == "relu":
        assert (shape.digons[0] == 1).all() and (shape.size[0] == 2).all()


def test_shares_and_geometry_of_known_embeddings():
    kinds = paper.archetypes(np.random.default_rng(0))
    w = np.stack([kinds["all monosemantic"], kinds["one block (16, 8)"], kinds["eight digons (2, 1)"]])
    shares, shape = paper.polysemantic_shares(w), paper.geometry(w)
    np.testing.assert_allclose(shares.represented, [0, 1, 1])
    np.testing.assert_allclose(shares.all, [0, 1, 1])
    np.testing.assert_allclose(shares.capacity, [0, 1, 1], atol=1e-9)
    np.testing.assert_allclose(shape.blocks, [0, 1, 8])
    np.testing.assert_allclose(shape.size, [1, 16, 2])
    np.testing.assert_allclose(shape.largest, [1 / 8, 1, 1 / 8])
    np.testing.assert_allclose(shape.digons, [0, 0, 1])


def test_the_worst_row():
    assert paper.worst([[1.0, 2.0], [0.0, 0.5]]).value == 0.25
    assert paper.worst([[1.0, 2.0], [0.0, 0.5]], least=False).value == 1.5


def test_partners_are_parallel_if_exclusive_and_orthogonal_if_together():
    config = {"kurtosis": 9.0, "n_features": 8, "n_dims": 4, "n_seeds": 2, "n_steps": 1500}
    result = work(paper.train_pairs, co_activity=(0.0, 5.0), **config)
    np.testing.assert_allclose(result["partners"], [[1, 1], [0, 0]], atol=1e-3)
    assert result["loss"][0].max() < 1e-6 and (result["others"][1] > 0.05).all()


def test_unequal_kurtoses_and_widths():
    config = {"n_problems": 3, "n_features": 6, "n_dims": 2, "n_seeds": 2, "n_steps": 3000}
    result = work(paper.unequal_kurtoses, **config)
    expected = np.broadcast_to(result["optimum"][:, None], result["capacity"].shape)
    np.testing.assert_allclose(result["capacity"], expected, atol=1e-6)
    config = {"dims": (2, 4), "decay": 0.7, "kurtosis": 8.0, "n_features": 12, "n_seeds": 2, "n_steps": 300}
    c = work(paper.quadratic_widths, **config)["capacity"]
    assert c.shape == (2, 2, 12)
    np.testing.assert_allclose(c.sum(-1), [[2, 2], [4, 4]])


def test_sweeping_the_ratio_shows_a_loop_below_kurtosis_3_only():
    loops = work(paper.sweep_ratio, kurtoses=(2.0, 10.0), n_points=21)
    assert paper.loop_width(loops["ratios"], loops["capacity"][0]) == pytest.approx(np.log(4), rel=0.25)
    assert np.abs(loops["capacity"][1, 0] - loops["capacity"][1, 1]).max() < 1e-3


def test_one_special_feature_in_a_relu_autoencoder():
    config = {"density": 0.3, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 800, "batch": 64}
    c = work(paper.relu_special, ratios=(0.05, 1.0), **config)["capacity"]
    assert c.shape == (2, 2) and c[1] == pytest.approx(0.5, abs=0.1)


def test_a_penalty_on_overlaps_costs_little():
    config = {"strength": 0.02, "kurtosis": 10.0, "n_features": 6, "n_dims": 3, "n_seeds": 2, "n_steps": 1500}
    result = work(paper.select_blocks, powers=(1.0, 4.0), **config)
    assert result["weights"].shape == (2, 2, 3, 6) and result["cost"].max() < 2e-3


def test_penalties_end_sharing_where_theory_says():
    fixed = {"decay": 0.8, "kurtosis": 8.0, "n_features": 6, "n_dims": 3, "n_seeds": 2, "n_steps": 1500}
    c = work(paper.penalised, penalties=(0.5, 3.0), **fixed)["capacity"]
    assert (paper.phase(c[0]) == paper.POLYSEMANTIC).any() and not (paper.phase(c[1]) == paper.POLYSEMANTIC).any()
    fixed = {"density": 0.2, "decay": 0.7, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 3000, "batch": 64}
    tuned = work(paper.penalised_relu, penalties=(0.0, 10.0), n_test=1000, **fixed)
    shares = paper.polysemantic_shares(tuned["weights"])
    assert (shares.represented[0] == 1).all() and (shares.represented[1] == 0).all()
    assert (tuned["loss"][1] > tuned["loss"][0]).all()


def test_no_power_brings_the_kurtosis_below_one_over_density():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 400_000) * (rng.random(400_000) < 0.3)
    for power in (1.0, 0.5):
        y = np.sign(x) * np.abs(x) ** power
        assert paper.power_kurtosis(power, 0.3) == pytest.approx((y**4).mean() / (y**2).mean() ** 2, rel=0.02)
    assert paper.power_kurtosis(np.linspace(0, 1, 9), 0.2).min() == pytest.approx(5)


@pytest.mark.parametrize("name", ["photographs", "digits"])
def test_real_networks_report_capacity_importance_and_kurtosis(name):
    result = work(paper.real_capacities, name=name, n_samples=260, n_dims=4, n_seeds=2, n_steps=20)
    n = len(result["importance"])
    assert result["capacity"].shape == result["random"].shape == (2, n) and 40 < n <= 63
    assert result["capacity"].sum(-1).max() <= 4 + 1e-9 and result["importance"].sum() == pytest.approx(1)
    assert result["kurtosis"].min() >= 1


def test_rank_correlations():
    rng = np.random.default_rng(0)
    z, noise = rng.standard_normal((2, 500))
    assert paper.rank_correlation(z, np.exp(z)) == pytest.approx(1)
    x, y = z + noise, z + rng.standard_normal(500)
    assert paper.rank_correlation(x, y) > 0.3 and abs(paper.rank_correlation(x, y, z)) < 0.1
