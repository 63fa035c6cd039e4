"""Streamed activity of every architecture against transformers' own hidden states and loss, sums and refusals."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
import torchvision
import transformers
from torch import nn

from polysemanticity import spectra
from polysemanticity.base import paths
from polysemanticity.networks import hooks

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
CAUSAL = SMALL | {"vocab_size": 60, "max_position_embeddings": 32}
GROUPED = CAUSAL | {"num_key_value_heads": 2}
GPT2 = {
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 32,
    "vocab_size": 60,
    "bos_token_id": None,
    "eos_token_id": None,
}
MODELS = {
    "gpt2": (transformers.GPT2Config, GPT2, transformers.GPT2LMHeadModel),
    "gpt_neox": (transformers.GPTNeoXConfig, CAUSAL, transformers.GPTNeoXForCausalLM),
    "gpt_neox in sequence": (
        transformers.GPTNeoXConfig, CAUSAL | {"use_parallel_residual": False}, transformers.GPTNeoXForCausalLM,
    ),
    "llama": (transformers.LlamaConfig, GROUPED, transformers.LlamaForCausalLM),
    "qwen2": (transformers.Qwen2Config, GROUPED, transformers.Qwen2ForCausalLM),
    "mistral": (transformers.MistralConfig, GROUPED, transformers.MistralForCausalLM),
    "phi": (transformers.PhiConfig, CAUSAL | {"pad_token_id": None, "eos_token_id": None}, transformers.PhiForCausalLM),
    "bert": (transformers.BertConfig, CAUSAL, transformers.BertModel),
    "vit": (transformers.ViTConfig, SMALL | {"image_size": 16, "patch_size": 4}, transformers.ViTModel),
}  # fmt: skip
LANGUAGE = [name for name in MODELS if name not in ("bert", "vit")]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def build(name, **settings):
    config, fields, model = MODELS[name]
    with torch.random.fork_rng():
        torch.random.manual_seed(1)
        built = model(config(**fields | settings)).eval()
        for parameter in built.parameters():  # zero biases and unit norms would hide a slip
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    return built


def batches_of(name):
    """Two batches of sequences of different lengths, padded after their tokens or, in the second, before."""
    generator = torch.Generator().manual_seed(2)
    if name == "vit":
        return [{"pixel_values": torch.randn(n, 3, 16, 16, generator=generator)} for n in (3, 2)]
    found = []
    for lengths, side in (((9, 4, 7), "after"), ((5, 8), "before")):
        mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
        for row, length in zip(mask, lengths, strict=True):
            row[:length] = 1
        mask = mask if side == "after" else mask.flip(1)
        ids = torch.randint(60, mask.shape, generator=generator)
        found.append({"input_ids": ids * mask, "attention_mask": mask})
    return found


def body(model):
    return model.base_model


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_stream_is_that_of_transformers(name):
    model, batches = build(name), batches_of(name)
    last = "residual.3" if name == "bert" else "final"
    layers = ["residual.*"] if name == "bert" else ["residual.*", "final"]
    model.train()  # activity is that of eval mode, and the mode is left as it was
    for batch, found in zip(batches, hooks.activity(model, batches, layers), strict=True):
        assert model.training
        theirs = body(model.eval())(**batch, output_hidden_states=True)
        model.train()
        expected = [*theirs.hidden_states[:-1], theirs.last_hidden_state]
        kept = batch.get("attention_mask", torch.ones(expected[0].shape[:2])).bool()
        assert list(found) == [f"residual.{k}" for k in range(4)] + layers[1:]
        for layer, hidden in zip(["residual.0", "residual.1", "residual.2", last], expected, strict=True):
            torch.testing.assert_close(found[layer], hidden[kept], **CLOSE)
        if last == "final":  # the stream after the last block stands before the final norm
            norm = body(model).get_submodule(hooks.stack(body(model)).final)
            torch.testing.assert_close(norm(found["residual.3"]), found["final"], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_attention_and_mlp_make_the_next_stream_and_neurons_the_mlp(name):
    model = build(name)
    blocks, convention, _ = hooks.stack(model)
    for found in hooks.activity(model, batches_of(name), ["residual.*", "attention.*", "mlp.*", "neurons.*"]):
        for k, block_name in enumerate(blocks, start=1):
            block = model.get_submodule(block_name)
            before, after = found[f"residual.{k - 1}"], found[f"residual.{k}"]
            attention, mlp, neurons = (found[f"{part}.{k}"] for part in ("attention", "mlp", "neurons"))
            down = block.get_submodule(convention.down)
            assert neurons.shape[1] == (128 if name == "gpt2" else 48)
            torch.testing.assert_close(down(neurons), mlp, **CLOSE)
            if name == "bert":
                middle = block.attention.output.LayerNorm(before + attention)
                torch.testing.assert_close(block.intermediate(middle), neurons, **CLOSE)
                torch.testing.assert_close(block.output.LayerNorm(middle + mlp), after, **CLOSE)
                continue
            torch.testing.assert_close(before + attention + mlp, after, **CLOSE)
            if name in ("llama", "qwen2", "mistral"):
                seen = block.post_attention_layernorm(before + attention)
                gated = F.silu(block.mlp.gate_proj(seen)) * block.mlp.up_proj(seen)
                torch.testing.assert_close(gated, neurons, **CLOSE)


@pytest.mark.parametrize("name", LANGUAGE)
@torch.no_grad()
def test_losses_are_transformers_loss(name):
    model, (after, before) = build(name), batches_of(name)
    labels = after["input_ids"].masked_fill(after["attention_mask"] == 0, -100)
    losses, left = hooks.token_losses(model, [after, before])
    assert float(losses.mean()) == pytest.approx(float(model(**after, labels=labels).loss), abs=1e-5)
    assert len(losses) == 8 + 3 + 6 and len(left) == 4 + 7
    tokens = after["input_ids"][:1]
    (plain,) = hooks.token_losses(model, [tokens])
    assert float(plain.mean()) == pytest.approx(float(model(tokens, labels=tokens).loss), abs=1e-5)
    # the head on the activity that was read is the loss too
    (found,) = hooks.activity(model, [tokens], "final")
    logits = model.get_output_embeddings()(found["final"])
    torch.testing.assert_close(F.cross_entropy(logits[:-1], tokens[0, 1:], reduction="none"), plain, **CLOSE)


def test_rows_know_their_group_and_their_place():
    model = build("llama")
    batches = batches_of("llama")
    first, second = hooks.activity(model, batches, ["residual.1", "neurons.2"])
    assert first.group["residual.1"].tolist() == [0] * 9 + [1] * 4 + [2] * 7
    assert second.group["neurons.2"].tolist() == [3] * 5 + [4] * 8
    assert first.position["residual.1"].tolist() == [*range(9), *range(4), *range(7)]
    assert second.position["residual.1"].tolist() == [*range(5), *range(8)]  # the second is padded before its tokens
    named = [
        batch | {"groups": torch.tensor(groups)} for batch, groups in zip(batches, ([7, 7, 4], [4, 9]), strict=True)
    ]
    first, second = hooks.activity(model, named, "residual.1")
    assert (
        first.group["residual.1"].tolist() == [7] * 13 + [4] * 7
        and second.group["residual.1"].tolist() == [4] * 5 + [9] * 8
    )


def test_what_a_tokenizer_returns_is_a_batch():
    model, batch = build("llama"), batches_of("llama")[0]
    tokenized = transformers.BatchEncoding(dict(batch))
    (found,), (expected,) = (hooks.activity(model, [each], "mlp.2") for each in (tokenized, batch))
    assert torch.equal(found["mlp.2"], expected["mlp.2"]) and torch.equal(found.group["mlp.2"], expected.group["mlp.2"])


def test_padding_changes_nothing():
    model, batch = build("mistral"), batches_of("mistral")[0]
    (padded,) = hooks.activity(model, [batch], ["residual.*", "neurons.*"])
    for row, (ids, mask) in enumerate(zip(batch["input_ids"], batch["attention_mask"], strict=True)):
        (alone,) = hooks.activity(model, [ids[mask.bool()][None]], ["residual.*", "neurons.*"])
        for layer, value in alone.items():
            torch.testing.assert_close(padded[layer][padded.group[layer] == row], value, rtol=1e-4, atol=1e-5)


def test_one_batch_at_a_time_is_asked_for_and_the_head_is_not_run():
    model, asked = build("llama"), []
    model.lm_head = None  # running it would raise

    def batches():
        for number in range(3):
            asked.append(number)
            yield torch.full((2, 4), number)

    for number, _ in enumerate(hooks.activity(model, batches(), "mlp.*")):
        assert asked == list(range(number + 1))
    assert asked == [0, 1, 2] and not any(module._forward_hooks for module in model.modules())


@torch.no_grad()
def test_half_precision_and_double():
    batch = batches_of("llama")[0]
    (single,) = hooks.activity(build("llama"), [batch], ["residual.3", "mlp.1"])
    (double,) = hooks.activity(build("llama").double(), [batch], ["residual.3", "mlp.1"])
    (half,) = hooks.activity(build("llama").bfloat16(), [batch], ["residual.3", "mlp.1"])
    assert single["mlp.1"].dtype == half["mlp.1"].dtype == torch.float32 and double["mlp.1"].dtype == torch.float64
    torch.testing.assert_close(single["residual.3"].double(), double["residual.3"], **CLOSE)
    torch.testing.assert_close(half["residual.3"], single["residual.3"], rtol=0.1, atol=0.1)


def test_the_how_to_runs_as_it_stands(capsys):
    page = (paths.ROOT / "site" / "how_to" / "model.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "hooks" in block]
    model = build("gpt2", n_embd=64)
    tokens = torch.randint(60, (16, 30), generator=torch.Generator().manual_seed(0))
    exec(code, {"model": model, "batches": tokens.split(8)})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("['residual.0', 'attention.1'") and "'neurons.2': torch.Size([240, 256])" in printed[1]
    batches = [line for line in printed if line.startswith("{")]
    assert len(batches) == 2 and all("'residual.3': torch.Size([240, 64])" in line for line in batches)


# --- other networks ---


@torch.no_grad()
def test_torchvisions_vit_has_the_layers_of_a_transformer():
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = torchvision.models.VisionTransformer(16, 4, 2, 2, 16, 24, num_classes=5).eval()
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    (found,) = hooks.activity(model, [images], ["residual.*", "attention.*", "mlp.*", "neurons.2", "final", "heads"])
    for k in (1, 2):
        torch.testing.assert_close(
            found[f"residual.{k - 1}"] + found[f"attention.{k}"] + found[f"mlp.{k}"], found[f"residual.{k}"], **CLOSE
        )
    torch.testing.assert_close(model.heads(found["final"].view(3, 17, 16)[:, 0]), model(images), **CLOSE)
    torch.testing.assert_close(found["heads"], model(images), **CLOSE)
    assert found["neurons.2"].shape == (51, 24) and found.group["heads"].tolist() == [0, 1, 2]


@torch.no_grad()
def test_a_convolutional_network_is_read_by_module_and_view():
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = torchvision.models.resnet18(num_classes=4)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = model.eval().maxpool(model.relu(model.bn1(model.conv1(images))))
    after = model.layer1[0](expected)
    for maps in ("flattened", "channel", "pooled"):
        (found,) = hooks.activity(model, [images], ["maxpool", "layer1.?", "fc"], maps=maps)
        assert list(found) == ["maxpool", "layer1.0", "layer1.1", "fc"]
        torch.testing.assert_close(found["layer1.0"], spectra.views(after)[maps], **CLOSE)
        assert len(found.group["maxpool"]) == len(found["maxpool"]) == len(found.position["maxpool"])
    (found,) = hooks.activity(model, [images], "relu", maps="channel")
    assert found.group["relu"].tolist() == [0] * 256 + [1] * 256 + [2] * 256


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRU(5, 7, batch_first=True), nn.Linear(7, 2)

    def forward(self, x):
        return self.out(self.cell(x)[0])


def test_a_plain_module_gives_the_first_of_several_outputs():
    model, x = Recurrent(), torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    (found,) = hooks.activity(model, [x], "*")
    assert list(found) == ["cell", "out"] and found["cell"].shape == (24, 7)
    torch.testing.assert_close(found["cell"], model.cell(x)[0].detach().flatten(0, 1))
    assert found.position["out"].tolist() == [*range(6)] * 4


def test_what_passes_is_copied_before_it_is_changed_in_place():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    (found,) = hooks.activity(model, [x], ["0", "1"])
    assert bool((found["0"] < 0).any()) and torch.equal(found["0"].relu(), found["1"])


class Cell(nn.Module):
    """A recurrent network by hand: one cell that runs once for each step."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.Linear(5 + 7, 7), nn.Linear(7, 2)

    def forward(self, x):
        state, states = x.new_zeros(len(x), 7), []
        for step in x.unbind(1):
            state = self.cell(torch.cat([step, state], 1)).tanh()
            states.append(state)
        return self.out(torch.stack(states, 1))


def test_the_runs_of_one_module_are_positions():
    model, x = Cell(), torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    (found,) = hooks.activity(model, [(x, torch.zeros(4))], ["cell", "out"])  # a loader's (inputs, labels)
    assert found.position["cell"].tolist() == [*range(6)] * 4 and found["cell"].shape == (24, 7)
    with torch.no_grad():
        torch.testing.assert_close(model.out(found["cell"].tanh()), model(x).flatten(0, 1))


def test_patterns_go_by_parts():
    model = build("llama")
    assert list(hooks.find(model, "model.layers.*")) == [f"model.layers.{k}" for k in range(3)]
    assert list(hooks.find(model, "model.layers.?.mlp")) == [f"model.layers.{k}.mlp" for k in range(3)]
    assert list(hooks.find(model, "*")) == list(hooks.places(model))
    plain = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.ReLU())
    assert list(hooks.find(plain, "*")) == ["0.0", "1"] and list(hooks.find(plain, "0.*")) == ["0.0", "0.1"]


@torch.no_grad()
def test_channels_are_found_where_they_are():
    """ConvNeXt turns its maps over: depthwise convolutions have channels first, norms and linear maps last."""
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        settings = [
            torchvision.models.convnext.CNBlockConfig(8, 16, 1),
            torchvision.models.convnext.CNBlockConfig(16, None, 1),
        ]
        model = torchvision.models.ConvNeXt(settings, num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    block = model.features[1][0].block
    stem = model.features[0](images)
    inner = block[4](block[:4](stem))
    layers = {"features.0": stem, "features.1.0.block.0": block[0](stem), "features.1.0": model.features[1](stem)}
    (found,) = hooks.activity(model, [images], [*layers, "features.1.0.block.4", "features.2.0"], maps="channel")
    for layer, value in layers.items():
        torch.testing.assert_close(found[layer], value.movedim(1, -1).flatten(0, 2), **CLOSE)
    torch.testing.assert_close(found["features.1.0.block.4"], inner.flatten(0, 2), **CLOSE)  # a GELU of [n, h, w, c]
    assert found["features.2.0"].shape[1] == 8  # a norm of maps with their channels first


def test_a_convolution_along_time_has_its_channels_as_units():
    model, x = nn.Sequential(nn.Conv1d(3, 7, 2), nn.ReLU()), torch.randn(4, 3, 9)
    (found,) = hooks.activity(model, [x], "*")
    torch.testing.assert_close(found["1"], model(x).detach().movedim(1, 2).flatten(0, 1))
    assert found.position["0"].tolist() == [*range(8)] * 4


def test_the_model_s_own_mode_may_be_kept():
    model = nn.Sequential(nn.Linear(3, 30), nn.BatchNorm1d(30), nn.Dropout(0.5))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(model.state_dict())
    (found,) = hooks.activity(model, [x], ["1", "2"], mode=None)
    assert float(found["1"].mean(0).abs().max()) < 1e-6 and 0.3 < float((found["2"] == 0).float().mean()) < 0.7
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()) and model.training
    (loud,) = hooks.activity(build("bert").train(), batches_of("bert")[:1], "mlp.2", mode=None)  # dropout adds as well
    assert loud["mlp.2"].shape == (20, 32)
    (quiet,) = hooks.activity(model, [x], ["2"])
    assert not bool((quiet["2"] == 0).any())


def test_an_outline_is_in_order_of_time():
    model, x = nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.ReLU(), nn.Flatten(0))), torch.randn(4, 3)
    places = [("0", "input"), ("0", "output"), ("1", "input"), ("1.0", "input"), ("1.0", "output")]
    places += [("1.1", "input"), ("1.1", "output"), ("1", "output")]
    found = hooks.outline(model, x)
    assert list(found) == places and found[hooks.Place("0", "output")] == (4, 5) and list(found.values())[-1] == (20,)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_sums_are_those_of_all_rows_together():
    model, batches = build("gpt2"), batches_of("gpt2")
    sums = hooks.covariance_sums(hooks.activity(model, batches, ["residual.2", "neurons.1"]), first=1)
    rows = [found["residual.2"][found.position["residual.2"] >= 1] for found in hooks.activity(model, batches)]
    assert set(sums) == {"residual.2", "neurons.1"} and sums["residual.2"].count == 17 + 11
    torch.testing.assert_close(
        torch.tensor(sums["residual.2"].spectrum().eigenvalues),
        torch.linalg.eigvalsh(torch.cat(rows).double().T.cov(correction=0)).flip(0)[:28],
        rtol=1e-9,
        atol=1e-12,
    )
    with pytest.raises(ValueError, match="stream = 'no rows'"):
        hooks.covariance_sums(hooks.activity(model, batches), first=99)


# --- refusals ---


@pytest.mark.parametrize(
    ("config", "model", "more"),
    [
        (transformers.GraniteConfig, transformers.GraniteForCausalLM, {"residual_multiplier": 0.5}),
        (transformers.Gemma2Config, transformers.Gemma2ForCausalLM, {"head_dim": 8}),
    ],
    ids=["scaled by Granite", "normed by Gemma"],
)
def test_a_block_that_does_more_than_add_is_refused_where_its_parts_are_asked_for(config, model, more):
    model, tokens = model(config(**GROUPED | more)).eval(), torch.ones(2, 5, dtype=torch.long)
    for layers in ("mlp.2", ["attention.*"]):
        with pytest.raises(
            ValueError, match=f"{type(model).__name__}.*whose blocks add attention and MLP to the stream"
        ):
            next(hooks.activity(model, [tokens], layers))
    (found,) = hooks.activity(model, [tokens], "residual.*")
    theirs = model.model(tokens, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(found["residual.2"], theirs.detach().flatten(0, 1), **CLOSE)


T5 = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}


@pytest.mark.parametrize(
    ("model", "layers", "told"),
    [
        (lambda: transformers.T5Model(transformers.T5Config(**T5)), "residual.*", "'T5Model': allowed is a transformer whose"),
        (Recurrent, "mlp.1", "'Recurrent': allowed is a transformer whose blocks have attention and an MLP as in GPT-2"),
        (lambda: nn.ModuleDict({"a": build("gpt2"), "b": build("bert")}), "mlp.1", "this has a.transformer.h, b.encoder.layer"),
        (lambda: build("gpt2"), "layer.9", "'layer.9': allowed is a name or pattern of residual.0, attention.1, "),
        (lambda: build("gpt2"), ["mlp.1", "mlp.4"], "'mlp.4': allowed is a name or pattern of residual.0"),
        (lambda: build("gpt2"), [], r"layers = \[\]: allowed is at least one"),
        (Recurrent, "gru", "'gru': allowed is a name or pattern of cell, out"),
    ],
)  # fmt: skip
def test_layers_that_are_not_there_are_refused(model, layers, told):
    with pytest.raises(ValueError, match=told):
        hooks.activity(model(), [], layers)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.left, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Flatten(0)

    def forward(self, x):
        return self.last(self.used(x))


@pytest.mark.parametrize(
    ("model", "batch", "layers", "told"),
    [
        (Unused, torch.zeros(2, 3), "left", r"layers = \['left'\]: allowed is layers that a forward pass runs through"),
        (Unused, torch.zeros(2, 3), "last", r"shape of last = \(6,\): allowed is \[n, unit\], "),
        (Unused, [[1.0, 2.0]], "used", "batch = 'list': allowed is a tensor, or a mapping"),
        (lambda: build("gpt2"), {"input_ids": torch.ones(2, 4, dtype=torch.long), "groups": [1]}, "mlp.1", r"groups = \(1,\)"),
        (
            lambda: build("gpt2"),
            {"input_ids": torch.ones(2, 4, dtype=torch.long), "attention_mask": torch.ones(2, 1, 4, 4)},
            "mlp.1",
            r"attention_mask = \(2, 1, 4, 4\)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(model, batch, layers, told):
    stream = hooks.activity(model(), [batch], layers)
    with pytest.raises(ValueError, match=told):
        next(stream)


def test_an_unknown_view_and_time_along_the_first_axis_are_refused_at_once():
    with pytest.raises(ValueError, match="batch_first of 0 = False: allowed is True: sequences along the first axis"):
        hooks.activity(nn.Sequential(nn.GRU(5, 7)), [], "0")
    with pytest.raises(ValueError, match="maps = 'tiles': allowed is one of flattened, channel, pooled, location"):
        hooks.activity(Recurrent(), [], "cell", maps="tiles")


def test_a_model_is_left_as_it_was():
    model, tokens = build("qwen2"), torch.ones(1, 4, dtype=torch.long)
    before = copy.deepcopy(model.state_dict())
    stream = hooks.activity(model, [tokens, "nonsense"], "residual.*")
    next(stream)
    with pytest.raises(ValueError, match="batch = 'str'"):
        next(stream)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
