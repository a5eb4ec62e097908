#!/bin/sh
# Install hyenadna into the Python at hand and check that it works. Both images and the release use it.
#
#   packaging/install.sh SOURCE [cpu|cuda]     SOURCE: a wheel, an sdist or this folder
#
# CONSTRAINTS names the file of versions; constraints.txt by default.
set -eu
source=$1 kind=${2:-cpu}
here=$(cd "$(dirname "$0")/.." && pwd)

# From PyPI, torch for Linux brings CUDA; its CPU build is much smaller and has an index of its own.
if [ "$kind" = cpu ] && [ -z "${PIP_INDEX_URL:-}" ] && [ -z "${PIP_NO_EXTRA_INDEX:-}" ]; then
    export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
fi
python3 -m pip install --no-cache-dir --constraint "${CONSTRAINTS:-$here/constraints.txt}" "$source"

python3 -m pip check || echo "install.sh: pip check has complaints, see above" >&2
"$here/packaging/smoke.sh"
