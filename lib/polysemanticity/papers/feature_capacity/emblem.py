"""The picture that stands for the paper: the phase diagram, and how three of its points divide the dimensions."""

import numpy as np
import pandas as pd

from polysemanticity import capacity
from polysemanticity.base.results import Results
from polysemanticity.capacity import phases
from polysemanticity.claims import Claim
from polysemanticity.papers.feature_capacity import phase_diagram

CLAIMS: dict[str, Claim] = {}  # a picture of what others found
KURTOSIS = 12.0
POINTS = {"no room": 0.2, "a shared room": 1.2, "a room of its own": 6.0}  # importance ÷ that of the others
BAR = "dimensions of a feature"


def table(trained: Results) -> pd.DataFrame:
    """Return the phase diagram of models trained on samples with its predicted edges, and the optimal division of the
    dimensions at POINTS, one row a feature, the special one first."""
    diagram = phase_diagram.special_table(trained)
    n, d = (trained.configs[0][name] for name in ("n_features", "n_dims"))
    parts = [diagram[(diagram["series"] != "theory") & (diagram["quantity"] != phase_diagram.LETTERS)]]
    for name, ratio in POINTS.items():
        c = capacity.optimal_allocation(phases.special_importance([ratio], n)[0], KURTOSIS, d).capacity[::-1]
        where = {"what": "paper", "quantity": BAR, "series": name, phase_diagram.RATIO: ratio, "kurtosis κ": KURTOSIS}
        where |= {"1/kurtosis": 1 / KURTOSIS, "feature": np.arange(n) + 1, "value": c}
        parts.append(pd.DataFrame(where))
    return pd.concat(parts).assign(**{"features N": n, "dimensions D": d})
