"""`hyenadna generate`: sample DNA from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import BatchedCompute, ModelRequest
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.core.inference.sampling import Prompts, PromptSettings, Sampling
from hyenadna_cli.core.io.fasta_writing import check_fasta_name, open_fasta_output
from hyenadna_cli.core.outputs.counts import Counts

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Done
    from hyenadna_cli.core.inference.generation import Generated
    from hyenadna_cli.core.outputs.journal import Journal


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compute(BatchedCompute):
    batch_size: Annotated[
        str, typer.Option("--batch-size", metavar="auto|N", help="Sequences sampled together.")
    ] = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Destination(Destination):
    shard: None = None
    strict: bool = False


@with_option_groups
def generate(
    *,
    prompts: PromptSettings,
    sampling: Sampling,
    request: ModelRequest,
    compute: _Compute,
    destination: _Destination,
    run: RunOptions,
) -> None:
    """Sample DNA from a model: from nothing, or as a continuation of prompts.

    Writes FASTA, the sequences of a prompt one after the other: generated_1, generated_2 ..., or
    the name of the prompt's record and _1, _2 ..., with -1, -2 ... behind one that repeats. A
    sequence depends on --seed and its number, not on which others are sampled with it. Without a
    prompt the first base is drawn with equal probabilities, whatever --temperature, --top-k and
    --top-p are: before it there is nothing that the model could go by.

      hyenadna generate --length 200 --sequences 3 --prompt TATAAA --include-prompt --seed 1
    """
    from hyenadna_cli.core.inference import generation

    check_fasta_name(destination.output, writer="generate")
    batch_size = compute.n_windows
    destination.check()
    with compute.memory_errors():
        starts = prompts.read()
        model = request.choose(compute)
        named = zip(starts.names, starts.sequences, strict=True)
        generation.check_lengths(named, prompts.length, model.config, model_name=model.source.name)
        plan = generation.plan_generation(
            model.config,
            model.run.device,
            n_prompts=len(starts.names),
            n_sequences=prompts.sequences,
            length=prompts.length,
            batch_size=batch_size,
        )
        settings = {
            **asdict(sampling),
            "length": prompts.length,
            "sequences": prompts.sequences,
            "prompt": None if prompts.fasta is not None else starts.sequences[0],
            "include_prompt": prompts.include_prompt,
            "batch_size": batch_size or "auto",
        }
        record_run = RecordRun(
            label="generating",
            destination=destination,
            model=model,
            inputs=[] if prompts.fasta is None else [prompts.fasta],
            settings=settings,
            counts=Counts(command="generate"),
            letters=starts.letters,
            n_bases=plan["bases"],
            plan=plan if run.dry_run else None,
        )
        _sample(record_run, prompts, starts, sampling, batch_size)


def _sample(
    run: RecordRun,
    options: PromptSettings,
    prompts: Prompts,
    sampling: Sampling,
    batch_size: int | None,
) -> None:
    from hyenadna_cli.core.inference.generation import generate

    def rows(journal: Journal) -> Iterator[Done[Generated]]:
        # A batch goes on to the last base: to be timed, it is cut short, after one that warms up.
        lengths = (options.length,) if run.plan is None else (16, min(128, options.length))
        model = run.model.load()
        for length in lengths:
            yield from generate(
                model,
                prompts.sequences,
                length=length,
                n_sequences=options.sequences,
                sampling=sampling,
                batch_size=batch_size,
                journal=journal,
            )

    run.write(
        rows,
        writer=lambda _, overwrite: _writer(
            run.destination.output, overwrite, prompts, options.include_prompt
        ),
        count=lambda row: run.counts.add(
            f"{prompts.names[row.prompt]}_{row.number + 1}", "OK", len(row.sequence)
        ),
    )


@contextmanager
def _writer(
    output: str, overwrite: bool, prompts: Prompts, include_prompt: bool
) -> Iterator[Callable[[Generated], None]]:
    with open_fasta_output(output, overwrite=overwrite) as write:

        def write_sequence(row: Generated) -> None:
            front = prompts.sequences[row.prompt] if include_prompt else ""
            write(f"{prompts.names[row.prompt]}_{row.number + 1}", front + row.sequence)

        yield write_sequence
