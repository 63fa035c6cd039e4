"""A report of a network's layers: what their spectra say, how surely, and what should make one doubt it.

One pass over the data in bounded memory: `audit.accumulate` sums each layer's rows in blocks, `audit.exponents` makes
an exponent of them whose interval allows for rows that depend on each other.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import linalg
from torch import nn

from polysemanticity import projections, spectra
from polysemanticity.audit import artefacts, exponents, reports, sources
from polysemanticity.audit.accumulate import BLOCKS, Rows, merged
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.networks import hooks
from polysemanticity.networks.probing import FLOOR
from polysemanticity.projections import smoothness, traces
from polysemanticity.spectra import Spectrum, broken_law, moments

LOUD = 5.0  # an outlier unit's root mean square, in medians of the units'
FEWEST = 40  # rows without which nothing is said of a layer
MOMENT_ROWS = 256  # rows at most that the unbiased moments are taken of
COLUMNS = (
    *("n", "n_effective", "units", "dtype", "variation", "exponent", "stderr", "low", "high", "first", "last"),
    *("bent", "head", "tail", "break", "misfit", "moments_exponent", "participation", "effective_rank", "outliers"),
    *("dead_units", "shuffled_exponent", "shuffled_participation", "neighbours", "smoothest"),
    *("roughness", "threshold", "smooth", "flags"),
)
SHOWN = ("layer", "n", "n_effective", "units", "exponent", "interval", "law", "participation", "flags")


class _Plan(NamedTuple):
    """What is asked of every layer."""

    seed: int
    simulations: int
    dimension: int | None
    closed: bool


@dataclass(frozen=True)
class LayerReport:
    """What `audit.layers` found; print it, draw it, or take it as a table, JSON or a page.

    table: a row for each layer, `what` being measured, or control for the same layer of an untrained network. n rows
    are worth n_effective independent ones (for a covariance); exponent with stderr, low, high (95 %) on ranks first to
    last, corrected for n_effective and the number of units; bent: a broken law predicts the other half of the rows
    better, with exponents head up to rank break and tail beyond; misfit: chi-square (2 degrees of freedom) of unbiased
    moments against one law over all ranks; participation and effective_rank of the spectrum; outliers: units above 5
    times the median's root mean square; dead_units: those that vary by rounding only; variation: relative to the
    activity's size; shuffled_...: after every unit's rows were shuffled by themselves, so that only unequal variances
    and chance are left; neighbours: roughness of neighbouring rows (1 where their order says nothing), smoothest: that
    of the smoothest direction among the leading ones, on rows that did not choose it; roughness along paths, the
    threshold 1 + 2/d beside it, and whether the interval of the
    exponent lies above (smooth), below (rough) or across it (unclear); flags: what should make one doubt. NaN where a
    layer has too few rows, is too narrow, or does not vary by more than rounding.
    spectra: of the measured layers, by name. directions: their smoothest direction [unit], of length 1.
    """

    table: pd.DataFrame
    spectra: dict[str, Spectrum] = field(repr=False)
    directions: dict[str, np.ndarray] = field(repr=False, default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def to_json(self) -> str:
        """Return table and spectra as JSON; NaN is null."""
        eigenvalues = {name: spectrum.eigenvalues for name, spectrum in self.spectra.items()}
        content = {"layers": self.table.to_dict("records"), "eigenvalues": eigenvalues, "smoothest": self.directions}
        return reports.json_text(content)

    def to_html(self) -> str:
        """Return the report as one page that needs nothing else."""
        from polysemanticity.audit import pages  # drawing needs packages that computing does not

        return pages.of_layers(self)

    def plot(self):
        """Return a figure: the spectra, and exponents with their intervals by layer, with the controls."""
        from polysemanticity.audit import figures  # drawing needs packages that computing does not

        return figures.layers(self)

    def __str__(self) -> str:
        head = [*SHOWN[:-1], *(["roughness"] if self.table["roughness"].notna().any() else []), SHOWN[-1]]
        return reports.columns(head, ([_cell(row, name) for name in head] for _, row in self.table.iterrows()))


def layers(
    model,
    batches: Iterable | None = None,
    layers: str | Iterable[str] = "*",
    groups=None,
    *,
    paths=None,
    dimension: int | None = None,
    closed: bool = False,
    untrained=None,
    seed: int = 0,
    simulations: int = 50,
    memory: float = 4.0,
) -> LayerReport:
    """Return a report of every layer's spectrum, with intervals that allow for rows that depend on each other.

    model: a torch module, with `batches` of its inputs (as for `networks.hooks.activity`) and the names or patterns
    `layers` of its places; or activity itself, without batches: a dictionary of arrays [..., unit] or of iterables of
    such batches, an iterable of dictionaries, paths of safetensors or npz files. Rows of one group (text, photograph)
    depend on each other: along the first axis of activity with three axes or more each entry is a group; groups: a
    label for each entry of the first axis, of whole arrays or of all batches of a module, says otherwise. Rows without
    groups are taken to be in the order of time, where there may be one. paths: activity along paths of stimuli, [point,
    unit] or
    [path, point, unit] by layer, or for a module batches each of which is a path (closed: back to its start); dimension
    of the stimuli. untrained: a function that returns the module without its training. simulations: of the moments'
    scatter, 0 leaves them out. memory: gigabytes that sums may take. Raises ValueError for anything that is none of
    this, NaN or infinity, and layers that need more memory.
    """
    enough = isinstance(simulations, int) and (simulations == 0 or simulations >= 10)
    check(enough, "simulations", simulations, "0, or 10 and more")
    check(dimension is None or dimension >= 1, "dimension", dimension, "at least 1")
    check(memory > 0, "memory", memory, "above 0")
    plan = _Plan(seed, simulations, dimension, closed)
    if not isinstance(model, nn.Module):
        check(batches is None, "batches", type(batches).__name__, "none, as `model` is no torch module")
        check(untrained is None, "untrained", type(untrained).__name__, "none, as `model` is no torch module")
        found = _gathered(_chosen(_of_arrays(model, groups), layers), memory)
        rough = _roughness_of(_chosen(_of_arrays(paths, None), layers), closed) if paths is not None else {}
        return _report(found, {}, rough, plan, "measured")
    check(batches is not None, "batches", None, "batches of inputs of the module")
    if untrained is not None:
        check(callable(untrained), "untrained", type(untrained).__name__, "a function that returns a module")
        check(iter(batches) is not batches, "batches", "an iterator", "a list or a loader, which can be read twice")
    report = _of_module(model, batches, layers, groups, paths, memory, plan, "measured")
    if untrained is None:
        return report
    control = _of_module(untrained(), batches, layers, groups, paths, memory, plan, "control")
    table = pd.concat([report.table, control.table], ignore_index=True)
    return LayerReport(table, report.spectra, report.directions)


# ------------------------------------------------------------ rows from what was given


def _of_arrays(source, groups) -> Iterator[tuple]:
    """Every part of every layer's activity: name, rows, group of each row, type."""
    whole = isinstance(source, Mapping)
    check(groups is None or whole, "groups", type(groups).__name__, "none, as activity comes in batches")
    offsets: dict[str, int] = {}
    for part in sources.batches(source):
        for name, value in part.items():
            rows, place = sources.rows_of(value, name)
            if groups is not None:
                rows, place = _by_group(rows, np.asarray(groups), name)
            elif place is not None and len(place):
                offset = offsets.get(name, 0)
                offsets[name] = offset + int(place[-1]) + 1
                place = place + offset
            yield name, rows, place, rows.dtype


def _chosen(parts, patterns) -> Iterator[tuple]:
    """The parts of layers whose names fit a pattern, as for a module's."""
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    known: dict[str, bool] = {}
    for part in parts:
        name = part[0]
        if name not in known:
            known[name] = any(pattern == "*" or hooks.fits(pattern, name) for pattern in wanted)
        if known[name]:
            yield part
    check(any(known.values()), "layers", patterns, f"names or patterns of {', '.join(list(known)[:8]) or 'no layer'}")


def _by_group(rows: torch.Tensor, groups: np.ndarray, name: str):
    """Rows put in the order of their groups; a label stands for as many rows as there are to a label."""
    fits = groups.ndim == 1 and len(groups) > 0 and len(rows) % len(groups) == 0
    check(fits, "groups", f"{groups.shape} labels", f"one for each entry of the first axis of {name}")
    labels = np.repeat(np.unique(groups, return_inverse=True)[1], len(rows) // len(groups))
    order = np.argsort(labels, kind="stable")
    return rows[torch.from_numpy(order)], labels[order]


def _of_outputs(model, batches, names, labels: np.ndarray | None) -> Iterator[tuple]:
    """As `_of_arrays`, of a module's layers, with the type that each was computed in."""
    for activity in hooks.activity(model, batches, names, maps="channel", mode=None):
        for name, rows in activity.items():
            group = activity.group[name].cpu().numpy()
            if labels is not None:
                fits = len(group) == 0 or group.max() < len(labels)
                check(bool(fits), "groups", f"{len(labels)} labels", "one for each input of all batches")
                group = labels[group]
            elif len(np.unique(group)) == len(group):
                group = None  # one row of each input: their order may be one of time
            yield name, rows, group, activity.dtype[name]


def _side_by_side(groups) -> np.ndarray | None:
    if groups is None:
        return None
    labels = np.asarray(groups)
    alike = labels.ndim == 1 and len(np.unique(labels)) == (labels[1:] != labels[:-1]).sum() + 1
    check(alike, "groups", f"{labels.shape} labels", "one for each input, equal ones side by side")
    return labels


def _gathered(parts, memory: float) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for name, rows, place, kind in parts:
        if name not in found:
            widths = [layer.units for layer in found.values()] + [rows.shape[1]]
            needed = sum(8e-9 * (BLOCKS + 2) * width**2 for width in widths)
            allowed = f"at least {needed:.2g} for {len(widths)} layers of up to {max(widths)} units, or fewer layers"
            check(needed <= memory, "memory", memory, allowed)
        found.setdefault(name, Rows(name, kind)).add(rows, place)
    for layer in found.values():
        layer.finish()
    check(len(found) > 0, "model", "no activity", "at least one layer with at least 2 axes")
    return found


def _of_module(model, batches, pattern, groups, paths, memory, plan: _Plan, what: str) -> LayerReport:
    check(isinstance(model, nn.Module), "untrained", type(model).__name__, "a function that returns a module")
    wanted = hooks.find(model, pattern)
    single = isinstance(batches, torch.Tensor | Mapping)
    stream = iter([batches] if single else batches)
    first = next(stream, None)
    check(first is not None, "batches", "no batch", "at least one")
    passed = hooks.outline(model, first, mode=None)
    if pattern == "*":  # what there is, but for outputs without units or without a row of each input
        n, shapes = (
            min(hooks.batch_size(first), hooks.FEW),
            {name: passed.get(place) or () for name, place in wanted.items()},
        )
        wanted = {name: place for name, place in wanted.items() if len(shapes[name]) >= 2 and shapes[name][0] == n}
        check(bool(wanted), "layers", pattern, "a pattern of layers with outputs [n, ..., unit]")
    names, labels = list(wanted), _side_by_side(groups)
    found = _gathered(_of_outputs(model, itertools.chain([first], stream), names, labels), memory)
    rough = {}
    if paths is not None:
        rough = _roughness_of(_walked(model, paths, names), plan.closed)
    found = {name: found[name] for name in names if name in found}
    return _report(found, artefacts.spoilt(model, passed, wanted), rough, plan, what)


def _walked(model, paths, names) -> Iterator[tuple]:
    """Activity [point, unit] along the paths that are a batch each; all positions of a point are its units."""
    for activity in hooks.activity(model, paths, names, maps="flattened", mode=None):
        for name, rows in activity.items():
            group = activity.group[name]
            points = len(torch.unique(group))
            alike = len(rows) % points == 0 and bool((torch.bincount(group - group.min()) == len(rows) // points).all())
            check(alike, "paths", f"points of different length in {name}", "points of equal length")
            yield name, rows.reshape(points, -1), None, rows.dtype


def _roughness_of(parts, closed: bool) -> dict[str, float]:
    """Mean roughness of the paths of every layer; NaN where one never moves."""
    found: dict[str, list[float]] = {}
    for name, rows, place, _ in parts:
        points = rows.detach().double().cpu().numpy()
        for path in [points] if place is None else np.split(points, np.flatnonzero(np.diff(place)) + 1):
            check(len(path) >= 3, "paths", f"{len(path)} points in {name}", "paths of at least 3 points")
            moves = path.var(0).sum() > 0
            found.setdefault(name, []).append(float(projections.roughness(path, closed)) if moves else np.nan)
    return {name: float(np.mean(values)) for name, values in found.items()}


# ------------------------------------------------------------ what is said of a layer


def _report(found: dict[str, Rows], flags, rough, plan: _Plan, what: str) -> LayerReport:
    lines, kept, directions = [], {}, {}
    for name in list(found):  # each layer's sums go when it is told
        line, spectrum = _line(found.pop(name), plan)
        line["roughness"] = rough.get(name, np.nan)
        line["flags"] = "; ".join([*line.pop("flags"), *flags.get(name, [])])
        direction = line.pop("direction", None)
        if direction is not None:
            directions[name] = direction
        lines.append({"layer": name, "what": what, **line})
        if spectrum is not None:
            kept[name] = spectrum
    return LayerReport(pd.DataFrame(lines), kept, directions)


def _line(rows: Rows, plan: _Plan) -> tuple[dict, Spectrum | None]:
    line = dict.fromkeys(COLUMNS, np.nan)
    threshold = np.nan if plan.dimension is None else float(smoothness.differentiable_above(plan.dimension))
    line |= {"n": rows.count, "units": rows.units, "dtype": str(rows.dtype).removeprefix("torch."), "flags": []}
    line |= {"threshold": threshold, "bent": "", "smooth": ""}
    if rows.count < FEWEST or rows.units < 2:
        line["flags"] = [f"few rows (below {FEWEST})" if rows.count < FEWEST else "a single unit"]
        return line, None
    total = rows.total()
    eps = torch.finfo(rows.dtype).eps
    variance, square = (part.cpu().numpy() for part in (total.scatter.diagonal() / total.count, total.mean**2))
    size = np.sqrt(variance + square)
    line["variation"] = float(np.sqrt(variance.mean() / (size**2).mean())) if size.any() else 0.0
    line["dead_units"] = int((np.sqrt(variance) <= FLOOR * eps * size).sum())
    line["outliers"] = int((size > LOUD * np.median(size)).sum())
    if line["variation"] < FLOOR * eps:
        line["flags"] = ["dead: varies by rounding only"]
        return line, None
    spectrum = total.spectrum()
    line["participation"] = spectra.participation_ratio(spectrum)
    line["effective_rank"] = spectra.effective_rank(spectrum)
    resolved = int((spectrum.eigenvalues > eps**2 * (size**2).mean()).sum())
    line |= _law(rows, total, spectrum, resolved, plan, line["flags"])
    if np.isfinite(line["low"]) and plan.dimension is not None:
        line["smooth"] = "smooth" if line["low"] > threshold else "rough" if line["high"] < threshold else "unclear"
    line["flags"] += [f"{line['dead_units']} dead units"] if line["dead_units"] else []
    line["flags"] += [f"{line['outliers']} outlier units"] if line["outliers"] else []
    return line, spectrum


def _law(rows: Rows, total, spectrum: Spectrum, resolved: int, plan: _Plan, flags: list[str]) -> dict:
    """Exponent, laws, moments and the shuffled control; what cannot be said is left out and flagged."""
    n, m = total.count, rows.units
    top = max(min(n, m) // 4, 2)
    covariance = (total.scatter / n).cpu().numpy()
    vectors = linalg.eigh(covariance, subset_by_index=(m - top, m - 1))[1][:, ::-1]
    mean = total.mean.cpu().numpy()
    pieces = [piece.double().numpy() - mean for piece in rows.pieces]
    used = slice(*_window(n, m, (1, top)))
    scale = np.sqrt(np.maximum(spectrum.eigenvalues[used], np.finfo(float).tiny))
    scores = [piece @ vectors[:, used] / scale for piece in pieces]
    n_effective, finished = exponents.effective_rows(scores, n, rows.grouped)
    said = {"n_effective": n_effective}
    flags += [] if finished else ["rows depend on each other for longer than is seen"]
    said |= _smoothest(pieces, vectors)
    said |= _shuffled(np.concatenate(pieces), plan.seed)
    said |= _moments(np.concatenate(pieces), n_effective / n, plan)
    try:
        first, last = spectra.fit_window(exponents.worth(spectrum, n_effective).n_samples, m)
    except ValueError:
        flags.append("too few rows for an exponent" if n_effective < 120 <= m else "too few units for an exponent")
        return said
    if resolved < last:
        flags.append(f"only {resolved} dimensions vary by more than rounding")
        return said
    if len(rows.blocks) < 5:
        flags.append("too few groups for an interval")
        return said
    ranks = vectors[:, first - 1 : last]
    shifts = [block.mean.cpu().numpy() - mean for block in rows.blocks]
    counts = np.array([block.count for block in rows.blocks], dtype=float)
    along = np.array([((block.sums.scatter.cpu().numpy() @ ranks) * ranks).sum(0) for block in rows.blocks])
    along += counts[:, None] * np.array([(shift @ ranks) ** 2 for shift in shifts])
    try:
        found = exponents.block_exponent(spectrum, along, counts, n_effective, first, last)
    except ValueError as error:
        flags.append(f"no exponent: {str(error).partition(':')[0]}")
        return said
    low, high = found.interval
    said |= {"exponent": found.law.exponent, "stderr": found.stderr, "low": low, "high": high}
    return said | {"first": first, "last": last} | _broken(rows.blocks, n_effective)


def _window(n: int, m: int, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Ranks (from 0, the end left out) to look at for dependence."""
    try:
        first, last = spectra.fit_window(n, m)
    except ValueError:
        first, last = otherwise
    return first - 1, last


def _broken(blocks, n_effective: float) -> dict:
    """Whether a broken law predicts every other block's spectrum better than a single one."""
    halves = [exponents.worth(merged(part).spectrum(), n_effective / 2) for part in (blocks[::2], blocks[1::2])]
    try:
        first, last = spectra.fit_window(halves[0].n_samples, halves[0].n_units)
        found = broken_law.compare_spectra(*halves, first=first, last=last)
    except ValueError:
        return {}
    law = found.law
    return {"bent": "broken" if found.bent else "single", "head": law.head, "tail": law.tail, "break": law.at}


def _moments(rows: np.ndarray, share: float, plan: _Plan) -> dict:
    """Misfit of unbiased moments of rows so far apart that they are nearly independent."""
    n = int(min(MOMENT_ROWS, share * len(rows)))
    if plan.simulations == 0 or n < FEWEST:
        return {}
    chosen = rows[np.linspace(0, len(rows) - 1, n).astype(int)]
    try:
        law = moments.fit_moments(chosen / chosen.std(), plan.seed, simulations=plan.simulations)
    except ValueError:
        return {}
    return {"misfit": law.misfit, "moments_exponent": law.exponent}


def _smoothest(pieces: list[np.ndarray], vectors: np.ndarray) -> dict:
    """Roughness of neighbouring rows, and the direction of least roughness, chosen and judged on different pieces.

    It is sought among the leading eigenvectors, so many that each has 20 rows of the choosing half.
    """
    pieces = [piece for piece in pieces if len(piece) >= 2]
    if len(pieces) < 2:
        return {}
    scatters, covariances = [], []
    for half in (pieces[::2], pieces[1::2]):
        k = max(1, min(vectors.shape[1], sum(map(len, pieces[::2])) // 20))
        scores = [piece @ vectors[:, :k] for piece in half]
        steps, every = np.concatenate([np.diff(part, axis=0) for part in scores]), np.concatenate(scores)
        scatters.append(steps.T @ steps / len(steps))
        covariances.append(np.cov(every.T, bias=True).reshape(k, k))
    steps = np.concatenate([np.diff(piece, axis=0) for piece in pieces])
    size = np.concatenate(pieces).var(0).sum()
    try:
        chosen = linalg.eigh(scatters[0], covariances[0], subset_by_index=(0, 0))[1]
        held = float(traces.roughness(scatters[1], covariances[1], chosen)[0])
    except (linalg.LinAlgError, ValueError):  # directions that hardly vary
        return {}
    direction = vectors[:, : len(chosen)] @ chosen[:, 0]
    found = {"neighbours": float((steps**2).sum(1).mean() / (2 * size)), "smoothest": held}
    return found | {"direction": direction / np.linalg.norm(direction)}


def _shuffled(rows: np.ndarray, seed: int) -> dict:
    """Participation ratio and exponent of the sampled rows, each unit's shuffled by itself."""
    mixed = streams.rng(seed, "shuffle").permuted(rows, axis=0)
    spectrum = spectra.covariance_spectrum(mixed)
    said = {"shuffled_participation": spectra.participation_ratio(spectrum)}
    try:
        first, last = spectra.fit_window(*mixed.shape)
        return said | {"shuffled_exponent": exponents.corrected(spectrum, len(rows), first, last).exponent}
    except ValueError:
        return said


def _cell(row, name: str) -> str:
    if name == "layer":
        return row["layer"] if row["what"] == "measured" else f"{row['layer']} (untrained)"
    if name == "interval":
        return "–" if np.isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
    if name == "law":
        return row["bent"] or "–"
    if name in ("n", "units"):
        return f"{row[name]:,}"
    if name == "flags":
        return row[name]
    digits = {"n_effective": ",.0f", "participation": ",.1f"}.get(name, ".2f")
    return "–" if np.isnan(row[name]) else format(row[name], digits)
