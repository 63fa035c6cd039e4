"""Where things are: the only module that knows folders.

`engine.run` executes each notebook against a staging folder, which it names in the environment variable
`POLYSEMANTICITY_OUT`; without it (a notebook opened by hand) figures go under `.cache/interactive/`, so exploring never
touches the published figures.
"""

import os
import uuid
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent  # of the checkout


def check_checkout(folder: Path | None = None) -> None:
    """Raise RuntimeError where `folder` (the current one) lies in another checkout than this package's.

    A notebook that is opened in one copy of the collection would else run the code of another without a word. One that
    the runner executes has the runner's own package, wherever the store is that it works in.
    """
    if "POLYSEMANTICITY_OUT" in os.environ:
        return
    folder = (folder or Path.cwd()).resolve()
    for place in (folder, *folder.parents):
        other = place / "lib" / PACKAGE.name
        if (other / "__init__.py").exists():
            if other != PACKAGE:
                raise RuntimeError(
                    f"this folder belongs to the checkout {place}, but {PACKAGE.name} was loaded from {PACKAGE}: start "
                    f"Python in the environment of this checkout (./run_all.sh --setup makes it)"
                )
            return


def checkout() -> Path:
    """The folder of the collection that this package belongs to; RuntimeError where it is installed by itself."""
    if not (ROOT / "notebooks").is_dir() and "POLYSEMANTICITY_HOME" not in os.environ:
        raise RuntimeError(
            f"{PACKAGE.name} is installed by itself in {PACKAGE}: run me in a checkout of the collection, "
            "which has the notebooks"
        )
    return ROOT


def check_name() -> None:
    """Raise RuntimeError where the checkout's path has a character in it that a list of folders cannot hold."""
    if os.pathsep in str(PACKAGE):
        raise RuntimeError(f"the path of this checkout has {os.pathsep!r} in it, {ROOT}: allowed is one without it")


def home() -> Path:
    """The folder that notebooks are read from and figures published to; `POLYSEMANTICITY_HOME` names another."""
    return Path(os.environ.get("POLYSEMANTICITY_HOME", ROOT))


def notebooks() -> dict[str, Path]:
    """The source notebooks by slug, in reading order: `notebooks/02_name_of_it.ipynb` has the slug `name_of_it`."""
    found = sorted((home() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {path.stem.partition("_")[2]: path for path in found}


def is_guide(notebook: Path) -> bool:
    """Whether a notebook is a guide (number 00, or a name that begins with `your`) rather than reproduces a paper."""
    number, _, name = notebook.name.partition("_")
    return number == "00" or name.startswith("your_")


def papers() -> dict[str, Path]:
    """The notebooks that reproduce a paper, by the name of its package in `papers`."""
    return {slug: path for slug, path in notebooks().items() if not is_guide(path)}


def cache() -> Path:
    """The store of results and all else that can be made again; `POLYSEMANTICITY_CACHE` moves it."""
    return Path(os.environ.get("POLYSEMANTICITY_CACHE", home() / ".cache"))


def published(profile: str, changed: bool) -> Path:
    """Where figures/ and docs/ of a run go: the collection itself for the plain default profile, else within `out/`."""
    if profile == "default" and not changed:
        return home()
    return home() / "out" / (f"{profile}-changed" if changed else profile)


def figures(slug: str) -> Path:
    """The folder this process writes one paper's figures and claims into, made if need be."""
    folder = Path(os.environ.get("POLYSEMANTICITY_OUT", cache() / "interactive")) / "figures" / slug
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, sync it, rename it into place: a reader sees the old file or the whole new one.

    OSError, with what to do, where the disk is full or may not be written to.
    """
    try:
        _write_beside_and_rename(path, content)
    except OSError as error:
        advice = "make room or permit writing there, or name another store in POLYSEMANTICITY_CACHE"
        raise OSError(error.errno, f"{error.strerror}: {advice}", str(path)) from error


def part_pattern(path: Path) -> str:
    """The pattern of the names that `write_atomically` gives to what it has begun to write of a file."""
    return f".{path.name[:40]}.*.part"


def _write_beside_and_rename(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # no file of `tempfile`, which only its owner may read: some file systems refuse to change that
    temporary = path.with_name(part_pattern(path).replace("*", uuid.uuid4().hex[:12]))
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(*folders: Path) -> None:
    """Raise OSError, with what to do, unless files can be made in each of the folders, which are made if need be.

    A hidden file is made and removed. What a run that was killed in between has left goes too; that it may be the file
    of another run which is looking at this moment does no harm.
    """
    for folder in folders:
        probe = folder / f".writable-{uuid.uuid4().hex[:12]}"  # no .part, which publish.mend would take
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(".writable-*"):
                left.unlink(missing_ok=True)
            probe.touch(exist_ok=False)
            probe.unlink(missing_ok=True)
        except OSError as error:
            names = "POLYSEMANTICITY_HOME and POLYSEMANTICITY_CACHE"
            advice = f"make room or permit writing there, or name other places in {names}"
            raise OSError(error.errno, f"{error.strerror}: {advice}", str(probe)) from error
