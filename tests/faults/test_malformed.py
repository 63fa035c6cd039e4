"""Malformed parameters and files: one clear line that names the value and what is allowed, and a status that is not 0."""

import contextlib
import io
import json
import math
import os
import subprocess
import sys
import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from polysemanticity.base import config, paths
from polysemanticity.engine import run
from polysemanticity.networks import data, language_models
from polysemanticity.papers import coding_theory_spectra, feature_capacity, incidental_polysemanticity

PAPERS = (coding_theory_spectra, incidental_polysemanticity, feature_capacity)
FIELDS = {
    name: (kind, field.metadata) for paper in PAPERS for name, field, kind, _ in config._fields(paper.Config())
}  # by their full names
NOT_A_NUMBER = st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "null", '"2"', "{}", "[[]]", "", "two", "[1"])
NOT_TEXT = st.sampled_from(["3", "null", "[]", "{}", "true", "1.5"])
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
HUGE = st.sampled_from(["9" * 5000, "-" + "9" * 400, "[" * 100_000, '{"a":' * 50_000])


SHORT_NAMES = set(FIELDS) | {name.rpartition(".")[2] for name in FIELDS}


@st.composite
def bad_settings(draw):
    """--set FIELD=VALUE with a value that the field does not allow."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    kind, metadata = FIELDS[name]
    low, high, choices = (metadata.get(key) for key in ("low", "high", "choices"))
    several = typing.get_origin(kind) is tuple
    kind = typing.get_args(kind)[0] if several else kind
    values = [NOT_TEXT] if kind is str else [HUGE, NOT_A_NUMBER]
    if kind is bool:
        values = [NOT_A_NUMBER]
    if kind is int:
        values.append(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != int(x)).map(json.dumps))
        values.append(st.sampled_from(["true", "false"]))
    if choices is not None and kind is str:
        values.append(WORDS.filter(lambda text: text not in choices).map(json.dumps))
    if kind in (int, float):
        if low is not None:
            values.append(st.integers(1, 10**30).map(lambda below: str(math.floor(low) - below)))
        if high is not None:
            values.append(st.integers(1, 10**30).map(lambda above: str(math.ceil(high) + above)))
        if high is None and kind is int:
            values.append(st.integers(config.MOST + 1, 10**30).map(str))
    value = draw(st.one_of(values))
    if several:
        value = draw(st.sampled_from(["[]", value if value[:1] != "[" else "3", f"[{value or 'null'}]"]))
    return ["--set", f"{name}={value}"], "checkpoint" if name == "language.checkpoint" else name


@st.composite
def bad_requests(draw):
    """A command line that must be refused, and a text that the refusal must hold."""
    which = draw(st.integers(0, 11))
    word = draw(WORDS)
    if which < 5:
        return draw(bad_settings())
    if which == 5:
        hypothesis.assume(word not in ("smoke", "default", "paper") and word[:1] != "-")
        return ["--profile", word], repr(word)
    if which == 6:
        hypothesis.assume(word not in paths.notebooks() and word[:1] != "-")
        return ["--only", word], repr(word)
    if which == 7:
        hypothesis.assume(word.partition(":")[0] not in ("auto", "cpu", "cuda") and word[:1] != "-")
        return ["--device", word], repr(word)
    if which == 8:
        return [f"--seed={draw(st.integers(max_value=-1))}"], "seed = -"
    if which == 9:
        hypothesis.assume(not word.strip().isdigit())
        return [f"{draw(st.sampled_from(['--seed', '--jobs', '--timeout']))}={word}"], repr(word)
    if which == 10:
        hypothesis.assume(word.partition("=")[0].strip() not in SHORT_NAMES and word[:1] != "-")
        return ["--set", word], "--set" if not word.partition("=")[1] or not word.partition("=")[0].strip() else "field"
    hypothesis.assume(word[:1] not in ("-", "") and word not in ("status", "gc", "retry"))
    return [word], repr(word)


def repeated(seed, examples):
    """Run a property on as many examples, from the seed that is printed, keeping nothing."""
    settings = hypothesis.settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    return lambda check: hypothesis.seed(seed)(settings(check))()


def refused(arguments):
    """Return (status, complaint) of a command line, as the shell would see it."""
    complaint = io.StringIO()
    with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = run.main(arguments)
        except SystemExit as error:
            status = error.code
    return status, complaint.getvalue()


def test_malformed_parameters_are_refused_in_one_line(request, monkeypatch, count, size):
    def never(*_, **__):
        raise AssertionError("it was accepted")

    monkeypatch.setattr(run, "run", never)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # a checkpoint's name is looked for

    @repeated(request.config.fault_seed, size(40, 500))
    @hypothesis.given(bad_requests())
    def check(case):
        arguments, named = case
        status, complaint = refused(arguments)
        assert status == 2 and named in complaint
        lines = complaint.strip().splitlines()
        assert "Traceback" not in complaint and (len(lines) == 1 or lines[0].startswith("usage:"))
        assert any(word in lines[-1] for word in ("allowed", "expected one argument", "invalid", "unrecognized"))
        assert len(lines[-1]) < 5000
        count("a malformed parameter").add()


SAMPLE = [
    (["--profile", "smok"], "did you mean 'smoke'"),
    (["--set", "n_seeds=[[[["], "n_seeds"),
    (["--only", "nothing"], "'nothing'"),
    (["--seed", "-3"], "seed = -3"),
    (["--device", "cuda:99"], "cuda:99"),
    (["retry"], "last run"),
    (["--set", "n_train=1000000000000"], "vision.n_train"),
    (["--only", "coding_theory_spectra", "--set", "sizes=[384,192]"], "vision.sizes"),
    (["--only", "coding_theory_spectra", "--set", "text=~nosuchuser/words.txt"], "language.text"),
    (["--only", "coding_theory_spectra", "--set", "folder=2024"], "vision.folder"),
    (["--only", "coding_theory_spectra", "--set", "source=cifar10", "vision.retrain=true"], "CIFAR-10 root"),
]


def test_the_real_command_line_refuses_too(tmp_path, monkeypatch, count, size):
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    for arguments, named in SAMPLE[: size(1, len(SAMPLE))]:
        ended = subprocess.run(
            [sys.executable, "-m", "polysemanticity", *arguments],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 2 and named in ended.stderr and "allowed" in ended.stderr, ended.stderr
        assert ended.stderr.count("\n") == 1 and ended.stdout == ""
        count("a malformed parameter, real command line").add()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | WORDS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner)
)
PICTURES = st.sampled_from(
    [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b"II*\0"]
)
WRONG = st.sampled_from([0, -1, 1.5, "x", None, [], {}, 10**30, True])
GPT2 = st.dictionaries(st.sampled_from(["n_layer", "n_embd", "n_head", "vocab_size", "n_positions"]), WRONG, min_size=1)


def files(folder):
    """Kinds of malformed file: how to make one, and what must refuse it."""
    gpt2 = folder / "gpt2"

    def checkpoint(name):
        def write(content):
            (gpt2 / "model.safetensors").write_bytes(b"")
            (gpt2 / name).write_bytes(content)

        return write

    picture, text, record = folder / "pictures" / "one.png", folder / "text.txt", paths.cache() / "runs" / "one.json"
    for path in (gpt2 / "x", picture, record):
        path.parent.mkdir(parents=True, exist_ok=True)
    as_json = JSON.map(lambda value: json.dumps(value).encode())
    with_gpt2 = GPT2.map(lambda value: json.dumps({"model_type": "gpt2"} | value).encode())
    bytes_ = st.binary(max_size=200)
    return {
        "text": (bytes_.map(lambda b: b"\xff" + b) | st.sampled_from([b"", b" \n"]), text.write_bytes,
                 lambda: data.english_text(text)),
        "picture": (st.tuples(PICTURES, bytes_).map(b"".join), picture.write_bytes,
                    lambda: data.photographs(picture.parent)),
        "config": (as_json | bytes_ | with_gpt2, checkpoint("config.json"), lambda: language_models.open_checkpoint(gpt2)),
        "record": (as_json | bytes_, record.write_bytes, lambda: refused_retry()),
    }  # fmt: skip


def refused_retry():
    status, complaint = refused(["retry"])
    assert status == 2
    raise ValueError(complaint)


@pytest.mark.parametrize("kind", ["text", "picture", "config", "record"])
def test_malformed_files_are_refused_with_their_name(request, tmp_path, count, size, kind):
    contents, write, read = files(tmp_path)[kind]

    @repeated(request.config.fault_seed, size(12, 60))
    @hypothesis.given(contents)
    def check(content):
        write(content)
        with pytest.raises(ValueError, match="allowed is") as refusal:
            read()
        assert str(tmp_path) in str(refusal.value) or "last run" in str(refusal.value)
        count(f"a malformed file: {kind}").add()


def test_status_and_gc_live_with_malformed_files(tmp_path, count, rng, size):
    cache = paths.cache()
    for turn in range(size(5, 40)):
        for name in ("runs/one.json", "results/w/x.npz", "trainings/x.pt", "staging/x/sockets.txt", "locks/x.lock"):
            paths.write_atomically(cache / name, rng.randbytes(rng.randrange(50)))
        for command in (["status"], ["gc", "--dry-run"], ["gc"]):
            assert refused(command) == (0, "")
        assert not (cache / "staging" / "x").exists()
        count("a malformed file: any, under status and gc").add(f"turn {turn}")


@pytest.mark.parametrize("content", [b"", b"{", b'{"cells": 3, "nbformat": 4}', b"\xff\xfe"])
def test_a_malformed_notebook_fails_with_a_reason(tmp_path, monkeypatch, count, size, content):
    if content and size(True, False):
        return
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(tmp_path / "home"))
    paths.write_atomically(tmp_path / "home" / "notebooks" / "03_feature_capacity.ipynb", content)
    ended = subprocess.run(
        [sys.executable, "-m", "polysemanticity", "--profile", "smoke"],
        cwd=paths.ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(paths.PACKAGE.parent)},
    )  # fmt: skip
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "failed after" in ended.stdout and "Error: " in ended.stdout, ended.stdout
    count("a malformed notebook").add()
