"""`python -m benchmarks [--only NAME ...] [--quick] [--list] [--threads N] [--out FOLDER]`: measure, save, tabulate."""

import argparse
import dataclasses
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

import benchmarks
from benchmarks import measure, table
from polysemanticity.base import paths

MACHINERY = ("__main__", "gpu", "measure", "plain_sweep", "roofline", "table", "workers")


def cases() -> dict[str, measure.Case]:
    """Every case of every subject, a file of this folder that has CASES, by name."""
    found: dict[str, measure.Case] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__)):
        if module not in MACHINERY:
            found |= {case.name: case for case in importlib.import_module(f"benchmarks.{module}").CASES}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if every case that was asked for ran to its end, whether or not it met its aim."""
    options = _options(arguments)
    everything = cases()
    if options.list:
        for case in everything.values():
            print(f"{case.name}: {case.work}, against {case.against}; aim {case.aim}")
        return 0
    unknown = [name for name in options.only if not any(key.startswith(name) for key in everything)]
    if unknown:
        print(f"--only: unknown: {', '.join(unknown)}; there are: {', '.join(everything)}", file=sys.stderr)
        return 2
    chosen = {name: case for name, case in everything.items() if _wanted(name, case, options)}
    torch.set_num_threads(options.threads)
    stamp, failed = measure.stamp(options.threads), False
    with threadpool_limits(options.threads):
        for name, case in chosen.items():
            result = _measured(case, options.quick)
            save({name: result}, stamp, options.quick, options.out)
            failed |= "error" in result
    return int(failed)


def _wanted(name: str, case: measure.Case, options: argparse.Namespace) -> bool:
    if options.only:
        return any(name.startswith(start) for start in options.only)
    return options.quick or not case.named_only


def save(results: dict[str, dict], stamp: dict, quick: bool, out: Path) -> None:
    """Write the results among those of the same machine, and the page that shows every machine's."""
    folder = out / "benchmarks" / "results"
    file = folder / f"{measure.machine(stamp)}{'-quick' if quick else ''}.json"
    before = json.loads(file.read_text(encoding="utf-8"))["cases"] if file.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"stamp": stamp, "quick": quick, "cases": before | results}
    paths.write_atomically(file, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    shown = {name: result for name, result in found.items() if not result["quick"]} or found
    (out / "docs").mkdir(exist_ok=True)
    paths.write_atomically(out / "docs" / "benchmarks.md", table.page(shown).encode())


def _measured(case: measure.Case, quick: bool) -> dict:
    about = {"work": case.work, "against": case.against, "aim": case.aim}
    start = time.perf_counter()
    print(f"{case.name} ...", end=" ", flush=True)
    try:
        result = _plain(case.run(quick))
    except Exception as error:  # one that fails must not lose the others' results
        print(f"failed: {error}")
        return about | {"error": f"{type(error).__name__}: {error}"}
    print(f"{'met' if result['met'] else 'not met'}, {time.perf_counter() - start:.0f} s")
    return about | result


def _plain(value):
    """Dataclasses and named tuples as dictionaries, for JSON."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="cases whose name begins like this")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, not how fast it is")
    parser.add_argument("--list", action="store_true", help="say what there is and stop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for both sides alike")
    parser.add_argument("--out", type=Path, default=paths.ROOT, help="folder that holds benchmarks/results and docs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
