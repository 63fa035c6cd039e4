"""What in a module would spoil its layers' activity: dropout that is on, batch norm without its own statistics."""

from collections.abc import Iterable, Mapping

from torch import nn

from polysemanticity.networks.hooks import Place

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def artefacts(model: nn.Module) -> dict[str, str]:
    """Return by a module's name what spoils its activity and all that follows: dropout and batch statistics."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0:
            found[name] = f"dropout on ({name})"
        if isinstance(module, NORMS):
            if module.training or module.running_mean is None:
                found[name] = f"batch norm by batch ({name})"
            elif module.num_batches_tracked is not None and int(module.num_batches_tracked) == 0:
                found[name] = f"batch norm never updated ({name})"
    return found


def spoilt(model: nn.Module, passed: Iterable[Place], wanted: Mapping[str, Place]) -> dict[str, list[str]]:
    """Return for each layer the artefacts before it; passed: what a forward pass goes through, in order of time."""
    causes, layers, so_far = artefacts(model), {}, []
    places: dict[Place, list[str]] = {}
    for layer, place in wanted.items():
        places.setdefault(place, []).append(layer)
    for place in passed:
        so_far = [*so_far, causes[place.module]] if place.side == "output" and place.module in causes else so_far
        layers |= dict.fromkeys(places.get(place, ()), so_far)
    return layers
