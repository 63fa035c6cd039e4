"""A copy of the library is edited between runs; after each edit, say which workers computed anything.

The arguments: the folder that holds the copy of lib, then `module:function`, or `module` for a comment and a docstring.
A process for each run imports the library anew, after all that the library imports was imported once for all.
"""

import ast
import json
import os
import sys
from pathlib import Path

import joblib  # noqa: F401
import scipy.optimize  # noqa: F401
import torch
import torchvision  # noqa: F401

WORKERS = {
    "feature_capacity.bound:random_embeddings": {"kind": "gaussian", "n_features": 3, "n_dims": 2, "n_samples": 5},
    "feature_capacity.allocation:loss_by_sampling":
        {"law": "sign", "density": 0.5, "n_features": 3, "n_dims": 2, "n_samples": 50},
    "incidental_polysemanticity.sparsification:trajectory": {"n_neurons": 3, "l1": 0.5, "n_times": 5},
}  # fmt: skip


def edit(copy: Path, what: str) -> None:
    """Put a statement that changes no number into a function, or a comment and a docstring into a module."""
    module, _, name = what.partition(":")
    place = copy.joinpath("lib", "polysemanticity", *module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    lines = file.read_text().splitlines(keepends=True)
    for node in ast.parse("".join(lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name == (name or node.name):
            documented = ast.get_docstring(node) is not None
            first = node.body[1 if documented else 0]
            lines.insert(first.lineno - 1, "    edited = 1  # noqa\n" if name else "    # a comment\n")
            if not name and documented:
                lines[node.body[0].lineno - 1] = lines[node.body[0].lineno - 1].replace('"""', '"""Edited. ', 1)
            break
    else:
        raise LookupError(what)
    file.write_text("".join(lines))


def computed(copy: Path) -> list[str]:
    """Ask for every worker's result in a process of its own; return whose were not in the store."""
    results = Path(os.environ["POLYSEMANTICITY_CACHE"]) / "results"
    before = set(results.glob("*/*.npz"))
    if os.fork() == 0:
        sys.path.insert(0, str(copy / "lib"))
        import importlib

        from polysemanticity.base import config, paths, runtime
        from polysemanticity.engine import sweep
        from polysemanticity.papers import feature_capacity as paper

        assert copy == paths.ROOT
        cfg = config.resolve(paper.Config(), "smoke", {})
        run = runtime.Run(paper.SLUG, "smoke", cfg, 0, "cpu")
        for worker, settings in WORKERS.items():
            module, _, name = worker.partition(":")
            sweep.run(getattr(importlib.import_module(f"polysemanticity.papers.{module}"), name), [settings], [0], run)
        os._exit(0)
    assert os.wait()[1] == 0
    return sorted(path.parent.name for path in set(results.glob("*/*.npz")) - before)


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = Path(sys.argv[1])
    found = [computed(here)]
    for what in sys.argv[2:]:
        edit(here, what)
        found.append(computed(here))
    print(json.dumps(found))
