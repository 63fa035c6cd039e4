"""The formulas by brute force, and models trained on importance lists."""

import numpy as np
import pandas as pd
import pytest

from polysemanticity import capacity, claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers.feature_capacity import allocation, phase_diagram


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


def test_the_loss_formula_agrees_with_sampling():
    result = work(allocation.loss_by_sampling, law="uniform", density=0.3, n_features=4, n_dims=2, n_samples=200_000)
    assert abs(result["sampled"] - result["formula"]) < 4.5 * result["stderr"]
    assert result["kurtosis"] == pytest.approx(6)


def test_a_solver_agrees_with_the_exact_allocation():
    result = work(allocation.allocations_by_solver, n_problems=5, n_features=6)
    assert result["difference"].max() < 1e-4 and result["gain"].max() < 1e-9


def test_numerical_benefit_and_the_kurtosis_of_constant_returns():
    for c, v, kappa in ((0.1, 1.0, 2.0), (0.5, 3.0, 50.0), (0.9, 0.2, 5.0)):
        assert allocation.numerical_benefit(c, v, kappa) == pytest.approx(
            capacity.marginal_benefit(c, v, kappa)[0], rel=1e-5
        )
    assert allocation.kurtosis_of_constant_returns() == pytest.approx(3, abs=1e-5)


def test_lists_return_weights_whose_spectrum_ends_at_the_price():
    result = work(
        allocation.train_lists, decay=0.8, kurtoses=(6.0, 20.0), n_features=6, n_dims=3, n_seeds=2, n_steps=300
    )
    assert result["weights"].shape == (2, 2, 3, 6)
    np.testing.assert_allclose(result["eigenvalues"][..., -1], result["price"][:, None] * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(result["excess_loss"], 0, atol=1e-9)


def planted(error=0.0, proportional=False):
    """Lists of trained models at the optimum, off it by an error in one feature, or proportional to importance."""
    settings = allocation.Settings(n_dims=3, decays=(0.7, 0.8), kurtoses=(6.0, 20.0))
    models = phase_diagram.Settings(n_features=7, n_dims=2, n_seeds=2)
    configs, rows = allocation.lists(settings, models), []
    for config in configs:
        v = allocation.importances(config)
        best = capacity.optimal_allocation(np.tile(v, (2, 1)), np.array(config["kurtoses"])[:, None], 3)
        c = np.tile(0.9 * v / v[0], (2, 1)) if proportional else best.capacity
        trained = np.repeat(c[:, None], 2, axis=1)
        trained[0, 0, -1] += error
        rows.append({"capacity": trained, "optimum": best.capacity, "price": best.price})
    return Results(configs, rows)


def pairs():
    ratios, kurtoses = (0.5, 0.9), (2.0, 10.0)
    config = {"ratios": ratios, "kurtoses": kurtoses, "n_features": 2, "n_dims": 1, "n_seeds": 2, "n_steps": 1}
    shape = (2, 2, 2, 2)
    row = {"capacity": np.ones(shape), "optimum": np.ones((*shape[:2], 2)), "excess_loss": np.zeros(shape[:3])}
    return Results([config], [row])


@pytest.mark.parametrize(
    ("plant", "verdict"),
    [({}, claims.CORRECTED), ({"error": 0.2}, claims.FAILS), ({"proportional": True}, claims.HOLDS)],
)
def test_lists_are_judged_rightly(plant, verdict):
    measured = allocation.measured_lists(planted(**plant), pairs())
    assert claims.verdict_of(allocation.CLAIMS["FC-03"], measured.quantities) == verdict
    assert "N = 7 features in D = 3" in measured.scale and "ρ = 0.7, 0.8" in measured.scale


def test_the_benefit_holds_and_a_wrong_formula_would_not(monkeypatch):
    rule = allocation.CLAIMS["FC-02"]
    assert claims.verdict_of(rule, allocation.measured_benefit().quantities) == claims.HOLDS
    monkeypatch.setattr(
        allocation, "numerical_benefit", lambda c, v, kappa: 2 * float(capacity.marginal_benefit(c, v, kappa)[0])
    )
    monkeypatch.setattr(allocation, "kurtosis_of_constant_returns", lambda: 3.0)
    assert claims.verdict_of(rule, allocation.measured_benefit().quantities) == claims.FAILS


def test_the_configurations_are_those_of_the_settings():
    settings, models = allocation.Settings(decays=(0.8, 1.0)), phase_diagram.Settings()
    first, second = allocation.lists(settings, models)
    assert first == {**second, "decay": 0.8} and first["n_steps"] == settings.n_steps
    assert [config["law"] for config in allocation.laws(settings)] == list(allocation.LAWS)


def test_the_tables_hold_the_optimum():
    trained = planted()
    table = allocation.lists_table(trained)
    for one in (allocation.schematic_table(), allocation.benefit_table(), table):
        plots.check_tidy(one)
    plots.check_tidy(allocation.returns_table(phase_diagram.Settings()))
    best = plots.part(table, what="measured", series="κ = 6", **{"decay ρ": 0.7})
    np.testing.assert_allclose(best[allocation.CAPACITY], trained[0]["optimum"][0])
    law = plots.part(table, what="corrected", series="theory, κ = 6").sort_values("importance v")
    inside = best[best["importance v"] < law["importance v"].max()]
    shown = plots.part(table, what="measured", series="κ = 6", **{"decay ρ": law["decay ρ"].iloc[0]})
    drawn = np.interp(shown["importance v"], law["importance v"], law[allocation.CAPACITY])
    np.testing.assert_allclose(shown[allocation.CAPACITY], drawn, atol=1e-12)
    assert len(inside) and set(plots.part(table, what="paper")["series"]) == {"in proportion"}


def test_the_schematic_fills_three_dimensions_with_more_and_more_features():
    table = allocation.schematic_table()
    bars = table.groupby("inputs", sort=False)[allocation.CAPACITY]
    np.testing.assert_allclose(bars.sum(), 3)
    assert list(bars.count()) == [3, 5, 8]


def test_at_the_optimum_those_who_share_lie_on_the_common_benefit():
    table = allocation.benefit_table()
    dots, common = (plots.part(table, quantity=f"log₁₀ {name}") for name in (allocation.OPTIMUM, allocation.COMMON))
    shared = dots[dots[allocation.CAPACITY].between(1e-9, 1 - 1e-9)]
    np.testing.assert_allclose(shared["value"], common["value"].iloc[0])
    returns = allocation.returns_table(phase_diagram.Settings())
    dense = plots.part(returns, example="A", quantity=allocation.OPTIMUM)
    assert set(dense[allocation.CAPACITY]) == {0.0, 1.0} and "paper" not in set(
        plots.part(returns, example="A")["what"]
    )


def test_groups_are_counted():
    table = allocation.groups_table(planted(error=0.009))
    counted = table[["monosemantic", "polysemantic", "ignored"]].sum(axis=1)
    assert isinstance(table, pd.DataFrame) and (counted == 7).all()
    assert table["error of a trained capacity below"].iloc[0] == pytest.approx(0.01, rel=1e-9)


def test_sampled_losses_are_compared_in_standard_errors():
    configs = allocation.laws(allocation.Settings())
    row = {"sampled": 5.0, "stderr": 0.5, "formula": 4.0, "kurtosis": 3.0}
    table = allocation.sampled_table(Results(configs, [row] * len(configs)))
    assert set(table["difference [standard errors]"]) == {2.0}


def test_the_allocation_is_exact():
    solved = Results([allocation.solver_problems()], [{"difference": np.array([1e-7]), "gain": np.array([1e-12])}])
    found = allocation.exactness(solved, allocation.Settings(), phase_diagram.Settings())
    assert max(list(found.values())[2:]) < 1e-12 and list(found.values())[:2] == [1e-7, 1e-12]


MODELS = phase_diagram.Settings(n_steps=300)


def strengths(stretch=1.0, importance=1.0):
    """Lists trained for a moment, with strengths off the spectrum or importances off the loss."""
    config = {**allocation.strength_lists(MODELS)[0], "kurtoses": (12.0,), "n_features": 6, "n_dims": 3, "n_seeds": 2}
    result = work(allocation.train_lists, **config)
    result["eigenvalues"] = result["eigenvalues"] * stretch
    result["weights"] = result["weights"] * importance
    return Results([config], [result])


@pytest.mark.parametrize(
    ("plant", "verdict"),
    [({}, claims.HOLDS), ({"stretch": 1.01}, claims.FAILS), ({"importance": 1.01}, claims.FAILS)],
)
def test_strength_is_judged_rightly(plant, verdict):
    measured = allocation.measured_strength(strengths(**plant))
    assert claims.verdict_of(allocation.CLAIMS["FC-03b"], measured.quantities) == verdict


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [(None, claims.HOLDS), ("importance", claims.FAILS), ("kurtosis", claims.FAILS), ("dims", claims.FAILS)],
)
def test_sensitivity_is_judged_rightly(wrong, verdict):
    config = {"n_problems": 2, "n_features": 5, "n_dims": 2, "step": 1e-4, "n_steps": 300}
    result = work(allocation.train_nudged, **config)
    if wrong:
        result[f"by_{wrong}"] = result[f"by_{wrong}"] * 1.1
    measured = allocation.measured_sensitivity(Results([config], [result]))
    assert claims.verdict_of(allocation.CLAIMS["FC-17"], measured.quantities) == verdict


def test_the_table_of_sensitivities_adds_up():
    table = allocation.sensitivity_table(allocation.Settings(n_dims=4))
    assert table["dC/dD"].sum() == pytest.approx(1, abs=0.01) and table["dC/dκ"].sum() == pytest.approx(0, abs=0.01)
