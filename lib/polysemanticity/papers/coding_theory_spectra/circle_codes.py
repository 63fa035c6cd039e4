"""Codes of an angle: what does a smooth code look like?"""

import numpy as np
import pandas as pd

from polysemanticity import projections
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.projections import stimuli

CLAIMS: dict[str, Claim] = {}  # a picture of what others found

CIRCLES = (2.0, 3.0, 4.0)  # exponents of the synthetic codes of an angle
N_ANGLES, N_CIRCLE_UNITS, N_DRAWN = 4096, 1000, 1024  # the last: how many of the angles a picture shows
AXES = ("axis 1", "axis 2", "axis 3")
STEPS = (16, 32, 64, 128, 256)  # per turn, when their action is measured


def stringer_table(seed: int) -> pd.DataFrame:
    """Return random projections of Stringer's codes of an angle, and the codes' action against the number of steps."""
    drawn = projections.random_projection(N_CIRCLE_UNITS, 3, streams.rng(seed, "stringer"))
    steps, frames = np.array(STEPS), []
    for a in CIRCLES:
        code = stimuli.circular_code(N_ANGLES, N_CIRCLE_UNITS, a)
        axes = dict(zip(AXES, (code[:: N_ANGLES // N_DRAWN] @ drawn).T, strict=True))
        path = np.array([projections.action(code[:: N_ANGLES // t], 2 * np.pi / t, closed=True) for t in STEPS])
        place = {"exponent a": a, "steps per turn T": steps}
        law, name = action_law(a, steps)
        frames += [
            {"what": "measured", "series": "projection", "exponent a": a, "turn": np.arange(N_DRAWN) / N_DRAWN, **axes},
            {"what": "measured", "series": "measured", **place, f"action ÷ action at T = {STEPS[0]}": path / path[0]},
            {"what": "corrected", "series": name, **place, f"action ÷ action at T = {STEPS[0]}": law / law[0]},
        ]
    return pd.concat(map(pd.DataFrame, frames))


def action_law(exponent: float, steps: np.ndarray) -> tuple[np.ndarray, str]:
    """Return how the action of a turn grows with many steps T, but for a factor, and its name.

    It is T² Σ k^-a (1 - cos(2πk/T)) but for a factor: T^(3-a) for a below 3, 3/2 - ln(2π/T) at 3, finite above.
    """
    if exponent == 3:
        return 1.5 - np.log(2 * np.pi / steps), "grows as log T"
    power = max(3 - exponent, 0)
    return steps**power, "stays finite" if power == 0 else "grows as T" if power == 1 else f"grows as T^{power:g}"
