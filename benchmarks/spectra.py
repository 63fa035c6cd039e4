"""Paper 1: spectra of tall, wide and streamed activity, and an exponent with its interval."""

import importlib.metadata
import importlib.util
import itertools
import time
from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

from benchmarks import measure
from benchmarks.measure import Case, Result
from polysemanticity import spectra
from polysemanticity.projections import stimuli

EXPONENT = 1.5  # of the planted spectra


def activity(n: int, m: int, seed: int = 0) -> np.ndarray:
    """Gaussian activity with a power law along the axes, float32, as networks return it."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, m + 1, dtype=np.float32) ** (-EXPONENT / 2)
    return rng.standard_normal((n, m), dtype=np.float32) * scale + 1


def _pca(solver: str, data: np.ndarray, **options) -> np.ndarray:
    """scikit-learn's variances, divided by n as ours."""
    fitted = PCA(svd_solver=solver, **options).fit(data)
    return fitted.explained_variance_ * ((len(data) - 1) / len(data))


def _error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found / exact[: len(found)] - 1).max())


# ------------------------------------------------------------ more samples than units


def tall(quick: bool) -> Result:
    """float64 sums of float32 activity, against covariance_eigh as it comes (float32) and the others, each once."""
    n, m = (1500, 100) if quick else (20_000, 1024)
    data = activity(n, m)
    exact = np.linalg.eigvalsh(np.cov(data.T.astype(float), bias=True))[::-1]
    timed = measure.pairs(lambda: spectra.covariance_spectrum(data), lambda: _pca("covariance_eigh", data), 5)
    ratio = measure.ratio(timed)
    double = data.astype(float)
    others = {
        "covariance_eigh of float64": lambda: _pca("covariance_eigh", double),
        "full": lambda: _pca("full", data),
        "randomized, half of the components": lambda: _pca("randomized", data, n_components=m // 2, random_state=0),
        "numpy.cov + eigvalsh in float64": lambda: np.linalg.eigvalsh(np.cov(data.T.astype(float), bias=True))[::-1],
    }
    return Result(
        met=ratio.median >= 1,
        ratio=ratio,
        ours=timed.ours,
        theirs=timed.theirs,
        ours_bytes=measure.peak_of_full_size(quick, "benchmarks.spectra:ours_on", n=n, m=m),
        theirs_bytes=measure.peak_of_full_size(quick, "benchmarks.spectra:eigh_on", n=n, m=m),
        accuracy="largest relative error of an eigenvalue",
        ours_accuracy=f"{_error(spectra.covariance_spectrum(data).eigenvalues, exact):.0e}",
        theirs_accuracy=f"{_error(_pca('covariance_eigh', data), exact):.0e}",
        kernels=(tall_kernel(n, m, timed.ours.median),),
        profile=measure.profile(lambda: spectra.covariance_spectrum(data), rest="numpy's product and eigenvalues"),
        note="Floors: the symmetric product n m² (half of the general one) and 4/3 m³ for the eigenvalues, in float64; "
        "one pass over the float32 array. float64 products bind: scikit-learn keeps float32, in which they run twice "
        "as fast, and loses the small eigenvalues (spectra.tall-float64 is the same work at equal accuracy). Others, "
        "each once: " + "; ".join(f"{name} {_once(work, exact)}" for name, work in others.items()) + ".",
    )


def tall_kernel(n: int, m: int, seconds: float, n_bytes: int = 4) -> measure.Kernel:
    """Floors of the spectrum of n ≥ m samples."""
    operations = n * m**2 + 4 / 3 * m**3
    return measure.kernel(f"spectrum of {n:,} × {m:,}", seconds, operations, n_bytes * n * m, "float64")


def _once(work, exact) -> str:
    start = time.perf_counter()
    found = work()
    return f"{time.perf_counter() - start:.2g} s, error {_error(found, exact):.0e}"


def tall_in_float64(quick: bool) -> Result:
    """The same at equal accuracy: scikit-learn is given float64, converting included."""
    n, m = (1500, 100) if quick else (20_000, 1024)
    data = activity(n, m)
    exact = np.linalg.eigvalsh(np.cov(data.T.astype(float), bias=True))[::-1]

    def theirs():
        return _pca("covariance_eigh", data.astype(float))

    timed = measure.pairs(lambda: spectra.covariance_spectrum(data), theirs, 5)
    ratio = measure.ratio(timed)
    return Result(
        met=ratio.median >= 1,
        ratio=ratio,
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy="largest relative error of an eigenvalue",
        ours_accuracy=f"{_error(spectra.covariance_spectrum(data).eigenvalues, exact):.0e}",
        theirs_accuracy=f"{_error(theirs(), exact):.0e}",
        note="scikit-learn subtracts the mean after the products, ours before: hence the digits it loses.",
    )


# ------------------------------------------------------------ more units than samples


def wide(quick: bool) -> Result:
    """The Gram matrix, exact, against the 500 leading components by randomised projections."""
    n, m, components = (100, 3000, 30) if quick else (2000, 50_000, 500)
    data = activity(n, m)
    centred = data - data.mean(0, dtype=float)
    exact = np.linalg.eigvalsh(centred @ centred.T / n)[::-1][: n - 1]
    del centred
    theirs = {"n_components": components, "random_state": 0}
    timed = measure.pairs(
        lambda: spectra.covariance_spectrum(data), lambda: _pca("randomized", data, **theirs), 1 if quick else 5
    )
    ratio = measure.ratio(timed)
    operations = n**2 * m + 4 / 3 * n**3
    return Result(
        met=ratio.median > 1,
        ratio=ratio,
        ours=timed.ours,
        theirs=timed.theirs,
        ours_bytes=measure.peak_of_full_size(quick, "benchmarks.spectra:ours_on", n=n, m=m),
        theirs_bytes=measure.peak_of_full_size(
            quick, "benchmarks.spectra:randomized_on", n=n, m=m, components=components
        ),
        accuracy=f"largest relative error of an eigenvalue, all {n - 1} / the first {components}",
        ours_accuracy=f"{_error(spectra.covariance_spectrum(data).eigenvalues[: n - 1], exact):.0e}",
        theirs_accuracy=f"{_error(_pca('randomized', data, **theirs), exact):.0e}",
        kernels=(measure.kernel(f"spectrum of {n:,} × {m:,}", timed.ours.median, operations, 4 * n * m, "float64"),),
        note="Floors: the symmetric product n² m and 4/3 n³ for the eigenvalues of the Gram matrix, in float64; one "
        "pass over the float32 array.",
    )


# ------------------------------------------------------------ a stream


def streamed(quick: bool) -> Result:
    """A million samples that are never held together; IncrementalPCA beside ours on a part of them."""
    m, batches = (64, 8) if quick else (1024, 256)
    pool = _pool(m)
    part = 2
    exact = np.linalg.eigvalsh(np.cov(np.concatenate(pool).T.astype(float), bias=True))[::-1]

    def theirs():
        model = IncrementalPCA()
        for batch in itertools.islice(itertools.cycle(pool), part):
            model.partial_fit(batch)
        return model

    start = time.perf_counter()
    found = spectra.covariance_spectrum(itertools.islice(itertools.cycle(pool), batches)).eigenvalues
    seconds = time.perf_counter() - start
    timed = measure.pairs(
        lambda: spectra.covariance_spectrum(itertools.islice(itertools.cycle(pool), part)), theirs, 1 if quick else 5
    )
    peak = measure.peak_of_full_size(quick, "benchmarks.spectra:stream_of", m=m, batches=16)
    whole = theirs()
    values = whole.explained_variance_ * ((whole.n_samples_seen_ - 1) / whole.n_samples_seen_)
    return Result(
        met=quick or peak < 1e9,
        measured=f"{batches * 4096:,} × {m} in {seconds:.3g} s",
        ratio=measure.ratio(timed),
        ours=timed.ours,
        theirs=timed.theirs,
        ours_bytes=peak,
        theirs_bytes=measure.peak_of_full_size(quick, "benchmarks.spectra:incremental_of", m=m, batches=part),
        accuracy="largest relative error of an eigenvalue",
        ours_accuracy=f"{_error(found, exact):.0e}",
        theirs_accuracy=f"{_error(values, exact):.0e} after {part} of the batches",
        kernels=(tall_kernel(4096 * batches, m, seconds),),
        note=f"Batches of 4,096 samples from a pool of {len(pool)}, again and again, so that the exact spectrum is "
        "known. Peak memory, beyond the pool, is that of 16 batches: it does not grow (growth.spectra). The pairs are "
        f"of {part} batches: IncrementalPCA keeps all components and takes too long for the whole.",
    )


def _pool(m: int) -> list[np.ndarray]:
    return [activity(4096, m, seed) for seed in range(2)]


# ------------------------------------------------------------ an exponent with its interval


def exponent(quick: bool) -> Result:
    """Bias and coverage of the 95 % interval over planted data sets, then the time of one."""
    n, m, repeats, draws = (128, 64, 10, 10) if quick else (256, 128, 200, 50)
    window = {"first": 3, "last": 16 if quick else 32}
    rng = np.random.default_rng(0)
    data = [stimuli.power_law_data(n, m, 1.0, rng) for _ in range(repeats)]

    def ours(one):
        law = spectra.debias_power_law(spectra.covariance_spectrum(one), **window)
        return law.exponent, *law.interval

    def fitted(one):
        return spectra.fit_power_law(spectra.covariance_spectrum(one), **window).exponent

    def bootstrap(one):
        drawn = [fitted(one[rng.integers(n, size=n)]) for _ in range(draws)]
        return fitted(one), *np.quantile(drawn, (0.025, 0.975))

    return _compared(
        data, ours, bootstrap, repeats // 4, quick,
        note=f"n = {n} samples of m = {m} units; {draws} bootstrap draws. Ours calibrates once for (n, m, ranks), in "
        f"tens of milliseconds, and then knows it; the time is without that.",
    )  # fmt: skip


def _compared(data: list, ours: Callable, theirs: Callable, n_theirs: int, quick: bool, note: str) -> Result:
    """Bias, coverage and time of two ways from an item of `data` to an exponent and the ends of its interval."""
    mine, other = _quality([ours(one) for one in data]), _quality([theirs(one) for one in data[:n_theirs]])
    timed = measure.pairs(lambda: ours(data[0]), lambda: theirs(data[0]), 5)
    return Result(
        met=quick or (abs(mine[0]) < 0.01 and 0.92 <= mine[1] <= 0.98),
        measured=f"bias {mine[0]:+.3f}, coverage {mine[1]:.1%} of {len(data)}",
        ratio=measure.ratio(timed),
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy="bias, coverage of the 95 % interval, a = 1",
        ours_accuracy=f"{mine[0]:+.3f}, {mine[1]:.0%}",
        theirs_accuracy=f"{other[0]:+.3f}, {other[1]:.0%} of {n_theirs}",
        note=note,
    )


def _quality(found: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Bias and coverage for the planted exponent 1."""
    value, low, high = np.array(found).T
    return float(value.mean() - 1), float(np.mean((low <= 1) & (high >= 1)))


def exponent_by_density(quick: bool) -> Result:
    """The same spectra read as draws from a density, as packages for heavy tails do."""
    return _by_density(quick, *density_fit())


def exponent_by_weightwatcher(quick: bool) -> Result:
    """The same by WeightWatcher, which reads the exponents of weights off their spectra."""
    return _by_density(quick, *weightwatcher_fit())


def _by_density(quick: bool, fit: Callable, name: str) -> Result:
    n, m, repeats = (128, 64, 10) if quick else (256, 128, 200)
    window = {"first": 3, "last": 16 if quick else 32}
    rng = np.random.default_rng(0)
    found = [spectra.covariance_spectrum(stimuli.power_law_data(n, m, 1.0, rng)) for _ in range(repeats)]

    def ours(spectrum):
        law = spectra.debias_power_law(spectrum, **window)
        return law.exponent, *law.interval

    def theirs(spectrum):
        density, error = fit(spectrum.eigenvalues)
        slope = 1 / (density - 1)  # the density's exponent is 1 + 1/a
        return slope, slope - 1.96 * error * slope**2, slope + 1.96 * error * slope**2

    return _compared(
        found, ours, theirs, repeats, quick,
        note=f"From the eigenvalues on, n = {n}, m = {m}. Theirs: {name}; eigenvalues are no independent draws, which "
        "its interval takes them for.",
    )  # fmt: skip


def density_fit():
    """A function from values to (density's exponent, its standard error), and whose it is."""
    if importlib.util.find_spec("powerlaw") is None:
        return likelihood_fit, "our own implementation of Clauset et al. 2009, as the package powerlaw is not installed"
    import powerlaw

    def fit(values):
        law = powerlaw.Fit(values, verbose=False).power_law
        return law.alpha, law.standard_err

    return fit, f"the package powerlaw {importlib.metadata.version('powerlaw')}, in a window of its own choice"


def weightwatcher_fit():
    """As `density_fit`, by the package WeightWatcher."""
    if importlib.util.find_spec("weightwatcher") is None:
        whose = "our own implementation of Clauset et al. 2009, which WeightWatcher follows"
        return likelihood_fit, f"{whose}, as the package weightwatcher is not installed"
    from weightwatcher.WW_powerlaw import WWFit

    def fit(values):
        law = WWFit(values)
        return law.alpha, law.sigma

    return (
        fit,
        f"the package weightwatcher {importlib.metadata.version('weightwatcher')}, in a window of its own choice",
    )


def likelihood_fit(values: np.ndarray) -> tuple[float, float]:
    """Maximum likelihood above the smallest value, which is where the Kolmogorov-Smirnov distance is least."""
    ordered = np.sort(values[values > 0])
    best = (np.inf, np.nan, np.nan)
    for start in range(len(ordered) - 2):
        tail = ordered[start:]
        density = 1 + len(tail) / np.log(tail / tail[0]).sum()
        above = np.arange(len(tail)) / len(tail)
        distance = np.abs(1 - (tail / tail[0]) ** (1 - density) - above).max()
        best = min(best, (distance, density, (density - 1) / np.sqrt(len(tail))))
    return best[1:]


# ------------------------------------------------------------ for measure.peak_memory


def ours_on(n: int, m: int):
    """Our spectrum of random activity."""
    data = activity(n, m)
    return lambda: spectra.covariance_spectrum(data)


def eigh_on(n: int, m: int):
    """scikit-learn's covariance_eigh on random activity."""
    data = activity(n, m)
    return lambda: _pca("covariance_eigh", data)


def randomized_on(n: int, m: int, components: int):
    """scikit-learn's randomised solver on random activity."""
    data = activity(n, m)
    return lambda: _pca("randomized", data, n_components=components, random_state=0)


def stream_of(m: int, batches: int):
    """Our spectrum of a stream."""
    pool = _pool(m)
    return lambda: spectra.covariance_spectrum(itertools.islice(itertools.cycle(pool), batches))


def incremental_of(m: int, batches: int):
    """IncrementalPCA on a stream."""
    pool = _pool(m)

    def work():
        model = IncrementalPCA()
        for batch in itertools.islice(itertools.cycle(pool), batches):
            model.partial_fit(batch)

    return work


CASES = (
    Case(
        "spectra.tall",
        work="covariance spectrum of 20,000 × 1024 float32",
        against='scikit-learn PCA(svd_solver="covariance_eigh")',
        aim="≤ 1× its time, at float64 accuracy",
        run=tall,
    ),
    Case(
        "spectra.tall-float64",
        work="covariance spectrum of 20,000 × 1024 float32, computed in float64",
        against='scikit-learn PCA(svd_solver="covariance_eigh") of the activity as float64',
        aim="≤ 1× its time",
        run=tall_in_float64,
    ),
    Case(
        "spectra.wide",
        work="covariance spectrum of 2,000 × 50,000 float32",
        against='scikit-learn PCA(svd_solver="randomized", n_components=500)',
        aim="faster, and exact",
        run=wide,
    ),
    Case(
        "spectra.streamed",
        work="covariance spectrum of 10⁶ × 1024 as a stream",
        against="scikit-learn IncrementalPCA",
        aim="< 1 GB",
        run=streamed,
    ),
    Case(
        "spectra.exponent",
        work="exponent of a power law with its interval",
        against="log-log fit with a bootstrap over samples",
        aim="bias < 0.01, coverage 92 to 98 %",
        run=exponent,
    ),
    Case(
        "spectra.exponent-density",
        work="exponent of a power law with its interval, from the eigenvalues",
        against="likelihood of a power-law density (powerlaw)",
        aim="bias < 0.01, coverage 92 to 98 %",
        run=exponent_by_density,
    ),
    Case(
        "spectra.exponent-weightwatcher",
        work="exponent of a power law with its interval, from the eigenvalues",
        against="the exponent of WeightWatcher",
        aim="bias < 0.01, coverage 92 to 98 %",
        run=exponent_by_weightwatcher,
    ),
)
