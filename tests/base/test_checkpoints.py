"""What a training stores, and that it goes on from there: every kind of state, and whatever there may be in the file."""

import numpy as np
import pytest
import torch

from polysemanticity.base import checkpoints, paths


class Killed(Exception):
    pass


def walk(n_steps, stop=None):
    """A loop that uses every kind of state; returns what it came to and the steps that it took."""
    tensor, array, history, taken = torch.zeros(3), np.zeros(2), [], []
    parameter = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        parameter.weight.fill_(1.0)
    adam = torch.optim.Adam(parameter.parameters(), lr=0.1)
    random, rng = torch.Generator().manual_seed(1), np.random.default_rng(1)
    for step in checkpoints.steps(n_steps, (tensor, array), history, parameter, adam, random, rng):
        if step == stop:
            raise Killed
        taken.append(step)
        drawn = torch.rand(3, generator=random)
        tensor += drawn
        array += rng.normal(size=2)
        adam.zero_grad()
        parameter(drawn[:2]).square().sum().backward()
        adam.step()
        history += [float(tensor.sum()), array.copy(), tensor.clone()]
    return [tensor, array, parameter.weight.detach(), *history], taken


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    return paths.cache() / "trainings" / "one"


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, other, strict=True)
    )


def test_a_training_goes_on_to_the_same_bits(folder):
    expected, _ = walk(6)
    with pytest.raises(Killed), checkpoints.kept(folder):
        walk(6, stop=4)
    with checkpoints.kept(folder):
        found, taken = walk(6)
        second, all_of_them = walk(6)  # another training has another file
    assert taken == [4, 5] and same(found, expected)
    assert all_of_them == list(range(6)) and same(second, expected)
    with checkpoints.kept(folder):
        found, taken = walk(6)
    assert taken == [] and same(found, expected)
    assert sorted(path.name for path in folder.iterdir()) == ["0.pt", "1.pt"]


def test_without_end(folder):
    done = torch.zeros(1)

    def go(limit):
        for step in checkpoints.steps(None, done):
            if step == limit:
                return step
            done.add_(1)

    with checkpoints.kept(folder):
        assert go(3) == 3
    done.zero_()
    with checkpoints.kept(folder):
        assert go(5) == 5 and done.item() == 5


def test_short_trainings_and_those_outside_store_nothing(folder, monkeypatch):
    assert walk(3)[1] == [0, 1, 2]
    monkeypatch.setattr(checkpoints, "EVERY", 30.0)
    with checkpoints.kept(folder):
        walk(3)
    assert checkpoints.place() is None and not folder.exists()


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_damaged_file_is_set_aside(folder, content):
    expected, _ = walk(3)
    with checkpoints.kept(folder):
        walk(3)
    raw = (folder / "0.pt").read_bytes()
    (folder / "0.pt").write_bytes(raw[:-1] if content is None else content)
    with checkpoints.kept(folder), pytest.warns(UserWarning, match="0.pt.damaged': training starts afresh"):
        found, taken = walk(3)
    assert taken == [0, 1, 2] and same(found, expected)
