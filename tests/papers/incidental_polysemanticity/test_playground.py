"""The ensemble that the sliders train, and the picture of it."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from polysemanticity import incidental
from polysemanticity.base import runtime
from polysemanticity.papers.incidental_polysemanticity import figures, playground


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices are faster on one thread, whatever else the machine does."""
    with runtime.threads(1):
        yield


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", playground.OPTIMIZERS)
def test_playground_trains_every_choice(noise, optimizer):
    weights = playground.ensemble(n_features=6, n_neurons=12, l1=0.1, noise=noise, optimizer=optimizer, n_seeds=2)
    assert weights.shape == (2, 6, 12)
    assert (np.abs(weights).max(-1) > 0.5).mean() > 0.8
    assert incidental.polysemantic_neurons(weights).shape == (2,)


def test_a_choice_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="optimizer = 'cubic': allowed is one of gradient flow, AdamW"):
        playground.ensemble(n_features=4, n_neurons=8, l1=0.3, noise=0, optimizer="cubic", n_seeds=2)
    with pytest.raises(ValueError, match="noise = 2: allowed is a size from 0 to 1"):
        playground.ensemble(n_features=4, n_neurons=8, l1=0.3, noise=2, optimizer="AdamW", n_seeds=2)


@pytest.mark.parametrize(("n", "m", "lines"), [(6, 12, 1), (9, 4, 0)])
def test_the_picture_has_a_bar_for_every_network(n, m, lines):
    weights = np.zeros((3, n, m))
    weights[:, np.arange(n), np.arange(n) % m] = 1 - 2 * (np.arange(n) // m)
    figure = figures.draw_ensemble(weights, "title")
    image, bars = figure.axes[:2]
    assert len(bars.patches) == 3 and len(bars.lines) == lines  # with more features than slots there is no exact count
    assert image.images[0].get_array().shape[0] == n
    plt.close(figure)
