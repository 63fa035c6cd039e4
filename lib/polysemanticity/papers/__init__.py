"""The papers' experiments: a package each, with a module for each family of experiments and their figures."""

import ast
from functools import cache
from pathlib import Path


@cache
def figures(package: str) -> dict[str, str]:
    """Return name and alt text of every figure that a paper declares: the functions fig… of its `figures`, documented.

    `package` is the `__file__` of the paper's package. The sources are read, not imported: a worker, which imports its
    paper, needs nothing that draws.
    """
    folder = Path(package).parent / "figures"
    found = {}
    for file in sorted(folder.glob("*.py")):
        for statement in ast.parse(file.read_text()).body:
            if isinstance(statement, ast.FunctionDef) and statement.name.startswith("fig"):
                found[statement.name] = " ".join((ast.get_docstring(statement) or "").split())
    return found
