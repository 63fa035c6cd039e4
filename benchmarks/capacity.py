"""Paper 3: the phase diagram trained, capacities of many features, the optimal allocation."""

import math

import numpy as np
import torch
from scipy.optimize import minimize

from benchmarks import measure
from benchmarks.measure import Case, Result
from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import phases, quadratic
from polysemanticity.papers.feature_capacity import phase_diagram

# ------------------------------------------------------------ the phase diagram


def trained_diagram(quick: bool) -> Result:
    """All models of the diagram at once, against a loop over them; the largest error of a capacity on both sides."""
    n_grid, n_seeds, n_steps, steps, batch, n_points = (4, 2, 40, 20, 32, 2) if quick else (20, 4, 800, 8000, 1024, 5)
    ratios, kurtoses = phase_diagram.phase_grid(n_grid)
    v = np.broadcast_to(phases.special_importance(ratios, 20), (n_grid, n_grid, 20))
    kappa = np.broadcast_to(np.reshape(kurtoses, (-1, 1)), (n_grid, n_grid))
    best, sparse = capacity.optimal_allocation(v, kappa[..., None], 10).capacity, kappa > 3
    rng, errors = streams.rng(0, "points"), ([], [])

    def ours():
        trained = quadratic.train_quadratic(
            torch.tensor(v), torch.tensor(kappa), 10, n_seeds, streams.generator(0, "weights"), n_steps
        )
        c = capacity.feature_capacity(trained.weights).numpy()
        errors[0].append(np.abs(c - best[:, :, None])[sparse].max())

    def one_point():
        place = tuple(rng.choice(np.argwhere(sparse)))
        w = train_one(v[place], kappa[place], 10, steps, batch)
        errors[1].append(np.abs(capacity.feature_capacity(w) - best[place]).max())

    models = n_grid**2 * n_seeds
    ours(), train_one(v[0, 0], 10.0, 10, 10, batch)
    timed = measure.pairs(ours, one_point, n_points, warm_up=False, scale=models)
    faster = measure.ratio(timed)
    features, dims = 20, 10
    return Result(
        met=faster.median >= 100 and max(errors[0]) < 1e-6,
        ratio=faster,
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy="largest error of a capacity, kurtosis > 3",
        ours_accuracy=f"{max(errors[0]):.0e} over all models",
        theirs_accuracy=f"{np.median(errors[1]):.0e} (median of {n_points} models), {max(errors[1]):.0e} (worst)",
        kernels=(
            measure.kernel(
                f"{n_steps} steps of {models:,} quadratic models",
                timed.ours.median,
                operations=4 * dims**2 * features * models * n_steps,
                n_bytes=2 * 8 * dims * features * models,
                kind="float64",
            ),
        ),
        note=f"Ours trains {models:,} models on the exact loss. Floors: the two matrix products of a step's gradient; "
        f"the weights read and written once. Of the loop {n_points} models at random points with "
        f"kurtosis above 3 were trained ({steps:,} steps on batches of {batch:,}), one per pair, and the time was "
        f"multiplied by {models:,}.",
    )


def train_one(importance, kurtosis: float, dims: int, n_steps: int, batch: int) -> np.ndarray:
    """The weights of one quadratic model as the usual toy-model notebooks train it: autograd, Adam, fresh samples."""
    v, density = torch.tensor(importance, dtype=torch.float32), 3 / kurtosis
    w = torch.nn.Parameter(0.3 * torch.randn(dims, len(v)))
    constant = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([w, constant], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(n_steps):
        x = (torch.rand(batch, len(v)) < density) * torch.randn(batch, len(v)) / math.sqrt(density)
        loss = (((x * x) @ v - ((x @ w.T) ** 2).sum(-1) - constant) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return w.detach().double().numpy()


# ------------------------------------------------------------ capacities of many features


def many_features(quick: bool) -> Result:
    """Memory beyond the weights; the Gram matrix is only built where it fits, and its growth gives the rest."""
    n, d = (4_000, 40) if quick else (100_000, 1000)
    gram_sizes = (1000,) if quick else (1000, 2000, 4000, 10_000)
    small = np.random.default_rng(0).standard_normal((d, gram_sizes[-1]))
    difference = np.abs(capacity.feature_capacity(small) - gram_capacity(small)).max()
    peak = measure.peak_of_full_size(quick, "benchmarks.capacity:ours_on", n_features=n, n_dims=d) or 1
    each = [{"n_features": k, "n_dims": d} for k in gram_sizes]
    theirs = [1] if quick else measure.peak_memories("benchmarks.capacity:gram_on", each)
    needed = theirs[-1] * (n / gram_sizes[-1]) ** 2
    timed = measure.pairs(lambda: capacity.feature_capacity(small), lambda: gram_capacity(small), 5)
    return Result(
        met=needed / peak >= 50,
        measured=f"1/{needed / peak:.0f}",
        ratio=measure.ratio(timed),
        ours=timed.ours,
        theirs=timed.theirs,
        ours_bytes=peak,
        theirs_bytes=int(needed),
        accuracy=f"difference at N = {gram_sizes[-1]:,}",
        ours_accuracy=f"{difference:.0e}",
        growth=() if quick else (measure.growth("memory of the Gram matrix", "features N", gram_sizes, theirs, 2.0),),
        kernels=(
            measure.kernel(
                f"capacities of {gram_sizes[-1]:,} features",
                timed.ours.median,
                operations=3 * gram_sizes[-1] * d**2,
                n_bytes=2 * 8 * gram_sizes[-1] * d,
                kind="float64",
            ),
        ),
        note=f"Times are at N = {gram_sizes[-1]:,}, where the Gram matrix fits. Its memory at N = {n:,} is that at "
        f"{gram_sizes[-1]:,} times {(n / gram_sizes[-1]) ** 2:g}; it was not allocated. Memory is beyond the weights, "
        f"which are {8 * n * d / 1e9:.2g} GB. Ours works in parts of fixed size. Floors: the symmetric "
        "product N D² and one of twice as many operations; the weights read twice.",
    )


def gram_capacity(w: np.ndarray) -> np.ndarray:
    """The definition, written out with the N × N Gram matrix."""
    gram = w.T @ w
    return np.diag(gram) ** 2 / (gram**2).sum(1)


def _inputs(n_features: int, n_dims: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n_dims, n_features))


def ours_on(n_features: int, n_dims: int):
    """For `measure.peak_memory`: our capacities of random weights."""
    w = _inputs(n_features, n_dims)
    return lambda: capacity.feature_capacity(w)


def gram_on(n_features: int, n_dims: int):
    """For `measure.peak_memory`: the definition on random weights."""
    w = _inputs(n_features, n_dims)
    return lambda: gram_capacity(w)


# ------------------------------------------------------------ the optimal allocation


def allocation(quick: bool) -> Result:
    """Exact allocation of many features; a general solver where it is feasible, and how both grow."""
    feasible = 20 if quick else 100
    largest = 1000 if quick else 100_000
    solver_sizes = (10, 20, 40) if quick else (10, 30, 100, 300)

    def problem(size):
        return np.exp(np.random.default_rng(size).normal(0, 1, size)), 30.0, size / 4

    v, kappa, dims = problem(feasible)
    exact, solved = capacity.optimal_allocation(v, kappa, dims), solve(v, kappa, dims)

    def seconds(method, size, repeats):
        posed = problem(size)
        return measure.timings(lambda: method(*posed), repeats)

    timed = measure.pairs(lambda: capacity.optimal_allocation(v, kappa, dims), lambda: solve(v, kappa, dims), 5)
    ours = seconds(capacity.optimal_allocation, largest, 5).median
    theirs = [seconds(solve, size, 1) for size in solver_sizes]
    lost = capacity.feature_loss(solved, v, kappa).sum() / exact.loss - 1
    return Result(
        met=ours < 0.1,
        measured=f"{1000 * ours:.0f} ms at N = {largest:,}",
        ratio=measure.ratio(timed),
        ours=timed.ours,
        theirs=timed.theirs,
        accuracy="capacities sum to D, relative; excess loss",
        ours_accuracy=f"{abs(exact.capacity.sum() / dims - 1):.0e}; 0 (the optimum)",
        theirs_accuracy=f"{abs(solved.sum() / dims - 1):.0e}; {lost:.0e}",
        growth=(measure.growth("time of the solver", "features N", solver_sizes, [s.median for s in theirs], 3.0),),
        kernels=(
            measure.kernel(
                f"allocation of {largest:,} features",
                ours,
                operations=largest * math.log2(largest),
                n_bytes=5 * 8 * largest,
                kind="float64",
            ),
        ),
        note=f"Times and ratio are at N = {feasible}, where the solver (SLSQP of scipy, with gradients) is feasible. "
        "Floors: N log N comparisons; importance and kurtosis read, capacity, norm and order written.",
    )


def solve(v, kappa, dims) -> np.ndarray:
    """min Σ L_i(C_i) with Σ C_i = dims and 0 ≤ C ≤ 1, by sequential quadratic programming with exact gradients."""
    solution = minimize(
        lambda c: capacity.feature_loss(np.clip(c, 0, 1), v, kappa).sum(),
        np.full(len(v), dims / len(v)),
        jac=lambda c: -capacity.marginal_benefit(np.clip(c, 0, 1), v, kappa),
        bounds=[(0, 1)] * len(v),
        constraints={"type": "eq", "fun": lambda c: c.sum() - dims, "jac": np.ones_like},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    return np.clip(solution.x, 0, 1)


CASES = (
    Case(
        "capacity.phase-diagram",
        work="quadratic phase diagram, 20 × 20 points × 4 starts, 20 features in 10 dimensions",
        against="a loop over the models: autograd, Adam, sampled batches",
        aim="≥ 100×, error of a capacity < 1e-6",
        run=trained_diagram,
    ),
    Case(
        "capacity.many-features",
        work="capacities of 100,000 features in 1,000 dimensions",
        against="the Gram matrix of all pairs",
        aim="memory ≤ 1/50",
        run=many_features,
    ),
    Case(
        "capacity.allocation",
        work="optimal allocation of 100,000 features",
        against="a general-purpose solver (scipy SLSQP)",
        aim="< 0.1 s",
        run=allocation,
    ),
)
