"""Every worker of the papers, with configurations to call it by: what its notebook asks under a profile.

Workers are found by their signature, `worker(*, seed, device, **config)`, configurations by the notebooks' own lines
`sweep.over(worker, configs, run, …)`, which are read and not computed. Nothing is listed by hand: a worker that a
notebook begins to use is covered by whatever calls all of them.
"""

import ast
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from polysemanticity.base import paths, runtime
from polysemanticity.base.results import Results
from polysemanticity.engine import sweep
from polysemanticity.networks import data, language_models, train
from polysemanticity.papers.coding_theory_spectra import shards


class Call(NamedTuple):
    """One call of a worker: `call.worker(seed=call.seed, device=…, **call.config)`."""

    worker: Callable[..., dict]
    config: Mapping
    seed: int

    def __call__(self, device: str) -> dict:
        """The worker's result on a device."""
        return self.worker(seed=self.seed, device=device, **self.config)


def name(worker: Callable) -> str:
    """The worker's name within its paper, such as `collisions.count`."""
    return f"{worker.__module__.rpartition('.')[2]}.{worker.__name__}"


def workers(slug: str) -> dict[str, Callable]:
    """The workers of a paper by name, in the order of modules and lines."""
    package = importlib.import_module(f"polysemanticity.papers.{slug}")
    found = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for function in vars(importlib.import_module(module.name)).values():
            if inspect.isfunction(function) and function.__module__ == module.name and _is_worker(function):
                found[name(function)] = function
    return found


def _is_worker(function: Callable) -> bool:
    parameters = inspect.signature(function).parameters.values()
    by_name = all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
    return by_name and [parameter.name for parameter in parameters][:2] == ["seed", "device"]


def calls(slug: str, profile: str = "smoke", overrides: Mapping = MappingProxyType({})) -> list[Call]:
    """What the paper's notebook asks of its workers under a profile: the first configuration of each kind, with a seed.

    Configurations of one worker are of one kind if all their texts (a method, a model) are the same.
    """
    found: dict[tuple, Call] = {}
    for call in _asked(slug, profile, overrides):
        texts = sorted((key, value) for key, value in call.config.items() if isinstance(value, str))
        found.setdefault((name(call.worker), *texts), call)
    return list(found.values())


class _Later(Sequence):
    """The results of a sweep, computed when a later configuration is made of them."""

    def __init__(self, configs: Sequence[Mapping], some: Sequence[Call]):
        self.configs, self.some, self.found = configs, some, None

    def _results(self) -> Results:
        if self.found is None:
            self.found = Results(self.configs, [call("cpu") for call in self.some])
        return self.found

    def __getattr__(self, attribute):
        return getattr(self._results(), attribute)

    def __getitem__(self, place):
        return self._results()[place]

    def __len__(self) -> int:
        return len(self.configs)


def _asked(slug: str, profile: str, overrides: Mapping) -> Iterator[Call]:
    """Every call of a notebook's sweeps."""
    asked: list[Call] = []

    def over(worker, configs, run, seeds=None):
        configs = [configs] if isinstance(configs, Mapping) else list(configs)
        first = run.seed if seeds is None or isinstance(seeds, int) else int(seeds[0])
        mine = [Call(worker, config, first) for config in configs]
        asked.extend(mine)
        return _Later(configs, mine)

    recording = ModuleType("sweep")
    recording.over = over
    names: dict[str, object] = {}
    for statement in _statements(slug):
        text = ast.unparse(statement)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            exec(text, names)
            names.update({key: recording for key, value in names.items() if value is sweep})
        elif text.startswith("run = "):
            paper = importlib.import_module(f"polysemanticity.papers.{slug}")
            names["run"] = runtime.start(paper, profile=profile, seed=0, device="cpu", overrides=overrides)
        elif isinstance(statement, ast.Assign | ast.Expr) and _needed(statement, names):
            exec(text, names)
    yield from asked


def _needed(statement: ast.Assign | ast.Expr, names: Mapping) -> bool:
    """Whether a statement is a sweep, or an assignment from the run, its settings and functions of families alone."""
    read = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
    if isinstance(statement, ast.Expr) or "sweep" in read:
        return "sweep" in read
    plain = ("run", "range", "settings")
    return "run" in read and all(isinstance(names.get(one), ModuleType) or one in plain for one in read)


def _statements(slug: str) -> Iterator[ast.stmt]:
    cells = json.loads(paths.papers()[slug].read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            yield from ast.parse("".join(cell["source"])).body


def beside(slug: str, folder: Path) -> list[Call]:
    """Calls of the workers that no notebook asks; files that they read are written to `folder`."""
    if slug != "coding_theory_spectra":
        return []
    text = "words of a text\n\n" * 40
    (folder / "text.txt").write_text(text, encoding="utf-8")
    model = train.build(language_models.build, seed=0, vocab_size=260, n_layer=2, n_embd=16, n_head=2, n_positions=8)
    language_models.save(model, language_models.train_tokenizer(text, 260), folder / "checkpoint")
    config = {"checkpoint": str(folder / "checkpoint"), "text": str(folder / "text.txt"), "place": [0, 1], "context": 8}
    config |= {"content": data.fingerprint(text), "precision": "float32"}
    return [Call(shards.sums_of_part, config, 0)]
