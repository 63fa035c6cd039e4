"""What a machine does to a run: a full disk, folders that cannot be written, other runs, a wrong clock, an edit."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import edits
import injection
import nbformat
import pytest
import victims

from polysemanticity.base import paths
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


@pytest.mark.parametrize("where", ["cache", "home"])
def test_folders_that_cannot_be_written(server, tmp_path, monkeypatch, count, size, where):
    """A file is where the folder should be: that stops root too."""
    home = tmp_path / "home"
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(home))
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    (home / "notebooks").mkdir(parents=True)
    names = [f"{name}.{suffix}" for name in paper.FIGURES for suffix in ("png", "pdf", "csv", "json")]
    rows = json.dumps([{"id": name, "verdict": "not tested"} for name in paper.CLAIMS])
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("profile = 'default'", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(
                "import os, pathlib\n"
                f"folder = pathlib.Path(os.environ['POLYSEMANTICITY_OUT'], 'figures', '{paper.SLUG}')\n"
                f"folder.mkdir(parents=True)\n_ = [(folder / name).write_text('x') for name in {names}]\n"
                f"_ = (folder / 'claims.json').write_text({rows!r})"
            ),
        ]
    )
    nbformat.write(notebook, home / "notebooks" / f"03_{paper.SLUG}.ipynb")
    (tmp_path / "cache" if where == "cache" else home / "out").write_text("in the way")
    victim = injection.Victim(server, victims.running, tmp_path, ["--profile", "smoke"])
    status, said = victim.wait(), victim.log.read_text()
    assert status == 1 and "Traceback" not in said, said
    assert ("run: " if where == "cache" else "its outputs cannot be put under") in said, said
    count("a folder that cannot be written").add(where, orphans=victim.orphans())


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
