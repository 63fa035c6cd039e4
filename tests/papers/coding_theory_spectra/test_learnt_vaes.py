"""The stored ResNet-VAEs: every file is what networks.json says, and the command that trains others."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from polysemanticity.networks import resnet_vae, train
from polysemanticity.papers.coding_theory_spectra import __main__ as command
from polysemanticity.papers.coding_theory_spectra import learnt_vaes

TINY = learnt_vaes.Recipe(
    width=1 / 16, hidden=16, latent=8, image_size=16, scale=2, n_train=80, n_steps=6, n_first=2, batch_size=16
)


def test_every_stored_network_is_listed_with_its_digest_and_has_learnt():
    listed, place = learnt_vaes.listed(), learnt_vaes.folder()
    assert listed["recipe"] == dataclasses.asdict(learnt_vaes.RECIPE)
    expected = {learnt_vaes.name(rate, seed) for rate in learnt_vaes.RATES for seed in learnt_vaes.SEEDS}
    assert set(listed["networks"]) == expected == {path.stem for path in place.glob("*.safetensors")}
    for name, record in listed["networks"].items():
        digest = hashlib.sha256((place / f"{name}.safetensors").read_bytes()).hexdigest()
        assert digest == record["sha256"]
        least = 0.8 if record["dropout"] == 0 else record["R2 held out, each patch in its mean colour"]
        assert record["R2 held out"] > least
    assert sum(path.stat().st_size for path in place.iterdir()) < 60e6


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (48, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def trained(pictures, tmp_path, monkeypatch):
    """Trains the tiny networks in `tmp_path / name` by the command and returns the place."""
    monkeypatch.setattr(learnt_vaes, "RECIPE", TINY)
    monkeypatch.setattr(learnt_vaes, "JUDGED", 24)
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))

    def train_in(name, *rates):
        place = tmp_path / name
        folders = ("--learn", str(pictures), "--judge", str(pictures), "--place", str(place))
        command.main([*folders, "--seeds", "41", "--rates", *map(str, rates)])
        return place

    return train_in


def test_the_command_trains_what_is_missing_and_its_networks_open(trained, tmp_path):
    place = trained("weights", 0, 0.4)
    listed = learnt_vaes.listed(place)
    assert list(listed["networks"]) == ["p0-seed41", "p0.4-seed41"]
    net = learnt_vaes.stored(0.4, 41, place=place)
    assert not net.trained.training and not net.renormed.training
    assert {module.p for module in net.trained.modules() if isinstance(module, torch.nn.Dropout)} == {0.4}
    told = listed["photographs"]
    assert told["learnt from"] == told["judged on"] and told["judged on"]["number"] == 2
    different = {
        key for key, value in net.trained.state_dict().items() if not torch.equal(value, net.renormed.state_dict()[key])
    }
    assert different and all("running" in key for key in different)
    assert not list((tmp_path / "cache").rglob("p*.pt"))  # of a network that is stored nothing else is kept
    before = {path.name: path.stat().st_mtime_ns for path in place.glob("*.safetensors")}
    trained("weights", 0, 0.4)
    assert {path.name: path.stat().st_mtime_ns for path in place.glob("*.safetensors")} == before


def test_a_killed_training_goes_on_to_the_same_network(trained, tmp_path, monkeypatch):
    whole, fit, calls = trained("whole", 0.4), train.fit, []

    def killed(*arguments, **settings):
        calls.append(settings["n_steps"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*arguments, **settings)

    for file in (tmp_path / "cache").rglob("*.pt"):
        file.unlink()
    monkeypatch.setattr(train, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        trained("resumed", 0.4)
    assert list((tmp_path / "cache").rglob("first-seed41.pt"))
    resumed = trained("resumed", 0.4)
    states = [learnt_vaes.stored(0.4, 41, place=place).renormed.state_dict() for place in (whole, resumed)]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key])


@pytest.mark.parametrize("damage", ["changed", "missing", "unknown"])
def test_what_is_not_the_stored_network_is_refused(trained, damage):
    place = trained("weights", 0)
    path = place / "p0-seed41.safetensors"
    if damage == "changed":
        path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    if damage == "missing":
        path.unlink()
    seed, told = (43, "p0-seed43") if damage == "unknown" else (41, "git restore brings")
    with pytest.raises(ValueError, match=told):
        learnt_vaes.stored(0.0, seed, place=place)


def test_without_the_folder_it_is_said_where_it_is():
    with pytest.raises(ValueError, match="a checkout of the collection"):
        learnt_vaes.listed(learnt_vaes.folder() / "nowhere")


def test_reduced_patches_are_means_of_squares():
    pictures = {"ramp": np.arange(64, dtype=np.uint8).reshape(8, 8)}
    found = learnt_vaes.reduced(pictures, 1, 4, 2, np.random.default_rng(0))
    whole = pictures["ramp"].reshape(4, 2, 4, 2).mean((1, 3)) / 255
    np.testing.assert_allclose(found.pixels[0, 0], whole, rtol=1e-5)


def test_weights_are_rounded_and_statistics_are_not():
    model = train.build(resnet_vae.ResNetVAE, seed=0, width=1 / 16, image_size=16, stem_stride=2).eval()
    packed = learnt_vaes.packed(model, model)
    assert packed["trunk.conv1.weight"].dtype == torch.float16
    assert packed["trunk.bn1.running_var"].dtype == torch.float32 == packed["anew.trunk.bn1.running_var"].dtype
    assert json.dumps(sorted(packed)).count("anew.") == sum("running" in key for key, _ in model.named_buffers())


def test_photographs_are_told_by_their_contents_alone(pictures, tmp_path):
    for number, file in enumerate(sorted(pictures.iterdir(), reverse=True)):
        (tmp_path / f"other {number}.png").write_bytes(file.read_bytes())
    found = command.photographs_in([pictures])
    assert command.photographs_in([tmp_path]) == found
    Image.fromarray(np.zeros((48, 40, 3), np.uint8)).save(tmp_path / "other 0.png")
    other = command.photographs_in([tmp_path])
    assert other["number"] == found["number"] and other["sha256"] != found["sha256"]


def test_the_stored_networks_tell_of_their_photographs():
    told = learnt_vaes.listed()["photographs"]
    assert set(told) == {"learnt from", "judged on"} and told["learnt from"]["sha256"] != told["judged on"]["sha256"]


def test_what_cannot_be_compared_is_refused(trained):
    place = trained("weights", 0)
    with pytest.raises(ValueError, match="seeds that have networks of all rates"):
        command.main(["--compare", str(place), "--place", str(place)])
    with pytest.raises(SystemExit):
        command.main(["--place", str(place)])
