"""All that follows from where the repository is: one field of CITATION.cff, `repository-code`, which its owner fills.

`python -m polysemanticity.pages` writes it: a badge under the README's title, a cell at the head of each
notebook that installs the package on a hosted machine, and the address in .zenodo.json. Without the field there is
nothing of it, and what was there is taken away again.
"""

import json
import re
from pathlib import Path

from polysemanticity.base import paths
from polysemanticity.base.checks import check

FIELD = re.compile(r"^repository-code:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
ADDRESS = re.compile(r"https://[\w.-]+(/[\w.~-]+)+")
GITHUB = "https://github.com/"
BADGE = re.compile(r"^\[!\[Open in Colab\].*\n\n", re.MULTILINE)
CELL = "hosted"  # the id of the cell
SETUP = """\
# A hosted machine does not have the package: then it is fetched and installed. Elsewhere nothing happens.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("polysemanticity") is None:
    subprocess.run(["git", "clone", "--depth=1", "{address}", "collection"], check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "./collection[notebooks]"]
    subprocess.run(install, check=True)
    sys.path.insert(0, os.path.abspath("collection/lib"))  # an editable install is seen by later kernels only"""


def address(root: Path) -> str:
    """Return where the repository is, as its CITATION.cff says, or nothing; ValueError for what is no such address."""
    found = FIELD.search((root / "CITATION.cff").read_text(encoding="utf-8"))
    text = found[1].strip("'\"").removesuffix("/").removesuffix(".git") if found else ""
    check(not text or bool(ADDRESS.fullmatch(text)), "repository-code", text, "https://…, or no such line")
    return text


def texts(root: Path) -> dict[str, str]:
    """Return every file that names the address, by its path in the checkout `root`, as it should be."""
    where = address(root)
    found = {"README.md": _readme(root, where), ".zenodo.json": _zenodo(root, where)}
    sources = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return found | {f"notebooks/{source.name}": _notebook(source, where) for source in sources}


def _readme(root: Path, where: str) -> str:
    title, _, rest = BADGE.sub("", (root / "README.md").read_text(encoding="utf-8")).partition("\n\n")
    colab = "https://colab.research.google.com"
    first = f"{colab}/github/{where.removeprefix(GITHUB)}/blob/main/notebooks/00_start_here.ipynb"
    badge = f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({first})\n\n" if where.startswith(GITHUB) else ""
    return f"{title}\n\n{badge}{rest}"


def _zenodo(root: Path, where: str) -> str:
    about = json.loads((root / ".zenodo.json").read_text(encoding="utf-8"))
    others = [one for one in about["related_identifiers"] if one["relation"] != "isSupplementTo"]
    own = [{"identifier": where, "relation": "isSupplementTo", "resource_type": "software"}] if where else []
    return json.dumps(about | {"related_identifiers": [*own, *others]}, indent=1, ensure_ascii=False) + "\n"


def _notebook(source: Path, where: str) -> str:
    document = json.loads(source.read_text(encoding="utf-8"))
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": CELL,
        "metadata": {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]},
        "outputs": [],
        "source": SETUP.format(address=where).splitlines(keepends=True),
    }
    title, *rest = [one for one in document["cells"] if one["id"] != CELL]
    document["cells"] = [title, *([cell] if where else []), *rest]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write(root: Path) -> list[str]:
    """Write what follows from the address into the checkout `root`, and return the files that this changed."""
    changed = {name: text for name, text in texts(root).items() if (root / name).read_text(encoding="utf-8") != text}
    for name, text in changed.items():
        paths.write_atomically(root / name, text.encode())
    return list(changed)
