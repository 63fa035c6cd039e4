r"""Trigrams: what a language model has to beat before anything is said of it.

Witten and Bell's interpolation (1991): with c(h) tokens counted after a history h, T(h) kinds of them,

$$P(w\mid h)=\frac{c(hw)+T(h)\,P(w\mid h')}{c(h)+T(h)},$$

where h' is h without its first token, and at the end all tokens of the vocabulary are equally likely.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from polysemanticity.base.checks import check


class Trigram:
    """Interpolated frequencies of tokens after the two before them, counted within documents.

    Raises ValueError for no tokens, and for one that is not below `n_tokens`, the size of the vocabulary.
    """

    def __init__(self, documents: Sequence[Int[np.ndarray, " tokens"]], n_tokens: int):
        check(sum(map(len, documents)) > 0, "documents", len(documents), "at least one with a token")
        self.n_tokens, self.counts = n_tokens, []
        for order in range(3):
            grams = np.concatenate([self._coded(document, order) for document in documents])
            kinds, count = np.unique(grams, return_counts=True)
            histories, place = np.unique(kinds // n_tokens, return_inverse=True)
            total, types = np.bincount(place, count), np.bincount(place)
            self.counts.append((kinds, count, histories, total, types))

    def _coded(self, tokens, order: int) -> np.ndarray:
        """One number for every token with `order` tokens before it, for those that have as many."""
        tokens = np.asarray(tokens, dtype=np.int64)
        fits = tokens.ndim == 1 and (len(tokens) == 0 or (tokens.min() >= 0 and tokens.max() < self.n_tokens))
        check(fits, "tokens", tokens.shape, f"a row of whole numbers from 0 to {self.n_tokens - 1}")
        code = np.zeros(max(len(tokens) - order, 0), dtype=np.int64)
        for k in range(order + 1):
            code = code * self.n_tokens + tokens[k : k + len(code)]
        return code

    def nats(self, tokens: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, " tokens"]:
        """Return −ln P of every token of a text, after as many of the two before it as there are."""
        found = np.full(len(tokens), 1 / self.n_tokens)
        for order, (kinds, count, histories, total, types) in enumerate(self.counts):
            code = self._coded(tokens, order)
            seen = _looked_up(kinds, count, code)
            after, different = (_looked_up(histories, values, code // self.n_tokens) for values in (total, types))
            known = after > 0
            place = order + np.flatnonzero(known)
            share = (seen + different * found[order:])[known] / (after + different)[known]
            found[place] = share
        return -np.log(found)


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
