"""A report of an embedding: how its features share its dimensions, against what random directions would show.

Rows are features: W [feature, dimension], as a decoder of a sparse autoencoder or a token embedding comes. (`capacity`
has the paper's W [dimension, feature]: hand over `features="columns"` for that.) Two nulls keep every feature's length;
the second one keeps the spectrum as well. See `audit.nulls` for their laws and `audit.pairs` for the cosine.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy
import torch

from polysemanticity import capacity as capacities
from polysemanticity.audit import nulls, pairs, reports, sources
from polysemanticity.audit.coactivity import Coactive, overlap
from polysemanticity.base import streams
from polysemanticity.base.checks import check

ROWS = 8192  # features that are worked on at a time, in float64
SHARES = 3  # families of tests among which the level is divided: pairs, features, efficiency; a fourth: co-activity
SAMPLE = 1000  # directions of the second null whose pairs are counted
SHOWN = 5  # blocks and features that a printed report names


class Block(NamedTuple):
    """Features that are connected by pairs above the cosine; semi-orthogonal exactly where `spread` is 0.

    dims: eigenvalues of the block above a tenth of its largest; eigenvalue, spread: their mean, and (largest -
    smallest) / mean.
    """

    features: np.ndarray
    dims: int
    eigenvalue: float
    spread: float


@dataclass(frozen=True)
class CapacityReport:
    """What `audit.weights` found; print it, draw it, or take it as a table, JSON or a page.

    table: a row for each feature. length |w_i|; capacity; low, high and z: the central 95 % of the capacity and the
    deviate of the interference under random directions; the same with `spectrum_` in front where those have the
    features' spectrum; partner, cosine, degree: closest partner above the calibrated cosine, and number of them; block;
    predicted: the optimal capacity, where importance and kurtosis were given. A feature of length zero has capacity 0
    and no z. z above 0: more crowded than by chance.
    efficiency, random, spectrum: sum of capacities over D, and its mean and standard deviation under both nulls.
    coactive: whether features that are active together overlap more (z above 0) or less than others, where co-activity
    was given; the table then has `coactive_overlap`, each feature's own (1 by chance).
    """

    n_features: int
    n_dims: int
    level: float
    efficiency: float
    random: nulls.Efficiency
    spectrum: nulls.Efficiency
    cosine: float
    n_pairs: int
    spectrum_pairs: float
    blocks: list[Block]
    table: pd.DataFrame = field(repr=False)
    coactive: Coactive | None = None

    @property
    def shares(self) -> int:
        """Among how many families of tests the level is divided."""
        return SHARES + (self.coactive is not None)

    @property
    def z_limit(self) -> float:
        """Size of a feature's z beyond which chance puts any feature with a probability of level / shares."""
        return float(scipy.stats.norm.isf(self.level / self.shares / 2 / max(int(self.table["z"].notna().sum()), 1)))

    @property
    def efficiency_z(self) -> float:
        """Deviate of the efficiency from random directions of the same lengths."""
        return _deviate(self.efficiency, self.random)

    @property
    def findings(self) -> list[str]:
        """What random directions would not show; all of it together by chance with a probability of at most `level`."""
        z, found = self.table["z"], []
        if self.n_pairs:
            one = self.n_pairs == 1
            found.append(f"{self.n_pairs} pair{'' if one else 's'} of features above the cosine {self.cosine:.3f}")
        for many, sign in (("crowded", 1), ("alone", -1)):
            number = int((sign * z > self.z_limit).sum())
            if number:
                found.append(f"{number} feature{'' if number == 1 else 's'} more {many} than by chance")
        single = scipy.stats.norm.isf(self.level / self.shares / 2)
        if abs(self.efficiency_z) > single:
            side = "above" if self.efficiency_z > 0 else "below"
            found.append(f"an efficiency {side} that of random directions")
        if self.coactive is not None and abs(self.coactive.z) > single:
            side = "more" if self.coactive.z > 0 else "less"
            found.append(f"features that are active together overlap {side} than others")
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return the table of features."""
        return self.table.copy()

    def summary(self) -> dict:
        """Return everything but the table of features and the blocks' members."""
        return {
            "n_features": self.n_features,
            "n_dims": self.n_dims,
            "n_zero": int((self.table["length"] == 0).sum()),
            "level": self.level,
            "efficiency": self.efficiency,
            "random_efficiency": self.random._asdict(),
            "spectrum_efficiency": self.spectrum._asdict(),
            "efficiency_z": self.efficiency_z,
            "spectrum_efficiency_z": _deviate(self.efficiency, self.spectrum),
            "cosine": self.cosine,
            "n_pairs": self.n_pairs,
            "spectrum_pairs": self.spectrum_pairs,
            "n_blocks": len(self.blocks),
            "coactive_z": None if self.coactive is None else self.coactive.z,
            "coactive_overlap": None if self.coactive is None else self.coactive.overlap,
            "findings": self.findings,
        }

    def to_json(self, features: bool = True) -> str:
        """Return the report as JSON; without `features` only the summary and the blocks. NaN is null."""
        content = self.summary() | {"blocks": [block._asdict() for block in self.blocks]}
        if features:
            content["features"] = self.table.to_dict("list")
        return reports.json_text(content)

    def to_html(self) -> str:
        """Return the report as one page that needs nothing else."""
        from polysemanticity.audit import pages  # drawing needs packages that computing does not

        return pages.of_weights(self)

    def plot(self):
        """Return a figure: capacities against lengths beside both nulls, and the sizes of the blocks."""
        from polysemanticity.audit import figures  # drawing needs packages that computing does not

        return figures.weights(self)

    def __str__(self) -> str:
        rows = [
            ("features, dimensions", f"{self.n_features:,}, {self.n_dims:,}"),
            ("efficiency", f"{self.efficiency:.4f}"),
            (
                "  of random directions",
                f"{self.random.mean:.4f} ± {self.random.sd:.4f}  (z = {self.efficiency_z:+.1f})",
            ),
            ("  with the same spectrum", f"{self.spectrum.mean:.4f} ± {self.spectrum.sd:.4f}"),
            ("capacity of features", _quartiles(self.table["capacity"])),
            (f"pairs above {self.cosine:.3f}", f"{self.n_pairs:,} (same spectrum: {self.spectrum_pairs:,.1f})"),
            ("blocks", _sizes(self.blocks)),
        ]
        if "predicted" in self.table:
            agreement = scipy.stats.spearmanr(self.table["capacity"], self.table["predicted"]).statistic
            rows.append(("capacity as predicted", f"rank correlation {agreement:.2f}"))
        if self.coactive is not None:
            seen = f"{self.coactive.overlap:.2f} of chance  (z = {self.coactive.z:+.1f})"
            rows.append(("overlap of features active together", seen))
        found = self.findings or ["nothing that random directions would not show"]
        rows += [(f"found at {100 * self.level:g} %" if k == 0 else "", text) for k, text in enumerate(found)]
        return reports.two_columns(rows)


def weights(
    W,
    importance=None,
    kurtosis=None,
    coactivity=None,
    *,
    features: str | None = None,
    level: float = 0.05,
    cosine: float | None = None,
    seed: int = 0,
) -> CapacityReport:
    r"""Return how the features of an embedding share its dimensions, and what of it random directions would show too.

    W [feature, dimension]: numpy, torch (any device and type, with or without gradients) or a data frame. Capacity is
    $C_i=|w_i|^4/w_i^TW^TWw_i$ (`capacity.feature_capacity`), from the D x D Gram matrix. importance [feature] and
    kurtosis (a number or [feature]) add the capacities of the optimal allocation (`capacity.optimal_allocation`).
    coactivity [feature, feature], dense or sparse: how often two are active together, adds whether such pairs overlap
    more or less than others (`audit.coactivity`).
    features: "rows" or "columns"; unless given, W must have as many rows as columns or more, as a transposed embedding
    would be reported without complaint. level: probability of any finding in random directions. cosine: above which
    two features are a pair; the calibrated one unless given. seed: draws the directions of the second null. Raises
    ValueError for another shape, NaN or infinity, fewer than 2 features or dimensions, all features zero. Cost: N^2 D
    for the pairs, N D^2 for the capacities; O(N D) memory.
    """
    rows = _rows(W, features)
    check(0 < level < 1, "level", level, "in (0, 1)")
    lengths = _lengths(rows)
    used = lengths > 0
    check(int(used.sum()) >= 2, "W", f"{int(used.sum())} features that are not zero", "at least 2 of them")
    size = float(np.sqrt((lengths[used] ** 2).mean()))
    squared, gram = (lengths / size) ** 2, _gram(rows, size)
    units = _units(rows, lengths)
    interference = np.maximum(_quadratic(units, gram) - squared, 1e-7 * squared)
    n, dims = units.shape
    random = nulls.random_directions(squared[used], interference[used], dims)
    spectrum = np.linalg.eigvalsh(gram)[::-1].clip(min=0)
    matched, drawn = nulls.same_spectrum(squared[used], interference[used], spectrum, streams.rng(seed, "directions"))
    shares = SHARES + (coactivity is not None)
    limit = pairs.calibrated_cosine(int(used.sum()), dims, level / shares) if cosine is None else float(cosine)
    check(0 < limit < 1, "cosine", limit, "in (0, 1)")
    found = pairs.above(units, limit)
    sampled = ((np.abs(drawn[:SAMPLE] @ drawn[:SAMPLE].T) > limit).sum() - SAMPLE) / SAMPLE / (SAMPLE - 1)
    capacity = np.where(used, squared / np.where(used, squared + interference, 1), 0.0)
    table = pd.DataFrame({"feature": np.arange(n), "length": lengths, "capacity": capacity})
    for prefix, null in (("", random), ("spectrum_", matched)):
        for name in ("low", "high", "z"):
            table[prefix + name] = _placed(getattr(null, name), used)
    table = table.assign(partner=found.partner, cosine=found.cosine, degree=found.degree, block=found.block)
    if importance is not None or kurtosis is not None:
        table["predicted"] = _predicted(importance, kurtosis, n, dims)
    coactive = None if coactivity is None else overlap(units, coactivity, used)
    if coactive is not None:
        table["coactive_overlap"] = coactive.by_feature
    return CapacityReport(
        n, dims, level, float(capacity.sum() / dims), random.efficiency, matched.efficiency, limit, found.number,
        float(max(sampled, 0.0) * used.sum() * (used.sum() - 1) / 2),
        _blocks(units, lengths, found.block), table, coactive,
    )  # fmt: skip


def _rows(W, features: str | None) -> torch.Tensor:
    check(features in (None, "rows", "columns"), "features", features, "'rows', 'columns' or None")
    rows = sources.matrix(W, "W", "[feature, dimension]")
    rows = rows.T.contiguous() if features == "columns" else rows
    n, dims = rows.shape
    hint = "features >= dimensions, [feature, dimension]; transpose W, or say features='rows' or 'columns'"
    check(features is not None or n >= dims, "shape of W", (n, dims), hint)
    check(n >= 2 and dims >= 2, "shape of W", (n, dims), "at least 2 features and 2 dimensions")
    return rows


def _parts(rows: torch.Tensor):
    return (rows[start : start + ROWS].double().numpy() for start in range(0, len(rows), ROWS))


def _lengths(rows) -> np.ndarray:
    lengths = np.concatenate([np.linalg.norm(part, axis=1) for part in _parts(rows)])
    check(bool(np.isfinite(lengths).all()), "W", "NaN, infinity or too large", "finite numbers")
    return lengths


def _gram(rows, size: float) -> np.ndarray:
    """W^T W for weights in units of `size`; summed in float64, products in the weights' own precision."""
    gram = np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), ROWS):
        part = _single(rows[start : start + ROWS]) / size
        gram += part.T @ part
    return gram


def _single(part: torch.Tensor) -> np.ndarray:
    """As numpy, half precision as single."""
    return part.numpy() if part.dtype == torch.float64 else part.float().numpy()


def _units(rows, lengths) -> torch.Tensor:
    """Rows of length 1 (or 0), in single precision unless they came in double."""
    divisor = torch.from_numpy(np.where(lengths > 0, lengths, 1))[:, None]
    units = torch.empty(rows.shape, dtype=torch.float64 if rows.dtype == torch.float64 else torch.float32)
    for start in range(0, len(rows), ROWS):
        place = slice(start, start + ROWS)
        units[place] = rows[place].double() / divisor[place]
    return units


def _quadratic(units, gram) -> np.ndarray:
    gram = gram.astype(np.float64 if units.dtype == torch.float64 else np.float32)
    parts = (units[start : start + ROWS].numpy() for start in range(0, len(units), ROWS))
    return np.concatenate([((part @ gram) * part).sum(1, dtype=float) for part in parts])


def _placed(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    placed = np.full(len(used), np.nan)
    placed[used] = values
    return placed


def _predicted(importance, kurtosis, n: int, dims: int) -> np.ndarray:
    given = importance is not None and kurtosis is not None
    check(given, "importance, kurtosis", "only one of them", "both, or neither")
    v, kappa = (np.asarray(sources.numpy(value), dtype=float) for value in (importance, kurtosis))
    check(v.shape == (n,), "shape of importance", v.shape, f"({n},), one for each feature")
    check(kappa.shape in ((), (n,)), "shape of kurtosis", kappa.shape, f"one number or ({n},)")
    return capacities.optimal_allocation(v, kappa, dims).capacity


def _blocks(units, lengths, label) -> list[Block]:
    """The blocks with the spectra of their weights, the largest first."""
    order = np.argsort(label, kind="stable")
    order = order[np.searchsorted(label[order], 0) :]
    found = []
    for members in np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []:
        members = np.sort(members)
        eigenvalues = _spectrum(units, lengths, members)
        kept = eigenvalues[eigenvalues > 0.1 * eigenvalues[0]]
        spread = float((kept[0] - kept[-1]) / kept.mean())
        found.append(Block(members, len(kept), float(kept.mean()), spread))
    return found


def _spectrum(units, lengths, members) -> np.ndarray:
    """Eigenvalues of the Gram matrix of some features' weights, descending; the smaller of both Gram matrices."""
    parts = (members[start : start + ROWS] for start in range(0, len(members), ROWS))
    weights = (units[part].double().numpy() * lengths[part, None] for part in parts)
    if len(members) <= units.shape[1]:
        w = np.concatenate(list(weights))
        return np.linalg.eigvalsh(w @ w.T)[::-1]
    return np.linalg.eigvalsh(sum(w.T @ w for w in weights))[::-1]


def _deviate(value: float, null: nulls.Efficiency) -> float:
    return (value - null.mean) / null.sd if null.sd > 0 else float("nan")


def _quartiles(values) -> str:
    return " · ".join(f"{value:.3f}" for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])) + "  (quartiles)"


def _sizes(blocks: list[Block]) -> str:
    if not blocks:
        return "none"
    shown = ", ".join(f"{len(block.features):,} in {block.dims}" for block in blocks[:SHOWN])
    return f"{len(blocks):,}; features in dimensions: {shown}{', …' if len(blocks) > SHOWN else ''}"
