"""Passages of documents as token contexts, and what is known of every token without any network.

The features of a token are told by its text alone: those of the token itself, and those of its context, the words
around it, the passage so far and the document that it is from. They are the same whatever the tokenizer.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from polysemanticity.base.checks import check
from polysemanticity.networks import data

CHARACTERS = 12  # of text for every token that is wanted, and as many more for a whole passage
SENTENCE = re.compile(r"(?<=[.!?])\s+")
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_WORDS = """
a all an and any are as at be been but by can for from had has have he her his i if in into is it its may more no not of
on or our shall should so such than that the their them there these they this those to upon was we were which who will
with would you your
"""
FUNCTION_WORDS = frozenset(_WORDS.split())
OF_TOKEN = (
    *(
        "begins a word",
        "punctuation",
        "digit",
        "capital",
        "function word",
        "length of the word",
        "frequency of the word",
    ),
)
OF_CONTEXT = (
    *("punctuation before", "frequency of the word before", "punctuation next", "frequency of the next word"),
    *("words since the sentence began", "word seen in the passage", "capitals so far", "digits so far"),
    *("length of words so far", "place among the documents"),
)
FEATURES = OF_TOKEN + OF_CONTEXT


class Passages(NamedTuple):
    """Passages of equal length in tokens: ids [n, T] with special tokens, document [n], the text of each, and spans.

    `spans` [n, t, 2] are the characters of each token that is part of the text; `special` says how many tokens of the
    tokenizer's own stand before and after them.
    """

    ids: Int[Tensor, "n T"]
    document: Int[np.ndarray, " n"]
    texts: tuple[str, ...]
    spans: Int[np.ndarray, "n t 2"]
    special: tuple[int, int]


def cut(
    documents: Sequence[str], tokenizer, length: int, per_document: int, rng: np.random.Generator, special: bool = False
) -> Passages:
    """Return `per_document` passages of `length` tokens of each document, drawn one in each equal part of it.

    A passage begins with a sentence where one begins near the place that was drawn. special: `length` counts the
    tokens that the tokenizer puts around a text. The same rng draws the same places for any tokenizer. Raises
    ValueError for documents that are too short.
    """
    check(length >= 4, "length of a passage", length, "at least 4 tokens")
    texts, document = [], []
    for index, text in enumerate(documents):
        for part in range(per_document):
            start, end = (len(text) * k // per_document for k in (part, part + 1))
            texts.append(_drawn(text[start:end], length, rng, f"document {index}"))
            document.append(index)
    found = tokenizer(
        texts, add_special_tokens=special, truncation=True, max_length=length, verbose=False,
        return_offsets_mapping=True, return_special_tokens_mask=True,
    )  # fmt: skip
    fewest = min(map(len, found["input_ids"]))
    check(fewest == length, "tokens of a passage", fewest, f"{length}: give longer documents, or shorter passages")
    of_text = np.flatnonzero(np.array(found["special_tokens_mask"])[0] == 0)
    before, after = int(of_text[0]), int(length - 1 - of_text[-1])
    spans = np.array(found["offset_mapping"])[:, before : length - after]
    return Passages(torch.tensor(found["input_ids"]), np.array(document), tuple(texts), spans, (before, after))


def _drawn(text: str, length: int, rng: np.random.Generator, name: str) -> str:
    size = CHARACTERS * length
    check(len(text) >= size, f"characters in a part of {name}", len(text), f"at least {size}: give longer documents")
    place = int(rng.integers(len(text) - size + 1))
    sentence = SENTENCE.search(text, place, len(text) - size + 1)
    return text[sentence.end() if sentence else place :][: 2 * size]


def word_counts(documents: Iterable[str]) -> Counter:
    """Return how often each word, in small letters, occurs."""
    return Counter(word.lower() for text in documents for word in WORD.findall(text))


def features(passages: Passages, counts: Mapping[str, int], n_documents: int) -> Float[np.ndarray, "n t features"]:
    """Return FEATURES of every token; frequencies are logarithms of counts + 1, other numbers counts or shares.

    counts: of words in other documents; n_documents: by which the place of a document is divided.
    """
    rows = [_of_passage(text, spans, counts) for text, spans in zip(passages.texts, passages.spans, strict=True)]
    place = np.broadcast_to(passages.document[:, None, None] / n_documents, (*passages.spans.shape[:2], 1))
    return np.concatenate([np.array(rows), place], axis=-1)


def _of_passage(text: str, spans: np.ndarray, counts: Mapping[str, int]) -> list[list[float]]:
    words = [(found.start(), found.end(), found.group().lower()) for found in WORD.finditer(text)]
    starts = np.array([start for start, _, _ in words])
    ends = np.array([end for _, end, _ in words])
    frequency = [np.log1p(counts.get(word, 0)) for _, _, word in words]
    sentence = np.array([0, *(found.end() for found in SENTENCE.finditer(text))])
    pieces = [text[start:end].strip() for start, end in spans]
    after = text[spans[-1][1] :].lstrip()[:1]
    marks = [_is_punctuation(piece) for piece in pieces]
    capitals = np.cumsum([any(map(str.isupper, piece)) for piece in pieces])
    digits = np.cumsum([any(map(str.isdigit, piece)) for piece in pieces])
    rows = []
    for t, (piece, (start, end)) in enumerate(zip(pieces, spans, strict=True)):
        first = end - len(text[start:end].lstrip())
        here = int(np.searchsorted(ends, first, "right"))  # the word that the token is of, or the next one
        inside = here < len(words) and starts[here] < end
        following = here + 1 if inside else here
        begun = sentence[np.searchsorted(sentence, first, "right") - 1]
        seen = here + 1 if inside else here
        of_token = [
            inside and starts[here] >= first,
            marks[t],
            any(map(str.isdigit, piece)),
            any(map(str.isupper, piece)),
            inside and words[here][2] in FUNCTION_WORDS,
            ends[here] - starts[here] if inside else 0,
            frequency[here] if inside else 0,
        ]
        of_context = [
            t > 0 and marks[t - 1],
            frequency[here - 1] if here > 0 else 0,
            marks[t + 1] if t + 1 < len(pieces) else _is_punctuation(after),
            frequency[following] if following < len(words) else 0,
            np.log1p(np.searchsorted(starts, first) - np.searchsorted(starts, begun)),
            inside and words[here][2] in {word for _, _, word in words[:here]},
            capitals[t] / (t + 1),
            digits[t] / (t + 1),
            float(np.mean(ends[:seen] - starts[:seen])) if seen else 0,
        ]
        rows.append([float(value) for value in of_token + of_context])
    return rows


def _is_punctuation(piece: str) -> bool:
    return bool(piece) and not any(map(str.isalnum, piece))


def sections(text: str, characters: int) -> dict[str, str]:
    """Return a text as documents of at least so many characters, made of `data.paragraphs`; a shorter rest joins the
    last."""
    found = [""]
    parts, joint = data.paragraphs(text, 4 * characters)
    for part in parts:
        if len(found[-1]) >= characters:
            found.append("")
        found[-1] += part + joint
    if len(found) > 1 and len(found[-1]) < characters:
        found[-2:] = ["".join(found[-2:])]
    return {f"section {number}": part for number, part in enumerate(found, start=1)}
