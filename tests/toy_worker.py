"""Workers for the tests of the sweep: importable by its processes."""

import os
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import torch

from polysemanticity.base import streams


def draw(*, seed, device, scale):
    """Four random numbers; leaves a file per call, so that calls can be counted across processes."""
    tempfile.mkstemp(dir=os.environ.get("TOY_CALLS"))
    if scale < 0:
        raise RuntimeError("asked to fail")
    values = streams.rng(seed, "data").normal(scale=scale, size=4)
    return {"values": values, "seed": seed, "text": "é", "nothing": None, "scalar": np.float64(1.5), "list": [1, 2]}


def placed(*, seed, device, scale):
    """Uses the device."""
    return {"values": torch.full((2,), scale, device=device).cpu().numpy()}


def slow(*, seed, device, index):
    """Takes a moment, so that a sweep can be killed in the middle."""
    tempfile.mkstemp(dir=os.environ.get("TOY_CALLS"))
    time.sleep(0.3)
    return {"index": index, "values": streams.rng(index, "data").normal(size=1000)}


def fail_when_another_is_stored(*, seed, device, index, results):
    """Task 1 returns; task 0, which is begun after it, fails as soon as there is a file among the results."""
    tempfile.mkstemp(dir=os.environ.get("TOY_CALLS"))
    while index == 0 and not list(Path(results).rglob("*.npz")):
        time.sleep(0.01)
    if index == 0:
        raise RuntimeError("asked to fail")
    return {"index": index}


def rounded(*, seed, device, index, folder):
    """Sums whose last bits depend on the number of threads; leaves a file per call in `folder`."""
    tempfile.mkstemp(dir=folder)
    time.sleep(0.2)
    generator = streams.generator(seed, "data")
    values = torch.randn(300, 300, generator=generator) + index
    return {"values": (values @ values).numpy(), "sum": float(values.sum())}


def nested(*, seed, device):
    """Starts parallel work of its own, as scikit-learn does: where does it run?"""
    pids = joblib.Parallel(n_jobs=None)(joblib.delayed(os.getpid)() for _ in range(3))
    return {"same": set(pids) == {os.getpid()}}


def fails(*, seed, device, index):
    """Refuses its config."""
    raise ValueError(f"index = {index}: allowed is nothing")


def reads(*, seed, device, file, content):
    """Reads a file whose fingerprint is its content."""
    with open(file, encoding="utf-8") as opened:
        return {"length": len(opened.read())}


def fingerprint_here(config):
    """What the file holds on this machine."""
    with open(config["file"], encoding="utf-8") as opened:
        return opened.read()


def allocate(n_bytes):
    """For the test of `peak_memory`."""
    return lambda: np.ones(n_bytes // 8).sum()
