"""The three lists of packages agree, and the set-up scripts do what they say."""

import os
import re
import subprocess
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from polysemanticity.base import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]


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
    extras = [entry for entries in PROJECT["optional-dependencies"].values() for entry in entries]
    for entry in [*PROJECT["dependencies"], *extras]:
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
    assert "--constraint constraints.txt" in entries and "--editable .[test,docs]" in entries
    listed = {canonicalize_name(Requirement(entry).name): Requirement(entry) for entry in entries if entry[0] != "-"}
    assert set(listed) == {canonicalize_name(Requirement(entry).name) for entry in PROJECT["dependencies"]}
    for name, requirement in listed.items():
        here = [
            pin for pin in pins()[name] if pin.marker is None or pin.marker.evaluate({"python_full_version": "3.11.7"})
        ]
        assert requirement.specifier == here[0].specifier


def test_python_version_is_the_same_everywhere():
    dependencies, _ = conda()
    assert PROJECT["requires-python"] == ">=3.11"
    assert "python=3.11" in dependencies


def test_setup_looks_for_every_dependency():
    script = (paths.ROOT / "environment.sh").read_text()
    imported_as = {
        "scikit-image": "skimage",
        "scikit-learn": "sklearn",
        "pytest-cov": "pytest_cov",
        "pytest-xdist": "xdist",
        "pyyaml": "yaml",
        "pillow": "PIL",
        "myst-nb": "myst_nb",
        "sphinx-book-theme": "sphinx_book_theme",
        "websocket-client": "websocket",
    }
    extras = PROJECT["optional-dependencies"]
    for entry in [*PROJECT["dependencies"], *extras["test"], *extras["docs"]]:
        name = Requirement(entry).name
        assert re.search(rf"\b{imported_as.get(name, name)}\b", script), name


def run(script, tmp_path, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return subprocess.run(
        ["bash", "-c", script], cwd=paths.ROOT, env=clean | environment, capture_output=True, text=True
    )


def test_active_environment_that_has_everything_is_used(tmp_path):
    import sys

    active = tmp_path / "active" / "bin"
    active.mkdir(parents=True)
    (active / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (active / "python").chmod(0o755)
    done = run(
        'source ./environment.sh; find_environment test; echo "$PYTHON"', tmp_path, VIRTUAL_ENV=str(active.parent)
    )
    assert done.returncode == 0 and done.stdout.strip() == str(active / "python")
    assert "using the active environment" in done.stderr


def test_lacking_environment_is_not_used(tmp_path):
    script = 'source ./environment.sh; has_everything "$(command -v python3)" no_such_package_anywhere'
    assert run(script, tmp_path).returncode != 0
