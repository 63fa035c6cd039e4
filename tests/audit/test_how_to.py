"""The snippets of the how-to page run as they stand."""

import re

import matplotlib
import torch
from matplotlib import pyplot as plt
from torch import nn

from polysemanticity.audit.__main__ import _parser
from polysemanticity.base import paths

PAGE = (paths.ROOT / "site" / "how_to" / "own_network.md").read_text()


def test_the_snippets_run(capsys):
    matplotlib.use("agg")
    torch.manual_seed(0)
    model = nn.Module()
    model.blocks = nn.Sequential(nn.Linear(20, 130), nn.ReLU(), nn.Linear(130, 150))
    model.forward = model.blocks.forward
    names = {"model": model, "batches": [torch.randn(40, 20)] * 4, "decoder": torch.randn(60, 8)}
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(snippets) == 2 and sum(len(code.splitlines()) for code in snippets) <= 15
    for code in snippets:
        exec(code, names)
    printed = capsys.readouterr().out
    assert "blocks.2" in printed and "efficiency" in printed
    plt.close("all")


def test_the_commands_are_understood():
    commands = re.findall(r"python -m polysemanticity\.audit (.*)", PAGE)
    assert len(commands) == 2
    for command in commands:
        _parser().parse_args(command.split())
