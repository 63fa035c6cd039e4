"""Layers of any module: names, units, masks, and what spoils their activity."""

import pytest
import torch
from torch import nn

from polysemanticity.audit import watching


class Small(nn.Module):
    """A convolution with all that may spoil, and a head that is called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3)])

    def forward(self, pixels, scale=1.0):
        hidden = self.drop(self.norm(self.conv(pixels)).mean((2, 3)))
        for block in self.blocks:
            hidden = block(hidden)
        return self.blocks[0][0](hidden) * scale


def test_patterns_go_by_parts():
    model = Small()
    assert watching.chosen(model, "blocks.*") == ["blocks.0", "blocks.1", "blocks.2"]
    assert watching.chosen(model, ["blocks.?.0", "conv"]) == ["conv", "blocks.0.0", "blocks.1.0", "blocks.2.0"]
    assert "drop" not in watching.chosen(model, "*") and len(watching.chosen(model, "*")) == 8
    with pytest.raises(ValueError, match=r"layers = 'block\.\*'.*conv"):
        watching.chosen(model, "block.*")
    with pytest.raises(ValueError, match="layers = 3"):
        watching.chosen(model, 3)


@pytest.mark.parametrize("form", ["tensor", "mapping", "loader"])
def test_outputs_are_the_module_s_own(form):
    model = Small().eval()
    pixels = torch.randn(4, 3, 6, 6)
    batch = {"tensor": pixels, "mapping": {"pixels": pixels, "scale": 2.0}, "loader": [pixels, torch.ones(4)]}[form]
    ((outputs, _),) = watching.run(model, [batch], ["conv", "blocks.0.0"])
    torch.testing.assert_close(outputs["conv"][0], model.conv(pixels))
    assert len(outputs["blocks.0.0"]) == 2  # it is called twice
    torch.testing.assert_close(
        outputs["blocks.0.0"][1] * (2 if form == "mapping" else 1),
        model(**batch) if form == "mapping" else model(pixels),
    )
    assert not model.conv._forward_hooks and not outputs["conv"][0].requires_grad
    assert watching.units_last(outputs["conv"][0], model.conv).shape == (4, 4, 4, 8)
    assert watching.units_last(torch.ones(2, 4, 4, 8), nn.LayerNorm(8)).shape == (2, 4, 4, 8)


def test_hooks_go_when_the_module_fails():
    model = Small()
    with pytest.raises(RuntimeError):
        list(watching.run(model, [torch.ones(1, 5, 6, 6)], ["conv"]))
    assert not model.conv._forward_hooks
    with pytest.raises(ValueError, match="batch = 'str'"):
        list(watching.run(model, ["a text"], ["conv"]))


def test_what_spoils_is_told_with_its_name():
    model = Small()
    assert set(watching.artefacts(model)) == {"norm", "drop"}
    assert watching.artefacts(model.eval()) == {"norm": "batch norm never updated (norm)"}
    model.train()(torch.randn(4, 3, 6, 6))
    assert watching.artefacts(model)["norm"] == "batch norm by batch (norm)"
    assert watching.artefacts(model.eval()) == {}
    count = int(model.norm.num_batches_tracked)
    list(watching.run(model.train(), [torch.randn(4, 3, 6, 6)] * 3, ["conv"]))
    assert int(model.norm.num_batches_tracked) == count  # looking changes nothing
    order = watching.order(model, torch.randn(4, 3, 6, 6))
    assert order[:3] == ["conv", "norm", "drop"] and order.index("blocks.0.0") < order.index("blocks.0")


def test_masks_belong_to_batch_and_position():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    batch = {"input_ids": mask, "attention_mask": mask}
    assert watching.mask_of(batch, torch.ones(2, 3, 5)).sum() == 3
    assert watching.mask_of(batch, torch.ones(2, 5)) is None and watching.mask_of(mask, torch.ones(2, 3, 5)) is None
