"""What a published notebook was made from, so that one whose inputs have not changed is not executed again.

Inputs are the notebook's source, its parameters, every module of the package that it imports, directly or not, the
versions of the packages that numbers and pictures depend on, weights and a user's files by their content, and whether
there is a GPU. Its outputs are the files that it published. Both are kept as digests beside the store, where a run
looks before it imports anything large. Modules count as a whole, comments and all, since notebooks show sources:
a notebook may be executed without need, never left alone wrongly.
"""

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from polysemanticity.base import codedigest, paths, runtime

DRAWING = ("matplotlib", "seaborn", "pandas", "pillow", "fonttools", "ipykernel", "ipywidgets", "papermill", "nbformat")
ROOTS = ("polysemanticity.engine.execute", "polysemanticity.engine.publish")  # they make the published copy


def summary(slug: str, source: Path, parameters: Mapping, place: Path) -> str | None:
    """Return the line that told what the notebook delivered, if its inputs and outputs are still those, else None."""
    try:
        record = json.loads(_record(slug, parameters, place).read_text(encoding="utf-8"))
        if record["inputs"] == inputs(source, parameters) and record["outputs"] == outputs(slug, source, place):
            return str(record["summary"])
    except (OSError, ValueError, KeyError, TypeError):  # nothing was recorded, or it cannot be read
        pass
    return None


def remember(slug: str, source: Path, parameters: Mapping, place: Path, made_from: str, told: str) -> None:
    """Keep what a success was made from, as `inputs` gave it before the run, and the files that it published."""
    record = {"inputs": made_from, "outputs": outputs(slug, source, place), "summary": told}
    paths.write_atomically(_record(slug, parameters, place), json.dumps(record, indent=1).encode())


def inputs(source: Path, parameters: Mapping) -> str:
    """Return a digest of all that the outputs of a notebook depend on."""
    parts = {
        "notebook": _digest(source),
        "parameters": parameters,
        "modules": {str(file.relative_to(paths.PACKAGE)): _digest(file) for file in sorted(modules(source))},
        "versions": runtime.versions() | runtime.versions(DRAWING),
        "weights": _tree(paths.home() / "weights"),
        "files": {value: _tree(Path(value)) for value in _texts(parameters) if Path(value).exists()},
        "gpu": shutil.which("nvidia-smi") is not None and os.environ.get("CUDA_VISIBLE_DEVICES", "all") != "",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def outputs(slug: str, source: Path, place: Path) -> dict[str, str]:
    """Return the digests of what a notebook has published, by path."""
    files = [*sorted((place / "figures" / slug).glob("*")), place / "docs" / source.name]
    return {str(file.relative_to(place)): _digest(file) for file in files if file.is_file()}


def modules(source: Path) -> set[Path]:
    """Return the files of all modules of the package that a notebook imports, and that those import.

    All of the package where the notebook has code that is no Python, such as magic commands, or is malformed: what is
    wrong with it is said where it is executed.
    """
    try:
        cells = [cell for cell in json.loads(source.read_bytes())["cells"] if cell["cell_type"] == "code"]
        names = {name for cell in cells for name in _imported(ast.parse("".join(cell["source"])))}
    except (SyntaxError, ValueError, TypeError, KeyError):
        return set(paths.PACKAGE.rglob("*.py"))
    found, open_ends = {}, [*ROOTS, *names]
    while open_ends:
        name = open_ends.pop()
        file = codedigest.module_file(name)
        if name in found or file is None or not file.exists():
            continue
        found[name] = file
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        open_ends += [package.rpartition(".")[0], package, *_imported(ast.parse(file.read_text(encoding="utf-8")))]
    return set(found.values())


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of the package that a source names in its imports, wherever they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if codedigest.within(alias.name))
        elif isinstance(node, ast.ImportFrom) and codedigest.within(node.module or ""):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _record(slug: str, parameters: Mapping, place: Path) -> Path:
    what = json.dumps([os.path.relpath(place, paths.home()), parameters], sort_keys=True)
    return paths.cache() / "made" / f"{slug}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"


def _texts(value) -> Iterator[str]:
    """Every text among the values of parameters: some name files."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str) and value:
        yield value


def _tree(place: Path) -> dict[str, str]:
    """The digests of a file, or of all files in a folder, by path."""
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return {str(file.relative_to(place)): _digest(file) for file in files if file.is_file()}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
