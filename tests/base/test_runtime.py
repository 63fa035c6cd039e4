"""The run: devices, random streams, threads, progress."""

import numpy as np
import pytest
import torch

from polysemanticity.base import runtime, streams


def test_start_resolves_and_labels(toy_paper):
    run = runtime.start(toy_paper, profile="smoke", seed=1, device="cpu", overrides={"rate": 0.1})
    assert run.cfg.n_seeds == 2 and run.cfg.rate == 0.1
    assert run.label == "smoke, rate=0.1"
    assert not run.judges


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0"])
def test_bad_seed(toy_paper, seed):
    with pytest.raises(ValueError, match="seed = .*: allowed is an integer of at least 0"):
        runtime.start(toy_paper, profile="default", seed=seed, device="cpu", overrides={})


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "", None])
def test_unknown_device(name):
    with pytest.raises(ValueError, match="allowed is auto, cpu, cuda or cuda:N"):
        runtime.device(name)


def test_absent_cuda_is_refused_and_auto_falls_to_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="0 CUDA devices were found"):
        runtime.device("cuda")


def test_cuda_index_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert runtime.device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="allowed is cuda:0 to cuda:1 here"):
        runtime.device("cuda:2")


def test_streams_are_reproducible_and_independent():
    draw = lambda seed, stream: torch.randn(1000, generator=streams.generator(seed, stream))  # noqa: E731
    assert torch.equal(draw(0, "weights"), draw(0, "weights"))
    for other in (draw(0, "data"), draw(1, "weights")):
        assert abs(torch.corrcoef(torch.stack([draw(0, "weights"), other]))[0, 1]) < 0.15
    assert np.array_equal(streams.rng(3, "data").normal(size=5), streams.rng(3, "data").normal(size=5))


def test_threads_are_set_and_restored():
    before = torch.get_num_threads()
    with runtime.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_progress_yields_everything_and_reports_to_the_runner(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POLYSEMANTICITY_PROGRESS", str(tmp_path / "progress"))
    assert list(runtime.progress(range(5), "steps")) == list(range(5))
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines[0].startswith("steps 1/5") and lines[-1].startswith("steps 5/5")
    assert list(runtime.progress(iter("ab"), "letters")) == ["a", "b"]
    assert capsys.readouterr().out == ""


def test_report_without_a_runner_is_silent(capsys):
    runtime.report("nobody listens")
    assert capsys.readouterr() == ("", "")


def test_versions_name_what_numbers_depend_on():
    assert {"python", "numpy", "torch"} <= set(runtime.versions())


def test_cuda_is_needed_where_a_cluster_computes_not_here(toy_paper, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device = 'cuda': allowed is cpu or auto here"):
        runtime.start(toy_paper, profile="default", seed=0, device="cuda", overrides={})
    monkeypatch.setenv(runtime.CLUSTER, "tcp://127.0.0.1:8786")
    assert runtime.start(toy_paper, profile="default", seed=0, device="cuda", overrides={}).device == "cuda"
    assert runtime.start(toy_paper, profile="default", seed=0, device="auto", overrides={}).device == "cpu"


def test_exact_arithmetic_on_cuda_and_all_as_it_was_afterwards(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    def switches():
        return (
            torch.backends.cudnn.allow_tf32,
            torch.backends.cuda.matmul.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    before = switches()
    assert before[0]  # torch's own choice, which probing would suffer from
    with runtime.exact("cpu"):
        assert switches() == before
    with pytest.raises(ZeroDivisionError), runtime.exact("cuda:0"):
        assert switches() == (False, False, True, False)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        raise ZeroDivisionError
    assert switches() == before
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_a_device_that_nobody_asked_for_is_known(toy_paper):
    asked = {"profile": "default", "seed": 0, "overrides": {}}
    assert runtime.start(toy_paper, device="auto", **asked).auto
    assert not runtime.start(toy_paper, device="cpu", **asked).auto
