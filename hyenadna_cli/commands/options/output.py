"""Where a run over records writes, and the options about that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.io.records import RecordSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """The output of a run, what may become of an older one, and what is written beside it."""

    HEADING: ClassVar[str] = "Output"

    output: opt.OutputOption = "-"
    force: opt.ForceOption = False
    resume: opt.ResumeOption = False
    max_time: opt.MaxTimeOption = None
    """Seconds."""
    tmp_dir: opt.TmpDirOption = None
    """Already in use: `atomic.scratch_directory`."""
    shard: opt.ShardOption = None
    strict: opt.StrictOption = False
    stats: opt.StatsOption = None
    no_version: opt.NoVersionOption = False

    @property
    def is_stream(self) -> bool:
        """Whether the output is stdout, a pipe or a device."""
        return atomic.is_stream(self.output)

    @property
    def path(self) -> Path:
        """The output as a path."""
        return Path(self.output)

    def check(self) -> None:
        """Refuse what cannot be, before any work: OutputError, or UsageError for a bad --shard."""
        if self.shard is not None:
            from hyenadna_cli.core.outputs.shards import Shard

            Shard.parse(self.shard)
        if not self.is_stream:
            atomic.check_output(self.path, overwrite=self.force or self.resume)
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
