"""`hyenadna prompt-tune`: teach a model a task by what stands before the input."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest, ModelRequest
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.training_run import TrainingRun
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.core.tasks.prompts.settings import Answers, FewShotConfig, PromptConfig
from hyenadna_cli.core.tasks.prompts.settings import settings as resolved

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.tasks.labelled.rows import LabelledData
    from hyenadna_cli.core.training.loop import StepReport

log = logging.getLogger(__name__)

MaxLengthOption = Annotated[
    int | None,
    in_bases("--max-length", "Cut longer sequences around their middle."),
]
_NOT_HERE = ("task", "label_columns", "group_by", "n_train")


@with_option_groups
def prompt_tune(
    *,
    named: Annotated[Overrides, OptionsOf(LabelledFiles, required=["data"], without=_NOT_HERE)],
    label_column: Annotated[
        str | None, typer.Option("--label-column", help="Column of a table that has the classes.")
    ] = None,
    max_length: MaxLengthOption = None,
    model: ModelRequest,
    answers: Answers,
    prompt: Annotated[Overrides, OptionsOf(PromptConfig)],
    shots: Annotated[Overrides, OptionsOf(FewShotConfig)],
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    run_options: RunOptions,
) -> None:
    """Teach a model a task by soft prompt tokens, or by demonstrations, before its input.

    The model stays as it is; learned vectors before the input make it answer each sequence with the
    word of its class. Writes prompt.safetensors (the vectors, the words, the hash of the model they
    belong to) and training.json with the metrics of all held-out rows; predict reads the directory
    with -m. With --shots, demonstrations X SEP Y SEP take the place of the vectors, and --samples
    tunes all weights on that number of examples.

      hyenadna prompt-tune --data test_data/labelled.csv --tokens 8 --epochs 1 -o prompt
    """
    from hyenadna_cli.core.tasks.finetuning.data import check_lengths, inputs_of, open_data
    from hyenadna_cli.core.tasks.prompts import run_plan

    config = resolved(prompt, shots, answers)
    files = LabelledFiles(**named, label_columns=(label_column,) if label_column else ())
    run_directory.check()
    with compute.memory_errors(), open_data(files) as rows:
        config = dataclasses.replace(config, words=run_plan.words_of(rows, answers))
        chosen = model.choose(compute, training=True)
        l_max = chosen.config.l_max
        data = check_lengths(rows, l_max=l_max, max_length=max_length)
        data = run_plan.rows_to_use(data, config, l_max=l_max)
        log.info("%s", data.describe())
        if run_options.dry_run:
            typer.echo(run_plan.plan(data, config, chosen.config))
            return
        run = TrainingRun(
            command="prompt-tune",
            directory=run_directory,
            inputs=inputs_of(data, files),
            settings=chosen.settings(),
            model=chosen.identity(),
            runtime=chosen.run,
        )
        run.going_on(lambda: _run(run, data, config, chosen))


def _run(
    run: TrainingRun, data: LabelledData, config: PromptConfig | FewShotConfig, chosen: ChosenModel
) -> None:
    from hyenadna_cli.core.tasks.prompts import few_shot, tuning
    from hyenadna_cli.core.tasks.prompts.run_plan import n_steps

    output = run.directory.output
    with run.started(is_shared=False):
        model, source, stop = chosen.load(), chosen.source, run.stop
        if isinstance(config, PromptConfig):
            steps = tuning.run(
                model, source, data, config, output=output, made_by=run.made_by, should_stop=stop
            )
        else:
            steps = few_shot.run(
                model, source, data, config, output=output, made_by=run.made_by, should_stop=stop
            )
        run.follow(
            steps,
            total=n_steps(data, config),
            label="tuning",
            describe=_describe,
            is_done=(output / "training.json").exists,
        )
        for line in tuning.summary(output):
            log.info("%s", line)
        run.close(data.split_sizes)


def _describe(step: StepReport) -> str:
    text = f"step {step.step:,}: {step.loss:.4f} nats"
    if step.valid_score is not None:
        text += f"; held out {-step.valid_score:.4f}"
    return text
