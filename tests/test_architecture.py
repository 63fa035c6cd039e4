"""The layers: imports only point down, and a file's place says what may be in it."""

import ast

import pytest

from polysemanticity.base import paths

LEVELS = {
    0: ("config", "paths", "processes", "runtime", "codedigest", "checkpoints"),
    1: (
        "architectures", "autoencoders", "broken_law", "capacity", "claims", "codes", "covariance", "cvpca",
        "ensembles", "exponent_errors", "flow", "geometry", "hidden_noise", "incidental", "information",
        "interference", "landscape", "moments", "optimizers", "phases", "plots", "power_law", "projections",
        "ranks", "smoothness", "spectra", "stimuli", "toy_networks", "traces", "winner", "wishart",
    ),
    2: ("data", "models", "train", "store", "cluster", "sweep", "language"),
    3: ("mine",),
    5: (
        "notebook", "run", "execute", "publish", "readme", "template", "upkeep", "site", "audits", "reference",
    ),
}  # fmt: skip
LEVEL = {f"lib.{name}": level for level, names in LEVELS.items() for name in names}
MODULES = sorted(path for path in (paths.ROOT / "lib").rglob("*.py") if path.read_text().count("\n") > 1)


def name_of(path):
    return ".".join(path.relative_to(paths.ROOT).with_suffix("").parts).removesuffix(".__init__")


def level_of(module):
    return 4 if module.startswith("polysemanticity.papers.") else LEVEL[module]


def paper_of(module):
    return module.split(".")[2]


def imports_of(path):
    """Every imported module of a file, `from lib import x` as lib.x, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "lib" or node.module.startswith("polysemanticity.papers"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_module_has_a_level():
    assert {name_of(path) for path in MODULES if "papers" not in path.parts} <= set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    module = name_of(path)
    for imported in imports_of(path):
        if not imported.startswith("lib."):
            continue
        assert level_of(imported) <= level_of(module), f"{module} imports {imported} from above"
        if level_of(module) == 4 == level_of(imported):
            assert paper_of(module) == paper_of(imported), f"{module} imports another paper: {imported}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_layer_uses_only_what_it_may(path):
    module, imported = name_of(path), {name.partition(".")[0] for name in imports_of(path)}
    if module != "polysemanticity.notebook":
        assert "IPython" not in imported, "only lib/notebook.py imports IPython"
    if module.startswith("polysemanticity.papers."):
        assert not imported & {"matplotlib", "seaborn"} and "polysemanticity.plots" not in set(imports_of(path)), (
            "papers never plot"
        )
    assert "pickle" not in imported


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_library_neither_prints_nor_seeds_globally(path):
    text = path.read_text()
    assert "np.random.seed" not in text and "manual_seed_all" not in text
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    if name_of(path) != "polysemanticity.engine.run":
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
