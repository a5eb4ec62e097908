"""HyenaDNA: a DNA language model that reads up to a million bases, as a toolkit.

    import hyenadna_cli as hd

    model = hd.load_model("builtin")
    vectors = hd.embed(model, "peaks.bed", "hg38.fa").to_anndata()
    scores = hd.score_variants(model, "in.vcf.gz", "hg38.fa").to_pandas()
    with hd.Genome("hg38.fa") as genome:
        sequence = genome.fetch(hd.Interval.parse("chr7:140,753,336-140,754,335"))
        snvs = hd.mutagenize(model, "chr7:140,753,236-140,753,436", genome).to_pandas()

These few names are loaded when they are first used; the commands run the same code. Arguments are
checked at the call, and a wrong one is a TypeError or ValueError that names it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hyenadna_cli._version import __version__

if TYPE_CHECKING:
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.library.models import load_classifier, load_model
    from hyenadna_cli.core.library.sequences import embed, generate, perplexity, predict
    from hyenadna_cli.core.library.variants import mutagenize, score_variants
    from hyenadna_cli.core.variants.alleles import Variant

__all__ = [
    "Genome",
    "Interval",
    "Variant",
    "__version__",
    "embed",
    "generate",
    "load_classifier",
    "load_model",
    "mutagenize",
    "perplexity",
    "predict",
    "score_variants",
]

_MODULES = {
    "Genome": "hyenadna_cli.core.io.fasta",
    "Interval": "hyenadna_cli.core.dna.coordinates",
    "Variant": "hyenadna_cli.core.variants.alleles",
    "embed": "hyenadna_cli.core.library.sequences",
    "generate": "hyenadna_cli.core.library.sequences",
    "load_classifier": "hyenadna_cli.core.library.models",
    "load_model": "hyenadna_cli.core.library.models",
    "mutagenize": "hyenadna_cli.core.library.variants",
    "perplexity": "hyenadna_cli.core.library.sequences",
    "predict": "hyenadna_cli.core.library.sequences",
    "score_variants": "hyenadna_cli.core.library.variants",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
