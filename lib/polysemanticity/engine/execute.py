"""Execute one notebook by papermill: a process of its own, which `engine.run` starts and can end.

The arguments are the source, the place for the executed copy, the parameters as JSON, a folder with a short name for
sockets, and the process id of the runner. A refusal is one line in `reason.txt` beside the executed copy. Papermill's
own word is not enough to call it a success (a killed kernel, `SystemExit(0)` and a cell that never ran look like one),
so `problem` reads the executed copy as well. What takes seconds to import is imported where it is needed: a run that
has nothing to do does not wait for it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import typing
from pathlib import Path

from polysemanticity.base import paths
from polysemanticity.engine import processes

if typing.TYPE_CHECKING:
    import nbformat

KERNEL = "python3"
LAUNCH = (  # a kernel watches its parent only once it is up, which can take seconds
    "import os, sys; sys.path[:1] == [''] and sys.path.pop(0);"
    "from polysemanticity.engine import processes;"
    "processes.end_with_parent(int(os.environ.get('JPY_PARENT_PID', os.getppid())));"
    "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
)
FOLDS = ("outputs_hidden", "source_hidden")  # what JupyterLab folds of a cell
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SAVES = 2.0  # seconds between two saves of a notebook while it runs

# An optional grammar of jsonschema's for addresses, which no notebook needs: it takes a second of each process to load.
sys.modules.setdefault("rfc3987_syntax", None)


def execute(source: Path, target: Path, parameters: dict, sockets: Path) -> None:
    """Execute `source` into `target`; the kernel is spoken to through files in `sockets`, so that runs never clash."""
    import papermill
    from papermill.engines import papermill_engines
    from traitlets.config import Config

    papermill_engines.register("few saves", _few_saves())
    connection = Config({"KernelManager": {"transport": "ipc", "ip": str(sockets / "kernel")}})
    papermill.execute_notebook(
        source,
        target,
        parameters=parameters,
        kernel_name=KERNEL,
        language="python",
        engine_name="few saves",
        cwd=str(target.parent),
        progress_bar=False,
        config=connection,
    )


def _few_saves() -> type:
    """Papermill's usual engine, which saves the whole notebook twice for each cell, with a save every `SAVES` seconds
    at most: so old at most is the copy of a run that is ended from without. The last state is always saved."""
    from papermill.engines import NBClientEngine

    class FewSaves(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            save, planned = nb_man.save, []

            def save_now():
                planned.clear()
                save()

            def save_soon(**_):
                if not planned:  # the loop that cells are waited for in, so that nothing changes while it is saved
                    planned.append(asyncio.get_event_loop().call_later(SAVES, save_now))

            nb_man.save = save_soon
            try:
                super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                nb_man.save = save
                for timer in planned:
                    timer.cancel()

    return FewSaves


def write_kernelspec(folder: Path) -> None:
    """Write a kernel spec for this very interpreter, whatever other kernels the user has installed under that name."""
    spec = {
        "argv": [sys.executable, "-c", LAUNCH, "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    paths.write_atomically(folder / "kernels" / KERNEL / "kernel.json", json.dumps(spec).encode())


def problem(notebook: nbformat.NotebookNode) -> str | None:
    """Return why an executed notebook is not a success, or None if every code cell ran without an error."""
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                return f"cell {number}: {output.ename}: {_one_line(output.evalue)}"
        if cell.execution_count is None:
            return f"cell {number} was never run: an earlier cell ended the run"
    return None


def shown(notebook: nbformat.NotebookNode) -> set[str]:
    """Return the names of the figures whose pictures an executed notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return {output.get("metadata", {}).get("polysemanticity", {}).get("figure", "") for output in pictures}


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the executed notebook without times, paths and anything else that differs between two equal runs."""
    import nbformat

    notebook = nbformat.from_dict(notebook)
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata
    }
    for cell in notebook.cells:
        folded = {key: True for key in FOLDS if cell.metadata.get("jupyter", {}).get(key)}
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if cell.metadata.get(key)}
        cell.metadata |= {"jupyter": folded} if folded else {}
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"  # papermill draws a new one each time
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("application/papermill.record", None)
    return notebook


def read(file: Path) -> nbformat.NotebookNode:
    """Return the notebook in a file, in the present format."""
    import nbformat

    return nbformat.read(file, as_version=4)


def text(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as it is kept in a file."""
    import nbformat

    return nbformat.writes(notebook).rstrip("\n") + "\n"


def parameters_problem(notebook: nbformat.NotebookNode) -> str | None:
    """Return what is wrong with the cell that papermill replaces, or None: without its tag, parameters are
    overwritten."""
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return None if len(tagged) == 1 else f"{len(tagged)} cells are tagged 'parameters': allowed is exactly one"


def _one_line(text: str) -> str:
    return " ".join(ANSI.sub("", text).split())[:300]


def main(arguments: list[str]) -> int:
    """Execute the notebook that the arguments name; 0 if papermill had nothing to object to."""
    source, target, parameters, sockets, runner = arguments
    processes.end_with_parent(int(runner))
    from papermill.exceptions import PapermillExecutionError

    source, target = Path(source), Path(target)
    try:
        execute(source, target, json.loads(parameters), Path(sockets))
    except PapermillExecutionError as error:
        reason = f"cell {error.cell_index + 1}: {error.ename}: {_one_line(error.evalue)}"
    except Exception as error:  # a dead kernel, a notebook that is none: whatever it is, the runner shows it
        reason = f"{type(error).__name__}: {_one_line(str(error))}"
    else:
        return 0
    (target.parent / "reason.txt").write_text(reason + "\n", encoding="utf-8")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
