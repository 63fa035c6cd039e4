"""Which features share a unit, and why: toys in which the answer was planted, and a network that is changed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from polysemanticity import audit
from polysemanticity.base import streams
from polysemanticity.incidental import sharing as priced
from polysemanticity.papers.incidental_polysemanticity import necessity

KINDS = np.repeat(["accidental", "paid for", "useful"], 2)


def planted(seed, n_networks, n_inputs, n_free=10):
    """Activity and inputs of tied networks trained on samples, two pairs of each kind in each; a tenth is l1."""
    source, rng = streams.generator(seed, "planted", "cpu"), streams.rng(seed, "planted")
    weights, events, often = necessity._planted(rng, n_networks, 2, 8, n_free)
    start = weights + necessity.NOISE * torch.randn(weights.shape, generator=source)
    trained = priced.settle(
        start, events, often, 0.1, n_steps=800, step=0.01, draw=lambda: necessity._sample(often, 64, source)
    )
    for network, rates in zip(trained, often, strict=True):
        inputs = events[torch.multinomial(rates, n_inputs, replacement=True, generator=source)]
        yield (inputs @ network).numpy(), inputs.numpy()


def told(seed, n_networks, n_inputs, **options):
    """The planted pairs' rows of the reports, with what was planted."""
    rows = []
    for rows_of_units, inputs in planted(seed, n_networks, n_inputs):
        table = audit.sharing({"h": rows_of_units}, "h", inputs, l1=0.1, draws=40, **options).table
        own = table[(table["feature"] == 2 * table["unit"]) & (table["other"] == table["feature"] + 1)]
        rows.append(own.assign(planted=KINDS[own["unit"]]))
    return pd.concat(rows, ignore_index=True)


def test_labels_are_right_where_they_are_clear():
    """Of 24 planted pairs the clear ones are right nine times in ten. With few inputs less is clear, not more wrong."""
    many = told(11, 4, 3000)
    clear = many[many["clear"]]
    assert len(many) >= 22 and len(clear) > 0.7 * len(many)
    assert (clear["label"] == clear["planted"]).mean() >= 0.9
    few = told(12, 2, 120)
    assert few["clear"].mean() < many["clear"].mean() - 0.15
    assert (few["label"] == few["planted"])[few["clear"]].mean() >= 0.8


@pytest.fixture(scope="module")
def report():
    ((rows, inputs),) = planted(13, 1, 2000)
    return audit.sharing({"h": rows}, "h", pd.DataFrame(inputs).add_prefix("f"), l1=0.1, draws=40)


def test_what_is_counted_is_what_was_planted(report):
    assert (report.n_features, report.n_units, report.count.shared) == (20, 24, 6)
    assert report.free == 10 and report.explained == pytest.approx(1, abs=1e-6)
    assert 2 < report.count.chance < 8 and 0.5 < report.count.sd < 2
    table = report.table
    assert set(table["sign"][table["unit"] < 4]) == {"opposite"} and set(table["sign"][table["unit"] > 3]) == {"same"}
    np.testing.assert_allclose(table[list(KINDS[::2])].sum(axis=1), 1)
    assert (table["low"] <= table["price"]).all() and (table["price"] <= table["high"]).all()
    costly, free = table[table["label"] == "paid for"], table[table["label"] == "accidental"]
    assert costly["price"].min() > report.least > free["price"].abs().max() and report.least == pytest.approx(0.005)
    assert costly["law"].max() < free["law"].min() <= 1 and table["law"][table["sign"] == "same"].isna().all()


def test_json_table_print_drawing_and_page_tell_the_same(report):
    content = json.loads(report.to_json())
    assert content["shared_units"]["shared"] == 6 and len(content["pairs"]) == len(report.table)
    assert sum(content["clear"].values()) + content["unclear"] == content["n_pairs"]
    assert "f4, f5" in str(report) and "shared units" in str(report)
    figure = report.plot()
    assert figure.axes[0].get_ylabel().startswith("price")
    plt.close(figure)
    page = report.to_html()
    assert page.count('<th scope="col"') >= 11 and "f4" in page and "paid for" in page


def test_without_a_free_unit_sharing_is_necessary():
    ((rows, inputs),) = planted(14, 1, 500, n_free=0)
    table = audit.sharing({"h": rows}, "h", inputs, l1=0.1, draws=20).table
    assert (table["label"] == "necessary").all() and table["clear"].all()


class Tied(nn.Module):
    """Two features of opposite signs on unit 0, one by itself on unit 1, unit 2 free; what is read passes a ReLU."""

    def __init__(self):
        super().__init__()
        self.write, self.read = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        weights = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0]])
        self.write.weight.data, self.read.weight.data = weights.T.clone(), weights.clone()

    def forward(self, x):
        return self.read(self.write(x)).relu()


def squared(model, batch):
    return (model(batch) - batch).square().sum(1).mean()


@pytest.mark.parametrize(("rate", "label"), [(0.0, "accidental"), (0.2, "paid for")])
def test_a_network_that_is_changed_says_what_sharing_costs(rate, label):
    """Where both are on, unit 0 is silent and both are lost: a loss of 2, all of which reading them apart saves."""
    model, source = Tied(), torch.Generator().manual_seed(0)
    events = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    often = torch.tensor([1.0, 1, 1, 3 * rate / (1 - rate)])
    batches = [events[torch.multinomial(often, 300, True, generator=source)] for _ in range(8)]
    features = torch.cat(batches)
    report = audit.sharing(model, "write", features, batches, loss=squared, reader="read", draws=40)
    (line,) = report.table.to_dict("records")
    assert (line["feature"], line["other"], line["unit"], line["label"]) == (0, 1, 0, label) and report.free == 1
    assert line["gain"] == pytest.approx(2 * rate, abs=0.05 + 4 * line["gain_stderr"])
    assert torch.equal(model.read.weight, Tied().read.weight) and not model.read._forward_hooks


def test_features_may_be_a_function_of_the_rows():
    ((rows, inputs),) = planted(15, 1, 400)
    weights = np.linalg.lstsq(inputs, rows, rcond=None)[0]
    decode = torch.from_numpy(np.linalg.pinv(weights)).float()
    report = audit.sharing({"h": rows}, "h", lambda x: (x @ decode > 0.3).float(), l1=0.1, draws=20)
    assert report.n_features == 20 and len(report.table) > 0


ROWS = np.random.default_rng(0).standard_normal((30, 4))


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        (({"h": ROWS}, "h", np.ones((29, 2))), {}, "features = '29 rows': allowed is 30"),
        (({"h": ROWS}, "h", np.zeros((30, 2))), {}, "features = 'none above 0.0'"),
        (({"h": ROWS}, "h", np.full((30, 2), np.nan)), {}, "features = 'NaN"),
        (({"h": ROWS}, "h", "names"), {}, "features = 'str"),
        (({"h": ROWS}, "g", np.ones((30, 2))), {}, "layer = 'g': allowed is one of h"),
        (({"h": ROWS}, 3, np.ones((30, 2))), {}, "layer = 3"),
        (({"h": ROWS}, "h", np.ones((30, 2)), []), {}, "batches"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"l1": -1}, "l1"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"least": 0}, "least"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"draws": 3}, "draws"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"most": 0}, "most"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"loss": squared}, "loss, reader"),
        (({"h": ROWS}, "h", np.ones((30, 2))), {"loss": squared, "reader": "read"}, "batches = 'NoneType'"),
        ((Tied(), "write", np.ones((30, 2))), {}, "batches = None"),
        ((Tied(), "*", np.ones((30, 2)), [torch.ones(30, 3)]), {}, "no pattern of several"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_a_sentence(arguments, options, named):
    with pytest.raises(ValueError, match=named):
        audit.sharing(*arguments, **options)
