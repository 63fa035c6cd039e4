"""Eigenspectra and power laws: known answers, independent second ways, planted truths, coverage of the interval."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from polysemanticity import spectra
from polysemanticity.base import paths
from polysemanticity.projections import stimuli
from polysemanticity.spectra import wishart


def power_law_spectrum(exponent, n=10**6, m=1000):
    return spectra.Spectrum(np.arange(1, m + 1) ** -float(exponent), n, m)


def planted(n, m, exponent, seed):
    return spectra.covariance_spectrum(stimuli.power_law_data(n, m, exponent, np.random.default_rng(seed)))


def correlated(n, m, seed=0, offset=1e4):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, m)) @ rng.standard_normal((m, m)) + offset * rng.standard_normal(m)


# --- the spectrum


@pytest.mark.parametrize("n", [200, 40, 13])
def test_spectrum_is_that_of_the_covariance(n):
    data = correlated(n, 40)
    expected = np.linalg.eigvalsh(np.cov(data.T, bias=True))[::-1]
    found = spectra.covariance_spectrum(data)
    assert (found.n_samples, found.n_units, len(found.eigenvalues)) == (n, 40, min(n, 40))
    np.testing.assert_allclose(found.eigenvalues, expected[: min(n, 40)], rtol=1e-9, atol=1e-12 * expected[0])
    assert found.eigenvalues.dtype == np.float64


def test_gram_and_covariance_agree():
    data = correlated(60, 61, offset=10.0)
    by_gram = spectra.covariance_spectrum(data).eigenvalues
    by_covariance = spectra.CovarianceSums.of(torch.as_tensor(data)).spectrum().eigenvalues
    np.testing.assert_allclose(by_gram, by_covariance[:60], atol=1e-12 * by_gram[0])


@pytest.mark.parametrize("n", [500, 30])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_streamed_is_whole(n, size):
    data = correlated(n, 40)
    whole = spectra.covariance_spectrum(data).eigenvalues
    streamed = spectra.covariance_spectrum(data[i : i + size] for i in range(0, n, size)).eigenvalues
    np.testing.assert_allclose(streamed, whole, atol=1e-12 * whole[0])


@pytest.mark.parametrize("seed", range(5))
def test_partial_sums_are_the_whole_for_any_split_and_order(seed):
    rng = np.random.default_rng(seed)
    data = correlated(300, 8, seed, offset=10.0)
    cuts = np.sort(rng.choice(np.arange(1, 300), size=rng.integers(1, 12), replace=False))
    parts = [spectra.CovarianceSums.of(part) for part in np.split(data, cuts)]
    while len(parts) > 1:  # merge any two until one is left
        first, second = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(first.merge(second))
    centred = data - data.mean(0)
    scale = np.abs(centred.T @ centred).max()
    np.testing.assert_allclose(parts[0].scatter, centred.T @ centred, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(parts[0].mean, data.mean(0), rtol=1e-12)
    assert parts[0].count == 300
    whole = spectra.covariance_spectrum(data).eigenvalues
    np.testing.assert_allclose(parts[0].spectrum().eigenvalues, whole, rtol=0, atol=1e-12 * whole[0])


def test_merging_changes_neither_part():
    first, second = (spectra.CovarianceSums.of(correlated(20, 3, seed)) for seed in (0, 1))
    before = [part.scatter.clone() for part in (first, second)]
    first.merge(second)
    assert torch.equal(first.scatter, before[0]) and torch.equal(second.scatter, before[1])


def test_samples_are_not_changed():
    data = torch.as_tensor(correlated(20, 3))
    kept = data.clone()
    spectra.covariance_spectrum(data)
    spectra.CovarianceSums.of(data)
    spectra.covariance_spectrum(data.T)
    assert torch.equal(data, kept)


def test_bad_partial_sums_are_refused():
    sums = spectra.CovarianceSums.of(np.ones((1, 3)))
    with pytest.raises(ValueError, match="other: it has 2 units: allowed is 3"):
        sums.merge(spectra.CovarianceSums.of(np.ones((4, 2))))
    with pytest.raises(ValueError, match="count = 1: allowed is at least 2"):
        sums.spectrum()
    with pytest.raises(ValueError, match=r"batch: shape \(0, 3\): allowed is at least 1 sample"):
        spectra.CovarianceSums.of(np.ones((0, 3)))
    with pytest.raises(ValueError, match="NaN"):
        spectra.CovarianceSums.of(np.full((2, 3), np.nan))


@pytest.mark.parametrize("n, m, batch, allowed", [(60_000, 200, 500, 20), (150, 60_000, 150, 20)])
def test_memory_is_bounded_by_the_smaller_side(n, m, batch, allowed):
    """In MB, beside the samples themselves: a stream of 96 MB and an array of 72 MB."""
    script = f"""
import resource, numpy as np
from polysemanticity import spectra
kept = np.ones((n := {batch}, m := {m})) * np.random.default_rng(0).standard_normal(m)
kept[::2] *= 0.5
spectra.covariance_spectrum(kept[:100, :50])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spectra.covariance_spectrum(kept for _ in range({n} // n))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=paths.ROOT)
    assert float(found.stdout) < allowed


def test_a_huge_mean_does_not_spoil_the_variance():
    small = stimuli.power_law_data(400, 6, 1.0, np.random.default_rng(0))
    shifted = spectra.covariance_spectrum(np.split(small + 1e8, 8)).eigenvalues
    np.testing.assert_allclose(shifted, spectra.covariance_spectrum(small).eigenvalues, rtol=1e-6)


def test_rotation_and_shift_leave_the_spectrum_and_scale_multiplies_it():
    rng = np.random.default_rng(1)
    data = stimuli.power_law_data(200, 30, 1.0, rng)
    rotation = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    plain = spectra.covariance_spectrum(data).eigenvalues
    moved = spectra.covariance_spectrum(3 * (data @ rotation) + rng.standard_normal(30)).eigenvalues
    np.testing.assert_allclose(moved, 9 * plain, rtol=1e-10)


def test_torch_integers_and_half_precision_are_read():
    numbers = np.random.default_rng(0).integers(0, 9, (50, 5))
    expected = spectra.covariance_spectrum(numbers).eigenvalues
    for source in (torch.as_tensor(numbers), torch.as_tensor(numbers).half(), [numbers.astype(np.float32)]):
        np.testing.assert_allclose(spectra.covariance_spectrum(source).eigenvalues, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "source, message",
    [
        (np.full((5, 3), np.nan), "NaN"),
        (np.array([[1.0, np.inf], [0, 1]]), "infinite"),
        (np.zeros(5), r"shape \(5,\): allowed is \[samples, units\]"),
        (np.zeros((5, 3, 2)), "shape"),
        (np.zeros((5, 0)), "at least 1 unit"),
        (np.zeros((1, 3)), "1 samples: allowed is at least 2"),
        (np.zeros((0, 3)), "0 samples"),
        ([], "0 samples"),
        ([np.zeros((4, 3)), np.zeros((4, 2))], "2 units: allowed is 3"),
        (np.zeros((4, 3), complex), "real"),
    ],
)
def test_bad_samples_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        spectra.covariance_spectrum(source)


# --- the four views of a convolutional layer


def test_views_are_the_activity_read_in_four_ways():
    activity = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)
    found = spectra.views(activity)
    assert {name: tuple(view.shape) for name, view in found.items()} == {
        "flattened": (2, 60),
        "channel": (40, 3),
        "pooled": (2, 3),
        "location": (2, 3),
    }
    assert found["channel"][20 + 2 * 5 + 3].tolist() == activity[1, :, 2, 3].tolist()
    assert found["location"].tolist() == activity[:, :, 2, 2].tolist()
    assert spectra.views(activity, location=(0, 4))["location"].tolist() == activity[:, :, 0, 4].tolist()
    torch.testing.assert_close(found["pooled"], activity.flatten(2).mean(2))


def test_views_agree_where_there_is_one_position_and_where_positions_are_alike():
    one = torch.as_tensor(correlated(50, 6, offset=1.0))
    for view in spectra.views(one[:, :, None, None]).values():
        torch.testing.assert_close(view, one)
    alike = one[:, :, None, None].expand(-1, -1, 3, 2)
    spectrum = {name: spectra.covariance_spectrum(view).eigenvalues for name, view in spectra.views(alike).items()}
    for name in ("channel", "pooled", "location"):
        np.testing.assert_allclose(spectrum[name], spectra.covariance_spectrum(one).eigenvalues, rtol=1e-10)
    np.testing.assert_allclose(spectrum["flattened"][:6], 6 * spectrum["pooled"], rtol=1e-10)


def test_channel_view_splits_into_pooled_and_within_image_variance():
    activity = torch.randn(40, 5, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = spectra.views(activity)
    total = {name: spectra.covariance_spectrum(view).eigenvalues.sum() for name, view in found.items()}
    within = activity.flatten(2).var(2, correction=0).sum(1).mean()
    assert total["channel"] == pytest.approx(total["pooled"] + float(within))
    assert total["flattened"] == pytest.approx(float(activity.var(0, correction=0).sum()))


@pytest.mark.parametrize(
    "shape, location, message",
    [
        ((2, 3, 0, 4), None, r"activity: shape \(2, 3, 0, 4\): allowed is at least 1"),
        ((2, 3, 4, 4), (4, 0), r"location = \(4, 0\): allowed is \(row, column\) within 4 x 4"),
    ],
)
def test_bad_views_are_refused(shape, location, message):
    with pytest.raises(ValueError, match=message):
        spectra.views(torch.zeros(shape), location)


# --- the fit


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 3.0])
def test_exact_power_law_is_recovered(exponent):
    fit = spectra.fit_power_law(power_law_spectrum(exponent))
    assert fit.exponent == pytest.approx(exponent, abs=1e-12)
    assert (fit.first, fit.last) == (11, 100)
    assert fit.stderr < 1e-10 and fit.r2 == pytest.approx(1)


def test_fit_is_weighted_least_squares():
    values = np.sort(np.random.default_rng(0).lognormal(size=200))[::-1]
    fit = spectra.fit_power_law(spectra.Spectrum(values, 10**4, 200), 5, 60)
    ranks = np.arange(5, 61)
    slope = np.polyfit(np.log(ranks), np.log(values[4:60]), 1, w=np.sqrt(1 / ranks))[0]
    assert fit.exponent == pytest.approx(-slope, rel=1e-10)


def test_scale_does_not_change_the_fit():
    spectrum = planted(300, 200, 1.0, 0)
    scaled = spectrum._replace(eigenvalues=spectrum.eigenvalues * 1e-30)
    assert spectra.fit_power_law(scaled).exponent == pytest.approx(spectra.fit_power_law(spectrum).exponent)


def test_window_rule():
    assert spectra.fit_window(5000, 2000) == (11, 200)
    assert spectra.fit_window(5000, 256) == (3, 64)
    with pytest.raises(ValueError, match="100, 64: allowed is at least 120"):
        spectra.fit_window(100, 64)


def test_local_slope_of_a_power_law_is_flat_and_shows_a_break():
    ranks, slopes = spectra.local_slope(power_law_spectrum(1.3))
    assert len(ranks) > 20 and np.allclose(slopes, 1.3)
    i = np.arange(1, 1001)
    broken = np.where(i < 50, i**-1.0, 50.0 * i**-2.0)
    ranks, slopes = spectra.local_slope(spectra.Spectrum(broken, 10**6, 1000))
    assert np.allclose(slopes[ranks < 20], 1) and np.allclose(slopes[ranks > 100], 2)


@pytest.mark.parametrize(
    "spectrum, arguments, message",
    [
        (power_law_spectrum(1, n=100, m=80), {}, "n = 100, m = 80"),
        (power_law_spectrum(1), {"first": 0}, "first = 0: allowed is at least 1"),
        (power_law_spectrum(1), {"last": 1001}, "last = 1001: allowed is at most 1000"),
        (power_law_spectrum(1), {"last": 14}, "at least 15, so that 5 ranks"),
        (spectra.Spectrum(np.array([]), 5, 5), {}, "0 eigenvalues"),
        (spectra.Spectrum(np.ones(6), 1, 6), {}, "allowed is 1 to min"),
        (spectra.Spectrum(np.r_[np.ones(50), np.zeros(50)], 500, 100), {"last": 60}, "positive"),
        (spectra.Spectrum(np.arange(1.0, 101), 500, 100), {"last": 60}, "descending"),
        (spectra.Spectrum(np.full(100, np.nan), 500, 100), {"last": 60}, "finite"),
    ],
)
def test_bad_fits_are_refused(spectrum, arguments, message):
    with pytest.raises(ValueError, match=message):
        spectra.fit_power_law(spectrum, **arguments)


def test_local_slope_refuses_a_silly_width():
    with pytest.raises(ValueError, match=r"decades = 0.0: allowed is above 0"):
        spectra.local_slope(power_law_spectrum(1), 0.0)


# --- numbers without a window


def test_dimension_measures():
    flat = spectra.Spectrum(np.r_[np.ones(10), np.zeros(10)], 100, 20)
    assert spectra.participation_ratio(flat) == pytest.approx(10)
    assert spectra.effective_rank(flat) == pytest.approx(10)
    two = spectra.Spectrum(np.array([3.0, 1.0]), 100, 2)
    assert spectra.participation_ratio(two) == pytest.approx(16 / 10)
    assert spectra.effective_rank(two) == pytest.approx(np.exp(0.75 * np.log(4 / 3) + 0.25 * np.log(4)))


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0, -1.0], [np.nan]])
def test_dimension_measures_refuse_what_is_no_spectrum(values):
    for measure in (spectra.participation_ratio, spectra.effective_rank):
        with pytest.raises(ValueError, match="spectrum: eigenvalues"):
            measure(spectra.Spectrum(np.array(values, dtype=float), 10, 2))


# --- the correction


@pytest.mark.parametrize("n, m, first, last", [(256, 128, 3, 32), (100, 400, 3, 25), (64, 64, 3, 16)])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_theory_is_the_mean_and_spread_of_simulated_slopes(n, m, first, last, exponent):
    rng = np.random.default_rng(0)
    slopes = [
        spectra.fit_power_law(
            spectra.covariance_spectrum(stimuli.power_law_data(n, m, exponent, rng)), first, last
        ).exponent
        for _ in range(200)
    ]
    mean, spread = wishart.fitted_slope(np.arange(1, m + 1) ** -exponent, n, first, last)
    assert mean == pytest.approx(np.mean(slopes), abs=4 * np.std(slopes) / 200**0.5 + 0.005)
    assert spread == pytest.approx(np.std(slopes), rel=0.2)


def test_theory_of_many_equal_units_is_marchenko_pastur():
    n, m = 2000, 1000
    x = np.linspace(0.3, 2.9, 200)
    above = wishart.eigenvalue_counts(np.ones(m), n, x, 0.005).above
    low, high = (1 - np.sqrt(m / n)) ** 2, (1 + np.sqrt(m / n)) ** 2
    t = np.linspace(low, high, 200_001)
    density = np.sqrt(np.maximum((t - low) * (high - t), 0)) / (2 * np.pi * (m / n) * t)
    expected = m * (1 - np.interp(x, t, np.cumsum(density) * (t[1] - t[0])))
    np.testing.assert_allclose(above, expected, atol=2)


def test_variance_of_one_eigenvalue_is_that_of_chi_square():
    n, log_x = 200, np.linspace(np.log(0.05), np.log(20), 1500)
    counts = wishart.eigenvalue_counts(np.ones(1), n, np.exp(log_x), 0.01)
    influence = np.full(1500, log_x[1] - log_x[0])
    assert influence @ counts.covariance @ influence == pytest.approx(2 / n, rel=0.02)


@pytest.mark.parametrize("exponent, n, m", [(0.5, 512, 512), (1.0, 256, 1024), (1.5, 512, 512), (2.0, 1024, 256)])
def test_planted_exponents_come_back_without_bias(exponent, n, m):
    first, last = spectra.fit_window(n, m)
    found = [spectra.debias_power_law(planted(n, m, exponent, seed), first=first, last=last) for seed in range(12)]
    values = np.array([law.exponent for law in found])
    assert values.mean() == pytest.approx(exponent, abs=4 * values.std() / np.sqrt(12) + 0.005)
    assert np.mean([law.stderr for law in found]) == pytest.approx(values.std(), rel=0.7)


@pytest.mark.parametrize(
    "exponent, n, m, first, last",
    [(0.6, 128, 200, 3, 32), (1.0, 256, 128, 3, 32), (1.5, 100, 300, 3, 25), (2.5, 150, 60, 2, 20)],
)
def test_interval_covers_the_planted_exponent(exponent, n, m, first, last):
    laws = [
        spectra.debias_power_law(planted(n, m, exponent, seed), first=first, last=last).interval for seed in range(1000)
    ]
    covered = np.mean([low <= exponent <= high for low, high in laws])
    assert 0.92 <= covered <= 0.98


def test_calibration_by_simulation_agrees_with_the_theory():
    spectrum = planted(80, 60, 1.0, 3)
    arguments = {"first": 3, "last": 15}
    theory = spectra.debias_power_law(spectrum, **arguments)
    simulated = spectra.debias_power_law(spectrum, 1, simulations=200, **arguments)
    assert simulated.exponent == pytest.approx(theory.exponent, abs=0.3 * theory.stderr)
    assert simulated.stderr == pytest.approx(theory.stderr, rel=0.2)
    again = spectra.debias_power_law(spectrum, 1, simulations=200, **arguments)
    assert again == simulated != spectra.debias_power_law(spectrum, 2, simulations=200, **arguments)


def test_correction_is_deterministic_and_keeps_the_window():
    law = spectra.debias_power_law(planted(300, 200, 1.0, 0))
    assert law == spectra.debias_power_law(planted(300, 200, 1.0, 0), seed=5)
    assert (law.first, law.last) == (11, 20) and law.decades == pytest.approx(np.log10(20 / 11))
    assert law.interval[0] < law.exponent < law.interval[1]


def test_white_noise_has_exponent_zero_within_its_interval():
    law = spectra.debias_power_law(planted(300, 200, 0.0, 0), first=3, last=50)
    assert law.interval[0] == 0 and law.exponent < 0.2


def test_more_samples_need_less_correction():
    def shift(n):
        law = power_law_spectrum(0.8, n=n, m=400)
        return abs(spectra.debias_power_law(law).exponent - 0.8)

    assert shift(10**6) < 1e-3 < shift(800)


@pytest.mark.parametrize(
    "spectrum, arguments, message",
    [
        (power_law_spectrum(1), {"simulations": 1}, "simulations = 1: allowed is 0 or at least 2"),
        (power_law_spectrum(13), {}, "fitted exponent 13: allowed is at most 12"),
        (power_law_spectrum(1, n=100, m=80), {}, "allowed is at least 15"),
    ],
)
def test_bad_corrections_are_refused(spectrum, arguments, message):
    with pytest.raises(ValueError, match=message):
        spectra.debias_power_law(spectrum, **arguments)


def test_covariance_takes_what_researchers_have():
    rows = np.random.default_rng(0).standard_normal((50, 4))
    expected = spectra.covariance_spectrum(rows).eigenvalues
    for form in (torch.tensor(rows, requires_grad=True), [torch.tensor(part) for part in np.split(rows, 5)]):
        np.testing.assert_allclose(spectra.covariance_spectrum(form).eigenvalues, expected)
    with pytest.raises(ValueError, match="source: dict: allowed is arrays"):
        spectra.covariance_spectrum([{"x": rows}])
