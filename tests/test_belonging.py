"""What names the collection to others: one version, one address that its owner fills, and what follows from it."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import polysemanticity
from polysemanticity.base import paths
from polysemanticity.pages import __main__ as pages_main
from polysemanticity.pages import hosting

ADDRESS = "https://github.com/someone/polysemanticity-notebooks"


@pytest.fixture
def copy(tmp_path):
    for name in ("CITATION.cff", "README.md", ".zenodo.json"):
        shutil.copy(paths.ROOT / name, tmp_path / name)
    shutil.copytree(paths.ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    return tmp_path


def fill(copy, address):
    text = re.sub(r"^repository-code:.*\n", "", (copy / "CITATION.cff").read_text(encoding="utf-8"), flags=re.M)
    (copy / "CITATION.cff").write_text(text + (f"repository-code: {address}\n" if address else ""), encoding="utf-8")


def content(copy):
    return {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_there_is_one_version():
    version = polysemanticity.__version__
    assert yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"version = {{{version}}}" in (paths.ROOT / "site" / "how_to" / "cite.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", (paths.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[0] == version


def test_this_checkout_is_as_its_address_asks():
    for name, text in hosting.texts(paths.ROOT).items():
        assert (paths.ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run python -m polysemanticity.pages"


def test_an_address_is_written_everywhere_and_taken_away_again(copy, capsys):
    fill(copy, "")
    assert pages_main.main(copy) == 0
    without = content(copy)
    assert not any(b"colab" in text.lower() or b"isSupplementTo" in text for text in without.values())
    fill(copy, ADDRESS)
    assert pages_main.main(copy) == 0
    told = capsys.readouterr().out
    assert "README.md" in told and ".zenodo.json" in told
    readme = (copy / "README.md").read_text(encoding="utf-8")
    assert (
        readme.splitlines()[2].startswith("[![Open in Colab]")
        and "/github/someone/polysemanticity-notebooks/" in readme
    )
    assert (
        json.loads((copy / ".zenodo.json").read_text(encoding="utf-8"))["related_identifiers"][0]["identifier"]
        == ADDRESS
    )
    for source in (copy / "notebooks").glob("*.ipynb"):
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        assert cells[1]["id"] == hosting.CELL and ADDRESS in "".join(cells[1]["source"])
    first = content(copy)
    assert pages_main.main(copy) == 0 and content(copy) == first
    fill(copy, "")
    assert pages_main.main(copy) == 0 and content(copy) == without


@pytest.mark.parametrize("address", ["http://example.org/a", "git@github.com:a/b", "https://example.org"])
def test_another_kind_of_address_is_refused(copy, capsys, address):
    fill(copy, address)
    before = content(copy)
    assert pages_main.main(copy) == 2 and content(copy) == before
    assert f"repository-code = {address!r}" in capsys.readouterr().err


def test_elsewhere_than_at_github_there_is_no_badge(copy):
    fill(copy, "https://git.example.org/someone/notebooks.git")
    texts = hosting.texts(copy)
    assert (
        "colab" not in texts["README.md"].lower()
        and 'https://git.example.org/someone/notebooks\\"' in texts["notebooks/00_start_here.ipynb"]
    )


def test_the_cell_installs_only_where_the_package_is_missing(monkeypatch):
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(hosting.SETUP.format(address=ADDRESS), {})
    assert called == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(hosting.SETUP.format(address=ADDRESS), {})
    assert [command[:2] for command in called] == [["git", "clone"], [sys.executable, "-m"]] and ADDRESS in called[0]
    assert sys.path[0].endswith("collection/lib")


def test_the_citation_names_the_papers_that_zenodo_does():
    cited = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))["references"]
    named = json.loads((paths.ROOT / ".zenodo.json").read_text(encoding="utf-8"))["related_identifiers"]
    papers = [one["identifiers"][0]["value"] for one in cited]
    assert papers == [one["identifier"] for one in named if one["relation"] == "references"]
    page = (paths.ROOT / "site" / "how_to" / "cite.md").read_text(encoding="utf-8")
    assert all(paper in page for paper in papers)


def test_a_development_container_has_what_is_there():
    container = json.loads((paths.ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    command, option = container["postCreateCommand"].split()
    assert (paths.ROOT / command).is_file() and option in (paths.ROOT / "run_all.sh").read_text(encoding="utf-8")
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        1
    ]
    assert container["image"] == f"python:{wanted}"


def test_issue_templates_have_a_name_and_a_purpose():
    templates = sorted((paths.ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
    assert len(templates) == 2
    for template in templates:
        head = yaml.safe_load(template.read_text(encoding="utf-8").split("---")[1])
        assert head["name"] and head["about"]
