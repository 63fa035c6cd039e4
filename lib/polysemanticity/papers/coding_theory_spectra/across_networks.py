"""What the exponent goes with over all networks, and whether dropout changes it as a code's: CT-17 and CT-18.

Nothing is trained here: `vaes` are results of `vision.vae`, `kinds` and `ladder` of `dense_autoencoders.on_photographs`
(every activation function, every width). Symbols: a > 0 is the exponent of lambda_i ~ i^-a, p the dropout rate, m the
units of a layer, n the bits of a unit.
"""

from collections.abc import Callable
from functools import partial
from math import inf

import numpy as np
import pandas as pd
from scipy import stats

from polysemanticity import intervals
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim, Measured
from polysemanticity.intervals import Estimate
from polysemanticity.papers.coding_theory_spectra import dense_autoencoders, vision

BITS = 8  # of a pixel: the precision n in a(p) = a(0) + 2np / log2(m/e)
LOSSES = ("held-out loss", "loss that noise adds", "loss that an attack adds")
_SOURCE = "Marshall & Kirchner 2024"

CLAIMS: dict[str, Claim] = {
    "CT-17": Claim(
        id="CT-17",
        claim="Steeper spectra go with better generalisation and robustness",
        whose="open question",
        source=f"{_SOURCE}, open questions (generalisation)",
        paper="suggested; no numbers",
        rule={
            "rank correlation of a with held-out loss": (-inf, 0.0),
            "with the loss that noise adds": (-inf, 0.0),
            "with the loss that an attack adds": (-inf, 0.0),
        },
        reason="Spearman correlation with the rank of the training loss partialled out. Ranks are taken among "
        "networks of one family (ResNet-VAEs of CT-05 at the rates that are judged there, autoencoders of CT-14 and of "
        "CT-15) that were trained and tested on the same photographs and started alike: a pilot showed that losses "
        "differ most between photographs. Interval: bootstrap over these groups. A correlation over networks shows no "
        "cause.",
        known="the row was unclear in an earlier run, whose ResNet-VAEs had not learnt and whose two families of "
        "autoencoders shared their photographs",
        gate=vision.GATE,
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


def rank_correlations(groups: list[np.ndarray], rng: np.random.Generator, n: int = 2000) -> list[Estimate]:
    """Return the rank correlation of a with each y at equal training loss, and its 95 % bootstrap interval.

    groups: arrays [net, (a, training loss, y…)] of networks that may be compared with each other; ranks are taken
    within a group, the correlation (with the training loss's rank partialled out) over all groups together. The
    bootstrap redraws groups. Where the training loss alone fixes the ranks nothing is left to correlate: NaN, and such
    draws of the bootstrap do not count.
    """
    scaled = [(2 * stats.rankdata(group, axis=0) - len(group) - 1) / len(group) for group in groups]
    products = np.array([ranks.T @ ranks for ranks in scaled])

    def partial(total):
        scale = np.sqrt(total.diagonal())
        r = total / np.outer(scale, scale)
        left = ((1 - r[0, 1] ** 2) * (1 - r[1, 2:] ** 2)).clip(min=0)  # rounding may put it below 0
        return np.where(left > 1e-9, (r[0, 2:] - r[0, 1] * r[1, 2:]) / np.sqrt(left.clip(min=1e-9)), np.nan)

    value = partial(products.sum(0))
    draws = [partial(products[rng.integers(len(groups), size=len(groups))].sum(0)) for _ in range(n)]
    return [_within_draws(v, column[np.isfinite(column)]) for v, column in zip(value, np.transpose(draws), strict=True)]


def _within_draws(value: float, draws: np.ndarray) -> Estimate:
    if np.isnan(value) or len(draws) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(*map(float, (value, min(value, low), max(value, high))))


def predicted_slope(units: np.ndarray | float, bits: float = BITS) -> np.ndarray:
    """Return 2n / log2(m/e), the change of the exponent per unit of dropout if spectral decay alone pays for it.

    From mn(1 - p) = mn - (a/2) m log2(m/e): our combination of the paper's capacity under dropout with its entropy
    bound, sign and factor corrected.
    """
    return 2 * bits / np.log2(np.asarray(units) / np.e)


def correlations(vaes: Results, kinds: Results, ladder: Results, seed: int) -> dict[str, list[Estimate]]:
    """Return the rank correlation of the exponent with each of LOSSES: over all networks, and in each family alone."""
    families = _families(vaes, kinds, ladder)
    together = {"all": _groups(families), **{name: _groups({name: family}) for name, family in families.items()}}
    return {name: rank_correlations(groups, streams.rng(seed, "bootstrap")) for name, groups in together.items()}


def _families(vaes: Results, kinds: Results, ladder: Results) -> dict[str, np.ndarray]:
    """The networks that are compared, [setting, seed, column]; the ladder's of the kinds' width are among these."""
    other = [place for place, width in enumerate(ladder.setting("width")) if width != kinds.configs[0]["width"]]
    others = Results([ladder.configs[place] for place in other], [ladder[place] for place in other])
    own = dense_autoencoders.values_of_nets
    return {
        "ResNet-VAE": _columns(vision.encoder_mean(vaes, vision.RENORMED, "exponent"), vaes.array)[vision.judged(vaes)],
        "nonlinearities": _columns(own(kinds, "exponent").mean(-1), partial(own, kinds)),
        "widths": _columns(own(others, "narrow_exponent").mean(-1), partial(own, others)),
    }


def _columns(exponents: np.ndarray, values: Callable[[str], np.ndarray]) -> np.ndarray:
    """Columns a, training loss, held-out loss, and what noise and an attack add to it, of networks [..., 5]."""
    train, test, noisy, attacked = map(values, ("train_loss", "test_loss", "noisy_loss", "attacked_loss"))
    return np.stack([exponents, train, test, noisy - test, attacked - test], axis=-1)


def _groups(families: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Networks that saw the same photographs, [setting, column], of every family in turn."""
    return [family[:, seed] for family in families.values() for seed in range(family.shape[1])]


def generalisation_table(vaes: Results, kinds: Results, ladder: Results, seed: int) -> pd.DataFrame:
    """Return the rank correlations; those that are not identified, where nothing is left to correlate, are left out."""
    rows = [
        {"what": "measured", "loss": loss, "networks": name, **estimate.columns()}
        for name, estimates in correlations(vaes, kinds, ladder, seed).items()
        for loss, estimate in zip(LOSSES, estimates, strict=True)
        if np.isfinite(estimate.value)
    ]
    return pd.DataFrame(rows).rename(columns={"value": "rank correlation with a"})


def measured_generalisation(vaes: Results, kinds: Results, ladder: Results, seed: int) -> Measured:
    """Return what decides CT-17; `seed` is the bootstrap's."""
    found, groups = correlations(vaes, kinds, ladder, seed), _groups(_families(vaes, kinds, ladder))
    total = sum(map(len, groups))
    error = f"95 % bootstrap interval over {len(groups)} groups of networks with the same photographs, {total} networks"
    alone = (f"{name} alone: {', '.join(map(_or_unknown, e))}" for name, e in found.items() if name != "all")
    rates, seeds = vision.judged(vaes).sum(), vaes.array("train_loss").shape[1]
    choices = kinds.setting("activation"), ladder.setting("width")
    names, widths = (", ".join(map(str, dict.fromkeys(one.tolist()))) for one in choices)
    scale = (
        f"ResNet-VAEs at {rates} dropout rates, {seeds} seeds; {dense_autoencoders.scale_of(kinds)}, with {names}; the "
        f"same with relu at m = {widths}"
    )
    return Measured(dict(zip(CLAIMS["CT-17"].rule, found["all"], strict=True)), error, scale, "; ".join(alone))


def _or_unknown(estimate: Estimate) -> str:
    return "not identified" if np.isnan(estimate.value) else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*estimate)


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
