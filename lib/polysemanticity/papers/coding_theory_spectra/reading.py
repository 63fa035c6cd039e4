"""A trained language model reads passages of a text, and what is measured of it: the worker of `real_language`.

SmolLM2-135M and all-MiniLM-L6-v2 ship as packages, as do the presidential addresses; any other network of the hub or a
folder can be given. Every other document judges. Left out: the first token of every passage and the tokenizer's own,
whose activity is of another size, and outlier units of the stream.

A network has learnt if it passes its gate: a causal model if its loss is below a trigram's of the same tokens, an
encoder if its sentence embedding brings two passages of one document nearer to each other than shared words do.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from polysemanticity import intervals, spectra
from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.networks import data, hooks, ngrams, packaged, passages
from polysemanticity.papers.coding_theory_spectra import at_depth
from polysemanticity.papers.coding_theory_spectra.at_depth import SMOOTH, Halves
from polysemanticity.projections import traces

NAMES = {"smollm2": "SmolLM2", "minilm": "MiniLM"}  # of the networks that ship as packages
PACKAGED = {"smollm2": packaged.smollm2, "minilm": packaged.minilm}
OUTLIER = 5.0  # a unit of the stream whose root mean square is above this many medians is left out
SKIP = 1  # tokens left out at the start of a passage
STEPS = 8  # neurons that a feature is read from, and traces that are added to them
BATCH = 16  # passages that pass a network at a time


class Opened(NamedTuple):
    """A network in eval mode, its tokenizer, and whether it predicts the next token."""

    model: nn.Module
    tokenizer: object
    causal: bool


def fingerprint_here(config) -> str:
    """Return the fingerprint of the network and the text that a config of `read` means on this machine."""
    return f"{_identity(config['network'])} {_text_identity(config['text'])}"


def _identity(network: str) -> str:
    if network in NAMES:
        return packaged.PACKAGES[network].sha256 if packaged.available()[network] else "absent"
    folder = Path(network).expanduser()
    if not folder.is_dir():
        return network
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _text_identity(text: str) -> str:
    if text:
        return data.fingerprint(data.english_text(text))
    return packaged.PACKAGES["addresses"].sha256 if packaged.available()["addresses"] else "absent"


def missing(config) -> str:
    """Return which packages a config needs that are not installed here, with the command that gets them, or nothing."""
    here = packaged.available()
    wanted = ([config["network"]] if config["network"] in NAMES else []) + ([] if config["text"] else ["addresses"])
    absent = [packaged.PACKAGES[name].pin for name in wanted if not here[name]]
    return f"not installed here: {', '.join(absent)}; to get it: {packaged.COMMAND}" if absent else ""


def open_network(network: str, device: str | torch.device = "cpu") -> Opened:
    """Return a network that ships as a package, that of a hub name or that in a folder; float32, in eval mode.

    A network whose configuration names a class for causal language models is one; any other is taken as an encoder.
    Only safetensors are read. Raises ValueError for what cannot be opened.
    """
    if network in NAMES:
        found = PACKAGED[network]()
        return Opened(found.model.to(device), found.tokenizer, network == "smollm2")
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(network)
        causal = (config.architectures or [""])[0].endswith(("ForCausalLM", "LMHeadModel"))
        kind = AutoModelForCausalLM if causal else AutoModel
        with packaged.without_progress_bars():
            model = kind.from_pretrained(network, config=config, dtype=torch.float32, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(network, use_fast=True)
    except (OSError, ValueError, KeyError) as error:
        allowed = f"one of {', '.join(NAMES)}, a hub name where there is a network, or a folder of transformers"
        raise ValueError(
            f"network = {network!r}: allowed is {allowed} ({' '.join(str(error).split())[:200]})"
        ) from error
    return Opened(model.to(device).eval(), tokenizer, causal)


def documents(text: str, most: int, smallest: int) -> list[str]:
    """Return the addresses, or sections of a text of at least `smallest` characters, evenly spaced where too many."""
    whole = passages.sections(data.english_text(text), smallest) if text else packaged.addresses()
    found = list(whole.values())
    check(len(found) >= 4, "documents in the text", len(found), f"at least 4 of {smallest} characters")
    return [found[k] for k in np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)]


def read(
    *, seed, device, network, text, content, most_documents, per_document, length, depths, neuron_depths, n_directions,
    n_candidates,
) -> dict:  # fmt: skip
    """Open a network, let it read passages, and return what is measured of each depth; the first axis is the depth.

    Every other document judges. Where a package is not installed the only value is `missing`, a sentence.
    """
    absent = missing({"network": network, "text": text})
    if absent:
        return {"missing": absent}
    texts = documents(text, most_documents, smallest=2 * passages.CHARACTERS * length * per_document)
    opened = open_network(network, device)
    cut = passages.cut(
        texts, opened.tokenizer, length, per_document, streams.rng(seed, "passages"), special=not opened.causal
    )
    judges = cut.document % 2 == 1
    blocks = len(hooks.stack(opened.model).blocks)
    of_stream, of_neurons = which_depths(blocks, depths, neuron_depths)
    layers = [f"residual.{k}" for k in of_stream] + [f"neurons.{k}" for k in of_neurons]
    activity, nats = passed(opened, cut, layers, judges)
    if opened.causal:
        gate = against_trigram(opened, cut, texts[::2], nats, judges)
    else:
        gate = against_shared_words(activity[f"residual.{blocks}"], cut, texts[::2], judges)
    gate |= {"causal": opened.causal, "blocks": blocks}
    del opened

    names, features = _features(cut, texts, judges)
    inside = slice(cut.special[0] + SKIP, length - cut.special[1])
    found: dict[str, list] = {}
    shown: dict = {}
    for depth in of_stream:
        rng = streams.rng(seed, f"directions {depth}")
        stream = Halves(*(activity[f"residual.{depth}"][part, inside] for part in (~judges, judges)), features.document)
        del activity[f"residual.{depth}"]
        outliers = traces.outlier_units(stream.select, OUTLIER)
        stream = stream.of(~outliers)
        row = {"outliers": int(outliers.sum()), **_spectrum("stream", at_depth.law(stream), stream.n_documents)}
        stream = stream.centred()
        kinds = at_depth.directions(stream.select, n_directions, n_candidates, rng)
        _append(found, row | _smoothness(stream, kinds))
        if depth in of_neurons:
            neurons = activity.pop(f"neurons.{depth}")
            neurons = Halves(neurons[~judges, inside], neurons[judges, inside], features.document)
            row = _spectrum("neurons", at_depth.law(neurons), neurons.n_documents)
            neurons = neurons.centred()
            row |= _beside_neurons(stream, neurons, features, kinds, rng, n_directions, n_candidates)
            _append(found, row)
            if depth == of_neurons[len(of_neurons) // 2]:
                shown = _trace(stream, neurons, kinds, cut, judges)
    halves = (int((~judges).sum()), int(judges.sum()))
    return {
        **{name: np.array(values) for name, values in found.items()},
        **gate,
        **shown,
        "stream_depth": np.array(of_stream),
        "neurons_depth": np.array(of_neurons),
        "features": names,
        "documents": [half // per_document for half in halves],
        "rows": [half * features.judge.shape[1] for half in halves],
    }


def which_depths(blocks: int, depths: int, neuron_depths: int) -> tuple[list[int], list[int]]:
    """Return the depths of the stream that are looked at, the embedding first, and those of the neurons among them."""
    of_stream = sorted({0, *np.linspace(1, blocks, min(depths, blocks)).round().astype(int).tolist()})
    chosen = np.linspace(1, len(of_stream) - 1, min(neuron_depths, len(of_stream) - 1)).round().astype(int)
    return of_stream, sorted({of_stream[k] for k in chosen})


def _features(cut: passages.Passages, texts: Sequence[str], judges: np.ndarray) -> tuple[list[str], Halves]:
    """The features that vary, by name, and their values, centred and of variance 1 on the half that selects."""
    known = passages.features(cut, passages.word_counts(texts[::2]), len(texts))[:, SKIP:]
    halves = Halves(known[~judges], known[judges], cut.document[judges] // 2).centred()
    size = halves.select.std((0, 1))
    names = [name for name, one in zip(passages.FEATURES, size, strict=True) if one > 0]
    halves, size = halves.of(size > 0), size[size > 0]
    return names, halves._replace(select=halves.select / size, judge=halves.judge / size)


def passed(
    opened: Opened, cut: passages.Passages, layers: Sequence[str], judges: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return the activity of layers, float32 [passage, token, unit], and a causal model's nats where it is judged.

    Nats [passage, token], of every token but the first, from what comes out of the final norm.
    """
    n, length = cut.ids.shape
    head = opened.model.get_output_embeddings() if opened.causal else None
    wanted = [*layers, "final"] if head is not None else layers
    found: dict[str, np.ndarray] = {}
    nats = []
    batches = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in cut.ids.split(BATCH)]
    for start, batch in zip(range(0, n, BATCH), hooks.activity(opened.model, batches, wanted), strict=True):
        for layer in layers:
            rows = batch[layer].view(-1, length, batch[layer].shape[-1]).cpu().numpy()
            found.setdefault(layer, np.empty((n, *rows.shape[1:]), rows.dtype))[start : start + len(rows)] = rows
        if head is not None:
            chosen = torch.from_numpy(judges[start : start + BATCH])
            final = batch["final"].view(-1, length, batch["final"].shape[-1])[chosen.to(batch["final"].device)]
            nats.append(_nats(head, final, cut.ids[start : start + BATCH][chosen]))
    return found, np.concatenate(nats) if nats else None


@torch.no_grad()
def _nats(head: nn.Module, final: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    losses = [
        nn.functional.cross_entropy(head(row[:-1]).float(), own[1:].to(row.device), reduction="none")
        for row, own in zip(final, ids, strict=True)
    ]
    return torch.stack(losses).cpu().numpy() if losses else np.zeros((0, ids.shape[1] - 1))


def against_trigram(
    opened: Opened, cut: passages.Passages, counted: Sequence[str], nats: np.ndarray, judges: np.ndarray
) -> dict:
    """Return a causal model's loss and a trigram's on the passages that judge, and how much better it is, in nats.

    counted: documents of which the trigram is made. Tokens from the third of a passage on, so that it has both that it
    needs; means over documents.
    """
    ids = opened.tokenizer(list(counted), add_special_tokens=False, verbose=False)["input_ids"]
    table = ngrams.Trigram([np.array(row) for row in ids], opened.model.config.vocab_size)
    theirs = np.array([table.nats(row)[2:].mean() for row in cut.ids[torch.from_numpy(judges)].numpy()])
    own = nats[:, 1:].mean(1)
    return _gate(*(_by_document(values, cut.document[judges]) for values in (own, theirs)), higher=False)


def against_shared_words(last: np.ndarray, cut: passages.Passages, counted: Sequence[str], judges: np.ndarray) -> dict:
    """Return how often an encoder, and how often shared words, bring passages of one document nearer than of two.

    The encoder by the cosine of mean activity after the last block, `last` [passage, token, unit]; words by that of
    tf-idf, whose frequencies are those of pieces of the documents `counted`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text[: spans[-1][1]] for text, spans in zip(cut.texts, cut.spans, strict=True)]
    size = int(np.mean([len(text) for text in texts]))
    pieces = [text[start : start + size] for text in counted for start in range(0, len(text), size)]
    tfidf = TfidfVectorizer(sublinear_tf=True).fit(pieces)
    words = tfidf.transform([text for text, judge in zip(texts, judges, strict=True) if judge]).toarray()
    mean = last[judges].mean(1)
    meant = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    own, theirs = (nearer(part @ part.T, cut.document[judges]) for part in (meant, words))
    return _gate(own, theirs, higher=True)


def nearer(likeness: np.ndarray, document: np.ndarray) -> np.ndarray:
    """Return for each document how often two of its passages are more alike than one of them and another's.

    Ties count half.
    """
    found = []
    for one in np.unique(document):
        here = np.flatnonzero(document == one)
        others = likeness[np.ix_(here, document != one)]
        same = [np.delete(likeness[place, here], k) for k, place in enumerate(here)]
        wins = [
            np.mean((own[:, None] > other) + 0.5 * (own[:, None] == other))
            for own, other in zip(same, others, strict=True)
        ]
        found.append(np.mean(wins))
    return np.array(found)


def _by_document(values: np.ndarray, document: np.ndarray) -> np.ndarray:
    return np.array([values[document == one].mean() for one in np.unique(document)])


def _gate(own: np.ndarray, theirs: np.ndarray, higher: bool) -> dict:
    better = intervals.mean(own - theirs if higher else theirs - own)
    return {"gate_own": float(own.mean()), "gate_baseline": float(theirs.mean()), "gate_better": np.array(better)}


def _append(found: dict[str, list], row: dict) -> None:
    for name, value in row.items():
        found.setdefault(name, []).append(value)


def _spectrum(name: str, law: at_depth.Law | None, n_documents: int) -> dict:
    """What is kept of a layer's law, NaN where there is none."""
    nothing = (np.nan, np.nan, np.nan)
    row = {
        "exponent": np.array(nothing),
        "bend": np.array(nothing),
        "window": (0, 0),
        "eigenvalues": np.full(at_depth.RANKS, np.nan),
    }
    row |= dict.fromkeys(("stderr", "sampling", "chosen", "n_effective", "at", "participation"), np.nan)
    row |= {"influence": np.full(n_documents, np.nan)}
    if law is not None:
        values = law.spectrum.eigenvalues[: at_depth.RANKS]
        row["eigenvalues"][: len(values)] = values / values[0]
        found = law.exponent
        row |= {
            "exponent": np.array((found.law.exponent, *found.interval)),
            "stderr": found.stderr,
            "sampling": found.law.stderr,
            "influence": found.influence,
            "window": (found.law.first, found.law.last),
            "chosen": law.chosen,
            "n_effective": law.n_effective,
            "bend": np.array(law.bend),
            "at": law.at,
            "participation": spectra.participation_ratio(law.spectrum),
        }
    return {f"{name}_{key}": value for key, value in row.items()}


def _smoothness(stream: Halves, kinds: dict[str, np.ndarray]) -> dict:
    """Roughness of each kind of SMOOTH on both halves, and what the smoothest direction carries."""
    smoothest = kinds["smoothest"]
    variance = traces.quadratic(traces.covariance(stream.judge), smoothest / np.linalg.norm(smoothest))[0]
    return {
        "rough_chosen": at_depth.roughness(stream.select, kinds),
        "rough": np.array(at_depth.roughness(stream.judge, kinds, stream)).T,
        "smoothest_kept": at_depth.kept_by_passage(stream.judge, smoothest),
        "smoothest_variance": variance / stream.judge.var((0, 1)).mean(),
    }


def _beside_neurons(stream, neurons, features, kinds, rng, n_directions: int, n_candidates: int) -> dict:
    """At a depth with neurons: roughness among shuffled tokens, how linear they are, what projections tell beside."""
    mixed = stream._replace(
        select=traces.shuffled(stream.select, rng, keep_position=True),
        judge=traces.shuffled(stream.judge, rng, keep_position=True),
    )
    by_chance = at_depth.directions(mixed.select, n_directions, n_candidates, rng)
    told = at_depth.told(stream, neurons, features, kinds, STEPS, rng)
    return {
        "rough_shuffled": np.array(at_depth.roughness(mixed.judge, by_chance, mixed)).T,
        "nonlinear": np.array(at_depth.nonlinear_share(stream, neurons)),
        "base": told.base,
        "added": told.added,
        "added_chosen": told.chosen,
        "added_mean": np.array(told.mean).T,
        "added_more": np.array(told.more).T,
    }


def _trace(stream: Halves, neurons: Halves, kinds, cut: passages.Passages, judges: np.ndarray) -> dict:
    """Traces over the words of the passage that judges with the most tokens that begin a word."""
    texts = [text for text, judge in zip(cut.texts, judges, strict=True) if judge]
    tokens = [[text[a:b] for a, b in spans] for text, spans in zip(texts, cut.spans[judges][:, SKIP:], strict=True)]
    passage = int(np.argmax([sum(token.strip()[:1].isalpha() for token in row) for row in tokens]))
    live = neurons.judge[passage].std(0)
    values = [stream.judge[passage] @ kinds[kind][:, 0] for kind in SMOOTH]
    values.append(neurons.judge[passage][:, np.argsort(live)[len(live) // 2]])
    return {"trace": np.array(values), "words": [token.replace("\n", "↵") for token in tokens[passage]]}
