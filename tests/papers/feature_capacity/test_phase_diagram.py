"""The phase diagram, trained on the loss and on samples."""

import numpy as np
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import phases
from polysemanticity.papers.feature_capacity import figures, phase_diagram


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


SPECIAL = {"n_features": 5, "n_dims": 2, "n_seeds": 2, "n_steps": 200}


def test_the_phase_diagram_is_trained_part_by_part():
    ratios, kurtoses = phase_diagram.phase_grid(4)
    configs = phase_diagram.grid_configs(ratios, kurtoses, 2, **SPECIAL)
    results = Results(configs, [work(phase_diagram.train_special, **config) for config in configs])
    grid = phase_diagram.joined(results)
    c, best = grid.capacity, grid.optimum
    assert c.shape == (4, 4, 2, 5) and best.shape == (4, 4, 5)
    sparse = np.array(kurtoses) > 3
    np.testing.assert_allclose(c[sparse], np.broadcast_to(best[sparse][:, :, None], c[sparse].shape), atol=1e-6)
    v = phases.special_importance(ratios, 5)[None, :, None]
    assert phases.at_a_predicted_minimum(c[~sparse], v, np.array(kurtoses)[~sparse, None, None]).all()
    again = work(phase_diagram.train_special, **configs[0])
    np.testing.assert_array_equal(again["capacity"], results[0]["capacity"])


def test_training_on_samples_reports_capacity_and_excess_loss():
    config = {"ratios": (0.5, 2.0), "kurtoses": (1.5, 5.0, 10.0), "n_features": 4, "n_dims": 2, "n_seeds": 2}
    result = work(phase_diagram.train_on_samples, **config, n_steps=30, batch=16)
    assert result["capacity"].shape == (3, 2, 2, 4) and result["optimum"].shape == (3, 2, 4)
    assert result["excess_loss"].shape == (3, 2, 2) and (result["excess_loss"] > 0).all()


SETTINGS = phase_diagram.Settings(n_seeds=2, n_features=5, n_dims=2, n_grid=24)


def planted(configs, wrong=0, stray=0):
    """Models at the optimum; of the dense ones some end in a wrong minimum, some where there is none."""
    rows = []
    for config in configs:
        shape = (len(config["kurtoses"]), len(config["ratios"]))
        v = np.broadcast_to(phases.special_importance(config["ratios"], config["n_features"]), (*shape, 5))
        kappa = np.broadcast_to(np.reshape(config["kurtoses"], (-1, 1)), shape)
        best = capacity.optimal_allocation(v, kappa[..., None], 2).capacity
        c, excess = np.repeat(best[:, :, None], 2, axis=2), np.zeros((*shape, 2))
        if config["kurtoses"][0] < 1.5:
            excess[0, :wrong, 0] = 0.1
            c[0, :stray] = 0.4
        rows.append({"capacity": c, "optimum": best, "excess_loss": excess})
    return Results(configs, rows)


@pytest.mark.parametrize(("plant", "verdict"), [({"wrong": 3}, claims.HOLDS), ({"stray": 24}, claims.FAILS)])
def test_the_phase_diagram_is_judged_rightly(plant, verdict):
    trained = planted(phase_diagram.special(SETTINGS), **plant)
    dense = planted(phase_diagram.close_up(SETTINGS), **plant)
    measured = phase_diagram.measured(trained, dense)
    assert claims.verdict_of(phase_diagram.CLAIMS["FC-04b"], measured.quantities) == verdict
    assert "N = 5 features in D = 2" in measured.scale and "24 × 24" in measured.scale


def test_a_capacity_off_its_phase_fails():
    trained, dense = planted(phase_diagram.special(SETTINGS)), planted(phase_diagram.close_up(SETTINGS))
    trained[-1]["capacity"][:, :, :, -1] = 0.5
    measured = phase_diagram.measured(trained, dense)
    assert claims.verdict_of(phase_diagram.CLAIMS["FC-04b"], measured.quantities) == claims.FAILS


@pytest.mark.parametrize(
    ("noise", "shift", "verdict"),
    [(0.005, 0.0, claims.HOLDS), (0.005, 0.1, claims.FAILS), (0.15, 0.0, claims.FAILS), (0.0, 0.0, claims.HOLDS)],
)
def test_the_diagram_of_samples_is_judged_rightly(noise, shift, verdict):
    trained, rng = planted(phase_diagram.sampled(SETTINGS)), np.random.default_rng(0)
    for config, row in trained.pairs():
        row["capacity"] = np.clip(row["capacity"] + shift + rng.normal(0, noise, row["capacity"].shape), 0, 1)
        dense = np.array(config["kurtoses"]) < 3
        row["capacity"][dense] = 1 - row["optimum"][dense][:, :, None]  # counted, not judged
    measured = phase_diagram.measured_samples(trained)
    assert claims.verdict_of(phase_diagram.CLAIMS["FC-04"], measured.quantities) == verdict
    assert "N = 5 features in D = 2" in measured.scale and measured.note.startswith("For kurtosis < 3, 100% of")


def test_one_noisy_kurtosis_fails_by_itself():
    trained = planted(phase_diagram.sampled(SETTINGS))
    c = trained[-1]["capacity"][-1, ..., -1]
    trained[-1]["capacity"][-1, ..., -1] = np.where(c > 0.5, c - 0.1, c + 0.1)
    assert "at the worst kurtosis, 100" in phase_diagram.measured_samples(trained).error
    verdict = claims.verdict_of(phase_diagram.CLAIMS["FC-04"], phase_diagram.measured_samples(trained).quantities)
    assert verdict == claims.FAILS


def test_the_tables_of_the_phase_diagrams():
    trained, dense = planted(phase_diagram.sampled(SETTINGS)), planted(phase_diagram.close_up(SETTINGS), wrong=3)
    table = phase_diagram.special_table(trained)
    plots.check_tidy(table)
    theory, models = (plots.part(table, series=name) for name in ("theory", phase_diagram.TRAINED))
    np.testing.assert_array_equal(theory["value"], models["value"])
    assert set(theory["what"]) == {"paper"} and set(models["what"]) == {"measured"}
    dense[-1]["excess_loss"][-1, 0, 0] = 0.1  # at kurtosis 4
    numbers = phase_diagram.wedge_numbers(dense)
    assert numbers["in a wrong minimum"] == 4 and numbers["of these outside the predicted wedge"] == 1
    assert figures.figx_phase_diagram(table).axes


def test_the_table_of_pairs():
    configs = phase_diagram.pair(phase_diagram.Settings(n_grid=4))
    rows = [
        {"capacity": np.zeros((2, 4, 8, 2)), "optimum": np.zeros((2, 4, 2)), "excess_loss": np.full((2, 4, 8), x)}
        for x in (1.0, 0.0)
    ]
    table, numbers = (
        phase_diagram.pair_table(Results(configs, rows)),
        phase_diagram.pair_numbers(Results(configs, rows)),
    )
    plots.check_tidy(table)
    edge = plots.part(table, quantity=phase_diagram.EDGE)
    np.testing.assert_allclose(edge["value"] * (edge["kurtosis κ"] - 1), 2)
    assert numbers["models"] == 128 and numbers["share of models in the wrong minimum, kurtosis below 3"] == 1


def test_the_size_of_a_diagram_is_checked():
    with pytest.raises(ValueError, match="n_dims = 5: allowed is below n_features = 5"):
        phase_diagram.Settings(n_features=5, n_dims=5)
