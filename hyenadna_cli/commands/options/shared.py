"""Option types that mean the same in every command."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from hyenadna_cli.core.dna import coordinates
from hyenadna_cli.core.outputs import atomic

DtypeRequest = Literal["auto", "fp32", "bf16"]
KernelsRequest = Literal["auto", "torch", "numba", "triton", "triton-fp16"]
Specials = Literal["none", "sep", "cls-sep"]


def parse_bases(text: str) -> int:
    """A number of bases: `32768`, `32k` = 32,000, `1m` = 1,000,000."""
    try:
        return coordinates.parse_bases(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def parse_seconds(text: str) -> float:
    """A time: `90` minutes, `01:25:00` hours, minutes and seconds, or `2-00:00:00` with days."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+)(?::(\d+))?", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a time such as 90 (minutes) or 01:25:00")
    if ":" not in text:
        return 60.0 * int(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if match[4] is None:
        hours, minutes, seconds = 0, hours, minutes
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def parse_batch_size(text: str) -> int | None:
    """`auto` (None) or a number of sequences."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number of sequences")
    return int(text)


def _resolve_shard(text: str | None) -> str | None:
    """`auto` as `i/N`; anything else as it is."""
    if text != "auto":
        return text
    from hyenadna_cli.core.outputs.shards import Shard

    return str(Shard.of_array_task(os.environ))


def _use_tmp_dir(directory: Path | None) -> Path | None:
    if directory is not None and not directory.is_dir():
        raise typer.BadParameter(f"{directory} is no directory")
    atomic.scratch_directory.set(directory)
    return directory


def _set_verbose(count: int) -> int:
    if count:
        logging.getLogger().setLevel(logging.DEBUG)
    return count


def _set_quiet(is_quiet: bool) -> bool:
    if is_quiet:
        logging.getLogger().setLevel(logging.ERROR)
    return is_quiet


ModelOption = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|DIR",
        help="builtin, a published name (hyenadna models list), a Hugging Face id, or a directory.",
    ),
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", help="Hub revision; published names pin one.")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Never touch the network (also HF_HUB_OFFLINE=1).")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache-dir", envvar="HYENADNA_CACHE", help="Where downloaded models are kept."),
]
FilterShiftOption = Annotated[
    float | None,
    typer.Option(
        "--filter-shift",
        help="Override the filters' window shift: 0.05 official inference, 0.0 official training.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.")
]
DtypeOption = Annotated[
    DtypeRequest,
    typer.Option("--dtype", help="Of the matrix products; auto: fp32, in training bf16 if fast."),
]
KernelsOption = Annotated[
    KernelsRequest,
    typer.Option(
        "--kernels", help="Implementation of the Hyena operators; triton-fp16 with --dtype bf16."
    ),
]
BatchSizeOption = Annotated[
    str, typer.Option("--batch-size", metavar="auto|N", help="Windows per forward pass.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        envvar="SLURM_CPUS_PER_TASK",
        help="CPU threads; default: those this process may use.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")]
FastaOption = Annotated[
    str,
    typer.Option(
        "--fasta",
        metavar="FILE|-",
        help="FASTA, FASTQ, GenBank or 2bit, plain, gzip or bgzip; with --bed an indexed FASTA.",
    ),
]
BedOption = Annotated[
    str | None,
    typer.Option("--bed", metavar="FILE|-", help="Regions (BED: 0-based, half-open)."),
]
ContigMapOption = Annotated[
    Literal["exact", "auto"],
    typer.Option("--contig-map", help="auto: also match chr1 with 1 and chrM with MT."),
]
RenameChrsOption = Annotated[
    Path | None,
    typer.Option("--rename-chrs", help="Two columns: contig name in the BED, name in the FASTA."),
]
StrandOption = Annotated[
    Literal["bed", "+", "-", "both"] | None,
    typer.Option("--strand", help="Strand to read; default bed where the BED has one, else +."),
]
SpecialsOption = Annotated[
    Specials,
    typer.Option("--specials", help="Framing tokens; cls-sep is what the official script feeds."),
]
WindowOption = Annotated[
    int | None,
    typer.Option(
        "--window",
        parser=parse_bases,
        metavar="BASES",
        help="Cut longer sequences into windows of this many bases; default: the model's limit.",
    ),
]
StrideOption = Annotated[
    int | None,
    typer.Option(
        "--stride",
        parser=parse_bases,
        metavar="BASES",
        help="Between windows; default: no overlap.",
    ),
]
OutputOption = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE|-", help="The suffix decides the kind.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted run stopped, if there is one."),
]
MaxTimeOption = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        parser=parse_seconds,
        metavar="TIME",
        help="Stop cleanly after this time (90 = minutes, 01:25:00); --resume goes on.",
    ),
]
TmpDirOption = Annotated[
    Path | None,
    typer.Option(
        "--tmp-dir",
        envvar="HYENADNA_TMPDIR",
        callback=_use_tmp_dir,
        help="Write the unfinished output here, such as a node's own disk, and copy it at the end.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="i/N|auto",
        callback=_resolve_shard,
        help="Only the i-th of N parts of the input; auto: of the Slurm, LSF or SGE array.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check the inputs, print the plan, and stop.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 5 when anything was skipped.")]
StatsOption = Annotated[
    Path | None,
    typer.Option(
        "--stats", help="Write counts, times and settings as JSON; for MultiQC as X_mqc.json."
    ),
]
NoVersionOption = Annotated[
    bool,
    typer.Option(
        "--no-version", help="Leave command, date, versions and device out, for equal bytes."
    ),
]
OomExitCodeOption = Annotated[
    int,
    typer.Option(
        "--oom-exit-code", min=1, max=255, help="Exit code when the device is out of memory."
    ),
]
VerboseOption = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, callback=_set_verbose, help="Say more on stderr."),
]
QuietOption = Annotated[
    bool, typer.Option("-q", "--quiet", callback=_set_quiet, help="Errors only on stderr.")
]
