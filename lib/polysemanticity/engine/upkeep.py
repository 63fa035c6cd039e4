"""What runs leave behind: what the store holds, what the last run did, and what may go.

`./run_all.sh status | retry | gc` show it, finish the last run, and remove what nothing will ask for again.
"""

import contextlib
import importlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from polysemanticity.base import codedigest, paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.engine import store

COMMANDS = ("status", "retry", "gc")
RUNNING, OK = "did not end", "ok"


def hold(folder: Path, sockets: Path) -> filelock.BaseFileLock:
    """Make a job's staging folder and hold it: while this process lives, `clear_abandoned` leaves both alone."""
    folder.mkdir(parents=True)
    (folder / "sockets.txt").write_text(str(sockets))
    return filelock.FileLock(folder / "held.lock").acquire()


def clear_abandoned() -> int:
    """Remove the staging folders of runs that were killed, and say how many there were."""
    cleared = 0
    for folder in _abandoned():
        with contextlib.suppress(OSError):
            shutil.rmtree((folder / "sockets.txt").read_text(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        cleared += 1
    return cleared


def remember(arguments: list[str], outcomes: Mapping[str, str]) -> None:
    """Write down how a run was called and how far each of its notebooks came."""
    content = json.dumps({"arguments": arguments, "outcomes": outcomes}, indent=1)
    paths.write_atomically(_last_run(), content.encode())


def to_retry() -> list[str]:
    """Return the command line that runs again what the last run did not finish; ValueError if there is nothing."""
    last = _remembered()
    unfinished = [slug for slug, outcome in last["outcomes"].items() if outcome != OK]
    check(bool(unfinished), "retry", "the last run", "after a run that failed or was cut off; it ended well")
    return [*last["arguments"], "--only", *unfinished]


def status() -> str:
    """Return what the last run did and what the store holds."""
    lines = []
    with contextlib.suppress(ValueError):
        last = _remembered()
        lines.append(f"last run: run_all.sh {' '.join(last['arguments'])}".rstrip())
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
    for folder in _staging():
        try:
            filelock.FileLock(folder / "held.lock").acquire(timeout=0).lock.release()
        except filelock.Timeout:
            continue
        yield folder


def _staging() -> list[Path]:
    return sorted((paths.cache() / "staging").glob("*/"))


def _last_run() -> Path:
    return paths.cache() / "last_run.json"


def _remembered() -> dict:
    try:
        last = json.loads(_last_run().read_text())
        arguments, outcomes = list(last["arguments"]), dict(last["outcomes"])
        strings = all(isinstance(text, str) for text in (*arguments, *outcomes, *outcomes.values()))
        check(strings and not set(arguments) & set(COMMANDS), "record", last, "what a run has written down")
        return {"arguments": arguments, "outcomes": outcomes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"last run: allowed is after a run of run_all.sh; no record of one is readable ({error})"
        ) from None


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
