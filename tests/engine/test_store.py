"""The store: whole or absent, never code, one process at a time, errors that say what to do."""

import errno
import io
import os
import pickle
import subprocess
import sys

import filelock
import numpy as np
import pytest

from polysemanticity.base import paths
from polysemanticity.engine import store

IDENTITY = {"worker": "w", "token": ""}


@pytest.fixture
def path():
    return store.place("w", store.key(IDENTITY))


def write(path, values, identity=IDENTITY):
    store.write(path, store.pack(values, identity))


def test_a_result_comes_back_as_it_was(path):
    values = {
        "array": np.arange(6.0).reshape(2, 3),
        "text": np.array(["é", "bc"]),
        "n": 3,
        "none": None,
        "list": [1, 2],
    }
    write(path, values)
    found = store.read(path)
    assert set(found) == set(values) and found["n"] == 3 and found["none"] is None and found["list"] == [1, 2]
    np.testing.assert_array_equal(found["array"], values["array"])
    np.testing.assert_array_equal(found["text"], values["text"])
    assert store.identity(path) == IDENTITY
    assert list(store.stored()) == [path]


def test_absent_is_none(path):
    assert store.read(path) is None and store.identity(path) is None


def test_a_forced_run_takes_only_its_own_results(path):
    write(path, {"a": 1}, IDENTITY | {"token": "this"})
    assert store.read(path, "this") == {"a": 1}
    assert store.read(path, "another") is None
    assert store.read(path) == {"a": 1}


@pytest.mark.parametrize("bad", [{"a": object()}, {"a": np.array([object()])}, {"a": {1: 2}}])
def test_results_are_arrays_and_plain_values(bad):
    with pytest.raises(TypeError, match="result 'a'"):
        store.pack(bad, IDENTITY)


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["EXPLOITED"],))


@pytest.mark.parametrize("form", ["array of objects", "pickle", "header"])
def test_code_in_a_file_with_a_right_checksum_is_not_run(path, tmp_path, monkeypatch, form):
    """Whoever can write files can write their checksums: nothing that is read may be able to run code."""
    monkeypatch.setenv("EXPLOITED", str(tmp_path / "exploited"))
    buffer = io.BytesIO()
    if form == "array of objects":
        np.savez(buffer, __header__=np.array([Exploit()], dtype=object))
    elif form == "pickle":
        pickle.dump(Exploit(), buffer)
    else:
        np.savez(buffer, __header__=np.frombuffer(b"[1]", dtype=np.uint8))
    payload = buffer.getvalue()
    content = store.MAGIC + store.hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
    paths.write_atomically(path, content)
    assert store.read(path) is None
    assert not (tmp_path / "exploited").exists()
    assert not path.exists() and len(list(path.parent.glob("*.damaged-*"))) == 1


def test_a_lock_is_held_by_one_and_free_after_a_kill(path):
    with store.claim(path, wait=False):
        pass
    program = (
        "import pathlib, sys, time; from polysemanticity.engine import store; lock = store.claim(pathlib.Path(sys.argv[1]), wait=True);"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=paths.ROOT, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(filelock.Timeout):
        store.claim(path, wait=False)
    holder.kill()
    holder.wait()
    with store.claim(path, wait=False):
        pass


def test_what_a_killed_process_had_begun_to_write_goes_with_the_next_write(path, monkeypatch):
    path.parent.mkdir(parents=True)
    other = path.with_name("0" * len(path.stem) + path.suffix)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *names: os._exit(9))
        for place in (path, other):
            if (child := os.fork()) == 0:
                write(place, {"x": 1})
            assert os.waitpid(child, 0)[1] >> 8 == 9
    assert len(list(path.parent.glob(".*.part"))) == 2
    write(path, {"x": 1})
    assert [part.name[1:9] for part in path.parent.glob(".*.part")] == ["00000000"] and store.read(path) == {"x": 1}


def test_a_full_disk_leaves_nothing_and_says_what_to_do(path, monkeypatch):
    write(path, {"a": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left.*make room.*POLYSEMANTICITY_CACHE"):
        write(path, {"a": 2})
    assert store.read(path) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_says_so(path):
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o500)
    with pytest.raises(OSError, match="permit writing"):
        write(path, {"a": 1})
