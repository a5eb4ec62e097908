"""What made an output: this command line among the rest."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyenadna_cli.core.outputs.provenance import Provenance, Setting


def made_by(
    *,
    inputs: Sequence[Path | str],
    settings: Mapping[str, Setting],
    model: Mapping[str, str | None] | None,
    device: str | None,
    no_version: bool,
) -> Provenance:
    """The provenance of this run, before its work begins.

    `model` and `device` are None where there is none. Raises InputFileError if an input is missing.
    """
    from hyenadna_cli.core.outputs import provenance

    return provenance.collect(
        command=["hyenadna", *sys.argv[1:]],
        settings=settings,
        inputs=inputs,
        model=model,
        device=device,
        reproducible=no_version,
    )
