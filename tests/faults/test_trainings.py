"""Trainings that are killed at any file operation go on from their last checkpoint to the same bits."""

import importlib
import inspect
import shutil

import injection
import pytest
import victims

from polysemanticity.engine import upkeep

SMALL = {"n_features": 8, "n_neurons": 16, "n_seeds": 3}
CRITICS = {"batches": [32, 64], "epochs": [2, 2], "rates": [1e-3, 1e-4], "n_samples": 500}
CODERS = {"batch_size": 20, "lr": 2e-3, "n_nets": 2, "n_steps": 20}
TRAININGS = [  # every loop that trains, by a worker that uses it
    ("coding_theory_spectra.error_correction:kept", CODERS | CRITICS | {"task": "bits"}),
    ("incidental_polysemanticity.collisions:count", SMALL | {"l1": 0.1}),
    ("incidental_polysemanticity.noise:noisy_counts", SMALL | {"sigma": 0.1, "time": 5.0}),
    ("coding_theory_spectra.feature_autoencoders:on_features",
     CODERS | {"n_stops": 5, "n_features": 16, "n_units": 8, "density": 0.1, "start": 0.5, "noise": "gaussian",
               "rate": 0.4, "weight_decay": 0.1}),
    ("incidental_polysemanticity.winner_takes_all:trained", SMALL | {"l1": 0.05, "n_steps": 20}),
    ("incidental_polysemanticity.causes:costs", SMALL | {"l1": 0.3, "opposite": [0.0, 1.0], "same": [1.0, 1.0]}),
    ("incidental_polysemanticity.necessity:diagnosed",
     {"l1": 0.1, "n_alone": 2, "n_free": 1, "n_inputs": 200, "n_pairs": 1, "n_seeds": 2, "n_steps": 60}),
    ("incidental_polysemanticity.noise:expected_flow", SMALL | {"n_neurons": 8, "sigma": 0.15, "n_steps": 60}),
    ("coding_theory_spectra.error_correction:kept", CODERS | CRITICS | {"task": "learnt"}),
    ("coding_theory_spectra.decoding:modular",
     CODERS | {"batch_size": 16, "function": "x itself", "p": 23, "probe_steps": 10}),
    ("feature_capacity.architectures:train_architecture",
     {"batch": 16, "decay": 0.9, "densities": [0.3], "model": "gelu", "n_dims": 2, "n_features": 4, "n_seeds": 2,
      "n_steps": 40}),
]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    return injection.server()


@pytest.mark.parametrize("place, settings", TRAININGS)
def test_the_list_names_workers_and_their_settings(place, settings):
    """The short suite kills only the first trainings of the list, so the others could be gone unnoticed."""
    module, name = place.split(":")
    worker = getattr(importlib.import_module(f"polysemanticity.papers.{module}"), name)
    inspect.signature(worker).bind(seed=0, device="cpu", **settings)


def test_kills_of_trainings(server, tmp_path, monkeypatch, rng, count, size):
    for number, (place, settings) in enumerate(TRAININGS[: size(2, len(TRAININGS))]):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(folder / "reference"))
        arguments = (folder, place, settings)
        victim = injection.Victim(server, victims.training, *arguments)
        assert victim.wait() == 0, (place, victim.log.read_text()[-3000:])
        watch = injection.Watch(folder / "reference")
        cache = folder / "attacked"
        monkeypatch.setenv("POLYSEMANTICITY_CACHE", str(cache))
        for _ in range(size(3, 6)):
            environment = injection.trap(folder, rng.randint(2, 90), cache / "trainings")
            victim = injection.Victim(server, victims.training, *arguments, **environment)
            status = victim.wait()
            found = watch.look(cache)
            if (folder / "fired").exists():
                count("a training: file operation -9").add(place, **found, orphans=victim.orphans())
            else:
                assert status == 0 and not any(found.values()), (place, found, victim.log.read_text()[-3000:])
                shutil.rmtree(cache)
                watch.forget()
        victim = injection.Victim(server, victims.training, *arguments)
        assert victim.wait() == 0, (place, victim.log.read_text()[-3000:])
        assert not any(watch.look(cache).values()) and watch.missing(cache) == 0
        upkeep.collect()  # a kill between a result and the end of its checkpoints leaves these
        assert watch.missing(cache) == 0 and not list((cache / "trainings").glob("*"))
