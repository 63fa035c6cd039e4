"""The phase diagram, trained on the loss and on samples."""

import numpy as np

from polysemanticity.capacity import phases
from polysemanticity.papers.feature_capacity import phase_diagram


def work(worker, **config):
    return worker(seed=0, device="cpu", **config)


SPECIAL = {"n_features": 5, "n_dims": 2, "n_seeds": 2, "n_steps": 200}


def test_the_phase_diagram_is_trained_part_by_part():
    ratios, kurtoses = phase_diagram.phase_grid(4)
    configs = phase_diagram.grid_configs(ratios, kurtoses, 2, **SPECIAL)
    results = [[work(phase_diagram.train_special, **config)] for config in configs]
    c, best = phase_diagram.joined(results, "capacity"), phase_diagram.joined(results, "optimum")
    assert c.shape == (4, 4, 2, 5) and best.shape == (4, 4, 5)
    sparse = np.array(kurtoses) > 3
    np.testing.assert_allclose(c[sparse], np.broadcast_to(best[sparse][:, :, None], c[sparse].shape), atol=1e-6)
    v = phases.special_importance(ratios, 5)[None, :, None]
    assert phases.at_a_predicted_minimum(c[~sparse], v, np.array(kurtoses)[~sparse, None, None]).all()
    again = work(phase_diagram.train_special, **configs[0])
    np.testing.assert_array_equal(again["capacity"], results[0][0]["capacity"])


def test_training_on_samples_reports_capacity_and_excess_loss():
    config = {"ratio": 0.5, "kurtosis": 10.0, "n_features": 4, "n_dims": 2, "n_seeds": 2, "n_steps": 30, "batch": 16}
    result = work(phase_diagram.train_on_samples, **config)
    assert result["capacity"].shape == (2, 4) and result["optimum"].shape == (4,)
    assert (result["excess_loss"] > 0).all()
