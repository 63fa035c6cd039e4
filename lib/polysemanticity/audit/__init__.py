"""Look at a network of one's own: reports of its weights and of its layers, in one call each.

`weights(W)` says how the features of an embedding share its dimensions, and what of it random directions would show.
`layers(model, batches)` says what the spectra of a network's layers look like, how surely, and what makes one doubt it.
"""

from polysemanticity.audit.activity import LayerReport, layers
from polysemanticity.audit.embeddings import CapacityReport, weights

__all__ = ["CapacityReport", "LayerReport", "layers", "weights"]
