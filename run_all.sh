#!/usr/bin/env bash
# Regenerate every figure: ./run_all.sh [--profile P] [--only SLUG ...] [--set FIELD=VALUE ...] … (--help lists all).
# Sets up .venv first if need be; with --setup it does only that, with --site it builds the documentation site.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"  # called as: sh run_all.sh
set -euo pipefail
export POLYSEMANTICITY_CALLED_FROM=${POLYSEMANTICITY_CALLED_FROM:-$PWD}  # relative paths on the command line begin there
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./environment.sh
check_path
case " $* " in *" --site "*) find_environment docs ;; *) find_environment ;; esac
if [ "${1:-}" = --setup ]; then exit 0; fi
export PYTHONPATH="$PWD/lib${PYTHONPATH:+:$PYTHONPATH}"  # this checkout, whatever else is installed
export PYTHONUTF8=1  # text is UTF-8, wherever this runs
exec "$PYTHON" -m polysemanticity "$@"
