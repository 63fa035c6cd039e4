"""Activation functions as winner-take-all: the worker at the smallest size, planted verdicts and tables."""

import numpy as np
import pytest

from polysemanticity import claims, incidental, plots
from polysemanticity.base import runtime
from polysemanticity.base.results import Results
from polysemanticity.incidental import activations
from polysemanticity.papers.incidental_polysemanticity import figures, winner_takes_all

SETTINGS = winner_takes_all.Settings(n_seeds=60)
NAMES = winner_takes_all.NAMES
AS_PILOTED = {  # activation, LayerNorm, l1 -> in use ÷ start; count ÷ exact; share of opposite signs
    ("softmax", 0, 0): (0.5, 3.0, 0.0),
    ("linear", 0, 1): (0.1, 1.0, 1.0),
}


def test_the_worker_learns_and_its_linear_code_is_the_papers():
    with runtime.threads(1):
        result = winner_takes_all.trained(
            seed=0, device="cpu", n_features=5, n_neurons=10, l1=0.05, n_seeds=2, n_steps=300
        )
    assert result["count"].shape == (len(NAMES), 2, 2, 2)
    linear = NAMES.index("linear")
    assert (result["in_use"][linear, 0, 1] < 1.1).all() and (result["in_use"][linear, 0, 0] > 2).all()
    assert (result["error"] < winner_takes_all.GATE).mean() > 0.9


def planted(error=0.01, **other):
    """Results as in the pilot but for some arms, named activation_LayerNorm_l1."""
    rng, rows = np.random.default_rng(0), []
    for config in winner_takes_all.sizes(SETTINGS):
        n, m = config["n_features"], config["n_neurons"]
        exact = incidental.expected_polysemantic(n, m)
        shape = (len(NAMES), 2, 2, SETTINGS.n_seeds)
        row = {name: np.zeros(shape) for name in ("in_use", "begun", "count", "shuffled", "opposite", "same")}
        row["error"], row["begun"][:] = np.full(shape, error), 5.0
        for i, name in enumerate(NAMES):
            for normed in (0, 1):
                for taxed in (0, 1):
                    usual = (0.2 if taxed else 1.1, 0.0, 1.0)
                    if taxed and name in activations.POSITIVE and m == n and not normed:
                        usual = (0.2, 0.6, 0.0)
                    if (name, normed, taxed) == ("linear", 1, 1):
                        usual = (0.4, activations.centred_pairs(n, m) / exact, 1.0)
                    usual = AS_PILOTED.get((name, normed, taxed), usual)
                    grown, count, opposite = other.get(f"{name}_{normed}_{taxed}", usual)
                    place = (i, normed, taxed)
                    row["in_use"][place] = 5 * grown * rng.uniform(0.98, 1.02, SETTINGS.n_seeds)
                    row["count"][place] = rng.poisson(count * exact, SETTINGS.n_seeds)
                    row["shuffled"][place] = 3.0 * exact
                    row["opposite"][place] = row["count"][place] * opposite
                    row["same"][place] = row["count"][place] - row["opposite"][place]
        rows.append(row)
    return Results(winner_takes_all.sizes(SETTINGS), rows)


JUDGES = {
    "IP-14a": winner_takes_all.measured_winners,
    "IP-14b": winner_takes_all.measured_sharing,
    "IP-14c": winner_takes_all.measured_signs,
    "IP-14d": winner_takes_all.measured_centred,
}


@pytest.mark.parametrize(
    ("claim", "other", "verdict"),
    [
        *((name, {}, claims.HOLDS) for name in JUDGES),
        *((name, {"error": 0.5}, claims.NOT_TESTED) for name in JUDGES),
        ("IP-14a", {"softmax_0_0": (1.0, 3.0, 0.0)}, claims.FAILS),
        ("IP-14a", {"ReLU_0_0": (0.5, 0.0, 0.0)}, claims.FAILS),
        ("IP-14a", {"softmax_1_0": (0.5, 0.0, 0.0)}, claims.FAILS),
        ("IP-14b", {"softmax_0_0": (0.5, 3.0, 0.5)}, claims.FAILS),
        ("IP-14b", {"softmax_0_0": (0.5, 1.0, 0.0)}, claims.FAILS),
        ("IP-14c", {"GELU_0_1": (0.2, 1.0, 0.0)}, claims.FAILS),
        ("IP-14c", {"linear_0_1": (0.1, 0.0, 1.0)}, claims.FAILS),
        ("IP-14d", {"linear_1_1": (0.2, 1.0, 1.0)}, claims.FAILS),
    ],
)
def test_planted_codes_are_judged_rightly(claim, other, verdict):
    measured = JUDGES[claim](planted(**other))
    assert claims.verdict_of(winner_takes_all.CLAIMS[claim], measured.quantities) == verdict
    assert "60 networks per arm" in measured.scale


def test_the_tables_have_every_arm_and_can_be_drawn():
    table = winner_takes_all.table(planted())
    plots.check_tidy(table)
    assert len(table) == 3 * len(NAMES) * 4 * 2
    figures.figx_winner_takes_all(table)
    missed = winner_takes_all.table(planted(error=0.5))
    assert set(missed["what"]) == {"control"}
    rows = winner_takes_all.by_arm(planted()).set_index(["activation", "l1"])
    assert rows.loc[("softmax", "no"), "pairs of opposite signs"].startswith("0 of")


def test_sizes_have_the_ratios_that_are_judged():
    with pytest.raises(ValueError, match="1, 2 and 3 among them"):
        winner_takes_all.Settings(ratios=(1, 2, 4))
