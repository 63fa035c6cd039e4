"""Workers for the tests of the sweep: importable by its processes."""

import os
import tempfile
import time

import numpy as np

from lib import runtime


def draw(*, seed, device, scale):
    """Four random numbers; leaves a file per call, so that calls can be counted across processes."""
    tempfile.mkstemp(dir=os.environ.get("TOY_CALLS"))
    if scale < 0:
        raise RuntimeError("asked to fail")
    values = runtime.rng(seed, "data").normal(scale=scale, size=4)
    return {"values": values, "seed": seed, "text": "é", "nothing": None, "scalar": np.float64(1.5), "list": [1, 2]}


def slow(*, seed, device, index):
    """Takes a moment, so that a sweep can be killed in the middle."""
    tempfile.mkstemp(dir=os.environ.get("TOY_CALLS"))
    time.sleep(0.3)
    return {"index": index, "values": runtime.rng(index, "data").normal(size=1000)}
