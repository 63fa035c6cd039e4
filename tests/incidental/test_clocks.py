"""The two clocks: their readings against plain computations, and the theory of both against networks."""

import math

import numpy as np
import pytest
import torch

from polysemanticity import incidental
from polysemanticity.base import runtime
from polysemanticity.incidental import clocks, winner


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def test_interference_and_neurons_in_use_of_known_weights():
    weights = torch.tensor([[1.0, 0.0], [0.5, -0.5], [-1.0, 0.0]])
    assert float(clocks.interference(weights)) == pytest.approx(2 * 0.25)  # 0.5 between the first two, −0.5, −1 do not
    assert float(clocks.neurons_in_use(weights)) == pytest.approx((1 + 2 + 1) / 3)
    gaussian = torch.randn(50, 4000, generator=torch.Generator().manual_seed(0))
    assert float(clocks.neurons_in_use(gaussian)) == pytest.approx(2 * 4000 / math.pi, rel=0.02)


def test_the_course_of_the_flow_is_that_of_plain_descent():
    start, l1 = incidental.initial_weights(4, 8, [3]), 0.2
    course = clocks.of_flow(start, l1, step=0.05)
    weights, time, plain = start.clone(), 0.0, []
    for _ in range(3000):
        plain.append((time, float(clocks.interference(weights)), float(clocks.neurons_in_use(weights))))
        moved = weights - 1e-3 * incidental.gradient(weights)
        weights, time = moved - moved.clamp(-1e-3 * l1, 1e-3 * l1), time + 1e-3
    plain = np.array(plain)
    within = course.time < 3
    for values, column in ((course.interference, 1), (course.in_use, 2)):
        expected = np.interp(course.time[within], plain[:, 0], plain[:, column])
        np.testing.assert_allclose(values[within, 0], expected, rtol=0.05, atol=0.01)


def test_the_course_of_adamw_is_that_of_its_formula():
    start, l1 = incidental.initial_weights(4, 8, [3]), 0.05
    course = clocks.of_adamw(start, l1, max_steps=30)
    weights, first, second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for k in range(31):
        assert float(clocks.interference(weights)) == pytest.approx(course.interference[k, 0], rel=1e-6)
        (slope,) = torch.autograd.grad(incidental.loss(weights.requires_grad_(), l1).sum(), weights)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        ahead = first / (1 - 0.9 ** (k + 1)) / ((second / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8)
        weights = (weights * (1 - 1e-3 * 0.01) - 1e-3 * ahead).detach()
    assert len(course.time) == 31 and course.time[-1] == 30


def test_passage_interpolates_and_says_never():
    time = np.array([0.0, 1.0, 2.0, 3.0])
    values = np.array([[1, 1, 8], [math.exp(-1), 0.9, 8], [math.exp(-2), 0.8, 0], [0, 0.7, 0]])
    np.testing.assert_allclose(clocks.passage(time, values, math.exp(-1.5)), [1.5, np.inf, 2.0])


def test_interference_of_many_neurons_decays_at_the_predicted_rate():
    start = incidental.initial_weights(8, 4000, range(4))
    course = clocks.of_flow(start, 1e-3, halved=0.999, step=0.3)
    measured = clocks.passage(course.time, course.interference, 0.01)
    assert np.mean(measured) == pytest.approx(clocks.decay_time(0.01), rel=0.05)


def test_the_halving_time_is_that_of_the_exact_solution():
    m, l1 = 20_000, 1e-4
    weights = np.random.default_rng(0).normal(size=m) / math.sqrt(m)
    time = clocks.halving_time(m, l1)
    first, last = np.abs(winner.winner_take_all(weights, l1, [0.0, time])).astype(float)
    in_use = lambda w: w.sum() ** 2 / (w**2).sum()  # noqa: E731
    assert in_use(last) / in_use(first) == pytest.approx(0.5, rel=0.03)
    assert time * l1 * math.sqrt(m) == pytest.approx(clocks.halving_time(10 * m, l1) * l1 * math.sqrt(10 * m), rel=1e-3)


def test_the_residual_is_what_a_draw_of_the_tax_gives():
    m, l1, rng = 400, 0.02, np.random.default_rng(1)
    one, other = rng.normal(size=(2, 4000, m)) / math.sqrt(m)
    drive = -l1 * ((np.sign(one) * other).sum(1) + (one * np.sign(other)).sum(1))
    product = (one * other).sum(1)
    drive -= product * (drive @ product) / (product @ product)
    kept = np.maximum(drive / 8, 0)
    expected = (kept**2).mean() / (np.maximum(product, 0) ** 2).mean()
    assert clocks.residual_share(m, l1) == pytest.approx(expected, rel=0.1)


def test_shares_outside_of_zero_and_one_are_named():
    for call in (clocks.decay_time, lambda share: clocks.halving_time(100, 0.01, share)):
        with pytest.raises(ValueError, match="share = 1.5: allowed is a number between 0 and 1"):
            call(1.5)
