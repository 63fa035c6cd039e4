"""CUDA pretended on a CPU: tensors with real values that carry the tag of another device.

Where CUDA would raise, so does this: tensors of two devices in one operation, a generator of another device than the
tensor's, `.numpy()` without `.cpu()`, an assignment through indices across devices. Kernels, autocast and speed are not
covered. Enter `pretended(monkeypatch)` and call a worker with `device="cuda"`.
"""

import functools
import traceback

import torch
from torch.overrides import TorchFunctionMode

from polysemanticity.base import streams

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
CROSSES = {"copy_", "to", "type_as", "__setitem__", "__getitem__", "set_", "detach", "requires_grad_", "backward",
           "load_state_dict"}  # fmt: skip
PLAIN = {f"get:{name}" for name in (
    "shape", "dtype", "ndim", "requires_grad", "is_leaf", "grad_fn", "layout", "_version", "is_sparse", "is_meta",
    "is_nested", "is_mkldnn", "is_quantized", "_backward_hooks", "is_mps", "is_xpu", "itemsize", "nbytes",
    "retains_grad", "names", "output_nr")} | {
    "size", "dim", "numel", "__len__", "stride", "is_floating_point", "is_complex", "data_ptr", "storage_offset",
    "is_contiguous", "element_size", "_is_view"}  # fmt: skip


class OnCuda(torch.Tensor):
    """A tensor that lives on the pretended device."""

    def __deepcopy__(self, memo):
        with torch._C.DisableTorchFunctionSubclass():
            new = self.detach().clone().as_subclass(OnCuda).requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            new._is_param = True
        return memo.setdefault(id(self), new)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return _called(function, args, kwargs or {})


class CudaGenerator(torch.Generator):
    """A generator of the pretended device."""

    def __new__(cls):
        return torch.Generator.__new__(cls, device="cpu")

    @property
    def device(self):
        return CUDA


class _Mode(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _called(function, args, kwargs or {})


def pretended(monkeypatch) -> _Mode:
    """Return the mode within which `device="cuda"` is the pretended device."""

    def generator(seed, stream, device="cpu"):
        made = CudaGenerator() if torch.device(device).type == "cuda" else torch.Generator()
        return made.manual_seed(streams._stream_seed(seed, stream))

    monkeypatch.setattr(streams, "generator", generator)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device=None: torch.set_rng_state(state))
    return _Mode()


def _called(function, args, kwargs):
    name = _name(function)
    if name in ("get:device", "get:is_cuda", "get:is_cpu"):
        on = _on_cuda(args[0])
        return {"get:device": CUDA if on else CPU, "get:is_cuda": on, "get:is_cpu": not on}[name]
    if name in PLAIN:
        return _plainly(function, args, kwargs)
    if name == "_has_compatible_shallow_copy_type":
        return False
    tensors = [*_flat(args), *_flat(kwargs)]
    here, elsewhere = [t for t in tensors if _on_cuda(t)], [t for t in tensors if not _on_cuda(t)]
    if name in ("numpy", "__array__"):
        _refuse(bool(here) and not kwargs.get("force"), name, "numpy of a CUDA tensor")
        return _plainly(function, (_untagged(args[0]), *args[1:]), kwargs)
    if name == "cpu":
        return _untagged(args[0]).clone() if here else args[0]
    if name == "cuda":
        return _tagged(args[0])
    if name == "to":
        return _moved(args, kwargs)
    wanted = kwargs.get("device")
    _check_generator(name, kwargs.get("generator"), wanted, here, tensors)
    if wanted is not None:
        kwargs = dict(kwargs, device="cpu")
    large = [t for t in elsewhere if _untagged(t).dim() > 0]
    mixed = bool(here and large) and wanted is None and name not in CROSSES and not name.startswith("set:")
    _refuse(mixed, name, f"CUDA {[tuple(t.shape) for t in here][:3]} with CPU {[tuple(t.shape) for t in large][:3]}")
    if name == "__getitem__":
        _refuse(bool(here) and not _on_cuda(args[0]), name, "a CPU tensor indexed with CUDA indices")
    if name == "__setitem__":
        across = isinstance(args[2], torch.Tensor) and _on_cuda(args[2]) != _on_cuda(args[0])
        _refuse(
            across and _untagged(args[2]).dim() > 0 and next(_flat(args[1]), None) is not None,
            name,
            "assignment across devices",
        )
    result = _plainly(function, args, kwargs)
    if name.startswith("set:") or name in ("result_type", "promote_types", "can_cast"):
        return result
    if wanted is not None:
        return _tagged(result) if torch.device(wanted).type == "cuda" else result
    in_place = name == "copy_" or (name.endswith("_") and not name.startswith("__") and args and result is args[0])
    return _tagged(result) if here and not in_place else result


def _moved(args, kwargs):
    source, target, dtype, rest = args[0], kwargs.get("device"), kwargs.get("dtype"), args[1:]
    for item in rest:
        if isinstance(item, torch.Tensor):
            target, dtype = (CUDA if _on_cuda(item) else CPU), item.dtype
        elif isinstance(item, torch.dtype):
            dtype = item
        elif isinstance(item, (str, torch.device)):
            target = torch.device(item)
    others = {key: value for key, value in kwargs.items() if key not in ("device", "dtype")}
    moved = _plainly(torch.Tensor.to, (_untagged(source),), {"dtype": dtype or source.dtype, **others})
    now = _on_cuda(source) if target is None else torch.device(target).type == "cuda"
    if now != _on_cuda(source) and moved.data_ptr() == _untagged(source).data_ptr():
        moved = _plainly(torch.Tensor.clone, (moved,), {})
    return _tagged(moved) if now else moved


def _check_generator(name, generator, wanted, here, tensors):
    if generator is None:
        return
    cuda = isinstance(generator, CudaGenerator)
    place = torch.device(wanted).type == "cuda" if wanted is not None else bool(here) if tensors else False
    _refuse(cuda != place, name, f"a generator on {_word(cuda)}, a tensor on {_word(place)}")


def _word(cuda: bool) -> str:
    return "CUDA" if cuda else "the CPU"


def _refuse(wrong: bool, name: str, why: str) -> None:
    if wrong:
        site = next((f for f in reversed(traceback.extract_stack()) if "polysemanticity" in f.filename), None)
        raise RuntimeError(f"devices: {why} in {name}" + (f" at {site.filename}:{site.lineno}" if site else ""))


def _name(function) -> str:
    name = getattr(function, "__name__", str(function))
    if name in ("__get__", "__set__"):
        return f"{name.strip('_')}:{getattr(function.__self__, '__name__', '?')}"
    return name


def _flat(thing):
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _flat(item)
    elif isinstance(thing, dict):
        yield from _flat(list(thing.values()))


def _on_cuda(tensor) -> bool:
    return isinstance(tensor, OnCuda)


def _plainly(function, args, kwargs):
    with torch._C.DisableTorchFunctionSubclass():
        return function(*args, **kwargs)


def _untagged(tensor):
    return (
        _plainly(torch.Tensor.as_subclass, (tensor, torch.Tensor), {}) if isinstance(tensor, torch.Tensor) else tensor
    )


@functools.singledispatch
def _tagged(thing):
    return thing


@_tagged.register
def _(thing: torch.Tensor):
    return thing if isinstance(thing, OnCuda) else _plainly(torch.Tensor.as_subclass, (thing, OnCuda), {})


@_tagged.register
def _(thing: tuple):
    tagged = [_tagged(item) for item in thing]
    return type(thing)(*tagged) if hasattr(thing, "_fields") else type(thing)(tagged)


@_tagged.register
def _(thing: list):
    return [_tagged(item) for item in thing]
