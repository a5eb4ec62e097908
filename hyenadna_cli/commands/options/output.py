"""Where a run over records writes, and the options about that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.core.config.texts import parse_seconds
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.io.records import RecordSource
    from hyenadna_cli.core.outputs.restarts import RunOutput


def _resolve_shard(text: str | None) -> str | None:
    """`auto` as `i/N`; anything else as it is."""
    if text != "auto":
        return text
    from hyenadna_cli.core.outputs.shards import Shard

    return str(Shard.of_array_task(os.environ))


def _use_tmp_dir(directory: Path | None) -> Path | None:
    if directory is not None and not directory.is_dir():
        raise typer.BadParameter(f"{directory} is not a directory")
    atomic.scratch_directory.set(directory)
    return directory


OutputOption = Annotated[
    str,
    typer.Option(
        "-o", "--output", metavar="FILE|-", help="File to write; its suffix decides the format."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Continue an interrupted run, if there is one."),
]
MaxTimeOption = Annotated[
    float | None,
    Flag(
        "--max-time",
        "Stop cleanly after this time (90 = minutes, 01:25:00; exit 143); --resume continues.",
        metavar="TIME",
        parse=parse_seconds,
    ),
]
TmpDirOption = Annotated[
    Path | None,
    typer.Option(
        "--tmp-dir",
        envvar="HYENADNA_TMPDIR",
        callback=_use_tmp_dir,
        help="Keep the unfinished output here, such as on a node's own disk; copied at the end.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="i/N|auto",
        callback=_resolve_shard,
        help="Process part i of N of the input; auto: as this Slurm, LSF or SGE array job says.",
    ),
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
        "--no-version",
        help="Leave out command, date, versions and device, so that equal runs give equal bytes.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """The output of a run, what may become of an older one, and what is written beside it."""

    HEADING: ClassVar[str] = "Output"

    output: OutputOption = "-"
    force: ForceOption = False
    resume: ResumeOption = False
    max_time: MaxTimeOption = None
    """Seconds."""
    tmp_dir: TmpDirOption = None
    """Already in use: `atomic.scratch_directory`."""
    shard: ShardOption = None
    strict: StrictOption = False
    stats: StatsOption = None
    no_version: NoVersionOption = False

    @property
    def is_stream(self) -> bool:
        """Whether the output is stdout, a pipe or a device."""
        return atomic.is_stream(self.output)

    @property
    def path(self) -> Path:
        """The output as a path."""
        return Path(self.output)

    def as_output(self) -> RunOutput:
        """What of this decides where a run goes on."""
        from hyenadna_cli.core.outputs.restarts import RunOutput

        return RunOutput(name=self.output, shard=self.shard, resume=self.resume, force=self.force)

    def check(self) -> None:
        """Refuse what cannot be, before any work: OutputError, or UsageError for a bad --shard."""
        if self.shard is not None:
            from hyenadna_cli.core.outputs.shards import Shard

            Shard.parse(self.shard)
        from hyenadna_cli.core.outputs.provenance import check_manifest

        if not self.is_stream:
            atomic.check_output(self.path, overwrite=self.force or self.resume)
            check_manifest(self.path, overwrite=self.force)
        if self.stats is not None:
            atomic.check_output(self.stats, overwrite=True)

    def select(self, source: RecordSource) -> range | None:
        """The records of this shard; None for all. Raises UsageError for a shard of a stream."""
        from hyenadna_cli.core.outputs.shards import Shard, shard_range

        if self.shard is None:
            return None
        shard = Shard.parse(self.shard)
        if source.lengths is None:
            raise UsageError(f"--shard {shard} needs a file; stdin and pipes can be read only once")
        return shard_range(source.lengths, shard)
