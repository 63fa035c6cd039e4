"""Estimators of the exponent: the published table of biases, planted truths, coverage, and what each is blind to."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from polysemanticity import spectra
from polysemanticity.projections import stimuli
from polysemanticity.spectra import broken_law, covariance, cvpca, exponent_errors, moments, wishart


def gaussian(n, m, exponent, seed=0):
    return stimuli.power_law_data(n, m, exponent, np.random.default_rng(seed))


def broken(n, m, head, tail, at, seed=0):
    ranks = np.arange(1, m + 1)
    return gaussian(n, m, head, seed) * np.where(ranks < at, 1, (ranks / at) ** (-(tail - head) / 2))


# --- the table of biases, Gaussian data with ten samples per unit: 1024 units


@pytest.fixture(scope="module")
def ten_per_unit():
    return {exponent: spectra.covariance_spectrum(gaussian(10240, 1024, exponent)) for exponent in (0.5, 1.0)}


def least_squares(spectrum, first, last):
    """Unweighted, by numpy."""
    ranks = np.arange(first, last + 1)
    return -np.polyfit(np.log(ranks), np.log(spectrum.eigenvalues[first - 1 : last]), 1)[0]


@pytest.mark.parametrize(
    "estimate, half, one",
    [
        (lambda s: least_squares(s, 1, 1024), 0.59, 1.06),
        (lambda s: least_squares(s, 11, 500), 0.50, 1.00),
        (lambda s: spectra.fit_power_law(s, 11, 500).exponent, 0.49, 1.00),
        (lambda s: spectra.fit_power_law(s, 11, 256).exponent, 0.48, 0.99),
        (lambda s: spectra.fit_power_law(s).exponent, 0.48, 0.99),
        (lambda s: spectra.hill_exponent(s, 500), 0.54, 1.02),
        (lambda s: spectra.zipf_exponent(s, 11, 500), 0.49, 1.00),
    ],
    ids=["OLS all", "OLS 11-500", "WLS 11-500", "WLS 11-m/4", "WLS 11-m/10", "Hill 500", "Zipf 11-500"],
)
def test_published_biases_at_ten_samples_per_unit(estimate, half, one, ten_per_unit):
    assert estimate(ten_per_unit[0.5]) == pytest.approx(half, abs=0.03)
    assert estimate(ten_per_unit[1.0]) == pytest.approx(one, abs=0.03)


@pytest.mark.parametrize(
    "exponent, n, fitted",
    [(0.5, 512, 0.67), (0.5, 2048, 0.50), (1.0, 512, 1.09), (1.0, 2048, 0.99), (1.5, 512, 1.61), (2.0, 512, 2.15)],
)
def test_published_biases_with_fewer_samples(exponent, n, fitted):
    spectrum = spectra.covariance_spectrum(gaussian(n, 1024, exponent))
    assert spectra.fit_power_law(spectrum, 11, 500).exponent == pytest.approx(fitted, abs=0.05)


@pytest.mark.parametrize(
    "exponent, fitted", [(0.3, 0.07), (0.5, 0.14), (0.8, 0.46), (1.0, 0.75), (1.2, 1.04), (1.5, 1.43), (2.0, 2.01)]
)
def test_width_far_beyond_the_samples_flattens(exponent, fitted):
    population = np.arange(1, 50_001) ** -exponent
    assert wishart.fitted_slope(population, 1000, 11, 500)[0] == pytest.approx(fitted, abs=0.02)


def test_the_correction_undoes_what_width_does():
    spectrum = spectra.covariance_spectrum(torch.from_numpy(gaussian(400, 20_000, 0.8)).float())
    assert spectra.fit_power_law(spectrum, 11, 200).exponent < 0.55
    assert spectra.debias_power_law(spectrum, first=11, last=200).exponent == pytest.approx(0.8, abs=0.02)


def test_three_huge_components_spoil_a_fit_from_rank_1_only():
    data = gaussian(10240, 1024, 1.0)
    data[:, :3] *= 1000**0.5
    spectrum = spectra.covariance_spectrum(data)
    assert spectra.fit_power_law(spectrum, 1, 500).exponent == pytest.approx(2.2, abs=0.1)
    assert spectra.fit_power_law(spectrum, 11, 500).exponent == pytest.approx(0.98, abs=0.03)


def test_a_break_hides_in_a_single_slope():
    spectrum = spectra.covariance_spectrum(broken(10240, 1024, 1.0, 2.0, 50))
    assert spectra.fit_power_law(spectrum, 11, 500).exponent == pytest.approx(1.63, abs=0.05)


@pytest.mark.parametrize("estimate", [spectra.hill_exponent, lambda s, top: spectra.zipf_exponent(s, 1, top)])
def test_other_estimators_on_an_exact_law(estimate):
    exact = spectra.Spectrum(np.arange(1, 100_001) ** -0.7, 10**6, 100_000)
    assert estimate(exact, 100_000) == pytest.approx(0.7, abs=1e-3)


def test_bad_comparisons_are_refused():
    spectrum = spectra.Spectrum(np.r_[np.ones(5), np.zeros(5)], 100, 10)
    with pytest.raises(ValueError, match="top = 6: allowed is 2 to the number of positive"):
        spectra.hill_exponent(spectrum, 6)
    with pytest.raises(ValueError, match="last = 11"):
        spectra.zipf_exponent(spectrum, 1, 11)


# --- unbiased moments


def test_moments_are_means_over_cycles_of_different_samples():
    data = np.random.default_rng(0).standard_normal((7, 4))
    centred = data - data.mean(0)
    gram = covariance.centred_gram([torch.from_numpy(data)])
    turned = moments._without_mean(gram).numpy()
    assert np.linalg.eigvalsh(turned) == pytest.approx(np.linalg.eigvalsh(centred @ centred.T)[1:], abs=1e-12)
    cycles = [[] for _ in range(4)]
    for i in range(6):
        cycles[0].append(turned[i, i])
        for j in set(range(6)) - {i}:
            cycles[1].append(turned[i, j] * turned[j, i])
            for k in set(range(6)) - {i, j}:
                cycles[2].append(turned[i, j] * turned[j, k] * turned[k, i])
                for last in set(range(6)) - {i, j, k}:
                    cycles[3].append(turned[i, j] * turned[j, k] * turned[k, last] * turned[last, i])
    assert moments.spectral_moments(data) == pytest.approx([np.mean(products) for products in cycles], rel=1e-10)


def test_moments_are_unbiased_where_the_samples_own_are_far_off():
    n, m, exponent = 20, 100, 0.5
    found = np.array([moments.spectral_moments(gaussian(n, m, exponent, seed) + 3.0) for seed in range(2000)])
    truth = np.exp(moments.log_moments(np.array([exponent]), m))[0]
    assert np.all(np.abs(found.mean(0) - truth) < 4 * stats.sem(found))
    own = (spectra.covariance_spectrum(gaussian(n, m, exponent)).eigenvalues ** 2).sum()
    assert own > 3 * truth[1]


def test_moments_of_a_power_law_are_sums_of_powers():
    found = moments.log_moments(np.array([1.5]), 10**6)
    assert np.exp(found[0]) == pytest.approx(special.zeta(1.5 * np.arange(1, 5)), rel=1e-3)


@pytest.mark.parametrize("exponent, n, m", [(0.5, 256, 1024), (1.0, 256, 1024), (2.0, 128, 64)])
def test_moment_fit_finds_planted_exponents_with_few_samples(exponent, n, m):
    laws = [moments.fit_moments(gaussian(n, m, exponent, 1000 + seed), simulations=60) for seed in range(10)]
    values = np.array([law.exponent for law in laws])
    assert values.mean() == pytest.approx(exponent, abs=4 * values.std() / 10**0.5 + 0.005)
    assert np.mean([law.stderr for law in laws]) == pytest.approx(values.std(), rel=0.8)


def test_moment_interval_covers_the_planted_exponent():
    laws = [moments.fit_moments(gaussian(100, 200, 0.87, 1000 + seed)) for seed in range(200)]
    assert 0.92 <= np.mean([law.interval[0] <= 0.87 <= law.interval[1] for law in laws]) <= 0.99
    assert np.mean([law.misfit > 6 for law in laws]) < 0.12


def test_moments_do_not_see_the_tail():
    single, bent = (moments.fit_moments(data) for data in (gaussian(300, 600, 1.5), broken(300, 600, 1.5, 3.0, 50)))
    assert bent.exponent == pytest.approx(single.exponent, abs=0.1)
    slopes = [
        spectra.fit_power_law(spectra.covariance_spectrum(broken(300, 600, 1.5, t, 50)), 60, 150) for t in (1.5, 3)
    ]
    assert slopes[1].exponent > slopes[0].exponent + 1


def test_moments_are_drowned_by_three_huge_components():
    data = gaussian(300, 600, 1.0)
    data[:, :3] *= 1000**0.5
    law = moments.fit_moments(data)
    assert law.exponent > 1.5 and law.misfit > 6


def test_moment_fit_is_deterministic_and_ignores_scale_and_mean():
    data = gaussian(100, 80, 1.0)
    law = moments.fit_moments(data)
    assert law.exponent == moments.fit_moments(data).exponent
    assert moments.fit_moments(100 * data + 7).exponent == pytest.approx(law.exponent, abs=1e-3)


@pytest.mark.parametrize(
    "data, arguments, message",
    [
        (np.ones((4, 9)), {}, r"shape \(4, 9\): allowed is more than 4 samples"),
        (gaussian(50, 20, 1.0), {"simulations": 9}, "simulations = 9: allowed is at least 10"),
        (np.full((6, 3), np.nan), {}, "NaN"),
        (gaussian(6, 400, 0.0), {}, "too few"),
        (gaussian(400, 50, 9.0), {}, "an exponent from 0 to 6"),
    ],
)
def test_bad_moments_are_refused(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        moments.fit_moments(data, **arguments)


# --- two dropout masks


def test_two_masks_undo_what_dropout_does_to_the_spectrum():
    """The published values for 1024 units, 10240 samples and a = 1.5 are 0.74 in train mode, 1.51 with two masks."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((1024, 1024)))[0]
    data = stimuli.power_law_data(10240, 1024, 1.5, rng) @ rotation
    first, second = (cvpca.dropped(data, 0.4, rng) for _ in range(2))
    train = spectra.fit_power_law(spectra.covariance_spectrum(first), 11, 200).exponent
    crossed = spectra.fit_variances(cvpca.cross_validated_variances(first, second), 11, 200).exponent
    assert train == pytest.approx(0.74, abs=0.03)
    assert crossed == pytest.approx(1.51, abs=0.05)


def test_without_dropout_it_is_plain_pca():
    data = gaussian(200, 40, 1.0)
    plain = spectra.covariance_spectrum(data).eigenvalues
    np.testing.assert_allclose(cvpca.cross_validated_variances(data, data), plain, rtol=1e-9)


def test_pure_noise_shares_no_variance():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 4000, 30))
    assert np.abs(cvpca.cross_validated_variances(first, second)).max() < 5 / 4000**0.5


def test_dropout_adds_the_stated_floor():
    rng = np.random.default_rng(0)
    data = gaussian(50_000, 6, 1.0) @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + 0.5
    noisy = np.cov(cvpca.dropped(data, 0.3, rng).T, bias=True)
    expected = np.cov(data.T, bias=True) + 0.3 / 0.7 * np.diag((data**2).mean(0))
    np.testing.assert_allclose(noisy, expected, atol=0.05)


def test_bad_masks_are_refused():
    data = gaussian(10, 4, 1.0)
    with pytest.raises(ValueError, match=r"second: shape \(10, 3\): allowed is \(10, 4\)"):
        cvpca.cross_validated_variances(data, data[:, :3])
    with pytest.raises(ValueError, match="at least 2 samples"):
        cvpca.cross_validated_variances(data[:1], data[:1])
    with pytest.raises(ValueError, match="rate = 1"):
        cvpca.dropped(data, 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="1 of 5 are not positive"):
        spectra.fit_variances(np.array([5.0, 4, 3, 2, -1]), 1, 5)
    with pytest.raises(ValueError, match="first, last = 1, 6"):
        spectra.fit_variances(np.array([5.0, 4, 3, 2, 1]), 1, 6)


# --- one law or two


def test_broken_law_is_found_on_an_exact_spectrum():
    ranks = np.arange(1, 1001)
    exact = spectra.Spectrum(np.where(ranks < 60, ranks**-1.0, 60.0 * ranks**-2.0), 10**6, 1000)
    law = broken_law.fit_broken_law(exact, 5, 500)
    assert (law.head, law.tail) == pytest.approx((1, 2), abs=0.03) and law.at == pytest.approx(60, rel=0.05)
    np.testing.assert_allclose(law.log_eigenvalues(ranks[4:500]), np.log(exact.eigenvalues[4:500]), atol=0.05)


def test_broken_law_fits_no_worse_than_a_single_one():
    spectrum = spectra.covariance_spectrum(gaussian(400, 200, 1.0))
    law, single = broken_law.fit_broken_law(spectrum, 5, 60), spectra.fit_power_law(spectrum, 5, 60)
    ranks = np.arange(5, 61)
    residual = np.log(spectrum.eigenvalues[4:60]) + single.exponent * np.log(ranks)
    residual -= np.average(residual, weights=1 / ranks)
    assert law.error <= np.average(residual**2, weights=1 / ranks)


@pytest.mark.parametrize("n, m", [(1200, 1000), (800, 2000), (600, 256)])
def test_single_laws_are_rarely_called_broken_and_breaks_are_seen(n, m):
    single = [
        broken_law.compare_laws(gaussian(n, m, a, s), s, first=5, last=60)
        for a in (0.6, 1.0, 1.5, 2.5)
        for s in range(8)
    ]
    assert np.mean([found.bent for found in single]) <= 0.1
    bent = [broken_law.compare_laws(broken(n, m, 1.0, 1.5, 20, s), s, first=5, last=60) for s in range(8)]
    assert np.mean([found.bent for found in bent]) >= 0.85
    assert np.mean([found.law.head for found in bent]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([found.law.tail for found in bent]) == pytest.approx(1.5, abs=0.1)


def test_bad_windows_are_refused():
    with pytest.raises(ValueError, match="last = 30 with first = 11: allowed is at least 8 times first"):
        broken_law.fit_broken_law(spectra.Spectrum(np.arange(1, 101) ** -1.0, 1000, 100), 11, 30)
    with pytest.raises(ValueError, match="last = 200"):
        broken_law.compare_laws(gaussian(200, 100, 1.0), first=3, last=200)


# --- errors of an exponent


def test_bootstrap_and_halves_agree_with_the_scatter_of_planted_data():
    n, m, window = 200, 150, {"first": 3, "last": 30}
    found = [exponent_errors.exponent_errors(gaussian(n, m, 1.0, s), s, simulations=40, **window) for s in range(30)]
    scatter = np.std([one.law.exponent for one in found], ddof=1)
    widths = [one.bootstrap[1] - one.bootstrap[0] for one in found]
    assert np.mean(widths) / 3.92 == pytest.approx(scatter, rel=0.35)
    assert np.mean([one.law.stderr for one in found]) == pytest.approx(np.mean(widths) / 3.92, rel=0.15)
    assert np.sqrt(np.mean([one.halves_stderr**2 for one in found])) == pytest.approx(scatter, rel=0.4)
    assert np.mean([one.halves.mean() for one in found]) == pytest.approx(1.0, abs=0.02)


def test_halves_show_what_a_gaussian_bootstrap_cannot():
    rng = np.random.default_rng(0)
    heavy = gaussian(400, 150, 1.0) * rng.standard_t(3, (400, 150))
    found = exponent_errors.exponent_errors(heavy, first=3, last=30, simulations=40, splits=10)
    assert found.halves_stderr > 1.3 * (found.bootstrap[1] - found.bootstrap[0]) / 3.92


def test_drawing_samples_with_replacement_is_biased():
    """Why there is no plain bootstrap here; the published values are 0.468 and 0.592 at n = m = 512."""
    data, rng = gaussian(512, 512, 0.5), np.random.default_rng(1)
    raw = spectra.fit_power_law(spectra.covariance_spectrum(data), 11, 128).exponent
    drawn = [
        spectra.fit_power_law(spectra.covariance_spectrum(data[rng.integers(512, size=512)]), 11, 128).exponent
        for _ in range(5)
    ]
    assert np.mean(drawn) > raw + 0.08


def test_bad_errors_are_refused():
    with pytest.raises(ValueError, match="simulations, splits = 5, 5: allowed is at least 10 and 1"):
        exponent_errors.exponent_errors(gaussian(300, 200, 1.0), simulations=5)
    with pytest.raises(ValueError, match="allowed is at least 120 of both"):
        exponent_errors.exponent_errors(gaussian(200, 200, 1.0))


def test_the_bend_at_a_known_rank_is_the_difference_of_the_slopes():
    ranks = np.arange(3, 200)
    bent = np.where(ranks < 30, -1.0 * np.log(ranks / 30), -1.7 * np.log(ranks / 30))
    assert broken_law.bend(ranks, bent, 30) == pytest.approx(0.7)
    np.testing.assert_allclose(
        broken_law.bend(ranks, np.stack([-2.0 * np.log(ranks), -bent]), 30), [0, -0.7], atol=1e-12
    )
