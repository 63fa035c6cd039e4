"""The language family: what its worker returns, from a network made here and from a checkpoint, and how it is read."""

import numpy as np
import pytest
import torch

from polysemanticity import claims
from polysemanticity.base import config
from polysemanticity.networks import data, language_models, train
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import language as family


@pytest.fixture(scope="module")
def smoke():
    return config.resolve(paper.Config(), paper.PROFILES, "smoke", {})


@pytest.fixture(scope="module")
def result(smoke):
    return family.gpt2(seed=0, device="cpu", **family.settings(smoke))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained GPT-2 with a tokenizer, as a folder."""
    tokenizer = language_models.train_tokenizer(data.english_text()[:20_000], 280)
    model = train.build(language_models.build, seed=1, vocab_size=280, n_layer=2, n_embd=160, n_head=4, n_positions=32)
    return language_models.save(model, tokenizer, tmp_path_factory.mktemp("gpt2"))


def test_every_depth_is_measured(smoke, result):
    blocks, kinds, n = smoke.gpt2_layers, len(family.KINDS), smoke.n_directions
    for key in ("exponent", "fitted", "r2", "participation_ratio", "effective_rank", "sampling_error"):
        for stream, depths in (("residual", blocks + 1), ("mlp", blocks)):
            assert result[f"{stream}_{key}"].shape == (depths,) and np.isfinite(result[f"{stream}_{key}"]).all()
    assert result["score"].shape == result["score_all"].shape == result["score_control"].shape == (blocks, kinds, n)
    assert result["energy"].shape == result["roughness"].shape == (blocks, 2, 2, 3)
    assert (
        result["trace"].shape
        == (blocks, kinds, smoke.gpt2_context - family.FIRST)
        == (blocks, kinds, len(result["words"]))
    )
    assert result["tokens"] == [smoke.probe_contexts * (smoke.gpt2_context - family.FIRST)] * 2
    assert (np.abs(result["score"]) <= 1).all() and len(result["loss"]) == smoke.gpt2_steps


def test_selection_lowers_the_energy_on_the_text_it_was_made_on(result):
    assert (result["energy"][:, 1, 0] < result["energy"][:, 0, 0]).all()


def test_the_worker_is_deterministic(smoke, result):
    again = family.gpt2(seed=0, device="cpu", **family.settings(smoke))
    for key, value in result.items():
        np.testing.assert_array_equal(again[key], value)


def test_a_checkpoint_is_probed_without_training(smoke, checkpoint):
    cfg = config.resolve(paper.Config(), paper.PROFILES, "smoke", {"checkpoint": str(checkpoint)})
    found = family.gpt2(seed=0, device="cpu", **family.settings(cfg))
    assert found["residual_exponent"].shape == (3,) and len(found["loss"]) == 0
    other = family.gpt2(seed=1, device="cpu", **family.settings(cfg))
    assert not np.array_equal(found["residual_exponent"], other["residual_exponent"])  # another part of the text


def test_settings_name_what_the_checkpoint_and_the_text_hold(smoke, checkpoint, tmp_path):
    plain = family.settings(smoke)["content"]
    cfg = config.resolve(paper.Config(), paper.PROFILES, "smoke", {"checkpoint": str(checkpoint)})
    before = family.settings(cfg)["content"]
    assert before.startswith(plain) and before != plain
    weights = checkpoint / "model.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    assert family.settings(cfg)["content"] != before
    weights.write_bytes(original)
    assert family.settings(cfg)["content"] == before
    (tmp_path / "own.txt").write_text("An own text.")
    own = config.resolve(paper.Config(), paper.PROFILES, "smoke", {"text": str(tmp_path / "own.txt")})
    assert family.settings(own)["content"] != plain


def test_a_text_too_short_to_probe(checkpoint, tmp_path):
    (tmp_path / "own.txt").write_text("A sentence of some length. " * 80 + "\n\nA last and short paragraph.")
    overrides = {"checkpoint": str(checkpoint), "text": str(tmp_path / "own.txt"), "gpt2_context": 8}
    cfg = config.resolve(paper.Config(), paper.PROFILES, "smoke", overrides)
    with pytest.raises(
        ValueError, match=r"contexts in a part of the text = [123]: allowed is at least 4: give a longer text"
    ):
        family.gpt2(seed=0, device="cpu", **family.settings(cfg))


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
    covered = [claims.mean_interval(family.best_block(one)) for one in noise]
    assert np.mean([low <= 0 <= high for _, low, high in covered]) > 0.9


def test_quantities_are_those_of_the_rule(result):
    other = {**result, "roughness": result["roughness"] - 0.5, "score": result["score"] + 0.25}
    found = family.quantities([result, other])
    assert set(found) == set(paper.CLAIMS["CT-11"].rule) == set(paper.CLAIMS["CT-11"].corrected)
    rough = result["roughness"].mean(0)
    expected = {
        "held-out roughness, minimum-energy ÷ same selection with tokens shuffled": 10
        ** (rough[1, 1, 0] - rough[1, 1, 1]),
        "held-out log10 roughness, minimum-energy less unselected": rough[1, 1, 0] - rough[0, 1, 0],
        "score, minimum-energy less shuffled control": (result["score"] - result["score_control"])[:, 1].mean(),
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value)
    assert np.diff(found["score, minimum-energy less shuffled control"]) == pytest.approx(0.25)
    assert np.diff(found["score, minimum-energy less neurons, best block"]) == pytest.approx(0)
