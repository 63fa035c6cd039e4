"""Random projections of power-law codes: known answers, and verdicts on planted results."""

import numpy as np
import pytest
from scipy.special import zeta

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import projected


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


def paths(power):
    """Results whose squared steps have the powers `power(a, d)`, with little noise."""
    rng, configs = np.random.default_rng(0), projected.tori(projected.Settings(n_paths=5))

    def steps(config):
        powers = np.array([power(a, config["dimension"]) for a in config["exponents"]])[:, None, None]
        return projected.STEPS ** -(powers + 1e-3 * rng.standard_normal((len(powers), 5, 1)))

    return Results(configs, [[{"step": steps(config)}] for config in configs])


@pytest.mark.parametrize(
    ("power", "verdict"),
    [
        (lambda a, d: min(2, d * (a - 1)), claims.CORRECTED),  # the law
        (lambda a, d: 1 + a, claims.HOLDS),  # the paper's threshold, whatever the dimension
        (lambda a, d: 0.5 * min(2, d * (a - 1)), claims.FAILS),
    ],
)
def test_planted_powers_are_judged_rightly(power, verdict):
    measured = projected.measured_smoothness(paths(power))
    assert claims.verdict_of(paper.CLAIMS["CT-07"], measured.quantities) == verdict
    assert "stimuli of 1, 2, 4 dimensions" in measured.scale


def actions(factor):
    """Results whose mean action is `factor(a, m)` times the corrected one, with little noise."""
    rng, configs = np.random.default_rng(0), projected.sizes(projected.Settings(n_draws=100))

    def action(config):
        m, a = config["n_units"], np.array(config["exponents"])
        trace = (np.arange(1, m + 1) ** -a[:, None]).sum(1)
        mean = 1.5 / m * trace * np.array([factor(each, m) for each in a])
        return {"action": mean[:, None] * rng.normal(1, 1e-3, (len(a), 100)), "trace": trace}

    return Results(configs, [[action(config)] for config in configs])


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (lambda a, m: 1.0, claims.CORRECTED),
        (lambda a, m: m / 3, claims.HOLDS),  # the paper's constant
        (lambda a, m: 2.0, claims.FAILS),
    ],
)
def test_planted_actions_are_judged_rightly(factor, verdict):
    measured = projected.measured_action(actions(factor))
    assert claims.verdict_of(paper.CLAIMS["CT-08"], measured.quantities) == verdict
    assert "of m = 64, 256, 1024 units" in measured.scale


def test_the_tables_are_tidy_and_say_whose_numbers_they_are():
    smoothness = projected.smoothness_table(paths(lambda a, d: min(2, d * (a - 1))))
    plots.check_tidy(smoothness)
    seen = plots.part(smoothness, quantity="threshold of a", what="measured")
    assert seen["value"].to_numpy() == pytest.approx([3, 2, 1.5], abs=0.01)
    assert (plots.part(smoothness, what="paper")["value"] == 1).all()
    action = projected.action_table(actions(lambda a, m: 1.0))
    plots.check_tidy(action)
    ratio = plots.part(action, what="measured", quantity="measured ÷ (3/2m) Σ i^-a")
    assert ratio["value"].to_numpy() == pytest.approx(1, abs=1e-3) and len(ratio) == 3 * len(projected.DECAYS)
    assert plots.part(action, series="ζ(a)")["value"].iloc[-1] == pytest.approx(zeta(3))
