"""A dependency map against brute force: its time, and pairs of it computed again by full passes.

    python workflows/reproduce/interpretation/dependency_speed.py GENOME REGION WINDOW...

Brute force reads every substitution of the region in a pass over half a window of context and the
region, on either strand. It is done for 3 queries after each 128 of the map, one drawn at random,
and scaled to all of them. Prints TSV, a row per window, of the built-in model on one thread:

    map_s, brute_s, ratio   seconds of processor time
    pairs, largest          pairs of the map that were computed both ways, and the largest
                            difference of one
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

import hyenadna_cli as hd
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.interpretation.dependencies import DependencySettings, dependencies

N_QUERIES = 3


def odds(model, texts):
    """(B, L - 1, 4): log2 odds of the base after each position."""
    ids = torch.from_numpy(np.stack([tokenizer.encode(text) for text in texts]).astype(np.int64))
    with torch.inference_mode():
        logits = model(ids)[:, :-1, tokenizer.A : tokenizer.T + 1]
        p = torch.log_softmax(logits.double(), dim=-1)
        return (p - torch.log(-torch.expm1(p))) / np.log(2)


def by_full_passes(model, text, first, queries):
    """Dependencies on some queries, in reading direction: {query: those of all that follow}."""
    ref = odds(model, [text])[0]
    found = {}
    for query in queries:
        at = first + query
        alts = [text[:at] + base + text[at + 1 :] for base in "ACGT" if base != text[at]]
        moved = (odds(model, alts) - ref).abs().amax(dim=(0, 2))
        found[query] = moved[at:].numpy()
    return found


def compare(model, genome, region, window):
    """Seconds of the map and of brute force, pairs, largest difference."""
    settings = DependencySettings(context=window // 2)
    limits = BatchLimits.choose(torch.device("cpu"), batch_size=None)
    n, context = region.length, window // 2
    plus = genome.fetch(hd.Interval(region.contig, region.start - context, region.end)).upper()
    after = genome.fetch(hd.Interval(region.contig, region.start, region.end + context)).upper()
    minus = reverse_complement(after)
    drawn = np.random.default_rng(1)
    map_s = brute_s = largest = 0.0
    n_pairs, n_passes, rows = 0, 0, {}
    begun = time.process_time()
    for done in dependencies(model, region, genome, settings, limits=limits):
        if not done.rows:
            continue
        map_s += time.process_time() - begun
        for of in done.rows:
            rows.update({of.first + number: row for number, row in enumerate(of.values)})
        queries = drawn.choice(sorted(rows)[-128:], N_QUERIES, replace=False).tolist()
        begun = time.process_time()
        forward = by_full_passes(model, plus, context, queries)
        backward = by_full_passes(model, minus, context, [n - 1 - query for query in queries])
        brute_s += time.process_time() - begun
        n_passes += 1
        for query in queries:
            of_map = rows[query]
            for mine, own in (
                (of_map[query + 1 :], forward[query]),
                (of_map[:query][::-1], backward[n - 1 - query]),
            ):
                n_pairs += len(own)
                largest = max(largest, float(np.abs(mine - own).max(initial=0)))
        begun = time.process_time()
    return map_s, brute_s * n / (N_QUERIES * n_passes), n_pairs, largest


def main() -> None:
    """Compare each window."""
    path, region, *windows = sys.argv[1:]
    torch.set_num_threads(1)
    model = hd.load_model("builtin")
    print("window\tbases\tmap_s\tbrute_s\tratio\tpairs\tlargest")
    with hd.Genome(path) as genome:
        of = hd.Interval.parse(region)
        for window in map(int, windows):
            map_s, brute_s, n_pairs, largest = compare(model, genome, of, window)
            row = (f"{map_s:.0f}", f"{brute_s:.0f}", f"{brute_s / map_s:.1f}", n_pairs)
            print(window, of.length, *row, f"{largest:.1e}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
