"""Write nextflow_schema.json: the workflow's parameters, options of the commands among them.

    python workflows/nextflow/make_schema.py

A parameter `score_variants_window` is the option `--window` of `hyenadna score-variants`.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from hyenadna_cli.commands import embed, perplexity, score_variants

SCHEMA = Path(__file__).with_name("nextflow_schema.json")
COMMANDS = {
    "score-variants": score_variants.score_variants,
    "embed": embed.embed,
    "perplexity": perplexity.perplexity,
}

# What the workflow itself says to the program.
_OURS = {
    "vcf",
    "fasta",
    "bed",
    "output",
    "output_type",
    "write_index",
    "model",
    "offline",
    "context_parallel",
    "device",
    "threads",
    "shard",
    "resume",
    "force",
    "stats",
    "oom_exit_code",
    "dry_run",
    "help",
    "verbose",
    "quiet",
    "cache_dir",
    "revision",
    "tmp_dir",
    "max_time",
    "region",
    "strict",
    "track",
}
_TYPES = {int: "integer", float: "number", bool: "boolean"}

_WORKFLOW = {
    "fasta": {
        "type": "string",
        "format": "file-path",
        "exists": True,
        "description": "Genome, with .fai (and .gzi) beside it.",
    },
    "vcf": {
        "type": "string",
        "format": "file-path",
        "exists": True,
        "description": "Variants to score, VCF or BCF.",
    },
    "bed": {
        "type": "string",
        "format": "file-path",
        "exists": True,
        "description": "Regions to embed.",
    },
    "tracks": {
        "type": "string",
        "format": "file-path",
        "exists": True,
        "description": "Regions whose bases get a track.",
    },
    "model": {
        "type": "string",
        "format": "directory-path",
        "exists": True,
        "description": "Model directory; the built-in model without.",
    },
    "shards": {
        "type": "integer",
        "minimum": 1,
        "default": 7,
        "description": "Jobs for each input; the results do not depend on it.",
    },
    "outdir": {
        "type": "string",
        "format": "directory-path",
        "default": "results",
        "description": "Where results are copied to.",
    },
}


def schema() -> dict[str, Any]:
    """The whole schema."""
    groups: dict[str, Any] = {
        "workflow": {
            "title": "Inputs and outputs",
            "type": "object",
            "properties": _WORKFLOW,
            "required": ["fasta"],
        }
    }
    for name, command in COMMANDS.items():
        prefix = name.replace("-", "_")
        groups[prefix] = {
            "title": f"hyenadna {name}",
            "type": "object",
            "properties": dict(_options(command, prefix)),
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hyenadna workflow parameters",
        "type": "object",
        "$defs": groups,
        "allOf": [{"$ref": f"#/$defs/{name}"} for name in groups],
    }


def _options(command: Callable[..., None], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        if name in _OURS:
            continue
        kind, option = get_args(hints[name])
        options = [kind for kind in get_args(kind) if kind is not type(None)]
        choices = [choice for choice in options if isinstance(choice, str)]
        if get_origin(kind) is not Literal and options:
            kind = options[0]
            choices = list(get_args(kind))
        # A length in bases may be written 32k.
        entry: dict[str, Any] = {"type": "string" if option.parser else _TYPES.get(kind, "string")}
        if choices:
            entry["enum"] = choices
        if isinstance(parameter.default, str | int | float | bool):
            is_text = entry["type"] == "string"
            entry["default"] = str(parameter.default) if is_text else parameter.default
        # Typer takes the first name of an option for its default until it builds the command.
        names = (option.default, *(option.param_decls or ()))
        flag = next(n for n in names if isinstance(n, str) and n.startswith("--"))
        yield (
            prefix + flag.replace("--", "_").replace("-", "_"),
            entry | {"description": option.help},
        )


def text() -> str:
    """The schema as it is written."""
    return json.dumps(schema(), indent=4) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        SCHEMA.write_text(text(), encoding="utf-8")
    elif SCHEMA.read_text(encoding="utf-8") != text():
        sys.exit("workflows/nextflow/nextflow_schema.json is not current: make reference")
