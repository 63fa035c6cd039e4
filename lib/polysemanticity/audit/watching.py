"""The activity of any torch module's layers, batch by batch, and what in the module would spoil it.

Layers are named modules. A pattern's parts between dots are matched one by one: `model.layers.*` are the blocks of a
transformer, `model.layers.*.mlp` their MLPs; `*` alone stands for all modules without modules of their own. Units are
the last axis of a layer's output, but for maps [batch, channel, ...] of convolutions and of what follows them: there
they are the channels, and every position is a row.
"""

import contextlib
import fnmatch
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import nn

from polysemanticity.base import runtime
from polysemanticity.base.checks import check
from polysemanticity.networks import memory

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
LAST = (nn.Linear, nn.LayerNorm, nn.Embedding)  # whose units are the last axis whatever the number of axes


def chosen(model: nn.Module, layers: str | Iterable[str]) -> list[str]:
    """Return the names of the modules that a pattern, or any of several, stands for, in the module's order."""
    several = isinstance(layers, list | tuple | set) and all(isinstance(pattern, str) for pattern in layers)
    check(isinstance(layers, str) or several, "layers", layers, "a pattern, or a list of several")
    patterns = [layers] if isinstance(layers, str) else list(layers)
    names = [name for name, module in model.named_modules() if name and _matches(name, module, patterns)]
    known = [name for name, _ in model.named_modules() if name][:8]
    check(len(names) > 0, "layers", layers, f"patterns of names of modules, such as {', '.join(known)} …")
    return names


def _matches(name: str, module: nn.Module, patterns: list[str]) -> bool:
    for pattern in patterns:
        if pattern == "*":
            if not any(True for _ in module.children()) and not isinstance(module, (*DROPOUTS, nn.Identity)):
                return True
            continue
        parts, wanted = name.split("."), pattern.split(".")
        if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
            return True
    return False


def artefacts(model: nn.Module) -> dict[str, str]:
    """Return by a module's name what spoils its activity and all that follows: dropout and batch statistics."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, DROPOUTS) and module.training and module.p > 0:
            found[name] = f"dropout on ({name})"
        if isinstance(module, NORMS):
            if module.training or module.running_mean is None:
                found[name] = f"batch norm by batch ({name})"
            elif module.num_batches_tracked is not None and int(module.num_batches_tracked) == 0:
                found[name] = f"batch norm never updated ({name})"
    return found


def run(model: nn.Module, batches: Iterable, names: Iterable[str]) -> Iterator[tuple[dict, object]]:
    """Yield for each batch the outputs of the named modules, by name a list of one for each call, and the batch.

    The module is called under `no_grad` as it is: its mode, device and running statistics stay. A batch is a tensor, a
    mapping of arguments (as tokenizers return), or a tuple whose first entry is one of these (as data loaders yield).
    On CUDA nothing is rounded to TF32, and a batch that is too large for a module in eval mode is halved.
    """
    seen: dict[str, list] = {}
    modules = dict(model.named_modules())

    def watch(name):
        def hook(_module, _inputs, output):
            found = _tensor(output)
            seen.setdefault(name, []).append(
                None if found is None else found.detach().clone()
            )  # what follows may write

        return modules[name].register_forward_hook(hook)

    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    check(isinstance(batches, Iterable), "batches", type(batches).__name__, "an iterable of batches")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_statistics_kept(model))
        for name in names:
            stack.callback(watch(name).remove)

        def outputs_of(given) -> tuple[dict, object]:
            seen.clear()
            with torch.no_grad(), runtime.exact(str(device)):
                if isinstance(given, Mapping):
                    model(**{name: _moved(value, device) for name, value in given.items()})
                else:
                    model(_moved(given, device))
            return dict(seen), given

        for batch in [batches] if isinstance(batches, torch.Tensor | Mapping) else batches:
            given = batch[0] if isinstance(batch, list | tuple) and len(batch) else batch
            kind = isinstance(given, torch.Tensor | Mapping)
            check(kind, "batch", type(given).__name__, "a tensor, or a mapping of a module's arguments")
            yield from memory.whole_or_halves(outputs_of, given, halve=not model.training)


@contextlib.contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norm in training mode as they were found."""
    norms = [module for module in model.modules() if isinstance(module, NORMS) and module.training]
    before = [{name: value.clone() for name, value in module.named_buffers(recurse=False)} for module in norms]
    try:
        yield
    finally:
        for module, values in zip(norms, before, strict=True):
            for name, value in values.items():
                getattr(module, name).copy_(value)


def order(model: nn.Module, batch) -> list[str]:
    """Return the names of all modules in the order in which they return for a batch."""
    names = [name for name, _ in model.named_modules() if name]
    returned = []
    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                hook = module.register_forward_hook(lambda *_, name=name: returned.append(name))
                stack.callback(hook.remove)
        for _ in run(model, [batch], []):
            pass
    return [*dict.fromkeys(returned), *(name for name in names if name not in returned)]


def units_last(output: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """The output [..., unit] with its units as the last axis."""
    return output if output.ndim < 4 or isinstance(module, LAST) else output.movedim(1, -1)


def mask_of(batch, output: torch.Tensor) -> torch.Tensor | None:
    """The attention mask [batch, position] of a batch where the output has these axes."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    fits = isinstance(mask, torch.Tensor) and output.ndim == 3 and mask.shape == output.shape[:2]
    return mask.bool().to(output.device) if fits else None


def _tensor(output):
    """The tensor that a module returned, the first of several."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return next((found for found in map(_tensor, output) if found is not None), None)
    return None


def _moved(value, device):
    return value.to(device) if isinstance(value, torch.Tensor) else value
