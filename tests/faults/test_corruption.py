"""Store files, checkpoints and data that are damaged or forged: noticed, set aside, computed again, never run."""

import io
import json
import os
import pickle
import shutil
import warnings
import zipfile

import injection
import numpy as np
import pytest
import torch
import victims
from torch import nn
from torchvision.datasets import CIFAR10

from polysemanticity.base import paths
from polysemanticity.engine import store, upkeep
from polysemanticity.networks import data, language_models, train


def truncated(content, rng, others):
    return content[: rng.randrange(len(content))]


def flipped(content, rng, others):
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 20])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed) if bytes(changed) != content else flipped(content, rng, others)


def empty(content, rng, others):
    return b""


def foreign(content, rng, others):
    forms = [rng.randbytes(rng.randrange(1, 4000)), b"PK\x03\x04" + content[100:], b"%PDF-1.4", content[97:]]
    return rng.choice(forms)


def swapped(content, rng, others):
    """A whole result of another setting, whose checksum is right."""
    return rng.choice([other for other in others if other != content])


def longer(content, rng, others):
    return content + rng.randbytes(rng.randrange(1, 200))


def zeroed(content, rng, others):
    first = rng.randrange(len(content) - 8)
    width = rng.randrange(8, 4096)
    changed = content[:first] + bytes(len(content[first : first + width])) + content[first + width :]
    return changed if changed != content else flipped(content, rng, others)


def crossed(content, rng, others):
    """The head of one result and the tail of another, as of two writes that went to one place."""
    other = rng.choice([other for other in others if other != content])
    cut = rng.randrange(1, min(len(content), len(other)))
    changed = content[:cut] + other[cut:]
    return changed if changed != content else crossed(content, rng, others)


DAMAGE = (truncated, flipped, empty, foreign, swapped, longer, zeroed, crossed)


def test_damaged_results_are_noticed_set_aside_and_computed_again(tmp_path, monkeypatch, rng, count, size):
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    n = 12
    monkeypatch.setattr("polysemanticity.engine.placement.processes", lambda device, run, n_tasks: 1)
    victims.the_sweep(n)
    files = sorted(store.stored())
    good = {path: path.read_bytes() for path in files}
    expected = {path: injection._content(path) for path in files}
    rounds, at_once = size(10, 180), 6
    for turn in range(rounds):
        hurt = rng.sample(files, at_once)
        kinds = {path: DAMAGE[(turn * at_once + i) % len(DAMAGE)] for i, path in enumerate(hurt)}
        for path, damage in kinds.items():
            path.write_bytes(damage(good[path], rng, list(good.values())))
        values = victims.the_sweep(n)
        assert len(values) == n
        aside = {path.name.partition(".")[0] for path in tmp_path.glob("cache/results/*/*.damaged-*")}
        for path, damage in kinds.items():
            now = injection._content(path)
            count(f"a stored result: {damage.__name__}").add(
                f"round {turn}",
                lost=int(now is None),
                wrong=int(now != expected[path]),
                torn=int(path.stem not in aside),
            )
        for path in tmp_path.glob("cache/results/*/*.damaged-*"):
            path.unlink()
        for path, content in good.items():
            path.write_bytes(content)


def test_a_folder_in_a_results_place(tmp_path, monkeypatch, count):
    monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("polysemanticity.engine.placement.processes", lambda device, run, n_tasks: 1)
    victims.the_sweep(1)
    (path,) = store.stored()
    expected = injection._content(path)
    path.unlink()
    path.mkdir()
    victims.the_sweep(1)
    count("a stored result: a folder").add(wrong=int(injection._content(path) != expected))


def test_forged_results_with_right_checksums_do_no_harm(tmp_path, rng, count, size):
    """Whoever can write files can write checksums: the decoders meet whatever there may be."""
    path = store.place("w", "0" * 64)
    identity = {"worker": "w", "token": ""}
    whole = store.pack({"a": np.arange(50.0), "n": 3}, identity).partition(b"\n")[2]
    headers = [b"[" * 3000, b"[]", b'{"identity": 3, "plain": {}}', b'{"identity": {}, "plain": 1}', b"\xff", b"{}"]
    for turn in range(size(40, 400)):
        if turn < len(headers):
            buffer = io.BytesIO()
            np.savez(buffer, __header__=np.frombuffer(headers[turn], dtype=np.uint8))
            payload = buffer.getvalue()
        else:
            payload = rng.choice([truncated, flipped, zeroed])(whole, rng, [])
        head = store.MAGIC + store.hashlib.sha256(payload).hexdigest().encode() + b"\n"
        paths.write_atomically(path, head + payload)
        count("a stored result: forged").add(wrong=int(store.read(path) is not None))


class Payload:
    """What runs code when it is unpickled: it makes a folder."""

    def __init__(self, flag):
        self.flag = str(flag)

    def __reduce__(self):
        return (os.mkdir, (self.flag,))


def planted(form: str, flag) -> bytes:
    buffer = io.BytesIO()
    if form == "pickle":
        pickle.dump(Payload(flag), buffer)
    elif form == "npy":
        np.save(buffer, np.array([Payload(flag)], dtype=object), allow_pickle=True)
    elif form == "npz":
        np.savez(buffer, __header__=np.array([Payload(flag)], dtype=object))
    elif form == "torch":
        torch.save({"identity": {}, "state": Payload(flag)}, buffer)
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("__header__.npy", pickle.dumps(Payload(flag)))
    return buffer.getvalue()


def restored(path) -> list[float]:
    """Train a little from the checkpoint at `path`, whatever it is; return the weights."""
    model = train.build(nn.Linear, seed=0, in_features=1, out_features=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {"n_steps": 2, "batch_size": 2, "lr": 0.1, "seed": 0}
        train.fit(model, lambda model, x: model(x).mean(), torch.ones(4, 1), checkpoint=path, **settings)
    return [parameter.item() for parameter in model.parameters()]


def read_everywhere(content: bytes, folder) -> None:
    """Lay `content` wherever this library reads files of a store, of a user or of a download, and read it."""
    result = store.place("w", "0" * 64)
    for head in (b"", store.MAGIC + store.hashlib.sha256(content).hexdigest().encode() + b"\n"):
        paths.write_atomically(result, head + content)
        assert store.read(result) is None
    for head in (b"", train.checkpoints.MAGIC + train.hashlib.sha256(content).digest()):
        paths.write_atomically(folder / "training.pt", head + content)
        restored(folder / "training.pt")
    batches, pictures, gpt2 = folder / CIFAR10.base_folder, folder / "pictures", folder / "gpt2"
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], "")):
        paths.write_atomically(batches / name, content)
    paths.write_atomically(pictures / "one.png", content)
    paths.write_atomically(folder / "text.txt", content)
    paths.write_atomically(paths.cache() / "runs" / "one.json", content)
    readers = [
        lambda: data.cifar10(folder),
        lambda: data.photographs(pictures),
        lambda: data.english_text(folder / "text.txt"),
        upkeep.to_retry,
    ]
    for name in ("pytorch_model.bin", "model.safetensors"):
        shutil.rmtree(gpt2, ignore_errors=True)
        paths.write_atomically(gpt2 / "config.json", json.dumps({"model_type": "gpt2", "n_layer": 1}).encode())
        paths.write_atomically(gpt2 / name, content)
        with pytest.raises(ValueError, match="allowed is"):
            language_models.open_checkpoint(gpt2)
    for read in readers:
        with pytest.raises(ValueError, match="allowed is"):
            read()


@pytest.mark.parametrize("form", ["pickle", "npy", "npz", "torch", "zip"])
def test_no_pickle_is_read_from_anywhere(tmp_path, count, form):
    flag = tmp_path / "code was run"
    content = planted(form, flag)
    with pytest.raises(FileExistsError):  # the payload works: it is run by those who do unpickle it
        flag.mkdir()
        pickle.loads(pickle.dumps(Payload(flag)))
    flag.rmdir()
    read_everywhere(content, tmp_path)
    for _ in range(11):  # places
        count("a planted pickle").add(form, wrong=int(flag.exists()))


def test_damaged_checkpoints_of_trainings_start_afresh(tmp_path, rng, count, size):
    path = tmp_path / "training.pt"
    expected, good = restored(path), path.read_bytes()
    for turn in range(size(8, 100)):
        path.write_bytes((truncated, flipped, empty, foreign, longer, zeroed)[turn % 6](good, rng, []))
        found = restored(path)
        aside = path.with_name("training.pt.damaged")
        count("a checkpoint of a training").add(wrong=int(found != expected), torn=int(not aside.exists()))
        aside.unlink(missing_ok=True)
