"""The fault suite: `./run_tests.sh --faults` runs it in full, a normal run of the tests a short form of it."""

import dataclasses
import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser):
    parser.addoption("--faults", action="store_true", help="the fault suite in full: a quarter of an hour")
    parser.addoption("--fault-seed", type=int, help="repeat the random choices of another run of the fault suite")


def pytest_configure(config):
    seed = getattr(config, "workerinput", {}).get("fault_seed", config.getoption("--fault-seed", None))
    config.fault_seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    config.fault_counts = {}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Give pytest-xdist's processes the seed that will be printed."""
    node.workerinput["fault_seed"] = node.config.fault_seed


def pytest_sessionfinish(session):
    """Send the counts of one of pytest-xdist's processes to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["fault_counts"] = {
            kind: dataclasses.asdict(found) for kind, found in session.config.fault_counts.items()
        }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for kind, found in getattr(node, "workeroutput", {}).get("fault_counts", {}).items():
        node.config.fault_counts.setdefault(kind, Count()).merge(Count(**found))


def pytest_collection_modifyitems(config, items):
    """In full those begin that take longest."""
    if config.getoption("--faults", False):
        first = ("test_kills_of_a_run_of_a_notebook", "test_rehearsal.py", "test_kills.py")
        items.sort(key=lambda item: [name not in item.nodeid for name in first])


@dataclasses.dataclass
class Count:
    """What became of the faults of one kind."""

    injected: int = 0
    survived: int = 0
    lost: int = 0  # results that were there before the fault and are not after it
    wrong: int = 0  # results or outputs that differ from those of an undisturbed run
    torn: int = 0  # half-written or damaged files that were there to be read, or were read
    orphans: int = 0  # processes alive five seconds after the end
    notes: list = dataclasses.field(default_factory=list)

    def add(self, note: str = "", **bad: int) -> None:
        """Count one fault; `bad` says what it broke."""
        self.injected += 1
        self.survived += not any(bad.values())
        for name, count in bad.items():
            setattr(self, name, getattr(self, name) + count)
        if any(bad.values()):
            self.notes.append(f"{note}: {', '.join(f'{name} {count}' for name, count in bad.items() if count)}")

    def merge(self, other: "Count") -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@pytest.fixture
def count(request):
    """A function that returns the `Count` of a kind of fault; the test fails at its end unless all were survived."""
    mine = {}

    def of(kind: str) -> Count:
        mine[kind] = request.config.fault_counts.setdefault(kind, Count())
        return mine[kind]

    yield of
    broken = {kind: found.notes for kind, found in mine.items() if found.survived != found.injected}
    assert not broken, f"seed {request.config.fault_seed}: {broken}"


@pytest.fixture
def rng(request):
    """The test's own random numbers, from the seed that is printed."""
    return random.Random(f"{request.config.fault_seed}/{request.node.name}")


@pytest.fixture
def size(request):
    """A function that returns its first argument in the short form and its second in the full suite."""
    full = request.config.getoption("--faults", False)
    return lambda short, long: long if full else short


def pytest_terminal_summary(terminalreporter, config):
    if not config.fault_counts:
        return
    names = [field.name for field in dataclasses.fields(Count)][:-1]
    terminalreporter.section(f"faults (--fault-seed {config.fault_seed})")
    terminalreporter.line(f"{'kind of fault':44}" + "".join(f"{name:>10}" for name in names))
    total = Count()
    for kind, found in config.fault_counts.items():
        terminalreporter.line(f"{kind:44}" + "".join(f"{getattr(found, name):10}" for name in names))
        total.merge(found)
    terminalreporter.line(f"{'all':44}" + "".join(f"{getattr(total, name):10}" for name in names))
