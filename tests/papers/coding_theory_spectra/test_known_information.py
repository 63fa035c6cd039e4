"""Pairs whose mutual information is known: the truths, what is planted is found, the table, settings that disagree."""

import numpy as np
import pytest

from polysemanticity import plots
from polysemanticity.base.results import Results
from polysemanticity.papers.coding_theory_spectra import known_information as family

CRITIC = {"n_samples": 1000, "epochs": (1, 1), "batches": (64, 128), "rates": (1e-3, 1e-4)}


def test_known_information_is_what_is_planted():
    found = family.planted_information(seed=0, device="cpu", nats=(0.2, 1.0), repeats=2, **CRITIC)
    names = list(family.CHANNELS)
    truth = dict(zip(names, found["truth"][2:], strict=True))
    assert truth["flip, p = .2"] == pytest.approx(0.193, abs=1e-3)
    assert truth["dropout .5 of ±1"] == pytest.approx(0.347, abs=1e-3)
    assert truth["dropout .5 of 0, 1"] == pytest.approx(0.216, abs=1e-3)
    np.testing.assert_allclose(found["linear"].mean(1), [0.2, 1.0], atol=0.25)
    assert found["mine"].shape == found["nce"].shape == (7, 2)


def planted(error):
    """Bounds that are off by `error`, plus and minus 0.1 in two repeats."""
    config = family.pairs(family.Settings())
    truth = np.array([*config["nats"], *(value for _, value in family.CHANNELS.values())])
    off = truth[:, None] + error + np.array([-0.1, 0.1])
    return Results([config], [[{"mine": off, "nce": off, "linear": off[: len(config["nats"])], "truth": truth}]])


def test_the_table_holds_errors_and_their_spread():
    table = family.table(planted(-0.5))
    plots.check_tidy(table)
    assert len(table) == 10 + 10 + 5 and set(plots.part(table, estimator="linear decoder")["pair"]) == {"Gaussian"}
    np.testing.assert_allclose(table["estimate less truth [nats]"], -0.5)
    np.testing.assert_allclose(table["high"] - table["low"], 2 * 0.1 * np.sqrt(2))
    assert list(plots.part(table, estimator="MINE", pair="Gaussian")["true mutual information [nats]"]) == list(
        family.GAUSSIAN_NATS
    )


def test_the_bias_is_that_of_the_most_informative_pairs():
    found = family.bias(planted(0.25))
    assert found["MINE less the truth at 4 nats"].value == pytest.approx(0.25) and len(found) == 3


def test_phases_that_differ_in_number_are_refused():
    message = r"phases in epochs, batches, rates = \(1, 2, 2\): allowed is the same number in all three"
    with pytest.raises(ValueError, match=message):
        family.Settings(epochs=(1,))
