"""`hyenadna generate`: sample DNA from the model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.record_run import (
    Account,
    Destination,
    exit_code_when_out_of_memory,
    write_rows,
)
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.dna.sequence import LetterCounts
    from hyenadna_cli.core.inference.generation import Generated, Sampling
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.outputs.sinks import Sink

_FASTA = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz")
_LINE = 60


@with_option_groups
def generate(
    *,
    length: Annotated[
        int,
        typer.Option(
            "--length",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Bases to sample for each sequence, its prompt not counted.",
        ),
    ],
    sequences: Annotated[
        int, typer.Option("--sequences", min=1, help="Sequences to sample from each prompt.")
    ] = 1,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="ACGT", help="What the sequences start with.")
    ] = None,
    fasta: Annotated[
        str | None,
        typer.Option("--fasta", metavar="FILE|-", help="Prompts, one a record (FASTA, FASTQ ...)."),
    ] = None,
    output: opt.OutputOption = "-",
    include_prompt: Annotated[
        bool, typer.Option("--include-prompt", help="Write each prompt before what follows it.")
    ] = False,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Divides the logits; 0: the most likely base.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Draw from the k most likely bases only.")
    ] = None,
    top_p: Annotated[
        float,
        typer.Option("--top-p", help="Draw from the most likely bases that reach this together."),
    ] = 1.0,
    allow_n: Annotated[
        bool, typer.Option("--allow-n", help="Let N be drawn; without it only A, C, G and T.")
    ] = False,
    seed: opt.SeedOption = 0,
    model: opt.ModelOption = "builtin",
    request: ModelRequest,
    batch_size: Annotated[
        str, typer.Option("--batch-size", metavar="auto|N", help="Sequences sampled together.")
    ] = "auto",
    compute: ComputeRequest,
    force: opt.ForceOption = False,
    resume: opt.ResumeOption = False,
    max_time: opt.MaxTimeOption = None,
    tmp_dir: opt.TmpDirOption = None,
    dry_run: opt.DryRunOption = False,
    stats: opt.StatsOption = None,
    no_version: opt.NoVersionOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Sample DNA from a model: from nothing, or as a continuation of prompts.

    Writes FASTA, the sequences of a prompt one after the other: generated_1, generated_2 ..., or
    the name of the prompt's record and _1, _2 ..., with -1, -2 ... behind one that repeats. A
    sequence depends on --seed and its number, not on which others are sampled with it. Without a
    prompt the first base is drawn with equal probabilities, whatever --temperature, --top-k and
    --top-p are: before it there is nothing that the model could go by.

      hyenadna generate --length 200 --sequences 3 --prompt TATAAA --include-prompt --seed 1
    """
    if prompt is not None and fasta is not None:
        raise UsageError("--prompt and --fasta exclude each other")
    if not (output.endswith(_FASTA) or is_stream(output)):
        raise UsageError(f"-o {output}: generate writes FASTA; use one of {' '.join(_FASTA)}")
    sampling = _sampling(temperature, top_k, top_p, seed, allow_n)
    batch = opt.parse_batch_size(batch_size)
    destination = Destination(
        output=output,
        force=force,
        resume=resume,
        stats=stats,
        no_version=no_version,
        max_time=max_time,
    )
    destination.check()
    with exit_code_when_out_of_memory(compute.oom_exit_code):
        prompts = _read_prompts(prompt, fasta)
        chosen = request.choose(compute)
        _check_lengths(prompts, length, chosen)
        work = _Work(prompts, length, sequences, sampling, batch, include_prompt)
        if dry_run:
            work.print_plan(chosen)
            return
        made_by = work.made_by(destination, chosen, [] if fasta is None else [fasta])
        if not destination.is_done(made_by):
            work.run(destination, chosen, made_by)


@dataclass(frozen=True, slots=True)
class _Prompts:
    names: list[str]
    sequences: list[str]
    letters: LetterCounts


@dataclass(frozen=True, slots=True)
class _Work:
    """What to sample, all checks passed."""

    prompts: _Prompts
    length: int
    n_sequences: int
    sampling: Sampling
    batch_size: int | None
    include_prompt: bool

    def print_plan(self, model: ChosenModel) -> None:
        from hyenadna_cli.core.inference.generation import decoder_bytes, sequences_together

        n_together = self.batch_size or sequences_together(
            model.config, model.run.device, length=self.length
        )
        n_together = min(n_together, self.n_sequences)
        n_bytes = n_together * decoder_bytes(model.config, length=self.length)
        n_all = self.n_sequences * len(self.prompts.names)
        for name, value in (
            ("prompts", len(self.prompts.names)),
            ("sequences", n_all),
            ("bases", n_all * self.length),
            ("batches", -(-self.n_sequences // n_together) * len(self.prompts.names)),
            ("peak_memory_mb", -(-n_bytes // 1_000_000)),
        ):
            typer.echo(f"{name}\t{value}")

    def made_by(
        self, destination: Destination, model: ChosenModel, inputs: list[str]
    ) -> Provenance:
        from hyenadna_cli.core.outputs import provenance

        prompt = self.prompts.sequences[0] if not inputs else None
        return provenance.collect(
            command=["hyenadna", *sys.argv[1:]],
            settings={
                **asdict(self.sampling),
                "length": self.length,
                "sequences": self.n_sequences,
                "prompt": prompt,
                "include_prompt": self.include_prompt,
                "batch_size": self.batch_size or "auto",
                **model.settings(),
            },
            inputs=inputs,
            model=model.identity(),
            device=model.run.device_name,
            reproducible=destination.no_version,
        )

    def run(self, destination: Destination, model: ChosenModel, made_by: Provenance) -> None:
        from hyenadna_cli.core.inference.generation import generate as generate_sequences
        from hyenadna_cli.core.outputs.sinks import open_sink

        account = Account(command="generate")
        is_bgzip = destination.output.endswith(".gz")
        with destination.journal(made_by) as journal:
            rows = generate_sequences(
                model.load(),
                self.prompts.sequences,
                length=self.length,
                n_sequences=self.n_sequences,
                sampling=self.sampling,
                batch_size=self.batch_size,
                journal=journal,
            )
            overwrite = destination.force or journal.is_resumed
            with open_sink(destination.output, overwrite=overwrite, is_bgzip=is_bgzip) as sink:
                write_rows(
                    rows,
                    self._writer(sink, account),
                    destination=destination,
                    label="generating",
                    n_bases=self.n_sequences * len(self.prompts.names) * self.length,
                )
            account.close(destination, made_by, model=model, letters=self.prompts.letters)

    def _writer(self, sink: Sink, account: Account) -> Callable[[Generated], None]:
        from hyenadna_cli.core.io.unique_names import UniqueNames

        names = UniqueNames()

        def write(row: Generated) -> None:
            name = names.unique(f"{self.prompts.names[row.prompt]}_{row.number + 1}")
            front = self.prompts.sequences[row.prompt] if self.include_prompt else ""
            sequence = front + row.sequence
            lines = [sequence[i : i + _LINE] for i in range(0, len(sequence), _LINE)]
            sink.write("".join(f"{line}\n" for line in (f">{name}", *lines)).encode())
            account.add(name, "OK", len(row.sequence))

        return write


def _sampling(
    temperature: float, top_k: int | None, top_p: float, seed: int, allow_n: bool
) -> Sampling:
    from hyenadna_cli.core.inference.generation import Sampling

    try:
        return Sampling(
            temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, allow_n=allow_n
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _read_prompts(prompt: str | None, fasta: str | None) -> _Prompts:
    from hyenadna_cli.core.dna.sequence import LetterCounts, LetterError, clean
    from hyenadna_cli.core.io.records import RecordSource

    if fasta is not None:
        with RecordSource(fasta) as source:
            records = list(source.read())
            return _Prompts(
                [r.name for r in records], [r.sequence for r in records], source.letters
            )
    try:
        cleaned = clean(prompt or "")
    except LetterError as error:
        raise UsageError(f"--prompt: {error}") from error
    letters = LetterCounts()
    letters.add(cleaned)
    return _Prompts(["generated"], [cleaned.sequence.upper()], letters)


def _check_lengths(prompts: _Prompts, length: int, model: ChosenModel) -> None:
    """Raises CheckpointError if the model cannot read a prompt and what is to follow it."""
    if length < 1:
        raise UsageError(f"--length {length}: sample at least 1 base")
    limit = model.config.l_max
    for name, sequence in zip(prompts.names, prompts.sequences, strict=True):
        if len(sequence) + length > limit:
            framed = f" after the {len(sequence):,} of prompt {name!r}" if sequence else ""
            raise CheckpointError(
                f"{length:,} bases{framed}: {model.source.name} reads at most {limit:,}; "
                "ask for fewer, or use a model with a longer context"
            )
