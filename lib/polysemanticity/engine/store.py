"""The store of results: a file each, whole or absent, known by its checksum, computed by one process at a time.

A file is a line with the checksum of the rest, then an npz without pickled objects: the arrays, and a header with the
plain values and the *identity*, all that the numbers depend on. Its name is a digest of that identity, so a file that
was put in another's place is noticed. It is written beside its place, synced and renamed, so nothing half-written is
ever read; what is damaged is set aside and counts as absent. A process holds the result's lock while it computes; the
lock of a killed process is free at once.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock
import numpy as np

from polysemanticity.base import locks, paths, runtime

MAGIC = b"polysemanticity-result-1 "
MADE = ("seconds", "token")  # entries of an identity that say how a result was made, not what it is


def key(identity: Mapping) -> str:
    """The digest of all that a result depends on: the name of its file."""
    known = {name: value for name, value in identity.items() if name not in MADE}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def place(worker: str, key: str) -> Path:
    """Where the result with this key is, or will be."""
    return paths.cache() / "results" / worker / f"{key}.npz"


def pack(values: Mapping, identity: Mapping) -> bytes:
    """Return a result as the content of its file.

    Raises TypeError naming the entry that is neither an array of numbers or text nor plain.
    """
    arrays, plain = {}, {}
    for name, value in values.items():
        if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) > 0:
            if value.dtype.kind not in "biufcU":
                raise TypeError(f"result {name!r} has dtype {value.dtype}: allowed are numbers, booleans and text")
            arrays[name] = value
        elif isinstance(value, (np.ndarray, np.generic)):
            plain[name] = value.item()
        elif value is None or isinstance(value, (bool, int, float, str, list)):
            plain[name] = value
        else:
            raise TypeError(f"result {name!r} is a {type(value).__name__}: allowed are arrays, numbers, text and lists")
    header = json.dumps({"identity": identity, "plain": plain}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, __header__=np.frombuffer(header, dtype=np.uint8), **arrays)
    payload = buffer.getvalue()
    return MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def read(path: Path, token: str = "") -> dict | None:
    """Return a stored result, or None if there is none; a damaged one is reported, set aside and counts as none.

    `token`: a result that another run than this one has computed counts as none too.
    """
    found = _unpack(path)
    if found is None or (token and found[0]["token"] != token):
        return None
    return found[1]


def identity(path: Path) -> dict | None:
    """Return what a stored result depends on, or None where there is no whole result."""
    found = _unpack(path)
    return None if found is None else found[0]


def claim(path: Path, wait: bool) -> filelock.AcquireReturnProxy:
    """Return the lock of a result, held, for a `with`; filelock.Timeout if another process holds it and not `wait`."""
    return locks.acquire(paths.cache() / "locks" / f"{path.stem}.lock", timeout=-1 if wait else 0)


def write(path: Path, content: bytes) -> None:
    """Write a result whose lock is held; what a killed process had begun to write of it goes."""
    for part in path.parent.glob(paths.part_pattern(path)):
        part.unlink(missing_ok=True)
    paths.write_atomically(path, content)


def stored() -> Iterator[Path]:
    """Every file of a result, whole or not."""
    return (paths.cache() / "results").glob("*/*.npz")


def _unpack(path: Path) -> tuple[dict, dict] | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        content = b""
    try:
        head, _, payload = content.partition(b"\n")
        if head != MAGIC + hashlib.sha256(payload).hexdigest().encode():
            raise ValueError("wrong checksum")
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            header = json.loads(archive["__header__"].tobytes())
            arrays = {name: archive[name] for name in archive.files if name != "__header__"}
        if key(header["identity"]) != path.stem:
            raise ValueError("a result of something else")
        return header["identity"], {**header["plain"], **arrays}
    except Exception:  # whatever the decoders of zip, npy and JSON raise
        _set_aside(path)
        return None


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(f".damaged-{time.time_ns()}")
    try:
        path.replace(aside)
    except FileNotFoundError:  # another process was faster
        return
    runtime.report(f"stored result {path.name[:12]}… is damaged: set aside as {aside.name}, computed again")
