"""The activity of any network, streamed: what passes along the residual stream, and what attention and MLPs add to it.

Layers of a transformer, k = 1 … blocks from first to last, found from the attributes of its blocks:

- `residual.0` is what enters the first block, `residual.k` the stream after block k; after the last block too it is
  taken *before* the final norm (transformers' last hidden state of a GPT-2 or Llama comes after it: here `final`);
- `attention.k` and `mlp.k` are what the two add to the stream (where a norm follows the sum, as in BERT, before it);
- `neurons.k` are the MLP's hidden units after their nonlinearity, what its last matrix multiplies; of a gated MLP
  act(gate) · up.

Any other module's output is a layer by its dotted name, in convolutional networks for example. Networks run without
gradient; where the layers lie within a transformers model's body its head does not run.
"""

import contextlib
import fnmatch
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from polysemanticity.base import runtime
from polysemanticity.base.checks import check
from polysemanticity.networks import memory
from polysemanticity.networks.resnet_vae import in_mode
from polysemanticity.spectra import covariance

FEW = 13  # entries of a batch by which modules are outlined: no usual number of heads, layers or directions
GROUPS = "groups"  # of a batch that is a mapping: the group, e.g. the document, of each of its sequences
FINAL_NORMS = (
    "ln_f",
    "norm",
    "final_layer_norm",
    "final_layernorm",
    "layernorm",
    "ln",
)  # applied to the stream after the last block
KINDS = ("residual", "attention", "neurons", "mlp", "final")  # of a transformer's layers
MAPS = ("flattened", "channel", "pooled", "location")
CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
UNITS_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.RNNBase)
SILENT = (nn.Identity, nn.modules.dropout._DropoutNd)  # no layers of their own
TOLERANCE = 1e-3  # of what a block adds, by which attention and MLP may miss it


class Convention(NamedTuple):
    """Paths within a block: whose outputs are added to the stream, what multiplies the MLP's neurons, norms after."""

    attention: str
    mlp: str
    down: str
    norms: tuple[str, str] | None = None


CONVENTIONS = (
    Convention("self_attn", "mlp", "mlp.down_proj"),  # Llama, Mistral, Qwen
    Convention("attn", "mlp", "mlp.c_proj"),  # GPT-2
    Convention("attention", "mlp", "mlp.dense_4h_to_h"),  # GPT-NeoX
    Convention("attention", "mlp", "mlp.fc2"),  # ViT
    Convention("self_attn", "mlp", "mlp.fc2"),  # Phi, CLIP
    Convention("self_attention", "mlp", "mlp.3"),  # torchvision's ViT
    Convention(
        "attention.output.dense",
        "output.dense",
        "output.dense",
        ("attention.output.LayerNorm", "output.LayerNorm"),
    ),  # BERT, RoBERTa
    Convention("attention.output.dense", "output.dense", "output.dense"),  # ViT before transformers 5.20
)


class Place(NamedTuple):
    """Where a layer is read: a module's dotted name, and whether its input or its output is the layer."""

    module: str
    side: str


class Stack(NamedTuple):
    """A transformer's blocks: their dotted names in order, how they are built, and the final norm, if there is one."""

    blocks: tuple[str, ...]
    convention: Convention
    final: str | None


class Activity(dict):
    """One batch: layer -> its activity [rows, unit], float32 or wider, on the model's device.

    `group` and `position` tell for each layer's rows [rows] of which group they are (the batch's `groups`, else
    sequences numbered through the stream) and where in their sequence, counted from its first token that is not padding
    (0 where a sequence has one row); `dtype` in which type a layer was computed.
    """

    def __init__(self):
        super().__init__()
        self.group: dict[str, Tensor] = {}
        self.position: dict[str, Tensor] = {}
        self.dtype: dict[str, torch.dtype] = {}


def stack(model: nn.Module) -> Stack:
    """Return the stack of transformer blocks that a model has.

    Raises ValueError for a model without blocks of a known kind, and for one with several stacks.
    """
    found = _stacks(model)
    kinds = "attention and an MLP as in GPT-2, GPT-NeoX, Llama, Mistral, Qwen, BERT or ViT"
    check(len(found) >= 1, "model", type(model).__name__, f"a transformer whose blocks have {kinds}")
    owners = ", ".join(found)
    allowed = f"one with one stack of blocks; this has {owners}: give the part that holds one"
    check(len(found) == 1, "model", type(model).__name__, allowed)
    return next(iter(found.values()))


def _stacks(model: nn.Module) -> dict[str, Stack]:
    """Name of the list of blocks -> the stack, for every list whose members are all of one known kind."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 0:
            kinds = {_convention(block) for block in module}
            if len(kinds) == 1 and None not in kinds:
                blocks = tuple(f"{name}.{child}".removeprefix(".") for child, _ in module.named_children())
                found[name] = Stack(blocks, kinds.pop(), _final_norm(model, name))
    return found


def _convention(block: nn.Module) -> Convention | None:
    for convention in CONVENTIONS:
        paths = (convention.attention, convention.mlp, convention.down, *(convention.norms or ()))
        if all(_child(block, path) is not None for path in paths):
            return convention
    return None


def _child(module: nn.Module, path: str) -> nn.Module | None:
    for part in path.split("."):
        module = module._modules.get(part) if isinstance(module, nn.Module) else None
    return module


def _final_norm(model: nn.Module, blocks: str) -> str | None:
    """The norm beside the list of blocks, or beside the module that holds only it."""
    owner = blocks.rpartition(".")[0]
    for place in dict.fromkeys((owner, owner.rpartition(".")[0])):
        names = [f"{place}.{name}".removeprefix(".") for name in FINAL_NORMS]
        found = [name for name in names if _child(model, name) is not None]
        if found:
            return found[0]
    return None


def places(model: nn.Module) -> dict[str, Place]:
    """Return every layer of a transformer by the names above, or of another network by its modules' dotted names.

    Raises ValueError for a model with several stacks of blocks.
    """
    if not _stacks(model):
        return {name: Place(name, "output") for name, _ in model.named_modules() if name}
    blocks, convention, final = stack(model)
    found = {"residual.0": Place(blocks[0], "input")}
    for k, block in enumerate(blocks, start=1):
        found[f"attention.{k}"] = Place(f"{block}.{convention.attention}", "output")
        found[f"neurons.{k}"] = Place(f"{block}.{convention.down}", "input")
        found[f"mlp.{k}"] = Place(f"{block}.{convention.mlp}", "output")
        found[f"residual.{k}"] = Place(block, "output")
    return found | ({"final": Place(final, "output")} if final else {})


def find(model: nn.Module, layers: str | Sequence[str]) -> dict[str, Place]:
    """Return the places of layers: names or patterns such as `residual.*`, or a module's dotted name.

    The parts of a pattern between dots are matched one by one: `model.layers.*` are the blocks, not what is in them. A
    pattern that fits none of `places` is tried on the dotted names of modules. `*` alone is all of a transformer's
    places, of another network all modules without modules of their own but dropout.
    Raises ValueError for one that fits nothing, and as `places` does.
    """
    several = isinstance(layers, list | tuple | set) and all(isinstance(pattern, str) for pattern in layers)
    check(isinstance(layers, str) or several, "layers", layers, "a name or pattern, or a list of several")
    patterns = [layers] if isinstance(layers, str) else list(layers)
    check(bool(patterns), "layers", layers, "at least one name or pattern")
    modules = {name: Place(name, "output") for name, _ in model.named_modules() if name}
    exact = [pattern for pattern in patterns if pattern in modules]
    known = {} if len(exact) == len(patterns) else places(model)
    found: dict[str, Place] = {}
    for pattern in patterns:
        here = {pattern: modules[pattern]} if pattern in exact else {}
        here = here or (_all(model, known) if pattern == "*" else {})
        here = here or _fitting(pattern, known) or _fitting(pattern, modules)
        if not here and pattern.partition(".")[0] in KINDS:
            stack(model)  # says that there are no blocks of a known kind
        check(bool(here), "layers", pattern, f"a name or pattern of {_listed(known)}, or a module's dotted name")
        found |= here
    return found


def _all(model: nn.Module, known: Mapping[str, Place]) -> dict[str, Place]:
    if _stacks(model):
        return dict(known)
    modules = dict(model.named_modules())
    leaves = {name for name in known if not modules[name]._modules and not isinstance(modules[name], SILENT)}
    return {name: place for name, place in known.items() if name in leaves}


def _fitting(pattern: str, names: Mapping[str, Place]) -> dict[str, Place]:
    return {name: place for name, place in names.items() if fits(pattern, name)}


def fits(pattern: str, name: str) -> bool:
    """Return whether a name fits a pattern, part by part between dots."""
    wanted, has = pattern.split("."), name.split(".")
    return len(has) == len(wanted) and all(map(fnmatch.fnmatchcase, has, wanted))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names if len(names) <= 8 else [*names[:5], "…", *names[-2:]])


def activity(
    model: nn.Module,
    batches: Iterable[Tensor | Mapping[str, Tensor] | Sequence],
    layers: str | Sequence[str] = "residual.*",
    *,
    maps: str = "flattened",
    mode: str | None = "eval",
) -> Iterator[Activity]:
    """Yield each batch's activity of layers (names and patterns as in `find`); one batch is held at a time.

    A batch is a tensor, the model's only argument, or a mapping of its arguments as tokenizers return it, `groups` [n]
    added where wished, or a tuple whose first entry is one of these, as data loaders yield it. Of outputs [n, T, unit]
    each position is a row, padding (by `attention_mask`) left out; of [n, unit] each of the n. Maps [n, channel,
    height, width] are read as `maps` says, one of `spectra.views`; whether channels are first or last is taken from
    the linear maps, convolutions and norms on the way. Several runs of one module in a pass, as of a recurrent cell,
    follow each other as positions; of maps, or where shapes differ, the last is taken.
    mode: as in `resnet_vae.in_mode` without noise of its own, or None for the model's own, with dropout where it is on;
    running statistics stay as they are.
    A batch that is too large for the device is halved (`networks.memory`).
    In the first batch it is compared that a transformer's blocks add up: stream, attention and MLP to the next stream.
    Raises ValueError for layers that are not there or not run, outputs of another shape, a block that does more than
    add the two (Gemma's norms, scaled residuals) where `attention` or `mlp` are asked for, masks that do not fit.
    """
    check(maps in MAPS, "maps", maps, "one of " + ", ".join(MAPS))
    wanted = find(model, layers)
    for layer, place in wanted.items():
        batch_first = getattr(model.get_submodule(place.module), "batch_first", True)
        check(batch_first, f"batch_first of {layer}", batch_first, "True: sequences along the first axis")
    one = isinstance(batches, Tensor | Mapping)
    check(one or isinstance(batches, Iterable), "batches", type(batches).__name__, "an iterable of batches")
    return _activity(model, [batches] if one else batches, wanted, maps, mode)


@torch.no_grad()
def _activity(model, batches, wanted, maps, mode):
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    to_check = _parts_to_check(model, wanted) if mode == "eval" or not model.training else {}  # dropout adds as well
    body = _body(model, [*wanted.values(), *to_check.values()])
    sequences = 0

    def rows_of(batch) -> Activity:
        nonlocal to_check, sequences
        arguments, mask, group = _arguments(body, batch, device)
        with _in_mode(model, mode), runtime.exact(str(device)), _recorded(model, wanted | to_check) as runs:
            body(*arguments.pop("", ()), **arguments)
        seen = {layer: _joined(found) for layer, found in runs.items()}
        runs.clear()
        missing = [layer for layer in wanted if layer not in seen]
        check(not missing, "layers", missing, "layers that a forward pass runs through")
        if to_check:
            _check_sums(model, seen)
            to_check = {}
        size = batch_size(batch)
        group = torch.arange(sequences, sequences + size, device=device) if group is None else group
        check(group.shape == (size,), "groups", tuple(group.shape), f"one for each of the batch's {size} sequences")
        sequences += size
        return _rows(seen, wanted, mask, group, maps)

    for batch in map(_without_labels, batches):
        yield from memory.whole_or_halves(rows_of, batch, halve=mode == "eval" or not (mode or model.training))


def outline(model: nn.Module, batch, mode: str | None = "eval") -> dict[Place, tuple[int, ...] | None]:
    """Return in order of time what a forward pass goes through: the shapes of every module's input and output.

    Of the first FEW entries of a batch; None where it is no tensor of real numbers. Of several runs of one module the
    first.
    """
    batch = memory.first(_without_labels(batch), FEW)
    seen: dict[Place, tuple[int, ...] | None] = {}
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    arguments, _, _ = _arguments(model, batch, device)
    with contextlib.ExitStack() as hooks:
        for name, module in model.named_modules():
            if name:
                before = lambda _, given, keywords, name=name: seen.setdefault(  # noqa: E731
                    Place(name, "input"), _shape(given or keywords)
                )
                after = lambda *passed, name=name: seen.setdefault(Place(name, "output"), _shape(passed[-1]))  # noqa: E731
                hooks.callback(module.register_forward_pre_hook(_silent(before), with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(_silent(after)).remove)
        with torch.no_grad(), _in_mode(model, mode):
            model(*arguments.pop("", ()), **arguments)
    return seen


def _silent(see: Callable) -> Callable:
    """A hook that changes nothing, whatever `see` returns."""

    def hook(*passed):
        see(*passed)

    return hook


def _shape(value) -> tuple[int, ...] | None:
    value = _first(value)
    return tuple(value.shape) if isinstance(value, Tensor) and value.is_floating_point() else None


@contextlib.contextmanager
def _in_mode(model: nn.Module, mode: str | None) -> Iterator[None]:
    """`in_mode`, or for None the model's own; running statistics that a pass would change are put back."""
    if mode is not None:
        with in_mode(model, mode):
            yield
        return
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
    before = [(buffer, buffer.clone()) for module in norms if module.training for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, found in before:
            buffer.data.copy_(found)


def _without_labels(batch):
    """The inputs of a batch (inputs, labels), as data loaders yield it."""
    pair = isinstance(batch, list | tuple) and len(batch) > 0 and isinstance(batch[0], Tensor | Mapping)
    return batch[0] if pair else batch


def _body(model: nn.Module, wanted: Sequence[Place]) -> nn.Module:
    """What has to run: a transformers model without its head, where all that is wanted lies within."""
    prefix = getattr(model, "base_model_prefix", "")
    body = model._modules.get(prefix) if prefix else None
    within = body is not None and all(place.module.startswith(f"{prefix}.") for place in wanted)
    return body if within else model


def _arguments(body: nn.Module, batch, device) -> tuple[dict, Tensor | None, Tensor | None]:
    """Keyword arguments (positional ones under the empty name), the mask of what is no padding, and groups."""
    if isinstance(batch, Tensor):
        return {"": (batch.to(device),)} | _no_cache(body), None, None
    check(isinstance(batch, Mapping), "batch", type(batch).__name__, "a tensor, or a mapping of the model's arguments")
    given = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
    group, mask = given.pop(GROUPS, None), given.get("attention_mask")
    given.pop("labels", None)
    group = None if group is None else torch.as_tensor(group, device=device)
    if mask is not None:
        check(mask.ndim == 2, "attention_mask", tuple(mask.shape), "[n, T], 0 where a token is padding")
        mask = mask.bool()
    return given | _no_cache(body), mask, group


def _no_cache(body: nn.Module) -> dict:
    """Else keys and values of all blocks would be kept, for tokens to come."""
    takes = inspect.signature(body.forward).parameters
    caches = getattr(getattr(body, "config", None), "use_cache", False) and "use_cache" in takes
    return {"use_cache": False} if caches else {}


def batch_size(batch) -> int:
    """Return how many inputs a batch has. Raises ValueError for one without a tensor."""
    batch = _without_labels(batch)
    tensors = [batch] if isinstance(batch, Tensor) else [v for v in batch.values() if isinstance(v, Tensor)]
    check(bool(tensors) and tensors[0].ndim >= 1, "batch", "no tensor", "at least one tensor [n, …]")
    return len(tensors[0])


@contextlib.contextmanager
def _recorded(model: nn.Module, wanted: Mapping[str, Place]) -> Iterator[dict[str, list]]:
    """Hooks that keep a copy of what passes, as later modules may work in place, in the type it came in.

    Maps are kept as [n, channel, ...], sequences as [n, T, unit], whichever way the module has them.
    """
    seen: dict[str, list] = {}
    last: dict[int, bool] = {}  # number of axes -> whether the last one holds the units, by what ran before
    handles = [module.register_forward_hook(_layout(last)) for module in model.modules() if not module._modules]
    for layer, (name, side) in wanted.items():
        module = model.get_submodule(name)
        if side == "input":
            handles.append(module.register_forward_pre_hook(_keep_input(seen, last, layer), with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(_keep_output(seen, last, layer)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _layout(last: dict[int, bool]) -> Callable:
    def hook(module, _, output):
        value = _first(output)
        if not isinstance(value, Tensor) or value.ndim < 3:
            return
        own_norm = isinstance(module, nn.LayerNorm) and type(module) is not nn.LayerNorm  # torchvision's of maps
        if isinstance(module, CHANNELS_FIRST) or (own_norm and value.shape[1] == module.normalized_shape[-1]):
            last[value.ndim] = False
        elif isinstance(module, UNITS_LAST):
            last[value.ndim] = True
        elif type(module).__name__ == "Permute":
            axis = list(module.dims).index(value.ndim - 1 if last.get(value.ndim, value.ndim == 3) else 1)
            last[value.ndim] = axis == value.ndim - 1

    return hook


def _keep_input(seen: dict, last: Mapping[int, bool], layer: str) -> Callable:
    def hook(module, arguments, keywords):
        value = arguments[0] if arguments else keywords.get("hidden_states")
        seen.setdefault(layer, []).append(_kept(value, last, layer))

    return hook


def _keep_output(seen: dict, last: Mapping[int, bool], layer: str) -> Callable:
    def hook(module, arguments, output):
        seen.setdefault(layer, []).append(_kept(output, last, layer))

    return hook


def _first(value):
    """A tensor, or the first of several."""
    while not isinstance(value, Tensor) and isinstance(value, list | tuple | Mapping) and len(value):
        value = next(iter(value.values())) if isinstance(value, Mapping) else value[0]
    return value


def _kept(value, last: Mapping[int, bool], layer: str) -> Tensor:
    value = _first(value)
    is_real = isinstance(value, Tensor) and value.is_floating_point()
    check(is_real, f"output of {layer}", type(value).__name__, "a tensor of real numbers, or several, the first taken")
    copied = value.detach().clone()
    units_last = last.get(copied.ndim, copied.ndim == 3)
    if copied.ndim == 3 and not units_last:
        return copied.movedim(1, 2)
    return copied.movedim(-1, 1) if copied.ndim > 3 and units_last else copied


def _joined(runs: list[Tensor]) -> Tensor:
    """The runs of one module in a pass as positions that follow each other; of maps the last run."""
    alike = len({run.shape for run in runs}) == 1 and runs[0].ndim in (2, 3)
    if len(runs) == 1 or not alike:
        return runs[-1]
    return torch.stack(runs, 1) if runs[0].ndim == 2 else torch.cat(runs, 1)


def _rows(seen, wanted, mask, group, maps) -> Activity:
    found = Activity()
    for layer in wanted:
        value, n = seen.pop(layer), len(group)
        allowed = f"[n, unit], [n, T, unit] or [n, channel, height, width] with n = {n}, the batch's"
        check(value.ndim >= 2 and len(value) == n, f"shape of {layer}", tuple(value.shape), allowed)
        found.dtype[layer] = value.dtype
        value = value.to(_wide(value.dtype))
        if value.ndim == 3:
            kept = torch.ones(value.shape[:2], dtype=torch.bool, device=value.device) if mask is None else mask
            fits = kept.shape == value.shape[:2]
            check(fits, "attention_mask", tuple(kept.shape), f"{tuple(value.shape[:2])}, [n, T] of {layer}")
            found[layer] = value[kept]
            found.group[layer] = group[:, None].expand(kept.shape)[kept]
            found.position[layer] = (kept.cumsum(1) - 1)[kept]
            continue
        found[layer] = value if value.ndim == 2 else covariance.views(value.flatten(3))[maps]
        per_sequence = len(found[layer]) // n
        found.group[layer] = group.repeat_interleave(per_sequence)
        found.position[layer] = torch.arange(per_sequence, device=value.device).repeat(n)
    return found


def _parts_to_check(model: nn.Module, wanted: Mapping[str, Place]) -> dict[str, Place]:
    """For every block whose `attention` or `mlp` is wanted: both of them, and the stream before and after."""
    numbers = {name.partition(".")[2] for name in wanted if name.partition(".")[0] in ("attention", "mlp")}
    numbers = {int(number) for number in numbers if number.isdigit()} if _stacks(model) else set()
    names = [name for k in numbers for name in (f"residual.{k - 1}", f"attention.{k}", f"mlp.{k}", f"residual.{k}")]
    return {name: places(model)[name] for name in names} if names else {}


def _check_sums(model: nn.Module, seen: Mapping[str, Tensor]) -> None:
    """Compare the stream after each block with the stream before, attention and MLP added."""
    blocks, convention, _ = stack(model)
    for k, block in enumerate(blocks, start=1):
        if f"attention.{k}" in seen and f"mlp.{k}" in seen:
            names = (f"residual.{k - 1}", f"attention.{k}", f"mlp.{k}", f"residual.{k}")
            before, attention, mlp, after = (seen[name].to(_wide(seen[name].dtype)) for name in names)
            size, precision = (attention + mlp).norm(), 4 * torch.finfo(_dtype(model)).eps * after.norm()
            total = before + attention
            if convention.norms:
                total, size = _norm(model, block, convention.norms[0], total), after.norm()
            total = total + mlp
            if convention.norms:
                total = _norm(model, block, convention.norms[1], total)
            allowed = f"one whose blocks add attention and MLP to the stream, and nothing else ({block} does not)"
            check(bool((total - after).norm() <= TOLERANCE * size + precision), "model", type(model).__name__, allowed)


def _norm(model: nn.Module, block: str, name: str, value: Tensor) -> Tensor:
    norm = model.get_submodule(f"{block}.{name}")
    return norm(value.to(_dtype(norm))).to(value.dtype)


def _wide(kind: torch.dtype) -> torch.dtype:
    return torch.promote_types(kind, torch.float32)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())


@torch.no_grad()
def token_losses(
    model: nn.Module, batches: Iterable[Tensor | Mapping[str, Tensor]]
) -> Iterator[Float[Tensor, " tokens"]]:
    """Yield for each batch the cross-entropy in nats of every token of a causal model, but the first of each sequence.

    Batches as in `activity`; what is predicted of padding or from padding is left out. With padding after the tokens
    the mean over a batch is transformers' loss for labels of -100 at padding. A batch's logits are held at once.
    """
    device = next(model.parameters()).device
    for batch in batches:
        arguments, mask, _ = _arguments(model, batch, device)
        tokens = arguments[""][0] if "" in arguments else arguments["input_ids"]
        with in_mode(model, "eval"):
            logits = model(*arguments.pop("", ()), **arguments).logits
        pairs = zip(logits, tokens, strict=True)  # sequence by sequence: their softmax takes as much memory again
        losses = torch.stack([F.cross_entropy(row[:-1].float(), ids[1:], reduction="none") for row, ids in pairs])
        yield losses.flatten() if mask is None else losses[mask[:, 1:] & mask[:, :-1]]


def covariance_sums(stream: Iterable[Activity], first: int = 0) -> dict[str, covariance.CovarianceSums]:
    """Return each layer's sums for its covariance, in float64, over a stream of `activity`; memory O(units²) a layer.

    Rows at positions before `first` are left out: a transformer's first token often has an activity of its own.
    Raises ValueError for an empty stream and for NaN or infinity.
    """
    sums: dict[str, covariance.CovarianceSums] = {}
    for batch in stream:
        for layer, rows in batch.items():
            kept = rows if first == 0 else rows[batch.position[layer] >= first]
            if len(kept):
                part = covariance.CovarianceSums.of(kept)
                sums[layer] = sums[layer].merge(part) if layer in sums else part
    check(bool(sums), "stream", "no rows", "at least one batch with a row that is kept")
    return sums
