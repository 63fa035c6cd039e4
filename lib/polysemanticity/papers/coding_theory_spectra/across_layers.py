"""What goes with a steep spectrum, layer by layer of the stored ResNet-VAEs: CT-19 and CT-20.

Nothing is measured here: the results are those of `vision.vae`. Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p
the dropout rate.
"""

from math import inf

import numpy as np
import pandas as pd

from polysemanticity import intervals, ranks
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.networks import erasing
from polysemanticity.papers.coding_theory_spectra import vision

_SEEN = (
    "the rule was written before anything was erased; a first look at six networks then showed shares above 1, as "
    "least squares fitted noise, and the reader became a ridge regression; later networks trained anew, which are not "
    "judged here, had a layer with a share of 24, as generalised cross-validation chose too weak a ridge where few "
    "patches drive a unit, and the strength is now that which is best for each patch when it is left out"
)

CLAIMS: dict[str, Claim] = {
    **{
        name: Claim(
            id=name,
            claim=f"Within a network, layers with a steeper spectrum have {what}",
            source=f"{vision.SOURCE}, supplement: exponent against action and input correlation, a point for a layer",
            paper="more negative α goes with lower energy and higher correlation; no numbers",
            rule={f"rank correlation of a with {quantity}, p = {rate:g}": band for rate in vision.SHOWN},
            reason="Spearman correlation over the eleven layers from stem to fc5, for each network; signs only. Three "
            "rates, each by itself. " + vision.PROBED,
            whose="printed",
            known=vision.NOT_BLIND + "; in the earlier ones without dropout the correlations were -.97 and +1.00",
            gate=vision.GATE,
            figure="figx_steep_and_smooth",
        )
        for name, what, quantity, band in (
            ("CT-19a", "smoother projections", "log10 roughness", (-inf, 0.0)),
            ("CT-19b", "projections that tell more of the input", "R² to the dot's position", (0.0, inf)),
        )
    },
    "CT-19c": Claim(
        id="CT-19c",
        claim="Steep layers are smooth beyond what their depth alone tells",
        source="ours, from the supplement's scatter (Marshall & Kirchner 2024)",
        paper="not in the paper, which shows the scatter alone",
        rule={
            "with the rank of depth partialled out, log10 roughness, p = 0": (-inf, 0.0),
            "with the rank of depth partialled out, R² to the dot's position, p = 0": (0.0, inf),
        },
        reason="The rank correlations of CT-19a and b without dropout, depth being a cause that both may share. "
        + vision.PROBED,
        whose="ours",
        known=vision.NOT_BLIND,
        gate=vision.GATE,
        figure="figx_steep_and_smooth",
    ),
    "CT-19d": Claim(
        id="CT-19d",
        claim="Training, not the architecture alone, makes steep layers the smooth ones",
        source="ours, from the supplement's scatter (Marshall & Kirchner 2024)",
        paper="not in the paper, which shows trained networks alone",
        rule={
            "rank correlation of a with log10 roughness, trained less untrained, p = 0": (-inf, 0.0),
            "rank correlation of a with R² to the dot's position, trained less untrained, p = 0": (0.0, inf),
        },
        reason="The rank correlations of CT-19a and b less those of the same networks before any step of training, "
        "batch norm's statistics taken from the probe images. " + vision.PROBED,
        whose="ours",
        known=vision.NOT_BLIND,
        gate=vision.GATE,
        figure="figx_steep_and_smooth",
    ),
    "CT-20a": Claim(
        id="CT-20a",
        claim="What a steep layer tells of its input survives when units are erased",
        source=f"{vision.SOURCE}, open questions: which codes do late layers use, and do they correct errors?",
        paper="steep spectra are read as redundant codes; not tested",
        rule={f"rank correlation of a with the share that survives, p = {rate:g}": (0.0, inf) for rate in vision.SHOWN},
        reason=f"{erasing.UNITS} random units of each layer, as many as the narrowest has, since width alone makes a "
        f"layer robust; {erasing.TOLD} principal components of the patches, each of variance 1, are read off by ridge "
        "regression, from all of these units and from a random half: the share is the ratio of the held-out R². The "
        "reader knows which units are left, as in the erasure channel by which the paper counts capacity. a is that of "
        "the same units, as fitted, their number being the same in all layers. Spearman correlation over eleven "
        "layers, for each network; three rates, each by itself. " + vision.PROBED,
        whose="implied",
        known=_SEEN,
        gate=vision.GATE,
        figure="figx_erased",
    ),
    **{
        name: Claim(
            id=name,
            claim=f"Dropout in training lets more of it survive{where}",
            source=f"{vision.SOURCE}, § 3: dropout makes codes redundant",
            paper=paper,
            rule={f"share that survives per unit dropout{where}": (0.0, inf)},
            reason="The share of CT-20a, mean over the encoder's nine layers; slope as in CT-05. " + vision.PROBED,
            whose=whose,
            known=f"{_SEEN}; slope and slope at equal loss stood in one row, which held, and were parted",
            gate=vision.GATE,
            figure="figx_erased",
        )
        for name, where, whose, paper in (
            ("CT-20b", "", "implied", "more dropout, more redundancy"),
            ("CT-20c", ", at equal loss", "ours", "silent on equal losses"),
        )
    },
}


def steep_and(nets: Results, way: str, quantity: str, depth_too: bool = False) -> np.ndarray:
    """Return each network's rank correlation over vision.LAYERS of a with one of vision.QUANTITIES, as [rate, seed].

    With `depth_too` the rank of depth is partialled out. NaN where a layer is dead.
    """
    return rank_correlation(vision.probed(nets, way, "exponent"), vision.probed(nets, way, quantity), depth_too)


def rank_correlation(first: np.ndarray, second: np.ndarray, depth_too: bool = False) -> np.ndarray:
    """Return Spearman's correlation of values [..., layer]; with `depth_too` the rank of depth is partialled out.

    NaN where a layer is dead.
    """
    depth = np.arange(len(vision.LAYERS)) if depth_too else None
    alive = np.isfinite(first).all(-1) & np.isfinite(second).all(-1)
    found = np.full(first.shape[:-1], np.nan)
    for place in np.argwhere(alive):
        found[tuple(place)] = ranks.rank_correlation(first[tuple(place)], second[tuple(place)], depth)
    return found


def steep_table(nets: Results) -> pd.DataFrame:
    """Return exponent against roughness and R² of every layer of each network, trained and at its random start."""
    parts, shown = [], [place for place, rate in enumerate(nets.setting("dropout")) if rate in vision.SHOWN]
    for key in ("roughness", "r2"):
        for way, places in ((vision.RENORMED, shown), ("untrained", shown[:1])):
            a, y = vision.probed(nets, way, "exponent")[places], vision.probed(nets, way, key)[places]
            place = np.indices(a.shape).reshape(3, -1)
            rates = nets.setting("dropout")[places][place[0]]
            name = "untrained" if way == "untrained" else None
            parts.append(pd.DataFrame({
                "what": "control" if name else "measured",
                "series": [name or f"p = {rate:g}" for rate in rates],
                "quantity": vision.QUANTITIES[key],
                "layer": np.array(vision.LAYERS)[place[2]],
                "network": 1 + place[1],
                "exponent a": a.ravel(),
                "value": y.ravel(),
            }))  # fmt: skip
    return pd.concat(parts)


def measured_steep(nets: Results, quantity: str) -> Measured:
    """Return what decides CT-19a ("roughness") and b ("r2")."""
    row = {"roughness": "CT-19a", "r2": "CT-19b"}[quantity]
    return vision.by_rate(nets, CLAIMS[row].rule, lambda way: steep_and(nets, way, quantity), "untrained")


def measured_beyond_depth(nets: Results) -> Measured:
    """Return what decides CT-19c."""
    rate = vision.SHOWN[0]
    found = (vision.at_rate(nets, rate, steep_and(nets, vision.RENORMED, key, True)) for key in ("roughness", "r2"))
    return Measured(
        dict(zip(CLAIMS["CT-19c"].rule, found, strict=True)),
        f"95 % t interval over {vision.n_seeds(nets)} networks (weights, order, projections)",
        f"{vision.networks_of(nets, rate)}; {len(vision.LAYERS)} layers",
    )


def measured_training(nets: Results) -> Measured:
    """Return what decides CT-19d."""
    rate = vision.SHOWN[0]
    change = (steep_and(nets, vision.RENORMED, key) - steep_and(nets, "untrained", key) for key in ("roughness", "r2"))
    return Measured(
        dict(zip(CLAIMS["CT-19d"].rule, (vision.at_rate(nets, rate, values) for values in change), strict=True)),
        f"95 % t interval over {vision.n_seeds(nets)} networks (weights, order, projections)",
        f"{vision.networks_of(nets, rate)}; {len(vision.LAYERS)} layers, trained and at their random start",
    )


def measured_survival(nets: Results) -> Measured:
    """Return what decides CT-20a."""
    exponent, survives = nets.array("kept_exponent"), nets.array("survives")
    found = rank_correlation(exponent, survives)
    others = {
        "of the effective rank": rank_correlation(nets.array("kept_rank"), survives),
        "of a, by a reader that does not know what is gone": rank_correlation(exponent, nets.array("survives_unaware")),
    }
    return Measured(
        {
            name: vision.at_rate(nets, rate, found)
            for name, rate in zip(CLAIMS["CT-20a"].rule, vision.SHOWN, strict=True)
        },
        f"95 % t interval over {vision.n_seeds(nets)} networks (weights, order, what is erased)",
        f"{vision.networks_of(nets)}; {_erased(nets, vision.LAYERS)}",
        "; ".join(
            f"{name}: "
            + ", ".join(f"p = {rate:g} {vision.signed(vision.at_rate(nets, rate, values))}" for rate in vision.SHOWN)
            for name, values in others.items()
        ),
    )


def measured_survival_under_dropout(nets: Results, equal_loss: bool) -> Measured:
    """Return what decides CT-20b, or at equal loss CT-20c."""
    values, claim = vision.layer_mean(nets.array("survives"), vision.ENCODER), CLAIMS[("CT-20b", "CT-20c")[equal_loss]]
    at_ends = (
        f"{intervals.mean(values[place]).value:.2f} at p = {nets.setting('dropout')[place]:g}" for place in (0, -1)
    )
    return Measured(
        dict(zip(claim.rule, [vision.slope(nets, values, equal_loss)], strict=True)),
        f"95 % t interval of the regression over {vision.judged(nets).sum()} rates, {vision.n_seeds(nets)} networks",
        f"{vision.networks_of(nets)}; {_erased(nets, vision.ENCODER)}",
        f"the share is {', '.join(at_ends)}",
    )


def _erased(nets: Results, layers: tuple[str, ...]) -> str:
    return f"{erasing.UNITS} units of each of {len(layers)} layers, {nets.configs[0]['sizes'][-1]} patches"


def survival_table(nets: Results) -> pd.DataFrame:
    """Return what survives in every layer of each network at some rates, against a, and its mean by rate."""
    rates, parts = nets.setting("dropout"), []
    places = [place for place, rate in enumerate(rates) if rate in vision.SHOWN]
    a, y = nets.array("kept_exponent")[places], nets.array("survives")[places]
    place = np.indices(a.shape).reshape(3, -1)
    parts.append(pd.DataFrame({
        "what": "measured",
        "quantity": "by layer",
        "series": [f"p = {rate:g}" for rate in rates[places][place[0]]],
        "layer": np.array(vision.LAYERS)[place[2]],
        "network": 1 + place[1],
        "exponent a": a.ravel(),
        "share that survives": y.ravel(),
    }))  # fmt: skip
    mean = intervals.mean(vision.layer_mean(nets.array("survives"), vision.ENCODER)).columns()
    mean["share that survives"] = mean.pop("value")
    parts.append(
        pd.DataFrame({"what": "measured", "quantity": "by rate", "series": "mean", "dropout p": rates, **mean})
    )
    return pd.concat(parts)
