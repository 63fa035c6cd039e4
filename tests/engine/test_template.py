"""`python -m polysemanticity new`: what it makes works at once, a bad name is refused, and nothing half-made remains."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from polysemanticity.base import paths
from polysemanticity.engine import run, template

LEFT_OUT = {"out", "build", "htmlcov"}


@pytest.fixture
def project(tmp_path):
    """A copy of the project; what the command neither reads nor writes are links."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for entry in paths.ROOT.iterdir():
        if entry.name in ("lib", "tests", "notebooks", "templates"):
            shutil.copytree(
                entry, copy / entry.name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            )
        elif entry.name == "README.md":
            shutil.copy(entry, copy)
        elif not entry.name.startswith(".") and entry.name not in LEFT_OUT:
            (copy / entry.name).symlink_to(entry)
    return copy


@pytest.fixture
def here(project, monkeypatch):
    """This process takes the copy for the project."""
    monkeypatch.setattr(paths, "ROOT", project)
    monkeypatch.setattr(paths, "PACKAGE", project / "lib" / "polysemanticity")
    return project


def contents(project):
    files = {path for folder in ("lib", "tests", "notebooks") for path in (project / folder).rglob("*")}
    return {path: path.read_bytes() for path in files | {project / "README.md"} if path.is_file()} | {
        path: None for path in files if path.is_dir()
    }


def test_a_new_paper_runs_and_passes_at_once(project, tmp_path):
    """As a user types it, in processes of their own: the command, papermill under smoke, its and the shared tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POLYSEMANTICITY_")}
    environment |= {"POLYSEMANTICITY_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(project / "lib")}

    def python(*arguments):
        command = [sys.executable, "-m", *arguments]
        ended = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    number = f"{len(paths.notebooks()):02}"
    told = python("polysemanticity", "new", "random_directions", "--title", "Room for many: who's near?")
    assert (
        f"notebooks/{number}_random_directions.ipynb" in told
        and "tests/papers/random_directions/test_random_directions.py" in told
    )
    assert "1 of 1 succeeded" in python("polysemanticity", "--profile", "smoke", "--only", "random_directions")
    results = project / "out" / "smoke"
    assert (results / "docs" / f"{number}_random_directions.ipynb").exists()
    assert (results / "figures" / "random_directions" / "fig1_overlaps.pdf").exists()
    files = ["papers/random_directions", "test_architecture.py", "pages/test_readme.py", "test_notebooks.py"]
    files = [f"tests/{name}" for name in files]
    which = "random_directions or test_readme or test_architecture or one_package"
    told = python("pytest", "-p", "no:cacheprovider", "-k", which, *files)
    assert int(re.search(r"(\d+) passed", told)[1]) > 15 and "skipped" not in told
    python("ruff", "check", ".")
    python("ruff", "format", "--check", ".")
    row = (project / "README.md").read_text().splitlines()
    row = next(line for line in row if "random_directions" in line)
    assert row.startswith(f"| [{number} Room for many: who's near?](notebooks/{number}_random_directions.ipynb) |")


def test_a_second_paper_gets_the_next_number_and_claims_of_its_own(here):
    first, second = template.create("sparse_codes_x"), template.create("sparse_cubes_y")
    assert int(second[0].name[:2]) == int(first[0].name[:2]) + 1
    ids = ["".join(path.read_text() for path in files if path.name == "overlaps.py") for files in (first, second)]
    assert '"SC-01"' in ids[0] and '"SC-01"' not in ids[1]
    assert "Sparse cubes y" in (here / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new"], "allowed is new SLUG"),
        (["new", "Capital"], "slug = 'Capital': allowed is lower-case letters"),
        (["new", "2nd_paper"], "slug = '2nd_paper': allowed is lower-case letters"),
        (["new", "a-b"], "slug = 'a-b'"),
        (["new", "../escape"], "slug = '../escape'"),
        (["new", "lambda"], "slug = 'lambda'"),
        (["new", "x" * 41], "40 at most"),
        (
            ["new", "feature_capacity"],
            "a name that is free: lib/polysemanticity/papers/feature_capacity exists already",
        ),
        (["new", "start_here"], "a name that is free: notebooks/00_start_here.ipynb exists already"),
        (["new", "fine", "--title", ""], "title = '': allowed is 1 to 80 characters"),
        (["new", "fine", "--title", 'say "it"'], "allowed is 1 to 80 characters of one line"),
        (["new", "fine", "--title", "a | b"], "title = 'a | b'"),
        (["gc", "fine"], "gc fine: allowed is a name after new only"),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(here, capsys, arguments, message):
    before = contents(here)
    assert run.main(arguments) == 2
    complaint = capsys.readouterr().err
    assert message in complaint and complaint.count("\n") == 1
    assert contents(here) == before


@pytest.mark.parametrize("fails_at", range(7))
def test_a_failure_leaves_nothing_half_made(here, monkeypatch, fails_at):
    write, before, written = paths.write_atomically, contents(here), []

    def full_disk(path, content):
        if len(written) == fails_at:
            raise OSError("no space left")
        written.append(path)
        write(path, content)

    monkeypatch.setattr(paths, "write_atomically", full_disk)
    with pytest.raises(OSError, match="no space left"):
        template.create("half_made")
    assert len(written) == fails_at and contents(here) == before


def test_a_readme_without_the_table_is_refused(here):
    (here / "README.md").write_text("no table\n")
    before = contents(here)
    with pytest.raises(ValueError, match="a table of notebooks"):
        template.create("no_table")
    assert contents(here) == before
