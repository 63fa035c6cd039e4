"""Settings: profiles hold differences only, and every bad value is refused with what is allowed."""

from dataclasses import dataclass

import pytest
from toy_config import ToyConfig

from polysemanticity.base import config


def resolve(profile="default", **overrides):
    return config.resolve(ToyConfig(), profile, overrides)


def test_profile_then_overrides():
    assert resolve() == ToyConfig()
    assert resolve("smoke").n_seeds == 2
    assert resolve("smoke", n_seeds=7).n_seeds == 7


def test_lists_become_tuples_and_ints_floats():
    cfg = resolve(sizes=[2, 3], rate=1)
    assert cfg.sizes == (2, 3)
    assert cfg.rate == 1.0 and isinstance(cfg.rate, float)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_sed": 1}, "field 'n_sed' is unknown: allowed is one of n_seeds, .*; did you mean 'n_seeds'"),
        ({"n_seeds": 2.0}, "n_seeds = 2.0: allowed is a value of type int, not float"),
        ({"n_seeds": True}, "n_seeds = True: allowed is a value of type int, not bool"),
        ({"n_seeds": "1e-3"}, "n_seeds = '1e-3': allowed is a value of type int, not str"),
        ({"n_seeds": 0}, "n_seeds = 0: allowed is a number of at least 1"),
        ({"rate": 1.5}, "rate = 1.5: allowed is a number from 0 to 1"),
        ({"rate": float("nan")}, "rate = nan: allowed is a number from 0 to 1"),
        ({"sizes": []}, r"sizes = \[\]: allowed is a non-empty list of int"),
        ({"sizes": 3}, "sizes = 3: allowed is a non-empty list of int"),
        ({"sizes": [4, 0]}, "sizes = 0: allowed is a number of at least 1"),
        ({"kind": "c"}, "kind = 'c': allowed is one of 'a', 'b'"),
    ],
)
def test_bad_overrides(overrides, message):
    with pytest.raises(ValueError, match=message):
        config.resolve(ToyConfig(), "default", overrides)


def test_bad_profiles():
    with pytest.raises(ValueError, match="profile 'smok' is unknown: .*; did you mean 'smoke'"):
        resolve("smok")
    with pytest.raises(ValueError, match="hue = 3.0: allowed is a number from 0 to 1"):
        config.resolve(Wrong(), "paper", {})
    with pytest.raises(ValueError, match="overrides = 3: allowed is a dictionary"):
        config.resolve(ToyConfig(), "default", 3)


@pytest.mark.parametrize("text", ["n=2", "n=[1, 2]", "n=word", "n=a=b", "n="])
def test_parse(text):
    assert config.parse(text) == ("n", text[2:])


@dataclass(frozen=True)
class Places:
    """Settings that name what is on the disk."""

    rate: float = config.setting(0.5, "a rate")
    counts: tuple[int, ...] = config.setting((1,), "some counts")
    title: str = config.setting("", "a title")
    text: str = config.setting("", "a text", place="file")
    pictures: str = config.setting("", "pictures", place="folder")
    model: str = config.setting("", "a model", place="folder or name")
    models: tuple[str, ...] = config.setting(("own",), "some models", place="folder or name")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "2", 2), ("rate", "1e-3", 1e-3), ("counts", "[1, 2]", [1, 2]), ("rate", "word", "word"),
        ("title", "2024", "2024"), ("title", "null", "null"), ("title", '"a b"', "a b"), ("title", "a b", "a b"),
        ("model", "gpt2-xl", "gpt2-xl"), ("model", "someone/gpt2", "someone/gpt2"), ("pictures", "", ""),
        ("models", '["own", "gpt2-xl", "", 3]', ["own", "gpt2-xl", "", 3]),
    ],
)  # fmt: skip
def test_values_mean_what_their_fields_want(tmp_path, name, text, value):
    assert config.typed(name, text, Places(), tmp_path) == value


def test_places_are_found_from_where_the_command_was_called(tmp_path, monkeypatch):
    (tmp_path / "2024").mkdir()
    (tmp_path / "words.txt").write_text("words")
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder, text in ((tmp_path, "2024"), (tmp_path / "2024", "../2024"), (tmp_path / "x", "~/2024")):
        for name in ("pictures", "model"):
            assert config.typed(name, text, Places(), folder) == str(tmp_path / "2024")
    assert config.typed("text", "words.txt", Places(), tmp_path) == str(tmp_path / "words.txt")
    (tmp_path / "own").mkdir()  # named like what the setting has by itself, which stays
    found = config.typed("models", '["own", "./own", "2024", "gpt2-xl"]', Places(), tmp_path)
    assert found == ["own", str(tmp_path / "own"), str(tmp_path / "2024"), "gpt2-xl"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("pictures", "none", "allowed is a folder; .*none is not there"),
        ("pictures", "words.txt", "allowed is a folder; .*words.txt is a file"),
        ("text", ".", "allowed is a file; .* is a folder"),
        ("model", "./gpt2", "allowed is a folder or name; .*gpt2 is not there"),
        ("model", "words.txt", "allowed is a folder or name; .*words.txt is a file"),
        ("models", '["own", "./gpt2"]', "allowed is a folder or name; .*gpt2 is not there"),
        ("text", "~nosuchuser/words.txt", "allowed is a file"),
        ("text", "a\x00b", "allowed is a file"),
    ],
)
def test_places_that_are_not_there_are_refused(tmp_path, name, text, problem):
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(ValueError, match=f"{name} = .*: {problem}"):
        config.typed(name, text, Places(), tmp_path)


@pytest.mark.parametrize("text", ["n", "=3", ""])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="allowed is FIELD=VALUE"):
        config.parse(text)


def test_rows_show_what_differs():
    rows = {name: (value, default) for name, value, default, _ in config.rows(resolve("smoke"), ToyConfig())}
    assert rows["n_seeds"] == (2, 3)
    assert rows["rate"] == (0.5, 0.5)


@dataclass(frozen=True)
class Wrong:
    """Settings whose paper profile is not allowed."""

    hue: float = config.setting(0.2, "a hue", low=0, high=1, paper=3)


@dataclass(frozen=True)
class Colour:
    """Settings of a family."""

    n_seeds: int = config.setting(5, "seeds of colours", low=1, smoke=2)
    hue: float = config.setting(0.2, "a hue", low=0, high=1, paper=0.9)


@dataclass(frozen=True)
class Shape:
    """Settings of another."""

    n_seeds: int = config.setting(7, "seeds of shapes", low=1)


@dataclass(frozen=True)
class Composed:
    """Settings of a paper with two families."""

    threads: int = config.setting(1, "threads", low=1)
    colour: Colour = config.family(Colour)
    shape: Shape = config.family(Shape)


def composed(profile="default", overrides=None):
    return config.resolve(Composed(), profile, overrides or {})


def test_families_have_their_own_settings_and_profiles():
    assert composed("smoke").colour.n_seeds == 2 and composed("smoke").shape.n_seeds == 7
    assert composed("paper").colour.hue == 0.9
    assert composed(overrides={"shape.n_seeds": 1}).shape.n_seeds == 1
    assert composed("smoke", {"colour.n_seeds": 9}).colour.n_seeds == 9


def test_a_short_name_will_do_where_it_is_unique():
    assert composed(overrides={"hue": 0.5}).colour.hue == 0.5
    with pytest.raises(ValueError, match=r"field 'n_seeds' is in several families: .* colour.n_seeds, shape.n_seeds"):
        composed(overrides={"n_seeds": 2})
    with pytest.raises(ValueError, match="field 'colour.hue' is given twice, as 'colour.hue' too|given twice"):
        composed(overrides={"hue": 0.5, "colour.hue": 0.6})
    with pytest.raises(ValueError, match=r"field 'hew' is unknown: .*; did you mean 'colour.hue'"):
        composed(overrides={"hew": 0.5})
    with pytest.raises(ValueError, match=r"colour.hue = 3.0: allowed is a number from 0 to 1"):
        composed(overrides={"hue": 3})


def test_values_and_rows_have_full_names():
    assert config.names(Composed()) == ["threads", "colour.n_seeds", "colour.hue", "shape.n_seeds"]
    assert config.values(composed("smoke"))["colour.n_seeds"] == 2
    assert ("colour.n_seeds", 2, 5, "seeds of colours") in config.rows(composed("smoke"), Composed())
