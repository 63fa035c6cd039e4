"""Trained ensembles reach the optimum; sampled inputs have the moments they promise."""

import numpy as np
import pytest
import torch

from polysemanticity import capacity
from polysemanticity.base import streams
from polysemanticity.capacity import feature_capacity, optimal_allocation, quadratic


def train(v, kappa, dims, n_seeds=3, **options):
    generator = streams.generator(0, "weights")
    return quadratic.train_quadratic(torch.tensor(v), torch.tensor(kappa), dims, n_seeds, generator, **options)


def test_training_finds_the_optimum():
    v, kappa = np.array([0.8 ** np.arange(8), 40 * 0.6 ** np.arange(8)]), np.array([6.0, 40.0])
    trained, best = train(v, kappa, 3), optimal_allocation(v, kappa[:, None], 3)
    assert trained.weights.shape == (2, 3, 3, 8)
    c = feature_capacity(trained.weights).numpy()
    np.testing.assert_allclose(c, np.broadcast_to(best.capacity[:, None], c.shape), atol=1e-8)
    np.testing.assert_allclose(trained.loss, np.broadcast_to(best.loss[:, None], (2, 3)), rtol=1e-10)
    assert trained.residual.max() < 1e-12
    np.testing.assert_allclose(capacity.eigenvalues(trained.weights[0, 0])[-1], best.price[0], rtol=1e-6)


def test_training_is_repeatable_and_does_not_mix_models():
    v, kappa = np.array([[1.0, 0.9, 0.8]] * 2), np.array([5.0, 2.0])
    first, again = train(v, kappa, 1), train(v, kappa, 1)
    torch.testing.assert_close(first.weights, again.weights, rtol=0, atol=0)
    start = torch.randn(4, 2, 3, dtype=torch.float64)
    v, a = torch.ones(4, 3, dtype=torch.float64), torch.full((4, 1), 8.0, dtype=torch.float64)

    def end(part):
        gradient = lambda p, _: (capacity.gradient_unchecked(p[0], v[part], a[part]),)  # noqa: E731
        return quadratic.adam_descent(gradient, (start[part],), 50, 0.05)[0]

    torch.testing.assert_close(end(slice(0, 4))[1:2], end(slice(1, 2)), rtol=1e-12, atol=1e-14)


def test_descend_leaves_its_start_alone_and_finds_a_minimum():
    start = torch.tensor([5.0, -3.0, 0.0], dtype=torch.float64)
    end = quadratic.adam_descent(lambda p, _: (2 * p[0],), (start,), 500, 0.1)[0]
    torch.testing.assert_close(start, torch.tensor([5.0, -3.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(end, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-3)
    assert end[2] == 0


def test_training_on_samples_comes_close():
    generator = streams.generator(0, "data")
    v = np.array([[[1.0, 1.0, 0.5], [1.0, 1.0, 2.0]], [[1.0, 1.0, 0.5], [1.0, 0.8, 0.2]]])
    kappa = np.array([10.0, 1.5])
    options = {"n_steps": 800, "batch": 256}
    w = quadratic.train_quadratic_on_samples(torch.tensor(v), torch.tensor(kappa), 1, 3, generator, **options)
    assert w.shape == (2, 2, 3, 1, 3)
    best = optimal_allocation(v[0], kappa[0], 1).capacity
    np.testing.assert_allclose(feature_capacity(w[0]).mean(1), best, atol=0.05)
    dense = feature_capacity(w[1, 1]).numpy()
    np.testing.assert_allclose(dense, dense.round(), atol=0.02)  # at kurtosis 1.5 one feature has it all


def test_samples_lead_down_the_exact_gradient(monkeypatch):
    seen = {}

    def at_the_start(gradient, start, n_steps, lr, drawn):
        seen["start"], seen["slope"] = start[0][0, 0], gradient(start, 0)[0][0, 0]
        return start

    monkeypatch.setattr(quadratic, "adam_descent", at_the_start)
    v, kappa = torch.tensor([[[1.0, 0.5, 2.0, 0.3]]]), torch.tensor([2.5])
    quadratic.train_quadratic_on_samples(v, kappa, 2, 1, streams.generator(3, "data"), batch=400_000)
    w, v = seen["start"].double().numpy(), v[0, 0].double().numpy()
    spare = v.sum() - (w * w).sum()  # the best constant, where training starts from 0
    np.testing.assert_allclose(seen["slope"], capacity.quadratic_gradient(w, v, 2.5) - 4 * spare * w, atol=0.05)


@pytest.mark.parametrize("law", list(quadratic.INPUT_KURTOSIS))
@pytest.mark.parametrize("density", [0.1, 0.7])
def test_sparse_inputs_have_the_moments_they_promise(law, density):
    x = quadratic.sparse_inputs(law, density, (400_000,), streams.generator(1, "data"))
    assert x.mean() == pytest.approx(0, abs=0.01)
    assert x.var() == pytest.approx(1, abs=0.02)
    tolerance = 0.15 if law == "laplace" else 0.04  # the standard error of its fourth moment is four per cent
    assert (x**4).mean() == pytest.approx(quadratic.INPUT_KURTOSIS[law](density), rel=tolerance)


def test_no_power_brings_the_kurtosis_below_one_over_density():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 400_000) * (rng.random(400_000) < 0.3)
    for power in (1.0, 0.5):
        y = np.sign(x) * np.abs(x) ** power
        assert quadratic.power_kurtosis(power, 0.3) == pytest.approx((y**4).mean() / (y**2).mean() ** 2, rel=0.02)
    assert quadratic.power_kurtosis(np.linspace(0, 1, 9), 0.2).min() == pytest.approx(5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(np.ones(3), np.array(5.0), 0), r"dims = 0: allowed is at least 1"),
        (lambda: train(np.ones(3), np.array(5.0), 1, n_seeds=0), r"n_seeds = 0: allowed is at least 1"),
        (lambda: train(np.zeros(3), np.array(5.0), 1), r"importance = 0.0: allowed is above 0"),
        (lambda: train(np.ones(3), np.array(1.0), 1), r"kurtosis = 1.0: allowed is above 1"),
        (lambda: train(np.ones(3), np.array(5.0), 1, n_steps=-1), r"n_steps = -1: allowed is at least 0"),
        (lambda: train(np.ones(3), np.array(5.0), 1, lr=0.0), r"lr = 0.0: allowed is above 0"),
        (
            lambda: quadratic.sparse_inputs("cauchy", 0.5, (2,), torch.Generator()),
            r"law = 'cauchy': allowed is one of gaussian",
        ),
        (
            lambda: quadratic.sparse_inputs("sign", 0.0, (2,), torch.Generator()),
            r"density = 0.0: allowed is in \(0, 1\]",
        ),
        (
            lambda: quadratic.train_quadratic_on_samples(
                torch.ones(1, 1, 2), torch.tensor([0.5]), 1, 1, torch.Generator()
            ),
            r"kurtosis = \[0.5\]: allowed is at least 1",
        ),
        (lambda: quadratic.adam_descent(lambda p, _: p, (torch.ones(1),), 1, 0.0), "lr = 0.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("arrangement", quadratic.ARRANGEMENTS)
def test_rearranged_data_keep_what_they_say(arrangement):
    generator = torch.Generator().manual_seed(0)
    size, sign = (
        torch.rand(1000, 1, generator=generator) + 0.5,
        torch.randint(2, (1000, 1), generator=generator) * 2 - 1,
    )
    x = quadratic.rearranged(size * sign * torch.tensor([1.0, 2.0]), arrangement, 4000, generator)
    first, second = x[:, 0], x[:, 1] / 2
    assert (first.abs() == second.abs()).all() == (arrangement != "independent")
    assert (first == second).all() == (arrangement == "as they are")
    assert (
        abs(float(torch.corrcoef(torch.stack([first.abs(), second.abs()]))[0, 1])) < 0.1 or arrangement != "independent"
    )


def test_models_of_data_find_the_optimum_of_independent_features():
    generator = torch.Generator().manual_seed(0)
    x = quadratic.sparse_inputs("sign", 0.2, (5000, 3), generator)
    v = torch.tensor([1.0, 0.8, 0.6])
    w = quadratic.train_quadratic_on_data(x, v, "independent", 2, 2, generator, n_steps=800, batch=256)
    kurtosis = ((x**4).mean(0) / (x**2).mean(0) ** 2).numpy()
    best = capacity.optimal_allocation(v.numpy().astype(float), kurtosis, 2).capacity
    np.testing.assert_allclose(capacity.feature_capacity(w.double().numpy()), [best, best], atol=0.05)
