"""Settings: frozen dataclasses, one for each family of experiments, whose defaults are the default profile.

A field says what it means, what it allows, and what it is in the other profiles. A paper's `Config` is made of its
families' settings (`family`), with names such as `collisions.n_seeds`; the last part will do where it is unique.
"""

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

PROFILES = ("smoke", "default", "paper")
LONGEST = 300  # characters of a value that an error shows
MOST = 10**9  # the largest whole number of a setting that does not say how large it may be
_SAME = object()


def setting(
    default, help: str, low: float | None = None, high: float | None = None, choices: tuple | None = None, *,
    smoke=_SAME, paper=_SAME, place: str | None = None,
):  # fmt: skip
    """Return a dataclass field that carries its one-sentence meaning, what values it allows, and those of the profiles.

    `low` and `high` are inclusive and hold for every element of a tuple (without `high` whole numbers end at 10⁹);
    `choices` lists the allowed values. `smoke` and `paper` are the values in these profiles where they differ from the
    default. `place` says that a text, or each of several, names a "file", a "folder" or a "folder or name": on the
    command line it is looked for at once (`typed`).
    """
    profiles = {name: value for name, value in (("smoke", smoke), ("paper", paper)) if value is not _SAME}
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "profiles": profiles, "place": place}
    return dataclasses.field(default=default, metadata=metadata)


def family(settings: type):
    """Return a dataclass field that holds the settings of a family of experiments."""
    return dataclasses.field(default_factory=settings)


def resolve(defaults, profile: str, overrides: Mapping):
    """Return `defaults` (a frozen dataclass of settings) with the profile's and then the caller's differences applied.

    Raises ValueError naming the field, its value and what is allowed for an unknown profile or field (with the nearest
    name), a short name that several families have, a field given twice, a wrong type or a value out of range.
    """
    if profile not in PROFILES:
        raise ValueError(_unknown("profile", profile, PROFILES))
    if not isinstance(overrides, Mapping):
        raise ValueError(f"overrides = {overrides!r}: allowed is a dictionary of field names and values")
    known = {name: field for name, field, _, _ in _fields(defaults)}
    kinds = {name: kind for name, _, kind, _ in _fields(defaults)}
    changes = {name: f.metadata["profiles"][profile] for name, f in known.items() if profile in f.metadata["profiles"]}
    own = {}
    for short, value in overrides.items():
        name = full_name(short, known)
        if name in own:
            raise ValueError(f"field {name!r} is given twice, as {short!r} too: allowed is once")
        own[name] = value
    checked = {
        name: _checked(name, value, kinds[name], known[name].metadata) for name, value in {**changes, **own}.items()
    }
    cfg = _replaced(defaults, checked)
    for name, field, kind, value in _fields(cfg):
        _checked(name, value, kind, field.metadata)
    return cfg


def names(cfg) -> list[str]:
    """Return the full names of all settings, e.g. `collisions.n_seeds`."""
    return [name for name, *_ in _fields(cfg)]


def full_name(name: str, known) -> str:
    """Return the full name of a field that is given by it or by its last part; ValueError if it is not one field's."""
    if name in known:
        return name
    found = [full for full in known if full.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"field {_shown(name)} is in several families: allowed is one of {', '.join(found)}")
    raise ValueError(_unknown("field", name, known))


def parse(text: str) -> tuple[str, str]:
    """Return the name and the text of the value of a `FIELD=VALUE` argument."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"--set {_shown(text)}: allowed is FIELD=VALUE, for example n_seeds=2 or dropouts=[0,0.5]")
    return name.strip(), value


def typed(name: str, text: str, cfg, folder: Path):
    """Return what a value on the command line means for a setting, given by its full or short name.

    A text is taken as it is, without quotes around it; what names a file or folder is made absolute, from `folder` on,
    but for names that the setting has by itself. Anything else is JSON where it parses as JSON. Raises ValueError for a
    file or folder that is not there.
    """
    full = full_name(name, names(cfg))
    field, kind, usual = next(found for other, *found in _fields(cfg) if other == full)
    place = field.metadata.get("place")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or too many digits or brackets for it
        value = text
    if kind is str and not isinstance(value, str):
        value = text
    if not place:
        return value
    if isinstance(value, list):
        named = [isinstance(one, str) and one and one not in usual for one in value]
        return [_placed(full, one, place, folder) if it else one for one, it in zip(value, named, strict=True)]
    return _placed(full, value, place, folder) if kind is str and value else value


def _placed(name: str, value: str, place: str, folder: Path) -> str:
    """The absolute path of a file or folder that is there; a text that may be a name, where one is allowed, stays."""
    wanted, _, or_name = place.partition(" ")
    try:
        absolute = folder / Path(value).expanduser()
        there = absolute.is_dir() if wanted == "folder" else absolute.is_file()
    except (RuntimeError, OSError, ValueError) as error:  # ~ of nobody, a name that no file can have
        raise ValueError(f"{name} = {_shown(value)}: allowed is a {place} ({error})") from None
    if there:
        return str(absolute.resolve())
    if or_name and not value.startswith((".", "/", "~")) and not absolute.exists():
        return value
    found = "is a " + ("folder" if absolute.is_dir() else "file") if absolute.exists() else "is not there"
    raise ValueError(f"{name} = {_shown(value)}: allowed is a {place}; {absolute} {found}")


def rows(cfg, defaults) -> list[tuple[str, object, object, str]]:
    """Return (name, value, value in the default profile, meaning) of every setting, for display."""
    usual = {name: value for name, _, _, value in _fields(defaults)}
    return [(name, value, usual[name], field.metadata.get("help", "")) for name, field, _, value in _fields(cfg)]


def values(cfg, families: Set[str] | None = None) -> dict[str, object]:
    """Return every setting by its full name: with `families` those of some, and those that belong to none."""
    every = {name: value for name, _, _, value in _fields(cfg)}
    return {
        name: value for name, value in every.items() if families is None or name.rpartition(".")[0] in {"", *families}
    }


def _fields(cfg, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field, object, object]]:
    """Every setting: (full name, field, type, value), those of families by `family.field`."""
    kinds = typing.get_type_hints(type(cfg))
    for field in dataclasses.fields(cfg):
        value = getattr(cfg, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field, kinds[field.name], value


def _replaced(cfg, changes: Mapping[str, object]):
    """The settings with some of them, by their full names, changed."""
    own = {name: value for name, value in changes.items() if "." not in name}
    for field in dataclasses.fields(cfg):
        inner = {name[len(field.name) + 1 :]: v for name, v in changes.items() if name.startswith(f"{field.name}.")}
        if inner:
            own[field.name] = _replaced(getattr(cfg, field.name), inner)
    return dataclasses.replace(cfg, **own)


def _unknown(kind: str, name: str, known) -> str:
    known = list(map(str, known))
    near = {full.rpartition(".")[2]: full for full in reversed(known)} | {full: full for full in known}
    nearest = difflib.get_close_matches(str(name), list(near), n=1)
    hint = f"; did you mean {near[nearest[0]]!r}?" if nearest else ""
    return f"{kind} {_shown(name)} is unknown: allowed is one of {', '.join(known)}{hint}"


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _checked(name: str, value, kind, metadata: Mapping):
    """Return `value` as the field's type, or raise; ints are taken for floats, lists for tuples, nothing else is
    converted."""
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if not isinstance(value, (list, tuple)) or len(value) == 0:
            raise ValueError(f"{name} = {_shown(value)}: allowed is a non-empty list of {element.__name__}")
        return tuple(_checked(name, item, element, metadata) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(
            f"{name} = {_shown(value)}: allowed is a value of type {kind.__name__}, not {type(value).__name__}"
        )
    if not _inside(value, metadata):
        raise ValueError(f"{name} = {_shown(value)}: allowed is {_range_text(metadata)}")
    return value


def _inside(value, metadata: Mapping) -> bool:
    low, high, choices = (metadata.get(key) for key in ("low", "high", "choices"))
    if isinstance(value, float) and not math.isfinite(value):
        return False
    high = MOST if high is None and isinstance(value, int) else high
    return (choices is None or value in choices) and (low is None or value >= low) and (high is None or value <= high)


def _range_text(metadata: Mapping) -> str:
    if metadata.get("choices") is not None:
        return f"one of {', '.join(map(repr, metadata['choices']))}"
    low, high = metadata.get("low"), metadata.get("high")
    if low is not None and high is not None:
        return f"a number from {low} to {high}"
    if low is not None:
        return f"a number of at least {low}, a whole one of at most {MOST:,}"
    return f"a number of at most {high}" if high is not None else "a finite number"
