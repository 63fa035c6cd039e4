"""Folders of GPT-2s: opened exactly as transformers opens them, or refused by name with where the weights are."""

import json
import shutil

import gpt2_family
import hypothesis
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from polysemanticity.networks import language_models

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
MADE = gpt2_family.tokenizer()
GOOD = {
    "seed": 1, "fault": "none", "layout": "whole", "state": "plain", "dtype": "float32",
    "config": {
        "model_type": "gpt2", "vocab_size": 300, "n_positions": 12, "n_layer": 2, "n_embd": 8, "n_head": 2,
        "tie_word_embeddings": True,
    },
}  # fmt: skip


def made(folder, **changes):
    """A good folder, or one that differs from it."""
    config = GOOD["config"] | changes.pop("config", {})
    gpt2_family.write(GOOD | changes | {"config": config}, folder, MADE)
    return folder


def test_any_folder_is_measured_as_transformers_measures_it_or_refused(tmp_path):
    @hypothesis.settings(
        max_examples=40, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(gpt2_family.recipes())
    def check(recipe):
        gpt2_family.write(recipe, tmp_path / "gpt2", MADE)
        how, apart = gpt2_family.outcome(tmp_path / "gpt2")
        assert apart < 1e-5
        assert how == "refused" or not gpt2_family.faulty(recipe)

    check()


@pytest.mark.parametrize("layout", gpt2_family.LAYOUTS)
@pytest.mark.parametrize("tied", [True, False])
def test_every_layout_is_opened(tmp_path, layout, tied):
    folder = made(tmp_path / "gpt2", layout=layout, config={"tie_word_embeddings": tied})
    how, apart = gpt2_family.outcome(folder)
    assert how == "opened" and apart < 1e-5


@pytest.mark.parametrize("state", ["plain", "truncated", "padded", "vocabulary", "save_pretrained", "another class"])
def test_every_saved_state_of_a_tokenizer_that_says_one_thing_is_read(tmp_path, state):
    how, apart = gpt2_family.outcome(made(tmp_path / "gpt2", state=state))
    assert how == "opened" and apart < 1e-5


def refusal(folder):
    with pytest.raises(ValueError, match="allowed is") as raised:
        opened = language_models.open_checkpoint(folder)
        language_models.tokenizer_of(opened)
        list(language_models.layers(opened, torch.zeros(1, 4, dtype=int)))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def adapter(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "gpt2-medium"}')


def hub_cache(folder):
    shutil.move(folder, folder.with_name("whole"))
    (folder / "snapshots").mkdir(parents=True)
    shutil.move(folder.with_name("whole"), folder / "snapshots" / "abc")


def hub(folder):
    hub_cache(folder)
    shutil.move(folder, folder.with_name("models--gpt2"))
    folder.mkdir()
    shutil.move(folder.with_name("models--gpt2"), folder)


def trainer(folder):
    for step in (500, 1000):
        shutil.copytree(folder, folder.with_name(f"checkpoint-{step}"))
    shutil.rmtree(folder)
    folder.mkdir()
    for step in (500, 1000):
        shutil.move(folder.with_name(f"checkpoint-{step}"), folder)


def nested(folder):
    shutil.move(folder, folder.with_name("inner"))
    folder.mkdir()
    shutil.move(folder.with_name("inner"), folder)


def renamed(name):
    def rename(folder):
        (folder / "model.safetensors").rename(folder / name)

    return rename


def said(**changes):
    def say(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")

    return say


def stored(change):
    def store(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return store


def wrapped(prefix):
    def wrap(weights):
        for name in list(weights):
            weights[prefix + name] = weights.pop(name)

    return stored(wrap)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (adapter, "this is a LoRA adapter of 'gpt2-medium': merge it with peft's merge_and_unload"),
        (hub_cache, "this is a model in the hub's cache: give {folder}/snapshots/abc"),
        (hub, "this is the hub's cache: give the folder below snapshots/ of one of models--gpt2"),
        (trainer, "this is a trainer's folder: give one of its checkpoints, the last is {folder}/checkpoint-1000"),
        (nested, "one is in {folder}/inner"),
        (renamed("weights.safetensors"), "which of weights.safetensors is meant nothing says"),
        (renamed("model-00001-of-00003.safetensors"), "which of model-00001-of-00003.safetensors is meant"),
        (wrapped("module."), "they begin with 'module.', as torch's DataParallel leaves them"),
        (wrapped("_orig_mod.transformer."), "they begin with '_orig_mod.', as torch.compile leaves them"),
        (wrapped("base_model.model.transformer."), "they begin with 'base_model.model.', as peft leaves them"),
        (said(quantization_config={"bits": 4}), "config.json has quantization_config"),
        (said(transformers_weights="other.safetensors"), "config.json has transformers_weights"),
        (said(activation_function="swiglu"), "swiglu"),
        (said(n_head=3), "divisible"),
        (said(n_layer=10**6), "at most 1000 blocks"),
        (said(vocab_size=301), "wte.weight is [300, 8], not [301, 8]"),
        (said(n_positions=13), "wpe.weight is [12, 8], not [13, 8]"),
        (said(n_inner=5), "h.0.mlp.c_fc.weight is [8, 32], not [8, 5]"),
        (said(tie_word_embeddings=False), "lm_head.weight is missing"),
        (stored(lambda w: w.update({"lm_head.weight": w["wte.weight"] + 1})), "another is stored: which is meant?"),
        (stored(lambda w: w.update({"transformer.wte.weight": w["wte.weight"] + 1})), "each weight once; wte.weight"),
        (stored(lambda w: w["h.1.ln_2.bias"].fill_(float("nan"))), "h.1.ln_2.bias has NaN or infinity"),
        (stored(lambda w: w["wpe.weight"].fill_(float("inf"))), "wpe.weight has NaN or infinity"),
        (stored(lambda w: w.update({"ln_f.bias": w["ln_f.bias"].to(torch.int8)})), "ln_f.bias is I8: quantized?"),
        (
            stored(lambda w: w.update({"ln_f.bias": w["ln_f.bias"].to(torch.float8_e4m3fn)})),
            "ln_f.bias is F8_E4M3: quantized?",
        ),
    ],
)
def test_what_a_folder_is_and_where_the_weights_are_is_said(tmp_path, spoil, told):
    folder = made(tmp_path / "gpt2")
    spoil(folder)
    message = refusal(folder)
    assert told.format(folder=folder) in message and str(folder) in message


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"wte.weight": "../x"}}'])
def test_an_index_that_cannot_be_followed_is_refused(tmp_path, content):
    folder = made(tmp_path / "gpt2", layout="shards")
    (folder / "model.safetensors.index.json").write_text(content)
    assert "allowed is a readable model.safetensors.index.json" in refusal(folder)


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path):
    folder = made(tmp_path / "gpt2", layout="shards")
    index = folder / "model.safetensors.index.json"
    found = json.loads(index.read_text())
    found["weight_map"]["extra.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(found))
    assert "model-00001-of-00002.safetensors has no extra.weight" in refusal(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors is missing" in refusal(folder)


def test_files_and_names_that_cannot_be_folders_are_refused(tmp_path):
    folder = made(tmp_path / "gpt2")
    with pytest.raises(ValueError, match="the folder with config.json and weights, not a file"):
        language_models.open_checkpoint(folder / "model.safetensors")
    for name in ("~nosuchuser/gpt2", "a\0b", "x/" * 4000):
        with pytest.raises(ValueError, match="checkpoint = .*allowed is a folder that exists"):
            language_models.open_checkpoint(name)
