"""The results as a Markdown page: a table per machine, notes, growth."""

from collections.abc import Mapping, Sequence

INTRO = """# Benchmarks

`python -m benchmarks` measures these side by side: both ways in turns in one run, with equal threads, after a
warm-up. Times are wall seconds, median [range]; *faster* is the other way's time ÷ ours, median [range] over pairs.
Memory is the peak beyond the inputs. A kernel's floors are its operations at the rate of this machine in matrix
products of the same numbers, and its bytes at the bandwidth of a copy. Generated; do not edit.
"""
COUNTED = 0.1  # the least share of a worker's time in counted operations with which its floor says anything


def page(machines: Mapping[str, Mapping]) -> str:
    """The whole page, from the contents of the results' files by machine."""
    return "\n".join([INTRO, *(_section(result) for _, result in sorted(machines.items()))])


def _section(result: Mapping) -> str:
    stamp = result["stamp"]
    where = f"{stamp['cpu']}, {stamp['cores']} cores, {stamp['memory_gib']} GiB" + (
        f", {stamp['gpu']}" if stamp["gpu"] else ""
    )
    versions = ", ".join(f"{name} {version}" for name, version in stamp["versions"].items() if version)
    title = f"## {where}{' (quick: sizes too small to judge)' if result['quick'] else ''}"
    lines = [title, "", f"{stamp['threads']} threads; Python {stamp['python']}; {versions}.", ""]
    lines += ["| work | against | aim | measured | ours | theirs | memory | accuracy |", "|---" * 8 + "|"]
    cases = sorted(result["cases"].items())
    lines += [_row(case) for _, case in cases]
    notes = [_note(case) for _, case in cases if case.get("note")]
    floors = [_floors(k) for _, case in cases for k in case.get("kernels", ())]
    if floors:
        head = (
            "| kernel | numbers | operations | bytes | floor: operations | floor: bytes | measured | ÷ higher floor |"
        )
        lines += ["", head, "|---" * 8 + "|", *floors]
    above = [_above(worker) for _, case in cases for worker in case.get("floors", ())]
    if above:
        head = (
            "| worker | share of a run | results | longest, alone | operations in products | floor: products "
            "| floor: starts | ÷ floor | in products | in torch's other operations | in numpy, scipy and Python |"
        )
        lines += ["", head, "|---" * 11 + "|", *above]
    grown = [_growth(case, g) for _, case in cases for g in case.get("growth", ())]
    if grown:
        lines += ["", "| growth of | with | sizes | exponent | expected |", "|---" * 5 + "|", *grown]
    return "\n".join([*lines, "", *notes, ""])


def _row(case: Mapping) -> str:
    return _line(_row_cells(case))


def _row_cells(case: Mapping) -> list[str]:
    if "error" in case:
        return [case["work"], case["against"], case["aim"], f"failed: {case['error']}", *[""] * 4]
    mark = {True: "✓", False: "✗"}[case["met"]]
    ratio = f"{_times(case['ratio'])} faster" if case.get("ratio") else ""
    measured = "; ".join(part for part in (case["measured"], ratio) if part)
    return [
        case["work"],
        case["against"],
        case["aim"],
        f"{mark} {measured}",
        _seconds(case["ours"]),
        _seconds(case["theirs"]),
        " / ".join(_bytes(case[side]) for side in ("ours_bytes", "theirs_bytes") if case[side] is not None),
        _accuracy(case),
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _accuracy(case: Mapping) -> str:
    sides = [f"{side} {case[f'{side}_accuracy']}" for side in ("ours", "theirs") if case[f"{side}_accuracy"]]
    return f"{case['accuracy']}: {', '.join(sides)}" if sides else ""


def _growth(case: Mapping, g: Mapping) -> str:
    sizes = f"{g['sizes'][0]:g} … {g['sizes'][-1]:g}"
    exponent = f"{g['exponent']:.2f} ± {g['stderr']:.2f}"
    return _line([f"{case['work']}: {g['what']}", g["size"], sizes, exponent, f"{g['expected']:g}"])


def _note(case: Mapping) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in case.get("profile") or ())
    profile = f" Profile of ours: {shares}." if shares else ""
    return f"- **{case['work']}.** {case['note']}{profile}"


def _floors(k: Mapping) -> str:
    seconds = (_short(k[name]) for name in ("operations_floor", "bytes_floor", "seconds"))
    return _line([k["name"], k["kind"], f"{k['operations']:.2g}", f"{k['n_bytes']:.2g}", *seconds, f"{k['gap']:.3g}"])


def _above(worker: Mapping) -> str:
    floors = worker["products_floor"], worker["starts_floor"]  # both 0 where all is numpy's and scipy's
    counted = worker["in_products"], worker["in_others"]
    bounded = any(floors) and sum(counted) >= COUNTED
    inside = [share / max(sum(counted), 1.0) for share in counted]  # counting many small operations lengthens them
    return _line(
        [
            f"`{worker['name']}`",
            f"{worker['share']:.1%}" if worker["share"] >= 0.0005 else "< 0.1%",
            f"{worker['n_results']:,}",
            _short(worker["seconds"]),
            f"{worker['operations']:.2g}",
            *map(_short, floors),
            f"{worker['seconds'] / sum(floors):.3g}" if bounded else "too little counted",
            *(f"{share:.0%}" for share in (*inside, max(1 - sum(inside), 0.0))),
        ]
    )


def _times(spread: Mapping) -> str:
    return f"{spread['median']:.3g}× [{spread['low']:.3g}, {spread['high']:.3g}]"


def _seconds(spread: Mapping | None) -> str:
    if spread is None:
        return ""
    return f"{_short(spread['median'])} [{_short(spread['low'])}, {_short(spread['high'])}]"


def _short(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1000 * seconds:.3g} ms" if seconds >= 1e-4 else f"{1e6 * seconds:.2g} µs"


def _bytes(n: int) -> str:
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"
