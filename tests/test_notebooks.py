"""The notebooks: clean sources, the agreed shape, and real papermill runs of all of them."""

import ast
import importlib
import json
import os
import re
import statistics
import subprocess
import sys

import nbformat
import pytest

from polysemanticity.base import config, paths, runtime
from polysemanticity.engine import execute, run
from polysemanticity.pages import hosting

NOTEBOOKS, PAPERS = paths.notebooks(), paths.papers()
GUIDES = [slug for slug in NOTEBOOKS if slug not in PAPERS]
PARAMETERS = 'profile = "default"\nseed = 0\ndevice = "auto"\noverrides = {}'
LONGEST_CELL = 15
OFFLINE = str(paths.ROOT / "tests" / "offline")


def read(slug):
    return nbformat.read(NOTEBOOKS[slug], as_version=4)


def code_of(slug):
    return [cell.source for cell in read(slug).cells if cell.cell_type == "code"]


def test_one_guide_and_one_package_for_each_paper():
    assert [path.name[:2] for path in NOTEBOOKS.values()] == [f"{number:02}" for number in range(len(NOTEBOOKS))]
    assert {path.stem for path in (paths.PACKAGE / "papers").glob("[a-z]*")} == set(PAPERS)
    assert GUIDES == ["start_here", "your_own_network", "your_estimator"]


@pytest.mark.parametrize("slug", NOTEBOOKS)
def test_source_has_no_outputs_and_the_agreed_shape(slug):
    notebook = read(slug)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("slug", PAPERS)
def test_a_papers_notebook_takes_parameters(slug):
    code = [cell for cell in read(slug).cells if cell.cell_type == "code" and cell.id != hosting.CELL]
    assert [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])] == [PARAMETERS]
    assert code[2].source.startswith("run = runtime.start(")
    assert execute.parameters_problem(read(slug)) is None


@pytest.mark.parametrize("slug", GUIDES)
def test_a_guide_has_sliders_and_leads_to_notebooks(slug):
    assert sum(source.count("notebook.sliders(") for source in code_of(slug)) == (3 if slug == "start_here" else 1)
    text = "\n".join(cell.source for cell in read(slug).cells if cell.cell_type == "markdown")
    linked = set(re.findall(r"\]\(([^)]+\.ipynb)\)", text))
    assert {path.name for path in PAPERS.values()} <= linked <= {path.name for path in NOTEBOOKS.values()}


@pytest.mark.parametrize("slug", NOTEBOOKS)
def test_every_notebook_has_something_to_move(slug):
    assert any("notebook.sliders(" in source or "notebook.choices(" in source for source in code_of(slug))


@pytest.mark.parametrize("slug", NOTEBOOKS)
def test_cells_are_short_and_define_and_train_nothing(slug):
    for source in code_of(slug):
        assert lines_of(source) <= LONGEST_CELL
        tree = ast.parse(source)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        assert "backward(" not in source and "torch.optim" not in source and ".step()" not in source
        assert "savefig" not in source and "plt.rcParams" not in source


@pytest.mark.parametrize("slug", PAPERS)
def test_every_declared_figure_and_claim_appears(slug):
    paper = importlib.import_module(f"polysemanticity.papers.{slug}")
    text = "\n".join(code_of(slug))
    assert set(re.findall(r"plots\.show\(figures\.(\w+),", text)) == set(paper.FIGURES)
    assert set(re.findall(r'claims\.(?:judge|not_tested)\(\s*"([^"]+)"', text)) == set(paper.CLAIMS)


@pytest.mark.parametrize("slug", PAPERS)
def test_what_the_paper_says_or_draws_is_linked_to_it(slug):
    """In the section that judges a statement of the paper, or draws one of its figures, the paper's place is named."""
    paper, cells = importlib.import_module(f"polysemanticity.papers.{slug}"), read(slug).cells
    page = re.search(r"https://arxiv\.org/abs/[0-9.]+", cells[0].source)[0]
    sections, asked = [""], 0
    for cell in cells:
        sections += [""] if cell.cell_type == "markdown" and cell.source.startswith("#") else []
        sections[-1] += f"{cell.source}\n"
    for section in sections:
        judged = re.findall(r'claims\.(?:judge|not_tested)\(\s*"([^"]+)"', section)
        drawn = re.findall(r"plots\.show\(figures\.fig[S\d]\w+,", section)
        if drawn or any(paper.CLAIMS[name].whose in ("printed", "implied") for name in judged):
            asked += 1
            assert re.search(rf"^\*In the paper: \[[^\]]+\]\({re.escape(page)}\)\.\*$", section, re.M), section[:100]
    assert asked >= 1


def lines_of(source):
    return sum(bool(line.strip()) for line in source.splitlines())


@pytest.mark.parametrize("slug", PAPERS)
def test_a_paper_is_told_in_words_and_short_cells_that_do_not_draw(slug):
    sources = code_of(slug)
    lines = [*map(lines_of, sources)]
    assert statistics.median(lines) <= 3 and max(lines) <= LONGEST_CELL
    told = [cell.source for cell in read(slug).cells if cell.cell_type == "markdown"]
    assert sum(len(text.split()) for text in told) >= 6 * sum(lines)
    strings = [text for source in sources for text in re.findall(r'f"[^"\n]*"', source)]
    assert not [text for text in strings if len(text) > 120]
    interactive = ("notebook.sliders(", "notebook.choices(", "def ")
    plain = [source for source in sources if not any(word in source for word in interactive)]
    assert not [source for source in plain if re.search(r"\b(plt|axe?s?|fig|sns)\.", source)]


@pytest.mark.parametrize("slug", PAPERS)
def test_paper_module_keeps_the_contract(slug):
    paper = importlib.import_module(f"polysemanticity.papers.{slug}")
    assert slug == paper.SLUG and paper.COVER in paper.FIGURES
    for profile in config.PROFILES:
        runtime.start(paper, profile=profile, seed=0, device="cpu", overrides={})
    assert all(claim.id == name for name, claim in paper.CLAIMS.items())
    assert all(len(alt) > 30 for alt in paper.FIGURES.values())


def smoke(folders, monkeypatch, *arguments):
    home = folders / "home"
    if not home.exists():
        home.mkdir()
        (home / "notebooks").symlink_to(paths.ROOT / "notebooks")
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([OFFLINE, str(paths.PACKAGE.parent)]))
    monkeypatch.setenv("NETWORK_ATTEMPTS", str(folders / "attempts"))
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(folders / "cache"))
    monkeypatch.delenv("POLYSEMANTICITY_OUT", raising=False)
    assert run.main(["--profile", "smoke", *arguments]) == 0
    assert not (folders / "attempts").exists()  # nobody asked for the network
    return {path.relative_to(home): path.read_bytes() for path in (home / "out").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "attempt",
    [
        "import urllib.request; urllib.request.urlopen('http://example.org')",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "from transformers import AutoConfig; AutoConfig.from_pretrained('gpt2')",
    ],
)
def test_the_block_of_the_network_works(tmp_path, attempt):
    """Else the smoke runs would prove nothing."""
    environment = os.environ | {"PYTHONPATH": OFFLINE, "NETWORK_ATTEMPTS": str(tmp_path / "attempts")}
    ended = subprocess.run([sys.executable, "-c", attempt], env=environment, capture_output=True)
    assert ended.returncode != 0 and (tmp_path / "attempts").exists()


def test_smoke_runs_of_all_from_two_working_directories(smoke_folders, monkeypatch, tmp_path, capsys):
    first = smoke(smoke_folders, monkeypatch)
    assert capsys.readouterr().out.count(" ok ") == len(NOTEBOOKS)
    monkeypatch.chdir(tmp_path)
    again = smoke(smoke_folders, monkeypatch, "--force", "--only", "feature_capacity")
    assert again == first  # computed and drawn anew, byte for byte the same
    for slug in PAPERS:
        paper = importlib.import_module(f"polysemanticity.papers.{slug}")
        folder = next(iter(first)).parents[-2] / "smoke" / "figures" / slug
        rows = json.loads(first[folder / "claims.json"])
        assert {row["id"] for row in rows} == set(paper.CLAIMS)
        assert {row["verdict"] for row in rows} == {"not tested"}
        assert all(len(first[folder / f"{name}.csv"].splitlines()) > 2 for name in paper.FIGURES)
