"""The runner: what counts as a success, and that nothing published changes on any failure."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import nbformat
import process_list
import pytest

from polysemanticity.base import paths
from polysemanticity.engine import execute, publish, run
from polysemanticity.papers import feature_capacity as paper

SLUG = paper.SLUG
# what `plots.show` puts into a notebook, for every figure
PICTURES = f"""
for name in {list(paper.FIGURES)}:
    display({{"image/png": "iVBORw0KGgo="}}, metadata={{"polysemanticity": {{"figure": name}}}}, raw=True)
"""
GOOD = (
    """
from polysemanticity import claims, plots
from polysemanticity.base import runtime
from polysemanticity.papers import feature_capacity as paper
import matplotlib.pyplot as plt
import pandas as pd
run = runtime.start(paper, profile=profile, seed=seed, device=device, overrides=overrides)
table = pd.DataFrame({"what": "measured", "x": [0, 1], "value": [0, 1]})
for name in paper.FIGURES:
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="line")
    plots.save(fig, name, run, table)
    plt.close(fig)
for name in paper.CLAIMS:
    claims.not_tested(name, "a test of the runner", run)
claims.save(run)
"""
    + PICTURES
)
SHOWING = """
claim, figure = next(iter(run.rows)), next(iter(run.figures))
def draw(table):
    fig, ax = plt.subplots()
    ax.plot(table["x"], table["value"])
    return fig
draw.__name__ = figure
display(run.rows[claim])
plots.show(draw, table, run)
"""
# the same files without importing anything slow, for the runs that are to fail
WRITTEN = [f"{name}.{suffix}" for name in paper.FIGURES for suffix in publish.SUFFIXES]
WRITES = f"""
import json, os, pathlib
folder = pathlib.Path(os.environ["POLYSEMANTICITY_OUT"], "figures", "{SLUG}")
folder.mkdir(parents=True)
for name in {WRITTEN}:
    (folder / name).write_text("x")
(folder / "claims.json").write_text(json.dumps([{{"id": name, "verdict": "not tested"}} for name in {list(paper.CLAIMS)}]))
"""
QUICK = WRITES + PICTURES
PARAMETERS = 'profile = "default"\nseed = 0\ndevice = "auto"\noverrides = {}'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A collection with one notebook, a figure published earlier and an executed copy of it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(folder))
    (folder / "notebooks").mkdir(parents=True)
    (folder / "figures" / SLUG).mkdir(parents=True)
    (folder / "figures" / SLUG / "old.png").write_bytes(b"published before")
    (folder / "docs").mkdir()
    (folder / "docs" / f"03_{SLUG}.ipynb").write_text("published before")
    return folder


def write_notebook(home, *cells, tag="parameters"):
    notebook = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": [tag]})
    notebook.cells = [first, *(nbformat.v4.new_code_cell(cell) for cell in cells)]
    nbformat.write(notebook, home / "notebooks" / f"03_{SLUG}.ipynb")


def snapshot(home):
    files = [path for folder in ("figures", "docs") for path in (home / folder).rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_success_publishes_everything_at_once(home, capsys):
    write_notebook(home, GOOD, SHOWING)
    assert run.main([]) == 0
    figures = home / "figures" / SLUG
    assert {path.name for path in figures.iterdir()} == {
        "claims.json",
        *(f"{name}.{suffix}" for name in paper.FIGURES for suffix in publish.SUFFIXES),
    }
    executed = nbformat.read(home / "docs" / f"03_{SLUG}.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells)
    assert "papermill" not in executed.metadata and str(home) not in nbformat.writes(executed)
    shown = [output.metadata["polysemanticity"] for output in executed.cells[-1].outputs]
    assert shown == [{"claim": next(iter(paper.CLAIMS))}, {"figure": next(iter(paper.FIGURES))}]  # the pages read it
    assert "1 of 1 succeeded" in capsys.readouterr().out


def test_unchanged_is_not_executed_and_equal_is_not_touched(home, capsys):
    write_notebook(home, QUICK)
    assert run.main([]) == 0
    before = snapshot(home)
    assert run.main([]) == 0
    assert " unchanged  " in capsys.readouterr().out and snapshot(home) == before
    assert run.main(["--force"]) == 0
    assert " unchanged  " not in capsys.readouterr().out and snapshot(home) == before
    claims = home / "figures" / SLUG / "claims.json"
    claims.write_text("edited by hand")
    assert run.main([]) == 0
    assert " unchanged  " not in capsys.readouterr().out and {k: v[0] for k, v in snapshot(home).items()} == {
        k: v[0] for k, v in before.items()
    }


def test_other_profiles_leave_the_published_files_alone(home):
    write_notebook(home, QUICK)
    before = snapshot(home)
    assert run.main(["--profile", "smoke"]) == 0
    assert run.main(["--profile", "smoke", "--set", "n_seeds=3"]) == 0
    assert snapshot(home) == before
    for folder, settings in (("smoke", ()), ("smoke-changed", ("n_seeds", "3"))):
        assert (home / "out" / folder / "figures" / SLUG / "claims.json").exists()
        executed = (home / "out" / folder / "docs" / f"03_{SLUG}.ipynb").read_text()
        assert all(word in executed for word in ("smoke", *settings))


FAILURES = {
    "raises": (["raise ValueError('a bad value')"], "cell 3: ValueError: a bad value"),
    "exits 0": (["raise SystemExit(0)"], "cell 3: SystemExit"),
    "kills its kernel": (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], "Kernel died"),
    "omits a figure": (
        [f"(folder / '{next(iter(paper.FIGURES))}.pdf').unlink()"],
        "declared but its .pdf was not written",
    ),
    "omits its claims": (
        ["(folder / 'claims.json').write_text('[]')"],
        "are declared or judged, not both",
    ),
}


@pytest.mark.parametrize("how", FAILURES)
def test_failure_is_reported_and_changes_nothing(home, capsys, how):
    cells, reason = FAILURES[how]
    write_notebook(home, QUICK, *cells)
    before = snapshot(home)
    assert run.main([]) == 1
    assert reason in capsys.readouterr().out
    assert snapshot(home) == before
    assert process_list.started_over(home) == []
    assert not list((paths.cache() / "staging").iterdir())


@pytest.mark.parametrize(
    "cell",
    [
        "",
        PICTURES.replace("image/png", "text/plain"),  # what is left where the backend of matplotlib draws nothing
        PICTURES.replace(f"{list(paper.FIGURES)}", f"{list(paper.FIGURES)[1:]}"),
        PICTURES.replace('"figure": name', '"claim": name'),
    ],
    ids=["no picture", "text in place of pictures", "one is missing", "of something else"],
)
def test_figures_that_are_written_and_not_shown_are_a_failure(home, capsys, cell):
    write_notebook(home, WRITES, cell)
    before = snapshot(home)
    assert run.main([]) == 1
    assert "was written and its picture is not shown" in capsys.readouterr().out
    assert snapshot(home) == before


def test_missing_parameters_tag_is_a_failure(home, capsys):
    write_notebook(home, QUICK, tag="other")
    before = snapshot(home)
    assert run.main([]) == 1
    assert "0 cells are tagged 'parameters'" in capsys.readouterr().out
    assert snapshot(home) == before


def test_hanging_notebook_is_ended_with_all_its_processes(home, capsys):
    write_notebook(
        home, "import subprocess, time", "subprocess.Popen(['sleep', '600'], start_new_session=True)", "time.sleep(600)"
    )
    before = snapshot(home)
    assert run.main(["--timeout", "15"]) == 1
    assert "ran longer than the limit of 15 s" in capsys.readouterr().out
    assert snapshot(home) == before
    assert process_list.started_over(home) == []


def executed(folder, monkeypatch, *cells):
    """Return the executed copy of some cells, and how often papermill saved it on the way."""
    import papermill.engines

    saved, write = [], papermill.engines.write_ipynb
    monkeypatch.setattr(papermill.engines, "write_ipynb", lambda *given: saved.append(1) or write(*given))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    execute.write_kernelspec(folder / "jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, folder / "source.ipynb")
    with tempfile.TemporaryDirectory(dir=run._short_folder()) as sockets:
        execute.execute(folder / "source.ipynb", folder / "executed.ipynb", {}, Path(sockets))
    return execute.read(folder / "executed.ipynb"), len(saved)


def test_a_notebook_is_not_saved_anew_at_every_cell(tmp_path, monkeypatch):
    """Papermill does, twice, which took most of the time of a run whose results are stored."""
    monkeypatch.setattr(execute, "SAVES", 3600.0)
    found, saves = executed(tmp_path, monkeypatch, *map(str, range(20)))
    assert [cell.outputs[0].data["text/plain"] for cell in found.cells] == [str(k) for k in range(20)]
    assert saves == 2  # at its start and at its end


WAITS = """
import json, pathlib, time
for _ in range(3000):  # until the copy on the disk has what the first cell said, and this one as running
    try:
        first, second = json.loads(pathlib.Path("executed.ipynb").read_text(encoding="utf-8"))["cells"]
    except ValueError:  # it is being written
        continue
    if first["outputs"] and second["metadata"]["papermill"]["status"] == "running":
        break
    time.sleep(0.1)
else:
    raise AssertionError("the copy does not follow the run")
"""


def test_the_copy_of_a_run_follows_it_within_a_cell(tmp_path, monkeypatch):
    """So that what is left of a run that hangs and is ended shows where it hung."""
    monkeypatch.setattr(execute, "SAVES", 0.2)
    found, saves = executed(tmp_path, monkeypatch, "print('so far')", WAITS)
    assert execute.problem(found) is None and saves >= 3


def test_notebook_that_neither_works_nor_tells_is_ended(home, capsys, monkeypatch):
    monkeypatch.setattr(run, "SILENCE", 4.0)
    monkeypatch.setattr(run, "LOOK", 0.5)
    write_notebook(home, "import time", "time.sleep(600)")
    before = snapshot(home)
    assert run.main([]) == 1
    assert "made no progress and did no work for" in capsys.readouterr().out
    assert snapshot(home) == before
    assert process_list.started_over(home) == []


BUSY = "end = time.monotonic() + 12\nwhile time.monotonic() < end: pass"
TELLING = """
for k in range(8):
    time.sleep(1.5)
    with open(os.environ["POLYSEMANTICITY_PROGRESS"], "a") as file: file.write(f"step {k}\\n")
"""


@pytest.mark.parametrize("cell", [BUSY, TELLING], ids=["busy", "telling"])
def test_notebook_that_works_or_tells_may_take_its_time(home, monkeypatch, cell):
    monkeypatch.setattr(run, "SILENCE", 6.0)
    monkeypatch.setattr(run, "WORK", 0.05)
    monkeypatch.setattr(run, "LOOK", 0.5)
    write_notebook(home, QUICK, "import os, time", cell)
    assert run.main([]) == 0


@pytest.mark.parametrize(
    ("dask", "used", "hangs"),
    [
        (None, {1: 4.0, 2: 4.0}, True),  # many idle processes are no work
        (None, {1: 4.0, 3: 6.0}, False),
        ("tcp://there:8786", {}, False),  # the work is done elsewhere
    ],
)
def test_who_works_is_alive(monkeypatch, dask, used, hangs):
    monkeypatch.setattr(run.processes, "cpu_seconds", lambda token: used)
    job = run.Job("toy", None, None, None, None, {}, process=types.SimpleNamespace(poll=lambda: None))
    job.started = job.alive = job.looked = time.monotonic() - run.SILENCE - 1
    assert run._ended(job, types.SimpleNamespace(timeout=None, dask=dask), "token") == hangs
    assert (job.failure or "").startswith("made no progress and did no work for 901 s" if hangs else "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_every_process_and_changes_nothing(home, number):
    write_notebook(home, "import time", "time.sleep(600)")
    before = snapshot(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "polysemanticity"],
        cwd=paths.ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in a background job
    )
    deadline = time.monotonic() + 600
    while len(process_list.started_over(home)) < 2 and time.monotonic() < deadline:  # papermill and its kernel
        time.sleep(0.2)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 130 and "interrupted" in complaint
    assert process_list.started_over(home) == []
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--profile", "smok"],
            "profile 'smok' is unknown: allowed is one of smoke, default, paper; did you mean 'smoke'",
        ),
        (["--only", "feature_capacit"], f"slug 'feature_capacit' is unknown: allowed is one of {SLUG}"),
        (["--set", "n_sed=3"], "field 'n_sed' is unknown"),
        (["--set", "n_seeds=two"], "n_seeds = 'two': allowed is a value of type int, not str"),
        (["--set", "n_seeds=0"], "n_seeds = 0: allowed is a number"),
        (["--set", "n_seeds"], "allowed is FIELD=VALUE"),
        (["--set", "n_seeds=2", "--set", "n_seeds=3"], "field 'n_seeds' is given twice, as 2 and 3: allowed is once"),
        (["--set", "n_seeds=2", "threads=0"], "threads = 0: allowed is a number"),
        (["--set", "n_seeds=2", "--set", "threads=0"], "threads = 0: allowed is a number"),
        (["--only", SLUG, "--only", "other"], "slug 'other' is unknown"),
        (["--only", "other", "--only", SLUG], "slug 'other' is unknown"),
        (["--set", "sizes=[192]"], "'sizes' is unknown"),
        (["--set", "architectures.n_seeds=2"], "did you mean"),
        (["--device", "tpu"], "device = 'tpu': allowed is auto, cpu, cuda or cuda:N"),
        (["--seed", "-1"], "seed = -1: allowed is an integer of at least 0"),
    ],
)
def test_bad_request_is_refused_before_anything_runs(home, capsys, arguments, message):
    write_notebook(home, GOOD)
    before = snapshot(home)
    assert run.main(arguments) == 2
    complaint = capsys.readouterr().err
    assert message in complaint and complaint.count("\n") == 1
    assert snapshot(home) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--profile", "smoke", "--profile", "default"], ["--seed", "1", "--seed=1"], ["--device", "cpu", "--device", "auto"],
        ["--jobs", "1", "--only", SLUG, "--jobs", "2"], ["--timeout", "9", "--timeout", "9"], ["--dask", "a", "--dask", "b"],
    ],
)  # fmt: skip
def test_an_option_with_one_value_is_refused_twice(arguments, capsys):
    with pytest.raises(SystemExit) as refusal:
        run.main(arguments)
    assert refusal.value.code == 2 and "is given twice, as" in capsys.readouterr().err


def test_options_with_several_values_add_up(home, capsys):
    write_notebook(home, QUICK)
    asked = ["--only", SLUG, "--set", "starts=3", "--only", SLUG, "--set", "threads=1"]
    assert run.main([*asked, "--profile", "smoke"]) == 0
    assert "'blocks.starts'" not in capsys.readouterr().err
    text = (home / "out" / "smoke-changed" / "docs" / f"03_{SLUG}.ipynb").read_text(encoding="utf-8")
    assert "starts" in text and "threads" in text


def test_cuda_asked_for_and_absent_is_refused(home, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_notebook(home, GOOD)
    assert run.main(["--device", "cuda"]) == 2
    assert "device = 'cuda': allowed is cpu or auto here" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["--jobs", "--timeout"])
def test_counts_must_be_positive(argument, capsys):
    with pytest.raises(SystemExit) as refusal:
        run.main([argument, "0"])
    assert refusal.value.code == 2 and "whole number of at least 1" in capsys.readouterr().err


def test_list_names_notebooks_figures_claims_and_settings(capsys):
    assert run.main(["--list"]) == 0
    shown = capsys.readouterr().out
    for slug in paths.notebooks():
        assert slug in shown
    assert "n_seeds" in shown and "FC-01" in shown


def test_variables_that_change_what_python_or_matplotlib_do_do_not_reach_kernels(monkeypatch):
    for name in run.NOT_INHERITED:
        monkeypatch.setenv(name, "1")
    found = run._environment("token")
    assert not set(run.NOT_INHERITED) & set(found) and found["PYTHONUTF8"] == "1"
    assert found["PYTHONPATH"].startswith(str(paths.PACKAGE.parent))
    assert found["MPLCONFIGDIR"] == str(paths.cache() / "matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    assert run._environment("token")["MPLCONFIGDIR"] == "mine"


def test_a_guide_needs_neither_parameters_nor_claims(home, capsys):
    guide = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1\nx")])
    nbformat.write(guide, home / "notebooks" / "00_guide.ipynb")
    before = snapshot(home)
    assert run.main(["--set", "n_seeds=3"]) == 2 and run.main(["--profile", "smok"]) == 2
    complaint = capsys.readouterr().err
    assert "field 'n_seeds' is unknown: allowed is none in a guide" in complaint and "profile 'smok'" in complaint
    assert run.main([]) == 0
    assert "00_guide" not in str(before) and (home / "docs" / "00_guide.ipynb").exists()
    assert {path: kept for path, kept in snapshot(home).items() if "00_guide" not in path} == before
    assert run.main(["--seed", "1"]) == 0  # it has no parameters that could change
    assert "a guide" in capsys.readouterr().out


def test_a_guide_that_fails_is_reported(home, capsys):
    guide = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise ValueError('a bad value')")])
    nbformat.write(guide, home / "notebooks" / "00_guide.ipynb")
    assert run.main([]) == 1
    assert "cell 1: ValueError: a bad value" in capsys.readouterr().out
    assert not (home / "docs" / "00_guide.ipynb").exists()


def test_no_notebooks_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(tmp_path))
    assert run.main([]) == 2
    assert "NN_slug.ipynb" in capsys.readouterr().err


def test_change_cut_off_between_two_renames_is_mended(tmp_path):
    new, old = tmp_path / "new", tmp_path / "figures" / "slug"
    new.mkdir()
    (new / "a").write_text("new")
    aside = tmp_path / "figures" / ".slug.old"
    aside.mkdir(parents=True)
    (aside / "a").write_text("old")
    publish.replace_folder(new, old)
    assert (old / "a").read_text() == "new"
    assert os.listdir(tmp_path / "figures") == ["slug"]
