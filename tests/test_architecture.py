"""What may import what, told by the folders alone: a file's place says what may be in it."""

import ast

import pytest

from polysemanticity.base import paths

NAME = "polysemanticity"
FILES = sorted(path for path in paths.PACKAGE.rglob("*.py") if path.read_text().count("\n") > 1)
SCIENCE = {"spectra", "projections", "information", "codes", "incidental", "capacity", "networks", "ranks", "intervals"}
ABOVE = {"engine", "pages", "__main__"}  # what nothing below may import
DRAWS = {"matplotlib", "seaborn", f"{NAME}.plots"}
GLOBAL_SEEDS = {"random.seed", "np.random.seed", "numpy.random.seed", "torch.seed", "torch.manual_seed"} | {
    f"torch.{place}.{name}" for place in ("random", "cuda") for name in ("seed", "manual_seed", "manual_seed_all")
}


def module_of(path):
    return ".".join([NAME, *path.relative_to(paths.PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def room(module):
    """The first-level folder or module that a module is in, with the paper or the figures of one as rooms of theirs."""
    parts = module.split(".")[1:]
    if parts[:1] == ["papers"] and len(parts) > 1:
        return f"papers/{parts[1]}/figures" if parts[2:3] == ["figures"] else f"papers/{parts[1]}"
    return parts[0] if parts else ""


def imports_of(path):
    """Every imported module of a file, `from package import x` as package.x where that is a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else node.module for name in inner)


def is_module(name):
    place = paths.PACKAGE.joinpath(*name.split(".")[1:])
    return name.startswith(f"{NAME}.") and (place.is_dir() or place.with_suffix(".py").exists())


def arrows():
    for path in FILES:
        for imported in imports_of(path):
            if imported == NAME or imported.startswith(f"{NAME}."):
                yield module_of(path), imported


ARROWS = sorted(set(arrows()))


def test_rooms_have_no_circle():
    after = {}
    for source, target in ARROWS:
        if room(source) != room(target):
            after.setdefault(room(source), set()).add(room(target))
    done, path = set(), []

    def visit(name):
        assert name not in path, f"a circle: {' → '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for other in sorted(after.get(name, ())):
                visit(other)
            path.pop()
            done.add(name)

    for name in sorted(after):
        visit(name)


@pytest.mark.parametrize(("source", "target"), ARROWS)
def test_arrows_point_down(source, target):
    here, there = room(source), room(target)
    if here == there or here in ABOVE or there == "":
        return
    if there in ABOVE:
        works = here.startswith("papers/") and not here.endswith("/figures")
        assert works and target == f"{NAME}.engine.sweep", f"{source} imports {target} from above"
    if here == "base":
        raise AssertionError(f"{source} imports {target}, but everything stands on base")
    if here in SCIENCE:
        assert there in SCIENCE | {"base"}, f"science imports {target} into {source}"
    if there.startswith("papers/"):
        assert not here.startswith("papers/") or not there.endswith("/figures"), f"{source} imports what draws"
        assert here == f"{there}/figures", f"{source} imports a paper: {target}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_room_uses_only_what_it_may(path):
    module, imported = module_of(path), set(imports_of(path))
    tops = {name.partition(".")[0] for name in imported}
    assert "pickle" not in tops
    if module != f"{NAME}.notebook":
        assert "IPython" not in tops, "only notebook.py imports IPython"
    drawing = room(module) in ("plots", "notebook") or room(module).endswith("/figures")
    if not drawing and module != f"{NAME}.audit.figures":
        assert not (tops | imported) & DRAWS, f"{module} draws"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_library_neither_prints_nor_seeds_globally(path):
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & GLOBAL_SEEDS
    if module_of(path) != f"{NAME}.engine.run" and not module_of(path).endswith(".__main__"):
        assert "print" not in calls


def test_engine_and_pages_name_no_paper():
    slugs = list(paths.papers())
    for folder in ("engine", "pages", "base"):
        for path in (paths.PACKAGE / folder).glob("*.py"):
            assert not [slug for slug in slugs if slug in path.read_text()], f"{path.name} knows a paper by its name"


def test_tests_stand_where_their_modules_do():
    folders = {path.name for path in paths.PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == {path.name for path in (paths.ROOT / "tests").iterdir() if path.is_dir()} & folders


def without_encoding(tree):
    """Lines of calls that read or write text in whatever encoding the machine has; ruff sees only those of known paths."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        values = [*node.args, *(word.value for word in node.keywords)]
        texts = [str(value.value) for value in values if isinstance(value, ast.Constant)]
        binary = called == "open" and any("b" in text and set(text) <= set("rwxab+") for text in texts)
        place = {"read_text": 0, "write_text": 1}.get(called)
        positional = place is not None and len(node.args) > place
        owner = getattr(getattr(node.func, "value", None), "id", "")
        if called in ("read_text", "write_text", "open") and not binary and not positional and owner not in NO_FILES:
            yield node.lineno


NO_FILES = ("os", "Image", "webbrowser", "tokenizers")  # what they open is no text


@pytest.mark.parametrize("folder", ["lib", "benchmarks", "templates"])
def test_text_is_utf8_wherever_it_is_read_and_written(folder):
    files = sorted((paths.ROOT / folder).rglob("*.py"))
    found = [
        f"{file.relative_to(paths.ROOT)}:{line}"
        for file in files
        for line in without_encoding(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert files and not found


def test_the_rule_on_encodings_sees_what_it_should():
    good = "p.read_text(encoding='utf-8'); p.open('rb'); open(x, 'wb'); p.write_text(s, 'utf-8'); os.open(p, 3); f(p)"
    bad = ["p.read_text()", "p.write_text(s)", "open(x)", "p.open('w')", "(a / 'b').open()"]
    assert not list(without_encoding(ast.parse(good)))
    assert all(list(without_encoding(ast.parse(line))) for line in bad)
