"""What spoils the activity of a module's layers is told with its name, for the layers that follow."""

import torch
from torch import nn

from polysemanticity.audit import artefacts
from polysemanticity.networks import hooks


def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Sequential(nn.Flatten(), nn.Linear(128, 4))
    )


def test_what_spoils_is_told_with_its_name():
    model, pixels = small(), torch.randn(4, 3, 6, 6)
    assert artefacts.artefacts(model) == {"1": "batch norm by batch (1)", "2": "dropout on (2)"}
    assert artefacts.artefacts(model.eval()) == {"1": "batch norm never updated (1)"}
    model.train()(pixels)
    assert artefacts.artefacts(model.eval()) == {}


def test_layers_are_spoilt_by_what_runs_before_them():
    model = small()
    passed = hooks.outline(model, torch.randn(4, 3, 6, 6), mode=None)
    wanted = hooks.find(model, ["0", "1", "3.1"]) | {"before": hooks.Place("2", "input")}
    found = artefacts.spoilt(model, passed, wanted)
    norm, dropout = "batch norm by batch (1)", "dropout on (2)"
    assert found == {"0": [], "1": [norm], "before": [norm], "3.1": [norm, dropout]}
