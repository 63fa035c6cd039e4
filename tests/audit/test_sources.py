"""What researchers have becomes tensors, or is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from polysemanticity.audit import sources


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.arange(6, dtype=np.longdouble).reshape(2, 3),
        np.arange(6.0).reshape(2, 3)[:, ::-1][:, ::-1],
        pd.DataFrame(np.arange(6).reshape(2, 3)),
        torch.arange(6).reshape(2, 3),
        torch.arange(6.0, requires_grad=True).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).to_sparse(),
        torch.arange(6).reshape(2, 3).bfloat16(),
        [[0, 1, 2], [3, 4, 5]],
    ],
)
def test_arrays_of_any_kind(value):
    found = sources.tensor(value, "x")
    assert found.is_floating_point() and not found.requires_grad
    np.testing.assert_array_equal(sources.numpy(value), np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("value", ["text", None, {}, [[1], [2, 3]], np.array(["a"]), np.array([1j]), object()])
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match="x = .*allowed is"):
        sources.tensor(value, "x")


def test_groups_are_the_first_of_three_axes_or_more():
    rows, groups = sources.rows_of(np.ones((3, 2, 5, 4)), "x")
    assert rows.shape == (30, 4) and groups.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert sources.rows_of(torch.ones(3, 4), "x")[1] is None
    with pytest.raises(ValueError, match="shape of x"):
        sources.rows_of(np.ones(3), "x")


def test_shards_follow_each_other(tmp_path):
    first, second = np.arange(6.0).reshape(2, 3), np.arange(6.0, 12).reshape(2, 3)
    save_file({"layer": first}, tmp_path / "0.safetensors")
    np.savez(tmp_path / "1.npz", layer=second, other=first)
    parts = list(sources.batches(tmp_path))
    assert [list(part) for part in parts] == [["layer"], ["layer"], ["other"]]
    np.testing.assert_array_equal(np.concatenate([parts[0]["layer"], parts[1]["layer"]]).ravel(), np.arange(12))
    assert len(list(sources.batches([tmp_path / "0.safetensors", str(tmp_path / "1.npz")]))) == 3


def test_dictionaries_of_arrays_of_batches_and_streams_of_dictionaries():
    array = np.ones((4, 3))
    assert [part["a"].shape for part in sources.batches({"a": array})] == [(4, 3)]
    assert len(list(sources.batches({"a": (array for _ in range(5))}))) == 5
    assert len(list(sources.batches({"a": [array, array]}))) == 2
    assert len(list(sources.batches({"a": array} for _ in range(3)))) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p / "missing.npz",
        lambda p: p,
        lambda p: _text(p, "a.npz"),
        lambda p: _text(p, "a.safetensors"),
        lambda p: _text(p, "a.txt"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, make):
    with pytest.raises(ValueError, match="path = "):
        list(sources.batches(make(tmp_path)))


def _text(folder, name):
    (folder / name).write_text("this is no array")
    return folder / name


def test_pickled_objects_are_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", layer=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="npz file of numbers"):
        list(sources.batches(tmp_path / "a.npz"))


class Cache:
    """What TransformerLens keeps: names and arrays, but no dictionary."""

    def __init__(self, arrays):
        self.cache_dict = arrays

    def keys(self):
        return self.cache_dict.keys()

    def __getitem__(self, name):
        return self.cache_dict[name]


class Saved:
    """What nnsight keeps of a tensor."""

    def __init__(self, value):
        self.value = value


def test_what_other_libraries_keep_is_a_source():
    """Format only: a cache with names, saved proxies, an iterable of contexts [context, position, unit] per layer."""
    array = torch.arange(24.0).reshape(2, 3, 4)
    (part,) = sources.batches(Cache({"blocks.0.hook_resid_post": array}))
    rows, groups = sources.rows_of(part["blocks.0.hook_resid_post"], "x")
    assert rows.shape == (6, 4) and groups.tolist() == [0, 0, 0, 1, 1, 1]
    (part,) = sources.batches({"model.layers.0": Saved(array)})
    assert torch.equal(sources.rows_of(part["model.layers.0"], "x")[0], rows)
    assert len(list(sources.batches({"blocks.0": (array for _ in range(3))}))) == 3
    assert len(list(sources.batches([Cache({"a": array}), Cache({"a": array})]))) == 2


@pytest.mark.parametrize("value", [np.ones((3, 3)), 5, {}, [np.ones((3, 3))], {"a": 5}])
def test_no_source_of_layers(value):
    with pytest.raises(ValueError, match="allowed is"):
        list(sources.batches(value))
