"""kill -9, SIGTERM and Ctrl-C at random moments of a real sweep and of a real run of a notebook."""

import shutil
import time

import injection
import pytest
import victims

from polysemanticity.base import paths
from polysemanticity.engine import publish
from polysemanticity.papers import feature_capacity as paper

SIGNALS = ("-9", "SIGTERM", "Ctrl-C")
SWEEP = (*SIGNALS, "member -9", "file operation -9", "file operation -9")
ROLES = {"the process of papermill": "polysemanticity.engine.execute", "its kernel": "ipykernel", "a worker": "loky"}


@pytest.fixture(scope="module")
def server():
    return injection.server()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "attacked"
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(folder))
    return folder


def undisturbed(server, target, folder, *arguments):
    """Run to the end and return how long it took."""
    folder.mkdir(exist_ok=True)
    victim = injection.Victim(server, target, folder, *arguments)
    assert victim.wait() == 0, victim.log.read_text()[-3000:]
    seconds = time.monotonic() - victim.started
    assert victim.orphans() == 0
    return seconds


@pytest.mark.parametrize("forked", [True, False], ids=["forked workers", "workers as users have them"])
def test_kills_of_a_sweep(server, cache, tmp_path, monkeypatch, rng, count, size, forked):
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "reference"))
    if not forked and size(True, False):
        pytest.skip("only in the full suite")
    undisturbed(server, victims.sweeping, tmp_path / "calm", forked)
    watch = injection.Watch(tmp_path / "reference")
    assert len(watch.reference) == len(victims.CONFIGS)
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(cache))
    seconds = undisturbed(server, victims.sweeping, tmp_path / "calm", forked)  # the fork server is there by now
    shutil.rmtree(cache)
    wanted, injected = size(6, 168) if forked else 12, 0
    while injected < wanted:
        share = watch.missing(cache) / len(watch.reference)
        how = SWEEP[injected % len(SWEEP)]
        environment = {}
        if how == "file operation -9":
            environment = injection.trap(tmp_path, rng.randint(1, 30), cache)
        victim = injection.Victim(server, victims.sweeping, tmp_path, forked, **environment)
        struck = False
        if how != "file operation -9" and victim.sleep(rng.uniform(0, seconds * (0.2 + 0.7 * share))):
            struck = injection.strike(victim, how, rng, "loky", "forkserver")
        status = victim.wait()
        ended = time.monotonic()
        struck = struck or ((tmp_path / "fired").exists() and how == "file operation -9")
        found = watch.look(cache) | {"orphans": victim.orphans()}
        if struck:
            injected += 1
            count(f"a sweep: {how}").add(f"after {injected} faults", **found)
        else:
            assert not any(found.values()), found
        if status == 0:
            assert watch.missing(cache) == 0
            if share == 1 and not struck:
                seconds = (seconds + ended - victim.started) / 2
            shutil.rmtree(cache)
            watch.forget()
    victim = injection.Victim(server, victims.sweeping, tmp_path, forked)
    assert victim.wait() == 0, victim.log.read_text()[-3000:]
    assert not any(watch.look(cache).values()) and watch.missing(cache) == 0
    assert not list(cache.glob("results/*/.*.part"))


def visible(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def hidden(folder):
    return [path for path in folder.rglob(".*")]


@pytest.mark.parametrize("hows", [[*SIGNALS, "file operation -9"], [*ROLES]], ids=["the run", "one of its processes"])
def test_kills_of_a_run_of_a_notebook(hows, server, cache, tmp_path, monkeypatch, rng, count, size):
    if size(True, False):
        pytest.skip("only in the full suite")
    home, outputs = tmp_path / "home", tmp_path / "home" / "out" / "smoke"
    home.mkdir()
    (home / "notebooks").symlink_to(paths.ROOT / "notebooks")
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(home))
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "reference"))
    command = ["--profile", "smoke", "--only", paper.SLUG]
    seconds = undisturbed(server, victims.running, tmp_path / "calm", command)
    watch, expected = injection.Watch(tmp_path / "reference"), visible(outputs)
    assert f"figures/{paper.SLUG}/claims.json" in expected
    shutil.rmtree(outputs)
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(cache))
    injected = 0
    while injected < 3 * len(hows):
        share = watch.missing(cache) / len(watch.reference)
        how = hows[injected % len(hows)]
        below = rng.choice([cache / "results", cache, outputs])
        environment = injection.trap(tmp_path, rng.randint(1, 60), below) if how == "file operation -9" else {}
        victim = injection.Victim(server, victims.running, tmp_path, command, **environment)
        struck = False
        if how != "file operation -9" and victim.sleep(rng.uniform(0, seconds * (0.5 + 0.4 * share))):
            signal, words = ("member -9", [ROLES[how]]) if how in ROLES else (how, [])
            struck = injection.strike(victim, signal, rng, *words)
        status = victim.wait()
        struck = struck or ((tmp_path / "fired").exists() and how == "file operation -9")
        found = watch.look(cache) | {"orphans": victim.orphans()}
        found["wrong"] += sum(expected.get(name) != content for name, content in visible(outputs).items())
        if status == 0:
            found["wrong"] += visible(outputs) != expected
            found["torn"] += len(hidden(outputs))
            shutil.rmtree(cache)
            shutil.rmtree(outputs)
            watch.forget()
        if struck:
            injected += 1
            count(f"a run of a notebook: {how}").add(f"status {status} after {injected} faults", **found)
        else:
            assert not any(found.values()), found
    victim = injection.Victim(server, victims.running, tmp_path, command)
    assert victim.wait() == 0, victim.log.read_text()[-3000:]
    assert visible(outputs) == expected and not hidden(outputs)
    assert not any(watch.look(cache).values()) and watch.missing(cache) == 0
    assert not list((cache / "staging").glob("*"))


def test_kills_between_any_two_steps_of_publishing(server, tmp_path, monkeypatch, count, size):
    """What is published is the old or the new, and after the next run nothing else is there."""
    figures, new = tmp_path / "place" / "figures", tmp_path / "new"
    for folder, text in ((figures / "slug", "old"), (new, "new")):
        folder.mkdir(parents=True)
        for name in "abc":
            (folder / name).write_text(text)
    for step in range(1, size(6, 40)):
        environment = injection.trap(tmp_path, step, tmp_path / "place")
        victim = injection.Victim(server, victims.publishing, tmp_path, str(new), str(figures / "slug"), **environment)
        victim.wait()
        if not (tmp_path / "fired").exists():
            break
        publish.mend(tmp_path / "place")
        texts = {path.read_text() for path in (figures / "slug").iterdir()}
        wrong = texts not in ({"old"}, {"new"}) or len(list((figures / "slug").iterdir())) != 3
        count("publishing: file operation -9").add(
            f"step {step}", wrong=int(wrong), torn=len(hidden(figures)), orphans=victim.orphans()
        )
        for name in "abc":
            (figures / "slug" / name).write_text("old")
    assert step >= 5
