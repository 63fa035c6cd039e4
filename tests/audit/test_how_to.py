"""The snippets of the how-to page run as they stand."""

import contextlib
import re
from types import SimpleNamespace

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
    batches = [torch.randn(40, 20) for _ in range(4)]
    names = {"model": model, "batches": batches, "decoder": torch.randn(60, 8), **others()}
    names["features"] = (torch.cat(batches)[:, :5] > 1).float()
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(snippets) == 4 and sum(len(code.splitlines()) for code in snippets) <= 24
    for code in snippets:
        exec(code, names)
    printed = capsys.readouterr().out
    assert "blocks.2" in printed and "efficiency" in printed and "shared units" in printed
    plt.close("all")


class Cache(dict):
    """What TransformerLens returns has the names and items of a dictionary; `test_sources` has one that is none."""


def others():
    """What the other libraries would hand over, in their formats: none of them is needed here."""
    rows = torch.randn(6, 10, 4)
    cache = Cache({f"blocks.{k}.hook_{part}": rows for k in range(2) for part in ("resid_post", "scale")})
    layer = SimpleNamespace(output=SimpleNamespace(save=lambda: SimpleNamespace(value=rows)))
    return {
        "tokens": None,
        "hooked": SimpleNamespace(run_with_cache=lambda tokens: (None, cache)),
        "traced": SimpleNamespace(trace=lambda tokens: contextlib.nullcontext(), layers=[layer, layer]),
        "cached": SimpleNamespace(iter=lambda size: iter([{"blocks.3": rows}, {"blocks.3": rows}])),
        "sae": SimpleNamespace(W_dec=torch.randn(12, 4)),
    }


def test_the_commands_are_understood():
    commands = re.findall(r"python -m polysemanticity\.audit (.*)", PAGE)
    assert len(commands) == 3
    for command in commands:
        _parser().parse_args(command.split())
