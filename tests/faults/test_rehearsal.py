"""The profile `paper` rehearsed: from real files of CIFAR-10's format and a checkpoint on disk, at a hundredth.

In full every notebook runs to its end; in the short form only the workers that read these files, in this process.
"""

import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from benchmarks import workers
from polysemanticity.base import config, paths
from polysemanticity.engine import store
from polysemanticity.networks import data, language_models, train

SHARE = 100  # of what the profile `paper` asks for
CIFAR_IMAGES = 250  # in each of its six files
SMALLER = {"vision.width": 0.25, "vision.hidden": 256, "vision.image_size": 32}  # of networks, which have no share


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """CIFAR-10's files, of natural patches, with their checksums; and an untrained GPT-2 with its tokenizer."""
    folder = tmp_path_factory.mktemp("files")
    pictures = folder / "cifar10" / CIFAR10.base_folder
    pictures.mkdir(parents=True)
    sums = {}
    names = [name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)]
    photos = data.photographs(None, smallest=32)
    cut = data.patches(photos, CIFAR_IMAGES * len(names), 32, np.random.default_rng(0)).pixels
    rows = (cut * 255).round().byte().flatten(1).numpy().reshape(len(names), CIFAR_IMAGES, -1)
    contents = [
        {"data": part, "labels": [k % 10 for k in range(CIFAR_IMAGES)], "batch_label": "", "filenames": []}
        for part in rows
    ]
    for name, content in [*zip(names, contents, strict=True), (CIFAR10.meta["filename"], {"label_names": ["a"] * 10})]:
        raw = pickle.dumps(content)
        (pictures / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()
    shape = {"n_layer": 2, "n_embd": 128, "n_head": 4, "n_positions": 64}
    tokenizer = language_models.train_tokenizer(data.english_text()[:200_000], 400)
    model = train.build(language_models.build, seed=0, vocab_size=400, **shape)
    language_models.save(model, tokenizer, folder / "gpt2")
    return {"cifar10": str(folder / "cifar10"), "gpt2": str(folder / "gpt2"), "sums": sums}


def rehearsed(slug, files):
    """The settings that make the profile `paper` of a notebook a hundredth of itself, from the files.

    What the profile smoke makes smaller is a hundredth, but not below smoke; lists, and numbers that fit them, are
    smoke's. What it leaves alone is the paper's (sources, schedules, rates, weights, one layer at a time), but for
    thousands of something, which are a hundredth too.
    """
    defaults = importlib.import_module(f"polysemanticity.papers.{slug}").Config()
    smoke, usual, paper = (config.values(config.resolve(defaults, name, {})) for name in config.PROFILES)
    chosen = {}
    for name, value in paper.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if smoke[name] != usual[name] and not isinstance(value, str):
            chosen[name] = max(smoke[name], value // SHARE) if whole else smoke[name]
        elif whole and value != usual[name] and value >= 10 * SHARE:
            chosen[name] = value // SHARE
    chosen |= {name: value for name, value in SMALLER.items() if name in paper}
    for family in {name.rpartition(".")[0] for name in paper}:
        if paper.get(f"{family}.source") == "cifar10":
            chosen[f"{family}.folder"] = files["cifar10"]
    return chosen | {name: files["gpt2"] for name, value in paper.items() if value == "gpt2-xl"}


def test_workers_that_read_files_read_the_papers(files, monkeypatch):
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, part, [[name, files["sums"][name]] for name, _ in getattr(CIFAR10, part)])
    monkeypatch.setitem(CIFAR10.meta, "md5", files["sums"][CIFAR10.meta["filename"]])
    overrides = rehearsed("coding_theory_spectra", files)
    overrides |= {name: 2 for name in overrides if name == "vision.n_steps"}
    read = [call for call in workers.calls("coding_theory_spectra", "paper", overrides) if _reads(call, files)]
    asked = {value for value in overrides.values() if value in files.values()}
    assert asked and asked <= {value for call in read for value in call.config.values() if isinstance(value, str)}
    for call in read:
        values = call("cpu")
        assert store.pack(values, {"worker": call.worker.__name__})


@pytest.mark.parametrize("slug", paths.papers())
def test_what_is_rehearsed_fits_together_and_is_the_papers(slug, files):
    defaults, overrides = importlib.import_module(f"polysemanticity.papers.{slug}").Config(), rehearsed(slug, files)
    texts = {name: _text(value) for name, value in overrides.items()}
    assert {name: config.typed(name, text, defaults, paths.ROOT) for name, text in texts.items()} == {
        name: list(value) if isinstance(value, tuple) else value for name, value in overrides.items()
    }
    cfg = config.values(config.resolve(defaults, "paper", overrides))
    paper = config.values(config.resolve(defaults, "paper", {}))
    kept = [name for name in paper if name not in overrides]
    assert all(cfg[name] == paper[name] for name in kept) and len(overrides) < len(paper)
    assert workers.calls(slug, "paper", overrides)


def _reads(call, files):
    return any(value in (files["cifar10"], files["gpt2"]) for value in call.config.values())


@pytest.mark.parametrize("slug", paths.papers())
def test_the_papers_profile_runs_to_its_end(slug, files, request, tmp_path):
    if not request.config.getoption("--faults", False):
        pytest.skip("minutes: in full only")
    (tmp_path / "home").mkdir()
    for part in ("notebooks", "figures", "docs"):  # the published ones, to be compared with
        (tmp_path / "home" / part).symlink_to(paths.ROOT / part)
    settings = [f"{name}={_text(value)}" for name, value in rehearsed(slug, files).items()]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(paths.ROOT / "tests" / "rehearsal"), str(paths.PACKAGE.parent)]),
        "NETWORK_ATTEMPTS": str(tmp_path / "attempts"), "CIFAR_CHECKSUMS": json.dumps(files["sums"]),
        "POLYSEMANTICITY_HOME": str(tmp_path / "home"), "POLYSEMANTICITY_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    environment.pop("POLYSEMANTICITY_OUT", None)
    call = [sys.executable, "-m", "polysemanticity", "--profile", "paper", "--only", slug, "--set", *settings]
    ended = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    paper = importlib.import_module(f"polysemanticity.papers.{slug}")
    rows = json.loads((tmp_path / "home/out/paper-changed/figures" / slug / "claims.json").read_text(encoding="utf-8"))
    assert {row["id"] for row in rows} == set(paper.CLAIMS) and "1 of 1 succeeded" in ended.stdout
    assert slug in (tmp_path / "home/out/reproduction.md").read_text(encoding="utf-8")  # the report of its own
    assert not (tmp_path / "attempts").exists()  # nobody asked for the network


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
