"""Trigrams by hand, their probabilities, and what they reach on a text whose entropy is known."""

import numpy as np
import pytest

from polysemanticity.networks import ngrams


def test_interpolation_by_hand():
    table = ngrams.Trigram([np.array([0, 1, 0, 1, 2])], 4)
    # unigrams: 0 twice, 1 twice, 2 once, three kinds of five tokens; each then shares with the uniform 1/4
    one = {token: (count + 3 / 4) / (5 + 3) for token, count in ((0, 2), (1, 2), (2, 1), (3, 0))}
    after_1 = {0: (1 + 2 * one[0]) / 4, 2: (1 + 2 * one[2]) / 4, 3: 2 * one[3] / 4}  # seen twice, before 0 and 2
    after_0 = {1: (2 + one[1]) / 3}
    np.testing.assert_allclose(np.exp(-table.nats(np.array([3, 1, 0]))), [one[3], one[1], after_1[0]])
    after_01 = {2: (1 + 2 * after_1[2]) / 4, 3: 2 * after_1[3] / 4}
    np.testing.assert_allclose(np.exp(-table.nats(np.array([0, 1, 2]))), [one[0], after_0[1], after_01[2]])
    np.testing.assert_allclose(np.exp(-table.nats(np.array([0, 1, 3])))[-1], after_01[3])


def test_probabilities_of_all_tokens_sum_to_one():
    rng = np.random.default_rng(0)
    table = ngrams.Trigram([rng.integers(0, 7, 40), rng.integers(0, 7, 25)], 8)
    for before in ([3, 4], [7, 7], [0, 7]):
        nats = [table.nats(np.array([*before, token]))[-1] for token in range(8)]
        assert np.exp(-np.array(nats)).sum() == pytest.approx(1)


def test_a_text_of_pairs_is_told_up_to_its_entropy():
    """The next token depends on the two before it, by 0.9 to 0.1: a trigram comes to that entropy, not below."""
    rng, text = np.random.default_rng(1), [0, 1]
    for _ in range(20_000):
        text.append((text[-1] ^ text[-2]) ^ (rng.random() < 0.1))
    text = np.array(text, dtype=int)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    loss = ngrams.Trigram([text[:15_000]], 2).nats(text[15_000:])[2:].mean()
    assert entropy - 0.03 < loss < entropy + 0.03
    shuffled = rng.permutation(text)
    assert ngrams.Trigram([shuffled[:15_000]], 2).nats(shuffled[15_000:])[2:].mean() > 0.68  # ln 2 is 0.693


def test_documents_are_not_read_across():
    table = ngrams.Trigram([np.array([0, 1]), np.array([2, 0])], 3)
    assert table.nats(np.array([1, 2]))[1] == pytest.approx(
        ngrams.Trigram([np.array([0, 1, 2, 0])], 3).nats([0, 2])[1], abs=1
    )
    assert (1 * 3 + 2) not in table.counts[1][0]  # the pair (1, 2) stands in no document


def test_what_is_refused():
    with pytest.raises(ValueError, match="documents = 0: allowed is at least one with a token"):
        ngrams.Trigram([], 5)
    with pytest.raises(ValueError, match="whole numbers from 0 to 4"):
        ngrams.Trigram([np.array([1, 5])], 5)
