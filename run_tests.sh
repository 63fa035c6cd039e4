#!/usr/bin/env bash
# Run the tests, with coverage of lib; arguments go to pytest, for example ./run_tests.sh tests/test_capacity.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./environment.sh
find_environment test docs
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
if [ $# -gt 0 ]; then exec "$PYTHON" -m pytest "$@"; fi
exec "$PYTHON" -m pytest --cov --cov-report=term
