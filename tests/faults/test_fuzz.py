"""Anything that a user can type or put into a folder: it is understood, or refused in one line of our own."""

import contextlib
import io
import json
import shutil
import traceback

import gpt2_family
import hypothesis
import numpy as np
import pytest
import transformers
from hypothesis import strategies as st
from PIL import Image
from test_malformed import FIELDS, SHORT_NAMES, repeated

from polysemanticity.base import paths
from polysemanticity.engine import run
from polysemanticity.networks import data, language_models

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
ANY = st.text(
    st.characters(exclude_characters="\n"), max_size=8
)  # lone surrogates too: names of files that are no UTF-8
NAMES = st.sampled_from(sorted(SHORT_NAMES))
PLACES = st.sampled_from(["folder", "text", "networks", "vision.folder", "real_language.text"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3), max_leaves=5,
)  # fmt: skip
OPTIONS = st.sampled_from(
    ["--profile", "--only", "--jobs", "--device", "--seed", "--set", "--force", "--timeout", "--list"]
)
WORDS = st.sampled_from([
    "smoke", "default", "paper", "auto", "cpu", "cuda", "cuda:0", "0", "-1", "1e9", "status", "retry", "--", "-", "", "=", "a=b",
    "~nobody/x", "~", ".", "/", "/dev/null", "feature_capacity", "coding_theory_spectra", "00", "'", '"', "\0", "\udcff", "λ",
    *(f"{option}=1" for option in ("--jobs", "--seed", "--timeout", "--profile", "--set", "--only")),
])  # fmt: skip


def assignment(name, value):
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


ARGUMENTS = st.lists(
    OPTIONS | WORDS | ANY
    | st.builds(assignment, NAMES | ANY, JSON) | st.builds(assignment, PLACES, WORDS | ANY), max_size=6,
).map(lambda words: [word for word in words if not word.startswith(("new", "--site", "--das", "-h", "--h"))])  # fmt: skip


def complaint_of(call):
    """Call; return what was complained of, None where nothing was. Whatever else is raised is a failure."""
    try:
        call()
    except ValueError as error:
        told = str(error)
        assert "allowed" in told and "\n" not in told and len(told) < 6000, told
        assert type(error) is ValueError, type(error)  # no decoder's own
        return told
    return None


def test_any_request_is_run_or_refused_in_a_line(request, tmp_path, monkeypatch, count, size):
    monkeypatch.setattr(run, "run", lambda *_: 0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv(run.CALLED_FROM, str(tmp_path))

    @repeated(request.config.fault_seed, size(25, 350))
    @hypothesis.given(ARGUMENTS)
    def check(arguments):
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = run.main(arguments)
            except SystemExit as error:
                status = error.code
            except Exception:
                pytest.fail(f"{arguments}: {traceback.format_exc()[-1500:]}")
        complaint = told.getvalue().strip()
        assert status in (0, 2) and "Traceback" not in complaint, (arguments, complaint)
        assert (status == 0) == (complaint == ""), (arguments, complaint)
        assert complaint.count("\n") == 0 or complaint.startswith("usage:"), (arguments, complaint)
        assert len(complaint) < 8000
        count("a fuzzed request").add()


def corpora():
    """Texts as people have them, and bytes that are none."""
    words = st.sampled_from(
        ["The cat. ", "Ünï ", "\n", "\n\n", "\r\n", "\t", "<|endoftext|>", "\f", "word", "。", "{}", "!", "\u2028"]
    )
    texts = st.tuples(st.lists(words, max_size=40), st.integers(1, 300)).map(lambda drawn: "".join(drawn[0]) * drawn[1])
    codes = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
    coded = st.tuples(texts, codes).map(lambda drawn: drawn[0].encode(drawn[1]))
    return coded | st.binary(max_size=300) | texts.map(lambda text: text.encode("latin-1", "replace"))


def test_any_text_is_divided_or_refused(request, tmp_path, count, size):
    file = tmp_path / "own.txt"

    @repeated(request.config.fault_seed, size(20, 150))
    @hypothesis.given(corpora())
    def check(content):
        file.write_bytes(content)

        def divide():
            text = data.english_text(file)
            parts = language_models.split_text(text, (3, 1, 1), 0)
            assert (
                len(parts) == 3 and all(part.strip() for part in parts) and sum(map(len, parts)) <= len(text) * 2 + 99
            )

        complaint_of(divide)
        count("a fuzzed text").add()


def written(mode, size, kind, seed):
    """A picture's file."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), np.uint8)
    picture = Image.fromarray(noise, "RGBA") if mode == "RGBA" else Image.fromarray(noise[..., :3]).convert(mode)
    buffer = io.BytesIO()
    try:
        picture.save(buffer, kind)
    except (OSError, ValueError):  # this format has no such mode
        Image.fromarray(noise[..., 0]).save(buffer, kind)
    return buffer.getvalue()


PICTURES = st.builds(
    written, st.sampled_from(["L", "RGB", "RGBA", "P", "CMYK", "1", "LA", "I", "F", "YCbCr", "I;16"]),
    st.sampled_from([(40, 40), (1, 90), (200, 8), (64, 33)]), st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP"]),
    st.integers(0, 9),
)  # fmt: skip
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3)
CUT = st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.9])


def damaged(content, changes, cut):
    """Some bytes changed, mostly among the first, where headers are, and the end cut off."""
    content = bytearray(content)
    for place, byte in changes if content else ():  # an empty file has no byte to change
        content[min(int(place**3 * len(content)), len(content) - 1)] = byte
    return bytes(content[: int(cut * len(content))])


def test_any_folder_of_pictures_is_read_or_refused(request, tmp_path, count, size):
    folder = tmp_path / "own"
    suffixes = st.sampled_from([".png", ".JPG", ".tiff", ".webp", ".bmp", ".txt", ".gif", ""])
    contents = st.builds(damaged, PICTURES, DAMAGE, CUT) | st.binary(max_size=60)

    @repeated(request.config.fault_seed, size(15, 200))
    @hypothesis.given(st.lists(st.tuples(suffixes, contents), max_size=4))
    def check(drawn):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, (suffix, content) in enumerate(drawn):
            (folder / f"{number}{suffix}").write_bytes(content)

        def read():
            for picture in data.photographs(folder, smallest=8).values():
                assert picture.dtype == np.uint8 and picture.ndim in (2, 3) and min(picture.shape[:2]) >= 8

        told = complaint_of(read)
        assert told is None or str(folder) in told
        count("a fuzzed folder of pictures").add()


def test_any_family_of_gpt2_folders_is_measured_as_transformers_does(request, tmp_path, count, size):
    """tests/networks has a fixed share of this."""
    made = gpt2_family.tokenizer()

    @repeated(request.config.fault_seed, size(5, 200))
    @hypothesis.given(gpt2_family.recipes())
    def check(recipe):
        gpt2_family.write(recipe, tmp_path / "gpt2", made)
        how, apart = gpt2_family.outcome(tmp_path / "gpt2")
        wrong = int(apart >= 1e-5 or (how == "opened" and gpt2_family.faulty(recipe)))
        count("a folder of a GPT-2, against transformers").add(str(recipe), wrong=wrong)


FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json")
KEYS = ("n_layer", "n_inner", "activation_function", "tie_word_embeddings", "layer_norm_epsilon", "quantization_config",
        "scale_attn_weights", "eos_token_id", "model_type", "attn_pdrop", "dtype", "add_cross_attention", "id2label",
        "architectures", "_attn_implementation", "use_cache", "transformers_version", "torch_dtype")  # fmt: skip
SPOILT = st.tuples(
    st.sampled_from(FILES), st.builds(lambda changes, cut: ("damage", changes, cut), DAMAGE, CUT)
    | st.builds(lambda key, value: ("set", key, value), st.sampled_from(KEYS) | ANY, JSON)
    | st.binary(max_size=40).map(lambda content: ("replace", content)) | JSON.map(lambda value: ("json", value)),
)  # fmt: skip


def spoil(file, how):
    """Change one file of a folder, which need not be there."""
    kind, *what = how
    content = file.read_bytes() if file.exists() else b"{}"
    if kind == "damage":
        file.write_bytes(damaged(content, *what))
    elif kind == "replace":
        file.write_bytes(what[0])
    elif kind == "json":
        file.write_text(json.dumps(what[0]), encoding="utf-8")
    elif file.suffix == ".json":
        with contextlib.suppress(ValueError, TypeError):
            found = json.loads(content)
            found[what[0]] = what[1]
            file.write_text(json.dumps(found), encoding="utf-8")


def test_any_folder_of_a_checkpoint_is_opened_or_refused(request, tmp_path, count, size):
    made, folder = gpt2_family.tokenizer(), tmp_path / "gpt2"
    good = {"fault": "none", "dtype": "float32", "seed": 0, "config": {
        "model_type": "gpt2", "vocab_size": 300, "n_positions": 8, "n_layer": 1, "n_embd": 4, "n_head": 2,
        "tie_word_embeddings": True}}  # fmt: skip

    @repeated(request.config.fault_seed, size(15, 250))
    @hypothesis.given(
        st.sampled_from(gpt2_family.LAYOUTS),
        st.sampled_from(gpt2_family.STATES),
        st.lists(SPOILT, min_size=1, max_size=2),
    )
    def check(layout, state, spoilt):
        gpt2_family.write(good | {"layout": layout, "state": state}, folder, made)
        for name, how in spoilt:
            spoil(folder / name, how)

        def measure():
            opened = language_models.open_checkpoint(folder)
            tokens = language_models.contexts(gpt2_family.TEXT, language_models.tokenizer_of(opened), 8)
            *_, last = language_models.layers(opened, tokens)
            language_models.next_token_loss(opened, last.residual, tokens)

        complaint_of(measure)
        count("a fuzzed folder of a checkpoint").add()


def test_the_names_that_are_fuzzed_are_those_of_the_settings():
    assert len(FIELDS) > 200 and {"vision.sizes", "real_language.text", "threads"} <= set(FIELDS)
    assert {"folder", "text", "networks", "n_seeds"} <= SHORT_NAMES and paths.cache().name == "cache"
