"""A notebook is left alone exactly while nothing that it depends on has changed, and its outputs are there as made."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from polysemanticity.base import paths, runtime
from polysemanticity.engine import uptodate

PACKAGE = {  # a chain three calls deep, a package's face, and a module that the notebook does not reach
    "__init__.py": "",
    "first.py": "from polysemanticity import second\ndef a(x):\n    return second.b(x)\n",
    "second.py": "def b(x):\n    from polysemanticity.wing.third import c\n    return c(x)\n",
    "wing/__init__.py": "SCALE = 2\n",
    "wing/third.py": "def c(x):\n    return x\n",
    "stranger.py": "def d(x):\n    return x\n",
    "engine/__init__.py": "",
    "engine/execute.py": "",
    "engine/publish.py": "",
}
SLUG = "toy"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A collection with one notebook that was executed and published, and a file of the user's."""
    folder = tmp_path / "home"
    for file, text in PACKAGE.items():
        write(folder / "polysemanticity" / file, text)
    write(folder / "notebooks" / "01_toy.ipynb", notebook("from polysemanticity.first import a"))
    write(folder / "figures" / SLUG / "fig1_toy.png", "a picture")
    write(folder / "docs" / "01_toy.ipynb", "executed")
    write(folder / "mine" / "text.txt", "words")
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(folder))
    monkeypatch.setattr(paths, "PACKAGE", folder / "polysemanticity")
    return folder


def write(file: Path, text: str):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]})


def asked(home, parameters=None):
    source, parameters = home / "notebooks" / "01_toy.ipynb", parameters or {}
    return uptodate.summary(SLUG, source, parameters, home)


def made(home, parameters=None):
    source, parameters = home / "notebooks" / "01_toy.ipynb", parameters or {}
    uptodate.remember(SLUG, source, parameters, home, uptodate.inputs(source, parameters), "one figure")


def test_nothing_recorded_is_nothing_known(home):
    assert asked(home) is None
    made(home)
    assert asked(home) == "one figure"
    assert asked(home, {"seed": 1}) is None  # another request has a record of its own
    (record,) = (paths.cache() / "made").iterdir()
    record.write_text("{")
    assert asked(home) is None


@pytest.mark.parametrize(
    ("file", "text", "left"),
    [
        ("notebooks/01_toy.ipynb", notebook("from polysemanticity.first import a", "a(1)"), None),
        ("polysemanticity/wing/third.py", "def c(x):\n    return 2 * x\n", None),  # three calls deep
        ("polysemanticity/wing/__init__.py", "SCALE = 3\n", None),
        ("polysemanticity/engine/publish.py", "# how a copy is made\n", None),
        ("polysemanticity/stranger.py", "def d(x):\n    return 2 * x\n", "one figure"),
        ("figures/toy/fig1_toy.png", "another picture", None),
        ("figures/toy/fig2_toy.png", "one more", None),
        ("docs/01_toy.ipynb", "edited by hand", None),
        ("docs/02_other.ipynb", "another", "one figure"),
        ("weights/net.safetensors", "trained longer", None),
    ],
)
def test_exactly_what_depends_on_an_edit_is_made_again(home, file, text, left):
    made(home)
    write(home / file, text)
    assert asked(home) == left


def test_a_published_file_that_is_gone_is_made_again(home):
    made(home)
    (home / "figures" / SLUG / "fig1_toy.png").unlink()
    assert asked(home) is None


@pytest.mark.parametrize("name", ["mine", "mine/text.txt"])
def test_a_users_files_count_by_their_content(home, name):
    parameters = {"overrides": {"folder": str(home / name)}}
    made(home, parameters)
    assert asked(home, parameters) == "one figure"
    write(home / "mine" / "text.txt", "other words")
    assert asked(home, parameters) is None


def test_versions_count(home, monkeypatch):
    made(home)
    monkeypatch.setattr(runtime, "versions", lambda *packages: {"numpy": "0.1"})
    assert asked(home) is None


def test_where_code_is_no_python_the_whole_package_counts(home):
    write(home / "notebooks" / "01_toy.ipynb", notebook("%matplotlib inline"))
    made(home)
    write(home / "polysemanticity" / "stranger.py", "def d(x):\n    return 2 * x\n")
    assert asked(home) is None


@pytest.mark.parametrize("source", paths.notebooks().values(), ids=lambda path: path.stem)
def test_all_modules_that_a_notebook_loads_are_known(source):
    """The second way: what Python itself has loaded after the notebook's imports."""
    cells = [cell for cell in json.loads(source.read_text())["cells"] if cell["cell_type"] == "code"]
    statements = [statement for cell in cells for statement in ast.parse("".join(cell["source"])).body]
    imports = "\n".join(ast.unparse(s) for s in statements if isinstance(s, ast.Import | ast.ImportFrom))
    code = f"{imports}\nimport sys; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('polysemanticity')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=paths.ROOT)
    assert {Path(file) for file in loaded.stdout.split()} <= uptodate.modules(source)


def test_looking_imports_nothing_large():
    code = "import sys, polysemanticity.engine.run as run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=paths.ROOT)
    large = {"torch", "torchvision", "transformers", "matplotlib", "papermill", "nbformat", "scipy", "pandas", "dask"}
    assert not large & set(loaded.stdout.split())
