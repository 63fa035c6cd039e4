"""The digest of reachable code changes with exactly the code that a worker reaches."""

import importlib
import sys
from pathlib import Path

import pytest

from polysemanticity.base import codedigest, paths

FILES = {
    "__init__.py": "",
    "helper.py": '''
"""A module."""
SCALE = 2
UNUSED = 3
def used(x):
    """Docstring."""
    return inner(x)
def inner(x):
    return x + 1  # a comment
class Kept:
    def method(self): return SCALE
def never(x):
    return UNUSED
''',
    "other.py": "def direct(x):\n    return x\ndef also(x):\n    return -x\n",
    "papers/one/__init__.py": "from polysemanticity.papers.one import family\nNAME = 1\n",
    "papers/one/family.py": "RULE = 1\ndef step(x):\n    return x + 1\n",
    "deep/__init__.py": "",
    "deep/inside.py": "def far(x):\n    return x - 1\ndef unused(x):\n    return x\n",
    "face/__init__.py": "from polysemanticity.face import shown\nfrom polysemanticity.face.shown import name\n",
    "face/shown.py": "def name(x):\n    return x + 5\ndef other(x):\n    return x + 7\n",
    "worker.py": """
import polysemanticity.deep.inside
from polysemanticity import deep, face, helper
from polysemanticity.other import direct
from polysemanticity.papers.one import family
import math
LEVEL = [1, 2]
def work(*, seed, device):
    return {"a": helper.used(direct(seed)) + LEVEL[0] + math.pi + family.step(0)}
def whole(*, seed, device):
    return {"a": call(helper)}
def call(module):
    return module.SCALE
def makes(*, seed, device):
    return helper.Kept().method()
def chained(*, seed, device):
    return deep.inside.far(seed)
def from_the_top(*, seed, device):
    return polysemanticity.deep.inside.far(seed)
def by_a_face(*, seed, device):
    return face.name(seed)
def through_a_face(*, seed, device):
    return face.shown.name(seed)
""",
}


class NamedPlace:
    """Stands for a function: a module and a name in it."""

    def __init__(self, module, name):
        self.__module__, self.__name__ = module, name


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Write a small library, with edits, and return the digest of one of its workers."""
    library = tmp_path / "polysemanticity"
    library.mkdir()
    monkeypatch.setattr(paths, "PACKAGE", library)

    def of(name, **edits):
        for file, text in FILES.items():
            before, after = edits.get(Path(file).stem, ("", ""))
            assert before in text
            (library / file).parent.mkdir(parents=True, exist_ok=True)
            (library / file).write_text(text.replace(before, after, 1) if before else text)
        codedigest._parse.cache_clear()
        codedigest.digest.cache_clear()
        codedigest._reached.cache_clear()
        return codedigest.digest(NamedPlace("polysemanticity.worker", name))

    yield of
    codedigest._parse.cache_clear()
    codedigest.digest.cache_clear()
    codedigest._reached.cache_clear()


REACHED = {
    "a function of an imported module": {"helper": ("inner(x)\n", "inner(2 * x)\n")},
    "what that function calls": {"helper": ("x + 1", "x + 2")},
    "a function imported by name": {"other": ("return x", "return 2 * x")},
    "a constant": {"worker": ("[1, 2]", "[3, 2]")},
    "a module of a package": {"family": ("x + 1", "x + 2")},
    "the worker itself": {"worker": ("math.pi", "math.e")},
}
NOT_REACHED = {
    "a comment": {"helper": ("# a comment", "# another")},
    "a docstring": {"helper": ('"""Docstring."""', '"""Another."""')},
    "layout": {"helper": ("def never", "\n\n\ndef never")},
    "a function nobody calls": {"helper": ("return UNUSED", "return 2 * UNUSED")},
    "a constant nobody reads": {"helper": ("UNUSED = 3", "UNUSED = 4")},
    "another function of that module": {"other": ("return -x", "return 0")},
    "a rule beside it": {"family": ("RULE = 1", "RULE = 2")},
    "another worker": {"worker": ("module.SCALE", "module.UNUSED")},
}


@pytest.mark.parametrize("edit", REACHED)
def test_edit_of_reached_code_changes_the_digest(digest, edit):
    assert digest("work") != digest("work", **REACHED[edit])


@pytest.mark.parametrize("edit", NOT_REACHED)
def test_other_edits_do_not(digest, edit):
    assert digest("work") == digest("work", **NOT_REACHED[edit])


def test_module_used_as_a_value_counts_whole(digest):
    assert digest("whole") != digest("whole", **NOT_REACHED["a constant nobody reads"])


def test_methods_and_what_they_read_are_reached(digest):
    assert digest("makes") != digest("makes", helper=("SCALE = 2", "SCALE = 5"))
    assert digest("makes") == digest("makes", helper=("x + 1", "x + 2"))


@pytest.mark.parametrize("worker", ["chained", "from_the_top"])
def test_chains_through_packages_are_followed(digest, worker):
    assert digest(worker) != digest(worker, inside=("x - 1", "x - 2"))
    assert digest(worker) == digest(worker, inside=("return x\n", "return 2 * x\n"))


@pytest.mark.parametrize("worker", ["by_a_face", "through_a_face"])
def test_faces_of_packages_are_followed(digest, worker):
    assert digest(worker) != digest(worker, shown=("x + 5", "x + 6"))
    assert digest(worker) == digest(worker, shown=("x + 7", "x + 8"))


def test_functions_without_a_file_are_refused():
    original = sys.modules["__main__"]
    try:
        sys.modules["__main__"] = type(sys)("__main__")
        with pytest.raises(ValueError, match="allowed is a module with a source file"):
            codedigest.digest(NamedPlace("__main__", "work"))
    finally:
        sys.modules["__main__"] = original


def test_every_paper_has_a_digest():
    for slug in paths.papers():
        paper = importlib.import_module(f"polysemanticity.papers.{slug}")
        assert len(codedigest.digest(paper.Config)) == 64


def test_what_a_worker_reads_and_reaches():
    from benchmarks import workers

    found = workers.workers("coding_theory_spectra")
    assert codedigest.reads(found["vision.vae"], "device") and not codedigest.reads(
        found["entropy.rounded_units"], "device"
    )
    assert codedigest.reaches(found["vision.vae"], "networks.train", "fit")
    assert codedigest.reaches(found["vision.vae"], "networks.train")
    assert not codedigest.reaches(found["entropy.rounded_units"], "networks.train")
