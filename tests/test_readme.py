"""The README's generated parts follow from the figures."""

import json
import re

import pytest

from lib import paths, readme


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "01_toy.ipynb").write_text("{}")
    figures = folder / "figures" / "toy"
    figures.mkdir(parents=True)
    (figures / "fig1_toy.json").write_text(json.dumps({"alt": "A line."}))
    row = {
        "id": "TO-01",
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


def test_generated_parts_are_replaced_and_stable(home):
    readme.update()
    text = (home / "README.md").read_text()
    assert "STALE" not in text and text.startswith("before\n") and text.endswith("\nafter\n")
    assert (
        "figures/toy/fig1_toy.png" in text
        and "a\\|b" in text
        and "s: 1 [0.5, ∞]" in text
        and "1 claims have been tested: **1** holds with a correction" in text
        and "Corrected: it is otherwise. It is not so." in text
    )
    stamp = (home / "README.md").stat().st_mtime_ns
    readme.update()
    assert (home / "README.md").stat().st_mtime_ns == stamp


def test_missing_markers_are_an_error(home):
    (home / "README.md").write_text("no markers")
    with pytest.raises(ValueError, match="exactly one pair of markers"):
        readme.update()
    (home / "README.md").unlink()
    readme.update()


def test_published_readme_is_up_to_date_and_its_links_resolve():
    text = (paths.ROOT / "README.md").read_text()
    for part in readme.PARTS:
        assert readme.replaced(text, part, getattr(readme, part)()) == text, f"{part}: run ./run_all.sh"
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (paths.ROOT / target).exists(), target


def test_the_map_names_every_module():
    text = (paths.ROOT / "README.md").read_text()
    map_of_lib = text[text.index("## Map") :]
    missing = [path.stem for path in (paths.ROOT / "lib").glob("[a-z]*.py") if path.stem not in map_of_lib.split()]
    assert not missing
