"""Whether networks trained anew, with other seeds and the same recipe, lead to the same verdicts.

`python -m polysemanticity.papers.coding_theory_spectra --compare FOLDER` measures the networks in FOLDER as
`vision.vae` does the stored ones and writes what each row of the ledger comes to; here that record is read.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import scipy

from polysemanticity import claims
from polysemanticity.base.checks import check
from polysemanticity.base.results import Results
from polysemanticity.claims import Measured
from polysemanticity.papers.coding_theory_spectra import across_layers, learnt_vaes, vision

RECORD = "retrained.json"


def rows(nets: Results) -> dict[str, Measured]:
    """Return what decides each row that rests on the ResNet-VAEs alone."""
    found = {"CT-03a": vision.measured_depth(nets, 0.0), "CT-03b": vision.measured_depth(nets, 0.2)}
    found["CT-04"] = vision.measured_views(nets)
    for letter, key in zip("abc", vision.QUANTITIES, strict=True):
        found[f"CT-05{letter}"] = vision.measured_dropout(nets, key)
    for letter, key in zip("def", vision.QUANTITIES, strict=True):
        found[f"CT-05{letter}"] = vision.measured_dropout(nets, key, equal_loss=True)
    for letter, key in zip("ab", ("roughness", "r2"), strict=True):
        found[f"CT-06{letter}"] = vision.measured_dot(nets, key)
        found[f"CT-19{letter}"] = across_layers.measured_steep(nets, key)
    found["CT-19c"] = across_layers.measured_beyond_depth(nets)
    found["CT-19d"] = across_layers.measured_training(nets)
    found["CT-20a"] = across_layers.measured_survival(nets)
    for letter, equal in zip("bc", (False, True), strict=True):
        found[f"CT-20{letter}"] = across_layers.measured_survival_under_dropout(nets, equal)
    return found


def verdicts(nets: Results) -> dict[str, str]:
    """Return the verdict of each row that rests on the ResNet-VAEs alone."""
    rules = vision.CLAIMS | across_layers.CLAIMS
    return {name: claims.verdict_of(rules[name], measured.quantities) for name, measured in sorted(rows(nets).items())}


def measure(place: Path) -> dict:
    """Return the verdicts of the networks in a folder, of all seeds that it has at every rate; minutes of computing.

    Raises ValueError where fewer than two such seeds are there, or one is also a stored network's.
    """
    listed = learnt_vaes.listed(place)["networks"]
    every = sorted({network["seed"] for network in listed.values()})
    seeds = [n for n in every if all(learnt_vaes.name(rate, n) in listed for rate in learnt_vaes.RATES)]
    check(len(seeds) >= 2, "seeds that have networks of all rates", seeds, "at least 2")
    check(not set(seeds) & set(learnt_vaes.SEEDS), "seeds", seeds, f"others than the stored {learnt_vaes.SEEDS}")
    configs = [{**config, "place": str(place)} for config in vision.networks(vision.Settings(), 0)]
    results = [[vision.vae(seed=n, device="cpu", **config) for n in seeds] for config in configs]
    nets = Results(configs, results)
    quantities = {name: measured.quantities for name, measured in rows(nets).items()}
    return {
        "seeds": seeds,
        "held-out pixel R2": dict(
            zip(map(str, learnt_vaes.RATES), nets.array("pixel_r2").mean(1).round(4).tolist(), strict=True)
        ),
        "verdicts": verdicts(nets),
        "measured": {
            name: {key: [float(f"{end:.6g}") for end in estimate] for key, estimate in of_row.items()}
            for name, of_row in quantities.items()
        },
    }


def record() -> dict:
    """Return the record of the networks that were trained anew; an empty one where none was made."""
    path = learnt_vaes.folder() / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"seeds": [], "verdicts": {}}


def table(nets: Results, columns: Sequence[str] = ("these networks", "trained anew")) -> pd.DataFrame:
    """Return row by row the verdict on the networks of a run and that on the networks trained anew."""
    here, anew = verdicts(nets), record()["verdicts"]
    both = [{"row": name, columns[0]: verdict, columns[1]: anew.get(name, "–")} for name, verdict in here.items()]
    return pd.DataFrame(both)


def in_words(nets: Results) -> str:
    """Return in a sentence how many rows come out the same on networks trained anew."""
    found, here = record(), verdicts(nets)
    if not found["seeds"]:
        return "No networks trained anew are recorded in this checkout."
    anew = found["verdicts"]
    same = [name for name, verdict in here.items() if anew.get(name) == verdict]
    decided = {claims.HOLDS, claims.FAILS}
    opposite = [name for name, verdict in here.items() if {verdict, anew.get(name)} == decided]
    undecided = [name for name in here if anew.get(name) == claims.UNCLEAR and name not in same]
    n, used = len(found["seeds"]), vision.n_seeds(nets)
    told = (
        f"On {n * len(learnt_vaes.RATES)} networks trained anew, with {n} other seeds, {len(same)} of {len(here)} rows "
        f"have the same verdict. Decided here and unclear there: {', '.join(undecided) or 'none'}. Hold on one side "
        f"and fail on the other: {', '.join(opposite) or 'none'}."
    )
    if n == used:
        return told
    return (
        f"{told} An interval over {n} networks is {_width(n) / _width(used):.1f} times as wide as one over {used} that "
        "scatter as much."
    )


def _width(n_networks: int) -> float:
    """Half the width of a 95 % t interval over networks that scatter by 1."""
    return float(scipy.stats.t.ppf(0.975, n_networks - 1) / n_networks**0.5)
