"""Codes under erasures: known values, closed forms, brute force, and zeros that are no erasures."""

import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from polysemanticity import codes

RATES = np.array([0.2, 0.4, 0.6, 0.8])


def brute_force_accuracy(words, rate):
    """Maximum likelihood over every message, every set of survivors, every look, without any shortcut."""
    total, m = 0.0, words.shape[1]
    for survives in itertools.product([False, True], repeat=m):
        looks = {tuple(word[np.array(survives)]) for word in words}
        total += (1 - rate) ** sum(survives) * rate ** (m - sum(survives)) * len(looks) / len(words)
    return total


def brute_force_dropout(words, rate):
    """The same for units that are set to zero: the sum over what is seen of the likeliest word's probability."""
    seen: dict[tuple, dict] = {}
    for message, word in enumerate(words):
        for survives in itertools.product([0, 1], repeat=len(word)):
            look = tuple(int(v) for v in word * np.array(survives))
            chance = (1 - rate) ** sum(survives) * rate ** (len(word) - sum(survives))
            by_word = seen.setdefault(look, {})
            by_word[message] = by_word.get(message, 0) + chance
    return sum(max(by_word.values()) for by_word in seen.values()) / len(words)


def gaussian_binomial(n, r):
    top = np.prod([2.0 ** (n - i) - 1 for i in range(r)])
    return top / np.prod([2.0 ** (i + 1) - 1 for i in range(r)])


def simplex_accuracy(k, rate):
    """By Möbius inversion over the subspaces of GF(2)^k: chance that survivors span one of dimension r, times 2^(r-k)."""
    total = 0.0
    for r in range(k + 1):
        spans = sum(
            gaussian_binomial(r, j) * (-1) ** (r - j) * 2 ** ((r - j) * (r - j - 1) / 2) * rate ** (2.0**k - 2.0**j)
            for j in range(r + 1)
        )
        total += gaussian_binomial(k, r) * spans * 2.0 ** (r - k)
    return total


def test_simplex_and_repetition_of_the_sheet():
    simplex, repetition = codes.simplex(4), codes.repetition(4, 15)
    assert simplex.n_units == repetition.n_units == 15 and simplex.rate_bits == pytest.approx(4 / 15)
    np.testing.assert_allclose(codes.erasure_accuracy(simplex, RATES).value, [1.000, 0.996, 0.912, 0.505], atol=0.003)
    np.testing.assert_allclose(
        codes.erasure_accuracy(repetition, RATES).value, [0.993, 0.931, 0.728, 0.374], atol=0.003
    )


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_simplex_accuracy_is_the_closed_form(k):
    found = codes.erasure_accuracy(codes.simplex(k), RATES).value
    np.testing.assert_allclose(found, [simplex_accuracy(k, rate) for rate in RATES], rtol=1e-9)


def test_repetition_and_monosemantic_accuracy_are_products():
    for k, m in ((4, 15), (3, 3), (2, 7)):
        copies = np.bincount(np.arange(m) % k)
        closed = np.prod([1 - RATES**c / 2 for c in copies], axis=0)
        np.testing.assert_allclose(codes.erasure_accuracy(codes.repetition(k, m), RATES).value, closed)
    np.testing.assert_allclose(codes.erasure_accuracy(codes.monosemantic(8), RATES).value, (1 - RATES / 2) ** 8)


def test_exact_accuracy_is_brute_force_for_linear_and_other_codes():
    rng = np.random.default_rng(0)
    some = [codes.linear(rng.integers(0, 2, (3, 7))), codes.superposition(4, 5, 4, rng), codes.simplex(3)]
    for code in some:
        found = codes.erasure_accuracy(code, RATES).value
        np.testing.assert_allclose(found, [brute_force_accuracy(code.words, rate) for rate in RATES])


def test_a_linear_code_without_its_generator_decodes_as_well():
    code = codes.linear(np.random.default_rng(3).integers(0, 2, (4, 9)))
    bare = codes.Code(code.words)
    for measure in (codes.erasure_accuracy, codes.erasure_information):
        np.testing.assert_allclose(measure(code, RATES).value, measure(bare, RATES).value)


def test_random_erasures_agree_with_the_exact_mean_within_their_error():
    rng = np.random.default_rng(0)
    for code in (codes.simplex(4), codes.repetition(4, 15), codes.superposition(6, 6, 4, rng)):
        for measure in (codes.erasure_accuracy, codes.erasure_information):
            exact, drawn = measure(code, RATES), measure(code, RATES, n_draws=4000, rng=rng)
            assert (exact.stderr == 0).all() and (drawn.stderr[1:] > 0).all()
            assert (np.abs(drawn.value - exact.value) < 4 * drawn.stderr + 1e-3).all()


def test_rates_at_the_ends_and_numbers_instead_of_arrays():
    for code in (codes.simplex(3), codes.superposition(5, 4, 16, np.random.default_rng(0))):
        assert codes.erasure_accuracy(code, 1.0).value == pytest.approx(1 / len(code.words))
        assert codes.erasure_accuracy(code, 0.0).value == pytest.approx(
            len(np.unique(code.words, axis=0)) / len(code.words)
        )
        assert codes.erasure_information(code, 1.0).value == 0
        assert codes.erasure_accuracy(code, RATES.reshape(2, 2)).value.shape == (2, 2)


def test_information_is_the_rate_times_survival_when_nothing_is_redundant():
    np.testing.assert_allclose(codes.erasure_information(codes.monosemantic(5), RATES).value, 5 * (1 - RATES))
    assert (codes.erasure_information(codes.simplex(4), RATES).value <= np.minimum(4, 15 * (1 - RATES))).all()


def test_accuracy_ignores_the_order_of_units_and_the_choice_of_basis():
    rng = np.random.default_rng(1)
    generator = rng.integers(0, 2, (3, 8))
    mixed = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]) @ generator % 2
    reference = codes.erasure_accuracy(codes.linear(generator), RATES).value
    for other in (generator[:, rng.permutation(8)], mixed):
        np.testing.assert_allclose(codes.erasure_accuracy(codes.linear(other), RATES).value, reference)


def test_no_code_beats_the_limit():
    rng = np.random.default_rng(0)
    for code, levels in [(codes.simplex(4), 2), (codes.repetition(4, 15), 2), (codes.superposition(9, 6, 4, rng), 4)]:
        limit = codes.erasure_limit(code.n_bits, code.n_units, levels, RATES)
        assert (codes.erasure_accuracy(code, RATES).value <= limit + 1e-12).all()
    assert codes.erasure_limit(3, 1, 8, 0.25) == pytest.approx(0.75 + 0.25 / 8)


def test_zero_is_an_erasure_only_where_it_is_no_symbol():
    for code in (codes.simplex(3), codes.superposition(3, 4, 4, np.random.default_rng(0))):
        np.testing.assert_allclose(codes.dropout_accuracy(code, RATES), codes.erasure_accuracy(code, RATES).value)
        np.testing.assert_allclose(
            codes.dropout_accuracy(code, RATES), [brute_force_dropout(code.words, rate) for rate in RATES]
        )
    for code in (codes.simplex(3, on_off=True), codes.repetition(2, 5, on_off=True)):
        found = codes.dropout_accuracy(code, RATES)
        np.testing.assert_allclose(found, [brute_force_dropout(code.words, rate) for rate in RATES])
        assert (found <= codes.erasure_accuracy(code, RATES).value + 1e-12).all()


def test_repetition_loses_nothing_when_zeros_are_ambiguous_and_the_simplex_code_does():
    repetition, simplex = (make(True) for make in (lambda o: codes.repetition(4, 15, o), lambda o: codes.simplex(4, o)))
    np.testing.assert_allclose(
        codes.dropout_accuracy(repetition, RATES), codes.erasure_accuracy(repetition, RATES).value
    )
    assert (codes.dropout_accuracy(simplex, RATES) < codes.dropout_accuracy(repetition, RATES)).all()


def test_the_simplex_code_is_spectrally_flat_and_repetition_is_not():
    np.testing.assert_allclose(codes.code_spectrum(codes.simplex(4)), 1, atol=1e-12)
    words = codes.simplex(4).words
    np.testing.assert_array_equal(words.T @ words / 16, np.eye(15))
    spectrum = codes.code_spectrum(codes.repetition(4, 15))
    np.testing.assert_allclose(spectrum, [4, 4, 4, 3, *[0] * 11], atol=1e-12)


def test_words_of_the_simplex_code_are_equally_far_apart():
    words = codes.simplex(4).words
    distance = (words[:, None] != words).sum(-1)
    assert set(distance[~np.eye(16, dtype=bool)]) == {8}


def test_superposition_uses_its_levels_evenly_and_never_zero():
    code = codes.superposition(12, 8, 16, np.random.default_rng(0))
    assert code.n_bits == 12 and code.rate_bits == 1.5 and (code.words % 2 != 0).all()
    assert np.bincount((code.words.ravel() + 15) // 2, minlength=16).min() > 0.6 * code.words.size / 16
    again = codes.superposition(12, 8, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(code.words, again.words)


def test_expected_confusions_are_those_of_drawn_codes_and_vanish_with_length():
    drawn = []
    for seed in range(40):
        words = codes.superposition(12, 10, 4, np.random.default_rng(seed)).words
        counts = np.unique(words, axis=0, return_counts=True)[1]
        drawn.append((counts**2).sum() / len(words) - 1)
    error = np.std(drawn) / np.sqrt(40)
    assert codes.expected_confusions(12, 10, 4) == pytest.approx(np.mean(drawn), abs=4 * error + 0.03)
    lengths = [codes.expected_confusions(k, k * 2 // 3, 4) for k in (24, 96, 384)]
    assert lengths[0] > 10 * lengths[1] > 100 * lengths[2]
    assert codes.expected_confusions(10, 1, 2) == pytest.approx(2**9 - 1, rel=0.02)


def test_expected_confusions_of_sparse_features_are_those_of_drawn_codes():
    """Second way: all messages with 3 of 9 features on, by random directions and levels of their own."""
    messages = np.array([message for message in itertools.product([0, 1], repeat=9) if sum(message) == 3])
    drawn = []
    for seed in range(300):
        drive = messages @ np.random.default_rng(seed).standard_normal((9, 5)) / np.sqrt(3)
        words = np.searchsorted(stats.norm.ppf([0.25, 0.5, 0.75]), drive)
        counts = np.unique(words, axis=0, return_counts=True)[1]
        drawn.append((counts**2).sum() / len(words) - 1)
    error = np.std(drawn) / np.sqrt(300)
    assert codes.expected_confusions(9, 5, 4, active=3) == pytest.approx(np.mean(drawn), abs=4 * error)
    assert error < 0.05 * np.mean(drawn)
    assert codes.expected_confusions(9, 1, 2, active=8) < 8  # two messages that share seven of eight features
    with pytest.raises(ValueError, match="active = 9: allowed is an integer from 1 to 8"):
        codes.expected_confusions(9, 1, 2, active=9)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: codes.simplex(0), "n_bits = 0: allowed is an integer from 1 to 10"),
        (lambda: codes.simplex(11), "n_bits = 11"),
        (lambda: codes.repetition(4, 3), "n_units = 3: allowed is at least n_bits = 4"),
        (lambda: codes.repetition(30, 60), "n_bits = 30"),
        (lambda: codes.linear(np.array([[0, 2]])), "generator = .*zeros and ones"),
        (lambda: codes.superposition(4, 0, 4, np.random.default_rng(0)), "n_units = 0"),
        (lambda: codes.superposition(4, 4, 3, np.random.default_rng(0)), "levels = 3: allowed is an even number"),
        (lambda: codes.erasure_accuracy(codes.simplex(2), [0.5, 1.2]), r"rate = 1.2: allowed is in \[0, 1\]"),
        (lambda: codes.erasure_accuracy(codes.simplex(2), np.nan), "rate = nan"),
        (lambda: codes.erasure_accuracy(codes.simplex(2), 0.5, n_draws=1), "n_draws = 1"),
        (lambda: codes.erasure_accuracy(codes.simplex(2), 0.5, n_draws=10), "rng = None"),
        (lambda: codes.erasure_accuracy(codes.Code(np.ones((2, 20), dtype=int)), 0.5), "20 units.*n_draws > 0"),
        (lambda: codes.erasure_limit(0, 4, 2, 0.5), "n_bits = 0"),
        (lambda: codes.expected_confusions(1, 4, 2), "n_bits = 1"),
        (lambda: codes.expected_confusions(4, 4, 5), "levels = 5: allowed is an even number"),
        (lambda: codes.dropout_accuracy(codes.simplex(5, on_off=True), 0.5), "thinned words"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_a_linear_autoencoder_with_dropout_keeps_is_the_minimum_of_its_expected_loss():
    """Second way: the expected loss, written out for both factors, minimised by scipy from a random start."""
    sigma, units, rate = np.array([1.5, 1.0, 0.6, 0.1]), 6, 0.5

    def loss(flat):
        first, second = flat[:24].reshape(units, 4), flat[24:].reshape(4, units)
        hidden = first * sigma  # its rows are units; the inputs' covariance is diagonal
        price = rate / (1 - rate) * (np.square(second).sum(0) * np.square(hidden).sum(1)).sum()
        return np.square((np.eye(4) - second @ first) * sigma).sum() + price

    start = np.random.default_rng(0).standard_normal(48) / 2
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000}).x
    kept = np.linalg.svd((found[24:].reshape(4, units) @ found[:24].reshape(units, 4)) * sigma)[1]
    np.testing.assert_allclose(codes.shrunk_by_dropout(sigma, units, rate), kept, atol=1e-4)
    assert codes.shrunk_by_dropout(sigma, units, rate)[-1] == 0 < codes.shrunk_by_dropout(sigma, units, 0.1)[-1]


def test_without_dropout_everything_is_kept_in_any_order():
    sigma = np.array([0.3, 2.0, 1.0])
    np.testing.assert_array_equal(codes.shrunk_by_dropout(sigma, 3, 0.0), sigma)
    kept = codes.shrunk_by_dropout(sigma, 3, 0.3)
    np.testing.assert_allclose(kept, codes.shrunk_by_dropout(np.sort(sigma), 3, 0.3)[[0, 2, 1]])
    assert sigma[1] - kept[1] == pytest.approx(0.3 / 0.7 / 3 * kept.sum())


@pytest.mark.parametrize(
    ("deviations", "units", "rate", "message"),
    [
        ([1.0, -0.1], 4, 0.1, "deviations"),
        ([1.0, np.nan], 4, 0.1, "deviations"),
        ([], 4, 0.1, "deviations"),
        ([1.0, 1.0, 1.0], 2, 0.1, "n_units = 2: allowed is at least the 3 components"),
        ([1.0], 4, 1.0, "rate = 1.0: allowed is at least 0 and below 1"),
    ],
)
def test_shrinking_refuses_what_it_has_no_theory_for(deviations, units, rate, message):
    with pytest.raises(ValueError, match=message):
        codes.shrunk_by_dropout(deviations, units, rate)
