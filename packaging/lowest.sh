#!/bin/sh
# Install the lowest versions that pyproject.toml declares and check that the program works with them.
#
#   packaging/lowest.sh [DIR]     DIR keeps the environment; without it nothing is kept
#
# PYTHON is the interpreter; it should be the lowest that pyproject.toml declares.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
environment=${1:-$work/venv}

"${PYTHON:-python3.11}" -m venv "$environment"
PATH=$(cd "$environment" && pwd)/bin:$PATH
export PATH
# shellcheck disable=SC2086
extras="anndata gpu pages parquet tensorboard tracks umap"
python3 "$here/packaging/lowest.py" $extras >"$work/lowest.txt"
CONSTRAINTS=$work/lowest.txt "$here/packaging/install.sh" "$here[$(echo $extras | tr ' ' ,)]" cpu
