"""The command that trains the networks of weights/ on photographs of one's own.

    python -m polysemanticity.papers.coding_theory_spectra --learn FOLDER … --judge FOLDER

trains every network that is missing, or goes on with it, and writes weights, losses and the time it took. None of the
photographs is stored, but how many they are and a digest of their contents.

    python -m polysemanticity.papers.coding_theory_spectra --compare FOLDER

measures networks that were trained with other seeds, and writes to what verdicts they lead beside the stored ones.
"""

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from polysemanticity.base import paths
from polysemanticity.networks import data, probing, resnet_vae
from polysemanticity.papers.coding_theory_spectra import learnt_vaes, retrained


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing of weights/resnet_vae, or measure other networks."""
    parser = argparse.ArgumentParser(description="Train the ResNet-VAEs of weights/resnet_vae on photographs.")
    parser.add_argument("--learn", nargs="+", help="folders of pictures to learn from")
    parser.add_argument("--judge", help="folder of pictures that no network learns from")
    parser.add_argument("--place", type=Path, default=learnt_vaes.folder(), help="where weights and losses go")
    parser.add_argument("--rates", nargs="+", type=float, default=learnt_vaes.RATES)
    parser.add_argument("--seeds", nargs="+", type=int, default=learnt_vaes.SEEDS)
    parser.add_argument("--compare", type=Path, help="measure the networks in this folder instead of training any")
    options = parser.parse_args(arguments)
    if options.compare:
        collect(options.compare, learnt_vaes.RECIPE)
        found = json.dumps(retrained.measure(options.compare.resolve()), indent=1) + "\n"
        paths.write_atomically(options.place / retrained.RECORD, found.encode())
        return
    if not (options.learn and options.judge):
        parser.error("--learn and --judge are needed, or --compare")
    for seed, rate in itertools.product(options.seeds, options.rates):
        if not (options.place / f"{learnt_vaes.name(rate, seed)}.safetensors").is_file():
            _train_and_store(learnt_vaes.RECIPE, rate, seed, options)
    collect(options.place, learnt_vaes.RECIPE, options.learn, [options.judge])


def _train_and_store(recipe: learnt_vaes.Recipe, rate: float, seed: int, options: argparse.Namespace) -> None:
    from safetensors.torch import save

    learnt = learnt_vaes.patches(options.learn, recipe.n_train, recipe, seed)
    held = learnt_vaes.patches([options.judge], learnt_vaes.JUDGED, recipe, 0)
    begun = time.process_time()
    place, name = paths.cache() / "learnt_vaes", learnt_vaes.name(rate, seed)
    networks, history = learnt_vaes.learn(recipe, rate, seed, learnt, checkpoints=place, label=name)
    some = learnt[: learnt_vaes.JUDGED]
    mean = resnet_vae.prepare(some, recipe.image_size).mean(0)
    on_learnt, on_held = (learnt_vaes.reconstructed(networks.renormed, part, mean) for part in (some, held))
    record = {
        "dropout": rate,
        "seed": seed,
        "loss in training [nats per patch]": float(history.loss[-1] / recipe.batch_size),
        learnt_vaes.LEARNT: on_learnt.loss,
        "R2 learnt": on_learnt.r2,
        "R2 held out": on_held.r2,
        "R2 held out, batch norm as trained": learnt_vaes.reconstructed(networks.trained, held, mean).r2,
        "R2 held out, each patch in its mean colour": probing.mean_colour_r2(
            resnet_vae.prepare(held, recipe.image_size), mean
        ),
        "core seconds of the last sitting": round(time.process_time() - begun),
        "torch": torch.__version__,
    }
    content = save(learnt_vaes.packed(*networks), metadata={"record": json.dumps(record)})
    paths.write_atomically(options.place / f"{name}.safetensors", content)
    (place / f"{name}.pt").unlink(missing_ok=True)
    print({key: value if isinstance(value, str) else round(value, 3) for key, value in record.items()}, flush=True)


def collect(place: Path, recipe: learnt_vaes.Recipe, learnt: Sequence[str] = (), judged: Sequence[str] = ()) -> None:
    """Write networks.json from the files that are there and, of folders that are named, what photographs they hold."""
    from safetensors import safe_open

    networks = {}
    for path in sorted(place.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            record = json.loads(file.metadata()["record"])
        networks[path.stem] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **record}
    known = learnt_vaes.listed(place).get("photographs", {}) if (place / learnt_vaes.LIST).is_file() else {}
    folders = {"learnt from": learnt, "judged on": judged}
    known |= {name: photographs_in(some) for name, some in folders.items() if some}
    content = {"recipe": asdict(recipe), "photographs": known, "networks": networks}
    paths.write_atomically(place / learnt_vaes.LIST, (json.dumps(content, indent=1) + "\n").encode())


def photographs_in(folders: Sequence[str]) -> dict:
    """Return how many photographs folders hold, and a digest of their contents that does not depend on their names."""
    found = [data.fingerprint({"": picture}) for folder in folders for picture in data.photographs(folder).values()]
    return {"number": len(found), "sha256": hashlib.sha256("".join(sorted(found)).encode()).hexdigest()}


if __name__ == "__main__":
    main()
