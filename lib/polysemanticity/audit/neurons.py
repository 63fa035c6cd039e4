r"""Is a neuron shared by accident? Pairs of features that one unit carries, what that costs, and how surely.

Symbols: x_i activity of feature i, w_iu its weight on unit u, from the least squares h_u = b_u + sum_i x_i w_iu over
all rows. A feature *uses* a unit if |w_iu| is at least half its weights' norm (`incidental.polysemantic_neurons`). The
price of a pair is what `incidental.sharing` says of the tied network with these weights and with the events that the
rows show: the loss as it is less that with the pair split, both settled, in units of the loss of one feature that is
left out. It is computed with the pair's nearest features only, and drawn many times:

- how often the two are on together follows its posterior law, given k such rows among N with either: never, with a
  prior probability of one half, else a rate p with a prior uniform in log p from the smallest rate that counts to 1;
- other events are counted with Poisson noise.

So a label comes with the probability that it is right: *accidental*, the price is none; *paid for*, above what counts
as none; *useful*, below minus that, the two are better off together; *necessary*, no unit is free, a matter of
counting. A label is *clear* where that is 0.9 or more and both features have no other weight: the theory is that of
one-hot codes and features of 0 and 1. For others it is a model, and `gain`, which changes the network itself, is what
to believe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from polysemanticity import incidental
from polysemanticity.audit import reports, sources, splitting
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.incidental import deep, price
from polysemanticity.incidental import sharing as priced
from polysemanticity.networks import hooks

KINDS = ("accidental", "paid for", "useful", "necessary")
CLEAR = 0.9  # probability of a label from which it is called clear
NEAREST = 6  # other features that a pair's price is computed with
UNUSED = 0.1  # a weight below this share of a typical feature's norm is none
LEAST = 0.005  # a price below this is none, unless l1 says otherwise
SHARE = 0.05  # of l1, below which a price is none
NEVER = 0.5  # prior probability that two features are never on together
RATIOS = np.array([0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.055, 0.07, 0.09, 0.115, 0.15, 0.2, 0.27, 0.36, 0.5, 0.8])
SHUFFLES = 200  # draws of the count that chance predicts
SHOWN = 12  # pairs that a printed report names


class Count(NamedTuple):
    """Units that two features or more use, and the same with every feature's weights dealt to units by chance."""

    shared: int
    chance: float
    sd: float


@dataclass(frozen=True)
class SharingReport:
    """What `audit.sharing` found; print it, draw it, or take it as a table, JSON or a page.

    table: a row for each pair of features on one unit. sign of their weights' product; weight, other_weight (in units
    of a typical feature's norm); alone: whether both have no other weight; together: rows with both over rows with
    either; price with low, high (95 %); probabilities of the labels, the likeliest of them and whether it is clear
    (0.9 and more, and alone); law: share of such pairs that training with l1 leaves at this price
    (`incidental.price`, for opposite signs); gain, gain_stderr: by how much the network's own loss on held-out batches
    falls when the two are read apart, beyond what refitting the unit as a whole does.
    count: of shared units; free: units that no feature uses; explained: share of the used units' variance by features.
    """

    n_features: int
    n_units: int
    count: Count
    free: int
    explained: float
    least: float
    table: pd.DataFrame = field(repr=False)
    weights: np.ndarray = field(repr=False)

    @property
    def count_z(self) -> float:
        """Deviate of the number of shared units from chance."""
        return (self.count.shared - self.count.chance) / self.count.sd if self.count.sd > 0 else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """Return the table of pairs."""
        return self.table.copy()

    def summary(self) -> dict:
        """Return everything but the pairs."""
        kinds = {kind: int(((self.table["label"] == kind) & self.table["clear"]).sum()) for kind in KINDS}
        return {
            "n_features": self.n_features,
            "n_units": self.n_units,
            "free_units": self.free,
            "explained": self.explained,
            "shared_units": self.count._asdict(),
            "shared_units_z": self.count_z,
            "price_that_is_none": self.least,
            "n_pairs": len(self.table),
            "clear": kinds,
            "unclear": int((~self.table["clear"]).sum()),
        }

    def to_json(self) -> str:
        """Return the report as JSON; NaN is null."""
        return reports.json_text(self.summary() | {"pairs": self.table.to_dict("records")})

    def to_html(self) -> str:
        """Return the report as one page that needs nothing else."""
        from polysemanticity.audit import pages  # drawing needs packages that computing does not

        return pages.of_sharing(self)

    def plot(self):
        """Return a figure: the price of every pair with its interval, by label; shared units against chance."""
        from polysemanticity.audit import figures  # drawing needs packages that computing does not

        return figures.sharing(self)

    def __str__(self) -> str:
        summary = self.summary()
        clear = ", ".join(f"{number} {kind}" for kind, number in summary["clear"].items() if number) or "none"
        chance = f"{self.count.chance:.1f} ± {self.count.sd:.1f}"
        rows = [
            ("features, units", f"{self.n_features:,}, {self.n_units:,} ({self.free:,} free)"),
            ("variance explained", f"{self.explained:.2f} of the units that features use"),
            ("shared units", f"{self.count.shared:,}; by chance {chance} (z = {self.count_z:+.1f})"),
            ("pairs", f"{len(self.table):,}; clear: {clear}; unclear: {summary['unclear']}"),
        ]
        head = ("pair", "unit", "sign", "together", "price", "label", "probability")
        lines = [self._line(row) for _, row in self.table.head(SHOWN).iterrows()]
        more = [f"… and {len(self.table) - SHOWN:,} more"] if len(self.table) > SHOWN else []
        return "\n".join([reports.two_columns(rows), *([reports.columns(head, lines)] if lines else []), *more])

    def _line(self, row) -> list[str]:
        label = row["label"] if row["clear"] else f"unclear ({row['label']}?)"
        sure = f"{row[row['label']]:.2f}"
        return [
            f"{row['feature']}, {row['other']}", str(row["unit"]), row["sign"], f"{row['together']:.3f}",
            f"{row['price']:+.3f}", label, sure,
        ]  # fmt: skip


def sharing(
    model,
    layer: str,
    features,
    batches=None,
    *,
    l1: float = 0.0,
    least: float | None = None,
    threshold: float = 0.0,
    loss: Callable | None = None,
    reader: str | None = None,
    draws: int = 100,
    most: int = 200,
    seed: int = 0,
) -> SharingReport:
    """Return which units of a layer carry several features, what that costs, and whether it is an accident.

    model: a torch module with `batches` of its inputs, or activity itself as `audit.layers` takes it; layer: its name.
    features: activity [row, feature] for the layer's rows in their order (labels of 0 and 1, a dictionary's codes; a
    data frame names them), or a function of rows [row, unit] that returns it. A feature is on above `threshold`.
    l1: with which the network was trained, in units of one feature's loss, if it was: it pays for weights, and says
    which prices count as none (0.05 l1; `least` says otherwise, 0.005 without either).
    loss(model, batch) with the name `reader` of the linear map that reads the layer add `gain`, by changing the network
    (`audit.splitting`): then `batches` must be a list of 4 or more, without padding. draws: of each pair's price. most:
    pairs that are priced, of the largest product of weights first; others are left out. Raises ValueError for features
    that do not fit the rows, are all never on, or for anything else that does not fit.
    """
    check(l1 >= 0, "l1", l1, "at least 0")
    check(draws >= 20, "draws", draws, "at least 20")
    check(most >= 1, "most", most, "at least 1")
    least = (SHARE * l1 if l1 > 0 else LEAST) if least is None else float(least)
    check(0 < least < 1, "least", least, "in (0, 1)")
    check((loss is None) == (reader is None), "loss, reader", "one of them", "both, or neither")
    if loss is not None:
        enough = isinstance(model, nn.Module) and isinstance(batches, list | tuple) and len(batches) >= 4
        check(
            enough, "batches", type(batches).__name__, "a list of 4 or more, for a torch module, where `loss` is given"
        )
    rows = _rows(model, layer, batches)
    active, names = _active(features, rows)
    check(len(active) == len(rows), "features", f"{len(active)} rows", f"{len(rows)}, as the layer has")
    on = active > threshold
    check(bool(on.any()), "features", f"none above {threshold}", "at least one that is on in some row")
    weights, explained = _regressed(active, rows)
    found = _pairs(weights)[:most]
    size = np.linalg.norm(weights, axis=1)
    typical = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    scaled = weights / typical
    free = int((np.abs(scaled) <= UNUSED).all(0).sum())
    rng = streams.rng(seed, "sharing")
    lines = [_line(pair, scaled, on, l1, least, free, draws, rng) for pair in found]
    if loss is not None:
        for line, pair in zip(lines, found, strict=True):
            line |= splitting.gain(model, layer, reader, batches, loss, active, weights, pair)
    table = pd.DataFrame(lines, columns=[*_COLUMNS, *(("gain", "gain_stderr") if loss is not None else ())])
    for name in ("feature", "other"):
        table[name] = [names[index] for index in table[name]]
    shuffled = deep.count_of_shuffled(np.repeat(weights[None], SHUFFLES, 0), rng, 1)
    count = Count(int(incidental.polysemantic_neurons(weights)), float(shuffled.mean()), float(shuffled.std()))
    return SharingReport(len(weights), weights.shape[1], count, free, explained, least, table, weights)


_COLUMNS = (
    *("unit", "feature", "other", "sign", "weight", "other_weight", "alone", "together", "price", "low", "high"),
    *(*KINDS, "label", "clear", "law"),
)


def _rows(model, layer: str, batches) -> np.ndarray:
    """The activity [row, unit] of the layer."""
    check(isinstance(layer, str), "layer", layer, "the name of one layer")
    if isinstance(model, nn.Module):
        check(batches is not None, "batches", None, "batches of inputs of the module")
        check(len(hooks.find(model, layer)) == 1, "layer", layer, "the name of one layer, no pattern of several")
        stream = hooks.activity(model, batches, layer, maps="channel", mode=None)
        parts = [rows.cpu() for batch in stream for rows in batch.values()]
    else:
        check(batches is None, "batches", type(batches).__name__, "none, as `model` is no torch module")
        if isinstance(model, Mapping):
            check(layer in model, "layer", layer, "one of " + ", ".join(map(str, model)))
            model = {layer: model[layer]}
        parts = [sources.rows_of(part[layer], layer)[0].cpu() for part in sources.batches(model) if layer in part]
    check(bool(parts), "layer", layer, "one that has some activity")
    rows = torch.cat(parts).double().numpy()
    check(bool(np.isfinite(rows).all()), layer, "NaN or infinite values", "finite numbers")
    return rows


def _active(features, rows: np.ndarray) -> tuple[np.ndarray, list]:
    if callable(features):
        with torch.no_grad():
            features = features(torch.from_numpy(rows).float())
    active = sources.matrix(features, "features", "[row, feature]").double().numpy()
    check(bool(np.isfinite(active).all()), "features", "NaN or infinite values", "finite numbers")
    named = isinstance(features, pd.DataFrame)
    return active, list(features.columns) if named else list(range(active.shape[1]))


def _regressed(active: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [feature, unit] of the units' least squares on features, and the share of variance they explain.

    Features that never vary have no weights.
    """
    centred, wanted = active - active.mean(0), rows - rows.mean(0)
    varies = centred.any(0)
    weights = np.zeros((active.shape[1], rows.shape[1]))
    weights[varies] = np.linalg.lstsq(centred[:, varies], wanted, rcond=1e-8)[0]
    used = _used(weights).any(0)
    total = (wanted[:, used] ** 2).sum()
    missed = ((wanted[:, used] - centred @ weights[:, used]) ** 2).sum()
    return weights, float(1 - missed / total) if total > 0 else 0.0


def _used(weights: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(weights, axis=1, keepdims=True)
    return (np.abs(weights) >= size / 2) & (size > 0)


def _pairs(weights: np.ndarray) -> list[tuple[int, int, int]]:
    """(feature, other, unit) of every two features that use one unit, the largest products of weights first."""
    used = _used(weights)
    found = []
    for unit in np.flatnonzero(used.sum(0) >= 2):
        members = np.flatnonzero(used[:, unit])
        found += [(int(i), int(j), int(unit)) for k, i in enumerate(members) for j in members[k + 1 :]]
    return sorted(found, key=lambda pair: -abs(weights[pair[0], pair[2]] * weights[pair[1], pair[2]]))


def _line(pair, weights: np.ndarray, on: np.ndarray, l1: float, least: float, free: int, draws: int, rng) -> dict:
    i, j, unit = pair
    either, both = int((on[:, i] | on[:, j]).sum()), int((on[:, i] & on[:, j]).sum())
    line = {"unit": unit, "feature": i, "other": j, "weight": weights[i, unit], "other_weight": weights[j, unit]}
    line |= {"sign": "same" if weights[i, unit] * weights[j, unit] > 0 else "opposite", "law": np.nan}
    line["together"] = both / either if either else np.nan
    drawn = _prices(pair, weights, on, l1, least, draws, rng)
    line["price"], line["low"], line["high"] = drawn.mean(), *np.quantile(drawn, [0.025, 0.975])
    costs, saves = float((drawn > least).mean()), float((drawn < -least).mean())
    chances = (0.0, 0.0, 0.0, 1.0) if free == 0 else (1 - costs - saves, costs, saves, 0.0)
    line |= dict(zip(KINDS, chances, strict=True))
    others = np.abs(np.delete(weights[[i, j]], unit, axis=1))
    line["alone"] = bool((others <= UNUSED).all())
    line["label"] = KINDS[int(np.argmax(chances))]
    line["clear"] = max(chances) >= CLEAR and (line["alone"] or free == 0)
    per = weights.shape[1] / len(weights)
    if l1 > 0 and line["sign"] == "opposite" and per >= 0.5:
        line["law"] = price.expected_left(max(line["price"], 0.0) / l1, per, RATIOS, _curve(l1))
    return line


@lru_cache(maxsize=8)
def _curve(l1: float) -> np.ndarray:
    """The share of lone pairs that stay together, by price / l1."""
    return price.lone_pairs(RATIOS, 400, 128, l1, streams.rng(0, "lone pairs"))


def _prices(pair, weights: np.ndarray, on: np.ndarray, l1: float, least: float, draws: int, rng) -> np.ndarray:
    """Draws of the pair's price from its law given the rows."""
    members = _nearest(pair, weights, on)
    patterns, counts = np.unique(on[:, members], axis=0, return_counts=True)
    alone, both = (np.eye(2, len(members), dtype=bool), np.arange(len(members)) < 2)
    events = np.unique(np.vstack([patterns, alone, both[None]]), axis=0)
    events = events[events.any(1)]
    seen = np.zeros(len(events))
    for pattern, count in zip(patterns, counts, strict=True):
        seen += count * (events == pattern).all(1)
    unit = max(float(on[:, list(pair[:2])].sum(0).mean()), 1.0)  # rows that a feature of the pair is on in
    shown = rng.gamma(np.maximum(seen, 1e-9), size=(draws, len(events)))
    together = events[:, 0] & events[:, 1]
    number = seen[together].sum()
    rate = _rates(int(number), unit, least, draws, rng) * unit
    weight = np.maximum(seen[together], 1e-9 if number else 0.0)
    split = rng.dirichlet(weight, draws) if number else (events[together] == both).all(1)[None].astype(float)
    shown[:, together] = rate[:, None] * split
    columns = np.flatnonzero((np.abs(weights[members]) > UNUSED).any(0) | (np.arange(weights.shape[1]) == pair[2]))
    local = np.concatenate([weights[np.ix_(members, columns)], np.zeros((len(members), 1))], 1)  # one more, free
    place = int(np.flatnonzero(columns == pair[2])[0])
    start = torch.from_numpy(local).float().expand(draws, -1, -1)
    spare = torch.full((draws,), len(columns))
    numbers = (torch.from_numpy(part).float() for part in (events, shown / unit))
    return priced.price(start, (0, 1), place, spare, *numbers, l1).double().numpy()


def _rates(number: int, of: float, least: float, draws: int, rng) -> np.ndarray:
    """Draws of the rate at which two features are on together, after `number` times in `of` rows with one of them."""
    grid = np.exp(np.linspace(np.log(min(least, 0.5)), 0, 400))
    log_weight = number * np.log(grid) - of * grid
    weight = np.exp(log_weight - log_weight.max())
    if number == 0:
        never = NEVER / (NEVER + (1 - NEVER) * np.exp(log_weight).mean())
        return np.where(rng.random(draws) < never, 0.0, rng.choice(grid, draws, p=weight / weight.sum()))
    return rng.choice(grid, draws, p=weight / weight.sum())


def _nearest(pair, weights: np.ndarray, on: np.ndarray) -> list[int]:
    """The pair, and the features that overlap most with it or are most often on with it."""
    i, j, _ = pair
    size = np.linalg.norm(weights, axis=1)
    unit = weights / np.where(size > 0, size, 1)[:, None]
    overlap = np.abs(unit @ unit[[i, j]].T).max(1)
    rate = on.sum(0)
    together = (on.T.astype(float) @ on[:, [i, j]]).max(1) / np.maximum(np.minimum(rate, rate[[i, j]].min()), 1)
    near = overlap + together
    near[[i, j]] = -1
    others = [int(k) for k in np.argsort(-near)[:NEAREST] if near[k] > 0.05]
    return [i, j, *others]
