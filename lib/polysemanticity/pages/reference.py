"""Pages of the reference: every public name of the package with its signature and docstring.

Docstrings are plain text: paragraphs, `code` in single backticks, *emphasis*, formulas as Unicode or, between dollars,
as TeX. `process` turns that into what Sphinx reads.
"""

import ast
import importlib
import re
from collections.abc import Iterator

from polysemanticity.base import config, paths

GROUPS = {  # a page for each first-level folder; the modules beside the folders have one together
    "base": "What everything stands on",
    "spectra": "Spectra and exponents",
    "projections": "Random projections and traces",
    "incidental": "Incidental polysemanticity",
    "capacity": "Capacity of features",
    "networks": "Networks, training, data",
    "audit": "Your own network",
    "papers": "What papers declare",
    "engine": "How a run works",
    "pages": "Generated pages",
    "": "Information, codes, claims, figures",
}
INLINE = re.compile(r"`([^`]+)`|\$([^$]+)\$|(?<![\w*])\*(\w[^*]*)\*(?![\w*])")


def pages() -> dict[str, str]:
    """Return the pages by their path: a page for each group of modules, one for each paper's package."""
    groups = {}
    for module in _modules():
        room = module.split(".")[1] if module.count(".") > 1 or _path(module).stem == "__init__" else ""
        groups.setdefault(GROUPS.get(room, room.replace("_", " ").capitalize()), []).append(module)
    for place in sorted((paths.PACKAGE / "papers").glob("[a-z]*")):
        slug = place.stem
        inner = [f"polysemanticity.papers.{slug}.{path.stem}" for path in sorted(place.glob("[a-z]*.py"))]
        inner += [
            f"polysemanticity.papers.{slug}.figures.{path.stem}" for path in sorted(place.glob("figures/[a-z]*.py"))
        ]
        groups[f"Paper: {slug.replace('_', ' ')}"] = [f"polysemanticity.papers.{slug}", *inner]
    found = {f"reference/{_file(title)}.rst": _page(title, modules) for title, modules in groups.items()}
    listed = "\n".join(f"   {_file(title)}" for title in groups)
    found["reference/index.rst"] = f"{_heading('Reference', '=')}\n.. toctree::\n\n{listed}\n"
    return found


def public(module: str) -> Iterator[tuple[str, str]]:
    """Yield kind (function, class or data) and name of everything public that a module defines, in its order."""
    for node in ast.parse(_path(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        else:
            continue
        kind = {ast.FunctionDef: "function", ast.ClassDef: "class"}.get(type(node), "data")
        yield from ((kind, name) for name in names if not name.startswith("_"))


def process(app, what, name, thing, options, lines: list[str]) -> None:
    """Turn the lines of a docstring into reStructuredText, in place, as Sphinx asks for it."""
    plain = "\n".join(lines).strip("\n")
    if plain.startswith("Alias for field number"):
        plain = ""
    lines[:] = "\n\n".join(map(_paragraph, re.split(r"\n\s*\n", plain))).split("\n") if plain else []


def _paragraph(block: str) -> str:
    if block.startswith("    "):
        return "::\n\n" + block
    if block.startswith("- "):
        return "\n".join(f"* {_paragraph(item)}" for item in re.split(r"\n- ", block[2:]))
    joined = " ".join(block.split())
    if displayed := re.fullmatch(r"\$\$(.+)\$\$", joined):
        return f".. math:: {displayed[1]}"
    parts, end = [], 0
    for found in INLINE.finditer(joined):
        parts += [_escaped(joined[end : found.start()]), _inline(*found.groups())]
        end = found.end()
    return "\\ ".join(filter(None, [*parts, _escaped(joined[end:])])).replace("\\  ", " ")


def _inline(code: str | None, formula: str | None, emphasis: str | None) -> str:
    if code:
        return f":py:obj:`{code}`" if re.fullmatch(r"[A-Za-z_][\w.]*", code) else f"``{code}``"
    return f":math:`{formula}`" if formula else f"*{emphasis}*"


def _escaped(text: str) -> str:
    """Text without any mark-up, and without what would begin a list."""
    return re.sub(r"^(?=[-+•(#]|\w+[.)] )", r"\\", re.sub(r"([\\*|_`])", r"\\\1", text))


def _page(title: str, modules: list[str]) -> str:
    parts = [_heading(title, "=")]
    for module in modules:
        parts += [
            _heading(module, "-"),
            f".. automodule:: {module}",
            *(_entry(module, *item) for item in public(module)),
        ]
        if again := _names_of_others(module):
            parts.append(f"Here too, under the same names: {', '.join(f':py:obj:`~{name}`' for name in again)}.")
    return "\n\n".join(parts) + "\n"


def _entry(module: str, kind: str, name: str) -> str:
    if kind == "data":
        value = _value(module, name)
        shown = f"\n   :value: {value}" if 0 < len(value) <= 100 else ""
        return f".. py:data:: {name}\n   :module: {module}{shown}"
    if module.startswith("polysemanticity.papers.") and name == "Config":
        return f".. autoclass:: {module}.{name}\n   :no-members:\n\n{_settings(module)}"
    members = "\n   :members:\n   :undoc-members:" if kind == "class" else ""
    return f".. auto{kind}:: {module}.{name}{members}"


def _settings(module: str) -> str:
    defaults = importlib.import_module(module).Config()
    lines = [".. list-table::", "   :header-rows: 1", "", "   * - setting", "     - default", "     - meaning"]
    for name, value, _, meaning in config.rows(defaults, defaults):
        lines += [f"   * - ``{name}``", f"     - ``{value!r}``", f"     - {_escaped(meaning)}"]
    return "\n".join(lines)


def _value(module: str, name: str) -> str:
    """A constant as its module writes it; nothing where one statement binds several."""
    for node in ast.parse(_path(module).read_text(encoding="utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return " ".join(ast.unparse(node.value).split())
    return ""


def _names_of_others(module: str) -> list[str]:
    loaded = importlib.import_module(module)
    own = {name for _, name in public(module)}
    names = [name for name in getattr(loaded, "__all__", ()) if name not in own]
    return [f"{_home(loaded, name)}.{name}" for name in names]


def _home(module, name: str) -> str:
    """The module that a name which another one re-exports comes from."""
    for node in ast.parse(_path(module.__name__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return node.module
    raise ValueError(f"{module.__name__}.__all__ = {name!r}: allowed is a name that it defines or imports")


def _modules() -> list[str]:
    """Every module outside the papers' packages that defines something public, packages by their own names."""
    files = [file.relative_to(paths.PACKAGE) for file in sorted(paths.PACKAGE.rglob("*.py"))]
    files = [file for file in files if file.parts[0] != "papers" or len(file.parts) == 2]
    names = [".".join(["polysemanticity", *file.with_suffix("").parts]) for file in files]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    return [name for name in names if name != "polysemanticity" and any(True for _ in public(name))]


def _path(module: str):
    base = paths.PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _file(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower())


def _heading(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}\n"
