"""Where a score stands among those of random SNVs of the same trinucleotide change.

    percentile = 100 x (SNVs of the background that score less + half of those that score the same)
                 / SNVs of the background

of the one score that background and run have both: llr, else site. Only SNVs have one: an indel's
score depends on its length and what it repeats, for which a background of SNVs says nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.dna.trinucleotides import CHANGES, trinucleotide_change
from hyenadna_cli.core.inference.batching import Done
from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.io.background_h5 import BackgroundFile, read_background
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.input_files import read_input
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.variants.allele_rows import flanks
from hyenadna_cli.core.variants.alleles import SCORED
from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
from hyenadna_cli.core.variants.sites import Scored
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_RANKED: tuple[Score, ...] = ("llr", "site")
_FEWEST = 20
"""SNVs of a change that a percentile can be of."""


def genome_identity(fasta: Path | str) -> str:
    """What tells the content of a FASTA, whatever it is called."""
    file = read_input(fasta)
    return f"{file.size} bytes, SHA-256 {file.sha256 or file.sampled_sha256}"


def what_counts(model: ChosenModel, settings: ScoreSettings) -> dict[str, Setting]:
    """What a background and a run must have in common, besides the genome."""
    described = settings.described()
    left_out = ("scores", "allele", "pooling", "layer", "exclude", "max_n_frac")
    kept = {name: value for name, value in described.items() if name not in left_out}
    return {**kept, "filter_shift": model.filter_shift, "dtype": model.run.describe()["dtype"]}


class Background:
    """The scores of random SNVs by their change. Raises InputFileError for a file that is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BackgroundFile = read_background(path)

    def check(self, model: ChosenModel, settings: ScoreSettings, fasta: Path | str) -> None:
        """Raise InputFileError unless it was made with this model, genome and these settings.

        Raises UsageError if the run does not have the score that it ranks.
        """
        attrs = self._file.attrs
        if attrs.get("sha256") != model.source.sha256:
            raise InputFileError(
                self.path,
                f"is of another model: it was made with {attrs.get('model')}, whose weights are "
                f"not those of {model.source.name}",
            )
        if attrs["genome"] != genome_identity(fasta):
            raise InputFileError(self.path, f"is of another genome than {fasta}")
        for name, value in what_counts(model, settings).items():
            now = ",".join(map(str, value)) if isinstance(value, list) else value
            if attrs.get(name) != now:
                raise InputFileError(
                    self.path, f"is of other settings: {name} was {attrs.get(name)}, not {now}"
                )
        self.ranked(settings)

    def ranked(self, settings: ScoreSettings) -> Score:
        """The score that percentiles are of. Raises UsageError if the run does not have it."""
        for score in _RANKED:
            if score in self._file.scores and score in settings.scores:
                return score
        stored = ", ".join(name for name in _RANKED if name in self._file.scores)
        raise UsageError(f"--background has {stored or 'no llr or site'}: add it to --scores")

    def by_change(self, score: Score) -> Mapping[str, NDArray[np.float64]]:
        """The scores of each change, sorted."""
        values = self._file.scores[score]
        is_scored = np.isin(self._file.columns["status"], sorted(SCORED)) & np.isfinite(values)
        changes = self._file.columns["change"]
        return {change: np.sort(values[is_scored & (changes == change)]) for change in CHANGES}


def percentile(sorted_scores: NDArray[np.float64], score: float) -> float:
    """From 0 to 100; of scores that are all the same 50."""
    less = int(np.searchsorted(sorted_scores, score, side="left"))
    up_to = int(np.searchsorted(sorted_scores, score, side="right"))
    return 50.0 * (less + up_to) / len(sorted_scores)


def with_percentiles(
    batches: Iterable[Done[Scored]],
    background: Background,
    genome: Genome,
    settings: ScoreSettings,
    without: Counter[str],
) -> Iterator[Done[Scored]]:
    """The same records, their alleles with `pct`; says at the end how many have none, and why.

    `without` counts them by the reason.
    """
    score = background.ranked(settings)
    by_change = background.by_change(score)
    for done in batches:
        rows: list[Scored] = []
        for record, site, alleles in done.rows:
            before, after = flanks(site.variant, genome) if alleles else ("", "")
            ranked: list[AlleleScore] = []
            for alt, allele in zip(record.alts, alleles, strict=True):
                value, reason = math.nan, ""
                if allele.status in SCORED:
                    change = trinucleotide_change(record.ref, alt, before, after)
                    value, reason = _ranked(allele.values[score], change, by_change)
                    if not len(record.ref) == len(alt) == 1:
                        reason = "not an SNV"
                    if reason:
                        without[reason] += 1
                more = {**allele.more, "pct": value}
                ranked.append(dataclasses.replace(allele, more=more))
            rows.append((record, site, ranked))
        yield Done(done.n_bases, rows)
    if without:
        told = ", ".join(f"{n:,} {reason}" for reason, n in without.items())
        log.info("%s scored alleles have no HD_PCT: %s", f"{sum(without.values()):,}", told)


def _ranked(
    score: float, change: str | None, by_change: Mapping[str, NDArray[np.float64]]
) -> tuple[float, str]:
    """The percentile, or why there is none."""
    if change is None:
        return math.nan, "beside N or the end of a contig"
    if math.isnan(score):
        return math.nan, "without the score"
    if len(by_change[change]) < _FEWEST:
        return math.nan, f"of a change with fewer than {_FEWEST} random SNVs"
    return percentile(by_change[change], score), ""
