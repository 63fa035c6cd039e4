"""What runs leave behind is shown, finished and removed; what is in use or still asked for stays."""

import subprocess
import sys

import pytest

from polysemanticity.base import paths, runtime
from polysemanticity.engine import run, store, sweep, upkeep
from polysemanticity.papers import incidental_polysemanticity as paper
from polysemanticity.papers.incidental_polysemanticity import sparsification


@pytest.fixture
def result():
    """The file of a small result of a worker of the library."""
    asked = runtime.start(paper, profile="smoke", seed=0, device="cpu", overrides={})
    sweep.one(sparsification.trajectory, {"n_neurons": 10, "l1": 0.2}, asked)
    return next(store.stored())


def rewrite(path, **changes):
    identity = store.identity(path) | changes
    other = path.with_stem(store.key(identity))
    paths.write_atomically(other, store.pack({"a": 1}, identity))
    return other


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "edited since"},
        {"versions": {"torch": "0.1"}},
        {"worker": "polysemanticity.papers.incidental_polysemanticity.sparsification.gone"},
        {"worker": "polysemanticity.papers.no_such_paper.course"},
        {"worker": "os.getcwd"},
    ],
)
def test_gc_removes_what_the_present_code_does_not_ask_for(result, changes, capsys):
    stale = rewrite(result, **changes)
    assert run.main(["gc", "--dry-run"]) == 0
    assert "would remove 1 results of other code or packages" in capsys.readouterr().out
    assert stale.exists()
    assert run.main(["gc"]) == 0
    assert result.exists() and not stale.exists()


def test_gc_removes_leftovers_but_not_of_a_run_in_progress(result):
    aside = result.with_suffix(".damaged-1")
    part = result.parent / ".x.part"
    training = paths.cache() / "trainings" / "one.pt"
    done_with = training.parent / result.stem / "0.npz"
    done_with.parent.mkdir(parents=True)
    for path in (aside, part, training, done_with):
        path.write_bytes(b"x")
    lock = upkeep.hold(paths.cache() / "staging" / "alive-1", paths.cache() / "sockets")
    upkeep.collect()
    assert not aside.exists() and part.exists() and (paths.cache() / "staging" / "alive-1").exists()
    lock.lock.release()
    upkeep.collect()
    assert not part.exists() and not (paths.cache() / "staging" / "alive-1").exists()
    assert training.exists() and result.exists() and not done_with.parent.exists()


def test_folders_of_a_killed_run_are_cleared(tmp_path):
    staging, sockets = paths.cache() / "staging" / "one-1", tmp_path / "sockets"
    program = (
        "import pathlib, sys, time; from polysemanticity.engine import upkeep; sockets = pathlib.Path(sys.argv[2]); sockets.mkdir();"
        "held = upkeep.hold(pathlib.Path(sys.argv[1]), sockets); print('held', flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(staging), str(sockets)]
    holder = subprocess.Popen(arguments, cwd=paths.ROOT, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    assert upkeep.clear_abandoned() == 0
    assert "notebooks running now            1" in upkeep.status()
    holder.kill()
    holder.wait()
    early = staging.with_name("two-2.lock")  # of one that was killed before it had a folder
    early.touch()
    assert upkeep.clear_abandoned() == 1
    assert not staging.exists() and not sockets.exists() and not list(staging.parent.iterdir())


def ended(arguments, outcomes):
    """Leave the record of a run that has ended."""
    record = upkeep.Record()
    record.remember(arguments, outcomes)
    record.held.lock.release()
    return record.place


def test_status_names_the_last_run_and_the_store(result, capsys):
    ended(["--profile", "smoke"], {"one": upkeep.OK, "two": upkeep.RUNNING})
    assert run.main(["status"]) == 0
    text = capsys.readouterr().out
    assert "last run: run_all.sh --profile smoke" in text and "two: did not end" in text
    assert "trajectory" in text and "1 results,     1 current" in text


def test_retry_runs_what_did_not_finish(monkeypatch):
    asked = []
    monkeypatch.setattr(run, "run", lambda jobs, *rest: asked.extend([*(job.slug for job in jobs), rest[-1]]) or 0)
    place = ended(["--profile", "smoke"], {paper.SLUG: "failed", "feature_capacity": upkeep.OK})
    assert run.main(["retry"]) == 0
    assert asked == [paper.SLUG, place]


def test_two_runs_at_once_have_a_record_each(capsys):
    """Whichever fails, and ends first or last, `retry` finds it, and what is run again takes its place."""
    for failing in (0, 1):
        for last in (0, 1):
            both = [upkeep.Record(), upkeep.Record()]
            for number, record in enumerate(both):
                record.remember(["--seed", str(number)], {"x": upkeep.RUNNING})
            assert run.main(["status"]) == 0
            assert capsys.readouterr().out.count("run in progress: run_all.sh --seed") == 2
            for number in (1 - last, last):
                both[number].remember(["--seed", str(number)], {"x": "failed" if number == failing else upkeep.OK})
                both[number].held.lock.release()
            arguments, place = upkeep.to_retry()
            assert arguments == ["--seed", str(failing), "--only", "x"] and place == both[failing].place
            again = upkeep.Record(instead_of=place)
            again.remember(["--seed", str(failing)], {"x": upkeep.OK})
            again.held.lock.release()
            with pytest.raises(ValueError, match="it ended well"):
                upkeep.to_retry()


def test_both_of_two_runs_can_be_run_again():
    both = [upkeep.Record(), upkeep.Record()]
    for number, record in enumerate(both):
        record.remember([str(number)], {"x": "failed"})
    with pytest.raises(ValueError, match="after a run of run_all.sh that has ended"):
        upkeep.to_retry()
    for record in both:
        record.held.lock.release()
    for number in (1, 0):
        arguments, place = upkeep.to_retry()
        assert arguments[0] == str(number)
        again = upkeep.Record(instead_of=place)
        again.remember(arguments, {"x": upkeep.OK})
        again.held.lock.release()
    upkeep.Record().held.lock.release()  # a run that is no retry forgets those that have ended
    assert not list((paths.cache() / "runs").glob("*.json"))


@pytest.mark.parametrize("record", [None, b"{", b"{}", b"[]"])
def test_retry_without_a_readable_record_says_so(record, capsys):
    if record is not None:
        paths.write_atomically(paths.cache() / "runs" / "one.json", record)
    assert run.main(["retry"]) == 2
    assert "after a run of run_all.sh" in capsys.readouterr().err


def test_retry_after_a_good_run_is_refused(capsys):
    ended([], {"one": upkeep.OK})
    assert run.main(["retry"]) == 2
    assert "it ended well" in capsys.readouterr().err


def test_only_is_left_to_retry():
    arguments = ["--profile", "smoke", "--only", "one", "two", "--seed", "3", "--only=three"]
    assert run._without_only(arguments) == ["--profile", "smoke", "--seed", "3"]
