"""CUDA pretended on a CPU: tensors with real values that carry the tag of another device.

Where CUDA would raise, so does this: tensors of two devices in one operation, a generator of another device than the
tensor's, `.numpy()` without `.cpu()`, an assignment through indices across devices. Autocast is that of the CPU, in the
same type, and refused where no gradient is taken: what is probed is not rounded. Kernels and speed are not covered.
Enter `pretended(monkeypatch)` and call a worker with `device="cuda"`; what is entered counts the times that the host
waits for the device (`waits`) and the copies between the two (`copies`), by operation.
"""

import collections
import contextlib
import functools
import traceback

import torch
from torch import overrides
from torch.overrides import TorchFunctionMode

from polysemanticity.base import streams
from polysemanticity.networks import packaged

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
WAITS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "__contains__", "nonzero", "unique",
         "is_nonzero", "allclose", "equal", "masked_select", "argwhere", "bincount", "cpu", "numpy"}  # fmt: skip
UNTAGGED = {"result_type", "promote_types", "can_cast", "copy_"}  # whose result is no new tensor of the device
ALL_ALIKE = {"cat", "stack", "hstack", "vstack", "concatenate"}  # where even numbers without an axis have to be there
SPECTRAL = {"linalg_eigh", "linalg_eigvalsh", "linalg_eig", "linalg_eigvals"}  # which the host is as fast at
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


class Pretence(TorchFunctionMode):
    """Within it `device="cuda"` is the pretended device."""

    def __init__(self):
        super().__init__()
        self.waits, self.copies = collections.Counter(), collections.Counter()
        self.autocast = False  # whether any was entered
        self.done = {"device": 0, "host": 0}  # operations on tensors, by where they are

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _called(function, args, kwargs or {}, self)


def pretended(monkeypatch) -> Pretence:
    """Return the mode within which `device="cuda"` is the pretended device; it is entered once."""
    mode, real_autocast = Pretence(), torch.autocast

    def generator(seed, stream, device="cpu"):
        made = CudaGenerator() if torch.device(device).type == "cuda" else torch.Generator()
        return made.manual_seed(streams._stream_seed(seed, stream))

    def autocast(device_type, dtype=None, enabled=True, **options):
        _refuse(enabled and not torch.is_grad_enabled(), "autocast", "autocast where no gradient is taken")
        mode.autocast |= enabled
        return real_autocast("cpu", dtype, enabled, **options)

    @contextlib.contextmanager
    def reading_weights(quietly=packaged.without_progress_bars):
        with quietly(), overrides._pop_mode_temporarily():  # by the host, on the device `meta` first
            yield

    monkeypatch.setattr(packaged, "without_progress_bars", reading_weights)
    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(streams, "generator", generator)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device=None: torch.set_rng_state(state))
    return mode


def _called(function, args, kwargs, mode=None):
    name = _name(function)
    if name in PLAIN:
        return _plainly(function, args, kwargs)
    if name in ("get:device", "get:is_cuda", "get:is_cpu"):
        on = _on_cuda(args[0])
        return {"get:device": CUDA if on else CPU, "get:is_cuda": on, "get:is_cpu": not on}[name]
    if name == "_has_compatible_shallow_copy_type":
        return False
    tensors = _flat(args, [])
    if kwargs:
        _flat(tuple(kwargs.values()), tensors)
    here = [t for t in tensors if isinstance(t, OnCuda)]
    if mode is not None:
        mode.done["device" if here else "host"] += bool(tensors)
        mode.waits[name] += bool(here) and name in WAITS
    if name in ("numpy", "__array__"):
        _refuse(bool(here) and not kwargs.get("force"), name, "numpy of a CUDA tensor")
        return _plainly(function, (_untagged(args[0]), *args[1:]), kwargs)
    if name in ("cpu", "cuda", "to"):
        moved = _moved(*{"cpu": ((args[0], CPU), {}), "cuda": ((args[0], CUDA), {})}.get(name, (args, kwargs)))
        if mode is not None and _on_cuda(moved) != bool(here and here[0] is args[0]):
            mode.copies[name] += 1
            mode.waits[name] += name == "to" and not _on_cuda(moved)
        return moved
    wanted = None
    if kwargs:
        _refuse(bool(here) and kwargs.get("driver", "gels") != "gels", name, "a driver that CUDA has not")
        wanted = kwargs.get("device")
        if kwargs.get("generator") is not None:
            _check_generator(name, kwargs["generator"], wanted, here, tensors)
        if wanted is not None:
            kwargs = dict(kwargs, device="cpu")
    if here and name in SPECTRAL:
        _refuse(True, name, "an eigenvalue problem on a card")
    if here and wanted is None and len(here) < len(tensors):
        _check_alike(name, args, here, [t for t in tensors if not isinstance(t, OnCuda)])
        if mode is not None and name in CROSSES:
            mode.copies[name] += 1
    if name == "__getitem__" and here and mode is not None:
        mode.waits["mask"] += any(t.dtype == torch.bool for t in _flat((args[1],), []))
    result = _plainly(function, args, kwargs)
    if wanted is not None:
        return _tagged(result) if torch.device(wanted).type == "cuda" else result
    if not here or type(result) is OnCuda or name in UNTAGGED or name.startswith("set:"):
        return result
    return _tagged(result)


def _check_alike(name, args, here, elsewhere) -> None:
    """Refuse tensors of both devices in one operation; numbers of the host without an axis go anywhere."""
    large = elsewhere if name in ALL_ALIKE else [t for t in elsewhere if t.dim() > 0]
    if large and name not in CROSSES and not name.startswith("set:"):
        shapes = [[tuple(_untagged(t).shape) for t in some[:3]] for some in (here, large)]
        _refuse(True, name, f"CUDA {shapes[0]} with CPU {shapes[1]}")
    if name == "__getitem__":
        _refuse(not _on_cuda(args[0]), name, "a CPU tensor indexed with CUDA indices")
    if name == "__setitem__":
        across = isinstance(args[2], torch.Tensor) and _on_cuda(args[2]) != _on_cuda(args[0])
        by_index = bool(_flat((args[1],), []))
        _refuse(across and _untagged(args[2]).dim() > 0 and by_index, name, "assignment across devices")


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


@functools.cache
def _name(function) -> str:
    name = getattr(function, "__name__", str(function))
    if name in ("__get__", "__set__"):
        return f"{name.strip('_')}:{getattr(function.__self__, '__name__', '?')}"
    return name


def _flat(things, found: list) -> list:
    """Add all tensors among the things, and among those of lists and the like, to `found`."""
    for thing in things:
        if isinstance(thing, torch.Tensor):
            found.append(thing)
        elif isinstance(thing, (list, tuple)):
            _flat(thing, found)
        elif isinstance(thing, dict):
            _flat(thing.values(), found)
    return found


def _on_cuda(tensor) -> bool:
    return isinstance(tensor, OnCuda)


def _plainly(function, args, kwargs):
    with torch._C.DisableTorchFunctionSubclass():
        return function(*args, **kwargs)


def _untagged(tensor):
    return (
        _plainly(torch.Tensor.as_subclass, (tensor, torch.Tensor), {}) if isinstance(tensor, torch.Tensor) else tensor
    )


def _tagged(thing):
    if isinstance(thing, torch.Tensor):
        return thing if isinstance(thing, OnCuda) else _plainly(torch.Tensor.as_subclass, (thing, OnCuda), {})
    if isinstance(thing, tuple):
        tagged = [_tagged(item) for item in thing]
        named = hasattr(thing, "_fields")
        return type(thing)(*tagged) if named else type(thing)(tagged)
    return [_tagged(item) for item in thing] if isinstance(thing, list) else thing
