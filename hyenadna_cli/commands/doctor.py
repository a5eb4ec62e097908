"""`hyenadna doctor`: what this machine has, what would be used and why, a known-answer check."""

from __future__ import annotations

from typing import Annotated

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import (
    CacheOption,
    DeviceOption,
    DtypeOption,
    KernelsOption,
    ThreadsOption,
)
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.commands.reporting.tables import print_table
from hyenadna_cli.errors import CheckpointError, HyenaDNAError


@with_option_groups
def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    kernels: KernelsOption = "auto",
    threads: ThreadsOption = None,
    cache_dir: CacheOption = None,
    verbosity: Verbosity,
) -> None:
    """Show what this machine offers, what would be used and why, and check a known answer.

    Prints one row per finding: topic, name, result (ok, missing, failed), detail. `missing` is not
    an error. The built-in model is checked as `models verify` does, and once more on the device, in
    the precision and with the kernels that the options come to: exit 4 if its answer is wrong, 1 if
    anything else failed. Never touches the network.

      hyenadna doctor
    """
    from hyenadna_cli.core.machine.doctor import Requests, examine

    requests = Requests(
        device=device, dtype=dtype, kernels=kernels, threads=threads, cache_dir=cache_dir
    )
    findings = list(examine(requests))
    print_table(
        ("topic", "name", "result", "detail"),
        [(finding.topic, finding.name, finding.result, finding.detail) for finding in findings],
        as_json=as_json,
    )
    failed = [finding for finding in findings if finding.result == "failed"]
    if not failed:
        return
    message = "; ".join(f"{finding.topic}: {finding.name}: {finding.detail}" for finding in failed)
    if any(finding.topic == "built-in model" for finding in failed):
        raise CheckpointError(message)
    raise HyenaDNAError(message)
