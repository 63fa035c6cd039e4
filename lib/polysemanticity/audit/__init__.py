"""Look at a network of one's own: reports of its weights and of its layers, in one call each.

`weights(W)` says how the features of an embedding share its dimensions, and what of it random directions would show.
`layers(model, batches)` says what the spectra of a network's layers look like, how surely, and what makes one doubt it.
`sharing(model, layer, features, batches)` says which features share a unit, what that costs, and whether by accident.
"""

from polysemanticity.audit.activity import LayerReport, layers
from polysemanticity.audit.embeddings import CapacityReport, weights
from polysemanticity.audit.neurons import SharingReport, sharing

__all__ = ["CapacityReport", "LayerReport", "SharingReport", "layers", "sharing", "weights"]
