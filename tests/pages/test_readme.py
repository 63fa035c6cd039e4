"""The README's generated parts follow from the figures."""

import ast
import importlib
import json
import re
import textwrap
import types
import urllib.parse

import nbformat
import pytest
from matplotlib import pyplot as plt

from polysemanticity import claims, plots
from polysemanticity.base import paths
from polysemanticity.pages import readme

PAPERS = {slug: importlib.import_module(f"polysemanticity.papers.{slug}") for slug in paths.papers()}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "_paper", lambda slug: types.SimpleNamespace(COVER="fig1_toy"))
    folder = tmp_path / "home"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "01_toy.ipynb").write_text("{}")
    figures = folder / "figures" / "toy"
    figures.mkdir(parents=True)
    (figures / "fig1_toy.json").write_text(json.dumps({"alt": "A line."}))
    row = {
        "id": "TO-01",
        "whose": "ours",
        "blind": False,
        "claim": "a|b",
        "measured": {"s": 1.0},
        "interval": {"s": [0.5, None]},
        "verdict": "holds with a correction",
        "correction": "it is otherwise",
        "note": "It is not so.",
    }
    (figures / "claims.json").write_text(json.dumps([row]))
    markers = "\n".join(f"<!-- {part}: generated -->\nSTALE\n<!-- {part}: end -->" for part in readme.PARTS)
    (folder / "README.md").write_text(f"before\n{markers}\nafter\n")
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(folder))
    return folder


def test_times_are_those_of_the_benchmarks_record(home):
    folder = home / "benchmarks" / "results"
    folder.mkdir(parents=True)
    stamp = {"cpu": "A processor", "cores": 3, "memory_gib": 7, "system": "Linux"}
    cases = {"run_all.cold": {"measured": "11 min, 2.5 GB of memory"}, "run_all.unchanged": {"measured": "3 s"}}
    cases["run_all.drawing"] = {"measured": "19 s"}
    for name, quick, some in (("whole", False, cases), ("quick", True, cases), ("old", False, {"run_all": {}})):
        record = {"stamp": stamp, "quick": quick, "cases": some}
        (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    (first, last) = readme.times().splitlines()
    assert first == (
        "- A processor, 3 cores, 7 GiB: a first run 11 min, 2.5 GB of memory; nothing changed 3 s; one drawing changed "
        "19 s."
    )
    assert "macOS" in last


def test_generated_parts_are_replaced_and_stable(home):
    readme.update()
    text = (home / "README.md").read_text()
    assert "STALE" not in text and text.startswith("before\n") and text.endswith("\nafter\n")
    assert "figures/toy/fig1_toy.png" in text and "| Toy | ☑️ |" in text
    assert "\nOf 1 statements of our own **1** hold with a correction." in text
    assert "- **Toy**: **1** hold with a correction." in text
    table, gallery = (home / "docs" / "claims.md").read_text(), (home / "docs" / "gallery.md").read_text()
    assert "a\\|b" in table and "s: 1 [0.5, ∞]" in table and "(not blind)" in table
    assert "Corrected: it is otherwise. It is not so." in table and "(../figures/toy/fig1_toy.png)" in gallery
    stamp = (home / "README.md").stat().st_mtime_ns
    readme.update()
    assert (home / "README.md").stat().st_mtime_ns == stamp


def test_missing_markers_are_an_error(home):
    (home / "README.md").write_text("no markers")
    with pytest.raises(ValueError, match="exactly one pair of markers"):
        readme.update()
    (home / "README.md").unlink()
    readme.update()


def test_published_readme_is_up_to_date():
    text = (paths.ROOT / "README.md").read_text()
    for part in readme.PARTS:
        assert readme.replaced(text, part, getattr(readme, part)()) == text, f"{part}: run ./run_all.sh"
    for page in readme.PAGES:
        assert (paths.ROOT / "docs" / f"{page}.md").read_text() == getattr(readme, page)(), f"{page}: run ./run_all.sh"


def test_papers_are_not_counted_by_what_they_did_not_say():
    rows = [{"whose": whose, "verdict": "fails"} for whose in claims.WHOSE]
    groups = readme._groups(rows)
    assert [len(group) for group in groups.values()] == [2, 2, 1]
    assert sorted(row["whose"] for group in groups.values() for row in group) == sorted(claims.WHOSE)


def test_the_readme_is_short():
    assert len((paths.ROOT / "README.md").read_bytes()) <= 10_000


@pytest.mark.parametrize("slug", PAPERS)
def test_a_sentence_is_told_only_while_its_verdicts_stand(slug):
    told, template = PAPERS[slug].FINDING
    quantities = re.findall(r"\{([\w-]+): ([^{}]+?) \| [^}]+\}", template)
    paper = PAPERS[slug]
    assert set(told) <= set(paper.CLAIMS) and {claim for claim, _ in quantities} <= set(told)
    paper_scale = ", ".join(f"{symbol} = 1" for symbol in re.findall(r": scale (\w+)", template))
    rows = [
        {
            "id": claim,
            "verdict": verdict,
            "scale": paper_scale,
            "measured": {name: 1.0 for key, name in quantities if key == claim},
        }
        for claim, verdict in told.items()
    ]
    for claim, quantity in quantities:
        known = {**paper.CLAIMS[claim].rule, **(paper.CLAIMS[claim].corrected or {})}
        assert quantity in known, f"{claim} measures no {quantity!r}"
    sentence = readme.sentence(slug, rows)
    assert "{" not in sentence and re.search(r"\b1(\.0+|00%)?\b", sentence)
    rows[0]["verdict"] = "unclear"
    assert readme.sentence(slug, rows).startswith(f"**{slug.replace('_', ' ').capitalize()}**: ")


def documents():
    """Every text of the collection by its file, as Markdown."""
    for file in [
        *paths.ROOT.glob("*.md"),
        *(paths.ROOT / "docs").rglob("*.md"),
        *(paths.ROOT / "site").rglob("*.md"),
        *(paths.ROOT / "figures").glob("*.md"),
    ]:
        if "_build" not in file.parts:
            yield file, file.read_text()
    for file in [*(paths.ROOT / "notebooks").glob("*.ipynb"), *(paths.ROOT / "docs").glob("*.ipynb")]:
        cells = nbformat.read(file, as_version=4).cells
        said = [output.get("data", {}).get("text/markdown", "") for c in cells for output in c.get("outputs", ())]
        yield file, "\n".join([*(cell.source for cell in cells if cell.cell_type == "markdown"), *said])


@pytest.mark.parametrize("file, text", [pytest.param(*item, id=item[0].name) for item in documents()])
def test_links_resolve(file, text):
    text = re.sub(
        r"`[^`\n]*`", "", re.sub(r"^```(?!\{toctree|\{include).*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^()\s]+(?:\([^()]*\))?)\)", text):
        url = urllib.parse.urlsplit(target)
        if url.scheme:
            assert url.scheme == "https" and "." in url.netloc, target
        elif url.path:
            folders = [
                file.parent,
                *([paths.ROOT / "docs"] if file.parent == paths.ROOT / "site" else []),
            ]  # one on the site
            assert any((folder / urllib.parse.unquote(url.path)).exists() for folder in folders), target
        else:
            assert url.fragment in anchors, target


@pytest.mark.parametrize("file, text", [pytest.param(*item, id=item[0].name) for item in documents()])
def test_what_examples_name_exists(file, text):
    """Whatever an example in the text imports from the package, and every name that it takes from there."""
    for block in re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        tree, found = ast.parse(textwrap.dedent(block)), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("polysemanticity"):
                exec(ast.unparse(node), found)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in found:
                assert hasattr(found[node.value.id], node.attr), ast.unparse(node)


def test_every_published_figure_is_in_the_gallery():
    text = (paths.ROOT / "docs" / "gallery.md").read_text()
    pictures = list((paths.ROOT / "figures").glob("*/*.png"))
    assert pictures and not [picture for picture in pictures if f"(../{picture.relative_to(paths.ROOT)})" not in text]


def test_the_map_names_every_folder_in_few_lines():
    text = (paths.ROOT / "README.md").read_text()
    found = text[text.index("## Map") :].split("```")[1].strip()
    folders = [path.name for path in paths.PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert len(found.splitlines()) <= 15
    assert not [name for name in folders if f"{name}/" not in found]


def test_what_the_guide_to_tables_says_is_done(monkeypatch):
    """The example draws a published table, and the roles that it explains are those that there are."""
    text = (paths.ROOT / "figures" / "README.md").read_text()
    assert re.findall(r"^- \*\*(\w+)\*\*", text, re.MULTILINE) == list(plots.ROLES)
    monkeypatch.chdir(paths.ROOT)
    known = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], known)
    assert len(known["counts"]) > 10
    plt.close("all")
