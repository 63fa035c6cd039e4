"""GPT-2 checkpoints: streamed activity against transformers' own, memory, training, and every error that says what to do."""

import json
import math
import os
import subprocess
import sys
import types
from pathlib import Path

import huggingface_hub
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from polysemanticity.base import paths
from polysemanticity.networks import data, language_models, train

TEXT = "\n\n".join(f"The {a} {b} of the {c} was {d}.\nNobody asked why, and paragraph {a}{b}{c}{d} ended." for a in
                   ("red", "old", "small", "slow") for b in ("cat", "house", "river") for c in ("king", "town") for d in
                   ("seen", "lost", "green"))  # fmt: skip


def small(seed=0, vocab_size=300, **settings):
    shape = {"n_layer": 3, "n_embd": 32, "n_head": 4, "n_positions": 16} | settings
    model = train.build(language_models.build, seed=seed, vocab_size=vocab_size, **shape).eval()
    for name, value in model.named_parameters():  # biases start at zero, where a slip would not show
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return language_models.train_tokenizer(TEXT, 300)


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture
def folder(tmp_path, model, tokenizer):
    return language_models.save(model, tokenizer, tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(300, (7, 16), generator=torch.Generator().manual_seed(1))


def edited(folder, name, change):
    """Rewrite one of the folder's JSON files."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


# --- what is streamed ---


@torch.no_grad()
def test_streamed_activity_is_that_of_transformers(folder, model, tokens):
    expected = model(tokens, output_hidden_states=True)
    seen = {}
    for k, block in enumerate(model.transformer.h):
        block.mlp.register_forward_hook(lambda _, inputs, output, k=k: seen.update({k: (inputs[0], output)}))
    model(tokens)
    found = list(language_models.layers(language_models.open_checkpoint(folder), tokens, batch_size=3))
    assert [layer.depth for layer in found] == [0, 1, 2, 3] and found[0].mlp is None and found[0].neurons is None
    for layer, hidden in zip(found[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(layer.residual, hidden, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model.transformer.ln_f(found[-1].residual), expected.hidden_states[-1], rtol=1e-4, atol=1e-4
    )
    for k, layer in enumerate(found[1:]):
        torch.testing.assert_close(layer.mlp, seen[k][1], rtol=1e-5, atol=1e-5)
        mlp = model.transformer.h[k].mlp
        torch.testing.assert_close(layer.neurons, mlp.act(mlp.c_fc(seen[k][0])), rtol=1e-5, atol=1e-5)
        assert layer.neurons.shape == (7, 16, 128)
    loss = language_models.next_token_loss(
        language_models.open_checkpoint(folder), found[-1].residual, tokens, batch_size=3
    )
    assert loss.shape == (7, 15) and float(loss.mean()) == pytest.approx(
        float(language_models.loss(model, tokens)), rel=1e-5
    )


def test_later_tokens_do_not_change_earlier_activity(folder, tokens):
    opened, changed = language_models.open_checkpoint(folder), tokens.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 300
    for one, other in zip(language_models.layers(opened, tokens), language_models.layers(opened, changed), strict=True):
        torch.testing.assert_close(one.residual[:, :10], other.residual[:, :10])
        assert not torch.allclose(one.residual[:, 10:], other.residual[:, 10:])


def test_the_size_of_a_batch_does_not_matter(folder, tokens):
    opened = language_models.open_checkpoint(folder)
    for one, other in zip(
        language_models.layers(opened, tokens, batch_size=1), language_models.layers(opened, tokens), strict=True
    ):
        torch.testing.assert_close(one.residual, other.residual, rtol=1e-5, atol=1e-6)


def test_published_layouts_are_read_alike(folder, tokens, tmp_path):
    """Names with a prefix, stored attention masks, several files, half precision: all found among published GPT-2s."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(tmp_path / "whole")
    named = {f"transformer.{name}": value.half() for name, value in weights.items()}
    named |= {f"transformer.h.{k}.attn.bias": torch.ones(1, 1, 16, 16) for k in range(3)}
    named["lm_head.weight"] = weights["wte.weight"].half()
    for part in range(2):
        chosen = dict(list(named.items())[part::2])
        save_file(
            {name: value.clone() for name, value in chosen.items()},
            folder / f"model-{part + 1:05}-of-00002.safetensors",
        )
    found = list(language_models.layers(language_models.open_checkpoint(folder), tokens))
    for file in folder.glob("*.safetensors"):
        file.unlink()
    save_file({name: value.half().float() for name, value in weights.items()}, folder / "model.safetensors")
    for one, other in zip(found, language_models.layers(language_models.open_checkpoint(folder), tokens), strict=True):
        assert torch.equal(one.residual, other.residual) and one.residual.dtype == torch.float32


@pytest.mark.parametrize(("precision", "error"), [("bfloat16", 0.02), ("float16", 0.003)])
def test_half_precision_computes_nearly_the_same(folder, tokens, precision, error):
    opened = language_models.open_checkpoint(folder)
    exact = list(language_models.layers(opened, tokens))[-1].residual
    rounded = list(language_models.layers(opened, tokens, precision=precision))[-1].residual
    assert rounded.dtype == torch.float32 and 0 < float((exact - rounded).norm() / exact.norm()) < error


def test_transformers_reads_what_is_saved(folder, model, tokens):
    from transformers import GPT2LMHeadModel

    with torch.no_grad():
        torch.testing.assert_close(GPT2LMHeadModel.from_pretrained(folder).eval()(tokens).logits, model(tokens).logits)


HALF_XL = """
import sys, torch
from polysemanticity.networks import language_models
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
tokens = torch.randint(50257, (2, 16), generator=torch.Generator().manual_seed(0))
opened = language_models.open_checkpoint(sys.argv[1])
torch.nn.functional.scaled_dot_product_attention(*torch.ones(3, 1, 1, 2, 2))
before, finite = peak(), []
for layer in language_models.layers(opened, tokens):
    finite.append(bool(layer.residual.isfinite().all()) and layer.residual.shape == (2, 16, 800))
print(len(finite), all(finite), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's record of the most memory in use")
def test_half_of_gpt2_xl_streams_in_the_memory_of_a_few_blocks(tmp_path):
    """24 blocks of width 800 with XL's vocabulary in half precision, in four files: 450 MB, 900 MB in single."""
    config = {
        "model_type": "gpt2",
        "n_layer": 24,
        "n_embd": 800,
        "n_head": 25,
        "n_positions": 1024,
        "vocab_size": 50257,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        shapes = language_models.build(
            **{k: v for k, v in config.items() if k != "model_type"}
        ).transformer.state_dict()
    files = {}
    for name, value in shapes.items():
        part = int(name.split(".")[1]) // 6 if name.startswith("h.") else 3
        files.setdefault(part, {})[name] = torch.full(value.shape, 0.01, dtype=torch.float16)
    for part, weights in files.items():
        save_file(weights, tmp_path / f"model-{part + 1:05}-of-00004.safetensors")
    size = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    assert 440e6 < size < 460e6
    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", HALF_XL, tmp_path], capture_output=True, text=True, env=env, check=True)
    n, finite, used = ran.stdout.split()
    block = 12 * 800**2 * 4
    assert (n, finite) == ("25", "True")
    assert int(used) < min(4 * block, size / 3), f"{int(used) / 1e6:.0f} MB for blocks of {block / 1e6:.0f} MB"


# --- opening: what goes wrong and what to do ---


def test_a_folder_that_is_missing_or_no_name():
    for source in ("", "../nowhere/at/all", "a b"):
        with pytest.raises(ValueError, match=r"checkpoint = .*allowed is a folder that exists, or a name on the hub"):
            language_models.open_checkpoint(source)


def test_a_hub_name_is_fetched_once_without_pickles(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **how: asked.append((name, how)) or str(folder)
    )
    assert language_models.open_checkpoint("gpt2-xl").folder == folder
    ((name, how),) = asked
    assert name == "gpt2-xl" and not any("bin" in pattern or pattern == "*" for pattern in how["allow_patterns"])


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"checkpoint = 'gpt2-xl'.*where there is a network.*copy the folder here"):
        language_models.open_checkpoint("gpt2-xl")


@pytest.mark.parametrize("content", [None, "{not json", "[1]"])
def test_no_readable_config(folder, content):
    (folder / "config.json").unlink() if content is None else (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"checkpoint = .*(readable config.json|model_type None)"):
        language_models.open_checkpoint(folder)


def test_another_kind_of_model(folder):
    edited(folder, "config.json", lambda config: config.update(model_type="llama"))
    with pytest.raises(
        ValueError, match=r"checkpoint = .*allowed is a GPT-2; this config.json says model_type 'llama'"
    ):
        language_models.open_checkpoint(folder)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"checkpoint = .*allowed is a folder with safetensors weights"):
        language_models.open_checkpoint(folder)


def test_pickled_weights_are_refused_unopened(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    harm = b"cbuiltins\nopen\n(V" + str(tmp_path / "harm").encode() + b"\nVw\ntR."  # unpickling this writes a file
    (folder / "pytorch_model.bin").write_bytes(harm)
    with pytest.raises(
        ValueError, match=r"pytorch_model.bin is pickled and not opened: write it anew with .*save_pretrained"
    ):
        language_models.open_checkpoint(folder)
    assert not (tmp_path / "harm").exists()


def test_damaged_weights(folder):
    whole = (folder / "model.safetensors").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\xff" * 100):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"weights = .*model.safetensors'.*fetch or copy it again"):
            language_models.open_checkpoint(folder)


def test_missing_blocks_and_blocks_of_another_size(folder):
    edited(folder, "config.json", lambda config: config.update(n_layer=5))
    with pytest.raises(
        ValueError, match=r"all weights of its config.json \(24 are missing, e.g. h.3.ln_1.weight, h.3.ln_1.bias"
    ):
        language_models.open_checkpoint(folder)
    edited(folder, "config.json", lambda config: config.update(n_layer=3, n_inner=64))
    with pytest.raises(
        ValueError, match=r"weights that fit config.json; h.0.mlp.c_fc.weight is \[32, 128\], not \[32, 64"
    ):
        language_models.open_checkpoint(folder)


# --- tokens and text ---


def test_no_tokenizer_and_a_damaged_one(folder):
    opened = language_models.open_checkpoint(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"checkpoint = .*allowed is a folder with a tokenizer: tokenizer.json"):
        language_models.tokenizer_of(opened)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer.json, or vocab.json and merges.txt, from where the weights are"):
        language_models.tokenizer_of(opened)


def test_old_tokenizer_files_are_read(folder, tokenizer):
    tokenizer.model.save(str(folder))
    expected = tokenizer.encode("The old river, again.").ids
    (folder / "tokenizer.json").unlink()
    assert (
        language_models.tokenizer_of(language_models.open_checkpoint(folder)).encode("The old river, again.").ids
        == expected
    )


def test_a_tokenizer_of_another_network(folder):
    (folder / "tokenizer.json").unlink()
    language_models.train_tokenizer(TEXT, 320).save(str(folder / "tokenizer.json"))
    with pytest.raises(
        ValueError, match=r"number of the tokenizer's tokens = 320: allowed is 1 to the network's vocab_size 300"
    ):
        language_models.tokenizer_of(language_models.open_checkpoint(folder))
    with pytest.raises(ValueError, match="tokenizer's tokens = 320"):
        language_models.save(small(), language_models.train_tokenizer(TEXT, 320), folder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            torch.full((1, 8), 300),
            r"tokens = \(300, 300\): allowed is tokens from 0 to 299: was another tokenizer used",
        ),
        (torch.full((1, 8), -1), r"tokens = \(-1, -1\)"),
        (torch.zeros(1, 17, dtype=int), r"shape of tokens = \(1, 17\): allowed is contexts \[n, T\] of at most 16"),
        (torch.zeros(0, 8, dtype=int), r"shape of tokens = \(0, 8\)"),
    ],
)
def test_tokens_that_do_not_fit(folder, wrong, message):
    with pytest.raises(ValueError, match=message):
        next(language_models.layers(language_models.open_checkpoint(folder), wrong))


def test_precision_is_checked(folder, tokens):
    with pytest.raises(ValueError, match="precision = 'int4': allowed is one of float32, bfloat16, float16"):
        next(language_models.layers(language_models.open_checkpoint(folder), tokens, precision="int4"))


def test_a_tokenizer_keeps_the_text_and_is_the_same_each_time(tokenizer):
    for text in (TEXT, "Ünïcode, 漢字 and \ttabs  "):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    again = language_models.train_tokenizer(TEXT, 300)
    assert again.get_vocab() == tokenizer.get_vocab() and len(again.get_vocab()) == 300
    assert "".join(language_models.words(tokenizer, tokenizer.encode("The old cat").ids)) == "The old cat"
    with pytest.raises(ValueError, match="vocab_size = 255: allowed is at least 256"):
        language_models.train_tokenizer(TEXT, 255)


def test_contexts_are_consecutive_and_whole(tokenizer):
    ids = tokenizer.encode(TEXT).ids
    cut = language_models.contexts(TEXT, tokenizer, 16)
    assert (
        cut.flatten().tolist() == ids[: len(ids) // 16 * 16]
        and len(language_models.contexts(TEXT, tokenizer, 16, most=3)) == 3
    )
    n = len(tokenizer.encode("short").ids)
    with pytest.raises(ValueError, match=rf"number of tokens in the text = {n}: allowed is at least 16, one context"):
        language_models.contexts("short", tokenizer, 16)
    with pytest.raises(ValueError, match="length of a context = 1"):
        language_models.contexts(TEXT, tokenizer, 1)


def test_no_paragraph_is_in_two_parts_of_a_text():
    text = data.english_text()
    parts = language_models.split_text(text, (3, 1, 1), 5)
    paragraphs = [set(filter(str.strip, part.split("\n\n"))) for part in parts]
    assert not paragraphs[0] & (paragraphs[1] | paragraphs[2]) and not paragraphs[1] & paragraphs[2]
    assert set.union(*paragraphs) == set(filter(str.strip, text.split("\n\n")))
    share = [len(part) / sum(map(len, parts)) for part in parts]
    assert share == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    assert parts == language_models.split_text(text, (3, 1, 1), 5) != language_models.split_text(text, (3, 1, 1), 6)


def test_a_text_too_short_to_split():
    with pytest.raises(ValueError, match="sections of text = 1: allowed is at least 3 sections of 2000 characters"):
        language_models.split_text("One short paragraph.", (3, 1, 1), 0)
    with pytest.raises(ValueError, match="shares"):
        language_models.split_text(TEXT, (1, 0), 0)


# --- training ---


def trained(n_steps=40, **changes):
    tokens = torch.arange(256).view(16, 16) % 24
    settings = {"vocab_size": 32, "n_layer": 2, "n_embd": 16, "n_head": 2, "batch_size": 8, "lr": 1e-2, "seed": 3}
    return language_models.train_gpt2(tokens, n_steps=n_steps, **settings | changes)


def test_training_learns_what_can_be_learnt_and_is_deterministic():
    model, history = trained(150)
    assert history.loss[0] > 0.8 * math.log(24) and history.loss[-1] < 0.3
    other, again = trained(150)
    assert history.loss.tolist() == again.loss.tolist()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not model.training


def test_a_training_that_was_stopped_goes_on(tmp_path):
    whole, _ = trained(12)
    store = tmp_path / "gpt2.pt"

    class Stopped(Exception):
        pass

    def stop_after(n, real=language_models.loss):
        calls = iter(range(n))

        def loss(model, tokens):
            if next(calls, None) is None:
                raise Stopped
            return real(model, tokens)

        loss.__module__, loss.__qualname__ = real.__module__, real.__qualname__
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_models, "loss", stop_after(7))
        patch.setattr(train._Checkpoint, "due", lambda self, last: True)
        with pytest.raises(Stopped):
            trained(12, checkpoint=store)
    resumed, _ = trained(12, checkpoint=store)
    for one, two in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="n_embd = 30: allowed is a multiple of n_head = 4"):
        small(n_embd=30)


def test_loss_is_the_cross_entropy_of_the_next_token():
    logits = torch.randn(2, 5, 7)
    tokens = torch.randint(7, (2, 5))
    expected = -logits.log_softmax(-1)[:, :-1].gather(-1, tokens[:, 1:, None]).mean()
    model = types.SimpleNamespace(logits=logits)
    torch.testing.assert_close(language_models.loss(lambda _: model, tokens), expected)
    assert F.cross_entropy(torch.zeros(1, 7), tokens[0, :1]) == pytest.approx(math.log(7))
