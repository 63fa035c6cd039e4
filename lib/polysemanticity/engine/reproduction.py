"""How a run compares with what is published: tables number by number, verdicts one by one.

On another processor the same code gives other last digits. A table whose numbers agree within `ROUNDING`, drawn by the
same code, and a claim's row whose numbers do, are left as they are published, byte for byte; what does not agree is
published and named. A number is measured against the largest of its kind: of its column, and of its `quantity` where a
table holds several.
"""

import json
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from polysemanticity.base import paths, runtime

ROUNDING = 1e-5  # of the largest number of its kind: tables are written in six digits
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
MACHINE = ("versions", "matplotlib", "device")  # what a figure's provenance may differ in


class Compared(NamedTuple):
    """One published table or verdict beside the one of a run."""

    name: str  # of the figure, or id of the claim
    difference: float  # the largest, in units of the largest number of its kind; infinite where they cannot be compared
    what: str  # where they differ, in words; empty where they agree
    verdicts: tuple[str, str] | None = None  # of a claim: published, of this run

    @property
    def agrees(self) -> bool:
        return not self.what


def tables(new: Path, old: Path) -> list[Compared]:
    """Return every table in the folder `new` beside the one of its name in `old`."""
    return [table(file, old / file.name) for file in sorted(new.glob("fig*.csv"))]


def table(new: Path, old: Path) -> Compared:
    """Return how far the numbers of two tables are apart; their texts have to be the same."""
    import pandas as pd

    if not old.exists():
        return Compared(new.stem, math.inf, "is not published yet")
    if new.read_bytes() == old.read_bytes():
        return Compared(new.stem, 0.0, "")
    try:
        ours, theirs = (pd.read_csv(file, keep_default_na=False, na_values=[""]) for file in (new, old))
    except ValueError as error:
        return Compared(new.stem, math.inf, f"cannot be read: {error}")
    if list(ours.columns) != list(theirs.columns) or len(ours) != len(theirs):
        return Compared(new.stem, math.inf, "has other rows or columns")
    worst, where = 0.0, ""
    kinds = theirs["quantity"] if "quantity" in theirs else pd.Series("", index=theirs.index)
    for column in theirs.columns:
        if not (pd.api.types.is_float_dtype(ours[column]) or pd.api.types.is_float_dtype(theirs[column])):
            if not ours[column].equals(theirs[column]):
                return Compared(new.stem, math.inf, f"has other entries in {column!r}")
            continue
        for _, rows in theirs.groupby(kinds, dropna=False):
            apart = _apart(ours.loc[rows.index, column], rows[column])
            worst, where = max((worst, where), (apart, column))
    agrees = worst <= ROUNDING
    return Compared(new.stem, worst, "" if agrees else f"differs by {worst:.2g} of the largest in {where!r}")


def _apart(ours, theirs) -> float:
    """The largest difference of two columns of numbers, in units of the largest of the second."""
    if not (ours.isna() == theirs.isna()).all():
        return math.inf
    scale = theirs.abs().max()
    return float((ours - theirs).abs().max() / scale) if scale > 0 else float(ours.abs().max() > 0)


def verdicts(new: Iterable[Mapping], old: Iterable[Mapping]) -> list[Compared]:
    """Return every row of claims of a run beside the published one."""
    known = {row["id"]: row for row in old}
    return [_verdict(row, known.get(row["id"])) for row in new]


def _verdict(ours: Mapping, theirs: Mapping | None) -> Compared:
    if theirs is None:
        return Compared(ours["id"], math.inf, "is not published yet", ("not published", ours["verdict"]))
    both = (theirs["verdict"], ours["verdict"])
    if ours == theirs:
        return Compared(ours["id"], 0.0, "", both)
    if set(ours["measured"]) != set(theirs["measured"]):
        return Compared(ours["id"], math.inf, "measures other quantities", both)
    worst, where = 0.0, ""
    for quantity, value in theirs["measured"].items():
        ends, new = theirs["interval"][quantity], [ours["measured"][quantity], *ours["interval"][quantity]]
        known = [value, *ends]
        if [number is None for number in known] != [number is None for number in new]:
            return Compared(ours["id"], math.inf, f"has another interval of {quantity!r}", both)
        numbers = [(a, b) for a, b in zip(new, known, strict=True) if b is not None]
        scale = max((abs(b) for _, b in numbers), default=0.0)  # none where neither run could measure it
        apart = max(abs(a - b) for a, b in numbers) / scale if scale else float(any(a for a, _ in numbers))
        worst, where = max((worst, where), (apart, quantity))
    if worst > ROUNDING or both[0] != both[1]:
        return Compared(ours["id"], worst, f"differs by {worst:.2g} in {where!r}", both)
    said = {key for key in ours if key not in ("measured", "interval") and not _reads_alike(ours[key], theirs.get(key))}
    return Compared(ours["id"], worst, f"says otherwise in {', '.join(sorted(said))}" if said else "", both)


def _reads_alike(ours, theirs) -> bool:
    """Whether two texts are the same but for the last digit of their numbers; anything else has to be equal."""
    if ours == theirs:
        return True
    if not (isinstance(ours, str) and isinstance(theirs, str)) or NUMBER.sub("#", ours) != NUMBER.sub("#", theirs):
        return False
    pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True)
    return all(abs(_value(a) - _value(b)) <= 1.01 * _last_digit(b) for a, b in pairs)


def _value(number: str) -> float:
    return float(number.replace("−", "-"))


def _last_digit(number: str) -> float:
    """What one more in the last digit of a written number is worth."""
    digits, _, power = number.partition("e")
    return 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))


def compared(staging: Path, slug: str, place: Path) -> list[Compared]:
    """Return how the tables and claims that a run has made in `staging` compare with those published in `place`."""
    new, old = staging / "figures" / slug, place / "figures" / slug
    if not new.exists() or not old.exists():
        return []
    return tables(new, old) + verdicts(_rows(new), _rows(old))


def settle(staging: Path, slug: str, executed: Path, place: Path) -> list[Compared]:
    """Put back, in what a run has made, all that agrees with what is published, and return how everything compares.

    `staging` holds figures/<slug>/ and the executed copy, `place` what is published. Tables of figures that other code
    has drawn, or from other settings, are compared, but their files stay as the run has made them.
    """
    new, old = staging / "figures" / slug, place / "figures" / slug
    found = compared(staging, slug, place)
    if not found:
        return []
    agreeing = {one.name for one in found if one.agrees}
    kept = [one.name for one in found if one.verdicts is None and one.agrees]
    kept = [name for name in kept if _drawn_alike(new / name, old / name)]
    for name in kept:
        for file in old.glob(f"{name}.*"):
            (new / file.name).write_bytes(file.read_bytes())
    known = {row["id"]: row for row in _rows(old)}
    same = agreeing & set(known)
    if same:
        settled = [known[row["id"]] if row["id"] in same else row for row in _rows(new)]
        whole = (old / "claims.json").read_text(encoding="utf-8") if settled == _rows(old) else ""
        (new / "claims.json").write_text(
            whole or json.dumps(settled, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    published = place / "docs" / executed.name
    if published.exists():
        _settle_outputs(executed, published, set(kept), {name: known[name] for name in same})
    return found


def _rows(folder: Path) -> list[dict]:
    """The rows of claims in a folder; none where they cannot be read, as somebody has edited them."""
    try:
        return json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []


def _drawn_alike(new: Path, old: Path) -> bool:
    """Whether two figures are said to be made from the same, but for the machine, and drawn by the same code."""
    try:
        ours, theirs = (json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in (new, old))
    except (OSError, ValueError):
        return False
    return bool(ours.get("drawing")) and all(
        ours.get(key) == theirs.get(key) for key in {*ours, *theirs} if key not in MACHINE
    )


def _settle_outputs(executed: Path, published: Path, kept: set[str], rows: Mapping[str, dict]) -> None:
    """Put back the published outputs of an executed notebook: pictures that are kept, and texts that read alike.

    A claim that agrees is shown with its published row, as the present code shows it.
    """
    from polysemanticity import claims
    from polysemanticity.engine import execute

    try:
        ours, theirs = execute.read(executed), execute.read(published)
    except ValueError:  # the published one is no notebook any more
        return
    known = {cell.id: cell for cell in theirs.cells if cell.cell_type == "code"}
    for cell in ours.cells:
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            claim = _mark(output).get("claim")
            if claim in rows:
                output["data"], _ = claims.Row(rows[claim])._repr_mimebundle_()
        before = known.get(cell.id)
        if before is None or len(cell.outputs) != len(before.outputs):
            continue
        for k, (output, old) in enumerate(zip(cell.outputs, before.outputs, strict=True)):
            if _shows_alike(output, old, kept):
                cell.outputs[k] = old
    executed.write_text(execute.text(ours), encoding="utf-8")


def _mark(output: Mapping) -> Mapping[str, str]:
    """Which figure or claim an output shows, if any."""
    return output.get("metadata", {}).get("polysemanticity", {})


def _shows_alike(output: Mapping, old: Mapping, kept: set[str]) -> bool:
    mark = _mark(output)
    if mark != _mark(old) or output["output_type"] != old["output_type"]:
        return False
    if mark:
        return mark.get("figure") in kept
    data, before = output.get("data", {}), old.get("data", {})
    texts = [key for key in data if key.startswith("text/")]
    return set(data) == set(before) == set(texts) and all(_reads_alike(data[key], before[key]) for key in texts)


def told(found: list[Compared]) -> list[str]:
    """Return how a notebook's tables and verdicts compare, in lines: a summary, and what differs."""
    lines = []
    for kind, some in (("tables", [c for c in found if c.verdicts is None]), ("verdicts", _judged(found))):
        if kind == "tables" and some:
            finite = [c.difference for c in some if c.agrees]
            largest = f" (largest difference {max(finite):.0e})" if finite and max(finite) > 0 else ""
            lines.append(f"{sum(c.agrees for c in some)} of {len(some)} tables agree with the published ones{largest}")
        elif some:
            alike = sum(c.verdicts[0] == c.verdicts[1] for c in some)
            lines.append(f"{alike} of {len(some)} verdicts are the same")
    lines += [f"{c.name} {c.verdicts[0]} → {c.verdicts[1]}" for c in _judged(found) if c.verdicts[0] != c.verdicts[1]]
    return lines + [f"{c.name} {c.what}" for c in found if not c.agrees]


def _judged(found: Iterable[Compared]) -> list[Compared]:
    return [c for c in found if c.verdicts is not None]


def report(by_notebook: Mapping[str, list[Compared]], label: str) -> str:
    """Return a page on how a run compares with what is published, and on which machine."""
    machine = f"{platform.system()} on {platform.machine()}, {runtime.cores()} cores"
    packages = ", ".join(f"{name} {version}" for name, version in runtime.versions().items())
    lines = ["# How this run compares with the published one", "", f"Run: {label}. {machine}; {packages}.", ""]
    lines += [
        f"Numbers agree if they are within {ROUNDING:g} of the largest number of their kind in a table: "
        "that is rounding on another processor. With another seed, profile or device tables differ by sampling too; "
        "what counts then are the verdicts.",
        "",
    ]
    for slug, found in by_notebook.items():
        lines += [f"## {slug}", "", *(f"- {line}" for line in told(found)), ""]
    return "\n".join(lines)


def write(by_notebook: Mapping[str, list[Compared]], label: str) -> Path:
    """Write the report to out/reproduction.md and return where it is."""
    place = paths.home() / "out" / "reproduction.md"
    paths.write_atomically(place, report(by_notebook, label).encode())
    return place


def summary(found: Iterable[Compared]) -> Iterator[str]:
    """Return the first lines of `told`, for all notebooks together."""
    found = list(found)
    yield from (line for line in told(found)[:2] if " of " in line)
