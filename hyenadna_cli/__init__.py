"""HyenaDNA: a DNA language model that reads up to a million bases, as a toolkit.

    import hyenadna_cli as hd

    model = hd.load_model("builtin")
    with hd.Genome("hg38.fa") as genome:
        sequence = genome.fetch(hd.Interval("chr7", 140_753_335, 140_754_335))
        scored = hd.score_variants(model, [hd.Variant("chr7", 140_753_335, "A", ("T",))], genome)
        snvs = hd.mutagenize(model, "chr7:140,753,236-140,753,436", genome)
    from_files = hd.score_variants(model, "in.vcf.gz", "hg38.fa")
    vectors = hd.embed(model, [sequence])

These few names are loaded when they are first used; the commands run the same code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hyenadna_cli._version import __version__

if TYPE_CHECKING:
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.library import embed, load_model, mutagenize, score_variants
    from hyenadna_cli.core.variants.alleles import Variant

__all__ = [
    "Genome",
    "Interval",
    "Variant",
    "__version__",
    "embed",
    "load_model",
    "mutagenize",
    "score_variants",
]

_MODULES = {
    "Genome": "hyenadna_cli.core.io.fasta",
    "Interval": "hyenadna_cli.core.dna.coordinates",
    "Variant": "hyenadna_cli.core.variants.alleles",
    "embed": "hyenadna_cli.core.library",
    "load_model": "hyenadna_cli.core.library",
    "mutagenize": "hyenadna_cli.core.library",
    "score_variants": "hyenadna_cli.core.library",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
