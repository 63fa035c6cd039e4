"""Spectra of a text in shards: the same as of the whole, and no shard computes on another text than was asked for."""

import numpy as np
import pytest
import torch

from polysemanticity import spectra
from polysemanticity.base import runtime
from polysemanticity.engine import sweep
from polysemanticity.networks import data, language_models, train
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import shards

CONTEXT, WIDTH, DEPTHS = 16, 32, 3


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An untrained GPT-2 and a text of 30,000 characters, as files."""
    folder = tmp_path_factory.mktemp("gpt2")
    text = data.english_text()[:30_000]
    (folder / "text.txt").write_text(text)
    model = train.build(
        language_models.build, seed=1, vocab_size=280, n_layer=2, n_embd=WIDTH, n_head=4, n_positions=CONTEXT
    )
    language_models.save(model, language_models.train_tokenizer(text, 280), folder / "checkpoint")
    return {"checkpoint": str(folder / "checkpoint"), "text": str(folder / "text.txt")}


@pytest.fixture
def smoke():
    return runtime.start(paper, profile="smoke", seed=0, device="cpu", overrides={})


def test_merged_shards_are_the_whole(files, smoke):
    found = shards.residual_spectra(**files, context=CONTEXT, n_shards=5, run=smoke)
    opened = language_models.open_checkpoint(files["checkpoint"])
    tokenizer, text = language_models.tokenizer_of(opened), data.english_text(files["text"])
    tokens = torch.cat([language_models.contexts(part, tokenizer, CONTEXT) for part in shards.parts(text, 5)])
    assert len(found) == DEPTHS
    for layer, spectrum in zip(language_models.layers(opened, tokens), found, strict=True):
        whole = spectra.covariance_spectrum(layer.residual[:, 1:].flatten(0, 1))
        assert spectrum.n_samples == whole.n_samples == len(tokens) * (CONTEXT - 1)
        scale = whole.eigenvalues[0]
        np.testing.assert_allclose(spectrum.eigenvalues / scale, whole.eigenvalues / scale, rtol=0, atol=1e-12)


def test_the_order_of_the_work_changes_no_bit(files, smoke, monkeypatch, tmp_path):
    first = shards.residual_spectra(**files, context=CONTEXT, n_shards=4, run=smoke)
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "another"))
    each = sweep.each
    backwards = lambda worker, configs, *rest: list(each(worker, configs[::-1], *rest))[::-1]  # noqa: E731
    monkeypatch.setattr(sweep, "each", backwards)
    again = shards.residual_spectra(**files, context=CONTEXT, n_shards=4, run=smoke)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)


def test_parts_are_the_text_and_as_many_as_asked_for():
    text = "\n\n".join("word " * length for length in (3, 9, 1, 4, 20, 2))
    for n in range(1, 4):
        found = shards.parts(text, n)
        assert "".join(found) == text and len(found) == n and all(found)
    with pytest.raises(ValueError, match="n_shards = 50: allowed is fewer than the paragraphs"):
        shards.parts(text, 50)
    with pytest.raises(ValueError, match="n_shards = 0: allowed is at least 1"):
        shards.parts(text, 0)
