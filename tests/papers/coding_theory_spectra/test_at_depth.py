"""What is measured of a layer, on activity whose exponent, smoothness and contents were planted, in both directions."""

import numpy as np
import pytest

from polysemanticity.audit import exponents
from polysemanticity.papers.coding_theory_spectra import at_depth
from polysemanticity.papers.coding_theory_spectra.at_depth import POOLS, SMOOTH, Halves

DOCUMENTS, PER_DOCUMENT, TOKENS, UNITS = 30, 2, 20, 128


def halves(values):
    """Activity [passage, token, unit] of two halves of equal size, with PER_DOCUMENT passages a document."""
    n = len(values) // 2
    return Halves(values[:n], values[n:], np.arange(n) // PER_DOCUMENT)


def processes(correlations, seed=0, passages=2 * DOCUMENTS * PER_DOCUMENT):
    """Units of variance 1 that are AR(1) over the tokens, each with a correlation of its own."""
    rng, rho = np.random.default_rng(seed), np.asarray(correlations)
    values = [rng.standard_normal((passages, len(rho)))]
    for _ in range(TOKENS - 1):
        values.append(rho * values[-1] + np.sqrt(1 - rho**2) * rng.standard_normal((passages, len(rho))))
    return np.stack(values, 1)


def powers(exponent, beyond=None, at=12):
    ranks = np.arange(1, UNITS + 1)
    law = ranks**-exponent
    return law if beyond is None else np.where(ranks < at, law, at ** (beyond - exponent) * ranks**-beyond)


@pytest.fixture(scope="module")
def sources():
    return processes(np.full(UNITS, 0.5))


def law_of(sources, variances):
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((UNITS, UNITS)))[0]
    return at_depth.law(halves((sources * np.sqrt(variances)) @ turn))


@pytest.fixture(scope="module")
def laws(sources):
    return {name: law_of(sources, powers(*name)) for name in ((1.0,), (1.3,), (1.0, 2.0), (2.0, 1.0))}


def test_a_planted_exponent_is_covered_on_both_halves(laws):
    for (exponent, *_), found in list(laws.items())[:2]:
        low, high = found.exponent.interval
        assert low < exponent < high < low + 0.4 and found.chosen == pytest.approx(exponent, abs=0.15)
        assert found.n_effective == pytest.approx(DOCUMENTS * PER_DOCUMENT * TOKENS / (1 + 2 * 0.25 / 0.75), rel=0.2)
        assert len(found.exponent.influence) == DOCUMENTS


def test_layers_of_different_exponent_differ_and_of_the_same_do_not(laws, sources):
    steep, flat = laws[(1.3,)].exponent, laws[(1.0,)].exponent
    low, high = exponents.difference(steep, flat)[1:]
    assert 0.1 < low < 0.3 < high
    another = law_of(processes(np.full(UNITS, 0.5), seed=7), powers(1.0)).exponent
    low, high = exponents.difference(another, flat)[1:]
    assert low < 0 < high < 0.4
    with pytest.raises(ValueError, match=r"blocks = \(30, 2\): allowed is the same blocks of both layers"):
        exponents.difference(steep, flat._replace(influence=np.zeros(2)))


def test_only_a_bent_law_is_bent_and_the_right_way(laws):
    assert laws[(1.0,)].bend.low < 0.2 and laws[(1.0,)].bend.high > 0
    assert laws[(1.0, 2.0)].bend.low > 0.3
    assert laws[(2.0, 1.0)].bend.high < -0.3


def test_a_layer_that_varies_by_rounding_or_is_narrow_has_no_law(sources):
    dead = (1 + 1e-8 * sources).astype(np.float32)
    assert at_depth.law(halves(dead)) is None and at_depth.law(halves(sources[..., :50])) is None
    assert at_depth.law(halves((sources * 1e-3).astype(np.float32))) is not None


def test_means_at_each_place_are_those_of_the_half_that_selects():
    values = np.random.default_rng(2).standard_normal((8, 5, 3)) + np.arange(5)[:, None]
    found = halves(values).centred()
    np.testing.assert_allclose(found.select.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(found.judge, values[4:] - values[:4].mean(0))


def test_a_smooth_direction_is_found_if_there_is_one_and_projections_at_random_are_not_it():
    rho = np.r_[0.95, np.zeros(29)]
    for correlations, smooth in ((rho, True), (0 * rho, False)):
        stream = halves(processes(correlations, seed=3)).centred()
        kinds = at_depth.directions(stream.select, 20, 10, np.random.default_rng(0))
        found = dict(zip(SMOOTH, zip(*at_depth.roughness(stream.judge, kinds, stream), strict=True), strict=True))
        value, low, high = found["smoothest"]
        assert (high < 0.25) == smooth and (low > 0.5) != smooth and low < value < high
        assert found["random"][0] > 0.9
        whole = at_depth.roughness(stream.judge, kinds)
        np.testing.assert_allclose(whole, [found[kind][0] for kind in SMOOTH])
    assert at_depth.roughness(stream.select, kinds)[2] < 0.95  # chosen by chance, which the other half does not repeat


def test_what_a_passage_keeps_is_between_passages():
    rng = np.random.default_rng(4)
    kept = np.repeat(rng.standard_normal((50, 1, 1)), TOKENS, axis=1)
    other = rng.standard_normal((50, TOKENS, 1))
    assert at_depth.kept_by_passage(kept, np.ones((1, 1))) == pytest.approx(1)
    assert at_depth.kept_by_passage(other, np.ones((1, 1))) < 0.1


def test_linear_neurons_are_told_from_others(sources):
    stream = halves(sources[..., :30].astype(np.float32)).centred()
    mixed = sources[..., :30] @ np.random.default_rng(5).standard_normal((30, 60))
    linear, bent, noise = (
        at_depth.nonlinear_share(stream, halves(part.astype(np.float32)).centred())
        for part in (mixed, np.abs(mixed), np.random.default_rng(6).standard_normal(mixed.shape))
    )
    assert linear.high < 0.01 and bent.low > 0.8 and noise.low > 0.95


@pytest.mark.parametrize("place", ["stream", "neurons", "nowhere"])
def test_what_projections_tell_beside_neurons_is_where_it_was_planted(place):
    """Eight features, each in 24 neurons or over the stream; one that nothing holds."""
    rng = np.random.default_rng(8)
    shape = (2 * DOCUMENTS * PER_DOCUMENT, TOKENS)
    features = rng.standard_normal((*shape, 2))
    stream, neurons = rng.standard_normal((*shape, 20)), rng.standard_normal((*shape, 60))
    if place == "stream":
        stream[..., :2] = 3 * features
    if place == "neurons":
        neurons[..., :24] = features[..., :1] + 1.5 * neurons[..., :24]
        neurons[..., 24:48] = features[..., 1:] + 1.5 * neurons[..., 24:48]
    parts = [halves(part).centred() for part in (stream, neurons, features)]
    kinds = {name: rng.standard_normal((20, 60)) / np.sqrt(20) for name in ("random", "minimum energy")}
    found = at_depth.told(*parts, kinds, 8, np.random.default_rng(0))
    pools = dict(zip(POOLS, zip(*found.mean, strict=True), strict=True))
    more = dict(zip(POOLS, zip(*found.more, strict=True), strict=True))
    assert pools["random, tokens shuffled"][2] < 0.05
    if place == "stream":
        assert pools["random"][1] > 0.3 and pools["minimum energy"][1] > 0.3 and abs(found.base).max() < 0.1
        assert more["further neurons"][1] > 0.3 and more["random, tokens shuffled"][1] > 0.3
    if place == "neurons":
        assert found.base.min() > 0.5 and pools["further neurons"][1] > 0.01 > pools["random"][2]
        assert more["further neurons"][2] < 0
    if place == "nowhere":
        assert abs(found.base).max() < 0.1 and pools["random"][2] < 0.02 and more["random, tokens shuffled"][1] < 0
    assert found.added.shape == (len(POOLS), 2) and (found.chosen > 0).all()
