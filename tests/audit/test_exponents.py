"""What dependent rows are worth, and the exponent's interval on planted spectra."""

import numpy as np
import pytest
from scipy.signal import lfilter

from polysemanticity import audit, spectra
from polysemanticity.audit import activity, exponents


def planted(n, m, exponent, rho, rng):
    """Gaussian rows, each unit an AR(1) process, of a covariance with eigenvalues i^-exponent."""
    steps = rng.standard_normal((n + 400, m))
    rows = lfilter([np.sqrt(1 - rho**2)], [1, -rho], steps, axis=0)[400:]
    return rows * np.arange(1, m + 1) ** (-exponent / 2)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_effective_rows_of_autoregressive_scores(rho):
    scores = planted(6000, 20, 0.0, rho, np.random.default_rng(1))
    found, finished = exponents.effective_rows([scores[start : start + 500] for start in range(0, 6000, 500)], 6000)
    assert finished and found == pytest.approx(6000 * (1 - rho**2) / (1 + rho**2), rel=0.08)


def test_effective_rows_of_exchangeable_groups():
    """Rows of a group that share a part of each score are correlated at every lag: 1 + (L - 1) rho^2 rows are one."""
    rng, length, rho = np.random.default_rng(2), 20, 0.5
    groups = np.sqrt(rho) * rng.standard_normal((300, 1, 30)) + np.sqrt(1 - rho) * rng.standard_normal(
        (300, length, 30)
    )
    found, _ = exponents.effective_rows(list(groups), 6000, grouped=True)
    assert found == pytest.approx(6000 / (1 + (length - 1) * rho**2), rel=0.08)


def test_a_memory_longer_than_the_pieces_is_noticed():
    scores = planted(3000, 20, 0.0, 0.999, np.random.default_rng(3))
    assert not exponents.effective_rows([scores[start : start + 40] for start in range(0, 3000, 40)], 3000)[1]


@pytest.fixture
def only_exponents(monkeypatch):
    """Leave out what takes time and has tests of its own."""
    for name in ("_broken", "_shuffled"):
        monkeypatch.setattr(activity, name, lambda *_: {})


@pytest.mark.parametrize(("rho", "n"), [(0.0, 1200), (0.9, 3000)])
def test_intervals_cover_the_planted_exponent(rho, n, only_exponents):
    """13 of 16 or more: at a coverage of 95 % fewer come once in a hundred, at one of 60 % nearly always.

    With dependent rows the interval of independent ones misses far more often.
    """
    rng, covered, plain = np.random.default_rng(4), 0, 0
    for _ in range(16):
        rows = planted(n, 160, 1.0, rho, rng)
        line = audit.layers({"x": rows}, simulations=0).table.iloc[0]
        covered += line["low"] <= 1 <= line["high"]
        law = spectra.debias_power_law(spectra.covariance_spectrum(rows), first=3, last=40)
        plain += law.interval[0] <= 1 <= law.interval[1]
    assert covered >= 13
    assert plain < 11 if rho else plain >= 11
    assert line["high"] - line["low"] < 0.2  # an interval that covers because it says nothing would not do


def test_the_jackknife_sees_rows_of_differing_size(only_exponents):
    """Elliptical rows, a few of them very large: Gaussian errors are too small, those of blocks are not."""
    rng = np.random.default_rng(5)
    errors, gaussian, blocks = [], [], []
    for _ in range(20):
        rows = planted(1200, 160, 1.0, 0.0, rng) / np.sqrt(rng.gamma(2.5, 1 / 1.5, (1200, 1)))
        line = audit.layers({"x": rows}, simulations=0).table.iloc[0]
        law = spectra.debias_power_law(spectra.covariance_spectrum(rows), first=3, last=40)
        errors.append(line["exponent"] - 1)
        gaussian.append(law.stderr)
        blocks.append(line["stderr"])
    assert np.std(errors) > 1.25 * np.median(gaussian)
    assert np.median(blocks) == pytest.approx(np.std(errors), rel=0.4)
