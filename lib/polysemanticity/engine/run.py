"""Regenerate every figure: what `./run_all.sh` calls.

Each notebook is executed in a process of its own against a staging folder. It succeeded only if papermill had nothing
to object to, every code cell ran without an error, every figure that the paper declares was written, and every claim
has its row; only then do its figures and its executed copy replace the published ones, all at once. A notebook may
take as long as it likes; one that neither makes progress nor works is ended.
"""

import argparse
import dataclasses
import difflib
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

from polysemanticity.base import codedigest, config, paths, runtime
from polysemanticity.base.checks import check
from polysemanticity.engine import cluster, execute, processes, publish, reproduction, template, upkeep, uptodate
from polysemanticity.pages import readme, site

SILENCE = 900.0  # seconds without progress and without work after which a notebook counts as hanging
KEPT = 7 * 86400.0  # seconds that the log and partial copy of a failed notebook are kept
WORK = 5.0  # CPU seconds since the last sign of life by which a process shows that it works
CALLED_FROM = "POLYSEMANTICITY_CALLED_FROM"  # in the environment: the folder in which run_all.sh was called
NOT_INHERITED = ("MPLBACKEND", "MATPLOTLIBRC", "PYTHONSAFEPATH", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONSTARTUP")
AT_ONCE = 3  # notebooks: while one draws others compute; each has a gigabyte of its own
LONGEST_FOLDER = 70  # bytes; a socket's path may have about 100, and in it come a folder and a file
LOOK = 5.0  # seconds between two looks at what a notebook's processes have used


@dataclasses.dataclass
class Job:
    """One notebook of a run, from its start to its outcome."""

    slug: str
    source: Path
    paper: ModuleType | SimpleNamespace
    staging: Path
    sockets: Path  # a folder with a short name: a socket's path may have about 100 characters
    parameters: dict
    process: subprocess.Popen | None = None
    started: float = 0.0
    seconds: float = 0.0
    shown: int = 0  # bytes of its progress file that were shown
    alive: float = 0.0  # when it last made progress or worked
    looked: float = 0.0  # when its processes were last looked at
    used: dict[int, float] = dataclasses.field(default_factory=dict)  # their CPU seconds at the last sign of life
    held: object = None  # the lock of its staging folder
    failure: str | None = None
    summary: str = ""
    inputs: str = ""  # a digest of what it is made from
    compared: list[reproduction.Compared] = dataclasses.field(default_factory=list)  # with what is published
    unchanged: bool = False  # what is published was made from just that: nothing to do

    @property
    def executed(self) -> Path:
        return self.staging / self.source.name


def main(arguments: list[str] | None = None, instead_of: Path | None = None) -> int:
    """Run what the command line asks for; 0 only if every notebook succeeded, 2 if the request itself is refused.

    `instead_of` is the record of the run whose unfinished notebooks are run again.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        paths.checkout()
        paths.check_name()
    except RuntimeError as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    options = _parser().parse_args(arguments)
    try:
        if options.command == "retry":
            return main(*upkeep.to_retry())
        if options.command == "new":
            print(made(options.slug, options.title))
            return 0
        if options.slug is not None:
            raise ValueError(f"{options.command} {options.slug}: allowed is a name after new only")
        if options.command:
            print(upkeep.status() if options.command == "status" else upkeep.collect(options.dry_run))
            return 0
        if options.site:
            print(f"the site: {os.path.relpath(site.build() / 'index.html')}")
            return 0
        papers = selected(options.only)
        if options.list:
            print(listed(papers))
            return 0
        if not options.set and (known := nothing_to_do(papers, options)):
            print(known)
            return 0
        overrides = asked_for(options.set)
        if options.dask:
            cluster.check(options.dask, options.device)
        jobs = prepare(papers, options, overrides)
    except (ValueError, OSError, site.NotBuilt) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1 if isinstance(error, site.NotBuilt) else 2
    try:
        return run(jobs, options, arguments, bool(overrides) or options.seed != 0, instead_of)
    except OSError as error:  # the disk is full, a folder may not be written to
        print(f"run: {error}", file=sys.stderr)
        return 1


def made(slug: str | None, title: str | None) -> str:
    """Make the files of a new paper and return what they are and what to do next."""
    if slug is None:
        raise ValueError("new: allowed is new SLUG, for example new superposition_in_toys")
    files = [os.path.relpath(place, paths.ROOT) for place in template.create(slug, title)]
    return "\n".join(
        [
            "made, with an example that works:",
            *(f"    {file}" for file in files),
            f"try it: ./run_all.sh --profile smoke --only {slug} && ./run_tests.sh tests/papers/{slug}",
            "then change it piece by piece (CONTRIBUTING.md); after the first ./run_all.sh let its row in README.md",
            "lead to docs/",
        ]
    )


def selected(only: list[str] | None) -> dict[str, Path]:
    """Return the notebooks by slug, or those asked for; ValueError for an unknown slug, with the nearest."""
    notebooks = paths.notebooks()
    check(len(notebooks) > 0, "notebooks", str(paths.home() / "notebooks"), "a folder with NN_slug.ipynb files")
    for slug in only or []:
        if slug not in notebooks:
            nearest = difflib.get_close_matches(slug, notebooks, n=1, cutoff=0.3)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"slug {slug!r} is unknown: allowed is one of {', '.join(notebooks)}{hint}")
    return {slug: path for slug, path in notebooks.items() if not only or slug in only}


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """What can be set in a guide."""


def declared(slug: str, notebook: Path) -> ModuleType | SimpleNamespace:
    """Return the package that declares what a notebook has to deliver: settings, figures, claims; a guide none."""
    if not paths.is_guide(notebook):
        return importlib.import_module(f"polysemanticity.papers.{slug}")
    title = "A guide to the others: no settings, figures or claims of its own"
    return SimpleNamespace(SLUG=slug, TITLE=title, Config=NoSettings, FIGURES={}, CLAIMS={})


def listed(papers: dict[str, Path]) -> str:
    """Return `listing`, from the last call that found the same code: the papers take seconds to import."""
    key = hashlib.sha256(json.dumps([codedigest.library(), *map(str, papers.values())]).encode()).hexdigest()
    kept = paths.cache() / "listings" / f"{key[:16]}.txt"
    if not kept.exists():
        paths.write_atomically(kept, listing(papers).encode())
    return kept.read_text(encoding="utf-8")


def listing(papers: dict[str, Path]) -> str:
    """Return what can be run: notebooks with their figures, claims, profiles and settings."""
    lines = []
    for slug, path in papers.items():
        paper = declared(slug, path)
        lines += [f"{slug}  ({path.name})", f"    {paper.TITLE}"]
        if paths.is_guide(path):
            continue
        lines += [f"    profiles  {', '.join(config.PROFILES)}", f"    claims    {', '.join(paper.CLAIMS)}"]
        lines += [f"    figures   {', '.join(paper.FIGURES)}", "    settings (--set)"]
        for name, value, _, meaning in config.rows(paper.Config(), paper.Config()):
            lines.append(f"        {name} = {json.dumps(value)}  {meaning}")
    return "\n".join(lines)


def nothing_to_do(papers: dict[str, Path], options: argparse.Namespace) -> str | None:
    """Return the table of a run for which everything is published already, else None; nothing large is imported."""
    if options.force or options.dask:
        return None
    started, place = time.monotonic(), paths.published(options.profile, options.seed != 0)
    jobs = []
    for slug, source in papers.items():
        parameters = _parameters(source, options, {})
        summary = uptodate.summary(slug, source, parameters, place)
        if summary is None:
            return None
        jobs.append(Job(slug, source, None, place, place, parameters, summary=summary, unchanged=True))
    return _table(jobs, place, time.monotonic() - started)


def _parameters(source: Path, options: argparse.Namespace, own: dict) -> dict:
    """What a notebook is told: whatever differs from what its cell of parameters says."""
    asked = {"profile": options.profile, "seed": options.seed, "device": options.device, "overrides": own}
    usual = {"profile": "default", "seed": 0, "device": "auto", "overrides": {}}
    return {} if paths.is_guide(source) else {name: value for name, value in asked.items() if value != usual[name]}


def asked_for(settings: list[str]) -> dict[str, str]:
    """Return the texts of the values that were set, by their fields; ValueError for one that is set twice."""
    found: dict[str, str] = {}
    for name, text in map(config.parse, settings):
        if name in found:
            raise ValueError(
                f"--set {name}: field {name!r} is given twice, as {found[name]} and {text}: allowed is once"
            )
        found[name] = text
    return found


def prepare(papers: dict[str, Path], options: argparse.Namespace, overrides: dict[str, str]) -> list[Job]:
    """Return the jobs with their parameters checked: a bad value is refused before anything runs.

    Files and folders among them are relative to where the command was called from, and are read once.
    """
    modules = {slug: declared(slug, path) for slug, path in papers.items()}
    fields = {slug: config.names(paper.Config()) for slug, paper in modules.items()}
    everything = sorted(set().union(*fields.values()))
    for name in overrides:
        if not everything:
            raise ValueError(f"field {name!r} is unknown: allowed is none in a guide")
        if not any(_meant(name, known) for known in fields.values()):
            config.full_name(name, everything)
    scratch = paths.cache() / "staging"
    jobs = []
    for slug, source in papers.items():
        settings, folder = modules[slug].Config(), Path(os.environ.get(CALLED_FROM, "."))
        own = {
            name: config.typed(name, t, settings, folder) for name, t in overrides.items() if _meant(name, fields[slug])
        }
        device = "cpu" if options.dask else options.device  # the cluster has checked it
        asked = runtime.start(modules[slug], profile=options.profile, seed=options.seed, device=device, overrides=own)
        for told in getattr(modules[slug], "check_files", lambda cfg: [])(asked.cfg):
            print(f"{slug}: {told}", flush=True)
        staging = scratch / f"{slug}-{uuid.uuid4().hex[:8]}"
        sockets = _short_folder() / f"kernel-{staging.name[-8:]}"
        jobs.append(Job(slug, source, modules[slug], staging, sockets, _parameters(source, options, own)))
    return jobs


def _short_folder() -> Path:
    """The folder for temporary files, or another one where its name is too long for a socket's path."""
    given = Path(tempfile.gettempdir())
    for folder in (given, *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))):
        if len(os.fsencode(folder)) <= LONGEST_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return folder
    allowed = f"a folder whose name has at most {LONGEST_FOLDER} bytes: kernels are spoken to through files in it"
    raise ValueError(f"TMPDIR = {str(given)!r}: allowed is {allowed}")


def _meant(name: str, known: list[str]) -> bool:
    """Whether a name, full or short, may be a setting among those known."""
    return name in known or any(full.rpartition(".")[2] == name for full in known)


def run(
    jobs: list[Job], options: argparse.Namespace, arguments: list[str], changed: bool, instead_of: Path | None = None
) -> int:
    """Execute the jobs, at most `--jobs` at once, publish each that succeeded, and print the table.

    Raises OSError before any work where outputs or results cannot be written.
    """
    at_once = options.jobs or (len(jobs) if options.dask else min(AT_ONCE, 1 + runtime.cores()))
    token = uuid.uuid4().hex
    signal.signal(signal.SIGTERM, _interrupt)
    place = paths.published(options.profile, changed)
    started = time.monotonic()
    paths.check_writable(place / "figures", place / "docs", paths.cache())
    record = upkeep.Record(instead_of)
    upkeep.clear_abandoned()
    publish.mend(place)
    waiting, running = _changed(jobs, options, place), []
    _remember(record, arguments, jobs)
    try:
        address = _cluster(options.dask, token)
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_launch(waiting.pop(0), token, options.force, address))
            for job in list(running):
                _show_progress(job)
                if _ended(job, options, token):
                    running.remove(job)
                    _conclude(job, place, token)
                    _remember(record, arguments, jobs)
            time.sleep(0.1)
        if place == paths.home() and not any(job.failure for job in jobs):
            with publish.alone():
                readme.update()
    except cluster.NotStarted as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: every process that was started is being ended; finished results are kept", file=sys.stderr)
        return 130
    finally:
        processes.end_all(token)
        for job in jobs:
            upkeep.drop(job.staging, job.sockets)
        record.held.lock.release()
    print(_table(jobs, place, time.monotonic() - started))
    if options.profile != "smoke" and any(job.compared for job in jobs):
        for line in _compared(jobs, options):
            print(line)
    return 1 if any(job.failure for job in jobs) else 0


def _changed(jobs: list[Job], options: argparse.Namespace, place: Path) -> list[Job]:
    """The jobs that have something to do; the others are marked, and said to have nothing."""
    for job in jobs:
        job.inputs = uptodate.inputs(job.source, job.parameters)
        summary = None if options.force else uptodate.summary(job.slug, job.source, job.parameters, place)
        if summary is not None:
            job.unchanged, job.summary = True, summary
            print(f"{job.slug}: unchanged", flush=True)
    return [job for job in jobs if not job.unchanged]


def _launch(job: Job, token: str, force: bool, address: str) -> Job:
    job.held = upkeep.hold(job.staging, job.sockets)
    job.sockets.mkdir(mode=0o700)
    execute.write_kernelspec(job.staging / "jupyter")
    environment = _environment(f"{token}/{job.slug}", address) | {
        "POLYSEMANTICITY_OUT": str(job.staging),
        "POLYSEMANTICITY_PROGRESS": str(job.staging / "progress.txt"),
        "POLYSEMANTICITY_FORCE": token if force else "",
        "JUPYTER_PATH": str(job.staging / "jupyter"),
        "IPYTHONDIR": str(job.sockets / "ipython"),  # on a disk of this machine: it wants to set modes
        "JUPYTER_CONFIG_DIR": str(job.staging / "jupyter"),  # nobody's own settings of kernels
        "JUPYTER_RUNTIME_DIR": str(job.sockets),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    arguments = [str(job.source), str(job.executed), json.dumps(job.parameters), str(job.sockets), str(os.getpid())]
    with (job.staging / "log.txt").open("wb") as log:
        job.process = subprocess.Popen(
            [sys.executable, "-m", "polysemanticity.engine.execute", *arguments],
            cwd=paths.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    job.started = job.alive = job.looked = time.monotonic()
    print(f"{job.slug}: running {_changes(job.parameters)}", flush=True)
    return job


def _environment(token: str, address: str = "") -> dict[str, str]:
    """The environment of every process that a run starts; `address` is that of the scheduler it computes on."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    inherited.setdefault("MPLCONFIGDIR", str(paths.cache() / "matplotlib"))  # there may be no home to write to
    return inherited | {
        processes.TOKEN: token,
        runtime.CLUSTER: address,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH")])),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",  # text is UTF-8, wherever this runs
        "OMP_NUM_THREADS": "1",  # what a notebook computes itself does not depend on the number of cores
    }


def _cluster(request: str | None, token: str) -> str:
    """The scheduler that the run computes on, started if it is to be on this machine; empty without `--dask`."""
    n_workers = cluster.local_workers(request) if request else None
    if n_workers is None:
        return request or ""
    address = cluster.start(n_workers, _environment(f"{token}/cluster"))
    print(f"dask: {n_workers} worker{'s' * (n_workers > 1)} at {address}", flush=True)
    return address


def _remember(record: upkeep.Record, arguments: list[str], jobs: list[Job]) -> None:
    """Write down what has been asked for and what each notebook came to, for `retry`."""
    kept = _without_only(arguments)
    record.remember(kept, {job.slug: job.failure or (upkeep.OK if job.summary else upkeep.RUNNING) for job in jobs})


def _without_only(arguments: list[str]) -> list[str]:
    """The command line without `--only`: retry names the notebooks itself."""
    kept, inside = [], False
    for argument in arguments:
        inside = argument == "--only" or (inside and not argument.startswith("-"))
        if not inside and not argument.startswith("--only="):
            kept.append(argument)
    return kept


def _changes(parameters: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "the default profile"


def _show_progress(job: Job) -> None:
    try:
        with (job.staging / "progress.txt").open(encoding="utf-8") as file:
            file.seek(job.shown)
            for line in file:
                job.alive = time.monotonic()
                print(f"{job.slug}: {time.monotonic() - job.started:4.0f} s  {line.rstrip()}", flush=True)
            job.shown = file.tell()
    except FileNotFoundError:
        pass


def _ended(job: Job, options: argparse.Namespace, token: str) -> bool:
    """Whether a job's process is gone, or has to go: it hangs, or ran longer than the user's limit."""
    now = time.monotonic()
    job.seconds = now - job.started
    if job.process.poll() is not None:
        return True
    if options.timeout and job.seconds > options.timeout:
        job.failure = f"ran longer than the limit of {options.timeout:g} s (--timeout): ended"
    elif not options.dask and now - job.looked > LOOK:  # a cluster works elsewhere
        _look_for_life(job, f"{token}/{job.slug}", now)
        if now - job.alive > SILENCE:
            job.failure = f"made no progress and did no work for {now - job.alive:.0f} s: ended"
    return job.failure is not None


def _look_for_life(job: Job, token: str, now: float) -> None:
    """Note whether one of a job's processes has worked since the last sign of life."""
    used = processes.cpu_seconds(token)
    if any(seconds - job.used.get(number, 0.0) > WORK for number, seconds in used.items()):
        job.alive, job.used = now, used
    job.looked = now


def _conclude(job: Job, place: Path, token: str) -> None:
    """Decide whether a job that ended is a success, and publish it if so."""
    processes.end_all(f"{token}/{job.slug}")
    _show_progress(job)
    job.failure = job.failure or _failure(job)
    try:
        if job.failure is None:
            job.compared = publish.publish(job.slug, job.executed, place)
    except OSError as error:
        job.failure = f"its outputs cannot be put under {os.path.relpath(place)}: {error}"
    if job.failure is None:
        job.summary = _delivered(job, place)
        uptodate.remember(job.slug, job.source, job.parameters, place, job.inputs, job.summary)
    else:
        job.summary = job.failure + _kept_log(job)
    print(f"{job.slug}: {'failed' if job.failure else 'done'} after {job.seconds:.0f} s: {job.summary}", flush=True)


def _delivered(job: Job, place: Path) -> str:
    if paths.is_guide(job.source):
        return "a guide, without figures and claims of its own"
    rows = (
        json.loads((place / "figures" / job.slug / "claims.json").read_text(encoding="utf-8"))
        if job.paper.CLAIMS
        else []
    )
    verdicts = Counter(row["verdict"] for row in rows)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    return f"{len(job.paper.FIGURES)} figures; claims: {counted or 'none'}"


def _failure(job: Job) -> str | None:
    reason = job.staging / "reason.txt"
    if reason.exists():
        return reason.read_text(encoding="utf-8").strip()
    if job.process.returncode != 0:
        return f"the process that executes the notebook ended with status {job.process.returncode}"
    return publish.problem(job.paper, job.source, job.executed)


def _kept_log(job: Job) -> str:
    """Keep the output of a failed notebook and say where."""
    kept = paths.cache() / "failed" / job.staging.name
    for older in kept.parent.glob(f"{job.slug}*"):
        if older.stat().st_mtime < time.time() - KEPT:
            shutil.rmtree(older, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in ("log.txt", job.source.name):
        if (job.staging / name).exists():
            shutil.copyfile(job.staging / name, kept / name)
    return f" (its log and partial copy: {os.path.relpath(kept)})"


def _compared(jobs: list[Job], options: argparse.Namespace) -> list[str]:
    """Write how the run compares with what is published, and return it in short."""
    label = ", ".join([options.profile, *options.set, *([f"seed={options.seed}"] if options.seed else [])])
    found = {job.slug: job.compared for job in jobs if job.compared}
    place = reproduction.write(found, f"{label}, device {options.device}")
    everything = [one for some in found.values() for one in some]
    changed = [one for one in everything if one.verdicts and one.verdicts[0] != one.verdicts[1]]
    lines = [*reproduction.summary(everything), *(f"{c.name}: {c.verdicts[0]} → {c.verdicts[1]}" for c in changed)]
    return [*lines, f"what differs, and by how much: {os.path.relpath(place)}"]


def _table(jobs: list[Job], place: Path, seconds: float) -> str:
    lines = ["", f"{'notebook':28} {'outcome':9} {'seconds':>7}  what"]
    for job in jobs:
        outcome = "failed" if job.failure else "unchanged" if job.unchanged else "ok"
        lines.append(f"{job.slug:28} {outcome:9} {job.seconds:7.0f}  {job.summary}")
    good = sum(job.failure is None for job in jobs)
    where = os.path.relpath(place)
    lines.append(f"{good} of {len(jobs)} succeeded in {seconds:.0f} s; figures/ and docs/ are under {where}")
    return "\n".join(lines)


def _interrupt(signum, frame):
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_all.sh", description="Regenerate every figure of the collection.", allow_abbrev=False
    )
    parser.add_argument(
        "command", nargs="?", choices=(*upkeep.COMMANDS, "new"),
        help="instead of running: say what the store holds and how the last run ended; run again what it did not "
        "finish; remove what nothing will ask for again; make the files of a new paper",
    )  # fmt: skip
    parser.add_argument("slug", nargs="?", metavar="SLUG", help="with new: the paper's name in lib, figures and tests")
    parser.add_argument("--title", action=_Once, help="with new: the paper's title")
    parser.add_argument("--dry-run", action="store_true", help="with gc: only say what would go")
    parser.add_argument("--profile", action=_Once, default="default", help="smoke, default or paper")
    parser.add_argument("--only", nargs="+", action="extend", metavar="SLUG", help="only these notebooks")
    jobs = min(AT_ONCE, 1 + runtime.cores())
    parser.add_argument(
        "--jobs",
        action=_Once,
        type=_positive,
        metavar="N",
        help=f"notebooks at once (default: {jobs}; with --dask, all)",
    )
    parser.add_argument(
        "--dask", action=_Once, metavar="ADDRESS", help=f"compute on a cluster: {cluster.ALLOWED} (docs/scaling.md)"
    )
    parser.add_argument(
        "--device", action=_Once, default="auto", help="auto (CUDA when it is there), cpu, cuda or cuda:N"
    )
    parser.add_argument("--seed", action=_Once, type=int, default=0, help="seed of the whole run (default: 0)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="change settings")
    parser.add_argument("--force", action="store_true", help="compute everything again, whatever the store has")
    parser.add_argument(
        "--timeout", action=_Once, type=_positive, metavar="SECONDS", help="end one that takes longer (none)"
    )
    parser.add_argument(
        "--site", action="store_true", help="build docs/_build/html from what is published, and run nothing"
    )
    parser.add_argument("--list", action="store_true", help="say what can be run, and run nothing")
    return parser


class _Once(argparse.Action):
    """An option that has one value: given twice it is refused, instead of the first counting for nothing."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = vars(namespace).setdefault("given", {})
        if self.dest in given:
            text = f"{option_string} is given twice, as {given[self.dest]} and {values}: allowed is once"
            raise argparse.ArgumentError(None, text)
        given[self.dest] = values
        setattr(namespace, self.dest, values)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
