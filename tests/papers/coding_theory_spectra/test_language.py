"""The language family: what its worker returns, from a network made here and from a checkpoint, and how it is read."""

import numpy as np
import pytest
import torch

from polysemanticity import claims, intervals, plots
from polysemanticity.base import config
from polysemanticity.base.results import Results
from polysemanticity.networks import data, language_models, train
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import language as family


def resolved(**overrides):
    """The family's settings in the smoke profile."""
    return config.resolve(paper.Config(), "smoke", {f"language.{name}": v for name, v in overrides.items()}).language


@pytest.fixture(scope="module")
def smoke():
    return resolved()


@pytest.fixture(scope="module")
def result(smoke):
    return family.gpt2(seed=0, device="cpu", **family.network(smoke))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained GPT-2 with a tokenizer, as a folder."""
    tokenizer = language_models.train_tokenizer(data.english_text()[:20_000], 280)
    model = train.build(language_models.build, seed=1, vocab_size=280, n_layer=2, n_embd=160, n_head=4, n_positions=32)
    return language_models.save(model, tokenizer, tmp_path_factory.mktemp("gpt2"))


def test_every_depth_is_measured(smoke, result):
    blocks, kinds, n = smoke.layers, len(family.KINDS), smoke.n_directions
    for key in ("exponent", "fitted", "r2", "participation_ratio", "effective_rank", "sampling_error"):
        for stream, depths in (("residual", blocks + 1), ("mlp", blocks)):
            assert result[f"{stream}_{key}"].shape == (depths,) and np.isfinite(result[f"{stream}_{key}"]).all()
    assert result["score"].shape == result["score_all"].shape == result["score_control"].shape == (blocks, kinds, n)
    assert result["energy"].shape == result["roughness"].shape == (blocks, 2, 2, 3)
    assert (
        result["trace"].shape == (blocks, kinds, smoke.context - family.FIRST) == (blocks, kinds, len(result["words"]))
    )
    assert result["tokens"] == [smoke.probe_contexts * (smoke.context - family.FIRST)] * 2
    assert (np.abs(result["score"]) <= 1).all() and len(result["loss"]) == smoke.steps


def test_selection_lowers_the_energy_on_the_text_it_was_made_on(result):
    assert (result["energy"][:, 1, 0] < result["energy"][:, 0, 0]).all()


def test_the_worker_is_deterministic(smoke, result):
    again = family.gpt2(seed=0, device="cpu", **family.network(smoke))
    for key, value in result.items():
        np.testing.assert_array_equal(again[key], value)


def test_a_checkpoint_is_probed_without_training(smoke, checkpoint):
    cfg = resolved(checkpoint=str(checkpoint))
    found = family.gpt2(seed=0, device="cpu", **family.network(cfg))
    assert found["residual_exponent"].shape == (3,) and len(found["loss"]) == 0
    other = family.gpt2(seed=1, device="cpu", **family.network(cfg))
    assert not np.array_equal(found["residual_exponent"], other["residual_exponent"])  # another part of the text


def test_settings_name_what_the_checkpoint_and_the_text_hold(smoke, checkpoint, tmp_path):
    plain = family.network(smoke)["content"]
    cfg = resolved(checkpoint=str(checkpoint))
    before = family.network(cfg)["content"]
    assert before.startswith(plain) and before != plain
    weights = checkpoint / "model.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    assert family.network(cfg)["content"] != before
    weights.write_bytes(original)
    assert family.network(cfg)["content"] == before
    (tmp_path / "own.txt").write_text("An own text.")
    own = resolved(text=str(tmp_path / "own.txt"))
    assert family.network(own)["content"] != plain


def test_a_text_too_short_to_probe(checkpoint, tmp_path):
    (tmp_path / "own.txt").write_text(("A short paragraph. " * 106)[:1999] + "\n\nA last and shorter one.")
    cfg = resolved(checkpoint=str(checkpoint), text=str(tmp_path / "own.txt"), context=8)
    with pytest.raises(
        ValueError, match=r"contexts in a part of the text = [123]: allowed is at least 4: give a longer text"
    ):
        family.gpt2(seed=0, device="cpu", **family.network(cfg))


def test_outliers_and_first_tokens_are_left_out():
    rng = np.random.default_rng(0)
    activity = rng.standard_normal((2000, 4, 140)) * np.arange(1, 141) ** -0.5
    plain = family._spectrum(activity[:, 1:], 140)
    assert plain["outliers"] == 0 and plain["exponent"] == pytest.approx(1, abs=0.05) and plain["window"] == (3, 35)
    reduced = family._spectrum(activity[:, 1:, :138], 140)
    assert reduced["outliers"] == 2 and np.isnan(reduced["eigenvalues"][-2:]).all()


def test_unigram_loss_by_hand():
    select, held = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[2, 0, 1, 2]])
    assert family.unigram_loss(select, held) == pytest.approx(-np.log([4 / 7, 2 / 7, 1 / 7]).mean())


def test_the_passage_with_the_most_words():
    assert family.most_words([[" a", "b", "()"], [" the", " cat", "."], [" 1", " 2", " x"]]) == 1


def test_known_differences_between_blocks():
    exponents = np.tile([3.0, 5.0, 2.0], (4, 1)) + np.arange(4)[:, None]
    np.testing.assert_allclose(family.steepest_less_flattest(exponents), 3)
    np.testing.assert_allclose(family.best_block(exponents), 5 + np.arange(4))


def test_picking_blocks_on_other_seeds_makes_no_difference_of_noise():
    noise = np.random.default_rng(1).standard_normal((4000, 3, 6))
    assert abs(np.mean([family.steepest_less_flattest(one).mean() for one in noise])) < 0.05
    assert abs(np.mean([family.best_block(one).mean() for one in noise])) < 0.05
    covered = [intervals.mean(family.best_block(one)) for one in noise]
    assert np.mean([low <= 0 <= high for _, low, high in covered]) > 0.9


def both(smoke, *results):
    """Results of several networks of one configuration."""
    return Results([family.network(smoke)], [list(results)])


def test_quantities_are_those_of_the_rule(smoke, result):
    higher = {**result, "roughness": result["roughness"] - 0.5, "score": result["score"] + 0.25}
    found = family.measured_gpt2(both(smoke, result, result)).quantities
    moved = family.measured_gpt2(both(smoke, higher, higher)).quantities
    assert set(found) == set(paper.CLAIMS["CT-11"].rule) == set(paper.CLAIMS["CT-11"].corrected)
    rough = result["roughness"].mean(0)
    expected = {
        "held-out roughness, minimum-energy ÷ same selection with tokens shuffled": 10
        ** (rough[1, 1, 0] - rough[1, 1, 1]),
        "held-out log10 roughness, minimum-energy less unselected": rough[1, 1, 0] - rough[0, 1, 0],
        "score, minimum-energy less shuffled control": (result["score"] - result["score_control"])[:, 1].mean(),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value)
    control, neurons = "score, minimum-energy less shuffled control", "score, minimum-energy less neurons, best block"
    assert moved[control].value - found[control].value == pytest.approx(0.25)
    assert moved[neurons].value == pytest.approx(found[neurons].value)


def planted(smoke, result, *, least=0.8, neuron=0.7, rough=-0.2, flattest=2.0):
    """Three networks with these scores, this log10 roughness of the selected and this exponent at the last block."""
    rows = []
    for noise in (-1e-3, 0, 1e-3):
        score, roughness = np.full_like(result["score"], 0.6), np.zeros_like(result["roughness"])
        score[:, family.KINDS.index("minimum energy")] = least + noise
        score[:, family.KINDS.index("neuron")] = neuron
        roughness[:, 1, 1, 0] = rough + noise
        steep = {
            "residual_exponent": np.array([1, 3 + noise, flattest]),
            "mlp_exponent": np.array([3 + noise, flattest]),
        }
        nothing = np.zeros_like(score)
        rows.append({**result, **steep, "score": score, "score_control": nothing, "roughness": roughness})
    return both(smoke, *rows)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, claims.HOLDS),
        ({"neuron": 0.9}, claims.CORRECTED),
        ({"rough": 0.1}, claims.FAILS),
        ({"flattest": 2.99}, claims.FAILS),
        ({"least": -0.1, "neuron": 0.5}, claims.FAILS),
    ],
)
def test_planted_results_are_judged_rightly(smoke, result, changes, verdict):
    measured = family.measured_gpt2(planted(smoke, result, **changes))
    assert claims.verdict_of(family.CLAIMS["CT-11"], measured.quantities) == verdict
    assert "3 GPT-2s of 2 blocks" in measured.scale and "not GPT-2 XL" in measured.note


def test_the_tables_hold_what_the_figures_draw(smoke, result):
    networks = planted(smoke, result)
    tables = {name: getattr(family, f"{name}_table")(networks) for name in ("spectra", "traces", "selection", "scores")}
    for table in tables.values():
        plots.check_tidy(table)
    exponents = plots.part(tables["spectra"], quantity="exponent a", series="residual stream")
    np.testing.assert_allclose(exponents["value"], [1, 3, 2], rtol=1e-6)
    assert list(plots.part(tables["spectra"], quantity="exponent a", series="MLP output")["depth [blocks]"]) == [1, 2]
    first, last = result["residual_window"][0]
    fitted = plots.part(tables["spectra"], fitted="yes", series="block 1")["rank"]
    assert (fitted.min(), fitted.max()) == (first, last)
    traces = plots.part(tables["traces"], quantity="activity [standard deviations]")
    assert len(traces) == len(family.KINDS) * len(result["words"])
    assert [word[1:-1] for word in plots.part(traces, series="neuron")["word"]] == [
        word.replace("\n", "↵") for word in result["words"]
    ]
    smooth = plots.part(tables["selection"], quantity="roughness", series="minimum energy, held-out text")
    np.testing.assert_allclose(smooth["value"], 10**-0.2, rtol=1e-3)
    difference = plots.part(tables["scores"], quantity="score less the neurons' [held-out correlation]")
    np.testing.assert_allclose(plots.part(difference, series="minimum energy")["value"], 0.1)
    assert set(plots.part(tables["scores"], series="tokens shuffled")["what"]) == {"control"}


def test_numbers_beside_the_verdict(smoke, result):
    found = family.numbers(planted(smoke, result)) | family.losses(planted(smoke, result))
    assert found["score, minimum energy"].value == pytest.approx(0.8)
    assert found["roughness, minimum energy"].value == pytest.approx(10**-0.2, rel=1e-3)
    assert found["exponent a after the last block"].value == pytest.approx(2)
    assert found["tokens to select and judge on, per network"] == sum(result["tokens"])
