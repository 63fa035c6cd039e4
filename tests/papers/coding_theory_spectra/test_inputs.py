"""What the command refuses before anything runs: settings that do not fit, own files that cannot be read or are too few."""

import json

import gpt2_family
import numpy as np
import pytest
from PIL import Image

from polysemanticity.engine import run
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import inputs

GPT2 = {
    "seed": 1, "fault": "none", "layout": "whole", "state": "plain", "dtype": "float32",
    "config": {"model_type": "gpt2", "vocab_size": 300, "n_positions": 12, "n_layer": 1, "n_embd": 8, "n_head": 2,
               "tie_word_embeddings": True},
}  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """A function that asks the command, called in a folder with a user's files, and returns (status, said, complaint)."""
    monkeypatch.setenv(run.CALLED_FROM, str(tmp_path))
    monkeypatch.setattr(
        run, "run", lambda jobs, *_: print("it would run", *(job.parameters["overrides"] for job in jobs)) or 0
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def ask(*settings):
        status = run.main(["--only", paper.SLUG, "--profile", "smoke", "--set", *settings])
        return status, *capsys.readouterr()

    return ask


def noise(path, size=(64, 64), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)


@pytest.fixture
def files(tmp_path):
    """Good and bad files of a user."""
    for number in range(4):
        noise(tmp_path / "2024" / f"{number}.png", seed=number)
    (tmp_path / "2024" / "phone.heic").write_bytes(b"x")
    noise(tmp_path / "one" / "a.png")
    noise(tmp_path / "one" / "copy.png")
    noise(tmp_path / "small" / "a.png", (8, 90))
    noise(tmp_path / "small" / "b.png", (90, 8))
    (tmp_path / "empty").mkdir()
    lines = [f"Line {k} of a text in which each line is a document of its own, and none is empty." for k in range(400)]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("Ünïcode ".encode("latin-1") * 2000)
    (tmp_path / "short.txt").write_text("Too short.", encoding="utf-8")
    (tmp_path / "word.txt").write_text("word" * 9000, encoding="utf-8")
    gpt2_family.write(GPT2, tmp_path / "gpt2", gpt2_family.tokenizer())
    wide = {**GPT2["config"], "n_embd": 120}
    gpt2_family.write(GPT2 | {"config": wide}, tmp_path / "wide", gpt2_family.tokenizer())
    (tmp_path / "no weights").mkdir()
    (tmp_path / "no weights" / "config.json").write_text(json.dumps(GPT2["config"]), encoding="utf-8")
    return tmp_path


REFUSED = [
    ("sizes=[192]", "vision.sizes = (192,): allowed is at least two numbers, ascending"),
    ("sizes=[160,128]", "vision.sizes = (160, 128): allowed is at least two numbers, ascending"),
    ("sizes=[128,128]", "vision.sizes = (128, 128): allowed is at least two numbers, ascending"),
    ("vision.width=0.3", "vision.width = 0.3: allowed is a multiple of 1/64"),
    ("vision.n_train=1000000000000", "vision.n_train = 1000000000000: allowed is"),
    ("vision.retrain=true vision.n_train=900000000", "allowed is what fits into memory: this takes "),
    ("image_size=100000", "allowed is what fits into memory: this takes "),
    ("prime=66", "decoding.prime = 66: allowed is a prime above 2"),
    ("folder=empty", "empty': allowed is a folder with pictures"),
    ("folder=small", "2 of 2 pictures are refused: "),
    ("folder=one", "number of pictures = 1: allowed is at least 2 different ones"),
    ("folder=lines.txt", "vision.folder = 'lines.txt': allowed is a folder"),
    ("text=latin.txt", "latin.txt': allowed is a readable UTF-8 text file"),
    ("text=short.txt", "short.txt': documents in the text = 1: allowed is at least 4"),
    (
        'real_language.networks=["{files}/no weights"]',
        "no weights': allowed is a folder of transformers: config.json, a tokenizer and safetensors",
    ),
    (
        "vision.n_steps=4501",
        "vision.n_steps = 4501: allowed is 4500, as in the stored networks; with vision.retrain=true",
    ),
    ("vision.n_first=9000", "vision.n_first = 9000: allowed is at most 4500"),
    ("vision.retrain=true source=cifar10", "CIFAR-10 root = "),
]


@pytest.mark.parametrize(("setting", "told"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_runs(files, command, setting, told):
    several = setting.split(" ") if setting.startswith("vision.retrain") else [setting.format(files=files)]
    status, said, complaint = command(*several)
    assert status == 2 and told in complaint and complaint.count("\n") == 1 and said == ""


def test_own_files_are_taken_from_where_the_command_was_called_and_what_is_left_out_is_said(files, command):
    networks = json.dumps([str(files / "wide")])
    status, said, complaint = command("folder=2024", "text=lines.txt", f"real_language.networks={networks}")
    assert status == 0 and complaint == ""
    assert "4 pictures; left out are phone.heic" in said
    for name in ("2024", "lines.txt", "wide"):
        assert repr(str(files / name)) in said


def test_what_every_profile_asks_for_fits(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 64e9}))
    for profile in ("smoke", "default", "paper"):
        inputs.check_vision(run.config.resolve(paper.Config(), profile, {}).vision)
