"""The picture that stands for the paper: one network before and after training, and the law under other conditions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from polysemanticity import incidental
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.claims import Claim
from polysemanticity.papers.incidental_polysemanticity import sparsification

CLAIMS: dict[str, Claim] = {}  # a picture of what others found
FREE, PRICED, FAVOURED = "sharing is free", "sharing has a price", "sharing is favoured"
MAP, COUNT = "weight", "shared neurons ÷ law"
# condition, what opposite signs on one neuron cost there, and the verdict's quantity that tells the count ÷ law
CONDITIONS = (
    ("published counts", FREE, "IP-03d", "count ÷ n²/4m, m > 2n"),
    ("gradient flow", FREE, "IP-03b", "count ÷ n²/4m, m > 2n"),
    ("√|w| in place of |w|", FREE, "IP-08b", "count ÷ exact count, √|w|"),
    ("untied weights", FREE, "IP-10b", "count ÷ exact count, untied weights, larger n"),
    ("tanh neurons", FREE, "IP-10c", "count ÷ exact count, hidden tanh, larger n"),
    ("opposite signs cost", PRICED, "IP-09a", "count ÷ exact count, opposite signs cost too, larger n"),
    ("ReLU neurons", PRICED, "IP-10a", "count ÷ exact count, hidden ReLU, larger n"),
    ("noise in place of λ", PRICED, "IP-07", "count ÷ n²/4m, |w| ≥ half the norm"),
    ("two linear layers, m = 2n", FAVOURED, "IP-11c", "count ÷ exact count, m = 2n"),
)


def table(maps: Results, rows: Mapping[str, Mapping], seed: int) -> pd.DataFrame:
    """Return the weights of the first network with two neurons per feature, at the start and the end, and the count ÷
    law of CONDITIONS from the rows of the claims that have been judged."""
    config, result = next(pair for pair in maps.pairs() if pair[0]["n_neurons"] == 2 * pair[0]["n_features"])
    n, m = config["n_features"], config["n_neurons"]
    first = streams.batch_seeds(seed, config["n_seeds"])[:1]
    start, end = incidental.initial_weights(n, m, first)[0].numpy(), result["weights"]
    _, shared = sparsification.ordered(end)
    places = _order(end)
    parts = [
        _entries(weights[places[0]][:, places[1]], name, shared) for name, weights in (("start", start), ("end", end))
    ]
    told = []
    for condition, cost, claim, quantity in CONDITIONS:
        low, high = rows[claim]["interval"][quantity]
        what = "paper" if condition.startswith("published") else "measured"
        place = {"what": what, "quantity": COUNT, "series": cost, "condition": condition, "claim": claim}
        told.append({**place, "value": rows[claim]["measured"][quantity], "low": low, "high": high})
    return pd.concat([*parts, pd.DataFrame(told)])


def _order(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and neurons in the order of a staircase, shared neurons first, unused ones last."""
    neuron = np.abs(weights).argmax(1)
    users = np.bincount(neuron, minlength=weights.shape[1])
    columns = np.argsort(-users, kind="stable")
    place = np.argsort(columns)
    largest = weights[np.arange(len(weights)), neuron]
    return np.lexsort((largest < 0, place[neuron])), columns


def _entries(weights: np.ndarray, name: str, shared: int) -> pd.DataFrame:
    feature, neuron = np.nonzero(weights)
    where = {"what": "measured", "quantity": MAP, "series": name, "shared neurons": shared}
    return pd.DataFrame({**where, "feature": feature + 1, "neuron": neuron + 1, "value": weights[feature, neuron]})
