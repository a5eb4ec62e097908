"""The command line: logging set up, one command run, errors turned into exit codes."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import sys
import traceback
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated, Literal

import typer

from hyenadna_cli._version import __version__
from hyenadna_cli.commands.reporting.stops import end_signals
from hyenadna_cli.commands.verbs import VerbGroup
from hyenadna_cli.errors import (
    NO_ROOM,
    DeviceMemoryError,
    HyenaDNAError,
    InterruptedRunError,
    OutputError,
)

LogFormat = Literal["text", "json"]

log = logging.getLogger(__name__)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

app = typer.Typer(
    name="hyenadna",
    cls=VerbGroup,
    pretty_exceptions_enable=False,
    # Plain text: help and usage errors must survive log files and narrow terminals.
    rich_markup_mode=None,
    # Help fills a terminal up to the width at which lines are still easy to read.
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hyenadna {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format",
            metavar="text|json",
            envvar="HYENADNA_LOG_FORMAT",
            help="Format of messages on stderr; json: one object per line.",
        ),
    ] = "text",
) -> None:
    """Embed, score and learn DNA with HyenaDNA, at single-nucleotide resolution."""
    if log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_JsonLines())


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code; an error becomes one line on stderr."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    for client in ("httpx", "httpx2"):  # of the hub, which says every request
        logging.getLogger(client).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_PlainLines("hyenadna: %(message)s"))
    sys.exit(_flushed(_run(arguments)))


def _run(arguments: list[str] | None) -> int:
    before = {number: signal.signal(number, _end) for number in end_signals()}
    try:
        code = app(args=arguments, prog_name="hyenadna", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except HyenaDNAError as error:
        return _report(error, error.exit_code)
    except typer.TyperException as error:
        return _report(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _report("interrupted", 130)
    except SystemExit as end:
        # Typer ends so when the reader (`| head`) has seen enough; that is not a failure.
        if isinstance(end.__context__, BrokenPipeError):
            return 0
        raise
    except Exception as error:  # noqa: BLE001  the last resort: one line, not a traceback
        if _is_lack_of_memory(error):
            detail = " ".join(str(error).split()) or type(error).__name__
            problem = f"out of memory ({detail}): give the run more, or smaller windows or batches"
            return _report(problem, getattr(error, "exit_code", DeviceMemoryError.exit_code))
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return _report(f"standard output: {error.strerror}", OutputError.exit_code)
        return _report(f"internal error: {type(error).__name__}: {error} (-v shows where)", 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_lack_of_memory(error: Exception) -> bool:
    """Of the host: `core.machine.out_of_memory` knows devices, and would load torch for it."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)


def _end(number: int, _: FrameType | None) -> None:
    """Clean up as after an error; where there is more to keep, commands catch the signal."""
    raise InterruptedRunError(f"stopped by {signal.Signals(number).name}", exit_code=143)


def _flushed(exit_code: int) -> int:
    """Empty the buffer of stdout; what it refuses is dropped, or the interpreter would fail."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if exit_code == 0 and not isinstance(error, BrokenPipeError):
            return _report(f"standard output: {error.strerror}", OutputError.exit_code)
    return exit_code


def _report(problem: object, exit_code: int) -> int:
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        sys.stderr.write(_without_control(traceback.format_exc()))
    log.error("error: %s", problem, extra={"exit_code": exit_code})
    return exit_code


def _without_control(text: str) -> str:
    """Control characters as their codes: a name of an input must not move the reader's cursor."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class _PlainLines(logging.Formatter):
    """A log record as text that is safe on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return _without_control(super().format(record))


class _JsonLines(logging.Formatter):
    """A log record as one line of JSON: time (UTC), level, message, and the exit code of errors."""

    def format(self, record: logging.LogRecord) -> str:
        entries = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage().removeprefix("error: "),
        }
        if (exit_code := getattr(record, "exit_code", None)) is not None:
            entries["exit_code"] = exit_code
        text = json.dumps(entries, ensure_ascii=False)  # escapes what is below the blank
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
