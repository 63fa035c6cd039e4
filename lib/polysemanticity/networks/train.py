"""One training loop for every network here: seeded streams, mixed precision, checkpoints that resume bit for bit.

Streams of one seed (`streams.generator`): `weights` (initial values), `shuffle` (order of the examples), `data`
(freshly drawn batches), `noise` (dropout, sampled latents, whatever else the loss draws). torch's global random state
is left alone.
"""

import functools
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from polysemanticity.base import checkpoints, runtime, streams
from polysemanticity.base.checks import check

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
SCHEDULES = ("constant", "cosine")
AUTOCAST = (None, "bfloat16")
# the arguments of `fit` that its numbers depend on, beside the network, the loss, the data and the device
RECIPE = (
    "n_steps", "batch_size", "lr", "seed", "optimizer", "optimizer_options", "schedule", "warmup", "clip_norm",
    "autocast", "channels_last", "log_every",
)  # fmt: skip


class History(NamedTuple):
    """`loss[i]` is the mean over the steps after `step[i - 1]` up to and including `step[i]`; steps count from 1."""

    step: np.ndarray
    loss: np.ndarray


def build(factory: Callable[..., nn.Module], *, seed: int, device: str | torch.device = "cpu", **settings) -> nn.Module:
    """Return `factory(**settings)` on the device, weights from the seed's `weights` stream, alike on all devices."""
    with streams.drawing_from(streams.generator(seed, "weights")):
        model = factory(**settings)
    return model.to(device)


def fast_autocast(device: str | torch.device) -> str | None:
    """Return the autocast of `fit` that trains fastest on a device: bfloat16 on CUDA, none (float32) on any CPU.

    A processor with bfloat16 products gains a quarter by them, one without takes five to seven times as long; float32
    also trains the same network on both.
    """
    return "bfloat16" if torch.device(device).type == "cuda" else None


def fit(
    model: nn.Module,
    loss: Callable[..., Tensor],
    data: Tensor | tuple[Tensor, ...] | Callable[[int, torch.Generator], Tensor | tuple[Tensor, ...]],
    *,
    n_steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    optimizer: str = "adam",
    optimizer_options: Mapping | None = None,
    schedule: str = "constant",
    warmup: int = 0,
    clip_norm: float | None = None,
    autocast: str | None = None,
    channels_last: bool = False,
    log_every: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = checkpoints.EVERY,
    label: str | None = None,
) -> History:
    """Train `model` in place on the device it is on, leave it in eval mode, and return the history of the loss.

    `loss(model, *batch)` returns a scalar. `data` is a tensor or several with examples first, moved to the device and
    taken in a new random order each epoch (an incomplete last batch is left out), or a function `(batch_size,
    generator) -> batch` that draws fresh ones. `optimizer_options` go to torch's optimizer. The rate rises linearly
    over `warmup` steps, then stays at `lr` or falls to 0 along a cosine. `clip_norm` bounds the norm of the gradient.
    With `autocast="bfloat16"` matrix products are in bfloat16, parameters and optimizer in float32; `fast_autocast`
    says where that is faster. `log_every` is a hundredth of the steps by default; `label` shows progress.

    `checkpoint` names a file that keeps the state, written about every `checkpoint_every` seconds and at the end. A
    call with the same arguments goes on from there to the same numbers: bit for bit on a CPU at one number of threads.
    A damaged file is reported, set aside and training starts afresh. Without `checkpoint`, a training in a worker of
    `engine.sweep` that takes longer than `checkpoint_every` has such a file with the sweep's results.

    Raises ValueError for an argument that is not allowed and for a checkpoint of another training, FloatingPointError
    naming the first step whose loss is not finite (no such state is stored).
    """
    recipe = {name: value for name, value in locals().items() if name in RECIPE}
    _check(recipe)
    check(checkpoint_every >= 0, "checkpoint_every", checkpoint_every, "at least 0 seconds")
    device = next(model.parameters()).device
    if channels_last:
        model.to(memory_format=torch.channels_last)
    stepper = OPTIMIZERS[optimizer](model.parameters(), lr=lr, fused=True, **(optimizer_options or {}))
    batches = _Batches(data, batch_size, seed, device, channels_last)
    state = _State(model, stepper, batches.generator, streams.generator(seed, "noise", device))
    store, place = None, checkpoints.place() if checkpoint is None else Path(checkpoint)
    if place is not None:
        identity = {**recipe, "loss": _name(loss), "data": batches.identity(), "network": _network(model)}
        store = _Checkpoint(place, {**identity, "device": device.type}, checkpoint_every, checkpoint is not None)
        store.restore(state)

    model.train()
    log_every = log_every or max(n_steps // 100, 1)
    steps = range(state.step, n_steps)
    for step in steps if label is None else runtime.progress(steps, label):
        for group in stepper.param_groups:
            group["lr"] = lr * _lr_factor(step, n_steps, schedule, warmup)
        batch = batches[step]
        with streams.drawing_from(state.noise), torch.autocast(device.type, torch.bfloat16, enabled=bool(autocast)):
            value = loss(model, *batch)
        stepper.zero_grad(set_to_none=True)
        value.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        stepper.step()
        last = step + 1 == n_steps
        state.count(value, log=last or (step + 1) % log_every == 0)
        if store is not None and store.due(last):
            store.save(state)
    model.eval()
    return History(np.array(state.logged_step, dtype=np.int64), np.array(state.logged_loss, dtype=np.float64))


def _check(recipe: Mapping) -> None:
    for name, low in (("n_steps", 1), ("batch_size", 1), ("warmup", 0), ("log_every", 1)):
        value, optional = recipe[name], name == "log_every"
        allowed = f"an integer of at least {low}" + " or None" * optional
        check((value is None and optional) or (isinstance(value, int) and value >= low), name, value, allowed)
    for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("autocast", AUTOCAST)):
        check(recipe[name] in choices, name, recipe[name], "one of " + ", ".join(map(str, choices)))
    for name in ("lr", "clip_norm"):
        value = recipe[name]
        positive = value is not None and 0 < value < math.inf
        check(positive or (value is None and name == "clip_norm"), name, value, "a positive number")


def _lr_factor(step: int, n_steps: int, schedule: str, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - warmup) / (n_steps - warmup))) / 2


class _Batches:
    """The batch of each step: for stored examples a function of seed and step alone, else drawn from `generator`."""

    def __init__(self, data, batch_size: int, seed: int, device: torch.device, channels_last: bool):
        self.batch_size, self.seed, self.device, self.channels_last = batch_size, seed, device, channels_last
        self.draw = data if callable(data) else None
        self.generator, self.epoch = streams.generator(seed, "data", device), None
        if self.draw is not None:
            return
        self.tensors = tuple(tensor.to(device) for tensor in _tuple(data))
        lengths = [len(tensor) for tensor in self.tensors]
        check(len(set(lengths)) == 1, "lengths of data", lengths, "tensors with equally many examples")
        check(batch_size <= lengths[0], "batch_size", batch_size, f"at most the {lengths[0]} examples")
        self.n = lengths[0]

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        if self.draw is not None:
            return tuple(map(self._laid_out, _tuple(self.draw(self.batch_size, self.generator))))
        epoch, place = divmod(step, self.n // self.batch_size)
        if epoch != self.epoch:
            order = torch.randperm(self.n, generator=streams.generator(self.seed, f"shuffle/{epoch}"))
            self.epoch, self.order = epoch, order.to(self.device)
        chosen = self.order[place * self.batch_size : (place + 1) * self.batch_size]
        return tuple(self._laid_out(tensor[chosen]) for tensor in self.tensors)

    def _laid_out(self, batch: Tensor) -> Tensor:
        return batch.contiguous(memory_format=torch.channels_last) if self.channels_last and batch.ndim == 4 else batch

    def identity(self) -> str:
        if self.draw is not None:
            return _name(self.draw)
        raw = (tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy() for tensor in self.tensors)
        return _digest([(tuple(tensor.shape), str(tensor.dtype)) for tensor in self.tensors], *raw)


class _State:
    """Everything that the next step depends on, and the history so far."""

    def __init__(self, model: nn.Module, optimizer, data: torch.Generator, noise: torch.Generator):
        self.model, self.optimizer, self.data, self.noise = model, optimizer, data, noise
        self.step, self.logged_step, self.logged_loss = 0, [], []
        self.pending: list[Tensor] = []  # losses since the last log stay on the device: reading one waits for it

    def count(self, loss: Tensor, log: bool) -> None:
        self.step += 1
        self.pending.append(loss.detach().float())
        if log:
            losses = self.read()
            self.logged_step.append(self.step)
            self.logged_loss.append(math.fsum(losses) / len(losses))
            self.pending = []

    def read(self) -> list[float]:
        losses = torch.stack(self.pending).tolist() if self.pending else []
        for step, loss in enumerate(losses, start=self.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {step}: a smaller lr or a clip_norm may help")
        return losses

    def pack(self) -> dict:
        return {
            "pending": self.read(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "data": self.data.get_state(),
            "noise": self.noise.get_state(),
            "step": self.step,
            "logged_step": self.logged_step,
            "logged_loss": self.logged_loss,
        }

    def unpack(self, packed: dict) -> None:
        self.pending = list(torch.tensor(packed["pending"], device=next(self.model.parameters()).device))
        self.model.load_state_dict(packed["model"])
        self.optimizer.load_state_dict(packed["optimizer"])
        self.data.set_state(packed["data"])
        self.noise.set_state(packed["noise"])
        self.step, self.logged_step, self.logged_loss = packed["step"], packed["logged_step"], packed["logged_loss"]


class _Checkpoint:
    """A file of `base.checkpoints` with a state and the identity of its training."""

    def __init__(self, path: Path, identity: dict, every: float, asked_for: bool):
        self.path, self.identity, self.every, self.asked_for = path, identity, every, asked_for
        self.started = self.written = time.monotonic()

    def due(self, last: bool) -> bool:
        """Whether to write now; at the end too, but for a short training that nobody asked to keep."""
        now = time.monotonic()
        return now - self.written >= self.every or (last and (self.asked_for or now - self.started >= self.every))

    def save(self, state: _State) -> None:
        checkpoints.write(self.path, {"identity": self.identity, "state": state.pack()})
        self.written = time.monotonic()

    def restore(self, state: _State) -> None:
        stored = checkpoints.read(self.path)
        if stored is None:
            return
        if not {"identity", "state"} <= set(stored) or not set(self.identity) <= set(stored["identity"]):
            checkpoints.set_aside(self.path)
            return
        differing = [
            f"{name} is {stored['identity'][name]!r} there and {value!r} here"
            for name, value in self.identity.items()
            if stored["identity"][name] != value
        ]
        check(not differing, "checkpoint", str(self.path), f"one of the same training ({'; '.join(differing)})")
        state.unpack(stored["state"])


def _network(model: nn.Module) -> str:
    return _digest(repr(model), [(name, tuple(value.shape)) for name, value in model.state_dict().items()])


def _name(function: Callable) -> str:
    if isinstance(function, functools.partial):
        return f"{_name(function.func)}{function.args!r}{sorted(function.keywords.items())!r}"
    return f"{function.__module__}.{function.__qualname__}"


def _tuple(batch) -> tuple[Tensor, ...]:
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def _digest(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()[:16]
