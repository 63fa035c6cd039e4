"""Shared set-up: shapes in the signatures of the pure modules are checked, and every test has its own store and output folder.

Everything runs with one thread, as the notebooks' kernels do: on a busy machine threads that wait for each other take
many times longer.
"""

import os
import types
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy and torch

import pytest
from jaxtyping import install_import_hook

# minutes each: begun last, one of them would be waited for alone
SLOWEST = ("notebooks", "template", "trainings", "cluster", "surroundings", "site", "benchmarks", "open_in_jupyterlab")

LIB = Path(__file__).resolve().parent.parent / "lib"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(LIB), os.environ.get("PYTHONPATH")]))  # for subprocesses
SCIENCE = ("spectra", "projections", "information", "codes", "incidental", "capacity", "ranks", "networks.perceptrons")
SCIENCE += ("audit.exponents", "audit.nulls", "audit.pairs")
install_import_hook([f"polysemanticity.{name}" for name in SCIENCE], "beartype.beartype")

from toy_config import ToyConfig  # noqa: E402

from polysemanticity.base import runtime  # noqa: E402


def pytest_collection_modifyitems(items):
    """Begin with the slowest files; within a file the order stays."""
    slowest = {f"test_{name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: slowest.get(item.path.name, len(slowest)))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Keep each test's results and figures away from the repository's and from other tests'."""
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("POLYSEMANTICITY_OUT", str(tmp_path / "out"))
    monkeypatch.delenv("POLYSEMANTICITY_FORCE", raising=False)
    monkeypatch.delenv("POLYSEMANTICITY_PROGRESS", raising=False)


@pytest.fixture(scope="session")
def smoke_folders(tmp_path_factory):
    """One store for all tests that run whole notebooks under smoke, and the outputs of the collection's runs."""
    everyones = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        everyones = everyones.parent
    folder = everyones / "smoke"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def toy_paper():
    """A paper module with the least that the runtime asks for."""
    paper = types.SimpleNamespace()
    paper.SLUG, paper.TITLE, paper.PAPER = "toy", "A toy", "Nobody (2026)"
    paper.Config = ToyConfig
    paper.FIGURES = {"fig1_toy": "A line that rises from zero to one."}
    paper.CLAIMS = {}
    return paper


@pytest.fixture
def toy_run(toy_paper):
    """A run of the toy paper in the default profile."""
    return runtime.start(toy_paper, profile="default", seed=0, device="cpu", overrides={})
