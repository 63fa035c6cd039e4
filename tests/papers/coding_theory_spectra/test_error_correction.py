"""The very deep network: as published, its probes, what is derived from its curves, exact information, determinism."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.papers.coding_theory_spectra import error_correction as family
from polysemanticity.papers.coding_theory_spectra import known_information

NET = {"n_nets": 2, "n_steps": 8, "batch_size": 20, "lr": 1e-3}
CRITIC = {"n_samples": 320, "epochs": (1, 1), "batches": (64, 128), "rates": (1e-3, 1e-4)}


def untrained():
    return family.trained("random", seed=0, device="cpu", **NET)[0]


def test_the_network_is_as_published():
    model = untrained()
    assert [tuple(w.shape[1:]) for w in model.weights] == [(3, 32), *[(32, 32)] * 39, (32, 3)]
    assert model.weights[5].std().item() == pytest.approx(np.sqrt(2 / 64), rel=0.05)
    dropped = []
    model(torch.zeros(1, 4, 3), lambda block, h: dropped.append(block) or h)
    assert dropped == list(range(10))


def test_probes_are_before_and_after_each_dropout_and_the_output():
    model, x = untrained(), family.uniform_inputs(50, streams.generator(0, "x"))
    probes = []
    output = model(x, lambda _, h: h, probes)
    assert len(probes) + 1 == len(family.PROBES) and output.shape == (2, 50, 3)
    hidden = x.expand(2, -1, -1)
    for layer in range(5):
        hidden = torch.tanh(hidden @ model.weights[layer] + model.biases[layer])
        if layer in (3, 4):
            torch.testing.assert_close(probes[layer - 3], hidden)


def test_kept_units_are_left_as_they_are():
    with streams.drawing_from(streams.generator(0, "masks")):
        dropped = family._drop(0, torch.full((2, 100, 32), 3.0))
    assert set(dropped.unique().tolist()) == {0.0, 3.0}
    assert (dropped == 0).float().mean() == pytest.approx(family.RATE, abs=0.02)


@pytest.mark.parametrize("task", family.TASKS)
def test_every_task_is_measured_and_deterministic(task):
    first, again = (family.kept(seed=1, device="cpu", task=task, **NET, **CRITIC) for _ in range(2))
    keys = ("decoder",) if task.endswith("bits") else ("mine", "nce", "linear")
    for key in keys:
        assert first[key].shape == (20, 2) and np.isfinite(first[key]).all()
        np.testing.assert_array_equal(first[key], again[key])
    assert ("loss" in first) == (not task.startswith("random"))


def test_nothing_is_lost_before_the_first_dropout_and_linear_maps_show_it():
    found = family.kept(seed=1, device="cpu", task="random", **NET, **CRITIC)
    assert (found["linear"][0] > 10).all() and (found["linear"][-1] < 3).all()


def test_distance_starts_at_the_share_that_dropout_makes_and_bits_have_their_own():
    found = family.kept(seed=1, device="cpu", task="random", **NET, **CRITIC)["distance"]
    assert found.shape == (2 * family.LATER, 2)
    np.testing.assert_allclose(found[0], 0.25, atol=0.1)  # D / (1 - D)


def test_ratios_rises_and_bounds_of_known_curves():
    curve = (0.8 ** np.repeat(np.arange(10), 2))[:, None] * [[1.0, 3.0]]
    np.testing.assert_allclose(family.ratio_per_block(curve), 0.8)
    assert family.rises(curve).shape == (9, 2)
    assert family.ratio_per_block(np.array(family.PAPER_LEARNT)[:, None])[0] == pytest.approx(0.969, abs=1e-3)
    assert (family.rises(family.PAPER_LEARNT) > 0).all()
    np.testing.assert_array_equal(family.best_from_here(np.array([1.0, 3, 2, 0])), [3, 3, 2, 0])
    assert family.ratio_per_block(np.array([-1.0] * 8 + [64] * 12)[:, None]) == pytest.approx(-2)
    with pytest.raises(ValueError, match="nats = 0.0: allowed is not 0 at the 4th block"):
        family.ratio_per_block(np.zeros((20, 1)))


def test_exact_information_of_every_mask():
    bits = family.exact_information(seed=2, device="cpu", resolutions=(1e3, 1.0, 2.0**-20))["bits"]
    assert bits.shape == (7, 3)
    np.testing.assert_allclose(bits[:, 0], 0, atol=1e-9)  # everything is rounded to 0
    np.testing.assert_allclose(bits[0, 2], 3, atol=1e-9)
    assert (bits[:, 2] >= bits[:, 1] - 1e-9).all() and (np.diff(bits[:, 2]) <= 1e-9).all()
    assert bits[-1, 2] > 3 * (1 - 3 * 0.2**5) - 2e-3 and bits[-1, 1] < 2


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task = 'both': allowed is one of learnt, random"):
        family.trained("both", seed=0, device="cpu", **NET)


def planted(*, tooth=-0.01, random_ratio=0.8, bits=2.9, contraction=0.1, exact=3.0):
    """Results of all arms: MINE falls by 3 % at each dropout, random by a ratio, and rises by a tooth up to the next."""
    blocks, teeth = (np.arange(20) + 1) // 2, np.tile([0.0, -tooth], 10)
    nets = np.array([1.0, 1.001, 0.999])
    curves = {"learnt": 4 * 0.97**blocks + teeth, "random": 4 * random_ratio**blocks}
    curves = {task: {"mine": curve[:, None] * nets, "nce": curve[:, None] * nets, "linear": curve[:, None] * nets}
              for task, curve in curves.items()}  # fmt: skip
    read = {"bits": np.full((20, 3), bits), "random bits": np.linspace(3, 0.1, 20)[:, None] * nets}
    steps = contraction ** np.arange(0, 2 * family.LATER / 2, 0.5)
    distance = {"learnt": 0.25 * steps, "bits": 0.25 * steps, "random": np.full(len(steps), 0.25)}
    configs = family.arms(family.Settings(), known_information.Settings())
    rows = []
    for config in configs:
        task = config["task"]
        row = curves.get(task) or {"decoder": read[task] * np.log(2)}
        row = row | {"distance": distance.get(task, distance["random"])[:, None] * nets, "r2": np.full((3, 3), 0.9)}
        rows.append([row])
    resolutions = family.small()["resolutions"]
    counted = np.minimum(exact, np.linspace(1, 4, len(resolutions))) * np.ones((7, 1))
    return Results(configs, rows), Results([family.small()], [[{"bits": counted}] * 3])


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"tooth": 0.5}, claims.CORRECTED),
        ({"random_ratio": 0.6}, claims.CORRECTED),
        ({"tooth": 0.5, "bits": 2.0}, claims.FAILS),
        ({"tooth": 0.5, "contraction": 0.9}, claims.FAILS),
        ({"tooth": 0.5, "exact": 2.5}, claims.FAILS),
    ],
)
def test_planted_results_are_judged_rightly(changes, verdict):
    measured = family.measured(*planted(**changes))
    assert claims.verdict_of(family.CLAIMS["CT-10"], measured.quantities) == verdict
    assert "3 networks of 40 tanh layers" in measured.scale


def test_quantities_are_those_that_were_planted():
    measured = family.measured(*planted(tooth=0.5, contraction=0.1))
    found = {name: estimate.value for name, estimate in measured.quantities.items()}
    assert found["MINE per block, random (ratio)"] == pytest.approx(0.8)
    assert found["change of MINE over layers without noise, learnt (nats)"] == pytest.approx(0.5)
    assert found["distance to the clean state over a block, learnt ÷ random"] == pytest.approx(0.1)
    assert found["bits a decoder reads at the output, learnt (of 3)"] == pytest.approx(2.9)
    assert "0% of the stretches" in family.measured(*planted()).note


def test_the_tables_hold_what_the_figures_draw():
    deep, exact = planted()
    information, correction = family.information_table(deep), family.correction_table(deep, exact)
    plots.check_tidy(information)
    plots.check_tidy(correction)
    curve = plots.part(information, series="MINE, learnt")
    assert list(curve["layer, as the paper counts"]) == list(family.PROBES) and set(curve["what"]) == {"measured"}
    np.testing.assert_allclose(curve["value"].iloc[::2], 4 * 0.97 ** np.arange(10))
    paper = plots.part(information, what="paper")
    assert set(paper["series"]) == {"the paper, learnt", "the paper, random", "3 ln 2, in the paper “necessary”"}
    assert len(plots.part(paper, series="the paper, random")) == 18  # the first two lie above the authors' axis
    changes = plots.part(information, quantity="change over a stretch without noise [nats]", what="measured")
    assert len(changes) == 9 * 3 and changes["stretch"].max() == 9
    law = plots.part(correction, what="paper")["value"]
    np.testing.assert_allclose(law.iloc[[0, 1, -1]], [3, 3 * 0.8, 3 * 0.8**10])
    copies = plots.part(correction, series="averaging over copies")["value"]
    np.testing.assert_allclose(copies, 0.25 * 3 / 32)
    assert "3 dropouts, layer 16" in set(correction["series"])


def test_numbers_beside_the_verdict():
    found = family.numbers(planted(contraction=0.2)[0])
    assert found["squared distance one block after a dropout ÷ at once, learnt"].value == pytest.approx(0.2)
    assert found["share of the inputs' variance gone at the output, learnt"].value == pytest.approx(0.1)
