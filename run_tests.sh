#!/usr/bin/env bash
# Run the tests, with coverage of lib; arguments go to pytest, for example ./run_tests.sh tests/test_capacity.py.
# With --faults, run the fault suite in full instead (a quarter of an hour).
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"  # called as: sh run_tests.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./environment.sh
check_path
find_environment test docs
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
# one process more than there are cores, for some tests wait
processes=$("$PYTHON" -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')
if [ "${1:-}" = --faults ]; then
    exec "$PYTHON" -m pytest -p no:cacheprovider -n "$processes" --dist load --maxschedchunk 1 tests/faults "$@"
fi
if [ $# -gt 0 ]; then exec "$PYTHON" -m pytest "$@"; fi
# a file of tests stays in one process, as its fixtures are shared; the slowest come first (tests/conftest.py)
exec "$PYTHON" -m pytest -n "$processes" --dist loadfile --no-loadscope-reorder --cov --cov-report=term
