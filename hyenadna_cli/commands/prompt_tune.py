"""`hyenadna prompt-tune`: teach a model a task by what stands before the input."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.labelled import DataOption, LabelledFiles
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.record_run import exit_code_when_out_of_memory
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.commands.reporting.training_counts import TrainingAccount
from hyenadna_cli.errors import InputFileError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.tasks.labelled.rows import LabelledData
    from hyenadna_cli.core.tasks.prompts.few_shot import FewShotConfig
    from hyenadna_cli.core.tasks.prompts.tuning import PromptConfig
    from hyenadna_cli.core.training.loop import StepReport

log = logging.getLogger(__name__)


def parse_words(text: str) -> dict[str, str]:
    """`CLASS=WORD,...`."""
    pairs = (part.partition("=")[::2] for part in text.split(","))
    words = {name.strip(): word.strip() for name, word in pairs}
    if not all(words.values()) or len(words) < len(text.split(",")):
        raise typer.BadParameter(f"{text!r} is not CLASS=WORD,CLASS=WORD,...")
    return {name: word.upper() for name, word in words.items()}


@with_option_groups
def prompt_tune(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Run directory, then prompt directory.")
    ],
    data: DataOption,
    files: LabelledFiles,
    label_column: Annotated[
        str | None, typer.Option("--label-column", help="Column of a table that has the classes.")
    ] = None,
    model: opt.ModelOption = "builtin",
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="Soft prompt tokens, 1 to 32,768; default 32.")
    ] = None,
    init: Annotated[
        Literal["vocabulary", "random"] | None,
        typer.Option(
            "--init", help="First vectors: embeddings of random bases (default), or noise."
        ),
    ] = None,
    label_words: Annotated[
        Any,
        typer.Option(
            "--label-words",
            parser=parse_words,
            metavar="CLASS=WORD,...",
            help="Words of A, C, G, T, N that stand for the classes; default: single letters.",
        ),
    ] = None,
    head: Annotated[
        bool, typer.Option("--head", help="Answer with a linear head in place of words.")
    ] = False,
    pooling: Annotated[
        Literal["mean", "last", "first", "max"],
        typer.Option("--pool", help="What --head reads of the bases' hidden states."),
    ] = "mean",
    examples: Annotated[
        int | None, typer.Option("--examples", min=1, help="Training rows to tune on; default all.")
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=0,
            help="No soft prompt: so many demonstrations of each class before every sequence.",
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option("--samples", min=0, help="With --shots: tune all weights on so many samples."),
    ] = 0,
    epochs: Annotated[float | None, typer.Option("--epochs", help="At most; default 10.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", min=1, help="Sequences per step: 32, with --shots 2 unless given."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--lr", help="Peak learning rate: 1e-2, with --shots 1e-4 unless given."),
    ] = None,
    reverse_complement: Annotated[
        bool | None,
        typer.Option("--rc-aug/--no-rc-aug", help="Tune on a random strand of each sequence."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience", min=1, help="Validations without gain that end the run; default 4."
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Cut longer sequences around their middle.",
        ),
    ] = None,
    seed: opt.SeedOption = 0,
    model_request: ModelRequest,
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Teach a model a task by soft prompt tokens, or by demonstrations, before its input.

    The model stays as it is; learned vectors before the input make it answer each sequence with the
    word of its class. Writes prompt.safetensors (the vectors, the words, the hash of the model they
    belong to) and training.json with the metrics of all held-out rows; predict reads the directory
    with -m. With --shots, demonstrations X SEP Y SEP take the place of the vectors, and --samples
    tunes all weights on so many examples of that.

      hyenadna prompt-tune --data test_data/labelled.csv --tokens 8 --epochs 1 -o prompt
    """
    from hyenadna_cli.core.outputs import provenance
    from hyenadna_cli.core.tasks.finetuning.data import open_data
    from hyenadna_cli.core.tasks.prompts.few_shot import FewShotConfig
    from hyenadna_cli.core.tasks.prompts.run_plan import plan
    from hyenadna_cli.core.tasks.prompts.tuning import PromptConfig

    if shots is None and samples:
        raise UsageError("--samples goes with --shots; soft prompts have --examples")
    of_prompts = tr.given(
        {
            "--tokens": tokens,
            "--init": init,
            "--head": head or None,
            "--examples": examples,
            "--epochs": epochs,
            "--rc-aug": reverse_complement,
            "--patience": patience,
        }
    )
    if shots is not None and of_prompts:
        raise UsageError(
            f"--shots answers with words after demonstrations: no {', '.join(of_prompts)}"
        )
    steps = tr.given({"batch_size": batch_size, "learning_rate": learning_rate})
    request = files.request(data, label_columns=(label_column,) if label_column else ())
    run_directory.check()
    with exit_code_when_out_of_memory(compute.oom_exit_code), open_data(request) as rows:
        words = _words(label_words, rows, is_needed=not head)
        chosen = model_request.choose(compute, training=True)
        try:
            config: PromptConfig | FewShotConfig
            if shots is None:
                chosen_settings = tr.given(
                    {
                        "n_tokens": tokens,
                        "init": init,
                        "n_examples": examples,
                        "epochs": epochs,
                        "reverse_complement": reverse_complement,
                        "patience": patience,
                    }
                )
                config = PromptConfig(
                    words=words, pooling=pooling, seed=seed, **chosen_settings, **steps
                )
            else:
                config = FewShotConfig(
                    n_shots=shots, n_samples=samples, words=words, seed=seed, **steps
                )
        except ValueError as error:
            raise UsageError(str(error)) from error
        checked = _checked(rows, config, chosen, max_length)
        log.info("%s", checked.describe())
        if dry_run:
            typer.echo(plan(checked, config, chosen.config))
            return
        inputs = [source.path for source in checked.sources]
        made_by = provenance.collect(
            command=None if run_directory.no_version else ["hyenadna", *sys.argv[1:]],
            settings=chosen.settings(),
            inputs=inputs if files.fasta is None else [*inputs, files.fasta],
            model=chosen.identity(),
            device=chosen.run.device_name,
            reproducible=run_directory.no_version,
        )
        with run_directory.claimed():
            account = TrainingAccount(command="prompt-tune")
            _run(checked, config, chosen, run_directory, made_by, account)
            account.close(
                run_directory,
                made_by,
                split_sizes=checked.split_sizes,
                device=chosen.run.device_name,
                model=chosen.identity(),
            )


def _words(given: dict[str, str] | None, data: LabelledData, *, is_needed: bool) -> tuple[str, ...]:
    """A word for each class; none for a head. Raises UsageError for words that do not fit."""
    from hyenadna_cli.core.tasks.prompts.soft_prompt import check_words, default_words

    if data.task not in ("binary", "multiclass"):
        raise UsageError(f"prompts answer with classes; these labels are a {data.task} task")
    if not is_needed:
        if given is not None:
            raise UsageError("--head answers without words: no --label-words")
        return ()
    if given is None:
        return default_words(data.n_outputs)
    if set(given) != set(data.label_names):
        raise UsageError(
            f"--label-words names the classes {', '.join(given)}; the data have "
            f"{', '.join(data.label_names)}"
        )
    words = tuple(given[name] for name in data.label_names)
    check_words(words, data.label_names)
    return words


def _checked(
    rows: LabelledData,
    config: PromptConfig | FewShotConfig,
    chosen: ChosenModel,
    max_length: int | None,
) -> LabelledData:
    """The rows to use. Raises CheckpointError and InputFileError for what cannot be."""
    from hyenadna_cli.core.tasks.finetuning.data import check_lengths
    from hyenadna_cli.core.tasks.prompts.few_shot import FewShotConfig, check_counts
    from hyenadna_cli.core.tasks.prompts.soft_prompt import check_fits
    from hyenadna_cli.core.tasks.prompts.tuning import chosen_rows

    l_max = chosen.config.l_max
    data = check_lengths(rows, l_max=l_max, max_length=max_length)
    longest = max(int(split.lengths.max()) for split in data.splits.values())
    n_prompt = (
        config.n_context(int(data.splits["train"].lengths.max()))
        if isinstance(config, FewShotConfig)
        else config.n_tokens
    )
    n_after = len(config.words[0]) if config.words else 0
    try:
        if isinstance(config, FewShotConfig):
            check_counts(data.splits["train"], data.label_names, config)
        else:
            data = chosen_rows(data, n_examples=config.n_examples, seed=config.seed)
    except ValueError as error:
        raise InputFileError(data.sources[0].path, str(error)) from error
    check_fits(n_prompt=n_prompt, longest=longest, n_after=n_after, l_max=l_max)
    return data


def _run(
    data: LabelledData,
    config: PromptConfig | FewShotConfig,
    chosen: ChosenModel,
    run_directory: tr.RunDirectory,
    made_by: Provenance,
    account: TrainingAccount,
) -> None:
    from hyenadna_cli.core.tasks.prompts import few_shot
    from hyenadna_cli.core.tasks.prompts import tuning as prompt_tuning
    from hyenadna_cli.core.tasks.prompts.run_plan import n_steps
    from hyenadna_cli.core.tasks.prompts.tuning import PromptConfig

    model, output = chosen.load(), run_directory.output
    with on_signals(run_directory.max_time) as stop:
        if isinstance(config, PromptConfig):
            reports = prompt_tuning.run(
                model, chosen.source, data, config, output=output, made_by=made_by, should_stop=stop
            )
        else:
            reports = few_shot.run(
                model, chosen.source, data, config, output=output, made_by=made_by, should_stop=stop
            )
        shown = track(reports, total=n_steps(data, config), label="tuning", describe=_describe)
        last = 0
        for report in shown:
            last = report.step
            account.add(report)
            if report.valid_score is not None:
                log.info("%s", _describe(report))
    if not (output / "training.json").exists():
        raise stop.error(f"checkpoint at step {last:,}; --resume goes on from there")
    for line in _summary(output):
        log.info("%s", line)


def _describe(report: StepReport) -> str:
    text = f"step {report.step:,}: {report.loss:.4f} nats"
    if report.valid_score is not None:
        text += f"; held out {-report.valid_score:.4f}"
    return text


def _summary(output: Path) -> Iterator[str]:
    """One line for each split that was judged."""
    metrics = json.loads((output / "training.json").read_text())["metrics"]
    for split, found in metrics.items():
        values = ", ".join(
            f"{name} {value['value']:.3f}" + _interval(value)
            for name, value in found["values"].items()
            if name in ("accuracy", "mcc", "auroc") and value["value"] is not None
        )
        yield f"{split}, {found['n']:,} rows: {values}"


def _interval(value: dict[str, float | None]) -> str:
    """Nothing where rows of one class leave the interval undefined."""
    return "" if value["low"] is None else f" ({value['low']:.3f}-{value['high']:.3f})"
