"""Covariance of GPT-2's residual stream over more text than one worker should read: in shards, which merge.

A text is cut at ends of paragraphs into parts of about equal length; each part is one task of a sweep, so that any
number of workers share them and a run that was killed goes on with the parts that are left. A part's result are the
sums of `covariance.CovarianceSums` at every depth: (depths) x width^2 float64, however many tokens it has.
"""

import itertools
from collections.abc import Iterable, Mapping

import torch

from polysemanticity import spectra
from polysemanticity.base import runtime
from polysemanticity.base.checks import check
from polysemanticity.engine import sweep
from polysemanticity.networks import data, language_models

FIRST = 1  # tokens left out at the start of every context
CONTEXTS = 64  # passed through the network at a time: their activity is all that is held


def residual_spectra(
    checkpoint: str, text: str, context: int, n_shards: int, run: runtime.Run, precision: str = "float32"
) -> list[spectra.Spectrum]:
    """Return the spectrum of every depth, the embedding first, over all contexts of `n_shards` parts of a text.

    checkpoint: a folder or hub name, as in `language_models.open_checkpoint`. text: a UTF-8 file; empty for the one
    that everyone has. context: tokens of a context; the first one is left out; precision: of the
    computation. The numbers depend on `n_shards`, which
    decides where contexts are cut and what is summed first, not on the number of workers. Two parts' sums are held at a
    time here, and as many as there are parts in the store.
    Raises ValueError for more shards than paragraphs, a part shorter than a context, and what opening text and
    checkpoint raises; RuntimeError where a cluster's worker has another text.
    """
    shared = {"checkpoint": checkpoint, "text": text, "context": context, "precision": precision}
    whole = parts(data.english_text(text or None), n_shards)
    configs = [{**shared, "place": [k, n_shards], "content": data.fingerprint(part)} for k, part in enumerate(whole)]
    return [sums.spectrum() for sums in merged(sweep.each(sums_of_part, configs, [run.seed], run))]


def sums_of_part(*, seed, device, checkpoint, text, content, place, context, precision) -> dict:
    """Return count, mean [depth, width] and scatter [depth, width, width] of one part's residual stream."""
    part = _part(text, place)
    opened = language_models.open_checkpoint(checkpoint)
    tokens = language_models.contexts(part, language_models.tokenizer_of(opened), context)
    batches = (_sums(opened, batch, device, precision) for batch in tokens.split(CONTEXTS))
    sums = _merged(batches)
    return {
        "count": sums[0].count,
        "mean": torch.stack([depth.mean for depth in sums]).cpu().numpy(),
        "scatter": torch.stack([depth.scatter for depth in sums]).cpu().numpy(),
    }


def merged(results: Iterable[Mapping]) -> list[spectra.CovarianceSums]:
    """Return the sums of every depth over all results of `sums_of_part`, in their order."""
    return _merged(
        [
            spectra.CovarianceSums(result["count"], torch.from_numpy(mean), torch.from_numpy(scatter))
            for mean, scatter in zip(result["mean"], result["scatter"], strict=True)
        ]
        for result in results
    )


def parts(text: str, n_parts: int) -> list[str]:
    """Return the text cut at ends of paragraphs (an empty line), else of lines or sentences, into equal lengths."""
    check(n_parts >= 1, "n_shards", n_parts, "at least 1")
    for mark in ("\n\n", "\n", ". "):
        ends = [0, *(text.find(mark, round(len(text) * k / n_parts)) for k in range(1, n_parts)), len(text)]
        if all(start < end for start, end in itertools.pairwise(ends)):
            return [text[start:end] for start, end in itertools.pairwise(ends)]
    check(False, "n_shards", n_parts, "fewer than the paragraphs of the text, so that each part has one")
    return []


def fingerprint_here(config) -> str:
    """Return the fingerprint of the part of the text that a config of `sums_of_part` means on this machine."""
    return data.fingerprint(_part(config["text"], config["place"]))


def _part(text: str, place: list[int]) -> str:
    index, n_shards = place
    return parts(data.english_text(text or None), n_shards)[index]


def _sums(opened, tokens: torch.Tensor, device: str, precision: str) -> list[spectra.CovarianceSums]:
    """The sums of every depth, in float64 on the device."""
    layers = language_models.layers(opened, tokens, device=device, precision=precision)
    return [spectra.CovarianceSums.of(layer.residual[:, FIRST:].flatten(0, 1)) for layer in layers]


def _merged(groups: Iterable[list[spectra.CovarianceSums]]) -> list[spectra.CovarianceSums]:
    total: list[spectra.CovarianceSums] | None = None
    for sums in groups:
        total = sums if total is None else [one.merge(other) for one, other in zip(total, sums, strict=True)]
    return total
