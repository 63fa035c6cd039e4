"""The store and the sweep: computed once, kept whole, damaged files noticed."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import toy_worker
from joblib.externals import loky

from polysemanticity.base import paths, runtime
from polysemanticity.engine import store, sweep

CONFIGS = [{"scale": 1.0}, {"scale": 2.0}]
PROGRAM = (
    "import sys; sys.path.insert(0, 'tests'); import toy_config, toy_worker; from polysemanticity.base import runtime; from polysemanticity.engine import sweep;"
    "cfg = toy_config.ToyConfig(); run = runtime.Run('toy', 'default', cfg, 0, 'cpu'); {call}"
)


def calls(tmp_path):
    return len(list((tmp_path / "calls").iterdir()))


@pytest.fixture(autouse=True)
def counted(tmp_path, monkeypatch):
    loky.get_reusable_executor().shutdown(wait=True)  # its processes have the environment of an earlier test
    (tmp_path / "calls").mkdir()
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))


def test_results_are_indexed_config_then_seed_and_computed_once(toy_run, tmp_path):
    first = sweep.run(toy_worker.draw, CONFIGS, range(3), toy_run)
    assert [len(row) for row in first] == [3, 3]
    assert calls(tmp_path) == 6
    again = sweep.run(toy_worker.draw, CONFIGS, range(3), toy_run)
    assert calls(tmp_path) == 6
    np.testing.assert_array_equal(sweep.stack(first, "values"), sweep.stack(again, "values"))
    assert sweep.stack(first, "values").shape == (2, 3, 4)
    assert first[1][2]["seed"] == 2 and first[0][0]["text"] == "é" and first[0][0]["nothing"] is None
    expected = toy_worker.draw(seed=2, device="cpu", scale=2.0)["values"]
    np.testing.assert_array_equal(first[1][2]["values"], expected)


def test_each_yields_the_same_one_at_a_time(toy_run):
    one_by_one = list(sweep.each(toy_worker.draw, CONFIGS, range(2), toy_run))
    kept = {path: path.stat().st_mtime_ns for path in store.stored()}
    rows = sweep.run(toy_worker.draw, CONFIGS, range(2), toy_run)
    assert len(kept) == 4 and kept == {path: path.stat().st_mtime_ns for path in store.stored()}
    for result, expected in zip(one_by_one, [result for row in rows for result in row], strict=True):
        np.testing.assert_array_equal(result["values"], expected["values"])


def test_a_worker_that_joblib_replaces_is_not_told_in_the_notebook():
    program = "import warnings; from polysemanticity.engine import sweep; from joblib.externals.loky import process_executor as p; import inspect;"
    program += "assert 'A worker stopped while some jobs were given' in inspect.getsource(p);"
    program += "warnings.warn('A worker stopped while some jobs were given to the executor.'); warnings.warn('another')"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert "another" in told and "A worker stopped" not in told.replace(program, "")


def test_equal_tasks_are_computed_once(toy_run, tmp_path):
    results = sweep.run(toy_worker.draw, [CONFIGS[0], CONFIGS[0]], [0, 0], toy_run)
    assert calls(tmp_path) == 1
    assert all(result["seed"] == 0 for row in results for result in row)


@pytest.mark.parametrize("change", ["config", "seed", "threads", "code", "versions", "device"])
def test_key_depends_on_everything_the_numbers_depend_on(toy_run, monkeypatch, change):
    worker = toy_worker.placed if change == "device" else toy_worker.draw
    before = sweep._Task(worker, CONFIGS[0], 0, toy_run)
    config, seed, run = CONFIGS[0], 0, toy_run
    if change == "config":
        config = CONFIGS[1]
    elif change == "seed":
        seed = 1
    elif change == "threads":
        run = dataclasses.replace(run, cfg=dataclasses.replace(run.cfg, threads=2))
    elif change == "device":
        run = dataclasses.replace(run, device="cuda")
    elif change == "code":
        monkeypatch.setattr("polysemanticity.base.codedigest.digest", lambda worker: "edited")
    else:
        monkeypatch.setattr(runtime, "versions", lambda: {"torch": "0"})
    assert sweep._Task(worker, config, seed, run).key != before.key
    assert sweep._Task(worker, dict(CONFIGS[0]), 0, toy_run).key == before.key or change in (
        "code",
        "versions",
    )


def test_force_computes_again_but_once(toy_run, tmp_path, monkeypatch):
    sweep.one(toy_worker.draw, CONFIGS[0], toy_run)
    monkeypatch.setenv("POLYSEMANTICITY_FORCE", "this run")
    sweep.one(toy_worker.draw, CONFIGS[0], toy_run)
    sweep.one(toy_worker.draw, CONFIGS[0], toy_run)
    assert calls(tmp_path) == 2


def stored_file():
    return next((paths.cache() / "results" / "draw").glob("*.npz"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "pickled"])
def test_damaged_result_is_set_aside_and_computed_again(toy_run, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("POLYSEMANTICITY_PROGRESS", str(tmp_path / "progress"))
    good = sweep.one(toy_worker.draw, CONFIGS[0], toy_run)
    path = stored_file()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[:-7]
    elif damage == "flipped":
        content[len(content) // 2] ^= 4
    elif damage == "empty":
        content = b""
    elif damage == "foreign":
        content = b"PK\x03\x04 something else"
    else:
        np.savez(tmp_path / "objects.npz", a=np.array([{"code": 1}], dtype=object))
        content = (tmp_path / "objects.npz").read_bytes()
    path.write_bytes(content)
    again = sweep.one(toy_worker.draw, CONFIGS[0], toy_run)
    np.testing.assert_array_equal(good["values"], again["values"])
    assert calls(tmp_path) == 2
    assert "is damaged: set aside" in (tmp_path / "progress").read_text()
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_finished_results_survive_a_failing_task(toy_run, tmp_path):
    worker, configs = (
        toy_worker.fail_when_another_is_stored,
        [{"index": index, "results": str(paths.cache() / "results")} for index in range(2)],
    )
    with pytest.raises(RuntimeError, match="asked to fail"):
        sweep.run(worker, configs, [0], toy_run)
    assert calls(tmp_path) == 2
    assert sweep.run(worker, configs[1:], [0], toy_run)[0][0]["index"] == 1
    assert calls(tmp_path) == 2


def test_killed_at_any_moment_goes_on_with_the_same_numbers(toy_run, tmp_path):
    program = PROGRAM.format(call="sweep.run(toy_worker.slow, [{'index': i} for i in range(6)], [0], run)")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=paths.ROOT)
    folder = paths.cache() / "results" / "slow"
    while process.poll() is None and len(list(folder.glob("*.npz"))) < 2:
        pass
    process.kill()
    process.wait()
    kept = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
    assert len(kept) >= 2
    results = sweep.run(toy_worker.slow, [{"index": i} for i in range(6)], [0], toy_run)
    assert [row[0]["index"] for row in results] == list(range(6))
    assert all((folder / name).read_bytes() == content for name, content in kept.items())
    assert not list(folder.glob("*damaged*"))


def test_two_runs_at_once_compute_each_result_once(toy_run, tmp_path):
    program = PROGRAM.format(call="sweep.run(toy_worker.slow, [{'index': i} for i in range(6)], [0], run)")
    runs = [subprocess.Popen([sys.executable, "-c", program], cwd=paths.ROOT) for _ in range(2)]
    assert [process.wait() for process in runs] == [0, 0]
    assert calls(tmp_path) == 6
    assert len(list(store.stored())) == 6


def test_what_another_run_computes_is_left_to_the_end(toy_run, tmp_path):
    held = sweep._Task(toy_worker.draw, CONFIGS[0], 0, toy_run)
    with store.claim(held.path, wait=True):
        assert sweep._compute(held, parent=os.getpid(), wait=False) == held.key
    assert calls(tmp_path) == 0
    assert held.stored() is None
    sweep._compute(held, parent=os.getpid(), wait=False)
    assert calls(tmp_path) == 1


@pytest.mark.parametrize("config", [{"a": object()}, {"a": float("nan")}])
def test_config_must_have_a_canonical_form(toy_run, config):
    with pytest.raises(ValueError, match="config = .*allowed are numbers"):
        sweep.run(toy_worker.draw, [config], [0], toy_run)


def test_empty_sweeps_are_refused(toy_run):
    with pytest.raises(ValueError, match="configs = .*at least one"):
        sweep.run(toy_worker.draw, [], [0], toy_run)
    with pytest.raises(ValueError, match="seeds = .*at least one"):
        sweep.run(toy_worker.draw, CONFIGS, [], toy_run)


def test_code_edited_under_a_running_sweep_is_refused(toy_run):
    task = sweep._Task(toy_worker.draw, CONFIGS[0], 0, toy_run)
    task.code = "what the parent loaded"
    with pytest.raises(RuntimeError, match="was edited during the run"):
        sweep._compute(task, parent=os.getpid() + 1, wait=False)


def test_a_worker_that_uses_no_device_has_one_key_on_all(toy_run):
    on_a_card = dataclasses.replace(toy_run, device="cuda:1")
    here, there = (sweep._Task(toy_worker.draw, CONFIGS[0], 0, run) for run in (toy_run, on_a_card))
    assert here.key == there.key and there.device == "cpu"
    assert sweep._Task(toy_worker.placed, CONFIGS[0], 0, on_a_card).device == "cuda:1"


def test_one_process_where_a_cards_memory_is_too_small_for_several(toy_run, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYSEMANTICITY_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr("polysemanticity.engine.placement.processes", lambda device, run, n_tasks: 2)
    enough, compute_all = [1], sweep._compute_all

    def with_little_memory(tasks, wait, results, n_jobs, read):
        if n_jobs not in enough:
            raise torch.OutOfMemoryError("CUDA out of memory")
        compute_all(tasks, wait, results, n_jobs, read)

    monkeypatch.setattr(sweep, "_compute_all", with_little_memory)
    results = sweep.run(toy_worker.draw, CONFIGS, [0], toy_run)
    assert len(results) == 2 and calls(tmp_path) == 2
    assert "draw: too little memory on cpu for 2 processes: now one" in (tmp_path / "progress").read_text()
    enough.clear()
    with pytest.raises(torch.OutOfMemoryError):  # alone, too
        sweep.run(toy_worker.draw, CONFIGS, [1], toy_run)
