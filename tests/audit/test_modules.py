"""Modules that nobody tuned the audit to: every layer's report says what the module itself returns."""

import pytest
import torch
import torchvision
import transformers
from torch import nn

from polysemanticity import audit, spectra

SMALL = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = SMALL | {"vocab_size": 50, "max_position_embeddings": 16}


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.Linear(5 + 20, 20), nn.Linear(20, 3)

    def forward(self, x):
        state = x.new_zeros(len(x), 20)
        states = [state := self.cell(torch.cat([step, state], 1)).tanh() for step in x.unbind(1)]
        return self.out(torch.stack(states, 1))


def convnext():
    return torchvision.models.ConvNeXt([torchvision.models.convnext.CNBlockConfig(24, None, 2)], num_classes=5)


def tokens():
    ids = torch.randint(50, (4, 12), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def pixels(size):
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))


MODULES = {
    "Llama": (lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT)), tokens, "residual.1", 24),
    "GPT-NeoX": (lambda: transformers.GPTNeoXModel(transformers.GPTNeoXConfig(**TEXT)), tokens, "residual.1", 24),
    "ViT": (
        lambda: transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=16, patch_size=4)),
        lambda: {"pixel_values": pixels(16)}, "residual.1", 24,
    ),
    "ConvNeXt": (convnext, lambda: pixels(32), "features.0.1", 24),
    "by hand": (ByHand, lambda: torch.randn(4, 30, 5, generator=torch.Generator().manual_seed(1)), "out", 3),
}  # fmt: skip


COUNTS = {"Llama": 10, "GPT-NeoX": 10, "ViT": 10, "ConvNeXt": 22, "by hand": 2}


@pytest.mark.parametrize("name", MODULES)
@torch.no_grad()
def test_any_module_is_reported(name):
    build, data, layer, units = MODULES[name]
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = build().eval()
    batch = data()
    table = audit.layers(model, [batch], simulations=0).table.set_index("layer")
    assert len(table) == COUNTS[name]
    if name == "by hand":
        own = model(batch).flatten(0, 1)
    elif name == "ConvNeXt":
        own = model.features[0](batch).movedim(1, -1).flatten(0, 2)
    else:
        own = model.base_model(**batch, output_hidden_states=True).hidden_states[1].flatten(0, 1)
    line, spectrum = table.loc[layer], spectra.covariance_spectrum(own)
    assert (line["units"], line["n"]) == (units, len(own))
    assert line["participation"] == pytest.approx(spectra.participation_ratio(spectrum), rel=1e-3)
