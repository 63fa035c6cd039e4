"""Which worker runs on which device, and how many processes share it.

A worker that does not read its argument `device` is a CPU's, whatever the run's device is: its results have one key
everywhere. Where the run's device was not asked for (`--device auto`), a card computes only what gains by it. Most
workers here train networks of some dozens of units: on a card a step lasts as long as it takes to start its kernels,
and a process on each core of a CPU is faster.
"""

from collections.abc import Callable, Mapping

from polysemanticity.base import codedigest, runtime

SHARE = 4  # processes on one card: more take turns without doing more, and each holds half a gigabyte for CUDA alone


def _always(config: Mapping) -> bool:
    return True


# (module, name) whose operations a card does ten times as fast as the cores beside it, by docs/scaling.md, and for
# which configurations of a worker that reaches it
GAINING: Mapping[tuple[str, str | None], Callable[[Mapping], bool]] = {
    ("networks.resnet_vae", "ResNetVAE"): _always,
    ("networks.language_models", "layers"): _always,
    ("networks.language_models", "train_gpt2"): _always,
    ("networks.hooks", "activity"): _always,
    ("incidental.optimizers", "published_descent"): lambda config: config.get("method") == "adamw",
}


def device(worker: Callable, config: Mapping, run: runtime.Run) -> str:
    """Return the device that a worker's call is made with in a run."""
    if run.device == "cpu" or not codedigest.reads(worker, "device"):
        return "cpu"
    return run.device if not run.auto or _gains(worker, config) else "cpu"


def _gains(worker: Callable, config: Mapping) -> bool:
    return any(applies(config) for place, applies in GAINING.items() if codedigest.reaches(worker, *place))


def processes(device: str, run: runtime.Run, n_tasks: int) -> int:
    """Return how many processes compute tasks on a device at once: as many as the CPU's cores allow, fewer on a card.

    In the profile `paper` each has a card for itself: its networks take up to 13 GB.
    """
    most = max(1, min(runtime.cores() // run.cfg.threads, n_tasks))
    return most if device == "cpu" else 1 if run.profile == "paper" else min(most, SHARE)
