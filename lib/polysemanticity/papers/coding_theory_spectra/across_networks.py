"""What the exponent goes with over all networks, and whether dropout changes it as a code's: CT-17 and CT-18.

Nothing is trained here: `vaes` are results of `vision.vae`, `kinds` and `ladder` of `dense_autoencoders.on_photographs`
(every activation function; every width and learning rate). Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p the
dropout rate, m the units of a layer, n the bits of a unit.
"""

from functools import partial
from math import inf

import numpy as np
import pandas as pd

from polysemanticity import intervals, ranks
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, vision

BITS = 8  # of a pixel: the precision n in a(p) = a(0) + 2np / log2(m/e)
FAMILIES = ("activation functions", "widths and learning rates")  # those that are compared, of small autoencoders
LOSSES = ("held-out loss", "loss that noise adds", "loss that an attack adds")
_SOURCE = "Marshall & Kirchner 2024"

CLAIMS: dict[str, Claim] = {
    "CT-17": Claim(
        id="CT-17",
        claim="Steeper spectra go with better generalisation and robustness",
        whose="open question",
        source=f"{_SOURCE}, open questions (generalisation)",
        paper="suggested; no numbers",
        rule={f"rank correlation of a with {loss}, {name}": (-inf, 0.0) for name in FAMILIES for loss in LOSSES},
        reason="Spearman correlation with the rank of the training loss partialled out, among networks that were "
        "trained and tested on the same photographs and started alike: a pilot showed that losses differ most between "
        "photographs. Each family is judged by itself, as a value that differs in sign between families is no property "
        "of the exponent: autoencoders of CT-14 (five activation functions, two dropout rates) and of CT-15 (widths, "
        "learning rates, two dropout rates). Mean and t interval over splits of the photographs, which the families do "
        "not share. The ResNet-VAEs are left out: in a group of them only dropout differs, which fixes the rank of the "
        "training loss, so that nothing is left to correlate. A correlation over networks shows no cause.",
        known="pooled over families an earlier run was unclear; alone the nonlinearities gave −0.23, −0.65 and −0.31, "
        "widths at one learning rate +0.02, +0.27 and −0.15; the networks of CT-15 are others now",
        gate=dense_autoencoders.BETTER,
        figure="figx_generalisation",
    ),
    "CT-18": Claim(
        id="CT-18",
        claim="Dropout that is paid for by spectral decay alone gives a(p) = a(0) + 2np/log2(m/e)",
        whose="ours",
        source="ours, from the paper's capacity and entropy bounds (Marshall & Kirchner 2024, supplement 2.3 and 2.4)",
        paper="not in the paper; n = 8 bits and m = 1024 give 1.9 per unit p",
        rule={f"measured ÷ predicted slope, {name}": (0.5, 2.0) for name in ("ResNet-VAE", "autoencoders")},
        reason="n = 8 bits, the precision of a pixel; a factor of 2 because n of a unit is not known better. "
        "ResNet-VAE: CT-05a's slope, batch norm recalibrated, each layer with its own width. Autoencoders: the encoder "
        "of CT-14's ReLU networks, as dropout acts there alone.",
        known="sweeps of networks that had not learnt, in eval mode, had given slopes of 1.64 and 1.12 for the "
        "ResNet-VAE; the autoencoders' slope is that of an earlier run",
        gate=vision.GATE,
        figure="figx_slope_prediction",
    ),
}


def rank_correlations(groups: np.ndarray) -> list[Estimate]:
    """Return the mean over groups of the rank correlation of a with each y at equal training loss, with t intervals.

    groups [group, net, (a, training loss, y…)]: networks of a group may be compared with each other, and groups are
    independent. Not a number, with the whole line, where in some group the training loss alone fixes the ranks.
    """
    a, train, *lost = np.moveaxis(np.asarray(groups, dtype=float), -1, 0)
    found = []
    for values in lost:
        each = [_partial(*group) for group in zip(a, values, train, strict=True)]
        found.append(intervals.mean(each) if np.isfinite(each).all() else Estimate(np.nan, -inf, inf))
    return found


def _partial(a: np.ndarray, lost: np.ndarray, train: np.ndarray) -> float:
    fixed = any(abs(ranks.rank_correlation(side, train)) > 1 - 1e-9 for side in (a, lost))
    return np.nan if fixed else ranks.rank_correlation(a, lost, given=train)


def predicted_slope(units: np.ndarray | float, bits: float = BITS) -> np.ndarray:
    """Return 2n / log2(m/e), the change of the exponent per unit of dropout if spectral decay alone pays for it.

    From mn(1 - p) = mn - (a/2) m log2(m/e): our combination of the paper's capacity under dropout with its entropy
    bound, sign and factor corrected.
    """
    return 2 * bits / np.log2(np.asarray(units) / np.e)


def correlations(kinds: Results, ladder: Results) -> dict[str, list[Estimate]]:
    """Return the rank correlation of the exponent with each of LOSSES in each of FAMILIES."""
    windows = zip(FAMILIES, (kinds, ladder), ("exponent", "narrow_exponent"), strict=True)
    return {name: rank_correlations(_columns(results, key).swapaxes(0, 1)) for name, results, key in windows}


def _judged(nets: Results) -> bool:
    """Whether enough networks of a family beat their patches' greys."""
    return intervals.passes(dense_autoencoders.beats_grey(nets).ravel())


def _columns(nets: Results, exponent: str) -> np.ndarray:
    """Columns a, training loss, held-out loss, and what noise and an attack add to it, of networks [config, net, 5]."""
    values = partial(dense_autoencoders.values_of_nets, nets)
    train, test, noisy, attacked = map(values, ("train_loss", "test_loss", "noisy_loss", "attacked_loss"))
    return np.stack([values(exponent).mean(-1), train, test, noisy - test, attacked - test], axis=-1)


def generalisation_table(kinds: Results, ladder: Results) -> pd.DataFrame:
    """Return the rank correlations of both families with the three losses; a family that is not judged is a control."""
    rows, judged = [], dict(zip(FAMILIES, map(_judged, (kinds, ladder)), strict=True))
    for name, estimates in correlations(kinds, ladder).items():
        place = {"what": "measured" if judged[name] else "control"}
        place["networks"] = name if judged[name] else f"{name} (not judged)"
        rows += [place | {"loss": loss, **e.columns()} for loss, e in zip(LOSSES, estimates, strict=True)]
    return pd.DataFrame(rows).rename(columns={"value": "rank correlation with a"})


def measured_generalisation(kinds: Results, ladder: Results) -> Measured:
    """Return what decides CT-17; a family does not count unless three networks in four beat their patches' greys."""
    found, quantities = correlations(kinds, ladder), []
    for results, estimates in zip((kinds, ladder), found.values(), strict=True):
        quantities += estimates if _judged(results) else [Estimate(np.nan, -inf, inf)] * len(LOSSES)
    groups, sizes = dense_autoencoders.values_of_nets(kinds, "train_loss").shape[1], (len(kinds), len(ladder))
    error = f"95 % t interval over {groups} splits of the photographs, with {sizes[0]} and {sizes[1]} networks in each"
    names = ", ".join(dict.fromkeys(kinds.setting("activation").tolist()))
    widths = ", ".join(map(str, dict.fromkeys(ladder.setting("width").tolist())))
    lrs = ", ".join(f"{lr:g}" for lr in sorted(set(ladder.setting("lr").tolist())))
    scale = f"{dense_autoencoders.scale_of(kinds)}, with {names}; the same with relu at m = {widths}, rates {lrs}"
    return Measured(dict(zip(CLAIMS["CT-17"].rule, quantities, strict=True)), error, scale)


def slopes(vaes: Results, kinds: Results) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Return the change of the exponent per unit of dropout, measured and predicted, by family of networks."""
    first, last = dense_autoencoders.rates_of(kinds)
    found = {
        "ResNet-VAE": vision.trend(vaes, vision.RENORMED, "exponent"),
        "autoencoders": intervals.mean(dense_autoencoders.dropout_effects(kinds, "encoder")["relu"] / (last - first)),
    }
    units = {
        "ResNet-VAE": vaes.array("units")[0, 0, : len(vision.ENCODER)],
        "autoencoders": kinds.configs[0]["width"],
    }
    return found, {name: float(np.mean(predicted_slope(m))) for name, m in units.items()}


def slope_table(vaes: Results, kinds: Results) -> pd.DataFrame:
    """Return the exponent against the dropout rate in both families, and the predicted line from its value at 0."""
    by_activation = dense_autoencoders.by_activation(kinds, "exponent")
    encoder = dense_autoencoders.PARTS["encoder"]
    families = {  # rates, the networks' exponents by series, which of these the prediction starts from
        "ResNet-VAE": (
            vaes.setting("dropout"),
            {way: vision.encoder_mean(vaes, way, "exponent") for way in vision.WAYS[:2]},
            vision.RENORMED,
        ),
        "autoencoders": (
            np.array(dense_autoencoders.rates_of(kinds)),
            {name: by_activation[name][..., encoder].mean(-1) for name in dense_autoencoders.NONLINEAR},
            "relu",
        ),
    }
    predicted, frames = slopes(vaes, kinds)[1], []
    for networks, (rates, several, first) in families.items():
        place = {"networks": networks, "dropout rate p": rates}
        for name, values in several.items():
            frames.append({"what": "measured", "series": name, **place, **intervals.mean(values).columns()})
        line = several[first][0].mean() + predicted[networks] * rates
        frames.append({"what": "corrected", "series": f"predicted from {first} at p = 0", **place, "value": line})
    return pd.concat(map(pd.DataFrame, frames)).rename(columns={"value": "exponent a"})


def implied_bits(vaes: Results, kinds: Results) -> dict[str, Estimate]:
    """Return the bits of a unit that the measured slopes would belong to, were all of the dropout paid for by decay."""
    found, predicted = slopes(vaes, kinds)
    return {f"bits of a unit, {name}": slope.over(predicted[name] / BITS) for name, slope in found.items()}


def measured_slope(vaes: Results, kinds: Results) -> Measured:
    """Return what decides CT-18."""
    found, predicted = slopes(vaes, kinds)
    quantities = {f"measured ÷ predicted slope, {name}": slope.over(predicted[name]) for name, slope in found.items()}
    error = (
        "95 % t interval: of the regression over rates and seeds (ResNet-VAE), over networks (autoencoders); the "
        "prediction has no error"
    )
    parts = (
        "{}: {:+.2f} [{:+.2f}, {:+.2f}] per unit p, predicted {:+.2f}".format(name, *slope, predicted[name])
        for name, slope in found.items()
    )
    rates = ", ".join(f"{rate:g}" for rate in vaes.setting("dropout")[vision.judged(vaes)])
    seeds = vaes.array("train_loss").shape[1]
    scale = (
        f"ResNet-VAEs at p = {rates}, {seeds} seeds, {len(vision.ENCODER)} layers, batch norm recalibrated; "
        f"{dense_autoencoders.scale_of(kinds)}, relu"
    )
    return Measured(quantities, error, scale, "; ".join(parts))
