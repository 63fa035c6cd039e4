"""What counts as a success of an executed notebook, and how its outputs replace the published ones."""

import filecmp
import json
import shutil
import uuid
from pathlib import Path
from types import ModuleType

import filelock

from polysemanticity.base import locks, paths
from polysemanticity.engine import execute, reproduction

SUFFIXES = ("png", "pdf", "csv", "json")


def problem(paper: ModuleType, source: Path, executed: Path) -> str | None:
    """Return why the executed copy and what it wrote beside itself are not a success, or None.

    Every code cell ran without an error, every figure that the paper declares is there and shown, every claim has its
    row.
    """
    if not executed.exists():
        return "no executed copy was written"
    found = None if paths.is_guide(source) else execute.parameters_problem(execute.read(source))
    notebook = execute.read(executed)
    shown = {name for name in paper.FIGURES if name not in execute.shown(notebook)}
    lacking = f"figure {sorted(shown)[0]!r} was written and its picture is not shown" if shown else None
    return found or execute.problem(notebook) or _missing(paper, executed.parent) or lacking


def _missing(paper: ModuleType, staging: Path) -> str | None:
    folder = staging / "figures" / paper.SLUG
    for name in paper.FIGURES:
        for suffix in SUFFIXES:
            if not (folder / f"{name}.{suffix}").exists():
                return f"figure {name!r} is declared but its .{suffix} was not written"
    if not paper.CLAIMS:
        return None
    if not (folder / "claims.json").exists():
        return "claims.json was not written"
    judged = {row["id"] for row in json.loads((folder / "claims.json").read_text(encoding="utf-8"))}
    if judged != set(paper.CLAIMS):
        return f"claims {', '.join(sorted(judged ^ set(paper.CLAIMS)))} are declared or judged, not both"
    return None


def publish(slug: str, executed: Path, place: Path) -> list[reproduction.Compared]:
    """Put the figures and the cleaned executed copy of a success under `place`; return how they compare.

    What agrees with the published, but for rounding, is left untouched. Other profiles, seeds and settings, which go
    elsewhere, are compared with what is published.
    """
    if place == paths.home():
        found = reproduction.settle(executed.parent, slug, executed, place)
    else:
        found = reproduction.compared(executed.parent, slug, paths.home())
    document = execute.text(execute.cleaned(execute.read(executed))).encode()
    target = place / "docs" / executed.name
    with alone():
        if (executed.parent / "figures" / slug).exists():  # a guide has none
            replace_folder(executed.parent / "figures" / slug, place / "figures" / slug)
        if not target.exists() or target.read_bytes() != document:
            paths.write_atomically(target, document)
    return found


def alone() -> filelock.AcquireReturnProxy:
    """A lock, held, for a `with`: one run at a time changes what is published."""
    return locks.acquire(paths.cache() / "locks" / "publish.lock")


def mend(place: Path) -> None:
    """Finish or undo what a publication that was killed has left under `place`."""
    with alone():
        for aside in (place / "figures").glob(".*.old"):
            _put_back(aside, aside.with_name(aside.name[1:].removesuffix(".old")))
        for beside in (place / "figures").glob(".*.new"):
            shutil.rmtree(beside)
        for part in (*place.glob(".*.part"), *place.glob("docs/.*.part")):
            part.unlink()


def _put_back(aside: Path, old: Path) -> None:
    if aside.exists() and not old.exists():
        aside.rename(old)
    shutil.rmtree(aside, ignore_errors=True)


def replace_folder(new: Path, old: Path) -> None:
    """Put the folder `new` in the place of `old` by two renames; a change that was cut off between them is mended."""
    old.parent.mkdir(parents=True, exist_ok=True)
    aside = old.with_name(f".{old.name}.old")
    _put_back(aside, old)
    if old.exists() and _same_files(new, old):
        return
    beside = old.with_name(f".{old.name}.{uuid.uuid4().hex[:12]}.new")
    beside.mkdir()
    try:
        for file in new.iterdir():
            shutil.copyfile(file, beside / file.name)  # contents only: some file systems refuse to change modes
        if old.exists():
            old.rename(aside)
        beside.rename(old)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _same_files(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)
