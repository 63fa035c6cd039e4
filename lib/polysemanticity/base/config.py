"""Settings of a notebook: a frozen dataclass whose defaults are the default profile, and profiles that hold
differences only."""

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping

LONGEST = 300  # characters of a value that an error shows


def setting(default, help: str, low: float | None = None, high: float | None = None, choices: tuple | None = None):
    """Return a dataclass field that carries its one-sentence meaning and what values it allows.

    `low` and `high` are inclusive and hold for every element of a tuple; `choices` lists the allowed values.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


def resolve(defaults, profiles: Mapping[str, Mapping], profile: str, overrides: Mapping):
    """Return `defaults` (a frozen dataclass of settings) with the profile's and then the caller's differences applied.

    Raises ValueError naming the field, its value and what is allowed for an unknown profile or field (with the nearest
    name),
    a wrong type or a value out of range.
    """
    if profile not in profiles:
        raise ValueError(_unknown("profile", profile, profiles))
    if not isinstance(overrides, Mapping):
        raise ValueError(f"overrides = {overrides!r}: allowed is a dictionary of field names and values")
    fields = {field.name: field for field in dataclasses.fields(defaults)}
    kinds = typing.get_type_hints(type(defaults))
    changes = {}
    for name, value in {**profiles[profile], **overrides}.items():
        if name not in fields:
            raise ValueError(_unknown("field", name, fields))
        changes[name] = _checked(name, value, kinds[name], fields[name].metadata)
    cfg = dataclasses.replace(defaults, **changes)
    for name, field in fields.items():
        _checked(name, getattr(cfg, name), kinds[name], field.metadata)
    return cfg


def parse(text: str) -> tuple[str, object]:
    """Return (name, value) of a `FIELD=VALUE` argument; the value is JSON where it parses as JSON, else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"--set {_shown(text)}: allowed is FIELD=VALUE, for example n_seeds=2 or dropouts=[0,0.5]")
    try:
        return name.strip(), json.loads(value)
    except (ValueError, RecursionError):  # no JSON, or too many digits or brackets for it
        return name.strip(), value


def rows(cfg, defaults) -> list[tuple[str, object, object, str]]:
    """Return (name, value, value in the default profile, meaning) of every setting, for display."""
    return [
        (field.name, getattr(cfg, field.name), getattr(defaults, field.name), field.metadata.get("help", ""))
        for field in dataclasses.fields(cfg)
    ]


def _unknown(kind: str, name: str, known) -> str:
    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{kind} {_shown(name)} is unknown: allowed is one of {', '.join(map(str, known))}{hint}"


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
    return (choices is None or value in choices) and (low is None or value >= low) and (high is None or value <= high)


def _range_text(metadata: Mapping) -> str:
    if metadata.get("choices") is not None:
        return f"one of {', '.join(map(repr, metadata['choices']))}"
    low, high = metadata.get("low"), metadata.get("high")
    if low is not None and high is not None:
        return f"a number from {low} to {high}"
    if low is not None:
        return f"a number of at least {low}"
    return f"a number of at most {high}" if high is not None else "a finite number"
