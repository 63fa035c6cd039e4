"""Blocks of quadratic models and of ReLU autoencoders, judged by density."""

import numpy as np
import pytest

from polysemanticity import claims, plots
from polysemanticity.base.results import Results
from polysemanticity.capacity import geometry
from polysemanticity.papers.feature_capacity import blocks

KINDS = geometry.archetypes(np.random.default_rng(0))
DIGONS, DENSE = KINDS["eight digons (2, 1)"], KINDS["one block (16, 8)"]
TWO = np.kron(np.eye(2), np.linalg.qr(np.random.default_rng(1).standard_normal((8, 4)))[0].T)  # two blocks (8, 4)


def shaped(relu, quadratic=DENSE, loss=0.9):
    """Weights [density, start, D, N], the same for twelve starts, as if with few and with many features."""
    fixed = {"densities": blocks.DENSITIES, "n_dims": 8, "n_seeds": 12}
    configs = [{"model": m, "n_features": n, **fixed} for m in blocks.MODELS for n in (16, 48)]
    given = {"quadratic": [quadratic] * 3, "relu": relu}
    weights = [np.stack([np.stack([w] * 12) for w in given[c["model"]]]) for c in configs]
    return Results(configs, [{"weights": w, "loss": np.full((3, 12), loss)} for w in weights])


@pytest.mark.parametrize(
    ("relu", "verdict"),
    [
        ([DIGONS] * 3, claims.HOLDS),
        ([DIGONS, TWO, DENSE], claims.CORRECTED),
        ([DENSE] * 3, claims.FAILS),
        ([DIGONS, DIGONS, TWO], claims.FAILS),
    ],
)
def test_small_blocks_are_judged_by_density(relu, verdict):
    for key, many in (("FC-06c", False), ("FC-06d", True)):
        measured = blocks.measured_relu(shaped(relu), many=many)
        assert claims.verdict_of(blocks.CLAIMS[key], measured.quantities) == verdict


@pytest.mark.parametrize(("quadratic", "verdict"), [(DENSE, claims.HOLDS), (TWO, claims.FAILS)])
def test_one_block_is_judged_rightly(quadratic, verdict):
    measured = blocks.measured_quadratic(shaped([DIGONS] * 3, quadratic))
    assert claims.verdict_of(blocks.CLAIMS["FC-06b"], measured.quantities) == verdict


@pytest.mark.parametrize(
    ("relu", "loss", "verdict"),
    [(DIGONS, 0.9, claims.HOLDS), (DENSE, 0.9, claims.FAILS), (DIGONS, 1.1, claims.NOT_TESTED)],
)
def test_sizes_of_blocks_are_compared_between_networks_that_learnt(relu, loss, verdict):
    networks = shaped([relu] * 3, loss=loss)
    assert claims.verdict_of(blocks.CLAIMS["FC-06a"], blocks.measured_sizes(networks).quantities) == verdict
    if loss > 1:
        measured = blocks.measured_relu(networks)
        assert claims.verdict_of(blocks.CLAIMS["FC-06c"], measured.quantities) == verdict


def test_an_autoencoder_that_learns_beats_features_kept_whole():
    config = blocks.equal_importances(blocks.Settings(few=8, n_dims=3, seeds=2, n_steps=1500))[2]
    learnt = blocks.embed(seed=0, device="cpu", **config)
    assert learnt["weights"].shape == (3, 2, 3, 8) and (learnt["loss"][0] < 1).all()
    begun = blocks.embed(seed=0, device="cpu", **config | {"n_steps": 1})
    assert (begun["loss"] > 1).all()


def test_the_table_has_gram_matrices_and_their_blocks():
    table = blocks.table(shaped([DIGONS, DIGONS, DENSE]))
    plots.check_tidy(table)
    assert plots.part(table, quantity=blocks.GRAM)["value"].max() <= 1 + 1e-9
    found = plots.part(table, series="ReLU", quantity=blocks.BLOCK)
    assert [len(plots.part(found, density=p)) for p in blocks.DENSITIES] == [8, 8, 1]
    sizes = plots.part(table, quantity=blocks.SIZE, series="quadratic")["value"]
    assert list(sizes) == [16] * 6


def test_configurations_have_both_models_in_both_sizes():
    configs = blocks.equal_importances(blocks.Settings())
    assert [(c["model"], c["n_features"]) for c in configs] == [
        ("quadratic", 32),
        ("quadratic", 96),
        ("relu", 32),
        ("relu", 96),
    ]


def test_the_table_of_archetypes_names_the_blocks_of_trained_models():
    table = blocks.archetypes_table(KINDS, np.stack([DIGONS]), (5.0,))
    plots.check_tidy(table)
    assert "κ = 5: " + ", ".join(["(2, 1)"] * 8) + " + 0 single" in set(table["series"])
