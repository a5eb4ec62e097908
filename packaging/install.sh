#!/bin/sh
# Install hyenadna into the Python at hand and check that it works. Both images and the release use it.
#
#   packaging/install.sh SOURCE [cpu|cuda]     SOURCE: a wheel, an sdist or this folder
set -eu
source=$1 kind=${2:-cpu}
here=$(cd "$(dirname "$0")/.." && pwd)

# From PyPI, torch for Linux brings CUDA; its CPU build is much smaller and has an index of its own.
if [ "$kind" = cpu ] && [ -z "${PIP_INDEX_URL:-}" ] && [ -z "${PIP_NO_EXTRA_INDEX:-}" ]; then
    export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
fi
python3 -m pip install --no-cache-dir --constraint "$here/constraints.txt" "$source"

# Away from the sources, so that the installed package is what runs; no network, no home.
cd /
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=/nonexistent HF_HUB_OFFLINE=1
python3 -m pip check || echo "install.sh: pip check has complaints, see above" >&2
hyenadna --version
cp "$here"/test_data/tiny.fa "$here"/test_data/tiny.fa.fai "$here"/test_data/regions.bed \
    "$here"/test_data/variants.vcf "$work"
hyenadna embed --fasta "$work/tiny.fa" --bed "$work/regions.bed" -o "$work/regions.h5ad"
hyenadna score-variants "$work/variants.vcf" --fasta "$work/tiny.fa" --window 1k -o "$work/out.vcf.gz" -W
hyenadna models verify builtin
