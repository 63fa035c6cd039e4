"""The report of layers: planted spectra and faults, modules that nobody tuned to, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from safetensors.numpy import save_file
from torch import nn

from polysemanticity import audit, projections, spectra
from polysemanticity.audit import activity
from polysemanticity.networks import resnet_vae


def planted(n, m=150, exponent=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m)) * np.arange(1, m + 1) ** (-exponent / 2)


def one(source, *arguments, **options):
    return audit.layers(source, *arguments, **({"simulations": 0} | options)).table.iloc[0]


@pytest.fixture
def quick(monkeypatch):
    """Leave out what takes time and has tests of its own here."""
    for name in ("_broken", "_shuffled"):
        monkeypatch.setattr(activity, name, lambda *_: {})


def test_the_numbers_are_those_of_the_spectra_package():
    rows = planted(600) + 5
    report = audit.layers({"x": rows}, simulations=10)
    line, expected = report.table.iloc[0], spectra.covariance_spectrum(rows)
    np.testing.assert_allclose(report.spectra["x"].eigenvalues, expected.eigenvalues, rtol=1e-9)
    assert line["participation"] == pytest.approx(spectra.participation_ratio(expected))
    assert line["n_effective"] == pytest.approx(600, rel=0.02)
    law = spectra.debias_power_law(expected, first=int(line["first"]), last=int(line["last"]))
    assert line["exponent"] == pytest.approx(law.exponent, abs=0.005)
    assert line["bent"] == "single" and line["misfit"] < 14 and line["moments_exponent"] == pytest.approx(1, abs=0.15)
    assert line["shuffled_exponent"] == pytest.approx(1, abs=0.15)  # the units' own variances are the spectrum here
    turned = rows @ np.linalg.qr(np.random.default_rng(1).standard_normal((150, 150)))[0]
    mixed = one({"x": turned})
    assert mixed["exponent"] == pytest.approx(line["exponent"], abs=1e-6)
    assert mixed["shuffled_exponent"] < 0.3 and mixed["shuffled_participation"] > 3 * mixed["participation"]


def test_whatever_researchers_have_says_the_same(tmp_path, quick):
    rows = planted(600).astype(np.float32)
    expected = one({"x": rows})
    save_file({"x": rows[:200]}, tmp_path / "0.safetensors")
    np.savez(tmp_path / "1.npz", x=rows[200:])
    for source in (
        {"x": torch.tensor(rows, requires_grad=True)},
        {"x": pd.DataFrame(rows)},
        {"x": (part for part in np.split(rows, 6))},
        ({"x": part} for part in np.split(rows, 3)),
        tmp_path,
    ):
        found = one(source)
        assert found["n"] == 600 and found["participation"] == pytest.approx(expected["participation"], rel=1e-6)
        assert found["exponent"] == pytest.approx(expected["exponent"], abs=0.02)
    half = one({"x": torch.tensor(rows).bfloat16()})
    assert half["dtype"] == "bfloat16" and half["exponent"] == pytest.approx(expected["exponent"], abs=0.03)


def test_layers_of_arrays_are_chosen_by_pattern():
    arrays = {f"blocks.{k}.{part}": np.ones((50, 3)) for k in range(2) for part in ("hook_mlp_out", "hook_scale")}
    assert audit.layers(arrays, layers="blocks.*.hook_mlp_out").table["layer"].tolist() == list(arrays)[::2]
    with pytest.raises(ValueError, match=r"layers = 'mlp': allowed is names or patterns of blocks.0.hook_mlp_out"):
        audit.layers(arrays, layers="mlp")


def test_groups_are_found_or_told(quick):
    """Twelve noisy copies of each of 150 rows are worth little more than 150 rows, however they are laid out."""
    rng = np.random.default_rng(2)
    rows = planted(150)[:, None] + 0.1 * planted(1800, seed=3).reshape(150, 12, 150)
    arrays = one({"x": rows})
    assert arrays["n"] == 1800 and arrays["n_effective"] < 220
    labels, order = np.repeat(np.arange(150), 12), rng.permutation(1800)
    flat = rows.reshape(1800, 150)
    told = one({"x": flat[order]}, groups=labels[order])
    assert told["n_effective"] == pytest.approx(arrays["n_effective"], rel=0.1)
    unknown = one({"x": flat[order]})  # in random order nothing shows it: the interval is far too narrow
    assert unknown["n_effective"] > 1500
    assert told["high"] - told["low"] > 1.5 * (unknown["high"] - unknown["low"])
    by_rows = one({"x": flat})  # neighbours show it
    assert by_rows["n_effective"] < 300


def test_rounding_dead_units_and_outliers_are_flagged(quick):
    rows = planted(600)
    rounding = one({"x": (1 + 1e-8 * rows).astype(np.float32)})
    assert "dead" in rounding["flags"] and np.isnan(rounding["exponent"]) and np.isnan(rounding["participation"])
    assert np.isfinite(one({"x": 1 + 1e-8 * rows})["exponent"])  # in double precision it is alive
    faulty = rows / np.arange(1, 151) ** -0.5
    faulty[:, 3] *= 100
    faulty[:, 7:10] = 2.0
    line = one({"x": faulty})
    assert line["outliers"] == 1 and line["dead_units"] == 3
    assert "1 outlier units" in line["flags"] and "3 dead units" in line["flags"]
    low_rank = one({"x": (rows[:, :20] @ planted(20, seed=5)).astype(np.float32)})
    assert low_rank["flags"].startswith("only 20 dimensions") and np.isnan(low_rank["exponent"])


def test_a_broken_law_is_told_from_a_single_one():
    ranks = np.arange(1, 401)
    law = np.where(ranks < 30, ranks**-0.5, 30**1.5 * ranks**-2.0)
    rows = np.random.default_rng(6).standard_normal((2000, 400)) * np.sqrt(law)
    line = one({"x": rows}, simulations=10)
    assert line["bent"] == "broken" and line["tail"] > line["head"] + 0.8 and 15 < line["break"] < 60
    assert line["misfit"] > 14


@pytest.mark.parametrize(("exponent", "answer"), [(1.3, "rough"), (3.0, "smooth")])
def test_roughness_stands_beside_the_threshold(exponent, answer, quick):
    path = np.random.default_rng(7).standard_normal((3, 50, 150)).cumsum(1)
    line = one({"x": planted(600, exponent=exponent)}, paths={"x": path}, dimension=2)
    assert line["roughness"] == pytest.approx(np.mean(projections.roughness(path))) and line["threshold"] == 2
    assert line["smooth"] == answer
    closed = one({"x": planted(600)}, paths={"x": path[0]}, closed=True)
    assert closed["roughness"] == pytest.approx(projections.roughness(path[0], closed=True))
    assert np.isnan(one({"x": planted(600)}, paths={"x": np.ones((5, 150))})["roughness"])


def test_the_smoothest_direction_is_found_and_judged_on_other_rows(quick):
    """One slow unit among fast ones: its roughness is 1 - rho; without it, in random order, there is none."""
    rng = np.random.default_rng(9)
    slow = np.zeros(4001)
    for t in range(1, 4001):
        slow[t] = 0.95 * slow[t - 1] + np.sqrt(1 - 0.95**2) * rng.standard_normal()
    rows = 0.3 * rng.standard_normal((4000, 30))
    rows[:, 4] = slow[1:]
    report = audit.layers({"x": rows}, simulations=0)
    line, direction = report.table.iloc[0], report.directions["x"]
    assert abs(direction[4]) > 0.98 and line["smoothest"] == pytest.approx(0.05, abs=0.02)
    assert line["neighbours"] == pytest.approx(((29 * 0.09) + 0.05) / (29 * 0.09 + 1), abs=0.03)
    mixed = one({"x": rng.permutation(rows)})
    assert 0.9 < mixed["smoothest"] < 1.1 and mixed["neighbours"] == pytest.approx(1, abs=0.05)
    assert json.loads(report.to_json())["smoothest"]["x"][4] == pytest.approx(direction[4])
    assert np.isnan(one({"x": rows.reshape(200, 20, 30)[:, :1]})["smoothest"])  # groups of one row have no neighbours


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.drop = nn.Conv2d(3, 130, 3), nn.BatchNorm2d(130), nn.Dropout(0.1)
        self.head = nn.Linear(130, 125)

    def forward(self, pixels):
        return self.head(self.drop(torch.relu(self.norm(self.stem(pixels))).mean((2, 3))))


def images(n_batches, size=32):
    source = torch.Generator().manual_seed(8)
    return [torch.randn(size, 3, 6, 6, generator=source) for _ in range(n_batches)]


def test_a_module_s_layers_and_what_spoils_them(quick):
    torch.manual_seed(0)
    model = Classifier()
    table = audit.layers(model, images(8), simulations=0).table.set_index("layer")
    assert list(table.index) == ["stem", "norm", "head"]
    assert table.loc["stem", "n"] == 8 * 32 * 16 and table.loc["stem", "units"] == 130 and table.loc["head", "n"] == 256
    assert "batch norm" not in table.loc["stem", "flags"] and "batch norm by batch (norm)" in table.loc["norm", "flags"]
    assert "dropout" not in table.loc["norm", "flags"] and "dropout on (drop)" in table.loc["head", "flags"]
    model.eval()
    assert "never updated (norm)" in audit.layers(model, images(3), "head", simulations=0).table["flags"].iloc[0]
    assert not model.training
    rows = torch.cat([model.stem(batch).detach().movedim(1, -1).reshape(-1, 130) for batch in images(3)])
    expected = spectra.covariance_spectrum(rows)
    found = audit.layers(model, images(3), "stem", simulations=0).spectra["stem"]
    np.testing.assert_allclose(found.eigenvalues[:27], expected.eigenvalues[:27], rtol=1e-6)  # of 3 x 3 x 3 pixels


def test_the_untrained_network_stands_beside(quick):
    torch.manual_seed(0)
    report = audit.layers(
        Classifier().eval(), images(6), ["stem", "head"], untrained=lambda: Classifier().eval(), simulations=0
    )
    assert report.table["what"].tolist() == ["measured", "measured", "control", "control"]
    assert "head (untrained)" in str(report) and report.table["participation"].notna().all()
    assert report.table["participation"][1] != report.table["participation"][3]
    with pytest.raises(ValueError, match="can be read twice"):
        audit.layers(Classifier(), iter(images(2)), untrained=Classifier)


def test_masked_positions_are_no_rows(quick):
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaModel(LlamaConfig(vocab_size=50, num_key_value_heads=2, **sizes)).eval()
    tokens = torch.randint(50, (6, 20))
    mask = torch.ones_like(tokens)
    mask[:, 15:] = 0
    batch = {"input_ids": tokens, "attention_mask": mask}
    table = audit.layers(model, [batch] * 2, "layers.*", simulations=0).table
    assert table["layer"].tolist() == ["layers.0", "layers.1"] and table["n"].tolist() == [180, 180]
    hidden = model(**batch, output_hidden_states=True).hidden_states[1][:, :15].reshape(-1, 64)
    expected = spectra.participation_ratio(spectra.covariance_spectrum(torch.cat([hidden, hidden]).detach()))
    assert table["participation"][0] == pytest.approx(expected, rel=1e-4)


def test_a_recurrent_network_s_first_output_is_its_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 30), nn.GRU(30, 40, batch_first=True))
    line = audit.layers(model, [torch.randn(8, 12, 5)], "1", simulations=0).table.iloc[0]
    assert (line["n"], line["units"]) == (96, 40)


def test_a_network_that_writes_in_place_and_hardly_answers():
    """What once decided verdicts: batch norm by batch, and activity that varied by rounding only."""
    torch.manual_seed(0)
    model = resnet_vae.ResNetVAE(width=1 / 16, image_size=32, stem_stride=1, dropout=0.8, hidden=48, latent=8)
    pixels = 0.5 + 1e-8 * torch.rand(64, 3, 32, 32)
    table = audit.layers(model.train(), [pixels], ["trunk.conv1", "fc1", "mu"], simulations=0).table.set_index("layer")
    assert "batch norm" not in table.loc["trunk.conv1", "flags"]
    assert "batch norm by batch (trunk.bn1)" in table.loc["fc1", "flags"] and "dropout on" in table.loc["mu", "flags"]
    quiet = audit.layers(model.eval(), [pixels], ["fc2", "mu"], simulations=0).table
    assert quiet["flags"].str.contains("dead").all()


class Positions(nn.Module):
    """A leaf that returns no row of each input, as modules of positions do."""

    def __init__(self):
        super().__init__()
        self.place, self.out = nn.Embedding(7, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.out(x + self.place(torch.arange(7))[None])


def test_all_layers_are_those_with_a_row_of_each_input(quick):
    table = audit.layers(Positions(), [torch.randn(10, 7, 5)], simulations=0).table
    assert table["layer"].tolist() == ["out"] and table["n"].tolist() == [70]
    with pytest.raises(ValueError, match=r"shape of place = \(7, 5\)"):
        audit.layers(Positions(), [torch.randn(10, 7, 5)], "place", simulations=0)


def test_what_follows_in_place_is_not_seen():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 60), nn.ReLU(inplace=True))
    inputs = torch.randn(200, 4)
    found = audit.layers(model, [inputs], simulations=0).spectra
    expected = [spectra.covariance_spectrum(rows.detach()) for rows in (model[0](inputs), model(inputs))]
    for name, spectrum in zip(("0", "1"), expected, strict=True):
        np.testing.assert_allclose(found[name].eigenvalues[:4], spectrum.eigenvalues[:4], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((np.ones((5, 3)),), {}, "model = 'ndarray'"),
        (({},), {}, "empty dictionary"),
        (({"x": np.ones(5)},), {}, "shape of x"),
        (({"x": np.full((50, 3), np.nan)},), {}, "x = 'NaN or infinite values'"),
        (({"x": "text"},), {}, "x = 'str'"),
        (({"x": [np.ones((5, 3)), np.ones((5, 4))]},), {}, "units of a batch = 4"),
        (({"x": np.ones((5, 3))}, []), {}, "batches"),
        (({"x": np.ones((50, 3))},), {"groups": np.ones(7)}, "groups"),
        ((iter([{"x": np.ones((5, 3))}]),), {"groups": np.ones(5)}, "groups"),
        (({"x": np.ones((50, 3000))},), {"memory": 0.1}, "memory = 0.1: allowed is at least"),
        (({"x": np.ones((5, 3))},), {"simulations": 3}, "simulations"),
        (({"x": np.ones((5, 3))},), {"dimension": 0}, "dimension"),
        (({"x": np.ones((5, 3))},), {"untrained": Classifier}, "untrained"),
        (({"x": np.ones((50, 3))},), {"paths": {"x": np.ones((2, 3))}}, "paths"),
        ((Classifier(),), {}, "batches = None"),
        ((Classifier(), []), {}, "no batch"),
        ((Classifier(), ["text"]), {}, "batch = 'str'"),
        ((Classifier(), images(1), "layer.*"), {}, "layers"),
        ((Classifier(), images(1)), {"untrained": 3}, "untrained"),
        ((Classifier(), images(1)), {"groups": np.array([0, 1, 0])}, "side by side"),
        ((Classifier(), images(1)), {"groups": np.arange(3)}, "one for each input"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_a_sentence(arguments, options, named):
    with pytest.raises(ValueError, match=named) as refused:
        audit.layers(*arguments, **options)
    assert "allowed is" in str(refused.value) and len(str(refused.value)) < 320


@pytest.mark.parametrize("shape", [(2, 3), (39, 5), (60, 1), (60, 2), (50, 119), (130, 121), (300, 200)])
def test_small_layers_are_reported_as_far_as_they_go(shape):
    line = one({"x": np.random.default_rng(9).standard_normal(shape)})
    assert (line["n"], line["units"]) == shape
    assert np.isfinite(line["exponent"]) != any(word in line["flags"] for word in ("few", "single unit"))


def test_json_table_print_and_drawing_tell_the_same():
    report = audit.layers({"first": planted(600), "second": planted(600, 40)}, dimension=3, simulations=0)
    content = json.loads(report.to_json())
    assert [line["layer"] for line in content["layers"]] == ["first", "second"]
    assert content["layers"][1]["exponent"] is None and len(content["eigenvalues"]["first"]) == 150
    first, second = str(report).splitlines()[1:]
    assert f"{report.table['exponent'][0]:.2f}" in first and "too few units for an exponent" in second
    figure = report.plot()
    left, right = figure.axes
    assert len(left.lines) == 2 and left.get_xscale() == "log"
    assert [text.get_text() for text in right.get_xticklabels()] == ["first", "second"]
    plt.close(figure)
