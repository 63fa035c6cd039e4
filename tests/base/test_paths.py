"""Where files can be made, and what several runs leave to each other there."""

import concurrent.futures
import threading

import pytest

from polysemanticity.base import paths
from polysemanticity.engine import publish


def test_what_cannot_be_written_is_named_with_what_to_do(tmp_path):
    """A file where the folder should be refuses everybody, root too."""
    (tmp_path / "docs").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="make room or permit writing there") as raised:
        paths.check_writable(tmp_path / "figures", tmp_path / "docs")
    assert raised.value.filename.startswith(str(tmp_path / "docs"))


def test_looking_leaves_nothing_and_takes_away_what_a_killed_run_left(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in (".writable-0123456789ab", "kept.md"):
        (tmp_path / "docs" / name).write_text("", encoding="utf-8")
    paths.check_writable(tmp_path / "figures", tmp_path / "docs")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["docs", "figures", "kept.md"]


def test_a_killed_run_leaves_nothing_that_a_reader_sees(tmp_path, monkeypatch):
    """Killed between making the file and removing it."""
    monkeypatch.setattr(paths.Path, "unlink", lambda *arguments, **named: None)
    paths.check_writable(tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")


def test_runs_that_begin_at_once_do_not_take_each_other_for_killed_ones(tmp_path, monkeypatch):
    """One looks where it can write while others do the same and mend what was left."""
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / ".cache"))
    (tmp_path / "figures").mkdir()
    ended = threading.Event()

    def others():
        while not ended.is_set():
            publish.mend(tmp_path)
            paths.check_writable(tmp_path / "docs")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        helpers = [pool.submit(others) for _ in range(2)]
        try:
            for _ in range(300):
                paths.check_writable(tmp_path / "docs")
        finally:
            ended.set()
        for helper in helpers:
            helper.result()  # raises what they raised
    assert not list((tmp_path / "docs").iterdir())
