"""The asking side of `worker`: a process that measures one case, with a time limit."""

from __future__ import annotations

import dataclasses
import json
import selectors
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from hyenadna_cli.core.machine.benchmark.cases import Case
from hyenadna_cli.errors import HyenaDNAError

_START_SECONDS = 600.0
"""For importing torch, making a model and compiling loops, on a slow machine too."""


class ProcessError(HyenaDNAError):
    """A measured process failed, ran out of memory, or took too long."""

    def __init__(self, message: str, *, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


class MeasuredProcess:
    """A fresh process that holds one case; a context manager that ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hyenadna_cli.core.machine.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> MeasuredProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.communicate()

    def prepare(self, case: Case) -> dict[str, Any]:
        """Make the model; answers which kernels run and what else there is to note."""
        return self.ask({"do": "prepare", "case": dataclasses.asdict(case)}, timeout=_START_SECONDS)

    def ask(self, request: Mapping[str, object], *, timeout: float) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises ProcessError if the process reports a failure, dies, or needs more than `timeout`
        seconds; it is ended then.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.close()
                raise ProcessError(f"more than {timeout:.0f} s", is_timeout=True)
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            self.close()
            reason = "out of memory: " if reply["is_memory"] else ""
            raise ProcessError(f"{reason}{reply['error']}")
        return reply

    def _died(self) -> ProcessError:
        code = self._process.wait()
        if code < 0:
            return ProcessError(f"the process was killed by signal {-code}: out of memory?")
        return ProcessError(f"the process ended with exit code {code}")
