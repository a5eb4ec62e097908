"""The windows of an allele and their likelihoods, written the slow and obvious way."""

from __future__ import annotations

import re

import numpy as np
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement

GAP = re.compile("N{11,}")
"""What ends a window: more N than --max-n-run has by default."""


def n_acgt(bases):
    return sum(base in "ACGT" for base in bases)


def windows_of(genome, variant, alt, strand, layout):
    """REF and ALT windows: real sequence around the variant, as it is read, equally many A, C, G
    and T of both. None where sequence ends before there is anything to compare."""
    contig = genome.fetch(Interval(variant.contig, 0, genome.lengths[variant.contig])).upper()
    ref_at = Interval(variant.contig, variant.start, variant.end)
    start = layout.place(ref_at, strand, contig_length=len(contig)).start
    end = start + layout.window
    if strand == "-":
        start, end = len(contig) - end, len(contig) - start
        first, last = len(contig) - variant.end, len(contig) - variant.start
        contig, alt = reverse_complement(contig), reverse_complement(alt)
    else:
        first, last = variant.start, variant.end
    # N at the ends of the contig are no sequence, however few.
    n_leading = len(contig) - len(contig.lstrip("N"))
    before = GAP.split(contig[n_leading:first])[-1]
    after = GAP.split(contig.rstrip("N")[last:])[0]
    before = before[max(0, len(before) - (first - start)) :].lstrip("N")
    ref_window = before + contig[first:last] + after[: end - last]
    alt_window = (before + alt.upper() + after)[: len(ref_window)]
    n_compared = min(n_acgt(ref_window), n_acgt(alt_window))
    ref_window, alt_window = (shortened(w, n_compared) for w in (ref_window, alt_window))
    shortest = min(len(ref_window), len(alt_window))
    is_whole = len(before) + max(last - first, len(alt)) <= shortest
    if n_acgt(ref_window[1:]) == 0:
        return None
    if not is_whole and ref_window[:shortest] == alt_window[:shortest]:
        return None
    return ref_window, alt_window


def shortened(window, n_compared):
    while n_acgt(window) > n_compared:
        window = window[:-1]
    return window


@torch.inference_mode()
def log_likelihood(model, bases):
    ids = torch.from_numpy(tokenizer.encode(bases).astype(np.int64))[None]
    logits = model(ids)[0, :-1, 7:11]
    targets = ids[0, 1:]
    is_base = targets < 11
    log_probs = torch.log_softmax(logits, -1)[
        torch.arange(len(targets)), (targets - 7).clamp(max=3)
    ]
    return log_probs[is_base].double().sum().item()
