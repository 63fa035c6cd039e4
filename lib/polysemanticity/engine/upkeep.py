"""What runs leave behind: what the store holds, what the last run did, and what may go.

`./run_all.sh status | retry | gc` show it, finish the last run, and remove what nothing will ask for again.
"""

import contextlib
import importlib
import json
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from polysemanticity.base import codedigest, locks, paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.engine import store

COMMANDS = ("status", "retry", "gc")
RUNNING, OK = "did not end", "ok"


def hold(folder: Path, sockets: Path) -> filelock.AcquireReturnProxy:
    """Make a job's staging folder and hold it: while this process lives, `clear_abandoned` leaves both alone."""
    held = locks.acquire(_lock_of(folder))  # before the folder is there to be cleared
    folder.mkdir(parents=True)
    (folder / "sockets.txt").write_text(str(sockets), encoding="utf-8")
    return held


def drop(folder: Path, sockets: Path) -> None:
    """Remove a staging folder and its sockets."""
    for place in (folder, sockets):
        shutil.rmtree(place, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)


def clear_abandoned() -> int:
    """Remove the staging folders of runs that were killed, and say how many there were."""
    cleared = 0
    for folder in _abandoned():
        try:
            sockets = Path((folder / "sockets.txt").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # it was killed before it had any
            sockets = folder
        drop(folder, sockets)
        cleared += 1
    for place, kept in (("staging", ""), ("runs", ".json")):  # locks of runs that were killed before they had more
        for lock in (paths.cache() / place).glob("*.lock"):
            if not lock.with_suffix(kept).exists() and _is_free(lock):
                lock.unlink(missing_ok=True)
    return cleared


class Record:
    """What one run was asked for and how far its notebooks came; while it goes on the record is held."""

    def __init__(self, instead_of: Path | None = None):
        """Begin a record: in the place of the one that is run again, else of those of all runs that have ended."""
        self.place = paths.cache() / "runs" / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}.json"
        self.held = locks.acquire(self.place.with_suffix(".lock"))
        for place in _ended() if instead_of is None else [instead_of]:
            place.unlink(missing_ok=True)
            place.with_suffix(".lock").unlink(missing_ok=True)

    def remember(self, arguments: list[str], outcomes: Mapping[str, str]) -> None:
        """Write down how the run was called and how far each of its notebooks came."""
        content = json.dumps({"arguments": arguments, "outcomes": outcomes}, indent=1)
        paths.write_atomically(self.place, content.encode())


def to_retry() -> tuple[list[str], Path]:
    """Return the command line that runs again what the last run that failed did not finish, and that run's record.

    ValueError if there is nothing.
    """
    records, problem = _ended(), None
    for place in records:
        try:
            last = _remembered(place)
        except ValueError as error:
            problem = problem or error
            continue
        unfinished = [slug for slug, outcome in last["outcomes"].items() if outcome != OK]
        if unfinished:
            return [*last["arguments"], "--only", *unfinished], place
    if problem or not records:
        raise problem or ValueError("last run: allowed is after a run of run_all.sh that has ended")
    check(False, "retry", "the last run", "after a run that failed or was cut off; it ended well")
    return [], records[0]


def status() -> str:
    """Return what the last run did and what the store holds."""
    lines = []
    ended = _ended()
    for place in reversed(_records()):
        with contextlib.suppress(ValueError):
            last = _remembered(place)
            which = "last run" if place in ended else "run in progress"
            lines.append(f"{which}: run_all.sh {' '.join(last['arguments'])}".rstrip())
            lines += [f"    {slug}: {outcome}" for slug, outcome in last["outcomes"].items()]
    lines.append(f"store: {paths.cache()}")
    for worker, (kept, current, size) in sorted(_by_worker().items()):
        lines.append(f"    {worker:28} {kept:5} results, {current:5} current {_megabytes(size):>10}")
    for what, files in _leftovers().items():
        lines.append(f"    {what:28} {len(files):5}                        {_megabytes(sum(map(_size, files))):>10}")
    held = len(_staging()) - len(list(_abandoned()))
    lines.append(f"    notebooks running now        {held:5}")
    return "\n".join(lines)


def collect(only_say: bool = False) -> str:
    """Remove results that the present code and packages would not ask for, and what killed runs left; say what.

    Files of runs in progress, and unfinished trainings, are left alone. With `only_say` nothing is removed.
    """
    groups = {"results of other code or packages": [path for path in store.stored() if not _is_current(path)]}
    groups |= {what: files for what, files in _leftovers().items() if what != "unfinished trainings"}
    lines = []
    for what, files in groups.items():
        lines.append(
            f"{'would remove' if only_say else 'removed'} {len(files)} {what}, {_megabytes(sum(map(_size, files)))}"
        )
        for path in [] if only_say else files:
            with contextlib.suppress(FileNotFoundError):  # a run removes it at this very moment
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return "\n".join(lines)


def _by_worker() -> dict[str, tuple[int, int, int]]:
    kept, current, size = Counter(), Counter(), Counter()
    for path in store.stored():
        kept[path.parent.name] += 1
        current[path.parent.name] += _is_current(path)
        size[path.parent.name] += _size(path)
    return {name: (kept[name], current[name], size[name]) for name in kept}


def _is_current(path: Path) -> bool:
    """Whether the present code and packages would ask for this result."""
    identity = store.identity(path)
    if identity is None or identity["versions"] != runtime.versions():
        return False
    module, _, name = identity["worker"].rpartition(".")
    if not module.startswith(f"{codedigest.PACKAGE}."):
        return False
    try:
        return codedigest.digest(getattr(importlib.import_module(module), name)) == identity["code"]
    except (ImportError, AttributeError):  # the worker has moved or gone
        return False


def _leftovers() -> dict[str, list[Path]]:
    folder, abandoned = paths.cache(), list(_abandoned())
    idle = len(abandoned) == len(_staging())
    finished, trainings = {path.stem for path in store.stored()}, list((folder / "trainings").glob("*"))
    return {
        "damaged results": list((folder / "results").glob("*/*.damaged-*")),
        "half-written files": list(folder.glob("*/**/.*.part")) if idle else [],
        "unfinished trainings": [path for path in trainings if path.name not in finished],
        "checkpoints of kept results": [path for path in trainings if path.name in finished],
        "folders of killed runs": abandoned,
        "pictures, kept by what they show": list((folder / "pictures").glob("*")),
    }


def _abandoned() -> Iterator[Path]:
    """Staging folders whose process is gone."""
    yield from (folder for folder in _staging() if _is_free(_lock_of(folder)))


def _is_free(lock: Path) -> bool:
    try:
        locks.acquire(lock, timeout=0).lock.release()
    except filelock.Timeout:
        return False
    return True


def _lock_of(folder: Path) -> Path:
    """The lock of a staging folder, beside it."""
    return folder.with_name(f"{folder.name}.lock")


def _staging() -> list[Path]:
    return sorted((paths.cache() / "staging").glob("*/"))


def _records() -> list[Path]:
    """The records of runs, the last first."""
    return sorted((paths.cache() / "runs").glob("*.json"), reverse=True)


def _ended() -> list[Path]:
    """The records of runs that have ended, the last first."""
    return [place for place in _records() if _is_free(place.with_suffix(".lock"))]


def _remembered(place: Path) -> dict:
    try:
        last = json.loads(place.read_text(encoding="utf-8"))
        arguments, outcomes = list(last["arguments"]), dict(last["outcomes"])
        strings = all(isinstance(text, str) for text in (*arguments, *outcomes, *outcomes.values()))
        check(strings and not set(arguments) & set(COMMANDS), "record", last, "what a run has written down")
        return {"arguments": arguments, "outcomes": outcomes}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"last run: allowed is after a run of run_all.sh; no record of one is readable ({error})"
        ) from None


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
