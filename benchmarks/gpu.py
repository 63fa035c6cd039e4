"""`python -m benchmarks.gpu`: all that a GPU has to show, within nine minutes, in one JSON with the machine's stamp.

Checks run in a process of their own, one after the other, in an order of what matters most; one that fails, crashes or
outlasts its time is noted, and the next begins. `--dry-run` does the same on the CPU, tiny: that it passes says that
the script is sound, not that a GPU computes well. A check returns what it measured, with `ok`.
"""

import argparse
import contextlib
import copy
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from benchmarks import measure, vae, workers
from polysemanticity import incidental, spectra
from polysemanticity.base import codedigest, paths, runtime, streams
from polysemanticity.incidental import optimizers
from polysemanticity.networks import language_models, resnet_vae, train

MINUTES, PATIENCE = 9.0, 20  # a dry run may be on a machine that is busy with all else
CLOSE = 1e-3  # relative difference of a worker's values on a card from those on a CPU, of their largest
FLOAT32 = 2e-5  # relative error of activity that was computed in float32


class Check(NamedTuple):
    """What is checked, how many seconds it may take, and the function of the device that returns what it found."""

    name: str
    seconds: float
    run: Callable[[str, bool], dict]


# ------------------------------------------------------------ correctness


class DrawnOnTheHost(TorchFunctionMode):
    """Within it random numbers of every device come from the CPU's generators, so that devices can be compared."""

    class Generator(torch.Generator):
        """A CPU's generator that says it is another device's."""

        def __new__(cls, device):
            made = torch.Generator.__new__(cls, device="cpu")
            made.place = torch.device(device)
            return made

        device = property(lambda self: self.place)

    def __init__(self):
        super().__init__()
        self.own_draws = False  # whether a device drew by itself

    def __enter__(self):
        self.before = streams.generator, streams.drawing_from
        own, drawing_from = self.before

        def generator(seed, stream, device="cpu"):
            if torch.device(device).type == "cpu":
                return own(seed, stream)
            return self.Generator(device).manual_seed(streams._stream_seed(seed, stream))

        def drawing(source):
            if not isinstance(source, self.Generator):
                return drawing_from(source)
            self.own_draws = True
            return drawing_from(torch.Generator(device=source.place).manual_seed(source.initial_seed()))

        streams.generator, streams.drawing_from = generator, drawing
        return super().__enter__()

    def __exit__(self, *error):
        streams.generator, streams.drawing_from = self.before
        return super().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not isinstance(kwargs.get("generator"), self.Generator):
            return function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if name.endswith("_"):  # fills a tensor in place
            drawn = function(torch.empty(args[0].shape, dtype=args[0].dtype), *args[1:], **kwargs)
            return args[0].copy_(drawn)
        place = kwargs.pop("device", kwargs["generator"].device)
        moved = [value.cpu() if isinstance(value, torch.Tensor) else value for value in args]
        return function(*moved, **kwargs).to(place)


def correctness(device: str, quick: bool) -> dict:
    """Every worker once, by the smallest profile: the device's values beside the CPU's."""
    found, folder = {}, tempfile.TemporaryDirectory()
    for slug in paths.papers():
        if quick and slug != "feature_capacity":
            continue
        asked = {workers.name(call.worker): call for call in workers.calls(slug)}
        asked |= {workers.name(call.worker): call for call in workers.beside(slug, Path(folder.name))}
        for name, call in list(asked.items())[: 12 if quick else None]:
            if codedigest.reads(call.worker, "device"):
                found[f"{slug}.{name}"] = _beside_the_cpu(call, device)
    wrong = sorted(name for name, one in found.items() if not one["ok"])
    return {"ok": not wrong, "wrong": wrong, "workers": found}


def _beside_the_cpu(call: workers.Call, device: str) -> dict:
    try:
        started = time.perf_counter()
        with runtime.exact(device), DrawnOnTheHost() as draws:
            there = call(device)
        seconds = time.perf_counter() - started
        here = call("cpu")
        differences = {key: difference(there[key], value) for key, value in here.items()}
    except Exception as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}
    worst = max(differences, key=lambda key: differences[key])
    rounds = train.fast_autocast(device) is not None and codedigest.reaches(
        call.worker, "networks.train", "fast_autocast"
    )
    drawn = draws.own_draws or rounds
    same_kind = math.isfinite(differences[worst]) or all(np.shape(there[key]) == np.shape(here[key]) for key in here)
    return {
        "ok": same_kind if drawn else differences[worst] <= CLOSE,
        "compared": "shapes: the device draws by itself or trains in bfloat16" if drawn else "values",
        "difference": differences[worst] if math.isfinite(differences[worst]) else None,
        "of": worst,
        "seconds": seconds,
        "seconds_cpu": time.perf_counter() - started - seconds,
    }


def difference(one, other) -> float:
    """The largest difference of two values relative to the largest of the second; infinity where they are no alike."""
    if isinstance(other, str) or other is None or (isinstance(other, list) and other and isinstance(other[0], str)):
        return 0.0 if one == other else math.inf
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return math.inf
    if other.size == 0 or other.dtype.kind not in "biuf":
        return 0.0 if np.array_equal(one, other) else math.inf
    one, other = one.astype(float), other.astype(float)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return math.inf
    scale = np.abs(other[np.isfinite(other)]).max(initial=0.0)
    gap = np.abs(one - other)[np.isfinite(other)].max(initial=0.0)
    return float(gap / scale) if scale > 0 else float(gap)


# ------------------------------------------------------------ precision, repetition, resuming


def network(device: str, quick: bool, **settings) -> torch.nn.Module:
    """The paper's VAE, or a narrow one of small images."""
    size = {"width": 1 / 16, "image_size": 32, "stem_stride": 2, "hidden": 64} if quick else {"image_size": 224}
    return train.build(resnet_vae.ResNetVAE, seed=0, device=device, **{"dropout": 0.2, **size, **settings})


def pixels(n: int) -> torch.Tensor:
    """Noise, as images of bytes."""
    return (torch.rand(n, 3, 32, 32, generator=streams.generator(0, "pixels")) * 255).byte()


def trained(model, images, n_steps: int, device: str, batch_size: int = 50, **options):
    """The history of a training with the recipe of the papers' networks."""
    return train.fit(
        model, resnet_vae.vae_loss, images, n_steps=n_steps, batch_size=batch_size, lr=1e-3, seed=0,
        autocast=train.fast_autocast(device), channels_last=True, **options,
    )  # fmt: skip


def precision(device: str, quick: bool) -> dict:
    """Relative errors of probed activity against float64: as the device likes, and as the collection asks."""
    model, layers = network(device, quick, dropout=0.0), ("layer1", "layer4", "avgpool")
    images = resnet_vae.prepare(pixels(8 if quick else 64), model.image_size).to(device)
    exact = next(resnet_vae.activations(copy.deepcopy(model.trunk).double(), [images.double()], layers))
    exact = {layer: value.cpu() for layer, value in exact.items()}

    def errors() -> dict:
        seen = next(resnet_vae.activations(model.trunk, [images], layers))
        seen = {layer: value.double().cpu() for layer, value in seen.items()}
        return {layer: float((seen[layer] - exact[layer]).norm() / exact[layer].norm()) for layer in layers}

    liked = errors()
    with runtime.exact(device):
        asked = errors()
    rows = torch.randn(2000 if quick else 20_000, 256, generator=streams.generator(0, "rows"))
    there = spectra.covariance_spectrum(rows.to(device)).eigenvalues
    gap = float(np.abs(there / spectra.covariance_spectrum(rows).eigenvalues - 1).max())
    ok = max(asked.values()) < FLOAT32 and gap < 1e-10
    return {"ok": ok, "as the device likes": liked, "as asked": asked, "eigenvalues": gap}


def repetition(device: str, quick: bool) -> dict:
    """Whether two equal trainings end with the same bits, and one that was killed on its way as if it had not been."""
    n_steps, images = (4 if quick else 20), pixels(200)
    ends = []
    with runtime.exact(device), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            model = network(device, quick)
            trained(model, images, n_steps, device)
            ends.append(torch.cat([part.detach().flatten() for part in model.parameters()]).cpu())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "checkpoint"
            call = [sys.executable, "-m", "benchmarks.gpu", "--until-killed", str(file), device]
            alike = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # bits depend on their number
            killed = subprocess.Popen(call, env=alike)
            while killed.poll() is None and not file.exists():
                time.sleep(0.02)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            was_there = file.exists()
            model = network(device, True)
            trained(model, images, KILLED_STEPS, device, checkpoint=file, checkpoint_every=3600)
        whole = network(device, True)
        trained(whole, images, KILLED_STEPS, device)
    pairs = zip(model.parameters(), whole.parameters(), strict=True)
    gap = max(float((one - other).detach().abs().max()) for one, other in pairs)
    same = bool(torch.equal(*ends))
    return {
        "ok": same and was_there and gap == 0,
        "equal trainings are equal": same,
        "checkpoint left by the killed": was_there,
        "killed and whole differ by": gap,
        "without a repeatable algorithm": sorted(
            {str(one.message)[:120] for one in told if "determin" in str(one.message)}
        ),
    }


KILLED_STEPS = 60


def until_killed(file: str, device: str) -> None:
    """A training that writes a checkpoint at every step, for another process to end."""
    with runtime.exact(device):
        trained(network(device, True), pixels(200), KILLED_STEPS, device, checkpoint=file, checkpoint_every=0)


# ------------------------------------------------------------ the collection's own


NEEDS = "skipif(not torch.cuda.is_available()"  # in the files of tests that need a GPU


def tests(device: str, quick: bool) -> dict:
    """The tests that need a GPU, and in a dry run those that pretend one."""
    files = [
        str(file) for file in (paths.ROOT / "tests").rglob("test_*.py") if NEEDS in file.read_text(encoding="utf-8")
    ]
    chosen = ["tests/papers/test_devices.py", "-k", "right or would"] if quick else [*files, "-k", "cuda"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        capture_output=True, text=True, cwd=paths.ROOT, check=False,
    )  # fmt: skip
    return {"ok": ended.returncode == 0, "said": (ended.stdout + ended.stderr)[-2000:]}


def smoke(device: str, quick: bool) -> dict:
    """Every notebook in the profile smoke on the device, into a folder of its own."""
    only = ["--only", "feature_capacity"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notebooks").symlink_to(paths.ROOT / "notebooks")
        own = {"POLYSEMANTICITY_HOME": folder, "POLYSEMANTICITY_CACHE": f"{folder}/cache"}
        call = [sys.executable, "-m", "polysemanticity", "--profile", "smoke", "--device", device, "--force", *only]
        ended = subprocess.run(call, capture_output=True, text=True, cwd=paths.ROOT, env=os.environ | own, check=False)
    return {"ok": ended.returncode == 0, "said": (ended.stdout + ended.stderr)[-3000:]}


# ------------------------------------------------------------ rates


def rates(device: str, quick: bool) -> dict:
    """What the device reaches in products and copies, and what the papers' work reaches of it."""
    cuda = device != "cpu"
    kinds = ("float64", "float32", "bfloat16") if cuda else ("float32",)
    found = {
        "operations per second": {kind: measure.matrix_rate(kind, device) for kind in kinds},
        "bytes per second": measure.bandwidth(device),
        "training, images per second": {},
    }
    for batch in (8,) if quick else (50, 256):
        found["training, images per second"][batch] = _images_per_second(network(device, quick), batch, device, quick)
    if cuda:
        found |= _with_a_card(device)
    found["operations of an image"] = 3 * vae.forward_operations(network("cpu", quick), 32 if quick else 224)
    rows = torch.randn(2000 if quick else 20_000, 128 if quick else 1600)
    found["covariance and eigenvalues, s"] = _seconds({"cpu", device}, spectra.covariance_spectrum, rows)
    n, m, seeds = (16, 32, 2) if quick else (256, 4096, 16)
    start = incidental.initial_weights(n, m, range(seeds)).float()
    ten_steps = partial(optimizers.published_descent, l1=1e-3, method="adamw", n_steps=10)
    found["ten steps of AdamW, s"] = _seconds({device}, ten_steps, start)
    found["flow of 8 networks, s"] = _seconds({"cpu", device}, _flow, torch.tensor([n, 2 * n, 8]))
    return {"ok": True, **found}


def _seconds(devices: set[str], work: Callable[[torch.Tensor], object], given: torch.Tensor) -> dict[str, float]:
    """The least time of a piece of work on each device."""
    return {place: measure.timings(partial(work, given.to(place)), 2, place).low for place in sorted(devices)}


def _flow(sizes: torch.Tensor) -> incidental.Result:
    n, m, seeds = sizes.tolist()
    return incidental.train(n, m, 0.03, range(seeds), device=sizes.device)


def _images_per_second(model, batch: int, device: str, quick: bool) -> float:
    images, n_steps = pixels(max(500, batch)), 2 if quick else 40
    trained(model, images, 3, device, batch)
    return n_steps * batch / measure.timings(lambda: trained(model, images, n_steps, device, batch), 1, device).low


def _with_a_card(device: str) -> dict:
    """Waits in training steps, what compiling gains, the spectrum of the largest layer, eigenvalues there and here."""
    found, model = {}, network(device, False)
    trained(model, pixels(200), 3, device)
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(model, pixels(200), 20, device, log_every=20)
    torch.cuda.set_sync_debug_mode("default")
    found["waits in 20 steps"] = len(told)
    scatter = torch.randn(4000, 4000, dtype=torch.float64, device=device)
    scatter = scatter @ scatter.T
    found["eigenvalues of 4,000 units, s"] = {
        "there": measure.timings(lambda: torch.linalg.eigvalsh(scatter), 1, device).low,
        "here": measure.timings(lambda: np.linalg.eigvalsh(scatter.cpu().numpy()), 1).low,
    }
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    if torch.cuda.mem_get_info()[0] > 16e9:
        stem = torch.randn(4000, 802_816, device=device)
        seconds = measure.timings(lambda: spectra.covariance_spectrum(stem), 1, device).low
        found["spectrum of 4,000 × 802,816, s"] = seconds
        found["its peak, GiB"] = torch.cuda.max_memory_allocated() / 2**30
        del stem
    try:
        model.trunk = torch.compile(model.trunk)
        found["compiled, images per second at 50"] = _images_per_second(model, 50, device, False)
    except Exception as error:
        found["compiled, images per second at 50"] = f"{type(error).__name__}: {error}"[:300]
    return found


def language(device: str, quick: bool) -> dict:
    """A small GPT-2 trained: its loss falls; tokens per second."""
    tokens = torch.randint(0, 260, (64, 32 if quick else 64), generator=streams.generator(0, "tokens"))
    shape = {"vocab_size": 260, "n_layer": 2 if quick else 6, "n_embd": 32 if quick else 128, "n_head": 4}
    n_steps, batch = (6 if quick else 60), 16
    started = time.perf_counter()
    _, history = language_models.train_gpt2(
        tokens, **shape, n_steps=n_steps, batch_size=batch, lr=3e-3, seed=0, device=device
    )
    seconds = time.perf_counter() - started
    falls = bool(history.loss[-1] < history.loss[0])
    return {
        "ok": falls,
        "loss": history.loss[[0, -1]].tolist(),
        "tokens per second": n_steps * batch * tokens.shape[1] / seconds,
    }


CHECKS = (
    Check("precision", 45, precision),
    Check("repetition", 75, repetition),
    Check("correctness", 150, correctness),
    Check("language", 30, language),
    Check("rates", 120, rates),
    Check("tests", 90, tests),
    Check("smoke", 240, smoke),
)


# ------------------------------------------------------------ one after the other, whatever becomes of them


def stamp(device: str) -> dict:
    """The machine's stamp, with the card's."""
    found = measure.stamp(1) | {"device": device}
    if device != "cpu":
        card = torch.cuda.get_device_properties(0)
        found |= {"gpu_memory_gib": round(card.total_memory / 2**30), "gpu_units": card.multi_processor_count}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and write what they found; 0 if each that was asked for ran and was ok."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n")[0])
    names = [check.name for check in CHECKS]
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, tiny: whether the script is sound")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CHECK", help=", ".join(names))
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all of them (default: {MINUTES:g})")
    parser.add_argument("--out", type=Path, help="the file to write (default: benchmarks/results/gpu/MACHINE.json)")
    parser.add_argument("--until-killed", nargs=2, metavar=("FILE", "DEVICE"), help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "DEVICE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.until_killed:
        until_killed(*options.until_killed)
        return 0
    if options.child:
        _child(*options.child, options.only, options.dry_run)
        return 0
    try:
        device = str(runtime.device("cpu" if options.dry_run else "cuda"))
    except ValueError as error:
        parser.error(f"{error}; --dry-run runs on the CPU")
    made = stamp(device)
    out = options.out or paths.ROOT / "benchmarks" / "results" / "gpu" / f"{measure.machine(made)}.json"
    found = {"stamp": made, "dry_run": options.dry_run, "checks": {}}
    ends = time.monotonic() + 60 * options.minutes * (PATIENCE if options.dry_run else 1)
    for name, result in _results(options, device, ends):
        found["checks"][name] = result
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=True) + "\n"
        paths.write_atomically(out, text.encode())
        what = "ok" if result["ok"] else f"NOT OK {result.get('error', '')}".rstrip()
        print(f"{name:12} {result['seconds']:6.1f} s  {what}", flush=True)
    return int(not all(result["ok"] for result in found["checks"].values()))


def _results(options: argparse.Namespace, device: str, ends: float):
    """Yield each check's name and result: a process computes them until it fails to, then another goes on."""
    left = [check for check in CHECKS if check.name in options.only]
    while left:
        with tempfile.TemporaryDirectory() as folder:
            call = _call(folder, device, [check.name for check in left], options.dry_run)
            with (Path(folder) / "errors").open("w", encoding="utf-8") as errors:
                child = subprocess.Popen(call, cwd=paths.ROOT, stderr=errors, start_new_session=True)
                while left:
                    check, started = left.pop(0), time.monotonic()
                    last = min(started + check.seconds * (PATIENCE if options.dry_run else 1), ends)
                    file = Path(folder) / f"{check.name}.json"
                    while not file.exists() and child.poll() is None and time.monotonic() < last:
                        time.sleep(0.05)
                    seconds = time.monotonic() - started
                    if file.exists():
                        yield check.name, {"seconds": seconds, **json.loads(file.read_text(encoding="utf-8"))}
                        continue
                    why = f"ended with {child.returncode}" if child.poll() is not None else "took too long"
                    _kill(child)
                    said = (Path(folder) / "errors").read_text(encoding="utf-8")[-1500:]
                    yield check.name, {"seconds": seconds, "ok": False, "error": f"its process {why}", "said": said}
                    break
                _kill(child)


def _call(folder: str, device: str, names: Sequence[str], quick: bool) -> list[str]:
    """The command of a process that computes checks and leaves what they found in a folder."""
    return [sys.executable, "-m", "benchmarks.gpu", "--child", folder, device, "--only", *names, *["--dry-run"] * quick]


def _kill(child: subprocess.Popen) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _child(folder: str, device: str, names: Sequence[str], quick: bool) -> None:
    """Compute the checks in order, and leave a file for each."""
    torch.set_num_threads(1 if quick else runtime.cores())
    for check in (check for check in CHECKS if check.name in names):
        try:
            result = check.run(device, quick)
        except Exception as error:
            said = traceback.format_exc(limit=-4)[-1500:]
            result = {"ok": False, "error": f"{type(error).__name__}: {error}"[:500], "said": said}
        text = json.dumps(result, default=str)
        paths.write_atomically(Path(folder) / f"{check.name}.json", text.encode())
        if device != "cpu":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
