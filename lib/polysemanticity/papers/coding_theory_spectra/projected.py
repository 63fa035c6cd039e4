"""Smoothness and action of random projections of power-law codes: CT-07 and CT-08."""

import numpy as np

from polysemanticity import projections
from polysemanticity.base import streams
from polysemanticity.claims import Claim
from polysemanticity.projections import smoothness

STEPS = 2 ** np.arange(5, 13)  # steps per turn at which a path is looked at
FINE = 5  # of these, the finest, between which the power is fitted
DIMENSIONS = (1, 2, 4)
ROUGH, POWERS = (0.5, 1.0, 1.5), (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # d(a - 1)
_SOURCE = "Marshall & Kirchner 2024"

FIGURES = {
    "figx_smoothness": "Squared step of random projections against the step's length, in one dimension; "
    "the power against the spectral exponent for one, two and four dimensions; the threshold against the dimension.",
    "figx_action": "Mean squared projection over the paper's value and over the corrected one against the exponent, "
    "for three numbers of units; and the finite sum of the spectrum beside the zeta function.",
}

CLAIMS: dict[str, Claim] = {
    "CT-07": Claim(
        id="CT-07",
        claim="Projections are smooth if and only if alpha <= -1",
        source=f"{_SOURCE}, main text and supplement 2.5",
        paper="threshold a = 1, whatever the stimulus; its probe, a dot on a circle, has one dimension",
        rule={"threshold of a, d = 1": (0.9, 1.1)},
        reason="Threshold: the exponent at which a projection's squared steps fall as the square of their length, as "
        "those of a differentiable curve do; a line through the powers at d(a - 1) = .5, 1, 1.5, continued to 2. The "
        "powers are fitted on 256 to 4096 steps per turn; d(a - 1) = 2 itself is left out of the rule because there "
        "the squared step falls as the square times a logarithm. 0.1 is what the finite range of steps allows. "
        "Not blind: the powers had been looked at in pilots.",
        corrected={
            "threshold less 1 + 2/d, d = 1": (-0.1, 0.1),
            "threshold less 1 + 2/d, d = 2": (-0.1, 0.1),
            "threshold less 1 + 2/d, d = 4": (-0.1, 0.1),
            "power less min(2, d(a - 1)), least": (-0.1, 0.1),
            "power less min(2, d(a - 1)), most": (-0.1, 0.1),
        },
        correction="smooth if and only if a > 1 + 2/d for a stimulus with d dimensions; a > 1 is its limit for many",
    ),
    "CT-08": Claim(
        id="CT-08",
        claim="The expected action of a random projection is ½ζ(-alpha)",
        source=f"{_SOURCE}, supplement 2.5",
        paper="½ Σ i^alpha ~ ½ ζ(-alpha) for three directions with entries of variance 1/m",
        rule={"measured ÷ ½ζ(a), a = 1.5": (0.95, 1.05)},
        reason="At a = 1.5 the sum has nearly converged for the largest m here, so that only the constant is tested. "
        "5 % is three times the sampling error or more.",
        corrected={
            "measured ÷ (3/2m) Σ i^-a, least": (0.95, 1.05),
            "measured ÷ (3/2m) Σ i^-a, most": (0.95, 1.05),
        },
        correction="(3/2m) Σ i^-a summed over the m units that there are, at every a; a variance, not an action",
    ),
}


def path_steps(*, seed, device, dimension, exponents, n_paths) -> dict:
    """Return the mean squared step of random projections of synthetic codes, [exponent, path, number of steps]."""
    rng, finest = streams.rng(seed, f"paths {dimension}"), int(STEPS[-1])
    paths = (smoothness.random_paths(float(a), dimension, finest, 3, n_paths, rng) for a in exponents)
    return {
        "step": np.array(
            [[projections.path_energy(path[:, :: finest // n], closed=True) / n for n in STEPS] for path in paths]
        ).swapaxes(1, 2)
    }


def step_exponents(step: np.ndarray) -> np.ndarray:
    """Return the power of dt with which squared steps [..., number of steps] fall, over the FINE finest of STEPS."""
    x = -np.log(STEPS[-FINE:])
    return np.log(step[..., -FINE:]) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()


def threshold(exponents: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return for every path the spectral exponent at which a line through its powers [exponent, path] reaches 2."""
    slope, constant = np.polyfit(exponents, powers, 1)
    return (2 - constant) / slope


def projected_action(*, seed, device, n_units, exponents, n_draws) -> dict:
    """Return half the squared length of Gaussian activity along three random directions, [exponent, draw]."""
    rng = streams.rng(seed, f"action {n_units}")
    deviation = np.arange(1, n_units + 1) ** (-np.array(exponents)[:, None] / 2)
    half = [
        0.5 * ((deviation * rng.standard_normal(n_units)) @ projections.random_projection(n_units, 3, rng)) ** 2
        for _ in range(n_draws)
    ]
    return {"action": np.sum(half, axis=-1).T, "trace": (deviation**2).sum(1)}
