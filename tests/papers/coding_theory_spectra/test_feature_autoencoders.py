"""Autoencoders of known features: indices, readings at equal loss, gates, the table, and verdicts when planted."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots
from polysemanticity.base import config
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import feature_autoencoders as family


@pytest.fixture(scope="module")
def smoke():
    return config.resolve(paper.Config(), "smoke", {}).feature_autoencoders


def test_features_without_noise_are_learnt_and_the_course_is_recorded(smoke):
    roomy = next(c for c in family.arms(smoke) if c["n_units"] == 128 and c["noise"] == "none")
    roomy |= {"n_steps": 400, "batch_size": 128}
    course, again = (family.on_features(seed=0, device="cpu", **roomy) for _ in range(2))
    assert course["step"][0] == 0 and course["step"][-1] == 400
    assert all(course[key].shape == (len(course["step"]), 2) for key in course if key != "step")
    assert (course["loss"][-1] < 0.2).all() and (course["loss"][0] > 0.9).all()
    assert (course["added"][-1] > course["added"][0]).all()  # at first there is nothing to lose
    for key, value in course.items():
        np.testing.assert_array_equal(again[key], value)


def test_each_network_with_noise_is_compared_with_one_that_differs_in_noise_alone():
    arms = family.arms(family.Settings())
    plain = [{**arm, **family.PLAIN} for arm in arms]
    assert all(one in arms for one in plain) and len(arms) == len({str(arm) for arm in arms})
    assert {(arm["n_features"], arm["n_units"]) for arm in arms} == {family.NARROW, family.TIGHT, family.ROOMY}


def test_redundancy_of_known_codes():
    rng = torch.Generator().manual_seed(0)
    independent = torch.randn(20000, 8, generator=rng)
    assert family.redundancy(independent) == pytest.approx(0, abs=0.01)
    assert family.redundancy(independent.repeat(1, 3)) == pytest.approx(2 / 3, abs=0.01)
    assert family.redundancy(torch.ones(50, 4)) == 0.75


def test_twins_of_known_codes():
    eye, bias = torch.eye(5)[None], torch.zeros(1, 5)
    assert family.twins(eye, bias).item() == 0
    assert family.twins(torch.cat([eye, 2 * eye[..., :2]], -1), torch.zeros(1, 7)).item() == pytest.approx(4 / 7)
    assert family.twins(torch.cat([eye, -eye], -1), torch.zeros(1, 10)).item() == 0  # silent units are left out


def test_features_per_unit_of_known_codes():
    eye, bias = torch.eye(4)[None], torch.zeros(1, 4)
    assert family.features_per_unit(eye, bias).item() == pytest.approx(1)
    assert family.features_per_unit(torch.ones(1, 4, 4), bias).item() == pytest.approx(4)
    dead = torch.cat([eye, -torch.ones(1, 4, 3)], dim=2)  # units that no feature moves are left out
    assert family.features_per_unit(dead, torch.zeros(1, 7)).item() == pytest.approx(1)
    assert family.features_per_unit(-torch.ones(1, 4, 3), torch.zeros(1, 3)).item() == 0


def test_at_loss_interpolates_in_the_logarithm():
    course = {"loss": np.array([[1.0], [0.1], [0.01]]), "index": np.array([[5.0], [3.0], [1.0]])}
    assert family.at_loss(course, np.array([0.1]), "index") == pytest.approx([3])
    assert family.at_loss(course, np.array([10**-1.5]), "index") == pytest.approx([2])
    assert family.at_loss(course, np.array([1e-9]), "index") == pytest.approx([1])


def planted(more, missed=0, n_nets=4):
    """Results in which noise multiplies features per unit by `more`; `missed` networks of each arm have not learnt.

    With noise training ends at the loss that training without noise has at its second of three stops. There the code
    without noise has 5 features per unit, and dropping units adds 0.4; the code with noise half of that.
    """
    configs, rows = family.arms(family.Settings()), []
    rng = np.random.default_rng(0)
    for arm in configs:
        noisy = arm["noise"] != "none"
        course = {
            "loss": [1.0, 0.5, 0.1] if noisy else [1.0, 0.1, 0.001],
            "index": [16.0, 9.0, 5.0 * more] if noisy else [16.0, 5.0, 30.0],
            "added": [0.0, 0.1, 0.2] if noisy else [0.0, 0.4, 0.8],
            "redundancy": [0.5, 0.4, 0.2] if noisy else [0.5, 0.3, 0.1],
            "twins": [0.0, 0.0, 0.1 * noisy],
        }
        noise = 1 + 0.001 * rng.standard_normal((3, n_nets))
        course = {
            key: np.array(value)[:, None] * (noise if key != "loss" else 1 + 0 * noise) for key, value in course.items()
        }
        course["loss"][1:, :missed] = 0.9
        rows.append([{"step": np.array([0, 10, 20]), **course}])
    return Results(configs, rows)


@pytest.mark.parametrize(("more", "verdict"), [(1.4, claims.HOLDS), (0.6, claims.CORRECTED)])
def test_planted_noise_is_judged_at_equal_loss(more, verdict):
    measured = family.measured_noise(planted(more))
    verdicts = {name: claims.verdict_of(paper.CLAIMS[name], found.quantities) for name, found in measured.items()}
    assert [verdicts[f"CT-16{row}"] for row in "abc"] == [verdict] * 3
    assert verdicts["CT-16d"] == claims.HOLDS and verdicts["CT-16e"] == claims.CORRECTED
    ratio = measured["CT-16a"].quantities["features per unit, dropout ÷ none, 64 features on 32 units"]
    assert ratio.value == pytest.approx(more, rel=0.01)
    assert "passed by 100%" in measured["CT-16a"].note


def test_networks_that_are_no_better_than_principal_components_are_not_judged():
    few = family.measured_noise(planted(0.6, missed=1, n_nets=4))["CT-16a"]
    assert claims.verdict_of(paper.CLAIMS["CT-16a"], few.quantities) == claims.CORRECTED
    many = family.measured_noise(planted(0.6, missed=2, n_nets=4))
    for name, found in many.items():
        assert claims.verdict_of(paper.CLAIMS[name], found.quantities) == claims.NOT_TESTED, name


def test_the_table_has_the_course_and_the_ratios():
    table = family.noise_table(planted(0.6))
    plots.check_tidy(table)
    ratios = plots.part(table, quantity=family.RATIO, series="features per unit")
    assert len(ratios) == 3 + len(family.VARIANTS)
    np.testing.assert_allclose(ratios["value"], 0.6, rtol=0.01)
    cost = plots.part(table, quantity=family.RATIO, series="loss that dropped units add")
    np.testing.assert_allclose(cost["value"], 0.5, rtol=0.01)
    end = plots.part(table, quantity=family.COURSE, series="dropout", step=20)
    assert end["value"].item() == pytest.approx(3, rel=0.01)
    ends = family.ends_of_training(planted(0.6))
    np.testing.assert_allclose(ends["features per unit, none"], 5, rtol=0.01)
