"""Results stand beside their configurations, with one seed or several."""

import numpy as np
import pytest

from polysemanticity.base.results import Results

CONFIGS = [{"n": 2, "kind": "a"}, {"n": 4, "kind": "a"}, {"n": 4, "kind": "b"}]
ONE = Results(CONFIGS, [{"x": np.array([n, n])} for n in (1, 2, 3)])
SEVERAL = Results(CONFIGS, [[{"x": n}, {"x": 10 * n}] for n in (1, 2, 3)])


def test_arrays_have_the_configuration_first():
    np.testing.assert_array_equal(ONE.array("x"), [[1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(SEVERAL.array("x"), [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_array_equal(ONE.setting("n"), [2, 4, 4])


def test_results_are_a_sequence_with_their_configurations():
    assert len(ONE) == 3 and ONE[1]["x"][0] == 2 and [row["x"][0] for row in ONE] == [1, 2, 3]
    assert ONE[1:].configs == tuple(CONFIGS[1:]) and len(ONE[1:]) == 2
    assert [(config["n"], result[0]["x"]) for config, result in SEVERAL.pairs()] == [(2, 1), (4, 2), (4, 3)]


def test_results_are_chosen_by_their_settings():
    chosen = SEVERAL.where(n=4, kind="b")
    assert len(chosen) == 1 and chosen[0][1]["x"] == 30
    with pytest.raises(ValueError, match="settings = {'n': 9}: allowed is those of at least one configuration"):
        ONE.where(n=9)


def test_every_configuration_has_a_result():
    with pytest.raises(ValueError, match="results = 1: allowed is one for each of 3 configurations"):
        Results(CONFIGS, [{"x": 1}])
