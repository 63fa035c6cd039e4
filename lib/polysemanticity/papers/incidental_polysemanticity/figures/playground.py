"""What the sliders of the notebook draw; not a figure of the paper, so from weights and not from a table."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from polysemanticity import incidental, plots
from polysemanticity.papers.incidental_polysemanticity import sparsification


def draw_ensemble(weights, title: str) -> Figure:
    """Draw the sorted weights of the first network, and the polysemantic neurons of all, beside the exact count.

    weights: trained networks [seed, feature, neuron].
    """
    counts, (_, n_features, n_neurons) = incidental.polysemantic_neurons(weights), weights.shape
    staircase, shared = sparsification.ordered(weights[0])
    fig, (image, bars) = plt.subplots(1, 2, figsize=(9, 2.9), width_ratios=(3, 2))
    look = {"cmap": plots.DIVERGING, "vmin": -1.3, "vmax": 1.3, "aspect": "auto", "interpolation": "nearest"}
    fig.colorbar(image.imshow(staircase, **look), ax=image, label="weight", shrink=0.85)
    image.grid(False)
    image.set(xticks=[], yticks=[], ylabel="feature", title=title)
    image.set_xlabel(f"{staircase.shape[1]} of {n_neurons} neurons are a feature's largest, {shared} twice")
    bars.bar(range(1, len(counts) + 1), counts, **plots.ROLES["measured"])
    exact = incidental.expected_polysemantic(n_features, n_neurons) if n_features <= 2 * n_neurons else 0.0
    if exact:  # with more features than slots there is none
        bars.axhline(exact, label="exact count", **plots.CORRECTED_LINE)
        bars.legend(loc="upper right")
    bars.set(xlabel="network", ylabel="polysemantic neurons", xticks=range(1, len(counts) + 1))
    bars.set_title(f"n = {n_features}, m = {n_neurons}: mean {counts.mean():.1f}")
    bars.set_ylim(0, 1.25 * max(exact, counts.max(), 1))
    return fig
