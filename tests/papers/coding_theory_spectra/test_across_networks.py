"""What the exponent goes with: partial rank correlations that know when nothing is left, and verdicts when planted."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.intervals import Estimate
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import across_networks, dense_autoencoders, figures, vision

LOSSES = ("train_loss", "test_loss", "noisy_loss", "attacked_loss")


def test_rank_correlation_takes_the_training_loss_out():
    rng = np.random.default_rng(0)
    train = rng.standard_normal((12, 10))
    noise = rng.standard_normal((3, 12, 10))
    a = train + noise[0]
    groups = np.stack([a, train, train + noise[1], a + 0.1 * noise[2], -a], axis=-1)
    common, same, opposite = across_networks.rank_correlations(groups)
    assert common.low < 0 < common.high and stats.spearmanr(a.ravel(), (train + noise[1]).ravel()).pvalue < 0.05
    assert same.low > 0.9 and opposite.value == pytest.approx(-1)


def test_rank_correlation_of_a_group_is_scipys_partial_one():
    groups = np.random.default_rng(2).standard_normal((2, 30, 3))
    each = []
    for group in groups:
        r = stats.spearmanr(group).statistic
        each.append((r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2)))
    (found,) = across_networks.rank_correlations(groups)
    assert found.value == pytest.approx(np.mean(each)) and found.low < found.value < found.high


def test_rank_correlation_is_unknown_where_the_training_loss_fixes_the_ranks():
    train = np.arange(5.0)
    a = np.random.default_rng(3).standard_normal((3, 5))
    fixed, left = across_networks.rank_correlations(
        [np.stack([one, train, train**2 if number == 1 else one, -one], axis=-1) for number, one in enumerate(a)]
    )
    assert np.isnan(fixed.value) and fixed.low == -np.inf and left.value == pytest.approx(-1)


def test_intervals_of_rank_correlations_cover_zero_as_often_as_they_say():
    rng = np.random.default_rng(5)
    found = [across_networks.rank_correlations(rng.standard_normal((5, 12, 3)))[0] for _ in range(400)]
    assert 0.92 <= np.mean([one.low < 0 < one.high for one in found]) <= 0.98


def test_predicted_slope_is_the_sheets():
    assert across_networks.predicted_slope(1024) * np.array([0.2, 0.4, 0.6, 0.8]) == pytest.approx(
        [0.37, 0.75, 1.12, 1.50], abs=0.006
    )


def planted(slope=0.0, sign=-1.0, learnt=True):
    """Results of the ResNet-VAEs, of the nonlinearities and of the widths.

    The exponent grows with dropout by `slope` times the prediction; held-out losses follow its other variation by
    `sign`. Unless `learnt`, the widths' networks are worse than grey.
    """
    rng = np.random.default_rng(0)

    def losses(exponents):
        train = rng.random(exponents.shape)
        added = 0.1 + 0.05 * sign * exponents
        return dict(zip(LOSSES, (train, train + added, train + 2 * added, train + 3 * added), strict=True))

    vae_configs = [{"dropout": rate} for rate in (0.0, 0.1, 0.2, 0.3, 0.4)]
    n_layers, units = len(vision.LAYERS), np.full(len(vision.LAYERS), 1024)
    growth, rows = float(across_networks.predicted_slope(1024)) * slope, []
    for config in vae_configs:
        row = []
        for _ in range(3):
            a = 2 + growth * config["dropout"] + 0.02 * rng.standard_normal()
            shape = np.full((n_layers, 4), a)
            lost = {name: float(value) for name, value in losses(np.array(a)).items()}
            gate = {"pixel_r2": 0.8, "colour_r2": 0.6, "dead": np.zeros(n_layers, bool), "loss": lost["test_loss"]}
            row.append({"exponent": shape, "eval_exponent": shape[:, 0], "units": units, **lost, **gate})
        rows.append(row)
    vaes = Results(vae_configs, rows)

    def autoencoders(configs, grey):
        found = []
        for config in configs:
            growth = slope * float(across_networks.predicted_slope(config["width"])) * config["dropout"]
            a = 1.5 + growth + 0.02 * rng.standard_normal(4)
            layers = np.repeat(a[:, None], 3, axis=1)
            row = {"exponent": layers, "narrow_exponent": layers, "grey_loss": np.full(4, grey), **losses(a)}
            found.append([row])
        return Results(configs, found)

    fixed = {"n_steps": 5, "batch_size": 64}
    kinds = [{"activation": name, "dropout": p, "width": 256} for name in ("identity", *dense_autoencoders.NONLINEAR)
             for p in (0.0, 0.4)]  # fmt: skip
    ladder = [{"activation": "relu", "dropout": p, "width": m, "lr": lr} for m in (64, 256, 1024)
              for lr in (1e-3, 3e-3) for p in (0.0, 0.4)]  # fmt: skip
    kinds, ladder = ([{**config, **fixed} for config in part] for part in (kinds, ladder))
    return vaes, autoencoders(kinds, 9.0), autoencoders(ladder, 9.0 if learnt else 0.0)


@pytest.mark.parametrize(("slope", "verdict"), [(1.0, claims.HOLDS), (0.2, claims.FAILS)])
def test_planted_slopes_are_judged_against_the_prediction(slope, verdict):
    vaes, kinds, _ = planted(slope)
    measured = across_networks.measured_slope(vaes, kinds)
    assert claims.verdict_of(paper.CLAIMS["CT-18"], measured.quantities) == verdict
    assert [found.value for found in measured.quantities.values()] == pytest.approx([slope, slope], abs=0.05)
    bits = across_networks.implied_bits(vaes, kinds)["bits of a unit, autoencoders"]
    assert bits.value == pytest.approx(across_networks.BITS * slope, abs=0.4)
    table = across_networks.slope_table(vaes, kinds)
    plots.check_tidy(table)
    line = plots.part(table, what="corrected", networks="ResNet-VAE")["exponent a"].to_numpy()
    assert np.diff(line) == pytest.approx([0.1 * float(across_networks.predicted_slope(1024))] * 4)


@pytest.mark.parametrize(("sign", "verdict"), [(-1.0, claims.HOLDS), (1.0, claims.FAILS)])
def test_planted_correlations_are_judged_by_their_sign_in_each_family(sign, verdict):
    _, kinds, ladder = planted(0.5, sign)
    measured = across_networks.measured_generalisation(kinds, ladder)
    names = [name for name in measured.quantities if "noise" in name]
    found = {name: measured.quantities[name] for name in names}
    assert len(found) == 2 and all(np.sign(one.low) == np.sign(one.high) == sign for one in found.values())
    rest = {name: Estimate(-0.5, -0.5, -0.5) for name in measured.quantities}
    assert claims.verdict_of(paper.CLAIMS["CT-17"], rest | found) == verdict
    assert claims.verdict_of(paper.CLAIMS["CT-17"], rest | {names[1]: found[names[1]]}) == verdict
    assert "4 splits" in measured.error and "with 10 and 12 networks" in measured.error
    assert "m = 64, 256, 1024, rates 0.001, 0.003" in measured.scale
    table = across_networks.generalisation_table(kinds, ladder)
    plots.check_tidy(table)
    assert (pd.crosstab(table["networks"], table["loss"]) == 1).all(axis=None)
    figure = figures.figx_generalisation(table)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "activation functions",
        "widths\nand learning rates",
    ]
    plt.close(figure)


def test_a_family_that_did_not_learn_is_not_judged():
    measured = across_networks.measured_generalisation(*planted(0.5, learnt=False)[1:])
    added = [one for name, one in measured.quantities.items() if "held-out" not in name]
    assert [np.isnan(one.value) for one in added] == [False, False, True, True]
    assert claims.verdict_of(paper.CLAIMS["CT-17"], measured.quantities) == claims.NOT_TESTED
    table = across_networks.generalisation_table(*planted(0.5, learnt=False)[1:])
    assert table.set_index("networks")["what"].to_dict() == {
        "activation functions": "measured",
        "widths and learning rates (not judged)": "control",
    }
