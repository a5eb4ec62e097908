"""Variants to scores and vectors: REF passes shared, ALT passes batched.

    sites -> chunks -> windows (chunks.py)
          -> REF passes, a batch of windows each        (site scores: from here alone)
          -> ALT passes, a batch of equally long suffixes each (passes.py)
          -> scores (scores.py) and vectors (vectors.py)

Which windows and suffixes share a batch depends on their chunk alone, neither on shards nor on what
other chunks hold. Memory grows with one batch of windows, never with the variants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyenadna_cli.core.inference.batching import BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks
from hyenadna_cli.core.variants.alleles import Site
from hyenadna_cli.core.variants.chunks import AlleleScore, ChunkScores, ScoreSettings
from hyenadna_cli.core.variants.pass_plan import plan_passes
from hyenadna_cli.core.variants.passes import Passes
from hyenadna_cli.core.variants.stretches import Stretches


def score(
    model: HyenaDNA,
    sites: Iterable[Site],
    genome: Genome,
    settings: ScoreSettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[list[AlleleScore]]]:
    """Score a stream of sites: one `Done` per batch, counting sites; rows at the end of each chunk.

    A row holds the scores of all alleles of a site, in order.
    """
    device = model.lm_head.weight.device
    plan = plan_passes(settings, model.config, limits)
    work = Passes(model, settings, plan=plan, device=device)
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    for chunk in chunks(sites, length_of=lambda _: settings.bases_per_site):
        scores = ChunkScores(chunk, stretches, settings, d_model=model.config.d_model)
        if journal.has_chunk:
            journal.recall(*scores.numbers)
            yield Done(float(len(chunk)), scores.rows())
            continue
        n_done = 0.0
        for windows in scores.window_groups():
            for n_windows in work.run(windows, scores):
                n_sites = len(chunk) * n_windows / scores.n_windows
                n_done += n_sites
                yield Done(n_sites, [])
        journal.keep(*scores.numbers)
        yield Done(len(chunk) - n_done, scores.rows())
