#!/bin/sh
# Build the wheel, install it into an empty environment, and run the fast tests away from the sources.
#
#   packaging/wheel.sh [TEST...]     which tests; default: all that need nothing but the package
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
PATH=$work/venv/bin:$PATH
export PATH
python3 -m pip wheel --quiet --no-deps --wheel-dir "$work" "$here"
wheel=$(echo "$work"/*.whl)
"$here/packaging/install.sh" "$wheel" cpu
python3 -m pip install --quiet --constraint "$here/constraints.txt" "$wheel[dev]"

mkdir "$work/away"
cp -R "$here/tests" "$here/test_data" "$here/pyproject.toml" "$work/away"
cd "$work/away"
[ $# -gt 0 ] || set -- tests/core tests/ops tests/commands tests/test_cli.py
python3 -m pytest -n auto --maxprocesses 4 -m "not slow and not workflow and not gpu and not shared" "$@"
