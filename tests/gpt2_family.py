"""Random folders of small GPT-2s, good and faulty, and whether they are opened as transformers opens them."""

import json
import shutil
from pathlib import Path

import torch
import transformers
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from polysemanticity.networks import language_models

TEXT = "The old river, again.\n\nNobody asked why the small red house was <|endoftext|> lost in 1912."
FAULTS = (
    "none", "none", "none", "a table that is too small", "NaN", "infinity", "int8", "no block", "no head", "two heads",
    "an activation that is not known", "heads that do not divide", "wrappers", "an index without a shard",
)  # fmt: skip
LAYOUTS = ("whole", "prefixed", "shards", "shards without index", "whole beside shards", "shards beside stale ones")
STATES = (
    "plain", "plain", "truncated", "padded", "vocabulary", "save_pretrained", "prefix space", "lower case", "digits",
    "another class", "an added token",
)  # fmt: skip


def tokenizer() -> Tokenizer:
    """A byte-level tokenizer with GPT-2's special token."""
    made = language_models.train_tokenizer(TEXT * 4, 290)
    made.add_special_tokens(["<|endoftext|>"])
    return made


@st.composite
def recipes(draw):
    """What a folder is made from."""
    heads = draw(st.sampled_from([1, 2, 4]))
    return {
        "seed": draw(st.integers(0, 999)),
        "fault": draw(st.sampled_from(FAULTS)),
        "layout": draw(st.sampled_from(LAYOUTS)),
        "state": draw(st.sampled_from(STATES)),
        "dtype": draw(st.sampled_from(["float32", "float32", "float16", "bfloat16", "float64"])),
        "config": {
            "model_type": "gpt2",
            "vocab_size": draw(st.sampled_from([291, 300, 320])),
            "n_positions": draw(st.sampled_from([8, 12])),
            "n_layer": draw(st.integers(1, 3)),
            "n_embd": heads * draw(st.sampled_from([2, 3, 8])),
            "n_head": heads,
            "n_inner": draw(st.sampled_from([None, 5, 16])),
            "activation_function": draw(st.sampled_from(["gelu_new", "gelu", "relu", "silu", "tanh", "quick_gelu"])),
            "scale_attn_weights": draw(st.booleans()),
            "scale_attn_by_inverse_layer_idx": draw(st.booleans()),
            "reorder_and_upcast_attn": draw(st.booleans()),
            "layer_norm_epsilon": draw(st.sampled_from([1e-5, 1e-2, 1e-12])),
            "tie_word_embeddings": draw(st.booleans()),
            "bos_token_id": None,
            "eos_token_id": None,
        },
    }


def write(recipe: dict, folder: Path, made: Tokenizer) -> None:
    """Make the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config, fault = dict(recipe["config"]), recipe["fault"]
    weights = _weights(config, recipe["seed"], recipe["dtype"])
    if fault == "an activation that is not known":
        config["activation_function"] = "swiglu2"
    if fault == "heads that do not divide":
        config["n_head"] = config["n_embd"] + 1
    _spoil(weights, config, fault)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    _lay(weights, folder, recipe["layout"], fault)
    _keep(made, folder, recipe["state"])


def _weights(config: dict, seed: int, dtype: str) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config.from_dict(config))
    draws = torch.Generator().manual_seed(seed)
    found = {
        name: (torch.randn(value.shape, generator=draws) * 0.3).to(getattr(torch, dtype))
        for name, value in model.transformer.state_dict().items()
    }
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = torch.randn(found["wte.weight"].shape, generator=draws).to(getattr(torch, dtype))
    return found


def _spoil(weights: dict, config: dict, fault: str) -> None:
    table = weights["wte.weight"]
    if fault == "a table that is too small":
        weights["wte.weight"] = table[:-1].clone()
    if fault in ("NaN", "infinity"):
        weights["h.0.mlp.c_fc.bias"][0] = float("nan" if fault == "NaN" else "-inf")
    if fault == "int8":
        weights["h.0.mlp.c_fc.weight"] = torch.ones(weights["h.0.mlp.c_fc.weight"].shape, dtype=torch.int8)
    if fault == "no block":
        config["n_layer"] += 1
    if fault == "no head":
        config["tie_word_embeddings"] = False
        weights.pop("lm_head.weight", None)
    if fault == "two heads":
        config["tie_word_embeddings"] = True
        weights["lm_head.weight"] = table + 1


def _lay(weights: dict, folder: Path, layout: str, fault: str) -> None:
    if layout != "whole":
        weights = {name if name == "lm_head.weight" else f"transformer.{name}": v for name, v in weights.items()}
    if fault == "wrappers":
        weights = {f"_orig_mod.{name}": value for name, value in weights.items()}
    halves = [dict(list(weights.items())[part::2]) for part in range(2)]
    names = [f"model-{part:05}-of-00002.safetensors" for part in (1, 2)]
    stale = {name: torch.zeros_like(value) for name, value in weights.items()}
    if layout in ("whole", "prefixed", "whole beside shards"):
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if layout == "whole beside shards":
        for name, half in zip(names, halves, strict=True):
            save_file({key: stale[key] for key in half}, folder / name, metadata={"format": "pt"})
    if layout.startswith("shards"):
        for name, half in zip(names, halves, strict=True):
            save_file(half, folder / name, metadata={"format": "pt"})
    if layout == "shards beside stale ones":
        save_file(stale, folder / "model-00001-of-00003.safetensors", metadata={"format": "pt"})
    if layout in ("shards", "shards beside stale ones", "whole beside shards"):
        placed = {key: name for name, half in zip(names, halves, strict=True) for key in half}
        index = {"metadata": {}, "weight_map": placed}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    if fault == "an index without a shard" and layout.startswith("shards"):
        (folder / names[1]).unlink()


def _keep(made: Tokenizer, folder: Path, state: str) -> None:
    kept, said = Tokenizer.from_str(made.to_str()), None
    if state == "truncated":
        kept.enable_truncation(5)
    if state == "padded":
        kept.enable_padding(length=400)
    if state == "prefix space":
        said = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}
    if state == "lower case":
        kept.normalizer = normalizers.Lowercase()
    if state in ("digits", "another class"):
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        kept.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if state == "another class":
        said = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if state == "an added token":
        said = {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {"290": {"content": "river"}}}
    if said is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    if state == "vocabulary":
        kept.model.save(str(folder))
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        vocabulary["<|endoftext|>"] = len(vocabulary)  # as it is published
        (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    elif state == "save_pretrained":
        transformers.PreTrainedTokenizerFast(tokenizer_object=kept).save_pretrained(folder)
    else:
        kept.save(str(folder / "tokenizer.json"))


def faulty(recipe: dict) -> bool:
    """Whether the weights of a folder must be refused."""
    fault, layout = recipe["fault"], recipe["layout"]
    if fault == "an index without a shard":
        return layout.startswith("shards")
    return fault != "none"


@torch.no_grad()
def outcome(folder: Path) -> tuple[str, float]:
    """Open a folder here and by transformers: ("refused", 0) or ("opened", the largest difference of what is measured).

    What is compared are tokens, hidden states and the loss of each token; 1 stands for other tokens.
    """
    try:
        opened = language_models.open_checkpoint(folder)
        known = language_models.tokenizer_of(opened)
        tokens = language_models.contexts(TEXT, known, 8)
        layers = list(language_models.layers(opened, tokens))
        loss = language_models.next_token_loss(opened, layers[-1].residual, tokens)
    except ValueError as error:
        assert "allowed is" in str(error) and (str(folder) in str(error) or "tokenizer" in str(error)), str(error)
        assert "\n" not in str(error) and len(str(error)) < 2000, str(error)
        return "refused", 0.0
    if transformers.AutoTokenizer.from_pretrained(folder)(TEXT, add_special_tokens=False)["input_ids"][
        : tokens.numel()
    ] != (tokens.flatten().tolist()):
        return "opened", 1.0
    if not (folder / "model.safetensors").exists() and not list(folder.glob("*.index.json")):
        shards = sorted(folder.glob("*.safetensors"))  # transformers wants an index
        placed = {name: shard.name for shard in shards for name, (file, _) in opened.weights.items() if file == shard}
        index = {"metadata": {}, "weight_map": {opened.weights[name][1]: file for name, file in placed.items()}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    model = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    expected = model(tokens, output_hidden_states=True)
    pairs = list(zip([layer.residual for layer in layers], expected.hidden_states[:-1], strict=False))
    losses = torch.nn.functional.cross_entropy(expected.logits[:, :-1].mT, tokens[:, 1:], reduction="none")
    return "opened", max(_apart(one, other) for one, other in [*pairs, (loss, losses)])


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the values' size where that is above 1."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1))
