"""What a machine does to a run: a full disk, folders that cannot be written, other runs, a wrong clock, an edit."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import edits
import injection
import nbformat
import pytest
import victims

from polysemanticity.base import paths
from polysemanticity.engine import run
from polysemanticity.papers import feature_capacity as paper


@pytest.fixture(scope="module")
def server():
    return injection.server()


@pytest.fixture
def reference(server, tmp_path, monkeypatch):
    """What an undisturbed sweep stores."""
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "reference"))
    victim = injection.Victim(server, victims.sweeping, tmp_path, True)
    assert victim.wait() == 0, victim.log.read_text()[-3000:]
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    return injection.Watch(tmp_path / "reference")


def sweep(server, folder, **environment):
    """Run the sweep, with a fresh log."""
    (folder / "log.txt").unlink(missing_ok=True)
    victim = injection.Victim(server, victims.sweeping, folder, True, **environment)
    return victim.wait(), victim.log.read_text(), victim.orphans()


@contextlib.contextmanager
def small_disk(folder: Path, options: str):
    """A file system of its own in `folder`; None where this user may not make one."""
    folder.mkdir(parents=True, exist_ok=True)
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True
    )
    if not made or made.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("how", ["a full disk", "files that may not grow"])
def test_a_full_disk(server, reference, tmp_path, rng, count, size, how):
    cache = tmp_path / "cache"
    for _ in range(size(1, 8)):
        room = rng.randrange(40, 4 * len(victims.CONFIGS), 4) if how == "a full disk" else None
        with small_disk(cache, f"size={room}k") if room else contextlib.nullcontext(tmp_path) as disk:
            if disk is None:
                pytest.skip("this user may not mount a small disk")
            environment = {} if room else {"FAULT_FILE_SIZE": str(rng.randrange(1000, 3000))}
            status, said, orphans = sweep(server, tmp_path, **environment)
            assert status == 1  # the limit holds for the log too, so only a full disk shows the whole message
            assert not room or "make room" in said, (room, said[-2000:])
            found = reference.look(cache)
            if room:
                subprocess.run(["mount", "-o", "remount,size=64m", cache], check=True)
            status, said, _ = sweep(server, tmp_path)
            again = reference.look(cache)
            bad = {name: found[name] + again[name] for name in found}
            bad["torn"] += len(list(cache.glob("results/*/.*.part")))
            count(how).add(f"{room} kB", **bad, orphans=orphans)
            assert status == 0, said[-2000:]
            assert reference.missing(cache) == 0
            reference.forget()
        shutil.rmtree(cache, ignore_errors=True)


NAMES = [f"{name}.{suffix}" for name in paper.FIGURES for suffix in ("png", "pdf", "csv", "json")]
ROWS = json.dumps([{"id": name, "verdict": "not tested"} for name in paper.CLAIMS])
CELLS = [
    f"""
import os, pathlib
folder = pathlib.Path(os.environ["POLYSEMANTICITY_OUT"], "figures", "{paper.SLUG}")
folder.mkdir(parents=True)
_ = [(folder / name).write_bytes(b"x") for name in {NAMES}]
_ = (folder / "claims.json").write_text({ROWS!r}, encoding="utf-8")
for name in {list(paper.FIGURES)}:
    display({{"image/png": "iVBORw0KGgo="}}, metadata={{"polysemanticity": {{"figure": name}}}}, raw=True)
""",
    "print('λ → ∞')\nassert_ = []\nassert not assert_, 'assertions are not run'\n(folder / 'λ.csv').write_text('λ')",
]
DRAWN = "import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()"


@pytest.fixture
def collection(tmp_path, monkeypatch):
    """A function that makes a collection with one quick notebook, in a folder with this name; returns the folder."""
    monkeypatch.delenv("POLYSEMANTICITY_OUT")

    def make(name="home", *cells):
        home = tmp_path / name
        monkeypatch.setenv("POLYSEMANTICITY_HOME", str(home))
        monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(home / ".cache"))
        (home / "notebooks").mkdir(parents=True)
        first = nbformat.v4.new_code_cell("profile = 'default'", metadata={"tags": ["parameters"]})
        others = [nbformat.v4.new_code_cell(cell) for cell in (*CELLS, *cells)]
        nbformat.write(nbformat.v4.new_notebook(cells=[first, *others]), home / "notebooks" / f"03_{paper.SLUG}.ipynb")
        return home

    return make


@pytest.mark.parametrize("where", ["cache", "home"])
def test_folders_that_cannot_be_written(server, collection, tmp_path, monkeypatch, count, where):
    """A file is where the folder should be: that stops root too. It is said before anything runs."""
    home = collection()
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" if where == "cache" else home / "out").write_text("in the way")
    victim = injection.Victim(server, victims.running, tmp_path, ["--profile", "smoke"])
    status, said = victim.wait(), victim.log.read_text()
    assert status == 1 and "Traceback" not in said and "running" not in said, said
    assert "run: " in said and "permit writing there" in said, said
    count("a folder that cannot be written").add(where, orphans=victim.orphans())


def test_a_collection_that_may_only_be_read(server, collection, tmp_path, monkeypatch, count):
    """What is asked for is refused before the work, with what to do; nothing is left half made."""
    home = collection()
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    with small_disk(home / "out", "size=1m,ro") as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        victim = injection.Victim(server, victims.running, tmp_path, ["--profile", "smoke"])
        status, said = victim.wait(), victim.log.read_text()
        assert status == 1 and "Read-only file system: make room or permit writing there" in said, said
        assert "running" not in said and "Traceback" not in said
        count("a read-only collection").add(orphans=victim.orphans())


def long_folder(tmp_path):
    folder = tmp_path / ("long " * 23)
    folder.mkdir()
    assert len(str(folder)) >= 119
    return {"TMPDIR": str(folder)}


def own_settings(tmp_path):
    """A home whose settings of Python's tools would end or change every kernel."""
    bad = "raise SystemExit('the settings of this home were read')"
    for place in (".ipython/profile_default/startup/00.py", ".ipython/profile_default/ipython_config.py",
                  ".jupyter/jupyter_config.py", ".jupyter/jupyter_kernel_config.py", ".pythonrc"):  # fmt: skip
        paths.write_atomically(tmp_path / "own" / place, bad.encode())
    paths.write_atomically(tmp_path / "own" / ".config" / "matplotlib" / "matplotlibrc", b"backend: svg\n")
    return {"HOME": str(tmp_path / "own"), "PYTHONSTARTUP": str(tmp_path / "own" / ".pythonrc")}


def shadowing(tmp_path):
    """A folder on the user's PYTHONPATH with modules of the names of ours."""
    paths.write_atomically(tmp_path / "own" / "polysemanticity" / "__init__.py", b"raise ImportError('another')\n")
    return {"PYTHONPATH": os.pathsep.join([str(paths.PACKAGE.parent), str(tmp_path / "own")])}


SURROUNDINGS = {  # what is set in the environment, from a folder for temporary files and the collection
    "MPLBACKEND=Agg": lambda tmp_path, home: {"MPLBACKEND": "Agg"},
    "a Latin-1 terminal": lambda tmp_path, home: {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0",
                                                  "PYTHONIOENCODING": "latin-1"},
    "a long TMPDIR": lambda tmp_path, home: long_folder(tmp_path),
    "chmod refused": lambda tmp_path, home: refused_there("chmod", home),
    "no locks": lambda tmp_path, home: refused_there("flock", home),
    "neither chmod nor locks": lambda tmp_path, home: refused_there("chmod flock", home),
    "PYTHONOPTIMIZE=2": lambda tmp_path, home: {"PYTHONOPTIMIZE": "2"},
    "PYTHONWARNINGS=error": lambda tmp_path, home: {"PYTHONWARNINGS": "error"},
    "PYTHONSAFEPATH=1": lambda tmp_path, home: {"PYTHONSAFEPATH": "1"},
    "a PYTHONSTARTUP that is gone": lambda tmp_path, home: {"PYTHONSTARTUP": str(tmp_path / "gone.py")},
    "modules of the same name": lambda tmp_path, home: shadowing(tmp_path),
    "HOME unset": lambda tmp_path, home: {"HOME": None, "USER": None},
    "HOME that cannot be made": lambda tmp_path, home: {"HOME": "/dev/null/home"},
    "settings of its own": lambda tmp_path, home: own_settings(tmp_path),
    "one CPU": lambda tmp_path, home: {},
    "umask 077": lambda tmp_path, home: {},
    "umask 000": lambda tmp_path, home: {},
    "a path with spaces, quotes and umlauts": lambda tmp_path, home: {},
    "no columns and a dumb terminal": lambda tmp_path, home: {"COLUMNS": "0", "LINES": "x", "TERM": "dumb", "LANG": "x"},
}  # fmt: skip
SHORT = ("a long TMPDIR", "neither chmod nor locks")  # of them in the short form


def refused_there(what, home):
    path = os.pathsep.join([str(victims.HOOK), str(paths.PACKAGE.parent)])
    return {"FAULT_REFUSE": json.dumps({"what": what.split(), "below": str(home)}), "PYTHONPATH": path}


def limited(name):
    """What the process does before it becomes the command."""
    if name == "one CPU":
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
    if name.startswith("umask"):
        os.umask(int(name.split()[1], 8))


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_real_command_runs_in_odd_surroundings(collection, tmp_path, count, size, name):
    if size(name not in SHORT, False):
        pytest.skip("only in the full suite")
    cells = [DRAWN] if name in ("MPLBACKEND=Agg", "settings of its own", "HOME that cannot be made") else []
    home = collection("a 'new' häuschen" if name.startswith("a path") else "home", *cells)
    environment = dict(os.environ) | {"PYTHONPATH": str(paths.PACKAGE.parent)}
    for variable, value in SURROUNDINGS[name](tmp_path, home).items():
        environment.pop(variable, None)
        environment |= {} if value is None else {variable: value}
    ended = subprocess.run(
        [sys.executable, "-m", "polysemanticity", "--profile", "smoke"], cwd=paths.ROOT, env=environment,
        capture_output=True, preexec_fn=lambda: limited(name), timeout=injection.HANGS,
    )  # fmt: skip
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    assert ended.returncode == 0 and "1 of 1 succeeded" in said and "Traceback" not in said, said[-3000:]
    assert ended.stderr == b"", said[-3000:]
    place = home / "out" / "smoke"
    document = nbformat.read(place / "docs" / f"03_{paper.SLUG}.ipynb", as_version=4)
    outputs = [output for cell in document.cells for output in cell.get("outputs", [])]
    streams = [output for output in outputs if output.output_type == "stream"]
    drawn = [output for output in document.cells[-1].outputs if "image/png" in output.get("data", {})]
    files = [path for path in place.rglob("*") if path.is_file()]
    mode = 0o666 & ~int(name.split()[1], 8) if name.startswith("umask") else None
    found = {
        "wrong": int([s.text for s in streams] != ["λ → ∞\n"]) + int(bool(cells) != bool(drawn))
        + int((place / "figures" / paper.SLUG / "λ.csv").read_bytes() != "λ".encode())
        + sum(mode not in (None, path.stat().st_mode & 0o777) for path in files),
        "torn": len(list(home.rglob("*.part"))) + len(list((home / ".cache" / "staging").glob("*"))),
    }  # fmt: skip
    count(f"surroundings: {name}").add(said[-300:], **found)


def test_two_runs_at_once_in_one_collection(server, collection, tmp_path, count):
    """Each ends with its own outcome; one that was killed beside the other is what `retry` runs again."""
    home = collection("home", "import time\ntime.sleep(3)")
    runs = []
    for name in "ab":
        (tmp_path / name).mkdir()
        seed = ["--seed", "1" if name == "a" else "2"]
        runs.append(injection.Victim(server, victims.running, tmp_path / name, ["--profile", "smoke", *seed]))
    while len(list((home / ".cache" / "runs").glob("*.json"))) != 2 and all(run.alive() for run in runs):
        time.sleep(0.1)
    injection.strike(runs[0], "-9", None)
    statuses = [run.wait() for run in runs]
    told = [json.loads(place.read_text()) for place in (home / ".cache" / "runs").glob("*.json")]
    outcomes = {tuple(record["arguments"]): record["outcomes"][paper.SLUG] for record in told}
    wanted = {("--profile", "smoke", "--seed", "1"): "did not end", ("--profile", "smoke", "--seed", "2"): "ok"}
    again = injection.Victim(server, victims.running, tmp_path, ["retry"])
    done = again.wait()
    said = again.log.read_text()
    wrong = (outcomes != wanted) + (statuses[1] != 0) + (done != 0) + ("seed=1" not in said)
    left = len(list((home / ".cache" / "staging").glob("*")))
    orphans = sum(run.orphans() for run in (*runs, again))
    count("two runs in one collection, one is killed").add(
        f"{outcomes} {said[-500:]}", wrong=wrong, torn=left, orphans=orphans
    )


def test_a_colon_in_the_path_is_refused(tmp_path, monkeypatch, capsys, count):
    """Neither PYTHONPATH nor a virtual environment can be there."""
    place = tmp_path / "a:b"
    place.mkdir()
    for name in ("run_all.sh", "run_tests.sh", "environment.sh"):
        shutil.copy(paths.ROOT / name, place)
    for name in ("run_all.sh", "run_tests.sh"):
        ended = subprocess.run(["bash", place / name], capture_output=True, text=True)
        assert ended.returncode == 2 and "has a colon in it: move or rename the folder" in ended.stderr
        assert ended.stderr.count("\n") == 1 and not (place / ".venv").exists()
        count("a colon in the path").add()
    monkeypatch.setattr(paths, "PACKAGE", place / "lib" / "polysemanticity")
    assert run.main([]) == 2 and "the path of this checkout has ':' in it" in capsys.readouterr().err
    count("a colon in the path").add()


def test_without_alarms_a_slider_has_no_limit(monkeypatch, count):
    """Windows has none."""
    from polysemanticity import notebook

    monkeypatch.delattr(signal, "setitimer")
    with notebook._time_limit(0.01):
        time.sleep(0.05)
    count("no setitimer").add()


def test_a_store_that_may_only_be_read(server, reference, tmp_path, count):
    cache = tmp_path / "cache"
    with small_disk(cache, "size=1m") as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        subprocess.run(["mount", "-o", "remount,ro", cache], check=True)
        status, said, orphans = sweep(server, tmp_path)
        assert status == 1 and "Read-only file system" in said, said[-2000:]
        count("a read-only store").add(orphans=orphans)


def test_two_runs_at_once_compute_every_result_once(server, reference, tmp_path, rng, count, size):
    """The second time one of the two is killed on the way: the other takes over what it was at."""
    cache, log = tmp_path / "cache", tmp_path / "renamed.txt"
    for turn in range(size(2, 12)):
        runs = []
        for name in "ab":
            (tmp_path / name).mkdir(exist_ok=True)
            runs.append(injection.Victim(server, victims.sweeping, tmp_path / name, True, FAULT_LOG=str(log)))
        if turn % 2:
            runs[0].sleep(rng.uniform(0.2, 1.5))
            injection.strike(runs[0], "-9", rng)
        statuses = [victim.wait() for victim in runs]
        renamed = log.read_text().splitlines()
        found = reference.look(cache)
        found["wrong"] += len(renamed) - len(set(renamed)) + (statuses[1] != 0)
        found["lost"] += reference.missing(cache)
        count("two runs at once" + ", one is killed" * (turn % 2)).add(
            str(statuses), **found, orphans=sum(victim.orphans() for victim in runs)
        )
        shutil.rmtree(cache)
        log.unlink()
        reference.forget()


def test_clocks_that_jump(server, reference, tmp_path, rng, count, size):
    """Times of files, and the clock while the run goes on, decide nothing."""
    cache, log = tmp_path / "cache", tmp_path / "renamed.txt"
    shutil.copytree(tmp_path / "reference", cache)
    reference.look(cache)
    for _ in range(size(2, 12)):
        gone = rng.sample(sorted(cache.glob("results/*/*.npz")), rng.randrange(10))
        for path in gone:
            path.unlink()
            del reference.seen[path]
        for path in cache.rglob("*"):
            moment = 1.7e9 + random.uniform(-1, 1) * 3e8
            os.utime(path, (moment, moment))
        log.write_text("")
        status, said, orphans = sweep(server, tmp_path, FAULT_CLOCK="1", FAULT_LOG=str(log))
        assert status == 0, said[-2000:]
        found = reference.look(cache)
        found["wrong"] += sorted(log.read_text().split()) != sorted(map(str, gone))
        count("a clock that jumps").add(**found, orphans=orphans)


BOUND, SAMPLING, TRAJECTORY = "random_embeddings", "loss_by_sampling", "trajectory"
EDITS = {
    "papers.feature_capacity.bound:random_embeddings": [BOUND],
    "capacity": [],  # a comment and a docstring
    "incidental.winner:winner_take_all": [TRAJECTORY],
    "base.streams:rng": [SAMPLING, BOUND],
    "plots:save": [],
    "papers.feature_capacity.bound:_gaussian": [BOUND],
    "capacity.quadratic:sparse_inputs": [SAMPLING],
    "incidental:initial_weights": [TRAJECTORY],
    "capacity:quadratic_loss": [SAMPLING],
    "engine.sweep:stack": [],
}


def test_an_edit_of_the_library_between_runs(tmp_path, monkeypatch, count, size):
    """Exactly the results that reach the edited code are computed again."""
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(paths.ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    chosen = list(EDITS)[: size(3, len(EDITS))]
    ended = subprocess.run(
        [sys.executable, edits.__file__, str(tmp_path), *chosen],
        capture_output=True, text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, *computed = json.loads(ended.stdout)
    assert first == sorted([BOUND, SAMPLING, TRAJECTORY])
    for what, found in zip(chosen, computed, strict=True):
        wrong = set(found) ^ set(EDITS[what])
        count("an edit of the library").add(f"{what}: {found}", wrong=len(wrong))
