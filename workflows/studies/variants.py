"""How well scores of alleles tell labels apart: AUROC and AUPRC by score, window and region class.

    python variants.py builtin=scored.vcf.gz --label CLASS --positive P/LP --negative B/LB \
        --fasta genome.fa --genes genes.gtf.gz -o auroc.tsv

A run is MODEL=VCF, of `hyenadna score-variants`. All runs are of the same records, and only
alleles that have every score in every run count. One row per run, region class and score, with 95 %
bootstrap intervals over alleles, and a picture beside the table. Scores of the likelihood are
negated, so that more is worse for all; an AUROC below 0.5 is printed as it is. By chance AUPRC is
the share of positives. Classes, besides `all`:

    --genes GTF        coding, splice, intron, other, as `finetune --genes` has them
    --regions BED      names of its 4th column, `other` outside; an allele counts in each of its own
    --region-info KEY  the values of an INFO key

Rows without a model stand beside them: `gc` and `cpg` of the 101 bases around; with --genes, from
the position alone, `region` (splice above coding above other above intron) and `edge` (nearness to
an exon's end); and INFO keys of one's own, --also CADD,-AF, where `-` says that less is worse.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.bed import read_regions
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.io.vcf import VcfFile, VcfRecord
from hyenadna_cli.core.io.vcf_info import InfoColumns
from hyenadna_cli.core.outputs.figures import new_figure, save_figure
from hyenadna_cli.core.tasks.alleles.regions import Transcripts
from hyenadna_cli.core.tasks.metrics.bootstrap import resampler
from hyenadna_cli.core.tasks.metrics.ranks import rank_metrics

SIGNS = {
    "HD_LLR": -1,
    "HD_SITE": -1,
    "HD_PCT": -1,
    "HD_JSD": 1,
    "HD_L2": 1,
    "HD_COS": 1,
    "HD_PROB": 1,
}
RANKS = {"splice": 3, "coding": 2, "other": 1, "intron": 0}
METRICS = ("auroc", "auprc")
COLUMNS = (
    "model",
    "window",
    "layout",
    "region",
    "score",
    "n_positive",
    "n_negative",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")),
)
_AROUND = 50
_MOST_PANELS = 6

Key = tuple[int, str, str]
"""An allele: the number of its record, its place, ALT."""
Run = tuple[str, str, str]
"""Model, window and layout; of what knows no model `none`, and dots."""
NO_MODEL: Run = ("none", ".", ".")


class Labelled:
    """Alleles that have a label, and what is known of them."""

    def __init__(self) -> None:
        self.is_positive: dict[Key, bool] = {}
        self.regions: dict[Key, set[str]] = {}
        self.scores: dict[tuple[Run, str], dict[Key, float]] = defaultdict(dict)


class Places:
    """What a position says without any model: region classes, and scores to stand beside."""

    def __init__(self, given: argparse.Namespace, genome: Genome) -> None:
        self._genome = genome
        self._names = ContigNames.auto(self._genome.lengths)
        self._transcripts = Transcripts(given.genes) if given.genes else None
        self._key = given.region_info
        self._of_bed = given.regions is not None
        spans: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        if given.regions:
            for region in read_regions(Input(str(given.regions)), contigs=self._names):
                place = region.interval
                spans[place.contig].append((place.start, place.end, region.name))
        self._spans = {
            contig: [np.array(column) for column in zip(*found, strict=True)]
            for contig, found in spans.items()
        }

    def regions(self, record: VcfRecord, value: str) -> set[str]:
        """The classes that an allele counts in, besides all; `value` is that of --region-info."""
        if self._transcripts:
            return {self._transcripts.region(record.chrom, record.start)}
        if self._key:
            return {value}
        if not self._of_bed:
            return set()
        contig = self._names.resolve(record.chrom)
        if contig not in self._spans:
            return {"other"}
        starts, ends, names = self._spans[contig]
        is_in = (starts <= record.start) & (record.start < ends)
        return set(names[is_in].tolist()) or {"other"}

    def baselines(self, record: VcfRecord) -> Iterator[tuple[str, float]]:
        """Scores of a place."""
        contig = self._names.resolve(record.chrom)
        if contig is not None and record.start < self._genome.lengths[contig]:
            first = max(0, record.start - _AROUND)
            last = min(self._genome.lengths[contig], record.start + _AROUND + 1)
            around = self._genome.fetch(Interval(contig, first, last)).upper()
            yield "gc", float(len(re.findall("[GC]", around)))
            yield "cpg", float(around.count("CG"))
        if self._transcripts:
            region = self._transcripts.region(record.chrom, record.start)
            yield "region", float(RANKS[region])
            yield "edge", -float(self._transcripts.to_edge(record.chrom, record.start))


def number(text: str) -> float:
    """A value of INFO; NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def read(path: Path, model: str, given: argparse.Namespace, places: Places, into: Labelled) -> None:
    """Add a run: its scores, and, by the first of them, what is known of its alleles."""
    label_of = dict.fromkeys(given.positive.split(","), True)
    label_of |= dict.fromkeys(given.negative.split(","), False)
    also = {key.removeprefix("-"): -1 if key[0] == "-" else 1 for key in given.also}
    is_first = not into.is_positive
    with VcfFile(path).open_vcf() as reader:
        made_by = dict(re.findall(r'(window|layout)="(\w+)"', reader.header.text()))
        run = (model, made_by.get("window", "."), made_by.get("layout", "."))
        declared = reader.header.declared("INFO")
        signs = {key: sign for key, sign in SIGNS.items() if key in declared} | also
        keys = [given.label, *signs, *([given.region_info] if given.region_info else [])]
        columns = InfoColumns(path, reader.header, keys)
        for n, record in enumerate(reader.records()):
            for alt, values in zip(record.alts, columns.of(record), strict=False):
                of = dict(zip(keys, values, strict=True))
                is_snv = len(record.ref) == len(alt) == 1
                if of[given.label] not in label_of or (given.snvs and not is_snv):
                    continue
                key = (n, f"{record.chrom}:{record.start}", alt)
                for name, sign in signs.items():
                    owner = NO_MODEL if name in also else run
                    into.scores[owner, name][key] = sign * number(of[name])
                if is_first:
                    into.is_positive[key] = label_of[of[given.label]]
                    into.regions[key] = places.regions(record, of.get(given.region_info, "."))
                    for name, value in places.baselines(record):
                        into.scores[NO_MODEL, name][key] = value


def whole(found: Labelled) -> list[Key]:
    """The alleles that have every score."""
    kept = [
        key
        for key in found.is_positive
        if all(math.isfinite(of.get(key, math.nan)) for of in found.scores.values())
    ]
    left = len(found.is_positive) - len(kept)
    if left:
        print(
            f"{left:,} of {len(found.is_positive):,} labelled alleles lack a score", file=sys.stderr
        )
    return kept


def rows_of(found: Labelled, replicates: int) -> Iterator[dict[str, str | int | float]]:
    """A row per region class, run and score, where both labels occur."""
    kept = whole(found)
    classes = sorted({name for key in kept for name in found.regions[key]})
    for region in ("all", *classes):
        keys = [key for key in kept if region == "all" or region in found.regions[key]]
        labels = np.array([found.is_positive[key] for key in keys])
        if not 0 < labels.sum() < len(labels):
            continue
        names = list(found.scores)
        scores_NT = np.array([[found.scores[name][key] for name in names] for key in keys])
        drawn = resampler(len(keys), n_replicates=replicates, seed=0)
        ranked = rank_metrics(np.repeat(labels[:, None], len(names), axis=1), scores_NT, drawn)
        for place, ((model, window, layout), score) in enumerate(names):
            row = {"model": model, "window": window, "layout": layout, "region": region}
            row |= {"score": score, "n_positive": labels.sum(), "n_negative": (~labels).sum()}
            for metric in METRICS:
                value = ranked[metric].of(place).within(0, 1)
                ends = (("", value.value), ("_low", value.low), ("_high", value.high))
                row |= {f"{metric}{end}": f"{number:.4f}" for end, number in ends}
            yield row


def draw(rows: list[dict[str, str | int | float]], path: Path) -> None:
    """AUROC by score, a panel per region class and a colour per run."""
    sizes = {r["region"]: int(r["n_positive"]) + int(r["n_negative"]) for r in rows}
    regions = sorted(sizes, key=lambda region: -sizes[region])[:_MOST_PANELS]
    scores = list(dict.fromkeys(r["score"] for r in rows))
    found = dict.fromkeys((r["model"], r["window"], r["layout"]) for r in rows)
    runs = sorted(found, key=lambda run: run == NO_MODEL)
    width = min(3, len(regions))
    figure = new_figure(
        0.8 + width * (1.6 + 0.28 * len(scores)), 0.5 + 2.9 * -(-len(regions) // width)
    )
    panels = figure.subplots(-(-len(regions) // width), width, sharey=True, squeeze=False).flat
    for region, axes in zip(regions, panels, strict=False):
        for number, run in enumerate(runs):
            mine = [
                r
                for r in rows
                if r["region"] == region and run == (r["model"], r["window"], r["layout"])
            ]
            shift = 0.0 if run == NO_MODEL else 0.5 * ((number + 0.5) / len(runs) - 0.5)
            at = [scores.index(r["score"]) + shift for r in mine]
            value, low, high = (
                np.array([float(r[f"auroc{end}"]) for r in mine]) for end in ("", "_low", "_high")
            )
            errors = np.clip([value - low, high - value], 0, None)
            colour = "0.5" if run == NO_MODEL else f"C{number}"
            label = "no model" if run == NO_MODEL else f"{run[0]}, window {run[1]}"
            axes.errorbar(
                at, value, yerr=errors, fmt="o", markersize=3.5, color=colour, label=label
            )
        one = next(r for r in rows if r["region"] == region)
        axes.set_title(f"{region} ({one['n_positive']:,} / {one['n_negative']:,})", fontsize=9)
        axes.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
        axes.set_xticks(range(len(scores)), scores, rotation=45, ha="right", fontsize=8)
    for axes in list(panels):
        axes.remove()
    figure.axes[0].set_ylabel("AUROC (95 % intervals)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=3, fontsize=8)
    save_figure(figure, path, overwrite=True)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="MODEL=VCF")
    parser.add_argument("--label", default="CLASS", help="INFO key of the labels")
    parser.add_argument("--positive", required=True, help="labels by commas")
    parser.add_argument("--negative", required=True, help="labels by commas")
    parser.add_argument("--fasta", required=True)
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument("--genes", type=Path)
    classes.add_argument("--regions", type=Path)
    classes.add_argument("--region-info")
    parser.add_argument("--also", type=lambda text: text.split(","), default=[], metavar="KEY,...")
    parser.add_argument("--snvs", action="store_true", help="leave other alleles out")
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Read, judge, write, draw."""
    given, found = arguments(), Labelled()
    with Genome(given.fasta) as genome:
        places = Places(given, genome)
        for run in given.runs:
            model, _, path = run.rpartition("=")
            read(Path(path), model, given, places, found)
    rows = list(rows_of(found, given.replicates))
    if not rows:
        sys.exit(
            f"no alleles of both labels have all scores; {len(found.is_positive):,} have a label"
        )
    with TsvWriter(str(given.output), columns=COLUMNS, overwrite=True) as table:
        for row in rows:
            table.write_row(tuple(row[name] for name in COLUMNS))
    draw(rows, given.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
