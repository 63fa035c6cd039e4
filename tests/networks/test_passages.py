"""Passages and what is known of their tokens, by hand, and the same for any tokenizer."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from polysemanticity.networks import language_models, passages

SENTENCES = "The year 1846 was long. We saw New York, and we saw the sea! Nothing else mattered to the old men. "


def by_words(special=False):
    """A tokenizer of words and marks, with [CLS] and [SEP] around if asked for."""
    found = sorted({piece for piece in SENTENCES.replace(".", " .").replace(",", " ,").replace("!", " !").split()})
    vocabulary = {piece: k for k, piece in enumerate(["[CLS]", "[SEP]", "?", *found])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="?")


def cut(length=12, special=False, documents=None, tokenizer=None, per_document=2, seed=0):
    documents = [SENTENCES * 20, SENTENCES * 30] if documents is None else documents
    rng = np.random.default_rng(seed)
    return passages.cut(documents, tokenizer or by_words(special), length, per_document, rng, special)


def test_passages_begin_with_sentences_and_keep_their_document():
    found = cut()
    assert found.ids.shape == (4, 12) and list(found.document) == [0, 0, 1, 1] and found.special == (0, 0)
    assert all(text.startswith(("The ", "We ", "Nothing ")) for text in found.texts)
    for text, spans, ids in zip(found.texts, found.spans, found.ids, strict=True):
        pieces = [text[start:end] for start, end in spans]
        assert pieces == by_words().convert_ids_to_tokens(ids.tolist())


def test_special_tokens_are_counted_and_the_same_places_are_drawn():
    plain, around = cut(), cut(special=True)
    assert around.special == (1, 1) and around.spans.shape == (4, 10, 2) and around.ids.shape == (4, 12)
    assert around.texts == plain.texts and (around.spans == plain.spans[:, :10]).all()
    assert cut(seed=1).texts != plain.texts


def known(pieces, text=SENTENCES, counts=None):
    """Features of a text cut into these pieces."""
    spans, place = [], 0
    for piece in pieces:
        place = text.index(piece, place)
        spans.append((place, place + len(piece)))
        place += len(piece)
    given = passages.Passages(None, np.array([1]), (text,), np.array([spans]), (0, 0))
    rows = passages.features(given, counts or {}, 4)[0]
    return [dict(zip(passages.FEATURES, row, strict=True)) for row in rows]


def test_features_by_hand():
    counts = {"the": 99, "year": 9, "was": 20}
    the, year, digits, was, long_, stop, we = known(["The", " year", " 18", " was", " lo", ".", " We"], counts=counts)
    assert the["begins a word"] and the["capital"] and the["function word"] and not the["punctuation"]
    assert the["length of the word"] == 3 and the["frequency of the word"] == pytest.approx(np.log(100))
    assert the["frequency of the next word"] == pytest.approx(np.log(10)) and the["word seen in the passage"] == 0
    assert year["frequency of the word before"] == pytest.approx(np.log(100)) and year["capitals so far"] == 0.5
    assert digits["digit"] and not digits["begins a word"] and digits["length of the word"] == 0
    assert digits["frequency of the next word"] == pytest.approx(np.log(21))
    assert was["digits so far"] == 1 / 4 and was["frequency of the word before"] == pytest.approx(np.log(10))
    assert was["words since the sentence began"] == pytest.approx(np.log(3))
    assert long_["begins a word"] and long_["length of the word"] == 4 and long_["punctuation next"]
    assert stop["punctuation"] and not stop["function word"] and we["punctuation before"]
    assert we["words since the sentence began"] == 0 and we["place among the documents"] == 0.25
    assert the["length of words so far"] == 3 and year["length of words so far"] == 3.5


def test_a_later_piece_of_a_word_is_of_that_word_and_begins_none():
    first, second, saw = known([" matt", "ered", " to"])[:3]
    assert first["begins a word"] and not second["begins a word"] and saw["begins a word"]
    assert first["length of the word"] == second["length of the word"] == 8
    assert first["frequency of the next word"] == second["frequency of the next word"]


def test_a_word_is_seen_once_it_stood_there():
    rows = known([" We", " saw", " New", " York", ",", " and", " we", " saw"])
    assert [row["word seen in the passage"] for row in rows] == [0, 0, 0, 0, 0, 0, 1, 1]


def test_byte_pairs_and_words_agree_on_the_beginnings_of_words():
    tokenizer = language_models.train_tokenizer(SENTENCES * 20, 300)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    one, other = cut(24, tokenizer=fast), cut(24)
    for name in ("begins a word", "function word", "frequency of the next word"):
        column = passages.FEATURES.index(name)
        values = []
        for found in (one, other):
            rows = passages.features(found, passages.word_counts([SENTENCES]), 2)[0]
            starts = rows[:, 0] > 0
            values.append(rows[starts, column][:8])
        np.testing.assert_array_equal(*values)


def test_words_are_counted_in_small_letters():
    counts = passages.word_counts([SENTENCES, "the sea's sea"])
    assert counts["the"] == 4 and counts["sea"] == 2 and counts["sea's"] == 1 and "1846" not in counts


def test_a_text_becomes_documents_of_some_length():
    text = "\n\n".join("word " * n for n in (10, 30, 5, 5, 40, 2))
    found = passages.sections(text, 120)
    assert len(found) == 2 and "".join(found.values()).split() == text.split()
    assert all(len(part) >= 120 for part in found.values())
    assert list(passages.sections("short", 120)) == ["section 1"]


def test_what_is_refused():
    with pytest.raises(ValueError, match="characters in a part of document 0 = 49: allowed is at least 144"):
        cut(documents=[SENTENCES])
    with pytest.raises(ValueError, match="length of a passage = 3"):
        cut(3)
    with pytest.raises(ValueError, match="tokens of a passage = 1: allowed is 12"):
        cut(documents=["a" * 200 + " b " + "c" * 5000 + " d" + "e" * 5000] * 2, per_document=1)
