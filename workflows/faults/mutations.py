"""Read damaged files of every kind with the program, and count what becomes of them.

    python workflows/faults/mutations.py --inputs 1000 --seed 1 [--kind VCF]

An input is accepted and then agrees with a second, plain reader (or bcftools, or the bytes of an
undisturbed run), or it is refused with a documented exit code. What is neither is an internal
error, a hang or a wrong reading: then this exits 1, and the file is kept in `--keep` with its
number. The same kind, seed and number give the same file: `--first NUMBER --inputs 1`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from bench import Bench
from kind import Kind
from mutated_files import Files
from mutated_models import Models
from mutated_runs import Runs
from mutated_trainings import Trainings
from mutating import mutated

from hyenadna_cli.errors import HyenaDNAError

_OUTCOMES = ("accepted", "refused", "internal error", "hang", "wrong")
_FINE = _OUTCOMES[:2]
_SECONDS = 10
"""For one input; most take a hundredth."""
_MEMORY = 16 << 30
"""Bytes of address space: an input that claims terabytes must not end the machine."""


class HangError(BaseException):
    """The time of an input is over; no handler of exceptions may catch it."""


@dataclass
class Tally:
    """A line of the table."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """As Markdown."""
        numbers = [sum(self.counts.values()), *(self.counts[outcome] for outcome in _OUTCOMES)]
        return f"| {self.name} | " + " | ".join(f"{number:,}" for number in numbers) + " |"


def kinds(folder: Path) -> Iterator[Kind]:
    """Every kind; their files are made in `folder`."""
    for name in ("bench", "files", "models", "runs", "trainings"):
        (folder / name).mkdir()
    bench = Bench(folder / "bench", n_records=600, seed=1)
    files = Files(folder / "files")
    yield from files.kinds()
    yield from Models(folder / "models", bench).kinds()
    yield from Runs(folder / "runs", bench, files.fasta, files.contigs).kinds()
    yield from Trainings(folder / "trainings", bench).kinds()


def outcome_of(kind: Kind, data: bytes) -> tuple[str, str]:
    """What becomes of one input, and what was said."""
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        try:
            problem = kind.judge(data)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except HyenaDNAError as error:
        return ("internal error" if error.exit_code == 1 else "refused"), str(error)
    except MemoryError as error:
        return "refused", str(error)  # exit 75
    except HangError:
        return "hang", f"more than {_SECONDS} s"
    except Exception as error:  # noqa: BLE001  that it is no other is what is asked here
        where = traceback.extract_tb(error.__traceback__)
        is_ours = any("hyenadna_cli" in frame.filename for frame in where)
        what = f"{type(error).__name__}: {error}"
        if is_ours or str(error).startswith("exit code"):
            return "internal error", f"{what} ({_last(where)})"
        return "wrong", f"accepted, but the plain reader says {what} ({_last(where)})"
    return ("accepted", "") if problem is None else ("wrong", problem)


def _last(where: traceback.StackSummary) -> str:
    frame = where[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _expired(_number: int, _frame: FrameType | None) -> None:
    raise HangError


def work(kind: Kind, numbers: range, seed: int, write_end: int) -> None:
    """Try inputs and report each: its number before, its outcome after."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _expired)
    with os.fdopen(write_end, "w") as report:
        for number in numbers:
            report.write(f"{number}\n")
            report.flush()
            report.write(json.dumps(outcome_of(kind, data_of(kind, number, seed))) + "\n")
            report.flush()


def data_of(kind: Kind, number: int, seed: int) -> bytes:
    """The input of this number; 0 is the file as it should be."""
    rng = random.Random(f"{seed} {kind.name} {number}")  # noqa: S311
    return mutated(kind.data, rng, is_text=kind.is_text) if number else kind.data


def outcomes(kind: Kind, numbers: range, seed: int) -> Iterator[tuple[int, str, str]]:
    """Number, outcome and what was said, of inputs tried in a process that may be killed."""
    while numbers:
        read_end, write_end = os.pipe()
        process = os.fork()
        if not process:
            os.close(read_end)
            try:
                work(kind, numbers, seed, write_end)
            finally:
                os._exit(0)
        os.close(write_end)
        last, is_open = numbers.start - 1, False
        try:
            for line in _lines(read_end):
                if is_open := not is_open:
                    last = int(line)
                else:
                    yield last, *json.loads(line)
        finally:
            os.close(read_end)
            if is_open:
                os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if is_open and status == -signal.SIGKILL:
            yield last, "hang", "killed: it did not return from a library"
        elif is_open:
            yield last, "internal error", f"the process ended with {status}"
        numbers = range(last + 1, numbers.stop)


def _lines(read_end: int) -> Iterator[bytes]:
    """Lines of a pipe until it is closed, or nothing comes for long."""
    data = b""
    while select.select([read_end], [], [], 3 * _SECONDS)[0] and (more := os.read(read_end, 65536)):
        *lines, data = (data + more).split(b"\n")
        yield from lines


def run(kind: Kind, numbers: range, seed: int, keep: Path) -> Tally:
    """Try the inputs of a kind; those that fail are kept."""
    tally = Tally(kind.name)
    for number, outcome, said in outcomes(kind, numbers, seed):
        if number == 0:
            if outcome != "accepted":
                raise SystemExit(f"{kind.name}: the file as it should be was {outcome}: {said}")
            continue
        tally.counts[outcome] += 1
        if outcome not in _FINE:
            keep.mkdir(parents=True, exist_ok=True)
            name = f"{kind.name.replace('/', '-')} seed {seed} number {number}"
            (keep / name).write_bytes(data_of(kind, number, seed))
            with (keep / "what.tsv").open("a") as file:
                file.write(f"{name}\t{outcome}\t{' '.join(said.split())}\n")
    return tally


def main() -> int:
    """Print the table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=1_000, help="of each kind")
    parser.add_argument("--first", type=int, default=1, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="kinds whose name has this text")
    parser.add_argument("--keep", type=Path, default=Path("mutations-kept"), help="for failures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(filename=os.devnull, force=True)
    total = Tally("all")
    started = time.monotonic()
    print(f"| kind | inputs | {' | '.join(_OUTCOMES)} |\n|---|{'---|' * (len(_OUTCOMES) + 1)}")
    folder = Path(tempfile.mkdtemp())
    try:
        for kind in kinds(folder):
            if options.kind in kind.name:
                last = options.first + options.inputs
                for numbers in (range(1), range(options.first, last)):
                    tally = run(kind, numbers, options.seed, options.keep)
                print(tally.text(), flush=True)
                total.counts.update(tally.counts)
    finally:
        shutil.rmtree(folder)
    print(f"{total.text()}\n\nSeed {options.seed}, {time.monotonic() - started:.0f} s.")
    return 0 if total.counts.keys() <= set(_FINE) else 1


if __name__ == "__main__":
    sys.exit(main())
