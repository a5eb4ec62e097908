"""How settings are spelt on the command line; nothing here knows of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, get_type_hints

from hyenadna_cli.core.config.texts import parse_bases, parse_freeze


@dataclass(frozen=True, slots=True)
class Flag:
    """How a setting is given on the command line: the annotation of a settings field.

    `commands.options.groups` makes the option of it; nothing here knows of a command line.
    """

    name: str
    """`--lr`, `-c, --check-ref`, or `--rc-aug/--no-rc-aug`."""
    help: str
    """What the setting is, with its unit."""
    _: KW_ONLY
    metavar: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    parse: Callable[[str], Any] | None = None
    """Text to value; raises ValueError. None: by the type of the field."""


def flag_of(settings: type, field: str) -> str:
    """What a field of a settings type is called on the command line, for messages."""
    flag: Flag = get_type_hints(settings, include_extras=True)[field].__metadata__[0]
    return flag.name.partition("/")[0]


def in_bases(name: str, help_text: str) -> Flag:
    """The flag of a length: `32k`."""
    return Flag(name, help_text, metavar="BASES", parse=parse_bases)


CONTIG_MAP = Flag("--contig-map", "auto: also match chr1 with 1 and chrM with MT.")
RENAME_CHRS = Flag(
    "--rename-chrs",
    "Table of two columns: a contig's name in the other files, and its name in the FASTA.",
)
MICRO_BATCH_BASES = in_bases(
    "--micro-batch-bases",
    "Bases per forward and backward pass of one process; gradients accumulate over passes.",
)
RECOMPUTE_BLOCKS = Flag(
    "--checkpoint-blocks/--no-checkpoint-blocks",
    "Gradient checkpointing: less memory, about a third more time.",
)
DROPOUT = Flag("--dropout", "Dropout on the pooled vector, in training.")
FREEZE = Flag(
    "--freeze",
    "What of the backbone does not train; N: the embedding and the first N blocks.",
    metavar="all|none|N",
    parse=parse_freeze,
)
SEED = Flag("--seed", "Random seed.", at_least=0)
