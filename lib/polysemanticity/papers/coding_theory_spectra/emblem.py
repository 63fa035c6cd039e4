"""The picture that stands for the paper: where random projections of a power-law code are smooth, and two of them."""

import pandas as pd

from polysemanticity.base.results import Results
from polysemanticity.claims import Claim
from polysemanticity.papers.coding_theory_spectra import circle_codes, projected

CLAIMS: dict[str, Claim] = {}  # a picture of what others found
SHOWN = (2.0, 4.0)  # exponents of two codes of an angle: below and above the threshold of one dimension


def table(steps: Results, seed: int) -> pd.DataFrame:
    """Return the measured thresholds of the exponent, the two laws for them, and a projection of each of two codes."""
    curves = circle_codes.stringer_table(seed)
    curves = curves[(curves["series"] == "projection") & curves["exponent a"].isin(SHOWN)]
    kept = ["what", "series", "exponent a", "turn", *circle_codes.AXES]
    return pd.concat([projected.thresholds_part(steps), curves[kept].assign(quantity="projection")])
