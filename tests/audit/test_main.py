"""The command: what it prints, writes and refuses."""

import json
import runpy
import sys

import numpy as np
import pytest

from polysemanticity.audit.__main__ import main


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "activity.npz", mlp=rng.standard_normal((200, 30)), head=rng.standard_normal((200, 5)))
    np.savez(tmp_path / "decoder.npz", weight=rng.standard_normal((40, 8)), bias=np.ones(40))
    return tmp_path


def test_layers_are_printed_and_written(files, capsys):
    assert (
        main(
            ["layers", str(files / "activity.npz"), "--json", str(files / "out.json"), "--plot", str(files / "out.png")]
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "mlp", "head"]
    assert [line["layer"] for line in json.loads((files / "out.json").read_text())["layers"]] == ["mlp", "head"]
    assert (files / "out.png").read_bytes().startswith(b"\x89PNG")


def test_weights_are_found_in_the_file(files, capsys):
    assert main(["weights", str(files / "decoder.npz"), "--json", str(files / "out.json")]) == 0
    assert "efficiency" in capsys.readouterr().out
    assert json.loads((files / "out.json").read_text())["n_features"] == 40


def test_sharing_and_a_page(files, capsys):
    rng = np.random.default_rng(1)
    x = (rng.random((300, 4)) < 0.25).astype(float)
    np.savez(files / "toy.npz", h=x @ np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]), x=x)
    assert (
        main(["sharing", str(files / "toy.npz"), "--layer", "h", "--features", "x", "--html", str(files / "a.html")])
        == 0
    )
    assert "0, 1" in capsys.readouterr().out and "<h1>Shared units</h1>" in (files / "a.html").read_text()
    assert main(["sharing", str(files / "toy.npz"), "--layer", "h", "--features", "y"]) == 2
    assert "--features = 'y': allowed is one of h, x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["weights", "activity.npz"], "--name = None: allowed is one of mlp, head"),
        (["weights", "decoder.npz", "--name", "w"], "--name = 'w': allowed is one of weight, bias"),
        (["weights", "missing.npz"], "allowed is a file or folder that is there"),
        (["layers", "decoder.npz"], "shape of bias = (40,)"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_sentence(files, arguments, said, capsys):
    command, name, *others = arguments
    assert main([command, str(files / name), *others]) == 2
    found = capsys.readouterr()
    assert said in found.err and found.err.count("\n") == 1 and not found.out


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # which is what this test does on purpose
def test_it_runs_as_a_module(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["audit", "weights", str(files / "decoder.npz")])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("polysemanticity.audit", run_name="__main__", alter_sys=False)
    assert "found at 5 %" in capsys.readouterr().out
