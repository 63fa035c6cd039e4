"""Codes under erasures: known answers, limits, and verdicts on planted results."""

import numpy as np
import pytest

from polysemanticity import claims, codes, plots
from polysemanticity.base.results import Results
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import redundancy

BITS = (2, 4, 12)


def test_superpositions_keep_less_the_denser_they_are_and_never_more_than_the_limit():
    rates = (0.2, 0.5, 0.8)
    found = redundancy.superpositions(seed=1, device="cpu", n_bits=(2, 6, 12), rates=rates)
    assert found["accuracy"].shape == found["share"].shape == (3, 3)
    assert (np.diff(found["share"], axis=0) < 0).all() and (np.diff(found["share"], axis=1) < 0).all()
    limit = [codes.erasure_limit(k, redundancy.UNITS, redundancy.LEVELS, np.array(rates)) for k in (2, 6, 12)]
    assert (found["accuracy"] <= np.array(limit) + 1e-12).all()
    assert (found["entropy"] <= np.minimum(found["rate_bits"], found["bound"])).all()


def test_linear_codes_are_those_of_the_sheet():
    found = redundancy.linear_codes(seed=0, device="cpu", rates=(0.2, 0.4, 0.6, 0.8))
    of = {name: row for row, name in enumerate(redundancy.LINEAR)}
    simplex, repetition = of["simplex [15, 4]"], of["repetition [15, 4]"]
    np.testing.assert_allclose(found["accuracy"][simplex], [1.000, 0.996, 0.912, 0.505], atol=0.003)
    np.testing.assert_allclose(found["accuracy"][repetition], [0.993, 0.931, 0.728, 0.374], atol=0.003)
    assert found["evenness"][simplex] == pytest.approx(1) and found["evenness"][repetition] < 0.3
    assert (found["on_off"][simplex] < found["accuracy"][simplex]).all()


def test_capacities_agree_and_lie_within_the_bounds():
    found = redundancy.capacities(seed=0, device="cpu", rates=(0.0, 0.3, 0.9), levels=(2, 16))
    np.testing.assert_allclose(found["exact"], found["searched"], atol=1e-6)
    assert (found["lower"] <= found["exact"] + 1e-12).all() and (found["exact"] <= found["upper"] + 1e-12).all()


@pytest.fixture(scope="module")
def results():
    """A few codes as they are: random ones with two seeds, the linear ones, capacities."""
    call = {"device": "cpu"}
    settings = redundancy.random_codes(redundancy.Settings(code_bits=BITS, n_codes=2))
    rows = [redundancy.superpositions(seed=seed, **call, **settings) for seed in (1, 2)]
    linear = {"rates": redundancy.DROPOUTS}
    channels = {"rates": (0.0, 0.5, 1.0), "levels": (2, 16)}
    return (
        Results([settings], [rows]),
        Results([linear], [redundancy.linear_codes(seed=0, **call, **linear)]),
        Results([channels], [redundancy.capacities(seed=0, **call, **channels)]),
    )


def changed(results, **values):
    """Results whose only result, or every seed's, has other values."""
    rows = [[{**one, **values} for one in row] if isinstance(row, list) else {**row, **values} for row in results]
    return Results(results.configs, rows)


def test_codes_are_judged_rightly(results):
    drawn, fixed, capacity = results
    found = redundancy.measured_frontier(*results)
    verdicts = {name: claims.verdict_of(paper.CLAIMS[name], one.quantities) for name, one in found.items()}
    assert verdicts["CT-02b"] == verdicts["CT-02c"] == verdicts["CT-02d"] == claims.HOLDS
    assert found["CT-02c"].scale.startswith("2 random superpositions of 2 to 12 fair bits on m = 8 units of 4 levels")
    fragile = changed(drawn, share=np.broadcast_to(np.linspace(0.1, 0.2, len(BITS))[:, None], (len(BITS), 8)))
    quantities = redundancy.measured_frontier(fragile, fixed, capacity)["CT-02c"].quantities
    assert claims.verdict_of(paper.CLAIMS["CT-02c"], quantities) == claims.FAILS
    flat = redundancy.measured_flat(drawn, fixed)
    assert claims.verdict_of(paper.CLAIMS["CT-12"], flat.quantities) == claims.CORRECTED


@pytest.mark.parametrize(("evenness", "verdict"), [(0.3, claims.HOLDS), (0.7, claims.FAILS)])
def test_spectra_of_planted_codes_are_judged_rightly(results, evenness, verdict):
    planted = changed(results[1], evenness=np.full(len(redundancy.LINEAR), evenness))
    measured = redundancy.measured_flat(results[0], planted).quantities
    assert claims.verdict_of(paper.CLAIMS["CT-12"], measured) == verdict


def test_tables_are_tidy_and_hold_the_known_numbers(results):
    frontier, flat = redundancy.frontier_table(*results), redundancy.flat_table(*results[:2])
    for table in (frontier, flat):
        plots.check_tidy(table)
    kept = plots.part(frontier, code="monosemantic", quantity="share of the bits that survives")
    assert kept["value"].to_numpy() == pytest.approx([1 - rate for rate in redundancy.DRAWN])
    bounds = plots.part(frontier, what="paper", series="bounds, 16 levels", **{"dropout D": 0.0})
    assert bounds["high"].item() == pytest.approx(4)
    assert plots.part(flat, quantity="eigenvalue", series="simplex [15, 4]")["value"].to_numpy() == pytest.approx(1)
    half = redundancy.survivors(*results[:2])
    assert plots.part(half, code="monosemantic").iloc[0, -1] == pytest.approx(0.5)


@pytest.mark.parametrize(("units", "verdict"), [(100, claims.HOLDS), (400, claims.FAILS)])
def test_planted_lengths_of_superpositions_are_judged_rightly(results, monkeypatch, units, verdict):
    monkeypatch.setattr(redundancy, "fewest_units", lambda levels, active=None: units)
    found = redundancy.measured_frontier(*results)
    assert claims.verdict_of(paper.CLAIMS["CT-02a"], found["CT-02a"].quantities) == verdict
    ratio = redundancy.at_equal_alphabets().set_index("features")["ratio"]
    np.testing.assert_allclose(ratio, 256 / units)
    opposite = claims.FAILS if verdict == claims.HOLDS else claims.HOLDS
    assert claims.verdict_of(paper.CLAIMS["CT-02b"], found["CT-02b"].quantities) == opposite


def test_the_fewest_units_are_where_confusions_become_rare():
    for active in (None, redundancy.ACTIVE):
        units = redundancy.fewest_units(4, active)
        at, before = (redundancy.codes.expected_confusions(256, m, 4, active) for m in (units, units - 1))
        assert at <= redundancy.CONFUSED < before
