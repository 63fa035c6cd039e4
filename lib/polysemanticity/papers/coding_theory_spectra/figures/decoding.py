"""The figures of the family `decoding`, from their tables."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import plots


def figx_decoding(table: pd.DataFrame) -> Figure:
    """Share of the bits of x that a probe reads correctly at each layer of networks that have learnt powers modulo a
    prime, a random order and the identity. All are read from every layer but the output; there, for the first two,
    it falls to near chance on new x and less far on x that the probe has seen. Beside it the spectra of the three
    outputs, which are alike."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.6, 4.2), width_ratios=(1.7, 1))
    table = table.assign(series=table["series"].str.replace("g^x mod p", "$g^x$ mod $p$", regex=False))
    share = plots.part(table, quantity="share of bits of x read right")
    chance = share["series"] == "chance"
    layers = list(share["layer"].unique())
    share = share.assign(place=share["layer"].map(layers.index))
    look = plots.styles(share[~chance])
    for (name, style), marker in zip(look.items(), plots.MARKERS, strict=False):
        look[name] = {**style, "marker": marker}
    for which, fill in (("new", "full"), ("seen", "none")):
        drawn = plots.part(share, x=which)
        named = drawn.assign(series=drawn["series"] + f", {which} x")
        looks = {f"{name}, {which} x": style for name, style in look.items()}
        plots.points(left, named, "place", look=looks, dodge=0.08, joined=True, fillstyle=fill)
    plots.lines(left, share[chance], "place")
    left.set_xticks(range(len(layers)), layers)
    left.set(title="Bits of x that a probe reads right", xlabel="layer", ylabel="share of bits", ylim=(0.45, 1.03))
    left.legend(loc="center left")
    spectrum = plots.part(table, quantity="eigenvalue")
    plots.points(right, spectrum, "rank", look=look, joined=True)
    right.set(title="The outputs'\nspectra are alike", xlabel="rank", ylabel="eigenvalue of the outputs' bits")
    right.set_ylim(0, 1.3 * spectrum["value"].max())
    right.legend(loc="lower left")
    return fig


def figx_decoder_gap(table: pd.DataFrame) -> Figure:
    """Gain of a network over a line in decoding autoencoders' layers against the layer's exponent, one point per
    autoencoder and layer: gains are small everywhere. Beside it the rank correlation of the two for each layer with its
    interval: none is clearly negative, for the inner layers it is positive."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3), width_ratios=(1.5, 1))
    gain = plots.part(table, quantity="share of the line's error that a network explains")
    left.set(xscale="log")
    plots.points(left, gain.drop(columns=["low", "high"]), "exponent a", "layer", alpha=0.75)
    left.axhline(0, **plots.CONTROL_LINE, label="no more than a line")
    ends = {1: "1", 2: "2", 3: "3", 4: "4", 6: "6", 12: "12"}
    left.set_xticks(list(ends), list(ends.values()))
    left.minorticks_off()
    left.set(title="Each autoencoder and layer", ylabel="share of the line's error\nthat a network explains")
    left.set_xlabel("exponent a of the layer (12: fewer directions than fitted ranks)")
    left.legend()
    ranked = plots.part(table, quantity="rank correlation")
    ranked = ranked.assign(place=range(len(ranked)))
    plots.points(right, ranked, "place", "quantity", marker="o")
    right.axhline(0, **plots.CONTROL_LINE, label="none")
    right.set_xticks(ranked["place"], ranked["layer"])
    right.set(title="Do steep layers gain more?", xlabel="layer", ylim=(-1, 1), xlim=(-0.5, len(ranked) - 0.5))
    right.set_ylabel("rank correlation of exponent and gain")
    return fig
