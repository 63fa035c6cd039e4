"""The very deep network: as published, its probes, what is derived from its curves, exact information, determinism."""

import numpy as np
import pytest
import torch

from polysemanticity.base import streams
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


def test_known_information_is_what_is_planted():
    found = known_information.planted_information(
        seed=0, device="cpu", nats=(0.2, 1.0), repeats=2, **{**CRITIC, "n_samples": 1000}
    )
    names = list(known_information.CHANNELS)
    truth = dict(zip(names, found["truth"][2:], strict=True))
    assert truth["flip, p = .2"] == pytest.approx(0.193, abs=1e-3)
    assert truth["dropout .5 of ±1"] == pytest.approx(0.347, abs=1e-3)
    assert truth["dropout .5 of 0, 1"] == pytest.approx(0.216, abs=1e-3)
    np.testing.assert_allclose(found["linear"].mean(1), [0.2, 1.0], atol=0.25)
    assert found["mine"].shape == found["nce"].shape == (7, 2)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task = 'both': allowed is one of learnt, random"):
        family.trained("both", seed=0, device="cpu", **NET)
