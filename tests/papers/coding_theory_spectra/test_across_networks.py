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
    groups = list(np.stack([a, train, train + noise[1], a + 0.1 * noise[2], -a], axis=-1))
    common, same, opposite = across_networks.rank_correlations(groups, rng)
    assert common.low < 0 < common.high and stats.spearmanr(a.ravel(), (train + noise[1]).ravel()).pvalue < 0.05
    assert same.low > 0.9 and opposite.value == pytest.approx(-1)


def test_rank_correlation_with_one_group_is_scipys_partial_one():
    rng = np.random.default_rng(2)
    group = rng.standard_normal((30, 3))
    r = stats.spearmanr(group).statistic
    expected = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    assert across_networks.rank_correlations([group], rng, 10)[0].value == pytest.approx(expected)


def test_rank_correlation_is_unknown_where_the_training_loss_fixes_the_ranks():
    train = np.arange(5.0)
    groups = [np.stack([a, train, train**2], axis=-1) for a in np.random.default_rng(3).standard_normal((3, 5))]
    (left,) = across_networks.rank_correlations(groups, np.random.default_rng(4), 200)
    assert np.isnan(left).all()


def test_draws_with_nothing_left_do_not_count():
    """Of two groups one is fixed by the training loss: redrawn alone it says nothing, rather than no correlation."""
    rng, train = np.random.default_rng(5), np.arange(8.0)
    a = train + 3 * rng.standard_normal((2, 8))
    groups = [np.stack([a[0], train, train], axis=-1), np.stack([a[1], train, a[1]], axis=-1)]
    (left,) = across_networks.rank_correlations(groups, np.random.default_rng(6), 400)
    assert 0 < left.low <= left.value <= left.high


def test_predicted_slope_is_the_sheets():
    assert across_networks.predicted_slope(1024) * np.array([0.2, 0.4, 0.6, 0.8]) == pytest.approx(
        [0.37, 0.75, 1.12, 1.50], abs=0.006
    )


def planted(slope=0.0, sign=-1.0, fixed=False):
    """Results of the ResNet-VAEs, of the nonlinearities and of the widths.

    The exponent grows with dropout by `slope` times the prediction; held-out losses follow its other variation by
    `sign`. With `fixed` the ResNet-VAEs' are the training loss.
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
            lost |= {"test_loss": lost["train_loss"]} if fixed else {}
            gate = {"pixel_r2": 0.8, "colour_r2": 0.6, "dead": np.zeros(n_layers, bool), "loss": lost["test_loss"]}
            row.append({"exponent": shape, "eval_exponent": shape[:, 0], "units": units, **lost, **gate})
        rows.append(row)
    vaes = Results(vae_configs, rows)

    def autoencoders(configs):
        found = []
        for config in configs:
            growth = slope * float(across_networks.predicted_slope(config["width"])) * config["dropout"]
            a = 1.5 + growth + 0.02 * rng.standard_normal(4)
            layers = np.repeat(a[:, None], 3, axis=1)
            found.append([{"exponent": layers, "narrow_exponent": layers, **losses(a)}])
        return Results(configs, found)

    fixed_settings = {"n_steps": 5, "batch_size": 64}
    kinds = [{"activation": name, "dropout": p, "width": 256} for name in ("identity", *dense_autoencoders.NONLINEAR)
             for p in (0.0, 0.4)]  # fmt: skip
    ladder = [{"activation": "relu", "dropout": p, "width": m} for m in (64, 256, 1024) for p in (0.0, 0.4)]
    return vaes, *(autoencoders([{**config, **fixed_settings} for config in part]) for part in (kinds, ladder))


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
def test_planted_correlations_are_judged_by_their_sign(sign, verdict):
    results = planted(0.5, sign)
    measured = across_networks.measured_generalisation(*results, 0)
    found = measured.quantities["with the loss that noise adds"]
    assert np.sign(found.low) == np.sign(found.high) == sign
    rest = {name: Estimate(sign / 2, sign / 2, sign / 2) for name in measured.quantities}
    assert claims.verdict_of(paper.CLAIMS["CT-17"], rest | {"with the loss that noise adds": found}) == verdict
    assert "11 groups" in measured.error and "3 seeds" in measured.scale


def test_what_is_not_identified_is_left_out_and_said_so():
    results = planted(0.5, fixed=True)
    assert "ResNet-VAE alone: not identified, " in across_networks.measured_generalisation(*results, 0).note
    table = across_networks.generalisation_table(*results, 0)
    plots.check_tidy(table)
    counts = pd.crosstab(table["networks"], table["loss"])
    assert counts.loc["ResNet-VAE", "held-out loss"] == 0 and counts.loc["all"].tolist() == [1, 1, 1]
    figure = figures.figx_generalisation(table)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["no value: nothing\nis left to correlate"] * (counts["held-out loss"] == 0).sum()
    plt.close(figure)
