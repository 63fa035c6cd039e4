"""Every architecture returns embeddings, and the ReLU autoencoder digons."""

import numpy as np
import pytest
import torch

from polysemanticity import capacity, claims, plots
from polysemanticity.base import streams
from polysemanticity.base.results import Results
from polysemanticity.capacity import geometry, quadratic
from polysemanticity.papers.feature_capacity import architectures


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


@pytest.mark.parametrize("model", ["quadratic", "relu"])
def test_architectures_return_weights_per_density_and_start(model):
    config = {"decay": 1.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 600, "batch": 64}
    w = work(architectures.train_architecture, model=model, densities=(0.3, 0.1), **config)["weights"]
    assert w.shape == (2, 2, 2, 4)
    shape = geometry.block_geometry(w)
    assert shape.blocks.shape == (2, 2) and (shape.efficiency <= 1 + 1e-9).all()
    if model == "relu":
        assert (shape.digons[0] == 1).all() and (shape.size[0] == 2).all()


def phases(weights):
    """Mono-, polysemantic and ignored features, means over starts, by the thresholds of the reference table."""
    share = capacity.feature_capacity(weights)
    length = np.square(weights).sum(axis=-2)
    ignored = (share < 0.05) | (length < 0.05 * length.max(axis=-1, keepdims=True))
    mono = ~ignored & (share > 0.95)
    return np.stack([mono, ~ignored & ~mono, ignored]).sum(axis=-1).mean(axis=-1).T


# mono, polysemantic, ignored of 20 features in 5 dimensions, importance 0.9^i: the settings where independent runs agree
ARCHITECTURES = {
    "linear": {0.2: (5, 0, 15)},
    "tanh": {0.2: (5, 0, 15)},
    "gelu": {0.1: (0, 10, 10)},
    "relu": {0.2: (0, 10, 10)},
}


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_trained_architectures_share_features_as_independent_runs_did(model):
    table = ARCHITECTURES[model]
    config = {"decay": 0.9, "n_features": 20, "n_dims": 5, "n_seeds": 2, "n_steps": 2500, "batch": 256}
    w = work(architectures.train_architecture, model=model, densities=tuple(table), **config)["weights"]
    assert phases(w) == pytest.approx(np.array(list(table.values())), abs=1)


@pytest.mark.parametrize(
    ("density", "table"), [(1.0, (5, 0, 15)), (0.5, (3, 5, 12)), (0.4, (0, 11, 9)), (0.2, (0, 20, 0))]
)
def test_the_quadratic_optimum_shares_features_as_tabulated(density, table):
    share = capacity.optimal_allocation(0.9 ** (np.arange(20) / 2), 1.8 / density, 5).capacity
    mono, ignored = (share > 0.999).sum(), (share < 0.001).sum()
    assert (mono, 20 - mono - ignored, ignored) == table


@pytest.mark.parametrize(
    ("n", "dims", "decay", "kurtosis", "block", "singletons"),
    [
        (30, 8, 1.0, 10.0, (30, 8), 0),
        (40, 10, 1.0, 10.0, (40, 10), 0),
        (20, 5, 1.0, 10.0, (20, 5), 0),
        (40, 10, 0.9, 10.0, (14, 5), 5),
        (40, 10, 0.9, 30.0, (26, 8), 2),
    ],
)
def test_quadratic_models_have_the_tabulated_block(n, dims, decay, kurtosis, block, singletons):
    v = torch.tensor(decay ** np.arange(n))[None]
    trained = quadratic.train_quadratic(v, torch.tensor([kurtosis]).double(), dims, 2, streams.generator(0, "blocks"))
    for weights in trained.weights[0].numpy():
        found = sorted(((len(b.features), b.dims) for b in capacity.blocks(weights, 0.05, 1e-3)), reverse=True)
        assert found == [block] + [(1, 1)] * singletons


def test_relu_autoencoders_have_the_tabulated_blocks():
    config = {"n_seeds": 2, "n_steps": 2500, "batch": 256}
    w = work(
        architectures.train_architecture, model="relu", densities=(0.3,), decay=1.0, n_features=20, n_dims=10, **config
    )
    for weights in w["weights"][0]:
        assert [(len(b.features), b.dims) for b in capacity.blocks(weights)] == [(2, 1)] * 10
    w = work(
        architectures.train_architecture, model="relu", densities=(0.02,), decay=0.9, n_features=20, n_dims=5, **config
    )
    assert phases(w["weights"]) == pytest.approx(np.array([(0, 18, 2)]), abs=1)
    for weights in w["weights"][0]:
        (block,) = capacity.blocks(weights)
        assert 17 <= len(block.features) <= 20 and block.dims == 5


ALONE = np.eye(8, 16)  # eight monosemantic features
DIGONS = geometry.archetypes(np.random.default_rng(0))["eight digons (2, 1)"]
DENSE = geometry.archetypes(np.random.default_rng(0))["one block (16, 8)"]
SIZE = {"n_features": 16, "n_dims": 8, "n_seeds": 8, "decay": 1.0}


def ensemble(*embeddings):
    """Weights [density, start, D, N]: one embedding for each density, the same for eight starts."""
    return {"weights": np.stack([np.stack([w] * 8) for w in embeddings])}


def built(quadratic, relu):
    """Six architectures whose shared features rise as given from dense to sparse; two controls that never share."""
    shared = {"quadratic": quadratic, "relu": relu, "gelu": relu, "relu hidden": relu}
    configs = [{"model": m, "densities": architectures.DENSITIES, **SIZE} for m in architectures.MODELS]
    never = [ALONE] * len(architectures.DENSITIES)
    return Results(configs, [ensemble(*shared.get(c["model"], never)) for c in configs])


HALF = np.block([[np.eye(4, 4), np.zeros((4, 12))], [np.zeros((4, 4)), DIGONS[:4, :8], np.zeros((4, 4))]])
RISING, LATE, FLAT = [ALONE] * 3 + [DIGONS] * 4, [ALONE] * 2 + [HALF] * 5, [ALONE] * 7


@pytest.mark.parametrize(
    ("quadratic", "relu", "verdict"),
    [(RISING, LATE, claims.HOLDS), (RISING, FLAT, claims.FAILS), (RISING[:4] + FLAT[:3], LATE, claims.FAILS)],
)
def test_fc_05_is_judged_rightly(quadratic, relu, verdict):
    measured = architectures.measured_sparsity(built(quadratic, relu))
    assert claims.verdict_of(architectures.CLAIMS["FC-05a"], measured.quantities) == verdict


def test_levels_and_controls_are_judged_rightly():
    for others, verdict in ((LATE, claims.HOLDS), (RISING, claims.FAILS)):
        measured = architectures.measured_levels(built(RISING, others))
        assert claims.verdict_of(architectures.CLAIMS["FC-05b"], measured.quantities) == verdict
    results = built(RISING, LATE)
    measured = architectures.measured_controls(results)
    assert claims.verdict_of(architectures.CLAIMS["FC-05c"], measured.quantities) == claims.HOLDS
    rows = [ensemble(*RISING) if c["model"] == "tanh" else r for c, r in results.pairs()]
    measured = architectures.measured_controls(Results(results.configs, rows))
    assert claims.verdict_of(architectures.CLAIMS["FC-05c"], measured.quantities) == claims.FAILS


def test_tables_of_architectures_are_tidy():
    tables = (architectures.shares_table(built(RISING, LATE)),)
    for table in tables:
        plots.check_tidy(table)
    name = "polysemantic share of represented features"
    quadratic = plots.part(tables[0], series="quadratic", quantity=name)
    assert list(quadratic["value"]) == [0, 0, 0, 1, 1, 1, 1]


def simplices(n_features, n_dims):
    """N − D simplices that share D dimensions between them, as equally as can be."""
    sizes = [len(part) for part in np.array_split(np.arange(n_features), n_features - n_dims)]
    w, row, column = np.zeros((n_dims, n_features)), 0, 0
    for size in sizes:
        corners = np.linalg.svd(np.eye(size) - 1 / size)[2][: size - 1]
        w[row : row + size - 1, column : column + size] = corners
        row, column = row + size - 1, column + size
    return w


def mapped(at_4d, gelu_at_4d):
    configs, results = [], []
    for model, last in (("relu", at_4d), ("gelu", gelu_at_4d)):
        for n in (10, 12, 16, 20, 24, 32):
            w = simplices(n, 8) if n < 16 else np.hstack([DIGONS, np.zeros((8, n - 16))]) if n < 32 else last
            configs.append({"model": model, "n_features": n, "n_dims": 8, "n_seeds": 4,
                            "densities": architectures.CROSSOVER_DENSITIES})  # fmt: skip
            results.append(ensemble(*[w] * 4))
    return Results(configs, results)


MERGED = np.linalg.qr(np.random.default_rng(1).standard_normal((32, 8)))[0].T
KEPT = np.hstack([DIGONS, np.zeros((8, 16))])


@pytest.mark.parametrize(
    ("relu", "gelu", "verdicts"),
    [
        (MERGED, KEPT, [claims.HOLDS] * 2),
        (MERGED, MERGED, [claims.HOLDS, claims.FAILS]),
        (KEPT, KEPT, [claims.FAILS, claims.HOLDS]),
    ],
)
def test_fc_12_is_judged_rightly(relu, gelu, verdicts):
    results = mapped(relu, gelu)
    measured = architectures.measured_crossover(results), architectures.measured_gelu(results)
    found = [
        claims.verdict_of(architectures.CLAIMS[f"FC-12{k}"], m.quantities) for k, m in zip("ab", measured, strict=True)
    ]
    assert found == verdicts
    plots.check_tidy(architectures.crossover_table(results))
