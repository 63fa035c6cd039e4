"""The papers' experiments: a package each, with a module for each family of experiments and their figures."""

import ast
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def figures(package: str) -> dict[str, str]:
    """Return name and alt text of every figure that a paper declares: the functions fig… of its `figures`, documented.

    `package` is the `__file__` of the paper's package. The sources are read, not imported: a worker, which imports its
    paper, needs nothing that draws.
    """
    found = {}
    for file in sorted((Path(package).parent / "figures").glob("*.py")):
        found |= _declared(file)
    return found


def of_family(family: ModuleType) -> dict[str, str]:
    """Return name and alt text of every figure of one family: those in the file of its name among the figures."""
    place = Path(family.__file__)
    return _declared(place.parent / "figures" / place.name)


@cache
def _declared(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    functions = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    drawing = [node for node in functions if node.name.startswith("fig")]
    return {node.name: " ".join((ast.get_docstring(node) or "").split()) for node in drawing}
