"""On PYTHONPATH, this keeps Python off the network and lets files stand in for CIFAR-10's in every process.

`CIFAR_CHECKSUMS` holds their MD5 sums by name: torchvision then compares with these instead of the published ones.
"""

import importlib.abc
import importlib.machinery
import json
import os
import runpy
import sys
from pathlib import Path

runpy.run_path(str(Path(__file__).resolve().parent.parent / "offline" / "sitecustomize.py"))
CIFAR = "torchvision.datasets.cifar"


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads torchvision's module as ever, then replaces the checksums."""

    def find_spec(self, name, path, target=None):
        if name != CIFAR:
            return None
        self.found = importlib.machinery.PathFinder.find_spec(name, path)
        spec = importlib.machinery.ModuleSpec(name, self, origin=self.found.origin)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self.found.loader.exec_module(module)
        sums = json.loads(os.environ["CIFAR_CHECKSUMS"])
        kind = module.CIFAR10
        kind.train_list = [[name, sums[name]] for name, _ in kind.train_list]
        kind.test_list = [[name, sums[name]] for name, _ in kind.test_list]
        kind.meta = {**kind.meta, "md5": sums[kind.meta["filename"]]}


sys.meta_path.insert(0, _StandIn())
