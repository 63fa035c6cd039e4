"""Folders that hold a GPT-2: which files are its weights and its tokenizer, exactly as transformers chooses them.

What transformers reads otherwise, or would fill with random numbers, is refused by name: nothing is guessed and nothing
is unpickled. Headers are read when a folder is opened, weights when they are asked for.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from polysemanticity.base.checks import check

FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "added_tokens.json", "vocab.json", "merges.txt",
    "*.safetensors", "*.safetensors.index.json",
)  # fmt: skip
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
MASKS = (".attn.bias", ".attn.masked_bias")  # stored in old checkpoints, no weights
HEAD, EMBEDDING = "lm_head.weight", "wte.weight"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"model-(\d+)-of-(\d+)\.safetensors")
REAL = ("F64", "F32", "F16", "BF16")  # the types of numbers that a weight is stored in
WRAPPERS = {
    "module.": "torch's DataParallel",
    "_orig_mod.": "torch.compile",
    "base_model.model.": "peft",
}  # what a network was in when its weights were written: their names begin with it
SPECIAL = "<|endoftext|>"
MOST_BLOCKS = 1000
REBUILT = (None, "GPT2Tokenizer", "GPT2TokenizerFast")  # classes that keep of tokenizer.json only its vocabulary
ROWS = 4096  # of a table, compared at a time


class Checkpoint(NamedTuple):
    """A GPT-2 on disk: its settings (a `transformers.GPT2Config`) and the file and stored name of every weight."""

    folder: Path
    config: object
    weights: Mapping[str, tuple[Path, str]]


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Return the GPT-2 in a local folder, or of a hub name such as `gpt2-xl`, fetched once where there is a network.

    The weights are model.safetensors, else the shards that model.safetensors.index.json names, else one whole set of
    shards; other files in the folder count for nothing. Only headers are read, and both tables of a network that is
    said to have one for input and output. Raises ValueError saying what to do: a folder that is missing, holds another
    model or something that is no model, weights that are missing, ambiguous, damaged, pickled, of another shape than
    config.json says or no real numbers, a hub name that cannot be fetched.
    """
    folder = _folder(source)
    config = _config(folder)
    checkpoint = Checkpoint(folder, config, _weights(folder))
    _check_shapes(checkpoint)
    _check_head(checkpoint)
    return checkpoint


def _refuse(folder: Path, allowed: str) -> None:
    check(False, "checkpoint", str(folder), allowed)


def _folder(source: str | Path) -> Path:
    text = str(source)
    try:
        path = Path(source).expanduser()
        if text and path.is_dir():
            return path
        is_file = path.is_file()
    except (RuntimeError, OSError, ValueError):  # ~ of nobody, a name that no file can have
        is_file = False
    check(not is_file, "checkpoint", text, "the folder with config.json and weights, not a file")
    allowed = "a folder that exists, or a name on the hub such as gpt2-xl"
    check(bool(HUB_NAME.fullmatch(text)), "checkpoint", text, allowed)
    return _fetched(text, FILES)


def look_for(name: str) -> None:
    """Raise ValueError unless there is a model of this name on the hub, or in its cache; its settings are fetched."""
    _fetched(name, FILES[:1])


def _fetched(text: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=list(files)))
    except Exception as error:  # the hub's client raises many kinds
        raise ValueError(
            f"checkpoint = {text!r}: allowed is a folder that exists, or a hub name where there is a network "
            f"({type(error).__name__}: {(str(error).splitlines() or [''])[0]}); to work without one, run `hf download "
            f"{text}` on a machine that has one, copy the folder here and give its path"
        ) from error


def _config(folder: Path):
    from transformers import GPT2Config

    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = _json(adapter).get("base_model_name_or_path")
        _refuse(
            folder,
            f"a whole model; this is a LoRA adapter of {base!r}: merge it with peft's merge_and_unload() and "
            "save_pretrained(new_folder)",
        )
    try:
        found = _json(folder / "config.json")
    except ValueError as error:
        allowed = f"a checkpoint's folder with a readable config.json ({error}){_inside(folder)}"
        raise ValueError(f"checkpoint = {str(folder)!r}: allowed is {allowed}") from error
    kind = found.get("model_type")
    check(kind == "gpt2", "checkpoint", str(folder), f"a GPT-2; this config.json says model_type {kind!r}")
    for name in ("quantization_config", "transformers_weights", "pruned_heads"):
        check(not found.get(name), "checkpoint", str(folder), f"a GPT-2 as published; config.json has {name}")
    sizes = {name: found.get(name, 1) for name in ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions")}
    whole = all(type(value) is int and 1 <= value <= 10**6 for value in sizes.values())
    check(whole, "checkpoint", str(folder), f"a GPT-2 with sizes from 1 to a million; config.json says {sizes}")
    check(sizes["n_layer"] <= MOST_BLOCKS, "checkpoint", str(folder), f"a GPT-2 with at most {MOST_BLOCKS} blocks")
    try:
        config = GPT2Config.from_dict(found)
        config._attn_implementation = "sdpa"
        block_shapes(config)
    except Exception as error:  # transformers checks the other fields
        allowed = f"a GPT-2 as published; config.json: {' '.join(str(error).split())[:300]}"
        raise ValueError(f"checkpoint = {str(folder)!r}: allowed is {allowed}") from error
    return config


def _json(file: Path) -> dict:
    """The object in a JSON file; ValueError saying what is wrong."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} holds no object")
    return found


def _inside(folder: Path) -> str:
    """Where in the folder a model may be, as a clause of a refusal."""
    snapshots = sorted(folder.glob("snapshots/*/config.json"))
    if snapshots:
        return f"; this is a model in the hub's cache: give {snapshots[-1].parent}"
    models = sorted(path.name for path in folder.glob("models--*"))
    if models:
        return f"; this is the hub's cache: give the folder below snapshots/ of one of {', '.join(models[:5])}"
    steps = sorted(folder.glob("checkpoint-*/config.json"), key=lambda path: (len(path.parent.name), path))
    if steps:
        return f"; this is a trainer's folder: give one of its checkpoints, the last is {steps[-1].parent}"
    models = sorted(folder.glob("*/config.json"))
    return f"; one is in {models[0].parent}" if models else ""


def _weights(folder: Path) -> dict[str, tuple[Path, str]]:
    found: dict[str, tuple[Path, str]] = {}
    for file in _weight_files(folder):
        for stored in _names(file):
            name = stored.removeprefix("transformer.")
            if name in found:
                _refuse(folder, f"each weight once; {name} is in {found[name][0].name} and {file.name}, or twice in it")
            found[name] = file, stored
    for prefix, what in WRAPPERS.items():
        if any(name.startswith(prefix) for name in found):
            allowed = (
                f"weights named as transformers names them; here they begin with {prefix!r}, as {what} leaves them"
            )
            _refuse(folder, f"{allowed}: write the network inside it anew with save_pretrained")
    return found


def _weight_files(folder: Path) -> list[Path]:
    whole, index = folder / WHOLE, folder / INDEX
    if whole.is_file():
        return [whole]
    if index.is_file():
        return _indexed(folder, index)
    there = {file.name: file for file in sorted(folder.glob("*.safetensors"))}
    shards = {int(found[1]): int(found[2]) for found in map(SHARD.fullmatch, there) if found}
    complete = sorted(shards) == list(range(1, len(there) + 1)) and set(shards.values()) == {len(there)}
    if there and complete:
        return list(there.values())
    allowed = f"a folder with safetensors weights: {WHOLE}, or shards and {INDEX}"
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    if there:
        allowed += f"; which of {', '.join(list(there)[:4])} {'are' if len(there) > 1 else 'is'} meant nothing says"
    elif pickled:
        allowed += (
            f"; {', '.join(pickled[:4])} is pickled and not opened: write it anew with "
            "transformers.GPT2LMHeadModel.from_pretrained(folder).save_pretrained(new_folder), where you trust it"
        )
    else:
        allowed += _inside(folder)
    _refuse(folder, allowed)
    return []


def _indexed(folder: Path, index: Path) -> list[Path]:
    """The shards that an index names; all of its weights have to be in them."""
    try:
        placed = _json(index)["weight_map"]
        names = sorted(set(placed.values()))
        plain = all(isinstance(name, str) and Path(name).name == name for name in names)
    except (ValueError, KeyError, AttributeError, TypeError):
        plain = False
    if not plain:
        _refuse(folder, f"a readable {INDEX}, whose weight_map names files in its folder")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        _refuse(folder, f"a folder with every shard of its {INDEX}; {', '.join(missing[:4])} is missing")
    files = [folder / name for name in names]
    stored = {name: file.name for file in files for name in _names(file)}
    wrong = [name for name, file in placed.items() if stored.get(name) != file]
    if wrong:
        _refuse(folder, f"an {INDEX} that fits its shards; {placed[wrong[0]]} has no {wrong[0]}")
    return files


def _names(file: Path) -> list[str]:
    return [name for name, _, _ in _headers(file)]


def _headers(file: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    """Stored name, type and shape of every array in a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            return [(name, part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()]
    except (SafetensorError, OSError) as error:
        allowed = f"a complete safetensors file; fetch or copy it again ({error})"
        raise ValueError(f"weights = {str(file)!r}: allowed is {allowed}") from error


def block_shapes(config) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a block, by its name in the block."""
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in GPT2Block(config, layer_idx=0).named_parameters()}


def _check_shapes(checkpoint: Checkpoint) -> None:
    folder, config, weights = checkpoint
    width, block = config.n_embd, block_shapes(config)
    wanted = {EMBEDDING: (config.vocab_size, width), "wpe.weight": (config.n_positions, width)}
    wanted |= {"ln_f.weight": (width,), "ln_f.bias": (width,)}
    wanted |= {f"h.{k}.{name}": shape for k in range(config.n_layer) for name, shape in block.items()}
    missing = [name for name in wanted if name not in weights]
    allowed = (
        f"a folder with all weights of its config.json ({len(missing)} are missing, e.g. {', '.join(missing[:2])})"
    )
    check(not missing, "checkpoint", str(folder), allowed)
    if HEAD in weights:
        wanted[HEAD] = wanted[EMBEDDING]
    headers = {
        file: {n: (kind, shape) for n, kind, shape in _headers(file)} for file in {f for f, _ in weights.values()}
    }
    for name, shape in wanted.items():
        file, stored = weights[name]
        kind, found = headers[file][stored]
        fits = f"weights that fit config.json; {name} is {list(found)}, not {list(shape)}"
        check(found == shape, "checkpoint", str(folder), fits)
        check(kind in REAL, "checkpoint", str(folder), f"weights of {', '.join(REAL)}; {name} is {kind}: quantized?")


def _check_head(checkpoint: Checkpoint) -> None:
    """The output table is the stored one where there is one, else that of the input; config.json has to agree."""
    folder, config, weights = checkpoint
    tied = config.tie_word_embeddings
    if HEAD not in weights:
        allowed = "a GPT-2 with its output table: config.json says it has one of its own, and lm_head.weight is missing"
        check(tied, "checkpoint", str(folder), allowed)
    elif tied:
        pairs = zip(_rows(checkpoint, HEAD), _rows(checkpoint, EMBEDDING), strict=True)
        same = all(torch.equal(one, other) or not one.isfinite().all() for one, other in pairs)
        allowed = "one output table; config.json says that it is the input's, and another is stored: which is meant?"
        check(same, "checkpoint", str(folder), f"{allowed} Set tie_word_embeddings to false if it is the stored one")


def _rows(checkpoint: Checkpoint, name: str) -> Iterator[Tensor]:
    from safetensors import safe_open

    file, stored = checkpoint.weights[name]
    with safe_open(file, "pt") as opened:
        table = opened.get_slice(stored)
        for start in range(0, table.get_shape()[0], ROWS):
            yield table[start : start + ROWS]


def read(checkpoint: Checkpoint, prefix: str, dtype: torch.dtype, device) -> dict[str, Tensor]:
    """Return the weights whose names start with `prefix`, without it, converted one by one to `dtype` on the device.

    Raises ValueError for a weight that has NaN or infinity in it.
    """
    chosen: dict[Path, list[str]] = {}
    for name, (file, _) in checkpoint.weights.items():
        if name.startswith(prefix) and not name.endswith(MASKS):
            chosen.setdefault(file, []).append(name)
    weights = {}
    for file, names in chosen.items():

        def taken(opened, names=names):
            for name in names:
                converted = opened.get_tensor(checkpoint.weights[name][1]).to(dtype, copy=True)
                check_finite(checkpoint, name, converted)
                weights[name.removeprefix(prefix)] = converted.to(device)

        _reading(file, taken)
    return weights


def read_rows(checkpoint: Checkpoint, name: str, rows: list[int] | range) -> Tensor:
    """Return some rows of a table as it is stored. Raises as `read`."""

    def taken(opened):
        table = opened.get_slice(checkpoint.weights[name][1])
        return torch.cat([table[row : row + 1] for row in rows])

    found = _reading(checkpoint.weights[name][0], taken)
    check_finite(checkpoint, name, found)
    return found


def _reading(file: Path, what: Callable):
    """What a function returns of an opened file, which is closed then: pages of it do not pile up."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return what(opened)
    except (SafetensorError, OSError) as error:  # it has changed since
        raise ValueError(f"weights = {str(file)!r}: allowed is a complete safetensors file ({error})") from error


def check_finite(checkpoint: Checkpoint, name: str, weight: Tensor) -> None:
    """Raise ValueError naming a weight that has NaN or infinity in it."""
    finite = bool(torch.isfinite(weight).all())
    allowed = f"finite weights; {name} has NaN or infinity in it as {weight.dtype}"
    check(finite, "checkpoint", str(checkpoint.folder), allowed)


def tokenizer_of(checkpoint: Checkpoint):
    """Return the checkpoint's own tokenizer (a `tokenizers.Tokenizer`), which makes the tokens that transformers makes.

    Raises ValueError for a folder without one, for one whose files contradict each other, and for one with more tokens
    than the network has embeddings.
    """
    from tokenizers import ByteLevelBPETokenizer, Tokenizer

    whole, vocabulary, merges = (checkpoint.folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
    allowed = "a folder with a tokenizer: tokenizer.json, or vocab.json and merges.txt, from where the weights are from"
    there = whole.is_file() or (vocabulary.is_file() and merges.is_file())
    check(there, "checkpoint", str(checkpoint.folder), allowed)
    try:
        if whole.is_file():
            tokenizer = Tokenizer.from_file(str(whole))
        else:
            tokenizer = ByteLevelBPETokenizer(str(vocabulary), str(merges))._tokenizer
        known = tokenizer.get_vocab(with_added_tokens=True)
        tokenizer.encode("a b", add_special_tokens=False)
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ValueError(f"checkpoint = {str(checkpoint.folder)!r}: allowed is {allowed} ({error})") from error
    _check_tokenizer(checkpoint.folder, tokenizer)
    tokenizer.no_truncation()  # both may be kept in the file, and are no part of how text is read
    tokenizer.no_padding()
    if SPECIAL in known:
        tokenizer.add_special_tokens([SPECIAL])
    check_vocabulary(tokenizer, checkpoint.config)
    return tokenizer


def _check_tokenizer(folder: Path, tokenizer) -> None:
    """transformers builds a GPT-2's tokenizer anew from the vocabulary, and adds what tokenizer_config.json says."""
    state = json.loads(tokenizer.to_str())
    said, added = ({} if not (folder / name).is_file() else _said(folder, name) for name in SAID)
    more = said.get("added_tokens_decoder") or {}
    tokens = [entry.get("content") for entry in more.values() if isinstance(entry, dict)] if more else []
    known = tokenizer.get_vocab(with_added_tokens=True)
    lacking = [str(token) for token in [*tokens, *added] if token not in known]
    anew = "write the tokenizer anew with transformers' save_pretrained(folder)"
    allowed = f"a tokenizer whose files agree; it lacks {', '.join(lacking[:3])} of {' or '.join(SAID)}: {anew}"
    check(not lacking, "checkpoint", str(folder), allowed)
    check(not state["model"].get("dropout"), "checkpoint", str(folder), "a tokenizer without dropout")
    kind = said.get("tokenizer_class")
    if kind not in REBUILT and (folder / "tokenizer.json").is_file():
        return  # this class takes tokenizer.json as it is
    steps = state["pre_tokenizer"] or {}
    plain = state["model"]["type"] == "BPE" and state["normalizer"] is None and steps.get("type") == "ByteLevel"
    plain = plain and not steps.get("add_prefix_space") and steps.get("use_regex", True)
    allowed = f"GPT-2's own way of cutting text: transformers ignores the one in tokenizer.json; {anew}"
    check(plain and not said.get("add_prefix_space"), "checkpoint", str(folder), allowed)


SAID = ("tokenizer_config.json", "added_tokens.json")


def _said(folder: Path, name: str) -> dict:
    try:
        return _json(folder / name)
    except ValueError as error:
        raise ValueError(f"checkpoint = {str(folder)!r}: allowed is a readable {name} ({error})") from None


def check_vocabulary(tokenizer, config) -> None:
    """Raise ValueError if the tokenizer can produce tokens that the network has no embedding for."""
    size = max(tokenizer.get_vocab().values(), default=-1) + 1
    allowed = f"1 to the network's vocab_size {config.vocab_size}: take the tokenizer that it was trained with"
    check(1 <= size <= config.vocab_size, "number of the tokenizer's tokens", size, allowed)
