"""A Dask cluster: what is refused, and that its results are those of a serial run, whatever dies meanwhile."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import joblib
import nbformat
import process_list
import psutil
import pytest
import toy_worker

from polysemanticity.base import codedigest, paths, runtime
from polysemanticity.engine import cluster, run, store, sweep
from polysemanticity.papers import coding_theory_spectra as paper_of_images
from polysemanticity.papers import feature_capacity as paper
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, real_language, vision

NOTEBOOK = """
import sys; sys.path.insert(0, "{tests}")
import toy_worker
from polysemanticity.engine import sweep
from polysemanticity.papers import feature_capacity as paper
run = runtime.start(paper, profile=profile, seed=seed, device=device, overrides=overrides)
results = sweep.run(toy_worker.rounded, [{{"index": i, "folder": "{calls}"}} for i in range(6)], [0], run)
"""


def until(condition, seconds=300):
    """Wait until the condition holds; whether it did."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler with two workers in processes of their own, with another store than the client's."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = os.environ | {
        "PYTHONPATH": f"{paths.PACKAGE.parent}{os.pathsep}{paths.ROOT / 'tests'}",
        "POLYSEMANTICITY_CACHE": str(elsewhere / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    address = f"tcp://127.0.0.1:{free_port()}"
    commands = [
        ["dask_scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"],
        ["dask_worker", address, "--nworkers", "2", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"],
    ]
    with (elsewhere / "log.txt").open("wb") as log:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{name}", *arguments],
                stdout=log,
                stderr=log,
                cwd=elsewhere,
                env=environment,
            )
            for name, *arguments in commands
        ]
    assert until(lambda: answers(address), 300)
    yield address
    assert not (elsewhere / "cache" / "results").exists()  # workers stored nothing
    for process in reversed(started):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


@pytest.fixture
def on_cluster(scheduler, monkeypatch):
    """A process whose sweeps go to the cluster; its client."""
    monkeypatch.setenv(runtime.CLUSTER, scheduler)
    cluster.client.cache_clear()
    client = cluster.client()
    client.wait_for_workers(2, timeout=300)
    yield client
    client.close()
    cluster.client.cache_clear()


def answers(address):
    host, _, port = address.removeprefix("tcp://").partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def assert_serial(results, configs, threads):
    """The bytes of results [config][seed] are those of plain calls, one after the other, in this process."""
    for config, row in zip(configs, results, strict=True):
        for seed, result in enumerate(row):
            with runtime.threads(threads):
                expected = toy_worker.rounded(seed=seed, device="cpu", **config)
            assert store.pack(result, {}) == store.pack(expected, {})


@pytest.fixture
def configs(tmp_path):
    (tmp_path / "calls").mkdir()
    return [{"index": index, "folder": str(tmp_path / "calls")} for index in range(8)]


def calls(tmp_path):
    return len(list((tmp_path / "calls").iterdir()))


@pytest.mark.parametrize("threads", [1, 2])
def test_results_are_those_of_a_serial_run(on_cluster, toy_run, configs, tmp_path, monkeypatch, threads):
    toy_run = dataclasses.replace(toy_run, cfg=dataclasses.replace(toy_run.cfg, threads=threads))
    monkeypatch.setenv("POLYSEMANTICITY_PROGRESS", str(tmp_path / "progress"))
    results = sweep.run(toy_worker.rounded, configs[:2], [0, 1], toy_run)
    assert calls(tmp_path) == 4 and "rounded 4/4" in (tmp_path / "progress").read_text()
    assert_serial(results, configs[:2], threads)
    sweep.run(toy_worker.rounded, configs[:2], [0, 1], toy_run)
    assert calls(tmp_path) == 8  # of the serial calls: the second sweep came from the store


def test_a_killed_worker_costs_time_only(on_cluster, toy_run, configs):
    victim, other = on_cluster.run(os.getpid).values()

    def kill():
        assert until(lambda: len(list(store.stored())) >= 3)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    results = sweep.run(toy_worker.rounded, configs, [0, 1], toy_run)
    killer.join()
    assert victim != other and until(lambda: not psutil.pid_exists(victim), 5)
    assert_serial(results, configs, 1)


def test_an_error_is_raised_here_as_it_was_there(on_cluster, toy_run):
    with pytest.raises(ValueError, match="index = 7: allowed is nothing"):
        sweep.run(toy_worker.fails, [{"index": 7}], [0], toy_run)


def test_parallel_work_within_a_task_stays_in_its_process(on_cluster, toy_run):
    assert sweep.one(toy_worker.nested, {}, toy_run)["same"]


def test_what_another_run_computes_is_left_to_it(on_cluster, toy_run, configs, tmp_path):
    task = sweep._Task(toy_worker.rounded, configs[0], 0, toy_run)
    results = []
    with store.claim(task.path, wait=True):
        ours = threading.Thread(target=lambda: results.append(sweep.one(toy_worker.rounded, configs[0], toy_run)))
        ours.start()
        time.sleep(1)
        assert calls(tmp_path) == 0
        paths.write_atomically(task.path, sweep._computed(task))
    ours.join(30)
    assert results and calls(tmp_path) == 1


def test_workers_that_would_compute_something_else_are_refused(on_cluster, scheduler, toy_run, monkeypatch):
    cluster.check(scheduler)
    with monkeypatch.context() as edited:
        edited.setattr(codedigest, "library", lambda: "edited")
        with pytest.raises(
            ValueError,
            match=r"dask = 'tcp://.*: worker tcp://.*: its package \(.*polysemanticity\) is not the one here",
        ):
            cluster.check(scheduler)
        with pytest.raises(
            RuntimeError, match=r"worker tcp://.*: its package \(.*polysemanticity\) is not the one here"
        ):
            sweep.one(toy_worker.nested, {}, toy_run, seed=1)
    with monkeypatch.context() as edited:
        edited.setattr(codedigest, "digest", lambda worker: "edited")
        with pytest.raises(RuntimeError, match="a worker's code of nested is not the one here"):
            sweep.one(toy_worker.nested, {}, toy_run, seed=1)
    with monkeypatch.context() as edited:
        here = runtime.versions()
        edited.setattr(runtime, "versions", lambda: {**here, "numpy": "1.0"})
        with pytest.raises(
            ValueError, match=rf"worker tcp://.*: it has numpy {here['numpy']}: allowed is 1\.0, as here"
        ):
            cluster.check(scheduler)
    with pytest.raises(ValueError, match="worker tcp.*device = 'tpu': allowed is auto, cpu, cuda or cuda:N"):
        cluster.check(scheduler, "tpu")


def test_a_worker_with_other_data_is_refused(on_cluster, toy_run, tmp_path):
    (tmp_path / "data.txt").write_text("here")
    config = {"file": str(tmp_path / "data.txt")}
    assert sweep.one(toy_worker.reads, {**config, "content": "here"}, toy_run)["length"] == 4
    with pytest.raises(RuntimeError, match="the data of reads on a worker is not that here"):
        sweep.one(toy_worker.reads, {**config, "content": "there"}, toy_run)


@pytest.mark.parametrize("family", [vision, dense_autoencoders, real_language])
def test_workers_that_read_files_can_say_what_they_hold(family):
    cfg = paper_of_images.Config()
    settings = {
        vision: lambda: vision.networks(cfg.vision, 0)[0],
        dense_autoencoders: lambda: dense_autoencoders.photograph_nets(
            cfg.dense_autoencoders, cfg.vision, "relu", 0.0, 32
        ),
        real_language: lambda: real_language.networks(cfg.real_language)[0],
    }[family]()
    assert settings["content"] == family.fingerprint_here(settings)


def test_a_worker_computes_one_task_at_a_time():
    crowded = types.SimpleNamespace(address="tcp://here:1", state=types.SimpleNamespace(nthreads=4))
    problem = cluster.worker_problem(codedigest.library(), runtime.versions(), "cpu", dask_worker=crowded)
    assert problem == "worker tcp://here:1: it runs 4 tasks at once: allowed is 1 (dask worker --nthreads 1)"


def test_a_lost_scheduler_of_a_single_worker_ends_the_sweep(monkeypatch):
    program = (
        "import sys; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol='tcp',\n"
        "        host='127.0.0.1')\n"
        "    print(cluster.scheduler_address, flush=True); import time; time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    monkeypatch.setenv(runtime.CLUSTER, process.stdout.readline().strip())
    client = cluster._connect(os.environ[runtime.CLUSTER], cluster.BUSY)
    threading.Timer(1, process.kill).start()
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="the Dask scheduler tcp://.* was lost"), cluster.backend(client):
        joblib.Parallel(batch_size=1)(joblib.delayed(time.sleep)(0.5) for _ in range(20))
    assert time.monotonic() - started < 20
    process.wait()
    client.close(timeout=1)


@pytest.mark.parametrize(
    "request_",
    ["", "local", "local:", "local:0", "local:-1", "local:two", "local:1.5", "127.0.0.1:8786", "http://127.0.0.1:8786",
     "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:8786", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536",
     "tcp://127.0.0.1:8786/x", "tcp://a b:8786", "tcp://127.0.0.1:8786 ", "inproc://1/2", "tcp://[::1:8786"],
)  # fmt: skip
def test_malformed_addresses_are_refused(request_):
    with pytest.raises(ValueError, match="dask = .*: allowed is tcp://HOST:PORT or tls://HOST:PORT"):
        cluster.check(request_)


def test_a_crowd_of_workers_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 3)
    assert cluster.local_workers("local:12") == 12
    with pytest.raises(ValueError, match="dask = 'local:13': allowed is local:1 to local:12 on this machine"):
        cluster.check("local:13")


@pytest.mark.parametrize(
    ("request_", "n_workers"), [("local:3", 3), ("tcp://node-1.a_b:8786", None), ("tls://[fe80::1]:1", None)]
)
def test_addresses(request_, n_workers):
    assert cluster.local_workers(request_) == n_workers


def test_a_scheduler_that_does_not_answer_is_named_quickly(capsys, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    started = time.monotonic()
    address = f"tcp://127.0.0.1:{free_port()}"
    assert run.main(["--dask", address]) == 2
    complaint = capsys.readouterr().err
    assert f"dask = '{address}': no scheduler answers there" in complaint and cluster.ALLOWED in complaint
    with socket.socket() as mute:  # it listens and never says a word
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(ValueError, match="no scheduler answers there"):
            cluster.check(f"tcp://127.0.0.1:{mute.getsockname()[1]}")
    assert time.monotonic() - started < 15


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"extra `scale`; install it by .*pip install .*'\.\[scale\]'"):
        cluster.check("local:2")


def test_a_cluster_that_does_not_start_is_an_error(monkeypatch):
    monkeypatch.setattr(cluster.sys, "executable", "/bin/false")
    with pytest.raises(cluster.NotStarted, match="dask = 'local:2': it did not start within .*log.txt"):
        cluster.start(2, dict(os.environ))


def test_a_killed_run_leaves_no_process_and_goes_on_where_it_stopped(scheduler, configs, tmp_path, monkeypatch, capsys):
    home, folder = tmp_path / "home", tmp_path / "calls"
    (home / "notebooks").mkdir(parents=True)
    cells = ['profile = "default"\nseed = 0\ndevice = "auto"\noverrides = {}']
    cells += ["from polysemanticity.base import runtime" + NOTEBOOK.format(tests=paths.ROOT / "tests", calls=folder)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, home / "notebooks" / f"03_{paper.SLUG}.ipynb")
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT / "tests"))
    process = subprocess.Popen([sys.executable, "-m", "polysemanticity", "--dask", "local:2"], cwd=paths.ROOT)
    assert until(lambda: len(list(store.stored())) >= 2, 300)
    assert len(process_list.started_over(home)) >= 5  # papermill, its kernel, the scheduler, two workers
    process.kill()
    process.wait()
    assert until(lambda: not process_list.started_over(home), 5)
    kept = {path: path.read_bytes() for path in store.stored()}
    assert len(kept) >= 2
    assert run.main(["--dask", scheduler]) == 1
    assert "is declared but its .png was not written" in capsys.readouterr().out  # all cells ran, none draws
    assert len(list(store.stored())) == 6 and all(path.read_bytes() == content for path, content in kept.items())
    assert process_list.started_over(home) == []
