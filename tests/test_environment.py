"""The lists of packages agree with each other and with what is imported, the set-up scripts do what they say, and the
package is whole when it is built and installed by itself."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import polysemanticity
from polysemanticity.base import paths, runtime

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGE = paths.PACKAGE.relative_to(paths.ROOT)
SETUP = ("environment.sh", "pyproject.toml", "constraints.txt", "models.txt")
NEEDS_MORE = ("audit", "engine", "pages", "networks", "papers", "notebook.py", "plots.py")  # than the base install


def pins():
    """The pinned requirements by name; a name may have several, for different systems or Pythons."""
    found = {}
    for line in (paths.ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def conda():
    dependencies = yaml.safe_load((paths.ROOT / "environment.yml").read_text())["dependencies"]
    return dependencies, next(item["pip"] for item in dependencies if isinstance(item, dict))


def test_every_dependency_is_pinned_within_its_range():
    for entry in [*PROJECT["dependencies"], *(entry for entries in EXTRAS.values() for entry in entries)]:
        wanted = Requirement(entry)
        for pin in pins()[canonicalize_name(wanted.name)]:
            (exact,) = pin.specifier
            assert exact.operator == "==" and wanted.specifier.contains(exact.version), entry


def test_pins_are_exact_and_name_no_address():
    for requirements in pins().values():
        for requirement in requirements:
            assert [specifier.operator for specifier in requirement.specifier] == ["=="] and requirement.url is None


def test_conda_environment_names_the_same_packages_and_versions():
    _, entries = conda()
    assert "--constraint constraints.txt" in entries and "--editable .[notebooks,test,docs]" in entries
    listed = {canonicalize_name(Requirement(entry).name): Requirement(entry) for entry in entries if entry[0] != "-"}
    assert set(listed) == declared("notebooks")
    for name, requirement in listed.items():
        here = [
            pin for pin in pins()[name] if pin.marker is None or pin.marker.evaluate({"python_full_version": "3.11.7"})
        ]
        assert requirement.specifier == here[0].specifier


def test_python_version_is_the_same_everywhere():
    dependencies, _ = conda()
    assert PROJECT["requires-python"] == ">=3.11"
    assert "python=3.11" in dependencies


def declared(*extras):
    """The names of the packages that an installation with these extras has."""
    entries = [*PROJECT["dependencies"], *(entry for extra in extras for entry in EXTRAS[extra])]
    return {canonicalize_name(Requirement(entry).name) for entry in entries}


def imported(files):
    """The packages that are imported, wherever in a file, apart from Python's own and this project's."""
    known = metadata.packages_distributions()
    own = {"polysemanticity", "benchmarks", "tests", *(path.stem for path in (paths.ROOT / "tests").rglob("*.py"))}
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    found -= own | set(sys.stdlib_module_names)
    return {canonicalize_name(known.get(name, [name])[0]) for name in found}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        (PACKAGE, ("notebooks", "scale")),
        ("templates", ("notebooks", "test")),
        ("benchmarks", ("notebooks", "bench")),
        ("tests", ("notebooks", "test", "docs")),
    ],
)
def test_every_import_is_declared(folder, extras):
    assert imported((paths.ROOT / folder).rglob("*.py")) <= declared(*extras)


def test_the_sciences_and_the_sweeps_need_the_base_install_only():
    files = [path for path in paths.PACKAGE.rglob("*.py") if path.relative_to(paths.PACKAGE).parts[0] not in NEEDS_MORE]
    assert len(files) > 30
    files += [paths.PACKAGE / "engine" / f"{name}.py" for name in ("sweep", "store", "processes")]
    files.append(paths.PACKAGE / "base" / "codedigest.py")
    assert imported(files) <= declared()


def run(script, tmp_path, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return subprocess.run(
        ["bash", "-c", script], cwd=paths.ROOT, env=clean | environment, capture_output=True, text=True
    )


def test_active_environment_that_has_everything_is_used(tmp_path):
    active = tmp_path / "active" / "bin"
    active.mkdir(parents=True)
    (active / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (active / "python").chmod(0o755)
    done = run(
        'source ./environment.sh; find_environment test; echo "$PYTHON"', tmp_path, VIRTUAL_ENV=str(active.parent)
    )
    assert done.returncode == 0 and done.stdout.strip() == str(active / "python")
    assert "using the active environment" in done.stderr


def test_lacking_environment_is_named_with_what_it_lacks_and_how_to_add_it(tmp_path):
    """Beside a .venv that has everything and is then taken."""
    for name in SETUP:
        shutil.copy(paths.ROOT / name, tmp_path)
    for folder, option in ((".venv", ""), ("bare", "-S")):  # -S: without its installed packages
        python = tmp_path / folder / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" {option} "$@"\n')
        python.chmod(0o755)
    script = (
        f"cd {tmp_path}; cat constraints.txt pyproject.toml models.txt | cksum >.venv/pins; "
        'source ./environment.sh; find_environment test; echo "$PYTHON"'
    )
    done = run(script, tmp_path, VIRTUAL_ENV=str(tmp_path / "bare"))
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / ".venv" / "bin" / "python")
    first, second, *_ = done.stderr.splitlines()
    assert (
        f"{tmp_path / 'bare'} is not used, for it lacks numpy>=2.0, scipy>=1.13, " in first and "pytest>=8.2" in first
    )
    assert f"{tmp_path / 'bare'}/bin/python -m pip install" in second and ".[notebooks,test]" in second


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("numpy>=99.1", f"numpy>=99.1 (it has {metadata.version('numpy')})"),
        ("no-such-package>=1", "no-such-package>=1"),
        ("numpy>=2.0", ""),
    ],
)
def test_setup_knows_what_is_missing_and_what_is_too_old(tmp_path, entry, told):
    shutil.copy(paths.ROOT / "environment.sh", tmp_path)
    (tmp_path / "pyproject.toml").write_text(f'[project]\ndependencies = ["{entry}"]\n')
    done = run(f'cd {tmp_path}; source ./environment.sh; lacking "{sys.executable}"', tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, told)


def test_models_are_pinned_with_the_hash_of_their_wheel():
    lines = [line for line in (paths.ROOT / "models.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}", line)


@pytest.mark.parametrize("package", ["no-such-network==1.0", "numpy==0.0.1", f"numpy=={metadata.version('numpy')}"])
def test_setup_without_a_network_ends_well_and_says_which_models_are_missing(tmp_path, package):
    """uv and pip are there and fetch nothing."""
    for name in SETUP:
        shutil.copy(paths.ROOT / name, tmp_path)
    (tmp_path / "models.txt").write_text(f"# a comment\n{package} --hash=sha256:{'0' * 64}\n")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    tried = tmp_path / "tried"
    offline = f'case "$*" in *models.txt*) echo "$*" >>{tried}; echo no network >&2; exit 1 ;; esac'
    for name, then in (("python", f'exec "{sys.executable}" "$@"'), ("uv", "exit 0")):
        (binaries / name).write_text(f"#!/bin/sh\n{offline}\n{then}\n")
        (binaries / name).chmod(0o755)
    script = f'set -euo pipefail; cd {tmp_path}; source ./environment.sh; find_environment; echo "$PYTHON"'
    done = run(script, tmp_path, PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0 and done.stdout.strip() == str(binaries / "python"), done.stderr
    lines = [line for line in done.stderr.splitlines() if "not here" in line]
    if package.endswith(metadata.version("numpy")):
        assert not lines and not tried.exists()
        return
    options = "--no-deps --require-hashes --requirement models.txt"
    assert [line.count(options) for line in tried.read_text().splitlines()] == [1, 1]  # uv, then pip
    assert (
        len(lines) == 1 and f"{package};" in lines[0] and f"{binaries / 'python'} -m pip install {options}" in lines[0]
    )
    assert "no network" not in done.stderr and done.stderr.splitlines()[-1] == "setup: done: .venv is ready"


@pytest.mark.skipif(shutil.which("dash") is None, reason="no dash, the sh of Debian")
@pytest.mark.parametrize("name", ["run_all.sh", "run_tests.sh"])
def test_scripts_called_with_sh_run_in_bash(tmp_path, name):
    script = (paths.ROOT / name).read_text().partition("set -euo pipefail")[0]
    (tmp_path / name).write_text(f'{script}[ -n "$BASH_VERSION" ] && [[ 1 == 1 ]] && echo bash "$@"')
    done = subprocess.run(["dash", tmp_path / name, "a b"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "bash a b\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as a wheel built from a copy of its sources and unpacked, beside a foreign folder `lib`."""
    folder = tmp_path_factory.mktemp("wheel")
    source, place = folder / "source", folder / "place"
    shutil.copytree(paths.PACKAGE, source / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(paths.ROOT / name, source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"polysemanticity-{polysemanticity.__version__}-py3-none-any.whl"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, place], check=True)
    (place / "lib").mkdir()
    (place / "lib" / "__init__.py").write_text("raise ImportError('a foreign folder')\n")
    return place


def python(installed, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POLYSEMANTICITY_")}
    environment = clean | {"PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, *arguments], cwd=installed, env=environment, capture_output=True, text=True)


def test_a_wheel_has_every_file_of_the_package(installed):
    files = {path.relative_to(paths.PACKAGE.parent) for path in paths.PACKAGE.rglob("*.py")}
    missing = [str(file) for file in [*files, paths.PACKAGE.relative_to(paths.PACKAGE.parent) / "py.typed"]]
    assert not [file for file in missing if not (installed / file).exists()]


def test_a_wheel_imports_beside_a_foreign_folder_of_the_old_name(installed):
    sciences = "spectra, projections, information, codes, incidental, capacity, ranks"
    code = f"from polysemanticity import {sciences}; print(spectra.__file__)"
    done = python(installed, "-c", code)
    assert done.returncode == 0 and done.stdout.startswith(str(installed)), done.stderr


def test_outside_a_checkout_the_command_says_where_it_belongs(installed):
    done = python(installed, "-m", "polysemanticity")
    assert done.returncode == 2 and "run me in a checkout" in done.stderr and done.stderr.count("\n") == 1


LACKING = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "papermill" else found(name, package)
"""


def test_what_a_wheel_lacks_is_said_in_a_line(installed):
    """In a base install the packages that run notebooks are missing."""
    (installed / "sitecustomize.py").write_text(LACKING)
    environment = {"POLYSEMANTICITY_HOME": str(paths.ROOT), "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "polysemanticity"], env=os.environ | environment, capture_output=True, text=True
    )
    (installed / "sitecustomize.py").unlink()
    assert done.returncode == 2 and "polysemanticity[notebooks]" in done.stderr and done.stderr.count("\n") == 1


def test_another_checkout_is_refused(tmp_path, monkeypatch, toy_paper):
    other = tmp_path / "other" / "lib" / "polysemanticity"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other.parents[1] / "notebooks").mkdir()
    ask = {"profile": "smoke", "seed": 0, "device": "cpu", "overrides": {}}
    monkeypatch.delenv("POLYSEMANTICITY_OUT")  # the runner names it, and has the right package
    monkeypatch.chdir(other.parents[1] / "notebooks")
    with pytest.raises(RuntimeError, match=f"belongs to the checkout {re.escape(str(other.parents[1]))}, but"):
        runtime.start(toy_paper, **ask)
    monkeypatch.setenv("POLYSEMANTICITY_OUT", str(tmp_path))
    assert runtime.start(toy_paper, **ask).slug == "toy"
    monkeypatch.delenv("POLYSEMANTICITY_OUT")
    for allowed in (tmp_path, paths.ROOT / "notebooks"):
        monkeypatch.chdir(allowed)
        assert runtime.start(toy_paper, **ask).slug == "toy"
