"""Rounding on another processor leaves published files alone; anything more is published and named."""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest

from polysemanticity import claims
from polysemanticity.base import paths
from polysemanticity.engine import reproduction

TABLE = pd.DataFrame(
    {
        "what": "measured",
        "quantity": ["count"] * 3 + ["share"] * 3,
        "neurons m": [1, 2, 4] * 2,
        "value": [400.0, 200.0, np.nan, 1.0, 0.5, 0.25],
    }
)
ROW = {
    "id": "TO-01",
    "claim": "it is so",
    "verdict": "holds",
    "measured": {"slope": 2.0, "gap": None},
    "interval": {"slope": [1.5, 2.5], "gap": [0.0, None]},
    "note": "At 0.50 of 16 networks, 1e-15 below",
    "error": "95 % t interval",
    "scale": "16 networks",
    "bands": {"printed": {"slope": [1.0, 3.0]}, "corrected": {}},
    "correction": "",
    "blind": True,
}


def write(folder, name, table, drawing="code", text=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(text or table.to_csv(index=False))
    (folder / f"{name}.png").write_text(f"{folder.parent.parent.name}")
    about = {"figure": name, "drawing": drawing, "versions": folder.parent.parent.name}
    (folder / f"{name}.json").write_text(json.dumps(about))


def executed(*outputs):
    cells = [
        nbformat.v4.new_code_cell("show()", id=f"cell-{k}", execution_count=1, outputs=[output])
        for k, output in enumerate(outputs)
    ]
    return nbformat.v4.new_notebook(cells=cells)


def picture(content, **mark):
    return nbformat.v4.new_output("display_data", {"image/png": content}, metadata={"polysemanticity": mark})


def words(text):
    return nbformat.v4.new_output("display_data", {"text/markdown": text})


def perturbed(size):
    return TABLE.assign(value=TABLE["value"] * (1 + size))


@pytest.mark.parametrize(
    ("new", "difference", "what"),
    [
        (TABLE, 0, ""),
        (perturbed(1e-12), 1e-12, ""),
        (perturbed(1e-3), 1e-3, "differs by 0.001 of the largest in 'value'"),
        # against the largest of its own quantity: 0.001 of a count of 400 is nothing, of a share it is not
        (TABLE.assign(value=[400.001, *TABLE["value"][1:]]), 2.5e-6, ""),
        (TABLE.assign(value=[*TABLE["value"][:5], 0.251]), 1e-3, "differs by 0.001"),
        (TABLE.assign(value=TABLE["value"].fillna(0.0)), np.inf, "differs by inf"),
        (TABLE.assign(what="paper"), np.inf, "has other entries in 'what'"),
        (TABLE.assign(**{"neurons m": [1, 2, 5] * 2}), np.inf, "has other entries in 'neurons m'"),
        (TABLE[::-1], np.inf, "has other entries"),
        (TABLE[:5], np.inf, "has other rows or columns"),
        (TABLE.rename(columns={"value": "number"}), np.inf, "has other rows or columns"),
    ],
)
def test_tables_are_compared_number_by_number(tmp_path, new, difference, what):
    write(tmp_path / "new", "fig1", new)
    write(tmp_path / "old", "fig1", TABLE)
    (found,) = reproduction.tables(tmp_path / "new", tmp_path / "old")
    assert found.difference == pytest.approx(difference, rel=0.01, abs=1e-15) and found.agrees == (what == "")
    assert what in found.what


def test_a_table_that_is_not_there_or_cannot_be_read_does_not_agree(tmp_path):
    write(tmp_path / "new", "fig1", TABLE)
    (tmp_path / "old").mkdir()
    assert reproduction.tables(tmp_path / "new", tmp_path / "old")[0].what == "is not published yet"
    write(tmp_path / "old", "fig1", None, text='a,b\n"1')
    assert "cannot be read" in reproduction.tables(tmp_path / "new", tmp_path / "old")[0].what


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, ""),
        ({"measured": {"slope": 2.000001, "gap": None}}, ""),
        ({"note": "At 0.51 of 16 networks, 1e-15 below"}, ""),
        ({"measured": {"slope": 2.1, "gap": None}}, "differs by 0.04 in 'slope'"),
        ({"interval": {"slope": [1.5, None], "gap": [0.0, None]}}, "has another interval of 'slope'"),
        ({"measured": {"slope": 2.0}}, "measures other quantities"),
        ({"verdict": "fails"}, "differs"),
        ({"note": "At 0.60 of 16 networks, 1e-15 below"}, "says otherwise in note"),
        ({"note": "At 0.50 of 16 nets, 1e-15 below"}, "says otherwise in note"),
        ({"claim": "it is not so"}, "says otherwise in claim"),
    ],
)
def test_verdicts_are_compared_one_by_one(change, what):
    (found,) = reproduction.verdicts([ROW | change], [ROW])
    assert found.agrees == (what == "") and what in found.what
    assert found.verdicts == ("holds", change.get("verdict", "holds"))


def test_what_neither_run_could_measure_is_no_difference():
    nothing = {"measured": ROW["measured"] | {"lost": None}, "interval": ROW["interval"] | {"lost": [None, None]}}
    (found,) = reproduction.verdicts([ROW | nothing | {"note": "another"}], [ROW | nothing])
    assert found.what == "says otherwise in note" and found.difference == 0


def test_a_claim_that_is_not_published_yet_is_no_table():
    found = reproduction.verdicts([ROW], [])
    assert found[0].verdicts == ("not published", "holds")
    assert reproduction.told(found)[0] == "0 of 1 verdicts are the same"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A run's staging folder and what is published: a figure that agrees, one that does not, one drawn by other code.

    What is published of the claims was shown by code of then.
    """
    monkeypatch.setenv("POLYSEMANTICITY_HOME", str(tmp_path / "published"))
    for name, size, code in (("staging", 1e-12, "new code"), ("published", 0.0, "old code")):
        folder = tmp_path / name / "figures" / "toy"
        write(folder, "fig1", perturbed(size))
        write(folder, "fig2", perturbed(1e9 * size))
        write(folder, "fig3", perturbed(size), drawing=code)
        rows = [ROW | {"measured": {"slope": 2.0 + size, "gap": None}}, ROW | {"id": "TO-02", "note": name}]
        (folder / "claims.json").write_text(json.dumps(rows))
        book = executed(
            *(picture(f"{name} {figure}", figure=figure) for figure in ("fig1", "fig2", "fig3")),
            picture(name, claim="TO-01"), words(f"found {0.5 + size:.3f}"), words(f"by {name}"),
        )  # fmt: skip
        file = tmp_path / name / ("docs" if name == "published" else "") / "01_toy.ipynb"
        file.parent.mkdir(exist_ok=True)
        nbformat.write(book, file)
    return tmp_path / "staging", tmp_path / "published"


def test_what_agrees_is_left_as_published_and_what_does_not_is_named(places):
    staging, published = places
    found = reproduction.settle(staging, "toy", staging / "01_toy.ipynb", published)
    assert [(c.name, c.agrees) for c in found] == [
        ("fig1", True), ("fig2", False), ("fig3", True), ("TO-01", True), ("TO-02", False)
    ]  # fmt: skip
    new, old = staging / "figures" / "toy", published / "figures" / "toy"
    same = {file.name for file in new.iterdir() if file.read_bytes() == (old / file.name).read_bytes()}
    assert same == {"fig1.csv", "fig1.png", "fig1.json"}
    rows = json.loads((new / "claims.json").read_text())
    assert rows[0]["measured"]["slope"] == 2.0 and rows[1]["note"] == "staging"
    shown = [cell.outputs[0].data for cell in nbformat.read(staging / "01_toy.ipynb", as_version=4).cells]
    assert [next(iter(data.values())) for data in shown] == [
        "published fig1", "staging fig2", "staging fig3", claims.shown(rows[0]), "found 0.500", "by staging"
    ]  # fmt: skip
    assert dict(shown[3]) == {"text/markdown": claims.shown(rows[0]), "text/plain": "TO-01: holds"}
    lines = reproduction.told(found)
    assert lines[:2] == [
        "2 of 3 tables agree with the published ones (largest difference 1e-12)",
        "2 of 2 verdicts are the same",
    ]
    assert lines[2:] == ["fig2 differs by 0.001 of the largest in 'value'", "TO-02 says otherwise in note"]


def test_the_report_names_machine_tolerance_and_changed_verdicts(places):
    staging, published = places
    rows = json.loads((staging / "figures" / "toy" / "claims.json").read_text())
    (staging / "figures" / "toy" / "claims.json").write_text(json.dumps([rows[0] | {"verdict": "unclear"}]))
    found = reproduction.compared(staging, "toy", published)
    assert "0 of 1 verdicts are the same" in list(reproduction.summary(found))
    text = reproduction.write({"toy": found}, "default, seed=1").read_text()
    assert "TO-01 holds → unclear" in text and "1e-05" in text and "numpy" in text and "seed=1" in text
    assert (paths.home() / "out" / "reproduction.md").exists()


def test_published_files_that_cannot_be_read_are_replaced(places):
    staging, published = places
    for file in (published / "docs" / "01_toy.ipynb", published / "figures" / "toy" / "claims.json"):
        file.write_text("edited by hand")
    found = reproduction.settle(staging, "toy", staging / "01_toy.ipynb", published)
    assert [c.name for c in found if c.agrees] == ["fig1", "fig3"]
    assert len(json.loads((staging / "figures" / "toy" / "claims.json").read_text())) == 2


def test_nothing_published_is_nothing_to_compare(tmp_path):
    assert reproduction.compared(tmp_path, "toy", tmp_path) == []
