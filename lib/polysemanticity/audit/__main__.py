"""`python -m polysemanticity.audit`: reports of files, as a table, JSON, a drawing and a page."""

import argparse
import sys
from pathlib import Path

import torch

from polysemanticity import audit
from polysemanticity.audit import sources
from polysemanticity.base.checks import check


def main(arguments: list[str] | None = None) -> int:
    """Print the report that the command line asks for; 2, with one sentence, where it cannot be made."""
    options = _parser().parse_args(arguments)
    try:
        report = options.report(options)
        print(report)
        if options.json:
            Path(options.json).write_text(report.to_json() + "\n", encoding="utf-8")
        if options.html:
            Path(options.html).write_text(report.to_html(), encoding="utf-8")
        if options.plot:
            from polysemanticity.audit import figures  # drawing needs packages that computing does not

            figures.save(report, options.plot)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m polysemanticity.audit", description="Look at a network of your own.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    layers = commands.add_parser("layers", help="spectra of activity: one array [..., unit] for each layer")
    layers.add_argument("path", nargs="+", help="safetensors or npz files, or a folder of them")
    layers.add_argument("--dimension", type=int, help="of the stimuli, for the threshold of smooth codes")
    layers.add_argument("--memory", type=float, default=4.0, help="gigabytes that sums may take")
    layers.set_defaults(report=_layers)
    weights = commands.add_parser("weights", help="how the features of an embedding share its dimensions")
    weights.add_argument("path", help="a safetensors or npz file")
    weights.add_argument("--name", help="of the array in it, if there are several")
    weights.add_argument("--features", choices=("rows", "columns"), help="where features are, if there are fewer")
    weights.add_argument("--level", type=float, default=0.05, help="probability of a finding in random directions")
    weights.set_defaults(report=_weights)
    shared = commands.add_parser("sharing", help="which features share a unit, what that costs, whether by accident")
    shared.add_argument("path", help="a safetensors or npz file: activity [row, unit] and features [row, feature]")
    shared.add_argument("--layer", required=True, help="name of the activity in it")
    shared.add_argument("--features", required=True, help="name of the features in it")
    shared.add_argument("--l1", type=float, default=0.0, help="with which the network was trained, if it was")
    shared.set_defaults(report=_sharing)
    for command in (layers, weights, shared):
        command.add_argument("--json", metavar="FILE", help="write the whole report")
        command.add_argument("--plot", metavar="FILE", help="draw it")
        command.add_argument("--html", metavar="FILE", help="write one page that needs nothing else")
        command.add_argument("--seed", type=int, default=0)
    return parser


def _layers(options) -> audit.LayerReport:
    return audit.layers(options.path, dimension=options.dimension, memory=options.memory, seed=options.seed)


def _weights(options) -> audit.CapacityReport:
    found = {name: value for part in sources.batches(options.path) for name, value in part.items()}
    name = options.name
    if name is None:
        matrices = [key for key, value in found.items() if value.ndim == 2]
        check(len(matrices) == 1, "--name", None, f"one of {', '.join(matrices) or 'no matrix at all'}")
        name = matrices[0]
    check(name in found, "--name", name, f"one of {', '.join(found)}")
    return audit.weights(found[name], features=options.features, level=options.level, seed=options.seed)


def _sharing(options) -> audit.SharingReport:
    found: dict[str, list] = {}
    for part in sources.batches(options.path):
        for name, value in part.items():
            found.setdefault(name, []).append(sources.tensor(value, name))
    for option, name in (("--layer", options.layer), ("--features", options.features)):
        check(name in found, option, name, f"one of {', '.join(found)}")
    features = torch.cat(found[options.features])
    return audit.sharing(
        {options.layer: found[options.layer]}, options.layer, features, l1=options.l1, seed=options.seed
    )


if __name__ == "__main__":
    sys.exit(main())
