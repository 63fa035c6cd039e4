"""Incidental polysemanticity: the closed forms against second ways, training against plain descent, the counts against theory."""

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate

from polysemanticity import incidental
from polysemanticity.base import runtime
from polysemanticity.incidental import flow, optimizers, winner

SEEDS = tuple(range(6))


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


def plain_descent(start, l1, step=0.01, time=140.0):
    """Small-step proximal descent in float64, with no bound, groups or early end."""
    weights = start.clone()
    for _ in range(int(time / step)):
        moved = weights - step * incidental.gradient(weights)
        weights = moved - moved.clamp(-step * l1, step * l1)
    return weights.numpy()


def slots(weights):
    """Each feature's neuron, signed: +(k + 1) or −(k + 1)."""
    neuron = np.abs(weights).argmax(-1)
    return np.sign(np.take_along_axis(weights, neuron[..., None], -1)[..., 0]) * (neuron + 1)


# --- one encoding ---


def test_winner_take_all_is_the_flow_integrated():
    weights = np.random.default_rng(0).normal(size=40) / np.sqrt(40)
    times, l1 = np.linspace(0, 12, 9), 0.1

    def flow(time, w):
        return 4 * (1 - w @ w) * w - l1 * np.sign(w) * (np.abs(w) > 1e-9)

    exact = winner.winner_take_all(weights, l1, times)
    alive = np.abs(exact[-1]) > 0
    # the live ones are smooth to the end; a dead one chatters about zero in any solver that does not know it is dead
    short = winner.winner_take_all(weights[alive], l1, times)
    solved = integrate.solve_ivp(flow, (0, 12), weights[alive], t_eval=times, rtol=1e-11, atol=1e-13).y.T
    np.testing.assert_allclose(short, solved, rtol=1e-7)
    np.testing.assert_allclose(exact[0], weights, rtol=1e-12)


def test_winner_take_all_against_runge_kutta_with_deaths():
    weights = np.random.default_rng(1).normal(size=30) / np.sqrt(30)
    times, l1, step = np.array([0.0, 0.5, 2.0, 8.0]), 0.2, 1e-3

    def slope(w):
        return 4 * (1 - w @ w) * w - l1

    size, course = np.abs(weights), [np.abs(weights)]
    for start, stop in itertools.pairwise(times):
        for _ in range(round((stop - start) / step)):
            k1 = slope(size)
            k2 = slope(size + step / 2 * k1)
            k3 = slope(size + step / 2 * k2)
            k4 = slope(size + step * k3)
            size = np.where(size > 0, np.maximum(0, size + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)), 0)
        course.append(size)
    exact = winner.winner_take_all(weights, l1, times)
    np.testing.assert_allclose(np.abs(exact), course, atol=2 * step)  # a death is placed to a step
    assert (np.abs(exact[-1]) > 0).sum() < 15
    assert np.all(exact * weights >= 0)


def test_winner_keeps_the_order_and_rests_at_the_fixed_point():
    weights = np.random.default_rng(2).normal(size=100) / 10
    course = winner.winner_take_all(weights, 0.05, [0.0, 1.0, 10.0, 1e4])
    order = np.argsort(-np.abs(weights))
    assert np.all(np.diff(np.abs(course)[:, order]) <= 0)
    end = course[-1]
    assert np.flatnonzero(end).tolist() == [order[0]]
    assert abs(end[order[0]]) == pytest.approx(winner.fixed_point(0.05), abs=1e-9)
    assert winner.fixed_point(0.05) == pytest.approx(1 - 0.05 / 8, abs=1e-4)
    assert 4 * (1 - winner.fixed_point(1.0) ** 2) * winner.fixed_point(1.0) == pytest.approx(1.0)


def test_equal_weights_stay_equal_and_zeros_stay_zero():
    course = winner.winner_take_all(np.array([0.3, -0.3, 0.0]), 0.01, [0.0, 5.0])
    assert course[1, 0] == -course[1, 1] > 0.6 and course[1, 2] == 0
    assert not winner.winner_take_all(np.zeros(3), 0.01, [0.0, 5.0]).any()
    np.testing.assert_array_equal(winner.winner_take_all(np.array([0.3, -0.3, 0.0]), 0.01, [5.0, 5.0])[1], course[1])


def test_critical_l1_parts_death_from_survival():
    weights = np.random.default_rng(3).normal(size=256) / 16
    critical = winner.critical_l1(weights)
    assert winner.winner_take_all(weights, 0.99 * critical, [1e4])[0].any()
    assert not winner.winner_take_all(weights, 1.01 * critical, [1e4])[0].any()
    assert critical / np.abs(weights).max() == pytest.approx(3.2, abs=0.5)
    assert winner.critical_l1(np.array([0.9])) == pytest.approx(4 * (1 - 1 / 3) / np.sqrt(3), rel=1e-3)
    assert winner.critical_l1(np.array([0.1])) == pytest.approx(
        4 * 0.99 * 0.1, rel=1e-3
    )  # below the hump: it must grow at once
    assert winner.critical_l1(np.zeros(3)) == 0


def test_simulation_follows_the_exact_solution():
    weights = np.random.default_rng(4).normal(size=5000) * np.sqrt(0.81 / 5000)
    times = np.array([0.0, 10.0, 100.0, 1000.0])
    simulated = winner.simulate(weights, 1e-3, times, step=0.05)
    exact = winner.sparsity(times, winner.winner_take_all(weights, 1e-3, times))
    np.testing.assert_allclose(simulated.time, times)
    np.testing.assert_allclose(simulated.l1_norm, exact.l1_norm, rtol=2e-3)
    np.testing.assert_allclose(simulated.n_alive, exact.n_alive, rtol=5e-3, atol=1)
    np.testing.assert_allclose(simulated.relative_variance, exact.relative_variance, rtol=2e-2)


def test_sparsity_of_known_encodings():
    course = winner.sparsity(np.arange(3.0), np.array([[0.5, -0.5, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
    assert course.n_alive.tolist() == [3, 1, 0]
    assert course.l1_norm.tolist() == [1.5, 2.0, 0.0]
    np.testing.assert_allclose(course.relative_variance, [0, 0, np.nan], atol=1e-15)


def test_sparsity_laws_start_and_end():
    paper = winner.sparsity_law(10**5, 1e-5, [0.0, 1e4])
    np.testing.assert_allclose(paper.l1_norm, [np.sqrt(1e5), 1 / (1 / np.sqrt(1e5) + 0.1)])
    np.testing.assert_allclose(paper.n_alive, paper.l1_norm**2)
    law = winner.sparsity_law(10**5, 1e-5, [0.0, 1e4, 1e9], corrected=True)
    assert law.l1_norm[0] == pytest.approx(np.sqrt(2e5 / np.pi)) and law.n_alive[0] == pytest.approx(1e5)
    assert np.isnan(law.n_alive[-1]) and np.isnan(law.l1_norm[-1])
    scaled = winner.sparsity_law(10**5, 4e-5, [0.0, 2.5e3], corrected=True)
    np.testing.assert_allclose(scaled.n_alive, law.n_alive[:2])


# --- loss and gradient ---


def test_gradient_is_autograd():
    weights = incidental.initial_weights(9, 14, SEEDS).requires_grad_()
    incidental.loss(weights, 0.0).sum().backward()
    torch.testing.assert_close(incidental.gradient(weights.detach()), weights.grad, rtol=1e-12, atol=1e-12)


def test_loss_is_the_definition():
    weights = incidental.initial_weights(5, 7, [3])[0]
    one_hot = torch.eye(5, dtype=torch.float64)
    outputs = torch.relu(one_hot @ weights @ weights.T)
    expected = (outputs - one_hot).square().sum() + 0.3 * weights.abs().sum()
    torch.testing.assert_close(incidental.loss(weights, 0.3), expected)


def test_gradient_turns_with_the_hidden_basis_and_l1_does_not():
    weights = incidental.initial_weights(6, 8, [0])[0]
    rotation = torch.linalg.qr(incidental.initial_weights(8, 8, [1])[0]).Q
    turned = incidental.gradient(weights @ rotation)
    torch.testing.assert_close(turned, incidental.gradient(weights) @ rotation, rtol=1e-12, atol=1e-12)
    assert incidental.loss(weights @ rotation, 0.1) != pytest.approx(float(incidental.loss(weights, 0.1)), rel=1e-6)


def test_initial_weights_do_not_depend_on_the_other_seeds():
    weights = incidental.initial_weights(20, 50, [4, 7])
    torch.testing.assert_close(weights[1], incidental.initial_weights(20, 50, [7])[0])
    assert float(weights.var() * 50) == pytest.approx(1, abs=0.1)


# --- training ---


@pytest.mark.parametrize(("n", "m"), [(8, 8), (8, 16), (12, 48)])
def test_training_ends_where_plain_descent_ends(n, m):
    seeds = range(24)
    plain = plain_descent(incidental.initial_weights(n, m, seeds), 0.05)
    trained = incidental.train(n, m, 0.05, seeds, step=0.1, dtype=torch.float64)
    assert trained.converged.all() and not trained.dead.any()
    np.testing.assert_array_equal(slots(trained.weights), slots(plain))
    usual = incidental.train(n, m, 0.05, seeds)
    assert (slots(usual.weights) == slots(plain)).mean() > 0.98
    counts, expected = (incidental.polysemantic_neurons(weights) for weights in (usual.weights, plain))
    assert np.abs(counts - expected).sum() <= 2


def test_a_step_is_of_second_order():
    start = incidental.initial_weights(1, 30, [0])
    ends = []
    for n in (1, 2, 4, 8):
        weights, force, last = start, torch.zeros_like(start), torch.tensor([torch.inf])
        for _ in range(n):
            weights, force = flow._advance(weights, force, 1e-4, torch.tensor([0.02 / n]), last)
            last = torch.tensor([0.02 / n])
        ends.append(weights)
    errors = [float((end - ends[-1]).abs().max()) for end in ends[:-1]]
    assert 3 < errors[0] / errors[1] < 7 and errors[0] < 1e-2


@pytest.mark.parametrize(("name", "value"), [("LISTED", 1.0), ("MARGIN", 1.0), ("MARGIN", 0.0), ("ALONE", 0)])
def test_when_and_how_weights_are_listed_changes_nothing(monkeypatch, name, value):
    """MARGIN 1 puts no dead weight in play ahead of its revival, so that every revival takes a block back."""
    monkeypatch.setattr(flow, "LISTED", 0.0)
    dense = incidental.train(12, 24, 0.05, range(16), step=0.2, dtype=torch.float64)
    monkeypatch.setattr(flow, name, value)
    listed = incidental.train(12, 24, 0.05, range(16), step=0.2, dtype=torch.float64)
    np.testing.assert_array_equal(slots(listed.weights), slots(dense.weights))


def test_interference_revives_a_dead_weight():
    start = torch.tensor([[[0.9, 0.3, 0.0], [0.8, 0.0, 0.0]]], dtype=torch.float64)
    trained = incidental.train(2, 3, 0.05, [0], initial=start, early=False, dtype=torch.float64)
    np.testing.assert_array_equal(slots(trained.weights), slots(plain_descent(start, 0.05)))
    assert trained.weights[0, 1, 1] < -0.9 or trained.weights[0, 0, 1] > 0.9


@pytest.mark.parametrize("n_neurons", [16, 64])
def test_ending_early_changes_nothing(n_neurons):
    early = incidental.train(16, n_neurons, 0.1, range(16))
    late = incidental.train(16, n_neurons, 0.1, range(16), early=False)
    np.testing.assert_array_equal(slots(early.weights), slots(late.weights))
    assert early.converged.all() and late.converged.all()
    assert (early.residual == 0).all() and (late.residual == 0).all()
    np.testing.assert_allclose(early.weights, late.weights, atol=flow.ARRIVED)
    assert late.n_steps.sum() > early.n_steps.sum()


def test_the_default_step_is_close_to_the_flow():
    coarse = incidental.train(32, 64, 0.1, range(8))
    fine = incidental.train(32, 64, 0.1, range(8), step=0.05, dtype=torch.float64)
    assert (slots(coarse.weights) == slots(fine.weights)).mean() > 0.95


def test_training_never_raises_the_loss():
    weights = incidental.initial_weights(16, 16, SEEDS)
    force, last, before = (
        torch.zeros_like(weights),
        torch.full((len(weights),), torch.inf),
        incidental.loss(weights, 0.1),
    )
    for _ in range(40):
        length = (0.7 / flow.curvature(weights)).double()
        weights, force = flow._advance(weights, force, 0.1, length, last)
        last, after = length, incidental.loss(weights, 0.1)
        assert (after <= before + 1e-12).all()
        before = after


def test_a_seeds_result_does_not_depend_on_the_batch_and_repeats():
    many = incidental.train(12, 24, 0.1, range(5), dtype=torch.float64)
    np.testing.assert_array_equal(many.weights, incidental.train(12, 24, 0.1, range(5), dtype=torch.float64).weights)
    alone = incidental.train(12, 24, 0.1, [3], dtype=torch.float64)
    np.testing.assert_array_equal(slots(many.weights[3]), slots(alone.weights[0]))
    assert alone.n_steps[0] == many.n_steps[3]


def test_batches_that_fit_the_cache_change_nothing(monkeypatch):
    whole = incidental.train(12, 24, 0.1, range(5), dtype=torch.float64)
    monkeypatch.setattr(flow, "BATCH", 2 * 12 * 24)
    parts = incidental.train(12, 24, 0.1, range(5), dtype=torch.float64)
    np.testing.assert_array_equal(slots(whole.weights), slots(parts.weights))
    np.testing.assert_array_equal(whole.initial, parts.initial)
    np.testing.assert_array_equal(whole.n_steps, parts.n_steps)


def test_training_commutes_with_relabelling():
    start = incidental.initial_weights(10, 20, [0])
    rows, columns = torch.randperm(10, generator=torch.manual_seed(0)), torch.randperm(20)
    options = {"l1": 0.1, "seeds": [0], "dtype": torch.float64}
    first = incidental.train(10, 20, initial=start, **options).weights
    second = incidental.train(10, 20, initial=-start[:, rows][:, :, columns], **options).weights
    np.testing.assert_allclose(second, -first[:, rows][:, :, columns], atol=1e-12)


def test_without_neighbours_the_winner_takes_all():
    start = torch.zeros(1, 2, 12, dtype=torch.float64)
    start[0, 0, :6], start[0, 1, 6:] = incidental.initial_weights(2, 6, [0])[0]
    trained = incidental.train(2, 12, 0.1, [0], initial=start, early=False, dtype=torch.float64)
    exact = [winner.winner_take_all(row, 0.1, [1e4])[0] for row in start[0].numpy()]
    np.testing.assert_allclose(trained.weights[0], exact, atol=flow.ARRIVED)


def test_collisions_same_signs_part_and_opposite_signs_stay():
    start = torch.tensor([[[0.9, 0.3, 0.0], [0.8, 0.0, 0.2]], [[0.9, 0.3, 0.0], [-0.8, 0.0, 0.2]]])
    trained = incidental.train(2, 3, 0.1, [0, 1], initial=start)
    assert trained.converged.all()
    assert incidental.polysemantic_neurons(trained.weights).tolist() == [0, 1]
    np.testing.assert_allclose(trained.weights[1, :, 0], [winner.fixed_point(0.1), -winner.fixed_point(0.1)], rtol=1e-6)


def test_rows_that_time_leaves_behind_are_reported():
    cut = incidental.train(12, 24, 0.02, range(3), max_time=5.0)
    assert not cut.converged.all() and (cut.time >= 5).all()
    assert (cut.residual[~cut.converged] > 0).any()
    np.testing.assert_array_equal(cut.residual >= 0, True)


def test_a_large_l1_kills_every_feature_and_says_so():
    with pytest.warns(incidental.DyingFeatures, match="l1 = 1 is too large for 4 of 4 features of the first seed"):
        trained = incidental.train(4, 200, 1.0, range(2))
    assert trained.dead.all() and trained.converged.all() and not trained.weights.any()


def test_the_warning_counts_the_features_that_die_alone():
    start = torch.zeros(1, 3, 30, dtype=torch.float64)
    for feature in range(3):
        start[0, feature, 10 * feature : 10 * feature + 10] = incidental.initial_weights(1, 10, [feature])[0, 0]
    critical = sorted(winner.critical_l1(row) for row in start[0].numpy())
    l1 = (critical[0] + critical[1]) / 2
    with pytest.warns(incidental.DyingFeatures, match="for 1 of 3 features"):
        trained = incidental.train(3, 30, l1, [0], initial=start)
    assert trained.dead.sum() == 1


def test_ordinary_l1_does_not_warn(recwarn):
    incidental.train(8, 16, 0.1, SEEDS)
    assert not len(recwarn)


def test_counts_at_64_features_are_those_of_earlier_runs():
    """The sheet's own runs of the flow, l1 = 0.01, 32 seeds: 14.31 (0.37) at m = 64 and 6.38 (0.37) at m = 128."""
    for n_neurons, mean, error in ((64, 14.31, 0.37), (128, 6.38, 0.37)):
        counts = incidental.polysemantic_neurons(incidental.train(64, n_neurons, 0.01, range(16)).weights)
        assert abs(counts.mean() - mean) < 3 * np.hypot(error, counts.std(ddof=1) / 4)


# --- the optimizers of the published runs ---


@pytest.mark.parametrize("method", optimizers.METHODS)
def test_optimizers_are_torchs_on_autograds_gradient(method):
    start = incidental.initial_weights(6, 10, SEEDS)
    weights = start.clone().requires_grad_()
    kind = torch.optim.AdamW if method == "adamw" else torch.optim.Adam
    optimizer = kind([weights], lr=1e-3)  # weight_decay 0.01 is AdamW's own default
    for n_steps in range(1, 41):
        optimizer.zero_grad()
        incidental.loss(weights, 0.01).sum().backward()
        if method == "sign":
            weights.data -= 1e-3 * weights.grad.sign()
        else:
            optimizer.step()
        if n_steps % 10 == 0:
            ours = optimizers.published_descent(start, 0.01, method, n_steps)
            torch.testing.assert_close(ours, weights.detach(), rtol=1e-10, atol=1e-12)


def test_optimizers_do_not_touch_the_start_and_split_batches_alike(monkeypatch):
    start = incidental.initial_weights(6, 10, SEEDS)
    whole = optimizers.published_descent(start, 0.01, "adamw", 20)
    torch.testing.assert_close(start, incidental.initial_weights(6, 10, SEEDS), rtol=0, atol=0)
    monkeypatch.setattr(optimizers, "BATCH", 60)
    torch.testing.assert_close(optimizers.published_descent(start, 0.01, "adamw", 20), whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", ["adamw", "adam"])
def test_optimizers_may_stop_early_without_a_change_of_slots(method):
    start = incidental.initial_weights(4, 32, range(2)).float()
    whole, early = (
        optimizers.published_descent(start, 0.05, method, 4000, early=early).numpy() for early in (False, True)
    )
    np.testing.assert_array_equal(incidental.slots(whole), incidental.slots(early))
    np.testing.assert_allclose(whole, early, atol=0.05)
    assert (whole != early).any()  # it did stop


def test_adamw_makes_one_hot_rows_with_opposite_signs_only():
    trained = incidental.train(12, 24, 0.01, range(8), method="adamw", n_steps=6000)
    assert trained.converged.mean() > 0.85 and not trained.dead.any()
    assert incidental.collision_signs(trained.weights).same.sum() == 0
    counts = incidental.polysemantic_neurons(trained.weights)
    np.testing.assert_array_equal(counts, incidental.polysemantic_neurons(trained.weights, window=(0.8, 1.2)))
    assert (trained.n_steps == 6000).all() and trained.time == pytest.approx(6.0)


def test_counts_at_32_features_are_those_of_the_theory():
    """Earlier runs of the same flow with l1 = 0.1 at m = 256 gave 0.88 (0.09); the theory of exclusive slots 0.97."""
    for n_neurons, low, high in ((64, 2.9, 4.1), (256, 0.7, 1.2)):
        counts = incidental.polysemantic_neurons(incidental.train(32, n_neurons, 0.1, range(96)).weights)
        error = counts.std(ddof=1) / np.sqrt(96)
        assert low - 2 * error < counts.mean() < high + 2 * error


# --- counts ---


def test_counts_and_signs_of_known_weights():
    weights = np.zeros((2, 4, 3))
    weights[0, [0, 1, 2], [0, 0, 1]] = [1.0, -0.9, 1.0]  # one opposite pair; feature 3 is dead
    weights[1, [0, 1, 2, 3], [2, 2, 2, 0]] = [1.0, 0.8, -1.1, 1.0]  # one neuron with three features
    assert incidental.polysemantic_neurons(weights).tolist() == [1, 1]
    signs = incidental.collision_signs(weights)
    assert signs.opposite.tolist() == [1, 2] and signs.same.tolist() == [0, 1]
    assert incidental.polysemantic_neurons(weights[0]) == 1


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 3), (3, 4)])
def test_expected_counts_by_enumeration(n, m):
    def count(slots):
        return sum(len({slot for slot in slots if slot % m == k}) > 1 for k in range(m))

    exclusive = [count(slots) for slots in itertools.permutations(range(2 * m), n)]
    assert incidental.expected_polysemantic(n, m) == pytest.approx(np.mean(exclusive))
    assert incidental.polysemantic_variance(n, m) == pytest.approx(np.var(exclusive), abs=1e-12)
    every = list(itertools.product(range(2 * m), repeat=n))
    both = [count(slots) for slots in every]
    assert incidental.expected_polysemantic(n, m, model="independent") == pytest.approx(np.mean(both))
    any_two = [sum(sum(slot % m == k for slot in slots) > 1 for k in range(m)) for slots in every]
    assert incidental.expected_polysemantic(n, m, model="free") == pytest.approx(np.mean(any_two))


def test_expected_count_tends_to_the_papers_law_and_to_poisson():
    assert incidental.expected_polysemantic(256, 10**6) == pytest.approx(256 * 255 / 4e6, rel=1e-5)
    assert incidental.polysemantic_variance(256, 10**6) == pytest.approx(256 * 255 / 4e6, rel=1e-3)
    assert incidental.polysemantic_variance(64, 64) < 0.5 * incidental.expected_polysemantic(64, 64)


# --- errors ---

ENCODING = np.array([0.5, -0.2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: winner.winner_take_all(np.array([1.0, np.nan]), 0.1, [0.0]), "weights = .*finite numbers"),
        (lambda: winner.winner_take_all(np.empty(0), 0.1, [0.0]), "weights = .*at least one weight"),
        (lambda: winner.winner_take_all(ENCODING, 0.0, [0.0]), "l1 = 0.0: allowed is a finite number above 0"),
        (lambda: winner.winner_take_all(ENCODING, 0.1, [2.0, 1.0]), "times = .*ascending times from 0 on"),
        (lambda: winner.winner_take_all(ENCODING, 0.1, [-1.0]), "times = .*ascending times from 0 on"),
        (lambda: winner.fixed_point(2.0), "l1 = 2.0: allowed is a number below 1.5396"),
        (lambda: winner.critical_l1(ENCODING, rtol=0.0), "rtol = 0.0: allowed is a number between 0 and 1"),
        (lambda: winner.simulate(ENCODING, 0.1, [1.0], step=1.0), "step = 1.0: .*beyond which descent is unstable"),
        (lambda: winner.sparsity_law(0, 0.1, [1.0]), "n_neurons = 0: allowed is at least 1"),
        (lambda: incidental.train(0, 4, 0.1, [0]), "n_features = 0: allowed is an integer of at least 1"),
        (lambda: incidental.train(4, 0, 0.1, [0]), "n_neurons = 0: allowed is an integer of at least 1"),
        (lambda: incidental.train(4, 4, 0.1, []), "seeds = .*at least one seed"),
        (lambda: incidental.train(4, 4, 1.6, [0]), "l1 = 1.6: allowed is a number below 1.5396"),
        (lambda: incidental.train(4, 4, 0.0, [0]), "l1 = 0.0: allowed is a finite number above 0"),
        (lambda: incidental.train(4, 4, -0.1, [0]), "l1 = -0.1: allowed is a finite number above 0"),
        (lambda: incidental.train(4, 4, 0.1, [0], method="sgd"), "method = 'sgd': allowed is one of flow, adamw, adam, sign"),
        (lambda: incidental.train(4, 4, 0.1, [0], method="adam", n_steps=0), "n_steps = 0: allowed is an integer of at least 1"),
        (lambda: incidental.train(4, 4, 0.1, [0], method="adam", learning_rate=0.0), "learning_rate = 0.0: allowed is a number above 0"),
        (lambda: incidental.train(4, 4, 0.1, [0], method="adamw", weight_decay=-1.0), "weight_decay = -1.0: allowed is a number of at least 0"),
        (lambda: incidental.train(4, 4, 0.1, [0], step=2.0), "step = 2.0: allowed is .* up to 0.9"),
        (lambda: incidental.train(4, 4, 0.1, [0], max_time=0.0), "max_time = 0.0: allowed is a number above 0"),
        (lambda: incidental.train(4, 4, 0.1, [0], initial=torch.zeros(1, 4, 5)), r"initial = \(1, 4, 5\): .*\(1, 4, 4\)"),
        (lambda: incidental.train(2, 2, 0.1, [0], initial=torch.full((1, 2, 2), torch.nan)), "initial = .*finite weights"),
        (lambda: incidental.polysemantic_neurons(np.full((2, 2), np.nan)), "weights = .*finite numbers"),
        (lambda: incidental.polysemantic_neurons(np.empty((0, 2))), r"weights = \(0, 2\): allowed is at least one feature"),
        (lambda: incidental.expected_polysemantic(5, 2), "n_features = 5: allowed is at most 2 n_neurons = 4"),
        (lambda: incidental.expected_polysemantic(2, 4, model="b"), "model = 'b': allowed is one of exclusive, independent, free"),
    ],
)  # fmt: skip
def test_errors_name_argument_value_and_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()


def test_a_flow_that_diverges_is_an_error():
    start = 1e200 * torch.ones(1, 2, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="diverged after .* steps: use a smaller step"), np.errstate(all="ignore"):
        incidental.train(2, 2, 0.1, [0], initial=start, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="diverged: use a smaller learning_rate"):
        incidental.train(2, 2, 0.1, [0], initial=start, method="adam", dtype=torch.float64)


def test_counts_take_what_researchers_have():
    weights = np.array([[1.0, 0, 0.1], [-1, 0, 0], [0, 1, 0]])
    forms = [weights.tolist(), torch.tensor(weights, requires_grad=True), torch.tensor(weights).bfloat16()]
    for form in forms:
        assert incidental.polysemantic_neurons(form) == 1 and incidental.collision_signs(form) == (1, 0)
        assert incidental.slots(form).tolist() == [1, -1, 2]
    with pytest.raises(ValueError, match=r"shape of weights = \(3,\): allowed is \[..., feature, neuron\]"):
        incidental.polysemantic_neurons(weights[0])
    with pytest.raises(ValueError, match="weights = 'str"):
        incidental.slots("weights")


def test_features_may_be_columns():
    weights = np.random.default_rng(0).standard_normal((3, 7, 5))
    turned = weights.swapaxes(-1, -2)
    for measure in (incidental.polysemantic_neurons, incidental.slots, incidental.collision_signs):
        np.testing.assert_array_equal(measure(turned, features="columns"), measure(weights))
        with pytest.raises(ValueError, match="features = 'first': allowed is 'rows' or 'columns'"):
            measure(weights, features="first")
