"""A digest of the library code that a function can reach: edit that code and results made with it are made again.

The function's definition is followed by name through the modules of the package: every top-level function, class and
constant that it mentions, and what those mention, through chains such as `package.module.function` and through names
that a module has imported. Comments, docstrings and layout do not count. A local name equal to a top-level one counts
as a mention, so the digest may change without need, never the reverse; `getattr` with a computed name and `import`
inside strings are not seen.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from polysemanticity.base import paths

PACKAGE = "polysemanticity"


class _Source(NamedTuple):
    definitions: dict[str, list[ast.stmt]]  # top-level name -> the statements that bind it
    modules: dict[str, str]  # alias -> module of the package
    names: dict[str, tuple[str, str]]  # alias -> (module of the package, name in it)


@cache
def digest(function: Callable) -> str:
    """Return a hex sha256 of all code of the package, and of the function's own module, that `function` can reach.

    Computed once a process, so that it describes the code that was loaded, not what the files hold later.
    """
    return _digest(_reached(function.__module__, function.__name__))


def of(places: Iterable[tuple[str, str]]) -> tuple[str, set[tuple[str, str]]]:
    """Return a digest, as `digest` does, of the code that some names (module, name) can reach, and all that it is."""
    reached = {}
    for place in places:
        reached |= _reached(*place)
    return _digest(reached), set(reached)


def _digest(reached: dict[tuple[str, str], str]) -> str:
    text = "\n".join(f"{module}.{name}: {code}" for (module, name), code in sorted(reached.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def reaches(function: Callable, module: str, name: str | None = None) -> bool:
    """Whether a function can reach a name of a module of the package (`networks.train`, `fit`), or any of its names."""
    whole = f"{PACKAGE}.{module}"
    return any(
        place == whole and name in (None, found) for place, found in _reached(function.__module__, function.__name__)
    )


def reads(function: Callable, argument: str) -> bool:
    """Whether the body of a top-level function mentions one of its arguments."""
    (definition,) = _parse(function.__module__).definitions[function.__name__]
    nodes = (node for statement in definition.body for node in ast.walk(statement))
    return any(isinstance(node, ast.Name) and node.id == argument for node in nodes)


@cache
def _reached(module: str, name: str) -> dict[tuple[str, str], str]:
    """The code of every (module, name) that a name of a module can reach, itself included."""
    reached: dict[tuple[str, str], str] = {}
    open_ends = [(module, name)]
    while open_ends:
        module, name = place = open_ends.pop()
        if place in reached:
            continue
        source = _parse(module)
        if name in source.names:
            reached[place] = "imported"
            open_ends.append(source.names[name])
            continue
        if name in source.modules:
            reached[place] = "a module"
            open_ends.extend(_all_of(source.modules[name]))
            continue
        statements = source.definitions.get(name, [])
        reached[place] = "\n".join(ast.dump(_without_docstrings(statement)) for statement in statements)
        for statement in statements:
            open_ends.extend(_mentions(statement, module, source))
    return reached


@cache
def library() -> str:
    """Return a hex sha256 of all sources of the package, computed once a process as `digest` is.

    Processes that live longer than a run, such as a cluster's workers, are known by it: they may have loaded anything.
    """
    whole = hashlib.sha256()
    for file in sorted(paths.PACKAGE.rglob("*.py")):
        whole.update(f"{file.relative_to(paths.PACKAGE)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def within(module: str) -> bool:
    """Whether a module belongs to the package."""
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def module_file(module: str) -> Path | None:
    """Return the source file of a module of the package, or of one that was imported; it need not exist."""
    if within(module):
        base = paths.PACKAGE.joinpath(*module.split(".")[1:])
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file else None


def _is_module(name: str) -> bool:
    return within(name) and module_file(name).exists()


@cache
def _parse(module: str) -> _Source:
    file = module_file(module)
    if file is None or not file.exists():
        raise ValueError(f"module = {module!r}: allowed is a module with a source file; define workers in a paper's")
    definitions: dict[str, list[ast.stmt]] = {}
    modules: dict[str, str] = {}
    names: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if within(alias.name):
                    modules[alias.asname or PACKAGE] = alias.name if alias.asname else PACKAGE
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}"
                if _is_module(whole):
                    modules[alias.asname or alias.name] = whole
                elif within(statement.module or ""):
                    names[alias.asname or alias.name] = (statement.module, alias.name)
        else:
            for name in _bound(statement):
                definitions.setdefault(name, []).append(statement)
    return _Source(definitions, modules, names)


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _mentions(statement: ast.stmt, module: str, source: _Source) -> Iterator[tuple[str, str]]:
    """The (module, name) pairs that a definition refers to; a module used as a value counts with all its names."""
    outer = {node.value for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and node not in outer:
            chain = _chain(node)
            if chain and chain[0] in source.modules:
                yield from _followed(source.modules[chain[0]], chain[1:])
            elif chain:
                yield from _named(chain[0], module, source)
        elif isinstance(node, ast.Name) and node not in outer:
            if node.id in source.modules:
                yield from _all_of(source.modules[node.id])
            yield from _named(node.id, module, source)
        elif isinstance(node, ast.Name):  # the root of a chain that is called or indexed on its way
            yield from () if node.id in source.modules else _named(node.id, module, source)


def _named(name: str, module: str, source: _Source) -> Iterator[tuple[str, str]]:
    if name in source.names or name in source.definitions:
        yield module, name


def _chain(node: ast.Attribute) -> list[str]:
    """The names of `a.b.c`, or none if it begins with anything but a name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _followed(module: str, attributes: list[str]) -> Iterator[tuple[str, str]]:
    """What a chain of attributes of a module refers to: it may lead through packages to a module and its name."""
    for attribute in attributes:
        source, inner = _parse(module), f"{module}.{attribute}"
        if attribute in source.definitions or attribute in source.names:
            yield module, attribute
            return
        if attribute not in source.modules and not _is_module(inner):
            yield module, attribute
            return
        module = source.modules.get(attribute, inner)
    yield from _all_of(module)


def _all_of(module: str) -> Iterator[tuple[str, str]]:
    yield from ((module, name) for name in _parse(module).definitions)


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = body[1:] or [ast.Pass()]
    return statement
