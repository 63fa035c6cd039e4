"""What the table of a figure was made from, as its notebook says: the families whose settings it takes, the functions.

The cells of a paper's notebook are followed in their order: a name depends on all that is mentioned where it is bound.
What mentions more of the run than a family's settings, such as the rows of its claims, depends on all families.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from polysemanticity.base import paths

ALL = "all"
HARMLESS = ("seed", "device")  # attributes of a run that stand in every figure's provenance anyway


class Origin(NamedTuple):
    """What goes into the table of a figure."""

    families: frozenset[str] | None  # whose settings it takes; None: those of all
    functions: tuple[tuple[str, str], ...]  # (module, name) of the paper's functions and constants that it mentions


def of(slug: str) -> Mapping[str, Origin]:
    """Return the origin of every figure that a paper's notebook shows; nothing where the notebook is not here."""
    source = paths.notebooks().get(slug)
    return _of(source, source.stat().st_mtime_ns) if source else {}


@cache
def _of(source: Path, changed: int) -> Mapping[str, Origin]:
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    try:
        statements = [statement for text in code for statement in ast.parse(text).body]
    except SyntaxError:  # a magic command of somebody's own: then nothing is known
        return {}
    modules = dict(found for statement in statements for found in _imported(statement))
    known: dict[str, set] = {}
    figures: dict[str, set] = {}
    for statement in statements:
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "plots.show" and len(call.args) == 3:
                figures[ast.unparse(call.args[0]).rpartition(".")[2]] = _mentioned(call.args[1], known, modules)
        for target, value in _bound(statement):
            found = _mentioned(value, known, modules)
            known |= {n.id: found for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {name: _origin(found) for name, found in figures.items()}


def _origin(found: set) -> Origin:
    families = {one for one in found if isinstance(one, str)}
    functions = tuple(sorted(one for one in found if isinstance(one, tuple)))
    return Origin(None if ALL in families else frozenset(families), functions)


def _imported(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """The modules of papers that a statement imports, by the names that it gives them."""
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("polysemanticity.papers."):
        yield from ((alias.asname or alias.name, f"{statement.module}.{alias.name}") for alias in statement.names)


def _bound(statement: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What a statement binds, each with what it is bound to; the parts of `a, b = c, d` by themselves."""
    if not isinstance(statement, ast.Assign):
        yield statement, statement
        return
    for target in statement.targets:
        both = (target, statement.value)
        if all(isinstance(side, ast.Tuple) for side in both) and len(target.elts) == len(statement.value.elts):
            yield from zip(target.elts, statement.value.elts, strict=True)
        else:
            yield both


def _mentioned(node: ast.AST, known: Mapping[str, set], modules: Mapping[str, str]) -> set:
    """The families (texts) and functions (module, name) that an expression depends on."""
    if isinstance(node, ast.Attribute):
        chain = ast.unparse(node).split(".")
        if chain[:2] == ["run", "cfg"] and len(chain) > 2:
            return {chain[2]}
        if chain[0] == "run" and chain[1] in HARMLESS:
            return set()
        if chain[0] in modules:
            return {(modules[chain[0]], chain[1])}
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("sweep."):  # it hands the run on
        parts = [part for part in ast.iter_child_nodes(node) if not (isinstance(part, ast.Name) and part.id == "run")]
        return set().union(*(_mentioned(part, known, modules) for part in parts))
    if isinstance(node, ast.Name):
        return {ALL} if node.id == "run" else known.get(node.id, set())
    return set().union(*(_mentioned(part, known, modules) for part in ast.iter_child_nodes(node)))
