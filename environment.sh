# Sourced by run_all.sh and run_tests.sh: finds an environment that has everything, or makes .venv, and sets PYTHON.
# An active conda or venv environment that can import all packages is used as it is; nothing is ever installed into it.

# a container may forbid Python to keep compiled modules; every process would then compile torch anew, 20 seconds each
unset PYTHONDONTWRITEBYTECODE

wanted_packages() {  # the names to import; "test" adds what the tests need, "docs" what the site does
    echo numpy scipy pandas torch jaxtyping threadpoolctl tqdm filelock joblib psutil
    echo ipykernel IPython ipywidgets jupyterlab nbformat papermill traitlets \
        fontTools matplotlib matplotlib_inline PIL seaborn \
        huggingface_hub safetensors skimage sklearn tokenizers torchvision transformers
    local extra
    for extra in "$@"; do
        case $extra in
            test) echo beartype coverage dask distributed hypothesis jsonschema packaging pytest pytest_cov xdist yaml ruff \
                setuptools websocket ;;
            docs) echo myst_nb sphinx sphinx_book_theme sphinx-mathjax-offline ;;
        esac
    done
}

has_everything() {  # PYTHON PACKAGE...
    "$1" - "${@:2}" <<'PY' 2>/dev/null
import importlib.util, sys
sys.exit(sys.version_info < (3, 11) or any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))
PY
}

say() { echo "setup: $*" >&2; }

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
    local uv
    uv=$(command -v uv) || { [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv; uv=$PWD/.venv/bin/uv; }
    say "installing the pinned packages into .venv (6 GB; seconds when they are cached, minutes when not)"
    # the certificates of the system, as pip takes them: some networks have their own
    UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 "$uv" pip install --quiet --python .venv/bin/python --constraint constraints.txt --editable "$1" ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable "$1"
}

find_environment() {  # [test] [docs]
    local active packages stamp
    read -ra packages <<<"$(wanted_packages "$@" | tr '\n' ' ')"
    active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    if [ -n "$active" ] && [ -x "$active/bin/python" ] && has_everything "$active/bin/python" "${packages[@]}"; then
        PYTHON=$active/bin/python
        [ "$active" = "$PWD/.venv" ] || say "using the active environment $active"
        return 0
    fi
    PYTHON=$PWD/.venv/bin/python
    stamp=$(cat constraints.txt pyproject.toml | cksum)
    if [ "$(cat .venv/pins 2>/dev/null)" = "$stamp" ] && has_everything "$PYTHON" "${packages[@]}"; then return 0; fi
    make_environment ".[$(IFS=,; echo "notebooks${*:+,$*}")]" || return 1
    if ! has_everything "$PYTHON" "${packages[@]}"; then say "packages are missing from .venv after the installation"; return 1; fi
    echo "$stamp" >.venv/pins
    say "done: .venv is ready"
}
