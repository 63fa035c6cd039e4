"""A digest of the library code that a function can reach: edit that code and results made with it are made again.

The function's definition is followed by name through the modules of `lib`: every top-level function, class and
constant that
it mentions, and what those mention. Comments, docstrings and layout do not count. A local name equal to a top-level
one counts as a mention,
so the digest may change without need, never the reverse; `getattr` with a computed name and `import` inside strings
are not seen.
"""

import ast
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lib import paths


class _Source(NamedTuple):
    definitions: dict[str, list[ast.stmt]]  # top-level name -> the statements that bind it
    modules: dict[str, str]  # alias -> module of lib
    names: dict[str, tuple[str, str]]  # alias -> (module of lib, name in it)


@cache
def digest(function: Callable) -> str:
    """Return a hex sha256 of all code of `lib`, and of the function's own module, that `function` can reach.

    Computed once a process, so that it describes the code that was loaded, not what the files hold later.
    """
    reached: dict[tuple[str, str], str] = {}
    open_ends = [(function.__module__, function.__name__)]
    while open_ends:
        module, name = place = open_ends.pop()
        if place in reached:
            continue
        source = _parse(module)
        if name in source.names:
            reached[place] = "imported"
            open_ends.append(source.names[name])
            continue
        statements = source.definitions.get(name, [])
        reached[place] = "\n".join(ast.dump(_without_docstrings(statement)) for statement in statements)
        for statement in statements:
            open_ends.extend(_mentions(statement, module, source))
    text = "\n".join(f"{module}.{name}: {code}" for (module, name), code in sorted(reached.items()))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def library() -> str:
    """Return a hex sha256 of all sources of `lib`, computed once a process as `digest` is.

    Processes that live longer than a run, such as a cluster's workers, are known by it: they may have loaded anything.
    """
    whole = hashlib.sha256()
    for file in sorted((paths.ROOT / "lib").rglob("*.py")):
        whole.update(f"{file.relative_to(paths.ROOT)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _module_file(module: str) -> Path | None:
    if module == "lib" or module.startswith("lib."):
        base = paths.ROOT.joinpath(*module.split("."))
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file else None


@cache
def _parse(module: str) -> _Source:
    file = _module_file(module)
    if file is None or not file.exists():
        raise ValueError(f"module = {module!r}: allowed is a module with a source file; define workers in lib/papers/")
    definitions: dict[str, list[ast.stmt]] = {}
    modules: dict[str, str] = {}
    names: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.startswith("lib.") and alias.asname:
                    modules[alias.asname] = alias.name
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}"
                if whole.startswith("lib.") and _module_file(whole).exists():
                    modules[alias.asname or alias.name] = whole
                elif (statement.module or "").startswith("lib."):
                    names[alias.asname or alias.name] = (statement.module, alias.name)
        else:
            for name in _bound(statement):
                definitions.setdefault(name, []).append(statement)
    return _Source(definitions, modules, names)


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _mentions(statement: ast.stmt, module: str, source: _Source) -> list[tuple[str, str]]:
    """Return the (module, name) pairs that a definition refers to; a module used as a value counts with all its
    names."""
    found, attributes = [], set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in source.modules:
            found.append((source.modules[node.value.id], node.attr))
            attributes.add(id(node.value))
    for node in ast.walk(statement):
        if not isinstance(node, ast.Name) or id(node) in attributes:
            continue
        if node.id in source.modules:
            target = source.modules[node.id]
            found.extend((target, name) for name in _parse(target).definitions)
        elif node.id in source.names or node.id in source.definitions:
            found.append((module, node.id))
    return found


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = body[1:] or [ast.Pass()]
    return statement
