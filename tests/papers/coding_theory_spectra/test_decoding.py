"""Decoding: number theory, planted gaps, ensembles of autoencoders and probes, determinism, error messages."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, plots
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.networks import mine
from polysemanticity.papers.coding_theory_spectra import decoding as family

POWER = {"p": 67, "n_nets": 2, "n_steps": 6, "batch_size": 16, "lr": 3e-3, "probe_steps": 4}


@pytest.mark.parametrize("p, root", [(3, 2), (5, 2), (7, 3), (23, 5), (41, 6), (1019, 2)])
def test_smallest_primitive_roots(p, root):
    assert family.smallest_root(p) == root
    powers = family.table("g^x mod p", p, streams.rng(0, "unused"))
    assert sorted(powers) == list(range(1, p)) and powers[0] == 1


def test_bits_are_binary_digits():
    assert family.to_bits(np.array([0, 6]), 3).tolist() == [[-1, -1, -1], [-1, 1, 1]]


def test_layers_are_those_of_the_forward_pass():
    nets = mine.Ensemble(2, (3, 5, 4, 2), streams.generator(0, "weights"))
    x = torch.randn(2, 6, 3, generator=streams.generator(0, "x"))
    layers = family.layers_of(nets, x)
    assert [part.shape[-1] for part in layers] == [3, 5, 4, 2]
    torch.testing.assert_close(layers[-1], nets(x))
    assert (layers[1] >= 0).all() and (layers[2] >= 0).all()


def test_the_identity_is_learnt_and_read_everywhere():
    found = family.modular(seed=0, device="cpu", function="x itself", **{**POWER, "n_steps": 400, "probe_steps": 300})
    assert found["right"].min() > 0.99 and found["new"].min() > 0.9
    assert found["new"].shape == found["seen"].shape == (5, 2)


def test_workers_are_deterministic():
    first, again = (family.modular(seed=3, device="cpu", function="random order", **POWER) for _ in range(2))
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])


def test_autoencoders_drop_in_the_encoder_only_and_each_at_its_own_rate():
    model = family.Autoencoders((0.0, 0.5))
    x = torch.randn(40, family.PATCH**2, generator=streams.generator(0, "x"))
    model.train()
    with torch.no_grad(), streams.drawing_from(streams.generator(0, "masks")):
        first, second = model(x), model(x)
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])
    found = []
    with torch.no_grad():
        model.eval()(x, found)
    assert len(found) == len(family.DECODED) and {part.shape[-1] for part in found} == {family.HIDDEN}


def test_a_planted_gap_is_found_and_none_where_a_line_is_right():
    generator = streams.generator(0, "planted")
    activity = torch.randn(2, 3000, 6, generator=generator)
    target = activity[0, :, :4] @ torch.randn(4, 4, generator=generator)
    recipe = {"batch_size": 128, "lr": 3e-3, "seed": 0, "schedule": "cosine"}
    linear, _ = family._decoded(activity[:1], target, 5, recipe, 0, "cpu")
    assert linear[0] > 1 - 1e-6
    bent, unrelated = (family._decoded(activity[k : k + 1], target.abs(), 300, recipe, 0, "cpu") for k in range(2))
    assert family.gap(*bent)[0] > 0.5 and abs(family.gap(*unrelated)[0]) < 0.3


def test_the_worker_measures_every_layer_and_rate():
    config = {"rates": (0.0, 0.4), "n_patches": 260, "n_steps": 4, "batch_size": 64, "lr": 1e-3, "decoder_steps": 3}
    found = family.autoencoded(seed=0, device="cpu", **config)
    for key in ("exponent", "linear", "network"):
        assert found[key].shape == (4, 2) and np.isfinite(found[key]).all()
    assert found["error"].shape == (2,)


def test_gap():
    assert family.gap(0.9, 0.95) == pytest.approx(0.5)


def planted(*, right=0.999, first=0.98, output=0.51, parity=0.99):
    """Networks with these shares of bits, and autoencoders whose gain rises with the exponent but in the last layer."""
    nets = np.array([-1e-4, 0, 1e-4])
    read = np.array([1.0, first, 0.97, 0.9, output])[:, None] + nets
    row = {"right": right + nets, "new": read, "seen": np.ones((5, 3)), "eigenvalues": np.linspace(1.1, 0.9, 10)}
    row["parity"] = parity + nets
    configs = family.functions(family.Settings())
    exponent = np.linspace(1, 3, 20).reshape(4, 1, 5) * np.ones((1, 4, 1))  # [split, layer, rate]
    gain = exponent / 20 * np.array([1, 1, 1, -1])[:, None]
    coded = [{"exponent": e, "linear": np.full((4, 5), 0.5), "network": 0.5 + g / 2} for e, g in
             zip(exponent, gain, strict=True)]  # fmt: skip
    powers = Results(configs, [[row if c["function"] == "g^x mod p" else {**row, "new": row["seen"]}] for c in configs])
    return powers, Results([family.coders(family.Settings())], [coded])


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"output": 0.7}, claims.FAILS),
        ({"right": 0.9}, claims.FAILS),
        ({"first": 0.8}, claims.FAILS),
        ({"parity": 0.52}, claims.NOT_TESTED),  # it does not find the bit that is easy
    ],
)
def test_planted_results_are_judged_rightly(changes, verdict):
    measured = family.measured(*planted(**changes), seed=0)
    assert claims.verdict_of(family.CLAIMS["CT-13"], measured.quantities) == verdict
    assert measured.quantities["Spearman(a, gain), encoder 1"].value == pytest.approx(1)
    assert measured.quantities["Spearman(a, gain), decoder 2"].value == pytest.approx(-1)
    assert measured.quantities["the same for x itself"].value == pytest.approx(0.5)
    assert "over 20 autoencoders" in measured.error


def test_the_tables_hold_what_the_figures_draw():
    powers, coded = planted()
    reading, gains = family.reading_table(powers), family.gap_table(coded, 0)
    plots.check_tidy(reading)
    plots.check_tidy(gains)
    read = plots.part(reading, series="g^x mod p", x="new")
    np.testing.assert_allclose(read["value"], [1, 0.98, 0.97, 0.9, 0.51])
    assert list(read["layer"]) == list(family.LAYERS) and set(read["what"]) == {"measured"}
    assert set(plots.part(reading, series=["random order", "x itself", "chance"])["what"]) == {"control"}
    each = plots.part(gains, quantity="share of the line's error that a network explains")
    assert len(each) == 4 * 4 * 5
    one = each[(each["split of the photographs"] == 1) & (each["layer"] == "decoder 2")]
    np.testing.assert_allclose(one["value"], -one["exponent a"] / 20)
    assert list(one["dropout p"]) == list(family.RATES)
    assert list(plots.part(gains, quantity="rank correlation")["layer"]) == list(family.DECODED)


def test_numbers_beside_the_verdict():
    found = family.numbers(*planted())
    assert found["share of the line's error that a network explains, largest"] == pytest.approx(0.15)
    assert found["largest eigenvalue ÷ smallest, x itself"] == pytest.approx(1.1 / 0.9)
    assert found["rank correlation at equal dropout, decoder 2"] < -0.9


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: family.smallest_root(91), "p = 91: allowed is a prime above 2"),
        (lambda: family.table("log", 7, streams.rng(0, "x")), "function = 'log': allowed is one of g"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
